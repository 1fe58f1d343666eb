"""Mamba-2 and Griffin against transformers' Mamba2 and RecurrentGemma: the same weights give the same vectors."""

import pytest
import torch
from safetensors.torch import save_file

from oration.core.released import carry, load_released
from oration.lms import Griffin, StateSpace
from oration.lms.released_states import mamba2, recurrent_gemma


def shaken(model):
    """Far from where training starts, so that nothing is equal by chance."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


def their_mamba(steps=16):
    from transformers import Mamba2Config, Mamba2Model

    torch.manual_seed(0)
    config = Mamba2Config(
        num_heads=8, head_dim=8, vocab_size=20, hidden_size=32, state_size=16, num_hidden_layers=3, n_groups=2,
        chunk_size=steps,
    )  # fmt: skip
    return shaken(Mamba2Model(config))


def their_gemma():
    from transformers import RecurrentGemmaConfig, RecurrentGemmaModel

    torch.manual_seed(0)
    config = RecurrentGemmaConfig(
        num_hidden_layers=4, vocab_size=20, hidden_size=32, intermediate_size=96, num_attention_heads=4,
        num_key_value_heads=1, attention_window_size=6,
    )  # fmt: skip
    return shaken(RecurrentGemmaModel(config))


def mamba():
    return StateSpace(layers=3, dim=32, head_width=8, state=16, groups=2).build().eval()


def griffin():
    return Griffin(layers=4, dim=32, heads=4, kv_heads=1, ffn=48, window=6).build().eval()


def whole(body, x):
    n, steps = x.shape[:2]
    position = torch.arange(steps).expand(n, -1)
    return body(x, position, torch.zeros_like(position))


def steps(body, x, cuts):
    past, found, at = body.past(len(x), x.shape[1]), [], 0
    for size in cuts:
        found.append(body.extend(x[:, at : at + size], past))
        at += size
    return torch.cat(found, 1)


@torch.no_grad()
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("mamba", marks=pytest.mark.parity("mamba2", reference="transformers Mamba2Model")),
        pytest.param("griffin", marks=pytest.mark.parity("speechssm", reference="transformers RecurrentGemmaModel")),
    ],
)
def test_a_body_gives_what_transformers_gives(kind, tmp_path):
    if kind == "mamba":
        theirs, ours, names = their_mamba(), mamba(), mamba2("")
        state = {name: tensor for name, tensor in theirs.state_dict().items() if "embeddings" not in name}
    else:
        theirs, ours = their_gemma(), griffin()
        names = recurrent_gemma(ours, "")
        state = {name: tensor for name, tensor in theirs.state_dict().items() if "embed_tokens" not in name}
    save_file(state, tmp_path / "model.safetensors")
    load_released(ours, tmp_path, names)
    x = torch.randn(2, 150, 32, generator=torch.Generator().manual_seed(0))
    scale = float(theirs.normalizer) if kind == "griffin" else 1.0
    want = theirs(inputs_embeds=x / scale, use_cache=False).last_hidden_state
    torch.testing.assert_close(whole(ours, x), want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(steps(ours, x, [1] * 150), want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(steps(ours, x, [70, 1, 2, 77]), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_step_of_generation_needs_the_same_memory_wherever_it_is():
    for body, capacity in ((mamba(), 1), (griffin(), 7)):
        past = body.past(2, capacity)
        before = sizes(past)
        x = torch.randn(2, 1, 32)
        for _ in range(40):
            body.extend(x, past)
        assert sizes(past) == before
        assert past.length.tolist() == [40, 40]


def sizes(past):
    held = [tensor.numel() for memory in past.memories for tensor in (memory.inputs, memory.state)]
    cache = getattr(past, "cache", None)
    return held + [keys.numel() for keys in cache.keys] if cache is not None else held


@torch.no_grad()
def test_the_greedy_continuation_is_the_same():
    theirs, ours = their_mamba(), mamba()
    carry(ours, theirs.state_dict(), mamba2(""), ("embeddings.*",))
    table = theirs.get_input_embeddings().weight
    tokens, past = torch.tensor([[3, 7, 1]]), ours.past(1, 99)
    drawn, fed = tokens, tokens
    for _ in range(20):
        drawn = torch.cat((drawn, (ours.extend(table[fed], past)[:, -1:] @ table.T).argmax(-1)), 1)
        fed = drawn[:, -1:]
        tokens = torch.cat((tokens, (theirs(tokens).last_hidden_state[:, -1:] @ table.T).argmax(-1)), 1)
    assert drawn.tolist() == tokens.tolist()
    assert len(set(drawn[0].tolist())) > 2
