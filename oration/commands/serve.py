"""`oration serve`: a model, or an echo, behind a port."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oration.core import BadInput, OrationError, optional
from oration.live.choose import open_engine
from oration.live.echo import Echo
from oration.live.engine import Engine

if TYPE_CHECKING:
    from oration.serve.settings import Settings


@dataclass(frozen=True)
class Door:
    """The line's options on who gets in."""

    host: str
    port: int
    origins: tuple[str, ...]
    token_file: Path | None
    exposed: bool
    max_sessions: int
    per_address: int
    record: Path | None

    def settings(self) -> Settings:
        """The same for the server."""
        from oration.serve.settings import Limits, Settings

        limits = Limits(sessions=self.max_sessions, per_address=self.per_address, per_token=self.per_address)
        return Settings(
            host=self.host,
            port=self.port,
            origins=self.origins,
            tokens=self.token_file,
            exposed=self.exposed,
            recordings=self.record,
            limits=limits,
        )


def engine(model: Path | None, echo: bool, kind: str | None, slots: int) -> tuple[Callable[[], Engine], str]:
    """-> what builds the engine, and its title. The model is loaded once, here.

    Raises:
        BadInput: no such model, or both were asked for.
    """
    if echo:
        if model is not None or kind is not None:
            raise BadInput("--echo is an engine without a model; leave out --model and --engine, or --echo")
        return (lambda: Echo(slots=slots)), "echo"
    from oration.model import DEFAULT, SpeechLM

    loaded = SpeechLM.load(DEFAULT if model is None else model)
    return (lambda: open_engine(loaded, slots=slots, kind=kind)), loaded.recipe.name


def run(model: Path | None, echo: bool, kind: str | None, door: Door, replay: Path | None) -> None:
    """Serve until Ctrl-C; or, given a log, replay it.

    Raises:
        OrationError: a package is missing, the port is taken, or the log does not replay.
    """
    for module in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
        optional(module, "serve", "oration serve")
    settings = door.settings()
    make, title = engine(model, echo, kind, door.max_sessions)
    if replay is not None:
        from oration.serve.log import replay as again

        print(again(replay, make()))
        return
    from oration.serve.app import run as serve

    try:
        serve(settings, make, title, lambda address: print(f"{title} is at {address}", flush=True))
    except OSError as taken:
        raise OrationError(f"--port {settings.port} cannot be opened ({taken.strerror}); give another") from taken
    print("stopped", file=sys.stderr)
