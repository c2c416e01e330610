"""Lets the API listen: uvicorn in a thread of its own, beside whatever else the program does.

Owns TLS and a clean end; where it may listen is `listen`'s.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from starlette.types import Receive, Scope, Send

from tools.office.api import web
from tools.office.api.listen import Listen, ListenError, check
from tools.office.api.web import Log

_CONNECTIONS = 200
_END_S = 3


class Served(Protocol):
    """An ASGI application; `stop` lets what would go on for ever end."""

    stop: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        ...


@contextmanager
def running(keeper: Served, listen: Listen, log: Log) -> Iterator[int]:
    """Answer requests while the block runs; give the port. Raises ListenError before anything is answered."""
    check(listen)
    _load_certificate(listen)
    with _bound(listen) as bound:
        port = bound.getsockname()[1]
        server = web.server(
            keeper,
            log,
            "api_server",
            _END_S,
            ws="none",
            lifespan="off",
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=5,
            ssl_certfile=listen.certificate,
            ssl_keyfile=listen.key,
        )
        thread = threading.Thread(target=server.run, args=([bound],), name="api", daemon=True)
        thread.start()
        at = Listen(listen.host, port, listen.certificate, listen.key)
        log("api_started", url=at.url)
        try:
            yield port
        finally:
            keeper.stop()
            server.should_exit = True
            thread.join(2 * _END_S)
            log("api_stopped")


def _load_certificate(listen: Listen) -> None:
    if listen.certificate is None or listen.key is None:
        return
    try:
        if listen.key.stat().st_mode & 0o077:
            raise ListenError(f"{listen.key} can be read by others: chmod 600 {listen.key}")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            listen.certificate, listen.key, password=lambda: ""
        )
    except OSError as error:  # SSLError too
        words = error.strerror or "not a certificate and its key"
        raise ListenError(f"{error.filename or listen.certificate}: {words}") from error


def _bound(listen: Listen) -> socket.socket:
    try:
        return web.bound(listen.host, listen.port)
    except OSError as error:
        raise ListenError(f"{listen.url}: {error.strerror}") from error
