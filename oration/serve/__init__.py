"""The server: live sessions over WebSockets, for our own protocol, OpenAI Realtime and Moshi's (docs/serving.md)."""
