"""LLaMA-Omni 2: a text LM that hears, and a second one that speaks as it writes. Fang et al. 2025, arXiv:2505.02625.

The first LM answers in text; the second reads three pieces of that text with the vectors behind them, says ten units at
25 Hz, reads three more, and so on; when the text is over, units go on alone. Values, from memory: Qwen2.5's sizes,
6,561 codes, three to ten, batch 32, 5 epochs, lr 5e-5 and 5e-4; the size here is 7 B, published are 0.5 to 32 B. What
deviates: a piece and its vector stand one after the other (there: summed by a gate); the adapter of what is heard is
linear; units are k-means, not FSQ. `--set lms.0.body.folder`, `lms.1.body.folder` and `tokenizers.0.file` name the
folders of Qwen2.5-7B- and Qwen2.5-0.5B-Instruct. Data there: 200,000 dialogues of several turns; here turns are cut out
of speech by one.
"""

from dataclasses import replace

from oration.layouts import Layout, Ratio, Weave
from oration.lms import LM, FromText, Rows, TextBody
from oration.lms.families import QWEN2_5_0_5B, QWEN2_5_7B
from oration.objectives import CrossEntropy
from oration.recipes.llama_omni import recipe as llama_omni
from oration.recipes.twist import recipe as twist
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Crops, Steps
from oration.vocoders import UnitHifiGan

speak = Task(
    name="speak",
    layout=Layout((Weave(("text", "text.hidden", "units"), by=Ratio((3, 3, 10))),)),
    predict=("units",),
)
encoder, clusters, vocoder, _, _ = twist.training
understanding, _ = llama_omni.training[-2:]
understanding = replace(understanding, optimizer=AdamW(lr=5e-5), budget=Steps(31_250))

recipe = replace(
    llama_omni,
    name="llama_omni2",
    tokenizers=(
        TextPieces(size=151_936, file="qwen2.5-7b"),
        llama_omni.tokenizers[1],
        replace(twist.tokenizers[0], clusters=6561),
    ),
    lms=(
        replace(llama_omni.lms[0], body=TextBody("qwen2.5-7b", config=QWEN2_5_7B)),
        LM(
            name="talker",
            tasks=(speak,),
            body=TextBody("qwen2.5-0.5b", config=QWEN2_5_0_5B),
            head=Rows(tied=True),
            start=FromText(),
            context=4096,
        ),
    ),
    prosody=None,
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 4, 2), kernels=(11, 8, 8, 8, 4)),
    training=(
        *llama_omni.training[:2],
        encoder,
        clusters,
        replace(vocoder, feed=Crops(streams=("wave", "units"), seconds=0.56, batch=16)),
        understanding,
        replace(understanding, part="talker", objective=CrossEntropy(), optimizer=AdamW(lr=5e-4)),
    ),
    published={"lm": 7.6e9},
    instead={
        "speech": "the encoder of Whisper-large-v3",
        "units": "CosyVoice 2's supervised tokens, 6,561 at 25 Hz",
        "vocoder": "CosyVoice 2's flow matching with HiFi-GAN",
    },
)
