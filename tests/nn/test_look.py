import pytest
import torch

from oration.nn import look
from oration.nn.transformer import TransformerStack


@pytest.mark.parametrize("kind", [{}, {"causal": False}, {"kv_heads": 2}, {"positions": "none"}])
@pytest.mark.parametrize("half", [False, True])
def test_packed_grids_apart_are_packed_grids_under_a_mask(kind, half, monkeypatch):
    torch.manual_seed(0)
    stack = TransformerStack(dim=32, layers=2, heads=4, ffn=48, **kind)
    segment = torch.full((2, 100), -1)
    segment[0, :41], segment[0, 41:90], segment[1] = 0, 1, 0
    position = torch.arange(100)[None].repeat(2, 1)
    position[0, 41:90] -= 41
    x = torch.randn(2, 100, 32)
    found = []
    for short in (20, 1000):
        monkeypatch.setattr(look, "SHORT", short)
        assert look.apart(segment, None) == ((41, 49, 10, 100) if short == 20 else ())
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = stack(given, position=position, segment=segment) * (segment >= 0)[..., None]
        y.float().square().sum().backward()
        found.append((y, given.grad))
    close = {"atol": 0.1, "rtol": 0.05} if half else {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(found[0][0], found[1][0], **close)
    torch.testing.assert_close(found[0][1], found[1][1], **close)


def test_a_window_shorter_than_a_grid_needs_the_mask():
    segment = torch.zeros(1, 200, dtype=torch.long)
    segment[0, 120:] = 1
    assert look.apart(segment, 100) == ()
    assert look.apart(segment, 120) == (120, 80)
    assert look.apart(None, None) == ()


@torch.no_grad()
def test_steps_at_one_place_are_as_steps_at_many():
    """All at one place need no mask and write a slice; sequences at different places need both."""
    torch.manual_seed(0)
    stack = TransformerStack(dim=32, layers=2, heads=4, ffn=48, kv_heads=2).eval()
    x = torch.randn(3, 12, 32)
    want = stack(x)
    even = stack.cache(3, 12)
    got = [
        stack(x[:, :5], cache=even),
        *(stack(x[:, i : i + 1], cache=even) for i in (5, 6)),
        stack(x[:, 7:], cache=even),
    ]
    torch.testing.assert_close(torch.cat(got, 1), want, atol=1e-5, rtol=1e-4)
    uneven = stack.cache(3, 16)
    stack(x[:, :5], cache=uneven)
    look.rewind(uneven, torch.tensor([0, 2, 3]))
    stood = torch.tensor([5, 3, 2])
    for _ in range(4):
        y = stack(x[torch.arange(3), stood][:, None], cache=uneven)
        torch.testing.assert_close(y[:, 0], want[torch.arange(3), stood], atol=1e-5, rtol=1e-4)
        stood += 1
