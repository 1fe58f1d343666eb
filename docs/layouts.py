"""Writes docs/layouts.md, the layouts side by side, from the layouts themselves: python docs/layouts.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np

from oration import layouts
from oration.core import TICKS, Example, Spec, Stream
from oration.layouts import Layout, Line, delay, picture, rate
from oration.layouts.block import streams_of

PAGE = Path(__file__).parent / "layouts.md"
UNITS, CODEC = 25, 12.5
SPECS = {
    "units": Spec(500, UNITS),
    "user.units": Spec(500, UNITS),
    "f0": Spec(32, UNITS),
    "text": Spec(32_000),
    "user.text": Spec(32_000),
    "words": Spec(32_000, CODEC),
    "user.speech": Spec(1, CODEC, dim=80),
    **{f"codec.{level}": Spec(1024, CODEC) for level in range(3)},
    **{f"user.codec.{level}": Spec(1024, CODEC) for level in range(3)},
}
"""Streams as they are usual: units at 25 Hz, three levels of a codec at 12.5 Hz, text four pieces a second."""
TEXT = 4
"""Pieces of text a second."""


@dataclass(frozen=True)
class Kind:
    """One kind of layout."""

    title: str
    code: str
    """The blocks, as they stand in a recipe."""
    predict: str
    """The streams that are predicted."""
    good: str
    """What it is good for, and what it costs."""
    systems: str


KINDS = (
    Kind(
        "One stream in a line",
        'Line("units")',
        "units",
        "Speech alone: the simplest, and the shortest sequence where repeats are merged first (`Dedup`).",
        "GSLM, TWIST, Slam, SpeechSSM, tGSLM (vectors instead of units)",
    ),
    Kind(
        "Streams side by side",
        'Stack(("units", "f0"), delays=(0, 1))',
        "units, f0",
        "Several things about the same moment: pitch beside units, at no more steps. A step of delay lets the pitch"
        " see its unit.",
        "pGSLM; without delay for two speakers dGSLM, Parrot, NTPP",
    ),
    Kind(
        "One line after another",
        'Line("text"), Line("codec.0")',
        "codec.0",
        "From one thing to another: text to speech, and the other way round speech to text. Nothing can begin "
        "before all of what is given is there.",
        "VALL-E, VioLA, VoxtLM, AudioPaLM; SALMONN and Qwen-Audio with speech first",
    ),
    Kind(
        "A chain of modalities",
        'Say((1,), "task", size=4), Line("user.units"), Line("user.text"), Line("text"), Line("units")',
        "user.text, text, units",
        "Dialogue by way of text: recognise, think, speak, one after the other. The model may use all it knows from"
        " text; the answer waits for three lines.",
        "SpeechGPT, Spectron (mel instead of units)",
    ),
    Kind(
        "Levels flattened into one row",
        'Weave(("codec.0", "codec.1", "codec.2"), by=Ratio((1, 1, 1)))',
        "codec.0, codec.1, codec.2",
        "A codec with an ordinary model: every level sees all that came before. The sequence is as many times "
        "longer as there are levels.",
        "AudioLM (coarse and fine)",
    ),
    Kind(
        "Levels late by one step each",
        'Stack(("codec.0", "codec.1", "codec.2"), delays=(0, 1, 2))',
        "codec.0, codec.1, codec.2",
        "A codec in as many steps as it has frames: a level sees the one above it of the same frame, because that "
        "came a step earlier. Each level costs a step of delay.",
        "MusicGen, AudioGen; Mini-Omni with text in front",
    ),
    Kind(
        "Levels by a small model inside each step",
        'Line("text", row="text"), Stack(("codec.0", "codec.1", "codec.2"), end="zeros")',
        "codec.0, codec.1, codec.2",
        "No delay at all: a `Depth` head draws the levels of a frame one after the other. It costs a second, small "
        "model.",
        "CSM, UniAudio, GPST",
    ),
    Kind(
        "First level by itself, the others at once",
        'Line("text", row="text"), Stack(("codec.0", "codec.1", "codec.2"))',
        "codec.1, codec.2",
        "The fine levels of a whole recording in a few passes, by a model that sees both ways. A first model gives "
        "the coarse one, so nothing sounds before that has ended.",
        "VALL-E's second model, SoundStorm, SpeechX",
    ),
    Kind(
        "Text and speech in turn, by the clock",
        'Weave(("text", "units"), by=Time())',
        "text, units",
        "Text and speech in one row, switching where words begin: a text model learns to hear and speak. It needs "
        "word times; `Alternate` chooses which of the two says a word.",
        "SpiRit-LM, SUTLM, Zeng et al. (2024)",
    ),
    Kind(
        "Text and speech in turn, by counting",
        'Line("user.units"), Weave(("text", "units"), by=Ratio((1, 3)))',
        "text, units",
        "Speech that begins while text is still being written: the speech follows a few words behind. No word times"
        " needed.",
        "GLM-4-Voice (13 to 26), VITA-Audio",
    ),
    Kind(
        "Both speakers in slices of time",
        'Weave(("units", "user.units"), by=Chunk(0.16))',
        "units",
        "Full-duplex dialogue in one row: whoever speaks, both have their slice. The answer lags by a slice; one "
        "row means any text model will do.",
        "SyncLLM, OmniFlatten (with text)",
    ),
    Kind(
        "Both speakers side by side",
        'Stack(("words", "codec.0", "codec.1", "user.codec.0", "user.codec.1"), delays=(0, 0, 1, 0, 1), end="never")',
        "words, codec.0, codec.1",
        "Full-duplex dialogue, a step a frame: what it says, what it hears and the words that it is about to say, "
        "all at once. The shortest lag; needs dialogue with two channels.",
        "Moshi; LSLM with one stream each",
    ),
    Kind(
        "Heard vectors, said symbols",
        'Line("user.speech", row="text"), Stack(("text", "codec.0", "codec.1"), delays=(0, 1, 2))',
        "text, codec.0, codec.1",
        "What is heard stays continuous (an encoder's vectors), what is said is text and codec together: text goes "
        "ahead and leads the speech.",
        "Mini-Omni, SLAM-Omni, Kimi-Audio",
    ),
)
HEAD = """# Which layout for what

