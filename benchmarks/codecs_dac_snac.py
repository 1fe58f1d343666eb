"""How fast SNAC and DAC code and speak, beside their authors' packages with the same weights.

    python benchmarks/codecs_dac_snac.py [--snac 10 60] [--dac 2] [--rounds 3] [--minutes 10]

Real-time factors: seconds of one core's work a second of sound, medians of rounds in which the variants take turns; the
ratio is the median of the rounds' ratios to the package, with the least and the greatest beside it. Weights and sound
are random, and no speed depends on them. Codes are checked to be the same in float32. A long tensor is fetched page by
page from the system each time it is made, which makes the packages slower the longer a sound is, so they are measured
again in a process whose allocator keeps its memory (MALLOC_MMAP_MAX_=0). `--minutes`: what memory a stream so long
takes beyond the model.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch

from oration.codecs.dac import DAC_24K
from oration.codecs.released_dac import package as dac_names
from oration.codecs.released_snac import IGNORED
from oration.codecs.released_snac import package as snac_names
from oration.codecs.snac import SNAC_24K
from oration.core import Waveform
from oration.core.released import carry

RATE = 24_000
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


class Dac(torch.nn.Module):
    """The package's nets, without its class, which needs a library for files."""

    def __init__(self):
        super().__init__()
        ml, tools = ModuleType("audiotools.ml"), MagicMock()
        ml.BaseModel = type("BaseModel", (torch.nn.Module,), {"INTERN": [], "EXTERN": []})
        ml.__getattr__ = lambda name: MagicMock()
        tools.ml = ml
        sys.modules.update({"audiotools": tools, "audiotools.ml": ml, "argbind": MagicMock()})
        from dac.model.dac import Decoder, Encoder
        from dac.nn.quantize import ResidualVectorQuantize

        self.encoder = Encoder(64, [2, 4, 5, 8], 1024)
        self.quantizer = ResidualVectorQuantize(1024, 32, 1024, 8)
        self.decoder = Decoder(1024, 1536, [8, 5, 4, 2])

    def encode(self, x):
        return self.quantizer(self.encoder(x))[1]

    def decode(self, codes):
        return self.decoder(self.quantizer.from_codes(codes)[0])


def peer(kind):
    """The package's model of random weights."""
    torch.manual_seed(0)
    if kind == "dac":
        return Dac().eval()
    from snac import SNAC

    return SNAC(
        sampling_rate=RATE, encoder_dim=48, encoder_rates=[2, 4, 8, 8], decoder_dim=1024, decoder_rates=[8, 8, 4, 2],
        attn_window_size=None, codebook_size=4096, codebook_dim=8, vq_strides=[4, 2, 1],
    ).eval()  # fmt: skip


def ours(kind, theirs):
    """The same weights in our model."""
    model = (DAC_24K if kind == "dac" else SNAC_24K).build().eval()
    names, ignore = (dac_names(), ()) if kind == "dac" else (snac_names(), IGNORED)
    carry(model, theirs.state_dict(), names, ignore)
    return model


def sound(seconds):
    size = max(1, round(seconds * RATE / 10_240)) * 10_240  # whole items of both
    return (np.random.default_rng(0).normal(size=size) * 0.1).astype(np.float32)


class Peer:
    def __init__(self, model, x):
        self.model, self.sound = model, x
        self.x = torch.from_numpy(x)[None, None].to(next(model.parameters()).dtype)

    def encode(self):
        self.codes = self.model.encode(self.x)

    def decode(self):
        self.model.decode(self.codes)

    def said(self):
        return [code.flatten().tolist() for code in (self.codes if isinstance(self.codes, list) else self.codes[0])]


class Ours:
    def __init__(self, model, x):
        self.model, self.sound, self.x = model, x, Waveform(x, RATE)

    def encode(self):
        (self.codes,) = self.model.encode([self.x])

    def decode(self):
        self.model.decode([self.codes])

    def said(self):
        return [stream.ids.tolist() for stream in self.codes.values()]


