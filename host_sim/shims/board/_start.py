"""Starts the virtual board's interpreter: hardware, file system, then boot.py, main.py and the REPL.

Everything from the host's file system is imported before the board's takes its place.
"""

import os
import sys

import _console
import _devices
import _disk
import _network
import _repl
import _threads
import _time
import _world

_image, _vfs_start, _vfs_size, _is_raw = map(int, os.getenv("BOARD").split(" "))
_is_mounted = _disk.mount(_image, _vfs_start, _vfs_size)
sys.modules["time"] = sys.modules["utime"] = _time
sys.modules["network"], sys.modules["_thread"] = _network, _threads
sys.path[:] = ["", ".frozen", "/lib"]
_console.install()

if not _is_mounted:
    _console.out.write("The file system in partition vfs is damaged: start the board with --erase\n")
elif _repl.run_file("boot.py") and not _is_raw:
    _repl.run_file("main.py")
_repl.serve(_is_raw)
