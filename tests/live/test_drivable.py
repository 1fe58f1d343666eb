"""Every recipe that hears while it speaks, at its smallest, in the engine that drives it, on real speech."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.audio.io import read
from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio
from oration.live.choose import kind_of, open_engine
from oration.live.engine import Options
from oration.model import SpeechLM
from oration.recipe import find, names

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"
SECONDS = 2.0


def drivable():
    """Recipes that are driven frame by frame or slice by slice."""
    found = []
    for name in names():
        recipe = find(name)
        try:
            kind = kind_of(recipe) if recipe.lms else ""
        except BadInput:
            continue
        if kind in ("duplex", "slices", "switching"):
            found.append((name, kind))
    return found


@cache
def model(name):
    """Untrained, but what is heard changes what is said."""
    built = SpeechLM(find(name).tiny())
    torch.manual_seed(1)
    for lm in built.recipe.lms:
        part = built.part(lm.name)
        for module in (part.embeddings, part.values, part.head):
            for weight in module.parameters():
                torch.nn.init.normal_(weight, std=0.5)
    return built


def begun(engine, seed):
    session = engine.open(Options(), seed)
    if engine.plan.reads:
        session.text("so what do you think")
    return session


def listen(engine, sessions, seconds, start=0.5):
    """Push pieces that are no whole frames, step after each -> the sound of each session, frame by frame."""
    wave = read(SAMPLES / "jfk.flac").cut(start, start + seconds)
    found = [list[Audio]() for _ in sessions]
    for at in range(0, len(wave), 1000):
        for session in sessions:
            session.push(Waveform(wave.samples[at : at + 1000], wave.rate), 0.0)
        while engine.step(0.0):
            pass
        for events, session in zip(found, sessions, strict=True):
            events += [event for event in session.take() if isinstance(event, Audio)]
            assert session.ledger.emitted == session.ledger.consumed  # as much leaves as is heard
            session.ledger.balance()
    return found


@pytest.mark.parametrize(("name", "kind"), drivable())
def test_every_recipe_that_listens_says_a_frame_for_each_that_it_hears(name, kind):
    engine = open_engine(model(name), slots=2)
    assert engine.name == kind
    first, second = begun(engine, 1), begun(engine, 2)
    both = listen(engine, [first, second], SECONDS)
    for events in both:
        positions = [(event.start, event.start + len(event.wave)) for event in events]
        assert all(a[1] == b[0] for a, b in pairwise(positions))
        assert positions[-1][1] >= int((SECONDS - 0.05) * engine.rate) // engine.frame * engine.frame
        assert all(event.heard >= event.start + len(event.wave) for event in events)
    sound = [np.concatenate([event.wave for event in events]) for events in both]
    begins = [np.flatnonzero(wave)[:1] for wave in sound]
    quiet = round(engine.delay * engine.rate) - engine.frame  # the first frame comes with the frame that was heard
    if getattr(engine, "switch", None) is None:  # which may choose to listen for as long as this
        assert all(len(at) and at[0] <= quiet + engine.hop for at in begins)
        assert not np.array_equal(*sound)
    alone = open_engine(model(name), slots=1)
    (events,) = listen(alone, [begun(alone, 2)], SECONDS)
    np.testing.assert_allclose(sound[1], np.concatenate([event.wave for event in events]), atol=2e-5)
    for session in (first, second):
        session.close(0.0)
        session.ledger.balance()
        with pytest.raises(BadInput, match="closed"):
            session.push(Waveform(np.zeros(9, np.float32), engine.rate), 0.0)
