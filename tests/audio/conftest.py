"""A sound to test with, and the ways a system can refuse."""

import sys
from pathlib import Path

import numpy as np
import pytest

from oration.core import Waveform

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostile import full_disk, open_folder, with_file_limit, without_privileges  # noqa: F401


@pytest.fixture(scope="session")
def voice() -> Waveform:
    """Something like a vowel that glides, 1.5 s at 16 kHz, with a pause of 0.4 s."""
    time = np.arange(24000) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 60 * time) / 16000
    sound = sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.15
    sound[12000:18400] = 0
    return Waveform(sound + np.random.default_rng(0).normal(0, 1e-3, len(time)), 16000)
