"""Freeze-Omni: speech into and out of a text LM that stays as it is. Wang et al. 2024, arXiv:2411.00774.

The LM, frozen, reads speech at 12.5 Hz and answers in text; a small decoder reads that text and the vectors behind it,
then says codes at 40 Hz, one by one. Values: section 4 (lr 2e-4 and 5e-5; 8 layers of 896 for the decoder, 120 M but
for its text, whose table is the LM's there; the widths inside are Qwen2-0.5B's, which give that size),
VITA-MLLM/Freeze-Omni, models/decoder.py. It samples text at temperature 0.8 among 20, speech among 2. What deviates:
all of the decoder is causal (there its first half sees the whole sentence); the LM's tables learn with the adapter
(there: the adapter and a prompt of vectors alone); no state says when the user is done; the numbers of updates are
guesses. `--set lms.0.body.folder=PATH`, `--set tokenizers.0.file=PATH`: the folder of Qwen2-7B-Instruct.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, Rows, TextBody, Transformer
from oration.lms.families import QWEN2_7B
from oration.recipes.codec_mel import fitting
from oration.recipes.llama_omni2 import recipe as llama_omni2
from oration.streams import TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, MelRvq, Speech
from oration.train import AdamW, Steps

codec = MelRvq(levels=1, size=1024, rate=40)
answer = Task(
    name="answer",
    operations=(TakeTurns(("speech", "text", "codec.0")),),
    layout=Layout((Line("user.speech"), Line("text"))),
    predict=("text",),
)
speak = Task(
    name="speak",
    layout=Layout((Line("text"), Line("text.hidden"), Line("codec.0"))),
    predict=("codec.0",),
)
understanding, speaking = llama_omni2.training[-2:]

recipe = replace(
    llama_omni2,
    name="freeze_omni",
    tokenizers=(llama_omni2.tokenizers[0], Speech(encoder=CpcEncoder(), stack=4), codec),
    lms=(
        replace(llama_omni2.lms[0], tasks=(answer,), body=TextBody("qwen2-7b", config=QWEN2_7B, trained="frozen")),
        LM(
            name="decoder",
            tasks=(speak,),
            body=Transformer(layers=8, dim=896, heads=14, kv_heads=2, ffn=4864, bias=True, rope_base=1_000_000.0),
            head=Rows(tied=True),
            context=4096,
        ),
    ),
    vocoder=codec.vocoder(),
    training=(
        *llama_omni2.training[:2],
        fitting,
        replace(understanding, optimizer=AdamW(lr=2e-4), budget=Steps(20_000)),
        replace(speaking, part="decoder", optimizer=AdamW(lr=5e-5), budget=Steps(100_000)),
    ),
    published={"lm": 7.6e9},
    instead={
        "speech": "a streaming encoder of 350 M, trained on 110,000 hours",
        "codec": "TiCodec, one codebook at 24 kHz",
        "vocoder": "TiCodec's decoder",
    },
)
