"""Full duplex sessions: each as if it were alone, on one clock, with a context that holds what was heard."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.audio.io import read
from oration.codecs import Codec, SpectralDecoder, SpectralEncoder
from oration.core import BadInput, Stream, Waveform
from oration.dialogue.events import Audio, Began, Ended, Floor, Flush, Trouble
from oration.generate import Sampler, complete
from oration.layouts import Layout, Stack
from oration.live.duplex import Duplex
from oration.live.engine import Full, Options
from oration.lms import LM, Depth, Rows, Transformer
from oration.model import SpeechLM
from oration.nn.quantize import Rvq
from oration.recipe import Recipe, find
from oration.tasks import Task
from oration.tokenizers import Channels

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"
CODEC = Codec(
    encoder=(SpectralEncoder().tiny(),),
    quantizer=Rvq(levels=3, size=16, dim=4),
    decoder=(SpectralDecoder().tiny(),),
    dim=8,
    rate=16_000,
)
AGENT, USER = CODEC.streams, tuple(f"user.{name}" for name in CODEC.streams)


def shaken(model):
    """Untrained, but what is heard changes what is said."""
    torch.manual_seed(1)
    for lm in model.recipe.lms:
        part = model.part(lm.name)
        for module in (part.embeddings, part.values, part.head):
            for weight in module.parameters():
                torch.nn.init.normal_(weight, std=0.5)
    return model


def recipe(delays=(0, 1, 1), head=None, window=12, context=None, order="own"):
    streams = (*AGENT, *USER) if order == "own" else (*USER, *AGENT)
    task = Task(name="talk", layout=Layout((Stack(streams, (*delays, *delays), end="never"),)), predict=AGENT)
    body = Transformer(layers=2, dim=32, heads=4, kv_heads=2, ffn=48, window=window)
    lm = LM(name="lm", tasks=(task,), body=body, head=head or Rows(), context=context)
    both = Channels(of=CODEC)
    return Recipe(name="small-duplex", tokenizers=(both,), lms=(lm,), vocoder=both.vocoder())


HEADS = {
    "rows": Rows(),
    "depth": Depth(layers=1, dim=16, heads=2, ffn=24, rows=AGENT),
    "depth of both": Depth(layers=1, dim=16, heads=2, ffn=24),
}


@cache
def built(head="rows", delays=(0, 1, 1), window=12, context=None, order="own"):
    return shaken(SpeechLM(recipe(delays, HEADS[head], window, context, order)))


@cache
def sound(seconds=8.0):
    wave = read(SAMPLES / "jfk.flac").cut(0.5, 0.5 + seconds)
    from oration.audio.resample import resample

    return resample(wave, 16_000)


def frames(engine, count, start=0):
    samples = sound().samples
    return [samples[(start + i) * engine.frame : (start + i + 1) * engine.frame] for i in range(count)]


def run(engine, session, sounds):
    """Frame by frame -> the sound that came."""
    out = []
    for samples in sounds:
        session.push(Waveform(samples, engine.rate), 0.0)
        assert engine.step(0.0)
        out += [event for event in session.take() if isinstance(event, Audio)]
    return np.concatenate([event.wave for event in out])


@pytest.mark.parametrize(
    ("head", "delays", "order"),
    [
        ("rows", (0, 0, 0), "own"),
        ("rows", (0, 1, 2), "user"),
        ("depth", (0, 0, 0), "user"),
        ("depth", (0, 1, 2), "own"),
        ("depth of both", (0, 1, 2), "own"),
        ("depth of both", (0, 0, 0), "user"),
        ("depth of both", (0, 1, 2), "user"),
    ],
)
def test_it_draws_what_generating_draws(head, delays, order):
    model = built(head, delays, order=order)
    engine = Duplex(model, slots=2)
    session, count = engine.open(Options(), 7), 24
    run(engine, session, frames(engine, count))
    (heard,) = model.part("codec").inner.encode([Waveform(sound().samples[: count * engine.frame], 16_000)])
    task = replace(model.recipe.lms[0].tasks[0], predict=AGENT)
    prompt = {f"user.{name}": Stream(stream.ids) for name, stream in heard.items()}
    (reply,) = complete(model.part("lm").fast(), task, [prompt], model.specs, seeds=[7], sampler=Sampler(), steps=count)
    done = engine.duet.done(session.slot)
    assert done >= count - 1 - max(delays)
    for name in AGENT:
        ours = engine.duet.items([0] * done, np.arange(done), (name,))[name]
        kept = slice(max(0, done - engine.duet.ring), done)
        assert (ours[kept] == reply.example[name].ids[kept.start : done]).all()


@pytest.mark.parametrize("head", ["rows", "depth"])
def test_sessions_that_come_and_go_sound_as_they_do_alone(head):
    model, rng = built(head), np.random.default_rng(0)
    engine, single = Duplex(model, slots=3), Duplex(model, slots=1)
    for trial in range(3):
        plans = [(int(rng.integers(0, 8)), int(rng.integers(4, 14)), int(rng.integers(100))) for _ in range(3)]
        here, got = {}, {}
        for tick in range(24):
            for number, (start, count, seed) in enumerate(plans):
                if tick == start:
                    here[number] = engine.open(Options(), seed)
                if number in here and len(got.setdefault(number, [])) < count and rng.random() < 0.7:
                    samples = frames(engine, 1, 10 * number + len(got[number]))[0]
                    here[number].push(Waveform(samples, engine.rate), 0.0)
                    got[number].append(None)
            engine.step(0.0)
        for number, (_, _, seed) in enumerate(plans):
            events = [event for event in here[number].take() if isinstance(event, Audio)]
            ours = np.concatenate([event.wave for event in events])
            here[number].ledger.balance()
            here[number].close(0.0)
            alone = single.open(Options(), seed)
            theirs = run(single, alone, frames(single, len(got[number]), 10 * number))
            alone.close(0.0)
            np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=f"trial {trial}, session {number}")


def test_the_first_frame_that_can_depend_on_a_sample_is_at_the_promised_delay():
    for delays in ((0, 0, 0), (0, 1, 2)):
        engine = Duplex(built(delays=delays), slots=1)
        first = engine.open(Options(), 3)
        before = run(engine, first, frames(engine, 20))
        first.close(0.0)
        changed = [*frames(engine, 8), *frames(engine, 12, 60)]
        other = engine.open(Options(), 3)
        after = run(engine, other, changed)
        differ = np.flatnonzero(np.abs(before - after) > 1e-6)
        promised = round(engine.delay * engine.rate) - engine.frame  # what leaves with the frame it was heard in
        assert 8 * engine.frame + promised - engine.frame <= differ[0]
        assert differ[0] < 8 * engine.frame + promised + 3 * engine.frame
        silent = np.flatnonzero(before)[0] // engine.frame
        assert silent == max(delays) - 1 if max(delays) else silent == 0


@pytest.mark.parametrize("window", [12, None])
def test_what_nobody_heard_is_silence_in_the_context_to_the_frame(window):
    model = built("rows", (0, 1, 1), window, None if window else 64)
    engine, fresh = Duplex(model, slots=2), Duplex(model, slots=1).duet
    rng, duet, late = np.random.default_rng(5), engine.duet, engine.mouth.late
    for trial in range(5):
        session, other = engine.open(Options(), trial), engine.open(Options(), trial)
        session.own.power = 0.0  # whatever is not digital silence is a reply
        count = int(rng.integers(6, 16))
        run(engine, session, frames(engine, count))
        sent = session.ledger.emitted
        session.ledger.send(sent, 0.0)
        assert session.replying
        reached = int(rng.integers(0, sent + 1))
        session.played(int(rng.integers(0, reached + 1)), 0.0)
        session.cancel(0.0)
        assert len([event for event in session.take() if isinstance(event, Flush)]) == 1
        between = int(rng.integers(1, 4))
        assert not run(engine, session, frames(engine, between, count)).any()
        session.played(reached, 0.0)
        assert not run(engine, session, frames(engine, 2, count + between)).any()
        quiet = duet.quiet[0, np.arange(count + between) % duet.ring]
        centres = np.arange(count) * engine.frame + late + engine.frame // 2
        assert quiet.tolist() == [*(centres >= reached), *[True] * between], (trial, reached / engine.frame)
        columns = int(duet.columns[0])
        ours = duet.bank.feed([0], duet._built(np.array([0]), np.array([[columns]])), {})
        fresh.bank.reset(0)
        whole = duet._built(np.array([0]), np.arange(columns + 1)[None])
        np.testing.assert_allclose(ours.numpy(), fresh.bank.feed([0], whole, {}).numpy(), atol=2e-5)
        session.ledger.balance()
        session.close(0.0)
        other.close(0.0)


def test_after_a_cancel_nothing_of_the_reply_leaves_and_its_events_add_up():
    engine = Duplex(built(), slots=1)
    session = engine.open(Options(), 0)
    session.own.power = 0.0
    session.cancel(0.0)
    assert not [event for event in session.take() if isinstance(event, Flush)]
    events, epochs = [], set()
    for at in range(30):
        session.push(Waveform(frames(engine, 1, at)[0], engine.rate), 0.0)
        engine.step(0.0)
        if at in (6, 20):
            epochs.add(session.epoch)
            session.cancel(0.0)
        fresh = session.take()
        assert not [event for event in fresh if isinstance(event, Audio) and event.epoch in epochs]
        events += fresh
        session.own.power = 1e-12 if at == 10 else session.own.power
        session._hush = 1 if at == 12 else session._hush
        session.ledger.send(session.ledger.emitted, 0.0)
        session.played(session.ledger.emitted, 0.0)
    began = [event.epoch for event in events if isinstance(event, Began)]
    ended = [(event.epoch, event.why) for event in events if isinstance(event, Ended)]
    assert [epoch for epoch, _ in ended] == began[: len(ended)]
    assert [why for _, why in ended] == ["cancelled", "cancelled"]
    assert {event.epoch for event in events if isinstance(event, Flush)} == epochs
    holders = [event.holder for event in events if isinstance(event, Floor)]
    assert all(a != b for a, b in pairwise(holders))
    session.ledger.balance()


def test_a_day_changes_nothing():
    model = built()
    young, old = Duplex(model, slots=1).duet, Duplex(model, slots=1).duet
    items = np.random.default_rng(0).integers(0, 16, (90, 3))
    for duet in (young, old):
        duet.begin(0, 3, Sampler())
    size = {name: value.nbytes for name, value in vars(young).items() if isinstance(value, np.ndarray)}
    for at, given in enumerate(items):
        if at == 40:  # two days later
            cache = old.bank.cache
            days = 4_320_000 // cache.capacity * cache.capacity
            cache.length += days
            cache.held[cache.held >= 0] += days
        for duet in (young, old):
            duet.step([0], {name: given[level : level + 1] for level, name in enumerate(USER)})
    assert (young.drawn == old.drawn).all()
    assert size == {name: value.nbytes for name, value in vars(young).items() if isinstance(value, np.ndarray)}


def test_a_context_that_ends_begins_anew_with_its_last_columns():
    model = built(window=None, context=40)
    duet, fresh = Duplex(model, slots=1).duet, Duplex(model, slots=1).duet
    duet.begin(0, 3, Sampler())
    for given in np.random.default_rng(0).integers(0, 16, (100, 3)):
        duet.step([0], {name: given[level : level + 1] for level, name in enumerate(USER)})
    base, last = int(duet.base[0]), int(duet.columns[0])
    assert base > 0
    assert last - base < 40
    columns = duet._built(np.array([0]), np.arange(base, last + 1)[None])
    assert (columns[0, 1, 0] == duet._pads[1]).all()  # a row that is late is so in the new grid too
    want = fresh.bank.feed([0], columns, {})
    np.testing.assert_allclose(duet.bank.feed([0], columns[:, :, -1:], {}).numpy(), want.numpy(), atol=2e-5)


def test_what_cannot_be_driven_is_refused():
    engine = Duplex(built(), slots=1)
    engine.open(Options(), 0)
    with pytest.raises(Full, match="taken"):
        engine.open(Options(), 0)
    with pytest.raises(BadInput, match="repetition"):
        Duplex(built(), slots=1).open(Options(sampler=Sampler(repetition=1.2)), 0)
    with pytest.raises(BadInput, match="neither a context nor a window"):
        Duplex(SpeechLM(recipe(window=None)), slots=1)
    with pytest.raises(BadInput, match="dual channel needs one Stack"):
        Duplex(SpeechLM(find("omniflatten").tiny()), slots=1)


@pytest.mark.slow
def test_anything_may_happen_to_a_session_and_the_others_do_not_notice():
    model, rng = built(), np.random.default_rng(11)
    engine, alone = Duplex(model, slots=4), Duplex(model, slots=1)
    steady, single = engine.open(Options(), 1), alone.open(Options(), 1)
    others, ours, theirs = {}, [], []
    for at in range(600):
        samples = frames(engine, 1, at % 150)[0]
        for session in (steady, single):
            session.push(Waveform(samples, engine.rate), 0.0)
        number = int(rng.integers(3))
        if number not in others:
            others[number] = engine.open(Options(), int(rng.integers(100)))
        session, what = others[number], rng.integers(6)
        if what == 0:
            session.cancel(0.0)
        elif what == 1:
            session.ledger.send(session.ledger.emitted, 0.0)
            session.played(int(rng.integers(session.ledger.emitted + 1)), 0.0)
        elif what == 2:
            others.pop(number).close(0.0)
        elif what == 3:
            sent, made = session.ledger.sent, session.ledger.emitted
            session.ledger.discard(sent, int(rng.integers(sent, made + 1)), "late", 0.0)
        else:
            noise = rng.standard_normal(int(rng.integers(3000))).astype(np.float32)
            session.push(Waveform(noise, engine.rate), 0.0)
        engine.step(0.0)
        alone.step(0.0)
        session.ledger.balance()
        for whose, found in ((steady, ours), (single, theirs)):
            events = whose.take()
            assert not [event for event in events if isinstance(event, Trouble)]
            found += [event.wave for event in events if isinstance(event, Audio)]
    np.testing.assert_allclose(np.concatenate(ours), np.concatenate(theirs), atol=1e-6)
