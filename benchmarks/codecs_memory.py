"""What memory and time a long recording takes of a codec, coded and said again piece by piece.

    python benchmarks/codecs_memory.py [--codec encodec mimi snac speechtokenizer] [--minutes 6 60] [--at-once]

A process of its own for each codec and length, one thread: the greatest memory beyond that of the loaded model (VmHWM
beyond VmRSS, as Linux counts them, so what the allocator keeps counts too), and processor seconds a second of sound,
which are the same for all lengths where time is linear. Sound comes in pieces of two seconds and codes are kept as two
bytes each; a codec that reads backwards too (SpeechTokenizer) gives its codes when the recording ends, and holds what
it must in a temporary file. Random weights and noise: neither memory nor time depends on them. `--at-once`: all
processes at the same time, which takes as many cores. Seen flat or not, the limit of the project is 300 MB an hour.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from oration.codecs.bigcodec import BIGCODEC
from oration.codecs.dac import DAC_24K
from oration.codecs.encodec import ENCODEC_24K
from oration.codecs.mimi import MIMI
from oration.codecs.snac import SNAC_24K
from oration.codecs.soundstream import SOUNDSTREAM
from oration.codecs.speechtokenizer import SPEECHTOKENIZER
from oration.codecs.wavtokenizer import WAVTOKENIZER_40
from oration.core import Stream, Waveform

CODECS = {
    "encodec": ENCODEC_24K, "mimi": MIMI, "snac": SNAC_24K, "speechtokenizer": SPEECHTOKENIZER,
    "soundstream": SOUNDSTREAM, "wavtokenizer": WAVTOKENIZER_40, "dac": DAC_24K, "bigcodec": BIGCODEC,
}  # fmt: skip
PIECE = 2.0
"""Seconds pushed at once."""


def resident(field):
    """MB of this process, as Linux counts them."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


class Watched:
    """Memory beyond what there was, and processor seconds a second of sound."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten: building took more
        self.before, self.start = resident("VmRSS"), time.process_time()
        return self

    def __exit__(self, *_):
        self.spent = (time.process_time() - self.start) / self.seconds
        self.grown = resident("VmHWM") - self.before


def tell_on(side, seconds):
    """How far it is and what memory it has, after a minute, two, and every five."""
    if seconds in (60, 120) or seconds % 300 == 0:
        print(f"{sys.argv[-2]} {side}: {seconds / 60:g} min, {resident('VmRSS'):.0f} MB in all", file=sys.stderr)


def encode(model, seconds):
    """Level -> ids of noise so long."""
    live, rng, size = model.live(), np.random.default_rng(0), round(PIECE * model.rate)
    kept = {name: [] for name in model.numbers.streams}

    def keep(found):
        for part in found:
            for name, stream in part.items():
                kept[name].append(stream.ids.astype(np.uint16))

    for number in range(round(seconds / PIECE)):
        tell_on("encode", number * PIECE)
        keep(live.push(Waveform(rng.normal(size=size).astype(np.float32) * 0.1, model.rate)))
    keep(live.flush())
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def decode(model, ids):
    """How many samples are said; no more than a piece of them is kept."""
    speaker, said, frames = model.speaker(), 0, max(1, round(PIECE * model.rate / model.hop) // 64) * 64
    strides = dict(zip(model.numbers.streams, model.numbers.strides, strict=True))
    for at in range(0, max(len(row) * strides[name] for name, row in ids.items()), frames):
        tell_on("decode", at * model.hop // model.rate // 2 * 2)
        part = {n: Stream(row[at // s : (at + frames) // s].astype(np.int64)) for (n, row), s in
                zip(ids.items(), strides.values(), strict=True)}  # fmt: skip
        said += sum(map(len, speaker.push(part)))
    return said + sum(map(len, speaker.flush()))


def alone(codec, minutes):
    """Print the figures of one codec and length."""
    torch.manual_seed(0)
    model, seconds = CODECS[codec].build().eval(), minutes * 60
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 2**20
    with Watched(seconds) as first:
        ids = encode(model, seconds)
    with Watched(seconds) as second:
        said = decode(model, ids)
    # What encoding left in the allocator's hands counts for decoding as well.
    over = max(first.grown, second.before - first.before + second.grown)
    print(json.dumps([weights, first.grown, second.grown, over, first.spent, second.spent, said / model.rate]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", nargs="+", default=[*CODECS][:4], choices=[*CODECS])
    parser.add_argument("--minutes", nargs="+", type=float, default=[6, 60])
    parser.add_argument("--at-once", action="store_true", help="all processes at the same time")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.alone:
        alone(args.alone[0], float(args.alone[1]))
        return
    print(f"torch {torch.__version__}, {platform.machine()}, one thread\n")
    print(
        "| codec | minutes | weights MB | encode MB beyond | decode MB beyond | both | encode s/s | decode s/s | said |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    runs = [(codec, minutes) for codec in args.codec for minutes in args.minutes]
    command = [sys.executable, __file__, "--alone"]
    begun = {}
    for codec, minutes in runs:
        begun[codec, minutes] = subprocess.Popen([*command, codec, str(minutes)], stdout=subprocess.PIPE, text=True)
        if not args.at_once:
            tell(codec, minutes, begun.pop((codec, minutes)))
    for (codec, minutes), process in begun.items():
        tell(codec, minutes, process)


def tell(codec, minutes, process):
    """Print a line of the table when a process has ended."""
    found, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{codec}, {minutes:g} minutes: it failed")
    *sizes, first, second, said = json.loads(found)
    cells = [*(f"{size:.0f}" for size in sizes), f"{first:.4f}", f"{second:.4f}", f"{said:.1f} s"]
    print(f"| {codec} | {minutes:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
