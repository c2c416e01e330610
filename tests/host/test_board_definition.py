"""Board definitions: what is accepted, what is refused by name, and what is made from them."""

import csv
import re
import tomllib
from pathlib import Path

import pytest

from tools.board import __main__ as command
from tools.board import checks, chips, definition, readme, uses

GOOD = (definition.BOARDS / "esp32_devkitc" / "board.toml").read_text(encoding="utf-8")
S3 = (definition.BOARDS / "esp32_s3_devkitc1" / "board.toml").read_text(encoding="utf-8")


def changed(pattern: str, replacement: str, good: str = GOOD) -> str:
    """Return a good definition with exactly one change."""
    text, number = re.subn(pattern, replacement, good, flags=re.MULTILINE)
    assert number == 1, (pattern, number)
    return text


def error_of(text: str) -> str:
    with pytest.raises(definition.BoardError) as caught:
        definition.parse(text, "x/board.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gpio(name: str, number: int, good: str = GOOD) -> str:
    return changed(r"^%s = \d+" % name, "%s = %d" % (name, number), good)


REFUSED = {
    "relay on an input-only pin": (gpio("RELAY_IN", 34), "pins.RELAY_IN: GPIO 34 can only be an input"),
    "lamp on an input-only pin": (gpio("LAMP_RED", 38), "pins.LAMP_RED: GPIO 38 can only be an input"),
    "I2C on an input-only pin": (gpio("I2C_SDA", 37), "pins.I2C_SDA: GPIO 37 can only be an input"),
    "pull-up where the pin has none": (
        gpio("GUARD_IN", 38),
        "pins.GUARD_IN: GPIO 38 has no internal pull-up",
    ),
    "flash pin": (gpio("BUZZER", 6), "pins.BUZZER: GPIO 6 belongs to the flash chip"),
    "last flash pin": (gpio("FIRE", 11), "pins.FIRE: GPIO 11 belongs to the flash"),
    "console": (gpio("BUZZER", 3), "pins.BUZZER: GPIO 3 belongs to the serial console"),
    "no such pin": (gpio("BUZZER", 40), "pins.BUZZER: GPIO 40 does not exist"),
    "negative pin": (gpio("BUZZER", -1), "pins.BUZZER: GPIO -1 does not exist"),
    "pin used twice": (gpio("LAMP_RED", 25), "pins.LAMP_RED: GPIO 25 is already LAMP_GREEN"),
    "both readers on one select": (gpio("READER_OUT_CS", 5), "GPIO 5 is already READER_IN_CS"),
    "relay that moves at boot": (
        gpio("RELAY_OUT", 15),
        "pins.RELAY_OUT: GPIO 15 moves while the board starts",
    ),
    "PSRAM pin": (
        changed('^psram = "none"', 'psram = "quad"'),
        "pins.READER_IN_RST: GPIO 16 belongs to the PSRAM",
    ),
    "pin missing": (changed(r"^FIRE = .*\n", ""), "pins.FIRE: is missing"),
    "pin unknown": (
        changed(r"^FIRE = ", "SIREN = 2\nFIRE = "),
        "pins.SIREN: is not a field",
    ),
    "pin as text": (changed("^FIRE = 36", 'FIRE = "36"'), "pins.FIRE: must be a whole number"),
    "pin on no header": (gpio("FIRE", 37), "pins.FIRE: GPIO 37 is on none of the board's headers"),
    "contact that may keep the board in the boot loader": (
        gpio("GUARD_IN", 0),
        "pins.GUARD_IN: GPIO 0 is a strapping pin, low at reset starts the boot loader, and guard's button, "
        "entry may hold it low",
    ),
    "pull-up that sets the flash to 1.8 V": (
        gpio("I2C_SDA", 12),
        "pins.I2C_SDA: GPIO 12 is a strapping pin, high at reset sets the flash to 1.8 V",
    ),
    "contact that may set the flash to 1.8 V": (
        gpio("SENSOR_IN", 12),
        "pins.SENSOR_IN: GPIO 12 is a strapping",
    ),
    "header pin that is neither": (
        changed('"EN", 36', "1.5, 36"),
        "headers[0].pins: must be GPIO numbers and names, not 1.5",
    ),
    "header pin twice": (changed('"EN", 36', "39, 36"), "headers[0].pins: GPIO 39 is there twice"),
    "header side": (changed('^side = "right"', 'side = "top"'), "headers[1].side: must be 'left' or 'right'"),
    "relay active low": (
        changed("^relay_active = 1", "relay_active = 0"),
        "levels.relay_active: must be 1, not 0",
    ),
    "relay without pull-down": (changed("^pull_down_ohm = .*\n", ""), "levels.pull_down_ohm: is missing"),
    "pull-down that loses to the chip's pull-up": (
        changed("^pull_down_ohm = .*$", "pull_down_ohm = 100_000"),
        "levels.pull_down_ohm: must be from 1000 to 22000, not 100000",
    ),
    "pull-up that is a short": (
        changed("^pull_up_ohm = .*$", "pull_up_ohm = 1"),
        "levels.pull_up_ohm: must be",
    ),
    "SPI too fast": (changed("^baud = .*$", "baud = 20_000_000"), "spi.baud: must be from"),
    "SPI number": (changed("^id = 2", "id = 3"), "spi.id: must be 1 or 2, not 3"),
    "unknown chip": (changed('^chip = "esp32"', 'chip = "esp8266"'), "chip: must be 'esp32' or 'esp32s3'"),
    "boolean for a number": (changed("^flash_mb = 4", "flash_mb = true"), "flash_mb: must be a whole number"),
    "unknown field": (changed("^flash_mb = 4", "flash_mb = 4\ncolour = 1"), "colour: is not a field"),
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
    "journal too small": (
        changed("^size = 0xD2000", "size = 0xD4000")
        .replace("0x35E000", "0x360000")
        .replace("0xA2000", "0xA0000"),
        "partitions[5].size: 0xA0000 is too small, 0xA2000 is needed for 20,000 records",
    ),
    "list of the small board on the large one": (
        changed("^size = 0x920000", "size = 0xD2000", S3),
        "partitions[4].size: 0xD2000 is too small, 0x920000 is needed for 250,000 credentials",
    ),
    "end of the large flash": (
        changed("^size = 0x404000", "size = 0x405000", S3),
        "partitions: end at 0x1001000",
    ),
    "octal PSRAM": (gpio("BUZZER", 36, S3), "pins.BUZZER: GPIO 36 belongs to the PSRAM"),
    "octal PSRAM that no header has": (gpio("BUZZER", 33, S3), "pins.BUZZER: GPIO 33 belongs to the PSRAM"),
    "flash pin of the S3": (gpio("BUZZER", 26, S3), "pins.BUZZER: GPIO 26 belongs to the flash chip"),
    "USB of the S3": (gpio("BUZZER", 19, S3), "pins.BUZZER: GPIO 19 belongs to the USB socket"),
    "console of the S3": (gpio("BUZZER", 43, S3), "pins.BUZZER: GPIO 43 belongs to the serial console"),
    "GPIO that the S3 does not have": (gpio("BUZZER", 23, S3), "GPIO 23 does not exist on the esp32s3"),
    "relay that the S3 raises at power-up": (
        gpio("RELAY_IN", 18, gpio("BUZZER", 3, S3)),
        "pins.RELAY_IN: GPIO 18 moves while the board starts (high for 60 us at power-up)",
    ),
    "clock line that sets the S3's flash to 1.8 V": (gpio("I2C_SCL", 45, S3), "GPIO 45 is a strapping pin"),
    "wire of the Ethernet module": (gpio("BUZZER", 12, S3), "ethernet.sck: GPIO 12 is already BUZZER"),
    "LAN8720 on a chip without MAC": (
        changed('^chip = "w5500"', 'chip = "lan8720"', S3),
        "ethernet.chip: the esp32s3 has no Ethernet of its own for a lan8720",
    ),
    "quad PSRAM where flash is": (
        changed('^psram = "octal"', 'psram = "both"', S3),
        "psram: must be 'none' or 'quad' or 'octal', not 'both'",
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


def test_the_flash_layout_of_the_16_mb_board_is_the_designed_one():
    rows = [(p.name, p.offset, p.size) for p in definition.load("esp32_s3_devkitc1").partitions]
    assert rows == [
        ("nvs", 0x9000, 0x6000),
        ("phy_init", 0xF000, 0x1000),
        ("factory", 0x10000, 0x1F0000),
        ("vfs", 0x200000, 0xDC000),
        ("list", 0x2DC000, 0x920000),
        ("journal", 0xBFC000, 0x404000),
    ]


@pytest.mark.parametrize("board", definition.names())
def test_nothing_can_be_taken_from_a_partition(board):
    found = definition.load(board)
    sizes = {row.name: row.size for row in found.partitions}
    assert {name: size for name, (size, _) in uses.LEAST[found.flash_mb].items()} == {
        name: sizes[name] for name in ("factory", "vfs", "list", "journal")
    }


def test_a_module_needs_its_wires_on_the_headers():
    assert "ethernet.int: GPIO 14 is on none of the board's headers" in error_of(S3.replace("13, 14,", "13,"))


def test_board_py_has_every_constant_and_nothing_else():
    constants: dict = {}
    exec(definition.render_board_py(definition.load("esp32_devkitc")), constants)  # noqa: S102
    del constants["__builtins__"], constants["__doc__"]
    expected = {"NAME", "SPI_ID", "SPI_BAUD", "SENSOR_ACTIVE", "ETHERNET", "EXPANDER", *uses.USES}
    assert set(constants) == expected
    assert constants["NAME"] == "esp32_devkitc"
    assert constants["READER_IN_IRQ"] is None
    assert (constants["SPI_SCK"], constants["RELAY_IN"], constants["FIRE"]) == (18, 26, 36)
    assert (constants["SPI_BAUD"], constants["SENSOR_ACTIVE"]) == (10_000_000, 0)


@pytest.mark.parametrize("board", [*definition.names(), ""])
def test_generated_files_are_those_that_the_definitions_give(board):
    files = command.generated(board) if board else command.generated_for_all()
    assert len(files) == (3 if board else 4)
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m tools.board"
        assert path.suffix != ".md" or readme.START in text


def test_the_types_for_the_checker_are_those_of_board_py():
    text = (definition.BOARDS / "board.pyi").read_text(encoding="utf-8")
    assert text == definition.render_board_pyi(), "run: python -m tools.board"
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


W5500 = """
[ethernet]
chip = "w5500"
onboard = false
sck = 12
mosi = 15
miso = 2
cs = 0
int = 10
"""


def test_a_w5500_has_a_bus_of_its_own():
    found = definition.load("esp32_s3_devkitc1")
    constants: dict = {}
    exec(definition.render_board_py(found), constants)  # noqa: S102
    assert constants["ETHERNET"] == ("w5500", {"cs": 10, "int": 14, "phy_addr": 0, "spi": (1, 12, 11, 13)})
    assert constants["SPI_ID"] == 2
    assert definition.load("esp32_devkitc").ethernet is None


def rmii(used: dict[int, str], **changed: int) -> definition.Ethernet:
    # There are not enough pins for a whole gate beside it, so that its part of the rules is asked directly.
    wires = {"mdc": 23, "mdio": 18, "power": 12, "ref_clk": 17} | changed
    table = definition._Reader("x", {"chip": "lan8720", "onboard": True} | wires, "ethernet")
    board = definition._Board(chips.ESP32, "none", (), {})
    board.used |= used
    return definition._ethernet(table, board, 2)


def test_a_lan8720_takes_the_processors_pins():
    wires = {"mdc": 23, "mdio": 18, "ref_clk": 17, "power": 12}
    found = rmii({})
    assert found.wires == wires
    assert found.settings == wires | {"phy_addr": 0, "ref_clk_mode": 3}
    for number in (19, 21, 22, 25, 26, 27):
        with pytest.raises(definition.BoardError, match=r"ethernet.chip: GPIO %d belongs to" % number):
            rmii({number: "BUZZER"})
    with pytest.raises(definition.BoardError, match=r"ethernet.mdc: GPIO 25 is already the processor"):
        rmii({}, mdc=25)
    with pytest.raises(
        definition.BoardError, match=r"ethernet.ref_clk: the clock leaves the chip by GPIO 16"
    ):
        rmii({}, ref_clk=4)


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        ('"w5500"', '"enc28j60"', "ethernet.chip: must be 'lan8720' or 'w5500', not 'enc28j60'"),
        ("sck = 12", "sck = 4", "ethernet.sck: GPIO 4 is already SPI_SCK"),
        ("mosi = 11", "mosi = 12", "ethernet.mosi: GPIO 12 is already ethernet.sck"),
        ("cs = 10\n", "", "ethernet.cs: is missing"),
        ("cs = 10", "cs = 26", "ethernet.cs: GPIO 26 belongs to the flash chip"),
        ("cs = 10", "cs = 45", "ethernet.cs: GPIO 45 is a strapping pin, high at reset"),
        ("miso = 13", "miso = 22", "ethernet.miso: GPIO 22 does not exist on the esp32s3"),
        ("onboard = false", "onboard = 0", "ethernet.onboard: must be true or false, not 0"),
        ("cs = 10", "cs = 10\nphy_addr = 32", "ethernet.phy_addr: must be"),
        ("cs = 10", "cs = 10\nled = 1", "ethernet.led: is not a field"),
    ],
)
def test_a_wrong_ethernet_is_refused_by_field(pattern, replacement, expected):
    assert S3.count(pattern) == 1
    assert expected in error_of(S3.replace(pattern, replacement))


# --- boards without [pins] ---------------------------------------------------------------------------------


def without_pins(text: str) -> str:
    return re.sub(r"^\[pins\]\n([A-Z0-9_]+ = .*\n)+", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("good", [GOOD, S3])
def test_the_pins_that_are_proposed_make_a_board(good):
    message = error_of(without_pins(good))
    proposal = message.removeprefix("x/board.toml: pins: is missing; these would do: ")
    assert proposal != message
    rows = "".join(item + "\n" for item in proposal.split(", "))
    found = definition.parse(
        without_pins(good).replace("[levels]", "[pins]\n%s\n[levels]" % rows), "x/board.toml"
    )
    assert {pin.name for pin in found.pins} == uses.USES.keys() - uses.UNUSED


def without_expander(text: str) -> str:
    return re.sub(
        r"^\[expander\]\n(.*\n)+?\n\[expander.pins\]\n([A-Z0-9_]+ = .*\n)+", "", text, flags=re.MULTILINE
    )


@pytest.mark.parametrize(
    ("board", "placed", "spared"),
    [("olimex_esp32_poe", 14, "too few"), ("waveshare_esp32_s3_eth", 17, "they suffice")],
)
def test_a_board_that_needs_its_expander_says_so_without(board, placed, spared):
    good = (definition.BOARDS / board / "board.toml").read_text(encoding="utf-8")
    message = error_of(without_pins(without_expander(good)))
    assert "pins: only %d of 20 wires find a GPIO; none is left for " % placed in message
    assert (
        "; without BUZZER, I2C_SCL, I2C_SDA, TAMPER %s; with an [expander] they suffice" % spared in message
    )
    data = tomllib.loads(good)
    chip = chips.CHIPS[data["chip"]]
    on_headers = {pin for header in data["headers"] for pin in header["pins"] if isinstance(pin, int)}
    taken = {gpio for gpio in data["ethernet"].values() if type(gpio) is int}
    usable = {
        gpio
        for gpio in on_headers - taken - set(uses.ETHERNET[data["ethernet"]["chip"]].fixed)
        if any(checks.pin_fault(chip, data["psram"], gpio, use) is None for use in uses.USES.values())
    }
    assert len(usable) == placed  # every GPIO that could serve for anything serves
    # With its expander it is proposed pins for all that is not on one.
    message = error_of(without_pins(good))
    rows = "".join(item + "\n" for item in message.partition("would do: ")[2].split(", "))
    again = re.sub(
        r'^(READER_IN_RST = "GPB0")',
        r'\1\nGUARD_IN = "GPB3"',
        without_pins(good).replace("[levels]", "[pins]\n%s\n[levels]" % rows),
        flags=re.MULTILINE,
    )
    found = definition.parse(again, "x/board.toml")
    assert {pin.name for pin in found.pins} == uses.USES.keys() - uses.UNUSED


def test_no_processor_with_a_lan8720_has_pins_for_a_gate():
    chip = chips.ESP32
    free = chip.gpios - set(uses.ETHERNET["lan8720"].fixed) - {23, 18, 17}
    placed, missing = checks.placing(chip, "none", free)
    assert missing
    assert len(placed) + len(missing) == 20


def test_a_placing_leaves_out_no_wire_that_could_have_a_pin():
    # Whoever gives MISO, the third wire, the lowest GPIO has only 34 for the fourth, an output.
    placed, _ = checks.placing(chips.ESP32, "none", {13, 14, 25, 34})
    assert sorted(placed.values()) == [13, 14, 25, 34]
    assert placed["SPI_MISO"] == 34


# --- what may be left out, and what may sit on an expander --------------------------------------------------

OLIMEX = (definition.BOARDS / "olimex_esp32_poe" / "board.toml").read_text(encoding="utf-8")


def left_out(*names: str, good: str = GOOD) -> str:
    for name in names:
        good = changed(r"^%s = .*\n" % name, "", good)
    return good


def test_parts_that_may_be_left_out_are_none_for_the_firmware_and_named_as_missing():
    found = definition.parse(left_out("TAMPER", "BUZZER", "I2C_SDA", "I2C_SCL"), "x")
    constants: dict = {}
    exec(definition.render_board_py(found), constants)  # noqa: S102
    assert {name for name in uses.USES if constants[name] is None} == set(uses.OPTIONAL)
    assert constants["EXPANDER"] is None
    for text in (
        "TAMPER is left out: no alarm when the cabinet is opened",
        "BUZZER is left out: nobody hears a refusal, and only the red lamp calls the guard",
        "I2C_SDA is left out: no clock chip and no display",
    ):
        assert text in found.warnings


@pytest.mark.parametrize("name", sorted(uses.USES.keys() - uses.OPTIONAL.keys()))
def test_no_other_wire_may_be_left_out(name):
    assert error_of(left_out(name)) == "x/board.toml: pins.%s: is missing" % name


def test_pins_on_an_expander_have_numbers_from_64_on_and_a_mask_of_outputs():
    constants: dict = {}
    exec(definition.render_board_py(definition.load("olimex_esp32_poe")), constants)  # noqa: S102
    assert [constants[name] for name in ("LAMP_GREEN", "READER_IN_RST", "TAMPER")] == [64, 72, 74]
    assert constants["EXPANDER"] == (0x20, 0b0000_0011_0000_0111)
    assert constants["ETHERNET"][1] == {
        "mdc": 23, "mdio": 18, "power": 12, "ref_clk": 17, "phy_addr": 0, "ref_clk_mode": 3
    }  # fmt: skip


def moved(name: str, place: str) -> str:
    """Return the definition with `name` on the expander instead of a GPIO."""
    return changed("^TAMPER = ", '%s = "%s"\nTAMPER = ' % (name, place), left_out(name, good=OLIMEX))


@pytest.mark.parametrize("name", sorted(uses.USES.keys() - uses.EXPANDABLE - uses.UNUSED))
def test_what_opens_a_way_or_says_who_passed_is_refused_on_an_expander(name):
    assert error_of(moved(name, "GPB5")).startswith(
        "x/board.toml: expander.pins.%s: must be a GPIO of the processor" % name
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (moved("GUARD_IN", "GPB7"), "expander.pins.GUARD_IN: GPB7 can only be an output"),
        (changed('"GPB2"', '"GPA7"', OLIMEX), "expander.pins.TAMPER: GPA7 can only be an output"),
        (changed('"GPB2"', '"GPB8"', OLIMEX), "expander.pins.TAMPER: must be GPA0 to GPA7 or GPB0 to GPB7"),
        (changed('"GPB2"', '"GPA1"', OLIMEX), "expander.pins.LAMP_RED: GPA1 is already TAMPER"),
        (changed("^address = 0x20", "address = 0x27", OLIMEX), "expander.address: must be from 0x20 to 0x26"),
        (changed('"mcp23017"', '"pcf8574"', OLIMEX), "expander.chip: must be 'mcp23017', not 'pcf8574'"),
        (changed("^TAMPER = .*\n", "SIREN = 1\n", OLIMEX), "expander.pins.SIREN: is not a field"),
        (changed("^FIRE", "TAMPER = 5\nFIRE", OLIMEX), "pins.TAMPER: is on the expander already"),
        (left_out("I2C_SDA", good=OLIMEX), "pins.I2C_SDA: is missing: the other wire of the bus is there"),
        (left_out("I2C_SDA", "I2C_SCL", good=OLIMEX), "pins.I2C_SDA: is missing: the expander hangs on it"),
        (left_out("I2C_SCL"), "pins.I2C_SCL: is missing: the other wire of the bus is there"),
        (
            left_out(*sorted(uses.EXPANDABLE - {"GUARD_IN"}), good=OLIMEX),
            "expander.pins: is empty: leave the expander out",
        ),
    ],
)
def test_a_wrong_expander_is_refused_by_field(text, expected):
    assert expected in error_of(text)


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path, capsys):
    before = {path: path.read_bytes() for path in definition.BOARDS.rglob("*") if path.is_file()}
    file = tmp_path / "board.toml"
    file.write_text(gpio("BUZZER", 6), encoding="utf-8")
    for argument, expected in (
        (str(file), "board.toml: pins.BUZZER: GPIO 6 belongs to the flash chip"),
        ("esp9000", "there is no such board, only: "),
        (str(tmp_path / "none.toml"), "there is no such board, only: "),
    ):
        with pytest.raises(SystemExit) as caught:
            command.main(["esp32_devkitc", argument])
        out = capsys.readouterr().err
        assert caught.value.code == 2
        assert out.startswith("Error: ") and expected in out and out.count("\n") == 1
    assert before == {path: path.read_bytes() for path in definition.BOARDS.rglob("*") if path.is_file()}


def test_a_board_in_another_folder_than_its_name_says_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "load", lambda board: definition.load("esp32_devkitc"))
    with pytest.raises(
        definition.BoardError, match=r"other/board.toml: name: must be 'other', as its folder"
    ):
        command.generated("other")


def test_a_pin_has_its_number_in_board_toml_only():
    readable = (Path(definition.ROOT) / "tools" / "board").glob("*.py")
    for path in (*readable, *(definition.ROOT / "firmware").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(%s)\b[\"']?\s*[:=]\s*\d" % "|".join(uses.USES), text), path
