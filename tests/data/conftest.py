"""Real speech to prepare: the recordings that ship with the package."""

import shutil
import sys
from pathlib import Path

import pytest

import oration
from oration.data.manifest import Clip, read_manifest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostile import open_folder, with_file_limit, without_privileges  # noqa: F401

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
