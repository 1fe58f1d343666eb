"""Published sizes of text LMs, counted without weights; and the same families, small."""

import json
from dataclasses import replace

import pytest
import torch

from oration.core import BadInput, Spec
from oration.layouts import Layout, Line
from oration.lms import LM, Fresh, FromText, TextBody, Transformer, families
from oration.tasks import Task

PARAMETERS = {  # as published with the weights (safetensors' own totals on the hub)
    "OPT_125M": 125_239_296, "OPT_350M": 331_196_416, "OPT_1_3B": 1_315_758_080, "LLAMA_7B": 6_738_415_616,
    "LLAMA_13B": 13_015_864_320, "LLAMA_2_7B": 6_738_415_616, "LLAMA_2_7B_SPIRIT": 6_738_415_616,
    "LLAMA_3_8B": 8_030_261_248,
    "LLAMA_3_1_8B": 8_030_261_248, "LLAMA_3_2_1B": 1_235_814_400, "LLAMA_3_2_3B": 3_212_749_824,
    "QWEN2_0_5B": 494_032_768, "QWEN2_1_5B": 1_543_714_304, "QWEN2_7B": 7_615_616_512, "QWEN2_5_0_5B": 494_032_768,
    "QWEN2_5_0_5B_SLAM": 494_032_768,
    "QWEN2_5_1_5B": 1_543_714_304, "QWEN2_5_3B": 3_085_938_688, "QWEN2_5_7B": 7_615_616_512,
    "QWEN_1_8B": 1_836_828_672, "GLM_4_9B": 9_399_951_360, "MISTRAL_7B": 7_241_732_096,
    "HELIUM_7B": 6_840_000_000,  # no weights published: from the paper's table, 6.8 B with 32,000 symbols
}  # fmt: skip
NAMES = sorted(name for name in vars(families) if name.isupper() and not name.startswith("_"))
SPEAK = Task(name="speak", layout=Layout((Line("text"), Line("units"))), predict=("units",))
SPECS = {"text": Spec(48), "units": Spec(20, 50)}


def test_every_family_has_its_count():
    assert sorted(PARAMETERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_published_size_is_met_without_weights(name):
    import transformers

    fields = json.loads(getattr(families, name))
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    with torch.device("meta"):
        whole = transformers.AutoModelForCausalLM.from_config(config)
        body = TextBody("nowhere", getattr(families, name)).build()
    count = sum(weight.numel() for weight in whole.parameters())
    assert count == pytest.approx(PARAMETERS[name], rel=0.01)
    table = whole.get_input_embeddings().weight
    tied = table is whole.get_output_embeddings().weight
    assert sum(weight.numel() for weight in body.parameters()) == count - table.numel() * (1 if tied else 2)
    assert body.dim == table.shape[1]


@pytest.mark.parametrize("name", ["OPT_125M", "OPT_350M", "LLAMA_3_1_8B", "QWEN2_0_5B", "GLM_4_9B", "MISTRAL_7B"])
def test_a_model_of_published_size_is_described_and_a_tiny_one_runs(name):
    body = TextBody("nowhere", getattr(families, name))
    lm = LM(name="lm", tasks=(SPEAK,), body=body, start=FromText())
    with torch.device("meta"):
        assert next(lm.build(SPECS).body.parameters()).is_meta
    small = lm.tiny()
    assert small.start == Fresh()
    model = small.build(SPECS)
    assert sum(weight.numel() for weight in model.parameters()) < 100_000
    kind = json.loads(body.config)["model_type"]
    assert json.loads(small.body.config)["model_type"] == kind
    assert model.body.decoder.config.model_type == kind
    with pytest.raises(BadInput, match="'nowhere' does not load"):
        replace(lm, body=body.tiny()).build(SPECS)


def test_tiny_of_a_class_of_a_folder_unknown_and_of_kinds():
    assert TextBody.tiny().build().dim == 32
    assert TextBody("nowhere").tiny().build().dim == 32
    assert TextBody("nowhere", trained="frozen").tiny().trained == "frozen"
    large = Transformer(layers=9, dim=512, heads=8, ffn=9, causal=False, positions=900, bias=True)
    small = large.tiny()
    assert (small.causal, small.positions, small.bias, small.dim) == (False, 900, True, 32)
    assert Transformer.tiny().causal
