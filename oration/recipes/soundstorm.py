"""SoundStorm: all levels of a codec filled in at once, level by level. Borsos et al. 2023, arXiv:2305.09636.

A first model goes on in semantic units at 25 Hz, repeats kept (AudioLM's, section 4.1); the second fills in the twelve
levels of the codec beside them, the prompt's own levels given. Values: sections 3.2, 3.3 and 4.1 (mask, 16 passes for
the first level and one for the others, 350 M parameters, 12 layers, 16 heads, 1024, windows of up to 30 s). Optimizer
and batch are not stated there; these are `gslm`'s. The body there is a Conformer; here it is a plain Transformer of as
many layers, whose MLP is as large as a Conformer's two and its convolution. 10 epochs there, a million updates here.
"""

from dataclasses import replace

from oration.generate import Confidence
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Transformer
from oration.objectives import Masked
from oration.recipes.audiolm import codec
from oration.recipes.audiolm import recipe as audiolm
from oration.streams import Excerpt, Frames, Timed
from oration.tasks import Task
from oration.train import Packed

semantic = Task(
    name="semantic",
    operations=(Excerpt(("units",), 30.0),),
    layout=Layout((Line("units"),)),
    predict=("units",),
)
acoustic = Task(
    name="acoustic",
    operations=(
        Excerpt(("units", *codec.streams), 30.0),
        Timed("units"),
        Frames(stream="units.timed", rate=50, like="units"),
    ),
    layout=Layout((Stack(("units.timed.frames", *codec.streams), end="never"),)),
    predict=codec.streams,
)
*tokens, stage, _, _ = audiolm.training

recipe = replace(
    audiolm,
    name="soundstorm",
    lms=(
        replace(audiolm.lms[0], tasks=(semantic,)),
        LM(
            name="soundstorm",
            tasks=(acoustic,),
            body=Transformer(layers=12, dim=1024, heads=16, ffn=7424, dropout=0.1, causal=False),
            context=2048,
            generator=Confidence(steps=(16, 1)),
        ),
    ),
    training=(
        *tokens,
        stage,
        replace(stage, part="soundstorm", objective=Masked(), feed=Packed(length=1536, batch=64)),
    ),
    published={"soundstorm": 350e6},
)
