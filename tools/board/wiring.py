"""The wiring picture of a board: its pins as they lie on the table, and all that is wired to them.

Owns the picture; every GPIO in it comes from the board's definition. No wire crosses the sheet: the same tag
on a pin and in a panel is one wire. svg.Canvas draws.
"""

from collections.abc import Callable

from tools.board.definition import COMMAND, Definition, kilo
from tools.board.svg import INK, Canvas
from tools.board.uses import ETHERNET, EXPANDER, USES

_WIDTH = 1500
_PANEL = 480  # width of a panel; two side by side make a wide one
_GAP = 20
_GREY = "#9e9e9e"
_GROUND = "#263238"
_OTHER = "#616161"  # supplies that are not the board's
_COLORS = {
    "spi": "#1565c0",
    "reader entry": "#00695c",
    "reader exit": "#6a1b9a",
    "relay": "#827717",
    "sensor": "#2e7d32",
    "fire": "#ad1457",
    "lamp": "#795548",
    "i2c": "#283593",
    "ethernet": "#00838f",
}
_SUPPLIES = {"3V3": "#c62828", "5V": "#ef6c00", "GND": _GROUND}


class _Sheet:
    """The picture that grows: `definition` and where its tags are used."""

    def __init__(self, definition: Definition) -> None:
        self.board = definition
        self.canvas = Canvas(_WIDTH)
        self.pins = {pin.name: pin for pin in definition.pins}

    def tag(self, x: float, y: float, name: str, anchor: str = "start") -> float:
        """Draw the tag of a constant of board.py or of a supply; return the x at its free end."""
        if name in _SUPPLIES:
            box = self.canvas.tag(x, y, name, _SUPPLIES[name], anchor)
        else:
            place, color = self.place(name)
            box = self.canvas.tag(x, y, place, color, anchor)
        return box[0] + box[2] if anchor == "start" else box[0]

    def place(self, name: str) -> tuple[str, str]:
        if name in self.pins:
            return self.pins[name].place, _COLORS[USES[name].group]
        assert self.board.ethernet is not None
        return "GPIO %d" % self.board.ethernet.wires[name], _COLORS["ethernet"]

    def color(self, name: str) -> str:
        return _SUPPLIES.get(name) or self.place(name)[1]

    def module(self, x: float, y: float, title: str, rows: list[tuple[str, str]], note: str = "") -> None:
        """Draw a module with its terminals (terminal, constant or supply or "" for open) and their wires."""
        canvas, left = self.canvas, x + 190
        height = 30 * len(rows) + 44 + (20 if note else 0)
        canvas.rect((left, y, 270, height), "#eceff1")
        canvas.label(left + 135, y + 22, title, anchor="middle", bold=True)
        for number, (terminal, name) in enumerate(rows):
            at = y + 50 + 30 * number
            canvas.label(left + 14, at + 4.5, terminal)
            canvas.dot(left, at, self.color(name) if name else _GREY)
            if name:
                canvas.wire((self.tag(x + 20, at, name), at), (left, at), color=self.color(name))
            else:
                canvas.label(left - 14, at + 4.5, "open", color="#616161", anchor="end")
        if note:
            canvas.label(left + 14, y + height - 12, note, size=11)


def picture(definition: Definition) -> str:
    """Return the SVG text of the wiring of `definition`."""
    return draw(definition).render("Made from boards/%s/board.toml by `%s`." % (definition.name, COMMAND))


def draw(definition: Definition) -> Canvas:
    """Return the picture of the wiring of `definition` as a canvas."""
    sheet = _Sheet(definition)
    canvas = sheet.canvas
    canvas.label(_GAP, 38, definition.title, size=20, bold=True)
    text = "The same tag on a pin and in a panel is one wire. All GND are one net; so are all 3V3 and all 5V."
    canvas.label(_GAP, 64, text)
    panels = _panels(definition)
    y = _board(sheet, 90, _letters(panels)) + 30
    column, row_height = 0, 0.0
    for number, (title, width, height, content, _) in enumerate(panels):
        if column + width > 3:
            y, column, row_height = y + row_height + _GAP, 0, 0.0
        x = _GAP + column * (_PANEL + _GAP / 2)
        box_width = width * _PANEL + (width - 1) * _GAP / 2
        canvas.rect((x, y, box_width, height), "#fafafa", "#b0bec5")
        canvas.label(x + 14, y + 24, "%s  %s" % (chr(65 + number), title), size=15, bold=True)
        content(sheet, x, y + 40)
        column, row_height = column + width, max(row_height, height)
    canvas.height = y + row_height + _GAP
    return canvas


