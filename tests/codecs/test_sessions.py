"""Sessions of the codec that comes with the toolkit: many streams together, each as if it were alone."""

import numpy as np
import pytest
import torch

from oration.codecs.sessions import Sessions, fast
from oration.codecs.snac import SNAC_24K
from oration.core import BadInput, Waveform
from oration.recipe import find


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return find("pocket_codec").tokenizers[0].tiny().build().eval()


def test_each_of_many_streams_is_coded_as_if_it_were_alone(model):
    hop, frames, rng = model.hop, 9, np.random.default_rng(0)
    sounds = torch.from_numpy(rng.standard_normal((3, frames * hop)).astype(np.float32) * 0.1)
    sessions = Sessions(fast(model), 3)
    assert sessions.delay == 480
    codes, said = [], []
    for frame in range(frames):
        if frame == 4:  # the second speaker leaves, and another comes
            sessions.reset(torch.tensor([False, True, False]))
        codes.append(sessions.encode(sounds[:, frame * hop : (frame + 1) * hop]))
        said.append(sessions.decode(codes[-1]))
    found, sound = torch.stack(codes, 2), torch.cat(said, 1)
    for row, first in ((0, 0), (2, 0), (1, 4)):
        (example,) = model.encode([Waveform(sounds[row, first * hop :].numpy(), model.rate)])
        for level, stream in enumerate(example.values()):
            assert np.array_equal(stream.ids, found[row, level, first:].numpy())
        (whole,) = model.decode([example])
        heard = sound[row, first * hop :].numpy()
        np.testing.assert_allclose(heard[480:], whole.samples[:-480], atol=2e-5)


def test_a_codec_that_looks_ahead_has_no_sessions():
    with pytest.raises(BadInput, match="looks ahead or has levels of several frames"):
        Sessions(SNAC_24K.tiny().build(), 2)
