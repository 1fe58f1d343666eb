"""Errors of word times, on made-up ones."""

import math

import pytest

from oration.evaluate.alignment import word_times

GIVEN = [(0.0, 0.4, "It's"), (0.5, 1.0, "mine")]


def test_errors_of_starts_and_stops():
    found = [(0.1, 0.4, "it's"), (0.5, 0.7, "MINE")]
    errors = word_times([GIVEN, GIVEN, GIVEN], [found, None, [(0.0, 1.0, "yours")]])
    assert (errors.words, errors.refused, errors.unlike) == (2, 1, 1)
    assert errors.start_median == pytest.approx(0.05)
    assert errors.stop_median == pytest.approx(0.15)
    assert errors.start_ninety == pytest.approx(0.09)
    assert errors.median == pytest.approx(0.05)
    assert errors.early == pytest.approx(-0.05)


def test_nothing_to_measure():
    errors = word_times([GIVEN], [None])
    assert errors.words == 0
    assert math.isnan(errors.median)
