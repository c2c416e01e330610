"""Finds the real MicroPython of this host. Owns where it is looked for; never starts it."""

import os
import shutil
import sys
from pathlib import Path


class RuntimeSettingError(Exception):
    """The environment variable MICROPYTHON names no program; the text says so in one line."""


def micropython() -> Path | None:
    """Return the MicroPython to use: $MICROPYTHON, or the one beside this Python, or one on PATH, or None.

    Raises RuntimeSettingError if MICROPYTHON is set and is not a program.
    """
    setting = os.environ.get("MICROPYTHON")
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise RuntimeSettingError("MICROPYTHON=%s is not a program that can be started" % setting)
        return Path(found).absolute()
    beside = Path(sys.executable).parent / "micropython"
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("micropython")
    return Path(found).absolute() if found else None
