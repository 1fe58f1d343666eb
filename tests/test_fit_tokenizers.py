"""Tokenizers that are fitted rather than trained, through the common loop: each stage finds its part and its data."""

import json

import numpy as np
import pytest
import torch

from oration.audio.io import write
from oration.core import BadInput, Spec, Stream, Waveform
from oration.data.manifest import Clip, write_manifest
from oration.fit import fit
from oration.model import SpeechLM
from oration.objectives import KMeans, Remember, Standardise, UnitBpe
from oration.recipe import Recipe
from oration.tokenizers import Channels, MelRvq, MfccFeatures, Segments, UnitPieces, Units
from oration.train import Crops, Mix, Steps, Train, Whole
from oration.vocoders import Recall

RATE = 16_000


def babble(seed: int, seconds: float) -> Waveform:
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * k * (110 + 25 * seed) * t) / k for k in range(1, 10))
    loud = (np.sin(2 * np.pi * 2.5 * t + seed) > -0.4) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return Waveform((0.05 * buzz * loud + 0.001 * rng.standard_normal(len(t))).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, clips = tmp_path_factory.mktemp("babble"), []
    for number in range(5):
        wave = babble(number, 1.3 + 0.1 * number)
        path = write(wave, folder / f"{number}.wav")
        clips.append(Clip(str(number), path, wave.seconds, "train" if number < 4 else "dev", corpus="babble"))
    write_manifest(clips, folder / "manifest.jsonl")
    return folder


def stage(part: str, objective, **numbers) -> Train:
    feed = numbers.pop("feed", Crops(streams=("wave",), seconds=1.0, batch=4))
    return Train(
        part=part, objective=objective, feed=feed, budget=Steps(numbers.pop("steps", 4)), precision="fp32",
        dev_every=2, dev_batches=1, **numbers,
    )  # fmt: skip


def logged(out, folder: str) -> list[dict]:
    lines = (out / "training" / folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_codec_of_two_channels_is_fitted_inside(corpus, tmp_path):
    dialogue = Channels(of=MelRvq(levels=2, size=16, bands=20, rate=75.0, iterations=2))
    recipe = Recipe(
        name="call",
        tokenizers=(dialogue,),
        vocoder=dialogue.vocoder(),
        training=(stage("codec.inner", KMeans(start=4, memory=20)),),
    )
    before = SpeechLM(recipe).part("codec").inner.centroids.clone()
    model = fit(recipe, corpus, tmp_path)
    assert not torch.equal(before, model.part("codec").inner.centroids)
    losses = [line["loss"] for line in logged(tmp_path, "0-codec.inner") if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]
    wave = babble(1, 1.0)
    loaded = SpeechLM.load(tmp_path)
    (one,), (two,) = model.encode([wave]), loaded.encode([wave])
    assert list(one) == ["codec.0", "codec.1", "user.codec.0", "user.codec.1"]
    assert all(np.array_equal(one[name].ids, two[name].ids) for name in one)
    assert (loaded.rate, loaded.decode([two])[0].rate) == (24_000, 24_000)


def test_units_at_their_own_rate_beside_a_codec_at_another(corpus, tmp_path):
    """Crops come at the rate of the part that is trained, whatever the vocoder's."""
    codec = MelRvq(levels=1, size=8, bands=20, rate=75.0)
    units = Units(encoder=MfccFeatures(bands=20, coefficients=5), clusters=8)
    kmeans = KMeans(start=4, memory=20)
    both = Recipe(name="two", tokenizers=(units, codec), vocoder=codec.vocoder(), training=(stage("units", kmeans),))
    alone = Recipe(name="one", tokenizers=(units,), training=(stage("units", kmeans),))
    first, second = fit(both, corpus, tmp_path / "both"), fit(alone, corpus, tmp_path / "alone")
    assert (first.rate, second.rate) == (24_000, 16_000)
    assert torch.equal(first.part("units").centroids, second.part("units").centroids)


def test_pieces_of_units_are_fitted_after_the_units(corpus, tmp_path):
    recipe = Recipe(
        name="pieces",
        tokenizers=(
            Units(encoder=MfccFeatures(bands=20, coefficients=5), clusters=8),
            UnitPieces(of="units.runs", units=8, size=20),
        ),
        training=(
            stage("units", KMeans(start=4, memory=20)),
            stage("pieces", UnitBpe(), steps=1, feed=Whole(streams=("units",))),
        ),
    )
    model = fit(recipe, corpus, tmp_path)
    last = logged(tmp_path, "1-pieces")
    assert last[0]["loss"] < 0.8
    (example,) = model.encode([babble(2, 1.5)])
    pieces = SpeechLM.load(tmp_path).part("pieces")
    runs = example["units"].ids[np.flatnonzero(np.diff(example["units"].ids, prepend=-1))]
    (found,) = pieces.derive([{"units": example["units"]}])
    assert len(found["pieces"]) < len(runs)
    assert np.array_equal(pieces.restore([found])[0]["units.runs"].ids, runs)
    assert fit(recipe.tiny(), corpus, tmp_path / "tiny").part("pieces").specs()["pieces"].size == 20


def test_word_sized_vectors_are_scaled_and_turned_back_into_units(corpus, tmp_path):
    """What a tGSLM needs around its language model."""
    small = MfccFeatures(bands=20, coefficients=5)
    recipe = Recipe(
        name="words",
        tokenizers=(Segments(encoder=small), Units(encoder=small, clusters=8)),
        prosody=Recall(entries=64),
        training=(
            stage("words", Standardise()),
            stage("units", KMeans(start=4, memory=20)),
            stage("prosody", Remember(), feed=Crops(streams=("words", "units"), seconds=1.0, batch=4)),
        ),
    )
    model = fit(recipe, corpus, tmp_path)
    assert [line["loss"] for line in logged(tmp_path, "0-words") if "loss" in line][-1] == pytest.approx(1, abs=0.3)
    (example,) = model.encode([babble(1, 1.4)])
    (said,) = model.part("prosody").predict([{"words": example["words"]}])
    assert len(said["units"]) == len(example["units"]) == 70
    assert np.mean(said["units"].ids == example["units"].ids) > 0.4
    tiny = fit(recipe.tiny(), corpus, tmp_path / "tiny")
    assert len(tiny.part("prosody").predict(tiny.encode([babble(0, 0.5)]))[0]["units"]) == 30


class Told:
    """A source of made-up streams."""

    rate = RATE
    specs = {"units": Spec(9, 50), "words": Spec(1, 5, 3)}

    def __init__(self, lengths):
        self.clips = [Clip(str(i), None, float(n), corpus="ab"[i % 2]) for i, n in enumerate(lengths)]
        self.streams = [Stream(np.full(n, i % 9)) for i, n in enumerate(lengths)]

    def example(self, index):
        return {"units": self.streams[index]}


def test_whole_brings_each_clip_once_the_same_every_time():
    source, feed = Told([3, 5, 2, 7]), Whole()
    batch = feed.batches(source, Mix(), 0)
    one, two = batch(0), batch(7)
    assert one["units/lengths"].tolist() == [3, 5, 2, 7]
    assert one["units"].tolist() == [0] * 3 + [1] * 5 + [2] * 2 + [3] * 7
    assert all(torch.equal(one[name], two[name]) for name in one)
    few = Whole(clips=2).batches(source, Mix({"b": 1.0}), 5)(0)
    assert few["units/lengths"].tolist() == [5, 7]
    assert feed.reads(source.specs) == ("units",)


@pytest.mark.parametrize("name", ["words", "text"])
def test_whole_wants_symbols(name):
    with pytest.raises(BadInput, match=rf"'{name}' is none.*units"):
        Whole(streams=(name,)).batches(Told([3]), Mix(), 0)
