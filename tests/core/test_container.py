"""The file format .orat: any streams come back, any stretch is a slice, any damage is told and never read as sound."""

import io
import struct
import subprocess
import sys
import tempfile
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Spec, Stream
from oration.core.container import Reader, Span, Writer, rans, read
from oration.core.container import about as heads
from oration.core.container.search import scan

RATES = (Fraction(1, 3), 12.5, Fraction(375, 32), 50, 75, 100)


@st.composite
def streams(draw):
    """Specs and an example: regular, timed and timeless streams, symbols and vectors, of one recording or none."""
    specs, example = {}, {}
    seconds = draw(st.floats(0, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["rate", "rate", "onsets", "shared", "none"]))
        size = draw(st.sampled_from([1, 2, 3, 500, 1024, 9000, 1 << 20, 1 << 40]))
        dim = draw(st.sampled_from([0, 0, 0, 3]))
        spec = Spec(1 if dim else size, draw(st.sampled_from(RATES)) if kind == "rate" else None, dim)
        count = spec.length(seconds) + draw(st.integers(0, 2)) if kind == "rate" else draw(st.integers(0, 40))
        onsets = None
        if kind in ("onsets", "shared"):
            grid = draw(st.sampled_from([1, TICKS // 50, TICKS // 3]))
            onsets = np.sort(rng.integers(0, max(1, int(seconds * TICKS) // grid), count)) * grid
            earlier = [s.onsets for s in example.values() if s.onsets is not None]
            if kind == "shared" and earlier:
                onsets, count = earlier[0], len(earlier[0])
        skewed = rng.geometric(draw(st.sampled_from([0.9, 0.05])), count) - 1
        runs = np.repeat(rng.integers(0, spec.size, count), 3)[:count]
        ids = draw(st.sampled_from([np.minimum(skewed, spec.size - 1), runs]))
        values = rng.standard_normal((count, dim)).astype(np.float32) if dim else None
        name = f"stream {number}"
        specs[name], example[name] = spec, Stream(np.zeros(count, np.int64) if dim else ids, onsets, values)
    return specs, example


def stored(specs, example, *, cuts=(), folder=None, **more):
    """The bytes of a file with this example, pushed in pieces that end at these shares of every stream."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "a.orat"
        with Writer(path, specs, recipe="r", rate=16_000, **more) as out:
            for a, b in zip([0.0, *cuts], [*cuts, 1.0], strict=True):
                out.push({n: s.cut(round(a * len(s)), round(b * len(s))) for n, s in example.items()})
        return path.read_bytes()


def loaded(content, start=0.0, stop=None):
    return read(io.BytesIO(content), start=start, stop=stop)


def same(found: Stream, wanted: Stream) -> bool:
    return np.array_equal(found.ids, wanted.ids) and all(
        (a is None) == (b is None) and (a is None or np.array_equal(a, b))
        for a, b in ((found.onsets, wanted.onsets), (found.values, wanted.values))
    )


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.floats(0, 1), max_size=3), st.booleans(), st.sampled_from([1, Fraction(1, 4), 7]))
def test_any_streams_come_back_however_they_were_cut(given_, cuts, entropy, block):
    specs, example = given_
    content = stored(specs, example, cuts=sorted(cuts), entropy=entropy, block=block)
    assert content == stored(specs, example, entropy=entropy, block=block)
    found = loaded(content)
    assert found.damage == ()
    assert list(found.example) == list(example)
    for name, stream in example.items():
        assert same(found.example[name], stream), name
        assert found.held()[name] is found.example[name]


@settings(max_examples=60, deadline=None)
@given(streams(), st.floats(0, 9), st.floats(0.01, 9), st.sampled_from([1, Fraction(1, 4)]))
def test_a_stretch_is_a_slice(given_, start, length, block):
    specs, example = given_
    content = stored(specs, example, block=block)
    stop = start + length
    with Reader(io.BytesIO(content)) as file:
        if file.about.blocks * block <= Fraction(round(start * TICKS), TICKS):
            with pytest.raises(BadInput, match="has no part from"):
                file.read(start, stop)
            return
        found = file.read(start, stop)
    a, b = round(start * TICKS), round(stop * TICKS)
    for name, stream in example.items():
        spec = specs[name]
        if stream.onsets is not None:
            keep = (stream.onsets >= a) & (stream.onsets < b)
        elif spec.rate is None:
            keep = np.ones(len(stream), bool)
        else:
            times = [Fraction(n) / Fraction(spec.rate) * TICKS for n in range(len(stream))]
            keep = np.array([a <= t < b for t in times], bool)
            assert found.first[name] == min(len(stream), sum(t < a for t in times))
        wanted = Stream(stream.ids[keep], *(None if x is None else x[keep] for x in (stream.onsets, stream.values)))
        assert same(found.example[name], wanted), name


def small():
    """Four seconds of everything: two rates, runs with durations, text, a voice, vectors, something packed."""
    rng = np.random.default_rng(1)
    onsets = np.cumsum(rng.integers(1, 9, 60)) * (TICKS // 50)
    onsets = onsets[onsets < 4 * TICKS]
    runs = len(onsets)
    specs = {
        "a": Spec(9, 112.5), "b": Spec(1 << 20, Fraction(375, 32)), "runs": Spec(9), "durations": Spec(32),
        "voice": Spec(4), "text": Spec(300), "mel": Spec(1, 2, 2), "far": Spec(5),
    }  # fmt: skip
    example = {
        "a": Stream(np.minimum(rng.geometric(0.8, 450) - 1, 8)),
        "b": Stream(rng.integers(0, 1 << 20, 47)),
        "runs": Stream(rng.integers(0, 9, runs), onsets),
        "durations": Stream(np.minimum(np.diff(onsets, append=onsets[-1:]) // (TICKS // 50), 31), onsets),
        "voice": Stream(np.array([2])),
        "text": Stream(rng.integers(0, 300, 12)),
        "mel": Stream.dense(rng.standard_normal((8, 2))),
        "far": Stream(np.array([1, 4]), np.array([TICKS // 7, 3 * TICKS + 5])),
    }
    return specs, example


@pytest.fixture(scope="module")
def example():
    return small()[1]


@pytest.fixture(scope="module")
def content():
    specs, example = small()
    many = {name: (spec, example[name]) for name, spec in specs.items()}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.orat"
        with Writer(path, {n: s for n, (s, _) in many.items()}, recipe="small", version="v1", rate=16_000) as out:
            out.push(example, samples=4 * 16_000 - 100)
        return path.read_bytes()


def check_what_is_left(found, example, *, silent=False):
    """Nothing that is given differs from what was written; what is not given is among what is told as lost."""
    assert silent or found.damage
    specs = small()[0]
    for name, stream in found.example.items():
        whole = example[name]
        known = stream.ids >= 0
        if whole.onsets is None:
            assert len(stream) == len(whole)
            assert np.array_equal(stream.ids[known], whole.ids[known]), name
            if whole.values is not None:
                assert np.array_equal(stream.values[known], whole.values[known])
                assert np.isnan(stream.values[~known]).all()
            if specs[name].rate is None:
                assert known.all() or any(name in clause for clause in found.damage)
                continue
            for item in np.flatnonzero(~known):
                time = Fraction(int(item)) / Fraction(specs[name].rate)
                assert any(span.start <= time < span.stop for span in found.lost), (name, item)
            continue
        pairs = set(zip(whole.onsets.tolist(), whole.ids.tolist(), strict=True))
        left = set(zip(stream.onsets.tolist(), stream.ids.tolist(), strict=True))
        assert left <= pairs
        for onset, _ in pairs - left:
            assert any(span.start <= Fraction(onset, TICKS) < span.stop for span in found.lost), (name, onset)


def test_the_small_file_is_coded_in_every_way_and_whole(content, example, tmp_path):
    found = loaded(content)
    check_what_is_left(found, example, silent=True)
    assert found.damage == found.lost == ()
    path = tmp_path / "a.orat"
    path.write_bytes(content)
    with Reader(path) as file:
        assert {0} < {model.way for model in file.coder.models}
        assert [track.time for track in file.about.tracks if track.name == "durations"] == ["runs"]
        assert (file.about.recipe, file.about.version) == ("small", "v1")
        assert file.about.end == Fraction(4 * 16_000 - 100, 16_000)
    kinds = [record.kind for record, _ in scan(io.BytesIO(content), 0, 1 << 20)]
    assert kinds == [heads.TABLES, *[heads.BLOCK] * 4, heads.LOOSE, heads.LOOSE, heads.TAIL]


def test_every_flipped_byte_is_found_and_nothing_wrong_is_given(content, example):
    lost = 0
    for place in range(len(content)):
        wrong = bytearray(content)
        wrong[place] ^= 1 << (place % 8)
        found = loaded(bytes(wrong))
        check_what_is_left(found, example)
        lost += bool(found.lost)
        assert len(found.blocks) <= 1  # one byte never costs more than its block
    assert 0 < lost < len(content)


def test_truncated_at_every_byte(content, example):
    refused, told = 0, set()
    for length in range(len(content)):
        try:
            found = loaded(content[:length])
        except BadInput as why:
            told.add(str(why))
            refused += 1
            continue
        check_what_is_left(found, example)
    assert len(told) == 3
    assert all("\n" not in why and any(word in why for word in ("empty", "header", "tables")) for why in told)
    head = heads.head_of(content)
    assert refused < head[1] + head[0].tables + 40


def test_what_is_lost_is_told_in_seconds(content, example):
    places = [(r, at) for r, at in scan(io.BytesIO(content), 0, 1 << 20) if r.kind == heads.BLOCK]
    wrong = bytearray(content)
    for number in (0, 2):
        record, at = places[number]
        wrong[at + record.start] ^= 255
    found = loaded(bytes(wrong))
    # The last item of a stream at 375 / 32 a second that begins before 1 s ends at 12 * 32 / 375 = 1.024 s.
    assert found.lost == (Span(Fraction(0), Fraction(128, 125)), Span(Fraction(2), Fraction(384, 125)))
    assert found.damage == ("2 blocks of it cannot be read (lost: 0.000 to 1.024 s, 2.000 to 3.072 s)",)
    assert not (found.held()["a"].ids < 0).any()
    assert np.array_equal(loaded(bytes(wrong), 3.1, 4).example["a"].ids, example["a"].ids[349:])
    assert loaded(bytes(wrong), 3.1, 4).damage == ()


def test_a_stretch_reads_no_other_blocks(tmp_path, monkeypatch):
    specs, path = {"a": Spec(1024, 75)}, tmp_path / "a.orat"
    ids = np.random.default_rng(0).integers(0, 1024, 75 * 600)
    with Writer(path, specs, recipe="r", rate=24_000) as out:
        out.push({"a": Stream(ids)})
    with Reader(path) as file:
        before, blocks = file._file.tell(), []
        monkeypatch.setattr(
            file, "_record", lambda place, kind, n: blocks.append(n) or Reader._record(file, place, kind, n)
        )
        assert np.array_equal(file.read(300.5, 301.5).example["a"].ids, ids[22538:22613])
    assert blocks == [300, 301]
    assert before > 0


def test_blocks_are_found_without_header_and_trailer(content, example):
    wrong = bytearray(content)
    wrong[3] ^= 1
    wrong[-1] ^= 1
    found = loaded(bytes(wrong))
    check_what_is_left(found, example)
    assert found.lost == ()
    wrong[30] ^= 1
    assert loaded(bytes(wrong)).lost == ()
    assert loaded(content + b"more").lost == ()
    assert loaded(content + content).lost == ()


def test_other_files_are_refused_in_one_sentence(content, tmp_path):
    for wrong, said in (
        (b"", "empty"), (b"RIFF" * 100, "no file of streams"), (content[:5], "header"), (content[:50], "header"),
        (content[1:60], "no file of streams"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            loaded(wrong)
    with pytest.raises(BadInput, match="does not exist"):
        read(tmp_path / "no.orat")
    with pytest.raises(BadInput, match="folder"):
        read(tmp_path)


def test_another_version_is_told(content):
    newer = bytearray(content)
    length = struct.unpack_from("<I", newer, 10)[0]
    struct.pack_into("<H", newer, 8, 3)
    struct.pack_into("<I", newer, 14 + length, zlib.crc32(newer[: 14 + length]))
    with pytest.raises(BadInput, match="version 3 of the format, expected 1 or 2"):
        loaded(bytes(newer))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 0}, "range"), ({"blocks": -1}, "range"), ({"blocks": 1 << 30}, "range"), ({"block": "0"}, "lasts"),
        ({"block": "1/0"}, "Zero"), ({"streams": [{}]}, "KeyError"), ({"streams": 3}, "Type"), ({"extra": 3}, "Type"),
        ({"stream": {"size": 0}}, "size"), ({"stream": {"items": 10**6}}, "described wrongly"),
        ({"stream": {"time": "b"}}, "has none"), ({"stream": {"rate": "1e9"}}, "described wrongly"),
        ({"stream": {"step": 0}}, "range"), ({"stream": {"items": -1}}, "range"),
        ({"stream": {"rate": None}}, "wrongly"),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_is_refused(change, said):
    import json

    content = stored({"a": Spec(4, 10)}, {"a": Stream(np.zeros(30, np.int64))})
    length = struct.unpack_from("<I", content, 10)[0]
    head = json.loads(zlib.decompressobj(zdict=heads.USUAL).decompress(content[14 : 14 + length]))
    stream = change.pop("stream", {})
    head |= change
    if stream:
        head["streams"][0] |= stream
    made = zlib.compress(json.dumps(head).encode())
    wrong = content[:10] + struct.pack("<I", len(made)) + made
    with pytest.raises(BadInput, match=said) as told:
        loaded(wrong + struct.pack("<I", zlib.crc32(wrong)) + content[18 + length :])
    assert "\n" not in str(told.value)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 3), st.booleans())
def test_content_that_no_writer_made_is_lost_though_its_checksum_fits(content_seed, block, longer):
    specs, example = small()
    content = stored(specs, example)
    rng = np.random.default_rng(content_seed)
    record, at = [(r, a) for r, a in scan(io.BytesIO(content), 0, 1 << 20) if r.kind == heads.BLOCK][block]
    body = bytearray(content[at + record.start : at + record.start + record.length])
    for place in rng.integers(0, len(body), 3):
        body[place] = rng.integers(0, 256)
    made = heads.record(heads.BLOCK, block, bytes(body) + bytes(2 * longer))
    found = loaded(content[:at] + made + content[at + record.size :])
    for name, stream in found.example.items():
        assert ((stream.ids >= -1) & (stream.ids < specs[name].size)).all()
        if stream.onsets is not None:
            assert (np.diff(stream.onsets) >= 0).all()


@pytest.mark.parametrize(
    ("name", "stream", "said"),
    [
        ("a", Stream(np.array([4])), "expected 0 to 3"),
        ("a", Stream(np.array([-1])), "expected 0 to 3"),
        ("b", Stream(np.array([0])), "has no spec"),
        ("t", Stream(np.array([0]), np.array([-5])), "way back"),
        ("t", Stream(np.array([0]), np.array([1 << 62])), "at most"),
        ("m", Stream(np.array([0])), "width 0, expected 2"),
    ],
)
def test_what_cannot_be_written_is_refused(name, stream, said, tmp_path):
    specs = {"a": Spec(4, 10), "t": Spec(4), "m": Spec(1, 10, 2)}
    with pytest.raises(BadInput, match=said), Writer(tmp_path / "a.orat", specs, recipe="r", rate=1) as out:
        out.push({name: stream})
    assert list(tmp_path.iterdir()) == []


def test_pieces_must_agree(tmp_path):
    out = Writer(tmp_path / "a.orat", {"t": Spec(4), "a": Spec(4, 300_000)}, recipe="r", rate=1)
    out.push({"t": Stream(np.zeros(0, np.int64))})
    out.push({"t": Stream(np.array([1]), np.array([9]))})
    with pytest.raises(BadInput, match="in one piece and none in another"):
        out.push({"t": Stream(np.array([1]))})
    with pytest.raises(BadInput, match="way back"):
        out.push({"t": Stream(np.array([1]), np.array([8]))})
    with pytest.raises(BadInput, match="make blocks shorter"):
        out.push({"a": Stream(np.array([1]))})
    with pytest.raises(BadInput, match="make blocks shorter"):
        out.push({"t": Stream(np.zeros(300_000, np.int64), np.full(300_000, 9))})
    for wrong in (
        {"block": Fraction(1, TICKS * 2)},
        {"block": 0},
        {"block": 61},
        {"extra": {"a": object()}},
        {"rate": 0},
    ):
        with pytest.raises(BadInput):
            Writer(tmp_path / "b.orat", {}, **({"recipe": "r", "rate": 1} | wrong))


def test_nothing_is_overwritten_or_left_behind(tmp_path):
    path = tmp_path / "a.orat"
    path.write_bytes(b"mine")
    with pytest.raises(BadInput, match="would be lost"):
        Writer(path, {}, recipe="r", rate=1)
    with pytest.raises(RuntimeError), Writer(path, {}, recipe="r", rate=1, overwrite=True):
        raise RuntimeError
    assert path.read_bytes() == b"mine"
    with pytest.raises(BadInput, match="does not exist"), Writer(tmp_path / "no" / "a.orat", {}, recipe="r", rate=1):
        pass
    with Writer(path, {}, recipe="r", rate=1, overwrite=True):
        pass
    assert read(path).example == {}
    assert [p.name for p in tmp_path.iterdir()] == ["a.orat"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 16), st.integers(9, 20), st.booleans())
def test_lanes_are_decoded_together_as_one_by_one(seed, lanes, broken):
    rng = np.random.default_rng(seed)
    frequencies = [rans.frequencies(np.maximum(0, rng.integers(-3, 9, size))) for size in (2, 40, 8193)]
    frequencies = [f if f.any() else rans.frequencies(np.ones(len(f), np.int64)) for f in frequencies]
    tables, of = rans.Tables(frequencies), rng.integers(0, 3, (50, lanes))
    lengths = rng.integers(0, 51, lanes)
    draw = [rng.choice(len(f), of.shape, p=f / rans.TOTAL) for f in frequencies]
    symbols = np.where(np.arange(50)[:, None] < lengths, np.choose(of, draw), 0)
    contents = rans.encode(symbols, of, lengths, tables)
    if broken:
        contents = [rng.bytes(len(content) + int(rng.integers(-4, 3))) for content in contents]
    together, even = rans.decode(contents, of, lengths, tables)
    for lane in range(lanes):
        alone, fine = rans.decode(contents[lane : lane + 1], of[:, [lane]], lengths[[lane]], tables)
        assert fine[0] == even[lane]
        if fine[0]:
            np.testing.assert_array_equal(alone[:, 0], together[:, lane])
    if not broken:
        assert even.all()
        np.testing.assert_array_equal(together, symbols)


def test_skewed_streams_take_less_room_and_uniform_ones_no_more():
    rng = np.random.default_rng(0)
    specs = {"units": Spec(512, 50)}
    runs = Stream(np.repeat(rng.integers(0, 40, 1000), 6))
    assert len(stored(specs, {"units": runs})) < 0.55 * len(stored(specs, {"units": runs}, entropy=False))
    even = Stream(rng.integers(0, 512, 6000))
    assert len(stored(specs, {"units": even})) == len(stored(specs, {"units": even}, entropy=False))
    assert len(stored(specs, {"units": even})) < 6000 * 9 / 8 * 1.2 + 600


def test_reading_takes_numpy_alone(content, tmp_path):
    path = tmp_path / "a.orat"
    path.write_bytes(content)
    program = (
        "import sys\nfrom oration.core.container import read\n"
        f"assert len(read({str(path)!r}, start=1.0, stop=2.0).example['a']) in (112, 113)\n"
        "heavy = {'torch', 'scipy', 'soundfile', 'transformers', 'tyro'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_hour_is_written_and_read_in_little_memory(tmp_path):
    program = f"""
import resource
import numpy as np
from oration.core import Spec, Stream
from oration.core.container import Reader, Writer
specs = {{f"codec.{{level}}": Spec(1024, 75) for level in range(8)}}
rng = np.random.default_rng(0)
piece = {{name: Stream(np.minimum(rng.geometric(0.01, 750), 1023)) for name in specs}}
def push(path, times):
    with Writer(path, specs, recipe="r", rate=24000) as out:
        for _ in range(times):
            out.push(piece, samples=240_000)
    with Reader(path) as file:
        assert sum(len(found.example["codec.7"]) for found in file.pieces()) == 750 * times
push({str(tmp_path / "a.orat")!r}, 30)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
push({str(tmp_path / "b.orat")!r}, 360)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 40_000  # KB