@torch.no_grad()
def measure(variants, rounds, seconds):
    """Variant -> direction -> real-time factor of each round; before the first, a second of sound warms up."""
    spent = {name: {"encode": [], "decode": []} for name in variants}
    for turn in range(rounds + 1):
        for name, variant in variants.items():
            variant = variant if turn else type(variant)(variant.model, variant.sound[: 2 * 10_240])
            for way in ("encode", "decode"):
                start = time.process_time()
                getattr(variant, way)()
                if turn:
                    spent[name][way].append((time.process_time() - start) / seconds)
    return spent


def bfloat(kind):
    """Both models in bfloat16."""
    theirs = peer(kind)
    return theirs.to(torch.bfloat16), ours(kind, theirs).to(torch.bfloat16)


def table(kind, seconds, rounds, kept):
    x = sound(seconds)
    length = len(x) / RATE
    theirs = peer(kind)
    variants = {"package": Peer(theirs, x), "oration": Ours(ours(kind, theirs), x)}
    if kind == "dac":
        low, lower = bfloat(kind)
        variants |= {"package, bfloat16": Peer(low, x), "oration, bfloat16": Ours(lower, x)}
    spent = measure(variants, rounds, length)
    if kept is not None:
        spent["package, memory kept"] = kept(kind, seconds)
    print(f"\n{kind}, {length:.1f} s\n")
    print("| variant | encode | decode | x encode | x decode |\n|---|---|---|---|---|")
    for name, times in spent.items():
        ratios = {}
        for way in ("encode", "decode"):
            found = [b / s for b, s in zip(spent["package"][way], times[way], strict=True)]
            ratios[way] = f"{statistics.median(found):.2f} ({min(found):.2f} - {max(found):.2f})"
        factors = " | ".join(f"{statistics.median(times[way]):.3f}" for way in ("encode", "decode"))
        print(f"| {name} | {factors} | {ratios['encode']} | {ratios['decode']} |", flush=True)
    one, other = variants["package"].said(), variants["oration"].said()
    same = np.mean([np.mean(np.equal(a, b)) for a, b in zip(one, other, strict=True)])
    print(f"\ncodes that are the same: {same:.2%}", flush=True)


def memory(kind, minutes):
    """Print what a long stream takes, in a process of its own."""
    model = ours(kind, peer(kind))
    live, speaker, rng = model.live(), model.speaker(), np.random.default_rng(0)
    before = None
    for second in range(round(minutes * 60)):
        for codes in live.push(Waveform((rng.normal(size=RATE) * 0.1).astype(np.float32), RATE)):
            speaker.push(codes)
        if second == 0:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 2**20
    grown = (peak - before) / 2**10
    print(f"{kind}: {minutes:g} min take {grown:.0f} MiB more than 1 s (weights: {weights:.0f} MiB)", flush=True)


def other(*arguments, **environment):
    """What this script prints in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snac", nargs="*", type=float, default=[10, 60])
    parser.add_argument("--dac", nargs="*", type=float, default=[2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--as-it-is", action="store_true", help="not once more with the other allocator")
    parser.add_argument("--alone", nargs=2, metavar=("KIND", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--stream", metavar="KIND", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.alone:
        kind, x = args.alone[0], sound(float(args.alone[1]))
        print(json.dumps(measure({"": Peer(peer(kind), x)}, args.rounds, len(x) / RATE)[""]))
        return
    if args.stream:
        memory(args.stream, args.minutes)
        return
    print(f"torch {torch.__version__}, {platform.machine()}, one thread")

    def kept(kind, seconds):
        return json.loads(other("--alone", kind, seconds, "--rounds", args.rounds, **KEPT))

    for kind, lengths in (("snac", args.snac), ("dac", args.dac)):
        for seconds in lengths:
            table(kind, seconds, args.rounds, None if args.as_it_is else kept)
        if args.minutes and lengths:
            print(other("--stream", kind, "--minutes", args.minutes), end="")


if __name__ == "__main__":
    main()
