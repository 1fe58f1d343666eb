"""The kinds of layers a Transformer can be made of; that they agree step by step is tested with the language models."""

import pytest
import torch
import torch.nn.functional as F

from oration.core import BadInput
from oration.lms import Layer, Transformer
from oration.nn.look import rewind
from oration.nn.positions import Rotary, Sine, rotate
from oration.nn.transformer import TransformerStack

SIZES = {"dim": 16, "layers": 2, "heads": 4, "ffn": 24}


def stack(**changes):
    torch.manual_seed(0)
    made = TransformerStack(**{**SIZES, **changes}).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return made


def inputs(n=2, steps=7, dim=16):
    return torch.randn(n, steps, dim, generator=torch.Generator().manual_seed(1))


def test_the_default_is_as_it_was():
    names = set(TransformerStack(**SIZES).state_dict())
    one = {"attention_norm.weight", "attention.qkv.weight", "attention.out.weight", "mlp_norm.weight",
           "gate_up.weight", "down.weight"}  # fmt: skip
    assert names == {f"blocks.{i}.{name}" for i in range(2) for name in one} | {"norm.weight"}


@torch.no_grad()
@pytest.mark.parametrize("mlp", ["gelu", "gelu_tanh", "relu", "swiglu", "geglu"])
def test_a_layer_is_what_it_says(mlp):
    made = stack(
        layers=1, bias=True, positions="none", layer=Layer(norm="layer", mlp=mlp, mlp_bias=True, out_bias=True)
    )
    block, x = made.blocks[0], inputs()
    h = F.layer_norm(x, (16,), block.attention_norm.weight, block.attention_norm.bias, 1e-6)
    q, k, v = block.attention.qkv(h).chunk(3, -1)
    heads = [t.unflatten(-1, (4, 4)).transpose(1, 2) for t in (q, k, v)]
    scores = heads[0] @ heads[1].transpose(-1, -2) / 2
    scores = scores.masked_fill(~torch.ones(7, 7, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    x = x + block.attention.out((scores @ heads[2]).transpose(1, 2).flatten(2))
    h = F.layer_norm(x, (16,), block.mlp_norm.weight, block.mlp_norm.bias, 1e-6)
    if mlp in ("swiglu", "geglu"):
        gate, up = block.gate_up(h).chunk(2, -1)
        h = (F.silu(gate) if mlp == "swiglu" else F.gelu(gate, approximate="tanh")) * up
    else:
        h = {"gelu": F.gelu, "relu": F.relu, "gelu_tanh": lambda t: F.gelu(t, approximate="tanh")}[mlp](block.up(h))
    want = F.layer_norm(x + block.down(h), (16,), made.norm.weight, made.norm.bias, 1e-6)
    torch.testing.assert_close(made(inputs()), want)


@torch.no_grad()
@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_scores_depend_on_the_distance_only(interleaved):
    turn = Rotary(8)
    q, k = inputs(1, 1, 8)[:, None], inputs(1, 2, 8)[:, None, 1:]

    def score(a, b):
        at = [rotate(t, turn(torch.tensor([[p]])), interleaved) for t, p in ((q, a), (k, b))]
        return float((at[0] * at[1]).sum())

    assert score(3, 1) == pytest.approx(score(103, 101), abs=1e-5)
    assert score(3, 1) != pytest.approx(score(1, 3), abs=1e-3)


def test_rotary_of_a_part_leaves_the_rest():
    x = inputs(1, 3, 8)[:, None]
    turned = rotate(x, Rotary(4)(torch.arange(3)[None]))
    assert torch.equal(turned[..., 4:], x[..., 4:])
    torch.testing.assert_close(turned[..., :4], rotate(x[..., :4], Rotary(4)(torch.arange(3)[None])))
    assert not torch.equal(turned[..., :4], x[..., :4])


def test_sine_is_the_formula():
    table = Sine(6)(torch.tensor([[0, 5]]))[0]
    assert table[0].tolist() == [1, 1, 1, 0, 0, 0]
    angle = 5 / 10_000 ** (torch.arange(3) / 2)
    torch.testing.assert_close(table[1], torch.cat((angle.cos(), angle.sin())))


@torch.no_grad()
def test_without_causality_every_step_sees_its_own_grid_and_no_padding():
    body = Transformer(**{**SIZES, "ffn": 24}, causal=False).build().eval()
    x, position = inputs(1, 9), torch.arange(9)[None]
    alone = body(x[:, :5], position[:, :5], torch.zeros(1, 5, dtype=torch.long))
    segment = torch.tensor([[0] * 5 + [1] * 3 + [-1]])
    packed = body(x, torch.tensor([[*range(5), *range(3), 0]]), segment)
    torch.testing.assert_close(packed[:, :5], alone)
    padded = body(x, position, torch.tensor([[0] * 5 + [-1] * 4]))
    torch.testing.assert_close(padded[:, :5], alone)
    later = x.clone()
    later[:, 4] += 1
    changed = body(later[:, :5], position[:, :5], torch.zeros(1, 5, dtype=torch.long))
    assert bool((changed[:, 0] - alone[:, 0]).abs().max() > 1e-3)
    assert bool(torch.isfinite(packed).all())


@torch.no_grad()
def test_a_condition_scales_and_shifts_and_at_first_does_nothing():
    layer = Layer(condition=3)
    torch.manual_seed(0)
    fresh, plain = TransformerStack(**SIZES, layer=layer).eval(), TransformerStack(**SIZES).eval()
    state = {
        name.replace(".norm.weight", ".weight"): w for name, w in fresh.state_dict().items() if "project" not in name
    }
    plain.load_state_dict(state)
    condition = torch.randn(2, 1, 3)
    torch.testing.assert_close(fresh(inputs(), condition=condition), plain(inputs()))
    made = stack(layer=layer)
    one = made(inputs(), condition=condition)
    assert not torch.allclose(one, made(inputs(), condition=condition + 1))
    torch.testing.assert_close(one, made(inputs(), condition=condition.expand(-1, 7, -1)))
    cache = made.cache(2, 8)
    torch.testing.assert_close(made(inputs(), cache=cache, condition=condition), one)


@torch.no_grad()
def test_what_is_added_to_every_layer_goes_in_at_each():
    made, x, extra = stack(positions="none"), inputs(), inputs(2, 7) * 0.5
    from oration.nn.look import Look

    want = made.blocks[1](made.blocks[0](x + extra, Look()) + extra, Look())
    torch.testing.assert_close(made(x, extra=extra), made.norm(want))
    cache, found = made.cache(2, 7), []
    for step in range(7):
        found.append(made(x[:, step : step + 1], cache=cache, extra=extra[:, step : step + 1]))
    torch.testing.assert_close(torch.cat(found, 1), made(x, extra=extra))


@torch.no_grad()
def test_learned_positions_have_an_end_and_padding_is_forgotten():
    made, x = stack(positions=9), inputs()
    cache = made.cache(2, 9)
    made(x, cache=cache)
    rewind(cache, torch.tensor([0, 3]))
    assert cache.length.tolist() == [7, 4]
    step = made(x[:, :1], cache=cache)
    torch.testing.assert_close(step[1], made(torch.cat((x[1:, :4], x[1:, :1]), 1))[0, 4:])
    assert Transformer(**{**SIZES}, positions=9).build().context == 9


@pytest.mark.parametrize("wrong", [{"dim": 18}, {"kv_heads": 3}, {"layer": Layer(head_width=5)}])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(BadInput, match="does not divide"):
        Transformer(**{**SIZES, **wrong})


@torch.no_grad()
@pytest.mark.parametrize("layers", [2, 5])
def test_skips_hand_the_first_layers_inputs_to_the_last(layers):
    made = stack(layers=layers, causal=False, layer=Layer(skips=True), positions="none")
    assert len(made.joins) == layers // 2
    given, seen = [], []
    for block in made.blocks:
        block.register_forward_pre_hook(lambda _, x: given.append(x[0]))
    for join in made.joins:
        join.register_forward_pre_hook(lambda _, x: seen.append(x[0][..., 16:]))
    made(inputs())
    assert len(seen) == layers // 2
    assert all(torch.equal(late, early) for late, early in zip(reversed(seen), given, strict=False))


def test_a_causal_transformer_has_no_skips():
    with pytest.raises(BadInput, match="causal=False"):
        TransformerStack(**SIZES, layer=Layer(skips=True))
