"""What the office orders is carried out once, and journalled so that a restart knows it."""

import sys

from firmware import orders
from firmware.policy import MODES
from firmware.presence import INSIDE, UNKNOWN

KEY = b"\x01\x02\x03\x04\x05\x06\x07\x08"
NONCE = b"nonce  1"
T = 1772410800


class FakeClock:
    def __init__(self):
        self.taken = []
        self.source = ""
        self.answer = self.trusted = True
        self.unix = T - 100

    def now(self):
        return self.unix

    def set(self, unix_ms, source):
        self.taken.append(unix_ms)
        self.source = source
        if self.answer:
            self.trusted = True
            self.unix = unix_ms // 1000
        return self.answer


class FakePresence:
    def __init__(self):
        self.at = 0
        self.where = UNKNOWN
        self.alarm = ""
        self.calls = []
        self.reset = 0
        self._end = self._start = self._reset = 0  # nobody, and a reset that the clock stamped

    def confirmed_at(self, key):
        return self.at

    known = confirmed_at

    def position(self, key):
        return self.where

    def remote(self, *arguments):
        self.calls.append(arguments)
        if arguments[4] > max(self.at, self.reset):
            self.at = arguments[4]
        return self.alarm

    def forget(self, *arguments):
        self.calls.append(arguments)


class FakeGate:
    """Notes what it is asked for, in order."""

    def __init__(self):
        self.list = self.journal = None
        self.clock = FakeClock()
        self.presence = FakePresence()
        self.command_nonce = bytes(8)
        self.done = []
        self.hardware = self
        self.feedback = self

    def record(self, kind, direction=0, reason=0, cls=0, key=None, party=0, marks=0, unix=0):
        self.done.append(("record", kind, direction, reason, cls, key, party, unix))

    def lane_event(self, event):
        self.done.append(event)

    def alarm(self, kind, *rest):
        self.done.append(("alarm", kind))

    def alarm_once(self, kind):
        self.done.append(("alarm_once", kind))

    def end_alarm(self, kind, direction=0):
        self.done.append(("end_alarm", kind))

    def show(self, pattern):
        self.done.append(("show", pattern))

    def reset(self):
        self.done.append(("reset",))

    def daily_reset(self):
        self.done.append(("daily_reset",))

    def lift(self):
        self.done.append(("lift",))

    def list_applied(self):
        self.done.append(("list_applied",))

    def keep(self, boots):  # of starter.py
        self.done.append(("keep", boots))

    def bundle_rejected(self, error):
        self.done.append(("bundle_rejected", error))


def make():
    gate = FakeGate()
    return gate, orders.Orders(gate)


def test_a_mode_is_journalled_with_its_nonce_before_the_lane_hears_of_it():
    for code, mode in enumerate(MODES):
        gate, made = make()
        assert made.command(NONCE, "mode", mode)
        assert gate.done == [("record", "mode", 0, code, 0, NONCE, 0, 0), ("mode", mode)]
        assert gate.command_nonce == made.command_nonce == NONCE


def test_open_is_one_opening_as_by_the_guard():
    for code, direction in ((1, "in"), (2, "out")):
        gate, made = make()
        assert made.command(NONCE, "open", direction)
        assert gate.done == [("record", "command", code, 1, 0, NONCE, 0, 0), ("guard", direction)]


def test_identify_shows_and_reboot_resets_after_it_was_journalled():
    gate, made = make()
    assert made.command(NONCE, "identify", "")
    assert gate.done == [("record", "command", 0, 2, 0, NONCE, 0, 0), ("show", "call_guard")]
    gate, made = make()
    sys.modules["starter"] = gate
    assert made.command(NONCE, "reboot", "")
    del sys.modules["starter"]
    assert gate.done == [("record", "command", 0, 3, 0, NONCE, 0, 0), ("keep", 0), ("reset",)]


def test_acknowledge_ends_an_alarm_after_it_was_journalled():
    told = ("record", "command", 0, 4, 0, NONCE, 0, 0)
    for kind, ended in (("clone", ["clone", "clone", "lift"]), ("tamper", ["tamper"]), ("fault", [])):
        gate, made = make()
        gate._proofs = gate
        gate.alarms = {("clone", 1): True, ("clone", 2): True, ("tamper", 0): True}
        assert made.command(NONCE, "acknowledge", kind)
        assert gate.done[0] == told
        assert sorted([done[-1] if done[0] == "lift" else done[1] for done in gate.done[1:]]) == ended


