"""Live sessions: engines that listen and speak on one sample clock."""

from oration.live.choose import KINDS, kind_of, open_engine
from oration.live.echo import Echo
from oration.live.engine import Engine, Full, Options, Session

__all__ = ["KINDS", "Echo", "Engine", "Full", "Options", "Session", "kind_of", "open_engine"]
