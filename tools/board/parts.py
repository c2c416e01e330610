"""The parts of one gate on a board: what to buy, and what of it the picture shows where.

Owns the list; counts and values follow from the board's definition.
"""

from tools.board.definition import Definition, kilo
from tools.board.uses import EXPANDER, USES


def parts(definition: Definition) -> list[tuple[int, str, str]]:
    """Return (count, part, what for) of everything that one gate needs."""
    levels = definition.levels
    wires = [USES[pin.name].wire for pin in definition.pins]
    sensors = sum("{sensor}" in wire for wire in wires)
    ups = sum("{pull_up}" in wire for wire in wires) + (0 if levels.sensor_active else sensors)
    downs = sum("{pull_down}" in wire for wire in wires) + (sensors if levels.sensor_active else 0)
    buzzers, buses = int(definition.has("BUZZER")), int(definition.has("I2C_SDA"))
    found = [
        (1, definition.title, "the gate's controller"),
        (2, "MFRC522 module, 3.3 V", "entry and exit reader"),
        (2, "capacitor 100 nF, and 2 of 10 µF", "supply of each reader"),
        (1, "relay module with 2 relays, 5 V, inputs active high at 3.3 V", "turnstile, entry and exit"),
        (downs, "resistor %s" % kilo(levels.pull_down), "to GND: relays stay off while the chip starts"),
        (ups, "resistor %s" % kilo(levels.pull_up), "to 3V3: sensors, fire and cabinet contact"),
        (2, "passage sensor, contact or open collector", "often a part of the turnstile"),
        (2, "push button, normally open", "guard"),
        (1 if definition.has("TAMPER") else 0, "door contact, closed with the door", "cabinet"),
        (1, "relay with 2 contacts, energised by the fire panel while all is well", "fire"),
        (2 + buzzers, "MOSFET driver, switches to GND, full on at 3.3 V", "lamps and buzzer"),
        (1, "green lamp, and 1 red", "for the visitor, 12 or 24 V"),
        (buzzers, "active buzzer (sounds on DC)", "for the visitor"),
        (buses, "DS3231 module with battery, 3.3 V", "time over a power cut; optional"),
        (buses, "display with I2C, for 3.3 V: SSD1306, or HD44780 with PCF8574", "for the visitor; optional"),
        (1, "supply 5 V, 2 A", "board and relay module"),
    ]
    if definition.expander:
        resets = sum(pin.name.endswith("_RST") and pin.gpio >= EXPANDER for pin in definition.pins)
        drivers = sum(USES[pin.name].group == "lamp" and pin.gpio >= EXPANDER for pin in definition.pins)
        found += [
            (1, "MCP23017 (DIP-28 or module, 3.3 V)", "wires for which the board has no pin"),
            (1, "capacitor 100 nF", "supply of the MCP23017"),
            (2, "resistor 4.7 kΩ", "SDA and SCL to 3V3, unless a module on the bus has them"),
            (resets, "resistor 10 kΩ", "RST of a reader to 3V3: it reads on when the expander fails"),
            (drivers, "resistor 10 kΩ", "input of a driver to GND: dark while the expander is not set up"),
        ]
    found = [row for row in found if row[0]]
    ethernet = definition.ethernet
    if ethernet and not ethernet.is_onboard:
        found.append((1, "%s module, 3.3 V" % ethernet.chip.upper(), "network by cable; not with Wi-Fi"))
    return found
