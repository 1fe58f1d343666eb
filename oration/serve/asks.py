"""What a Realtime client may ask for, event by event. Each is done, or refused with a code of its own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oration.core import Waveform
from oration.serve import terms
from oration.serve.items import Item
from oration.serve.terms import Wrong

if TYPE_CHECKING:
    from oration.serve.realtime import Realtime

LEAST = 0.1
"""Seconds of sound that can be committed."""


def answer(side: Realtime, event: dict[str, Any], now: float) -> None:
    """Do what one event asks for.

    Raises:
        Wrong, BadInput: it is refused.
    """
    ask = ASKS.get(event["type"])
    if ask is None:
        raise Wrong("unknown_event", f"there is no client event {event['type'][:60]!r}", "type")
    ask(side, event, now)


def _update(side: Realtime, event: dict[str, Any], now: float) -> None:
    before = side.session
    new = terms.merged(before, event.get("session"), side.spoken)
    if side.call.received and new["audio"]["input"]["format"] != before["audio"]["input"]["format"]:
        raise Wrong("invalid_value", "the format stays as it is once there was sound", "session.audio.input.format")
    side.session = new
    try:
        if new["audio"]["output"].get("voice") != before["audio"]["output"].get("voice"):
            side.choose_voice(new["audio"]["output"]["voice"], now)
    except Wrong:
        side.session = before
        raise
    if not side.spoken:
        side.set_formats()
    side.call.policy(terms.policy(new["audio"]["input"]["turn_detection"]), now)
    side.send("session.updated", session=new)


def _append(side: Realtime, event: dict[str, Any], now: float) -> None:
    data = event.get("audio")
    if not isinstance(data, str):
        raise Wrong("invalid_type", "audio is a string of base64", "audio")
    try:
        sound = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("invalid_audio", "audio is not base64", "audio") from None
    most = side.hub.settings.limits.append
    if len(sound) > most:
        raise Wrong("audio_too_large", f"{len(sound)} bytes of sound in one event; at most {most}", "audio")
    samples = side.coding.decode(sound)
    if len(samples):
        side.call.push(Waveform(samples, side.rate), now)


def _commit(side: Realtime, event: dict[str, Any], now: float) -> None:
    rate = side.hub.worker.engine.rate
    if side.call.received - side.buffer < LEAST * rate:
        held = side.ms(side.call.received - side.buffer)
        raise Wrong("input_audio_buffer_commit_empty", f"the buffer holds {held} ms of sound; at least 100 are needed")
    side.call.settle(now)
    side.commit(side.user or Item("user"))
    side.call.commit(now)


def _clear(side: Realtime, event: dict[str, Any], now: float) -> None:
    side.call.clear(now)
    side.buffer, side.user = side.call.received, None
    side.send("input_audio_buffer.cleared")


def _create_item(side: Realtime, event: dict[str, Any], now: float) -> None:
    given = event.get("item")
    if not isinstance(given, dict):
        raise Wrong("invalid_type", "item is an object", "item")
    if given.get("type") != "message":
        raise Wrong(
            "tools_unsupported", f"items of type {str(given.get('type'))[:40]!r} mean nothing here", "item.type"
        )
    if given.get("role") != "user":
        said = f"items of role {str(given.get('role'))[:40]!r} cannot be put in; the model says its own"
        raise Wrong("role_unsupported", said, "item.role")
    content = given.get("content")
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        raise Wrong("invalid_type", "item.content is a list of parts", "item.content")
    if any(part.get("type") != "input_text" for part in content):
        said = "an item holds input_text here; send sound by input_audio_buffer.append"
        raise Wrong("content_unsupported", said, "item.content")
    if not side.reads:
        raise Wrong("text_unsupported", "this model does not read text; speak to it", "item.content")
    text = " ".join(str(part.get("text", "")) for part in content).strip()
    if not text:
        raise Wrong("invalid_value", "the item holds no text", "item.content")
    item = Item("user", text=text, kind="input_text", status="completed")
    if given.get("id") is not None:
        if not isinstance(given["id"], str) or not 0 < len(given["id"]) <= 64 or side.talk.find(given["id"]):
            raise Wrong("invalid_value", "item.id is taken, or not a string of up to 64 characters", "item.id")
        item.id = given["id"]
    after = event.get("previous_item_id")
    if after not in (None, "root") and side.talk.find(after) is None:
        raise Wrong("item_not_found", f"there is no item {str(after)[:64]!r}", "previous_item_id")
    before = side.talk.add(item, after)
    side.typed.append(text)
    for kind in ("added", "created", "done"):
        side.send(f"conversation.item.{kind}", item=item.body(), previous_item_id=before)


def _item(side: Realtime, event: dict[str, Any]) -> Item:
    item = side.talk.find(event.get("item_id"))
    if item is None:
        raise Wrong("item_not_found", f"there is no item {str(event.get('item_id'))[:64]!r}", "item_id")
    return item


def _retrieve(side: Realtime, event: dict[str, Any], now: float) -> None:
    side.send("conversation.item.retrieved", item=_item(side, event).body())


def _delete(side: Realtime, event: dict[str, Any], now: float) -> None:
    item = _item(side, event)
    if side.answer is not None and side.answer.item is item:
        raise Wrong("item_in_progress", "the item is being said; cancel the response first", "item_id")
    side.talk.items.remove(item)
    side.send("conversation.item.deleted", item_id=item.id)


def _truncate(side: Realtime, event: dict[str, Any], now: float) -> None:
    item = _item(side, event)
    if item.kind != "output_audio":
        raise Wrong("item_not_audio", "only spoken items of the assistant can be truncated", "item_id")
    if event.get("content_index", 0) != 0:
        raise Wrong("invalid_value", "content_index is 0: an item has one part", "content_index")
    end = event.get("audio_end_ms")
    if not isinstance(end, int) or isinstance(end, bool) or end < 0:
        raise Wrong("invalid_value", f"audio_end_ms is {end!r}; expected a whole number from 0", "audio_end_ms")
    rate = side.hub.worker.engine.rate
    if end * rate > (item.samples + rate // 1000) * 1000:
        said = f"audio_end_ms is {end}, but the item has {side.ms(item.samples)} ms of sound"
        raise Wrong("audio_end_beyond", said, "audio_end_ms")
    if item.start >= 0:
        side.truncate(item, min(item.samples, end * rate // 1000), now)
    side.send("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end)


def _respond(side: Realtime, event: dict[str, Any], now: float) -> None:
    given = event.get("response") or {}
    if not isinstance(given, dict):
        raise Wrong("invalid_type", "response is an object", "response")
    if side.answer is not None or side.asked is not None:
        raise Wrong("conversation_already_has_active_response", "a response is in progress; cancel it first")
    if side.owns_turns and not side.typed:
        raise Wrong("model_owns_turns", "this model decides by itself when to speak; just talk to it")
    for key in ("tools", "prompt", "reasoning", "input"):
        if given.get(key):
            raise Wrong(f"{key}_unsupported", f"no model here knows {key}; leave it out", f"response.{key}")
    if given.get("conversation", "auto") != "auto":
        raise Wrong("out_of_band_unsupported", "responses belong to the conversation: auto", "response.conversation")
    asked: dict[str, Any] = {"metadata": given.get("metadata")}
    if given.get("output_modalities") is not None:
        asked["modality"] = terms.modalities(given["output_modalities"], "response.output_modalities")[0]
    side.asked = asked
    side.call.settle(now)
    if side.typed:
        words, side.typed = " ".join(side.typed), []
        side.call.text(words, now)
    else:
        side.call.respond(now)
    side.call.collect(now)
    if side.asked is not None:
        side.asked = None
        raise Wrong("nothing_to_respond_to", "there is nothing to reply to yet; say something first")


def _cancel(side: Realtime, event: dict[str, Any], now: float) -> None:
    wanted = event.get("response_id")
    if side.answer is None or wanted not in (None, side.answer.id):
        raise Wrong("response_cancel_not_active", "no such response is in progress, so nothing was cancelled")
    side.why = "client_cancelled"
    side.call.cancel(now)
    side.call.collect(now)


def _clear_output(side: Realtime, event: dict[str, Any], now: float) -> None:
    said = "there is no output buffer over WebSocket; use response.cancel and conversation.item.truncate"
    raise Wrong("webrtc_only", said, "type")


ASKS: dict[str, Callable[[Realtime, dict[str, Any], float], None]] = {
    "session.update": _update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "conversation.item.create": _create_item,
    "conversation.item.retrieve": _retrieve,
    "conversation.item.truncate": _truncate,
    "conversation.item.delete": _delete,
    "response.create": _respond,
    "response.cancel": _cancel,
    "output_audio_buffer.clear": _clear_output,
}
"""Every client event there is (a test compares with the official client's types)."""
