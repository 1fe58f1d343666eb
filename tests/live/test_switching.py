"""Models that say themselves whether they listen or speak."""

from functools import cache

import numpy as np
import pytest
import torch

from oration.core import BadInput, Stream, Waveform
from oration.dialogue.events import Audio
from oration.generate import complete
from oration.live.engine import Options
from oration.live.switching import Switch, Switching
from oration.model import SpeechLM
from oration.recipe import find
from oration.reply import chain


@cache
def model(name):
    built = SpeechLM(find(name).tiny())
    torch.manual_seed(1)
    for lm in built.recipe.lms:
        for weight in built.part(lm.name).parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.4)
    return built


def run(engine, session, count, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        noise = (0.1 * rng.standard_normal(engine.frame)).astype(np.float32)
        session.push(Waveform(noise, engine.rate), 0.0)
        assert engine.step(0.0)
        found += [event.wave for event in session.take() if isinstance(event, Audio)]
    return found


def test_a_model_that_says_that_it_listens_is_not_heard():
    engine = Switching(model("mini_omni2"), slots=1)
    assert engine.switch == Switch(stream="floor.frames", listen=1, speak=0)
    session = engine.open(Options(), 4)
    for number, wave in enumerate(run(engine, session, 24)):
        item = number + 1 - engine.wait
        if item < 0:
            assert not wave.any()
            continue
        state = int(engine.duet.items([0], np.array([item]), ("floor.frames",))["floor.frames"][0])
        assert state in (0, 1)
        assert state == 0 or not wave.any()
    drawn = engine.duet.drawn[0, engine.lm.rows.index("floor.frames"), :24]
    assert set(drawn.tolist()) == {0, 1}
    session.ledger.balance()


def test_a_switch_is_a_stream_that_the_model_draws():
    with pytest.raises(BadInput, match="the model draws"):
        Switching(model("mini_omni2"), slots=1, switch=Switch(stream="state", listen=0, speak=1))
    with pytest.raises(BadInput, match="two different symbols"):
        Switching(model("mini_omni2"), slots=1, switch=Switch(stream="floor.frames", listen=2, speak=0))


def test_a_second_model_follows_the_first_step_by_step():
    built = model("salmonn_omni")
    engine = Switching(built, slots=1)
    session, count = engine.open(Options(), 4), 12
    assert all(len(wave) == engine.frame for wave in run(engine, session, count))
    follower = engine.follower
    parts = [*follower.parts[0]]
    assert len(parts) == count + 1  # the first was drawn before anything was heard
    link = chain(built.recipe.lms)[1]
    vectors = torch.stack([part.vector for part in parts]).numpy()
    prompt = {follower.vectors: Stream.dense(vectors)}
    (reply,) = complete(
        built.part("voice").fast(), link.task, [prompt], built.specs, seeds=[4], steps=3 * count,
        least={"units": 2 * count}, most={"units": 2 * count},
    )  # fmt: skip
    said = [item for part in parts for item in part.drawn][: 2 * count]
    assert said == reply.example["units"].ids[: 2 * count].tolist()
    session.ledger.balance()


def test_what_a_second_model_said_unheard_is_silence_to_it():
    built = model("salmonn_omni")
    engine, fresh = Switching(built, slots=1), Switching(built, slots=1).follower
    session = engine.open(Options(), 4)
    session.own.power = 0.0
    run(engine, session, 10)
    sent = session.ledger.emitted
    session.ledger.send(sent, 0.0)
    session.cancel(0.0)
    reached = 6 * engine.frame + 3
    run(engine, session, 1)
    session.played(reached, 0.0)
    run(engine, session, 1)
    follower = engine.follower
    parts = [*follower.parts[0]]
    late = engine.mouth.late
    heard = [n * engine.frame + late + engine.frame // 2 < reached for n in range(10)]
    assert [not part.quiet for part in parts] == [True, *heard, False, False]
    fresh.begin(0, 0, Options().sampler)
    fresh._give(0, parts)
    probe = torch.randn(1, 1, fresh._width)
    ours, theirs = (f._feed([0], [[f.placeholder]], probe) for f in (follower, fresh))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-5)
