"""Results as tables: every cell stands under its own head."""

from pathlib import Path

import numpy as np

from oration.core import Spec, Stream
from oration.data.manifest import Clip
from oration.evaluate.abx import ABX
from oration.evaluate.interval import Bootstrap
from oration.evaluate.likelihood import ClipNats, likelihood
from oration.evaluate.report import Section, page
from oration.evaluate.tables import abx_table, likelihood_table, units_table
from oration.evaluate.units import cost, purity

QUICK = Bootstrap(rounds=30)


def same(label):
    return label


def clips(n=3):
    phones = tuple((i / 50, (i + 2) / 50, "AB"[i // 2 % 2]) for i in range(0, 20, 2))
    return [Clip(id=str(k), path=Path("x"), seconds=0.4, speaker=f"s{k}", phones=phones) for k in range(n)]


def test_units_and_abx():
    streams, spec = [Stream(np.arange(20) // 2 % 2)] * 3, Spec(4, 50)
    says, costs = purity(streams, clips(), spec, fold=same, bootstrap=QUICK), cost(streams, spec, bootstrap=QUICK)
    table = units_table({"ours": (says, costs), "no phones": (None, costs)})
    row = dict(zip((column.label for column in table.columns), table.rows[0], strict=True))
    assert row["phone purity"] is says.phone_purity
    assert row["bit/s, nominal"] == 100
    assert row["bit/s, runs with durations"] is costs.runs_bitrate
    assert table.rows[1][1] is None
    assert "60 frames" in table.note
    within = ABX(context="any")(streams, clips(), 50, fold=same, bootstrap=QUICK)
    errors = abx_table({"ours": {"within": within}, "other": {"across": within}})
    assert [column.label for column in errors.columns] == ["representation", "within", "across"]
    assert errors.rows == (("ours", within.error, None), ("other", None, within.error))
    assert "3 speakers" in errors.note
    assert "not computed" in page([Section("s", (table, errors))])


def test_likelihoods():
    tokens = np.array([10, 20, 30])
    result = likelihood(
        {"lm": ClipNats(2.0 * tokens, tokens), "bigram": ClipNats(2.5 * tokens, tokens)}, bootstrap=QUICK
    )
    table = likelihood_table(result)
    assert [column.label for column in table.columns] == ["model", "nats per token", "minus lm's", "perplexity"]
    assert table.rows[0][2] == "–"
    assert table.rows[1][2].value == 0.5
    assert "60 tokens" in table.note
