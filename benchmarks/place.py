"""How fast examples are put on a grid: tokens per second of every layout, and how much faster than the tests' oracle.

    python benchmarks/place.py [seconds of speech]

One core. A token is a cell that is not absent. Both are timed in one run, each at its best of several; the oracle on a
twentieth of the example, since its time grows in proportion.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "layouts"))

import oracle
from published import PUBLISHED, draw, specs_of

from oration.layouts import vocabs


def best(run, times):
    """Seconds of the fastest call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def measure(name, seconds):
    """(tokens, tokens per second of place, of the oracle, seconds of a call on 2 s of speech)"""
    layout, predict = PUBLISHED[name]
    specs = specs_of(layout)
    rows = vocabs((layout,), specs)
    long, part, short = (
        draw(layout.streams, int(s * 25), np.random.default_rng(0)) for s in (seconds, seconds / 20, 2)
    )
    tokens = int((layout.place([long], specs, predict, vocabs=rows).role > 0).sum())
    few = int((layout.place([part], specs, predict, vocabs=rows).role > 0).sum())
    fast = tokens / best(lambda: layout.place([long], specs, predict, vocabs=rows), 5)
    slow = few / best(lambda: oracle.place(layout, [part], specs, predict, {}, rows), 2)
    return tokens, fast, slow, best(lambda: layout.place([short], specs, predict, vocabs=rows), 20)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    print(f"{'layout':24} {'tokens':>9} {'M tokens/s':>10} {'x oracle':>8} {'ms for 2 s':>10}")
    worst = np.inf
    for name in PUBLISHED:
        tokens, fast, slow, short = measure(name, seconds)
        worst = min(worst, fast)
        print(f"{name:24} {tokens:9} {fast / 1e6:10.2f} {fast / slow:8.0f} {short * 1e3:10.3f}")
    print(f"slowest: {worst / 1e6:.2f} M tokens/s on {seconds:g} s of speech")


if __name__ == "__main__":
    main()
