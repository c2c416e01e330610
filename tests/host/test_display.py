"""What visitors read: a gate with a display, its chip simulated from the datasheet."""

import subprocess
from collections.abc import Callable

import pytest

from firmware import messages
from host_sim.chips import hd44780, ssd1306
from tests.host.gate_bench import UID, Bench, running
from tools import runtime

SECOND = 1_000_000
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
KINDS = [
    pytest.param("hd44780", "cpython"),
    pytest.param("hd44780", "micropython", marks=pytest.mark.requires_micropython),
    pytest.param("ssd1306", "micropython", marks=pytest.mark.requires_micropython),  # needs framebuf
]
IDLE = (("Silakan", "tempelkan kartu"), ("Please tap", "your card"))
_FONT = """
from framebuf import FrameBuffer, MONO_VLSB
for code in range(32, 127):
    glyph = bytearray(8)
    FrameBuffer(glyph, 8, 8, MONO_VLSB).text(chr(code), 0, 0)
    print(glyph.hex())
"""


@pytest.fixture(scope="module")
def font() -> dict[bytes, str]:
    """Return {columns of a character of MicroPython's font: the character}."""
    program = runtime.micropython()
    assert program is not None
    done = subprocess.run([program, "-c", _FONT], capture_output=True, text=True, check=True)
    return {bytes.fromhex(line): chr(32 + i) for i, line in enumerate(done.stdout.split())}


def read_points(chip: ssd1306.SSD1306, page: int, font: dict[bytes, str]) -> str:
    """Return the text that the points of two pages make, each row of points twice."""
    rows = chip.rows(page, 2)
    assert rows[0::2] == rows[1::2], "every point of the font is two high"
    columns = bytes(sum((rows[2 * bit][x] == "#") << bit for bit in range(8)) for x in range(ssd1306.WIDTH))
    offset = next((x % 8 for x in range(128) if columns[x]), 0)
    texts = []
    for shift in {offset, 0, 4}:
        cells = [columns[x : x + 8] for x in range(shift, 121, 8)]
        if all(cell in font for cell in cells):
            texts.append("".join(font[cell] for cell in cells))
    assert texts, "no characters of the font"
    return max(texts, key=lambda text: len(text.strip())).strip()


class Glass:
    """A display on a bench, and what can be read from it."""

    def __init__(self, bench: Bench, kind: str, font: Callable[[], dict[bytes, str]]) -> None:
        self.bench = bench
        hardware = bench.gate.hardware
        if kind == "hd44780":
            chip = hd44780.HD44780(bench.world.timeline)
            hardware.displays[hd44780.ADDRESS] = chip
            self.read = lambda: tuple(line.strip() for line in chip.lines)
        else:
            oled = ssd1306.SSD1306()
            hardware.displays[ssd1306.ADDRESS] = oled
            self.read = lambda: (read_points(oled, 1, font()), read_points(oled, 5, font()))
        self.chip = hardware.displays[next(iter(hardware.displays))]

    def at(self, second: float) -> tuple[str, ...]:
        """Return the lines at `second`."""
        self.bench.world.run_until(round(second * SECOND))
        return self.read()


def lines(reason: str, language: str, class_name: str = "staff", direction: str = "in") -> tuple[str, str]:
    text = messages.text(reason, class_name, language, None, direction)
    return text.line1, text.line2


@pytest.mark.parametrize("kind,runtime_name", KINDS)
def test_a_decision_is_shown_in_both_languages_then_the_display_is_idle_again(
    request: pytest.FixtureRequest, kind: str, runtime_name: str
) -> None:
    with running(runtime_name, settings={"display": kind}) as bench:
        glass = Glass(bench, kind, lambda: request.getfixturevalue("font"))
        assert glass.at(10.6) in IDLE
        bench.tap(11 * SECOND, "in")
        assert glass.at(12) == lines("ok", "id")
        assert glass.at(14) == lines("ok", "en")
        assert glass.at(16) == IDLE[0]
        assert glass.at(21) == IDLE[1]
        bench.tap(22 * SECOND, "out", bytes.fromhex("04FFFFFFFFFFFF"))
        assert glass.at(23) == lines("unknown_card", "id", "", "out")
        assert glass.chip.longest <= 65, "no write holds the bus for longer than 1.6 ms"


@pytest.mark.parametrize("runtime_name", RUNTIMES)
def test_fire_is_shown_as_long_as_it_lasts(runtime_name: str) -> None:
    with running(runtime_name, settings={"display": "hd44780"}) as bench:
        glass = Glass(bench, "hd44780", dict)
        assert glass.at(11) in IDLE
        bench.gate.hardware.set_input("fire", True)
        assert glass.at(12) in (lines("free", "id"), lines("free", "en"))
        assert glass.at(40) in (lines("free", "id"), lines("free", "en"))
        bench.gate.hardware.set_input("fire", False)
        assert glass.at(41) in IDLE


def test_a_display_that_comes_and_goes_disturbs_nothing() -> None:
    with running("cpython", settings={"display": "hd44780"}) as bench:
        bench.tap(6 * SECOND)
        bench.world.run_until(8 * SECOND)
        assert len(bench.outputs("relay_in")) == 2, "without a display the gate opens as ever"
        glass = Glass(bench, "hd44780", dict)
        assert glass.at(16) in IDLE
        glass.chip.fitted = False
        bench.world.run_until(20 * SECOND)
        bench.tap(21 * SECOND, "out")
        bench.world.run_until(23 * SECOND)
        assert len(bench.outputs("relay_out")) == 2
        glass.chip.fitted = True
        assert glass.at(32) in IDLE, "started anew"
        assert not bench.records("alarm"), "a display is no alarm"


@pytest.mark.requires_micropython
@pytest.mark.parametrize("kind", ["hd44780", "ssd1306"])
def test_a_tap_while_the_display_is_written_is_no_later(kind: str) -> None:
    def first_relay(settings: dict[str, object]) -> int:
        with running("micropython", settings=settings) as bench:
            if settings:
                Glass(bench, kind, dict)
            bench.world.run_until(15 * SECOND)
            bench.tap(15 * SECOND, "out", bytes.fromhex("04FFFFFFFFFFFF"), hold_us=100_000)
            bench.tap(15 * SECOND + 200_000, "in", UID)
            bench.world.run_until(17 * SECOND)
            return bench.outputs("relay_in")[0][0]

    late_us = first_relay({"display": kind}) - first_relay({})
    assert late_us <= 30_000, "at most one poll: the display is written in slices"


def test_the_chip_refuses_a_driver_that_does_not_wait() -> None:
    from host_sim.timeline import Timeline

    timeline = Timeline()
    chip = hd44780.HD44780(timeline)
    for nibble in (0x30, 0x30, 0x30, 0x20):
        timeline.run_until(timeline.now + 5000)
        chip.transfer(bytes((nibble | 0x0C, nibble | 0x08)), 0)
    timeline.run_until(timeline.now + 5000)
    chip.transfer(b"\x0c\x08\x1c\x18", 0)  # clear: 1.52 ms
    timeline.run_until(timeline.now + 500)
    with pytest.raises(hd44780.HD44780Error, match="too early"):
        chip.transfer(b"\x0c\x08\x1c\x18", 0)
    with pytest.raises(ssd1306.SSD1306Error, match="command 0xe7"):
        ssd1306.SSD1306().transfer(b"\x00\xe7", 0)
