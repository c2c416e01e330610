"""Trusted time: the floor, refused steps, trust over a reset, and ticks that wrap."""

from firmware import clock, clock_set, rtcmem

FLOOR = 1772410800
MASK = 0x3FFFFFFF


class FakeTime:
    """`time` of a board: ticks that start 10 s before their wrap, seconds of `clock_set`'s epoch."""

    def __init__(self, real):
        self._real = real
        self.ms = 0
        self.rtc_ms = 0  # since the epoch of the runtime

    def ticks_ms(self):
        return (MASK - 10000 + self.ms) & MASK

    def ticks_diff(self, a, b):
        return ((a - b + 0x20000000) & MASK) - 0x20000000

    def time(self):
        return (self.rtc_ms + self.ms) // 1000

    def gmtime(self, seconds):
        return self._real.gmtime(seconds)


class FakeRTC:
    def __init__(self, time, kept=b""):
        self._time = time
        self.kept = kept
        self.set_to = None

    def memory(self, data=None):
        if data is None:
            return self.kept
        self.kept = data
        return None

    def datetime(self, parts=None):
        if parts is None:
            return (2026, 3, 2, 0, 0, 0, 0, (self._time.rtc_ms + self._time.ms) % 1000 * 1000)
        self.set_to = parts
        return None


def a_clock(rtc_unix_ms=0, kept=b"", floor=FLOOR):
    time = clock.time = clock_set.time = FakeTime(getattr(clock.time, "_real", clock.time))
    time.rtc_ms = rtc_unix_ms - clock_set._EPOCH * 1000
    made = clock.Clock(FakeRTC(time, kept))
    clock_set.start_clock(made, floor)
    return made, time


def test_time_is_trusted_at_boot_if_the_rtc_was_set_and_kept():
    made, _ = a_clock(FLOOR * 1000 + 500250, rtcmem.pack(0, True))
    assert made.trusted and made.now_ms() == FLOOR * 1000 + 500250


def test_without_a_kept_rtc_the_clock_counts_on_from_the_floor_and_is_not_trusted():
    made, time = a_clock(12345)
    assert not made.trusted and made.now() == FLOOR
    time.ms += 61500
    assert made.now() == FLOOR + 61


def test_an_rtc_far_before_the_floor_is_not_believed():
    made, _ = a_clock((FLOOR - 121) * 1000, rtcmem.pack(0, True))
    assert not made.trusted and made.now() == FLOOR


def test_an_rtc_a_little_before_the_floor_is_trusted_but_never_shows_less_than_the_floor():
    made, _ = a_clock((FLOOR - 120) * 1000, rtcmem.pack(0, True))
    assert made.trusted and made.now() == FLOOR


def test_a_source_makes_time_trusted_and_sets_the_rtc():
    made, _ = a_clock()
    assert made.set((FLOOR + 3600) * 1000 + 250, "office")
    assert made.trusted and made.now_ms() == (FLOOR + 3600) * 1000 + 250
    assert made._rtc.set_to[:3] == (2026, 3, 2) and made._rtc.set_to[7] == 250000
    assert rtcmem.unpack(made._rtc.kept) == (0, True, b"")


def test_a_step_back_of_more_than_120_s_is_refused_and_changes_nothing():
    made, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
    before = made.now_ms()
    assert not made.set(before - 120001, "office")
    assert made.trusted and made.now_ms() == before
    assert made.set(before - 120000, "office") and made.now_ms() == before - 120000


def test_a_second_source_that_agrees_within_5_s_may_step_back():
    for apart_ms, taken in ((5000, True), (-5000, True), (5001, False), (-5001, False)):
        made, time = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
        assert not made.set(FLOOR * 1000 + 100000, "sntp")
        time.ms += 60000
        assert made.set(FLOOR * 1000 + 160000 + apart_ms, "office") == taken
        shown = FLOOR * 1000 + (160000 + apart_ms if taken else 1060000)
        assert made.trusted and made.now_ms() == shown


def test_the_same_source_again_is_no_second_one():
    made, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
    assert [made.set(FLOOR * 1000 + 1000, "office") for _ in range(3)] == [False] * 3


def test_what_was_refused_is_forgotten_once_a_time_was_taken():
    made, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
    assert not made.set(FLOOR * 1000 + 1000, "sntp")
    assert made.set(FLOOR * 1000 + 1000000, "office")
    assert not made.set(FLOOR * 1000 + 1000, "office")


def test_a_source_that_changed_its_mind_confirms_what_it_says_now():
    made, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
    assert not made.set(FLOOR * 1000 + 1000, "sntp")
    assert not made.set(FLOOR * 1000 + 500000, "sntp")
    assert not made.set(FLOOR * 1000 + 1000, "office")
    assert made.set(FLOOR * 1000 + 1000, "sntp")


def test_the_chip_behind_the_clock_is_a_second_source():
    for chip_s, taken in ((100, True), (-100000, False), (1000, False)):
        made, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
        made._rtc.chip_ms = lambda shown=chip_s: (FLOOR + shown) * 1000
        assert made.set((FLOOR + 98) * 1000, "office") == taken


def test_no_source_sets_a_time_before_the_floor():
    made, _ = a_clock()
    for source in ("office", "sntp"):
        assert not made.set((FLOOR - 1) * 1000, source) and not made.trusted


def test_the_clock_knows_who_set_it_and_when():
    made, _ = a_clock()
    assert (made.source, made.synced, made.drift_ppm) == ("", 0, None)
    assert made.set((FLOOR + 3600) * 1000, "sntp")
    assert (made.source, made.synced, made.drift_ppm) == ("sntp", FLOOR + 3600, None)
    kept, _ = a_clock(FLOOR * 1000 + 1000000, rtcmem.pack(0, True))
    assert (kept.source, kept.synced) == ("rtc", 0)
    assert not kept.set(FLOOR * 1000, "office") and kept.source == "rtc"


def test_drift_is_what_the_clock_was_off_since_it_was_set_last():
    made, time = a_clock()
    made.set((FLOOR + 3600) * 1000, "office")
    time.ms += 599999
    made.set((FLOOR + 4200) * 1000, "office")
    assert made.drift_ppm is None, "too soon to tell"
    time.ms += 3600000
    made.set((FLOOR + 7800) * 1000 - 72, "office")  # the clock runs 20 ppm fast
    assert made.drift_ppm == 20
    time.ms += 3600000
    made.set((FLOOR + 11400) * 1000, "office")
    assert made.drift_ppm == -20


def test_a_newer_floor_moves_an_untrusted_clock_and_no_trusted_one():
    made, _ = a_clock()
    made.raise_floor(FLOOR + 900)
    assert made.now() == FLOOR + 900 and made.floor == FLOOR + 900
    trusted, _ = a_clock(FLOOR * 1000 + 5000, rtcmem.pack(0, True))
    trusted.raise_floor(FLOOR + 900)
    assert trusted.now() == FLOOR + 5


def test_the_wrap_of_the_ticks_changes_nothing():
    made, time = a_clock(FLOOR * 1000, rtcmem.pack(0, True))
    for _ in range(5):
        before, start = made.uptime_ms(), made.now_ms()
        time.ms += 5000
        assert made.uptime_ms() == before + 5000 and made.now_ms() == start + 5000
    time.ms += 500000000  # 5.8 days
    assert made.uptime_ms() == 500025000
    time.ms += 500000000
    assert made.now_ms() == FLOOR * 1000 + 1000025000
