"""`prepare`, for real: what comes in, what is refused, and a run that is killed and goes on."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from oration.audio.io import write
from oration.core import BadInput, Waveform
from oration.data.manifest import read_manifest
from oration.data.prepare import prepare
from oration.data.sources import read_source

TONE = Waveform(0.1 * np.sin(np.arange(16000) / 20), 16000)


@pytest.fixture
def folder(tmp_path):
    """A folder of recordings as a person might have one, good and bad."""
    source = tmp_path / "mine"
    (source / "deep").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "deep/a.ogg"):
        write(TONE, source / name)
    (source / "a.txt").write_text("what was\nsaid\n")
    (source / "bad.wav").write_text("no sound")
    (source / "notes.md").write_text("no recording")
    (source / "SOURCE.md").write_text("Licence: CC0 1.0\n")
    return source


def test_a_folder_of_recordings(folder, tmp_path):
    done = prepare([folder], tmp_path / "out", align=False, progress=False)
    clips = read_manifest(tmp_path / "out")
    assert {clip.id: clip.text for clip in clips} == {"mine-a": "what was said", "mine-b": None, "mine-deep-a": None}
    assert {(clip.corpus, clip.licence, clip.seconds) for clip in clips} == {("mine", "CC0 1.0", 1.0)}
    assert all(clip.path.exists() for clip in clips)
    assert [name for name, _ in done.refused] == ["mine-bad"]
    assert "is not audio" in done.refused[0][1]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["clips"] == done.clips == 3
    assert report["hours"] == pytest.approx(3 / 3600)
    assert report["refused"] == [list(pair) for pair in done.refused]


def test_samples_are_aligned_and_a_second_run_has_nothing_to_do(samples, tmp_path):
    pytest.importorskip("pocketsphinx")
    source = next(iter(samples.values())).path.parent
    done = prepare([source], tmp_path, progress=False)
    assert done.aligned + len(done.unaligned) <= done.clips == len(samples)
    assert done.aligned >= 3
    manifest, journal = (tmp_path / "manifest.jsonl").read_bytes(), (tmp_path / "alignments.jsonl").read_bytes()
    for clip in read_manifest(tmp_path):
        assert clip.licence
        assert bool(clip.phones) == (clip.id not in dict(done.unaligned) and bool(clip.text))
    assert prepare([source], tmp_path, progress=False) == done
    assert (tmp_path / "manifest.jsonl").read_bytes() == manifest
    assert (tmp_path / "alignments.jsonl").read_bytes() == journal


RUN = """
import sys
from oration.data.prepare import prepare
prepare(sys.argv[1:2], sys.argv[2], progress=False)
"""


def test_killed_in_the_middle_it_goes_on(samples, tmp_path):
    pytest.importorskip("pocketsphinx")
    source = next(iter(samples.values())).path.parent
    out, journal = tmp_path / "out", tmp_path / "out/alignments.jsonl"
    run = subprocess.Popen([sys.executable, "-c", RUN, str(source), str(out)])
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert run.poll() is None or journal.read_bytes().count(b"\n") >= 2
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = journal.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    journal.write_bytes(whole + b'{"clip": {"id": "hal')  # as if the kill had met a line half-way
    prepare([source], out, progress=False)
    assert journal.read_bytes().startswith(whole)
    assert journal.read_bytes().count(b"\n") == len(samples)
    prepare([source], tmp_path / "fresh", progress=False)
    absolute = lambda folder: [json.loads(line) for line in (folder / "manifest.jsonl").open()]  # noqa: E731
    assert absolute(out) == absolute(tmp_path / "fresh")


def test_a_changed_transcript_is_aligned_again(samples, tmp_path):
    pytest.importorskip("pocketsphinx")
    shutil.copy(samples["kathleen-arctic_a0479"].path, tmp_path / "a.flac")
    for text, aligned in (("I tried to read xyzzyx", 0), (samples["kathleen-arctic_a0479"].text, 1)):
        (tmp_path / "a.txt").write_text(text)
        done = prepare([tmp_path], tmp_path / "out", progress=False)
        assert done.aligned == aligned
        assert len(done.unaligned) == 1 - aligned


def test_voices_speak_the_transcripts_of_the_sources(flite, folder, tmp_path):
    (folder / "a.txt").write_text("the old man was here again")
    (folder / "b.txt").write_text("she gave him seven green apples")
    done = prepare(
        [folder], tmp_path / "out", align=False, voices_hours=1 / 3600, voices=("kal16",), seed=1, progress=False
    )
    spoken = [clip for clip in read_manifest(tmp_path / "out") if clip.corpus == "flite"]
    assert spoken
    assert {clip.text for clip in spoken} <= {"The old man was here again.", "She gave him seven green apples."}
    assert done.aligned == len(spoken)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/voices").iterdir()}
    again = prepare(
        [folder], tmp_path / "out", align=False, voices_hours=1 / 3600, voices=("kal16",), seed=1, progress=False
    )
    assert again == done
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/voices").iterdir()} == made


def test_two_runs_do_not_mix(folder, tmp_path):
    out = tmp_path / "out"
    prepare([folder], out, align=False, progress=False)
    with (out / "alignments.jsonl").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another run"):
            prepare([folder], out, align=False, progress=False)


def test_sources_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.jsonl").write_text("\n")
    write(TONE, tmp_path / "one.wav")
    for source, part in {
        "none": "does not exist",
        "empty": "no recordings",
        "a.jsonl": "empty",
        "one.wav": "single",
    }.items():
        with pytest.raises(BadInput, match=part):
            prepare([tmp_path / source], tmp_path / "out", progress=False)
    (tmp_path / "empty/bad.wav").write_text("no sound")
    with pytest.raises(BadInput, match="none of 1 recordings"):
        prepare([tmp_path / "empty"], tmp_path / "out", progress=False)
    assert not (tmp_path / "out/manifest.jsonl").exists()


def test_the_same_clip_from_two_sources(folder, tmp_path):
    with pytest.raises(BadInput, match="two sources, the first is 'mine-a'"):
        prepare([folder, folder], tmp_path / "out", progress=False)


def test_a_full_disk_loses_nothing(folder, tmp_path, with_file_limit):
    out = tmp_path / "out"
    prepare([folder], out, align=False, progress=False)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write(TONE, folder / "c.wav")
    said = with_file_limit(100, lambda: prepare([folder], out, align=False, progress=False))
    assert "larger than this system allows" in said
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".part"}[
        "manifest.jsonl"
    ] == before["manifest.jsonl"]
    assert not [path for path in out.iterdir() if path.suffix == ".part"]
    assert prepare([folder], out, align=False, progress=False).clips == 4


# lhotse


@pytest.fixture
def cuts(tmp_path):
    lhotse = pytest.importorskip("lhotse")
    path = write(TONE, tmp_path / "long.wav")
    recording = lhotse.Recording.from_file(path)
    said = lhotse.SupervisionSegment("s", recording.id, 0.25, 0.5, text="hello there", speaker="ann")
    whole = lhotse.MonoCut("whole", 0.0, 1.0, 0, supervisions=[said], recording=recording)
    part = whole.truncate(offset=0.2, duration=0.6, preserve_id=False)
    part.id = "part"
    part.custom = {"split": "dev", "licence": "CC0 1.0"}
    faster = whole.perturb_speed(1.1)
    faster.id = "faster"
    mixed = whole.pad(2.0)
    mixed.id = "mixed"
    return lhotse.CutSet.from_cuts([whole, part, faster, mixed])


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_lhotse_cuts(cuts, tmp_path, suffix):
    path = tmp_path / f"corpus.cuts{suffix}"
    cuts.to_file(path)
    clips, refused = read_source(path)
    whole, part = clips
    assert (whole.id, whole.seconds, whole.start, whole.stop) == ("whole", 1.0, 0.0, None)
    assert (whole.text, whole.speaker, whole.corpus) == ("hello there", "ann", "corpus")
    assert (part.start, part.stop, part.split, part.licence) == (0.2, pytest.approx(0.8), "dev", "CC0 1.0")
    assert part.wave().seconds == pytest.approx(0.6)
    assert [name for name, _ in refused] == ["faster", "mixed"]
    assert all("export it with lhotse" in why for _, why in refused)
    assert prepare([path], tmp_path / "out", align=False, progress=False).clips == 2


def test_cuts_that_are_none(tmp_path):
    pytest.importorskip("lhotse")
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"some": "thing"}) + "\n")
    with pytest.raises(BadInput, match="cannot read"):
        read_source(path)


def test_progress_is_for_people(folder, tmp_path, capfd):
    prepare([folder], tmp_path / "out", align=False)
    shown = capfd.readouterr()
    assert not shown.out
    prepare([folder], tmp_path / "out", align=False, progress=False)
    assert not capfd.readouterr().err


def test_a_folder_that_is_closed(open_folder, folder, without_privileges):
    for place in (folder.parent, folder, *folder.parent.parents):
        if place != Path("/") and os.stat(place).st_uid == os.geteuid() and place.is_relative_to("/tmp"):
            place.chmod(place.stat().st_mode | 0o055)
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    said = without_privileges(lambda: str(prepare([folder], closed / "out", align=False, progress=False)))
    assert "no permission" in said
