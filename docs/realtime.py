"""Writes docs/realtime.md: every event of OpenAI's Realtime (GA), what becomes of it here, and the test that shows it.

    python docs/realtime.py

The names of events are those of the official client's types; one that it has and this table has not stops the script.
"""

from pathlib import Path
from typing import get_args

from openai.types.realtime import realtime_client_event, realtime_server_event

TELEPHONE = "there is no telephone line and no WebRTC here, only WebSocket"
TOOLS = "no model here calls tools; asked for, they are refused as `tools_unsupported`"

CLIENT = {
    "session.update": (
        "done; `tools_unsupported`, `prompt_unsupported`, `reasoning_unsupported`, `session_type_unsupported`, "
        "`voice_unknown`, `invalid_value`, `invalid_type` for what is not. Instructions are kept and change nothing",
        "test_session_begins_and_changes",
    ),
    "input_audio_buffer.append": ("done, never acknowledged; at most 15 MiB of sound", "test_speech_is_answered"),
    "input_audio_buffer.commit": (
        "done; less than 100 ms is `input_audio_buffer_commit_empty`",
        "test_without_detection_the_client_commits_and_asks",
    ),
    "input_audio_buffer.clear": (
        "done for what the engine has not heard yet",
        "test_without_detection_the_client_commits_and_asks",
    ),
    "conversation.item.create": (
        "user's text done, where the model reads text (else `text_unsupported`); `role_unsupported`, "
        "`content_unsupported`, `tools_unsupported` for the rest",
        "test_text_is_answered_in_text_or_sound",
    ),
    "conversation.item.retrieve": ("done, without the sound", "test_without_detection_the_client_commits_and_asks"),
    "conversation.item.truncate": (
        "done: text and context keep what was heard; `audio_end_beyond`, `item_not_audio`, `invalid_value`",
        "test_truncate_cuts_what_was_heard",
    ),
    "conversation.item.delete": ("done in the list of items; the model's context stays", "test_items_are_deleted"),
    "response.create": (
        "done; `conversation_already_has_active_response`, `nothing_to_respond_to`, `out_of_band_unsupported`; "
        "`model_owns_turns` where the model itself decides when to speak",
        "test_text_is_answered_in_text_or_sound",
    ),
    "response.cancel": ("done; with nothing running `response_cancel_not_active`", "test_cancel"),
    "output_audio_buffer.clear": ("refused: `webrtc_only`", "test_what_is_refused_is_refused_by_name"),
}

