"""LLaMA-Omni: a text LM that hears, and a small decoder that says its thoughts. Fang et al. 2024, arXiv:2409.06666.

The LM reads speech at 10 Hz and answers in text; the decoder stretches the vector behind each piece of text to 25
steps, which CTC turns into merged units, all at once. It is causal, so that units may come while text does. Values:
sections 2.3 to 2.5 and 4.1 (sizes, 1,000 units, 425 M for the decoder, batch 32, 3 epochs of 200,000 dialogues, warm-up
3 %, lr 2e-5 and 2e-4), ictnlp/LLaMA-Omni, omni_speech/model/speech_generator/speech_generator.py. What deviates: the
adapter of what is heard is linear (there: two layers around a ReLU); turns are cut out of speech by one; no chat
template. Text is drawn greedily there. Data there: InstructS2S-200K. `--set lms.0.body.folder=PATH` and `--set
tokenizers.0.file=PATH` name the folder of Llama-3.1-8B-Instruct.
"""

from dataclasses import replace

from oration.generate import Once
from oration.layouts import Layout, Line
from oration.lms import LM, Ctc, FromText, TextBody, Transformer
from oration.lms.families import LLAMA_3_1_8B
from oration.objectives import CtcLoss
from oration.recipes.gslm import recipe as gslm
from oration.recipes.mini_omni import recipe as mini_omni
from oration.streams import Dedup, TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Speech, TextPieces
from oration.train import AdamW, Cosine, Packed, Steps

answer = Task(
    name="answer",
    operations=(TakeTurns(("speech", "text", "units")),),
    layout=Layout((Line("user.speech"), Line("text"))),
    predict=("text",),
)
speak = Task(
    name="speak",
    operations=(Dedup(),),
    layout=Layout((Line("text.hidden"), Line("units.runs"))),
    predict=("units.runs",),
)
training = replace(
    mini_omni.training[-1],
    feed=Packed(length=None, batch=32),
    optimizer=AdamW(lr=2e-5),
    schedule=Cosine(warmup=563, final=0.0),
    budget=Steps(18_750),
)

recipe = replace(
    gslm,
    name="llama_omni",
    tokenizers=(
        TextPieces(size=128_256, file="llama-3.1-8b"),
        Speech(encoder=CpcEncoder(), stack=5),
        replace(gslm.tokenizers[0], clusters=1000),
        *gslm.tokenizers[1:],
    ),
    lms=(
        LM(
            name="lm",
            tasks=(answer,),
            body=TextBody("llama-3.1-8b", config=LLAMA_3_1_8B),
            start=FromText(),
            exposes=("text",),
            context=4096,
        ),
        LM(
            name="decoder",
            tasks=(speak,),
            body=Transformer(layers=2, dim=4096, heads=32, ffn=11008, rope_base=500_000.0),
            head=Ctc(upsample=25),
            generator=Once(),
        ),
    ),
    training=(
        *mini_omni.training[:2],
        *gslm.training[:-1],
        training,
        replace(training, part="decoder", objective=CtcLoss(), optimizer=AdamW(lr=2e-4)),
    ),
    published={"lm": 8.03e9, "decoder": 425e6},
    instead={
        "speech": "the encoder of Whisper-large-v3",
        "units": "multilingual HuBERT, layer 11, 1,000 clusters",
        "vocoder": "a unit HiFi-GAN with a duration predictor and without pitch",
    },
)
