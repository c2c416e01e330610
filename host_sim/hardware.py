"""One gate's board: pins, SPI bus with its two readers, RMT channels, flash, NVS, clock, watchdog.

Answers the operations of the firmware's stand-ins (`shims/device/_ops.py`) and tells observers what happened
on the outside: relays, lamps, buzzer, journal records. Knows nothing of interpreters, gates or rules.
"""

import dataclasses
import struct
from collections.abc import Callable, Mapping
from typing import Any

from firmware import records
from host_sim.cards.field import Field
from host_sim.chips import ds3231, hd44780, mcp23017, ssd1306
from host_sim.chips.mfrc522 import MFRC522
from host_sim.chips.nor_flash import SLOW, NorFlash
from host_sim.chips.nor_flash import TYPICAL as TYPICAL_FLASH
from host_sim.chips.nor_flash import Profile as FlashProfile
from host_sim.network import Stack
from host_sim.radio import AccessPointError, Radio
from host_sim.shims.device import _ops as ops
from host_sim.timeline import Event, Timeline

DIRECTIONS = ("in", "out")
_RECORD = 32
_EXPANDER = 64  # numbers in board.py from here on are pins of the expander
_OUTPUTS = ("RELAY_IN", "RELAY_OUT", "LAMP_GREEN", "LAMP_RED", "BUZZER")


@dataclasses.dataclass(frozen=True)
class Charges:
    """What things cost on the board, in microseconds (docs/simulation.md gives the sources)."""

    wake_us: int = 500
    sha_us: int = 500
    aes_us: int = 100
    gc_us: int = 15_000
    spi_us: int = 70
    grain_ms: int = 10
    clock_gain: int = 0  # us that the RTC gains in a second: ppm
    boot_us: int = 1_500_000
    flash: FlashProfile = TYPICAL_FLASH


TYPICAL = Charges()
WORST = Charges(
    wake_us=1000, sha_us=1000, aes_us=200, gc_us=30_000, spi_us=100, boot_us=2_500_000, flash=SLOW
)


class HardwareError(Exception):
    """The firmware did what the hardware cannot do; the simulation stops loudly."""


@dataclasses.dataclass(frozen=True)
class Partition:
    """A part of the flash: `offset` and `size` in bytes."""

    label: str
    offset: int
    size: int


class _Pin:
    __slots__ = ("driven", "level", "name", "rmt")

    def __init__(self) -> None:
        self.name: str | None = None  # what the pin drives, for observers
        self.driven = False
        self.level = 0
        self.rmt: _Channel | None = None


class _Channel:
    """An RMT transmit channel: the sequence that it plays ends whatever the firmware does."""

    def __init__(self, pin: int, resolution_hz: int, idle: int) -> None:
        self.pin = pin
        self.resolution_hz = resolution_hz
        self.idle = idle
        self.busy_until = 0
        self.events: list[Event] = []


