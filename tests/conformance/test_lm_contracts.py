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
from oration.lms import (
    LM,
    Depth,
    Flow,
    FromText,
    Fusion,
    Griffin,
    Layer,
    RecentTransformer,
    Regress,
    Rows,
    StateSpace,
    TextBody,
    Transformer,
    TwoTowers,
)
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


DEPTH = Depth(layers=2, dim=16, heads=2, kv_heads=1, ffn=24, inputs="sequence")
GPT = Layer(norm="layer", norm_eps=1e-5, mlp="gelu_tanh", mlp_bias=True, out_bias=True)
MODELS = {
    "rows": lambda: {"body": Transformer.tiny(), "head": Rows()},
    "window, tied": lambda: {"body": replace(Transformer.tiny(), window=5), "head": Rows(tied=True)},
    "depth shared": lambda: {"body": Transformer.tiny(), "head": DEPTH},
    "depth per row": lambda: {
        "body": Transformer.tiny(),
        "head": replace(DEPTH, inputs="sum", weights_per_row=True, rope_base=None, final_norm=False),
    },
    "regress": lambda: {"body": Transformer.tiny(), "head": Regress(deltas=2, dropout=0.1).tiny()},
    "flow": lambda: {"body": Transformer.tiny(), "head": Flow(symbols=DEPTH, repeats=2).tiny()},
    "text body": lambda: {"body": TextBody(folder=llama()), "head": Rows(), "start": FromText()},
    "gpt": lambda: {"body": replace(Transformer.tiny(), layer=GPT, bias=True, positions=2048)},
    "sine, relu": lambda: {"body": replace(Transformer.tiny(), layer=replace(GPT, mlp="relu"), positions="sine")},
    "neighbours turned": lambda: {
        "body": replace(Transformer.tiny(), positions="rotary_interleaved", layer=Layer(head_width=12, mlp="gelu"))
    },
    "fusion middle": lambda: {"body": Transformer.tiny(), "fusion": Fusion(rows=("user.listen",))},
    "fusion late": lambda: {"body": Transformer.tiny(), "fusion": Fusion(rows=("user.listen",), where="late")},
    "mamba": lambda: {"body": StateSpace.tiny()},
    "recent": lambda: {"body": replace(RecentTransformer.tiny(), back=4), "head": Rows(bias=True)},
    "griffin": lambda: {"body": replace(Griffin.tiny(), window=5, width=24)},
    "towers": lambda: {"body": replace(TwoTowers.tiny(), channels=("a.", "b."))},
    "towers, tied": lambda: {
        "body": replace(TwoTowers.tiny(), channels=("a.", "b."), positions="rotary"),
        "head": Rows(tied=True),
    },
    "towers, depth": lambda: {"body": replace(TwoTowers.tiny(), channels=("a.", "b.")), "head": DEPTH},
}
DIALOGUES = [name for name, (blocks, _) in LAYOUTS.items() if {name[:2] for name in blocks.streams} == {"a.", "b."}]


def layouts(kind):
    """The layouts a kind of model goes through: two towers want two channels."""
    if kind.startswith("fusion"):
        return ["lslm", "late stack"]
    return DIALOGUES if kind.startswith("towers") else LAYOUTS if kind == "rows" else PUBLISHED


every = pytest.mark.parametrize(("layout", "kind"), [(a, b) for b in MODELS for a in layouts(b)])
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


