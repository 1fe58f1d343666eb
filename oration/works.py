"""Whether a recipe works: it builds at its published size; and at its smallest it learns, replies, and loads again.

Smallest means `Recipe.tiny()` on a few seconds of speech: this shows that the parts fit together, not how well they do.
A language model has learned if it pays less for held-out speech than a unigram model; a codec by itself, if its copies
of held-out speech are nearer in log-mel spectra than the median spectrum of the speech that it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from oration.codecs import Codec
from oration.codecs.awaken import awaken
from oration.core import BadInput, Example, Specs, Vocab, Waveform
from oration.data.manifest import Clip, write_manifest
from oration.evaluate.copies import Copied, copied
from oration.evaluate.unigram import Asked, Unigram
from oration.fit import fit
from oration.generate import score
from oration.layouts import delay, rate
from oration.layouts.block import is_stream
from oration.lms import LM, CtcModel
from oration.model import SpeechLM
from oration.objectives import Distance, Gan, Masked, NextLevel
from oration.recipe import Recipe, named_after
from oration.reply import Reply, chain, reads
from oration.sizes import invented, parts_of
from oration.tasks import Task
from oration.tokenizers import Channels
from oration.train.feed import Crops, Mix, Packed, generator
from oration.train.optim import AdamW, Cosine, Steps
from oration.train.stage import Train

TOLERANCE = 0.05
"""How far a parameter count may lie from the published one."""

LONGEST = 2.5
"""Seconds of a piece of a clip: the finest systems make hundreds of steps of each."""

LOOKS = 24
"""How often held-out pieces are measured in training; the weights of the best look are kept."""

LONG = 300.0
"""Steps a second from which on an update takes longer, and fewer are made."""

HELD_OUT = 4
"""Of so many pieces, the last is held out."""

SOUND = Gan(distance=Distance(ffts=(1024, 512, 256), stft=0.0, convergence=0.0), critics=())
"""What a smallest codec learns from: discriminators take longer to say anything than it has."""

CROP = 0.5
"""Seconds of sound in a row of its batches."""

SHARE = 0.25
"""How long a codec learns that a language model will read, beside one by itself: until its codes say something."""

OWN = 0.02
"""Weight of what its codebooks and a teacher ask for: vectors that hardly differ would please codebooks most."""


@dataclass(frozen=True)
class Learned:
    """What one language model paid for held-out speech, in nats a predicted symbol, with its best weights."""

    lm: str
    nats: float
    unigram: float
    """What a unigram model of the same streams pays."""
    symbols: int

    @property
    def holds(self) -> bool:
        return self.nats < self.unigram


@dataclass
class Works:
    """What was seen of one recipe."""

    name: str
    title: str = ""
    parameters: dict[str, int] = field(default_factory=dict)
    """Language model, or codec by itself -> parameters at the published size."""
    published: dict[str, float] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    steps: float | None = None
    """Steps of the first language model's grid for a second of speech."""
    tokens: float | None = None
    delay: float | None = None
    """Seconds, by the layout alone."""
    learned: list[Learned] = field(default_factory=list)
    copied: list[Copied] = field(default_factory=list)
    """Of a recipe without language models: what its codecs make of held-out speech."""
    replied: str = ""
    """`speech`, `text` or `speech and text`; of a codec by itself, whether codes give sound."""
    loads: bool = False
    trouble: str = ""
    """Why it does not work, in one sentence."""

    @property
    def sized(self) -> bool:
        """Whether every published count is met."""
        return all(abs(self.parameters[n] / count - 1) <= TOLERANCE for n, count in self.published.items())

    @property
    def holds(self) -> bool:
        """Whether all of it is as it should be."""
        learned = all(entry.holds for entry in self.learned) and all(entry.holds for entry in self.copied)
        replied = bool((self.learned or self.copied) and self.replied) or not self.parameters
        return self.sized and learned and replied and self.loads and not self.trouble

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "sized": self.sized, "holds": self.holds}


