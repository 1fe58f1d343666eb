"""From streams to sound: prosody, then the vocoder, whatever the language models left open. Knows no language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oration.core import BadInput, Example, Specs, Stream, Waveform
from oration.core.decoder import Decoder
from oration.generate import Step, resolve
from oration.recipe import Recipe


class Synthesis:
    """The speaking half of a recipe: its vocoder, and the parts that make what the vocoder needs."""

    def __init__(self, recipe: Recipe, specs: Specs, part: Callable[[str], Any]) -> None:
        self.recipe, self.specs, self.part = recipe, specs, part
        self.configs = recipe.parts()

    def decode(self, examples: Sequence[Example], voice: str | None) -> list[Waveform]:
        """Streams -> recordings; see `SpeechLM.decode`."""
        made = [self.voiced(example, voice) for example in examples]
        waves: list[Waveform] = []
        for example in made:
            order = resolve(self.steps(), set(example), "wave")
            for step in order[:-1]:
                example = example | step.part([example])[0]
            waves += order[-1].part([example])
        return waves

    def together(self, example: Example) -> Example:
        """Levels of a codec, as far as all of them have been said: a language model may end in some before others."""
        if not isinstance(self.recipe.vocoder, Decoder):
            return example
        rates = {n: self.specs[n].rate for n in self.recipe.vocoder.needs if n in example and n in self.specs}
        ends = {name: len(example[name]) / rate for name, rate in rates.items() if rate}
        cut = {name: example[name].cut(0, int(min(ends.values()) * (rates[name] or 1))) for name in ends}
        return {**example, **cut}

    def speaks(self, spoken: Example) -> bool:
        """Whether streams can be heard."""
        if self.recipe.vocoder is None:
            return False
        try:
            resolve(self.steps(), set(self.voiced(spoken, None)), "wave")
        except BadInput:
            return False
        return True

    def steps(self) -> list[Step]:
        """The parts that make what a vocoder needs, and the vocoder, as steps for `resolve`."""
        if self.recipe.vocoder is None:
            raise BadInput(f"recipe {self.recipe.name!r} has no vocoder, so it cannot give sound; use one that has")
        steps = [Step(self.recipe.vocoder.needs, ("wave",), self.part("vocoder").decode)]
        for name, config in self.configs.items():  # what was made of other streams gives them back: pieces of units
            part = self.part(name) if config in self.recipe.tokenizers and "wave" not in config.needs else None
            if part is not None and hasattr(part, "restore"):
                steps.append(Step(tuple(config.specs()), part.restores, part.restore))
        if self.recipe.prosody is not None:
            part = self.part("prosody")
            steps.append(Step(self.recipe.prosody.needs, tuple(part.gives), part.predict))
        return steps

    def voiced(self, example: Example, voice: str | None) -> Example:
        """The example with the stream of whoever is to speak, if the recipe knows speakers and nobody is named yet."""
        table = self.configs.get("speaker")
        if table is None or ("speaker" in example and voice is None):
            return dict(example)
        name = voice or self.recipe.voice or table.names[0]
        return {**example, "speaker": Stream(np.array([table.index(name)]))}

    def transposed(self, example: Example, voice: str | None) -> Example:
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

    def joined(self, heard: Example, said: Example, known: int, voice: str | None) -> Example:
        """What was heard, as it was heard, then what was said, with durations and pitch as `prosody` gives them."""
        made = self.voiced(said, voice)
        for step in resolve(self.steps(), set(made), "wave")[:-1]:
            made = made | step.part([made])[0]
        heard = self.transposed(heard, voice)
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
