import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.quantize import FactorisedRvq, GroupRvq, MultiScaleRvq, Rvq, SplitRvq
from oration.nn.quantize.search import ROOM, nearest_codeword


def blobs(frames, centres=8, dim=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(centres, dim, generator=generator) * 5
    member = torch.randint(centres, (frames,), generator=generator)
    return middle[member] + torch.randn(frames, dim, generator=generator) * 0.3


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_the_nearest_is_that_of_the_definition(frames, size, dim, seed):
    torch.manual_seed(seed)
    x, codebook = torch.randn(frames, dim), torch.randn(size, dim)
    naive = (x[:, None] - codebook).square().sum(2).argmin(1)
    assert torch.equal(nearest_codeword(x, codebook, codebook.square().sum(1)), naive)


def test_long_recordings_are_searched_in_parts(monkeypatch):
    torch.manual_seed(0)
    x, codebook = torch.randn(500, 4), torch.randn(32, 4)
    norms = codebook.square().sum(1)
    whole = nearest_codeword(x, codebook, norms)
    monkeypatch.setitem(ROOM, "cpu", 32 * 70)
    assert torch.equal(nearest_codeword(x, codebook, norms), whole)


class Oracle:
    """Running means as the paper writes them: sums and counts, one codeword at a time, in numpy."""

    def __init__(self, codebook, mass, decay):
        self.mass, self.decay = mass.numpy().astype(float), decay
        self.sums = codebook.numpy().astype(float) * self.mass[:, None]

    def step(self, x):
        codebook = self.sums / self.mass[:, None]
        choice = ((x[:, None] - codebook) ** 2).sum(2).argmin(1)
        for code in range(len(codebook)):
            mine = x[choice == code]
            self.mass[code] = self.decay * self.mass[code] + (1 - self.decay) * len(mine)
            self.sums[code] = self.decay * self.sums[code] + (1 - self.decay) * mine.sum(0)
        return x - codebook[choice]


def test_codewords_are_the_running_means_of_the_definition():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=8, decay=0.9, dead=0.0).build(5)
    layer(torch.randn(8, 20, 5))
    oracles = [Oracle(level.codebook.clone(), level.mass.clone(), 0.9) for level in layer.levels]
    for _ in range(6):
        x = torch.randn(3, 10, 5)
        layer(x)
        rest = x.flatten(0, 1).numpy().astype(float)
        for oracle in oracles:
            rest = oracle.step(rest)
    for level, oracle in zip(layer.levels, oracles, strict=True):
        np.testing.assert_allclose(level.mass.numpy(), oracle.mass, rtol=1e-5)
        np.testing.assert_allclose(level.codebook.numpy(), oracle.sums / oracle.mass[:, None], rtol=1e-4, atol=1e-5)


def test_kmeans_waits_for_enough_vectors_and_finds_the_clusters():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=16, pool=4).build(6)
    x = blobs(120)
    first = layer(x[None, :40])
    assert torch.equal(first.vectors[0], x[:40])  # as they are, until there are 64
    assert all((row == -1).all() for row in first.codes)
    second = layer(x[None, 40:80])
    assert all((row >= 0).all() for row in second.codes)
    layer.eval()
    error = (layer(x[None]).vectors[0] - x).square().mean()
    assert error < 0.15 * x.var()


def test_a_start_is_not_made_twice():
    torch.manual_seed(0)
    layer = Rvq(levels=1, size=8, dead=0.0).build(4)
    layer(torch.randn(1, 64, 4))
    other = Rvq(levels=1, size=8, dead=0.0).build(4)
    other.load_state_dict(layer.state_dict())
    other(torch.randn(1, 64, 4) * 100)
    assert other.levels[0].codebook.abs().max() < 60  # moved by a hundredth, where a start would jump there


def test_given_codewords_are_kept():
    torch.manual_seed(0)
    layer = Rvq(levels=1, size=8, start="given").build(4)
    before = layer.levels[0].codebook.clone()
    found = layer(before[None, :].repeat(1, 4, 1))
    assert found.codes[0].tolist() == [list(range(8)) * 4]
    torch.testing.assert_close(layer.levels[0].codebook, before)


def test_codewords_that_nobody_chooses_come_back():
    torch.manual_seed(0)
    layer = Rvq(levels=1, size=16, start="given").build(6)
    layer.levels[0].codebook[4:] += 1000.0
    x = blobs(2000, centres=16)
    lost = (layer.eval()(x[None]).vectors[0] - x).square().mean()
    layer.train()
    for piece in x.repeat(8, 1).split(100):
        layer(piece[None])
    layer.eval()
    found = layer(x[None])
    assert (layer.levels[0].codebook.abs() < 100).all()
    assert len(set(found.codes[0].flatten().tolist())) > 12
    assert (found.vectors[0] - x).square().mean() < 0.4 * lost


