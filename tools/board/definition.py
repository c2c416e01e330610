"""Board definitions: reads boards/<board>/board.toml, and refuses what would not work.

Owns the form of a board.toml and the constants that the firmware gets from it (board.py). Never talks to a
board. chips.py knows the processors, uses.py what a gate needs, checks.py the rules of pins; readme.py and
wiring.py make what people read.
Partition tables: ESP-IDF Programming Guide, "Partition Tables".
"""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from tools.board.checks import (
    ethernet_use,
    expander_fault,
    expander_number,
    expander_pin,
    pin_fault,
    pin_notes,
    placing,
)
from tools.board.chips import CHIPS, Chip
from tools.board.uses import ETHERNET, EXPANDABLE, EXPANDER, LEAST, OPTIONAL, PARTITIONS, UNUSED, USES

ROOT = Path(__file__).resolve().parent.parent.parent
BOARDS = ROOT / "boards"
COMMAND = "python -m tools.board"

SECTOR = 0x1000
APP_ALIGNMENT = 0x10000  # ESP-IDF: the flash cache maps 64 kB pages
FIRST_OFFSET = 0x9000  # ESP-IDF: after the bootloader and the partition table at 0x8000
# Below 1 kΩ an output is loaded for nothing; above 22 kΩ the chip's own pull-up of 45 kΩ (DS) would tell.
PULLS_OHM = range(1_000, 22_001)


class BoardError(Exception):
    """A board.toml that would not work; the text is "FILE: FIELD: what is wrong"."""


@dataclasses.dataclass(frozen=True)
class Pin:
    """One wire of the board: the constant in board.py, and its GPIO, or from uses.EXPANDER on a pin there."""

    name: str
    gpio: int

    @property
    def place(self) -> str:
        """Return the pin as people call it."""
        return expander_pin(self.gpio) if self.gpio >= EXPANDER else "GPIO %d" % self.gpio


@dataclasses.dataclass(frozen=True)
class Header:
    """A row of the board's pins as it lies on the table, from the top: GPIOs, and names of what is none."""

    name: str
    side: str
    pins: tuple[int | str, ...]


@dataclasses.dataclass(frozen=True)
class Partition:
    """One row of the partition table; `offset` and `size` in bytes."""

    name: str
    type: str
    subtype: str
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class Levels:
    """Levels and resistors of the wires; both resistors in ohms."""

    sensor_active: int
    pull_down: int
    pull_up: int

    def words(self, text: str) -> str:
        """Return `text` of uses.py with the values of this board."""
        up, down = "%s to 3V3" % kilo(self.pull_up), "%s to GND" % kilo(self.pull_down)
        sensor = "closes to 3V3, " + down if self.sensor_active else "closes to GND, " + up
        return text.format(pull_up=kilo(self.pull_up), pull_down=kilo(self.pull_down), sensor=sensor)


def kilo(ohm: int) -> str:
    """Return a resistance for people, in kilo-ohms."""
    return "%g kΩ" % (ohm / 1000)


@dataclasses.dataclass(frozen=True)
class Ethernet:
    """An Ethernet chip, on the board or a module; `wires`: its GPIOs; `settings`: for `network.LAN`."""

    chip: str
    is_onboard: bool
    wires: dict[str, int]
    settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Expander:
    """An MCP23017 on the I2C bus; `outputs`: mask of the pins that are outputs."""

    address: int
    outputs: int


@dataclasses.dataclass(frozen=True)
class Definition:
    """A board that was checked. `warnings`: what works but deserves a look, one sentence each."""

    name: str
    title: str
    chip: Chip
    flash_mb: int
    psram: str
    spi_id: int
    spi_baud: int
    levels: Levels
    pins: tuple[Pin, ...]
    headers: tuple[Header, ...]
    partitions: tuple[Partition, ...]
    warnings: tuple[str, ...]
    ethernet: Ethernet | None = None
    expander: Expander | None = None

    def has(self, name: str) -> bool:
        """Return whether the wire `name`, a constant of board.py, is there."""
        return any(pin.name == name for pin in self.pins)

    @property
    def flash_size(self) -> int:
        """Return the size of the flash in bytes."""
        return self.flash_mb << 20


