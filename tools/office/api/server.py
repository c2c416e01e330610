"""Lets the API listen: uvicorn in a thread of its own, beside whatever else the program does.

Owns sockets, TLS, and a clean end; where it may listen is `listen`'s.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import uvicorn
from starlette.types import Receive, Scope, Send

from tools.office.api.keeper import Log
from tools.office.api.listen import Listen, ListenError, check

_CONNECTIONS = 200
_END_S = 3
_BACKLOG = 64


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
        server = uvicorn.Server(_config(keeper, listen, log))
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


def _config(keeper: Served, listen: Listen, log: Log) -> uvicorn.Config:
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_Lines(log)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    return uvicorn.Config(
        keeper,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_END_S,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )


class _Lines(logging.Handler):
    """Tells what uvicorn has to say, in one line."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log_line = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log_line("api_server", why=record.getMessage().splitlines()[0][:200])


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
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host, listen.port))
        bound.listen(_BACKLOG)
        bound.set_inheritable(False)
        return bound
    except OSError as error:
        bound.close()
        raise ListenError(f"{listen.url}: {error.strerror}") from error
