"""Planes keep their sizes, and at stride 1 a plane is what the library gives over a mirrored edge."""

import pytest
import torch
import torch.nn.functional as F

from oration.nn.planes import Plane, PlaneUnit, PlaneUpsample, mirrored


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 9, 10])
@pytest.mark.parametrize("ratio", [(4, 1), (4, 2), (2, 3)])
def test_down_and_up(frames, ratio):
    torch.manual_seed(0)
    rows = 3 * ratio[0]
    x = torch.randn(2, 4, rows + 1, frames)
    down = Plane(4, 6, (2 * ratio[0], 2 * ratio[1]), stride=ratio, groups=2)
    y = down(x)
    assert y.shape == (2, 6, 3, -(-frames // ratio[1]))
    assert PlaneUpsample(6, 4, ratio)(y).shape == (2, 4, rows, y.shape[3] * ratio[1])
    assert PlaneUpsample(6, 4, ratio, more=1)(y).shape == (2, 4, rows + 1, y.shape[3] * ratio[1])
    unit = PlaneUnit(6, 3, 2, 2)
    assert unit(y).shape == y.shape


@torch.no_grad()
def test_it_is_what_the_library_gives():
    x = torch.randn(2, 4, 7, 9)
    plane = Plane(4, 6, (5, 3))
    padded = F.pad(x, (1, 1, 2, 2), mode="reflect")
    wanted = F.group_norm(F.conv2d(padded, plane.conv.weight, plane.conv.bias), 1, plane.norm.weight, plane.norm.bias)
    torch.testing.assert_close(plane(x), wanted)
    assert mirrored(x[:, :, :2, :1], (2, 2), (3, 1)).shape == (2, 4, 6, 5)
