"""`python -m tools.board [BOARD...]`: checks boards, and writes what is made from their board.toml.

A BOARD is a name below boards/, or the path of a file that is only checked. Without one: all of them.
"""

import sys
from pathlib import Path

from tools import mpy
from tools.board import packages, readme
from tools.board.definition import BOARDS, BoardError, load, names, partitions, render_board_pyi
from tools.board.wiring import picture


def generated(board: str) -> dict[Path, str]:
    """Return the text of each file that is made from the definition of `board`. Raises BoardError."""
    definition = load(board)
    if definition.name != board:
        raise BoardError("%s/board.toml: name: must be %r, as its folder" % (board, board))
    folder = BOARDS / board
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except OSError as error:
        raise BoardError("%s/README.md: cannot be read: %s" % (board, error.strerror)) from None
    return {
        folder / "partitions.csv": partitions(definition),
        folder / "wiring.svg": picture(definition),
        folder / "README.md": readme.between(text, readme.render_tables(definition)),
    }


def generated_for_all() -> dict[Path, str]:
    """Return the text of each file that is made from all definitions. Raises BoardError."""
    overview = BOARDS / "README.md"
    text = overview.read_text(encoding="utf-8")
    return {
        BOARDS / "board.pyi": render_board_pyi(),
        mpy.FIRMWARE / "package.json": packages.render_package(),
        mpy.FIRMWARE / "manifest.py": packages.render_manifest(),
        overview: readme.between(text, readme.render_list()),
    }


def main(arguments: list[str]) -> None:
    """Write the files; a fault ends the process with its line and 2, before anything is written."""
    files: dict[Path, str] = {}
    try:
        for argument in arguments or names():
            if argument.endswith(".toml"):
                load(Path(argument))
            else:
                files |= generated(argument)
        if not any(argument.endswith(".toml") for argument in arguments):
            files |= generated_for_all()
    except BoardError as error:
        print("Error: %s" % error, file=sys.stderr)
        sys.exit(2)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
