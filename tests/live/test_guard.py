"""The model's own voice, back through a room, is not the user's; the user over it is."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from oration.audio.vad import RATE, Ear, SileroVad, listen
from oration.core import OrationError
from oration.data.manifest import read_manifest
from oration.dialogue.ledger import Ledger
from oration.dialogue.policy import Echo, Policy
from oration.dialogue.turns import Frame, TurnTaking
from oration.live.guard import Guard

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"
FRAME = 512


@cache
def clips():
    waves = [clip.wave(rate=RATE).samples for clip in read_manifest(SAMPLES)]
    return [0.06 * wave / np.sqrt(np.mean(wave**2)) for wave in waves]


@cache
def vad():
    try:
        return SileroVad()
    except OrationError:
        pytest.skip("silero-vad is not installed")


def room(seed, decibel, delay):
    """An impulse response: a direct sound, a tail of 20 ms, a filter such as a loudspeaker has."""
    chance, n = np.random.default_rng(seed), round(0.12 * RATE)
    tail = chance.standard_normal(n) * np.exp(-np.arange(n) / (0.02 * RATE))
    tail[0] += 3
    whole = np.convolve(tail, chance.standard_normal(9))
    whole *= 10 ** (decibel / 20) / np.sqrt(np.sum(whole**2))
    return np.concatenate([np.zeros(round(delay * RATE)), whole])


def interruptions(far, echo, user=None, at=0, guard=True):
    """While the model says `far` and its echo comes back, the user speaks from `at` on -> when it is interrupted, s."""
    n = len(far)
    heard = np.convolve(far, echo)[:n] + 1e-4 * np.random.default_rng(0).standard_normal(n)
    if user is not None:
        heard[at : at + len(user)] += user[: n - at]
    ledger, guarded, ear = Ledger(RATE, FRAME), Guard(RATE), Ear(vad(), RATE)
    policy = Policy(echo=Echo(guard=guard))
    turns, found = TurnTaking(RATE, policy), []
    ledger.emit(n, 1, 0.0, heard=0)
    ledger.send(n, 0.0)
    guarded.emitted(far.astype(np.float32), 0)
    for start in range(0, n - FRAME, FRAME):
        ledger.play((start + FRAME) // 1280 * 1280, 0.0)  # confirmations come every 80 ms
        clean = guarded.clean(heard[start : start + FRAME].astype(np.float32), ledger, policy.echo)
        assert len(clean) == FRAME
        assert np.isfinite(clean).all()
        ear.push(clean)
        level = float(10 * np.log10(np.mean(clean**2) + 1e-10))
        for chance in listen(vad(), [ear])[0]:
            state = "listening" if turns.turn is not None else "speaking"
            acts = turns.hear(Frame(float(chance), level, start, start + FRAME), state)
            found += [act.at / RATE for act in acts if act.kind == "interrupt"]
    return found


def speech(which, seconds):
    return np.concatenate([clips()[which], clips()[(which + 1) % 6]])[: round(seconds * RATE)]


ROOMS = [(k, decibel, delay) for k in (0, 3, 5) for decibel, delay in ((-12, 0.12), (-20, 0.2))]


def test_its_own_voice_does_not_interrupt_it():
    caught = [interruptions(speech(k, 3.0), room(k, decibel, delay)) for k, decibel, delay in ROOMS]
    without = [interruptions(speech(k, 3.0), room(k, decibel, delay), guard=False) for k, decibel, delay in ROOMS[:2]]
    assert all(without)
    assert sum(map(bool, caught)) <= 1, caught


def test_the_user_over_its_own_voice_does():
    at, found = round(2.5 * RATE), []
    for k, decibel, delay in ROOMS:
        far = speech(k, 3.6)
        found.append(interruptions(far, room(k, decibel, delay), clips()[(k + 3) % 6][: 2 * RATE], at))
    late = [[when - 2.5 for when in times if when > 2.3] for times in found]
    assert sum(bool(times) for times in late) >= len(ROOMS) - 1, found
    assert np.median([times[0] for times in late if times]) < 0.45


def test_with_headphones_nothing_is_taken_from_the_user():
    at = round(2.0 * RATE)
    with_it, without = (
        interruptions(speech(0, 4.0), np.zeros(1), clips()[3][: 2 * RATE], at, guard=guard) for guard in (True, False)
    )
    assert 1.9 < with_it[0] < without[0] + 0.1


def test_while_the_model_is_silent_the_sound_is_not_touched():
    ledger, guard = Ledger(RATE, FRAME), Guard(RATE)
    frame = clips()[0][:FRAME]
    assert guard.clean(frame, ledger, Echo()) is frame
