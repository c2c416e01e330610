"""An NTP server of the simulated site: true time, and a step that a story may give it.

Answers one packet with one (RFC 4330 6, stratum 2); knows nothing of networks and gates.
"""

import struct
from collections.abc import Callable

NAME = "time.office"
ADDRESS = ("10.0.0.3", 123)
_TO_1970 = 2_208_988_800


class NTPServer:
    """`unix()` returns true Unix seconds; `step_s` is added. `stratum`, `leap`: what it says of itself."""

    def __init__(self, unix: Callable[[], float]) -> None:
        self._unix = unix
        self.step_s = 0.0
        self.stratum = 2
        self.leap = 0
        self.asked = 0

    def answer(self, request: bytes) -> bytes:
        """Return the answer to a client's packet of 48 bytes."""
        self.asked += 1
        version = request[0] >> 3 & 7
        now = round((self._unix() + self.step_s + _TO_1970) * (1 << 32)) & (1 << 64) - 1
        head = struct.pack(
            ">BBbbII4s", self.leap << 6 | version << 3 | 4, self.stratum, request[2], -20, 0, 0, b"\x0a\0\0\1"
        )
        return head + struct.pack(">Q", now) + request[40:48] + struct.pack(">QQ", now, now)
