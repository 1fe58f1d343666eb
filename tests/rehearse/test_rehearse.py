"""A scripted user against engines whose manners are known, and verdicts by hand."""

from importlib.resources import files

import numpy as np
import pytest

from oration.core import BadInput, Waveform
from oration.data.manifest import read_manifest
from oration.dialogue.events import Audio, Flush
from oration.dialogue.policy import Policy
from oration.live import Echo, Full
from oration.live.client import Loudspeaker
from oration.live.seat import Seat
from oration.rehearse.judge import judge, together
from oration.rehearse.rehearse import bursts, rehearse, voices_of
from oration.rehearse.script import SCRIPTS, Interrupt, Listen, Pause, Say, Script, Wait
from oration.rehearse.user import Did, User

RATE = 16_000


class Tone(Seat):
    """Answers with a tone of 2 s after `patience` s of quiet, and stops after `yields` s of sound."""

    def __init__(self, engine):
        super().__init__(RATE, engine.frame, Policy())
        self.engine, self.quiet, self.loud, self.asked, self.left = engine, 0, 0, False, 0

    def answer(self, now):
        frame = self.read(self.frame, now)
        if frame is None:
            return False
        sounds = float(np.mean(np.square(frame))) > 1e-5
        self.loud = self.loud + len(frame) if sounds else 0
        self.quiet = 0 if sounds else self.quiet + len(frame)
        self.asked = self.asked or (sounds and not self.replying)
        if self.replying and self.loud > self.engine.yields * RATE:
            self.end("cancelled", now)
            self.asked = True
        elif not self.replying and self.asked and self.quiet >= self.engine.patience * RATE:
            self.begin(now)
            self.asked, self.left = False, 2 * RATE
        if self.replying:
            size = min(self.frame, self.left)
            self.emit(np.full(size, 0.1, np.float32), now)
            self.left -= size
            if not self.left:
                self.end("done", now)
        return True


class Tones:
    rate, frame, slots, name, delay = RATE, 320, 1, "tones", 0.02

    def __init__(self, patience, yields):
        self.patience, self.yields, self.open_ = patience, yields, None

    def open(self, options, seed):
        if self.open_ is not None and not self.open_.closed:
            raise Full("the one slot is taken")
        self.open_ = Tone(self)
        return self.open_

    def step(self, now):
        return self.open_.answer(now)


