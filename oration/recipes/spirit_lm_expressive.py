"""SpiRit-LM expressive: SpiRit-LM with pitch and style among its tokens. Nguyen et al. 2024, arXiv:2402.05755.

Beside units: pitch, 64 symbols, 12.5 a second, repeats merged; and style, 100 symbols, one a second. In the speech
spans each stands at its own time; at one time style comes first, then pitch, then the unit (facebookresearch/spiritlm,
spiritlm/speech_tokenizer/spiritlm_tokenizer.py). Everything else as in `spirit_lm`. What deviates: pitch is 63 bins of
log F0 and unvoiced (there: a VQ-VAE); styles are clusters of statistics with names (there: features of a net); and the
vocoder speaks the units with the pitch of `prosody`: what the model says of pitch and style is in its reply's streams,
but not in its sound.
"""

from dataclasses import replace

from oration.layouts import Layout, Time, Weave
from oration.objectives import KMeans
from oration.recipes.spirit_lm import recipe as spirit_lm
from oration.streams import Alternate, Dedup, Timed
from oration.tokenizers import F0, Style
from oration.train import Crops, Steps, Train

lm = spirit_lm.lms[0]
spoken = ("style.timed", "pitch.runs", "units.runs")
both = ("text", *spoken)
operations = (Dedup(), Dedup(stream="pitch"), Timed("style"))
mixed = replace(
    lm.tasks[0],
    operations=(*operations, Alternate(units=spoken)),
    layout=Layout((Weave(both, by=Time()),)),
    predict=both,
)
speech = replace(
    lm.tasks[1], operations=operations, layout=Layout((Weave(spoken, by=Time()),)), predict=spoken
)  # fmt: skip
styles = Train(
    part="style",
    objective=KMeans(standardise=True),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(400),
    precision="fp32",
)

recipe = replace(
    spirit_lm,
    name="spirit_lm_expressive",
    tokenizers=(*spirit_lm.tokenizers, F0(stream="pitch", bins=63, rate=12.5), Style()),
    lms=(replace(lm, tasks=(mixed, speech, lm.tasks[2])),),
    training=(*spirit_lm.training[:-1], styles, spirit_lm.training[-1]),
    instead={
        "units": "HuBERT at 25 Hz, trained on several languages, 500 clusters",
        "pitch": "64 symbols of a VQ-VAE over F0",
        "style": "100 clusters of Speechprop's features",
        "vocoder": "a HiFi-GAN that hears units, pitch and style",
    },
)
