"""How fast EnCodec and SpeechTokenizer code and speak, beside their authors' packages with the same weights.

    pip install --no-deps encodec==0.1.1 speechtokenizer==1.0.1
    python benchmarks/codecs_seanet.py [--codec encodec speechtokenizer] [--seconds 60] [--rounds 3] [--minutes 60]

One thread, one run, the same vectors and the same sound, which is checked. The variants take turns, so that a busy
machine slows all alike; a ratio is the median of the rounds' ratios to the package as shipped, in processor time, with
the least and the greatest beside it. For long inputs the packages spend much of their time on memory that the allocator
gives back and fetches again, so everything is measured once more, in a process of its own, with an allocator that keeps
it (`MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16G`). Weights are random: speed does not depend on them.

What is possible: SpeechTokenizer multiplies 5.9 G numbers a second of sound to encode and 4.2 G to decode, so a core
that does 95 GFLOP/s of a float32 matrix product cannot need less than 0.12 s and 0.09 s. The package's 8 together took
0.26 and 0.20 on such a core, of which twice as fast is 0.13 and 0.10: all but what the products alone need.
"""

import argparse
import importlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch

from oration.codecs.encodec import ENCODEC_24K_6KBPS
from oration.codecs.released_encodec import IGNORED, package
from oration.codecs.speechtokenizer import SPEECHTOKENIZER
from oration.core import Waveform
from oration.core.released import carry
from oration.nn.pieces import whole

KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
NEEDLESS = ("torchaudio", "beartype", "beartype.door", "accelerate", "lion_pytorch", "tensorboard")