_WORDS = {int: "a whole number", str: "a text", bool: "true or false", dict: "a table", list: "a list"}


class _Reader:
    """Takes typed fields out of a TOML table, each error naming its field; `done` refuses leftovers."""

    def __init__(self, file: str, table: Any, field: str = "") -> None:
        self._file = file
        self._field = field
        if not isinstance(table, dict):
            self.fail("", "must be a table")
        self._table: dict[str, Any] = dict(table)

    def fail(self, key: str, text: str) -> NoReturn:
        field = ".".join(part for part in (self._field, key) if part)
        raise BoardError("%s: %s: %s" % (self._file, field, text))

    def take(self, key: str, kind: type, choices: tuple[Any, ...] = ()) -> Any:
        if key not in self._table:
            self.fail(key, "is missing")
        value = self._table.pop(key)
        if type(value) is not kind:
            self.fail(key, "must be %s, not %r" % (_WORDS[kind], value))
        if choices and value not in choices:
            self.fail(key, "must be %s, not %r" % (" or ".join(repr(choice) for choice in choices), value))
        return value

    def table(self, key: str) -> "_Reader":
        return _Reader(
            self._file, self.take(key, dict), ".".join(part for part in (self._field, key) if part)
        )

    def tables(self, key: str) -> list["_Reader"]:
        rows = self.take(key, list)
        return [_Reader(self._file, row, "%s[%d]" % (key, number)) for number, row in enumerate(rows)]

    def has(self, key: str) -> bool:
        return key in self._table

    def done(self) -> None:
        for key in self._table:
            self.fail(key, "is not a field that is known here")


def names() -> list[str]:
    """Return the names of all boards, sorted."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def load(board: str | Path) -> Definition:
    """Return the checked definition of `board`, a name below boards/ or the path of a board.toml.

    Raises BoardError naming file and field.
    """
    path = board if isinstance(board, Path) else BOARDS / board / "board.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BoardError("%s: there is no such board, only: %s" % (path, ", ".join(names()))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BoardError("%s: cannot be read: %s" % (path, error)) from None
    return parse(text, "%s/%s" % (path.parent.name, path.name))


def parse(text: str, file: str) -> Definition:
    """Return the checked definition in the TOML `text`; `file` is the name for errors. Raises BoardError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError("%s: not TOML: %s" % (file, error)) from None
    root = _Reader(file, data)
    name = root.take("name", str)
    if not name.isidentifier():
        root.fail("name", "must be a name of letters, digits and _, not %r" % name)
    title = root.take("title", str)
    chip = CHIPS[root.take("chip", str, tuple(CHIPS))]
    flash_mb = root.take("flash_mb", int, tuple(LEAST))
    psram = root.take("psram", str, tuple(chip.psram))
    spi = root.table("spi")
    spi_id = spi.take("id", int, (1, 2))
    spi_baud = spi.take("baud", int)
    if not 100_000 <= spi_baud <= 10_000_000:  # MFRC522 datasheet 8.1.2: at most 10 Mbit/s
        spi.fail("baud", "must be from 100000 to 10000000, not %d" % spi_baud)
    spi.done()
    board = _Board(chip, psram, _headers(root), _onboard(root))
    levels = _levels(root.table("levels"))
    expander = root.table("expander") if root.has("expander") else None
    address, expanded = _expander(expander, board) if expander else (0, {})
    pins = _pins(root.table("pins"), board, expanded) if root.has("pins") else ()
    ethernet = _ethernet(root.table("ethernet"), board, spi_id) if root.has("ethernet") else None
    if not pins:
        root.fail("pins", _proposal(board, bool(expander)))
    outputs = sum(
        1 << pin.gpio - EXPANDER for pin in pins if pin.gpio >= EXPANDER and USES[pin.name].kind == "out"
    )
    partitions = _partitions(root, flash_mb)
    root.done()
    return Definition(
        name,
        title,
        chip,
        flash_mb,
        psram,
        spi_id,
        spi_baud,
        levels,
        pins,
        board.headers,
        partitions,
        tuple(board.notes),
        ethernet,
        Expander(address, outputs) if expander else None,
    )


