"""The command line: frozen options, quick help, one sentence a mistake, nothing of the user's lost."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oration import cli
from oration.audio.io import info, read, write
from oration.commands import threads
from oration.commands.folder import MARK, fresh
from oration.core import OrationError

FROZEN = {
    "demo": "--model --out --seed",
    "prepare": "--aligner --no-align --out --seed --text --voices --workers",
    "converse": "--agent --feedback --hours --longest --noise --out --room --seconds --seed",
    "rehearse": "--data --engine --feedback --longest --model --noise --out --seeds",
    "train": "--data --device --out --part --parts-of --set",
    "reply": "--model --out --overwrite --seconds --seed --task --temperature --text --top-k --voice --weights",
    "talk": "--after --engine --fast --in --model --out --overwrite --seconds --seed --temperature --voice --weights",
    "serve": (
        "--echo --engine --exposed --host --max-sessions --model --origin --per-address --port --record --replay "
        "--token-file"
    ),
    "encode": "--model --no-entropy --out --overwrite",
    "decode": "--model --out --overwrite --voice",
    "score likelihood": "--model --out --weights",
    "score units": "--clips --mend --model --out --split",
    "score resynthesis": "--clips --model --out --split",
    "score lm": "--clips --model --out --split --weights",
    "score compare": "--clips --model --out --split",
    "score codec": ("--clips --limit --levels --mend --model --out --reference --split --without --workers"),
    "score alignment": "--aligner --split --clips --mend --out",
    "show": "--out --set --task --text",
    "check": "--all --data --out",
    "doctor": "",
}
"""Change this on purpose only: scripts out there call these."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")


