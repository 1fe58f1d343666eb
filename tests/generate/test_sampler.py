import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, OrationError
from oration.generate import Sampler


def draws(sampler, logits, n=4000, allowed=None, seen=None):
    """How often each symbol comes."""
    logits = torch.tensor(logits)[None].expand(n, -1)
    allowed = (
        torch.ones_like(logits, dtype=torch.bool) if allowed is None else torch.tensor(allowed)[None].expand(n, -1)
    )
    chance = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    picks = sampler.pick(logits, allowed, chance, None if seen is None else torch.tensor(seen)[None].expand(n, -1))
    return torch.bincount(picks, minlength=logits.shape[1]) / n


def near(got, want):
    return torch.testing.assert_close(got, torch.tensor(want, dtype=got.dtype), atol=0.025, rtol=0)


P = [0.1, 0.4, 0.2, 0.3]
LOGITS = torch.tensor(P).log().tolist()


def test_draws_follow_the_distribution():
    near(draws(Sampler(), LOGITS), P)
    near(draws(Sampler(temperature=0.5), LOGITS), [p**2 / sum(q**2 for q in P) for p in P])
    near(draws(Sampler(top_k=2), LOGITS), [0, 4 / 7, 0, 3 / 7])
    near(draws(Sampler(top_p=0.65), LOGITS), [0, 4 / 7, 0, 3 / 7])
    near(draws(Sampler(top_p=0.71), LOGITS), [0, 4 / 9, 2 / 9, 3 / 9])
    near(draws(Sampler(top_p=1e-9), LOGITS), [0, 1, 0, 0])
    near(draws(Sampler.greedy(), LOGITS), [0, 1, 0, 0])
    near(draws(Sampler(), LOGITS, allowed=[True, False, True, False]), [1 / 3, 0, 2 / 3, 0])
    near(draws(Sampler(temperature=0), LOGITS, allowed=[True, False, True, False]), [0, 0, 1, 0])


def test_repetition_lowers_what_was_seen_whatever_its_sign():
    seen = [False, True, True, False]
    logits = torch.tensor([1.0, 2.0, -1.0, 0.5])
    want = torch.tensor([1.0, 1.0, -2.0, 0.5]).softmax(-1).tolist()
    near(draws(Sampler(repetition=2.0), logits.tolist(), seen=seen), want)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=12),
    st.integers(0, 13),
    st.floats(1e-6, 1),
    st.floats(0, 3),
    st.integers(0, 2**31),
)
def test_only_what_is_allowed_is_drawn(logits, top_k, top_p, temperature, seed):
    random = torch.Generator().manual_seed(seed)
    allowed = torch.rand(5, len(logits), generator=random) < 0.4
    allowed[torch.arange(5), torch.randint(len(logits), (5,), generator=random)] = True
    chance = torch.tensor([0.0, 1 - 2**-53, *torch.rand(3, dtype=torch.float64, generator=random)], dtype=torch.float64)
    sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p)
    rows = torch.tensor(logits)[None].expand(5, -1)
    picks = sampler.pick(rows, allowed, chance)
    assert bool(allowed[torch.arange(5), picks].all())
    for i in range(5):  # a neighbour changes nothing
        assert sampler.pick(rows[i : i + 1], allowed[i : i + 1], chance[i : i + 1]) == picks[i]


def test_rows_may_be_drawn_in_their_own_way():
    cold = Sampler.greedy()
    sampler = Sampler(temperature=0.9, rows=(("text", cold),))
    assert sampler.of("text") is cold
    assert sampler.of("codec.0") is sampler


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"repetition": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match="a sampler needs"):
        Sampler(**wrong)


def test_logits_that_are_no_numbers_are_refused():
    with pytest.raises(OrationError, match="logits are NaN"):
        draws(Sampler(), [0.0, float("nan")], n=1)
