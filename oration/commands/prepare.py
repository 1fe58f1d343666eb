"""`oration prepare`: recordings to one manifest."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

from oration.commands.console import console, table
from oration.core import BadInput
from oration.data.align import Kind
from oration.data.manifest import Corpus
from oration.data.prepare import prepare


def run(
    sources: tuple[Path, ...],
    out: Path,
    align: bool,
    aligner: Kind,
    voices: float,
    texts: tuple[Path, ...],
    seed: int,
    workers: int,
) -> None:
    """Prepare, then say what there is and what was left out.

    Raises:
        BadInput: a source, a number or a place that will not do.
    """
    if not math.isfinite(voices) or voices < 0:
        raise BadInput(f"--voices {voices}: expected hours, 0 or more; give e.g. 1.5")
    if workers < 1:
        raise BadInput(f"--workers {workers}: expected 1 or more processes; give e.g. 1")
    done = prepare(
        sources,
        out,
        align=align,
        aligner=aligner,
        voices_hours=voices,
        texts=texts,
        seed=seed,
        workers=workers,
        progress=sys.stderr.isatty(),
    )
    corpus = Corpus.read(done.manifest)
    rows = table(str(done.manifest), "corpus", "split", ">clips", ">hours")
    for name, splits in corpus.counts().items():
        for split, counts in splits.items():
            rows.add_row(name, split, f"{counts['clips']:.0f}", f"{counts['hours']:.3f}")
    rows.add_row("together", "", str(done.clips), f"{done.hours:.3f}", style="bold")
    out_ = console()
    out_.print(rows)
    out_.print(f"{done.aligned} clips have phones.")
    for what, found in (("could not be read", done.refused), ("have no phones", done.unaligned)):
        if found:
            reason, count = Counter(reason for _, reason in found).most_common(1)[0]
            out_.print(f"{len(found)} {what}; {count} of them: {reason}", markup=False)
    out_.print(f"All of it stands in {out / 'report.json'}.", markup=False, soft_wrap=True)
