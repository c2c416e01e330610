"""What stands in front of every route: the token, the log of requests, and faults that nobody expected.

Owns authentication and how much may be sent how slowly. The log names the route, never the card in it.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.office.api import problems
from tools.office.api.metrics import Metrics
from tools.office.api.tokens import Token, TokenError, Tokens
from tools.office.api.web import Log

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_TOKEN_LONGEST = 200
BODY_BYTES = 16384
_BODY_S = 10


class Keeper:
    """An ASGI application: `app`, for those with a token only. `stop` lets what would go on for ever end."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, metrics: Metrics, log: Log, stop: Callable[[], None]
    ) -> None:
        self.app = app
        self.stop = stop
        self._tokens = tokens
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
                self._metrics.requests.labels(_method(scope), _route(scope), str(status)).observe(
                    time.perf_counter() - begin
                )
            await send(message)

        token: Token | None = None
        try:
            token = await self._admit(scope, receive, sending)
            if token is not None:
                body = await read_body(receive)
                if isinstance(body, Response):
                    await body(scope, receive, sending)
                else:
                    await self.app(scope, _replayed(body, receive), sending)
        except Exception as error:  # noqa: BLE001  (a request must not take the office down)
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._log("api_fault", why=f"{type(error).__name__} at {where.name}:{where.lineno}")
            if not status:
                await problems.problem(500, "a fault of the office")(scope, receive, sending)
        finally:
            self._log(
                "request",
                method=_method(scope),
                route=_route(scope),
                status=status,
                ms=round((time.perf_counter() - begin) * 1000, 1),
                token=token.name if token is not None else "",
                client=(scope.get("client") or ("",))[0],
            )

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> Token | None:
        """Return whose request it is; or answer that it is nobody's, and return None."""
        refusal: Response
        try:
            token = await run_in_threadpool(self._tokens.of, _token_text(scope))
            if token is not None:
                scope["pinter.token"] = token
                return token
            self._metrics.unauthorised.inc()
            words = "a token is needed: Authorization: Bearer TOKEN (pinter office token add)"
            refusal = problems.problem(401, words, {"WWW-Authenticate": 'Bearer realm="pinter"'})
        except TokenError as error:
            refusal = problems.problem(503, str(error))
        await refusal(scope, receive, send)
        return None


async def read_body(receive: Receive) -> bytes | Response:
    """Return the body of the request, or the refusal of one that is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY_BYTES:
                    return problems.problem(413, f"a request has at most {BODY_BYTES} bytes")
                if not message.get("more_body", False):  # "http.disconnect" has none either
                    return bytes(body)
    except TimeoutError:
        return problems.problem(408, f"the request was not there within {_BODY_S} s")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives `body` first, then what else comes."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _token_text(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return ""
    scheme, _, text = given[0].partition(b" ")
    return text.strip().decode("latin-1")[:_TOKEN_LONGEST] if scheme.lower() == b"bearer" else ""


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return getattr(route, "path", "") if route is not None else ""
