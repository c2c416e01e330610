"""Lets host code import the firmware's pure modules: `micropython` is not a module of CPython."""

import pathlib
import sys


def add() -> None:
    """Append the folder with the host's `micropython` module to `sys.path`, once."""
    folder = str(pathlib.Path(__file__).parent / "host")
    if folder not in sys.path:
        sys.path.append(folder)
