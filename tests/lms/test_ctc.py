from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate, pack
from oration.generate import Once, score
from oration.generate.once import collapse
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Ctc, CtcModel, Transformer
from oration.objectives import CrossEntropy, CtcLoss
from oration.tasks import Task

SPECS = {"text.hidden": Spec(1, dim=6), "text": Spec(5), "units": Spec(8, 50), "f0": Spec(4, 50)}
SPEAK = Task(name="speak", layout=Layout((Line("text.hidden"), Line("units"))), predict=("units",))
READ = Task(name="read", layout=Layout((Line("text"), Line("units"))), predict=("units",))


def build(task=SPEAK, upsample=4, **body):
    torch.manual_seed(0)
    lm = LM(name="voice", tasks=(task,), body=replace(Transformer.tiny(), **body), head=Ctc(upsample=upsample))
    model = lm.build(SPECS).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith(("embeddings", "head", "values")):
                weight.normal_(std=0.7)
    return model


def example(rng, words, units):
    return {
        "text.hidden": Stream.dense(rng.normal(size=(words, 6))),
        "text": Stream(rng.integers(0, 5, words)),
        "units": Stream(rng.integers(0, 8, units)),
    }


def grids(model, examples, task=SPEAK):
    return [task.place([e], SPECS, vocabs=model.vocabs) for e in examples]


def pads(model):
    return [vocab.offset("pad") for vocab in model.vocabs.values()]


@torch.no_grad()
def test_the_loss_is_the_sum_over_all_alignments():
    model = build(upsample=2)
    units = Stream(np.array([2, 2, 1]))
    batch = collate(grids(model, [{**example(np.random.default_rng(0), 2, 0), "units": units}]), pads(model))
    said = model.emissions(batch)
    assert said.logp.shape == (1, 4, 9)
    assert said.lengths.tolist() == [4]
    total = 0.0
    for path in product(range(9), repeat=4):
        if collapse(torch.tensor(path), 8)[0] == [2, 2, 1]:
            total += float(said.logp[0, range(4), path].sum().exp())
    nats, true = model.losses(batch)
    assert float(nats[0]) == pytest.approx(-np.log(total), rel=1e-5)
    assert (true.lengths.tolist(), true.steps.tolist()) == ([3], [4])
    (found,) = score(model, SPEAK, [{**example(np.random.default_rng(0), 2, 0), "units": units}], SPECS)
    assert found["units"].count == 3
    assert found.total.nats == pytest.approx(np.log(total), rel=1e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("task", [SPEAK, READ], ids=["vectors", "symbols"])
@torch.no_grad()
def test_batch_padding_and_packing_change_nothing(task, causal):
    model = build(task, causal=causal)
    rng = np.random.default_rng(1)
    examples = [example(rng, *sizes) for sizes in ((5, 9), (1, 2), (3, 0))]
    placed = grids(model, examples, task)
    single = [model.losses(collate([grid], pads(model)))[0][0] for grid in placed]
    long = sum(grid.steps for grid in placed)
    for lines in ([[g] for g in placed], [placed], [placed[:1], placed[1:]]):
        batch = pack(lines, pads(model), long + 2)
        torch.testing.assert_close(model.losses(batch)[0], torch.stack(single), atol=1e-4, rtol=1e-4)
        said = model.emissions(batch)
        assert said.lengths.tolist() == [20, 4, 12]
        nats, counted = model.cell_nats(batch)
        assert int(counted.sum()) == 11
        assert float(nats.sum()) == pytest.approx(-float(single[0] + single[1]), rel=1e-4)


@torch.no_grad()
def test_what_is_predicted_is_not_read():
    model = build()
    one = example(np.random.default_rng(2), 4, 6)
    two = {**one, "units": Stream((one["units"].ids + 1) % 8)}
    first, second = (model(collate(grids(model, [e]), pads(model)))["main"] for e in (one, two))
    assert torch.equal(first, second)


def test_what_does_not_fit_teaches_nothing_or_is_refused():
    model = build(upsample=2)
    rng = np.random.default_rng(3)
    fits, long = example(rng, 4, 3), example(rng, 2, 9)
    objective = CtcLoss().build(model, SPECS)
    alone = objective(model, collate(grids(model, [fits]), pads(model)))
    both = objective(model, collate(grids(model, [fits, long]), pads(model)))
    assert float(both.total.detach()) == pytest.approx(float(alone.total.detach()), rel=1e-5)
    assert alone.parts == {"units": pytest.approx(float(alone.total.detach())), "too_long": 0.0}
    assert both.parts["too_long"] == 0.5
    both.total.backward()
    assert all(bool(torch.isfinite(w.grad).all()) for w in model.parameters() if w.grad is not None)
    none = objective(model, collate(grids(model, [long]), pads(model)))
    assert float(none.total.detach()) == 0
    assert none.parts == {"too_long": 1.0}
    model.zero_grad()
    none.total.backward()
    assert not any(bool(w.grad.any()) for w in model.parameters() if w.grad is not None)
    (found,) = score(model, SPEAK, [long], SPECS)
    assert found.total.nats == -np.inf
    refusing = CtcLoss(too_long="refuse").build(model, SPECS)
    with pytest.raises(BadInput, match=r"9 symbols of 'units' need \d+ steps, more than .* at 2 a given item; raise"):
        refusing(model, collate(grids(model, [fits, long]), pads(model)))


def test_training_is_deterministic_and_runs_in_bfloat16():
    model, rng = build(), np.random.default_rng(8)
    batch, objective, totals = (
        collate(grids(model, [example(rng, 5, 7)]), pads(model)),
        CtcLoss().build(model, SPECS),
        [],
    )
    for autocast in (False, False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = objective(model, batch)
        loss.total.backward()
        totals.append((float(loss.total.detach()), model.values["text/hidden"].weight.grad.clone()))
    assert totals[0][0] == totals[1][0]
    assert torch.equal(totals[0][1], totals[1][1])
    assert totals[2][0] == pytest.approx(totals[0][0], rel=0.05)


ALPHABET = np.array([[0, 1], [2], [3, 4], [5], [6, 7, 6]], dtype=object)


@cache
def trained():
    """A voice that has learnt to spell five words, each in units of its own."""
    model = build(READ, upsample=5, positions="sine")
    objective = CtcLoss().build(model, SPECS)
    optimizer = torch.optim.AdamW(objective.groups(model)["model"], lr=1e-2)
    rng = np.random.default_rng(4)
    for _ in range(130):
        batch = collate(
            grids(model, [spelled(rng.integers(0, 5, int(rng.integers(2, 6)))) for _ in range(8)], READ), pads(model)
        )
        ((group, loss),) = objective.losses(model.train(), batch, 0.0)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert group == "model"
    return model.eval(), float(loss.total.detach())


def spelled(text):
    return {"text": Stream(text), "units": Stream(np.concatenate([ALPHABET[t] for t in text]).astype(np.int64))}


def test_training_finds_the_alignment_and_once_says_it():
    model, loss = trained()
    assert loss < 0.3  # nats a unit; chance is log 8
    examples = [spelled(np.array(text)) for text in ([1, 2, 3], [4, 0], [2, 2, 0, 4])]
    starts = [{"text": e["text"]} for e in examples]
    replies = Once().complete(model, READ, starts, SPECS, seeds=[1, 2, 3])
    for i, (reply, e) in enumerate(zip(replies, examples, strict=True)):
        assert reply.example["units"].ids.tolist() == e["units"].ids.tolist()
        assert reply.new()["units"].ids.tolist() == e["units"].ids.tolist()
        assert (reply.known, reply.stopped, reply.steps) == ({"units": 0}, "end", len(e["units"]))
        (alone,) = Once().complete(model, READ, [starts[i]], SPECS, seeds=[9])
        assert alone.example["units"].ids.tolist() == reply.example["units"].ids.tolist()
    items = list(Once().generate(model, READ, starts, SPECS, seeds=[1, 2, 3]))
    assert [unit for number, _, unit in items if number == 1] == replies[1].example["units"].ids.tolist()


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (2, 0, 3), (5,)])
def test_any_cutting_gives_what_the_whole_gives(pieces):
    model, _ = trained()
    text = np.array([1, 3, 3, 0, 2])
    (whole,) = Once().complete(model, READ, [{"text": Stream(text)}], SPECS, seeds=[0])
    live, at, said = Once().live(model, READ, SPECS, most=5), 0, []
    for piece in pieces:
        said += live.push({"text": Stream(text[at : at + piece])})
        at += piece
    assert [unit for _, unit in said + live.flush()] == whole.example["units"].ids.tolist()
    assert {name for name, _ in said} == {"units"}
    with pytest.raises(BadInput, match="1 more items do not fit this stream, which has room for 0"):
        live.push({"text": Stream(text[:1])})


