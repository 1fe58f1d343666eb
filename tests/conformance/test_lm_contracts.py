"""What every language model keeps, whatever its layout, body and head. A new one joins by one line in MODELS."""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from oration.core import ABSENT, GIVEN, PREDICT, Batch, DenseBatch, collate, pack
from oration.lms import LM, FromText, Rows, TextBody, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "layouts"))
from published import LAYOUTS, PUBLISHED, draw, specs_of


@cache
def llama():
    """A folder with a tiny LLaMA of random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
    )
    folder = mkdtemp()
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


MODELS = {
    "rows": lambda: {"body": Transformer.tiny(), "head": Rows()},
    "window, tied": lambda: {"body": replace(Transformer.tiny(), window=5), "head": Rows(tied=True)},
    "text body": lambda: {"body": TextBody(folder=llama()), "head": Rows(), "start": FromText()},
}
every = pytest.mark.parametrize(
    ("layout", "kind"), [(a, b) for b in MODELS for a in (LAYOUTS if b == "rows" else PUBLISHED)]
)
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


@cache
def case(layout, kind):
    """A model, its task, and three examples of unequal length on the grid."""
    blocks, predict = LAYOUTS[layout]
    task, specs = Task(name="test", layout=blocks, predict=predict), specs_of(blocks)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), **MODELS[kind]()).build(specs).eval()
    with torch.no_grad():  # so that a cell's content matters visibly
        for name, weight in model.named_parameters():
            if name.startswith(("embeddings", "head", "values", "first")):
                weight.normal_(std=0.5)
    rng = np.random.default_rng(len(layout))
    grids = [task.place([draw(blocks.streams, frames, rng)], specs, vocabs=model.vocabs) for frames in (7, 3, 5)]
    pads = [vocab.offset("pad") for vocab in model.vocabs.values()]
    return model, grids, pads


def stacked(logits):
    """row -> float[..., V] as one float[..., sum of V]."""
    return torch.cat([*logits.values()], -1)


def dense_at(batch, step):
    """The vectors that `batch` holds at one step, as `next` wants them."""
    found = {}
    for name, d in batch.dense.items():
        here = d.step == step
        found[name] = torch.zeros(len(batch.tokens), d.values.shape[1])
        found[name][d.sequence[here]] = d.values[here]
    return found


def cut(batch, lengths, start=0):
    """Columns `start` to `lengths` of each sequence."""
    at = torch.arange(batch.tokens.shape[2])
    keep = (at >= start) & (at < torch.as_tensor(lengths)[:, None])
    dense = {}
    for name, d in batch.dense.items():
        here = keep[d.sequence, d.step]
        dense[name] = DenseBatch(d.sequence[here], d.row[here], d.step[here] - start, d.values[here])
    stop = max(lengths)
    segment = torch.where(keep, batch.segment, -1)[:, start:stop]
    return Batch(
        batch.tokens[:, :, start:stop],
        batch.role[:, :, start:stop],
        segment,
        batch.position[:, start:stop],
        batch.rows,
        dense,
    )


@every
@torch.no_grad()
def test_teacher_forcing_equals_step_by_step(layout, kind):
    model, grids, pads = case(layout, kind)
    batch = collate(grids, pads)
    forced = stacked(model(batch))
    state = model.start(len(grids), batch.tokens.shape[2])
    for step in range(batch.tokens.shape[2]):
        column = batch.tokens[:, :, step - 1] if step else None
        live = stacked(model.next(state, column, dense_at(batch, step - 1)))
        assert state.length.tolist() == [step] * len(grids)
        for i, grid in enumerate(grids):
            if step < grid.steps:
                torch.testing.assert_close(live[i], forced[i, step], **CLOSE)


@every
@torch.no_grad()
def test_a_prompt_at_once_equals_step_by_step(layout, kind):
    model, grids, pads = case(layout, kind)
    batch = collate(grids, pads)
    forced = stacked(model(batch))
    lengths = [grid.steps - 1 - min(i, grid.steps - 1) for i, grid in enumerate(grids)]
    halves = [length // 2 for length in lengths]
    whole, parts = model.start(3, max(lengths) + 3), model.start(3, max(lengths) + 3)
    hidden = model.prefill(whole, cut(batch, lengths))
    assert whole.length.tolist() == lengths
    first = model.prefill(parts, cut(batch, halves))
    for i, (length, half) in enumerate(zip(lengths, halves, strict=True)):
        torch.testing.assert_close(stacked(model.head(hidden, batch.tokens[:, :, 0]))[i], forced[i, length], **CLOSE)
        torch.testing.assert_close(stacked(model.head(first, batch.tokens[:, :, 0]))[i], forced[i, half], **CLOSE)
    # Sequences that stand at different positions go on together, and may be forked and dropped on the way.
    kept = torch.tensor([2, 0, 2])
    fork = parts.select(kept)
    columns = torch.stack([batch.tokens[i, :, halves[i]] for i in kept])
    dense = {name: torch.zeros(3, d.values.shape[1]) for name, d in batch.dense.items()}
    for j, i in enumerate(kept.tolist()):
        for name, values in dense_at(batch, halves[i]).items():
            dense[name][j] = values[i]
    live = stacked(model.next(fork, columns, dense))
    for j, i in enumerate(kept.tolist()):
        if halves[i] + 1 < grids[i].steps:
            torch.testing.assert_close(live[j], forced[i, halves[i] + 1], **CLOSE)
    assert parts.length.tolist() == halves


@every
@torch.no_grad()
def test_a_cell_changes_no_earlier_step_and_no_other_example(layout, kind):
    model, grids, pads = case(layout, kind)
    rng = np.random.default_rng(1)
    batch = collate(grids, pads)
    before = stacked(model(batch))
    step = int(rng.integers(grids[0].steps - 1)) if grids[0].steps > 1 else 0
    tokens = batch.tokens.clone()
    for k, vocab in enumerate(model.vocabs.values()):
        tokens[0, k, step] = (tokens[0, k, step] + rng.integers(1, vocab.size)) % vocab.size
    dense = {
        name: replace(d, values=torch.where(((d.sequence == 0) & (d.step == step))[:, None], d.values + 1, d.values))
        for name, d in batch.dense.items()
    }
    after = stacked(model(replace(batch, tokens=tokens, dense=dense)))
    assert torch.equal(before[1:], after[1:])
    assert torch.equal(before[0, : step + 1], after[0, : step + 1])
    if step + 1 < grids[0].steps:
        assert not torch.allclose(before[0, step + 1], after[0, step + 1], atol=1e-4)


@every
@torch.no_grad()
def test_batch_padding_and_packing_change_nothing(layout, kind):
    model, grids, pads = case(layout, kind)
    single = [stacked(model(collate([grid], pads)))[0] for grid in grids]
    long = sum(grid.steps for grid in grids) + 3
    padded = stacked(model(pack([[grid] for grid in grids], pads, long)))
    packed = stacked(model(pack([grids[:2], grids[::-1]], pads, long)))
    for i, want in enumerate(single):
        torch.testing.assert_close(padded[i, : len(want)], want, **CLOSE)
    for line, order in enumerate([(0, 1), (2, 1, 0)]):
        at = 0
        for i in order:
            torch.testing.assert_close(packed[line, at : at + len(single[i])], single[i], **CLOSE)
            at += len(single[i])
    assert bool(torch.isfinite(padded).all())
    assert bool(torch.isfinite(packed).all())


@every
def test_training_is_deterministic_and_runs_in_bfloat16(layout, kind):
    model, grids, pads = case(layout, kind)
    batch = pack([grids, grids[:1]], pads)
    if not bool((batch.role == PREDICT).any()):
        return
    objective = CrossEntropy().build(model, {})
    model.train()
    grads = []
    for autocast in (False, False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            ((group, loss),) = objective.losses(model, batch, 0.0)
        loss.total.backward()
        assert group == "model"
        assert np.isfinite(loss.total.item())
        grads.append((loss.total.item(), model.first.grad.clone(), loss.parts))
    model.zero_grad()
    model.eval()
    assert grads[0][0] == grads[1][0]
    assert torch.equal(grads[0][1], grads[1][1])
    assert abs(grads[2][0] - grads[0][0]) < 0.05 * grads[0][0]
    assert set(grads[0][2]) <= {name for vocab in model.vocabs.values() for name, _ in vocab.blocks}


@every
@torch.no_grad()
def test_the_loss_is_over_the_predicted_cells_only(layout, kind):
    model, grids, pads = case(layout, kind)
    batch = collate(grids, pads)
    if not bool((batch.role == PREDICT).any()):
        return
    loss = CrossEntropy().build(model, {})(model, batch)
    logits, nats, count = model(batch), 0.0, 0
    for k, row in enumerate(model.rows):
        logp = logits[row].double().log_softmax(-1).gather(-1, batch.tokens[:, k, :, None])[..., 0]
        nats -= float(logp[batch.role[:, k] == PREDICT].sum())
        count += int((batch.role[:, k] == PREDICT).sum())
    assert float(loss.total) == pytest.approx(nats / count, rel=1e-5)
    assert {ABSENT, GIVEN, PREDICT} >= set(batch.role.unique().tolist())
