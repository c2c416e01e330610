"""Whether a new board can take over a gate. Who rotates the key and makes the record are others."""

from tools.board.definition import Definition
from tools.board.session import Session


def check_layout(board: Session, port: str, definition: Definition) -> str | None:
    """Return why the board at `port` cannot become a gate of kind `definition`, None if it can."""
    board.refresh()
    have = board.value(
        "(lambda P: [list(p.info()[2:5]) for p in P.find(P.TYPE_DATA)])(__import__('esp32').Partition)"
    )
    wanted = [[part.offset, part.size, part.name] for part in definition.partitions if part.type == "data"]
    if sorted(have) != sorted(wanted):
        return f"{port}: has not the flash layout of {definition.name}: pinter board flash first"
    return None
