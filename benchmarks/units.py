"""How fast recordings become units, and in how much memory: one thread, 10 s and 10 min, float32 and bfloat16.

    python benchmarks/units.py [model folder]

Random weights of the default sizes unless a model folder is given (speed does not depend on the weights; how many units
bfloat16 leaves unchanged does). Each line is a process of its own. Real-time factor: seconds of work per second of
sound, the median of the repeats, by the clock on the wall and by processor time (the fairer one on a busy machine).
Memory: the most the process held while encoding, above what it held before.
"""

import json
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from oration.core import Waveform
from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.features import LogMelFeatures, MfccFeatures
from oration.tokenizers.phonetic import PhoneticEncoder
from oration.tokenizers.units import Units

ENCODERS = {"log-mel": LogMelFeatures, "MFCC": MfccFeatures, "CPC": CpcEncoder, "phonetic": PhoneticEncoder}
LENGTHS = {"10 s": 10, "10 min": 600}


def noise(seconds):
    return Waveform(np.random.default_rng(0).standard_normal(seconds * 16000).astype(np.float32) * 0.1, 16000)


def model(name):
    torch.manual_seed(0)
    if name in ENCODERS:
        return Units(encoder=ENCODERS[name]()).build()
    from oration.model import SpeechLM

    return SpeechLM.load(name).part("units")


def held(field):
    """MiB of this process, by the kernel."""
    (line,) = (row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(field))
    return int(line.split()[1]) / 1024


def measure(name, seconds, precision):
    """Runs in the child: prints one line of JSON."""
    torch.set_num_threads(1)
    units, wave = model(name), noise(seconds)
    half = precision == "bf16"

    def encode():
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            return units.encode([wave])[0]["units"].ids

    units.encode([noise(1)])
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    found, times, work = None, [], []
    for _ in range(5 if seconds < 60 else 1):
        start, start_work = time.perf_counter(), time.process_time()
        found = encode()
        times.append((time.perf_counter() - start) / seconds)
        work.append((time.process_time() - start_work) / seconds)
    peak = held("VmHWM") - before
    same = float((found == units.encode([wave])[0]["units"].ids).mean()) if half else 1.0
    row = {"wall": statistics.median(times), "work": statistics.median(work), "memory": peak, "same": same}
    print(json.dumps(row))


def main(names):
    print(f"{'encoder':10} {'sound':>7} {'numbers':>7} {'RTF wall':>8} {'RTF CPU':>8} {'memory':>9} {'as fp32':>8}")
    for name in names:
        for length, seconds in LENGTHS.items():
            for precision in ("fp32", "bf16"):
                command = [sys.executable, __file__, "measure", name, str(seconds), precision]
                row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                print(
                    f"{Path(name).name:10} {length:>7} {precision:>7} {row['wall']:8.4f} {row['work']:8.4f} "
                    f"{row['memory']:6.0f} MB {row['same']:8.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(sys.argv[1:] or list(ENCODERS))
