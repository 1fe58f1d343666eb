"""What several test files share: a model of the shipped recipe's shape, at its smallest and untrained."""

import json
import os
from pathlib import Path

# Nothing here is downloaded; asked for a folder that is not there, the hub would be tried for long.
os.environ["HF_HUB_OFFLINE"] = "1"

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


def pytest_addoption(parser):
    parser.addoption("--systems", metavar="FILE.json", help="Keep what was seen of each recipe, for docs/systems.py.")


def pytest_configure(config):
    if config.getoption("--systems") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Systems(Path(config.getoption("--systems"))))


def pytest_itemcollected(item):
    """What a test is marked with goes along with its report, from another process too."""
    for marker in item.iter_markers("parity"):
        said = {"recipes": list(marker.args), "reference": marker.kwargs["reference"]}
        item.user_properties.append(("parity", json.dumps(said)))


class Systems:
    """Collects what tests saw of recipes: `works` as they recorded it, and whether tests of parity passed."""

    def __init__(self, path):
        self.path, self.works, self.parity = path, {}, {}

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.outcome == "passed":
            return
        for kind, text in report.user_properties:
            said = json.loads(text) if kind in ("works", "parity") else None
            if kind == "works":
                self.works[said["name"]] = said
            elif kind == "parity":
                for name in said["recipes"]:
                    seen = self.parity.setdefault(name, {}).setdefault(said["reference"], {})
                    seen[report.outcome] = seen.get(report.outcome, 0) + 1

    def pytest_sessionfinish(self):
        """A run of some tests leaves what others saw as it was."""
        before = json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        found = {
            "works": {**before.get("works", {}), **self.works},
            "parity": {**before.get("parity", {}), **self.parity},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
