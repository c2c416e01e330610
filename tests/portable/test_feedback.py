"""Lamps and buzzer: what is on, when, and that nothing waits."""

import time

if not hasattr(time, "ticks_diff"):  # CPython
    time.ticks_add = lambda a, b: (a + b) & ((1 << 30) - 1)
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)

from firmware.drivers.feedback import LASTING, PATTERNS, Feedback


class Desk:
    """The three outputs as they are, and their history as (duration, text) of green, red, buzzer."""

    def __init__(self):
        self.on = {"g": 1, "r": 1, "b": 1}
        self.now_ms = time.ticks_add(0, -500)  # the ticks wrap in the middle of a test
        self.feedback = Feedback(self.output("g"), self.output("r"), self.output("b"))

    def output(self, name):
        def write(level):
            assert level in (0, 1)
            self.on[name] = level

        return write

    def text(self):
        return "".join(name for name in "grb" if self.on[name])

    def run(self, ms):
        history = []
        for _ in range(ms // 20):
            self.feedback.poll(self.now_ms)
            self.now_ms = time.ticks_add(self.now_ms, 20)
            if history and history[-1][1] == self.text():
                history[-1] = (history[-1][0] + 20, self.text())
            else:
                history.append((20, self.text()))
        return history


def test_all_is_off_at_start():
    desk = Desk()
    assert desk.text() == ""
    assert desk.run(1000) == [(1000, "")]


def test_every_pattern_is_made_of_whole_steps():
    for name in PATTERNS:
        steps = PATTERNS[name]
        assert len(steps) and len(steps) % 2 == 0
        for i in range(0, len(steps), 2):
            assert steps[i + 1] < 8
            assert steps[i] or name in LASTING, "%s never ends" % name


def test_a_grant_is_green_with_one_short_beep_and_then_over():
    desk = Desk()
    desk.feedback.show("grant")
    assert desk.run(2000) == [(120, "gb"), (1380, "g"), (500, "")]


def test_a_deny_is_red_with_two_beeps():
    desk = Desk()
    desk.feedback.show("deny")
    assert desk.run(2000) == [(120, "rb"), (120, "r"), (120, "rb"), (1140, "r"), (500, "")]


def test_the_call_for_the_guard_is_louder_than_a_deny():
    desk = Desk()
    desk.feedback.show("call_guard")
    history = desk.run(4000)
    assert sum(ms for ms, on in history if "b" in on) >= 2000
    assert history[-1][1] == ""


def test_a_new_pattern_replaces_a_running_one_at_once():
    desk = Desk()
    desk.feedback.show("deny")
    desk.run(200)
    desk.feedback.show("grant")
    assert desk.run(20) == [(20, "gb")]


def test_the_same_pattern_can_be_shown_again_while_it_plays():
    desk = Desk()
    desk.feedback.show("grant")
    desk.run(1000)
    desk.feedback.show("grant")
    assert desk.run(2000)[0] == (120, "gb")


def test_a_lasting_pattern_stays_and_returns_after_one_that_plays_once():
    desk = Desk()
    desk.feedback.show("free")
    assert desk.run(60000) == [(60000, "g")]
    desk.feedback.show("deny")
    history = desk.run(3000)
    assert history[0] == (120, "rb")
    assert history[-1] == (1500, "g")


def test_a_lasting_pattern_waits_for_one_that_plays_once():
    desk = Desk()
    desk.feedback.show("grant")
    desk.run(100)
    desk.feedback.show("fault")
    assert desk.run(2020) == [(20, "gb"), (1380, "g"), (500, "r"), (120, "")]


def test_a_fault_blinks_until_it_is_over():
    desk = Desk()
    desk.feedback.show("fault")
    assert desk.run(2000) == [(500, "r"), (500, ""), (500, "r"), (500, "")]
    desk.feedback.show("idle")
    assert desk.run(1000) == [(1000, "")]


def test_an_unknown_pattern_is_an_error():
    try:
        Desk().feedback.show("disco")
    except KeyError:
        return
    raise AssertionError("accepted")
