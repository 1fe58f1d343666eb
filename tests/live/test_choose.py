"""Every recipe that can reply in sound has an engine, and what has none says why."""

import pytest

from oration.core import BadInput
from oration.dialogue.marks import Marks
from oration.live.choose import KINDS, kind_of, open_engine
from oration.model import SpeechLM
from oration.recipe import find, names


def test_every_recipe_with_a_vocoder_and_a_language_model_has_an_engine():
    kinds = {}
    for name in names():
        recipe = find(name)
        if recipe.vocoder is None or not recipe.lms:
            with pytest.raises(BadInput):
                kind_of(recipe)
        else:
            kinds[name] = kind_of(recipe)
    assert set(kinds.values()) <= set(KINDS)
    expected = {
        "pocket": "turns", "moshi": "duplex", "dgslm": "duplex", "ntpp": "duplex", "syncllm": "slices",
        "omniflatten": "slices", "salmonn_omni": "switching", "cascade": "cascade", "llama_omni": "turns",
    }  # fmt: skip
    assert expected.items() <= kinds.items()


def test_an_unknown_engine_is_told():
    with pytest.raises(BadInput, match="no engine 'triplex'"):
        open_engine(SpeechLM(find("pocket").tiny()), kind="triplex")
    assert open_engine(SpeechLM(find("pocket").tiny()), kind="echo").name == "echo"


def test_marks_know_when_a_sample_came_and_forget_the_oldest():
    marks = Marks(8, 10)
    for k in range(1, 101):
        marks.add(k * 4, 0.1 * k)
    assert marks.when(400) == pytest.approx(10.0)
    assert marks.when(401) is None
    assert marks.when(4) is None
    assert marks.when(395) == pytest.approx(9.9, abs=0.31)
    assert len(marks._times) == 8
