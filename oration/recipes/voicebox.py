"""Voicebox: speech filled in by following a flow, from phones and the sound around. Le et al. 2023, arXiv:2306.15687.

Two models. `durations` carries noise to the logarithm of each phone's frames; `audio` carries noise to log-mels, 100 a
second, beside the phone of each frame, where a span (or all) is hidden. Say the recording's own words first, then those
to be spoken. Values: sections 3 to 5 and appendix B (24 layers, 16 heads, 1024; 500,000 updates of 240,000 frames, lr
1e-4, warm-up 5,000; one span of 70 % or more hidden, everything known left out in 0.2 of the cases, 32 evaluations by
the midpoint; guidance 0.7, which is 1.7 here); those of `durations` are from memory (8 layers of 512, 600,000 updates).
What deviates: durations are drawn also for the phones of the prompt, whose alignment a reply does not know; rotary
positions (there: ALiBi and a convolution); phones without the place in a word, aligned in the manifest.
"""

from dataclasses import replace

from oration.generate import Ode
from oration.layouts import Layout, Stack
from oration.lms import LM, Layer, Transformer, Velocity
from oration.objectives import Gan, MaskedFlow
from oration.recipe import Recipe
from oration.streams import Dedup, Expand, Frames, Logarithm
from oration.tasks import Task
from oration.tokenizers import Mel, Phonemes
from oration.train import AdamW, Crops, Linear, Packed, Steps, Train
from oration.vocoders import Vocos

runs, length, frames = "phones.frames.runs", "phones.frames.durations", "phones.frames"
align = (Frames(rate=100, like="mel"), Dedup(stream=frames, longest=100))
last = Task(
    name="last",
    operations=(*align, Logarithm(length)),
    layout=Layout((Stack((runs, f"{length}.log")),)),
    predict=(f"{length}.log",),
)
speak = Task(
    name="speak",
    operations=(*align, Expand(stream=frames, rate=100)),
    layout=Layout((Stack((frames, "mel")),)),
    predict=("mel",),
)
layer = Layer(norm="layer", norm_eps=1e-5, mlp="gelu", mlp_bias=True, out_bias=True, skips=True)
body = Transformer(layers=24, dim=1024, heads=16, ffn=4096, bias=True, causal=False, layer=layer)
audio = LM(
    name="audio", tasks=(speak,), body=body, head=Velocity(mean=-5.884, std=2.261), generator=Ode(), context=1600
)
durations = LM(
    name="durations",
    tasks=(last,),
    body=replace(body, layers=8, dim=512, heads=8, ffn=2048, layer=replace(layer, skips=False)),
    head=Velocity(mean=2.0, std=0.7),
    generator=Ode(),
    context=1600,
)
training = Train(
    part="audio",
    feed=Packed(length=1600, batch=150),
    objective=MaskedFlow(),
    optimizer=AdamW(lr=1e-4),
    schedule=Linear(warmup=5000),
    budget=Steps(500_000),
)
vocoder = Train(
    part="vocoder",
    feed=Crops(streams=("wave", "mel"), seconds=0.56, batch=16),
    objective=Gan(),
    optimizer=AdamW(lr=2e-4, betas=(0.8, 0.99)),
    budget=Steps(400_000),
)
pacing = replace(training, part="durations", feed=Packed(length=800, batch=75), budget=Steps(600_000))

recipe = Recipe(
    name="voicebox",
    tokenizers=(Phonemes(stream=runs), Mel()),
    lms=(durations, audio),
    vocoder=Vocos(needs=("mel",), pitch=None),
    training=(pacing, training, vocoder),
    published={"audio": 330e6},
    instead={"vocoder": "HiFi-GAN"},
)
