"""Real speech to prepare: the recordings that ship with the package."""

import shutil
from pathlib import Path

import pytest

import oration
from oration.data.manifest import Clip, read_manifest

SAMPLES = Path(oration.__file__).parent / "samples"


@pytest.fixture(scope="session")
def samples() -> dict[str, Clip]:
    return {clip.id: clip for clip in read_manifest(SAMPLES)}


@pytest.fixture
def flite() -> str:
    """The command that speaks; where it is not installed, its tests are skipped."""
    found = shutil.which("flite")
    if found is None:
        pytest.skip("flite is not installed (apt install flite)")
    return found
