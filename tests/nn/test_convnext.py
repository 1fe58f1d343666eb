import pytest
import torch
import torch.nn.functional as F

from oration.nn.convnext import ConvNeXtBlock, DepthwiseConv, share_ahead
from oration.nn.istft import InverseStft


@pytest.mark.parametrize(("kernel", "dilation", "right"), [(7, 1, None), (5, 3, None), (7, 2, 0), (3, 4, 4)])
def test_depthwise_equals_the_librarys_forward_and_backward(kernel, dilation, right):
    torch.manual_seed(0)
    layer = DepthwiseConv(6, kernel, dilation=dilation, right=right).double()
    x = torch.randn(2, 20, 6, dtype=torch.double, requires_grad=True)
    y = layer(x)
    padded = F.pad(x.transpose(1, 2), (layer.left, layer.right))
    other = F.conv1d(padded, layer.weight.t()[:, None], layer.bias, dilation=dilation, groups=6).transpose(1, 2)
    torch.testing.assert_close(y, other)
    pull = torch.randn_like(y)
    grads = (torch.autograd.grad(result, (x, layer.weight), pull) for result in (y, other))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_a_block_looks_no_further_ahead_than_it_may():
    block = ConvNeXtBlock(4, 8, 7, dilation=2, right=2)
    x = torch.randn(1, 30, 4)
    changed = x.clone()
    changed[:, 20:] = 0
    moved = (block(x) - block(changed)).abs().sum(-1)[0]
    assert not moved[:18].any()
    assert moved[18] > 0


@pytest.mark.parametrize("ahead", [0, 1, 5, 20, 100])
def test_the_look_ahead_is_shared_out_and_kept(ahead):
    spans = [(7, 1), (7, 8), (7, 2), (3, 1)]
    rights = share_ahead(spans, ahead)
    assert sum(rights) <= ahead
    assert all(r % d == 0 and r <= (k - 1) // 2 * d for r, (k, d) in zip(rights, spans, strict=True))
    assert share_ahead(spans, 100) == share_ahead(spans, None)


@pytest.mark.parametrize(("fft", "hop"), [(64, 16), (50, 20), (64, 64)])
def test_the_inverse_undoes_the_transform(fft, hop):
    torch.manual_seed(0)
    layer = InverseStft(fft, hop)
    wave = torch.randn(2, hop * 9)
    padded = F.pad(wave, (layer.trim, fft))
    spectrum = torch.fft.rfft(padded.unfold(1, fft, hop)[:, :9] * layer.window)
    back = layer(spectrum)
    assert back.shape == wave.shape
    inner = slice(fft, -fft) if fft > hop else slice(0, 0)
    torch.testing.assert_close(back[:, inner], wave[:, inner], atol=1e-4, rtol=1e-4)
