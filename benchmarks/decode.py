"""How fast a language model of units generates, beside transformers' `generate` with the same weights.

    python benchmarks/decode.py [--sizes 25M 125M] [--batches 1 8] [--new 96] [--rounds 5]

One thread, one run, greedy, the same prompts: in float32 the same tokens, which is checked. The variants take turns, so
that a busy machine slows all alike; the ratio is the median of the rounds' ratios to transformers in float32, in
processor time, with the least and the greatest beside it. Weights are random: speed does not depend on them. What fewer
bits cost in likelihood does, so that is measured on the shipped model and its samples too.
"""

import argparse
import platform
import statistics
import time
import warnings

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from oration.core import Spec, Stream
from oration.generate import Sampler, complete, score
from oration.layouts import Layout, Line
from oration.lms import LM, Transformer
from oration.tasks import Task

UNITS = 598
SIZES = {
    "25M": {"layers": 8, "dim": 512, "heads": 8, "ffn": 1408},
    "125M": {"layers": 12, "dim": 768, "heads": 12, "ffn": 3456},
}
TASK = Task(name="continue", layout=Layout((Line("units"),)), predict=("units",))
SPECS = {"units": Spec(UNITS, 50)}


def peer(size):
    """transformers' LLaMA of random weights: units, then `pad` (which begins a sequence) and `end`."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=UNITS + 2,
        hidden_size=size["dim"],
        intermediate_size=size["ffn"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        rms_norm_eps=1e-6,
        max_position_embeddings=2048,
        bos_token_id=UNITS,
        eos_token_id=None,
        pad_token_id=UNITS,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():  # marks are never the likeliest, so nothing needs to forbid them
        model.lm_head.weight[UNITS:] = 0
    return model


def ours(theirs, size):
    """The same weights in our model."""
    model = LM(name="lm", tasks=(TASK,), body=Transformer(**size), context=2048).build(SPECS).eval()
    weights, state = theirs.state_dict(), {}
    for i in range(size["layers"]):
        at, layer = f"body.stack.blocks.{i}.", f"model.layers.{i}."
        parts = [weights[f"{layer}self_attn.{x}_proj.weight"] for x in "qkv"]
        state[at + "attention.qkv.weight"] = torch.cat(parts)
        state[at + "attention.out.weight"] = weights[layer + "self_attn.o_proj.weight"]
        state[at + "attention_norm.weight"] = weights[layer + "input_layernorm.weight"]
        state[at + "mlp_norm.weight"] = weights[layer + "post_attention_layernorm.weight"]
        state[at + "gate_up.weight"] = torch.cat([weights[f"{layer}mlp.{x}_proj.weight"] for x in ("gate", "up")])
        state[at + "down.weight"] = weights[layer + "mlp.down_proj.weight"]
    table = weights["model.embed_tokens.weight"]
    state |= {"body.stack.norm.weight": weights["model.norm.weight"], "embeddings.main.weight": table}
    state |= {"head.projections.main.weight": weights["lm_head.weight"], "first": table[UNITS]}
    model.load_state_dict(state)
    return model


def with_peer(model, prompts, new):
    ids = torch.from_numpy(np.concatenate((np.full((len(prompts), 1), UNITS), prompts), 1))
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=new)
    return out[:, ids.shape[1] :].numpy()


def with_ours(model, prompts, new):
    starts = [{"units": Stream(prompt)} for prompt in prompts]
    limits = {"steps": new, "least": {"units": new}}
    replies = complete(model, TASK, starts, SPECS, seeds=[0] * len(starts), sampler=Sampler.greedy(), **limits)
    return np.stack([reply.new()["units"].ids for reply in replies])


def half(model):
    copy = LlamaForCausalLM(model.config).eval()
    copy.load_state_dict(model.state_dict())
    return copy.to(torch.bfloat16)


def eight(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)


def variants(size):
    theirs = peer(size)
    model = ours(theirs, size)
    made = {
        "transformers, fp32": (with_peer, theirs),
        "transformers, bf16": (with_peer, half(theirs)),
        "transformers, torch's dynamic int8": (with_peer, eight(theirs)),
        "oration, as trained (fp32)": (with_ours, model),
    }
    made |= {f"oration, fast({w!r})": (with_ours, model.fast(w)) for w in ("fp32", "bf16", "int8")}
    return made, model


def measure(made, prompts, new, rounds):
    """Variant -> (processor seconds a round, tokens)."""
    spent, said = {name: [] for name in made}, {}
    for turn in range(rounds + 1):
        for name, (run, model) in made.items():
            start = time.process_time()
            said[name] = run(model, prompts, new if turn else 4)
            if turn:  # the first only warms up
                spent[name].append(time.process_time() - start)
    return spent, said


def table(size, batch, spent, said, new):
    base, tokens = spent["transformers, fp32"], said["transformers, fp32"]
    print(f"\n{size}, batch {batch}: {new} tokens after a prompt of 32\n")
    print("| variant | tokens/s | x transformers fp32 | least - greatest | tokens as transformers fp32 |")
    print("|---|---|---|---|---|")
    for name, seconds in spent.items():
        ratios = [b / s for b, s in zip(base, seconds, strict=True)]
        same = float((said[name] == tokens).mean())
        speed = batch * new / statistics.median(seconds)
        spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
        print(f"| {name} | {speed:.0f} | {statistics.median(ratios):.2f} | {spread} | {same:.1%} |", flush=True)
    for name in ("oration, as trained (fp32)", "oration, fast('fp32')"):
        assert (said[name] == tokens).all(), f"{name} says something else than transformers"


def losses(name, model, task, specs, examples):
    """Nats an item in float32 and what changes with fewer bits."""
    found = {"as trained": score(model, task, examples, specs)}
    found |= {w: score(model.fast(w), task, examples, specs) for w in ("fp32", "bf16", "int8")}
    nats = {w: -sum(s.total.nats for s in scores) / sum(s.total.count for s in scores) for w, scores in found.items()}
    change = " | ".join(f"{nats[w] - nats['as trained']:+.5f}" for w in ("fp32", "bf16", "int8"))
    count = sum(s.total.count for s in found["as trained"])
    print(f"| {name} | {count} | {nats['as trained']:.4f} | {change} |", flush=True)


def shipped():
    """(model, task, specs, examples) of the shipped model on its samples."""
    from oration.audio.io import read
    from oration.demo import SAMPLES
    from oration.model import SpeechLM

    lm = SpeechLM.load()
    config = lm.recipe.lms[0]
    task = config.tasks[0]
    heard = lm.encode([read(path, rate=lm.rate) for path in sorted(SAMPLES.glob("*.flac"))])
    examples = [task.prepare(example, lm.specs, np.random.default_rng(0)) for example in heard]
    return lm.part(config.name), task, lm.specs, examples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--new", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    rng, models = np.random.default_rng(0), {}
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, one thread")
    for size in args.sizes:
        made, models[size] = variants(SIZES[size])
        for batch in args.batches:
            prompts = rng.integers(0, UNITS, (batch, 32))
            table(size, batch, *measure(made, prompts, args.new, args.rounds), args.new)
        del made
    print("\nWhat fewer bits change: nats a symbol\n")
    print("| model and data | symbols | as trained | fast fp32 | bf16 | int8 |\n|---|---|---|---|---|---|")
    for size, model in models.items():
        examples = [{"units": Stream(rng.integers(0, UNITS, 200))} for _ in range(4)]
        losses(f"{size}, random weights and units", model, TASK, SPECS, examples)
    losses("oration/pocket, its samples", *shipped())


if __name__ == "__main__":
    main()
