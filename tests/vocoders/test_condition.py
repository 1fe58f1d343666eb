from fractions import Fraction

import pytest
import torch

from oration.core import BadInput, Spec
from oration.vocoders.condition import Condition, repeats, smooth_table

SPECS = {"units": Spec(7, 50), "f0": Spec(9, 100), "speaker": Spec(3), "mel": Spec(1, 100, 4), "slow": Spec(5, 12.5)}
RATE = Fraction(100)


def test_items_last_as_many_frames_as_their_rate_says():
    assert repeats(("units", "f0", "slow", "speaker"), SPECS, RATE) == {"units": 2, "f0": 1, "slow": 8, "speaker": 0}


def test_each_stream_adds_its_embedding_to_its_frames():
    torch.manual_seed(0)
    part = Condition(("units", "f0", "speaker", "mel"), SPECS, dim=6, frame_rate=RATE)
    streams = {
        "units": torch.tensor([[1, 2, 3]]),
        "f0": torch.tensor([[0, 1, 2, 3, 8]]),
        "speaker": torch.tensor([2]),
        "mel": torch.randn(1, 6, 4),
    }
    frames, valid = part(streams)
    assert frames.shape == (1, 5, 6), "the shortest stream decides"
    assert valid is None
    tables = part.tables
    discrete = tables["units"].weight[2] + tables["f0"].weight[3] + tables["speaker"].weight[2]
    expected = discrete + tables["mel"](streams["mel"])[0, 3]
    torch.testing.assert_close(frames[0, 3], expected)


def test_side_by_side_keeps_the_streams_apart():
    part = Condition(("units", "speaker"), SPECS, dim=6, frame_rate=RATE, beside=True)
    frames, _ = part({"units": torch.tensor([[1, 2]]), "speaker": torch.tensor([0])})
    assert part.dim == 12
    torch.testing.assert_close(frames[0, 3, :6], part.tables["units"].weight[2])
    torch.testing.assert_close(frames[0, 3, 6:], part.tables["speaker"].weight[0])


def test_padding_is_empty_and_said_to_be():
    part = Condition(("units", "f0"), SPECS, dim=6, frame_rate=RATE)
    frames, valid = part({"units": torch.tensor([[1, 2], [1, -1]]), "f0": torch.tensor([[1, 2, 3, 4], [1, 2, -1, -1]])})
    assert valid is not None
    assert valid[..., 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert not frames[1, 2:].any()
    assert frames[1, :2].abs().sum() > 0


def test_neighbouring_bins_begin_alike():
    torch.manual_seed(0)
    table = smooth_table(65, 32)
    near = (table[1:64] - table[:63]).norm(dim=1).mean()
    far = (table[32:64] - table[:32]).norm(dim=1).mean()
    assert near < 0.3 * far


@pytest.mark.parametrize(
    ("needs", "specs", "said"),
    [
        (("tones",), SPECS, "nothing gives 'tones'"),
        (("units",), {"units": Spec(7, 30)}, "30 Hz"),
        (("units",), {"units": Spec(7, 200)}, "divisor"),
        (("speaker",), SPECS, "one stream with a rate"),
    ],
)
def test_streams_that_do_not_fit_are_refused(needs, specs, said):
    with pytest.raises(BadInput, match=said):
        Condition(needs, specs, dim=4, frame_rate=RATE)
