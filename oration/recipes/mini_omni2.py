"""Mini-Omni2: Mini-Omni that listens as it speaks, and stops when interrupted. Xie & Wu 2024, arXiv:2410.11190.

To Mini-Omni's eight rows come two: what is heard at this moment, as vectors, and a state, predicted, which says who
has the floor (<irq> and <n-irq> there, in the section on duplex interaction, from memory). What deviates: no images;
text comes when it is spoken, since question and answer are on one clock (there it runs ahead); a recording of one
speaker is cut in two, so that nobody is really interrupted; codes are seven levels at 12.5 Hz, as all else in a step;
the rest as `mini_omni`, one stage. Padding of text takes the last two symbols of Qwen2's table, which mean nothing
there.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import FromText
from oration.recipes.codec_mel import fitting
from oration.recipes.mini_omni import recipe as mini_omni
from oration.streams import Frames, SpreadWords, WhoSays
from oration.tasks import Task
from oration.tokenizers import Channels, CpcEncoder, MelRvq, Speech
from oration.train import Packed

codec = MelRvq(levels=7, size=4096, rate=12.5)
spoken = ("floor.frames", "text.frames", *codec.streams)
duplex = Task(
    name="duplex",
    operations=(
        WhoSays(("text",)),
        SpreadWords(pad=-1, end_pad=-2),
        Frames(stream="floor", rate=12.5, like="codec.0", fill=1),
    ),
    layout=Layout((Stack((*spoken, "user.speech"), delays=(0, 0, 1, 2, 3, 4, 5, 6, 7, 0), end="never"),)),
    predict=spoken,
)
heard = Channels(of=Speech(encoder=CpcEncoder(), stack=4))
both = Channels(of=codec, floor=True)
cpc, hearing, _, _, answering = mini_omni.training

recipe = replace(
    mini_omni,
    name="mini_omni2",
    tokenizers=(mini_omni.tokenizers[0], heard, both),
    lms=(replace(mini_omni.lms[0], tasks=(duplex,), start=FromText(streams=("text.frames",))),),
    vocoder=both.vocoder(),
    training=(
        replace(cpc, part="speech.inner.encoder"),
        replace(hearing, part="speech.inner"),
        replace(fitting, part="codec.inner"),
        replace(answering, feed=Packed(length=2048, batch=192)),
    ),
    instead={**mini_omni.instead, "codec": "SNAC", "vocoder": "SNAC's decoder", "eyes": "CLIP ViT-B/32"},
)