class _Board:
    """What a pin is checked against, and what is used already."""

    def __init__(self, chip: Chip, psram: str, headers: tuple[Header, ...], onboard: dict[int, str]) -> None:
        self.chip = chip
        self.psram = psram
        self.headers = headers
        self.reachable = {pin for header in headers for pin in header.pins if isinstance(pin, int)}
        self.onboard = onboard
        self.used: dict[int, str] = {}
        self.notes: list[str] = []


def _headers(root: _Reader) -> tuple[Header, ...]:
    found: list[Header] = []
    seen: set[int] = set()
    for row in root.tables("headers"):
        name = row.take("name", str)
        side = row.take("side", str, ("left", "right"))
        pins = tuple(row.take("pins", list))
        for pin in pins:
            if type(pin) not in (int, str):
                row.fail("pins", "must be GPIO numbers and names, not %r" % (pin,))
            if pin in seen:
                row.fail("pins", "GPIO %s is there twice" % pin)
            if isinstance(pin, int):
                seen.add(pin)
        row.done()
        found.append(Header(name, side, pins))
    return tuple(found)


def _onboard(root: _Reader) -> dict[int, str]:
    found = {}
    for row in root.tables("onboard") if root.has("onboard") else []:
        found[row.take("gpio", int)] = row.take("what", str)
        row.done()
    return found


def _levels(table: _Reader) -> Levels:
    # A relay input that is active low would close while the chip starts and its pins float.
    table.take("relay_active", int, (1,))
    levels = Levels(
        table.take("sensor_active", int, (0, 1)),
        table.take("pull_down_ohm", int),
        table.take("pull_up_ohm", int),
    )
    for key, ohm in (("pull_down_ohm", levels.pull_down), ("pull_up_ohm", levels.pull_up)):
        if ohm not in PULLS_OHM:
            table.fail(key, "must be from %d to %d, not %d" % (PULLS_OHM[0], PULLS_OHM[-1], ohm))
    table.done()
    return levels


# To 0x27 by the chip's address pins (DS20001952C 3.3.1); there the usual display is (PCF8574).
_ADDRESSES = tuple(range(0x20, 0x27))


def _expander(table: _Reader, board: _Board) -> tuple[int, dict[str, int]]:
    """Return the expander's address, and the numbers in board.py of the wires on it."""
    table.take("chip", str, ("mcp23017",))
    address = table.take("address", int)
    if address not in _ADDRESSES:
        table.fail("address", "must be from 0x20 to 0x26 (0x27 is a display's), not 0x%X" % address)
    found: dict[str, int] = {}
    pins = table.table("pins")
    for name in USES:
        if not pins.has(name):
            continue
        place = pins.take(name, str)
        number = expander_number(place)
        if number is None:
            pins.fail(name, "must be GPA0 to GPA7 or GPB0 to GPB7, not %r" % place)
        fault = expander_fault(name, number)
        if number in board.used:
            fault = "%s is already %s" % (place, board.used[number])
        if fault:
            pins.fail(name, fault)
        board.used[number] = name
        found[name] = number
    pins.done()
    table.done()
    if not found:
        table.fail("pins", "is empty: leave the expander out")
    return address, found


