"""Who is let in and how fast; sound at other rates and in other formats, with exact positions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.audio.resample import resample
from oration.core import BadInput, Waveform
from oration.serve.metrics import EDGES, Metrics, Stage
from oration.serve.security import INSECURE, Gate, Pace, Refused, bearer, read_tokens, safe_name
from oration.serve.settings import Limits, Settings
from oration.serve.sound import Companded, Opus, Pcm16, Track, format_of

CUTS = st.lists(st.integers(0, 3000), max_size=8)


def test_only_this_machine_unless_told():
    with pytest.raises(BadInput, match="--token-file"):
        Settings(host="0.0.0.0")
    assert not Settings(host="0.0.0.0", exposed=True).loopback
    assert Settings(host="127.0.0.7").loopback
    for wrong in ({"port": 70_000}, {"origins": ("example.org",)}, {"origins": ("http://a/b",)}):
        with pytest.raises(BadInput):
            Settings(**wrong)
    with pytest.raises(BadInput):
        Limits(sessions=0)


def test_a_rebound_name_is_refused():
    gate = Gate(Settings())
    gate.origin({"host": "localhost:1234"})
    gate.origin({"host": "[::1]:80", "origin": "http://[::1]:80"})
    for headers in ({"host": "evil.example"}, {}, {"host": "localhost", "origin": "http://localhost:5"}):
        with pytest.raises(Refused) as refused:
            gate.origin(headers)
        assert refused.value.status == 403


def test_one_time_tokens_are_spent_and_grow_old():
    now = [0.0]
    gate = Gate(Settings(), clock=lambda: now[0])
    gate.tokens = {"me": b"x" * 32}
    token, seconds = gate.once("me")
    assert gate.name(token) == "me"
    with pytest.raises(Refused):
        gate.name(token)
    token, seconds = gate.once("me")
    now[0] += seconds + 1
    with pytest.raises(Refused):
        gate.name(token)


@pytest.mark.parametrize("text", ["", "name\n", "name short\n", "a b c\n"])
def test_broken_token_files_are_told(tmp_path, text):
    (tmp_path / "t").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="--token-file"):
        read_tokens(tmp_path / "t")
    with pytest.raises(BadInput):
        read_tokens(tmp_path / "missing")


def test_sessions_are_counted_by_address_and_token():
    gate = Gate(Settings(limits=Limits(sessions=3, per_address=2, per_token=2)))
    gate.enter("a", "t")
    gate.enter("a", "u")
    for address, name, status in (("a", "", 429), ("b", "t", None), ("c", "", 503)):
        if status is None:
            gate.enter(address, name)
            continue
        with pytest.raises(Refused) as refused:
            gate.enter(address, name)
        assert refused.value.status == status
    gate.leave("a", "t")
    gate.enter("a", "t")


def test_tokens_come_in_headers_or_as_a_subprotocol():
    assert bearer({"authorization": "Bearer abc"}, []) == "abc"
    assert bearer({"authorization": "Basic abc"}, ["realtime", INSECURE + "xyz"]) == "xyz"
    assert bearer({}, []) is None


@given(st.text(max_size=70))
def test_names_are_no_paths(name):
    try:
        kept = safe_name(name, "voice")
    except BadInput:
        return
    assert kept == name
    assert not set("/\\\0\n") & set(kept)
    assert ".." not in kept


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(-5, 5)), max_size=60))
def test_the_pace_holds_whatever_the_clock_does(messages):
    pace, now, most = Pace(1000, 50, 2.0, 0.0), 0.0, 0.0
    for size, passed in messages:
        now += passed
        wait = pace.take(size, now)
        assert 0 <= wait <= 2.0
        most = max(most, now)


def test_a_fast_sender_waits_as_long_as_it_is_ahead():
    pace = Pace(1000, 1e9, 1.0, 0.0)
    assert pace.take(1000, 0.0) == 0
    assert pace.take(500, 0.0) == pytest.approx(0.5)
    assert pace.take(500, 1.0) == 0


@given(st.binary(max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_pcm16_is_exact(data):
    assert Pcm16().encode(Pcm16().decode(data)) == data


def test_louder_than_full_scale_is_clipped():
    assert np.frombuffer(Pcm16().encode(np.array([2.0, -2.0], np.float32)), "<i2").tolist() == [32767, -32768]


@pytest.mark.parametrize("a_law", [False, True])
def test_g711(a_law):
    law = Companded(a_law)
    assert law.values.max() == pytest.approx((32256 if a_law else 32124) / 32768)
    assert len(set(law.values.tolist())) == (256 if a_law else 255)
    codes = np.arange(256, dtype=np.uint8)
    again = law.decode(law.encode(law.decode(codes.tobytes())))
    assert np.array_equal(again, law.values)
    silence = law.encode(np.zeros(1, np.float32))[0]
    assert silence in ((0x55, 0xD5) if a_law else (0x7F, 0xFF))


def test_formats():
    for name, rate in (("mp3", 24_000), ("opus", 44_100)):
        with pytest.raises(BadInput):
            format_of(name, rate)
    with pytest.raises(BadInput):
        Opus(24_000).decode(b"garbage" * 20)


@given(st.sampled_from([(24_000, 16_000), (16_000, 24_000), (24_000, 48_000), (24_000, 24_000)]), CUTS)
def test_other_rates_keep_every_position(rates, cuts):
    """However the sound is cut, and with a hole in the middle, what comes is the resampled sound, at its place."""
    a, b = rates
    wave = np.random.default_rng(1).normal(0, 0.1, 6000).astype(np.float32)
    track, got = Track(a, b), []
    for part, offset in ((wave[:3000], 0), (wave[3000:], 3000 + 777)):
        edges = [0, *sorted(cuts), len(part)]
        for at, stop in itertools.pairwise(edges):
            got += track.push(offset + at, part[at:stop]) if stop > at else []
    got += track.flush()
    for start, stop, source in ((0, track.wire(3000), wave[:3000]), (track.wire(3777), track.wire(6777), wave[3000:])):
        mine = [(s, x) for s, x in got if start <= s < stop]
        assert mine[0][0] == start
        whole = np.concatenate([x for _, x in mine])
        assert [s for s, _ in mine] == [start, *(start + np.cumsum([len(x) for _, x in mine])[:-1]).tolist()]
        wanted = resample(Waveform(source, a), b).samples
        assert np.allclose(whole, wanted, atol=1e-5)


def test_stages_and_metrics():
    stage = Stage()
    for seconds in (0.0001, 0.003, 0.003, 100.0):
        stage.add(seconds)
    assert sum(stage.buckets) == stage.count == 4
    assert stage.quantile(0.5) == 0.005
    assert stage.quantile(1.0) == 100.0
    assert tuple(sorted(EDGES)) == EDGES
    one, other = Metrics(), Metrics()
    one.errors["x"] += 1
    assert b'oration_errors_total{code="x"} 1.0' in one.text()
    assert b"code" not in b"".join(line for line in other.text().splitlines() if b"errors" in line)
