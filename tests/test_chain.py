"""Language models in a row: each reads what the one before it said, and not the prompt's version of it."""

import numpy as np

from oration.core import Stream, Waveform
from oration.data.manifest import read_manifest
from oration.demo import SAMPLES
from oration.model import SpeechLM
from oration.recipe import find
from oration.reply import chain, prepared


def test_what_an_earlier_model_said_is_not_made_anew_from_the_prompt():
    model = SpeechLM(find("audiolm").tiny(), device="meta")
    coarse = chain(model.recipe.lms)[1]
    state = {"units": Stream(np.array([3, 3, 5])), "units.runs": Stream(np.array([3, 5, 7, 9]))}
    assert prepared(coarse, state, model.specs, 0, ("units.runs",))["units.runs"].ids.tolist() == [3, 5, 7, 9]
    assert prepared(coarse, state, model.specs, 0)["units.runs"].ids.tolist() == [3, 5]


def test_an_operation_on_the_other_partys_streams_finds_what_was_heard():
    model = SpeechLM(find("spear_tts").tiny(), device="meta")
    speaking = chain(model.recipe.lms)[1]
    state = {"units": Stream(np.array([3, 3, 5])), "units.runs": Stream(np.array([8]))}
    state |= {f"codec.{level}": Stream(np.arange(6)) for level in range(3)}
    ready = prepared(speaking, state, model.specs, 0, ("units.runs",))
    assert ready["user.units.runs"].ids.tolist() == [3, 5]
    assert ready["units.runs"].ids.tolist() == [8]
    assert ready["user.codec.2"] == state["codec.2"]


def test_a_vocoder_of_one_side_of_a_dialogue_is_trained_on_the_sound_of_that_side(tmp_path):
    model = SpeechLM(find("dgslm").tiny())
    clip = read_manifest(SAMPLES)[0]
    material = model.material([clip], ("wave", "units"), tmp_path, lambda items, title: items, 16_000)
    whole, heard = clip.wave(rate=16_000), material.wave(0)
    agent, user = model.part("units").split(whole)
    assert np.array_equal(heard.samples, agent.samples)
    assert np.array_equal(Waveform(agent.samples + user.samples, 16_000).samples, whole.samples)
    assert np.array_equal(material.example(0)["units"].ids, model.encode([whole])[0]["units"].ids)
    assert not heard.samples[: len(whole) // 4].any()
