import copy
import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from oration.core import BadInput, from_record, to_record
from oration.nn.quantize import (
    FactorisedRvq,
    Fsq,
    GroupRvq,
    GumbelVq,
    Lfq,
    MultiScaleRvq,
    Rvq,
    SplitRvq,
    usage,
)

KINDS = [
    Rvq(levels=3, size=16),
    Rvq(levels=3, size=16, dim=4, dropout=0.5, bypass=0.3),
    FactorisedRvq(levels=3, size=16, dim=4),
    GroupRvq(groups=2, each=Rvq(levels=2, size=16)),
    GroupRvq(groups=2, each=Rvq(levels=2, size=16), order="rounds"),
    SplitRvq(levels=4, semantic=1, size=16, dim=8),
    MultiScaleRvq(strides=(4, 2, 1), size=16, dim=4, dropout=0.5),
    Fsq(levels_per_dim=(4, 3, 5)),
    Fsq(levels_per_dim=(5, 4), levels=3, dropout=0.5),
    Lfq(bits=5),
    GumbelVq(levels=2, size=16, dim=8),
]
kinds = pytest.mark.parametrize("numbers", KINDS, ids=lambda numbers: type(numbers).__name__)
DIM = 12


def trained(numbers, dim=DIM, steps=4, seed=0):
    """A quantizer that has seen a few batches."""
    torch.manual_seed(seed)
    layer = numbers.build(dim)
    for _ in range(steps):
        layer(torch.randn(4, 32, dim))
    return layer


@kinds
def test_decoding_gives_what_forward_gave(numbers):
    layer = trained(numbers).eval()
    x = torch.randn(3, 16, DIM)
    with torch.no_grad():
        found, codes = layer(x), layer.encode(x)
        assert len(codes) == numbers.levels == len(numbers.sizes) == len(numbers.strides)
        for row, other, size, stride in zip(codes, found.codes, numbers.sizes, numbers.strides, strict=True):
            assert row.dtype == torch.long
            assert row.shape == (3, 16 // stride)
            assert torch.equal(row, other)
            assert 0 <= row.min() <= row.max() < size
        assert found.vectors.shape == x.shape == found.first.shape
        torch.testing.assert_close(layer.decode(codes), found.vectors, atol=1e-6, rtol=1e-6)
        if not isinstance(numbers, GroupRvq):  # its first level is that of one group
            torch.testing.assert_close(layer.decode(codes[:1]), found.first, atol=1e-6, rtol=1e-6)
    assert not found.losses


@kinds
def test_a_batch_is_coded_as_its_members_are(numbers):
    layer = trained(numbers).eval()
    x = torch.randn(2, 16, DIM)
    with torch.no_grad():
        both = layer.encode(x)
        for row in range(2):
            for one, all_of_them in zip(layer.encode(x[row : row + 1]), both, strict=True):
                assert torch.equal(one[0], all_of_them[row])


@kinds
def test_fewer_levels_say_less(numbers):
    layer = trained(numbers).eval()
    x = torch.randn(2, 16, DIM)
    with torch.no_grad():
        codes = layer.encode(x)
        said = [layer.decode(codes[: count + 1]) for count in range(len(codes))]
        for count in range(1, len(codes) + 1):
            assert [row.tolist() for row in layer.encode(x, count)] == [row.tolist() for row in codes[:count]]
    for before, after in pairwise(said):
        assert before.shape == x.shape
        assert not torch.equal(before, after)


@kinds
def test_gradients_reach_what_was_quantised_and_every_weight(numbers):
    torch.manual_seed(1)
    layer = trained(numbers)
    x = torch.randn(8, 16, DIM, requires_grad=True)
    found = layer(x)
    (found.vectors.square().sum() + found.first.sum() + sum(found.losses.values())).backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0
    for name, weight in layer.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


@kinds
def test_training_resumes_exactly(numbers):
    layer = trained(numbers)
    other = numbers.build(DIM)
    other.load_state_dict({name: tensor.clone() for name, tensor in layer.state_dict().items()})
    for seed in range(3):
        x = torch.randn(4, 32, DIM)
        torch.manual_seed(seed)
        one = layer(x)
        torch.manual_seed(seed)
        two = other(x)
        assert torch.equal(one.vectors, two.vectors)
        assert all(torch.equal(one.losses[name], two.losses[name]) for name in one.losses)
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@kinds
def test_autocast_changes_no_choice(numbers):
    layer = trained(numbers).eval()
    x = torch.randn(2, 16, DIM).bfloat16()
    with torch.no_grad():
        plain = layer(x.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = layer(x)
    assert cast.vectors.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(plain.codes, cast.codes, strict=True))
    torch.testing.assert_close(cast.vectors, plain.vectors.bfloat16())


@kinds
def test_training_goes_on_after_a_look_at_the_codes(numbers):
    layer = trained(numbers)
    with torch.inference_mode():
        layer.encode(torch.randn(1, 16, DIM))
    x = torch.randn(4, 32, DIM, requires_grad=True)
    layer.eval().encode(x)
    found = layer.train()(x)
    (found.vectors.sum() + sum(found.losses.values())).backward()
    assert torch.isfinite(x.grad).all()


@kinds
def test_a_record_is_the_same_quantizer(numbers):
    assert from_record(to_record(numbers)) == numbers
    assert len(numbers.tiny().build(8).sizes) == numbers.tiny().levels


@kinds
def test_a_copy_has_a_life_of_its_own(numbers):
    layer = trained(numbers).eval()
    x = torch.randn(2, 16, DIM)
    with torch.no_grad():
        before = layer.encode(x)
        other = copy.deepcopy(layer)
        for tensor in other.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn_like(tensor))
        other.encode(x)
        assert all(torch.equal(a, b) for a, b in zip(before, layer.encode(x), strict=True))