def _pins(table: _Reader, board: _Board, expanded: dict[str, int]) -> tuple[Pin, ...]:
    found = []
    for name, use in USES.items():
        if name in expanded:
            if table.has(name):
                table.fail(name, "is on the expander already")
            found.append(Pin(name, expanded[name]))
            continue
        if name in OPTIONAL and not table.has(name):
            if OPTIONAL[name]:
                board.notes.append("%s is left out: %s" % (name, OPTIONAL[name]))
            continue
        gpio = table.take(name, int)
        fault = pin_fault(board.chip, board.psram, gpio, use)
        if gpio in board.used:
            fault = "GPIO %d is already %s" % (gpio, board.used[gpio])
        if not fault and gpio not in board.reachable:
            fault = "GPIO %d is on none of the board's headers" % gpio
        if fault:
            table.fail(name, fault)
        board.notes += ["%s: %s" % (name, note) for note in pin_notes(board.chip, gpio, use)]
        if gpio in board.onboard:
            board.notes.append("%s: GPIO %d is on the board's %s too" % (name, gpio, board.onboard[gpio]))
        board.used[gpio] = name
        found.append(Pin(name, gpio))
    bus = [pin.name for pin in found if pin.name.startswith("I2C_")]
    for name in ("I2C_SDA", "I2C_SCL"):
        if name not in bus and (bus or expanded):
            table.fail(
                name,
                "is missing: the %s" % ("other wire of the bus is there" if bus else "expander hangs on it"),
            )
    table.done()
    return tuple(found)


def _ethernet(table: _Reader, board: _Board, spi_id: int) -> Ethernet:
    """Return the chip, its wires, and what the firmware's interface.py takes."""
    name = table.take("chip", str, tuple(ETHERNET))
    chip = ETHERNET[name]
    is_onboard = table.take("onboard", bool)
    if chip.fixed and not board.chip.has_mac:
        table.fail("chip", "the %s has no Ethernet of its own for a %s" % (board.chip.name, name))
    for gpio in chip.fixed:
        if gpio in board.used:
            text = "GPIO %d belongs to the processor's Ethernet, and is %s" % (gpio, board.used[gpio])
            table.fail("chip", text)
        board.used[gpio] = "the processor's Ethernet"
    wires: dict[str, int] = {}
    for wire in (*chip.wires, *chip.optional):
        if wire in chip.optional and not table.has(wire):
            continue
        gpio = table.take(wire, int)
        fault = pin_fault(board.chip, board.psram, gpio, ethernet_use(wire, wire in chip.inputs))
        if gpio in board.used:
            fault = "GPIO %d is already %s" % (gpio, board.used[gpio])
        if wire == "ref_clk" and gpio not in (16, 17):
            fault = "the clock leaves the chip by GPIO 16 or 17, not %d" % gpio
        if not fault and not is_onboard and gpio not in board.reachable:
            fault = "GPIO %d is on none of the board's headers" % gpio
        if fault:
            table.fail(wire, fault)
        board.used[gpio] = "ethernet." + wire
        wires[wire] = gpio
    settings: dict[str, Any] = dict(wires)
    settings["phy_addr"] = table.take("phy_addr", int, tuple(range(32))) if table.has("phy_addr") else 0
    if name == "lan8720":
        settings["ref_clk_mode"] = 3  # machine.Pin.OUT: the processor drives the clock
    else:
        settings["spi"] = (3 - spi_id, *(settings.pop(wire) for wire in ("sck", "mosi", "miso")))
    table.done()
    return Ethernet(name, is_onboard, wires, settings)


def _proposal(board: _Board, has_expander: bool) -> str:
    """Return what to say of a board.toml without pins: pins that would do, or which there are too few of."""
    free = board.reachable - board.used.keys()

    def place(without: frozenset[str]) -> tuple[dict[str, int], tuple[str, ...]]:
        placed, missing = placing(board.chip, board.psram, free, without)
        return dict(placed), missing

    without = UNUSED | EXPANDABLE if has_expander else UNUSED
    placed, missing = place(without)
    if not missing:
        return "is missing; these would do: " + ", ".join("%s = %d" % item for item in sorted(placed.items()))
    count = "only %d of %d wires find a GPIO" % (len(placed), len(placed) + len(missing))
    text = "%s; none is left for %s" % (count, ", ".join(missing))
    if not has_expander:
        for what, less in (
            ("without %s" % ", ".join(sorted(OPTIONAL.keys() - UNUSED)), frozenset(OPTIONAL)),
            ("with an [expander]", UNUSED | EXPANDABLE),
        ):
            text += "; %s %s" % (what, "too few" if place(less)[1] else "they suffice")
    return text


