"""The application: its routes, its page, and how it starts and stops."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.staticfiles import StaticFiles

from oration.live.engine import Engine
from oration.serve import compact, moshi, realtime, wire
from oration.serve.hub import Hub
from oration.serve.pipe import Pipe
from oration.serve.security import Refused, bearer
from oration.serve.settings import Settings

PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What the page may load: nothing from elsewhere."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


def create(settings: Settings, make: Callable[[], Engine], title: str) -> FastAPI:
    """The application around the engine that `make` builds; `app.state.hub` holds what it knows."""
    hub = Hub(settings, make, title)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        await hub.stop()

    app = FastAPI(title="oration", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.hub = hub

    async def headers(request: Request, answer: RequestResponseEndpoint) -> Response:
        response = await answer(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # The names of what is in assets/ change with it; an old index.html would ask for what is gone.
        if not request.url.path.startswith("/assets/"):
            response.headers.setdefault("Cache-Control", "no-cache")
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=headers)
    _http(app, hub)
    _sockets(app, hub)
    if PAGE.is_dir() and any(PAGE.glob("index.html")):
        app.mount("/", StaticFiles(directory=PAGE, html=True, follow_symlink=False))
    else:
        text = "<!doctype html><meta charset=utf-8><title>oration</title><p>The page is not built; the server runs."
        app.get("/")(lambda: HTMLResponse(text))
    return app


def _http(app: FastAPI, hub: Hub) -> None:
    """What is asked for without a WebSocket."""

    @app.get("/health")
    async def health() -> Response:
        status = hub.status
        return JSONResponse(
            {"status": status, "sessions": len(hub.connections), "reason": hub.worker.broken},
            200 if status == "ok" else 503,
        )

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(hub.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/info")
    async def info() -> dict[str, Any]:
        return hub.info()

    @app.post("/v1/tokens")
    async def tokens(request: Request) -> Response:
        try:
            hub.gate.origin(request.headers)
            token, seconds = hub.gate.once(hub.gate.name(bearer(request.headers, [])))
        except Refused as refused:
            hub.metrics.refused[refused.code] += 1
            return JSONResponse({"error": {"code": refused.code, "message": str(refused)}}, refused.status)
        return JSONResponse({"token": token, "expires_in": seconds}, headers={"Cache-Control": "no-store"})


def _sockets(app: FastAPI, hub: Hub) -> None:
    limits = hub.settings.limits

    @app.websocket("/v1/live")
    async def live(websocket: WebSocket) -> None:
        await hub.serve(websocket, "live", compact.dialect, limits.message, wire.SUBPROTOCOL)

    @app.websocket("/v1/realtime")
    async def events(websocket: WebSocket) -> None:
        await hub.serve(websocket, "realtime", realtime.dialect, limits.append * 4 // 3 + (1 << 16), "realtime")

    @app.websocket("/api/chat")
    async def chat(websocket: WebSocket) -> None:
        await hub.serve(websocket, "moshi", moshi.dialect, limits.message, None)


class Server(uvicorn.Server):
    """Stops in two steps: at the first signal sessions may end by themselves, at the second all is over."""

    hub: Hub

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A signal came."""
        if self.hub.draining or self.should_exit:
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)
        print("oration: stopping when sessions have ended; once more to stop at once", file=sys.stderr, flush=True)
        self.hub.drain(self._leave)

    def _leave(self) -> None:
        self.should_exit = True


def server(app: FastAPI, settings: Settings) -> Server:
    """A server for the application, not running yet."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws=Pipe,
        http="h11",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=settings.limits.append * 4 // 3 + (1 << 16),
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        backlog=2048,
    )
    made = Server(config)
    made.hub = app.state.hub
    return made


def run(settings: Settings, make: Callable[[], Engine], title: str, say: Callable[[str], None]) -> None:
    """Serve until a signal comes; `say` is told the address, which with port 0 is known only then."""
    app = create(settings, make, title)
    made = server(app, settings)
    # All that is loaded by now stays: a collection that goes through it holds up every session for a tenth of a second.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 1000)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((settings.host, settings.port))
    bound.listen(2048)
    host = f"[{settings.host}]" if family == socket.AF_INET6 else settings.host
    say(f"http://{host}:{bound.getsockname()[1]}/")
    asyncio.run(made.serve(sockets=[bound]))
