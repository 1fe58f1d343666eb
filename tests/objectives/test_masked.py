from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream, pack
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Transformer, Velocity
from oration.objectives import CrossEntropy, Masked, NextLevel
from oration.objectives.masked import Plan
from oration.tasks import Task

LEVELS = ("c.0", "c.1", "c.2")
SPECS = {"mel": Spec(1, 25, dim=3), "units": Spec(6, 25), **dict.fromkeys(LEVELS, Spec(6, 25))}
LAYOUT = Layout((Line("units", row="text"), Stack(LEVELS, delays=(0, 1, 1))))
TASK = Task(name="acoustic", layout=LAYOUT, predict=LEVELS)
BODY = replace(Transformer.tiny(), causal=False)


def example(rng, frames, levels=3):
    found = {name: Stream(rng.integers(0, 6, frames)) for name in ("units", *LEVELS[:levels])}
    return found | {name: Stream(rng.integers(0, 6, 0)) for name in LEVELS[levels:]}


@cache
def case(lengths=((7, 5), (1, 9, 2))):
    """A model and a batch with several grids a line, of which one has a single level."""
    torch.manual_seed(0)
    model = LM(name="storm", tasks=(TASK,), body=BODY).build(SPECS).eval()
    rng = np.random.default_rng(0)
    lines = [
        [TASK.place([example(rng, n, 1 if n == 5 else 3)], SPECS, vocabs=model.vocabs) for n in line]
        for line in lengths
    ]
    return model, pack(
        lines,
        [vocab.offset("pad") for vocab in model.vocabs.values()],
        3 + max(sum(g.steps for g in line) for line in lines),
    )


def maskings(model, batch, config, training=True):
    plan = Plan(config, model, batch, model.asked(batch))
    return plan, plan.masking(plan.drawn, training=training)


configs = st.builds(
    Masked,
    schedule=st.sampled_from(["cosine", "linear", "all"]),
    levels=st.booleans(),
    prompt=st.sampled_from([0.0, 0.4, 1.0]),
    drop=st.sampled_from([0.0, 0.5]),
)


@settings(max_examples=60, deadline=None)
@given(config=configs, seed=st.integers(0, 10**6))
def test_of_every_grid_one_level_is_asked_and_finer_ones_are_hidden(config, seed):
    model, batch = case()
    torch.manual_seed(seed)
    plan, masking = maskings(model, batch, config)
    asked = plan.asked
    assert bool((masking.chosen <= masking.hide).all())
    assert bool((masking.hide <= asked).all())
    for number in plan.grid[batch.segment >= 0].unique().tolist():
        here = ((plan.grid == number) & (batch.segment >= 0))[:, None]
        chosen, hide, mine = (x & here for x in (masking.chosen, masking.hide, asked))
        rows = chosen.any(2).any(0).nonzero()[:, 0].tolist()
        assert bool(chosen.any())
        if not config.levels:
            assert torch.equal(hide, chosen)
            assert bool((masking.stage[here[:, 0]] == -1).all())
            continue
        (k,) = rows
        assert bool((masking.stage[here[:, 0]] == k).all())
        assert not bool(hide[:, :k].any())
        assert torch.equal(hide[:, k], chosen[:, k])
        steps = batch.position[chosen.any(1)]
        for finer in range(k + 1, mine.shape[1]):  # hidden whole, but for the beginning
            seen = batch.position[(mine & ~hide)[:, finer]]
            gone = batch.position[hide[:, finer]]
            assert not len(seen) or not len(gone) or int(seen.max()) < int(gone.min())
            assert not len(gone) or int(gone.min()) <= max(int(steps.min()), int(batch.position[mine[:, finer]].min()))
        if config.schedule == "all":
            seen = batch.position[(mine & ~hide)[:, k]]
            assert not len(seen) or int(seen.max()) < int(steps.min())
            if config.prompt == 0:
                assert not len(seen)
    if masking.drop is not None:
        dropped, text = masking.drop.any(1), model.holds(batch, ("units",)).any(1)
        assert bool((dropped <= text).all())
        for number in plan.grid[dropped].unique().tolist():  # all of a grid or nothing
            assert torch.equal(dropped & (plan.grid == number), text & (plan.grid == number) & (batch.segment >= 0))


def test_shares_follow_the_schedule():
    model, batch = case(((200,),))
    for schedule, mean in {"cosine": 2 / np.pi, "linear": 0.5, "all": 1.0}.items():
        shares = []
        for seed in range(200):
            torch.manual_seed(seed)
            _, masking = maskings(model, batch, Masked(schedule=schedule, prompt=0.0))
            shares.append(float(masking.chosen.sum()) / 200)
        assert np.mean(shares) == pytest.approx(mean, abs=0.06)


@torch.no_grad()
def test_the_loss_is_what_the_model_says_of_the_hidden_cells():
    model, batch = case()
    objective = Masked(prompt=0.5).build(model, SPECS).train()
    torch.manual_seed(3)
    loss = objective(model, batch)
    torch.manual_seed(3)
    _, masking = maskings(model, batch, Masked(prompt=0.5))
    hidden = model.hidden(batch, masking.hide, masking.stage)
    logits, nats = model.head(hidden, batch.tokens.transpose(1, 2)), []
    by_name = {}
    for b, k, s in masking.chosen.nonzero().tolist():
        token, name = int(batch.tokens[b, k, s]), model.rows[k]
        nats.append(-float(logits[name][b, s].log_softmax(-1)[token]))
        by_name.setdefault(name, []).append(nats[-1])
    assert float(loss.total) == pytest.approx(np.mean(nats), rel=1e-5)
    assert loss.parts == {name: pytest.approx(np.mean(found), rel=1e-5) for name, found in by_name.items()}


