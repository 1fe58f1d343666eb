"""What bodies do beyond what all keep (tests/conformance): two towers, fusion, state spaces, their sizes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate, dumps, from_record
from oration.generate import Sampler, complete
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Depth, Flow, Fusion, Griffin, Layer, Rows, StateSpace, Transformer, TwoTowers
from oration.objectives import CrossEntropy
from oration.tasks import Task

SIDES = ("units", "dur", "user.units", "user.dur")
TALK = Task(name="talk", layout=Layout((Stack(SIDES, (0, 1, 0, 1), end="never"),)), predict=SIDES)
SPECS = {"units": Spec(20, 50), "dur": Spec(9, 50), "user.units": Spec(20, 50), "user.dur": Spec(9, 50)}
ALONE = Task(name="alone", layout=Layout((Line("units"),)), predict=("units",))
HEAR = Task(name="hear", layout=Layout((Stack(("units", "user.units")),)), predict=("units",))


def build(task=TALK, body=None, **settings):
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=body or TwoTowers.tiny(), **settings).build(SPECS).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith(("embeddings", "head", "first")):
                weight.normal_(std=0.5)
    return model


def both(frames=8, seed=0):
    rng = np.random.default_rng(seed)
    return {name: Stream(rng.integers(0, SPECS[name].size, frames)) for name in SIDES}


def batch_of(model, task, example):
    grid = task.place([example], SPECS, vocabs=model.vocabs)
    return collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()])


def swapped(example):
    return {
        name.removeprefix("user.") if name.startswith("user.") else f"user.{name}": s for name, s in example.items()
    }


@torch.no_grad()
@pytest.mark.parametrize("head", [Rows(), Rows(tied=True), Depth(layers=2, dim=16, heads=2, ffn=24)])
def test_swapping_the_channels_swaps_what_is_expected(head):
    model, example = build(head=head), both()
    one, other = (model(batch_of(model, TALK, e)) for e in (example, swapped(example)))
    for row in ("units", "dur"):
        torch.testing.assert_close(one[row], other[f"user.{row}"])
        torch.testing.assert_close(one[f"user.{row}"], other[row])
        assert not torch.allclose(one[row], one[f"user.{row}"], atol=1e-3)
    assert {name.split("/")[-1] for name in model.embeddings} == {"units", "dur"}


@torch.no_grad()
def test_each_channel_hears_the_other_only_through_cross_attention():
    example, other = both(), both(seed=1)
    mixed = {**example, "user.units": other["user.units"], "user.dur": other["user.dur"]}
    for cross, deaf in ((0, True), (2, False)):
        model = build(body=replace(TwoTowers.tiny(), cross=cross))
        a, b = (model(batch_of(model, TALK, e))["units"] for e in (example, mixed))
        assert torch.allclose(a, b) == deaf


def test_two_towers_learn_generate_and_survive_their_record():
    model = build()
    lm = model.config
    assert from_record(__import__("json").loads(dumps(lm.body))) == lm.body
    objective, batch = CrossEntropy().build(model, SPECS), batch_of(model, TALK, both())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        ((_, loss),) = objective.losses(model, batch, 0.0)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.5 * losses[0]
    prompts = [[both(3, 1)], [both(5, 2)]]
    settings = {"sampler": Sampler(top_k=4), "steps": 6}
    together = complete(model, TALK, prompts, SPECS, seeds=[7, 8], **settings)
    for prompt, seed, reply in zip(prompts, (7, 8), together, strict=True):
        (alone,) = complete(model, TALK, [prompt], SPECS, seeds=[seed], **settings)
        assert all(np.array_equal(alone.example[name].ids, reply.example[name].ids) for name in SIDES)


def test_channels_that_do_not_match_are_refused():
    uneven = Task(name="uneven", layout=Layout((Stack(("units", "user.dur")),)), predict=("units",))
    with pytest.raises(BadInput, match=r"share their weights, but channel 'user.' has the rows \[\('dur', 11\)\]"):
        build(uneven)
    with pytest.raises(BadInput, match=r"row 'units' belongs to no channel; expected .* \('a.', 'b.'\)"):
        build(body=replace(TwoTowers.tiny(), channels=("a.", "b.")))
    with pytest.raises(BadInput, match="has channels, which a head of continuous streams does not"):
        build(head=Flow().tiny())
    with pytest.raises(BadInput, match="TwoTowers of layers=2, cross=3"):
        TwoTowers(layers=2, cross=3)
    with pytest.raises(BadInput, match="take no condition"):
        TwoTowers(layer=Layer(condition=3))


@torch.no_grad()
def test_fusion_is_early_middle_or_late():
    example = {"units": both()["units"], "user.units": both()["user.units"]}
    rows = ("user.units",)
    plain = build(HEAR, Transformer.tiny())
    early = build(HEAR, Transformer.tiny(), fusion=Fusion(rows=rows, where="early"))
    batch = batch_of(plain, HEAR, example)
    torch.testing.assert_close(early(batch)["units"], plain(batch)["units"])
    state = {name.replace("body.", "body.inner."): weight for name, weight in plain.state_dict().items()}
    fused = {}
    for where in ("middle", "late"):
        fused[where] = build(HEAR, Transformer.tiny(), fusion=Fusion(rows=rows, where=where))
        fused[where].load_state_dict(state)
    heard = plain.embeddings["user/units"](batch.tokens[:, 1])
    heard = torch.cat((torch.zeros_like(heard[:, :1]), heard[:, :-1]), 1)
    said = plain.embeddings["units"](batch.tokens[:, 0])
    said = torch.cat((plain.first.expand(1, 1, -1), said[:, :-1]), 1)
    late = plain.body(said, batch.position, batch.segment) + heard
    middle = plain.body(said, batch.position, batch.segment, extra=heard)
    torch.testing.assert_close(fused["late"].hidden(batch), late)
    torch.testing.assert_close(fused["middle"].hidden(batch), middle)


def test_fusion_that_cannot_be_is_refused():
    with pytest.raises(BadInput, match=r"names the rows \('wave',\), but the model has \('units', 'user.units'\)"):
        build(HEAR, Transformer.tiny(), fusion=Fusion(rows=("wave",)))
    with pytest.raises(BadInput, match="middle fusion adds to every layer, which StateSpace does not let it"):
        build(HEAR, StateSpace.tiny(), fusion=Fusion(rows=("user.units",)))
    late = Fusion(rows=("user.units",), where="late")
    assert build(HEAR, StateSpace.tiny(), fusion=late).body.window == 1


@pytest.mark.parametrize("body", [StateSpace.tiny(), replace(Griffin.tiny(), window=4)])
def test_a_state_space_goes_on_without_a_context_and_a_batch_gives_what_single_calls_give(body):
    model = build(ALONE, body, context=None)
    prompts = [[{"units": both(n)["units"]}] for n in (3, 12)]
    settings = {"sampler": Sampler(top_k=4), "steps": 30}
    together = complete(model, ALONE, prompts, SPECS, seeds=[1, 2], **settings)
    for prompt, seed, reply in zip(prompts, (1, 2), together, strict=True):
        (alone,) = complete(model, ALONE, [prompt], SPECS, seeds=[seed], **settings)
        assert np.array_equal(alone.example["units"].ids, reply.example["units"].ids)


@pytest.mark.parametrize(
    ("body", "millions"),
    [  # what lies between the published model's embeddings, in millions
        (Griffin(), 2683 - 655.36),  # RecurrentGemma 2B, table 1: 2.7 B, of which 0.7 B embeddings
        (StateSpace(), 128.99 - 38.62),  # state-spaces/mamba2-130m, 50,288 symbols, tied
        # GPT-2
        (Transformer(layers=12, dim=768, heads=12, ffn=3072, bias=True, positions=1024,
                     layer=Layer(norm="layer", mlp="gelu_tanh", mlp_bias=True, out_bias=True)), 124.44 - 38.60),
        (Transformer(layers=16, dim=2048, heads=32, kv_heads=8, ffn=8192), 1235.81 - 262.67),  # Llama 3.2 1B
    ],
)  # fmt: skip
def test_published_sizes_are_met(body, millions):
    with torch.device("meta"):
        built = body.build()
    assert sum(weight.numel() for weight in built.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(BadInput, match=r"a StateSpace of dim=30.* does not divide"):
        StateSpace(dim=30)
    with pytest.raises(BadInput, match=r"a Griffin of dim=30.* does not fit"):
        Griffin(dim=30)
    with pytest.raises(BadInput, match="does not fit"):
        Griffin(pattern=("loop",))


def test_tiny_keeps_what_is_not_a_size():
    assert TwoTowers(channels=("a.", "b."), positions="none").tiny().channels == ("a.", "b.")
    assert Griffin(pattern=("attention",), width=2560).tiny().pattern == ("attention",)
    assert StateSpace(taps=3).tiny().taps == 3
    for body in (TwoTowers, Griffin, StateSpace):
        assert body.tiny().build().dim == 32
    assert math.isclose(sum(p.numel() for p in Griffin.tiny().build().parameters()), 30_000, rel_tol=0.5)
