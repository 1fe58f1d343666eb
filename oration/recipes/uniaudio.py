"""UniAudio: codec frames step by step, the levels of a frame by a small model. Yang et al. 2023, arXiv:2310.00704.

Phones in front, then frames of three levels. The large Transformer (24 layers, 1536) goes from frame to frame, the
small one (8 layers) from level to level. Say the recording's own words first, then those to be spoken.
Values: tables 8 and 9, section 3. The gated MLP of the small model is 4096 wide here, as many weights as 6144 there.
Not here: MIDI, HuBERT units and text vectors as conditions, durations of phones, a second recording as a prompt; a
phone takes one step, not a patch of three. The paper counts 744 M and 238 M; its sizes give 680 M and 227 M and tables,
which is 6 % less than it says, so no count is compared.
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_24K
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Depth, Layer, Transformer
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.encodec_24k import training as encodec
from oration.tasks import Task
from oration.tokenizers import Phonemes
from oration.train import AdamW, Cosine, Packed, Steps, Train

levels = ("codec.0", "codec.1", "codec.2")
codec = replace(ENCODEC_24K, rate=16_000, quantizer=replace(ENCODEC_24K.quantizer, levels=3, cuts=()))
tts = Task(name="tts", layout=Layout((Line("phonemes"), Stack(levels))), predict=levels)
lm = LM(
    name="lm",
    tasks=(tts,),
    body=Transformer(
        layers=24,
        dim=1536,
        heads=12,
        ffn=6144,
        bias=True,
        positions=3000,
        layer=Layer(norm="layer", norm_eps=1e-5, mlp="gelu", mlp_bias=True, out_bias=True),
    ),
    head=Depth(layers=8, dim=1536, heads=12, ffn=4096, rows=levels),
    context=3000,
)
training = Train(
    part="lm",
    feed=Packed(length=3000, batch=43),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=1e-4),
    schedule=Cosine(warmup=10_000),
    budget=Steps(800_000),
)

recipe = Recipe(
    name="uniaudio",
    tokenizers=(Phonemes(), codec),
    lms=(lm,),
    vocoder=codec.vocoder(),
    training=(encodec, training),
    instead={"codec": "nets of its own like EnCodec's, for speech, sounds, music and singing"},
)
