"""AudioLM: three language models, from what is said to how it sounds. Borsos et al. 2022, arXiv:2209.03143.

Merged semantic units; from these the four coarse levels of a codec, one item after another; from these the eight fine
ones. Each model goes on from the prompt's own tokens, so voice and room stay. Values: sections III-A, IV-A and IV-B
(units, levels, 12 layers of 16 heads, 1024 and 4096, a million updates of batch 256); optimizer and dropout are not
stated there, these are `gslm`'s. The paper says 0.3 B parameters a model, which the stated sizes do not give; heads
of 128 and a gated MLP, as in T5, make it 0.25 to 0.28 B. Positions are rotary, not T5's. The third model works in
pieces of 3 s there; here it sees the same 10 s as the second. It samples at temperatures 0.6, 0.8 and 0.6.
"""

from dataclasses import replace

from oration.codecs.soundstream import SOUNDSTREAM
from oration.layouts import Layout, Line, Ratio, Weave
from oration.lms import LM, Layer, Transformer
from oration.recipes.gslm import recipe as gslm
from oration.recipes.soundstream import recipe as soundstream
from oration.recipes.twist import recipe as twist
from oration.streams import Dedup, Excerpt
from oration.tasks import Task
from oration.train import Packed, Steps

codec = replace(SOUNDSTREAM, rate=16_000, levels=None, quantizer=replace(SOUNDSTREAM.quantizer, levels=12))
coarse = Weave(codec.streams[:4], by=Ratio((1, 1, 1, 1)))
fine = Weave(codec.streams[4:], by=Ratio((1,) * 8))
body = Transformer(layers=12, dim=1024, heads=16, ffn=4096, dropout=0.1, layer=Layer(mlp="geglu", head_width=128))
tasks = (
    Task(
        name="semantic",
        operations=(Excerpt(("units",), 30.0), Dedup()),
        layout=Layout((Line("units.runs"),)),
        predict=("units.runs",),
    ),
    Task(
        name="coarse",
        operations=(Excerpt(("units", *coarse.arms), 10.0), Dedup()),
        layout=Layout((Line("units.runs"), coarse)),
        predict=coarse.arms,
    ),
    Task(name="fine", operations=(Excerpt(codec.streams, 10.0),), layout=Layout((coarse, fine)), predict=fine.arms),
)
encoder, clusters, *_ = twist.training
stage = replace(gslm.training[-1], budget=Steps(1_000_000))

recipe = replace(
    twist,
    name="audiolm",
    tokenizers=(replace(twist.tokenizers[0], clusters=1024), codec),
    lms=(
        LM(name="semantic", tasks=tasks[:1], body=body, context=1024),
        LM(name="coarse", tasks=tasks[1:2], body=body, context=4096),
        LM(name="fine", tasks=tasks[2:], body=body, context=8192),
    ),
    prosody=None,
    vocoder=codec.vocoder(),
    training=(
        encoder,
        clusters,
        *soundstream.training,
        replace(stage, part="semantic", feed=Packed(length=768, batch=256)),
        replace(stage, part="coarse", feed=Packed(length=2304, batch=256)),
        replace(stage, part="fine", feed=Packed(length=6144, batch=256)),
    ),
    published={},
    instead={"units": "w2v-BERT XL, layer 7, 25 Hz"},
)
