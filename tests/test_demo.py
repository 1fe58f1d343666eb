"""`oration demo`: one page with everything, for the bundled recordings and for the user's."""

import json
import re

import pytest

from oration import cli
from oration.audio.io import write
from oration.core import Waveform
from oration.demo import CODED, LEVELS, SAMPLES


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)


def demo(*arguments):
    try:
        cli.main(["demo", *map(str, arguments)])
    except SystemExit as left:
        return left.code
    return 0


def test_the_bundled_recordings_make_one_page(tiny_model, tmp_path, capsys):
    assert demo("--model", tiny_model) == 0
    said = capsys.readouterr().out
    page = tmp_path / "out" / "demo" / "index.html"
    assert str(page) in said
    assert said.count(" s\n") >= 6, "each stage says how long it took"
    html = page.read_text(encoding="utf-8")
    clips = len(list(SAMPLES.glob("*.flac")))
    assert html.count("<audio") == 2 * clips + CODED * (1 + len(LEVELS)) + 1 + 3
    assert html.count('class="spectrogram"') == html.count("<audio")
    assert html.count('class="lane"') >= 2 * clips
    assert "main |" in html, "the layout's picture"
    assert not re.search(r'(src|href)="(?!data:|#)', html), "it opens from disk and asks nothing of the net"
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["results"]
    assert len(figures["recordings"]) == clips
    assert [one["temperature"] for one in figures["continuations"]] == sorted(
        {one["temperature"] for one in figures["continuations"]}
    )
    assert len(figures["continuations"]) == 3


def test_the_users_recordings_are_taken_and_their_files_left_alone(tiny_model, hum, tmp_path, capsys):
    mine = write(hum, tmp_path / "my <own>.wav")
    out = tmp_path / "page"
    out.mkdir()
    (out / "index.html").write_text("mine", encoding="utf-8")
    assert demo(mine, "--model", tiny_model, "--out", out) == 0
    assert (out / "index.html").read_text(encoding="utf-8") == "mine"
    html = (tmp_path / "page-2" / "index.html").read_text(encoding="utf-8")
    assert "my &lt;own&gt;.wav" in html
    assert "my <own>" not in html


def test_what_cannot_be_used_is_refused_before_any_work(tiny_model, hum, tmp_path, capsys):
    short = write(Waveform(hum.samples[:1000], hum.rate), tmp_path / "short.wav")
    for recording in (short, tmp_path / "missing.wav"):
        assert demo(recording, "--model", tiny_model) == 2
        assert recording.name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
