"""What "works" means: every recipe, at its smallest, trains, replies, scores, saves, loads and replies the same."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.audio.io import write
from oration.core import BadInput, Waveform, dumps
from oration.data.manifest import Clip, write_manifest
from oration.fit import fit
from oration.lms import FromText, TextBody
from oration.model import SpeechLM
from oration.recipe import find, names

RATE = 16_000


def babble(seed: int, seconds: float) -> Waveform:
    """A voiced buzz through a moving resonance, with gaps: sound with pitch, structure and silence."""
    rng, n = np.random.default_rng(seed), round(seconds * RATE)
    t = np.arange(n) / RATE
    buzz = sum(np.sin(2 * np.pi * k * (120 + 20 * seed) * t + rng.random()) / k for k in range(1, 12))
    loud = (np.sin(2 * np.pi * 2.5 * t + seed) > -0.4) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return Waveform((0.05 * buzz * loud + 0.001 * rng.standard_normal(n)).astype(np.float32), RATE)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Six clips with labels, four to train on."""
    folder, clips = tmp_path_factory.mktemp("corpus"), []
    for number in range(6):
        wave = babble(number, 1.2 + 0.1 * number)
        path = write(wave, folder / f"{number}.wav")
        spans = tuple((i * 0.1, (i + 1) * 0.1, ("AA", "S", "SIL", "IY")[i % 4]) for i in range(int(wave.seconds * 10)))
        split = "dev" if number > 3 else "train"
        clips.append(
            Clip(
                str(number),
                path,
                wave.seconds,
                split,
                "kathleen",
                "ah see",
                phones=spans,
                corpus="kathleen",
                licence="CC0",
            )
        )
    write_manifest(clips, folder / "manifest.jsonl")
    return folder


@pytest.fixture(scope="session")
def text_lm(tmp_path_factory):
    """A folder in transformers' format with a text LM of random weights."""
    from transformers import OPTConfig, OPTForCausalLM

    folder = tmp_path_factory.mktemp("opt")
    sizes = {
        "hidden_size": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "word_embed_proj_dim": 16,
    }
    torch.manual_seed(0)
    OPTForCausalLM(OPTConfig(vocab_size=60, max_position_embeddings=512, **sizes)).save_pretrained(folder)
    return str(folder)


def smallest(name, text_lm):
    """The recipe at its smallest, from a text LM that is there."""
    recipe = find(name)
    if recipe.lms and isinstance(recipe.lms[0].body, TextBody):
        lm = replace(recipe.lms[0], body=TextBody(text_lm), start=FromText(), context=512)
        return replace(recipe.tiny(), lms=(lm,))
    return recipe.tiny()


@pytest.mark.parametrize("name", names())
def test_a_recipe_trains_replies_scores_saves_and_loads(name, corpus, text_lm, tmp_path):
    recipe = smallest(name, text_lm)
    model = fit(recipe, corpus, tmp_path / "run")
    trained = {stage.part.partition(".")[0] for stage in recipe.training}
    assert {p.stem for p in (tmp_path / "run").glob("*.safetensors")} == trained
    model.save(tmp_path / "saved")
    again = SpeechLM.load(tmp_path / "saved")
    pinned = replace(recipe, lms=tuple(lm.pinned() for lm in recipe.lms))
    assert dumps(again.recipe) == dumps(pinned)
    assert fit(recipe, corpus, tmp_path / "run").recipe == recipe  # nothing left to do, nothing refused
    wave = babble(9, 1.0)
    units = model.encode([wave])[0]["units"].ids
    assert len(units) == 50
    assert np.array_equal(units, again.encode([wave])[0]["units"].ids)
    if recipe.lms:
        ours, theirs = model.score([wave])[0].total, again.score([wave])[0].total
        assert np.isfinite(ours.nats)
        assert ours.nats < 0
        assert ours.count > 1
        assert ours.nats == pytest.approx(theirs.nats, rel=1e-2 if recipe.weights == "float16" else 1e-6)
    if recipe.vocoder:
        assert model.resynthesize(wave).seconds == pytest.approx(1.0, abs=0.02)
        first, second = (again.reply(wave, seconds=0.5, seed=4) for _ in range(2))
        assert np.array_equal(first.wave.samples, second.wave.samples)
        assert first.wave.seconds > wave.seconds
        assert len(first.new["units.runs"]) > 0
        other = again.reply(wave, seconds=0.5, seed=5)
        assert not np.array_equal(first.new["units.runs"].ids, other.new["units.runs"].ids)


def test_training_goes_on_where_it_stopped_and_refuses_another_recipe(corpus, text_lm, tmp_path):
    recipe = smallest("units_mfcc", text_lm)
    fit(recipe, corpus, tmp_path)
    before = (tmp_path / "units.safetensors").read_bytes()
    fit(recipe, corpus, tmp_path)
    assert (tmp_path / "units.safetensors").read_bytes() == before
    with pytest.raises(BadInput, match="whose units differ from 'units_mfcc-tiny'.*another --out"):
        fit(recipe.with_set(["tokenizers.0.clusters=7"]), corpus, tmp_path)


def test_a_model_folder_that_is_not_whole_says_what_it_lacks(tiny_model, tmp_path):
    with pytest.raises(BadInput, match="no recipe.json"):
        SpeechLM.load(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "m")
    (tmp_path / "m" / "ulm.safetensors").unlink()
    with pytest.raises(BadInput, match="no weights for 'ulm'; train it with"):
        SpeechLM.load(tmp_path / "m")


def test_a_checkpoint_of_another_recipe_or_vocabulary_is_refused(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "m")
    recipe = SpeechLM.recipe_of(tmp_path / "m")
    other = recipe.with_set(["tokenizers.0.clusters=21"])
    (tmp_path / "m" / "recipe.json").write_text(dumps(other))
    with pytest.raises(BadInput, match="was saved with .*load it with the recipe"):
        SpeechLM.load(tmp_path / "m").part("ulm")
    with pytest.raises(BadInput, match="has shape"):
        SpeechLM.load(tmp_path / "m").part("units")


def test_a_recipe_json_cannot_name_foreign_classes(tiny_model, tmp_path):
    (tmp_path / "recipe.json").write_text('{"class": "os:system", "command": "touch /tmp/owned"}')
    with pytest.raises(BadInput, match="inside oration; a checkpoint may not load code"):
        SpeechLM.load(tmp_path)
