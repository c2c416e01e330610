"""Debounced inputs: what counts as a change, and what does not."""

import time

if not hasattr(time, "ticks_diff"):  # CPython
    time.ticks_add = lambda a, b: (a + b) & ((1 << 30) - 1)
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)

from firmware.drivers.inputs import Input

LAST_MS = time.ticks_add(0, -1)  # before the ticks wrap


class Line:
    """A level, and an input that is polled every `step_ms` from `now_ms` on."""

    def __init__(self, level, active, step_ms=20, now_ms=0):
        self.level = level
        self.step_ms = step_ms
        self.now_ms = now_ms
        self.input = Input(lambda: self.level, active)

    def run(self, ms):
        """Return what the polls of the next `ms` report, without the zeros."""
        reports = []
        for _ in range(ms // self.step_ms):
            self.now_ms = time.ticks_add(self.now_ms, self.step_ms)
            report = self.input.poll(self.now_ms)
            if report:
                reports.append(report)
        return reports


def test_the_level_at_start_is_a_state_and_no_event():
    for level in (0, 1):
        line = Line(level, active=0)
        assert line.input.is_active is None
        assert line.run(200) == []
        assert line.input.is_active is (level == 0)


def test_a_button_held_at_start_reports_its_release_and_the_next_press():
    line = Line(0, active=0)
    line.run(100)
    line.level = 1
    assert line.run(100) == [-1]
    line.level = 0
    assert line.run(100) == [1]


def test_every_pulse_of_60_ms_is_noticed_at_any_phase_and_step():
    for step_ms in (10, 12, 15, 20):
        for phase_ms in range(step_ms):
            level = [0]
            button = Input(lambda level=level: level[0], 1)
            reports = []
            for now_ms in range(step_ms, 400, step_ms):
                level[0] = 200 + phase_ms <= now_ms < 260 + phase_ms
                reports.append(button.poll(now_ms))
            assert [report for report in reports if report] == [1, -1], (step_ms, phase_ms)


def test_a_press_is_reported_within_two_polls():
    line = Line(1, active=0, step_ms=20)
    line.run(100)
    line.level = 0
    assert line.run(40) == [1]


def test_bouncing_is_one_press():
    line = Line(1, active=0, step_ms=10)
    line.run(100)
    reports = []
    for level in (0, 1, 0, 1, 1, 0):
        line.level = level
        reports += line.run(10)
    assert reports == []
    assert line.run(100) == [1]


def test_a_spike_shorter_than_the_settling_time_is_no_event():
    line = Line(0, active=1, step_ms=10)
    line.run(100)
    line.level = 1
    reports = line.run(10)
    line.level = 0
    assert reports + line.run(200) == []


def test_ticks_that_wrap_change_nothing():
    line = Line(1, active=0, now_ms=LAST_MS - 130)
    line.run(100)
    line.level = 0
    assert line.run(100) == [1]


def test_a_level_that_stays_for_a_week_reports_nothing():
    line = Line(0, active=0)
    line.run(100)
    line.now_ms = LAST_MS // 2 + 500
    assert line.run(200) == []
    assert line.input.is_active
