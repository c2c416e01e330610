"""Relay output: pulses by a transmit channel, holding by GPIO, and how the two share a pin."""

from firmware.drivers.relay import Relay


class Pin:
    """A pin of an ESP32 with its two sources; time moves by `run`."""

    def __init__(self):
        self.source = None
        self.gpio = 0
        self.channels = []
        self.log = []

    def make_pin(self, level):
        self.gpio = level
        self.source = "gpio"
        self.log.append("gpio%d" % level)

    def make_rmt(self):
        for channel in self.channels:
            assert channel.is_released, "two channels on one pin"
        channel = Channel(self)
        self.channels.append(channel)
        self.source = channel
        return channel

    def level(self):
        if self.source == "gpio":
            return self.gpio
        return self.source.left_ticks > 0

    def run(self, ms):
        for channel in self.channels:
            channel.left_ticks = max(0, channel.left_ticks - ms * 625 // 2)


class Channel:
    """What matters of esp32.RMT, with the traps of the real one as assertions."""

    def __init__(self, pin):
        self.pin = pin
        self.left_ticks = 0
        self.is_released = False

    def active(self):
        assert not self.is_released
        return self.left_ticks > 0

    def write_pulses(self, durations, levels):
        assert not self.is_released
        assert not self.left_ticks, "blocks the interpreter"
        assert len(durations) == len(levels)
        for ticks, level in zip(durations, levels):
            assert 1 <= ticks <= 32767, "overflows"
            assert ticks <= 31250
            assert level == 1
        self.left_ticks = sum(durations)

    def deinit(self):
        assert not self.left_ticks, "panics"
        self.is_released = True
        if self.pin.source is self:
            self.pin.make_pin(0)


def make():
    pin = Pin()
    return pin, Relay(pin.make_rmt, pin.make_pin)


def expect_refused(relay, pulse_ms):
    try:
        relay.pulse(pulse_ms)
    except ValueError as e:
        assert str(pulse_ms) in str(e)
    else:
        raise AssertionError("pulse of %d ms accepted" % pulse_ms)


def test_the_pin_is_low_before_anything_else():
    pin, _ = make()
    assert pin.log[0] == "gpio0"
    assert not pin.level()


def test_a_pulse_has_the_length_that_was_asked_for():
    for pulse_ms in (100, 101, 250, 400, 999, 1000, 5000):
        pin, relay = make()
        relay.pulse(pulse_ms)
        assert pin.level()
        assert pin.channels[0].left_ticks == pulse_ms * 625 // 2
        pin.run(pulse_ms)
        assert not pin.level()


def test_a_pulse_out_of_range_is_refused():
    pin, relay = make()
    for pulse_ms in (-1, 0, 99, 5001):
        expect_refused(relay, pulse_ms)
    assert not pin.level()


def test_a_pulse_ends_though_nobody_polls():
    pin, relay = make()
    relay.pulse(400)
    pin.run(401)
    assert not pin.level()


def test_a_pulse_asked_for_in_a_running_one_follows_it_and_the_last_wish_counts():
    pin, relay = make()
    relay.pulse(400)
    relay.pulse(1000)
    relay.pulse(200)
    pin.run(400)
    assert not pin.level()
    relay.poll()
    assert pin.channels[0].left_ticks == 200 * 625 // 2
    pin.run(200)
    relay.poll()
    assert not pin.level()


def test_hold_lasts_until_release():
    pin, relay = make()
    relay.hold()
    assert relay.held
    for _ in range(10):
        pin.run(10000)
        relay.poll()
        assert pin.level()
    relay.release()
    assert not pin.level()
    assert not relay.held


def test_pulses_work_again_after_a_release():
    pin, relay = make()
    for _ in range(3):
        relay.hold()
        relay.release()
        relay.pulse(400)
        assert pin.level()
        pin.run(400)
        assert not pin.level()


def test_hold_takes_over_a_running_pulse_and_release_ends_both():
    pin, relay = make()
    relay.pulse(5000)
    pin.run(100)
    relay.hold()
    assert pin.level()
    relay.release()
    assert not pin.level()
    relay.pulse(300)  # the old sequence is still running, unheard
    relay.poll()
    assert not pin.level()
    pin.run(5000)
    relay.poll()
    assert pin.level()
    assert pin.channels[-1].left_ticks == 300 * 625 // 2


def test_pulses_before_and_during_hold_are_dropped():
    pin, relay = make()
    relay.pulse(400)
    relay.pulse(400)
    relay.hold()
    relay.pulse(400)
    pin.run(1000)
    relay.release()
    relay.poll()
    assert not pin.level()


def test_a_release_without_hold_does_nothing():
    pin, relay = make()
    relay.pulse(400)
    relay.release()
    assert pin.level()
