import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate
from oration.generate import Sampler, complete, score
from oration.layouts import Layout, Line
from oration.lms import LM, Depth, Griffin, Rows, StateSpace, Transformer
from oration.nn.flat import FlatStack
from oration.tasks import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "layouts"))
from published import PUBLISHED, draw, specs_of

DEPTH = Depth(layers=2, dim=16, heads=2, ffn=24)
KINDS = {
    "rows": {"head": Rows()},
    "tied, window": {"head": Rows(tied=True), "body": replace(Transformer.tiny(), window=6)},
    "depth": {"head": DEPTH},
    "neox": {"body": replace(Transformer.tiny(), layer=replace(Transformer.tiny().layer, norm="layer", mlp="gelu"))},
    "mamba": {"body": StateSpace.tiny()},
    "griffin": {"body": Griffin.tiny()},
    "learned positions": {"body": replace(Transformer.tiny(), positions=400)},
}
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


@cache
def case(layout, kind):
    blocks, predict = PUBLISHED[layout]
    task, specs = Task(name="test", layout=blocks, predict=predict), specs_of(blocks)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), **{"body": Transformer.tiny(), "context": 400, **KINDS[kind]}).build(specs)
    rng = np.random.default_rng(1)
    return model.eval(), task, specs, [draw(blocks.streams, frames, rng) for frames in (7, 3, 5)]


def stacked(logits):
    return torch.cat([*logits.values()], -1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["gslm, twist", "pgslm", "moshi", "mini-omni", "speechgpt"])
@torch.no_grad()
def test_the_same_model_in_float32(layout, kind):
    model, task, specs, examples = case(layout, kind)
    fast = model.fast("fp32")
    assert isinstance(getattr(fast.body, "stack", None), FlatStack) == (kind not in ("mamba", "griffin"))
    batch = collate(
        [task.place([e], specs, vocabs=model.vocabs) for e in examples],
        [vocab.offset("pad") for vocab in model.vocabs.values()],
    )
    torch.testing.assert_close(stacked(fast(batch)), stacked(model(batch)), **CLOSE)
    states = [m.start(3, 400) for m in (model, fast)]
    hidden = [m.prefill(state, batch) for m, state in zip((model, fast), states, strict=True)]
    torch.testing.assert_close(*hidden, **CLOSE)
    for _ in range(3):
        column = batch.tokens[:, :, 0]
        dense = {name: torch.ones(3, d.values.shape[1]) for name, d in batch.dense.items()}
        hidden = [m.advance(state, column, dense) for m, state in zip((model, fast), states, strict=True)]
        torch.testing.assert_close(*hidden, **CLOSE)
        assert states[0].length.tolist() == states[1].length.tolist()


DEPTHS = {
    "shared, rotary": DEPTH,
    "grouped keys": replace(DEPTH, kv_heads=1, final_norm=False),
    "weights per row": replace(DEPTH, weights_per_row=True, rope_base=None),
    "sequence": replace(DEPTH, inputs="sequence", independent=("codec/0",)),
}


@pytest.mark.parametrize("kind", DEPTHS)
@torch.no_grad()
def test_a_depth_head_row_by_row_and_all_at_once(kind):
    blocks, predict = PUBLISHED["moshi"]
    task, specs = Task(name="test", layout=blocks, predict=predict), specs_of(blocks)
    body, depth, rows = Transformer.tiny(), DEPTHS[kind], tuple(task.vocabs(specs))
    if depth.independent:
        depth = replace(depth, independent=rows[:1], rows=rows[1:])
    torch.manual_seed(3)
    model = LM(name="lm", tasks=(task,), body=body, head=depth, context=400).build(specs).eval()
    hidden, fast = torch.randn(4, body.dim), model.fast("fp32")
    tokens = torch.stack([torch.randint(0, v.size, (4,)) for v in model.vocabs.values()], 1)
    want = model.head(hidden, tokens)
    for head in (fast.head, model.fast("int8").head):
        together = head(hidden, tokens)
        columns = [head.begin(hidden), *(head.begin(line[None]) for line in hidden)]
        for k, row in enumerate(rows):
            if row in head.rows:
                logits = [column.logits(row) for column in columns]
                close = CLOSE if head is fast.head else {"atol": 0.02, "rtol": 0.05}
                torch.testing.assert_close(logits[0], want[row], **close)
                torch.testing.assert_close(together[row], logits[0], **CLOSE)
                assert torch.equal(torch.cat(logits[1:]), logits[0])  # a batch gives what single calls give
            for line, column in enumerate(columns):
                column.take(row, tokens[:, k] if not line else tokens[line - 1, None, k])


