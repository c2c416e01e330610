"""The firmware of a gate. Modules that are needed rarely are imported on use, and let go of here."""

import sys


def release(name: str) -> None:
    """Let go of the module `name`, once its work is done: on the board its code lives on the heap."""
    sys.modules.pop("firmware." + name, None)
    globals().pop(name, None)
