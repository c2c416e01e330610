"""`network` of the virtual board: whatever it is told to join is the host's network, and is there at once.

Sockets are the host's own. An access point cannot be switched on.
"""

STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STA_IF, AP_IF = 0, 1
PHY_LAN8720, PHY_W5500 = 1, 102


class WLAN:
    """The station."""

    IF_STA, IF_AP = 0, 1
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2
    _is_active = [False, False]
    _joined = None

    def __init__(self, interface_id=0):
        self._interface = interface_id

    def active(self, is_active=None):
        if is_active is None:
            return WLAN._is_active[self._interface]
        if is_active and self._interface:
            raise OSError("the virtual board has no access point")
        WLAN._is_active[self._interface] = bool(is_active)
        if not is_active and not self._interface:
            WLAN._joined = None

    def config(self, *names, **settings):
        if names == ("ssid",):
            return WLAN._joined or ""

    def connect(self, ssid, key=None):
        if not WLAN._is_active[0]:
            raise OSError("Wifi Not Started")
        WLAN._joined = ssid

    def disconnect(self):
        WLAN._joined = None

    def status(self):
        return STAT_IDLE if WLAN._joined is None else STAT_GOT_IP

    def isconnected(self):
        return WLAN._joined is not None


class LAN:
    """A wired interface, with its cable in."""

    def __init__(self, id=0, **wires):
        self._is_active = False

    def active(self, is_active=None):
        if is_active is None:
            return self._is_active
        self._is_active = bool(is_active)

    def isconnected(self):
        return self._is_active
