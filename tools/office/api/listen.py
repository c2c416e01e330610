"""Where the API may listen: without TLS only on this machine, unless somebody says so.

Owns the rule; `server` listens.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path


class ListenError(Exception):
    """The API cannot listen so; the text is one line for the user."""


@dataclass(frozen=True)
class Listen:
    """Where to listen. `certificate`, `key`: PEM files for TLS; `is_plain`: without TLS for all the world."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    is_plain: bool = False

    @property
    def url(self) -> str:
        """Return how the API is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.certificate else ''}://{host}:{self.port}"


def check(listen: Listen) -> None:
    """Raise ListenError if tokens would go over a network for everybody to read."""
    if (listen.certificate is None) != (listen.key is None):
        raise ListenError("a certificate and its key go together")
    here = ipaddress.ip_address(listen.host).is_loopback
    if not here and listen.certificate is None and not listen.is_plain:
        raise ListenError(f"without TLS only on this machine, not on {listen.host}: tokens could be read")
