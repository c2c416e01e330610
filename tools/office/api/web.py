"""What every server here has alike: its socket, uvicorn's settings, and its complaints as lines of a log.

Owns no page and no rule about who may.
"""

import logging
import socket
import traceback
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

Log = Callable[..., None]  # log(event, **fields)
_BACKLOG = 64


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an IP address. Raises OSError."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.set_inheritable(False)
    except OSError:
        made.close()
        raise
    return made


def server(app: ASGIApp, log: Log, event: str, end_s: int, **settings: Any) -> uvicorn.Server:
    """Return what answers on sockets that it is given; it complains as `log(event, why=)`.

    `end_s`: how long answers may still take at the end. `settings`: uvicorn's, beside those of all servers.
    """
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_Lines(log, event)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=end_s,
            **settings,
        )
    )


class _Lines(logging.Handler):
    """Tells what uvicorn has to say, in one line; of an error its kind and place, not what was in it."""

    def __init__(self, log: Log, event: str) -> None:
        super().__init__(logging.WARNING)
        self._log_line, self._event = log, event

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().splitlines()[0][:200]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{text}: {type(error).__name__} at {where.name}:{where.lineno}"
        self._log_line(self._event, why=text)
