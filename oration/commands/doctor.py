"""`oration doctor`: what is installed, which device there is, what would break. Nothing is changed but a cache."""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import oration
from oration.commands.console import console


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "note", "broken"]
    what: str
    found: str
    remedy: str = ""


def run() -> int:
    """Print the report; 0 if the toolkit is usable, else 1."""
    out = console()
    findings: list[Finding] = []
    for check in (_python, _torch, _threads, _native, _packages, _extras, _strangers, _tools, _model):
        findings += _guarded(check)
    _print(out, findings)
    broken = [finding.what for finding in findings if finding.level == "broken"]
    if broken:
        out.print(f"\n[red]Not usable yet:[/] {', '.join(broken)}. The lines above say what to do.")
        return 1
    out.print("\n[green]Usable.[/] Try: oration demo")
    return 0


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check that fails is a finding, not the end of the report."""
    try:
        yield from check()
    except Exception as failure:
        found = f"the check itself failed ({type(failure).__name__}: {failure})"
        yield Finding("broken", check.__name__.strip("_"), found, "send this report to the authors")


def _print(out: Console, findings: list[Finding]) -> None:
    colours = {"ok": "green", "note": "yellow", "broken": "red"}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour = colours[finding.level]
        text = escape(finding.found) + (f"\n[dim]{escape(finding.remedy)}[/]" if finding.remedy else "")
        table.add_row(f"[{colour}]{finding.level}[/]", finding.what, text)
    out.print(table)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    machine = f"{platform.system()} {platform.machine()}"
    yield Finding("ok", "oration", f"{oration.__version__} on Python {version}, {machine}")


def _torch() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("ok", "torch", f"{torch.__version__}, CUDA {torch.version.cuda}: {names}")
    elif torch.version.cuda is not None:
        yield Finding(
            "note",
            "torch",
            f"{torch.__version__}: a CUDA {torch.version.cuda} build, but no GPU is to be seen",
            "it works, on the CPU, and takes gigabytes for nothing; if there is a GPU, its driver is missing or too "
            "old, otherwise install the CPU build of torch",
        )
    else:
        yield Finding("ok", "torch", f"{torch.__version__}, on the CPU")


def _threads() -> Iterator[Finding]:
    import torch

    from oration.commands.threads import cores

    have, used = cores(), torch.get_num_threads()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found = f"{used} of {have} cores (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}), load {load:.1f}"
    why = (
        "oration takes half the cores unless OMP_NUM_THREADS says otherwise: the threads of one operation wait for "
        "each other, so on a machine that others use, all cores together are often slower than one"
    )
    yield Finding("note" if used > have or (used == have > 1) else "ok", "threads", found, why)


def _wanted() -> dict[str, list[tuple[str, str | None]]]:
    """Extra ("" for the core) -> (package, why it does not do); None if it is there in a version that fits."""
    from packaging.requirements import Requirement

    found: dict[str, list[tuple[str, str | None]]] = {}
    for line in metadata.requires("oration") or []:
        wanted = Requirement(line)
        extra = str(wanted.marker).split('"')[1] if wanted.marker and "extra" in str(wanted.marker) else ""
        try:
            version = metadata.version(wanted.name)
            fits = wanted.specifier.contains(version, prereleases=True)
            trouble = None if fits else f"{wanted.name} is {version}, expected {wanted.specifier}"
        except metadata.PackageNotFoundError:
            trouble = f"{wanted.name} is missing"
        found.setdefault(extra, []).append((wanted.name, trouble))
    return found


def _native() -> Iterator[Finding]:
    from oration.nn.native import status

    found = status()
    if found.library is not None:
        yield Finding("ok", "native steps", f"compiled for this CPU: {found.path}")
    else:
        remedy = "generating with --weights works without, but slower; install a C compiler, e.g. apt install gcc"
        yield Finding("note", "native steps", f"not compiled: {found.trouble}", remedy)


def _packages() -> Iterator[Finding]:
    troubles = [trouble for _, trouble in _wanted().get("", []) if trouble]
    if troubles:
        yield Finding("broken", "packages", "; ".join(troubles), "pip install -c constraints.txt -e .")
    for module in ("numpy", "transformers", "safetensors", "soundfile", "soxr", "pyworld"):
        try:
            importlib.import_module(module)
        except Exception as failure:  # a broken binary raises whatever it likes
            remedy = "pip install 'setuptools<81'" if "pkg_resources" in str(failure) else f"reinstall {module}"
            yield Finding("broken", module, f"is installed but does not import: {failure}", remedy)
    if not troubles:
        import soundfile

        missing = {"WAV", "FLAC", "OGG", "MP3"} - set(soundfile.available_formats())
        reads = f"cannot read {', '.join(sorted(missing))}" if missing else "reads WAV, FLAC, Ogg, Opus, MP3 and others"
        yield Finding(
            "note" if missing else "ok", "packages", f"complete; libsndfile {soundfile.__libsndfile_version__} {reads}"
        )


def _extras() -> Iterator[Finding]:
    for extra, packages in _wanted().items():
        if not extra:
            continue
        troubles = [trouble for _, trouble in packages if trouble]
        if troubles:
            shown = "; ".join(troubles[:3]) + (f" and {len(troubles) - 3} more" if len(troubles) > 3 else "")
            yield Finding("note", f"extra {extra}", shown, f"only if you need it: pip install 'oration[{extra}]'")
        else:
            yield Finding("ok", f"extra {extra}", "complete")


def _strangers() -> Iterator[Finding]:
    """Packages that oration does not use, but that break it from outside: transformers imports what it finds."""
    for module in ("torchaudio", "torchcodec", "torchvision"):
        if importlib.util.find_spec(module) is None:
            continue
        trial = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=120)
        if trial.returncode:
            last = (trial.stderr.strip().splitlines() or ["it crashed"])[-1]
            yield Finding(
                "broken",
                module,
                f"is installed but does not import: {last[:160]}",
                f"oration does not need it, but transformers imports it where it finds it: pip uninstall {module}",
            )
    if importlib.util.find_spec("pkg_resources") is None:
        yield Finding(
            "note",
            "setuptools",
            "pkg_resources is gone (setuptools 81 or later, or none)",
            "resemblyzer, webrtcvad and pyworld import it: pip install 'setuptools<81'",
        )


def _tools() -> Iterator[Finding]:
    if shutil.which("flite") is None:
        yield Finding("note", "flite", "is not there", "only `oration prepare --voices` needs it: apt install flite")
    else:
        yield Finding("ok", "flite", "is there, for `oration prepare --voices`")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield (
        Finding("ok", "disk", f"{free:.1f} GiB free here")
        if free > 2
        else Finding("note", "disk", f"{free:.1f} GiB free here", "installing takes 1.5, training about 2")
    )


def _model() -> Iterator[Finding]:
    import numpy as np

    from oration.core import OrationError, Waveform
    from oration.model import DEFAULT, SpeechLM

    try:
        started = time.perf_counter()
        lm = SpeechLM.load()
        loaded = time.perf_counter() - started
    except OrationError as missing:
        yield Finding("broken", "model", str(missing), "the model comes with the package: install that again")
        return
    size = sum(path.stat().st_size for path in DEFAULT.glob("*.safetensors")) / 1e6
    yield Finding("ok", "model", f"{lm.recipe.name}, {size:.1f} MB, loaded in {loaded:.1f} s")
    time_axis = np.arange(lm.rate) / lm.rate
    hum = Waveform(0.1 * np.sin(2 * np.pi * 140 * time_axis * (1 + 0.1 * time_axis)), lm.rate)
    started = time.perf_counter()
    answer = lm.reply(hum, seconds=0.5, seed=0)
    took = time.perf_counter() - started
    if answer.wave.seconds < 1 or not np.isfinite(answer.wave.samples).all():
        found = f"the reply to 1 s of sound is {answer.wave.seconds:.2f} s long or not finite"
        yield Finding("broken", "self test", found, "install oration again")
    else:
        found = f"1 s of sound heard and continued by {answer.continuation.seconds:.1f} s in {took:.1f} s"
        yield Finding("ok", "self test", found)