@torch.no_grad()
@pytest.mark.parametrize("config", [Masked(drop=0.4), NextLevel(drop=0.4), Masked(levels=False)])
def test_held_out_losses_are_of_every_level_and_repeat(config):
    model, batch = case()
    objective = config.build(model, SPECS).eval()
    found = []
    for _ in range(2):
        torch.manual_seed(11)
        ((group, loss),) = objective.losses(model, batch, 0.0)
        found.append(loss)
    assert group == "model"
    assert float(found[0].total) == float(found[1].total)
    assert set(found[0].parts) == set(LEVELS)
    assert all(np.log(6) * 0.5 < value < np.log(6) * 2 for value in found[0].parts.values())


def test_whole_levels_of_all_grids_are_the_pseudo_likelihood():
    model, batch = case()
    objective = NextLevel(prompt=0.0).build(model, SPECS).eval()
    with torch.no_grad():
        loss, (nats, counted) = objective(model, batch), model.cell_nats(batch)
    for k, name in enumerate(model.rows[1:], 1):
        mean = -float(nats[:, k].sum()) / int(counted[:, k].sum())
        assert loss.parts[name] == pytest.approx(mean, rel=1e-4)


def structured(rng, frames):
    """Level 0 follows the units, level 1 what stands before and after it on level 0, level 2 the sum of both."""
    units = rng.integers(0, 6, frames)
    zero = 5 - units
    one = (np.roll(zero, 1) + np.roll(zero, -1)) % 6
    levels = (zero, one, (zero + one) % 6)
    return {"units": Stream(units)} | {name: Stream(ids) for name, ids in zip(LEVELS, levels, strict=True)}


@pytest.mark.parametrize("config", [Masked(), NextLevel()], ids=["masked", "next level"])
def test_training_finds_the_structure(config):
    task = Task(name="levels", layout=Layout((Stack(("units", *LEVELS)),)), predict=LEVELS)
    torch.manual_seed(0)
    body = Transformer(layers=2, dim=32, heads=4, ffn=64, causal=False)
    model = LM(name="storm", tasks=(task,), body=body).build(SPECS)
    objective = config.build(model, SPECS)
    optimizer = torch.optim.AdamW(objective.groups(model)["model"], lr=1e-2)
    rng, pads = np.random.default_rng(0), [vocab.offset("pad") for vocab in model.vocabs.values()]

    def batch():
        return pack([[task.place([structured(rng, 12)], SPECS, vocabs=model.vocabs)] for _ in range(16)], pads)

    for _ in range(90):
        ((_, loss),) = objective.losses(model, batch(), 0.0)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    with torch.no_grad():
        held_out = objective.eval()(model, batch())
    chance = np.log(6)
    assert held_out.parts["c.0"] < 0.2 * chance
    assert held_out.parts["c.2"] < 0.8 * chance
    assert float(held_out.total) < 0.8 * chance


def test_training_is_deterministic_and_runs_in_bfloat16():
    model, batch = case()
    objective, totals = Masked(drop=0.5).build(model, SPECS), []
    for autocast in (False, False, True):
        torch.manual_seed(5)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = objective(model, batch)
        loss.total.backward()
        totals.append((float(loss.total.detach()), model.stages.weight.grad.clone()))
    model.zero_grad()
    assert totals[0][0] == totals[1][0]
    assert torch.equal(totals[0][1], totals[1][1])
    assert totals[2][0] == pytest.approx(totals[0][0], rel=0.05)


def test_what_it_cannot_train_is_said():
    causal = LM(name="lm", tasks=(TASK,), body=Transformer.tiny()).build(SPECS)
    with pytest.raises(
        BadInput, match="looks both ways, but 'lm' is a LanguageModel; build its body with causal=False"
    ):
        Masked().build(causal, SPECS)
    mel = Task(name="mel", layout=Layout((Stack(("units", "mel")),)), predict=("mel",))
    with pytest.raises(BadInput, match="predicts the vectors of 'mel'"):
        Masked().build(LM(name="box", tasks=(mel,), body=BODY, head=Velocity.tiny()).build(SPECS), SPECS)
    with pytest.raises(BadInput, match="expected a prompt from 0 to 1"):
        Masked(prompt=2.0)
    model, batch = case()
    with pytest.raises(BadInput, match="no cell to predict"):
        Masked().build(model, SPECS)(model, replace(batch, role=batch.role.clamp(max=1)))


def test_plain_cross_entropy_asks_for_everything_at_once():
    model, batch = case()
    with torch.no_grad():
        loss = CrossEntropy().build(model, SPECS)(model, batch)
        changed = torch.where(model.asked(batch), 0, batch.tokens)
        logits = [model(b)["c.1"] for b in (batch, replace(batch, tokens=changed))]
    assert set(loss.parts) == {*LEVELS, "end"}
    assert torch.equal(*logits)  # nothing that is predicted is seen
