"""The codec that comes with the toolkit: small, whole, and better with every level it is given."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import oration
from oration.audio.io import read
from oration.audio.mel import LogMel
from oration.codecs.sessions import Sessions, fast
from oration.evaluate.signal import mel_gap, pitch_gap
from oration.model import SpeechLM
from oration.recipe import find

LEVELS = (1, 2, 4, 8, 12)
FOLDER = Path(oration.__file__).parent / "pocket_codec"
SAMPLES = sorted((Path(oration.__file__).parent / "samples").glob("*.flac"))


@pytest.fixture(scope="module")
def model():
    return SpeechLM.load(FOLDER)


def test_it_is_the_recipes_and_at_most_12_megabytes(model):
    assert model.recipe.tokenizers[0] == find("pocket_codec").tokenizers[0]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12_000_000
    codec = model.recipe.tokenizers[0]
    assert [(s.size, s.rate) for s in codec.specs().values()] == [(1024, 25)] * 12


def test_more_levels_say_more(model):
    codec, gaps = model.part("codec"), {}
    waves = [read(path, rate=codec.rate).cut(0.0, 4.0) for path in SAMPLES]
    examples = codec.encode(waves)
    for levels in LEVELS:
        sums = [
            mel_gap(w.samples, d.samples[: len(w)], LogMel())
            for w, d in zip(waves, codec.decode(examples, levels=levels), strict=True)
        ]
        gaps[levels] = sum(total for total, _ in sums) / sum(frames for _, frames in sums)
    assert all(gaps[more] < gaps[fewer] for fewer, more in pairwise(LEVELS)), gaps
    assert gaps[1] < 0.9
    assert all(len(np.unique(np.concatenate([e[n].ids for e in examples]))) > 100 for n in codec.specs())


def test_copies_have_the_pitch_of_the_recordings(model):
    codec = model.part("codec")
    waves = [read(path, rate=codec.rate).cut(0.0, 4.0) for path in SAMPLES]
    copies = codec.decode(codec.encode(waves))
    gaps = np.array([pitch_gap(w.samples, c.samples[: len(w)]) for w, c in zip(waves, copies, strict=True)]).sum(0)
    _, gross, voiced, flips, frames = gaps
    assert gross < 0.05 * voiced
    assert flips < 0.2 * frames


def test_sessions_of_it_say_what_whole_recordings_say(model):
    import torch

    codec = model.part("codec")
    wave = read(SAMPLES[0], rate=codec.rate).cut(0.0, 1.0)
    (example,) = codec.encode([wave])
    sessions, said = Sessions(fast(codec), 1), []
    for frame in torch.from_numpy(wave.samples.copy()).split(codec.hop):
        codes = sessions.encode(frame[None])
        said.append(sessions.decode(codes)[0].numpy())
    (whole,) = codec.decode([example])
    heard, wanted = np.concatenate(said)[sessions.delay :], whole.samples[: -sessions.delay]
    # A code may fall otherwise where two codewords are as near; the sound is the same but for that.
    assert np.sqrt(np.square(heard - wanted).mean()) < 0.05 * np.sqrt(np.square(wanted).mean())
