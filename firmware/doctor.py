"""Examines the parts of a gate, for a technician at the other end of the cable: readers, relays, inputs.

Sent to the board by the technician's tool and never resident; the gate is not running meanwhile. It finds
facts and names them with a code: a finding is (check, level, code, facts ...), and the tool has the words.
Raises nothing that it expects. Outputs are in their safe state from `parts` on.
"""

import gc
import sys
from time import sleep_ms, ticks_ms

from machine import I2C, RTC, Pin
from micropython import const

from .errors import BusError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .hardware import Hardware

OK, WARNING, ERROR = 0, 1, 2
DIRECTIONS = ("in", "out")
_PULSE_MS = const(400)
_SETTLE_MS = const(5)
_SHOWN_MS = const(700)
_CHIPS = {
    "version": "version",
    "fifo": "fifo",
    "self-test": "self_test",
    "gain": "gain",
    "antenna": "antenna",
}


def parts(board) -> "Hardware":
    """Return the drivers of the gate on `board`, a module of constants; outputs are off from here on."""
    from .wiring import connect

    return connect(board)


def runtime() -> list:
    """Return what runs here: [version of MicroPython, platform with the version of ESP-IDF, free heap]."""
    import platform

    gc.collect()
    return [list(sys.implementation.version[:3]), platform.platform(), gc.mem_free()]


def readers(hardware: "Hardware") -> list:
    """Return the findings on both reader chips: version, FIFO, self-test, gain, antenna. Restarts them."""
    from .drivers.mfrc522_check import check

    found = []
    for direction in (0, 1):
        for what, level, text in check(hardware.chips[direction]):
            name = _CHIPS.get(what, "antenna")
            code = "reader_" + name + ("", "_odd", "_bad")[level]
            found.append(("reader_%s.%s" % (DIRECTIONS[direction], name), level, code, text))
    return found


def cards(hardware: "Hardware", direction: int, wait_ms: int) -> list:
    """Return the finding on a card at the reader `direction` (0 in, 1 out), waited for `wait_ms` at most."""
    name = "reader_%s.card" % DIRECTIONS[direction]
    scanner = hardware.readers[direction]
    try:
        hardware.chips[direction].start()
        for _ in range(wait_ms // 20):
            if scanner.poll():
                return [(name, OK, "card_read", len(scanner.uids[0]))]
            sleep_ms(20)
    except BusError as error:
        return [(name, ERROR, "card_bus", str(error))]
    return [(name, ERROR, "card_none")]


def relay(hardware: "Hardware", direction: int) -> list:
    """Return the findings on the relay `direction` (0 in, 1 out). Opens the turnstile for one person.

    The wire first: the input of a relay module has its resistor to GND, so the pin reads low against the
    pull-up of the processor; then the level that the pin really has when it is driven, for 1 ms, which no
    relay follows; then one pulse as in service.
    """
    name = "relay_" + DIRECTIONS[direction]
    number = (hardware.board.RELAY_IN, hardware.board.RELAY_OUT)[direction]
    is_pulled = Pin(number, Pin.IN, Pin.PULL_UP)
    sleep_ms(1)
    loose = is_pulled()
    pin = Pin(number, Pin.OUT, value=0)
    low = pin()
    pin(1)
    sleep_ms(1)
    high = pin()
    pin(0)
    if low or not high:
        return [(name, ERROR, "relay_short", number, "3V3" if low else "GND")]
    if loose:
        return [(name, ERROR, "relay_open", number)]
    from .hardware import relay as on_pin

    made = on_pin(number)
    made.pulse(_PULSE_MS)
    sleep_ms(_PULSE_MS + 100)
    return [(name, OK, "relay_pulse", number, _PULSE_MS)]


def inputs(hardware: "Hardware") -> list:
    """Return the findings on sensors, buttons, fire and cabinet contact; at rest is well."""
    sleep_ms(_SETTLE_MS)
    if hardware.expander:
        hardware.expander.poll(ticks_ms())
    found = []
    pairs = (
        ("sensor_in", hardware.sensors[0]),
        ("sensor_out", hardware.sensors[1]),
        ("guard_in", hardware.guards[0]),
        ("guard_out", hardware.guards[1]),
        ("fire", hardware.fire),
        ("tamper", hardware.tamper),
    )
    for name, contact in pairs:
        if contact._pin() == contact._active:
            found.append((name, ERROR, name.split("_")[0] + "_on"))
        else:
            found.append((name, OK, "at_rest"))
    return found


def lamps(hardware: "Hardware") -> list:
    """Switch green, red and buzzer on, one after the other, and off again; return nothing found."""
    for output in hardware.feedback._outputs:
        output(1)
        sleep_ms(_SHOWN_MS)
        output(0)
    return []


def clock_chip(board) -> list:
    """Return what the clock chip shows: ["ok", parts], ["stopped"], ["missing"] or ["bad", text]."""
    if board.I2C_SDA is None:
        return ["missing"]
    from .drivers.ds3231 import DS3231

    i2c = I2C(0, scl=Pin(board.I2C_SCL), sda=Pin(board.I2C_SDA))
    try:
        i2c.readfrom_mem_into(0x68, 0, bytearray(1))
    except OSError:
        return ["missing"]
    try:
        shown = DS3231(i2c).read()
    except BusError as error:
        return ["bad", str(error)]
    return ["ok", list(shown)] if shown else ["stopped"]


def clock() -> list:
    """Return what the processor's clock shows (machine.RTC.datetime)."""
    return list(RTC().datetime())