def built(recipe: Recipe, title: str = "") -> Works:
    """Its sizes, without weights, and what its layout costs.

    Raises:
        BadInput: a part does not build.
    """
    model = SpeechLM(recipe, device="meta")
    parts = parts_of(model)
    for name, part in parts.items():
        if part.trouble:
            raise BadInput(f"part {name!r} of {recipe.name!r} does not build: {part.trouble}")
    works = Works(recipe.name, title, published=dict(recipe.published), instead=dict(recipe.instead))
    counted = [lm.name for lm in recipe.lms] or list(codecs_of(recipe))
    works.parameters = {name: parts[name].parameters for name in counted}
    for name in recipe.published:
        if name not in works.parameters:
            raise BadInput(
                f"{recipe.name!r} says how large {name!r} is, but can tell of {list(works.parameters)} alone"
            )
    if recipe.lms:
        task = cast(Task, recipe.lms[0].tasks[0])
        ready = task.prepare(invented(model.specs), model.specs, np.random.default_rng(0))
        pace = rate(task.layout, task.specs(model.specs), ready)
        works.steps, works.tokens = pace.steps, pace.tokens
        works.delay = max((d for d in delay(task.layout, task.specs(model.specs)).values() if d), default=0.0)
    return works


def codecs_of(recipe: Recipe) -> dict[str, Codec]:
    """Name -> each neural codec of the recipe, also one that hears two channels."""
    found = {named_after(next(iter(part.specs()))): part for part in recipe.tokenizers}
    inner = {name: part.of if isinstance(part, Channels) else part for name, part in found.items()}
    return {name: part for name, part in inner.items() if isinstance(part, Codec)}


