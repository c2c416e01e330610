"""Board definitions: reads boards/<board>/board.toml, refuses what would not work, and renders what follows.

Owns the rules of the ESP32's pins and of the flash layout. Never talks to a board. What is rendered:
`board.py` (constants for the firmware), partitions.csv, and the tables of the board's README.
Sources: "DS" = Espressif ESP32 Series Datasheet; "HDG" = Espressif ESP32 Hardware Design Guidelines;
partition tables: ESP-IDF Programming Guide, "Partition Tables".
"""

import dataclasses
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
BOARDS = ROOT / "boards"

SECTOR = 0x1000
APP_ALIGNMENT = 0x10000  # ESP-IDF: the flash cache maps 64 kB pages
FIRST_OFFSET = 0x9000  # ESP-IDF: after the bootloader and the partition table at 0x8000
JOURNAL_SECTORS_MIN = 4  # the one being written, two erased ahead, one to keep

GPIOS = frozenset((*range(20), 21, 22, 23, 25, 26, 27, *range(32, 40)))  # DS "Pin Definitions"
INPUT_ONLY = frozenset(range(34, 40))  # DS "IO Pins": no output driver, no pull resistors
FLASH_PINS = frozenset(range(6, 12))  # DS: connected to the module's flash
CONSOLE_PINS = frozenset((1, 3))  # UART0: the REPL, and with it every repair
PSRAM_PINS = frozenset((16, 17))  # DS, modules with PSRAM
STRAPPING = {  # DS "Strapping Pins": read at reset
    0: "low at reset starts the boot loader",
    2: "must be low or open to enter the boot loader",
    5: "selects SDIO timing, harmless otherwise",
    12: "high at reset sets the flash to 1.8 V and the board does not start",
    15: "low at reset silences the boot messages",
}
MOVES_AT_BOOT = frozenset((0, 1, 2, 3, 5, 12, 14, 15))  # HDG: strapping, console, or driven while booting

# constant -> (direction, internal pull-up used, meaning for people). Optional pins may be absent: None then.
PINS = {
    "SPI_SCK": ("out", False, "SPI clock"),
    "SPI_MOSI": ("out", False, "SPI data to the readers"),
    "SPI_MISO": ("in", False, "SPI data from the readers"),
    "READER_IN_CS": ("out", False, "entry reader, select"),
    "READER_IN_RST": ("out", False, "entry reader, reset"),
    "READER_IN_IRQ": ("in", False, "entry reader, interrupt"),
    "READER_OUT_CS": ("out", False, "exit reader, select"),
    "READER_OUT_RST": ("out", False, "exit reader, reset"),
    "READER_OUT_IRQ": ("in", False, "exit reader, interrupt"),
    "RELAY_IN": ("relay", False, "relay, entry"),
    "RELAY_OUT": ("relay", False, "relay, exit"),
    "SENSOR_IN": ("in", False, "passage sensor, entry"),
    "SENSOR_OUT": ("in", False, "passage sensor, exit"),
    "FIRE": ("in", False, "fire contact"),
    "TAMPER": ("in", False, "cabinet contact"),
    "GUARD_IN": ("in", True, "guard's button, entry"),
    "GUARD_OUT": ("in", True, "guard's button, exit"),
    "LAMP_GREEN": ("out", False, "green lamp"),
    "LAMP_RED": ("out", False, "red lamp"),
    "BUZZER": ("out", False, "buzzer"),
    "I2C_SDA": ("out", False, "I2C data"),
    "I2C_SCL": ("out", False, "I2C clock"),
}
OPTIONAL = frozenset(("READER_IN_IRQ", "READER_OUT_IRQ"))

# name -> (type, subtype); every board has these, in this order, and may have no others.
PARTITIONS = {
    "nvs": ("data", "nvs"),
    "phy_init": ("data", "phy"),
    "factory": ("app", "factory"),
    "vfs": ("data", "fat"),
    "list": ("data", "undefined"),
    "journal": ("data", "undefined"),
}


# Ethernet chips that the firmware can drive: which pins they need, which they may have, and which pins of the
# processor they take without being asked. MicroPython's quick reference for the ESP32, "Networking".
ETHERNET = {
    # RMII: six pins are fixed in the ESP32 (DS "Ethernet MAC"), the clock leaves by 16 or 17 (HDG).
    "lan8720": (("mdc", "mdio", "ref_clk"), ("power",), (19, 21, 22, 25, 26, 27)),
    # A bus of its own: the chip's driver works between two frames for a reader.
    "w5500": (("sck", "mosi", "miso", "cs", "int"), (), ()),
}


class BoardError(Exception):
    """A board.toml that would not work; the text is "FILE: FIELD: what is wrong"."""


