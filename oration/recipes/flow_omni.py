"""Flow-Omni: a text LM that says log-mels, each drawn by a small flow. Yuan et al. 2024, arXiv:2412.04917.

The question comes in as vectors; the answer is text and, one step later and beside it, mel frames: an MLP carries noise
to the frame, given the LM's hidden vector. From memory of the paper, which has no code: Qwen2-0.5B, text and speech in
parallel as in Mini-Omni (arXiv:2408.16725), a Whisper encoder. Not found: how many frames make a step (here one of
10 ms), the widths of the MLP (`Flow`'s), optimizer and updates. Clips with one speaker are cut in two, as question and
answer. `--set lms.0.body.folder=PATH` and `--set tokenizers.2.file=PATH` name Qwen's folder.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Flow, FromText, Rows, TextBody
from oration.lms.families import QWEN2_0_5B
from oration.objectives import CrossEntropy
from oration.recipes.spectron import recipe as spectron
from oration.recipes.voicebox import recipe as voicebox
from oration.streams import TakeTurns
from oration.tasks import Task
from oration.tokenizers import Mel, TextPieces
from oration.train import Packed

answer = Task(
    name="answer",
    operations=(TakeTurns(("speech", "text", "mel")),),
    layout=Layout((Line("user.speech", row="mel"), Stack(("text", "mel"), delays=(0, 1)))),
    predict=("text", "mel"),
)
lm = LM(
    name="lm",
    tasks=(answer,),
    body=TextBody("qwen2-0.5b", config=QWEN2_0_5B),
    head=Flow(streams=("mel",), symbols=Rows(tied=True), mean=-5.884, std=2.261),
    start=FromText(),
    context=4096,
)

recipe = replace(
    spectron,
    name="flow_omni",
    tokenizers=(spectron.tokenizers[0], Mel(), TextPieces(size=151_936, file="qwen2-0.5b")),
    lms=(lm,),
    vocoder=voicebox.vocoder,
    training=(
        *spectron.training[:2],
        voicebox.training[2],
        replace(spectron.training[-1], feed=Packed(length=4096, batch=32), objective=CrossEntropy()),
    ),
    published={},
    instead={"speech": "Whisper's encoder with an adapter", "vocoder": "HiFi-GAN"},
)