@kinds
def test_no_frames_are_no_codes(numbers):
    layer = trained(numbers).eval()
    with torch.no_grad():
        codes = layer.encode(torch.zeros(2, 0, DIM))
        assert [row.shape for row in codes] == [(2, 0)] * numbers.levels
        assert layer.decode(codes).shape == (2, 0, DIM)


@kinds
@settings(max_examples=12, deadline=None)
@given(batch=st.integers(1, 3), blocks=st.integers(1, 5), seed=st.integers(0, 9))
def test_any_shape(numbers, batch, blocks, seed):
    torch.manual_seed(seed)
    layer = numbers.build(DIM)
    x = torch.randn(batch, blocks * 4, DIM) * 10 ** (seed - 4)
    for training in (True, False):
        found = layer.train(training)(x)
        assert found.vectors.shape == x.shape
        assert torch.isfinite(found.vectors).all()
        assert all(loss.shape == () and torch.isfinite(loss) for loss in found.losses.values())


class Waits(TorchDispatchMode):
    """Raises where something would wait for a GPU: a number is read, or a shape depends on the data."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "bincount", "unique", "is_nonzero", "equal.default")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert not any(word in name for word in self.WAITING), f"{name} waits"
        if "index" in name:
            for indices in (arg for arg in args if isinstance(arg, list)):
                assert not any(i is not None and i.dtype == torch.bool for i in indices), f"{name} by a mask waits"
        return func(*args, **(kwargs or {}))


@kinds
def test_a_training_step_waits_for_no_gpu(numbers):
    layer = trained(numbers)
    x = torch.randn(4, 32, DIM, requires_grad=True)
    with Waits():
        found = layer(x)
        (found.vectors.square().sum() + sum(found.losses.values())).backward()
        for row, size in zip(found.codes, layer.sizes, strict=True):
            usage(row, size, rate=50)


def test_the_guard_against_waiting_guards():
    with Waits(), pytest.raises(AssertionError, match="waits"):
        bool(torch.ones(()))
    with Waits(), pytest.raises(AssertionError, match="waits"):
        torch.ones(3)[torch.ones(3, dtype=torch.bool)]


class TestBadCodes:
    layer = Rvq(levels=2, size=16).build(4).eval()
    row = torch.zeros(1, 5, dtype=torch.long)

    @pytest.mark.parametrize("code", [-1, 16])
    def test_outside_the_codebook(self, code):
        with pytest.raises(BadInput, match=f"level 1 has the code {code}, expected 0 to 15"):
            self.layer.decode([self.row, self.row.clone().fill_(code)])

    def test_too_many_or_no_levels(self):
        with pytest.raises(BadInput, match="3 levels of codes, expected 1 to 2"):
            self.layer.decode([self.row] * 3)
        with pytest.raises(BadInput, match="0 levels"):
            self.layer.decode([])

    def test_lengths_that_do_not_belong_together(self):
        with pytest.raises(BadInput, match=re.escape("levels of [5, 4] codes")):
            self.layer.decode([self.row, self.row[:, :4]])
        layer = MultiScaleRvq(strides=(2, 1), size=16, dim=4).build(4)
        assert layer.decode([self.row, torch.zeros(1, 10, dtype=torch.long)]).shape == (1, 10, 4)
        with pytest.raises(BadInput, match=re.escape("strides (2, 1) they stand for [5, 10] frames")):
            layer.decode([self.row, self.row])

    def test_no_whole_numbers(self):
        with pytest.raises(BadInput, match="whole numbers"):
            self.layer.decode([self.row.float()])

    def test_frames_that_no_stride_divides(self):
        layer = MultiScaleRvq(strides=(4, 2), size=16, dim=4).build(4)
        with pytest.raises(BadInput, match="6 frames are no multiple of 4"):
            layer.encode(torch.zeros(1, 6, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rvq(levels=0),
        lambda: Rvq(levels=2, cuts=(3,)).build(4),
        lambda: Rvq(dropout=1.5).build(4),
        lambda: SplitRvq(levels=1),
        lambda: MultiScaleRvq(strides=()),
        lambda: GroupRvq(groups=3).build(8),
        lambda: Fsq(levels_per_dim=(1, 5)),
        lambda: Fsq(levels_per_dim=(2, 5), levels=2),
        lambda: Lfq(bits=0),
        lambda: GumbelVq(dim=7),
    ],
)
def test_impossible_numbers_are_said_so(make):
    with pytest.raises(BadInput, match="expected"):
        make()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-1, 6), max_size=40))
def test_usage_is_that_of_the_definition(codes):
    found = usage(torch.tensor(codes, dtype=torch.long), 7, rate=50)
    counts = [codes.count(code) for code in range(7) if code in codes]
    shares = torch.tensor(counts, dtype=torch.double) / max(1, sum(counts))
    entropy = -(shares * shares.log2()).sum()
    assert float(found.share) == pytest.approx(len(counts) / 7, abs=1e-6)
    assert float(found.perplexity) == pytest.approx(float(2**entropy), rel=1e-4)
    assert float(found.bits) == pytest.approx(float(entropy * 50), rel=1e-4, abs=1e-4)


def test_a_collapsed_codebook_shows():
    assert float(usage(torch.zeros(2, 50, dtype=torch.long), 1024).perplexity) == 1
    uniform = usage(torch.arange(1024), 1024, rate=75)
    assert float(uniform.perplexity) == pytest.approx(1024, rel=1e-3)
    assert float(uniform.bits) == pytest.approx(750, rel=1e-3)