# --- the board ---------------------------------------------------------------------------------------------


def _board(sheet: _Sheet, top: float, letters: dict[str, str]) -> float:
    """Draw the headers with a tag at each pin that is used; return the y below."""
    canvas, board = sheet.canvas, sheet.board
    rows = max(len(header.pins) for header in board.headers)
    left, width, height = 540, 420, 27 * rows + 70
    canvas.rect((left, top, width, height), "#e3f2fd", "#0d47a1", 10)
    canvas.label(left + width / 2, top + 24, board.name, size=16, anchor="middle", bold=True)
    canvas.label(left + width / 2, top + 46, "antenna", anchor="middle", color="#616161")
    canvas.label(left + width / 2, top + height - 12, "USB", anchor="middle", color="#616161")
    names = {pin.gpio: name for name, pin in sheet.pins.items()}
    if board.ethernet and not board.ethernet.is_onboard:
        names |= {gpio: name for name, gpio in board.ethernet.wires.items()}
    for header in board.headers:
        is_left = header.side == "left"
        edge, inner = (left, left + 16) if is_left else (left + width, left + width - 16)
        anchor, out = ("end", -1) if is_left else ("start", 1)
        canvas.label(inner, top + 24, header.name, anchor="start" if is_left else "end", bold=True)
        for number, pin in enumerate(header.pins):
            y = top + 50 + 27 * number
            name = names.get(pin) if isinstance(pin, int) else pin if pin in _SUPPLIES else None
            ink = INK if name else _GREY
            text = "GPIO %d" % pin if isinstance(pin, int) else pin
            canvas.label(inner, y + 4.5, text, color=ink, anchor="start" if is_left else "end")
            canvas.dot(edge, y, ink)
            if not name:
                reason = _unused(board, pin)
                canvas.label(edge + out * 14, y + 4.5, reason, size=11, color="#757575", anchor=anchor)
                continue
            color = sheet.color(name)
            canvas.wire((edge, y), (edge + out * 34, y), color=color)
            end = sheet.tag(edge + out * 34, y, name, anchor)
            if name not in _SUPPLIES:
                where = "%s  (%s)" % (_meaning(name), letters.get(name, "-"))
                canvas.label(
                    end + out * 10,
                    y + 4.5,
                    where,
                    anchor=anchor,
                )
    return top + height


def _meaning(name: str) -> str:
    return USES[name].meaning if name in USES else "Ethernet, " + name.upper()


def _unused(board: Definition, pin: int | str) -> str:
    """Return why nothing is wired to `pin`."""
    if not isinstance(pin, int):
        return "not wired"
    for owner, gpios in board.chip.taken.items():
        if pin in gpios:
            return owner
    return "PSRAM" if pin in board.chip.psram[board.psram] else "free"


# --- the panels --------------------------------------------------------------------------------------------

_Panel = tuple[str, int, float, Callable[[_Sheet, float, float], None], tuple[str, ...]]


def _panels(board: Definition) -> list[_Panel]:
    """Return (title, width in columns, height, drawing, constants in it) of each panel, in reading order."""
    irq = {pin.name for pin in board.pins}
    lamps = tuple(name for name in ("LAMP_GREEN", "LAMP_RED", "BUZZER") if board.has(name))
    found: list[_Panel] = []
    for way, key in (("Entry reader", "IN"), ("Exit reader", "OUT")):
        own = tuple("READER_%s_%s" % (key, wire) for wire in ("CS", "RST", "IRQ"))
        rows = [("3.3V", "3V3"), ("RST", own[1]), ("GND", "GND"), ("IRQ", own[2] if own[2] in irq else "")]
        rows += [("MISO", "SPI_MISO"), ("MOSI", "SPI_MOSI"), ("SCK", "SPI_SCK"), ("SDA (select)", own[0])]
        found.append((way, 1, 400, _reader_panel(rows), (*own, "SPI_SCK", "SPI_MOSI", "SPI_MISO")))
    if board.has("I2C_SDA"):
        found.append(("Clock chip and display", 1, 400, _i2c_panel, ("I2C_SDA", "I2C_SCL")))
    found.append(("Relays and turnstile", 2, 350, _relay_panel, ("RELAY_IN", "RELAY_OUT")))
    found.append(("Passage sensors", 1, 350, _sensor_panel, ("SENSOR_IN", "SENSOR_OUT")))
    found.append(("Fire: monitored, and released in hardware", 2, 350, _fire_panel, ("FIRE",)))
    if board.has("TAMPER"):
        found.append(("Cabinet contact", 1, 350, _tamper_panel, ("TAMPER",)))
    found.append(("Lamps and buzzer", 2, 330, _lamp_panel, lamps))
    found.append(("Guard's buttons", 1, 330, _guard_panel, ("GUARD_IN", "GUARD_OUT")))
    if board.expander:
        on_it = tuple(pin.name for pin in board.pins if pin.gpio >= EXPANDER)
        names = ("I2C_SDA", "I2C_SCL", *on_it)
        found.append(("Expander", 2, 120 + 30 * max(9, len(on_it)), _expander_panel(on_it), names))
    if board.ethernet and not board.ethernet.is_onboard:
        wires = ETHERNET[board.ethernet.chip].wires
        found.append(("Network by cable (optional)", 1, 340, _ethernet_panel, wires))
    height = found[-1][2] if found[-1][0] in ("Expander", "Network by cable (optional)") else 210
    found.append(("Supply", 1, height, _supply_panel, ()))
    return found