def drawn(model, hidden, column):
    """Hidden vectors and the true column, long[n, K] -> logits of every row, drawn as a generator does."""
    live, logits = model.head.begin(hidden), {}
    for k, row in enumerate(model.rows):
        logits[row] = live.logits(row)
        live.take(row, column[:, k])
    return logits


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
        hidden = model.advance(state, column, dense_at(batch, step - 1))
        live = stacked(drawn(model, hidden, batch.tokens[:, :, step]))
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
    at = torch.arange(3)
    for got, stops in ((hidden, lengths), (first, halves)):
        live = stacked(model.head(got, batch.tokens[at, :, torch.tensor(stops)]))
        torch.testing.assert_close(live, forced[at, torch.tensor(stops)], **CLOSE)
    # Sequences that stand at different positions go on together, and may be forked and dropped on the way.
    kept = torch.tensor([2, 0, 2])
    fork = parts.select(kept)
    columns = torch.stack([batch.tokens[i, :, halves[i]] for i in kept])
    dense = {name: torch.zeros(3, d.values.shape[1]) for name, d in batch.dense.items()}
    for j, i in enumerate(kept.tolist()):
        for name, values in dense_at(batch, halves[i]).items():
            dense[name][j] = values[i]
    after = [min(halves[i] + 1, batch.tokens.shape[2] - 1) for i in kept]
    live = stacked(drawn(model, model.advance(fork, columns, dense), batch.tokens[kept, :, torch.tensor(after)]))
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
    before = model(batch)
    step = int(rng.integers(grids[0].steps - 1)) if grids[0].steps > 1 else 0
    tokens = batch.tokens.clone()
    top = int(rng.integers(len(model.rows)))
    for k, vocab in list(enumerate(model.vocabs.values()))[top:]:
        tokens[0, k, step] = (tokens[0, k, step] + rng.integers(1, vocab.size)) % vocab.size
    dense = {
        name: replace(d, values=torch.where(((d.sequence == 0) & (d.step == step))[:, None], d.values + 1, d.values))
        for name, d in batch.dense.items()
    }
    after = model(replace(batch, tokens=tokens, dense=dense))
    alone = {row for group in model.head.groups if len(group) == 1 for row in group}
    for k, row in enumerate(model.rows):
        assert torch.equal(before[row][1:], after[row][1:])
        assert torch.equal(before[row][0, :step], after[row][0, :step])
        if k <= top or row in alone:  # a row may know those above it in its own column
            assert torch.equal(before[row][0, step], after[row][0, step])
    if step + 1 < grids[0].steps:
        assert not torch.allclose(stacked(before)[0, step + 1], stacked(after)[0, step + 1], atol=1e-4)


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
        torch.manual_seed(0)
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


def vectors(model, batch):
    """The sum of the losses of the predicted vectors, if the head makes any."""
    torch.manual_seed(0)
    hidden, total = model.hidden(batch), 0.0
    for name, d in batch.dense.items() if model.head.continuous else ():
        cells = [cell.tolist() for cell in torch.stack((d.sequence, d.row, d.step), 1)]
        asked = sorted((b, s, n) for n, (b, k, s) in enumerate(cells) if batch.role[b, k, s] == PREDICT)
        if asked:
            before = [i - 1 if i and asked[i - 1][0] == b else -1 for i, (b, _, _) in enumerate(asked)]
            h = torch.stack([hidden[b, s] for b, s, _ in asked])
            target = d.values[[n for *_, n in asked]]
            total += float(model.head.vector_losses(h, name, target, torch.tensor(before)).double().sum())
    return total


@every
@torch.no_grad()
def test_the_loss_is_over_the_predicted_cells_only(layout, kind):
    model, grids, pads = case(layout, kind)
    batch = collate(grids, pads)
    if not bool((batch.role == PREDICT).any()):
        return
    torch.manual_seed(0)
    loss = CrossEntropy().build(model, {})(model, batch)
    logits, nats, count = model(batch), 0.0, 0
    for k, row in enumerate(model.rows):
        logp = logits[row].double().log_softmax(-1).gather(-1, batch.tokens[:, k, :, None])[..., 0]
        nats -= float(logp[batch.role[:, k] == PREDICT].sum())
        count += int((batch.role[:, k] == PREDICT).sum())
    assert float(loss.total) == pytest.approx((nats + vectors(model, batch)) / count, rel=1e-5)
    assert {ABSENT, GIVEN, PREDICT} >= set(batch.role.unique().tolist())
