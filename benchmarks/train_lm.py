"""How fast a language model trains: real (non-pad) tokens per second, beside transformers' LLaMA of the same size.

    python benchmarks/train_lm.py [--lengths FILE] [--sequences 16] [--repeats 3] [--layers 6] [--dim 256]

One thread, one run, the same sequences for all: the peer pads batches of 8 in the given order, as users do by default;
we pack sequences into lines. Every variant takes forward, backward and an AdamW step, each with the optimizer of its
own library. Ratios are medians over repeats of processor time, with the least and the greatest; the variants take
turns, so that a busy machine slows all alike. FILE holds one length of real units a line, or is a manifest of
recordings (then 50 units a second); default: uniform 50 to 500.
"""

import argparse
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from oration.core import Spec, Stream, collate, pack
from oration.layouts import Layout, Line
from oration.lms import LM, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task
from oration.train import AdamW

VOCAB, BATCH = 512, 8


def lines(grids, length):
    """First fit, longest first: lists of grids that fill lines of `length` steps."""
    filled = []
    for grid in sorted(grids, key=lambda g: -g.steps):
        line = next((line for line in filled if sum(g.steps for g in line) + grid.steps <= length), None)
        if line is None:
            filled.append([grid])
        else:
            line.append(grid)
    return filled


def ours(sequences, args, packed):
    """(update of one batch, batches, parameters)"""
    task = Task(name="continue", layout=Layout((Line("units"),)), predict=("units",))
    body = Transformer(layers=args.layers, dim=args.dim, heads=args.dim // 64, ffn=args.dim * 11 // 4)
    specs, longest = {"units": Spec(VOCAB, 50)}, max(map(len, sequences)) + 1
    model = LM(name="lm", tasks=(task,), body=body, context=longest).build(specs)
    grids = [task.place([{"units": Stream(ids)}], specs) for ids in sequences]
    pads = [model.vocabs["main"].offset("pad")]
    if packed:
        full = lines(grids, longest)
        many = max(1, round(BATCH * len(full) / len(grids)))  # as many tokens per update as the peer sees
        batches = [pack(full[i : i + many], pads) for i in range(0, len(full), many)]
    else:
        batches = [collate(grids[i : i + BATCH], pads) for i in range(0, len(grids), BATCH)]
    objective = CrossEntropy().build(model, specs)
    return lambda batch: objective(model, batch).total, batches, model


def peer(sequences, args):
    """The same for transformers: input ids, attention mask, labels, padded on the right."""
    config = LlamaConfig(
        vocab_size=VOCAB + 2,
        hidden_size=args.dim,
        intermediate_size=args.dim * 11 // 4,
        num_hidden_layers=args.layers,
        num_attention_heads=args.dim // 64,
        max_position_embeddings=8192,
    )
    model, batches = LlamaForCausalLM(config), []
    for i in range(0, len(sequences), BATCH):
        chosen = [torch.tensor([VOCAB, *ids, VOCAB + 1]) for ids in sequences[i : i + BATCH]]
        ids = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=VOCAB)
        at = torch.arange(ids.shape[1])[None] < torch.tensor([len(c) for c in chosen])[:, None]
        batches.append({"input_ids": ids, "attention_mask": at.long(), "labels": ids.masked_fill(~at, -100)})
    return lambda batch: model(**batch, use_cache=False).loss, batches, model


def epoch(update, batches, optimizer, bf16):
    """Seconds for all batches."""
    start = time.process_time()
    for batch in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = update(batch)
        loss.backward()
        optimizer.step()
    return time.process_time() - start


def read(path):
    """Units of each recording."""
    lines = path.read_text().splitlines()
    if path.suffix == ".jsonl":
        return [round(50 * json.loads(line)["duration_s"]) for line in lines]
    return [int(line) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=Path)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--dim", type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lengths = rng.integers(50, 501, args.sequences)
    if args.lengths:
        lengths = rng.permutation(read(args.lengths))[: args.sequences]
    sequences = [rng.integers(0, VOCAB, n) for n in lengths]
    tokens = int(sum(lengths)) + len(lengths)
    variants = {
        "transformers, padded, fp32": (*peer(sequences, args), False),
        "transformers, padded, bf16": (*peer(sequences, args), True),
        "oration, padded, fp32": (*ours(sequences, args, False), False),
        "oration, packed, fp32": (*ours(sequences, args, True), False),
        "oration, packed, bf16": (*ours(sequences, args, True), True),
    }
    optimizers = {
        name: (AdamW(lr=1e-4).build if name.startswith("oration") else partial(torch.optim.AdamW, lr=1e-4))(
            model.parameters()
        )
        for name, (_, _, model, _) in variants.items()
    }
    seconds = {name: [] for name in variants}
    for repeat in range(args.repeats + 1):
        for name, (update, batches, _, bf16) in variants.items():
            took = epoch(update, batches[: 1 if repeat == 0 else None], optimizers[name], bf16)
            if repeat:  # the first batch only warms up
                seconds[name].append(took)
    base = seconds["transformers, padded, fp32"]
    print(
        f"{len(lengths)} sequences of {min(lengths)}-{max(lengths)} units, {tokens} tokens; medians of {args.repeats}; "
        f"torch {torch.__version__}, transformers {transformers.__version__}, one thread\n"
    )
    print("| variant | parameters | updates | tokens/s | x transformers fp32 | least - greatest |")
    print("|---|---|---|---|---|---|")
    for name, (_, batches, model, _) in variants.items():
        size, took = sum(w.numel() for w in model.parameters()) / 1e6, statistics.median(seconds[name])
        ratios = [b / s for b, s in zip(base, seconds[name], strict=True)]
        print(
            f"| {name} | {size:.2f} M | {len(batches)} | {tokens / took:.0f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f} - {max(ratios):.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