def test_an_unknown_command_changes_nothing():
    for name, argument in (
        ("acknowledge", "noise"),
        ("mode", "party"),
        ("open", "up"),
        ("open", ""),
        ("dance", ""),
        ("", ""),
    ):
        gate, made = make()
        if name:
            assert not made.command(NONCE, name, argument), name
            assert gate.done == [] and gate.command_nonce == bytes(8)


def test_the_time_of_the_office_is_taken_and_a_refused_one_alarms():
    gate, made = make()
    made.office_time(T * 1000)
    assert gate.clock.taken == [T * 1000] and gate.done == [("end_alarm", "clock")]
    assert gate.clock.source == "office"
    gate, made = make()
    gate.clock.answer = False
    made.office_time(T * 1000)
    assert gate.done == [("alarm_once", "clock")]


def test_the_first_trusted_time_is_journalled_and_moves_what_was_stamped_before():
    gate, made = make()
    gate.clock.trusted = False
    made.office_time(T * 1000)
    shown = (T - 100).to_bytes(4, "big") + bytes(4)
    assert gate.done == [("record", "clock", 0, 0, 0, shown, 0, 0), ("daily_reset",), ("end_alarm", "clock")]
    assert gate.presence._reset == 100
    gate, made = make()
    gate.clock.trusted = gate.clock.answer = False
    made.office_time(T * 1000)
    assert gate.done == [("alarm_once", "clock")] and gate.presence._reset == 0


def test_a_passage_at_another_gate_is_journalled_with_its_time_and_gate():
    gate, made = make()
    made.remote(KEY, "in", 1, 17, T, 3)
    assert gate.presence.calls == [(KEY, "in", 1, 17, T, 3)]
    assert gate.done == [("record", "remote", 3 << 4 | 1, 0, 1, KEY, 17, T)]


def test_what_is_no_news_is_not_journalled_again():
    gate, made = make()
    gate.presence.at = T
    made.remote(KEY, "in", 1, 17, T, 3)
    assert gate.done == []
    gate.presence.alarm = "fault"  # no place in the table, so nothing changes
    made.remote(KEY, "in", 1, 17, T - 5, 3)
    assert gate.done == [("alarm_once", "fault")]


def test_a_double_entry_is_alarmed_each_time_after_its_passage_was_journalled():
    gate, made = make()
    gate.presence.alarm = "double_entry"
    made.remote(KEY, "in", 1, 17, T, 20)
    assert gate.done == [("record", "remote", 15 << 4 | 1, 0, 1, KEY, 17, T), ("alarm", "double_entry")]


def test_a_card_that_was_issued_is_unknown_unless_it_passed_since():
    gate, made = make()
    gate.presence.at = T - 1
    made.forget(KEY, T)
    assert gate.presence.calls == [(KEY, T, True)]
    assert gate.done == [("record", "reset", 0, 0, 0, KEY, 0, T)]
    gate, made = make()
    gate.presence.at = T + 1
    made.forget(KEY, T)
    assert gate.presence.calls == [] and gate.done == []


def test_a_card_that_was_issued_is_forgotten_once_however_often_it_is_told():
    gate, made = make()
    gate.presence.at = T
    made.forget(KEY, T)
    assert gate.presence.calls == [] and gate.done == []
    gate.presence.where = INSIDE  # it passed in the same second
    made.forget(KEY, T)
    assert gate.presence.calls == [(KEY, T, True)]


def test_a_passage_before_a_reset_is_not_journalled_whenever_it_is_told():
    gate, made = make()
    gate.presence.reset = T
    made.remote(KEY, "in", 1, 17, T, 3)
    assert gate.presence.calls == [(KEY, "in", 1, 17, T, 3)] and gate.done == []


def test_lists_are_handed_on():
    gate, made = make()
    made.list_changed("delta", 4)
    made.bundle_rejected("why")
    assert gate.done == [("list_applied",), ("bundle_rejected", "why")]
