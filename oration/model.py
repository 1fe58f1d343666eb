"""M_out = SpeechLM(M_in): a recipe with its weights, ready to encode, decode, reply and score."""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from oration.core import BadInput, Example, Spec, Stream, Vocab, Waveform, dumps, from_record
from oration.core.files import replace_file
from oration.data.manifest import Clip
from oration.data.material import Material, version_of
from oration.generate import Sampler, Score, Step, complete, resolve, score
from oration.lms import LanguageModel
from oration.recipe import Recipe
from oration.tasks import Task
from oration.text.phones import PHONES
from oration.train.checkpoint import about, load_part, read_json, save_tensors
from oration.train.feed import Packed
from oration.train.stage import Train

DEFAULT = Path(__file__).parent / "pocket"
"""The model that comes with the package."""

FULL = 0.7
"""Runs of units a frame in hurried speech; 0.5 is usual."""


class SpeechLM:
    """The parts of a recipe, built when first asked for, with weights from `folder` where it has them.

    On the device "meta" parts have sizes but no weights, which is enough to count them.
    """

    def __init__(self, recipe: Recipe, folder: Path | None = None, *, device: str = "cpu") -> None:
        self.recipe, self.folder, self.device = recipe, folder, torch.device(device)
        self.configs = recipe.parts()
        self._built: dict[str, Any] = {}
        self.specs: dict[str, Spec] = {"phones": Spec(len(PHONES))}
        for tokenizer in recipe.tokenizers:
            self.specs |= tokenizer.specs()
        for lm in recipe.lms:
            for task in lm.tasks:
                self.specs |= task.specs(self.specs)

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None, *, device: str = "cpu") -> SpeechLM:
        """A trained model from its folder; the one that comes with the package if none is named.

        Raises:
            BadInput: no recipe.json, damaged weights, or a record that names classes from outside the package.
        """
        path = DEFAULT if folder is None else Path(folder)
        model = cls(cls.recipe_of(path), path, device=device)
        for name, config in model.configs.items():
            if hasattr(config, "build") and not (path / f"{name}.safetensors").is_file():
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
            if isinstance(module, LanguageModel) and (saved := about(path).get("vocabs")):
                rows = json.loads(saved).items()
                module.check_vocabs({row: Vocab(tuple((b, n) for b, n in blocks)) for row, blocks in rows})
            load_part(module, path)
        return module.eval()

    def needs(self, stage: Train) -> tuple[str, ...]:
        """The streams of a recording that a training stage reads."""
        if not isinstance(stage.feed, Packed):
            made: set[str] = set().union(*(operation.specs(self.specs) for operation in stage.feed.operations))
            reads = {name for operation in stage.feed.operations for name in operation.needs}
            return tuple(sorted((set(stage.feed.streams) - made) | reads))
        lm = next(lm for lm in self.recipe.lms if lm.name == stage.part)
        task = cast(Task, lm.tasks[stage.feed.task])
        return tuple(sorted({n for operation in task.operations for n in operation.needs} | set(task.layout.streams)))

    def material(
        self,
        clips: Sequence[Clip],
        streams: Iterable[str],
        cache: Path,
        track: Callable[[Iterable[int], str], Iterable[int]],
    ) -> Material:
        """Clips with those of `streams` that the tokenizers give, from `cache` where an earlier run left them.

        Args:
            track: wraps the loop over shards, for a progress bar.
        """
        material, wanted = Material(clips, rate=self.rate), set(streams)
        for name, tokenizer in self.configs.items():
            if tokenizer not in self.recipe.tokenizers or not wanted & set(tokenizer.specs()):
                continue
            if hasattr(tokenizer, "label"):
                material.add_labels(tokenizer.specs(), tokenizer.label)
                continue
            part, weights = self.part(name), b""
            if isinstance(part, nn.Module):
                tensors = (value.detach().cpu().contiguous() for value in part.state_dict().values())
                weights = b"".join(tensor.numpy().tobytes() for tensor in tensors)
            material.add_streams(part, cache, version_of(tokenizer, weights), track)
        return material

    def save_part(self, name: str, folder: Path) -> None:
        """One part's weights, at the precision the recipe asks for."""
        part, dtype = self.part(name), torch.float16 if self.recipe.weights == "float16" else None
        vocabs = {row: vocab.blocks for row, vocab in part.vocabs.items()} if isinstance(part, LanguageModel) else None
        header = {"vocabs": json.dumps(vocabs)} if vocabs else None
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

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings -> the streams of every tokenizer that listens."""
        examples: list[Example] = [{} for _ in waves]
        for name in self._listening():
            for example, found in zip(examples, self.part(name).encode(waves), strict=True):
                example |= found
        return examples

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
        return {name: _concatenated(streams) for name, streams in parts.items()}

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
        made = [self._voiced(example, voice) for example in examples]
        waves = []
        for example in made:
            order = resolve(self._synthesis(), set(example), "wave")
            for step in order[:-1]:
                example = step.part.predict([example])[0]
            waves += order[-1].part.decode([example])
        return waves

    def resynthesize(self, wave: Waveform, *, voice: str | None = None) -> Waveform:
        """A recording through its tokens and back, as long as it was."""
        example = self.encode([wave])[0]
        spoken = self.decode([self._transposed(example, voice)], voice=voice)[0]
        return spoken.cut(0.0, wave.seconds)

    def reply(
        self,
        prompt: Waveform,
        *,
        seconds: float = 5.0,
        sampler: Sampler | None = None,
        seed: int = 0,
        voice: str | None = None,
    ) -> Reply:
        """Continue a recording in speech.

        Args:
            seconds: how long to go on, at most; the number of units is known in advance, their durations are not.
            seed: the same seed gives the same reply.

        Raises:
            BadInput: the prompt is too short for a unit, or too long for the model's context.
        """
        clock = Clock()
        lm_config = self.recipe.lms[0]
        task = cast(Task, lm_config.tasks[0])
        heard = self.encode([prompt])[0]
        clock.lap("encode")
        example = task.prepare(heard, self.specs, np.random.default_rng(seed))
        stream = task.predict[0]
        if not len(example[stream]):
            raise BadInput(
                f"a prompt of {prompt.seconds:.3f} s holds no unit; give at least a tenth of a second of speech"
            )
        steps = max(1, math.ceil(seconds * self._items(stream)))
        said = complete(
            self.part(lm_config.name),
            task,
            [{name: example[name] for name in task.layout.streams}],
            self.specs,
            seeds=[seed],
            sampler=sampler or Sampler(temperature=0.8),
            steps=steps,
            least={stream: steps},
        )[0]
        clock.lap("language model")
        whole = self._joined(heard, said.example, said.known[stream], voice)
        (full,) = self.decode([whole], voice=voice)
        full = full.cut(0.0, prompt.seconds + seconds)
        clock.lap("vocoder")
        return Reply(full, full.cut(prompt.seconds), whole, said.new(), dict(clock.laps))

    def score(self, waves: Sequence[Waveform]) -> list[Score]:
        """The log-likelihood of recordings under the first language model, by stream."""
        lm = self.recipe.lms[0]
        task = cast(Task, lm.tasks[0])
        examples = [task.prepare(e, self.specs, np.random.default_rng(0)) for e in self.encode(waves)]
        return score(self.part(lm.name), task, examples, self.specs)

    def _items(self, stream: str) -> float:
        """Items of a predicted stream that fill a second."""
        rate = self.specs[stream].rate
        if rate is None:  # merged units: rather some more than speech has, since a reply is cut at its length
            return FULL * float(self.specs[stream.partition(".")[0]].rate or 1)
        return float(rate)

    def _synthesis(self) -> list[Step]:
        """The parts that make what a vocoder needs, and the vocoder, as steps for `resolve`."""
        if self.recipe.vocoder is None:
            raise BadInput(f"recipe {self.recipe.name!r} has no vocoder, so it cannot give sound; use one that has")
        steps = [Step(self.recipe.vocoder.needs, ("wave",), self.part("vocoder"))]
        if self.recipe.prosody is not None:
            part = self.part("prosody")
            steps.append(Step(self.recipe.prosody.needs, tuple(part.gives), part))
        return steps

    def _voiced(self, example: Example, voice: str | None) -> Example:
        """The example with the stream of whoever is to speak, if the recipe knows speakers and nobody is named yet."""
        table = self.configs.get("speaker")
        if table is None or ("speaker" in example and voice is None):
            return dict(example)
        name = voice or self.recipe.voice or table.names[0]
        return {**example, "speaker": Stream(np.array([table.index(name)]))}

    def _transposed(self, example: Example, voice: str | None) -> Example:
        """The same melody at the pitch of the voice that will speak: a bass does not stay one in a soprano's mouth."""
        target = self.recipe.pitch.get(voice or self.recipe.voice or "")
        pitch = self.configs.get("f0")
        if target is None or pitch is None or "f0" not in example:
            return example
        hertz = pitch.hertz(example["f0"].ids)
        voiced = hertz > 0
        if not voiced.any():
            return example
        ratio = target / float(np.median(hertz[voiced]))
        # A quarter tone or two is the speaker's mood, not another speaker.
        return example if abs(np.log2(ratio)) < 1 / 6 else {**example, "f0": Stream(pitch.ids(hertz * ratio))}

    def _joined(self, heard: Example, said: Example, known: int, voice: str | None) -> Example:
        """What was heard, as it was heard, then what was said, with durations and pitch as `prosody` gives them."""
        steps = [step for step in self._synthesis() if "wave" not in step.gives]
        made = self._voiced(said, voice)
        for step in steps:
            made = step.part.predict([made])[0]
        heard = self._transposed(heard, voice)
        if "units" not in made or not known:
            return made
        frames = int((made["units.durations"].ids[:known] + 1).sum())
        seconds = frames / float(self.specs["units"].rate or 1)
        joined = dict(made)
        count = len(heard["units"])
        for name, stream in made.items():
            rate = self.specs[name].rate if name in self.specs else None
            if rate is None or name not in heard:
                continue
            # The prompt's streams end together, whatever fraction of a frame their tokenizers kept.
            before = round(count / float(self.specs["units"].rate or 1) * rate)
            prompt = np.pad(heard[name].ids, (0, max(0, before - len(heard[name]))), mode="edge")[:before]
            joined[name] = Stream(np.concatenate([prompt, stream.ids[round(seconds * rate) :]]))
        return {n: s for n, s in joined.items() if n not in ("units.runs", "units.durations")}


def _concatenated(streams: Sequence[Stream]) -> Stream:
    values = [s.values for s in streams if s.values is not None]
    return Stream(np.concatenate([s.ids for s in streams]), None, np.concatenate(values) if values else None)


@dataclass(frozen=True, eq=False)
class Reply:
    """What a model answers."""

    wave: Waveform
    """The prompt as the model heard it, then the continuation."""
    continuation: Waveform
    """The continuation alone."""
    example: Example
    """The streams the vocoder spoke."""
    new: Example
    """What the language model added, before prosody."""
    timings: dict[str, float]
    """Seconds of work by stage."""


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._at = now - self._at, now
