"""What a language model saves in .orat files, how fast it codes, and how often two ways to sum disagree.

    python benchmarks/orat_expected.py MODEL RECORDING ...

MODEL is a folder whose recipe names a `coder` (such as `encodec_24k_lm`). Of the streams that it codes: bit/s as
packed, as the tables of each file code them, and as the language model does; then seconds of sound that are written and
read in one second; then of how many frames any share differs where the model is given all frames at once, as no decoder
can, in float32 and in float64.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from oration.audio.io import read
from oration.commands.orat import EXPECTED_BLOCK, expecter_of
from oration.core import BadInput, Example, collate
from oration.core.container import Reader, Writer, costs
from oration.generate.expect import Expectations, quantized
from oration.model import SpeechLM


@dataclass
class Sums:
    """Over recordings."""

    seconds: float = 0.0
    packed: float = 0.0
    tables: float = 0.0
    coded: float = 0.0
    wrote: float = 0.0
    read: float = 0.0
    frames: int = 0
    differ32: int = 0
    differ64: int = 0


def measure(lm: SpeechLM, expecter: Expectations, example: Example, seconds: float, folder: Path, sums: Sums) -> None:
    """Write one recording in every way."""
    levels = {name: example[name] for name in expecter.streams}
    specs = {name: lm.specs[name] for name in levels}
    paths = folder / "tables.orat", folder / "coded.orat"
    with Writer(paths[0], specs, recipe=lm.recipe.name, rate=lm.rate, block=EXPECTED_BLOCK, overwrite=True) as out:
        out.push(levels)
    begun = time.perf_counter()
    with Writer(
        paths[1], specs, recipe=lm.recipe.name, rate=lm.rate, block=EXPECTED_BLOCK, expecter=expecter, overwrite=True
    ) as out:
        out.push(levels)
    wrote = time.perf_counter()
    with Reader(paths[1], expecter) as file:
        again, coded = file.read().example, 8 * file.expected_bytes()
    done = time.perf_counter()
    if any(not np.array_equal(again[name].ids, levels[name].ids) for name in levels):
        raise BadInput("codes did not come back; this should not happen on one machine")
    with Reader(paths[0]) as file:
        found, tables = costs(file), 16 * file.about.tables
    sums.seconds += seconds
    sums.packed += sum(cost.packed for cost in found)
    sums.tables += sum(cost.bits for cost in found) + tables
    sums.coded += coded
    sums.wrote += wrote - begun
    sums.read += done - wrote
    _disagree(lm, expecter, levels, sums)


@torch.no_grad()
def _disagree(lm: SpeechLM, expecter: Expectations, levels: Example, sums: Sums) -> None:
    """Frames of the first block whose shares differ from those that coding goes by."""
    pace = Fraction(lm.specs[expecter.streams[0]].rate or 1)
    block = {name: stream.cut(0, int(EXPECTED_BLOCK * pace)) for name, stream in levels.items()}
    task = next(one for one in lm.recipe.lms if one.name == expecter.name).tasks[0]
    model = expecter.model
    grid = task.layout.place([block], lm.specs, task.predict, vocabs=model.vocabs)  # type: ignore[attr-defined]
    batch = collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()])
    whole = [lm.part(expecter.name).float()(batch), model(batch)]
    frames, before = expecter.start(), None
    for at, column in enumerate(np.stack([block[name].ids for name in expecter.streams], 1)):
        shares = frames.next(before)
        apart = [
            any(
                not np.array_equal(share, quantized(logits[row][0, at, a:b]))
                for row, share, (a, b) in zip(model.rows, shares, expecter.ranges, strict=True)
            )
            for logits in whole
        ]
        sums.differ32, sums.differ64 = sums.differ32 + apart[0], sums.differ64 + apart[1]
        sums.frames, before = sums.frames + 1, column


def main() -> None:
    """Print the table."""
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    lm = SpeechLM.load(sys.argv[1])
    expecter = expecter_of(lm)
    if expecter is None:
        raise SystemExit(f"recipe {lm.recipe.name!r} names no coder; give a model of encodec_24k_lm or the like")
    sums = Sums()
    with tempfile.TemporaryDirectory() as folder:
        for path in sys.argv[2:]:
            wave = read(path, rate=lm.rate)
            (example,) = lm.encode([wave])
            measure(lm, expecter, example, wave.seconds, Path(folder), sums)
    print(
        f"{len(sys.argv) - 2} recordings, {sums.seconds:.1f} s, {len(expecter.streams)} streams of {lm.recipe.name!r}\n"
    )
    print("| way | bit/s | saves bit/s | saves % |\n| --- | --- | --- | --- |")
    for name, bits in (("packed", sums.packed), ("tables", sums.tables), ("language model", sums.coded)):
        saved = sums.packed - bits
        print(f"| {name} | {bits / sums.seconds:.0f} | {saved / sums.seconds:.0f} | {100 * saved / sums.packed:.1f} |")
    print(
        f"\nwritten {sums.seconds / sums.wrote:.1f} and read {sums.seconds / sums.read:.1f} times as fast as it lasts"
    )
    print(
        f"frames of {sums.frames} of which a share differs where all are summed at once: {sums.differ32} in float32, "
        f"{sums.differ64} in float64"
    )


if __name__ == "__main__":
    main()
