"""The layouts of published systems, each with the streams it predicts, and random examples for them."""

import numpy as np

from oration.core import TICKS, Spec, Stream
from oration.layouts import Chunk, Layout, Line, Ratio, Say, Stack, Time, Weave


def levels(n, first=0, who=""):
    return tuple(f"{who}codec.{i}" for i in range(first, first + n))


def of(*blocks):
    return Layout(blocks)


FLAT = Ratio((1,) * 4)
PUBLISHED = {
    "gslm, twist": (of(Line("units")), ("units",)),
    "pgslm": (of(Stack(("units", "dur", "f0"), (0, 1, 1))), ("units", "dur", "f0")),
    "dgslm, ntpp": (of(Stack(("a.units", "b.units"))), ("a.units", "b.units")),
    "audiolm coarse": (of(Line("semantic"), Weave(levels(4), FLAT)), levels(4)),
    "audiolm fine": (of(Weave(levels(4), FLAT), Weave(levels(4, 4), FLAT)), levels(4, 4)),
    "coarse first": (of(*map(Line, levels(3))), levels(3)),
    "valle ar": (of(Line("phones"), Line("codec.0")), ("codec.0",)),
    "valle nar, soundstorm": (of(Line("phones", row="text"), Stack(levels(8))), levels(8)),
    "speechgpt": (
        of(Say((1, 2, 3)), Line("user.units"), Say((4,)), Line("user.text"), Line("text"), Line("units")),
        ("user.text", "text", "units"),
    ),
    "spiritlm": (of(Weave(("text", "units"), Time())), ("text", "units")),
    "spiritlm expressive": (
        of(Weave(("text", "units", "pitch", "style"), Time())),
        ("text", "units", "pitch", "style"),
    ),
    "syncllm": (of(Weave(("units", "user.units"), Chunk(0.16))), ("units",)),
    "omniflatten": (of(Weave(("user.units", "text", "units"), Chunk(0.4))), ("text", "units")),
    "glm4voice": (of(Line("user.units"), Weave(("text", "units"), Ratio((13, 26)))), ("text", "units")),
    "moshi": (
        of(Stack(("text.frames", *levels(8), *levels(8, who="user.")), (0, 0, *(1,) * 7, 0, *(1,) * 7), end="never")),
        ("text.frames", *levels(8)),
    ),
    "mini-omni": (
        of(Line("user.speech", row="text"), Stack(("text", *levels(7)), tuple(range(8)))),
        ("text", *levels(7)),
    ),
    "csm": (of(Line("text", row="text"), Stack(levels(8), end="zeros")), levels(8)),
    "kimi-audio": (
        of(
            Stack(("user.speech", "user.units"), rows=("text", "audio")),
            Stack(("text", "units"), rows=("text", "audio")),
        ),
        ("text", "units"),
    ),
    "slam-omni": (
        of(Line("user.speech", row="text"), Stack(("text", "group.0", "group.1", "group.2"))),
        ("text", "group.0", "group.1", "group.2"),
    ),
    "salmonn": (of(Say((5, 6)), Line("user.speech"), Say((7,)), Line("text")), ("text",)),
    "llama-omni think": (of(Say((5,)), Line("user.speech"), Line("text")), ("text",)),
    "llama-omni speak": (of(Stack(("hidden", "units"))), ("units",)),
    "spectron": (
        of(Line("user.speech"), Line("user.text"), Line("text"), Line("mel")),
        ("user.text", "text", "mel"),
    ),
    "lslm": (of(Line("phones", row="units"), Stack(("units", "user.listen"))), ("units",)),
}
"""Name -> (layout, predicted streams)."""

VARIANTS = {
    "dgslm with durations": (
        of(Stack(("a.units", "a.dur", "b.units", "b.dur"), (0, 1, 0, 1))),
        ("a.units", "a.dur", "b.units", "b.dur"),
    ),
    "unmarked time": (of(Weave(("text", "units"), Time(), marks=False)), ("text", "units")),
    "chunk, then line": (of(Weave(("text", "units"), Chunk(0.4)), Line("dur")), ("text", "units", "dur")),
    "marked ratio": (of(Weave(("text", "units", "f0"), Ratio((2, 3, 1)), marks=True)), ("units",)),
    "chunk of one": (of(Weave(("units",), Chunk(0.1))), ("units",)),
    "chunk below a frame": (of(Weave(("text", "pitch"), Chunk(0.01)), Say((1,))), ("pitch",)),
    "late stack": (of(Stack(("units", "user.listen"), (3, 1)), Line("text", row="units")), ("units", "text")),
    "endless, ragged": (of(Line("dur"), Stack(("units", "pitch", "user.speech"), (2, 0, 1), end="never")), ("units",)),
    "zeros, one row": (of(Stack(("tone",), end="zeros"), Stack(("units", "tone.2"), end="zeros")), ("tone", "units")),
    "first arm given": (of(Weave(("text", "units"), Time()), Line("dur")), ("units",)),
    "last arm given": (of(Weave(("text", "units"), Time())), ("text",)),
    "nothing predicted": (of(Line("dur"), Weave(("user.units", "text", "units"), Chunk(0.4))), ()),
}
"""What no published system does, but a layout can."""

LAYOUTS = PUBLISHED | VARIANTS


def spec(name):
    if name in ("user.speech", "mel", "hidden", "user.listen"):
        return Spec(1, 25.0, dim=4)
    if name.endswith("text") or name == "phones":
        return Spec(50)
    if name == "tone.2":
        return Spec(3, 25.0)
    return {"style": Spec(7, 1.0), "pitch": Spec(9, 12.5)}.get(name, Spec(20, 25.0))


def specs_of(layout):
    return {name: spec(name) for name in (*layout.streams, "text")}


def draw(names, frames, rng, ragged=False):
    """An example of `frames` frames at 25 Hz. Irregular items fall on a grid of 10 ms, so they meet the chunks' edges.

    `ragged` cuts each stream at a random length, down to none: streams need not end together. A `tone` is never 0.
    """
    example = {}
    for name in names:
        s = spec(name)
        length = int(frames * s.rate / 25) if s.rate else int(rng.integers(0, frames // 2 + 1))
        if ragged:
            length = int(rng.integers(0, length + 1))
        onsets = None if s.rate else np.sort(rng.integers(0, 4 * max(frames, 1), length)) * (TICKS // 100)
        values = rng.normal(size=(length, s.dim)).astype(np.float32) if s.dim else None
        example[name] = Stream(rng.integers(name.startswith("tone"), s.size, length), onsets, values)
    return example


def level(layout, example):
    """The example with the streams of a Stack that ends with zeros cut to the shortest of them."""
    for block in layout.blocks:
        if isinstance(block, Stack) and block.end == "zeros":
            least = min(len(example[name]) for name in block.streams)
            example |= {name: example[name].cut(0, least) for name in block.streams}
    return example
