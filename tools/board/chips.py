"""What the pins of each processor can do, as its datasheet says.

Owns the tables of chips, and nothing of boards. Sources:
"DS" = Espressif's ESP32 Series and ESP32-S3 Series Datasheet; "HDG" = their Hardware Design Guidelines;
"IDF" = ESP-IDF Programming Guide, "GPIO & RTC GPIO" of the chip; "MPY" = MicroPython, ports/esp32.
"""

import dataclasses
from collections.abc import Mapping

HIGH, LOW, OPEN, EITHER = "high", "low", "open", "high or low"


@dataclasses.dataclass(frozen=True)
class Chip:
    """One processor.

    `taken`: GPIOs that are never free, by what has them; `psram`: those that a kind of PSRAM takes;
    `strapping`: the level at reset that does harm (None: neither), and what it does; `moves`: GPIOs that may
    be high while the chip starts, by why; `has_mac`: a LAN8720 can be attached.
    """

    name: str
    gpios: frozenset[int]
    input_only: frozenset[int]
    taken: Mapping[str, frozenset[int]]
    psram: Mapping[str, frozenset[int]]
    strapping: Mapping[int, tuple[str | None, str]]
    moves: Mapping[int, str]
    has_mac: bool


ESP32 = Chip(
    name="esp32",
    gpios=frozenset((*range(20), 21, 22, 23, 25, 26, 27, *range(32, 40))),  # DS "Pin Definitions"
    input_only=frozenset(range(34, 40)),  # DS "IO Pins": no output driver, no pull resistors
    taken={
        "flash chip": frozenset(range(6, 12)),  # DS: connected to the module's flash
        "serial console": frozenset((1, 3)),  # UART0: the REPL, and with it every repair
    },
    psram={"none": frozenset(), "quad": frozenset((16, 17))},  # DS, modules with PSRAM
    strapping={  # DS "Strapping Pins"
        0: (LOW, "low at reset starts the boot loader"),
        2: (HIGH, "high at reset keeps the boot loader from starting"),
        5: (None, "selects SDIO timing, harmless otherwise"),
        12: (HIGH, "high at reset sets the flash to 1.8 V and the board does not start"),
        15: (None, "low at reset silences the boot messages"),
    },
    moves={  # HDG "Strapping Pins", "GPIO"
        0: "pulled up at reset",
        1: "sends the boot messages",
        2: "driven by the boot loader",
        3: "pulled up at reset",
        5: "pulled up at reset",
        12: "a strapping pin",
        14: "driven while the chip starts",
        15: "pulled up at reset",
    },
    has_mac=True,
)

ESP32S3 = Chip(
    name="esp32s3",
    gpios=frozenset((*range(22), *range(26, 49))),  # IDF
    input_only=frozenset(),
    taken={
        "flash chip": frozenset(range(26, 33)),  # IDF: SPI0/1
        "serial console": frozenset((43, 44)),  # MPY boards/ESP32_GENERIC_S3: the REPL is on UART0 too
        "USB socket": frozenset((19, 20)),  # IDF: USB-JTAG
    },
    # IDF: 33 to 37 belong to an octal flash or PSRAM. A quad PSRAM has its select on 26, a flash pin.
    psram={"none": frozenset(), "quad": frozenset(), "octal": frozenset(range(33, 38))},
    strapping={  # DS "Boot Configurations"
        0: (LOW, "low at reset starts the boot loader"),
        3: (None, "may choose where JTAG is, harmless otherwise"),
        45: (HIGH, "high at reset sets the flash to 1.8 V and the board does not start"),
        46: (HIGH, "high at reset keeps the boot loader from starting"),
    },
    moves={  # DS "Power-Up Glitches on Pins", "IO MUX pin functions": pulls at and after reset
        0: "pulled up at reset",
        3: "a strapping pin",
        18: "high for 60 us at power-up",
        19: "high at power-up",
        20: "high at power-up",
        39: "pulled up after reset, for JTAG",
        40: "may be driven by JTAG",
        43: "sends the boot messages",
        44: "pulled up at reset",
        45: "a strapping pin",
        46: "a strapping pin",
    },
    has_mac=False,  # DS: no Ethernet MAC
)

CHIPS = {chip.name: chip for chip in (ESP32, ESP32S3)}
