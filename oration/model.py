"""M_out = SpeechLM(M_in): a recipe with its weights, ready to encode, decode, reply and score."""

from __future__ import annotations

import functools
import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from oration.core import BadInput, Example, Spec, Stream, Vocab, Waveform, dumps, from_record
from oration.core.decoder import Decoder
from oration.core.files import replace_file
from oration.data.manifest import Clip
from oration.data.material import Material, version_of, weights_of
from oration.generate import Sampler, Score, expose, score
from oration.lms import LanguageModel
from oration.nn.linear import Weights, known
from oration.recipe import Recipe, named_after
from oration.reply import Clock, Link, Reply, chain, exposed, prepared, say
from oration.synthesis import Synthesis
from oration.tasks import Task
from oration.text.phones import PHONES
from oration.tokenizers.channels import Channels
from oration.train.checkpoint import about, load_part, read_json, save_tensors
from oration.train.feed import Packed
from oration.train.stage import Train

DEFAULT = Path(__file__).parent / "pocket"
"""The model that comes with the package."""


class SpeechLM:
    """The parts of a recipe, built when first asked for, with weights from `folder` where it has them.

    On the device "meta" parts have sizes but no weights, which is enough to count them.
    """

    def __init__(self, recipe: Recipe, folder: Path | None = None, *, device: str = "cpu") -> None:
        self.recipe, self.folder, self.device = recipe, folder, torch.device(device)
        self.configs = recipe.parts()
        self._built: dict[str, Any] = {}
        self._weights: Weights | None = None
        self.specs: dict[str, Spec] = {"phones": Spec(len(PHONES))}
        for tokenizer in recipe.tokenizers:
            self.specs |= tokenizer.specs()
        for lm in recipe.lms:
            made = [task.specs(self.specs) for task in lm.tasks]
            self.specs = {**{name: spec for specs in made for name, spec in specs.items()}, **lm.specs(self.specs)}
            for name in lm.exposes:
                self.specs[f"{name}.hidden"] = Spec(1, self.specs[name].rate, cast(Any, lm.body).dim)
        self.synthesis = Synthesis(recipe, self.specs, self.part)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str] | None = None, *, device: str = "cpu", weights: Weights | None = None
    ) -> SpeechLM:
        """A trained model from its folder; the one that comes with the package if none is named.
        `weights`: its language models are made `fast` in this precision, to be used, not trained or saved.

        Raises:
            BadInput: no recipe.json, damaged weights, or a record that names classes from outside the package.
        """
        path = DEFAULT if folder is None else Path(folder)
        model = cls(cls.recipe_of(path), path, device=device)
        model._weights = known(weights) if weights else None
        for name, config in model.configs.items():
            trained = hasattr(config, "build") and not getattr(config, "ready", False)
            if trained and not (path / f"{name}.safetensors").is_file():
                raise BadInput(
                    f"{path} has no weights for {name!r}; train it with: oration train {model.recipe.name} --out {path}"
                )
        return model

    @staticmethod
    def recipe_of(folder: Path) -> Recipe:
        """The recipe a model folder was made with."""
        recipe = from_record(read_json(folder / "recipe.json"))
        if not isinstance(recipe, Recipe):
            raise BadInput(
                f"{folder / 'recipe.json'} holds a {type(recipe).__name__}, expected a Recipe; it is not a model folder"
            )
        return recipe

    @property
    def rate(self) -> int:
        """Hz of the audio its tokenizers and vocoder work at."""
        return int(getattr(self.recipe.vocoder, "rate", 16_000))

    def part(self, name: str) -> Any:
        """A part, or a module inside it (`units.encoder`), in eval mode."""
        name, _, inside = name.partition(".")
        if name in self.configs and isinstance(self.configs[name], Decoder):
            name = named_after(self.configs[name].of)
        if name not in self.configs:
            raise BadInput(f"recipe {self.recipe.name!r} has no part {name!r}; it has {', '.join(self.configs)}")
        if name not in self._built:
            self._built[name] = self._build(name)
        part = self._built[name]
        for step in filter(None, inside.split(".")):
            part = getattr(part, step)
        return part

    def _build(self, name: str) -> Any:
        config = self.configs[name]
        if not hasattr(config, "build"):
            return config
        torch.manual_seed(zlib.crc32(name.encode()))
        with torch.device(self.device):
            module: nn.Module = config.build() if config in self.recipe.tokenizers else config.build(self.specs)
        path = None if self.folder is None else self.folder / f"{name}.safetensors"
        if path is not None and path.is_file() and self.device.type != "meta":
            if isinstance(module, LanguageModel) and (header := about(path)).get("vocabs"):
                rows, shared = json.loads(header["vocabs"]), json.loads(header.get("shared", "{}"))
                saved = {
                    row: Vocab(tuple((b, n) for b, n in blocks), tuple((a, b) for a, b in shared.get(row, ())))
                    for row, blocks in rows.items()
                }
                module.check_vocabs(saved)
            load_part(module, path)
        if isinstance(module, LanguageModel) and self._weights is not None:
            return module.fast(self._weights)
        return module.eval()

    def needs(self, stage: Train) -> tuple[str, ...]:
        """The streams of a recording that a training stage reads."""
        if not isinstance(stage.feed, Packed):
            return stage.feed.reads(self.specs)
        lm = next(lm for lm in self.recipe.lms if lm.name == stage.part)
        reads: set[str] = set()
        for task in stage.feed.chosen(lm.tasks):
            made: set[str] = set()
            for operation in task.operations:
                reads |= set(operation.needs) - made
                made |= set(operation.specs(self.specs))
            reads |= set(task.layout.streams) - made
        return tuple(sorted(reads))

    def material(
        self,
        clips: Sequence[Clip],
        streams: Iterable[str],
        cache: Path,
        track: Callable[[Iterable[int], str], Iterable[int]],
        rate: int | None = None,
    ) -> Material:
        """Clips with those of `streams` that tokenizers and earlier models give, from `cache` where a run left them.

        Args:
            track: wraps the loop over shards, for a progress bar.
            rate: Hz of the recordings; None: the vocoder's.
        """
        links, hidden = [Link(lm, cast(Task, lm.tasks[0])) for lm in self.recipe.lms], set(streams)
        givers = [link for link in links if hidden & set(exposed([link]))]
        wanted = set(streams).union(*({n for o in g.task.operations for n in o.needs} for g in givers))
        wanted = wanted.union(*(g.task.layout.streams for g in givers))
        wanted |= {need for t in self.recipe.tokenizers if wanted & set(t.specs()) for need in t.needs}
        material = Material(clips, rate=rate or self.rate)
        for name, tokenizer in self.configs.items():
            if tokenizer not in self.recipe.tokenizers or not wanted & set(tokenizer.specs()):
                continue
            part = self.part(name)
            if hasattr(part, "label"):
                material.add_labels(tokenizer.specs(), part.label)
            elif hasattr(part, "derive"):
                material.add_derived(tokenizer.specs(), part.derive, track)
            else:
                material.add_streams(part, cache, version_of(tokenizer, weights_of(part)), track)
            if isinstance(tokenizer, Channels):
                material.side = part.agent
        for link in givers:
            material.add_derived(self.specs, functools.partial(self._expose, link), track)
        return material

    def _expose(self, link: Link, examples: Sequence[Example]) -> list[Example]:
        """Examples as a language model's task prepares them, with the hidden vectors that it gives."""
        made = []
        for example in examples:
            ready = link.task.prepare(example, self.specs, np.random.default_rng(0))
            hidden = expose(self.part(link.lm.name), link.task, [ready], self.specs, link.lm.exposes)[0]
            made.append(ready | hidden)
        return made

    def save_part(self, name: str, folder: Path) -> None:
        """One part's weights, at the precision the recipe asks for."""
        kept = self.recipe.weights == "float32"  # as it is, float64 included
        part, dtype = self.part(name), None if kept else getattr(torch, self.recipe.weights)
        header = None
        if isinstance(part, LanguageModel):
            if self._weights is not None:
                raise BadInput(f"{name!r} has weights={self._weights!r} for use alone; to save it, load it without")
            vocabs = {row: vocab.blocks for row, vocab in part.vocabs.items()}
            shared = {row: vocab.shared for row, vocab in part.vocabs.items() if vocab.shared}
            header = {"vocabs": json.dumps(vocabs), **({"shared": json.dumps(shared)} if shared else {})}
        save_tensors(folder / f"{name}.safetensors", part.state_dict(), dtype, header)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """The whole model: recipe.json and one safetensors file per part.

        Raises:
            OrationError: the disk is full; what was there before is untouched.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        for name, config in self.configs.items():
            if hasattr(config, "build"):
                self.save_part(name, path)
        lms = tuple(lm.pinned() for lm in self.recipe.lms)
        replace_file(path / "recipe.json", dumps(replace(self.recipe, lms=lms)))

    def encode(self, waves: Sequence[Waveform], *, texts: Sequence[str] | None = None) -> list[Example]:
        """Recordings -> the streams of every tokenizer that listens; with `texts`, of those that read as well."""
        examples: list[Example] = [{} for _ in waves]
        for name in self._listening():
            for example, found in zip(examples, self.part(name).encode(waves), strict=True):
                example |= found
        for example, text in zip(examples, texts or (), strict=texts is not None):
            example |= self.written(text)
        self.derive(examples)
        return examples

    def written(self, text: str) -> Example:
        """Text -> the streams of every tokenizer that reads.

        Raises:
            BadInput: none does.
        """
        example: Example = {}
        for part in self._reading():
            example |= part.of(text)
        if not example:
            raise BadInput(f"recipe {self.recipe.name!r} has no tokenizer of text, so it cannot read {text[:40]!r}")
        return example

    def clips(self, clips: Sequence[Clip]) -> list[Example]:
        """Clips -> all streams that their recordings and their labels give."""
        examples = self.encode([clip.wave(rate=self.rate) for clip in clips])
        for name, config in self.configs.items():
            if config in self.recipe.tokenizers and hasattr(self.part(name), "label"):
                for example, clip in zip(examples, clips, strict=True):
                    example |= self.part(name).label(clip)
        return examples

    def _reading(self) -> list[Any]:
        """The built tokenizers of text."""
        parts = [self.part(name) for name, config in self.configs.items() if config in self.recipe.tokenizers]
        return [part for part in parts if hasattr(part, "of")]

    def readers(self) -> dict[str, Any]:
        """Stream of text -> the tokenizer that reads and writes it."""
        return {name: part for part in self._reading() for name in part.specs()}

    def derive(self, examples: list[Example]) -> None:
        """Add to examples what is made of other streams."""
        for name, config in self.configs.items():
            if config not in self.recipe.tokenizers or "wave" in config.needs:
                continue
            part = self.part(name)
            if hasattr(part, "derive"):
                able = [example for example in examples if set(part.needs) <= set(example)]
                for example, found in zip(able, part.derive(able), strict=True):
                    example |= found

    def encode_blocks(self, blocks: Iterable[Waveform]) -> Example:
        """One recording, block by block (`oration.audio.blocks`), to the streams that `encode` gives of the whole.

        Memory does not grow with the recording but by its tokens.
        """
        live = [self.part(name).live() for name in self._listening()]
        found: list[Example] = []
        for block in blocks:
            found += [example for part in live for example in part.push(block)]
        found += [example for part in live for example in part.flush()]
        names = dict.fromkeys(name for example in found for name in example)
        parts = {name: [example[name] for example in found if name in example] for name in names}
        return {name: Stream.joined(streams) for name, streams in parts.items()}

    def _listening(self) -> list[str]:
        """The tokenizers that hear the recording."""
        return [n for n, c in self.configs.items() if c in self.recipe.tokenizers and "wave" in c.needs]

    def decode(self, examples: Sequence[Example], *, voice: str | None = None) -> list[Waveform]:
        """Streams -> recordings. What the vocoder needs and an example lacks is made by the parts that can.

        Args:
            voice: who speaks, where the vocoder knows several; the recipe's voice if None.

        Raises:
            BadInput: a stream is missing that no part gives, or a voice is unknown.
        """
        return self.synthesis.decode(examples, voice)

    def resynthesize(self, wave: Waveform, *, voice: str | None = None) -> Waveform:
        """A recording through its tokens and back, as long as it was."""
        example = self.encode([wave])[0]
        spoken = self.decode([self.synthesis.transposed(example, voice)], voice=voice)[0]
        return spoken.cut(0.0, wave.seconds)

    def reply(
        self,
        prompt: Waveform | None = None,
        *,
        text: str | None = None,
        task: str | None = None,
        seconds: float = 5.0,
        sampler: Sampler | None = None,
        seed: int = 0,
        voice: str | None = None,
    ) -> Reply:
        """Go on from a recording, or answer it, as the recipe's task has it; in speech, in text, or both.

        Args:
            text: what the prompt says, or what is to be said, where a task reads text.
            task: one of the language models' tasks; None: their first.
            seconds: how long to speak, at most; a unit's duration is not known in advance, their number is.
            seed: the same seed gives the same reply.

        Raises:
            BadInput: a stream is missing that the task reads, or the prompt is too short or too long for the model.
        """
        clock = Clock()
        links = chain(self.recipe.lms, task)
        if prompt is None and text is None:
            raise BadInput("a reply needs a prompt: a recording, a text, or both")
        heard = self._heard(links, prompt, text, seconds)
        clock.lap("encode")
        for link in links[:1]:
            first = prepared(link, heard, self.specs, seed)
            starts = [name for name in link.task.layout.streams if name in first and not link.answers]
            if prompt is not None and starts and not any(len(first[name]) for name in starts):
                raise BadInput(
                    f"a prompt of {prompt.seconds:.3f} s holds no unit; give at least a tenth of a second of speech"
                )
        parts = {link.lm.name: self.part(link.lm.name) for link in links}
        drawn = sampler or Sampler(temperature=0.8)
        spoken, said = say(parts, links, heard, self.specs, seconds=seconds, sampler=drawn, seed=seed)
        self._restore(spoken)
        clock.lap("language model")
        new = {name: stream for reply in said for name, stream in reply.new().items()}
        words = self._words(spoken)
        if not self.synthesis.speaks(spoken):
            silence = Waveform(np.zeros(0, np.float32), self.rate)
            return Reply(silence, silence, words, spoken, new, dict(clock.laps))
        apart = links[0].answers and not links[0].listens  # the answer is on a clock of its own
        before = 0.0 if apart or prompt is None else prompt.seconds
        whole = spoken
        if before and "units.runs" in links[-1].task.predict:
            whole = self.synthesis.joined(heard, spoken, said[-1].known["units.runs"], voice)
        full = self.decode([self.synthesis.together(whole)], voice=voice)[0].cut(0.0, before + seconds)
        clock.lap("vocoder")
        return Reply(full, full.cut(before), words, whole, new, dict(clock.laps))

    def _heard(self, links: Sequence[Link], prompt: Waveform | None, text: str | None, seconds: float) -> Example:
        """The prompt's streams. Who listens while speaking hears silence once the prompt is over."""
        heard: Example = {}
        if any(link.listens for link in links):
            if prompt is None:
                prompt = Waveform(np.zeros(0, np.float32), self.rate)
            silence = np.zeros(round(seconds * prompt.rate), np.float32)
            prompt = Waveform(np.concatenate([prompt.samples, silence]), prompt.rate)
        if prompt is not None:
            for name in self._listening():
                part = self.part(name)
                heard |= (part.hear if hasattr(part, "hear") else part.encode)([prompt])[0]
        if text is not None:
            heard |= self.written(text)
        self.derive([heard])
        return heard

    def _restore(self, spoken: Example) -> None:
        """Add what pieces that were said are made of."""
        for name, config in self.configs.items():
            part: Any = self.part(name) if config in self.recipe.tokenizers else None
            if hasattr(part, "restore") and set(part.specs()) <= set(spoken):
                spoken |= {made: stream for made, stream in part.restore([spoken])[0].items() if made not in spoken}

    def _words(self, spoken: Example) -> str | None:
        """What was said in text."""
        found = [part.decode(spoken[name].ids) for name, part in self.readers().items() if name in spoken]
        return str(found[0]) if found else None

    def score(
        self, waves: Sequence[Waveform], *, texts: Sequence[str] | None = None, task: str | None = None
    ) -> list[Score]:
        """The log-likelihood of recordings under the first language model (or that of the named task), by stream."""
        return self.score_examples(self.encode(waves, texts=texts), task=task)

    def score_examples(self, examples: Sequence[Example], *, task: str | None = None) -> list[Score]:
        """As `score`, of streams that are known already. Conditions that a task draws are drawn with a fixed seed."""
        link = chain(self.recipe.lms, task)[0]
        ready = [link.task.prepare(example, self.specs, np.random.default_rng(0)) for example in examples]
        return score(self.part(link.lm.name), link.task, ready, self.specs)
