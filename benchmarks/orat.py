"""What .orat files take, and how fast they are written and read.

    python benchmarks/orat.py [--minutes 10] [--rounds 3]

Sizes: each bundled sample through the model in the package, as packed symbols and with entropy coding, beside NumPy's
compressed .npz and gzip'ed JSON of the same streams, which have neither header nor checksums nor index. Speeds: codes
of a skewed distribution, as those of codecs are, for 8 and 32 levels of 1024 symbols at 75 a second; processor time of
one thread, the median of the rounds.
"""

import argparse
import gzip
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from oration.core import Spec, Stream
from oration.core.container import Reader, Writer, read

SAMPLES = Path(__file__).parents[1] / "oration" / "samples"


def written(path, specs, example, samples, rate, entropy):
    """Bytes and seconds."""
    began = time.process_time()
    with Writer(path, specs, recipe="benchmark", rate=rate, entropy=entropy, overwrite=True) as out:
        out.push(example, samples=samples)
    return path.stat().st_size, time.process_time() - began


def sizes(folder):
    from oration.audio.io import read as listen
    from oration.model import SpeechLM

    lm = SpeechLM.load()
    print(f"{'sample':24} {'seconds':>8} {'packed':>8} {'coded':>8} {'.npz':>8} {'.json.gz':>9}   kbit/s")
    for path in sorted(SAMPLES.glob("*.flac")):
        wave = listen(path, rate=lm.rate)
        example = lm.encode([wave])[0]
        found = [
            written(folder / "a.orat", lm.specs, example, len(wave), lm.rate, entropy)[0] for entropy in (False, True)
        ]
        raw = io.BytesIO()
        np.savez_compressed(raw, **{name: stream.ids for name, stream in example.items()})
        text = json.dumps({name: stream.ids.tolist() for name, stream in example.items()})
        found += [len(raw.getvalue()), len(gzip.compress(text.encode()))]
        shown = " ".join(f"{8 * size / wave.seconds / 1000:8.2f}" for size in found)
        print(f"{path.stem:24} {wave.seconds:8.1f} {shown}")


def speeds(folder, minutes, rounds):
    rng = np.random.default_rng(0)
    print(f"\n{'levels':>6} {'way':>8} {'kbit/s':>8} {'write':>8} {'read':>8}  million codes a second; {'seek':>6} ms")
    for levels in (8, 32):
        specs = {f"codec.{level}": Spec(1024, 75) for level in range(levels)}
        count = 75 * 60 * minutes
        example = {name: Stream(np.minimum(rng.geometric(0.01, count) - 1, 1023)) for name in specs}
        for entropy in (False, True):
            writes, reads, seeks = [], [], []
            for _ in range(rounds):
                path = folder / "a.orat"
                size, spent = written(path, specs, example, 60 * minutes * 24_000, 24_000, entropy)
                writes.append(levels * count / spent / 1e6)
                began = time.process_time()
                found = read(path)
                reads.append(levels * count / (time.process_time() - began) / 1e6)
                assert all(np.array_equal(found.example[name].ids, stream.ids) for name, stream in example.items())
                with Reader(path) as file:
                    began = time.process_time()
                    for second in range(20):
                        file.read(second * minutes, second * minutes + 1)
                    seeks.append((time.process_time() - began) / 20 * 1e3)
            rate = 8 * size / (60 * minutes) / 1000
            shown = " ".join(f"{statistics.median(values):8.2f}" for values in (writes, reads))
            way = "coded" if entropy else "packed"
            print(f"{levels:6} {way:>8} {rate:8.2f} {shown} {statistics.median(seeks):31.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        sizes(Path(place))
        speeds(Path(place), options.minutes, options.rounds)