def test_what_it_cannot_do_is_said():
    model = build()
    assert isinstance(model, CtcModel)
    start = {"text.hidden": Stream.dense(np.zeros((2, 6))), "units": Stream(np.arange(2))}
    with pytest.raises(BadInput, match="cannot go on from a beginning, but the prompt has 2 items of it"):
        Once().complete(model, SPEAK, [start], SPECS, seeds=[0])
    grid = SPEAK.place([start], SPECS, {"units": 1}, model.vocabs)
    with pytest.raises(BadInput, match="cannot go on from a beginning"):
        model.losses(collate([grid], pads(model)))
    with pytest.raises(BadInput, match="does not go step by step"):
        model.start(1, 5)
    with pytest.raises(BadInput, match="its body is not causal"):
        Once().live(build(causal=False), SPEAK, SPECS)
    rows = LM(name="lm", tasks=(READ,), body=Transformer.tiny()).build(SPECS)
    with pytest.raises(BadInput, match="Once reads the head Ctc, but 'lm' is a LanguageModel"):
        Once().complete(rows, READ, [{"text": Stream(np.arange(2))}], SPECS, seeds=[0])
    with pytest.raises(
        BadInput, match="CtcLoss trains a language model with the head Ctc, but 'lm' is a LanguageModel"
    ):
        CtcLoss().build(rows, SPECS)
    with pytest.raises(BadInput, match="cross-entropy cannot train 'voice', a CtcModel, .* use the objective CtcLoss"):
        CrossEntropy().build(model, SPECS)
    both = Task(name="both", layout=Layout((Line("text"), Stack(("units", "f0")))), predict=("units", "f0"))
    with pytest.raises(BadInput, match=r"predicts \('units', 'f0'\) \(2 rows\), expected one stream"):
        build(both)
    empty = Task(name="empty", layout=SPEAK.layout, predict=("units",))
    with pytest.raises(BadInput, match="has no 'units' to predict"):
        CtcLoss().build(model, SPECS)(
            model, collate(grids(model, [example(np.random.default_rng(0), 2, 0)], empty), pads(model))
        )
    short = replace(model.config, context=20, body=replace(Transformer.tiny(), positions=20)).build(SPECS)
    with pytest.raises(
        BadInput, match="6 given items at 4 steps each do not fit 'voice', whose body knows 20 positions"
    ):
        short(collate(grids(short, [example(np.random.default_rng(0), 6, 2)]), pads(short)))
    with pytest.raises(BadInput, match="at least 1 step"):
        Ctc(upsample=0)
    assert Ctc(upsample=25).tiny().upsample == 6