class Needless(ModuleType):
    """What a package imports for its training or its files."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


def theirs(name):
    for module in (*NEEDLESS, "speechtokenizer.trainer"):
        sys.modules.setdefault(module, Needless(module))
    return importlib.import_module(name)


def encodec():
    """(their encoder and decoder, ours)."""
    torch.manual_seed(0)
    modules = theirs("encodec.modules")
    net = torch.nn.Module()
    net.encoder, net.decoder = modules.SEANetEncoder(causal=True), modules.SEANetDecoder(causal=True)
    quantization = theirs("encodec.quantization")
    net.quantizer = quantization.ResidualVectorQuantizer(dimension=128, n_q=32, bins=1024)
    return net.eval(), ENCODEC_24K_6KBPS


def speechtokenizer():
    torch.manual_seed(0)
    config = {
        "n_filters": 64, "dimension": 1024, "semantic_dimension": 1024, "strides": [8, 5, 4, 2], "lstm_layers": 2,
        "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1,
        "activation": "ELU", "sample_rate": 16_000, "n_q": 8, "codebook_size": 1024,
    }  # fmt: skip
    return theirs("speechtokenizer.model").SpeechTokenizer(config).eval(), SPEECHTOKENIZER


CODECS = {"encodec": (encodec, 1), "speechtokenizer": (speechtokenizer, 8)}


def variants(net, model, half, block):
    """Name -> (sound float[B, T, 1] -> vectors, vectors -> sound), channels last."""
    hop = model.hop
    step = max(1, round(block * model.rate / hop))

    def shipped(side):
        return lambda x: side(x.mT).mT

    def one_by_one(side):
        return lambda x: torch.cat([side(part.mT).mT for part in x.split(1)])

    def ours(codec, side, size, dtype=torch.float32):
        return lambda x: whole(getattr(codec, side), x.to(dtype), size)

    def autocast(side):
        def run(x):
            with torch.autocast("cpu", torch.bfloat16):
                return side(x.mT).mT

        return run

    return {
        "package": (shipped(net.encoder), shipped(net.decoder)),
        "package, one by one": (one_by_one(net.encoder), one_by_one(net.decoder)),
        "package, bf16 autocast": (autocast(net.encoder), autocast(net.decoder)),
        "oration": (ours(model, "encoder", step * hop), ours(model, "decoder", step)),
        "oration, bf16": tuple(
            ours(half, side, size, torch.bfloat16) for side, size in (("encoder", step * hop), ("decoder", step))
        ),
    }


def measure(made, inputs, rounds):
    """(name, side) -> processor seconds of each round; checks that ours gives what theirs gives."""
    spent = {(name, side): [] for name in made for side in (0, 1)}
    for turn in range(rounds + 1):
        for side, x in enumerate(inputs):
            x = x if turn else x[:, : max(1, x.shape[1] // 10)]  # the first only warms up
            wanted = None
            for name, runs in made.items():
                start = time.process_time()
                y = runs[side](x)
                if turn:
                    spent[name, side].append(time.process_time() - start)
                wanted = y if wanted is None else wanted
                limit = 0.1 if "bf16" in name else 1e-5
                worst = ((y.float() - wanted).abs().max() / wanted.abs().max()).item()
                assert worst < limit, f"{name} differs by {worst:.1e} of the greatest value"
    return spent


def run(codec, seconds, rounds, block):
    make, batch = CODECS[codec]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net, numbers = make()
    models = [numbers.build().eval() for _ in range(2)]
    ours = {n: t for n, t in net.state_dict().items() if not n.startswith("quantizer")}
    for model in models:
        state = {n: t for n, t in net.state_dict().items() if "quantizer" in n}
        levels = model.quantizer.numbers.levels
        kept = {n: t for n, t in state.items() if int(n.split(".")[3]) < levels}
        carry(model, {**ours, **kept}, package(), (*IGNORED, "transform*"))
    models[1].to(torch.bfloat16)
    per = seconds / batch
    wave = torch.randn(batch, round(per * numbers.rate), 1) * 0.1
    vectors = torch.randn(batch, round(per * numbers.rate) // numbers.hop, numbers.dim)
    made = variants(net, *models, block)
    if batch == 1:
        made.pop("package, one by one")
    with torch.inference_mode():
        spent = measure(made, (wave, vectors), rounds)
    print(f"\n{codec}: {batch} x {per:g} s\n")
    print("| variant | encode s/s | x package | decode s/s | x package |\n|---|---|---|---|---|")
    for name in made:
        cells = []
        for side in (0, 1):
            ratios = [p / o for p, o in zip(spent["package", side], spent[name, side], strict=True)]
            speed = statistics.median(spent[name, side]) / (batch * per)
            cells.append(f"{speed:.4f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def hour(minutes):
    """Memory above the model while a long recording is coded and said, second by second."""
    model = ENCODEC_24K_6KBPS.build().eval()
    second = Waveform(np.random.default_rng(0).normal(size=model.rate).astype(np.float32) * 0.1, model.rate)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    live, speaker, said, start = model.live(), model.speaker(), 0, time.process_time()
    for at in range(minutes * 60):
        said += sum(len(wave) for part in live.push(second) for wave in speaker.push(part))
        if at in (59, minutes * 60 - 1):
            above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            spent = (time.process_time() - start) / (at + 1)
            print(f"encodec, {at + 1} s coded and said: {above:.0f} MiB above the model, {spent:.3f} s a second")
    said += sum(len(wave) for part in live.flush() for wave in speaker.push(part))
    assert said == minutes * 60 * model.rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", nargs="+", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--block", type=float, default=2.0, help="seconds of sound, of a whole batch, worked on at once"
    )
    parser.add_argument("--minutes", type=int, default=0, help="measure the memory of a recording this long")
    parser.add_argument("--alone", action="store_true", help="not once more with the other allocator")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept = os.environ.get("MALLOC_MMAP_MAX_") == "0"
    print(f"torch {torch.__version__}, {platform.machine()}, one thread" + (", memory kept" if kept else ""))
    if args.minutes:
        hour(args.minutes)
    for codec in args.codec:
        run(codec, args.seconds, args.rounds, args.block / CODECS[codec][1])
    if not kept and not args.alone:
        sys.stdout.flush()
        subprocess.run([sys.executable, *sys.argv], env={**os.environ, **KEEPING}, check=True)


if __name__ == "__main__":
    main()