@dataclasses.dataclass(frozen=True)
class Pin:
    """One wire of the board: the constant in board.py, the GPIO number, what it is wired to."""

    name: str
    gpio: int
    wire: str


@dataclasses.dataclass(frozen=True)
class Partition:
    """One row of the partition table; `offset` and `size` in bytes."""

    name: str
    type: str
    subtype: str
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class Definition:
    """A board that was checked. `warnings`: what works but deserves a look, one sentence each."""

    name: str
    title: str
    chip: str
    flash_mb: int
    psram: bool
    spi_id: int
    spi_baud: int
    sensor_active: int
    pins: tuple[Pin, ...]
    partitions: tuple[Partition, ...]
    warnings: tuple[str, ...]
    ethernet: tuple[str, dict[str, Any]] | None = None  # chip, and what `network.LAN` wants to know

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
    chip = root.take("chip", str, ("esp32",))
    flash_mb = root.take("flash_mb", int, (4, 8, 16))
    psram = root.take("psram", bool)
    spi = root.table("spi")
    spi_id = spi.take("id", int, (1, 2))
    spi_baud = spi.take("baud", int)
    if not 100_000 <= spi_baud <= 10_000_000:  # MFRC522 datasheet 8.1.2: at most 10 Mbit/s
        spi.fail("baud", "must be from 100000 to 10000000, not %d" % spi_baud)
    spi.done()
    levels = root.table("levels")
    # A relay input that is active low would close while the chip starts and its pins float.
    levels.take("relay_active", int, (1,))
    sensor_active = levels.take("sensor_active", int, (0, 1))
    levels.done()
    pins, warnings = _pins(root.table("pins"), psram)
    ethernet = _ethernet(root.table("ethernet"), pins, psram, spi_id) if root.has("ethernet") else None
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
        sensor_active,
        pins,
        partitions,
        warnings,
        ethernet,
    )


def _pins(table: _Reader, psram: bool) -> tuple[tuple[Pin, ...], tuple[str, ...]]:
    pins: dict[int, Pin] = {}
    warnings = []
    for name, (direction, pull_up, _) in PINS.items():
        if name in OPTIONAL and not table.has(name):
            continue
        row = table.table(name)
        pin = Pin(name, row.take("gpio", int), row.take("wire", str))
        fault = _pin_fault(pin.gpio, direction, pull_up, psram)
        if pin.gpio in pins:
            fault = "GPIO %d is already %s" % (pin.gpio, pins[pin.gpio].name)
        if fault:
            row.fail("gpio", fault)
        if pin.gpio in STRAPPING:
            warnings.append("%s: GPIO %d is a strapping pin: %s" % (name, pin.gpio, STRAPPING[pin.gpio]))
        row.done()
        pins[pin.gpio] = pin
    table.done()
    return tuple(pins.values()), tuple(warnings)


def _ethernet(
    table: _Reader, others: tuple[Pin, ...], psram: bool, spi_id: int
) -> tuple[str, dict[str, Any]]:
    """Return the chip and its wires, as the firmware's interface.py takes them."""
    chip = table.take("chip", str, tuple(ETHERNET))
    needed, optional, fixed = ETHERNET[chip]
    used = {pin.gpio: pin.name for pin in others} | dict.fromkeys(fixed, "the processor's Ethernet")
    for pin in others:
        if pin.gpio in fixed:
            table.fail("chip", "GPIO %d belongs to %s, and is %s" % (pin.gpio, used[pin.gpio], pin.name))
    wires: dict[str, Any] = {}
    for name in (*needed, *optional):
        if name in optional and not table.has(name):
            continue
        gpio = table.take(name, int)
        fault = _pin_fault(gpio, "in" if name in ("miso", "int") else "out", False, psram)
        if gpio in used:
            fault = "GPIO %d is already %s" % (gpio, used[gpio])
        if name == "ref_clk" and gpio not in (16, 17):
            fault = "the clock leaves the chip by GPIO 16 or 17, not %d" % gpio
        if fault:
            table.fail(name, fault)
        used[gpio] = "ethernet." + name
        wires[name] = gpio
    wires["phy_addr"] = table.take("phy_addr", int, tuple(range(32))) if table.has("phy_addr") else 0
    if chip == "lan8720":
        wires["ref_clk_mode"] = 3  # machine.Pin.OUT: the processor drives the clock
    else:
        wires["spi"] = (3 - spi_id, *(wires.pop(name) for name in ("sck", "mosi", "miso")))
    table.done()
    return chip, wires


