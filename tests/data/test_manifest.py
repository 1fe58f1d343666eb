"""A manifest says what it holds, again and again, and a bad one says where it is bad."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.audio.io import write_channels
from oration.core import BadInput, Waveform
from oration.data.manifest import Clip, Corpus, read_manifest, write_manifest

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
times = st.floats(0, 1000).map(lambda t: round(t, 6))
spans = st.lists(st.tuples(times, times, words), max_size=3).map(tuple)
clips = st.builds(
    Clip,
    id=words.filter(bool),
    path=st.sampled_from([Path("/somewhere/else.flac"), Path("inside.flac"), Path("deep/inside.flac")]),
    seconds=times,
    split=st.sampled_from(["train", "dev"]),
    speaker=st.none() | words,
    text=st.none() | words,
    phones=spans,
    words=spans,
    corpus=words.filter(bool),
    licence=words,
    start=times,
    stop=st.none() | times,
    agent=st.sampled_from([None, 0, 1]),
)


@given(st.lists(clips, max_size=4, unique_by=lambda clip: clip.id))
def test_what_is_written_is_read(tmp_path_factory, made):
    folder = tmp_path_factory.getbasetemp() / "manifest"
    folder.mkdir(exist_ok=True)
    made = [Clip(**{**vars(clip), "path": folder / clip.path}) for clip in made]
    path = write_manifest(made, folder / "manifest.jsonl")
    assert read_manifest(path) == read_manifest(folder) == made
    inside = [clip for clip in made if clip.path.is_relative_to(folder)]
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert sum(not row["path"].startswith("/") for row in rows) == len(inside)


def test_a_foreign_manifest(tmp_path):
    """The fields of a corpus as it comes: labels nobody asked for, no corpus, the licence beside it."""
    folder = tmp_path / "birds"
    folder.mkdir()
    (folder / "SOURCE.md").write_text("# birds\n\nLicence: CC0 1.0\n")
    rows = [
        {"id": "a", "path": "audio/a.flac", "duration_s": 1.5, "split": "dev", "emotion": "joy", "speaker": None},
        {
            "id": 2,
            "path": "../b.flac",
            "duration_s": 2,
            "speaker": 7,
            "phones": [[0, 0.5, "h#"]],
            "licence": "CC BY 4.0",
        },
    ]
    with gzip.open(folder / "m.jsonl.gz", "wt") as file:
        file.write("\n\n".join(map(json.dumps, rows)))
    a, b = read_manifest(folder / "m.jsonl.gz")
    assert (a.path, a.corpus, a.licence, a.split, a.speaker) == (
        folder / "audio/a.flac",
        "birds",
        "CC0 1.0",
        "dev",
        None,
    )
    assert (b.id, b.path, b.licence, b.split, b.speaker) == ("2", tmp_path / "b.flac", "CC BY 4.0", "train", "7")
    assert b.phones == ((0.0, 0.5, "h#"),)


def test_a_corpus_counts_itself():
    made = [
        Clip(id=str(n), path=Path("a"), seconds=900, split=split, speaker=speaker, corpus=corpus)
        for n, (split, speaker, corpus) in enumerate([("train", "x", "c"), ("dev", "x", "c"), ("train", "x", "d")])
    ]
    corpus = Corpus(tuple(made))
    assert len(corpus) == 3
    assert corpus.hours() == 0.75
    assert [clip.id for clip in corpus.split("train")] == ["0", "2"]
    assert corpus.speakers() == ["c/x", "d/x"]
    assert corpus.counts()["c"] == {"train": {"clips": 1, "hours": 0.25}, "dev": {"clips": 1, "hours": 0.25}}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("not json\n", "not JSON lines"),
        ("[1, 2]\n", "not JSON lines"),
        ('{"path": "a.wav", "duration_s": 1}\n', "line 1 .* is no clip .*'id'"),
        ('{"id": "a", "path": "a.wav", "duration_s": "long"}\n', "line 1 .* is no clip"),
        ('{"id": "a", "path": "a.wav", "duration_s": 1, "phones": [[0, 1]]}\n', "line 1 .* is no clip"),
        ('{"id": "a", "path": "a.wav", "duration_s": 1}\n' * 2, "ids twice, the first is 'a'"),
    ],
)
def test_bad_manifests(tmp_path, content, part):
    (tmp_path / "manifest.jsonl").write_text(content)
    with pytest.raises(BadInput, match=part):
        read_manifest(tmp_path)


def test_no_manifest(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_manifest(tmp_path)
    (tmp_path / "m.jsonl.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(BadInput):
        read_manifest(tmp_path / "m.jsonl.gz")


def test_a_part_of_a_recording_is_read(tmp_path):
    import numpy as np

    from oration.audio.io import write
    from oration.core import Waveform

    path = write(Waveform(np.linspace(-1, 1, 16000), 16000), tmp_path / "a.wav")
    clip = Clip(id="a", path=path, seconds=0.25, start=0.5, stop=0.75)
    assert clip.wave().samples[0] == pytest.approx(0, abs=1e-3)
    assert clip.wave(rate=8000).seconds == 0.25


def test_the_sides_of_a_dialogue(tmp_path):
    t = np.arange(8000) / 8000
    user, agent = (Waveform(0.3 * np.sin(2 * np.pi * hertz * t), 8000) for hertz in (200, 500))
    path = write_channels((user, agent), tmp_path / "call.flac")
    clip = Clip("call", path, 1.0, agent=1)
    for heard, said in zip(clip.call(), (agent, user), strict=True):
        np.testing.assert_allclose(heard.samples, said.samples, atol=1e-4)
    with pytest.raises(BadInput, match="names no agent's channel"):
        Clip("call", path, 1.0).call()
    with pytest.raises(BadInput, match="agent=2, expected 0 or 1"):
        Clip("call", path, 1.0, agent=2)
