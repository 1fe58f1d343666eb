"""How fast streams become sound, on one thread: real-time factors, peak memory for a short and a long recording, live.

    python benchmarks/vocode.py [seconds of the short recording] [seconds of the long one]

Weights are random, which changes nothing in the work. Real-time factor: processor seconds per second of sound, the best
of three for the short recording, one run for the long one. Memory: the most the process held while decoding, above what
it held before, with the finished recording (Linux only). Live: the median and the slowest push of 80 ms.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from oration.audio.mel import LogMel
from oration.core import Spec, Stream
from oration.vocoders import GriffinLim, UnitHifiGan, Vocos

SPECS = {"units": Spec(512, 50), "f0": Spec(65, 100)}
PARTS = {
    "Vocos": Vocos(),
    "Vocos, the paper's head": Vocos(pitch=None),
    "UnitHifiGan": UnitHifiGan(),
    "UnitHifiGan.small": UnitHifiGan.small(),
    "GriffinLim (from mel)": GriffinLim(),
}
QUICK = ("Vocos", "Vocos, the paper's head")
"""The long recording would take the others many minutes."""


def example(seconds):
    rng = np.random.default_rng(0)
    units, f0 = (Stream(rng.integers(0, SPECS[n].size, SPECS[n].length(seconds))) for n in ("units", "f0"))
    mel = LogMel()
    noise = torch.from_numpy(rng.normal(0, 0.05, round(seconds * mel.rate)).astype(np.float32))
    return {"units": units, "f0": f0, "mel": Stream.dense(mel(noise).numpy())}


def prepared(name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    part = PARTS[name]
    part = part.build(SPECS).eval() if hasattr(part, "build") else part
    part.decode([example(0.5)])
    return part


def peak():
    """MiB of memory that this process held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def child(name, seconds):
    """Prints seconds of work and MiB at the peak above the loaded model."""
    part, given = prepared(name), example(seconds)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = peak()
    start = time.process_time()
    part.decode([given])
    worked = time.process_time() - start
    print(worked, peak() - before)


def measure(name, seconds, times):
    runs = []
    for _ in range(times):
        command = [sys.executable, __file__, "--child", name, str(seconds)]
        runs.append(
            [float(x) for x in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
        )
    return min(run[0] for run in runs) / seconds, runs[0][1]


def live(name, pushes=60):
    """Milliseconds of each push of 80 ms once it is under way."""
    part, given = prepared(name), example(0.08 * pushes)
    decoder, took = part.live(), []
    for at in range(pushes):
        start = time.process_time()
        decoder.push({"units": given["units"].cut(4 * at, 4 * at + 4), "f0": given["f0"].cut(8 * at, 8 * at + 8)})
        took.append((time.process_time() - start) * 1e3)
    return float(np.median(took[20:])), max(took[20:])


def main():
    short, long = (float(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 10.0), (2, 600.0)))
    print(f"{'':24} {'M params':>8} {f'{short:g} s: RTF':>12} {'MiB':>6} {f'{long:g} s: RTF':>12} {'MiB':>6}  live")
    for name in PARTS:
        part = prepared(name)
        size = sum(p.numel() for p in part.parameters()) / 1e6 if hasattr(part, "parameters") else 0
        factor, memory = measure(name, short, 3)
        line = f"{name:24} {size:8.2f} {factor:12.4f} {memory:6.0f}"
        line += " {:12.4f} {:6.0f}".format(*measure(name, long, 1)) if name in QUICK else f" {'-':>12} {'-':>6}"
        if hasattr(part, "live"):
            middle, worst = live(name)
            line += f"  delay {part.delay * 1e3:.0f} ms, {middle:.1f} ms a push, at most {worst:.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], float(sys.argv[3]))
    else:
        main()
