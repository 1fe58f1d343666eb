from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate, pack
from oration.generate import Ode, Sampler, score
from oration.layouts import Layout, Stack
from oration.lms import LM, FlowInfillModel, Layer, Transformer, Velocity
from oration.objectives import CrossEntropy, MaskedFlow
from oration.tasks import Task

SPECS = {"phones": Spec(4, 25), "mel": Spec(1, 25, dim=3), "units": Spec(5, 25)}
TASK = Task(name="speak", layout=Layout((Stack(("phones", "mel")),)), predict=("mel",))
BODY = Transformer(layers=2, dim=32, heads=4, ffn=48, causal=False)
SOUND = np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [-1, -1, -1]], np.float32)


def build(body=BODY, **head):
    torch.manual_seed(0)
    head = Velocity(**{"time": 16, "steps": 4, **head})
    return LM(name="box", tasks=(TASK,), body=body, head=head, generator=Ode(nfe=4)).build(SPECS)


def loud(model):
    """So that everything matters visibly."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 or name.startswith(("masks", "first")):
                weight.add_(torch.randn_like(weight) * 0.15)
    return model.eval()


def speech(rng, frames):
    phones = rng.integers(0, 4, frames)
    return {"phones": Stream(phones), "mel": Stream.dense(SOUND[phones] + 0.1 * rng.normal(size=(frames, 3)))}


def batch_of(model, examples, length=None):
    grids = [TASK.place([e], SPECS, vocabs=model.vocabs) for e in examples]
    return pack([[grid] for grid in grids], pads(model), length)


def pads(model):
    return [vocab.offset("pad") for vocab in model.vocabs.values()]


def velocity(model, batch, x, time, hide, drop=None):
    with torch.no_grad():
        return model.velocity(batch, {"mel": x}, torch.full((len(hide), 1), time), hide, drop)["mel"]


@pytest.mark.parametrize("body", [BODY, replace(BODY, layer=Layer(condition=8))], ids=["added", "adaptive"])
def test_what_is_hidden_left_out_or_another_grid_is_not_seen(body):
    model, rng = loud(build(body)), np.random.default_rng(0)
    examples = [speech(rng, n) for n in (5, 3)]
    batch = batch_of(model, examples)
    hide = model.asked(batch)
    hide[:, :, :2] = False
    at, x = batch.dense["mel"], torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
    hidden = hide[at.sequence, at.row, at.step]
    before = velocity(model, batch, x, 0.3, hide)

    def seen(values, noisy=x, drop=None, time=0.3):
        other = replace(batch, dense={"mel": replace(at, values=values)})
        return float((velocity(model, other, noisy, time, hide, drop) - base).abs().max())

    base = before
    assert seen(torch.where(hidden[:, None], at.values + 1, at.values)) == 0
    assert seen(at.values, torch.where(hidden[:, None], x, x + 1)) == 0
    assert seen(torch.where(hidden[:, None], at.values, at.values + 1)) > 1e-3
    assert seen(at.values, torch.where(hidden[:, None], x + 1, x)) > 1e-3
    assert seen(at.values, time=0.9) > 1e-3
    drop = model.holds(batch) & ~hide
    base = velocity(model, batch, x, 0.3, hide, drop)
    assert seen(torch.where(hidden[:, None], at.values, at.values + 1), drop=drop) == 0
    alone = batch_of(model, examples[1:])
    first = velocity(model, alone, x[5:], 0.3, hide[1:, :, : alone.tokens.shape[2]])
    torch.testing.assert_close(first, before[5:], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_packing_changes_nothing():
    model, rng = loud(build()), np.random.default_rng(1)
    grids = [TASK.place([speech(rng, n)], SPECS, vocabs=model.vocabs) for n in (5, 3)]
    x, results = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32)), []
    for lines in ([grids], [[grid] for grid in grids]):
        batch = pack(lines, pads(model), 12)
        results.append(velocity(model, batch, x, 0.5, model.asked(batch)))
    torch.testing.assert_close(*results, atol=2e-5, rtol=1e-4)


def test_the_objective_hides_spans_and_asks_for_the_straight_way():
    model, rng = build(sigma=0.0).train(), np.random.default_rng(2)
    grids = [TASK.place([speech(rng, n)], SPECS, vocabs=model.vocabs) for n in (10, 6, 1, 20)]
    batch = pack([grids[:3], grids[3:]], pads(model))
    config = MaskedFlow(whole=0.4, drop=0.5)
    objective, seen = config.build(model, SPECS), []

    def watch(batch, noisy, time, hide, drop=None):
        seen.append((noisy["mel"].clone(), time, hide, drop))
        return {"mel": torch.zeros_like(noisy["mel"])}

    model.velocity = watch
    whole, dropped, shares = 0, 0, []
    for seed in range(80):
        torch.manual_seed(seed)
        ((group, loss),) = objective.losses(model, batch, 0.0)
        noisy, time, hide, drop = seen[-1]
        asked = model.asked(batch)
        assert bool((hide <= asked).all())
        for line, segment in ((0, 0), (0, 1), (0, 2), (1, 0)):
            here = batch.segment[line] == segment
            span = hide[line, 1, here].nonzero()[:, 0]
            count = int(asked[line, 1, here].sum())
            assert span.tolist() == list(range(int(span[0]), int(span[-1]) + 1))
            assert len(span) >= max(1, round(0.7 * count))
            assert len(time[line, here].unique()) == 1
            left = drop[line][:, here]
            visible = (model.holds(batch) & ~hide)[line][:, here]
            assert not bool(left.any()) or torch.equal(left, visible)
            if count == 20:
                whole, dropped = whole + (len(span) == 20), dropped + bool(left.any())
                shares.append(len(span) / 20)
        # A field of zeros: the loss is the mean square of (vector - noise), and noisy = (1 - t) noise + t vector.
        at = batch.dense["mel"]
        now = time[at.sequence, at.step][:, None]
        hidden = hide[at.sequence, at.row, at.step]
        wanted = (at.values - noisy) / (1 - now)
        assert float(loss.total) == pytest.approx(float(wanted[hidden].square().mean()), rel=1e-3)
        assert set(loss.parts) == {"mel"}
    assert group == "model"
    assert 0.25 < whole / 80 < 0.6
    assert 0.2 < dropped / 80 < 0.7
    assert 0.75 < np.mean(shares) < 0.98
    torch.manual_seed(1)
    first = float(objective.eval()(model, batch).total)
    assert seen[-1][3] is None  # held-out data is never left out
    torch.manual_seed(1)
    assert float(objective(model, batch).total) == first


@cache
def trained():
    model = build(std=1.5, mean=0.25)
    objective = MaskedFlow().build(model, SPECS)
    optimizer = torch.optim.AdamW(objective.groups(model)["model"], lr=5e-3)
    rng, losses = np.random.default_rng(3), []
    for _ in range(120):
        batch = batch_of(model, [speech(rng, 8) for _ in range(16)])
        ((_, loss),) = objective.losses(model.train(), batch, 0.0)
        losses.append(float(loss.total.detach()))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    return model.eval(), losses


def test_training_learns_the_flow_and_the_solver_speaks():
    model, losses = trained()
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:5])
    rng = np.random.default_rng(4)
    whole = [speech(rng, n) for n in (9, 4)]
    starts = [{"phones": whole[0]["phones"]}, {**whole[1], "mel": whole[1]["mel"].cut(0, 2)}]
    for how in (Ode(nfe=16), Ode(nfe=16, method="euler", guidance=1.0)):
        replies = how.complete(model, TASK, starts, SPECS, seeds=[1, 2])
        far = [
            np.abs(r.example["mel"].values - SOUND[e["phones"].ids]).mean() for r, e in zip(replies, whole, strict=True)
        ]
        assert np.mean(far) < 0.5  # a sound of another phone is 1.2 away on average
        assert np.array_equal(replies[1].example["mel"].values[:2], whole[1]["mel"].values[:2])
        assert replies[1].known == {"mel": 2}
        assert replies[1].new()["mel"].values.shape == (2, 3)
    items = list(Ode(nfe=2).generate(model, TASK, starts, SPECS, seeds=[1, 2]))
    assert [(number, name) for number, name, _ in items] == [(0, "mel")] * 9 + [(1, "mel")] * 2


def test_a_batch_gives_what_single_calls_give():
    model, _ = trained()
    rng = np.random.default_rng(5)
    starts = [{"phones": speech(rng, n)["phones"]} for n in (6, 3)]
    how = Ode(nfe=4)
    batch = how.complete(model, TASK, starts, SPECS, seeds=[7, 8], sampler=Sampler.greedy())
    for seed, start, together in zip((7, 8), starts, batch, strict=True):
        (alone,) = how.complete(model, TASK, [start], SPECS, seeds=[seed])
        np.testing.assert_allclose(alone.example["mel"].values, together.example["mel"].values, atol=1e-4)
        (other,) = how.complete(model, TASK, [start], SPECS, seeds=[9])
        assert np.abs(alone.example["mel"].values - other.example["mel"].values).max() > 0.01
    still = [Ode(nfe=4, temperature=0.0).complete(model, TASK, starts[:1], SPECS, seeds=[s])[0] for s in (1, 2)]
    np.testing.assert_array_equal(*(reply.example["mel"].values for reply in still))


def test_the_density_is_that_of_the_flow():
    """Against the determinant of the whole Jacobian, for a field that is known in every detail."""
    model, rng = build(steps=64, std=2.0, mean=1.0), np.random.default_rng(6)
    one = speech(rng, 4)
    slope = torch.tensor([0.5, -0.3, 0.2])
    # v = slope * x + 0.1: the density of x(1) is a Gaussian in closed form.
    model.velocity = lambda batch, noisy, time, hide, drop=None: {"mel": noisy["mel"] * slope + 0.1}
    (found,) = score(model, TASK, [one], SPECS)
    x = (torch.from_numpy(one["mel"].values).double() - 1.0) / 2.0
    scale, shift = torch.exp(slope.double()), 0.1 * (torch.exp(slope.double()) - 1) / slope.double()
    want = torch.distributions.Normal(shift, scale).log_prob(x).sum() - 4 * 3 * np.log(2.0)
    assert found["mel"].count == 4
    assert found.total.nats == pytest.approx(float(want), rel=1e-3)


def test_training_is_deterministic_and_runs_in_bfloat16():
    model, rng = build(), np.random.default_rng(8)
    batch, objective, totals = batch_of(model, [speech(rng, n) for n in (6, 3)]), MaskedFlow().build(model, SPECS), []
    for autocast in (False, False, True):
        torch.manual_seed(5)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = objective(model, batch)
        loss.total.backward()
        totals.append((float(loss.total.detach()), model.noisy["mel"].weight.grad.clone()))
    assert totals[0][0] == totals[1][0]
    assert torch.equal(totals[0][1], totals[1][1])
    assert totals[2][0] == pytest.approx(totals[0][0], rel=0.05)


def test_likelier_is_what_belongs_to_the_phones():
    model, _ = trained()
    rng = np.random.default_rng(7)
    right = [speech(rng, n) for n in (8, 5)]
    wrong = [{**e, "phones": Stream((e["phones"].ids + 1) % 4)} for e in right]
    with torch.inference_mode():  # gradients are needed all the same
        good, bad = score(model, TASK, right, SPECS), score(model, TASK, wrong, SPECS)
    for i in range(2):
        assert good[i]["mel"].mean > bad[i]["mel"].mean + 1
        (alone,) = score(model, TASK, [right[i]], SPECS)
        assert alone.total.nats == pytest.approx(good[i].total.nats, rel=1e-3)
    known = score(model, TASK, right, SPECS, [{"mel": 3}, {"mel": 0}])
    assert [one["mel"].count for one in known] == [5, 5]
    assert known[1].total.nats == pytest.approx(good[1].total.nats, rel=1e-3)
    assert all(weight.grad is None for weight in build().parameters())


def test_what_it_cannot_do_is_said():
    model = build()
    assert isinstance(model, FlowInfillModel)
    symbols = Task(name="units", layout=Layout((Stack(("phones", "units")),)), predict=("units",))
    lm = LM(name="lm", tasks=(symbols,), body=BODY)
    with pytest.raises(BadInput, match="makes vectors, but predicts 'units', which is symbols"):
        replace(lm, head=Velocity.tiny()).build(SPECS)
    with pytest.raises(
        BadInput, match="MaskedFlow trains a language model with the head Velocity, but 'lm' is a Infill"
    ):
        MaskedFlow().build(lm.build(SPECS), SPECS)
    with pytest.raises(BadInput, match="cross-entropy cannot train 'box', .* use the objective MaskedFlow"):
        CrossEntropy().build(model, SPECS)
    with pytest.raises(BadInput, match="causal=False"):
        build(replace(BODY, causal=True))
    with pytest.raises(BadInput, match="even number for the midpoint"):
        Ode(nfe=3)
    with pytest.raises(BadInput, match="expected std above 0"):
        Velocity(std=0.0)
    with pytest.raises(BadInput, match="least share above 0"):
        MaskedFlow(least=0.0)
    batch = collate([TASK.place([speech(np.random.default_rng(0), 3)], SPECS, {"mel": 4}, model.vocabs)], pads(model))
    with pytest.raises(BadInput, match="no cell to predict"):
        MaskedFlow().build(model, SPECS)(model, batch)
    assert Velocity(mean=-5.9, std=2.3).tiny() == Velocity(mean=-5.9, std=2.3, time=16, steps=4)
