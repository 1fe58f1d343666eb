"""How fast Mimi hears and speaks, frame by frame and whole files, beside the package `moshi` with the same weights.

    python benchmarks/codecs_mimi.py [--frames 25] [--seconds 60] [--rounds 7] [--sessions 8] [--minutes 5]

One thread, processor time. The variants take turns; the ratio is the median of the rounds' ratios to the package in
float32, with the least and the greatest beside it. Weights and sound are random, and no speed depends on them. Codes
are checked to be the same in float32, and sound to be within 1e-4. A long tensor is fetched page by page from the
system each time it is made, so whole files are measured a second time in a process whose allocator keeps its memory
(MALLOC_MMAP_MAX_=0). `--minutes`: what memory a recording so long takes beyond the model, in a process of its own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from oration.codecs.mimi import MIMI
from oration.codecs.released_mimi import IGNORED, kyutai
from oration.codecs.sessions import Sessions, fast
from oration.core import Waveform
from oration.core.released import carry

RATE, HOP = 24_000, 1920
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


def peer():
    from moshi.models.loaders import get_mimi

    torch.manual_seed(0)
    model = get_mimi(None, num_codebooks=8)
    with torch.no_grad():
        for name, weight in model.named_buffers():
            if name.endswith("embedding_sum"):
                weight.normal_(std=0.5)
    return model


def ours(theirs):
    model = MIMI.build().eval()
    carry(model, theirs.state_dict(), kyutai(apart=True), IGNORED)
    return model


def sound(samples, count=1):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, samples)).astype(np.float32)) * 0.1


class Peer:
    """The package, live or whole."""

    def __init__(self, model, count):
        self.model = model
        model.streaming_forever(count)

    def encode(self, x):
        return self.model.encode(x[:, None])[:, :, 0]

    def decode(self, codes):
        return self.model.decode(codes[:, :, None])[:, 0]


@torch.no_grad()
def frames(count, args):
    """Milliseconds a frame of `count` streams, of every variant."""
    theirs = peer()
    model = ours(theirs)
    made = {"moshi": Peer(theirs, count), "oration": Sessions(model, count)}
    made |= {f"oration, fast({w!r})": Sessions(fast(model, w), count) for w in ("fp32", "bf16", "int8")}
    x = sound(args.frames * HOP, count)
    pieces = [piece.contiguous() for piece in x.split(HOP, 1)]
    codes = {name: [variant.encode(piece) for piece in pieces[:4]] for name, variant in made.items()}
    waves = {name: [variant.decode(c) for c in codes["moshi"]] for name, variant in made.items()}
    for name in ("oration", "oration, fast('fp32')"):
        assert all(torch.equal(a, b) for a, b in zip(codes["moshi"], codes[name], strict=True)), name
        for a, b in zip(waves["moshi"], waves[name], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-4)
    given = codes["moshi"][0]
    for direction in ("encode", "decode"):
        spent = {name: [] for name in made}
        for _ in range(args.rounds):
            for name, variant in made.items():
                start = time.process_time()
                for piece in pieces:
                    variant.encode(piece) if direction == "encode" else variant.decode(given)
                spent[name].append((time.process_time() - start) / len(pieces) * 1e3)
        title = f"{direction}, {count} stream{'s' * (count > 1)}, one frame of 80 ms each"
        table(title, spent, "ms a frame")


@torch.no_grad()
def whole(args, note):
    """Seconds of work a second of sound, whole files."""
    theirs = peer()
    model = ours(theirs)
    x = sound(round(args.seconds * RATE) // HOP * HOP)
    wave = Waveform(x[0].numpy(), RATE)
    variants = {
        "moshi": (lambda: theirs.encode(x[:, None]), lambda: theirs.decode(codes)),
        "oration": (lambda: model.encode([wave]), lambda: model.decode([example])),
    }
    codes, (example,) = theirs.encode(x[:, None]), model.encode([wave])
    same = np.mean([np.mean(example[n].ids == codes[0, i].numpy()) for i, n in enumerate(model.numbers.streams)])
    for number, direction in enumerate(("encode", "decode")):
        spent = {name: [] for name in variants}
        for _ in range(max(2, args.rounds // 3)):
            for name, run in variants.items():
                start = time.process_time()
                run[number]()
                spent[name].append((time.process_time() - start) / args.seconds)
        table(f"{direction}, {args.seconds} s, {note}; codes the same: {same:.2%}", spent, "s a second")


def table(title, spent, unit):
    base = spent["moshi"]
    print(f"\n{title}\n\n| variant | {unit} | x moshi | least - greatest |\n|---|---|---|---|")
    for name, numbers in spent.items():
        ratios = [a / b for a, b in zip(base, numbers, strict=True)]
        spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
        print(f"| {name} | {statistics.median(numbers):.3g} | {statistics.median(ratios):.2f} | {spread} |", flush=True)


@torch.no_grad()
def memory(minutes, direction):
    """MB beyond the model."""
    torch.manual_seed(0)
    model = MIMI.build().eval()
    frames = minutes * 60 * RATE // HOP
    example = model.example([torch.randint(0, 2048, (1, frames)) for _ in model.numbers.streams])
    wave = Waveform(sound(frames * HOP)[0].numpy(), RATE)
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten: building took more
    before = resident("VmRSS")
    if direction == "encode":
        live = model.live()
        for at in range(0, len(wave), RATE):
            live.push(Waveform(wave.samples[at : at + RATE], RATE))
    else:
        speaker, names = model.speaker(), model.numbers.streams
        for at in range(0, frames, 25):
            speaker.push({name: type(example[name])(example[name].ids[at : at + 25]) for name in names})
    return resident("VmHWM") - before


def resident(field):
    """MB of this process, as Linux counts them."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.only in ("encode", "decode"):
        print(json.dumps(memory(args.minutes, args.only)))
        return
    if args.only == "kept":
        whole(args, "allocator that keeps its memory")
        return
    print(f"torch {torch.__version__}, {platform.machine()}, one thread", flush=True)
    for count in (1, args.sessions) if args.sessions > 1 else (1,):
        frames(count, args)
    passed = [f"--seconds={args.seconds}", f"--rounds={args.rounds}", f"--minutes={args.minutes}"]
    if args.seconds:
        whole(args, "allocator as it is")
        subprocess.run([sys.executable, __file__, *passed, "--only=kept"], env=os.environ | KEPT, check=True)
    for direction in ("encode", "decode") if args.minutes else ():
        command = [sys.executable, __file__, *passed, f"--only={direction}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"\n{direction}, {args.minutes} minutes of sound: {float(found):.0f} MB beyond the model", flush=True)


if __name__ == "__main__":
    main()