def test_without_a_threshold_they_stay():
    torch.manual_seed(0)
    layer = Rvq(levels=1, size=4, start="given", dead=0.0).build(2)
    layer.levels[0].codebook[3] = 1000.0
    for _ in range(300):
        layer(torch.randn(1, 20, 2))
    assert torch.equal(layer.levels[0].codebook[3], torch.full((2,), 1000.0))


def test_a_batch_gone_wrong_does_not_stay():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=8).build(4)
    layer(torch.randn(8, 20, 4))
    layer(torch.full((1, 20, 4), float("nan")))
    layer(torch.full((1, 20, 4), float("inf")))
    assert all(torch.isfinite(level.codebook).all() for level in layer.levels)
    assert torch.isfinite(layer(torch.randn(2, 20, 4)).vectors).all()


def test_a_batch_of_one_vector_starts_and_moves_a_codebook():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=4, pool=0).build(3)
    for _ in range(3):
        found = layer(torch.randn(1, 1, 3))
    assert torch.isfinite(found.vectors).all()
    assert all(torch.isfinite(level.codebook).all() for level in layer.levels)


@pytest.mark.parametrize("numbers", [Rvq(levels=3, size=8), Rvq(levels=3, size=8, commitment=0.0)])
def test_the_gradient_goes_straight_through(numbers):
    torch.manual_seed(0)
    layer = numbers.build(4)
    layer(torch.randn(8, 20, 4))
    x, weight = torch.randn(2, 6, 4, requires_grad=True), torch.randn(2, 6, 4)
    (layer(x).vectors * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight)


def test_commitment_is_the_distance_to_the_codewords_and_pulls_towards_them():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=8, commitment=0.5, dead=0.0).build(4)
    layer(torch.randn(8, 20, 4))
    before = [level.codebook.clone() for level in layer.levels]
    x = torch.randn(2, 6, 4, requires_grad=True)
    found = layer(x)
    rest, distances, pulls = x.detach(), [], torch.zeros_like(x)
    for codebook, row in zip(before, found.codes, strict=True):
        rest = rest - codebook[row]
        distances.append(rest.square().mean())
        pulls += 2 * rest / rest.numel()
    torch.testing.assert_close(found.losses["commitment"], 0.5 * sum(distances) / 2)
    found.losses["commitment"].backward()
    torch.testing.assert_close(x.grad, 0.5 * pulls / 2)


class TestDropout:
    @pytest.mark.parametrize("numbers", [Rvq(levels=4, size=8, dropout=0.5), FactorisedRvq(levels=4, size=8, dim=3)])
    def test_about_a_share_of_the_rows_stops_early_and_says_what_is_left(self, numbers):
        torch.manual_seed(0)
        layer = numbers.build(5)
        layer(torch.randn(8, 20, 5))
        frozen = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
        found = layer(torch.randn(400, 2, 5))
        kept = torch.stack([(row >= 0).all(1) for row in found.codes])
        assert kept[0].all()
        assert (kept[:-1] | ~kept[1:]).all()  # no level without those before it
        assert 0.25 < (~kept[-1]).float().mean() < 0.5  # a share of one half, a quarter of which draws all levels
        layer.load_state_dict(frozen)
        layer.eval()
        for row in (0, 1, int((~kept[-1]).nonzero()[0])):
            count = int(kept[:, row].sum())
            said = layer.decode([codes[row : row + 1] for codes in found.codes[:count]])
            torch.testing.assert_close(said, found.vectors[row : row + 1], atol=1e-5, rtol=1e-5)

    def test_cuts_are_the_numbers_of_levels_that_are_drawn(self):
        torch.manual_seed(0)
        layer = Rvq(levels=8, size=4, dropout=1.0, cuts=(2, 8)).build(3)
        layer(torch.randn(8, 20, 3))
        found = layer(torch.randn(64, 2, 3))
        counts = torch.stack([(row >= 0).all(1) for row in found.codes]).sum(0)
        assert set(counts.tolist()) == {2, 8}

    def test_none_at_inference(self):
        torch.manual_seed(0)
        layer = Rvq(levels=3, size=8, dropout=1.0).build(3)
        layer(torch.randn(8, 20, 3))
        assert all((row >= 0).all() for row in layer.eval()(torch.randn(20, 4, 3)).codes)


