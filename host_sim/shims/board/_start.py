"""Starts the virtual board's interpreter: hardware, file system, then boot.py, main.py and the REPL.

Everything from the host's file system is imported before the board's takes its place.
"""

import binascii
import os
import sys

import _console
import _devices
import _disk
import _repl
import _time
import _world

_image, _vfs_start, _vfs_size, _is_raw = os.getenv("BOARD").split(" ")
_is_mounted = _disk.mount(binascii.unhexlify(_image).decode(), int(_vfs_start), int(_vfs_size))
sys.modules["time"] = sys.modules["utime"] = _time
sys.path[:] = ["", ".frozen", "/lib"]
_console.install()

if not _is_mounted:
    _console.out.write("The file system in partition vfs is damaged: start the board with --erase\n")
elif _repl.run_file("boot.py") and _is_raw == "0":
    _repl.run_file("main.py")
_repl.serve(_is_raw == "1")
