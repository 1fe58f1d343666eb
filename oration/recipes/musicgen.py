"""MusicGen: four levels of a codec, each a step later than the one above. Copet et al. 2023, arXiv:2306.05284.

Level q of frame t stands at step t + q, one head a level. The description is text in front of the frames. In training
it is left out now and then, so that a sampler with `guidance=3` (and top-k 250, as there) may use what it changes.
Values: facebookresearch/audiocraft, config/ and section 3 (small model; AdamW and 1 M steps as from the paper for the
large one, the released configuration of the small one has D-Adaptation). Here it learns the levels of speech from what
is said in it; text there comes through T5 and cross-attention in every layer, 100 M of the small model's 420 M, which a
text in front does without, so no count is compared. The paper speaks of 32 kHz and segments of 30 s.
"""

from oration.codecs.encodec import ENCODEC_32K
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Layer, Transformer
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.encodec_24k import training as encodec
from oration.streams import Drop
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Cosine, Packed, Steps, Train

levels = ("codec.0", "codec.1", "codec.2", "codec.3")
describe = Task(
    name="describe",
    operations=(Drop(("text",), p=0.3),),
    layout=Layout((Line("text", row="text"), Stack(levels, delays=(0, 1, 2, 3)))),
    predict=levels,
    condition=("text",),
)
lm = LM(
    name="lm",
    tasks=(describe,),
    body=Transformer(
        layers=24,
        dim=1024,
        heads=16,
        ffn=4096,
        dropout=0.1,
        positions="sine",
        layer=Layer(norm="layer", norm_eps=1e-5, mlp="gelu"),
    ),
    context=2048,
)
training = Train(
    part="lm",
    feed=Packed(length=2048, batch=192),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=1e-4, betas=(0.9, 0.95), decay=0.1, clip=1.0),
    schedule=Cosine(warmup=4000),
    budget=Steps(1_000_000),
)

recipe = Recipe(
    name="musicgen",
    tokenizers=(TextPieces(), ENCODEC_32K),
    lms=(lm,),
    vocoder=ENCODEC_32K.vocoder(),
    training=(encodec, training),
    instead={"text": "T5, heard by cross-attention"},
)