def test_without_a_compiler_it_is_torch_that_computes(monkeypatch):
    _, model = llama()
    want = [model.fast(w) for w in ("fp32", "int8")]
    monkeypatch.setattr("oration.lms.quick.usable", lambda _: False)
    got = [model.fast(w) for w in ("fp32", "int8")]
    assert {type(m.body.stack) for m in got} == {FlatStack}
    starts = [{"units": Stream(np.arange(n))} for n in (2, 7)]
    for one, other, bound in zip(want, got, (1e-5, 2e-2), strict=True):
        said = complete(one, UNITS, starts, SPECS, seeds=[1, 2], steps=20)
        nats = [score(m, UNITS, [r.example for r in said], SPECS) for m in (one, other)]
        assert all(abs(a.total.mean - b.total.mean) < bound for a, b in zip(*nats, strict=True))


def test_the_model_it_was_made_of_can_still_be_trained():
    model, _, _, _ = case("moshi", "depth")
    fast = model.fast("int8")
    assert all(weight.requires_grad for weight in model.parameters())
    assert not any(weight.requires_grad for weight in fast.parameters())
    assert not fast.training
    tables = [m.embeddings["codec/0"].weight for m in (model, fast)]
    assert tables[0].data_ptr() == tables[1].data_ptr()
    with pytest.raises(BadInput, match="weights='fp8' is no precision"):
        model.fast("fp8")


UNITS, SPECS = Task(name="go on", layout=Layout((Line("units"),)), predict=("units",)), {"units": Spec(20, 50)}


@cache
def llama(kv_heads=4):
    """(transformers' LLaMA, ours of the same weights): its symbol 20 begins a sequence, as our `first` does."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(2)
    sizes = {"num_attention_heads": 4, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-6, "vocab_size": 22}
    config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=3, **sizes, initializer_range=0.3)
    theirs = LlamaForCausalLM(config).eval()
    body = Transformer(layers=3, dim=64, heads=4, ffn=96, kv_heads=kv_heads)
    model = LM(name="lm", tasks=(UNITS,), body=body, context=300).build(SPECS).eval()
    weights = theirs.state_dict()
    state = {
        "embeddings.main.weight": weights["model.embed_tokens.weight"],
        "first": weights["model.embed_tokens.weight"][20],
    }
    state |= {
        "body.stack.norm.weight": weights["model.norm.weight"],
        "head.projections.main.weight": weights["lm_head.weight"],
    }
    for i in range(3):
        at, layer = f"body.stack.blocks.{i}.", f"model.layers.{i}."
        state[at + "attention.qkv.weight"] = torch.cat([weights[f"{layer}self_attn.{x}_proj.weight"] for x in "qkv"])
        state[at + "attention.out.weight"] = weights[layer + "self_attn.o_proj.weight"]
        state[at + "attention_norm.weight"] = weights[layer + "input_layernorm.weight"]
        state[at + "mlp_norm.weight"] = weights[layer + "post_attention_layernorm.weight"]
        state[at + "gate_up.weight"] = torch.cat([weights[f"{layer}mlp.{x}_proj.weight"] for x in ("gate", "up")])
        state[at + "down.weight"] = weights[layer + "mlp.down_proj.weight"]
    model.load_state_dict(state)
    return theirs, model


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_greedy_symbols_are_those_of_transformers_generate(kv_heads, batch):
    theirs, model = llama(kv_heads)
    prompts = np.random.default_rng(0).integers(0, 20, (batch, 5))
    ids = torch.from_numpy(np.concatenate((np.full((batch, 1), 20), prompts), 1))
    marks = {"suppress_tokens": [20, 21], "pad_token_id": 20, "eos_token_id": None}
    with torch.no_grad():
        want = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30, **marks)
    for ours in (model, model.fast("fp32")):
        starts, limits = [{"units": Stream(p)} for p in prompts], {"steps": 30, "least": {"units": 30}}
        replies = complete(ours, UNITS, starts, SPECS, seeds=[0] * batch, sampler=Sampler.greedy(), **limits)
        assert [r.new()["units"].ids.tolist() for r in replies] == want[:, 6:].tolist()


@pytest.mark.parametrize(("weights", "bound"), [("fp32", 1e-5), ("bf16", 0.01), ("int8", 0.03)])
def test_fewer_bits_change_the_loss_by_little(weights, bound):
    _, model = llama()
    sampler = {"seeds": [*range(8)], "sampler": Sampler(), "steps": 60}
    said = [r.example for r in complete(model, UNITS, [{}] * 8, SPECS, **sampler)]  # what it finds likely itself
    before, after = (
        sum(s.total.nats for s in found) / sum(s.total.count for s in found)
        for found in (score(m, UNITS, said, SPECS) for m in (model, model.fast(weights)))
    )
    assert abs(after - before) < bound


def test_a_batch_gives_what_single_calls_give_in_eight_bits():
    _, model = llama()
    fast, starts = model.fast("int8"), [{"units": Stream(np.arange(n))} for n in (2, 7, 4)]
    together = complete(fast, UNITS, starts, SPECS, seeds=[1, 2, 3], steps=20)
    for seed, start, reply in zip([1, 2, 3], starts, together, strict=True):
        (alone,) = complete(fast, UNITS, [start], SPECS, seeds=[seed], steps=20)
        assert alone.example["units"].ids.tolist() == reply.example["units"].ids.tolist()
