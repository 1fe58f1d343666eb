"""What "works" means: every recipe, at its smallest, trains, replies, scores, saves, loads and replies the same."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.core import BadInput, dumps
from oration.data.manifest import read_manifest
from oration.demo import SAMPLES
from oration.fit import fit
from oration.lms import FromText, TextBody
from oration.model import SpeechLM
from oration.recipe import find, names
from oration.works import check, codecs_of


@pytest.fixture
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


@pytest.mark.parametrize("name", names())
def test_a_recipe_builds_trains_replies_saves_and_loads(name, corpus, tmp_path):
    """Steps 1 to 4 of "works", but for learning: three updates show nothing. The slow test below sees to that."""
    works = check(find(name), read_manifest(corpus), tmp_path, updates=3)
    assert not works.trouble
    assert works.sized, f"{works.parameters} parameters, published {works.published}"
    if find(name).lms:
        assert works.loads
        assert works.replied
        assert [entry.lm for entry in works.learned] == [lm.name for lm in find(name).lms]
        assert all(np.isfinite(entry.nats) and entry.symbols > 0 for entry in works.learned)
    elif codecs_of(find(name)):
        assert works.loads
        assert works.replied == "speech"
        assert all(np.isfinite(copy.nats) and copy.whole and copy.live for copy in works.copied)


LEARNING_CODECS = ("mimi", "soundstream")
"""One that distils and one that does not; `oration check` tries any other, a minute or more each."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(name for name in names() if find(name).lms), *LEARNING_CODECS])
def test_a_recipe_learns_more_than_a_unigram_or_a_flat_spectrum(name, tmp_path, record_property):
    works = check(find(name), read_manifest(SAMPLES), tmp_path)
    record_property("works", json.dumps(works.record()))
    assert works.holds, works.record()


@pytest.mark.parametrize("name", ["pocket", "units_mfcc"])
def test_the_same_seed_gives_the_same_reply_and_another_another(name, corpus, heard, tmp_path):
    model = fit(find(name).tiny(), corpus, tmp_path / "run")
    model.save(tmp_path / "saved")
    again = SpeechLM.load(tmp_path / "saved")
    wave = heard
    units = model.encode([wave])[0]["units"].ids
    assert len(units) == 50
    assert np.array_equal(units, again.encode([wave])[0]["units"].ids)
    if not find(name).lms:
        return
    ours, theirs = model.score([wave])[0].total, again.score([wave])[0].total
    assert ours.nats < 0
    assert ours.nats == pytest.approx(theirs.nats, rel=1e-2)  # stored as float16
    assert model.resynthesize(wave).seconds == pytest.approx(1.0, abs=0.02)
    first, second = (again.reply(wave, seconds=0.5, seed=4) for _ in range(2))
    assert np.array_equal(first.wave.samples, second.wave.samples)
    assert first.wave.seconds > wave.seconds
    other = again.reply(wave, seconds=0.5, seed=5)
    assert not np.array_equal(first.new["units.runs"].ids, other.new["units.runs"].ids)


def test_a_recipe_from_a_text_lm_needs_its_folder_only_to_begin(corpus, text_lm, heard, tmp_path):
    recipe = find("twist").tiny()
    lm = replace(recipe.lms[0], body=TextBody(text_lm), start=FromText(), context=512)
    model = fit(replace(recipe, lms=(lm,)), corpus, tmp_path / "run")
    shutil.rmtree(text_lm)
    wave = heard
    again = SpeechLM.load(tmp_path / "run")
    assert model.score([wave])[0].total.nats == pytest.approx(again.score([wave])[0].total.nats, rel=1e-6)


def test_training_goes_on_where_it_stopped_and_refuses_another_recipe(corpus, tmp_path):
    recipe = find("units_mfcc").tiny()
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
