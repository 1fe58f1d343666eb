"""Each word is kept once: as text or as speech."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream
from oration.layouts import Layout, Time, Weave
from oration.streams import Alternate, InTurn, Scattered, Timed

SPECS = {"text": Spec(30), "units.runs": Spec(9), "style": Spec(5, 1)}
SPANS = (InTurn(), InTurn(text=(1, 2), speech=(1, 1)), Scattered(), Scattered(mean=2, share=0.5))


def clip(words, runs, rng):
    """Words of two pieces each, at random times within 20 s."""
    starts = np.repeat(np.sort(rng.choice(2000, words, replace=False)), 2) * (TICKS // 100)
    begins = np.sort(rng.choice(1000, runs, replace=False)) * (TICKS // 50)
    return {
        "text": Stream(np.arange(2 * words) % 30, starts),
        "units.runs": Stream(rng.integers(0, 9, runs), begins),
        "style": Stream(rng.integers(0, 5, 20)),
    }


@given(st.integers(1, 60), st.integers(0, 300), st.integers(0, 999), st.sampled_from(SPANS))
def test_a_word_is_text_or_speech_and_never_both(words, runs, seed, spans):
    rng = np.random.default_rng(seed)
    example = clip(words, runs, rng)
    timed = Timed("style")
    example, specs = timed(example, SPECS, rng), SPECS | timed.specs(SPECS)
    assert np.array_equal(timed.undo({"style.timed": example["style.timed"]}, SPECS)["style"].ids, example["style"].ids)
    operation = Alternate(units=("units.runs", "style.timed"), spans=spans)
    assert operation.specs(specs) == {}
    mixed = operation(example, specs, rng)
    starts = np.unique(example["text"].onsets)
    written = np.isin(starts, mixed["text"].onsets)
    for name in ("units.runs", "style.timed"):
        word = np.maximum(np.searchsorted(starts, example[name].onsets, "right") - 1, 0)
        assert np.array_equal(mixed[name].onsets, example[name].onsets[~written[word]])
    assert len(mixed["text"]) == 2 * written.sum()
    Layout((Weave(("text", "units.runs", "style.timed"), Time()),)).place([mixed], specs, ("text",))


@given(st.integers(0, 200), st.integers(0, 999))
def test_spans_have_the_lengths_that_were_asked_for(words, seed):
    rng = np.random.default_rng(seed)
    spoken = InTurn(text=(3, 5), speech=(2, 2)).spoken(words, rng)
    assert len(spoken) == words
    edges = np.flatnonzero(np.diff(spoken, prepend=~spoken[:1], append=~spoken[-1:]))
    for start, stop in list(pairwise(edges))[:-1]:  # the last may be cut short
        assert stop - start in ((2,) if spoken[start] else (3, 4, 5))
    scattered = Scattered(mean=4, share=0.3).spoken(words, rng)
    assert scattered.sum() == round(0.3 * words)
    assert len(scattered) == words


def test_chance_is_the_seeds_alone():
    example = clip(50, 100, np.random.default_rng(0))
    first, again, other = (Alternate(spans=Scattered())(example, SPECS, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first["text"].ids, again["text"].ids)
    assert not np.array_equal(first["text"].onsets, other["text"].onsets)
    assert len(first["text"]) == 70


def test_without_words_all_speech_is_kept():
    example = {"text": Stream(np.zeros(0, int)), "units.runs": Stream(np.arange(3), np.arange(3))}
    assert Alternate()(example, SPECS, np.random.default_rng(0)) is example


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Alternate(units="units"), "name them in a tuple"),
        (lambda: Alternate(units=("style",)).specs(SPECS), "'style' cannot have since it is regular"),
        (lambda: InTurn(text=(0, 3)), "from 0 to 3 words"),
        (lambda: Scattered(share=2), "share=2"),
        (lambda: Timed("text").specs(SPECS), "'text' has no rate"),
        (
            lambda: Alternate()({"text": Stream(np.arange(2)), "units.runs": Stream(np.arange(2))}, SPECS, None),
            "when the items of 'text' begin",
        ),
    ],
)
def test_what_cannot_alternate_is_said(wrong, says):
    with pytest.raises(BadInput, match=says):
        wrong()
    assert isinstance(Alternate(), Operation)
