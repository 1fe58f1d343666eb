"""Replies on the clock of what is heard: as long as they should be, from the first step on, and without foresight."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.codecs import CodecModel
from oration.codecs.awaken import awaken
from oration.core import TICKS, Waveform
from oration.data.manifest import read_manifest
from oration.generate import Sampler
from oration.model import SpeechLM
from oration.recipe import find
from oration.reply import chain, say

HEARD, AFTER = 1.0, 0.5
SAMPLES = Path(__file__).parents[1] / "oration" / "samples"


@cache
def clip():
    return read_manifest(SAMPLES)[0]


def prompt(model, seconds=HEARD):
    return clip().wave(rate=model.rate).cut(0.0, seconds)


@cache
def tiny(name):
    """An untrained model in which what is heard changes what is said."""
    model = SpeechLM(find(name).tiny())
    torch.manual_seed(1)
    for lm in model.recipe.lms:
        part = model.part(lm.name)
        for module in (part.embeddings, part.values, part.head):
            for weight in module.parameters():
                torch.nn.init.normal_(weight, std=0.5)
    codec = getattr(model.part("codec"), "inner", None) if "codec" in model.configs else None
    if isinstance(codec, CodecModel):  # whose codes would all be one otherwise
        awaken(codec, torch.from_numpy(prompt(model).samples)[None])
        codec.eval()
    return model


def answer(name, wave=None, text=None, seed=0):
    model = tiny(name)
    return model.reply(wave, text=text, seconds=AFTER, sampler=Sampler(temperature=1.0), seed=seed)


def frames(model, stream, seconds=HEARD + AFTER):
    return math.ceil(seconds * float(model.specs[stream].rate))


@pytest.mark.parametrize("name", ["moshi", "ntpp", "omniflatten", "salmonn_omni"])
def test_the_answer_is_as_long_as_what_was_heard_and_the_time_after_it(name):
    model = tiny(name)
    reply = answer(name, prompt(model))
    stream = "codec.7" if name == "moshi" else "units"
    assert len(reply.example[stream]) == frames(model, stream)
    assert reply.wave.seconds == pytest.approx(HEARD + AFTER, abs=0.01)
    assert reply.continuation.seconds == pytest.approx(AFTER, abs=0.01)


@pytest.mark.parametrize("name", ["moshi", "lslm", "salmonn_omni", "omniflatten"])
def test_after_the_prompt_it_hears_silence(name):
    model = tiny(name)
    links = chain(model.recipe.lms)
    assert links[0].answers
    assert not links[0].both
    heard = model._heard(links, prompt(model), None, AFTER)
    quiet = model._heard(links, Waveform(np.zeros(0, np.float32), model.rate), None, HEARD + AFTER)
    assert links[0].listens
    for stream in links[0].listens:
        ours, silence = (x[stream].ids if x[stream].values is None else x[stream].values for x in (heard, quiet))
        assert len(ours) == len(silence) == frames(model, stream)
        assert (ours[: len(ours) // 2] != silence[: len(ours) // 2]).any()
        if name == "moshi":  # whose codec has forgotten the prompt by then
            assert (ours[-2:] == silence[-2:]).all()


@pytest.mark.parametrize("name", ["moshi", "salmonn_omni"])
def test_what_it_says_follows_from_what_it_heard_until_then(name):
    model = tiny(name)
    first = prompt(model)
    samples = first.samples.copy()
    samples[len(samples) // 2 :] = samples[len(samples) // 2 :][::-1]  # another second half
    stream = {"moshi": "codec.0", "salmonn_omni": "text.frames"}[name]
    same, other = (answer(name, w).new[stream].ids for w in (first, Waveform(samples, first.rate)))
    until = frames(model, stream, HEARD / 2) - 2
    assert (same[:until] == other[:until]).all()
    assert (same != other).any()
    assert (answer(name, first).new[stream].ids == same).all()


def test_what_it_hears_is_given_and_what_it_says_is_all_its_own():
    model = tiny("moshi")
    links = chain(model.recipe.lms)
    heard = model._heard(links, prompt(model), None, AFTER)
    parts = {link.lm.name: model.part(link.lm.name) for link in links}
    spoken, (said,) = say(parts, links, heard, model.specs, seconds=AFTER, sampler=Sampler(), seed=0)
    assert set(said.known) == {"text.frames", *(f"codec.{i}" for i in range(8))}
    assert not any(said.known.values())
    for level in range(8):
        assert (said.example[f"user.codec.{level}"].ids == heard[f"user.codec.{level}"].ids).all()
    # All levels but the first come a step late, so the first and the text have said an item more when they are done.
    assert [len(spoken[f"codec.{i}"]) for i in range(8)] == [20, *[19] * 7]
    assert said.steps == 20


def test_who_predicts_both_begins_with_what_both_said():
    model = tiny("ntpp")
    (link,) = chain(model.recipe.lms)
    assert link.both
    assert not link.answers
    assert not link.listens
    reply = answer("ntpp", prompt(model))
    silence = Waveform(np.zeros(len(prompt(model)), np.float32), model.rate)
    alone = model.part("units").inner.encode([prompt(model), silence])
    count, more = len(alone[0]["units"]), round(AFTER * 50)
    assert (reply.example["user.units"].ids[:count] == alone[0]["units"].ids).all()
    assert (reply.example["units"].ids[:count] == alone[1]["units"].ids).all()
    assert {name: len(stream) for name, stream in reply.new.items()} == {"units": more, "user.units": more}


def test_who_is_only_told_what_to_say_hears_silence():
    reply = answer("lslm", text="hello")
    assert reply.wave.seconds <= AFTER
    assert len(reply.example["units"]) <= AFTER * 50


def test_the_monologue_is_the_agents_alone():
    model = tiny("moshi")
    example, task = model.clips([clip()])[0], model.recipe.lms[0].tasks[0]
    change = example["floor"].onsets[1]
    assert 0.25 < change / TICKS / clip().seconds < 0.75
    ready = task.prepare(example, model.specs, np.random.default_rng(0))
    text = model.readers()["text"]
    both = text.decode(ready["user.text"].ids) + text.decode(ready["text"].ids)
    assert both == text.decode(example["text"].ids)
    assert min(len(ready["user.text"]), len(ready["text"])) > 0
    spoken = np.flatnonzero(~np.isin(ready["text.frames"].ids, (3, 0)))
    assert (spoken[0] + 1) / 12.5 > change / TICKS
    silent = ready["codec.0"].ids[: int(change / TICKS * 12.5) - 1]
    assert len(set(silent.tolist())) == 1
