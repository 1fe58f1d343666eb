"""Our compact binary protocol as bytes (docs/protocol.md): one byte of kind, then little-endian fields. Pure."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from oration.core import BadInput

SUBPROTOCOL = "oration.1"
VERSION = 1

HELLO, AUDIO, PLAYED, CONTROL, PING = 0x01, 0x02, 0x03, 0x04, 0x05
WELCOME, SOUND, EVENT, FLUSH, GOT, ERROR, PONG, STATS = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88

_U64 = struct.Struct("<BQ")
_PLAYED = struct.Struct("<BQI")
_SOUND = struct.Struct("<BQIQ")
_FLUSH = struct.Struct("<BIQ")
NAMES = {
    HELLO: "hello",
    AUDIO: "audio",
    PLAYED: "played",
    CONTROL: "control",
    PING: "ping",
    WELCOME: "welcome",
    SOUND: "audio",
    EVENT: "event",
    FLUSH: "flush",
    GOT: "got",
    ERROR: "error",
    PONG: "pong",
    STATS: "stats",
}


@dataclass(frozen=True)
class Message:
    """One message, either way. Which fields count depends on `kind`; the others stay as they are here."""

    kind: int
    body: dict[str, Any] | None = None
    """Of hello, control, welcome, event, error and stats: a JSON object."""
    at: int = 0
    """audio: position of its first sample; played, got: position; flush: from where; ping, pong: the token."""
    waiting: int = 0
    """played: samples in the client's jitter buffer."""
    epoch: int = 0
    heard: int = 0
    sound: bytes | memoryview = b""


def document(kind: int, body: dict[str, Any]) -> bytes:
    """A message that is a JSON object."""
    return bytes((kind,)) + json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def position(kind: int, at: int) -> bytes:
    """got, ping or pong."""
    return _U64.pack(kind, at)


def audio(start: int, sound: bytes) -> bytes:
    """The client's sound, from input position `start` on."""
    return _U64.pack(AUDIO, start) + sound


def played(upto: int, waiting: int) -> bytes:
    """The client's confirmation."""
    return _PLAYED.pack(PLAYED, upto, waiting)


def sound(start: int, epoch: int, heard: int, samples: bytes) -> bytes:
    """The server's sound, from output position `start` on."""
    return _SOUND.pack(SOUND, start, epoch, heard) + samples


def flush(epoch: int, start: int) -> bytes:
    """Play nothing of this reply from `start` on."""
    return _FLUSH.pack(FLUSH, epoch, start)


def parse(data: bytes) -> Message:
    """Bytes -> the message, either way.

    Raises:
        BadInput: cut short, an unknown kind, or not a JSON object where there must be one.
    """
    if not isinstance(data, bytes | bytearray | memoryview) or not data:
        raise BadInput("a message is binary and begins with a byte for its kind; this one is text or empty")
    kind = data[0]
    try:
        if kind == AUDIO:
            return Message(kind, at=_U64.unpack_from(data)[1], sound=memoryview(data)[_U64.size :])
        if kind == SOUND:
            _, start, epoch, heard = _SOUND.unpack_from(data)
            return Message(kind, at=start, epoch=epoch, heard=heard, sound=memoryview(data)[_SOUND.size :])
        if kind == PLAYED:
            _, upto, waiting = _PLAYED.unpack(data)
            return Message(kind, at=upto, waiting=waiting)
        if kind == FLUSH:
            _, epoch, start = _FLUSH.unpack(data)
            return Message(kind, epoch=epoch, at=start)
        if kind in (GOT, PING, PONG):
            return Message(kind, at=_U64.unpack(data)[1])
    except struct.error as short:
        raise BadInput(f"a message {NAMES[kind]!r} of {len(data)} bytes has the wrong length ({short})") from short
    if kind not in NAMES:
        raise BadInput(f"a message of kind 0x{kind:02x} is unknown; kinds are 0x01 to 0x05 and 0x81 to 0x88")
    return Message(kind, body=_object(data, NAMES[kind]))


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        body = json.loads(bytes(data[1:]))
    except (ValueError, RecursionError) as broken:
        raise BadInput(
            f"a message {name!r} does not hold JSON ({type(broken).__name__}); expected an object"
        ) from broken
    if not isinstance(body, dict):
        raise BadInput(f"a message {name!r} holds {type(body).__name__}, expected a JSON object")
    return body
