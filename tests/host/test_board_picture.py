"""The wiring picture: every wire of a board is in it once more where it goes, and every label can be read."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tools.board import definition, parts, uses, wiring
from tools.board.svg import Canvas

BOARDS = definition.names()


def texts(board: definition.Definition) -> list[str]:
    root = ElementTree.fromstring(wiring.picture(board))  # noqa: S314 - made just now
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("sensor_active", [0, 1])
@pytest.mark.parametrize("board", BOARDS)
def test_no_label_is_crossed_or_covered(board, sensor_active):
    found = definition.load(board)
    levels = dataclasses.replace(found.levels, sensor_active=sensor_active)
    assert wiring.draw(dataclasses.replace(found, levels=levels)).faults() == []


@pytest.mark.parametrize("board", BOARDS)
def test_every_wire_is_at_its_pin_and_where_it_goes(board):
    found = definition.load(board)
    shown = texts(found)
    shared = {"SPI_SCK": 2, "SPI_MOSI": 2, "SPI_MISO": 2}  # both readers, a panel each
    twice = shared | {"I2C_SDA": 2, "I2C_SCL": 2}  # clock chip and display, in one panel
    if found.expander:  # its panel too, which has its own pins' tags in the place of the header's
        shared |= {"I2C_SDA": 2, "I2C_SCL": 2}
        twice |= {"I2C_SDA": 3, "I2C_SCL": 3}
    wires = {pin.name: pin.gpio for pin in found.pins}
    if found.ethernet and not found.ethernet.is_onboard:
        wires |= found.ethernet.wires
    for name, gpio in wires.items():
        if gpio < uses.EXPANDER:
            # The name on the header, the tag at it, and a tag at each device.
            assert shown.count("GPIO %d" % gpio) == 2 + twice.get(name, 1), name
    for pin in found.pins:
        if pin.gpio >= uses.EXPANDER:
            assert shown.count(pin.place) == 2, pin.name  # at the expander and where it goes
            assert any(text.startswith(uses.USES[pin.name].meaning) for text in shown), pin.name
            continue
        panels = [text for text in shown if text.startswith(uses.USES[pin.name].meaning + "  (")]
        assert len(panels) == 1, pin.name
        letters = panels[0].rpartition("(")[2].rstrip(")").split(", ")
        assert len(letters) == shared.get(pin.name, 1)
        assert all(any(text.startswith(letter + "  ") for text in shown) for letter in letters)


@pytest.mark.parametrize("board", BOARDS)
def test_every_pin_of_the_headers_is_there_in_its_place(board):
    found = definition.load(board)
    drawn = re.findall(
        r'<text x="(\S+)" y="(\S+)" font-size="13" [^>]*>([^<]+)</text>', wiring.picture(found)
    )
    for header in found.headers:
        names = [str(pin) if isinstance(pin, str) else "GPIO %d" % pin for pin in header.pins]
        at = {"left": "556", "right": "944"}[header.side]
        column = sorted((float(y), text) for x, y, text in drawn if x == at and text != header.name)
        assert [text for _, text in column] == names


def test_the_picture_shows_what_makes_a_gate_safe():
    shown = texts(definition.load("esp32_devkitc"))
    assert shown.count("10 kΩ") == 2 + 4  # relays to GND; sensors, fire and cabinet to 3V3
    assert shown.count("5V") == 2 + 2  # the pin and its tag, relay module, supply: never a reader
    assert any("opens both: the turnstile is free without the board" in text for text in shown)
    assert "input active HIGH" in shown


def test_resistors_and_modules_in_the_list_of_parts_follow_the_definition():
    plain = {part: count for count, part, _ in parts.parts(definition.load("esp32_devkitc"))}
    assert plain["MFRC522 module, 3.3 V"] == 2
    assert not any("W5500" in part for part in plain)
    found = definition.load("esp32_s3_devkitc1")
    levels = dataclasses.replace(found.levels, sensor_active=1, pull_down=4_700)
    changed = {part: count for count, part, _ in parts.parts(dataclasses.replace(found, levels=levels))}
    assert changed["W5500 module, 3.3 V"] == 1
    assert (changed["resistor 4.7 kΩ"], changed["resistor 10 kΩ"]) == (4, 2)


def test_what_is_left_out_is_neither_drawn_nor_bought():
    text = (definition.BOARDS / "esp32_devkitc" / "board.toml").read_text(encoding="utf-8")
    less = definition.parse(re.sub(r"^(TAMPER|BUZZER|I2C_...) = .*\n", "", text, flags=re.MULTILINE), "x")
    assert wiring.draw(less).faults() == []
    for word in ("uzzer, active", "Cabinet contact", "DS3231"):
        assert any(word in shown for shown in texts(definition.load("esp32_devkitc")))
        assert not any(word in shown for shown in texts(less))
    bought = [part for _, part, _ in parts.parts(less)]
    assert not any(
        word in part for part in bought for word in ("buzzer", "door contact", "DS3231", "display")
    )
    assert any(part.startswith("MCP23017") for _, part, _ in parts.parts(definition.load("olimex_esp32_poe")))


def test_the_canvas_notices_what_cannot_be_read():
    canvas = Canvas(200)
    canvas.height = 100
    canvas.label(10, 50, "abc")
    canvas.label(30, 52, "de")
    canvas.label(190, 80, "far")
    canvas.wire((0, 46), (20, 46))
    assert canvas.faults() == [
        "'abc' and 'de' overlap",
        "a wire crosses 'abc'",
        "'far' is not within the picture",
    ]
