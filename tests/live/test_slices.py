"""Dialogue in slices: what is said follows the slice before it, and the context holds what was heard of it."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.audio.io import read
from oration.audio.resample import resample
from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Flush
from oration.live.engine import Options
from oration.live.slices import Slices
from oration.model import SpeechLM
from oration.recipe import find

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"


@cache
def model(name):
    built = SpeechLM(find(name).tiny())
    torch.manual_seed(1)
    for lm in built.recipe.lms:
        part = built.part(lm.name)
        for weight in part.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.5)
    return built


@cache
def sound():
    return resample(read(SAMPLES / "jfk.flac"), 16_000).samples


def push(engine, session, count, start):
    """`count` slices -> the sound that came."""
    found = []
    for at in range(start, start + count):
        samples = sound()[at * engine.frame : (at + 1) * engine.frame]
        session.push(Waveform(samples, engine.rate), 0.0)
        assert engine.step(0.0)
        found += [event.wave for event in session.take() if isinstance(event, Audio)]
    return np.concatenate(found)


def test_a_slice_of_sound_changes_what_is_said_after_it_and_nothing_before():
    for name in ("syncllm", "omniflatten"):
        engine = Slices(model(name), slots=1)
        first = engine.open(Options(), 5)
        before = push(engine, first, 6, 0)
        first.close(0.0)
        other = engine.open(Options(), 5)
        after = np.concatenate((push(engine, other, 3, 0), push(engine, other, 3, 20)))
        other.close(0.0)
        differ = int(np.flatnonzero(before != after)[0])
        late = round(engine.delay * engine.rate)
        assert 3 * engine.frame <= differ
        assert differ <= 3 * engine.frame + late
        assert late == engine.frame + engine.mouth.late


@pytest.mark.parametrize("name", ["syncllm", "omniflatten"])
def test_what_nobody_heard_is_silence_in_the_context(name):
    built, rng = model(name), np.random.default_rng(3)
    engine = Slices(built, slots=1)
    for trial in range(4):
        session = engine.open(Options(), trial)
        session.own.power = 0.0
        push(engine, session, 4, 0)
        sent = session.ledger.emitted
        session.ledger.send(sent, 0.0)
        assert session.replying
        reached = int(rng.integers(sent // 2, sent + 1))
        session.cancel(0.0)
        assert [event for event in session.take() if isinstance(event, Flush)]
        assert not push(engine, session, 1, 4).any()
        session.played(reached, 0.0)
        push(engine, session, 1, 5)
        braid = engine.duet
        line = braid.lines[0]
        arm = next(arm for arm in braid.arms if arm.stream == engine.own)
        silence = braid.silence[arm.stream]
        centres = np.arange(4 * engine.frames) * engine.hop + engine.mouth.late + engine.hop // 2
        for number, part in enumerate([*line.slices][:5]):
            drawn = part.drawn[arm.stream]
            frames = drawn if arm.regular else braid.spread(drawn, silence)
            at = centres[number * engine.frames : (number + 1) * engine.frames]
            kept = at < reached if number < 4 else np.zeros(engine.frames, bool)
            want = [f if k else silence for f, k in zip(frames, kept, strict=True)]
            said = part.said[arm.stream]
            if kept.all():
                assert said == drawn
            else:
                assert (said if arm.regular else braid.spread(said, silence)) is not None
                merged = want if arm.regular else [w for i, w in enumerate(want) if not i or want[i - 1] != w]
                assert said == merged
        tokens = [t for part in line.slices for t in part.tokens(braid._order())]
        fresh = Slices(built, slots=1).duet
        want = fresh._feed([0], [[*fresh._before(0), *tokens, arm.mark]])[0]
        np.testing.assert_allclose(braid._feed([0], [[arm.mark]])[0].numpy(), want.numpy(), atol=2e-5)
        session.ledger.balance()
        session.close(0.0)


def test_a_long_session_begins_its_grid_anew_with_the_last_slices():
    engine = Slices(model("omniflatten"), slots=1)
    engine.duet.limit = 120
    session = engine.open(Options(), 0)
    most = 0
    for at in range(0, 24):
        push(engine, session, 1, at % 20)
        most = max(most, engine.duet.lines[0].steps)
    assert most <= 120
    assert session.ledger.emitted == 24 * engine.frame
    assert engine.duet.latest(0) == 24 * engine.frames - 1


def test_a_stack_is_not_driven_in_slices():
    with pytest.raises(BadInput, match="no Weave by Chunk"):
        Slices(SpeechLM(find("ntpp").tiny()), slots=1)
