"""What a frame of full duplex costs, by stage: tokenizer, language model, decoder, and the rest in Python.

    OMP_NUM_THREADS=1 python benchmarks/live_step.py [--sessions 1 4 8 16] [--frames 300] [--weights int8]

A small dual-channel model (`pocket_duplex`) with random weights over the shipped codec, every session with a frame at
every step. Each line gives milliseconds a step: the mean of each stage, then the median and the 99th percentile of
the whole, on the clock of the wall and of the process (which a busy machine does not change), against 40 ms.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import oration
from oration.audio.io import read
from oration.audio.resample import resample
from oration.core import Waveform
from oration.live.duplex import Duplex
from oration.live.engine import Options
from oration.model import SpeechLM
from oration.recipe import find
from oration.tokenizers import Channels

PACKAGE = Path(oration.__file__).parent


def small() -> SpeechLM:
    """The recipe `pocket_duplex`, its language model with random weights, its codec the shipped one."""
    shipped, recipe = SpeechLM.load(PACKAGE / "pocket_codec"), find("pocket_duplex")
    codec = replace(shipped.recipe.tokenizers[0], levels=recipe.tokenizers[0].of.levels)
    both = Channels(of=codec)
    model = SpeechLM(replace(recipe, tokenizers=(both,), vocoder=both.vocoder()))
    model.part("codec").inner.load_state_dict(shipped.part("codec").state_dict())
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--weights", choices=("fp32", "bf16", "int8"), default="int8")
    args = parser.parse_args()
    model = small()
    count = sum(p.numel() for p in model.part("lm").parameters()) / 1e6
    sound = resample(read(PACKAGE / "samples" / "jfk.flac"), model.rate).samples
    print(f"{count:.1f} M parameters, {args.weights}, {torch.get_num_threads()} thread(s)")
    stages = ("tokenize", "lm", "decode", "mend", "tell")
    print(" ".join(f"{name:>8}" for name in ("sessions", *stages, "p50", "p99", "cpu p50", "cpu p99")))
    for many in args.sessions:
        engine = Duplex(model, slots=many, weights=args.weights)
        sessions = [engine.open(Options(), seed) for seed in range(many)]
        wall, cpu = [], []
        for frame in range(args.frames + 20):
            if frame == 20:
                engine.stages.clear()
            for number, session in enumerate(sessions):
                at = (frame + 17 * number) * engine.frame % (len(sound) - engine.frame)
                session.push(Waveform(sound[at : at + engine.frame], engine.rate), 0.0)
            started = time.perf_counter(), time.process_time()
            engine.step(0.0)
            wall.append(time.perf_counter() - started[0])
            cpu.append(time.process_time() - started[1])
            for session in sessions:
                session.take()
                session.ledger.send(session.ledger.emitted, 0.0)
                session.played(session.ledger.emitted, 0.0)
        each = [1e3 * engine.stages[stage] / args.frames for stage in stages]
        numbers = [1e3 * float(np.percentile(of[20:], q)) for of in (wall, cpu) for q in (50, 99)]
        line = [f"{many:>8}", *(f"{ms:8.2f}" for ms in each), *(f"{ms:8.1f}" for ms in numbers)]
        print(" ".join(line), flush=True)


if __name__ == "__main__":
    main()
