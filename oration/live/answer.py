"""One reply under way: the language models of a recipe in turn, a few columns at a time, and the sound of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oration.core import Example
from oration.generate import Sampler
from oration.generate.voice import Reply as Said
from oration.live.speaker import Speaker
from oration.model import SpeechLM
from oration.reply import Link, prepared, saying


class Answer:
    """`step` until it is `done`; take `waves` and `words` whenever there are any."""

    def __init__(
        self,
        model: SpeechLM,
        links: Sequence[Link],
        heard: Example,
        *,
        before: Mapping[str, Sequence[Example]],
        seconds: float,
        sampler: Sampler,
        seed: int,
        voice: str | None,
    ) -> None:
        """
        Args:
            heard: the streams of the user's turn, or of all that is to be gone on from.
            before: language model -> the earlier turns of the dialogue.
            seconds: of sound, at most.

        Raises:
            BadInput: a stream is missing that a model reads.
        """
        self.model, self.links, self.done = model, links, False
        parts = {link.lm.name: model.part(link.lm.name) for link in links}
        last = links[-1]
        known = {} if links[0].answers else prepared(last, heard, model.specs, seed)
        self.speaker = Speaker(model, last, voice, known)
        self.waves: deque[np.ndarray] = deque()
        self.words: deque[str] = deque()
        self.understood: deque[str] = deque()
        """The user's words, once a model that looks for them has found all."""
        self.said: list[Said] = []
        self.left = round(seconds * model.rate)
        self.text = ""
        """What it says, as far as it is known."""
        self._readers = model.readers()
        self._pieces: dict[str, list[int]] = {}
        self._going = saying(
            parts, links, heard, model.specs, seconds=seconds, sampler=sampler, seed=seed, before=before
        )

    def step(self, items: int) -> None:
        """So many items more, and the sound that follows from them."""
        for _ in range(items):
            try:
                link, name, item = next(self._going)
            except StopIteration as end:
                self.said, self.done = end.value[1], True
                break
            if link is self.links[-1]:
                self.speaker.add(name, item)
            if name.removeprefix("user.") in self._readers:
                self._pieces.setdefault(name, []).append(int(item))
        self._write()
        self._sound()

    def stop(self) -> None:
        """Make no more of it; what was said so far is what was said."""
        if not self.said:
            self.done = True
            try:
                self._going.send(True)
            except StopIteration as end:
                self.said = end.value[1]
            except TypeError:  # nothing was said yet
                self._going.close()

    def _write(self) -> None:
        """New words, but for a last one that may be unfinished; the user's, once something follows them."""
        readers = self._readers
        theirs = [name for name in self._pieces if name.startswith("user.")]
        if theirs and (self.done or len(self._pieces) > len(theirs)):
            for name in theirs:
                said = np.array(self._pieces.pop(name), np.int64)
                self.understood.append(str(readers[name.removeprefix("user.")].decode(said)))
        for name, ids in self._pieces.items():
            if name.startswith("user."):
                continue
            text = str(readers[name].decode(np.array(ids, np.int64)))
            upto = len(text) if self.done else max(text.rfind(" ") + 1, len(self.text))
            if upto > len(self.text) and text.startswith(self.text):
                self.words.append(text[len(self.text) : upto])
                self.text = text[:upto]

    def _sound(self) -> None:
        for wave in self.speaker.sound(last=self.done):
            if self.left > 0:
                self.waves.append(wave[: self.left])
                self.left -= len(wave)
        if self.left <= 0:
            self.done = True


def finished(answer: Answer) -> dict[str, Any]:
    """Language model -> the whole turn as it said it; nothing of one that was stopped before."""
    return {link.lm.name: said.example for link, said in zip(answer.links, answer.said, strict=False)}
