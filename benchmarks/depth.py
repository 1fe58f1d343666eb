"""What a step of a model with a depth head costs, part by part, beside the multiplications that it asks for.

    python benchmarks/depth.py [device] [sequences at once]

One thread on the CPU, timed by its own clock. Generating, as trained and laid out for speed (`fast`): one step of the
body after 256 others, the rows of the depth Transformer (weights shared by the rows, and weights per row), the
projections to symbols, drawing. MACs are those of the weights and of attention; a part whose MAC/s lie far below the
body's pays for calls, not for arithmetic. Training: forward and backward of 256 steps, with the depth Transformer on
all of them and on 1/16 (`CrossEntropy(share=)`). Each time is the best of several in one run.
"""

import sys
import time
from dataclasses import replace

import torch

from oration.core import PREDICT, Batch, Spec
from oration.generate import Sampler
from oration.layouts import Layout, Stack
from oration.lms import LM, Depth, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task

ROWS = tuple(f"codec.{i}" for i in range(8))
SPECS = {"text": Spec(8000), **{row: Spec(2048, 12.5) for row in ROWS}}
TALK = Task(name="talk", layout=Layout((Stack(("text", *ROWS)),)), predict=("text", *ROWS))
SIZES = {
    "body of 26 M": (
        Transformer(layers=8, dim=512, heads=8, ffn=1408),
        Depth(layers=4, dim=256, heads=4, ffn=704, rows=ROWS, independent=("text",)),
    ),
    "body of 117 M": (
        Transformer(layers=12, dim=896, heads=14, ffn=2432),
        Depth(layers=6, dim=512, heads=8, ffn=1408, rows=ROWS, independent=("text",)),
    ),
}
PAST, STEPS, LINES = 256, 256, 1


def best(run, device, times=7):
    """Seconds of the fastest call, after one that is not counted."""
    found, clock = [], time.process_time if device == "cpu" else time.perf_counter
    for _ in range(times + 1):
        start = clock()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(clock() - start)
    return min(found[1:])


def weights(module):
    """Multiplications of one vector with all matrices of a module."""
    return sum(w.numel() for name, w in module.named_parameters() if w.ndim == 2 and "embeddings" not in name)


def generating(model, used, device, n):
    """(part, seconds a step, MACs a step) of the model as it is `used`: as trained, or laid out for speed."""
    head, body = used.head, used.body
    column = torch.zeros(n, len(model.rows), dtype=torch.long, device=device)
    state = used.start(n, PAST + 40)
    for _ in range(PAST):
        hidden = used.advance(state, column)
    attention = 2 * PAST * body.dim * len(model.body.stack.blocks)
    yield "body", best(lambda: used.advance(state, column), device), n * (weights(model.body) + attention)
    rows, count = len(head.deep), len(model.head.inward.layers)
    x = head.inputs(hidden, dict.fromkeys(model.rows, column[:, 0]), 0, rows)
    past = head.past(n, x)

    def deep():
        for place in range(rows):
            head.run(head.inputs(hidden, dict.fromkeys(model.rows, column[:, 0]), place, place + 1), place, past)

    macs = (weights(model.head.blocks) + weights(model.head.inward)) // count + (
        rows + 1
    ) * head.config.dim * head.config.layers
    yield f"depth, {rows} rows", best(deep, device), n * rows * macs
    last = head.run(x, 0, past)[:, -1]
    layers = [head.projections[row.replace(".", "/")] for row in head.deep]
    text = head.projections["text"]
    yield (
        "symbols",
        best(lambda: [text(hidden), *(layer(last) for layer in layers)], device),
        n * sum(map(weights, model.head.projections.values())),
    )
    logits, chance = layers[0](last).float().cpu(), torch.rand(n, dtype=torch.float64)
    allowed, sampler = torch.ones_like(logits, dtype=torch.bool), Sampler(top_p=0.9)
    yield "drawing", best(lambda: [sampler.pick(logits, allowed, chance) for _ in model.rows], device), 0


def training(model, device):
    """(what, seconds of forward and backward, MACs of the forward)"""
    tokens = torch.stack([torch.randint(0, spec.size, (LINES, STEPS)) for spec in SPECS.values()], 1)
    segment, position = torch.zeros(LINES, STEPS, dtype=torch.long), torch.arange(STEPS).expand(LINES, -1)
    role = torch.full(tokens.shape, PREDICT, dtype=torch.int8)
    batch = Batch(tokens, role, segment, position.contiguous(), model.rows).to(device)
    steps, head = LINES * STEPS, model.head
    body = steps * (weights(model.body) + STEPS * model.dim * len(model.body.stack.blocks))
    text = steps * weights(head.projections["text"])
    deep = steps * (weights(head) - weights(head.projections["text"]))
    if not head.config.weights_per_row:
        deep += steps * (len(head.deep) - 1) * (weights(head.blocks) + weights(head.inward))
    for share in (1.0, 1 / 16):
        objective = CrossEntropy(share=share).build(model, SPECS).to(device)

        def update(objective=objective):
            model.zero_grad()
            objective(model, batch).total.backward()

        yield f"depth on {share:.4g} of the steps", best(update, device, 2), 3 * (body + text + round(share * deep))


def main():
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.set_num_threads(1)
    for size, (body, depth) in SIZES.items():
        for per_row in (False, True):
            torch.manual_seed(0)
            head = replace(depth, weights_per_row=per_row)
            model = LM(name="lm", tasks=(TALK,), body=body, head=head).build(SPECS).to(device)
            kind = "weights per row" if per_row else "shared weights"
            print(f"\n{size}, depth of {sum(w.numel() for w in model.head.blocks.parameters()) / 1e6:.1f} M, {kind}")
            print(f"  {'':32} {'ms':>8} {'share':>6} {'M MACs':>8} {'share':>6} {'G MAC/s':>8}")
            kinds = {"as trained": model.eval()} | {f"fast({w!r})": model.fast(w) for w in ("fp32", "int8")}
            for name, used in kinds.items():
                print(f"  {name}, a step of {n}")
                with torch.inference_mode():
                    parts = list(generating(model, used, device, n))
                whole, all_macs = sum(s for _, s, _ in parts), sum(m for *_, m in parts)
                for part, seconds, macs in (*parts, ("together", whole, all_macs)):
                    print(
                        f"    {part:30} {seconds * 1e3:8.3f} {seconds / whole:6.1%} {macs / 1e6:8.2f} "
                        f"{macs / all_macs:6.1%} {macs / seconds / 1e9:8.1f}"
                    )
            for what, seconds, macs in training(model.train(), device):
                print(f"  {what:32} {seconds * 1e3:8.0f} {'':6} {macs / 1e6:8.0f} {'':6} {macs / seconds / 1e9:8.1f}")


if __name__ == "__main__":
    main()
