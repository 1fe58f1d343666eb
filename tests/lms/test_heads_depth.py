"""The depth head: what a row knows of its column, what is computed, and at which steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream, Vocab, collate, from_record, to_record
from oration.layouts import Layout, Stack
from oration.lms import LM, Depth, FromText, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task

ROWS = ("text", "a", "b", "c", "user")
SPECS = {"text": Spec(12, 12.5), **{name: Spec(9, 12.5) for name in ROWS[1:]}}
TALK = Task(name="talk", layout=Layout((Stack(ROWS),)), predict=("text", "a", "b", "c"))
DEPTH = Depth(layers=2, dim=16, heads=2, kv_heads=1, ffn=24, rows=("a", "b", "c"), independent=("text",))


def build(head, task=TALK):
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), head=head).build(SPECS).eval()
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.normal_(std=0.5)
    return model


def batch_of(model, frames=(6, 4)):
    rng = np.random.default_rng(0)
    examples = [{name: Stream(rng.integers(0, SPECS[name].size, n)) for name in ROWS} for n in frames]
    return collate(
        [TALK.place([e], SPECS, vocabs=model.vocabs) for e in examples],
        [v.offset("pad") for v in model.vocabs.values()],
    )


@torch.no_grad()
@settings(deadline=None, max_examples=40)
@given(
    per_row=st.booleans(),
    inputs=st.sampled_from(["sum", "sequence"]),
    rope=st.sampled_from([None, 100.0]),
    roles=st.lists(st.sampled_from("dio"), min_size=5, max_size=5),
    skip=st.sets(st.integers(0, 4)),
)
def test_drawing_a_column_gives_the_logits_of_training(per_row, inputs, rope, roles, skip):
    """Whichever rows are deep (d), independent (i) or outside (o), and whichever are asked for."""
    deep = tuple(row for row, role in zip(ROWS, roles, strict=True) if role == "d")
    alone = tuple(row for row, role in zip(ROWS, roles, strict=True) if role == "i")
    model = build(replace(DEPTH, rows=deep, independent=alone, weights_per_row=per_row, inputs=inputs, rope_base=rope))
    batch = batch_of(model)
    hidden = model.hidden(batch)
    logits = model.head(hidden, batch.tokens.transpose(1, 2))
    assert tuple(logits) == model.head.rows == tuple(row for row in ROWS if row in deep + alone)
    column = model.head.begin(hidden[:, 3])
    for k, row in enumerate(ROWS):
        if row in logits and k not in skip:
            torch.testing.assert_close(column.logits(row), logits[row][:, 3], atol=1e-5, rtol=1e-4)
        column.take(row, batch.tokens[:, k, 3])
    for row in logits:  # asked for alone, a row is what it is among all
        only = model.head(hidden, batch.tokens.transpose(1, 2), (row,))
        assert list(only) == [row]
        assert torch.equal(only[row], logits[row])


@torch.no_grad()
@pytest.mark.parametrize("inputs", ["sum", "sequence"])
def test_a_row_sees_the_rows_above_it_but_not_those_outside(inputs):
    model = build(replace(DEPTH, inputs=inputs))
    hidden, tokens = torch.randn(2, model.dim), torch.zeros(2, 5, dtype=torch.long)
    before = model.head(hidden, tokens)
    for k, row in enumerate(ROWS):
        other = tokens.clone()
        other[:, k] = 5
        after = model.head(hidden, other)
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert changed == [name for name in ("a", "b", "c") if row != "user" and ROWS.index(name) > k]


def test_sizes_are_those_of_the_papers():
    """Moshi's depth Transformer: weights for each of 8 rows; CSM's: one for 31, with the backbone's embeddings."""
    levels = tuple(f"codec.{i}" for i in range(8))
    vocabs = {
        "text": Vocab((("text", 32000), ("pad", 1), ("end", 1))),
        **{row: Vocab(((row, 2048), ("pad", 1), ("end", 1))) for row in levels},
    }
    moshi = Depth(
        layers=6, dim=1024, heads=16, ffn=2816, rows=levels, independent=("text",), weights_per_row=True,
        rope_base=None, final_norm=False,
    )  # fmt: skip
    with torch.device("meta"):
        head = moshi.build(4096, vocabs, torch.nn.ModuleDict())
    blocks = sum(weight.numel() for weight in head.blocks.parameters())
    assert blocks == 6 * (8 * (4 * 1024**2 + 3 * 1024 * 2816) + 2 * 1024)
    assert sum(weight.numel() for weight in head.inward.parameters()) == 8 * 4096 * 1024
    assert set(head.embeddings) == {"text", *(f"codec/{i}" for i in range(7))}  # nothing comes after the last
    assert head.projections["text"].weight.shape == (32002, 4096)
    with torch.device("meta"):
        csm = replace(moshi, weights_per_row=False, inputs="sequence", rope_base=500_000.0).build(2048, vocabs, {})
    assert len(csm.inward.layers) == len(csm.blocks[0].qkv.layers) == 1
    assert not len(csm.embeddings)