@pytest.fixture(scope="module")
def voices():
    clips = read_manifest(files("oration").joinpath("samples"))
    speech = voices_of(clips[:3], RATE, spoken=True, longest=1.5)
    rng = np.random.default_rng(0)
    steady = [rng.standard_normal(RATE).astype(np.float32)]  # speech without pauses, so that an ear of energy hears it
    short = [steady[0][: RATE // 10]]
    return {"speech": steady, "real": speech, "feedback": short, "noise": short, "bystander": steady}


def test_a_polite_engine_is_seen_to_be_polite(voices):
    engine = Tones(patience=0.3, yields=0.15)
    got = rehearse(engine, SCRIPTS["turns"], voices, network=0.02)
    assert (got.verdict.turns, got.verdict.answered, got.verdict.early) == (6, 6, 0)
    assert got.verdict.waits == pytest.approx([0.34] * 6, abs=0.041), "patience, and the network both ways"
    assert got.verdict.false_starts == 0
    assert got.verdict.stale == 0
    stopped = rehearse(engine, SCRIPTS["interruptions"], voices).verdict
    assert (stopped.interruptions, stopped.yielded) == (5, 5)
    assert max(stopped.stops) < 0.3
    assert min(stopped.stops) > 0.15
    short = rehearse(engine, SCRIPTS["feedback"], voices).verdict
    assert (short.ignorable, short.false_stops) == (5, 0)
    assert rehearse(engine, SCRIPTS["silence"], voices).verdict.unasked == 1


def test_impatient_and_deaf_engines_are_caught(voices):
    hasty = rehearse(Tones(patience=0.1, yields=0.02), SCRIPTS["pauses"], voices).verdict
    assert hasty.taken == hasty.pauses == 5
    slow = rehearse(Tones(patience=0.6, yields=9.0), SCRIPTS["pauses"], voices).verdict
    assert 0 < slow.taken < slow.pauses, "0.3 s are borne, 1.5 s are not"
    deaf = rehearse(Tones(patience=0.3, yields=9.0), SCRIPTS["interruptions"], voices).verdict
    assert deaf.interruptions == 5
    assert deaf.yielded < 5
    jumpy = rehearse(Tones(patience=0.3, yields=0.04), SCRIPTS["feedback"], voices).verdict
    assert jumpy.false_stops == jumpy.ignorable == 5


def test_an_echo_speaks_too_early_and_hears_itself(voices):
    got = rehearse(Echo(rate=RATE, frame=320), SCRIPTS["turns"], {**voices, "speech": voices["real"]})
    assert got.verdict.early == got.verdict.turns
    assert got.counts.consumed >= got.counts.played > 0
    assert len(got.heard) == len(got.said)
    late = 2 * 320  # a frame, and the network one way, on a clock of whole frames
    assert np.array_equal(got.heard.samples[late:], got.said.samples[:-late])


def test_the_same_seed_says_the_same(voices):
    engine = Tones(patience=0.3, yields=0.15)
    mixed = {**voices, "speech": voices["real"]}
    first, again, other = (rehearse(engine, SCRIPTS["mixed"], mixed, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.said.samples, again.said.samples)
    assert first.did == again.did
    assert len(first.said) != len(other.said) or not np.array_equal(first.said.samples, other.said.samples)


def test_the_microphone_hears_the_loudspeaker():
    script = Script(name="x", about="", steps=(Wait(seconds=1.0),), echo=-6.0, later=0.05)
    user = User(script, {"speech": [np.ones(10, np.float32)]}, RATE, network=0.0)
    wave = np.sin(np.arange(RATE) / 20).astype(np.float32) * 0.5
    user.listen([Audio(heard=0, epoch=1, wave=wave, start=0)])
    said = np.concatenate([user.speak(n) for n in (160, 333, 2000, 5000)])
    late = round(0.05 * RATE)
    assert not said[:late].any()
    assert np.allclose(said[late + 1 :], wave[1 : len(said) - late] * 0.501, atol=0.02)


def test_what_is_flushed_is_not_played():
    speaker = Loudspeaker()
    first, second = np.full(100, 0.5, np.float32), np.full(50, 0.25, np.float32)
    speaker.add(Audio(heard=0, epoch=1, wave=first, start=0))
    assert speaker.play(40).tolist() == [0.5] * 40
    speaker.add(Flush(heard=0, epoch=1, start=40))
    speaker.add(Audio(heard=0, epoch=1, wave=first, start=100))
    speaker.add(Audio(heard=0, epoch=2, wave=second, start=200))
    assert speaker.play(60).tolist() == [0.25] * 50 + [0.0] * 10
    assert (speaker.position, speaker.stale) == (250, 100)


def test_verdicts_by_hand():
    heard = np.zeros(10 * RATE, np.float32)
    for start, stop in ((2.0, 3.5), (6.0, 7.0)):
        heard[round(start * RATE) : round(stop * RATE)] = 0.1

    def did(kind, start, stop, asks=False, note=""):
        return Did(kind, round(start * RATE), round(stop * RATE), asks, note)

    deeds = (
        did("turn", 0.5, 1.0), did("pause", 1.0, 1.4), did("turn", 1.4, 1.8, True),
        did("barge-in", 3.3, 4.5, True),
        did("turn", 5.0, 6.5, True),
        did("noise", 6.6, 6.7, note="over a reply"),
        did("noise", 8.0, 8.5),
    )  # fmt: skip
    got = judge(deeds, heard, RATE)
    assert (got.turns, got.answered, got.early) == (3, 1, 1)
    assert got.waits == pytest.approx([0.2], abs=0.01)
    assert (got.pauses, got.taken) == (1, 0)
    assert (got.interruptions, got.yielded) == (1, 1)
    assert got.stops == pytest.approx([0.2], abs=0.01)
    assert (got.ignorable, got.false_stops) == (1, 1), "the reply ends 0.4 s after the noise began"
    assert (got.unasked, got.false_starts) == (1, 0)
    assert got.statistics is not None
    both = together([got, got])
    assert (both.turns, both.waits) == (6, got.waits * 2)
    assert both.rates()["answered"] == pytest.approx(1 / 3)
    assert judge((), np.zeros(0, np.float32), RATE).rates()["early"] is None


def test_bad_input():
    with pytest.raises(BadInput, match="has no steps"):
        Script(name="x", about="", steps=())
    with pytest.raises(BadInput, match="Pause has seconds=-1"):
        Script(name="x", about="", steps=(Say(), Pause(seconds=-1), Listen(), Interrupt()))
    with pytest.raises(BadInput, match="there are none"):
        voices_of([], RATE, spoken=True, longest=1.0)
    assert all(np.isfinite(wave).all() for wave in bursts(RATE))
    assert isinstance(Waveform(bursts(RATE)[0], RATE), Waveform)