A layout says where the items of each stream stand on the grid that the language model reads: that decides how long
the sequence is, how late the sound comes, and what a symbol may depend on. Thirteen kinds are enough for the
published systems that we know. Here they are side by side, for {seconds:g} s of speech (and {prompt:g} s of what
stands in a line before it): units at {units:g} Hz, levels of a codec at {codec:g} Hz (`codec.0` is the coarsest),
text of {text} pieces a second; `user.` is the other party.

In the pictures a line is a row of the grid and a column is a step: `units3` is item 3 of the units, `units]` their
end, `@text` a mark that goes on with text, `=1` a fixed symbol, `.` nothing. Steps are what the model computes one
after the other, tokens are cells that hold something; both for a second of speech (of every stream: in a dialogue,
a second heard and a second said), counted without what comes once. The delay is how much later than its moment an
item stands, for the latest stream, by the layout alone; that a line waits for the lines before it comes on top.

To change a recipe from one to another, give its task another `layout` (and `predict`): the line under each picture.

```python
replace(task, layout=Layout((Weave(("text", "units"), by=Ratio((1, 3))),)), predict=("text", "units"))
```

A stream that a layout needs and nothing gives is told in one sentence; `oration show mine.py my.wav` draws the
result for a recording of yours. To write a kind that is not here, see [add-a-layout.md](add-a-layout.md).

| kind | steps/s | tokens/s | delay | systems |
|---|---|---|---|---|
"""


def blocks(kind: Kind) -> Layout:
    """The layout that its code writes."""
    return eval(f"Layout(({kind.code},))", {name: getattr(layouts, name) for name in layouts.__all__})


def example(layout: Layout, seconds: float, prompt: float) -> Example:
    """So much speech, and so much of what stands in a line before it: regular streams full, text at even distances."""
    found: Example = {}
    for block in layout.blocks:
        for name in streams_of(block):
            spec, long = SPECS[name], prompt if isinstance(block, Line) and len(layout.blocks) > 1 else seconds
            if spec.rate is None:
                count = math.ceil(TEXT * long)
                found[name] = Stream(np.arange(count), np.arange(count) * (TICKS // TEXT))
            elif spec.dim:
                found[name] = Stream.dense(np.zeros((spec.length(long), spec.dim)))
            else:
                found[name] = Stream(1 + np.arange(spec.length(long)) % 8)
    return found


SECONDS, PROMPT = 0.4, 0.16
LONG = 400.0


def figures(kind: Kind) -> tuple[str, str, str]:
    """Steps a second, tokens a second, delay."""
    layout = blocks(kind)
    pace = rate(layout, SPECS, example(layout, LONG, LONG))
    lags = [seconds for seconds in delay(layout, SPECS).values() if seconds]
    untimed = any(lag is None for lag in delay(layout, SPECS).values())
    late = f"{1000 * max(lags, default=0.0):.0f} ms" + (" and what the text waits" if untimed and lags else "")
    return f"{pace.steps:.3g}", f"{pace.tokens:.3g}", late


def anchor(title: str) -> str:
    """As a heading is linked to on the usual forges."""
    return title.lower().replace(",", "").replace(" ", "-")


def page() -> str:
    """The whole page."""
    text = HEAD.format(seconds=SECONDS, prompt=PROMPT, units=UNITS, codec=CODEC, text=TEXT)
    for kind in KINDS:
        text += f"| [{kind.title}](#{anchor(kind.title)}) | {' | '.join(figures(kind))} | {kind.systems} |\n"
    for kind in KINDS:
        layout = blocks(kind)
        steps, tokens, late = figures(kind)
        drawn = picture(layout, example(layout, SECONDS, PROMPT), SPECS)
        given = [name for name in layout.streams if name not in kind.predict.split(", ")]
        asked = f"Predicted: {kind.predict}" + (f"; given: {', '.join(given)}." if given else ".")
        said = f"{asked} {steps} steps and {tokens} tokens a second, {late} of delay. In use: {kind.systems}."
        predict = ", ".join(f'"{name}"' for name in kind.predict.split(", "))
        comma = "," if "," not in predict else ""
        blocks_ = kind.code + ("," if len(layout.blocks) == 1 else "")
        text += (
            f"\n## {kind.title}\n\n{fill(kind.good, 118)}\n\n```text\n{drawn}\n```\n\n{fill(said, 118)}\n\n"
            f"```python\nlayout=Layout(({blocks_})), predict=({predict}{comma})\n```\n"
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
