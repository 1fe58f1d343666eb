"""A C file as functions: compiled once for this machine by the C compiler that is there, then kept in the user's cache.

Nothing depends on it: without a compiler, or where anything fails, there is no library and a reason why.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-w")
TUNED = ("-march=native", "-mcpu=native")
"""What makes a compiler use all that this CPU has; not every compiler knows the first."""
PATIENCE = 180.0
"""Seconds that a compiler may take."""


@dataclass(frozen=True)
class Compiled:
    """A library, or why there is none."""

    library: ctypes.CDLL | None
    path: Path | None = None
    trouble: str = ""


@functools.cache
def compiled(source: Path) -> Compiled:
    """The functions of a C file. Never raises: what is wrong is in `trouble`."""
    try:
        if os.name != "posix":
            return Compiled(None, trouble=f"{platform.system()} is not a system it knows")
        path = _folder() / f"native-{_key(source)}.so"
        if not path.is_file():
            _compile(source, path)
        return Compiled(ctypes.CDLL(str(path)), path)
    except (OSError, subprocess.SubprocessError, RuntimeError) as wrong:
        return Compiled(None, trouble=" ".join(str(wrong).split())[:200] or type(wrong).__name__)


def _key(source: Path) -> str:
    """Another for every source, every set of flags and every kind of CPU: homes are shared between machines."""
    told = hashlib.sha256(source.name.encode())
    for path in sorted([*source.parent.glob("*.c"), *source.parent.glob("*.h")]):
        told.update(path.read_bytes())
    told.update(repr((FLAGS, TUNED, platform.system(), platform.machine(), _cpu())).encode())
    return told.hexdigest()[:24]


def _cpu() -> str:
    """What the CPU can do, in the words of the system."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return platform.processor()
    names = ("flags", "Features", "model name", "CPU part")
    return "\n".join(next((line for line in lines if line.startswith(name)), "") for name in names)


def _folder() -> Path:
    """A folder for libraries that nobody else can write to: who can, can make us run anything."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for folder in (Path(home) / "oration", Path(tempfile.gettempdir()) / f"oration-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            about = folder.stat()
            if about.st_uid == os.getuid() and not about.st_mode & 0o022 and os.access(folder, os.W_OK | os.X_OK):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="oration-"))


def _compile(source: Path, path: Path) -> None:
    """Make the library. Several processes may do so at once: each writes its own and puts it in the place of any.

    Raises:
        RuntimeError: there is no compiler, or none that makes it.
    """
    found = dict.fromkeys(os.path.realpath(at) for at in map(shutil.which, COMPILERS) if at is not None)
    if not found:
        raise RuntimeError(f"there is no C compiler ({', '.join(COMPILERS)})")
    trouble = ""
    for compiler in found:
        for tuned in (*TUNED, None):
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                made = Path(folder) / path.name
                command = [
                    compiler,
                    *FLAGS,
                    *([tuned] if tuned else []),
                    str(source),
                    "-o",
                    str(made),
                    "-lm",
                    "-lpthread",
                ]
                ran = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=PATIENCE,
                    stdin=subprocess.DEVNULL,
                )
                if not ran.returncode:
                    os.replace(made, path)
                    return
                trouble = f"{compiler} failed: {ran.stderr.strip() or ran.returncode}"
    raise RuntimeError(trouble)