SPEECH, TEXT = "test_speech_is_answered", "test_text_is_answered_in_text_or_sound"
SERVER = {
    "error": ("sent, with a code and the client's event_id", "test_what_is_refused_is_refused_by_name"),
    "session.created": ("sent at once", "test_session_begins_and_changes"),
    "session.updated": ("sent", "test_session_begins_and_changes"),
    "conversation.created": ("sent at once", "test_session_begins_and_changes"),
    "conversation.item.added": ("sent", SPEECH),
    "conversation.item.created": ("sent for items that the client creates", TEXT),
    "conversation.item.done": ("sent", TEXT),
    "conversation.item.retrieved": ("sent", "test_without_detection_the_client_commits_and_asks"),
    "conversation.item.truncated": ("sent", "test_truncate_cuts_what_was_heard"),
    "conversation.item.deleted": ("sent", "test_items_are_deleted"),
    "conversation.item.input_audio_transcription.delta": ("sent, where the engine understands words", SPEECH),
    "conversation.item.input_audio_transcription.completed": ("sent, where the engine understands words", SPEECH),
    "conversation.item.input_audio_transcription.failed": (
        "sent after the response, where transcription was asked for and the engine makes no words",
        "test_a_transcription_that_never_comes_has_failed",
    ),
    "conversation.item.input_audio_transcription.segment": ("never: no engine tells speakers apart", ""),
    "input_audio_buffer.committed": ("sent", SPEECH),
    "input_audio_buffer.cleared": ("sent", "test_without_detection_the_client_commits_and_asks"),
    "input_audio_buffer.speech_started": ("sent", SPEECH),
    "input_audio_buffer.speech_stopped": ("sent", SPEECH),
    "input_audio_buffer.timeout_triggered": ("sent", "test_idle_time_out"),
    "input_audio_buffer.dtmf_event_received": (f"never: {TELEPHONE}", ""),
    "output_audio_buffer.started": (f"never: {TELEPHONE}", ""),
    "output_audio_buffer.stopped": (f"never: {TELEPHONE}", ""),
    "output_audio_buffer.cleared": (f"never: {TELEPHONE}", ""),
    "response.created": ("sent", SPEECH),
    "response.done": ("sent: completed, cancelled with its reason, incomplete, failed", "test_cancel"),
    "response.output_item.added": ("sent", SPEECH),
    "response.output_item.done": ("sent", SPEECH),
    "response.content_part.added": ("sent", SPEECH),
    "response.content_part.done": ("sent", SPEECH),
    "response.output_text.delta": ("sent, where text was asked for", TEXT),
    "response.output_text.done": ("sent, where text was asked for", TEXT),
    "response.output_audio.delta": ("sent", SPEECH),
    "response.output_audio.done": ("sent", SPEECH),
    "response.output_audio_transcript.delta": ("sent, where the model says text", SPEECH),
    "response.output_audio_transcript.done": ("sent", SPEECH),
    "response.function_call_arguments.delta": (f"never: {TOOLS}", ""),
    "response.function_call_arguments.done": (f"never: {TOOLS}", ""),
    "response.mcp_call_arguments.delta": (f"never: {TOOLS}", ""),
    "response.mcp_call_arguments.done": (f"never: {TOOLS}", ""),
    "response.mcp_call.in_progress": (f"never: {TOOLS}", ""),
    "response.mcp_call.completed": (f"never: {TOOLS}", ""),
    "response.mcp_call.failed": (f"never: {TOOLS}", ""),
    "mcp_list_tools.in_progress": (f"never: {TOOLS}", ""),
    "mcp_list_tools.completed": (f"never: {TOOLS}", ""),
    "mcp_list_tools.failed": (f"never: {TOOLS}", ""),
    "rate_limits.updated": ("never: nothing is metered by response; too fast a sender is read more slowly", ""),
}

HEAD = """# OpenAI's Realtime events, one by one

Written by `python docs/realtime.py` from the table in it and the event types of the official Python client. The tests
named here drive `oration serve` with that client, unmodified, and check each event it is sent against the client's own
types; they are in [test_realtime_events.py](../tests/serve/test_realtime_events.py).

```python
import asyncio

from openai import AsyncOpenAI


async def main():
    client = AsyncOpenAI(api_key="a token, or anything", websocket_base_url="ws://127.0.0.1:8710/v1")
    async with client.realtime.connect(model="pocket") as connection:
        async for event in connection:
            print(event.type)


asyncio.run(main())
```

Sound is PCM16 at 24 kHz, or G.711 (`audio/pcmu`, `audio/pcma`) at 8 kHz. `server_vad` sets our policy's threshold,
prefix, silence, whether a turn's end begins a reply and whether speech stops one. `semantic_vad` sets the silence
alone: an eighth of the longest wait that its eagerness stands for, as nothing here judges meaning. Clients do not say
what they have played, so a reply counts as played at the pace of time, half a second behind;
`conversation.item.truncate` says it exactly, for as long as the server has not assumed more.
"""


def types(union: object) -> list[str]:
    """The names of a union's events."""
    return [get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(union)[0])]


def table(title: str, names: list[str], rows: dict[str, tuple[str, str]]) -> str:
    """One table, of exactly these events."""
    assert sorted(names) == sorted(rows), set(names) ^ set(rows)
    lines = [f"## {title}", "", "| event | here | shown by |", "|---|---|---|"]
    lines += [f"| `{name}` | {said} | {f'`{test}`' if test else ''} |" for name, (said, test) in rows.items()]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    client = table("From the client", types(realtime_client_event.RealtimeClientEvent), CLIENT)
    server = table("From the server", types(realtime_server_event.RealtimeServerEvent), SERVER)
    return "\n".join((HEAD, client, server))


if __name__ == "__main__":
    (Path(__file__).parent / "realtime.md").write_text(page(), encoding="utf-8")
