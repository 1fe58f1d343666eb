from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.core import TICKS, BadInput, Spec, Stream, Vocab, collate, dumps, pack
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Fresh, Rows, Transformer, evaluating
from oration.objectives import CrossEntropy
from oration.streams import Dedup
from oration.tasks import Task

SPECS = {"units": Spec(20, 50), "user.speech": Spec(1, 25, dim=6), "text": Spec(30)}
SAY = Task(name="say", layout=Layout((Line("text"), Line("units"))), predict=("units",))
HEAR = Task(name="hear", layout=Layout((Line("user.speech"), Line("text"))), predict=("text",))
BODY = Transformer.tiny()


def build(*tasks, **settings):
    torch.manual_seed(0)
    return LM(**{"name": "lm", "tasks": tasks, "body": BODY, **settings}).build(SPECS)


def speech(n=5, m=3):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, 6)).astype(np.float32)
    return {"user.speech": Stream.dense(values), "text": Stream(rng.integers(0, 30, m))}


def test_tasks_of_one_model_share_their_rows():
    model = build(SAY, HEAR)
    names = [name for name, _ in model.vocabs["main"].blocks]
    assert names == ["text", "units", "user.speech", "pad", "end"]
    assert model.embeddings["main"].weight.shape == (53, 32)
    assert set(model.values) == {"user/speech"}
    grids = [HEAR.place([speech()], SPECS, vocabs=model.vocabs)]
    grids.append(SAY.place([{"text": Stream(np.arange(3)), "units": Stream(np.arange(4))}], SPECS, vocabs=model.vocabs))
    batch = collate(grids, [51])
    objective = CrossEntropy().build(model, SPECS)
    ((_, loss),) = objective.losses(model, batch, 0.0)
    assert set(loss.parts) == {"text", "units", "end"}
    loss.total.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_operations_add_the_streams_a_model_reads():
    task = Task(name="continue", operations=(Dedup(),), layout=Layout((Line("units.runs"),)), predict=("units.runs",))
    model = build(task)
    assert model.vocabs["main"].blocks[0] == ("units.runs", 20)
    frames = Stream(np.array([3, 3, 4, 4, 4, 3]))
    example = task.prepare({"units": frames}, SPECS, np.random.default_rng(0))
    grid = task.place([example], task.specs(SPECS))
    assert grid.tokens.tolist() == [[3, 4, 3, 21]]
    assert example["units.runs"].onsets.tolist() == [0, TICKS // 25, TICKS // 10]


def test_gradients_reach_what_made_the_vectors():
    model = build(HEAR)
    batch = collate([HEAR.place([speech()], SPECS)], [31])
    values = batch.dense["user.speech"].values.clone().requires_grad_()
    batch = replace(batch, dense={"user.speech": replace(batch.dense["user.speech"], values=values)})
    CrossEntropy().build(model, SPECS)(model, batch).total.backward()
    assert bool((values.grad.abs().sum(1) > 0).all())


def test_pads_say_nothing_at_first_and_each_segment_starts_alike():
    task = Task(name="stack", layout=Layout((Stack(("units", "text"), (0, 2)),)), predict=("units", "text"))
    model = build(task)
    assert all(not bool(model.embeddings[row].weight[v.offset("pad")].any()) for row, v in model.vocabs.items())
    grid = task.place([{"units": Stream(np.arange(3)), "text": Stream(np.arange(1))}], SPECS)
    logits = model(pack([[grid, grid]], [20, 30]))["units"]
    torch.testing.assert_close(logits[0, 0], logits[0, grid.steps])


def test_the_same_seed_builds_the_same_model_and_the_value_prints():
    lm = LM(name="lm", tasks=(SAY,), body=BODY, head=Rows(tied=True))
    first, second = build(SAY), build(SAY)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert '"class": "oration.lms.bodies:Transformer"' in dumps(lm.body)
    assert lm.tiny() == replace(lm, body=Transformer.tiny(), head=Rows(), start=Fresh())
    assert lm.pinned() == lm


def test_evaluating_is_for_a_while():
    model = build(SAY).train()
    with evaluating(model):
        assert not model.body.training
    assert model.body.training
    with evaluating(model.eval()):
        pass
    assert not model.training


def test_vocabularies_are_compared():
    model = build(SAY)
    model.check_vocabs(model.vocabs)
    with pytest.raises(
        BadInput, match=r"row 'main' of 'lm' was saved with .*'units', 99.* but the recipe gives .*'units', 20"
    ):
        model.check_vocabs({"main": Vocab((("text", 30), ("units", 99), ("pad", 1), ("end", 1)))})
    with pytest.raises(BadInput, match=r"row 'other' of 'lm' was saved with .* but the recipe gives None"):
        model.check_vocabs({**model.vocabs, "other": model.vocabs["main"]})


def test_what_does_not_fit_is_said():
    model = build(SAY, context=6)
    long = SAY.place([{"text": Stream(np.arange(3)), "units": Stream(np.arange(4))}], SPECS)
    with pytest.raises(BadInput, match="a grid of 9 steps does not fit 'lm', whose context is 6"):
        model(collate([long], [50]))
    with pytest.raises(BadInput, match=r"a batch of rows \('main',\) does not fit 'lm', which has \('units', 'text'\)"):
        build(Task(name="s", layout=Layout((Stack(("units", "text")),)), predict=()))(collate([long], [50]))
    with pytest.raises(BadInput, match="7 steps do not fit 'lm', whose context is 6"):
        model.start(1, 7)
    state = model.start(2, 2)
    model.next(state, None)
    model.next(state, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(BadInput, match="1 more steps do not fit the state, which has room for 0"):
        model.next(state, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(BadInput, match="no task"):
        LM(name="lm", tasks=(), body=BODY)
    with pytest.raises(BadInput, match="does not divide"):
        Transformer(layers=1, dim=30, heads=4, ffn=8)
    hear = build(HEAR)
    state = hear.start(1, 4)
    with pytest.raises(BadInput, match=r"holds an item of 'user.speech' but no vector"):
        hear.next(state, torch.zeros(1, 1, dtype=torch.long))


def test_prefill_begins_all_sequences_or_none():
    model = build(SAY).eval()
    short, packed = SAY.place([{"text": Stream(np.arange(1)), "units": Stream(np.arange(1))}], SPECS), None
    packed = pack([[short, short]], [50])
    with pytest.raises(BadInput, match="this batch is packed"):
        model.prefill(model.start(1, 20), packed)
    state = model.start(1, 20)
    model.prefill(state, collate([short], [50]))
    empty = type(short)(short.tokens[:, :0], short.role[:, :0], short.rows)
    with pytest.raises(BadInput, match="a grid without steps cannot follow"):
        model.prefill(state, collate([empty], [50]))
    state.past.length[:] = 0
    both = state.select(torch.tensor([0, 0]))
    both.past.length[0] = 3
    with pytest.raises(BadInput, match="begins all sequences of a state or none"):
        model.prefill(both, collate([short, short], [50]))


def test_two_tasks_may_not_mean_different_streams_by_one_name():
    class Halve:
        needs = ("units",)

        def specs(self, given):
            return {"units": Spec(given["units"].size // 2, 50)}

        def __call__(self, example, specs, rng):
            return {**example, "units": Stream(example["units"].ids // 2)}

    halves = Task(name="halves", layout=SAY.layout, predict=("units",), operations=(Halve(),))
    with pytest.raises(BadInput, match=r"task 'halves' of 'lm' has 'units' as .*size=10.*, another task as .*size=20"):
        build(SAY, halves)
    assert build(halves).vocabs["main"].blocks[1] == ("units", 10)
    with pytest.raises(BadInput, match="Halve of task 'halves' needs the stream 'units'"):
        halves.specs({})
    with pytest.raises(BadInput, match="Halve of task 'halves' needs the example's stream 'units'"):
        halves.prepare({}, SPECS, np.random.default_rng(0))
