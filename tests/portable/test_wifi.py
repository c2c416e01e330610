"""The Wi-Fi station: attempts, the pauses between them, what it says, and that no access point is opened."""

from firmware.drivers.wifi import WiFi

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010
NOT_FOUND, WRONG, LOST = 201, 202, 200


class Radio:
    """MicroPython's module `network`, and both of its interfaces."""

    IF_STA, IF_AP = 0, 1
    PM_NONE = 0

    def __init__(self):
        self.WLAN = self
        self.status_is = IDLE
        self.active_is = [None, None]
        self.config_is = {}
        self.did = []
        self.refuses = False
        self._at = 0

    def __call__(self, interface):
        return Interface(self, interface)


class Interface:
    PM_NONE = 0

    def __init__(self, radio, number):
        self._radio = radio
        self._number = number

    def active(self, is_active):
        self._radio.active_is[self._number] = is_active

    def config(self, **settings):
        self._radio.config_is = settings

    def status(self):
        return self._radio.status_is

    def isconnected(self):
        return self._radio.status_is == GOT_IP

    def disconnect(self):
        self._radio.did.append("leave")
        self._radio.status_is = IDLE

    def connect(self, ssid, password):
        if self._radio.refuses:
            raise OSError("Wifi Internal Error")
        self._radio.did.append((ssid, password))
        self._radio.status_is = CONNECTING


def station():
    radio = Radio()
    return radio, WiFi(radio, "office", "correct horse")


def attempts(radio, driver, start_ms, seconds, outcome):
    """Poll for `seconds`; each attempt ends after 2.5 s with `outcome`. Return when attempts began."""
    found = []
    for now_ms in range(start_ms, start_ms + seconds * 1000, 50):
        before = len(radio.did)
        driver.poll(now_ms)
        if len(radio.did) > before:
            found.append(now_ms)
        if found and outcome and now_ms - found[-1] == 2500:
            radio.status_is = outcome
    return found


def test_the_access_point_is_switched_off_and_the_station_on():
    radio, _ = station()
    assert radio.active_is == [True, False]
    assert radio.config_is == {"reconnects": 0, "pm": 0}
    assert radio.did == [], "an attempt begins with the first poll"


def test_an_attempt_begins_at_once_and_ends_with_an_address():
    radio, driver = station()
    assert driver.why == "Wi-Fi: connecting"
    driver.poll(0)
    assert radio.did == ["leave", ("office", "correct horse")] and driver.why
    radio.status_is = GOT_IP
    driver.poll(300)
    assert driver.why == "" and len(radio.did) == 2


def test_attempts_are_at_most_8_s_apart_and_never_less_than_their_pause():
    radio, driver = station()
    found = attempts(radio, driver, 0, 100, NOT_FOUND)
    gaps = [found[i + 1] - found[i] for i in range(len(found) - 1)]
    assert gaps[0] >= 2500 and max(gaps) <= 8250, gaps
    assert gaps[-5:] == [8000] * 5


def test_an_attempt_that_hangs_is_given_up():
    radio, driver = station()
    found = attempts(radio, driver, 0, 60, None)
    assert [found[i + 1] - found[i] for i in range(len(found) - 1)] == [12000] * 4
    assert radio.did[-2:] == ["leave", ("office", "correct horse")]


def test_it_says_why_there_is_no_network():
    for status, text in (
        (NOT_FOUND, "not found"),
        (WRONG, "wrong password"),
        (15, "wrong password"),
        (204, "wrong password"),
        (LOST, "connecting"),
    ):
        radio, driver = station()
        driver.poll(0)
        radio.status_is = status
        driver.poll(500)
        assert driver.why == "Wi-Fi: " + text


def test_a_network_that_is_lost_is_joined_again_after_the_shortest_pause():
    radio, driver = station()
    attempts(radio, driver, 0, 60, NOT_FOUND)
    radio.status_is = GOT_IP
    driver.poll(70000)
    assert driver.why == ""
    radio.status_is = LOST
    before = len(radio.did)
    driver.poll(80000)
    assert driver.why == "Wi-Fi: lost" and len(radio.did) == before + 2
    radio.status_is = NOT_FOUND
    for now_ms in range(80050, 81000, 50):
        driver.poll(now_ms)
    assert len(radio.did) == before + 2, "a second has to pass"
    driver.poll(81000)
    assert len(radio.did) == before + 4


def test_a_radio_that_refuses_is_asked_again_and_nothing_is_raised():
    radio, driver = station()
    radio.refuses = True
    for now_ms in range(0, 30000, 50):
        driver.poll(now_ms)
    assert driver.why == "Wi-Fi: Wifi Internal Error"
    assert 4 <= len(radio.did) <= 7
    radio.refuses = False
    for now_ms in range(30000, 39000, 50):
        driver.poll(now_ms)
    assert radio.status_is == CONNECTING


def test_between_looks_the_radio_is_left_alone():
    radio, driver = station()
    driver.poll(0)
    radio.status_is = GOT_IP
    driver.poll(249)
    assert driver.why
    driver.poll(250)
    assert not driver.why