@pytest.mark.parametrize("head", [DEPTH, replace(DEPTH, inputs="sequence", weights_per_row=True)])
def test_only_what_is_asked_is_computed(head):
    model = build(head)
    ran = []
    model.head.blocks[0].register_forward_hook(lambda module, args, out: ran.append(tuple(args[0].shape[:2])))
    batch = batch_of(model)
    places = 3 if head.inputs == "sum" else 4
    CrossEntropy().build(model, SPECS)(model, batch)
    assert ran == [(7 + 5, places)]  # one pass over the rows of all steps with a predicted cell, ends included
    ran.clear()
    column = model.head.begin(model.hidden(batch)[:, 0])
    column.logits("text")
    column.take("text", batch.tokens[:, 0, 0])
    assert not ran
    column.take("a", batch.tokens[:, 1, 0])
    column.logits("b")  # a was given: its place and b's run together
    column.logits("b")
    column.take("b", batch.tokens[:, 2, 0])
    column.logits("c")
    assert ran == [(2, places - 1), (2, 1)]


def test_a_share_of_the_steps_stands_for_all():
    model = build(DEPTH)
    batch = batch_of(model, (40, 33, 25))
    whole = CrossEntropy().build(model, SPECS)(model, batch)
    objective = CrossEntropy(share=0.25).build(model, SPECS)
    same = objective(model, batch)  # nothing is left out when the model is only measured
    assert same.total.item() == pytest.approx(whole.total.item(), rel=1e-6)
    ran = []
    model.head.blocks[0].register_forward_hook(lambda module, args, out: ran.append(args[0].shape[0]))
    model.train()
    torch.manual_seed(0)
    losses = [objective(model, batch) for _ in range(30)]
    assert set(ran) == {round(0.25 * (41 + 34 + 26))}
    assert all(loss.parts["text"] == pytest.approx(whole.parts["text"], rel=1e-6) for loss in losses)
    totals = torch.stack([loss.total.detach() for loss in losses])
    assert float(totals.std()) > 0
    assert abs(float(totals.mean()) - whole.total.item()) < 4 * float(totals.std()) / 30**0.5
    torch.manual_seed(0)
    assert objective(model, batch).total.item() == totals[0].item()


def test_a_depth_head_learns_what_independent_rows_cannot():
    """Two rows that are random but always equal: the second is known once the first is drawn."""
    task = Task(name="pair", layout=Layout((Stack(("a", "b")),)), predict=("a", "b"))
    head = Depth(layers=1, dim=16, heads=2, ffn=24)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), head=head).build(SPECS)
    objective, optimizer = CrossEntropy().build(model, SPECS), torch.optim.AdamW(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    for _ in range(60):
        streams = [Stream(rng.integers(0, 9, 20)) for _ in range(4)]
        grids = [task.place([{"a": s, "b": s}], SPECS, vocabs=model.vocabs) for s in streams]
        loss = objective(model, collate(grids, [9, 9]))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert loss.parts["b"] < 0.2
    assert loss.parts["a"] > 1.8  # ln 9 = 2.2: nothing tells what comes


def test_what_is_wrong_is_said():
    with pytest.raises(BadInput, match="dim=10, heads=4, kv_heads=None does not divide"):
        Depth(layers=1, dim=10, heads=4, ffn=8)
    with pytest.raises(BadInput, match="names the row 'd' twice or for a model that does not have it"):
        build(replace(DEPTH, rows=("a", "d")))
    with pytest.raises(BadInput, match="names the row 'a' twice"):
        build(replace(DEPTH, independent=("a",)))
    model = build(DEPTH)
    with pytest.raises(BadInput, match=r"asked for row 'b' and does not know 'text'"):
        model.head.begin(torch.zeros(1, 32)).logits("b")
    with pytest.raises(BadInput, match=r"asked for row 'user' and does not know 'user'"):
        model.head.begin(torch.zeros(1, 32)).logits("user")
    with pytest.raises(BadInput, match=r"asked for row 'a' and does not know 'text'.*not `next`"):
        model.next(model.start(1, 4), None)
    model = build(replace(DEPTH, rows=("a", "b")))
    with pytest.raises(BadInput, match=r"a task predicts row 'c', which the head gives no logits"):
        CrossEntropy().build(model, SPECS)(model, batch_of(model))
    with pytest.raises(BadInput, match=r"a share of 0 of the steps"):
        CrossEntropy(share=0)


def test_the_value_is_written_and_read():
    head = replace(DEPTH, weights_per_row=True, inputs="sequence")
    assert from_record(to_record(head)) == head
    assert head.tiny() == replace(head, kv_heads=1)
    assert replace(head, layers=6, dim=1024, heads=16, kv_heads=None).tiny() == replace(head, kv_heads=None)


def test_a_text_lm_gives_its_logits_to_the_independent_row():
    start = FromText(streams=("text",))
    model = build(DEPTH)
    assert start._outward(model, "text").shape == (14, 32)
    assert start._outward(model, "a").shape == (11, 16)
    with pytest.raises(BadInput, match="the text in row 'text' is predicted by a depth Transformer"):
        start._outward(build(replace(DEPTH, rows=None, independent=())), "text")
