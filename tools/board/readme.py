"""The generated parts of boards/: the tables of a board's README, and the list of boards.

Owns their form; the facts are the definition's.
"""

from tools.board.checks import ethernet_use
from tools.board.definition import BOARDS, ROOT, BoardError, Definition, load, names
from tools.board.parts import parts
from tools.board.uses import ETHERNET, USES

START = "<!-- made from board.toml, start -->\n"
END = "<!-- made from board.toml, end -->\n"
CANDIDATES = BOARDS / "candidates"


def render_tables(definition: Definition) -> str:
    """Return the Markdown tables of pins, flash and parts for the board's README."""
    lines = ["![wiring](wiring.svg)", ""]
    lines += [
        "| %s | constant | use | wire |" % ("pin" if definition.expander else "GPIO"),
        "|---|---|---|---|",
    ]
    for pin in definition.pins:
        use = USES[pin.name]
        wire = definition.levels.words(use.wire)
        place = pin.place.removeprefix("GPIO ")
        lines.append("| %s | `%s` | %s | %s |" % (place, pin.name, use.meaning, wire))
    ethernet = definition.ethernet
    if ethernet:
        inputs = ETHERNET[ethernet.chip].inputs
        for wire, gpio in ethernet.wires.items():
            use = ethernet_use(wire, wire in inputs)
            lines.append("| %d | `ETHERNET` | %s | %s |" % (gpio, use.meaning, use.wire))
    lines += ["", *("Note: %s.  " % text for text in definition.warnings)] if definition.warnings else []
    lines += ["", "| partition | from | size |", "|---|---|---|"]
    for row in definition.partitions:
        lines.append("| `%s` | 0x%X | 0x%X (%d kB) |" % (row.name, row.offset, row.size, row.size >> 10))
    lines += ["", "| count | part | for |", "|---|---|---|"]
    lines += ["| %d | %s | %s |" % row for row in parts(definition)]
    return "\n".join(lines) + "\n"


def render_list() -> str:
    """Return the Markdown tables of all boards, and of the candidates with the reason that refuses each."""
    lines = ["| board | what | flash | network by cable | expander |", "|---|---|---|---|---|"]
    for name in names():
        board = load(name)
        cable = board.ethernet.chip.upper() if board.ethernet else "no"
        row = (name, name, board.title, board.flash_mb, cable, "MCP23017" if board.expander else "no")
        lines.append("| [`%s`](%s/README.md) | %s | %d MB | %s | %s |" % row)
    candidates = sorted(CANDIDATES.glob("*.toml"))
    if candidates:
        lines += ["", "| no gate fits on | because |", "|---|---|"]
    for path in candidates:
        try:
            load(path)
        except BoardError as error:
            reason = str(error).partition(": pins: ")[2]
            lines.append("| [`%s`](%s) | %s |" % (path.stem, path.relative_to(BOARDS).as_posix(), reason))
        else:
            raise BoardError("%s: fits: make it a board" % path.relative_to(ROOT))
    return "\n".join(lines) + "\n"


def between(text: str, made: str) -> str:
    """Return `text` with `made` in place of what stands between its two marks."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + made + END + after
