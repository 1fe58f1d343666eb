"""A laboratory for layouts, of this repository: four levels of a codec, predicted side by side and blind to each other.

Its four siblings `lab_delay`, `lab_depth`, `lab_flat` and `lab_coarse` differ in the layout or the head alone: the same
codec, data, body, and seconds of speech in every update. `oration score compare` sets them side by side.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import LM, Transformer
from oration.objectives import CrossEntropy
from oration.recipes.codec_mel import recipe as codec_mel
from oration.tasks import Task
from oration.train import AdamW, Packed, Steps, Train

codec = replace(codec_mel.tokenizers[0], levels=4, size=256, rate=12.5)
levels = ("codec.0", "codec.1", "codec.2", "codec.3")
talk = Task(name="continue", layout=Layout((Stack(levels),)), predict=levels)

recipe = replace(
    codec_mel,
    name="lab_parallel",
    tokenizers=(codec,),
    vocoder=codec.vocoder(),
    lms=(
        LM(name="lm", tasks=(talk,), body=Transformer(layers=6, dim=256, heads=4, ffn=704, dropout=0.1), context=4096),
    ),
    training=(
        *codec_mel.training,
        Train(
            part="lm",
            feed=Packed(length=512, batch=4),
            objective=CrossEntropy(),
            optimizer=AdamW(lr=1e-3, decay=0.1),
            budget=Steps(300),
        ),
    ),
)
