"""SyncLLM: both speakers in one row, a chunk of 160 ms of each in turn. Veluri et al. 2024, arXiv:2409.15594.

Repeated units are merged within a chunk, so that a chunk costs what it says; an empty one is silence. The mark before a
chunk is the paper's speaker tag; text is read first. Values: Llama-3-8B, 501 units at 25 Hz, chunks of 160 to 240 ms.
Not checked: learning rate and steps. The paper trains on both speakers' chunks, and so does this.
"""

from dataclasses import replace

from oration.layouts import Chunk, Layout, Line, Weave
from oration.lms import LM, FromText, TextBody
from oration.lms.families import LLAMA_3_8B
from oration.recipes.ntpp import recipe as ntpp
from oration.streams import DedupInChunks
from oration.tasks import Task
from oration.tokenizers import Channels, CpcEncoder, Grouped, TextPieces, Units
from oration.train import Packed
from oration.vocoders import UnitHifiGan

units = Units(encoder=Grouped(encoder=CpcEncoder(), frames=2, mean=True), clusters=501, rate=25)
talk = Task(
    name="talk",
    operations=(DedupInChunks(stream="units", seconds=0.16), DedupInChunks(stream="user.units", seconds=0.16)),
    layout=Layout((Weave(("units.chunked", "user.units.chunked"), by=Chunk(0.16)),)),
    predict=("units.chunked", "user.units.chunked"),
)
read = Task(name="read", layout=Layout((Line("text"),)), predict=("text",))
encoder, clusters, vocoder, lm = ntpp.training

recipe = replace(
    ntpp,
    name="syncllm",
    tokenizers=(Channels(of=units), TextPieces(size=128_256)),
    lms=(
        LM(
            name="lm",
            tasks=(talk, read),
            body=TextBody("llama-3-8b", config=LLAMA_3_8B),
            start=FromText(),
            shared={"user.units.chunked": "units.chunked"},
            context=8192,
        ),
    ),
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 4, 2), kernels=(11, 8, 8, 8, 4)),
    training=(
        replace(encoder, part="units.inner.encoder.encoder"),
        clusters,
        vocoder,
        replace(lm, feed=Packed(length=8192, batch=2, tasks=("read",))),
        replace(lm, feed=Packed(length=8192, batch=2, tasks=("talk",))),
    ),
    published={"lm": 8e9},
    instead={"units": "HuBERT at 25 Hz, 501 clusters"},
)
