"""What several test files share: a model of the shipped recipe's shape, at its smallest and untrained."""

import os

import hypothesis
import numpy as np
import pytest

from oration.core import Waveform

# CI tries the same examples every time, so that it fails for a change and not for bad luck; everybody else explores.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A folder with the weights of `pocket`, shrunk; it speaks, but makes no sense."""
    from oration.model import SpeechLM
    from oration.recipe import find

    folder = tmp_path_factory.mktemp("tiny") / "model"
    SpeechLM(find("pocket").tiny()).save(folder)
    return folder


@pytest.fixture(scope="session")
def hum():
    """Two seconds of a gliding, vibrating hum at 16 kHz: voiced, so that it has a pitch."""
    t = np.arange(2 * 16_000) / 16_000
    phase = 2 * np.pi * (140 * t + 10 * t**2)
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    return Waveform((0.1 * loud * (np.sin(phase) + 0.5 * np.sin(2 * phase))).astype(np.float32), 16_000)
