"""The rules of pins: why a GPIO cannot serve, and whether a board has enough of them.

Owns these rules and takes no files; definition.py says where in a board.toml a fault stands.
"""

from collections.abc import Collection, Mapping

from tools.board.chips import EITHER, HIGH, LOW, OPEN, Chip
from tools.board.uses import EXPANDABLE, EXPANDER, UNUSED, USES, Use


def pin_fault(chip: Chip, psram: str, gpio: int, use: Use) -> str | None:
    """Return why `gpio` of `chip` cannot serve for `use`, or None."""
    if gpio not in chip.gpios:
        return "GPIO %d does not exist on the %s" % (gpio, chip.name)
    for owner, gpios in chip.taken.items():
        if gpio in gpios:
            return "GPIO %d belongs to the %s" % (gpio, owner)
    if gpio in chip.psram[psram]:
        return "GPIO %d belongs to the PSRAM" % gpio
    if gpio in chip.input_only and use.kind not in ("in", "pulled"):
        return "GPIO %d can only be an input" % gpio
    if gpio in chip.input_only and use.kind == "pulled":
        return "GPIO %d has no internal pull-up, and this input relies on one" % gpio
    if use.kind == "relay" and gpio in chip.moves:
        return "GPIO %d moves while the board starts (%s): a relay on it would open the gate" % (
            gpio,
            chip.moves[gpio],
        )
    harm, effect = chip.strapping.get(gpio, (None, ""))
    if harm and use.at_reset in (harm, EITHER):
        return "GPIO %d is a strapping pin, %s, and %s may hold it %s" % (gpio, effect, use.meaning, harm)
    return None


def pin_notes(chip: Chip, gpio: int, use: Use) -> list[str]:
    """Return what is worth knowing where `gpio`, which can serve, serves for `use`."""
    notes = []
    if gpio in chip.strapping:
        notes.append("GPIO %d is a strapping pin: %s" % (gpio, chip.strapping[gpio][1]))
    elif use.at_reset == LOW and gpio in chip.moves:
        notes.append("GPIO %d moves while the board starts: %s" % (gpio, chip.moves[gpio]))
    return notes


def expander_number(place: object) -> int | None:
    """Return the number in board.py of the pin `place` of an MCP23017, "GPA0" to "GPB7", or None."""
    names = {expander_pin(EXPANDER + number): EXPANDER + number for number in range(16)}
    return names.get(place) if isinstance(place, str) else None


def expander_pin(number: int) -> str:
    """Return what the MCP23017 calls its pin with `number` in board.py."""
    return "GP%s%d" % ("AB"[(number - EXPANDER) // 8], number % 8)


def expander_fault(name: str, number: int) -> str | None:
    """Return why the pin `number` of an MCP23017 cannot serve as `name`, or None.

    Microchip's datasheet from revision D on (DS20001952D, table 2-1) has GPA7 and GPB7 as outputs only: as an
    input they may damage what the chip sends.
    """
    if name not in EXPANDABLE:
        return "must be a GPIO of the processor, which does not lose it when the expander does not answer"
    if number % 8 == 7 and USES[name].kind != "out":
        return "%s can only be an output" % expander_pin(number)
    return None


def placing(
    chip: Chip, psram: str, free: Collection[int], without: Collection[str] = UNUSED
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Return a GPIO of `free` for as many uses as possible, and the uses for which none is left.

    A largest matching (augmenting paths): where uses are left over, no other choice would have placed more.
    `without`: uses that want no GPIO.
    """
    wanted = [name for name in USES if name not in without]
    fits = {
        name: [gpio for gpio in sorted(free) if pin_fault(chip, psram, gpio, USES[name]) is None]
        for name in wanted
    }
    owner: dict[int, str] = {}

    def place(name: str, seen: set[int]) -> bool:
        for gpio in fits[name]:
            if gpio not in seen:
                seen.add(gpio)
                if gpio not in owner or place(owner[gpio], seen):
                    owner[gpio] = name
                    return True
        return False

    missing = tuple(name for name in wanted if not place(name, set()))
    return {name: gpio for gpio, name in owner.items()}, missing


def ethernet_use(wire: str, is_input: bool) -> Use:
    """Return the use that the wire `wire` of an Ethernet chip makes of its GPIO."""
    level = HIGH if wire in ("int", "cs") else OPEN
    return Use("in" if is_input else "out", level, "ethernet", "Ethernet, " + wire, wire + " of the chip")
