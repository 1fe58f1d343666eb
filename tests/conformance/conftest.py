"""Six short clips of made-up speech with all the labels that recipes ask for."""

import numpy as np
import pytest

from oration.audio.io import write
from oration.core import Waveform
from oration.data.manifest import Clip, write_manifest

RATE = 16_000
WORDS = ("ah", "see") * 5


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
                " ".join(WORDS),
                phones=spans,
                words=tuple((0.1 + 0.1 * i, 0.2 + 0.1 * i, word) for i, word in enumerate(WORDS)),
                corpus="kathleen",
                licence="CC0",
            )
        )
    write_manifest(clips, folder / "manifest.jsonl")
    return folder


@pytest.fixture(scope="session")
def heard():
    """A second of the same kind of voice, which is in no corpus."""
    return babble(9, 1.0)
