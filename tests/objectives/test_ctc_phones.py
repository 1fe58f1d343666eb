"""Phones from transcripts: the feed, the loss, and that a small model learns where made-up phones lie."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from oration.audio.io import write
from oration.core import BadInput, Spec, Waveform
from oration.data.manifest import Clip, read_manifest, write_manifest
from oration.data.material import Material
from oration.fit import fit
from oration.model import SpeechLM
from oration.objectives import CtcPhones
from oration.recipe import find
from oration.text.align import viterbi
from oration.tokenizers import HeardPhones, Phonemes
from oration.tokenizers.encoder import CausalEncoder
from oration.train import Mix, Utterances

RATE = 16_000
WORDS = {"see": 3000.0, "ah": 400.0}
"""Made-up speech: a word is a tone."""


def spoken(words):
    """Tones of 0.2 s with pauses of 0.1 s between, and when each begins."""
    t = np.arange(int(0.2 * RATE)) / RATE
    pause, parts = np.zeros(int(0.1 * RATE)), []
    for word in words:
        parts += [pause, 0.3 * np.sin(2 * np.pi * WORDS[word] * t)]
    sound = np.concatenate([*parts, pause])
    noise = 1e-3 * np.random.default_rng(len(words)).standard_normal(len(sound))
    return Waveform((sound + noise).astype(np.float32), RATE), [0.1 + 0.3 * n for n in range(len(words))]


@pytest.fixture
def data(tmp_path):
    rng, clips = np.random.default_rng(0), []
    for number in range(12):
        words = rng.choice(list(WORDS), 2 + number % 4).tolist()
        wave, _ = spoken(words)
        path = write(wave, tmp_path / f"{number}.wav")
        split = "dev" if number > 9 else "train"
        clips.append(Clip(str(number), path, wave.seconds, split, text=" ".join(words) + "."))
    clips.append(Clip("silent", path, wave.seconds))
    write_manifest(clips, tmp_path / "manifest.jsonl")
    return tmp_path


def source(folder):
    material = Material([c for c in read_manifest(folder) if c.split == "train"])
    phonemes = Phonemes.tiny()
    material.add_labels(phonemes.specs(), phonemes.label)
    return material


def test_the_feed_brings_whole_clips_of_about_one_length(data):
    material = source(data)
    batches = Utterances(batch=4).batches(material, Mix(), 3)
    for step in range(4):
        batch, again = batches(step), batches(step)
        assert all(torch.equal(batch[name], again[name]) for name in batch)
        assert batch["wave"].shape[0] == batch["phonemes"].shape[0] == 4
        assert batch["wave"].shape[1] == round(float(batch["seconds"].max()) * RATE)
        assert float(batch["seconds"].max() - batch["seconds"].min()) < 0.7
        assert ((batch["phonemes"] >= 0).sum(1) >= 2).all()
    few = Utterances(batch=100).batches(material, Mix(), 0)(0)
    assert few["wave"].shape[0] == 10  # the clip without a transcript is not among them
    with pytest.raises(BadInput, match=r"none of 11 clips has a transcript and lasts at most 0\.1 s"):
        Utterances(longest=0.1).batches(material, Mix(), 0)
    with pytest.raises(BadInput, match="nothing gives the discrete stream 'f0'"):
        Utterances(streams=("f0",)).batches(material, Mix(), 0)


def learned(material, steps):
    torch.manual_seed(0)
    part = HeardPhones(encoder=CausalEncoder.tiny(), width=16).build().train()
    objective = CtcPhones().build(part, material.specs).train()
    batches = Utterances(batch=4).batches(material, Mix(), 0)
    optimizer = torch.optim.AdamW(objective.groups(part)["model"], 1e-2)
    losses = []
    for step in range(steps):
        ((_, loss),) = objective.losses(part, batches(step), step / steps)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.total.detach()))
    return part.eval(), losses


def test_it_learns_which_made_up_words_are_said(data):
    part, losses = learned(source(data), 50)
    assert losses[-1] < losses[0] / 4
    wave, _ = spoken(["see", "ah", "ah", "see"])
    phonemes = Phonemes.tiny().of("see ah ah see")["phonemes"].ids
    heard = part.emissions(wave)
    assert viterbi(heard, phonemes).nats > viterbi(heard, phonemes[::-1]).nats


def test_a_clip_with_more_phones_than_frames_teaches_nothing():
    part = HeardPhones.tiny().build().train()
    objective = CtcPhones().build(part, {"phonemes": Spec(40)})
    batch = {"wave": torch.zeros(1, 400), "seconds": torch.tensor([0.025]), "phonemes": torch.ones(1, 30).long()}
    ((_, loss),) = objective.losses(part, batch, 0.0)
    assert float(loss.total.detach()) == 0.0


def test_the_lent_encoder_is_neither_trained_nor_saved():
    part = HeardPhones().build()
    assert not any("encoder" in name or name.startswith("own") for name in part.state_dict())
    assert sum(p.numel() for p in part.parameters()) * 2 < 1_000_000  # bytes, as shipped
    features = part.features(torch.randn(1, 3200) * 0.1)
    assert not features.requires_grad
    assert part(features).requires_grad
    with pytest.raises(BadInput, match="trained on another encoder"):
        part.load_state_dict(part.state_dict() | {"fits": torch.tensor(5)})
    with torch.device("meta"):
        HeardPhones().build()


def test_the_recipe_trains_and_loads(data, tmp_path):
    recipe = find("aligner").tiny()
    fit(recipe, data, tmp_path / "out")
    again = SpeechLM.load(tmp_path / "out")
    wave, _ = spoken(["see", "ah"])
    assert "heard" in again.encode([wave])[0]
    assert json.loads((tmp_path / "out" / "training" / "0-heard" / "done.json").read_text(encoding="utf-8"))


def test_it_trains_heard_phones_with_phonemes():
    with pytest.raises(BadInput, match="the part is Linear"):
        CtcPhones().build(nn.Linear(1, 1), {})
    with pytest.raises(BadInput, match="needs the stream 'phonemes'"):
        CtcPhones().build(HeardPhones.tiny().build(), {"units": Spec(4)})
