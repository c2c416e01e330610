"""The SNTP client: which answers are believed, and what their time does to a gate."""

import struct
import time

if not hasattr(time, "ticks_diff"):  # CPython
    time.ticks_ms = lambda: 0
    time.ticks_diff = lambda a, b: a - b

from firmware import sntp

COOKIE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
NOW = 1772410800
TO_1970 = 2208988800


def answer(first=0x24, stratum=2, cookie=COOKIE, seconds=NOW + TO_1970, fraction=0x40000000):
    return bytes((first, stratum)) + bytes(22) + cookie + bytes(8) + struct.pack(">II", seconds, fraction)


def refused(packet):
    try:
        sntp.parse(packet, COOKIE)
    except sntp.SNTPError as error:
        return str(error)
    return None


def test_the_time_of_a_good_answer_is_the_servers_when_it_sent():
    assert sntp.parse(answer(), COOKIE) == NOW * 1000 + 250
    assert sntp.parse(answer(first=0x1C, stratum=15), COOKIE) == NOW * 1000 + 250
    assert sntp.parse(answer() + bytes(20), COOKIE) == NOW * 1000 + 250


def test_after_2036_the_seconds_begin_anew():
    assert sntp.parse(answer(seconds=0xFFFFFFFF, fraction=0), COOKIE) == 2085978495000
    assert sntp.parse(answer(seconds=1, fraction=0), COOKIE) == 2085978497000


def test_an_answer_to_another_request_is_refused():
    assert refused(answer(cookie=bytes(8))) == "not the answer"
    assert refused(answer()[:47]) == "not the answer"
    assert refused(b"") == "not the answer"


def test_a_packet_of_no_server_is_refused():
    for first in (0x23, 0x25, 0x26, 0x04):
        assert refused(answer(first=first)) == "no server", first


def test_a_server_without_a_time_is_refused():
    assert refused(answer(first=0xE4)) == "server has no time"
    for stratum in (0, 16, 255):
        assert refused(answer(stratum=stratum)) == "server has no time", stratum
    assert refused(answer(seconds=0)) == "server has no time"


class FakeGate:
    """A gate, its clock, its session and its positions, as far as the client and its orders look at them."""

    def __init__(self, trusted=True, connected=False):
        self.clock = self.session = self.presence = self
        self.trusted = trusted
        self.connected = connected
        self._end = self._start = self._reset = 0  # positions: none
        self.agrees = False  # another source, with what this one says
        self.did = []

    def now(self):
        return NOW

    def now_ms(self):
        return NOW * 1000

    def set(self, unix_ms, source):
        assert source == "sntp"
        self.did.append(("set", unix_ms - NOW * 1000))
        return not self.trusted or unix_ms - NOW * 1000 >= -120000 or self.agrees

    def record(self, kind, **fields):
        self.did.append((kind,))

    def alarm_once(self, kind):
        self.did.append(("alarm", kind))

    def end_alarm(self, kind):
        self.did.append(("end", kind))

    def daily_reset(self):
        self.did.append(("reset",))

    def hears(self, apart_ms):
        sntp.Client(self).take(NOW * 1000 + apart_ms)
        return self.did


def test_a_server_makes_time_trusted_that_is_not():
    did = FakeGate(trusted=False, connected=True).hears(3600000)
    assert did == [("set", 3600000), ("clock",), ("reset",), ("end", "clock")]


def test_a_step_of_more_than_120_s_is_refused_whichever_way_and_told():
    for apart_ms in (120001, 10800000):
        for connected in (False, True):
            assert FakeGate(connected=connected).hears(apart_ms) == [("alarm", "clock")], apart_ms
    for apart_ms in (-120001, -10800000):
        for connected in (False, True):
            did = FakeGate(connected=connected).hears(apart_ms)
            assert did == [("set", apart_ms), ("alarm", "clock")], "the clock refuses, and remembers"


def test_a_step_back_with_which_another_source_agrees_is_taken():
    gate = FakeGate(connected=True)
    gate.agrees = True
    assert gate.hears(-10800000) == [("set", -10800000), ("end", "clock")]


def test_small_errors_are_corrected_while_the_office_is_out_of_reach():
    for apart_ms in (-120000, -501, 501, 120000):
        assert FakeGate().hears(apart_ms) == [("set", apart_ms), ("end", "clock")], apart_ms
        assert FakeGate(connected=True).hears(apart_ms) == [("end", "clock")], apart_ms


def test_what_is_close_is_left_as_it_is():
    for apart_ms in (-500, 0, 500):
        assert FakeGate().hears(apart_ms) == [("end", "clock")], apart_ms
