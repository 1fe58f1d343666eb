"""Qwen2.5-Omni: a thinker that hears and writes, a talker that speaks its thoughts. Xu et al. 2025, arXiv:2503.20215.

The talker reads the vectors behind what was heard, then at each step a piece of text, the vector behind it, and the
code before; when the text is over, it goes on alone. Values: Qwen2.5-7B; 24 layers of 896 for the talker (the released
7 B model's settings, from memory: 12 heads of 128, 1.35 B; the defaults in huggingface/transformers,
models/qwen2_5_omni/configuration_qwen2_5_omni.py, are others), 8,193 codes; it samples at temperature 0.9 among 40,
top-p 0.8, penalty 1.05. Not published: the rate of codes (50 Hz follows from the vocoder), the training (numbers are
guesses). What deviates: the talker has a text table of its own (136 M; there: the thinker's); its logits share the
codes' table; no images, no video; positions are counted in steps, not 40 ms; no DPO. `--set lms.0.body.folder=PATH` and
`--set tokenizers.0.file=PATH` name the folder of Qwen2.5-7B.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Layer, Rows, Transformer
from oration.recipes.llama_omni2 import recipe as llama_omni2
from oration.recipes.slam_omni import recipe as slam_omni
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Speech
from oration.train import AdamW, Packed, Steps

talk = Task(
    name="talk",
    layout=Layout(
        (Line("user.speech.hidden", row="text.hidden"), Stack(("text", "text.hidden", "units"), delays=(0, 0, 1)))
    ),
    predict=("units",),
)
thinking, talking = llama_omni2.training[-2:]

recipe = replace(
    slam_omni,
    name="qwen2_5_omni",
    tokenizers=(
        llama_omni2.tokenizers[0],
        Speech(encoder=CpcEncoder(), stack=2),
        replace(slam_omni.tokenizers[2], clusters=8193),
    ),
    lms=(
        replace(llama_omni2.lms[0], name="thinker", exposes=("user.speech", "text"), context=8192),
        LM(
            name="talker",
            tasks=(talk,),
            body=Transformer(
                layers=24,
                dim=896,
                heads=12,
                kv_heads=4,
                ffn=18_944,
                bias=True,
                rope_base=1_000_000.0,
                layer=Layer(head_width=128),
            ),
            head=Rows(tied=True),
            context=8192,
        ),
    ),
    training=(
        *slam_omni.training[:-1],
        replace(thinking, part="thinker", optimizer=AdamW(lr=2e-5), feed=Packed(length=8192, batch=32)),
        replace(talking, optimizer=AdamW(lr=1e-4), feed=Packed(length=8192, batch=32), budget=Steps(100_000)),
    ),
    published={"thinker": 7.6e9},
    instead={
        "speech": "an encoder of 0.6 B, trained as Whisper",
        "units": "the authors' codes, 8,193, of a codec that they do not describe",
        "vocoder": "flow matching by a Transformer, then BigVGAN",
    },
)
