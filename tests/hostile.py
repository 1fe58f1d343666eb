"""The ways a system can refuse: fixtures that tests of several folders take in by their conftest."""

import os
import pickle
import resource
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from oration.core import OrationError


def child_says(function) -> str:
    """What `function` answers in a forked child, or the sentence of the error it raises there; anything else fails."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = ("ok", function())
        except OrationError as error:
            answer = ("ok", str(error))
        except BaseException as error:  # handed over to the parent
            answer = ("failed", repr(error))
        os.write(writer, pickle.dumps(answer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        kind, value = pickle.loads(pipe.read())
    os.waitpid(pid, 0)
    assert kind == "ok", value
    return value


@pytest.fixture
def without_privileges():
    """Runs a function as a user whom permissions bind (root reads and writes everything)."""

    def run(function):
        def inner():
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            return function()

        return child_says(inner)

    return run


@pytest.fixture
def with_file_limit():
    """Runs a function that may write files of at most so many bytes."""

    def run(size, function):
        def inner():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return function()

        return child_says(inner)

    return run


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 32 KiB, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here; the limit on file sizes is tested instead")
    yield place
    subprocess.run(["umount", str(place)], check=True)
