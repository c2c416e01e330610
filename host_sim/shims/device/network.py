"""What the firmware uses of `network`: the Wi-Fi station, and a wired interface; the world has the radio."""

import _ops
import _world

STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
PHY_LAN8720, PHY_W5500 = 1, 102


def _ask(what, payload=b""):
    answer = _world.ask(_ops.NETWORK, bytes((what,)) + payload)
    return answer[0] | answer[1] << 8


class WLAN:
    """The station (or the access point, which the world allows nobody to switch on)."""

    IF_STA, IF_AP = 0, 1
    PM_NONE = 0
    _is_active = [False, False]

    def __init__(self, interface_id=0):
        self._interface = interface_id

    def active(self, is_active=None):
        if is_active is None:
            return self._is_active[self._interface]
        self._is_active[self._interface] = bool(is_active)
        _ask(_ops.AP_ACTIVE if self._interface else _ops.STATION_ACTIVE, bytes((int(bool(is_active)),)))

    def config(self, *, reconnects=-1, pm=1):
        if reconnects:
            raise ValueError("the radio of the world does not try again by itself")

    def connect(self, ssid, key=None):
        if self.status() == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")
        name = ssid.encode()
        _ask(_ops.STATION_JOIN, bytes((len(name),)) + name + (key or "").encode())

    def disconnect(self):
        _ask(_ops.STATION_LEAVE)

    def status(self):
        return _ask(_ops.STATION_STATUS)

    def isconnected(self):
        return self.status() == STAT_GOT_IP


class LAN:
    """A wired interface."""

    def __init__(self, id, *, phy_type, phy_addr, **wires):
        if not _ask(_ops.LAN_START, bytes((phy_type,))):
            raise OSError("esp_eth_driver_install failed")

    def active(self, is_active):
        pass

    def isconnected(self):
        return bool(_ask(_ops.LAN_STATUS))
