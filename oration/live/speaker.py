"""A reply's items to sound, as they come: what prosody and the vocoder need is held back, the rest is said.

Where a vocoder is live, its sound equals that of the whole reply. Prosody looks at some runs around those it decides;
once decided, durations and pitch stay. A vocoder that is not live says everything at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oration.core import Example, Stream, Waveform
from oration.core.decoder import Decoder
from oration.generate import resolve
from oration.model import SpeechLM
from oration.reply import Link, undone
from oration.tokenizers.channels import ChannelsModel

AROUND = 24
"""Runs before, that prosody sees beside those it decides."""
AHEAD = 6
"""Runs after, unless the reply is over."""
ATONCE = 4
"""Runs that are decided together."""


class Speaker:
    """One reply on its way to sound."""

    def __init__(self, model: SpeechLM, link: Link, voice: str | None, known: Example) -> None:
        """
        Args:
            link: who says what the vocoder speaks.
            known: the beginning that was not said by the model: what it goes on from.
        """
        self.model, self.link, self.voice = model, link, voice
        self.spoken: dict[str, list[Any]] = {name: [] for name in link.task.predict}
        self.known = known
        self.needs = model.recipe.vocoder.needs if model.recipe.vocoder is not None else ()
        self._whole = False
        self._runs: str | None = None
        self._live = self._open()
        self._pushed: dict[str, int] = {}
        self._decided, self._first = 0, True
        self.made = 0
        """Samples of sound so far."""
        self.frames: list[int] = []
        """Frames of each run that is decided, where there are runs."""

    def add(self, name: str, item: Any) -> None:
        """An item of a predicted stream."""
        self.spoken[name].append(item)

    def example(self) -> Example:
        """What was said so far, as streams."""
        specs = {**self.model.specs, **self.link.lm.specs(self.model.specs)}
        said: dict[str, Stream] = {}
        for name, items in self.spoken.items():
            dense = bool(specs[name].dim)
            said[name] = Stream.dense(np.array(items).reshape(len(items), specs[name].dim)) if dense else _ids(items)
        return undone(self.link.task, said, self.model.specs)

    def sound(self, last: bool = False) -> list[np.ndarray]:
        """float32[n] pieces that are ready. `last`: nothing follows."""
        waves = self._sound(last)
        self.made += sum(map(len, waves))
        return waves

    def _sound(self, last: bool) -> list[np.ndarray]:
        if self._whole:
            return self._all() if last else []
        if self._runs is not None:
            return self._by_runs(last)
        example = self.model.synthesis.voiced(self._restored(self.example()), self.voice)
        if not all(name in example for name in self.needs):
            return []
        if last:
            example = self.model.synthesis.together(example)
        fresh = {}
        for name in self.needs:
            at = self._pushed.get(name, 0)
            fresh[name] = example[name].cut(at)
            self._pushed[name] = max(at, len(example[name]))
        return self._push(fresh, last)

    def _open(self) -> Any:
        """The vocoder's live form, after deciding how this reply can be spoken."""
        synthesis, recipe = self.model.synthesis, self.model.recipe
        nothing = {name: _ids([]) for name in self.spoken}
        have = set(synthesis.voiced({**nothing, **self._restorable(nothing)}, self.voice))
        order = resolve(synthesis.steps(), have, "wave")
        if recipe.prosody is not None and any(step.part == self.model.part("prosody").predict for step in order):
            self._runs = recipe.prosody.needs[0]
        part = self.model.part("vocoder")
        if isinstance(recipe.vocoder, Decoder):
            part = part.inner if isinstance(part, ChannelsModel) else part
            live = part.speaker() if hasattr(part, "speaker") else None
        else:
            live = part.live() if hasattr(part, "live") else None
        self._whole = live is None
        return live

    def _restorable(self, example: Example) -> Example:
        """Streams that undoing the task's operations and the tokenizers' own would add, without items."""
        found = set(undone(self.link.task, example, self.model.specs))
        for name, config in self.model.configs.items():
            part = self.model.part(name) if config in self.model.recipe.tokenizers else None
            if part is not None and hasattr(part, "restore") and set(part.specs()) <= found | set(example):
                found |= set(part.restores)
        return {name: _ids([]) for name in found}

    def _restored(self, example: Example) -> Example:
        for name, config in self.model.configs.items():
            part = self.model.part(name) if config in self.model.recipe.tokenizers else None
            if part is not None and hasattr(part, "restore") and set(part.specs()) <= set(example):
                example = {**part.restore([example])[0], **example}
        return example

    def _by_runs(self, last: bool) -> list[np.ndarray]:
        """Decide the prosody of those runs that have enough after them."""
        assert self._runs is not None
        name = self._runs
        said = self._restored(self.example()).get(name, _ids([])).ids
        upto = len(said) if last else len(said) - AHEAD
        if upto - self._decided < (1 if last else ATONCE):
            return self._push({}, last) if last else []
        begin = self.known[name].ids if name in self.known else np.zeros(0, np.int64)
        context = np.concatenate([begin, said[: self._decided]])[-AROUND:]
        window = np.concatenate([context, said[self._decided :]])
        part, units = self.model.part("prosody"), name.removesuffix(".runs")
        made = part.predict([self.model.synthesis.voiced({name: _ids(window)}, self.voice)])[0]
        lengths = made[f"{units}.durations"].ids + 1
        first, stop = len(context), len(context) + upto - self._decided
        frames = slice(int(lengths[:first].sum()), int(lengths[:stop].sum()))
        fresh = {units: made[units].cut(frames.start, frames.stop)}
        if "f0" in made:
            fresh["f0"] = made["f0"].cut(frames.start * part.per_frame, frames.stop * part.per_frame)
        self.frames += lengths[first:stop].tolist()
        self._decided = upto
        return self._push(fresh, last)

    def _push(self, fresh: Example, last: bool) -> list[np.ndarray]:
        if self._first and fresh:
            fresh = {**self.model.synthesis.voiced({}, self.voice), **fresh}
            self._first = False
        part = self.model.part("vocoder")
        if isinstance(part, ChannelsModel):
            prefix = part.numbers.prefixes[0]
            fresh = {name.removeprefix(prefix): stream for name, stream in fresh.items()}
        waves: list[Waveform] = self._live.push(fresh) if fresh else []
        if last and not self._first:
            waves = [*waves, *self._live.flush()]
        return [wave.samples for wave in waves if len(wave)]

    def _all(self) -> list[np.ndarray]:
        example = self._restored(self.example())
        if not self.model.synthesis.speaks(example):
            return []
        together = self.model.synthesis.together(example)
        return [wave.samples for wave in self.model.decode([together], voice=self.voice) if len(wave)]


def _ids(items: Sequence[Any] | np.ndarray) -> Stream:
    return Stream(np.array(items, np.int64))