def _pin_fault(gpio: int, direction: str, pull_up: bool, psram: bool) -> str | None:
    """Return why GPIO `gpio` cannot serve in `direction`, or None. One rule of the chip per line."""
    if gpio not in GPIOS:
        return "GPIO %d does not exist" % gpio
    if gpio in FLASH_PINS:
        return "GPIO %d belongs to the flash chip" % gpio
    if gpio in CONSOLE_PINS:
        return "GPIO %d is the serial console" % gpio
    if psram and gpio in PSRAM_PINS:
        return "GPIO %d belongs to the PSRAM" % gpio
    if gpio in INPUT_ONLY and direction != "in":
        return "GPIO %d can only be an input" % gpio
    if gpio in INPUT_ONLY and pull_up:
        return "GPIO %d has no internal pull-up, and this input relies on one" % gpio
    if direction == "relay" and gpio in MOVES_AT_BOOT:
        return "GPIO %d moves while the board starts: a relay on it would open the gate" % gpio
    return None


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
        if name == "journal" and size < JOURNAL_SECTORS_MIN * SECTOR:
            row.fail("size", "a journal needs %d sectors of 0x%X" % (JOURNAL_SECTORS_MIN, SECTOR))
        if name == "list" and size % (2 * SECTOR):
            row.fail("size", "0x%X does not divide into two slots of whole sectors" % size)
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
    rows = ["# Made from board.toml by `python -m tools.board.definition %s`." % definition.name]
    rows.append("# Name, Type, SubType, Offset, Size, Flags")
    rows += ["%s, %s, %s, 0x%X, 0x%X," % dataclasses.astuple(row) for row in definition.partitions]
    return "\n".join(rows) + "\n"


def render_board_py(definition: Definition) -> str:
    """Return the text of board.py, the module of plain constants that the firmware's wiring reads."""
    gpios = {pin.name: pin.gpio for pin in definition.pins}
    lines = ['"""Made from boards/%s/board.toml; change that file instead."""\n' % definition.name]
    lines += ['NAME = "%s"' % definition.name]
    lines += ["SPI_ID = %d" % definition.spi_id, "SPI_BAUD = %d" % definition.spi_baud]
    lines += ["%s = %s" % (name, gpios.get(name)) for name in PINS]
    lines += ["SENSOR_ACTIVE = %d" % definition.sensor_active, "ETHERNET = %r" % (definition.ethernet,)]
    return "\n".join(lines) + "\n"


def render_tables(definition: Definition) -> str:
    """Return the Markdown tables of pins and flash for the board's README."""
    lines = ["| GPIO | constant | use | wire |", "|---|---|---|---|"]
    lines += [
        "| %d | `%s` | %s | %s |" % (pin.gpio, pin.name, PINS[pin.name][2], pin.wire)
        for pin in definition.pins
    ]
    lines += ["", *("Note: %s." % text for text in definition.warnings)] if definition.warnings else []
    lines += ["", "| partition | from | size |", "|---|---|---|"]
    lines += [
        "| `%s` | 0x%X | 0x%X (%d kB) |" % (p.name, p.offset, p.size, p.size >> 10)
        for p in definition.partitions
    ]
    return "\n".join(lines) + "\n"


def render_board_pyi() -> str:
    """Return the text of boards/board.pyi: the names and types of every board.py, for the type checker."""
    lines = ["# Made by `python -m tools.board.definition`: what every board.py has.", ""]
    lines += ["NAME: str", "SPI_ID: int", "SPI_BAUD: int"]
    lines += ["%s: %s" % (name, "int | None" if name in OPTIONAL else "int") for name in PINS]
    lines += ["SENSOR_ACTIVE: int", "ETHERNET: tuple[str, dict] | None"]
    return "\n".join(lines) + "\n"


TABLES_START = "<!-- made from board.toml, start -->\n"
TABLES_END = "<!-- made from board.toml, end -->\n"


def with_tables(readme: str, definition: Definition) -> str:
    """Return the README text `readme` with the tables between its two marks made anew."""
    before, _, rest = readme.partition(TABLES_START)
    _, _, after = rest.partition(TABLES_END)
    return before + TABLES_START + render_tables(definition) + TABLES_END + after


def write_generated(board: str) -> None:
    """Write partitions.csv and the tables of README.md of `board` from its board.toml."""
    definition = load(board)
    folder = BOARDS / board
    (folder / "partitions.csv").write_text(partitions(definition), encoding="utf-8")
    readme = folder / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), definition), encoding="utf-8")


if __name__ == "__main__":
    try:
        for argument in sys.argv[1:] or names():
            write_generated(argument)
        (BOARDS / "board.pyi").write_text(render_board_pyi(), encoding="utf-8")
    except BoardError as error:
        sys.exit("Error: %s" % error)
