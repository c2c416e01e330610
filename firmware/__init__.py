"""The firmware of a gate. Modules that are needed rarely are imported on use, and let go of by `release`.

from .rare import work

release("rare")
work()  # it stays until this returns
"""

import sys


def release(name: str) -> None:
    """Let go of the module `name`: on the board its code lives on the heap, until nobody uses it any more."""
    path = "firmware." + name
    sys.modules.pop(path, None)
    package, _, name = path.rpartition(".")
    module = sys.modules.get(package)
    if hasattr(module, name):
        delattr(module, name)
