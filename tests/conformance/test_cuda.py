"""On a GPU every recipe trains and replies too, and a model says there what it says on a CPU."""

import numpy as np
import pytest
import torch

from oration.data.manifest import read_manifest
from oration.fit import fit
from oration.model import SpeechLM
from oration.recipe import find, names
from oration.works import ask, said, smallest, voiced

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("name", names())
def test_a_recipe_trains_and_replies_on_a_gpu(name, corpus, tmp_path):
    recipe = smallest(find(name), 3)
    model = fit(recipe, corpus, tmp_path, device="cuda")
    model = SpeechLM(model.recipe, tmp_path, device="cuda")
    clip = voiced(read_manifest(corpus)[-1], recipe)
    if not recipe.lms:
        (streams,) = model.encode([clip.wave(rate=model.rate)])
        assert all(len(stream) for stream in streams.values())
        return
    assert said(ask(model, clip))


@pytest.mark.parametrize("name", ["gslm", "csm", "dgslm", "speechssm"])
def test_likelihoods_are_those_of_the_cpu(name, corpus, heard, tmp_path):
    recipe = smallest(find(name), 3)
    fit(recipe, corpus, tmp_path)
    scores = [SpeechLM(recipe, tmp_path, device=device).score([heard])[0].total for device in ("cpu", "cuda")]
    assert scores[0].count == scores[1].count
    assert np.isclose(scores[0].nats, scores[1].nats, rtol=1e-3)