def call(*arguments: object) -> int:
    """The exit code of the command line."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def refusal(capsys, *arguments: object) -> str:
    """What a mistake is told as: exit code 2, one sentence, no traceback."""
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("oration: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("command", FROZEN)
def test_options_are_frozen(command, capsys):
    assert call(*command.split(), "--help") == 0
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}
    assert found == set(FROZEN[command].split())


def test_every_option_is_on_the_page_of_the_command_line():
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text(encoding="utf-8")
    for command, options in FROZEN.items():
        section = (
            page.partition(f"## {command.split()[0]}")[2] if command != "decode" else page.partition("## encode")[2]
        )
        section = section.partition("\n## ")[0]
        assert section, command
        for option in options.split():
            assert option in section, f"{command} {option}"


def test_commands_are_frozen(capsys):
    assert call("--help") == 0
    commands = re.search(r"\{(.*?)\}", capsys.readouterr().out)
    assert commands is not None
    assert commands[1].split(",") == list(dict.fromkeys(name.split()[0] for name in FROZEN))


@pytest.mark.parametrize("arguments", [[], ["train"], ["score", "lm"]])
def test_help_needs_no_torch_and_no_second(arguments):
    program = (
        "import sys\nfrom oration.cli import main\n"
        f"try:\n    main({[*arguments, '--help']!r})\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    # The processor's time: on a busy machine the clock says nothing.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_importing_oration_needs_no_torch_and_offers_its_names():
    program = (
        "import sys, oration\nassert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert oration.Waveform.__name__ == 'Waveform' and 'torch' not in sys.modules\n"
        "assert oration.read.__name__ == 'read' and 'load' in dir(oration)\n"
        "assert oration.load.__func__ is oration.SpeechLM.load.__func__"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_names_are_told():
    import oration

    with pytest.raises(AttributeError, match="offers"):
        oration.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("failure", "code"), [(OrationError("a b"), 2), (RuntimeError("x"), 1), (KeyboardInterrupt("saved"), 130)]
)
def test_exit_codes(failure, code, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise failure

    monkeypatch.setattr(cli.app, "cli", fail)
    assert call("doctor") == code
    said = capsys.readouterr().err
    assert said.startswith("oration: ")
    assert said.count("\n") == 1
    assert ("--debug" in said) == (code == 1)


def test_debug_shows_where(monkeypatch):
    with pytest.raises(OrationError):
        cli.main(["show", "no-such-recipe", "--debug"])


def test_mistakes_on_the_line_end_with_2(capsys):
    assert call("replly") == 2
    assert call("reply") == 2
    assert call("reply", "a.wav", "--out", "b.wav", "--seconds", "long") == 2


def test_threads_are_half_the_cores_unless_the_user_says(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(threads, "cores", lambda: 6)
    call("--help")
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    call("--help")
    assert os.environ["OMP_NUM_THREADS"] == "5"
    monkeypatch.undo()
    assert 1 <= threads.cores() <= (os.cpu_count() or 1)


def test_show_prints_the_two_minute_tour_within_100_columns(capsys):
    assert call("show", "gslm") == 0
    said = capsys.readouterr().out
    for wanted in ("Streams", "Task 'continue'", "Delay", "Parts", "Training", "units.runs", "ulm", "steps a second"):
        assert wanted in said
    assert max(map(len, said.splitlines())) <= 100


def test_show_takes_settings_and_model_folders(capsys, tiny_model, hum, tmp_path):
    assert call("show", "gslm", "--set", "lms.0.body.layers=40", "--set", "lms.0.context=77") == 0
    assert "context 77 steps" in capsys.readouterr().out
    write(hum, tmp_path / "hum.wav")
    assert call("show", tiny_model, tmp_path / "hum.wav") == 0
    assert "here" in capsys.readouterr().out
    assert call("show", "gslm", tmp_path / "hum.wav") == 0
    assert "No weights" in capsys.readouterr().out
    assert "expected one of" in refusal(capsys, "show", "no-such-recipe")
    assert "--set" in refusal(capsys, "show", "gslm", "--set", "lms.0.layers=4")


def test_train_refuses_what_it_cannot_train(capsys, tmp_path):
    assert "no recipe" in refusal(capsys, "train", "nothing", "--data", tmp_path, "--out", tmp_path / "m")
    assert "trains no part" in refusal(
        capsys, "train", "gslm", "--data", tmp_path, "--out", tmp_path / "m", "--part", "voice"
    )
    assert "manifest.jsonl" in refusal(capsys, "train", "gslm", "--data", tmp_path, "--out", tmp_path / "m")


def test_encode_and_decode_are_inverse_files(capsys, tiny_model, hum, tmp_path):
    recording = write(hum, tmp_path / "hum.wav")
    for suffix in ("json", "npz"):
        streams = tmp_path / f"hum.{suffix}"
        assert call("encode", recording, "--out", streams, "--model", tiny_model) == 0
        assert call("decode", streams, "--out", tmp_path / f"{suffix}.wav", "--model", tiny_model) == 0
    assert (tmp_path / "json.wav").read_bytes() == (tmp_path / "npz.wav").read_bytes()
    assert abs(info(tmp_path / "json.wav").seconds - hum.seconds) < 0.05
    assert len(json.loads((tmp_path / "hum.json").read_text())["streams"]["units"]["ids"]) == 100


def test_reply_continues_and_repeats_itself(capsys, tiny_model, hum, tmp_path):
    recording = write(hum, tmp_path / "hum.wav")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        out = tmp_path / f"{name}.flac"
        assert call("reply", recording, "--out", out, "--model", tiny_model, "--seconds", 1, "--seed", seed) == 0
    a, b, c = (read(tmp_path / f"{name}.flac").samples for name in "abc")
    assert np.array_equal(a, b)
    assert len(a) > len(hum.samples)
    assert not np.array_equal(a[: len(c)], c[: len(a)])


def test_nothing_is_overwritten_unless_asked(capsys, tiny_model, hum, tmp_path):
    recording = write(hum, tmp_path / "hum.wav")
    before = recording.read_bytes()
    arguments = ("reply", recording, "--out", recording, "--model", tiny_model, "--seconds", 0.5)
    assert "--overwrite" in refusal(capsys, *arguments)
    assert recording.read_bytes() == before
    assert call(*arguments, "--overwrite") == 0
    assert recording.read_bytes() != before


def test_bad_recordings_are_refused_in_one_sentence(capsys, tiny_model, tmp_path):
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    for name in ("text.wav", "empty.wav", "folder.wav", "missing.wav"):
        said = refusal(capsys, "reply", tmp_path / name, "--out", tmp_path / "out.wav", "--model", tiny_model)
        assert name in said
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seconds", -1), ("--seconds", "nan"), ("--seconds", 1e9), ("--temperature", -1), ("--top-k", -3)],
)
def test_bad_numbers_are_refused(capsys, tiny_model, hum, tmp_path, option, value):
    recording = write(hum, tmp_path / "hum.wav")
    refusal(capsys, "reply", recording, "--out", tmp_path / "out.wav", "--model", tiny_model, option, value)


def test_bad_outputs_are_refused_before_any_work(capsys, tmp_path):
    for out in ("out.mp4", "nowhere/out.wav", "out"):
        said = refusal(capsys, "reply", "unread.wav", "--out", tmp_path / out, "--model", tmp_path / "unread")
        assert "--out" in said


def test_bad_models_are_refused(capsys, tiny_model, hum, tmp_path):
    recording = write(hum, tmp_path / "hum.wav")
    arguments = ("encode", recording, "--out", tmp_path / "u.json", "--model")
    assert "recipe.json" in refusal(capsys, *arguments, tmp_path / "missing")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "recipe.json").write_text('{"class": "os:system"}', encoding="utf-8")
    assert "os:system" in refusal(capsys, *arguments, broken)
    (broken / "recipe.json").write_text((tiny_model / "recipe.json").read_text(encoding="utf-8"), encoding="utf-8")
    for weights in tiny_model.glob("*.safetensors"):
        (broken / weights.name).write_bytes(weights.read_bytes()[:100])
    assert "safetensors" in refusal(capsys, *arguments, broken)


def test_bad_streams_are_refused(capsys, tiny_model, tmp_path):
    def decode(content: object) -> str:
        path = tmp_path / "u.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return refusal(capsys, "decode", path, "--out", tmp_path / "o.wav", "--model", tiny_model)

    assert "does not hold streams" in decode("[1, 2")
    assert "does not hold streams" in decode({"streams": []})
    assert "expected 0 to" in decode({"recipe": "x", "streams": {"units": {"ids": [1, 10**6]}}})
    assert "does not have" in decode({"recipe": "x", "streams": {"codec.0": {"ids": [1]}}})
    assert "nothing gives" in decode({"recipe": "x", "streams": {"f0": {"ids": [1, 2]}}})
    assert "does not exist" in refusal(
        capsys, "decode", tmp_path / "no.json", "--out", tmp_path / "o.wav", "--model", tiny_model
    )
    assert not (tmp_path / "o.wav").exists()


def test_generated_folders_never_replace_the_users(tmp_path):
    first = fresh(tmp_path / "demo")
    (first / "page.html").touch()
    assert fresh(tmp_path / "demo") == first
    assert [path.name for path in first.iterdir()] == [MARK]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert fresh(mine) == tmp_path / "mine-2"
    assert fresh(mine) == tmp_path / "mine-2"
    assert (mine / "thesis.txt").read_text(encoding="utf-8") == "years of work"
    (tmp_path / "file").touch()
    assert fresh(tmp_path / "file") == tmp_path / "file-2"


def test_doctor_reports_and_says_whether_it_is_usable(capsys):
    code = call("doctor")
    said = capsys.readouterr().out
    for wanted in ("oration", "torch", "threads", "packages", "extra eval", "disk", "model"):
        assert wanted in said
    assert code == (0 if "Usable." in said else 1)


def test_samples_are_licensed_and_whole():
    folder = Path(cli.__file__).parent / "samples"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    said = (folder / "SOURCES.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6
    assert {row["path"] for row in rows} == {path.name for path in folder.glob("*.flac")}
    for row in rows:
        assert abs(info(folder / row["path"]).seconds - row["duration_s"]) < 0.01
        assert row["id"] in said
        assert re.match(r"CC0|CC BY 4.0|public domain", row["licence"])


def test_a_reply_in_sound_alone_needs_a_recording_to_write(capsys, tiny_model, hum, tmp_path):
    recording = write(hum, tmp_path / "hum.wav")
    said = refusal(capsys, "reply", recording, "--model", tiny_model)
    assert "answers in sound alone; say where to write it with --out FILE" in said
    said = refusal(capsys, "reply", recording, "--model", tiny_model, "--out", tmp_path / "a.txt")
    assert "is text" in said
    assert not (tmp_path / "a.txt").exists()
    said = refusal(capsys, "reply", "--model", tiny_model, "--out", tmp_path / "a.wav", "--text", "hi")
    assert "has no tokenizer of text" in said
    assert "no prompt" in refusal(capsys, "reply", "--model", tiny_model, "--out", tmp_path / "a.wav")
