"""What a Realtime client may set, and what becomes of it: a session's values, checked, as our policies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from oration.serve.items import name

RATE = 24_000
"""Hz of `audio/pcm`; G.711 has 8000."""
EAGER = {"low": 8.0, "medium": 4.0, "high": 2.0, "auto": 4.0}
"""Seconds of silence that semantic_vad waits at most."""
VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
    "idle_timeout_ms": None,
}
UNSUPPORTED = {
    "tools": "tools_unsupported",
    "prompt": "prompt_unsupported",
    "reasoning": "reasoning_unsupported",
}
"""Fields that ask for what no speech model here does, unless they are empty."""
IGNORED = (
    "instructions",
    "include",
    "max_output_tokens",
    "parallel_tool_calls",
    "tool_choice",
    "tracing",
    "truncation",
)
"""Fields that are kept and shown, and change nothing."""


class Wrong(Exception):
    """An event that is refused: a code for programs, a sentence, and the field."""

    def __init__(self, code: str, sentence: str, param: str | None = None) -> None:
        super().__init__(sentence)
        self.code, self.param = code, param


def default(model: str) -> dict[str, Any]:
    """A session as it begins."""
    form = {"type": "audio/pcm", "rate": RATE}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": name("sess"),
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
        "expires_at": int(time.time()) + 3600,
        "audio": {
            "input": {
                "format": dict(form),
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": dict(VAD),
            },
            "output": {"format": dict(form), "voice": "alloy", "speed": 1.0},
        },
    }


def form(value: object, param: str) -> tuple[str, int]:
    """A format of sound -> (our name, rate in Hz)."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "audio/pcm":
        if isinstance(value, Mapping) and value.get("rate", RATE) != RATE:
            raise Wrong(
                "invalid_value", f"audio/pcm has a rate of {RATE} Hz, not {value.get('rate')!r}", f"{param}.rate"
            )
        return "pcm16", RATE
    if kind in ("audio/pcmu", "audio/pcma"):
        return kind.removeprefix("audio/"), 8000
    raise Wrong("invalid_value", f"format {str(kind)[:40]!r}; expected audio/pcm, audio/pcmu or audio/pcma", param)


def detection(value: object) -> dict[str, Any] | None:
    """`turn_detection`, complete.

    Raises:
        Wrong: an unknown kind or a value out of range.
    """
    where = "session.audio.input.turn_detection"
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise Wrong("invalid_type", "turn_detection is an object or null", where)
    kind = value.get("type", "server_vad")
    if kind == "semantic_vad":
        given = {"type": kind, "eagerness": "auto", "create_response": True, "interrupt_response": True}
        if value.get("eagerness") not in (None, *EAGER):
            raise Wrong("invalid_value", f"eagerness is one of {', '.join(EAGER)}", f"{where}.eagerness")
    elif kind == "server_vad":
        given = dict(VAD)
        for key, least, most in (
            ("threshold", 0.0, 1.0),
            ("prefix_padding_ms", 0, 10_000),
            ("silence_duration_ms", 20, 60_000),
            ("idle_timeout_ms", 1000, 3_600_000),
        ):
            got = value.get(key)
            number = isinstance(got, int | float) and not isinstance(got, bool)
            if got is not None and not (number and least <= got <= most):
                raise Wrong("invalid_value", f"{key} is {got!r}; expected {least} to {most}", f"{where}.{key}")
    else:
        raise Wrong("invalid_value", f"turn_detection of type {str(kind)[:40]!r}; expected server_vad", f"{where}.type")
    for key in ("create_response", "interrupt_response"):
        if not isinstance(value.get(key, True), bool | None):
            raise Wrong("invalid_type", f"{key} is true or false", f"{where}.{key}")
    return {**given, **{key: value[key] for key in given if value.get(key) is not None}}


def policy(turn: Mapping[str, Any] | None) -> dict[str, Any]:
    """`turn_detection` as changes of our policy. None: turns end at `commit`, replies begin at `response.create`."""
    if turn is None:
        off = {"allowed": False}
        return {"endpoint": {"create": False, "silence": 3000.0}, "thinking": off, "speaking": off}
    stops = {"allowed": bool(turn["interrupt_response"])}
    changes: dict[str, Any] = {
        "endpoint": {"create": bool(turn["create_response"])},
        "thinking": stops,
        "speaking": stops,
    }
    if turn["type"] == "server_vad":
        changes["endpoint"] |= {
            "threshold": float(turn["threshold"]),
            "release": min(0.35, float(turn["threshold"])),
            "prefix": turn["prefix_padding_ms"] / 1000,
            "silence": turn["silence_duration_ms"] / 1000,
        }
        idle = turn["idle_timeout_ms"]
        changes["silence"] = {"after": None if idle is None else idle / 1000}
    else:
        # No scorer of meaning is there; its longest waits, an eighth of which is about what it takes on average.
        changes["endpoint"] |= {"silence": EAGER[turn["eagerness"]] / 8}
    return changes


def merged(session: dict[str, Any], changes: object, spoken: bool) -> dict[str, Any]:
    """The session after `session.update`: fields that are there replace those before.

    Raises:
        Wrong: a field of the wrong kind, or one that asks for what is not done here.
    """
    if not isinstance(changes, Mapping):
        raise Wrong("invalid_type", "session.update has an object `session`", "session")
    if changes.get("type", "realtime") != "realtime":
        said = f"sessions of type {str(changes.get('type'))[:40]!r} are not served here; expected realtime"
        raise Wrong("session_type_unsupported", said, "session.type")
    for key, code in UNSUPPORTED.items():
        if changes.get(key):
            raise Wrong(code, f"no model here knows {key}; leave it out", f"session.{key}")
    new = {**session, "audio": {way: dict(values) for way, values in session["audio"].items()}}
    for key in IGNORED:
        if key in changes:
            new[key] = changes[key]
    if "instructions" in changes and not isinstance(changes["instructions"], str):
        raise Wrong("invalid_type", "instructions are a string", "session.instructions")
    if "output_modalities" in changes:
        new["output_modalities"] = modalities(changes["output_modalities"], "session.output_modalities")
    _sound(new, session, changes.get("audio"), spoken)
    return new


def modalities(value: object, where: str) -> list[str]:
    """["audio"] or ["text"]."""
    if value in (["audio"], ["text"]):
        return list(value)  # type: ignore[call-overload,no-any-return]
    raise Wrong("invalid_value", 'output_modalities is ["audio"] or ["text"]', where)


def _sound(new: dict[str, Any], old: dict[str, Any], audio: object, spoken: bool) -> None:
    if audio is None:
        return
    if not isinstance(audio, Mapping):
        raise Wrong("invalid_type", "audio is an object", "session.audio")
    for way in ("input", "output"):
        given = audio.get(way)
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise Wrong("invalid_type", f"audio.{way} is an object", f"session.audio.{way}")
        mine = new["audio"][way]
        if given.get("format") is not None:
            form(given["format"], f"session.audio.{way}.format")
            mine["format"] = dict(given["format"])
        for key in ("noise_reduction", "transcription") if way == "input" else ("speed", "voice"):
            if key in given:
                mine[key] = given[key]
        if way == "input" and "turn_detection" in given:
            mine["turn_detection"] = detection(given["turn_detection"])
    if spoken and new["audio"]["output"] != old["audio"]["output"]:
        raise Wrong("invalid_value", "format and voice stay as they are once there was sound", "session.audio.output")
