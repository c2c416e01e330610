"""The network interface of a simulated board: its Wi-Fi station and an access point near it, or a cable.

Owns association in virtual time and what a board without it can reach: nothing. A board whose firmware starts
no interface is on the network all the same, as most stories want it. Times: docs/simulation.md.
"""

from collections.abc import Callable

from host_sim.shims.device import _ops as ops
from host_sim.timeline import Event, Timeline

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010  # MicroPython's network.STAT_*
NO_AP, WRONG_PASSWORD, LOST = 201, 202, 200  # ESP-IDF wifi_err_reason_t
SCAN_US = 2_500_000  # all channels, nobody there
JOIN_US = 1_500_000  # scan, authentication, association, DHCP
REFUSAL_US = 3_000_000  # the handshake times out


class AccessPointError(Exception):
    """The firmware switched an access point on; the simulation stops loudly."""


class Radio:
    """What `network` of one board talks to. The access point is known by `ssid` and `password`.

    `cut(is_cut)` is called when the board loses the network, and when it has it again.
    """

    def __init__(self, timeline: Timeline, cut: Callable[[bool], None]) -> None:
        self.ssid = "PINTER"
        self.password = "correct horse"  # noqa: S105 - of no network
        self.chip: int | None = None  # phy type of the Ethernet chip that is fitted
        self.joins: list[int] = []  # when attempts began
        self.status = IDLE
        self._timeline = timeline
        self._cut = cut
        self._in_range = self._cable = True
        self._event: Event | None = None
        self._is_lan = False

    @property
    def in_range(self) -> bool:
        """True while the access point is on and can be heard."""
        return self._in_range

    @in_range.setter
    def in_range(self, in_range: bool) -> None:
        self._in_range = in_range
        if not in_range and self.status == GOT_IP:
            self._set(LOST)

    @property
    def cable(self) -> bool:
        """True while the Ethernet cable is plugged in."""
        return self._cable

    @cable.setter
    def cable(self, cable: bool) -> None:
        self._cable = cable
        if self._is_lan:
            self._cut(not cable)

    def reset(self) -> None:
        """The board has lost its power, or was reset."""
        self._timeline.cancel(self._event)
        self.status, self._is_lan = IDLE, False
        self._cut(False)

    def serve(self, payload: bytes) -> bytes:
        """Carry out one request of the firmware (`_ops.NETWORK`)."""
        what, rest = payload[0], payload[1:]
        answer = self.status
        if what == ops.AP_ACTIVE and rest[0]:
            raise AccessPointError("the firmware opened an access point")
        if what == ops.STATION_ACTIVE and rest[0]:
            self._cut(True)
        elif what == ops.STATION_JOIN:
            name, password = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :].decode()
            self.joins.append(self._timeline.now)
            self._join(name == self.ssid and self._in_range, password == self.password)
        elif what == ops.STATION_LEAVE:
            self._set(IDLE)
        elif what == ops.LAN_START:
            self._is_lan = rest[0] == self.chip
            answer = int(self._is_lan)
            if self._is_lan:
                self._cut(not self._cable)
        elif what == ops.LAN_STATUS:
            answer = int(self._is_lan and self._cable)
        return answer.to_bytes(2, "little")

    def _join(self, is_there: bool, is_right: bool) -> None:
        self._timeline.cancel(self._event)
        self.status = CONNECTING
        if not is_there:
            self._event = self._timeline.after(SCAN_US, self._set, NO_AP)
        elif is_right:
            self._event = self._timeline.after(JOIN_US, self._associated)
        else:
            self._event = self._timeline.after(REFUSAL_US, self._set, WRONG_PASSWORD)

    def _associated(self) -> None:
        self._set(GOT_IP if self._in_range else NO_AP)

    def _set(self, status: int) -> None:
        self._timeline.cancel(self._event)
        was, self.status = self.status, status
        if status == GOT_IP or was == GOT_IP:
            self._cut(status != GOT_IP)
