"""Material: what a dialogue in two channels is to tokenizers that hear both sides, and to those that do not."""

import numpy as np
import torch

from oration.audio.io import write_channels
from oration.core import Waveform
from oration.data.manifest import Clip
from oration.data.material import Material
from oration.tokenizers import F0, Channels


def test_a_dialogue_gives_each_side_its_own_streams(tmp_path):
    t = np.arange(16000) / 16000
    agent, user = (Waveform(0.3 * np.sin(2 * np.pi * hertz * t), 16000) for hertz in (120, 240))
    path = write_channels((user, agent), tmp_path / "call.flac")
    clips = [Clip("call", path, 1.0, agent=1), Clip("turned", path, 1.0, agent=0), Clip("mono", path, 1.0)]
    torch.manual_seed(0)
    both, alone = Channels(of=F0()).build(), F0()
    material = Material(clips)
    for _ in range(2):  # the second time from the cache
        material.add_streams(both, tmp_path / "cache", "1")
        first, second = alone.encode([agent, user])
        for name, said, heard in (("f0", first, second), ("f0", second, first)):
            example = material.example(0 if said is first else 1)
            assert np.array_equal(example[name].ids, said[name].ids)
            assert np.array_equal(example["user." + name].ids, heard[name].ids)
    material.side = both.agent
    np.testing.assert_allclose(material.wave(0).samples, agent.samples, atol=1e-4)
    np.testing.assert_allclose(material.wave(1).samples, user.samples, atol=1e-4)
    middle = both.agent(clips[2].wave())
    assert np.array_equal(material.wave(2).samples, middle.samples)
