"""How fast pairs of endings are scored that share their beginning, as in StoryCloze: beside one item after another.

    python benchmarks/pairs.py [--sizes 25M 125M] [--pairs 8] [--rounds 3]

A pair is 10 s of units and two endings of 2.5 s, at 50 units a second; what is asked for is the log-likelihood of the
endings. The peer is transformers' LLaMA with the same weights, in float32, one item at a time, as most evaluations of
speech LMs do it. One thread, one run, processor time; the variants take turns. The ratio is the median of the rounds'
ratios, with the least and the greatest; beside it the greatest difference of an ending's log-likelihood from the peer,
and in how many pairs the same ending is preferred. Weights are random, which leaves the endings of a pair almost
equally likely, so the last column is harder to keep here than on a trained model.
"""

import argparse
import platform
import statistics
import time

import numpy as np
import torch
import transformers
from decode import SIZES, SPECS, TASK, UNITS, ours, peer

from oration.core import Stream
from oration.generate import score

RATE, PROMPT, ENDING = 50, 10.0, 2.5


def pairs(count):
    """Two whole items each, which begin alike."""
    rng, first, rest = np.random.default_rng(0), round(PROMPT * RATE), round(ENDING * RATE)
    found = []
    for _ in range(count):
        begin = rng.integers(0, UNITS, first)
        found += [np.concatenate((begin, rng.integers(0, UNITS, rest))) for _ in range(2)]
    return found


@torch.inference_mode()
def by_peer(model, items):
    nats = []
    for item in items:
        ids = torch.from_numpy(np.concatenate(([UNITS], item)))[None]
        logits = model(ids, use_cache=False).logits[0, :-1].float()
        logp = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        nats.append(float(logp[round(PROMPT * RATE) :].double().sum()))
    return np.array(nats)


def by_us(model, items, **how):
    examples, known = [{"units": Stream(item)} for item in items], [{"units": round(PROMPT * RATE)}] * len(items)
    window = {"items": round(ENDING * RATE)}  # the peer's sum has no end mark
    return np.array([s.total.nats for s in score(model, TASK, examples, SPECS, known, **window, **how)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, one thread")
    for size in args.sizes:
        theirs = peer(SIZES[size])
        model, items = ours(theirs, SIZES[size]), pairs(args.pairs)
        variants = {
            "transformers, item by item, fp32": lambda theirs=theirs, items=items: by_peer(theirs, items),
            "oration, item by item, fp32": lambda m=model, i=items: by_us(m, i, batch=1, share=False),
            "oration, shared, as trained (fp32)": lambda m=model, i=items: by_us(m, i),
        }
        for weights in ("fp32", "bf16", "int8"):
            fast = model.fast(weights)
            variants[f"oration, shared, fast({weights!r})"] = lambda m=fast, i=items: by_us(m, i)
        spent, said = {name: [] for name in variants}, {}
        for turn in range(args.rounds + 1):
            for name, run in variants.items():
                start = time.process_time()
                said[name] = run()
                if turn:  # the first only warms up
                    spent[name].append(time.process_time() - start)
        report(size, args.pairs, spent, said)


def report(size, count, spent, said):
    base, true = spent["transformers, item by item, fp32"], said["transformers, item by item, fp32"]
    print(
        f"\n{size}, {count} pairs of {PROMPT:g} s and twice {ENDING:g} s; log-likelihoods of {true.mean():.0f} nats\n"
    )
    print("| variant | pairs/s | x transformers fp32 | least - greatest | largest difference, nats | same choice |")
    print("|---|---|---|---|---|---|")
    for name, seconds in spent.items():
        ratios = [b / s for b, s in zip(base, seconds, strict=True)]
        same = np.mean((said[name][::2] > said[name][1::2]) == (true[::2] > true[1::2]))
        print(
            f"| {name} | {count / statistics.median(seconds):.2f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f} - {max(ratios):.2f} | {np.abs(said[name] - true).max():.4f} | {same:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