def _partitions(root: _Reader, flash_mb: int) -> tuple[Partition, ...]:
    rows = root.tables("partitions")
    found = []
    end = FIRST_OFFSET
    for number, row in enumerate(rows):
        name = row.take("name", str)
        expected = list(PARTITIONS)[number] if number < len(PARTITIONS) else None
        if name != expected:
            row.fail(
                "name", "must be %r, not %r" % (expected, name) if expected else "%r is one too many" % name
            )
        kind = row.take("type", str, (PARTITIONS[name][0],))
        subtype = row.take("subtype", str, (PARTITIONS[name][1],))
        offset, size = row.take("offset", int), row.take("size", int)
        row.done()
        alignment = APP_ALIGNMENT if kind == "app" else SECTOR
        if offset % alignment:
            row.fail("offset", "0x%X is not a multiple of 0x%X" % (offset, alignment))
        if offset != end:
            row.fail("offset", "must be 0x%X, where the one before ends, not 0x%X" % (end, offset))
        if size <= 0 or size % SECTOR:
            row.fail("size", "0x%X is not a positive multiple of 0x%X" % (size, SECTOR))
        if name == "list" and size % (2 * SECTOR):
            row.fail("size", "0x%X does not divide into two slots of whole sectors" % size)
        least, purpose = LEAST[flash_mb].get(name, (0, ""))
        if size < least:
            row.fail("size", "0x%X is too small, 0x%X is needed for %s" % (size, least, purpose))
        end = offset + size
        found.append(Partition(name, kind, subtype, offset, size))
    if len(found) < len(PARTITIONS):
        root.fail("partitions", "%r is missing" % list(PARTITIONS)[len(found)])
    if end != flash_mb << 20:
        root.fail(
            "partitions", "end at 0x%X, but flash_mb = %d ends at 0x%X" % (end, flash_mb, flash_mb << 20)
        )
    return tuple(found)


def partitions(definition: Definition) -> str:
    """Return the text of partitions.csv, in the form that ESP-IDF's gen_esp32part.py reads."""
    rows = ["# Made from board.toml by `%s %s`." % (COMMAND, definition.name)]
    rows.append("# Name, Type, SubType, Offset, Size, Flags")
    rows += ["%s, %s, %s, 0x%X, 0x%X," % dataclasses.astuple(row) for row in definition.partitions]
    return "\n".join(rows) + "\n"


def render_board_py(definition: Definition) -> str:
    """Return the text of board.py, the module of plain constants that the firmware's wiring reads."""
    gpios = {pin.name: pin.gpio for pin in definition.pins}
    lines = ['"""Made from boards/%s/board.toml; change that file instead."""\n' % definition.name]
    lines += ['NAME = "%s"' % definition.name]
    lines += ["SPI_ID = %d" % definition.spi_id, "SPI_BAUD = %d" % definition.spi_baud]
    lines += ["%s = %s" % (name, gpios.get(name)) for name in USES]
    chip = definition.ethernet and (definition.ethernet.chip, definition.ethernet.settings)
    lines += ["SENSOR_ACTIVE = %d" % definition.levels.sensor_active, "ETHERNET = %r" % (chip,)]
    lines += ["EXPANDER = %r" % (definition.expander and dataclasses.astuple(definition.expander),)]
    return "\n".join(lines) + "\n"


def render_board_pyi() -> str:
    """Return the text of boards/board.pyi: the names and types of every board.py, for the type checker."""
    lines = ["# Made by `%s`: what every board.py has." % COMMAND, ""]
    lines += ["NAME: str", "SPI_ID: int", "SPI_BAUD: int"]
    lines += ["%s: %s" % (name, "int | None" if name in OPTIONAL else "int") for name in USES]
    lines += ["SENSOR_ACTIVE: int", "ETHERNET: tuple[str, dict] | None", "EXPANDER: tuple[int, int] | None"]
    return "\n".join(lines) + "\n"
