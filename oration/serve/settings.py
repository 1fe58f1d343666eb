"""What an operator decides: where the server listens, whom it lets in, and how much each may take. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from oration.core import BadInput

MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on everything a client can make grow. Times in seconds."""

    sessions: int = 64
    """Sessions at once, of all clients."""
    per_address: int = 16
    """Of one address."""
    per_token: int = 16
    """Of one token."""
    bytes_per_second: int = 2 * MEBIBYTE
    """From one connection, on average; more is read more slowly."""
    events_per_second: int = 400
    """Messages from one connection, on average; more are read more slowly."""
    burst: float = 10.0
    """Seconds' worth of both that may come at once, as after a reconnect."""
    message: int = MEBIBYTE
    """Bytes of one message."""
    append: int = 15 * MEBIBYTE
    """Bytes of sound in one `input_audio_buffer.append`."""
    hello: float = 10.0
    """From the connection to the client's first message."""
    idle: float = 60.0
    """Without any message from the client."""
    absolute: float = 3600.0
    """Of one session."""
    resume: float = 30.0
    """For which a lost session waits for its client."""
    replay: float = 30.0
    """Seconds of sound kept to be sent again."""
    queue: float = 8.0
    """Seconds of sound that may wait for a slow reader; of more, the oldest is discarded."""
    slow: float = 5.0
    """For which a reader may be that slow before it is disconnected."""
    drain: float = 30.0
    """For which running sessions may go on once the server is asked to stop."""
    stuck: float = 60.0
    """For which one step of the engine may take before it is given up."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise BadInput(f"the limit {name}={value} lets nothing through; give a number above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one server runs."""

    host: str = "127.0.0.1"
    port: int = 8710
    origins: tuple[str, ...] = ()
    """Pages, other than this server's own, that may connect: scheme://host[:port]."""
    tokens: Path | None = None
    """File of `name token` lines; None: whoever reaches the port may connect."""
    exposed: bool = False
    """Whether another address than this machine's may be bound without tokens."""
    recordings: Path | None = None
    """Where sessions are recorded whose client asks for it; None: nowhere."""
    gather: float = 0.003
    """Seconds to wait for the frames of other sessions before a step."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise BadInput(f"--port {self.port} is no port; give 0 (any free one) to 65535")
        if not self.loopback and self.tokens is None and not self.exposed:
            raise BadInput(
                f"--host {self.host} is reachable from other machines and there are no tokens; give --token-file, "
                "or --exposed if whoever reaches the port may talk"
            )
        for origin in self.origins:
            if "://" not in origin or origin.rstrip("/").count("/") != 2:
                raise BadInput(f"--origin {origin!r} is not of the form https://example.org or http://localhost:5173")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")
