from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import GIVEN, PREDICT, BadInput, Spec, Stream, collate, pack
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, InfillModel, LanguageModel, Layer, Transformer
from oration.tasks import Task

LEVELS = ("c.0", "c.1", "c.2")
SPECS = {"phones": Spec(15), "speech": Spec(1, 25, dim=4), "units": Spec(12, 25), **dict.fromkeys(LEVELS, Spec(10, 25))}
BODY = replace(Transformer.tiny(), causal=False)
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
LAYOUTS = {
    "soundstorm": Layout((Stack(("units", *LEVELS)),)),
    "vall-e": Layout((Line("phones", row="text"), Line("speech", row="text"), Stack(LEVELS, delays=(0, 1, 1)))),
}


def case(name="soundstorm", body=BODY):
    task = Task(name="acoustic", layout=LAYOUTS[name], predict=LEVELS)
    torch.manual_seed(0)
    model = LM(name="storm", tasks=(task,), body=body).build(SPECS).eval()
    with torch.no_grad():  # so that what a cell holds matters visibly
        for part, weight in model.named_parameters():
            if part.startswith(("embeddings", "head", "values", "first", "masks", "stages")) or ".project." in part:
                weight.normal_(std=0.5)
    rng = np.random.default_rng(0)
    examples = [example(rng, frames) for frames in (6, 3, 5)]
    return model, [task.place([e], SPECS, vocabs=model.vocabs) for e in examples]


def example(rng, frames):
    found = {name: Stream(rng.integers(0, SPECS[name].size, frames)) for name in ("units", *LEVELS)}
    found["phones"] = Stream(rng.integers(0, 15, 4))
    found["speech"] = Stream.dense(rng.normal(size=(3, 4)))
    return found


def batch_of(model, grids, length=None):
    return pack([[grid] for grid in grids], pads(model), length)


def pads(model):
    return [vocab.offset("pad") for vocab in model.vocabs.values()]


def row(model, name):
    return model.rows.index(name)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
@torch.no_grad()
def test_a_hidden_cell_is_not_seen_and_every_other_is(layout, data):
    model, grids = case(layout)
    batch = collate(grids[:1], pads(model))
    cells = model.asked(batch).nonzero()[:, 1:].tolist()
    hidden = data.draw(st.lists(st.sampled_from(cells), min_size=1, max_size=len(cells) - 1, unique_by=tuple))
    hide = torch.zeros_like(batch.role, dtype=torch.bool)
    for k, s in hidden:
        hide[0, k, s] = True
    k, s = data.draw(st.sampled_from(cells))
    tokens = batch.tokens.clone()
    tokens[0, k, s] = (tokens[0, k, s] + 3) % 10
    before, after = model.hidden(batch, hide), model.hidden(replace(batch, tokens=tokens), hide)
    if bool(hide[0, k, s]):
        assert torch.equal(before, after)
    else:  # both ways: every step hears of it
        assert bool(((before - after).abs().amax(-1) > 1e-6).all())


