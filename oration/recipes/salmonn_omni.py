"""SALMONN-omni: full duplex; an LM that hears vectors and says states and words. Yu et al. 2024, arXiv:2411.18138.

At 12.5 Hz a text LM takes in a vector of the user's speech and draws a symbol: that it listens, that it is about to
speak, or the next piece of what it says. A second model turns the vectors behind these symbols into two units a step,
silent ones too, so that sound comes while the user still speaks. Values: the paper's abstract and figures; a text LM
of 8 B (Llama-3 here), a streaming encoder, a streaming synthesizer fed with the LM's vectors, sized as CosyVoice 2's
LM (arXiv:2412.10117). Could not be checked: the sizes of blocks, the training, whether a third state (thinking) has a
symbol of its own, as here it has not; its own voice, which the paper feeds back as echo, is not heard here. Clips with
one speaker are cut in two, as question and answer. `--set lms.0.body.folder=PATH` and `--set tokenizers.1.file=PATH`
name Llama-3-8B's folder.
"""

from dataclasses import replace

from oration.layouts import Layout, Ratio, Stack, Weave
from oration.lms import LM, FromText, TextBody
from oration.lms.families import LLAMA_3_8B, QWEN2_5_0_5B
from oration.recipes.llama_omni import recipe as llama_omni
from oration.recipes.syncllm import recipe as syncllm
from oration.streams import SpreadWords, WhoSays
from oration.tasks import Task
from oration.tokenizers import Channels, CpcEncoder, Speech
from oration.train import Packed

heard = Channels(of=Speech(encoder=CpcEncoder(), stack=4), floor=True)
talk = Task(
    name="talk",
    operations=(WhoSays(("text",)), SpreadWords(like="user.speech", pad=-1, end_pad=-2)),
    layout=Layout((Stack(("text.frames", "user.speech"), end="never"),)),
    predict=("text.frames",),
)
speak = Task(
    name="speak",
    layout=Layout((Weave(("text.frames.hidden", "units"), by=Ratio((1, 2))),)),
    predict=("units",),
)
encoder, hearing = llama_omni.training[:2]
lm, voice = (
    replace(llama_omni.training[-2], feed=Packed(length=4096, batch=32)),
    replace(llama_omni.training[-2], part="voice", feed=Packed(length=4096, batch=32)),
)

recipe = replace(
    syncllm,
    name="salmonn_omni",
    tokenizers=(heard, llama_omni.tokenizers[0], syncllm.tokenizers[0]),
    lms=(
        LM(
            name="lm",
            tasks=(talk,),
            body=TextBody("llama-3-8b", config=LLAMA_3_8B),
            start=FromText(streams=("text.frames",)),
            exposes=("text.frames",),
            context=4096,
        ),
        LM(name="voice", tasks=(speak,), body=TextBody("qwen2.5-0.5b", config=QWEN2_5_0_5B), context=4096),
    ),
    training=(
        replace(encoder, part="speech.inner.encoder"),
        replace(hearing, part="speech.inner"),
        *syncllm.training[:-2],
        lm,
        voice,
    ),
    published={},
    instead={
        "speech": "a streaming encoder",
        "units": "the speech tokens of CosyVoice 2",
        "vocoder": "flow matching and a vocoder",
    },
)
