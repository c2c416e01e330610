"""What a gate wants of a board: its wires and what hangs on them, its Ethernet chips, its flash.

Owns these tables; which GPIO a wire has stands in each board.toml and nowhere else.
"""

import dataclasses

from tools.board.chips import EITHER, HIGH, LOW, OPEN


@dataclasses.dataclass(frozen=True)
class Use:
    """One wire.

    `kind`: out, relay (an output that opens the gate), in, pulled (an input that needs the chip's pull-up);
    `at_reset`: the level that what is attached holds there while the chip starts; `group`: the colour in the
    picture; `meaning`: for people; `wire`: where it goes.
    """

    kind: str
    at_reset: str
    group: str
    meaning: str
    wire: str


def _reader(way: str, other: str, terminal: str, kind: str = "out") -> Use:
    where = "%s of the %s reader" % (terminal, way)
    return Use(kind, OPEN, "reader " + way, "%s reader, %s" % (way, other), where)


_UP, _DOWN = "{pull_up} to 3V3", "{pull_down} to GND"

# Constant of board.py -> its use. Texts may name {pull_up}, {pull_down}, {active} of the board's levels.
USES = {
    "SPI_SCK": Use("out", OPEN, "spi", "SPI clock", "SCK of both readers"),
    "SPI_MOSI": Use("out", OPEN, "spi", "SPI data to the readers", "MOSI of both readers"),
    "SPI_MISO": Use("in", OPEN, "spi", "SPI data from the readers", "MISO of both readers"),
    "READER_IN_CS": _reader("entry", "select", "SDA (chip select)"),
    "READER_IN_RST": _reader("entry", "reset", "RST"),
    "READER_IN_IRQ": _reader("entry", "interrupt", "IRQ", "in"),
    "READER_OUT_CS": _reader("exit", "select", "SDA (chip select)"),
    "READER_OUT_RST": _reader("exit", "reset", "RST"),
    "READER_OUT_IRQ": _reader("exit", "interrupt", "IRQ", "in"),
    "RELAY_IN": Use("relay", LOW, "relay", "relay, entry", "relay 1, entry, active high, " + _DOWN),
    "RELAY_OUT": Use("relay", LOW, "relay", "relay, exit", "relay 2, exit, active high, " + _DOWN),
    "SENSOR_IN": Use("in", EITHER, "sensor", "passage sensor, entry", "entry sensor, {sensor}"),
    "SENSOR_OUT": Use("in", EITHER, "sensor", "passage sensor, exit", "exit sensor, {sensor}"),
    "FIRE": Use("in", EITHER, "fire", "fire contact", "fire contact, normally closed to GND, " + _UP),
    "TAMPER": Use("in", EITHER, "fire", "cabinet contact", "cabinet contact, normally closed to GND, " + _UP),
    "GUARD_IN": Use("pulled", EITHER, "sensor", "guard's button, entry", "entry button, closes to GND"),
    "GUARD_OUT": Use("pulled", EITHER, "sensor", "guard's button, exit", "exit button, closes to GND"),
    "LAMP_GREEN": Use("out", LOW, "lamp", "green lamp", "green lamp's driver, active high"),
    "LAMP_RED": Use("out", LOW, "lamp", "red lamp", "red lamp's driver, active high"),
    "BUZZER": Use("out", LOW, "lamp", "buzzer", "driver of an active buzzer, active high"),
    "I2C_SDA": Use("out", HIGH, "i2c", "I2C data", "SDA of clock chip and display"),
    "I2C_SCL": Use("out", HIGH, "i2c", "I2C clock", "SCL of clock chip and display"),
}
# None in board.py where a board.toml does not have them -> what a gate then lacks ("": nothing).
OPTIONAL = {
    "READER_IN_IRQ": "",
    "READER_OUT_IRQ": "",
    "TAMPER": "no alarm when the cabinet is opened",
    "BUZZER": "nobody hears a refusal, and only the red lamp calls the guard",
    "I2C_SDA": "no clock chip and no display",
    "I2C_SCL": "no clock chip and no display",
}
UNUSED = frozenset(name for name, lack in OPTIONAL.items() if not lack)  # the firmware does not use them
# What may sit on an expander: what is slow, and what a gate can miss while the expander does not answer. Not
# what opens a way (relays: their pulses are the RMT's), nor what says who passed (sensors), nor what safe
# mode serves without any expander (fire, the way out by the guard).
EXPANDABLE = frozenset(
    ("READER_IN_RST", "READER_OUT_RST", "TAMPER", "GUARD_IN", "LAMP_GREEN", "LAMP_RED", "BUZZER")
)
EXPANDER = 64  # numbers in board.py from here on are pins of the expander: GPA0 is 64, GPB0 is 72


@dataclasses.dataclass(frozen=True)
class EthernetChip:
    """An Ethernet chip that the firmware drives: wires it needs, may have, and takes unasked (`fixed`)."""

    wires: tuple[str, ...]
    optional: tuple[str, ...]
    fixed: tuple[int, ...]
    inputs: tuple[str, ...]


# MicroPython's quick reference for the ESP32, "Networking".
ETHERNET = {
    # RMII: six pins are fixed in the ESP32 (DS "Ethernet MAC"), the clock leaves by 16 or 17 (HDG).
    "lan8720": EthernetChip(("mdc", "mdio", "ref_clk"), ("power",), (19, 21, 22, 25, 26, 27), ()),
    # A bus of its own: the chip's driver works between two frames for a reader.
    "w5500": EthernetChip(("sck", "mosi", "miso", "cs", "int"), (), (), ("miso", "int")),
}

# Flash. name -> (type, subtype); every board has these, in this order, and may have no others.
PARTITIONS = {
    "nvs": ("data", "nvs"),
    "phy_init": ("data", "phy"),
    "factory": ("app", "factory"),
    "vfs": ("data", "fat"),
    "list": ("data", "undefined"),
    "journal": ("data", "undefined"),
}

# flash_mb -> what a partition must hold at least, and why. 8 MB boards are served as those with 4 MB.
_APP = (0x1F0000, "MicroPython with room to grow")
_SMALL = {
    "factory": _APP,
    "vfs": (0x8C000, "the code twice, for updates"),
    "list": (0xD2000, "20,000 credentials and 2,000 card keys"),
    "journal": (0xA2000, "20,000 records"),
}
LEAST = {
    4: _SMALL,
    8: _SMALL,
    16: {
        "factory": _APP,
        "vfs": (0xDC000, "the code twice, for updates"),
        "list": (0x920000, "250,000 credentials and 20,000 card keys"),
        "journal": (0x404000, "130,000 records"),
    },
}
