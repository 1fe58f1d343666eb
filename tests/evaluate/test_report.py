"""The page: complete in itself, well-formed, accessible, and true to what was put in."""

import base64
import io
import json
import math
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from oration.core import BadInput, Spec, Stream, Waveform
from oration.evaluate.draw import Lane, Level, Line, octaves_of, plot_svg, runs, spectrogram_png, ticks_of
from oration.evaluate.interval import Estimate
from oration.evaluate.report import (
    Column,
    Picture,
    Player,
    Players,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    Timings,
    page,
    sound,
    write_page,
)

RATE = 16_000
VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "line", "circle", "polyline", "polygon"}


def chirp(seconds=1.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return Waveform(0.5 * np.sin(2 * np.pi * (300 * t + 900 * t**2)), rate)


def units(n=50):
    return Lane("units", Stream(np.arange(n) // 5 % 7), Spec(7, 50))


def sections():
    table = Table(
        "Errors <by> system",
        (Column("system"), Column("WER", better="lower", percent=True), Column("n")),
        (("original", Estimate(0.25, 0.2, 0.3, 9), 1200), ("ours", Estimate(0.5, 0.4, 0.62, 9), None)),
        note="a & b",
    )
    pair = Players((Player("One", chirp(), "said <so>", (units(),), mark=0.5), Player("Two", chirp(0.3))))
    plot = Plot("Loss", (Line("dev", [0, 1, 2], [3, 2, 1]),), "steps", "nats", (Level("bigram", 2.5),))
    rest = Text("One & all."), Picture("Grid", "a <b>\n| c"), Timings("Stages", {"encode": 1.5}, {"encode": 3.0})
    return [Section("Listen", (pair,)), Section("Numbers", (table, plot)), Section("Rest", rest)]


class Reader(HTMLParser):
    """Checks nesting and collects tags, addresses and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html():
    return page(sections(), title="A page <1>", lead="Lead.", facts={"model": "gslm"})


@pytest.fixture(scope="module")
def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_nothing_is_asked_of_any_server(html, read):
    assert "http:" not in html
    assert "https:" not in html
    for tag, attributes in read.tags:
        for name in ("src", "href", "poster", "data", "srcset"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), (tag, address)
    assert "@import" not in html
    assert "url(" not in html
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_links_lead_somewhere(read):
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in read.tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_what_is_not_text_has_a_name(read):
    for tag, attributes in read.tags:
        if tag == "img":
            assert "Spectrogram of" in attributes["alt"]
        if tag == "audio":
            assert attributes["aria-label"] in ("One", "Two")
            assert "controls" in attributes
        if tag == "svg":
            assert "aria-label" in attributes or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    assert read.tags[0][0] == "html"
    assert read.tags[0][1]["lang"] == "en"
    assert sum(tag == "h1" for tag, _ in read.tags) == 1
    assert any(a.get("name") == "viewport" for _, a in read.tags)


def test_text_is_escaped(html, read):
    said = "".join(read.text)
    for text in ("A page <1>", "said <so>", "Errors <by> system", "a <b>\n| c", "One & all.", "a & b"):
        assert text in said
    assert "<so>" not in html


def test_tables_show_intervals_and_say_what_was_not_computed(read):
    said = "".join(read.text)
    assert "25.0\u202f%20.0\u202f% to 30.0\u202f%" in said
    assert "1,200" in said
    assert "not computed" in said
    assert "0.500 × real time" in said


def test_the_sound_inside_is_the_sound_given(read):
    sources = [a["src"] for t, a in read.tags if t == "audio"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sources[0].partition(",")[2])))
    assert rate == RATE
    assert np.abs(samples - chirp().samples).max() < 1e-4
    loud = Waveform(np.array([2.0, -2.0, 0.5]), 22_050)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound(loud).partition(",")[2])))
    assert rate == 22_050
    assert samples == pytest.approx([1, -1, 0.5], abs=1e-4)


def test_opus_is_smaller(html):
    small = page(sections(), encoding="opus")
    assert "data:audio/ogg" in small
    assert len(sound(chirp(3.0), "opus")) < 0.5 * len(sound(chirp(3.0)))
    assert sound(chirp(0.2, 22_050), "opus").startswith("data:audio/ogg")


def pixels(file):
    """Decode a PNG of one byte a pixel."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, size = 8, b"", (0, 0)
    while at < len(file):
        (length,) = struct.unpack(">I", file[at : at + 4])
        kind, content = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack(">I", file[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        size = struct.unpack(">II", content[:8]) if kind == b"IHDR" else size
        body += content if kind == b"IDAT" else b""
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(size[1], size[0] + 1)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:]


def test_a_spectrogram_shows_where_the_energy_is():
    t = np.arange(RATE) / RATE
    low_then_high = np.where(t < 0.5, np.sin(2 * np.pi * 250 * t), np.sin(2 * np.pi * 6000 * t))
    image = pixels(spectrogram_png(Waveform(low_then_high, RATE)))
    width = image.shape[1]
    first, second = image[:, : width // 2 - 8].mean(1), image[:, width // 2 + 8 :].mean(1)
    assert first.argmax() > 0.8 * len(first), "low sound is at the bottom"
    assert second.argmax() < 0.25 * len(second), "high sound is at the top"
    assert image.max() == 255
    assert pixels(spectrogram_png(Waveform(np.zeros(400), RATE))).max() == 0
    assert pixels(spectrogram_png(Waveform(np.zeros(1), 8000))).size
    assert pixels(spectrogram_png(chirp(60.0))).shape[1] <= 901


def test_lanes_merge_repeats_and_keep_time():
    lane = Lane("u", Stream(np.array([3, 3, 1, 1, 1])), Spec(4, 50))
    assert runs(lane, 0.09) == [(0.0, 0.04, 3), (0.04, 0.09, 1)]
    timed = Lane("p", Stream(np.array([0, 0, 1]), onsets=np.array([0, 70_560_000, 141_120_000])), Spec(2))
    assert runs(timed, 0.5) == [(0.0, 0.1, 0), (0.1, 0.2, 0), (0.2, 0.5, 1)]
    assert runs(timed, 0.15) == [(0.0, 0.1, 0), (0.1, 0.15, 0)]
    assert runs(Lane("e", Stream(np.zeros(0, int)), Spec(2, 50)), 1.0) == []


def test_named_lanes_write_their_names_and_leave_blanks_out():
    lane = Lane("phones", Stream(np.array([0, 1, 0])), Spec(2, 10), names=("SIL", "AE"), blank=0)
    html = page([Section("s", (Player("p", chirp(0.3), lanes=(lane,)),))])
    assert html.count(">AE</span>") == 1
    assert "SIL" not in html


def test_a_turned_table_holds_the_same_cells():
    table = Table("t", (Column("name"), Column("x", 1), Column("y", 1)), (("a", 1.5, 2.5), ("b", 3.5, 4.5)))
    turned = Table("t", table.columns, table.rows, turned=True)
    for one, order in ((table, "a1.52.5b3.54.5"), (turned, "x1.53.5y2.54.5")):
        reader = Reader()
        reader.feed(page([Section("s", (one,))]))
        assert order in "".join(reader.text).replace("\n", "")


def test_round_ticks():
    assert ticks_of(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks_of(0, 3.1) == [0, 1, 2, 3]
    assert ticks_of(2, 2) == [2]


def test_plots_refuse_nothing_and_survive_holes():
    svg = plot_svg([Line("a", [0, 1, 2], [1, math.nan, 2], dots=True)], [], "x", "y", label="l")
    assert "nan" not in svg
    assert svg.count("<circle") == 2
    assert "nan" not in plot_svg([Line("flat", [1], [1])], [Level("l", 1.0)], "x", "y", label="l")
    with pytest.raises(BadInput, match="nothing finite"):
        plot_svg([Line("a", [0], [math.nan])], [], "x", "y", label="l")
    with pytest.raises(BadInput, match="one y for every x"):
        plot_svg([Line("a", [0], [1, 2])], [], "x", "y", label="l")


def test_bad_input():
    with pytest.raises(BadInput, match="needs samples"):
        page([Section("s", (Player("p", Waveform(np.zeros(0), RATE)),))])
    with pytest.raises(BadInput, match="do not fit"):
        page([Section("s", (Table("t", (Column("a"),), (("x", 1),)),))])


def test_the_numbers_lie_beside_the_page(tmp_path):
    path = write_page(tmp_path / "report.html", sections(), results={"wer": Estimate(0.5, math.nan, 0.6, 3)}, title="T")
    assert path.read_text("utf-8").startswith("<!doctype html>")
    data = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert data["results"]["wer"] == {"value": 0.5, "low": None, "high": 0.6, "n": 3}
    with pytest.raises(BadInput, match="does not exist"):
        write_page(tmp_path / "no" / "report.html", sections())


def test_points_over_a_logarithmic_axis_keep_their_own_intervals():
    line = Line("ours", [1, 2, 4], [1, 2, 3], [0, math.nan, 2], [2, math.nan, 4], True, True, ["one", "<two>", "four"])
    svg = plot_svg([line], [], "kbit/s", "y", label="l", logarithmic=True)
    assert svg.count('class="reach') == 2, "a point without an interval has no bar"
    assert "&lt;two&gt;" in svg
    at = [float(part.split('"')[0]) for part in svg.split('cx="')[1:]]
    assert at[1] - at[0] == pytest.approx(at[2] - at[1], abs=0.2), "octaves are equally far apart"
    with pytest.raises(BadInput, match="begins above 0"):
        plot_svg([Line("a", [0, 1], [1, 2])], [], "x", "y", label="l", logarithmic=True)
    assert octaves_of(0.45, 24) == [0.5, 1, 2, 5, 10, 20]
    assert octaves_of(5.2, 6.1) == ticks_of(5.2, 6.1, 4)


def test_plots_stand_side_by_side_with_their_levels_named_below():
    plot = Plot(
        "PESQ", (Line("a", [1, 2], [1, 2], dots=True, said=["p", "q"]),), "kbit/s", "", (Level("original", 1.5),)
    )
    html = page([Section("All", (Plots((plot, replace(plot, logarithmic=True, keyed=True))),))])
    assert html.count('class="chart"') == 2
    assert html.count("original (1.5)") == 1
    assert html.count(">original</text>") == 1