def test_some_rows_pass_by_unquantised():
    torch.manual_seed(0)
    layer = Rvq(levels=2, size=8, bypass=0.5).build(3)
    layer(torch.randn(8, 20, 3))
    x = torch.randn(200, 2, 3)
    found = layer(x)
    past = (found.vectors == x).all(2).all(1)
    assert 0.35 < past.float().mean() < 0.65
    assert not torch.equal(found.first[past], x[past])


def test_factorised_losses_move_codewords_and_vectors_towards_each_other():
    torch.manual_seed(0)
    layer = FactorisedRvq(levels=1, size=8, dim=3, dropout=0.0).build(6)
    x = torch.randn(2, 10, 6, requires_grad=True)
    found = layer(x)
    level = layer.levels[0]
    narrow = level.inward(x)
    choice = (F.normalize(narrow, dim=2)[:, :, None] - F.normalize(level.codebook, dim=1)).square().sum(3).argmin(2)
    assert torch.equal(found.codes[0], choice)
    distance = (narrow - level.codebook[choice]).square().mean()
    torch.testing.assert_close(found.losses["codebook"], distance)
    torch.testing.assert_close(found.losses["commitment"], 0.25 * distance)
    found.losses["codebook"].backward(retain_graph=True)
    assert level.codebook.grad is not None
    assert x.grad is None
    codebook = level.codebook.grad.clone()
    found.losses["commitment"].backward()
    assert torch.equal(level.codebook.grad, codebook)
    assert x.grad.abs().sum() > 0


def test_a_step_of_the_optimizer_is_not_missed():
    """What is remembered of a codebook for speed is made anew when it changes."""
    torch.manual_seed(0)
    layer = FactorisedRvq(levels=2, size=16, dim=3, dropout=0.0).build(6)
    x = torch.randn(1, 200, 6)
    with torch.no_grad():
        layer.encode(x)
    optimizer = torch.optim.SGD(layer.parameters(), lr=20.0)
    for _ in range(3):
        optimizer.zero_grad()
        sum(layer(x).losses.values()).backward()
        optimizer.step()
    other = FactorisedRvq(levels=2, size=16, dim=3, dropout=0.0).build(6)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(layer.encode(x), other.encode(x), strict=True))


def test_groups_are_quantised_apart():
    torch.manual_seed(0)
    numbers = GroupRvq(groups=2, each=Rvq(levels=2, size=8))
    layer = numbers.build(6)
    layer(torch.randn(8, 30, 6))
    layer.eval()
    x = torch.randn(1, 9, 6)
    codes = layer.encode(x)
    for group in range(2):
        alone = layer.groups[group].encode(x[:, :, 3 * group : 3 * group + 3])
        assert all(torch.equal(a, b) for a, b in zip(alone, codes[2 * group : 2 * group + 2], strict=True))
    assert (layer.decode(codes[:2])[:, :, 3:] == 0).all()  # the second group is not given
    rounds = GroupRvq(groups=2, each=Rvq(levels=2, size=8), order="rounds").build(6)
    rounds.load_state_dict(layer.state_dict())
    again = rounds.eval().encode(x)
    assert all(torch.equal(again[here], codes[there]) for here, there in enumerate((0, 2, 1, 3)))
    assert torch.equal(rounds.decode(again), layer.decode(codes))


def test_the_two_parts_of_a_split_see_the_same_vectors():
    torch.manual_seed(0)
    layer = SplitRvq(levels=4, semantic=2, size=8, dim=5).build(5)
    layer(torch.randn(8, 30, 5))
    layer.eval()
    x = torch.randn(2, 7, 5)
    codes = layer.encode(x)
    assert all(torch.equal(a, b) for a, b in zip(layer.first.encode(x) + layer.rest.encode(x), codes, strict=True))
    torch.testing.assert_close(layer.decode(codes), layer.first.decode(codes[:2]) + layer.rest.decode(codes[2:]))
    assert torch.equal(layer.decode(codes[:1]), layer.first.decode(codes[:1]))


def test_slow_levels_say_the_mean_of_their_frames():
    torch.manual_seed(0)
    layer = MultiScaleRvq(strides=(4, 1), size=16, dim=3).build(6).eval()
    x = torch.randn(2, 12, 6)
    mean = x.unflatten(1, (3, 4)).mean(2)
    with torch.no_grad():
        assert torch.equal(layer.encode(x)[0], layer.levels[0].nearest(layer.levels[0].inward(mean)))
        said = layer.decode(layer.encode(x)[:1]).unflatten(1, (3, 4))
        assert torch.equal(said, said[:, :, :1].expand_as(said))
