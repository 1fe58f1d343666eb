"""Who may connect, and how much: origins, hosts, tokens, and counts by address and by token.

Tokens are kept as digests, compared in constant time, and never written anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from oration.core import BadInput
from oration.serve.settings import Settings

ONCE = 60.0
"""Seconds for which a one-time token is good."""
AT_ONCE = 1000
"""One-time tokens that may wait to be used."""
INSECURE = "openai-insecure-api-key."
"""How browsers hand a token to a Realtime server: as a subprotocol, since they cannot set headers."""
LOCAL = ("localhost", "127.0.0.1", "::1")


class Refused(Exception):
    """A connection that is not let in: an HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code = status, code


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_tokens(path: Path) -> dict[str, bytes]:
    """Name -> digest, from lines of `name token`; empty lines and those that begin with # are left out.

    Raises:
        BadInput: the file is missing, empty, or has a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as unreadable:
        raise BadInput(
            f"--token-file {str(path)!r} cannot be read ({unreadable}); give lines of `name token`"
        ) from None
    found: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 2 or len(words[1]) < 16:
            raise BadInput(f"--token-file {str(path)!r}, line {number}: expected `name token`, the token of 16 or more")
        found[words[0]] = _digest(words[1])
    if not found:
        raise BadInput(f"--token-file {str(path)!r} holds no token, so nobody could connect; add a line `name token`")
    return found


class Gate:
    """Decides who comes in, and counts who is in."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.clock = settings, clock
        self.tokens = read_tokens(settings.tokens) if settings.tokens else {}
        self._once: dict[bytes, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._total = 0
        self._by_address: Counter[str] = Counter()
        self._by_token: Counter[str] = Counter()

    # Where from

    def origin(self, headers: Mapping[str, str]) -> None:
        """A page of another site may not connect, nor one that reached us under another name.

        Raises:
            Refused: 403.
        """
        host = headers.get("host", "")
        if self.settings.loopback and urlsplit(f"//{host}").hostname not in (*LOCAL, self.settings.host):
            raise Refused(403, "foreign_host", f"this server is not {host[:100]!r}; open it under localhost")
        origin = headers.get("origin")
        if origin is None:  # not a browser: no page of another site is behind it
            return
        allowed = {each.rstrip("/").lower() for each in self.settings.origins}
        if origin.lower() in allowed or urlsplit(origin).netloc.lower() == host.lower() != "":
            return
        said = f"pages of {origin[:100]!r} may not connect to this server; its operator can allow it with --origin"
        raise Refused(403, "foreign_origin", said)

    # Who

    @property
    def closed(self) -> bool:
        """Whether a token is needed."""
        return bool(self.tokens)

    def name(self, token: str | None) -> str:
        """Whose token this is; a one-time token is spent by it. "" where none is needed.

        Raises:
            Refused: 401.
        """
        if token:
            digest = _digest(token)
            with self._lock:
                name, until = self._once.pop(digest, ("", 0.0))
            if until > self.clock():
                return name
            known = [name for name, right in self.tokens.items() if hmac.compare_digest(digest, right)]
            if known:
                return known[0]
            if self.closed:
                raise Refused(401, "bad_token", "this token is unknown, spent or too old; ask for another")
        if self.closed:
            raise Refused(401, "no_token", "this server wants a token; send it as `Authorization: Bearer TOKEN`")
        return ""

    def once(self, name: str) -> tuple[str, float]:
        """A token for one connection of `name`'s, and the seconds for which it is good."""
        now = self.clock()
        with self._lock:
            self._once = {digest: entry for digest, entry in self._once.items() if entry[1] > now}
            if len(self._once) >= AT_ONCE:
                raise Refused(429, "too_many_tokens", f"{AT_ONCE} one-time tokens wait to be used; try again later")
            token = secrets.token_urlsafe(24)
            self._once[_digest(token)] = (name, now + ONCE)
        return token, ONCE

    # How many

    def enter(self, address: str, name: str) -> None:
        """One more session.

        Raises:
            Refused: 429 or 503.
        """
        limits = self.settings.limits
        with self._lock:
            if self._total >= limits.sessions:
                raise Refused(503, "full", f"all {limits.sessions} sessions are taken; try again when one has ended")
            if self._by_address[address] >= limits.per_address:
                said = f"{limits.per_address} sessions come from your address already; end one of them first"
                raise Refused(429, "too_many_sessions", said)
            if name and self._by_token[name] >= limits.per_token:
                said = f"{limits.per_token} sessions use your token already; end one of them first"
                raise Refused(429, "too_many_sessions", said)
            self._total += 1
            self._by_address[address] += 1
            self._by_token[name] += 1

    def leave(self, address: str, name: str) -> None:
        """One less."""
        with self._lock:
            self._total -= 1
            for counts, key in ((self._by_address, address), (self._by_token, name)):
                counts[key] -= 1
                if counts[key] <= 0:
                    del counts[key]


def bearer(headers: Mapping[str, str], subprotocols: list[str]) -> str | None:
    """The token that a request carries: as a header, or as browsers can."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in subprotocols:
        if name.startswith(INSECURE):
            return name.removeprefix(INSECURE)
    return None


def safe_name(name: object, what: str) -> str:
    """A name that a client gave, which may reach a file system.

    Raises:
        BadInput: it is not a plain name.
    """
    if isinstance(name, str) and re.fullmatch(r"[\w](?:[\w .+-]{0,62}[\w])?", name) and ".." not in name:
        return name
    raise BadInput(f"the {what} {str(name)[:80]!r} is no name; expected letters, digits, spaces and . + - up to 64")


class Pace:
    """A connection's allowance of bytes and messages: what it is over is waited for."""

    def __init__(self, bytes_per_second: float, events_per_second: float, burst: float, now: float) -> None:
        self.rates = (bytes_per_second, events_per_second)
        self.burst, self._at = burst, now
        self._left = [rate * burst for rate in self.rates]

    def take(self, size: int, now: float) -> float:
        """One message of `size` bytes -> seconds to read nothing."""
        passed, self._at = now - self._at, now
        wait = 0.0
        for i, (rate, cost) in enumerate(zip(self.rates, (size, 1), strict=True)):
            self._left[i] = min(rate * self.burst, self._left[i] + max(0.0, passed) * rate) - cost
            if self._left[i] < 0:
                wait = max(wait, -self._left[i] / rate)
        return min(wait, self.burst)
