"""A conversation as OpenAI Realtime sees it: items in order, and what each event of theirs looks like. Pure values."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

MOST = 2000
"""Items that are remembered."""


def name(prefix: str) -> str:
    """A name that is not used yet."""
    return f"{prefix}_{secrets.token_hex(10)}"


@dataclass(eq=False)
class Item:
    """A message of one party."""

    role: str
    id: str = field(default_factory=lambda: name("item"))
    status: str = "in_progress"
    text: str = ""
    """What is said, or written."""
    kind: str = "input_audio"
    """input_audio, input_text, output_audio or output_text."""
    epoch: int = 0
    """The reply, of an assistant's item."""
    start: int = -1
    """Output position of its first sample, at the engine's rate."""
    samples: int = 0
    """Of sound, at the engine's rate."""
    pieces: list[tuple[int, str]] = field(default_factory=list)
    """(samples of the reply made before, piece of the text)."""

    def part(self) -> dict[str, Any]:
        """Its one piece of content."""
        if self.kind in ("input_text", "output_text"):
            return {"type": self.kind, "text": self.text}
        return {"type": self.kind, "transcript": self.text}

    def body(self) -> dict[str, Any]:
        """The item as clients see it."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [self.part()],
        }

    def cut(self, samples: int) -> None:
        """Only the first samples were heard: the text that was made after them goes, whole pieces at a time."""
        self.samples = min(self.samples, samples)
        self.pieces = [(at, piece) for at, piece in self.pieces if at < samples]
        self.text = "".join(piece for _, piece in self.pieces)


class Conversation:
    """Items in order."""

    def __init__(self) -> None:
        self.id = name("conv")
        self.items: list[Item] = []

    def find(self, wanted: object) -> Item | None:
        return next((item for item in self.items if item.id == wanted), None)

    @property
    def last(self) -> str | None:
        return self.items[-1].id if self.items else None

    def before(self, item: Item) -> str | None:
        """The id of the item before this one."""
        at = self.items.index(item)
        return self.items[at - 1].id if at else None

    def add(self, item: Item, after: object = None) -> str | None:
        """Put an item at the end, first ("root"), or after another -> the id of the one before it."""
        place = len(self.items)
        if after == "root":
            place = 0
        elif after is not None:
            place = next(i for i, each in enumerate(self.items) if each.id == after) + 1
        self.items.insert(place, item)
        del self.items[: max(0, len(self.items) - MOST)]
        return self.before(item)


@dataclass(eq=False)
class Answer:
    """One response: from its creation to its end."""

    item: Item
    modality: str
    form: dict[str, Any]
    id: str = field(default_factory=lambda: name("resp"))
    epoch: int = 0
    asked: bool = False
    """By the client, so that an end without sound is no surprise."""
    metadata: Any = None
    why: str = "turn_detected"
    said: bool = False
    """Whether its content part was announced."""

    def body(
        self, conversation: str, status: str, reason: str | None = None, error: str | None = None
    ) -> dict[str, Any]:
        """The response as clients see it."""
        details: dict[str, Any] | None = None
        if status not in ("in_progress", "completed"):
            details = {"type": status}
            if reason:
                details["reason"] = reason
            if error:
                details["error"] = {"type": "server_error", "code": error}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": [self.item.body()] if status != "in_progress" else [],
            "conversation_id": conversation,
            "output_modalities": [self.modality],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": self.form}},
            "metadata": self.metadata,
            "usage": None if status == "in_progress" else {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0},
        }
