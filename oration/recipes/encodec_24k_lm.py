"""EnCodec, 24 kHz, 8 levels, with the language model of its entropy coder. Défossez et al. 2022, arXiv:2210.13438.

All levels of a frame at once, each predicted from the frames of the last 3.5 s (section 3.3): 5 layers, 8 heads, width
200, trained on sequences of 5 s at random places; rates are AdamW's of this repository, since the paper does not say
them. `oration encode FILE -o FILE.orat` then codes with what it expects. The package (encodec 0.1.1) has one for 32
levels at once; its released weights load level by level (`oration.lms.released_encodec`).
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_24K_6KBPS as CODEC
from oration.layouts import Layout, Stack
from oration.lms import LM, RecentTransformer, Rows
from oration.objectives import CrossEntropy
from oration.recipes.encodec_24k_6kbps import recipe as encodec
from oration.streams import Excerpt
from oration.tasks import Task
from oration.train import AdamW, Cosine, Packed, Steps, Train

levels = CODEC.streams
expect = Task(
    name="continue",
    operations=(Excerpt(levels, 5.0),),
    layout=Layout((Stack(levels, end="never"),)),
    predict=levels,
)
lm = LM(name="lm", tasks=(expect,), body=RecentTransformer(shift=4096), head=Rows(bias=True), context=None)
training = Train(
    part="lm",
    feed=Packed(length=3000, batch=8),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=5e-4, decay=0.01),
    schedule=Cosine(warmup=500),
    budget=Steps(100_000),
)
recipe = replace(
    encodec,
    name="encodec_24k_lm",
    lms=(lm,),
    training=(*encodec.training, training),
    coder="lm",
    published={"lm": 5.7e6},
)
