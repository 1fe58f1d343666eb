"""The inspector: a recording on the grid of a recipe, true to the layout, on a terminal and on a page."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from oration import cli
from oration.audio.io import write
from oration.commands.heard import SAMPLES, find_clip, listen
from oration.commands.inspector import tasks
from oration.commands.sheet import abbreviations, sheet
from oration.core import PREDICT, BadInput, Waveform
from oration.layouts.block import is_stream
from oration.model import SpeechLM
from oration.recipe import find
from oration.sizes import parts_of

RECIPES = ["gslm", "pgslm", "vall_e", "glm4_voice", "mini_omni", "spirit_lm", "syncllm"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def show(*arguments):
    try:
        cli.main(["show", *map(str, arguments)])
    except SystemExit as left:
        return left.code
    return 0


def sheets(name, tiny=True):
    """Every task of a recipe, for a bundled recording."""
    model = SpeechLM(find(name).tiny() if tiny else find(name))
    links = tasks(model.recipe)
    clip, notes = find_clip(SAMPLES / "kathleen-arctic_a0479.flac", None)
    heard = listen(model, parts_of(model), links, clip, notes)
    return [sheet(model, lm, task, heard) for lm, task in links]


def grids(html):
    """The data of each grid of a page."""
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html, re.S)]


@pytest.mark.parametrize("name", RECIPES)
def test_cells_are_those_that_training_places(name):
    for found in sheets(name):
        grid = found.task.place([found.example], found.specs, vocabs=found.vocabs)
        assert np.array_equal(found.cells.role, grid.role)
        assert np.array_equal(found.cells.token, grid.tokens)
        assert found.shown
        for stream in found.task.predict:
            items = found.cells.where(stream)
            assert len(items) == len(found.example[stream])
            roles = found.cells.role[items[:, 0], items[:, 1]]
            assert (roles == PREDICT).all()
            assert sorted(found.cells.item[items[:, 0], items[:, 1]]) == list(range(len(items))), "each exactly once"


@pytest.mark.parametrize("name", RECIPES)
def test_what_the_loss_covers_adds_up(name):
    for found in sheets(name):
        covered = {entry[0]: entry[1:] for entry in found.covered()}
        assert sum(asked for _, asked, _, _ in covered.values()) == int(found.cells.loss.sum())
        for stream in found.task.layout.streams:
            count = len(found.example[stream])
            asked = count if stream in found.task.predict else 0
            if count:
                assert covered[stream][:2] == (count, asked)
        if found.weights is not None:
            assert (found.weights[~found.cells.loss] == 0).all()
            assert sum(share for *_, share in covered.values()) == pytest.approx(1)


def test_weights_and_delays_are_those_of_the_recipe():
    (found,) = sheets("pgslm", tiny=False)
    weights = {name: weight for name, _, _, weight, _ in found.covered() if is_stream(name)}
    assert weights == {"units.runs": "1", "units.durations": "0.5", "units.f0": "0.5"}
    assert found.cells.at("units.f0", 1).delay == 1
    assert found.cells.at("units.f0", 1).item == 0
    assert found.blocks("units.runs")[0] == ("units.runs", 0, 99)
    assert [name for name, _, _ in found.blocks("units.runs")] == ["units.runs", "pad", "end"]


def test_a_reply_begins_where_the_recording_was_cut():
    chat = sheets("glm4_voice")[0]
    user = chat.example["user.units.timed"] if "user.units.timed" in chat.example else chat.example["user.units"]
    cut = set(chat.clock.values())
    assert len(cut) == 1
    assert "user" not in "".join(chat.clock)
    (second,) = cut
    assert 0 < second < 4.23
    assert len(user)
    times = chat.times()
    predicted = chat.cells.loss.any(0) & np.isfinite(times)
    assert times[predicted].min() >= second


def test_streams_that_share_a_row_have_letters():
    assert abbreviations([["units", "user.units", "user.text"], ["f0"]]) == {
        "units": "u", "user.units": "uu", "user.text": "ut", "f0": "",
    }  # fmt: skip
    two = abbreviations([["text", "task", "codec.0", "codec.1"]])
    assert len(set(two.values())) == 4


@pytest.mark.parametrize("name", ["pgslm", "mini_omni"])
def test_the_page_holds_every_cell(name, capsys, tmp_path):
    assert show(name, "jfk.flac", "--out", "page") == 0
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert str(tmp_path / "page" / "index.html") in capsys.readouterr().out
    assert len(html) < 2e6
    assert html.count("<audio") == 1
    assert not re.search(r'(src|href)="(?!data:|#)', html), "it opens from disk and asks nothing of the net"
    links = tasks(find(name))
    drawn = grids(html)
    assert len(drawn) == len(links) == html.count('class="gridview"')
    model = SpeechLM(find(name))
    clip, notes = find_clip(SAMPLES / "jfk.flac", None)
    heard = listen(model, parts_of(model), links, clip, notes)
    for (lm, task), data in zip(links, drawn, strict=True):
        found = sheet(model, lm, task, heard)
        assert data["steps"] == found.cells.steps
        for k, row in zip(found.shown, data["rows"], strict=True):
            assert row["name"] == found.cells.rows[k]
            assert row["role"] == "".join(map(str, found.cells.role[k]))
            assert row["token"] == found.cells.token[k].tolist()
            assert row["item"] == found.cells.item[k].tolist()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_opens_without_complaint(capsys, tmp_path):
    assert show("mini_omni", "jfk.flac", "--task", "answer", "--out", "page") == 0
    page = tmp_path / "page" / "index.html"
    # Keys as a user would press them, and what the page then says of the cell.
    probe = (
        '<script>const w = document.querySelector(".wide");'
        'for (const key of ["ArrowRight", "ArrowDown", "Home"]) w.dispatchEvent(new KeyboardEvent("keydown", {key}));'
        'document.title = document.querySelector(".detail").textContent;</script></body>'
    )
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    ran = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if "<title>" not in ran.stdout:
        pytest.skip("Chromium does not start here")
    assert "CONSOLE" not in ran.stderr
    title = re.search(r"<title>(.*?)</title>", ran.stdout)
    assert title is not None
    assert re.fullmatch(r"row codec\.0, step 0 · nothing here · token \d+ · absent: padding, not in the loss", title[1])


def test_the_terminal_says_what_stands_where(capsys):
    assert show("pgslm", "jfk.flac") == 0
    said = capsys.readouterr().out
    for wanted in (
        "No weights", "units.durations | .  0!", "predicted: in the loss", "Vocabulary", "In the loss (CrossEntropy)",
        "items 0-99, pad 100, end 101", "padding is", "--out DIR",
    ):  # fmt: skip
        assert wanted in said, wanted
    assert max(map(len, said.splitlines())) <= 100


def test_a_model_with_weights_says_nothing_of_missing_ones(capsys, tiny_model, hum, tmp_path):
    write(hum, tmp_path / "hum.wav")
    assert show(tiny_model, "hum.wav") == 0
    said = capsys.readouterr().out
    assert "No weights" not in said
    assert "here" in said


def test_text_comes_from_the_manifest_or_the_user(capsys, hum, tmp_path):
    write(hum, tmp_path / "hum.wav")
    assert show("vall_e", "hum.wav", "--task", "tts") == 2
    said = capsys.readouterr().err
    assert "'phonemes'" in said
    assert '--text "..."' in said
    assert show("vall_e", "hum.wav", "--task", "tts", "--text", "one two") == 0
    assert "spread evenly" in capsys.readouterr().out
    assert show("vall_e", "jfk.flac", "--task", "tts") == 0
    assert "spread evenly" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("gslm", "jfk.flac", "--task", "sing"), "no task 'sing', only continue"),
        (("gslm", "missing.wav"), "missing.wav"),
        (("gslm", "short.wav"), "lasts 0.050 s, expected 0.1 s or more"),
        (("units_mfcc", "jfk.flac"), "no language model"),
        (("gslm", "--out", "page"), "--out goes with a recording"),
        (("gslm", "--text", "a"), "--text goes with a recording"),
    ],
)
def test_mistakes_are_one_sentence(arguments, wanted, capsys, tmp_path):
    write(Waveform(np.zeros(800, np.float32), 16_000), tmp_path / "short.wav")
    assert show(*arguments) == 2
    said = capsys.readouterr().err
    assert wanted in said
    assert said.count("\n") == 1


def test_a_broken_manifest_beside_a_recording_does_not_matter(hum, tmp_path):
    path = write(hum, tmp_path / "hum.wav")
    (tmp_path / "manifest.jsonl").write_text("not json\n", encoding="utf-8")
    clip, notes = find_clip(path, None)
    assert clip.text is None
    assert notes == []
    with pytest.raises(BadInput):
        find_clip(tmp_path / "nothing.wav", None)