@pytest.mark.parametrize("body", [BODY, replace(BODY, layer=Layer(condition=8))], ids=["added", "adaptive"])
@torch.no_grad()
def test_no_level_hears_of_those_below_it(body):
    model, grids = case(body=body)
    batch = batch_of(model, grids)
    asked = model.asked(batch)
    for k in (1, 2, 3):
        hide = asked.clone()
        hide[:, :k] = False
        changed = batch.tokens.clone()
        changed[:, k:][asked[:, k:]] = (changed[:, k:][asked[:, k:]] + 1) % 10
        logits = model.level(batch, k, hide)
        assert torch.equal(logits, model.level(replace(batch, tokens=changed), k, hide))
        above = batch.tokens.clone()
        above[:, k - 1][asked[:, k]] = (above[:, k - 1][asked[:, k]] + 1) % 10
        assert not torch.allclose(logits, model.level(replace(batch, tokens=above), k, hide), atol=1e-3)
        stage = torch.full_like(batch.segment, k)
        assert not torch.allclose(model.hidden(batch, hide, stage), model.hidden(batch, hide, stage - 1), atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("body", [BODY, replace(BODY, layer=Layer(condition=8))], ids=["added", "adaptive"])
@torch.no_grad()
def test_batch_padding_and_packing_change_nothing(layout, body):
    model, grids = case(layout, body)
    single = [model(collate([grid], pads(model))) for grid in grids]
    long = sum(grid.steps for grid in grids) + 2
    padded, packed = model(batch_of(model, grids, long)), model(pack([grids, grids[1:]], pads(model), long))
    for name in model.rows:
        starts = np.cumsum([0, *(grid.steps for grid in grids)])
        for i, grid in enumerate(grids):
            torch.testing.assert_close(padded[name][i, : grid.steps], single[i][name][0], **CLOSE)
            torch.testing.assert_close(packed[name][0, starts[i] : starts[i + 1]], single[i][name][0], **CLOSE)
        assert bool(torch.isfinite(padded[name]).all())
        torch.testing.assert_close(packed[name][1, : grids[1].steps], single[1][name][0], **CLOSE)


@torch.no_grad()
def test_stages_of_packed_grids_are_their_own():
    model, grids = case()
    batch = pack([grids[:2]], pads(model))
    stage = torch.where(batch.segment == 0, 1, 3)
    both = model.hidden(batch, stage=stage)
    for i, number in enumerate((1, 3)):
        alone = collate([grids[i]], pads(model))
        want = model.hidden(alone, stage=torch.full_like(alone.segment, number))
        torch.testing.assert_close(both[0, batch.segment[0] == i], want[0], **CLOSE)


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_what_is_left_out_is_not_heard_of(layout):
    model, grids = case(layout)
    batch = collate(grids[:1], pads(model))
    drop = model.condition_of(batch)
    assert bool((drop == (model.holds(batch) & (batch.role == GIVEN))).all())
    assert int(drop.sum()) == {"soundstorm": 6, "vall-e": 7}[layout]
    hide = model.asked(batch)
    rng = np.random.default_rng(5)
    tokens = torch.where(drop, torch.from_numpy(rng.integers(0, 5, drop.shape)), batch.tokens)
    if layout == "vall-e":  # the placeholders of vectors stay what they are; their vectors change
        tokens = torch.where(model.holds(batch, ("speech",)), batch.tokens, tokens)
    dense = {name: replace(d, values=d.values + 1) for name, d in batch.dense.items()}
    other = replace(batch, tokens=tokens, dense=dense)
    assert torch.equal(model.hidden(batch, hide, drop=drop), model.hidden(other, hide, drop=drop))
    assert not torch.allclose(model.hidden(batch, hide), model.hidden(other, hide), atol=1e-3)


def test_a_task_may_name_what_is_left_out():
    model, grids = case("vall-e")
    batch = collate(grids[:1], pads(model))
    task = replace(model.config.tasks[0], condition=("phones",))
    model.config = replace(model.config, tasks=(task,))
    assert torch.equal(model.condition_of(batch), model.holds(batch, ("phones",)))


def test_the_cells_are_told_apart():
    model, grids = case("vall-e")
    batch = batch_of(model, grids)
    asked = model.asked(batch)
    assert int(asked.sum()) == 3 * (6 + 3 + 5)
    assert bool((asked <= (batch.role == PREDICT)).all())
    assert int((batch.role == PREDICT).sum()) == int(asked.sum()) + 3 * 3  # the ends, which are known
    for name, count in {"phones": 12, "speech": 9, "c.1": 14}.items():
        assert int(model.holds(batch, (name,)).sum()) == count
    assert not bool(model.holds(batch, ()).any())


def test_the_body_decides_and_steps_are_refused():
    task = Task(name="acoustic", layout=LAYOUTS["soundstorm"], predict=LEVELS)
    model, grids = case()
    assert isinstance(model, InfillModel)
    causal = LM(name="lm", tasks=(task,), body=Transformer.tiny()).build(SPECS)
    assert type(causal) is LanguageModel
    with pytest.raises(BadInput, match=r"'storm' \(InfillModel\) makes whole grids and does not go step by step"):
        model.start(1, 10)
    with pytest.raises(BadInput, match="looks back only; build the body with causal=False"):
        InfillModel(causal.config, causal.vocabs, {})
    with pytest.raises(BadInput, match="a grid of 7 steps does not fit 'storm', whose context is 4"):
        replace(model.config, context=4).build(SPECS)(collate(grids, pads(model)))


def test_gradients_reach_everything_that_is_used():
    model, grids = case("vall-e")
    batch = batch_of(model, grids)
    hide = model.asked(batch)
    hide[:, : row(model, "c.1")] = False
    model.level(batch, row(model, "c.1"), hide, model.condition_of(batch)).square().sum().backward()
    grads = {name for name, weight in model.named_parameters() if weight.grad is not None and bool(weight.grad.any())}
    assert {"first", "stages.weight", "masks.c/1", "masks.c/2", "embeddings.c/0.weight"} <= grads
    assert {"head.projections.c/1.weight"} == {name for name in grads if name.startswith("head")}


def bark():
    """Bark's fine stage (transformers) with random weights, and ours with the same ones."""
    from transformers import BarkFineConfig, BarkFineModel

    torch.manual_seed(1)
    config = BarkFineConfig(
        num_layers=2,
        num_heads=4,
        hidden_size=32,
        block_size=16,
        input_vocab_size=12,
        output_vocab_size=12,
        n_codes_total=5,
        n_codes_given=1,
        bias=True,
        tie_word_embeddings=False,
    )
    theirs = BarkFineModel(config).eval()
    with torch.no_grad():  # large enough that a wrong detail shows
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    codes = tuple(f"c.{i}" for i in range(5))
    task = Task(name="fine", layout=Layout((Stack(codes),)), predict=codes[1:])
    layer = Layer(norm="layer", norm_eps=1e-5, mlp="gelu", mlp_bias=True, out_bias=True)
    body = Transformer(layers=2, dim=32, heads=4, ffn=128, causal=False, positions=16, bias=True, layer=layer)
    specs = dict.fromkeys(codes, Spec(10, 75))
    ours = LM(name="fine", tasks=(task,), body=body, context=16).build(specs).eval()
    return theirs, ours, task, specs, codes


def carry(theirs, ours):
    """Bark's weights under our names: a hidden level shows its symbol `codebook_size`, the levels below it nothing."""
    state = ours.state_dict()
    for name, weight in theirs.state_dict().items():
        kind, _, rest = name.partition(".")
        number, _, inside = rest.partition(".")
        if kind == "input_embeds_layers":
            state[f"embeddings.c/{number}.weight"] = torch.cat((weight[:10], torch.zeros(2, 32)))
            state["stages.weight"][int(number)] = weight[10]
        elif kind == "lm_heads":
            state[f"head.projections.c/{int(number) + 1}.weight"] = weight
        elif kind == "position_embeds_layer":
            state["body.stack.places.table.weight"] = weight
        elif kind == "layernorm_final":
            state[f"body.stack.norm.{rest}"] = weight
        else:
            names = {"layernorm_1": "attention_norm", "layernorm_2": "mlp_norm", "attn.att_proj": "attention.qkv"}
            names |= {"attn.out_proj": "attention.out", "mlp.in_proj": "up", "mlp.out_proj": "down"}
            layer, _, leaf = inside.rpartition(".")
            state[f"body.stack.blocks.{number}.{names[layer]}.{leaf}"] = weight
    for name in state:
        if name.startswith("masks."):
            state[name] = torch.zeros(32)
    ours.load_state_dict(state)


@torch.no_grad()
def test_barks_fine_stage_gives_the_same_logits():
    theirs, ours, task, specs, codes = bark()
    carry(theirs, ours)
    rng = np.random.default_rng(2)
    made = {name: Stream(rng.integers(0, 10, 9)) for name in codes}
    batch = collate([task.place([made], specs, vocabs=ours.vocabs)], pads(ours))
    # Bark has no end marks: what it sees are the nine columns themselves.
    batch = replace(
        batch,
        tokens=batch.tokens[..., :9],
        role=batch.role[..., :9],
        segment=batch.segment[:, :9],
        position=batch.position[:, :9],
    )
    for level in range(1, 5):
        hide = ours.asked(batch)
        hide[:, :level] = False
        seen = batch.tokens.masked_fill(hide, 10).transpose(1, 2)
        want = theirs(level, input_ids=seen).logits[0]
        assert float(want.std()) > 0.5
        torch.testing.assert_close(ours.level(batch, level, hide), want, atol=1e-4, rtol=1e-4)
