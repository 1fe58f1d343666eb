import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.causal import CausalConv, shallow
from oration.nn.transformer import TransformerStack


def reference(conv: CausalConv, x: torch.Tensor) -> torch.Tensor:
    """The same layer as torch's own convolution."""
    weight = conv.weight.weight.unflatten(1, (conv.width, conv.kernel))
    right = -x.shape[1] % conv.stride
    padded = torch.nn.functional.pad(x.mT, (conv.kernel - conv.stride, right))
    return torch.nn.functional.conv1d(padded, weight, conv.weight.bias, stride=conv.stride).mT


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.data(), st.integers(0, 40))
def test_it_is_a_convolution_over_the_past(kernel, data, frames):
    stride = data.draw(st.integers(1, kernel))
    torch.manual_seed(0)
    conv = CausalConv(3, 5, kernel, stride)
    x = torch.randn(2, frames, 3)
    out = conv(x)
    assert out.shape == (2, -(-frames // stride), 5)
    if frames:
        torch.testing.assert_close(out, reference(conv, x))
        cut = data.draw(st.integers(0, frames))
        early = cut // stride
        torch.testing.assert_close(conv(x[:, :cut])[:, :early], out[:, :early])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.data(), st.lists(st.integers(0, 7), max_size=8))
def test_pieces_give_what_the_whole_gives(kernel, data, sizes):
    stride = data.draw(st.integers(1, kernel))
    torch.manual_seed(1)
    conv = CausalConv(2, 4, kernel, stride)
    x = torch.randn(1, sum(sizes), 2)
    kept, outs = conv.start(1), [x.new_zeros(1, 0, 4)]
    for piece in x.split(sizes, 1) if sizes else ():
        out, kept = conv.push(piece, kept)
        outs.append(out)
    whole = conv(x[:, : sum(sizes) // stride * stride])
    torch.testing.assert_close(torch.cat(outs, 1), whole)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="stride"):
        CausalConv(2, 2, 3, 4)


def test_a_shallow_stack_is_the_first_layers_with_shared_weights():
    torch.manual_seed(0)
    deep = TransformerStack(dim=8, layers=3, heads=2, ffn=16, window=4).eval()
    one = TransformerStack(dim=8, layers=1, heads=2, ffn=16, window=4).eval()
    one.load_state_dict({k: v for k, v in deep.state_dict().items() if not k.startswith(("blocks.1", "blocks.2"))})
    x = torch.randn(2, 9, 8)
    torch.testing.assert_close(shallow(deep, 1)(x), one(x))
    torch.testing.assert_close(shallow(deep, 1)(x, cache=shallow(deep, 1).cache(2, 12)), one(x))
    assert shallow(deep, 3) is deep
    assert len(deep.blocks) == 3
    assert shallow(deep, 1).blocks[0] is deep.blocks[0]
