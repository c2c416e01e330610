"""The Wi-Fi station: into one network, and always again after a failure. Never an access point.

Owns when an attempt begins and when it is given up; the radio works beside Python, so nothing here waits.
What is sent over the network is not its affair. `network` is MicroPython's module; the numbers of a status
are those of its documentation and of ESP-IDF's `wifi_err_reason_t`.
"""

from micropython import const

_LOOK_MS = const(250)
_FIRST_DELAY_MS = const(1000)  # from the start of one attempt to the next, then twice as long
_LAST_DELAY_MS = const(8000)
_ATTEMPT_MS = const(12000)  # scan, association, DHCP; then it hangs
_CONNECTING = const(1001)
_REASONS = {15: "wrong password", 201: "not found", 202: "wrong password", 204: "wrong password"}


class WiFi:
    """The station in the network `ssid`. `why`: "" while it has an address, else why it has none.

    `poll` is to be called a few times a second, with milliseconds that never wrap.
    """

    def __init__(self, network, ssid: str, password: str):
        network.WLAN(network.WLAN.IF_AP).active(False)
        self._wlan = wlan = network.WLAN(network.WLAN.IF_STA)
        wlan.active(True)
        # Attempts are ours, so that there is a pause between them; saving power would delay what comes.
        wlan.config(reconnects=0, pm=wlan.PM_NONE)
        self._ssid = ssid
        self._password = password
        self._delay_ms = _FIRST_DELAY_MS
        self._look_ms = self._begin_ms = self._again_ms = -_ATTEMPT_MS
        self.why = "Wi-Fi: connecting"

    def poll(self, now_ms: int) -> None:
        """Look how it stands, and begin an attempt if one is due. Never waits."""
        if now_ms < self._look_ms:
            return
        self._look_ms = now_ms + _LOOK_MS
        wlan = self._wlan
        if wlan.isconnected():
            self.why = ""
            self._delay_ms = _FIRST_DELAY_MS
            return
        status = wlan.status()
        if status == _CONNECTING and now_ms - self._begin_ms < _ATTEMPT_MS:
            return
        if status in _REASONS or not self.why:
            self.why = "Wi-Fi: " + _REASONS.get(status, "lost")
        if now_ms < self._again_ms:
            return
        self._begin_ms = now_ms
        self._again_ms = now_ms + self._delay_ms
        self._delay_ms = min(2 * self._delay_ms, _LAST_DELAY_MS)
        try:
            wlan.disconnect()  # an attempt that hangs would refuse the next one
            wlan.connect(self._ssid, self._password)
        except OSError as error:
            self.why = "Wi-Fi: %s" % error
