"""The SNTP client: asks the server in the config for the time, without ever making anything wait.

Owns the packets (RFC 4330) and a socket of its own. SNTP is not authenticated, so it is believed least: it
makes time trusted that is not, and corrects small errors while the office is out of reach. A server that
differs from trusted time by more than 120 s is not believed, whichever way, and raises `clock`; unless it is
behind, and so is another source (clock.py).
"""

import _thread
import asyncio
import os
import socket
import struct
from time import ticks_diff, ticks_ms

from micropython import const

from . import release
from .errors import PinterError

_PORT = const(123)
_POLL_MS = const(8000)  # of a server of the site: shorter than RFC 4330 10 allows for those of others
_ANSWER_MS = const(1000)
_LOOK_MS = const(20)
_TURN_MS = const(500)
_STEP_MS = const(120000)
_CLOSE_MS = const(500)  # what is closer than this is left as it is
_SIZE = const(48)
_CLIENT = b"\x23"  # RFC 4330 4: leap 0, version 4, mode 3
_SERVER = const(4)
_UNSET = const(3)  # leap indicator of a server that has no time itself
_TO_1970 = 2208988800
_ERA = 4294967296  # RFC 4330 3: seconds with bit 0 clear are those after 2036-02-07


class SNTPError(PinterError):
    """What came is no answer to what was asked, or the server has no time."""


def parse(packet, cookie: bytes) -> int:
    """Return the server's time in Unix milliseconds from its answer to a request that was stamped `cookie`.

    Raise SNTPError unless RFC 4330 5 finds the answer good.
    """
    if len(packet) < _SIZE or packet[24:32] != cookie:
        raise SNTPError("not the answer")
    if packet[0] & 7 != _SERVER or not packet[0] & 0x38:
        raise SNTPError("no server")
    seconds, fraction = struct.unpack_from(">II", packet, 40)
    if packet[0] >> 6 == _UNSET or not 0 < packet[1] < 16 or not seconds:
        raise SNTPError("server has no time")
    if seconds < _ERA // 2:
        seconds += _ERA
    return (seconds - _TO_1970) * 1000 + fraction * 1000 // _ERA


class Client:
    """Keeps asking for `gate` (gate.Gate), whose config names the server."""

    def __init__(self, gate):
        self._gate = gate

    async def run(self, beat) -> None:
        """Ask for ever; `beat()` tells the supervisor that all is well."""
        address = None
        while True:
            begin = ticks_ms()
            if not address:
                found = []
                _thread.start_new_thread(_look_up, (self._gate.site.network.sntp, found))
                while not found:
                    beat()
                    await asyncio.sleep_ms(_TURN_MS)
                address = found[0]
            try:
                if address:
                    await self._ask(address)
            except (SNTPError, OSError):
                address = None  # the name may have moved
            while ticks_diff(ticks_ms(), begin) < _POLL_MS:
                beat()
                await asyncio.sleep_ms(_TURN_MS)

    async def _ask(self, address):
        cookie = os.urandom(8)
        udp = socket.socket(address[0], address[1], address[2])
        try:
            udp.setblocking(False)
            udp.connect(address[-1])
            sent = ticks_ms()
            udp.write(_CLIENT + bytes(39) + cookie)
            while True:
                await asyncio.sleep_ms(_LOOK_MS)
                trip_ms = ticks_diff(ticks_ms(), sent)
                packet = udp.read(_SIZE)
                if packet:
                    break
                if trip_ms > _ANSWER_MS:
                    raise SNTPError("no answer")
        finally:
            udp.close()
        self.take(parse(packet, cookie) + trip_ms // 2)

    def take(self, unix_ms: int) -> None:
        """Compare the server's time with the gate's, and do what follows."""
        gate, clock = self._gate, self._gate.clock
        ahead_ms = unix_ms - clock.now_ms()
        if clock.trusted and ahead_ms > _STEP_MS:
            gate.alarm_once("clock")
        elif (
            not clock.trusted
            or ahead_ms < -_STEP_MS
            or (abs(ahead_ms) > _CLOSE_MS and not gate.session.connected)
        ):
            from .clock_set import take_time

            release("clock_set")
            take_time(gate, unix_ms, "sntp")
        else:
            gate.end_alarm("clock")


def _look_up(name, found):
    """Put the address of `name` into `found`, None if there is none. Runs in a thread of its own."""
    try:
        found.append(socket.getaddrinfo(name, _PORT, 0, socket.SOCK_DGRAM)[0])
    except OSError:
        found.append(None)
