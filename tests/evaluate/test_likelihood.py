"""The table of likelihoods."""

import math

import numpy as np
import pytest

from oration.core import BadInput
from oration.evaluate.interval import to_json
from oration.evaluate.likelihood import ClipNats, likelihood

rng = np.random.default_rng(0)
tokens = rng.integers(20, 60, 80)
hard = rng.normal(0, 0.3, 80)
lm = ClipNats(tokens * (2.0 + hard), tokens)
trigram = ClipNats(tokens * (2.1 + hard + rng.normal(0, 0.05, 80)), tokens)


def test_rows_hold_nats_perplexity_and_a_paired_difference():
    table = likelihood({"lm": lm, "trigram": trigram}, seconds=tokens / 25)
    row = table.row("trigram")
    per_token = trigram.nats.sum() / tokens.sum()
    assert row.nats.value == pytest.approx(per_token)
    assert row.perplexity.value == pytest.approx(math.exp(per_token))
    assert row.bits_per_second.value == pytest.approx(per_token / math.log(2) * 25)
    assert row.nats.low < table.row("lm").nats.high, "unpaired they overlap"
    assert row.against.low > 0.05
    assert table.beaten() == {"trigram": True}
    assert table.row("lm").against is None
    assert table.tokens == tokens.sum()
    assert '"reference": "lm"' in to_json(table)


def test_a_model_that_is_no_worse_is_not_beaten():
    assert likelihood({"lm": lm, "twin": lm}).beaten() == {"twin": False}


def test_models_of_other_tokens_are_refused():
    with pytest.raises(BadInput, match="same tokens"):
        likelihood({"lm": lm, "other": ClipNats(trigram.nats, tokens + 1)})
    with pytest.raises(BadInput, match="none of the models"):
        likelihood({"lm": lm}, reference="x")
    with pytest.raises(BadInput, match="every clip has a token"):
        ClipNats(np.ones(2), np.array([1, 0]))
    with pytest.raises(BadInput, match="clip 1"):
        ClipNats(np.array([1, math.inf]), np.array([1, 2]))
    with pytest.raises(BadInput, match="no model 'y'"):
        likelihood({"lm": lm}).row("y")
