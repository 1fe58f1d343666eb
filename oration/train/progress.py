"""A bar with time left on a terminal; a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Counts updates from `done` to `total`."""

    def __init__(self, title: str, done: int, total: int, *, every: float = 30.0) -> None:
        self.title, self.done, self.total, self.every = title, done, total, every
        self.started, self.first, self.said = time.monotonic(), done, 0.0
        self.terminal = sys.stderr.isatty()
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=Console(stderr=True),
            disable=not self.terminal,
        )
        self.task = self.bar.add_task(title, completed=done, total=total, values="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, values: dict[str, float] | None = None) -> None:
        self.done += 1
        shown = " ".join(f"{name} {value:.3f}" for name, value in (values or {}).items() if "/" not in name)
        self.bar.update(self.task, completed=self.done, values=shown)
        if not self.terminal and (time.monotonic() - self.said > self.every or self.done == self.total):
            self.said = time.monotonic()
            left = (self.said - self.started) / max(1, self.done - self.first) * (self.total - self.done)
            print(
                f"{self.title}: {self.done}/{self.total}, {left / 60:.1f} min left, {shown}",
                file=sys.stderr,
                flush=True,
            )

    def note(self, values: dict[str, float]) -> None:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items() if "/" not in name)
        text = f"{self.title}: step {self.done}: {shown}"
        self.bar.console.print(text) if self.terminal else print(text, file=sys.stderr, flush=True)

    def warn(self, sentence: str) -> None:
        """One plain sentence that a person should read."""
        self.bar.console.print(f"warning: {sentence}") if self.terminal else print(
            f"{self.title}: warning: {sentence}", file=sys.stderr, flush=True
        )
