"""All symbols at once, by the best path through CTC: LLaMA-Omni. Knows no layout and no vocoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Example, Spec, Stream, collate
from oration.generate.sampler import Sampler
from oration.generate.voice import Reply, Turns
from oration.lms import LanguageModel, evaluating
from oration.lms.ctc import CtcModel
from oration.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Once:
    """The likeliest name of every stretched step, repeats merged, blanks left out (arXiv:2409.06666, 2.4)."""

    def complete(
        self,
        lm: LanguageModel,
        task: Task,
        prompts: Sequence[Turns],
        specs: Mapping[str, Spec],
        *,
        seeds: Sequence[int],
        sampler: Sampler | None = None,
        lengths: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        expose: Sequence[str] = (),
    ) -> list[Reply]:
        """One `Reply` per prompt. Nothing is drawn and its length is its own: only the prompts matter, and `expose`.

        Raises:
            BadInput: another kind of model, a missing stream, or a prompt that begins what is to be predicted.
        """
        model = _ctc(lm)
        if len(seeds) != len(prompts) or not prompts or expose:
            raise BadInput(
                f"Once got {len(prompts)} prompts, {len(seeds)} seeds and expose={tuple(expose)}; give at least one "
                "prompt, as many seeds, and expose nothing: no item comes from a vector of its own"
            )
        examples = [_given(model, prompt) for prompt in prompts]
        grids = [task.place([example], specs, None, model.vocabs) for example in examples]
        batch = collate(grids, [vocab.offset("pad") for vocab in model.vocabs.values()]).to(model.first.device)
        with evaluating(model), torch.inference_mode():
            said = model.emissions(batch)
        replies = []
        for example, names, length in zip(examples, said.logp.argmax(-1), said.lengths.tolist(), strict=True):
            symbols, _ = collapse(names[:length], model.blank)
            spoken = {**example, model.stream: Stream(np.array(symbols, np.int64))}
            replies.append(Reply(spoken, {model.stream: 0}, "end", len(symbols)))
        return replies

    def generate(
        self,
        lm: LanguageModel,
        task: Task,
        prompts: Sequence[Turns],
        specs: Mapping[str, Spec],
        *,
        seeds: Sequence[int],
    ) -> Iterator[tuple[int, str, Any]]:
        """As `complete`, item by item."""
        for number, reply in enumerate(self.complete(lm, task, prompts, specs, seeds=seeds)):
            for name, stream in reply.new().items():
                yield from ((number, name, symbol) for symbol in stream.ids.tolist())

    def live(self, lm: LanguageModel, task: Task, specs: Mapping[str, Spec], *, most: int = 512) -> OnceLive:
        """The streaming form, for a causal body: any cutting of what is given gives what `complete` gives of the whole.

        Args:
            most: items of the given streams, at most.

        Raises:
            BadInput: another kind of model, or a body that must see everything first.
        """
        return OnceLive(_ctc(lm), task, specs, most)


class OnceLive:
    """One sequence under way: units come as soon as what they are read from."""

    def __init__(self, lm: CtcModel, task: Task, specs: Mapping[str, Spec], most: int) -> None:
        if not getattr(lm.body, "causal", True):
            raise BadInput(
                f"{lm.config.name!r} must see all of what is given before it speaks, since its body is not causal; use "
                "complete, or train it with causal=True"
            )
        self.lm, self.task, self.specs, self.room = lm, task, specs, most
        self.past = lm.body.past(1, most * lm.upsample)
        self.last = lm.blank

    def push(self, given: Example) -> list[tuple[str, int]]:
        """More items of the given streams -> (stream, symbol) of what they say.

        Raises:
            BadInput: there is no room for so many.
        """
        grid = self.task.place([_given(self.lm, given)], self.specs, None, self.lm.vocabs)
        batch = collate([grid], [vocab.offset("pad") for vocab in self.lm.vocabs.values()]).to(self.lm.first.device)
        with evaluating(self.lm), torch.inference_mode():
            x, lengths = self.lm.stretched(batch)
            items = int(lengths[0]) // self.lm.upsample
            if items > self.room:
                raise BadInput(
                    f"{items} more items do not fit this stream, which has room for {self.room}; begin it with a "
                    "larger `most`"
                )
            if not items:
                return []
            self.room -= items
            names = self.lm.logp(self.lm.body.extend(x, self.past))[0].argmax(-1)
        symbols, self.last = collapse(names, self.lm.blank, self.last)
        return [(self.lm.stream, symbol) for symbol in symbols]

    def flush(self) -> list[tuple[str, int]]:
        """Nothing waits."""
        return []


def collapse(names: Tensor, blank: int, last: int | None = None) -> tuple[list[int], int]:
    """long[T], the name of every step -> the symbols they spell after `last`, and the name that came last.

    >>> collapse(torch.tensor([3, 3, 9, 3, 1, 9]), 9)
    ([3, 3, 1], 9)
    """
    path = names.tolist()
    before = [blank if last is None else last, *path]
    return [name for name, old in zip(path, before, strict=False) if name not in (old, blank)], before[-1]


def _ctc(lm: LanguageModel) -> CtcModel:
    if not isinstance(lm, CtcModel):
        raise BadInput(
            f"Once reads the head Ctc, but {lm.config.name!r} is a {type(lm).__name__}; give it that head, or leave "
            "its LM's generator out"
        )
    return lm


def _given(lm: CtcModel, prompt: Turns) -> Example:
    """The last turn, which must not begin the answer."""
    example = dict(prompt if isinstance(prompt, Mapping) else prompt[-1])
    if len(example.get(lm.stream, ())):
        raise BadInput(
            f"{lm.config.name!r} makes {lm.stream!r} by CTC all at once and cannot go on from a beginning, but the "
            f"prompt has {len(example[lm.stream])} items of it; give a prompt without them"
        )
    return {**example, lm.stream: Stream(np.zeros(0, np.int64))}
