"""Serves the page, its messages over a WebSocket, and the files of the last tap.

Owns who may: only this machine, and only a page that came from here; anywhere else a token, kept in a cookie.
It plays nothing.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import pathlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from firmware.policy import DIRECTIONS, REASONS
from host_sim.scenario import stage
from host_sim.web import commands, trace
from host_sim.web.hall import Hall, Listener
from tools.office import journal_image
from tools.office.api import web
from tools.office.api.web import Log

PAGE = pathlib.Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html"),
    "/hall.css": ("hall.css", "text/css"),
    "/hall.js": ("hall.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/words.js": ("words.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
COOKIE = "pinter_hall"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_PAGES = 20  # at a time
_END_S = 2


class Guard:
    """Lets in who may see the hall; with a `token`, who knows it.

    Without one a page of another site could talk to this port from a browser on this machine: the Host must
    be this machine by name or number, and the Origin of a WebSocket the page itself.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        refusal = self._refusal(connection)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await self._answer(connection, refusal)(scope, receive, send)

    def _answer(self, connection: HTTPConnection, refusal: str) -> Response:
        given = connection.query_params.get("token")
        if self._token and given and hmac.compare_digest(given.encode(), self._token.encode()):
            response = RedirectResponse(connection.url.path, 303, headers=HEADERS)
            is_https = connection.url.scheme == "https"
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=is_https)
            return response
        return PlainTextResponse(refusal + "\n", 403, headers=HEADERS)

    def _refusal(self, connection: HTTPConnection) -> str | None:
        origin = connection.headers.get("origin")
        host = connection.headers.get("host", "")
        if connection.scope["type"] == "websocket" and origin and origin.split("://")[-1] != host:
            return "this page came from elsewhere"
        if self._token is not None:
            given = connection.cookies.get(COOKIE, "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return "open the address with its token, as the server printed it"
            return None
        return None if _is_here(host) else "only this machine is answered: use 127.0.0.1 or localhost"


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def create(hall: Hall, token: str | None, log: Log) -> Starlette:
    """Return the application around `hall`."""
    pages: set[WebSocket] = set()

    def file(path: str) -> Callable[[Request], Awaitable[Response]]:
        name, kind = FILES[path]

        async def answer(request: Request) -> Response:
            return FileResponse(PAGE / name, media_type=kind, headers=HEADERS)

        return answer

    async def rows(request: Request) -> Response:
        error, found = await hall.ask({"type": "trace"})
        if error is not None:
            return PlainTextResponse(error + "\n", 409, headers=HEADERS)
        if request.url.path.endswith(".csv"):
            headers = {**HEADERS, "content-disposition": 'attachment; filename="last-tap.csv"'}
            text = await asyncio.to_thread(trace.as_csv, found["rows"])
            return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
        return JSONResponse({"columns": trace.COLUMNS, "rows": found["rows"]}, headers=HEADERS)

    async def journal(request: Request) -> Response:
        error, found = await hall.ask({"type": "journal"})
        if error is not None:
            return PlainTextResponse(error + "\n", 409, headers=HEADERS)
        return JSONResponse(await asyncio.to_thread(_journal, found["image"], found["gate"]), headers=HEADERS)

    async def talk(socket_: WebSocket) -> None:
        if len(pages) >= _PAGES:
            await socket_.close(1013, "too many pages are open")
            return
        await socket_.accept()
        pages.add(socket_)
        listener = Listener(asyncio.get_running_loop())
        await socket_.send_json({"type": "hello", "stories": hall.stories})
        hall.listen(listener)
        sending = asyncio.create_task(_send(socket_, listener))
        try:
            await _receive(socket_, hall)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the page is gone, in the middle of a message perhaps
        finally:
            hall.forget(listener)
            pages.discard(socket_)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        hall.start()
        try:
            yield
        finally:
            await asyncio.to_thread(hall.stop)

    return Starlette(
        routes=[
            *(Route(path, file(path)) for path in FILES),
            Route("/last-tap.csv", rows),
            Route("/last-tap.json", rows),
            Route("/journal.json", journal),
            WebSocketRoute("/talk", talk),
        ],
        middleware=[Middleware(Guard, token=token)],
        lifespan=lifespan,
    )


async def _send(socket_: WebSocket, listener: Listener) -> None:
    while True:
        for text in await listener.take():
            await socket_.send_text(text)


async def _receive(socket_: WebSocket, hall: Hall) -> None:
    """Answer each message with `done` or one clear `error`."""
    while True:
        received = await socket_.receive()
        if received["type"] == "websocket.disconnect":
            return
        number = None
        try:
            text = received.get("text")
            if text is None:
                raise commands.CommandError("a message is text, not bytes")
            message = commands.parse(text)
            number = message.get("id")
            error, found = await hall.ask(message)
        except commands.CommandError as refused:
            error, found = str(refused), {}
        answer: dict[str, Any] = {"type": "done" if error is None else "error", "id": number}
        await socket_.send_json({**answer, **(found if error is None else {"text": error})})


def _journal(image: bytes, gate: str) -> dict[str, Any]:
    """Return what the journal on the gate's flash says, read as the office would read it."""
    found = journal_image.read(image, stage.gate_key(gate))
    return {
        "ok": found.ok,
        "faults": [fault.text for fault in found.faults if fault.kind != "unfinished"],
        "records": [
            {
                "seq": event.seq,
                "time": event.time,
                "type": event.type,
                "direction": DIRECTIONS[event.direction & 15],
                "reason": REASONS[event.reason] if event.type in ("grant", "deny") else event.reason,
                "key": event.key.hex(),
            }
            for event in found.events
        ],
    }


def serve(app: Starlette, bound: socket.socket, log: Log) -> None:
    """Answer on `bound` until SIGTERM or Ctrl-C."""
    web.server(app, log, "server", _END_S, ws="websockets-sansio", ws_max_size=16_384).run([bound])
