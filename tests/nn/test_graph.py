"""The step that is recorded on a GPU is, computed plainly, the step of the stack itself."""

import pytest
import torch

from oration.nn.graph import GraphStack
from oration.nn.transformer import Layer, TransformerStack

KINDS = {
    "llama": {},
    "shared keys": {"kv_heads": 1},
    "window": {"window": 5},
    "learned positions": {"positions": 64, "layer": Layer(norm="layer", mlp="gelu")},
    "interleaved": {"positions": "rotary_interleaved"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@torch.inference_mode()
def test_steps_after_a_prompt_are_the_stacks(kind, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU, so nothing can be recorded")
    torch.manual_seed(0)
    stack = TransformerStack(dim=16, layers=3, heads=2, ffn=24, **KINDS[kind]).eval().to(device)
    graph = GraphStack(stack, torch.float32)
    x = torch.randn(2, 24, 16, device=device)
    caches = stack.cache(2, 12 if kind == "window" else 24), graph.cache(2, 12 if kind == "window" else 24)
    for begin, end in ((0, 6), *((i, i + 1) for i in range(6, 24))):
        wanted, found = (s(x[:, begin:end], cache=c) for s, c in zip((stack, graph), caches, strict=True))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
