"""A task: which streams a language model sees, how they lie on the grid, and which of them it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Example, Grid, Operation, Spec, Vocab
from oration.layouts import Layout, vocabs


@dataclass(frozen=True, kw_only=True)
class Task:
    """One object for training, scoring and generating: `asr` is two `Line`s of which the second is predicted."""

    name: str
    layout: Layout
    predict: tuple[str, ...]
    """The streams the model is to predict; the others are given."""
    operations: tuple[Operation, ...] = ()
    """What happens to an example before it is placed, in this order."""
    condition: tuple[str, ...] = ()
    """The given streams that classifier-free guidance leaves out (empty) to see what they change."""

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        """The streams after the operations.

        Raises:
            BadInput: an operation needs a stream that neither is given nor was made before it.
        """
        specs = dict(given)
        for operation in self.operations:
            self._check(operation, specs, "stream")
            specs.update(operation.specs(specs))
        return specs

    def prepare(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        """Run the operations on one example. `specs`: of the given streams; all chance comes from `rng`.

        Raises:
            BadInput: the example lacks a stream that an operation needs.
        """
        example, known = dict(example), dict(specs)
        for operation in self.operations:
            self._check(operation, example, "example's stream")
            example = operation(example, known, rng)
            known.update(operation.specs(known))
        return example

    def vocabs(
        self, specs: Mapping[str, Spec], beside: Sequence[Task] = (), shared: Mapping[str, str] | None = None
    ) -> dict[str, Vocab]:
        """Row -> vocabulary, for this task's layout and those of other tasks of the same model.

        Args:
            shared: stream -> another whose symbols it uses too.
        """
        return vocabs((self.layout, *(task.layout for task in beside)), specs, shared)

    def place(
        self,
        turns: Sequence[Example],
        specs: Mapping[str, Spec],
        known: Mapping[str, int] | None = None,
        vocabs: Mapping[str, Vocab] | None = None,
    ) -> Grid:
        """Prepared examples, one a turn, on the grid.

        Args:
            specs: of the streams after the operations.
            known: of a predicted stream, how many first items of the last turn are given too (the prompt).
            vocabs: the language model's, where it has more tasks than this one.
        """
        return self.layout.place(turns, specs, self.predict, known or {}, vocabs)

    def _check(self, operation: Operation, have: Mapping[str, object], what: str) -> None:
        for need in operation.needs:
            if need not in have:
                raise BadInput(
                    f"{type(operation).__name__} of task {self.name!r} needs the {what} {need!r}, but there are only "
                    f"{sorted(have)}; add a tokenizer that gives it"
                )