class Hardware:
    """The board of one gate. `board` holds the constants of its `board.py`; levels are electrical."""

    def __init__(
        self,
        timeline: Timeline,
        board: Mapping[str, Any],
        partitions: list[Partition],
        nvs: Mapping[str, bytes],
        flash_size: int,
        charges: Charges = TYPICAL,
    ) -> None:
        self.timeline = timeline
        self.board = board
        self.charges = charges
        self.nvs = dict(nvs)
        self.partitions = partitions
        self.flash = NorFlash(flash_size, profile=charges.flash)
        self.observers: list[Callable[[int, str, dict[str, Any]], None]] = []
        self.fields = {direction: Field(timeline) for direction in DIRECTIONS}
        self.chips = {direction: MFRC522(timeline, self.fields[direction]) for direction in DIRECTIONS}
        self.stack = Stack(timeline)
        self.radio = Radio(timeline, self.stack.unplug)
        self.clock_chip = ds3231.DS3231(timeline)
        self.displays: dict[int, hd44780.HD44780 | ssd1306.SSD1306] = {}  # by address on the I2C bus
        self.i2c_hangs = False  # somebody holds SDA low
        self.expander: mcp23017.MCP23017 | None = None
        self.rtc_memory = b""
        self.rtc_offset_us = (
            0  # added to the time that its crystal counts: microseconds of the clock since 2000
        )
        self.on_reset: Callable[[int], None] = lambda cause: None
        self._watchdog: Event | None = None
        self._watchdog_ms = 0
        self._channels: dict[int, _Channel] = {}
        self._inputs = 0
        self._pins = [_Pin() for _ in range(64)]
        self._chip_selects = {
            board[f"READER_{direction.upper()}_CS"]: self.chips[direction] for direction in DIRECTIONS
        }
        self._resets = {
            board[f"READER_{direction.upper()}_RST"]: self.chips[direction] for direction in DIRECTIONS
        }
        self._selected: list[MFRC522] = []
        self._expanded: dict[int, str] = {}  # outputs on the expander, by its pin
        for name in _OUTPUTS:
            number = board[name]
            if number is not None and number >= _EXPANDER:
                self._expanded[number - _EXPANDER] = name.lower()
            elif number is not None:
                self._pins[number].name = name.lower()
        if board["EXPANDER"]:
            # As the wiring has it: a reader's RST is pulled up, a driver's input down.
            resets = [number - _EXPANDER for number in self._resets if number >= _EXPANDER]
            rest = dict.fromkeys(self._expanded, 0) | dict.fromkeys(resets, 1)
            self.expander = mcp23017.MCP23017(rest, self._on_expander)
            self._expander_address = board["EXPANDER"][0]
        self._active = {
            "sensor_in": board["SENSOR_ACTIVE"],
            "sensor_out": board["SENSOR_ACTIVE"],
            "fire": 1,  # normally closed to ground: open is fire, and so is a broken wire
            "tamper": 1,
            "guard_in": 0,
            "guard_out": 0,
        }
        for name in self._active:
            self.set_input(name, False)
        self._serve: dict[int, Callable[[bytes], bytes | None]] = {
            ops.SLEEP: lambda payload: b"",
            ops.POLL: lambda payload: b"",
            ops.PIN_MODE: self._pin_mode,
            ops.PIN_WRITE: self._pin_write,
            ops.SPI: self._transfer,
            ops.SPI_WRITE: self._spi_write,
            ops.RMT_OPEN: self._rmt_open,
            ops.RMT_WRITE: self._rmt_write,
            ops.RMT_BUSY: self._rmt_busy,
            ops.RMT_CLOSE: self._rmt_close,
            ops.FLASH_FIND: self._flash_find,
            ops.FLASH_READ: self._flash_read,
            ops.FLASH_PROGRAM: self._flash_program,
            ops.FLASH_ERASE: self._flash_erase,
            ops.NVS_GET: self._nvs_get,
            ops.I2C: self._i2c,
            ops.RTC_SET: self._rtc_set,
            ops.RTC_MEMORY: self._rtc_memory,
            ops.WATCHDOG: self._watchdog_op,
            ops.RESET: self._reset,
            ops.NETWORK: self._network,
            **self.stack.operations,
        }

    # --- the outside
    # -------------------------------------------------------------------------------------------

    def set_input(self, name: str, active: bool) -> None:
        """Bring the input `name` (sensor_in, fire, guard_out, ...) to its active or its idle level."""
        pin = self.board[name.upper()]
        if pin is None:
            return  # the board has none
        level = self._active[name] if active else 1 - self._active[name]
        if pin >= _EXPANDER:
            assert self.expander is not None
            self.expander.contact(pin - _EXPANDER, level)
            return
        self._inputs = self._inputs & ~(1 << pin) | level << pin

    @property
    def inputs(self) -> int:
        """Levels of GPIO 0-63 as the firmware reads them."""
        return self._inputs

    def power_on(self) -> None:
        """Supply the board: the flash answers again."""
        self.flash.power_on()
        self.clock_chip.supply(True)
        if self.expander is not None:
            self.expander.supply(True)

    def power_off(self) -> None:
        """Let everything that needs power fall: outputs, chips, channels, watchdog."""
        self.reset_peripherals()
        if self.expander is not None:
            self.expander.supply(False)
        for chip in self.chips.values():
            chip.reset_pin(0)
        self.clock_chip.supply(False)

    def reset_peripherals(self) -> None:
        """Bring the processor's outputs to their level at reset (inputs with pull-down: low) and stop the
        RMT.
        """
        self.timeline.cancel(self._watchdog)
        self._watchdog, self._watchdog_ms = None, 0
        for channel in self._channels.values():
            for event in channel.events:
                self.timeline.cancel(event)
        self._channels.clear()
        self._selected.clear()
        self.stack.reset()
        self.radio.reset()
        for number, pin in enumerate(self._pins):
            before = self._level(pin)
            pin.rmt, pin.driven, pin.level = None, False, 0
            self._changed(number, before)

    def boot_facts(self, ticks_ms: int, cause: int) -> bytes:
        """Return the answer to HELLO."""
        c = self.charges
        rtc_us = self._gained(self.timeline.now) + self.rtc_offset_us
        return struct.pack(
            ops.BOOT,
            rtc_us,
            ticks_ms,
            cause,
            c.wake_us,
            c.sha_us,
            c.aes_us,
            c.gc_us,
            c.spi_us,
            c.grain_ms,
            c.clock_gain,
        )

    def set_rtc(self, us: int) -> None:
        """Let the processor's clock show `us` since 2000."""
        self.rtc_offset_us = us - self._gained(self.timeline.now)

    def _gained(self, us: int) -> int:
        return us + us * self.charges.clock_gain // 1_000_000

    def partition(self, label: str) -> Partition:
        """Return the partition named `label`. Raises KeyError."""
        for partition in self.partitions:
            if partition.label == label:
                return partition
        raise KeyError(label)

    def image(self, label: str) -> bytes:
        """Return what is on flash in the partition `label`, without cost."""
        partition = self.partition(label)
        return self.flash.contents()[partition.offset : partition.offset + partition.size]

    def tell(self, kind: str, **fields: Any) -> None:
        """Tell the observers that something happened now."""
        for observer in self.observers:
            observer(self.timeline.now, kind, fields)

    # --- operations
    # --------------------------------------------------------------------------------------------

    def serve(self, op: int, payload: bytes) -> bytes | None:
        """Carry out one operation at the timeline's time; return the answer. Raises HardwareError."""
        try:
            return self._serve[op](payload)
        except KeyError:
            raise HardwareError(f"unknown operation {op}") from None

    def _level(self, pin: _Pin) -> int:
        return pin.level if pin.driven else 0

    def _changed(self, number: int, before: int) -> None:
        pin = self._pins[number]
        level = self._level(pin)
        if level != before and pin.name is not None:
            self.tell("output", name=pin.name, level=level)

    def _set(self, number: int, level: int) -> None:
        pin = self._pins[number]
        before = self._level(pin)
        pin.level = level
        self._changed(number, before)

    def _pin_mode(self, payload: bytes) -> None:
        number, output, level = payload
        pin = self._pins[number]
        before = self._level(pin)
        pin.rmt, pin.driven, pin.level = None, bool(output), level
        if output:
            self._drive(number, level)
        self._changed(number, before)

    def _pin_write(self, payload: bytes) -> None:
        number, level = payload
        pin = self._pins[number]
        if pin.rmt is not None:
            return  # the output is routed to the RMT: GPIO has no effect
        if not pin.driven:
            raise HardwareError(f"GPIO{number} is written but is not an output")
        self._drive(number, level)
        if pin.name is not None:
            self._set(number, level)
        else:
            pin.level = level

    def _drive(self, number: int, level: int) -> None:
        chip = self._chip_selects.get(number)
        if chip is not None:
            if level == 0 and chip not in self._selected:
                self._selected.append(chip)
            elif level and chip in self._selected:
                self._selected.remove(chip)
            return
        chip = self._resets.get(number)
        if chip is not None:
            chip.reset_pin(level)

    def _on_expander(self, pin: int, level: int) -> None:
        if pin in self._expanded:
            self.tell("output", name=self._expanded[pin], level=level)
        self._drive(_EXPANDER + pin, level)

    def _transfer(self, payload: bytes) -> bytes:
        if len(self._selected) != 1:
            raise HardwareError(f"SPI transfer with {len(self._selected)} chips selected")
        return self._selected[0].transfer(payload[1:])

    def _spi_write(self, payload: bytes) -> None:
        self._transfer(payload)

    def _rmt_open(self, payload: bytes) -> bytes:
        number, pin, resolution_hz, idle = struct.unpack("<BBIB", payload)
        channel = self._channels[number] = _Channel(pin, resolution_hz, idle)
        before = self._level(self._pins[pin])
        self._pins[pin].rmt, self._pins[pin].driven, self._pins[pin].level = channel, True, idle
        self._changed(pin, before)
        return b""

    def _rmt_write(self, payload: bytes) -> bytes:
        channel = self._channel(payload[0])
        if channel.busy_until > self.timeline.now:
            self.timeline.run_until(
                channel.busy_until
            )  # as on the chip: the call waits, and so does all of Python
        at = self.timeline.now
        channel.events.clear()
        for ticks, level in struct.iter_unpack("<HB", payload[1:]):
            channel.events.append(self.timeline.at(at, self._rmt_level, channel, level))
            at += ticks * 1_000_000 // channel.resolution_hz
        channel.events.append(self.timeline.at(at, self._rmt_level, channel, channel.idle))
        channel.busy_until = at
        self.timeline.run_until(self.timeline.now)
        return b""

    def _rmt_level(self, channel: _Channel, level: int) -> None:
        if self._pins[channel.pin].rmt is channel:
            self._set(channel.pin, level)

    def _rmt_busy(self, payload: bytes) -> bytes:
        return bytes((self._channel(payload[0]).busy_until > self.timeline.now,))

    def _rmt_close(self, payload: bytes) -> bytes:
        channel = self._channel(payload[0])
        for event in channel.events:
            self.timeline.cancel(event)
        pin = self._pins[channel.pin]
        if pin.rmt is channel:
            before = self._level(pin)
            pin.rmt, pin.driven = None, False
            self._changed(channel.pin, before)
        del self._channels[payload[0]]
        return b""

    def _channel(self, number: int) -> _Channel:
        if number not in self._channels:
            raise HardwareError(f"RMT channel {number} is not open")
        return self._channels[number]

    def _flash_find(self, payload: bytes) -> bytes:
        label = payload.decode()
        for index, partition in enumerate(self.partitions):
            if partition.label == label:
                return struct.pack("<BII", index, partition.offset, partition.size)
        return b""

    def _place(self, index: int, offset: int, length: int) -> tuple[Partition, int]:
        partition = self.partitions[index]
        if offset + length > partition.size:
            raise HardwareError(f"flash access beyond partition {partition.label}: {offset:#x}+{length}")
        return partition, partition.offset + offset

    def _flash_done(self) -> None:
        self.timeline.run_until(self.timeline.now + self.flash.last_us)

    def _flash_read(self, payload: bytes) -> bytes:
        index, offset, length = struct.unpack("<BIH", payload)
        _, at = self._place(index, offset, length)
        data = self.flash.read(at, length)
        self._flash_done()
        return data

    def _flash_program(self, payload: bytes) -> bytes:
        index, offset = struct.unpack_from("<BI", payload)
        data = payload[5:]
        partition, at = self._place(index, offset, len(data))
        self.flash.program(at, data)
        self._flash_done()
        if partition.label == "journal" and len(data) == _RECORD and offset % 4096:
            self.tell("journal", record=records.unpack_event(data), raw=bytes(data))
        return b""

    def _flash_erase(self, payload: bytes) -> bytes:
        index, sector = struct.unpack("<BI", payload)
        _, at = self._place(index, sector * 4096, 4096)
        self.flash.erase(at // 4096)
        self._flash_done()
        return b""

    def _nvs_get(self, payload: bytes) -> bytes:
        value = self.nvs.get(payload.decode())
        return b"" if value is None else b"\x01" + value

    def _network(self, payload: bytes) -> bytes:
        try:
            return self.radio.serve(payload)
        except AccessPointError as error:
            raise HardwareError(str(error)) from None

    def _i2c(self, payload: bytes) -> bytes:
        address, count = payload[:2]
        if self.i2c_hangs:
            return b"\x02"
        chip = self.clock_chip if address == ds3231.ADDRESS else self.displays.get(address)
        if self.expander is not None and address == self._expander_address:
            chip = self.expander
        if chip is None:
            return b"\x00"
        try:
            answer = chip.transfer(payload[2:], count)
        except (
            ds3231.IllogicalTime,
            hd44780.HD44780Error,
            ssd1306.SSD1306Error,
            mcp23017.MCP23017Error,
        ) as error:
            raise HardwareError(str(error)) from None
        return b"\x00" if answer is None else b"\x01" + answer

    def _rtc_set(self, payload: bytes) -> None:
        self.set_rtc(struct.unpack("<q", payload)[0])

    def _rtc_memory(self, payload: bytes) -> bytes | None:
        if not payload:
            return self.rtc_memory
        self.rtc_memory = payload[1:]
        return None

    def _watchdog_op(self, payload: bytes) -> None:
        (timeout_ms,) = struct.unpack("<I", payload)
        self._watchdog_ms = timeout_ms or self._watchdog_ms
        self.timeline.cancel(self._watchdog)
        self._watchdog = self.timeline.after(self._watchdog_ms * 1000, self.on_reset, 3)

    def _reset(self, payload: bytes) -> bytes:
        self.on_reset(2)
        return b""
