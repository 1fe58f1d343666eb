"""Text LMs as bodies: tiny ones of random weights, written in transformers' format by the tests themselves."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from oration.core import BadInput, Spec, Stream, collate, dumps, from_record, pack
from oration.generate import Sampler, complete
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Fresh, FromText, LanguageModel, Lora, Rows, TextBody, Transformer
from oration.lms.quick import quick
from oration.objectives import CrossEntropy
from oration.tasks import Task
from oration.train.checkpoint import load_part, save_tensors

SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128, "vocab_size": 48}
LLAMA = {"hidden_size": 32, "intermediate_size": 40, "num_key_value_heads": 2, **SIZES}
KINDS = {
    "opt": ("OPTConfig", {"hidden_size": 32, "ffn_dim": 40, "word_embed_proj_dim": 32, "dropout": 0.0, **SIZES}),
    "opt projected": (
        "OPTConfig",
        {"hidden_size": 32, "ffn_dim": 40, "word_embed_proj_dim": 16, "dropout": 0.0, **SIZES},
    ),
    "llama": ("LlamaConfig", LLAMA),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True, **LLAMA}),
    "qwen2, windows in some layers": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, **LLAMA},
    ),
    "mistral, windows": ("MistralConfig", {"sliding_window": 4, **LLAMA}),
    "gpt2": (
        "GPT2Config",
        {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 128, "vocab_size": 48, "n_inner": 40},
    ),
    "pythia": ("GPTNeoXConfig", {"hidden_size": 32, "intermediate_size": 40, **SIZES}),
}
UNITS, TEXT = Spec(20, 50), Spec(48)
SPEAK = Task(name="test", layout=Layout((Line("text"), Line("units"))), predict=("text", "units"))


@cache
def folder(kind):
    import transformers

    name, sizes = KINDS[kind]
    torch.manual_seed(5)
    config = getattr(transformers, name)(bos_token_id=2, eos_token_id=3, pad_token_id=1, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():  # far from where training starts, so that nothing is equal by chance
            weight.add_(torch.randn_like(weight) * 0.15)
    path = mkdtemp()
    model.save_pretrained(path)
    return path


@cache
def original(kind):
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder(kind)).eval()


def grown(kind, *lines, head=None, start=None):
    """A speech LM that starts from the text LM."""
    layout = Layout(tuple(map(Line, lines)))
    task = Task(name="test", layout=layout, predict=lines)
    torch.manual_seed(0)
    start = start or FromText()
    lm = LM(name="twist", tasks=(task,), body=TextBody(folder(kind)), head=head or Rows(), start=start, context=128)
    return lm, task, lm.build({"units": UNITS, "text": TEXT}).eval()


every = pytest.mark.parametrize("kind", KINDS)


@every
@torch.no_grad()
def test_the_text_is_expected_as_before_growth(kind):
    _, task, model = grown(kind, "units", "text")
    first, last = model.vocabs["main"].ranges["text"]
    assert first > 0
    ids = np.random.default_rng(0).integers(0, 48, 30)
    grid = task.place([{"units": Stream(np.zeros(0, int)), "text": Stream(ids)}], {"units": UNITS, "text": TEXT})
    grid = type(grid)(grid.tokens[:, 1:], grid.role[:, 1:], grid.rows)  # without the end of the empty units
    ours = F.cross_entropy(model(collate([grid], [68]))["main"][0, :30, first:last], torch.tensor(ids))
    sequence = torch.tensor([[2, *ids]])
    theirs = F.cross_entropy(original(kind)(sequence).logits[0, :-1], sequence[0, 1:])
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)


@every
@torch.no_grad()
def test_packing_and_steps_equal_single_lines(kind):
    _, task, model = grown(kind, "text", "units")
    specs, rng = {"units": UNITS, "text": TEXT}, np.random.default_rng(1)
    grids = [
        task.place([{"text": Stream(rng.integers(0, 48, n)), "units": Stream(rng.integers(0, 20, 2 * n))}], specs)
        for n in (6, 2, 4)
    ]
    pads = [model.vocabs["main"].offset("pad")]
    single = [model(collate([grid], pads))["main"][0] for grid in grids]
    packed = model(pack([grids, grids[1:]], pads))["main"]
    batch = collate(grids, pads)
    padded = model(batch)["main"]
    state = model.start(3, batch.tokens.shape[2])
    live = [model.next(state, batch.tokens[:, :, s - 1] if s else None)["main"] for s in range(batch.tokens.shape[2])]
    at = 0
    for i, want in enumerate(single):
        for got in (packed[0, at : at + len(want)], padded[i, : len(want)], torch.stack(live, 1)[i, : len(want)]):
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)
        at += len(want)
    prefix = collate([type(g)(g.tokens[:, : g.steps // 2], g.role[:, : g.steps // 2], g.rows) for g in grids], pads)
    state = model.start(3, 40)
    hidden = model.prefill(state, prefix)
    fork = state.select(torch.tensor([2, 0]))
    column = torch.stack([torch.from_numpy(grids[i].tokens[:, grids[i].steps // 2]) for i in (2, 0)])
    after = model.next(fork, column)["main"]
    for i, grid in enumerate(grids):
        torch.testing.assert_close(
            model.head.begin(hidden).logits("main")[i], single[i][grid.steps // 2], atol=2e-5, rtol=1e-4
        )
    for j, i in enumerate((2, 0)):
        torch.testing.assert_close(after[j], single[i][grids[i].steps // 2 + 1], atol=2e-5, rtol=1e-4)


def test_without_text_only_the_body_is_kept():
    _, task, model = grown("opt", "units")
    theirs = original("opt").model.state_dict()
    ours = model.body.decoder.state_dict()
    assert set(theirs) - set(ours) == {"decoder.embed_tokens.weight"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(model.first, theirs["decoder.embed_tokens.weight"][2])
    embedding = model.embeddings["main"].weight
    assert embedding.shape == (22, 32)
    assert not bool(embedding[20].any())
    assert embedding[:20].std().item() == pytest.approx(theirs["decoder.embed_tokens.weight"].std().item(), rel=0.15)
    (reply,) = complete(model, task, [{}], {"units": UNITS}, seeds=[0], sampler=Sampler(top_k=5), steps=12)
    assert reply.steps <= 12


@torch.no_grad()
def test_a_checkpoint_needs_no_folder():
    lm, task, model = grown("llama", "text", "units")
    record = from_record(json.loads(dumps(lm.pinned().body)))
    again = LM(name="twist", tasks=(task,), body=record, context=128).build({"units": UNITS, "text": TEXT}).eval()
    assert lm.pinned().start == Fresh()
    assert again.body.folder == lm.body.folder
    again.load_state_dict(model.state_dict())
    grid = task.place([{"text": Stream(np.arange(9)), "units": Stream(np.arange(9))}], {"units": UNITS, "text": TEXT})
    batch = collate([grid], [68])
    assert torch.equal(again(batch)["main"], model(batch)["main"])
    assert isinstance(again, LanguageModel)
    assert json.loads(lm.tiny().body.config)["model_type"] == "llama"
    assert lm.tiny().start == Fresh()


@torch.no_grad()
def test_text_beside_units_keeps_offset_zero_and_tied_weights_may_be_shared():
    task = Task(name="test", layout=Layout((Stack(("text", "units"), (0, 1)),)), predict=("text", "units"))
    lm = LM(
        name="lm", tasks=(task,), body=TextBody(folder("qwen2")), head=Rows(tied=True), start=FromText(), context=64
    )
    model = lm.build({"units": UNITS, "text": TEXT})
    table = original("qwen2").get_input_embeddings().weight
    assert torch.equal(model.embeddings["text"].weight[:48], table)
    assert model.head.weight("text") is model.embeddings["text"].weight
    assert not [name for name in model.state_dict() if name.startswith("head")]


def spoken(task, seed=0):
    rng = np.random.default_rng(seed)
    example = {"text": Stream(rng.integers(0, 48, 9)), "units": Stream(rng.integers(0, 20, 9))}
    return collate([task.place([example], {"units": UNITS, "text": TEXT})], [68])


def trained(body):
    """A speech LM from a text LM, after two updates of whatever may be changed -> names of what was, and the model."""
    torch.manual_seed(0)
    lm = LM(name="lm", tasks=(SPEAK,), body=body, start=FromText(), context=128)
    model = lm.build({"units": UNITS, "text": TEXT})
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        CrossEntropy().build(model, {})(model, spoken(SPEAK)).total.backward()
        optimizer.step()
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    return lm, model.eval(), changed


def test_a_frozen_body_stays_while_embeddings_learn():
    _, model, changed = trained(TextBody(folder("llama"), trained="frozen"))
    assert changed
    assert not [name for name in changed if name.startswith("body")]
    assert {name.split(".")[0] for name in changed} == {"embeddings", "head", "first"}
    assert all(weight.grad is None for weight in model.body.parameters())


@pytest.mark.parametrize("kind", ["opt", "llama", "qwen2", "gpt2"])
def test_lora_changes_little_and_saves_without_the_folder(kind, tmp_path):
    lm, model, changed = trained(TextBody(folder(kind), trained="lora", lora=Lora(rank=2, alpha=4)))
    inside = {name for name in changed if name.startswith("body")}
    assert inside
    assert all("lora_" in name for name in inside)
    path = tmp_path / "lm.safetensors"
    safetensors.torch.save_model(model, str(path))
    record = from_record(json.loads(dumps(lm.pinned().body)))
    assert json.loads(dumps(record)) == json.loads(dumps(lm.pinned().body))
    again = LM(name="lm", tasks=(SPEAK,), body=replace(record, folder="gone"), context=128)
    again = again.build({"units": UNITS, "text": TEXT}).eval()
    safetensors.torch.load_model(again, str(path))
    with torch.no_grad():
        want = model(spoken(SPEAK, 1))["main"]
        assert torch.equal(again(spoken(SPEAK, 1))["main"], want)
        fast = quick(model, "fp32")
        torch.testing.assert_close(fast(spoken(SPEAK, 1))["main"], want, atol=2e-5, rtol=1e-4)
        assert torch.equal(model(spoken(SPEAK, 1))["main"], want)
        assert not [name for name in fast.state_dict() if "lora" in name]


@torch.no_grad()
def test_lora_expects_the_same_text_at_first():
    plain, lora = (
        LM(name="lm", tasks=(SPEAK,), body=body, start=FromText(), context=128)
        for body in (
            TextBody(folder("qwen2")),
            TextBody(folder("qwen2"), trained="lora", lora=Lora(targets=("down_proj",))),
        )
    )
    logits = []
    for lm in (plain, lora):
        torch.manual_seed(0)
        model = lm.build({"units": UNITS, "text": TEXT}).eval()
        logits.append(model(spoken(SPEAK))["main"][:, :10, :48])  # before what is fresh in both
    torch.testing.assert_close(*logits)
    with pytest.raises(BadInput, match=r"LoRA with targets=\('nothing',\) does not fit Qwen2Model"):
        replace(lora, body=replace(lora.body, lora=Lora(targets=("nothing",)))).build({"units": UNITS, "text": TEXT})


def test_what_does_not_fit_is_said(tmp_path):
    layout = Layout((Line("text"),))
    task = Task(name="test", layout=layout, predict=("text",))

    def build(spec=TEXT, **settings):
        parts = {"body": TextBody(folder("llama")), "start": FromText(), "context": 128, **settings}
        return LM(name="lm", tasks=(task,), **parts).build({"text": spec})

    with pytest.raises(BadInput, match="no text LM in transformers' format"):
        build(body=TextBody(str(tmp_path)))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(BadInput, match="no text LM in transformers' format"):
        build(body=TextBody(str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(BadInput, match="is of the kind 'nothing', which this version of transformers cannot build"):
        build(body=TextBody(str(tmp_path)))
    with pytest.raises(BadInput, match="context of 4096 steps, but its body knows 128 positions; set context=128"):
        build(context=4096)
    with pytest.raises(BadInput, match="FromText needs a TextBody, but the body is TransformerModel"):
        build(body=Transformer.tiny())
    with pytest.raises(BadInput, match="'text' has 90 symbols, but the text LM has 48"):
        build(Spec(90))
    config = Path(folder("llama"), "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(BadInput, match=r"does not load .* safetensors"):
        build(body=TextBody(str(tmp_path)))


def test_a_text_lm_that_scales_its_logits_is_refused():
    import transformers

    torch.manual_seed(0)
    config = transformers.GraniteConfig(logits_scaling=4.0, bos_token_id=2, **LLAMA)
    path = mkdtemp()
    transformers.GraniteForCausalLM(config).save_pretrained(path)
    task = Task(name="test", layout=Layout((Line("text"),)), predict=("text",))
    lm = LM(name="lm", tasks=(task,), body=TextBody(path), start=FromText(), context=128)
    with pytest.raises(BadInput, match="makes its logits in a way that RowsModel does not"):
        lm.build({"text": TEXT})


def test_a_text_lm_without_positions_or_cache_is_refused():
    import transformers

    path = mkdtemp()
    transformers.BloomConfig(vocab_size=48, hidden_size=32, n_layer=1, n_head=4).save_pretrained(path)
    with pytest.raises(BadInput, match=r"cannot be a body: it lacks \['position_ids'\]"):
        TextBody(path).build()


def test_the_recorded_body_decides_how_the_weights_of_a_folder_are_used(tmp_path):
    """A recipe may change the rotary base (Slam, SpiRit-LM): the model runs, and loads again, with the recipe's."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder, saved = tmp_path / "text", tmp_path / "lm.safetensors"
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=60, **sizes)).save_pretrained(folder)
    fields = json.loads((folder / "config.json").read_text())
    fields["rope_parameters"] = {"rope_type": "default", "rope_theta": 100.0}
    task, specs = Task(name="t", layout=Layout((Line("text"),)), predict=("text",)), {"text": Spec(60)}
    lm = LM(name="lm", tasks=(task,), body=TextBody(str(folder), config=json.dumps(fields)), start=FromText())
    model, plain = lm.build(specs).eval(), replace(lm, body=TextBody(str(folder))).build(specs).eval()
    assert model.body.decoder.config.rope_parameters["rope_theta"] == 100.0
    save_tensors(saved, model.state_dict())
    again = lm.pinned().build(specs).eval()
    load_part(again, saved)
    grid = task.place([{"text": Stream(np.arange(40))}], specs, vocabs=model.vocabs)
    batch = collate([grid], [model.vocabs["main"].offset("pad")])
    with torch.no_grad():
        ours, loaded, theirs = model(batch)["main"], again(batch)["main"], plain(batch)["main"]
    torch.testing.assert_close(ours, loaded)
    assert not torch.allclose(ours, theirs, atol=1e-4)
    for name, value in (("num_hidden_layers", 2), ("hidden_act", "gelu")):
        other = replace(lm, body=TextBody(str(folder), config=json.dumps({**fields, name: value})))
        with pytest.raises(BadInput, match=f"has {name}=.*but the recipe's body records"):
            other.build(specs)