def smallest(recipe: Recipe, updates: int) -> Recipe:
    """The tiny recipe with its language models trained for so many updates, or its codec if it has no other model."""
    tiny = recipe.tiny()
    lms, specs = {lm.name: lm for lm in tiny.lms}, SpeechLM(tiny, device="meta").specs
    codecs, stages = codecs_of(tiny), []
    for stage, published in zip(tiny.training, recipe.training, strict=True):
        if stage.part in lms:
            share = effort(lms[stage.part], stage, specs) / sum(other.part == stage.part for other in tiny.training)
            budget = max(1, round(updates * share))
            stage = replace(
                stage,
                budget=Steps(budget),
                optimizer=AdamW(lr=3e-3, decay=0.1),
                schedule=Cosine(warmup=10),
                precision="fp32",
                save_every=budget,
                dev_every=max(1, budget // LOOKS),
                dev_batches=4,
                keep="best",
            )
        elif stage.part.partition(".")[0] in codecs:
            share = 1 if not lms else SHARE
            codec = codecs[stage.part.partition(".")[0]]
            stage = _of_codec(stage, cast(Gan, published.objective), codec, max(1, round(updates * share)))
        stages.append(replace(stage, data=Mix()))
    return replace(tiny, training=tuple(stages))


def _of_codec(stage: Train, published: Gan, codec: Codec, updates: int) -> Train:
    """A codec's stage: distances of the sound, some of what the codebooks ask for, and the teacher if it has one."""
    layer = codec.quantizer.build(codec.dim).train()
    losses = dict.fromkeys(layer(torch.randn(1, codec.block, codec.dim)).losses, OWN)
    losses |= {name: 1.0 for net in codec.decoder for name in getattr(net, "losses", ())}
    distil = None if published.distil is None else replace(published.distil, weight=OWN)
    objective = replace(SOUND, own=losses, distil=distil, only=published.only)
    return replace(
        stage,
        objective=objective,
        feed=replace(cast(Crops, stage.feed), seconds=CROP, batch=4),
        budget=Steps(updates),
        optimizer=AdamW(lr=5e-3, betas=(0.8, 0.99)),
        schedule=Cosine(warmup=updates // 6),
        precision="fp32",
        save_every=updates,
        dev_every=max(1, updates // 6),
        dev_batches=4,
        keep="best",
    )


def effort(lm: LM, stage: Train, specs: Specs) -> float:
    """How many updates a language model gets, compared with others: more where levels take turns, fewer where long."""
    if not isinstance(stage.feed, Packed):
        return 1.0
    task = stage.feed.chosen(lm.tasks)[0]
    turns = 2.0 if isinstance(stage.objective, Masked | NextLevel) and len(task.predict) > 1 else 1.0
    try:
        pace = rate(task.layout, task.specs(specs), task.prepare(invented(dict(specs)), specs, generator(0)))
    except BadInput:  # nothing invented fits this task
        return turns
    return turns * min(1.0, LONG / (pace.steps or LONG))


def pieces(clip: Clip, seconds: float) -> list[Clip]:
    """A clip in pieces of at most so many seconds, cut where a word begins if its words are known."""
    cuts = [0.0]
    for start in [word[0] for word in clip.words] if clip.words else np.arange(seconds, clip.seconds, seconds).tolist():
        ends = next((word[1] for word in clip.words if word[0] == start), start)
        if ends - cuts[-1] > seconds or (not clip.words and start > cuts[-1]):
            cuts.append(start)
    ends = [*cuts[1:], clip.seconds]
    return [_piece(clip, number, start, stop) for number, (start, stop) in enumerate(zip(cuts, ends, strict=True))]


def _piece(clip: Clip, number: int, start: float, stop: float) -> Clip:
    words, phones = (
        tuple((a - start, b - start, label) for a, b, label in spans if start <= a and b <= stop)
        for spans in (clip.words, clip.phones)
    )
    return replace(
        clip,
        id=f"{clip.id}-{number}",
        seconds=stop - start,
        start=clip.start + start,
        stop=clip.start + stop,
        words=words,
        phones=phones,
        text=" ".join(word for _, _, word in words) if clip.words else clip.text,
    )


def voiced(clip: Clip, recipe: Recipe) -> Clip:
    """A clip whose speaker the recipe knows, if it knows any: who really spoke is not what is asked here."""
    table: Any = recipe.parts().get("speaker")
    known = table is None or table.others or clip.speaker in table.names
    return clip if known else replace(clip, speaker=table.names[len(clip.id) % len(table.names)])


def check(recipe: Recipe, clips: Sequence[Clip], folder: Path, *, updates: int = 360, title: str = "") -> Works:
    """Everything that "works" means, on clips in short pieces, some of them held out.

    Args:
        folder: an empty one, for the data, the runs and the saved model.
        updates: of each language model.
    """
    works = Works(recipe.name, title)
    try:
        works = built(recipe, title)
        tiny = smallest(recipe, updates)
        cut = [voiced(piece, tiny) for clip in clips for piece in pieces(clip, LONGEST)]
        held = [replace(c, split="dev" if i % HELD_OUT == HELD_OUT - 1 else "train") for i, c in enumerate(cut)]
        (folder / "data").mkdir(parents=True)
        write_manifest(held, folder / "data" / "manifest.jsonl")
        start(tiny, held, folder / "run")
        model = fit(tiny, folder / "data", folder / "run")
        works.learned = [learned(model, stage, held, folder / "cache") for stage in _last_stages(tiny)]
        model.save(folder / "saved")
        if recipe.weights != "float32":  # a part that no stage trains is rounded now, once
            model = SpeechLM.load(folder / "saved")
            model.save(folder / "saved")
        again = SpeechLM.load(folder / "saved")
        if recipe.lms:
            first, second = (ask(m, _last(held)) for m in (model, again))
            listening = any(link.listens for link in chain(recipe.lms))
            works.replied, works.loads = said(first, listening), same(first, second)
        else:
            works.copied = [copied(name, model.part(name), *_split(model, held)) for name in codecs_of(tiny)]
            wave = _last(held).wave(rate=model.rate)
            ours, theirs = (m.encode([wave])[0] for m in (model, again))
            works.loads = all(np.array_equal(stream.ids, theirs[name].ids) for name, stream in ours.items())
            if works.copied:
                copies = [m.decode([ours])[0].samples for m in (model, again)]
                works.replied = "speech" if len(copies[0]) else ""
                works.loads &= np.allclose(copies[0], copies[1], atol=1e-4)
    except BadInput as wrong:
        works.trouble = str(wrong)
    return works


def start(recipe: Recipe, clips: Sequence[Clip], folder: Path) -> None:
    """Leave each codec in `folder` as training should find it: so that sound reaches its codes."""
    model = SpeechLM(recipe)
    for name in codecs_of(recipe):
        part = model.part(name)
        codec = getattr(part, "inner", part)
        rows = [clip.wave(rate=codec.rate).samples[: codec.rate] for clip in clips if clip.split == "train"][:24]
        awaken(codec, torch.from_numpy(np.stack([np.pad(row, (0, codec.rate - len(row))) for row in rows])))
        folder.mkdir(parents=True, exist_ok=True)
        model.save_part(name, folder)


def _split(model: SpeechLM, clips: Sequence[Clip]) -> tuple[list[Waveform], list[Waveform]]:
    """Recordings to train on, and held-out ones."""
    known, held_out = (
        [clip.wave(rate=model.rate) for clip in clips if clip.split == split] for split in ("train", "dev")
    )
    return known, held_out


def _last(clips: Sequence[Clip]) -> Clip:
    """The last held-out clip."""
    return [clip for clip in clips if clip.split == "dev"][-1]


def _last_stages(recipe: Recipe) -> list[Any]:
    """The last stage of each language model."""
    names = [lm.name for lm in recipe.lms]
    return [stage for stage in {s.part: s for s in recipe.training}.values() if stage.part in names]


def learned(model: SpeechLM, stage: Any, clips: Sequence[Clip], cache: Path) -> Learned:
    """What the stage's language model pays for the clips of the split "dev", beside a unigram counted on the others."""
    lm = next(lm for lm in model.recipe.lms if lm.name == stage.part)
    task, part = cast(Task, stage.feed.chosen(lm.tasks)[0]), model.part(lm.name)
    ready: dict[str, list[Example]] = {}
    for split in ("train", "dev"):
        mine = [clip for clip in clips if clip.split == split]
        material = model.material(mine, model.needs(stage), cache, lambda items, title: items)
        ready[split] = [
            task.prepare(material.example(i), model.specs, np.random.default_rng(0)) for i in range(len(mine))
        ]
    specs = {**model.specs, **lm.specs(model.specs)}
    scores = score(part, task, ready["dev"], specs)
    # CTC has no cell for its end, but its likelihood says how long it is.
    marked = isinstance(part, CtcModel) or any(not is_stream(name) for found in scores for name in found.parts)
    asked = {split: [_asked(task, example, specs, part.vocabs, marked) for example in ready[split]] for split in ready}
    nats, count = Unigram.of(asked["train"], part.vocabs).nats(asked["dev"])
    # Both pay for the same cells: who fills in is told where things end.
    paid = -sum(found.total.nats for found in scores)
    return Learned(lm.name, paid / max(1, count), nats / max(1, count), count)


def _asked(task: Task, example: Example, specs: Specs, vocabs: Mapping[str, Vocab], marks: bool) -> Asked:
    grid = task.place([example], specs, None, vocabs)
    return Asked.of(task.layout, grid, example, specs, vocabs, marks=marks)


def ask(model: SpeechLM, clip: Clip, seed: int = 3) -> Reply:
    """A short reply to the beginning of a clip, with its text where the model reads any."""
    prompt = clip.wave(rate=model.rate).cut(0.0, min(1.5, clip.seconds / 2))
    text = clip.text if reads(chain(model.recipe.lms), model.readers()) else None
    return model.reply(prompt, text=text, seconds=0.5, seed=seed)


def said(reply: Reply, listening: bool = False) -> str:
    """What kind of answer it is. Who was listening may have spoken while the prompt lasted."""
    sound = reply.wave if listening else reply.continuation
    kinds = (("speech", len(sound) > 0), ("text", reply.text is not None))
    return " and ".join(kind for kind, there in kinds if there)


def same(first: Reply, second: Reply) -> bool:
    """Whether two replies agree in text, streams and sound."""
    if first.text != second.text or set(first.new) != set(second.new) or len(first.wave) != len(second.wave):
        return False
    if not np.allclose(first.wave.samples, second.wave.samples, atol=1e-4):
        return False
    return all(np.array_equal(stream.ids, second.new[name].ids) for name, stream in first.new.items())
