"""The codecs of the surveys as recipes: all there by name, each trained by its paper's discriminators."""

import importlib
import re

import pytest

from oration.model import SpeechLM
from oration.objectives.gan import Gan
from oration.recipe import find, names
from oration.sizes import _Weightless
from oration.works import built, codecs_of, smallest

CODECS = [name for name in names() if not find(name).lms and codecs_of(find(name))]
TABLE = {"A", "B1", "B2", "B3", "C", "D1", "D2", "D3", *(f"E{n}" for n in range(1, 6)), *(f"F{n}" for n in range(1, 7))}
"""Configurations of Wu et al. 2024, arXiv:2402.13236, table I."""
BITS = {
    "speechtokenizer": 4, "hificodec_16k": 2, "hificodec_16k_large": 2, "hificodec_24k": 3, "audiodec_24k": 6.4,
    "dac_16k": 6, "dac_24k": 24, "dac_44k": 7.75, "encodec_24k_1_5kbps": 1.5, "encodec_24k_3kbps": 3,
    "encodec_24k_6kbps": 6, "encodec_24k_12kbps": 12, "encodec_24k": 24, "freqcodec_gr1": 16, "freqcodec_gr8": 16,
    "funcodec_en_ds320": 16, "funcodec_en_ds640": 8, "funcodec_zh_en_ds320": 16, "funcodec_zh_en_ds640": 8,
}  # fmt: skip
"""kbit/s there; DAC at 44.1 kHz is said to have 8."""


def test_every_configuration_of_the_overview_has_a_recipe_that_names_it():
    found = {}
    for name in CODECS:
        title = importlib.import_module(f"oration.recipes.{name}").__doc__.splitlines()[0]
        for sign in re.findall(r"configuration ([A-F]\d?)\b", title):
            assert sign not in found, f"{sign} is {found[sign]} and {name}"
            found[sign] = name
    assert set(found) == TABLE
    assert set(found.values()) == set(BITS)


@pytest.mark.parametrize("name", BITS)
def test_its_bitrate_is_that_of_the_overview(name):
    (codec,) = codecs_of(find(name)).values()
    kbps = sum(spec.bits_per_second for spec in codec.specs().values()) / 1000
    assert kbps == pytest.approx(BITS[name], rel=0.001)


@pytest.mark.parametrize("name", CODECS)
def test_it_builds_at_its_size_and_so_does_what_it_learns_from(name):
    recipe = find(name)
    works = built(recipe)
    assert list(works.parameters) == ["codec"]
    assert works.sized
    stages = [stage for stage in recipe.training if isinstance(stage.objective, Gan)]
    assert stages, "it says how it is trained"
    with _Weightless():
        part = codecs_of(recipe)["codec"].tiny().build()
        for stage in stages:
            objective = stage.objective.build(part, SpeechLM(recipe, device="meta").specs)
            assert objective.groups(part)["model"]
    losses = set(smallest(recipe, 3).training[-1].objective.own)
    assert losses
    assert all(set(stage.objective.own) <= losses for stage in stages), "a weight of a loss that the codec has not"
    critics = {type(critic).__name__ for stage in stages for critic in stage.objective.critics}
    assert len(critics) >= 1
