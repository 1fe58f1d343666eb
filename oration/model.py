"""M_out = SpeechLM(M_in): a recipe with its weights, ready to encode, decode, reply and score."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oration.core import BadInput, Example, Spec, Vocab, Waveform, dumps, from_record
from oration.lms import LanguageModel
from oration.recipe import Recipe
from oration.text.phones import PHONES
from oration.train.checkpoint import about, load_part, read_json, save_tensors, write_text
from oration.train.feed import Packed
from oration.train.stage import Train

DEFAULT = Path(__file__).parent / "pocket"
"""The model that comes with the package."""


class SpeechLM:
    """The parts of a recipe, built when first asked for, with weights from `folder` where it has them."""

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
                raise BadInput(f"{path} has no weights for {name!r}; train it with: oration train {model.recipe.name} --out {path}")
        return model

    @staticmethod
    def recipe_of(folder: Path) -> Recipe:
        """The recipe a model folder was made with."""
        recipe = from_record(read_json(folder / "recipe.json"))
        if not isinstance(recipe, Recipe):
            raise BadInput(f"{folder / 'recipe.json'} holds a {type(recipe).__name__}, expected a Recipe; it is not a model folder")
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
        module: nn.Module = config.build() if config in self.recipe.tokenizers else config.build(self.specs)
        path = None if self.folder is None else self.folder / f"{name}.safetensors"
        if path is not None and path.is_file():
            if isinstance(module, LanguageModel) and (saved := about(path).get("vocabs")):
                module.check_vocabs({row: Vocab(tuple(map(tuple, blocks))) for row, blocks in json.loads(saved).items()})
            load_part(module, path)
        return module.to(self.device).eval()

    def needs(self, stage: Train) -> tuple[str, ...]:
        """The streams of a recording that a training stage reads."""
        if not isinstance(stage.feed, Packed):
            made: set[str] = set().union(*(operation.specs(self.specs) for operation in stage.feed.operations))
            reads = {name for operation in stage.feed.operations for name in operation.needs}
            return tuple(sorted((set(stage.feed.streams) - made) | reads))
        lm = next(lm for lm in self.recipe.lms if lm.name == stage.part)
        given: set[str] = set().union(*(tokenizer.specs() for tokenizer in self.recipe.tokenizers))
        return tuple(sorted(given))

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
        for name, config in self.configs.items():
            if hasattr(config, "build"):
                self.save_part(name, path)
        write_text(path / "recipe.json", dumps(self.recipe))

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings -> the streams of every tokenizer that reads recordings."""
        examples: list[Example] = [{} for _ in waves]
        for name, config in self.configs.items():
            if config in self.recipe.tokenizers and hasattr(config, "needs") and "wave" in config.needs:
                for example, found in zip(examples, self.part(name).encode(waves), strict=True):
                    example |= found
        return examples