def _letters(panels: list[_Panel]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, panel in enumerate(panels):
        for name in panel[4]:
            found[name] = "%s, %s" % (found[name], chr(65 + number)) if name in found else chr(65 + number)
    return found


def _reader_panel(rows: list[tuple[str, str]]) -> Callable[[_Sheet, float, float], None]:
    def content(sheet: _Sheet, x: float, y: float) -> None:
        sheet.module(x, y, "MFRC522 module", rows, "100 nF and 10 µF at 3.3V / GND")

    return content


def _i2c_panel(sheet: _Sheet, x: float, y: float) -> None:
    rows = [("VCC", "3V3"), ("GND", "GND"), ("SDA", "I2C_SDA"), ("SCL", "I2C_SCL")]
    sheet.module(x, y, "Clock DS3231 (has pull-ups)", rows)
    sheet.module(x, y + 180, "Display, optional", rows)


def _pulled(
    sheet: _Sheet, x: float, y: float, name: str, to_supply: str, end: float, at: float | None = None
) -> None:
    """Draw a tag with a wire to `end`, and at `at` the resistor that holds it, 60 pixels above or below."""
    canvas, color = sheet.canvas, sheet.color(name)
    start = sheet.tag(x, y, name)
    canvas.wire((start, y), (end, y), color=color)
    at = start + 40 if at is None else at
    canvas.dot(at, y, color)
    if to_supply == "GND":
        canvas.resistor(at, y, y + 62, kilo(sheet.board.levels.pull_down))
        sheet.tag(at - 20, y + 73, "GND")
    else:
        canvas.resistor(at, y - 62, y, kilo(sheet.board.levels.pull_up))
        sheet.tag(at - 20, y - 73, "3V3")


def _relay_panel(sheet: _Sheet, x: float, y: float) -> None:
    canvas = sheet.canvas
    module, turnstile = x + 330, x + 680
    canvas.rect((module, y, 200, 270), "#eceff1")
    canvas.label(module + 100, y + 22, "Relay module, 2 x", anchor="middle", bold=True)
    canvas.label(module + 100, y + 40, "input active HIGH", size=11, anchor="middle")
    canvas.rect((turnstile, y, 270, 270), "#fff3e0")
    canvas.label(turnstile + 135, y + 22, "Turnstile electronics", anchor="middle", bold=True)
    for number, (name, way) in enumerate((("RELAY_IN", "entry"), ("RELAY_OUT", "exit"))):
        at = y + 60 + 100 * number
        _pulled(sheet, x + 20, at, name, "GND", module, module - 160)
        canvas.dot(module, at, sheet.color(name))
        canvas.label(module + 12, at + 4.5, "IN%d" % (number + 1))
        for offset, own, other in (
            (0, "COM%d" % (number + 1), "common"),
            (28, "NO%d" % (number + 1), "open " + way),
        ):
            canvas.label(module + 188, at + offset + 4.5, own, anchor="end")
            canvas.wire((module + 200, at + offset), (turnstile, at + offset))
            canvas.dot(module + 200, at + offset)
            canvas.dot(turnstile, at + offset)
            canvas.label(turnstile + 14, at + offset + 4.5, other)
    for offset, terminal, supply in ((216, "VCC", "5V"), (246, "GND", "GND")):
        start = sheet.tag(x + 240, y + offset, supply)
        canvas.wire((start, y + offset), (module, y + offset), color=sheet.color(supply))
        canvas.dot(module, y + offset, sheet.color(supply))
        canvas.label(module + 12, y + offset + 4.5, terminal)
    canvas.label(turnstile + 14, y + 224, "a pulse opens one direction", size=11)
    canvas.label(turnstile + 14, y + 240, "for one person", size=11)
    text = "Resistors at the relay module: off while the chip starts, and a broken wire shows."
    canvas.label(x + 20, y + 294, text, size=11)


def _contact_row(
    sheet: _Sheet,
    x: float,
    y: float,
    name: str,
    is_closed: bool,
    text: str,
    is_pulled: bool,
    other: str = "GND",
) -> None:
    """Draw a contact between the tag `name` and `other`, with its resistor if it has one."""
    canvas, color = sheet.canvas, sheet.color(name)
    if is_pulled:
        _pulled(sheet, x + 20, y, name, "3V3" if other == "GND" else "GND", x + 240)
    else:
        canvas.wire((sheet.tag(x + 20, y, name), y), (x + 240, y), color=color)
    canvas.contact(x + 240, x + 350, y, is_closed, color)
    canvas.wire((x + 350, y), (x + 390, y), color=sheet.color(other))
    sheet.tag(x + 390, y, other)
    canvas.label(x + 240, y + 26, text, size=12)


def _sensor_panel(sheet: _Sheet, x: float, y: float) -> None:
    other = "3V3" if sheet.board.levels.sensor_active else "GND"
    _contact_row(sheet, x, y + 88, "SENSOR_IN", False, "entry passage: closes", True, other)
    _contact_row(sheet, x, y + 206, "SENSOR_OUT", False, "exit passage: closes", True, other)
    canvas = sheet.canvas
    canvas.label(x + 20, y + 298, "Contact or open collector of the turnstile, 60 ms or more.", size=11)


def _tamper_panel(sheet: _Sheet, x: float, y: float) -> None:
    _contact_row(sheet, x, y + 96, "TAMPER", True, "closed with the door", True)
    for number, text in enumerate(("An open door and a broken wire", "raise the alarm tamper.")):
        sheet.canvas.label(x + 20, y + 170 + 18 * number, text, size=12)


def _guard_panel(sheet: _Sheet, x: float, y: float) -> None:
    _contact_row(sheet, x, y + 40, "GUARD_IN", False, "guard: one entry", False)
    _contact_row(sheet, x, y + 130, "GUARD_OUT", False, "guard: one exit", False)
    sheet.canvas.label(x + 20, y + 200, "No resistor: the chip's own pull-up is used.", size=12)


def _fire_panel(sheet: _Sheet, x: float, y: float) -> None:
    canvas, color = sheet.canvas, sheet.color("FIRE")
    _pulled(sheet, x + 20, y + 96, "FIRE", "3V3", x + 330)
    relay = x + 330
    canvas.rect((relay, y, 240, 240), "#fce4ec")
    canvas.label(relay + 120, y + 22, "Relay of the fire panel", anchor="middle", bold=True)
    canvas.label(relay + 120, y + 40, "energised while all is well", size=11, anchor="middle")
    canvas.contact(relay, relay + 240, y + 96, True, color)
    canvas.label(relay + 120, y + 80, "contact 1", size=12, anchor="middle")
    canvas.wire((relay + 240, y + 96), (relay + 290, y + 96), color=_GROUND)
    sheet.tag(relay + 290, y + 96, "GND")
    supply = canvas.tag(x + 20, y + 190, "supply of the lock, +", _OTHER)
    canvas.wire((supply[0] + supply[2], y + 190), (relay, y + 190), color=_OTHER)
    canvas.contact(relay, relay + 240, y + 190, True, _OTHER)
    canvas.label(relay + 120, y + 174, "contact 2", size=12, anchor="middle")
    turnstile = x + 680
    canvas.wire((relay + 240, y + 190), (turnstile, y + 190), color=_OTHER)
    canvas.rect((turnstile, y + 140, 270, 100), "#fff3e0")
    canvas.label(turnstile + 135, y + 162, "Turnstile", anchor="middle", bold=True)
    canvas.dot(turnstile, y + 190, _OTHER)
    canvas.label(turnstile + 14, y + 194.5, "+ of the lock")
    canvas.label(turnstile + 14, y + 222, "free without current", size=11)
    for number, text in enumerate(
        (
            "Fire, a broken wire or loss of power opens both: the turnstile is free without the board.",
            "The board only sees contact 1, holds both relays and tells the office.",
        )
    ):
        canvas.label(x + 20, y + 268 + 18 * number, text, size=11)


def _lamp_panel(sheet: _Sheet, x: float, y: float) -> None:
    canvas = sheet.canvas
    rows = [("LAMP_GREEN", "green lamp"), ("LAMP_RED", "red lamp")]
    if sheet.board.has("BUZZER"):
        rows.append(("BUZZER", "buzzer, active (sounds on DC)"))
    driver = x + 330
    canvas.rect((driver, y, 200, 250), "#eceff1")
    canvas.label(driver + 100, y + 22, "MOSFET driver, %d x" % len(rows), anchor="middle", bold=True)
    canvas.label(driver + 100, y + 40, "switches to GND at 3.3 V", size=11, anchor="middle")
    for number, (name, load) in enumerate(rows):
        at = y + 74 + 46 * number
        color = sheet.color(name)
        canvas.wire((sheet.tag(x + 20, at, name), at), (driver, at), color=color)
        canvas.dot(driver, at, color)
        canvas.label(driver + 12, at + 4.5, "IN%d" % (number + 1))
        canvas.label(driver + 188, at + 4.5, "OUT%d-" % (number + 1), anchor="end")
        canvas.wire((driver + 200, at), (driver + 260, at), color=color)
        canvas.dot(driver + 200, at, color)
        canvas.rect((driver + 260, at - 16, 250, 32), "#fff8e1", color)
        canvas.label(driver + 274, at + 4.5, load)
        canvas.wire((driver + 510, at), (driver + 540, at), color=_OTHER)
        canvas.tag(driver + 540, at, "lamps, +", _OTHER)
    start = sheet.tag(x + 240, y + 222, "GND")
    canvas.wire((start, y + 222), (driver, y + 222), color=_GROUND)
    canvas.dot(driver, y + 222, _GROUND)
    canvas.label(driver + 12, y + 226.5, "GND")
    canvas.label(x + 20, y + 276, "lamps, +: 12 or 24 V as the lamps want; its minus is on GND.", size=11)


def _expander_panel(names: tuple[str, ...]) -> Callable[[_Sheet, float, float], None]:
    def content(sheet: _Sheet, x: float, y: float) -> None:
        assert sheet.board.expander is not None
        bits = sheet.board.expander.address & 7
        rows = [("VDD", "3V3"), ("VSS", "GND"), ("SDA", "I2C_SDA"), ("SCL", "I2C_SCL"), ("RESET", "3V3")]
        rows += [("A%d" % bit, "3V3" if bits >> bit & 1 else "GND") for bit in range(3)]
        rows.append(("INTA, INTB", ""))
        canvas, module = sheet.canvas, x + 190
        sheet.module(x, y, "MCP23017", rows, "100 nF at VDD / VSS")
        for number, name in enumerate(names):
            at = y + 50 + 30 * number
            color = sheet.color(name)
            canvas.wire((module + 270, at), (module + 310, at), color=color)
            canvas.dot(module + 270, at, color)
            end = sheet.tag(module + 310, at, name)
            rest = _REST.get(USES[name].kind if USES[name].group == "lamp" else name[-4:], "")
            canvas.label(end + 10, at + 4.5, USES[name].meaning + rest)
        canvas.label(
            module + 310,
            y + 50 + 30 * len(names),
            "At SDA and SCL 4.7 kΩ to 3V3, unless a module has them.",
            size=11,
        )

    return content


# Resistors without which a wire has no level before the expander is set up.
_REST = {"out": ", 10 kΩ to GND", "_RST": ", 10 kΩ to 3V3"}


def _ethernet_panel(sheet: _Sheet, x: float, y: float) -> None:
    assert sheet.board.ethernet is not None
    terminals = {"sck": "SCLK", "mosi": "MOSI", "miso": "MISO", "cs": "SCSn", "int": "INTn"}
    rows = [("3.3V", "3V3"), ("GND", "GND")]
    rows += [(terminals[wire], wire) for wire in ETHERNET[sheet.board.ethernet.chip].wires]
    sheet.module(x, y, "W5500 module", [*rows, ("RSTn", "")])


def _supply_panel(sheet: _Sheet, x: float, y: float) -> None:
    sheet.module(x, y, "Supply 5 V, 2 A", [("+", "5V"), ("-", "GND")])
    for number, text in enumerate(
        (
            "5V feeds the board's pin 5V and the relay module.",
            "3V3 comes from the board. Never 5V to a reader.",
            "Keep the wires of the readers below 30 cm.",
        )
    ):
        sheet.canvas.label(x + 20, y + 126 + 18 * number, text, size=11)
