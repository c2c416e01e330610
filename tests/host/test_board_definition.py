"""Board definitions: what is accepted, what is refused by name, and what is made from them."""

import csv
import re

import pytest

from tools.board import definition

GOOD = (definition.BOARDS / "esp32_devkitc" / "board.toml").read_text(encoding="utf-8")


def changed(pattern: str, replacement: str) -> str:
    """Return the good definition with exactly one change."""
    text, number = re.subn(pattern, replacement, GOOD, flags=re.MULTILINE)
    assert number == 1, (pattern, number)
    return text


def error_of(text: str) -> str:
    with pytest.raises(definition.BoardError) as caught:
        definition.parse(text, "x/board.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gpio(name: str, number: int) -> str:
    return changed(r"^%s = \{ gpio = \d+" % name, "%s = { gpio = %d" % (name, number))


REFUSED = {
    "relay on an input-only pin": (gpio("RELAY_IN", 34), "pins.RELAY_IN.gpio: GPIO 34 can only be an input"),
    "lamp on an input-only pin": (gpio("LAMP_RED", 38), "pins.LAMP_RED.gpio: GPIO 38 can only be an input"),
    "I2C on an input-only pin": (gpio("I2C_SDA", 37), "pins.I2C_SDA.gpio: GPIO 37 can only be an input"),
    "pull-up where the pin has none": (
        gpio("GUARD_IN", 38),
        "pins.GUARD_IN.gpio: GPIO 38 has no internal pull-up",
    ),
    "flash pin": (gpio("BUZZER", 6), "pins.BUZZER.gpio: GPIO 6 belongs to the flash"),
    "last flash pin": (gpio("FIRE", 11), "pins.FIRE.gpio: GPIO 11 belongs to the flash"),
    "console": (gpio("BUZZER", 3), "pins.BUZZER.gpio: GPIO 3 is the serial console"),
    "no such pin": (gpio("BUZZER", 40), "pins.BUZZER.gpio: GPIO 40 does not exist"),
    "negative pin": (gpio("BUZZER", -1), "pins.BUZZER.gpio: GPIO -1 does not exist"),
    "pin used twice": (gpio("LAMP_RED", 25), "pins.LAMP_RED.gpio: GPIO 25 is already LAMP_GREEN"),
    "both readers on one select": (gpio("READER_OUT_CS", 5), "GPIO 5 is already READER_IN_CS"),
    "relay that moves at boot": (
        gpio("RELAY_OUT", 15),
        "pins.RELAY_OUT.gpio: GPIO 15 moves while the board starts",
    ),
    "PSRAM pin": (
        changed("^psram = false", "psram = true"),
        "pins.READER_IN_RST.gpio: GPIO 16 belongs to the PSRAM",
    ),
    "pin missing": (changed(r"^FIRE = .*\n", ""), "pins.FIRE: is missing"),
    "pin unknown": (
        changed(r"^FIRE = ", "SIREN = { gpio = 2, wire = 'x' }\nFIRE = "),
        "pins.SIREN: is not a field",
    ),
    "pin without wire": (changed(r"^FIRE = .*$", "FIRE = { gpio = 36 }"), "pins.FIRE.wire: is missing"),
    "pin as text": (
        changed(r"^FIRE = \{ gpio = 36", 'FIRE = { gpio = "36"'),
        "pins.FIRE.gpio: must be a whole number",
    ),
    "pin as a bare number": (changed(r"^FIRE = .*$", "FIRE = 36"), "pins.FIRE: must be a table"),
    "relay active low": (
        changed("^relay_active = 1", "relay_active = 0"),
        "levels.relay_active: must be 1, not 0",
    ),
    "SPI too fast": (changed("^baud = .*$", "baud = 20_000_000"), "spi.baud: must be from"),
    "SPI number": (changed("^id = 2", "id = 3"), "spi.id: must be 1 or 2, not 3"),
    "unknown chip": (changed('^chip = "esp32"', 'chip = "esp32s3"'), "chip: must be 'esp32'"),
    "boolean for a number": (changed("^flash_mb = 4", "flash_mb = true"), "flash_mb: must be a whole number"),
    "unknown field": (changed("^psram = false", "psram = false\ncolour = 1"), "colour: is not a field"),
    "name that is no module": (
        changed('^name = "esp32_devkitc"', 'name = "esp32-devkitc"'),
        "name: must be a name",
    ),
    "flash size": (changed("^flash_mb = 4", "flash_mb = 8"), "partitions: end at 0x400000"),
    "gap": (changed("0x28C000", "0x28D000"), "partitions[4].offset: must be 0x28C000"),
    "overlap": (changed("^size = 0xD2000", "size = 0xD4000"), "partitions[5].offset: must be 0x360000"),
    "not on a sector": (
        changed("0x28C000", "0x28C800"),
        "partitions[4].offset: 0x28C800 is not a multiple of 0x1000",
    ),
    "half a sector": (changed("^size = 0xA2000", "size = 0xA1800"), "partitions[5].size: 0xA1800 is not"),
    "empty": (changed("^size = 0xA2000", "size = 0"), "partitions[5].size: 0x0 is not"),
    "app not on 64 kB": (
        changed("^size = 0x1000\n", "size = 0x2000\n").replace("offset = 0x10000\n", "offset = 0x11000\n"),
        "partitions[2].offset: 0x11000 is not a multiple of 0x10000",
    ),
    "list in odd halves": (
        changed("^size = 0xD2000", "size = 0xD3000"),
        "partitions[4].size: 0xD3000 does not divide",
    ),
    "partition order": (changed('^name = "list"', 'name = "journal"'), "partitions[4].name: must be 'list'"),
    "partition type": (
        changed('^subtype = "fat"', 'subtype = "ota"'),
        "partitions[3].subtype: must be 'fat'",
    ),
    "partition too many": (
        GOOD + '[[partitions]]\nname = "x"\ntype = "data"\nsubtype = "fat"\noffset = 0x400000\nsize = 4096\n',
        "partitions[6].name: 'x' is one too many",
    ),
    "partition missing": (GOOD[: GOOD.rindex("[[partitions]]")], "partitions: 'journal' is missing"),
    "not TOML": (GOOD + "=", "not TOML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_definition_is_refused_by_file_and_field(case):
    text, expected = REFUSED[case]
    message = error_of(text)
    assert message.startswith("x/board.toml: ")
    assert expected in message


def test_a_missing_board_is_an_error_that_names_those_there_are():
    with pytest.raises(definition.BoardError, match=r"no such board, only: .*esp32_devkitc"):
        definition.load("esp9000")


def test_a_strapping_pin_is_a_warning_with_its_effect():
    warnings = definition.parse(gpio("BUZZER", 12), "x/board.toml").warnings
    assert any("BUZZER: GPIO 12 is a strapping pin: high at reset" in text for text in warnings)


def test_the_flash_layout_of_the_4_mb_board_is_the_designed_one():
    rows = [(p.name, p.offset, p.size) for p in definition.load("esp32_devkitc").partitions]
    assert rows == [
        ("nvs", 0x9000, 0x6000),
        ("phy_init", 0xF000, 0x1000),
        ("factory", 0x10000, 0x1F0000),
        ("vfs", 0x200000, 0x8C000),
        ("list", 0x28C000, 0xD2000),
        ("journal", 0x35E000, 0xA2000),
    ]


def test_board_py_has_every_constant_and_nothing_else():
    constants: dict = {}
    exec(definition.render_board_py(definition.load("esp32_devkitc")), constants)  # noqa: S102
    del constants["__builtins__"], constants["__doc__"]
    expected = {"NAME", "SPI_ID", "SPI_BAUD", "SENSOR_ACTIVE", "ETHERNET", *definition.PINS}
    assert set(constants) == expected
    assert constants["NAME"] == "esp32_devkitc"
    assert constants["READER_IN_IRQ"] is None
    assert (constants["SPI_SCK"], constants["RELAY_IN"], constants["FIRE"]) == (18, 26, 36)
    assert (constants["SPI_BAUD"], constants["SENSOR_ACTIVE"]) == (10_000_000, 0)


@pytest.mark.parametrize("board", definition.names())
def test_generated_files_are_those_that_the_definition_gives(board):
    folder = definition.BOARDS / board
    found = definition.load(board)
    command = "run: python -m tools.board.definition %s" % board
    assert found.name == board
    assert (folder / "partitions.csv").read_text(encoding="utf-8") == definition.partitions(found), command
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert definition.TABLES_START in readme
    assert readme == definition.with_tables(readme, found), command


def test_the_types_for_the_checker_are_those_of_board_py():
    text = (definition.BOARDS / "board.pyi").read_text(encoding="utf-8")
    assert text == definition.render_board_pyi(), "run: python -m tools.board.definition"
    constants: dict = {}
    exec(definition.render_board_py(definition.load("esp32_devkitc")), constants)  # noqa: S102
    kinds = dict(line.split(": ") for line in text.splitlines() if ": " in line and not line.startswith("#"))
    for name, kind in kinds.items():
        assert type(constants[name]).__name__ in (kind, *kind.replace("None", "NoneType").split(" | ")), name


def test_partitions_csv_has_the_columns_of_the_esp_idf():
    text = definition.partitions(definition.load("esp32_devkitc"))
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if not row[0].startswith("#")]
    assert rows[2] == ["factory", "app", "factory", "0x10000", "0x1F0000", ""]
    assert all(len(row) == 6 for row in rows)


# A board without the devices that would stand in Ethernet's way: the pins of the readers and relays moved.
W5500 = """
[ethernet]
chip = "w5500"
sck = 12
mosi = 15
miso = 2
cs = 0
int = 38
"""


def test_a_w5500_has_a_bus_of_its_own():
    found = definition.parse(GOOD + W5500, "x/board.toml")
    assert found.ethernet == ("w5500", {"cs": 0, "int": 38, "phy_addr": 0, "spi": (1, 12, 15, 2)})
    constants: dict = {}
    exec(definition.render_board_py(found), constants)  # noqa: S102
    assert constants["ETHERNET"] == found.ethernet
    assert definition.load("esp32_devkitc").ethernet is None


def rmii(*others: definition.Pin, **changed: int) -> tuple:
    # There are not enough pins for a whole gate beside it, so that its part of the rules is asked directly.
    table = {"chip": "lan8720", "mdc": 23, "mdio": 18, "power": 12, "ref_clk": 17} | changed
    return definition._ethernet(definition._Reader("x", table, "ethernet"), others, False, 2)


def test_a_lan8720_takes_the_processors_pins():
    wires = {"mdc": 23, "mdio": 18, "ref_clk": 17, "power": 12, "phy_addr": 0, "ref_clk_mode": 3}
    assert rmii() == ("lan8720", wires)
    for number in (19, 21, 22, 25, 26, 27):
        with pytest.raises(definition.BoardError, match="ethernet.chip: GPIO %d belongs to" % number):
            rmii(definition.Pin("BUZZER", number, ""))
    with pytest.raises(definition.BoardError, match=r"ethernet.mdc: GPIO 25 is already the processor"):
        rmii(mdc=25)
    with pytest.raises(definition.BoardError, match=r"ethernet.ref_clk: the clock leaves the chip by GPIO"):
        rmii(ref_clk=4)


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        ('"w5500"', '"enc28j60"', "ethernet.chip: must be 'lan8720' or 'w5500', not 'enc28j60'"),
        ("sck = 12", "sck = 18", "ethernet.sck: GPIO 18 is already SPI_SCK"),
        ("mosi = 15", "mosi = 12", "ethernet.mosi: GPIO 12 is already ethernet.sck"),
        ("cs = 0", "cs = 37", "ethernet.cs: GPIO 37 can only be an input"),
        ("cs = 0\n", "", "ethernet.cs: is missing"),
        ("cs = 0", "cs = 6", "ethernet.cs: GPIO 6 belongs to the flash chip"),
        ("cs = 0", "cs = 0\nphy_addr = 32", "ethernet.phy_addr: must be"),
        ("cs = 0", "cs = 0\nled = 1", "ethernet.led: is not a field"),
    ],
)
def test_a_wrong_ethernet_is_refused_by_field(pattern, replacement, expected):
    assert W5500.count(pattern) == 1
    assert expected in error_of(GOOD + W5500.replace(pattern, replacement))
