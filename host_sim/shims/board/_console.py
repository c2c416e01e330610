"""The board's terminal as Python sees it: `print`, `sys` and Ctrl-C.

Text gets CR LF as on a board, `sys.stdout.buffer` goes through unchanged. Owns which modules user code finds
under `sys`, `os` and `micropython`.
"""

import builtins
import io
import os as host_os
import platform
import sys

import _packets
import _world
import micropython

_CHUNK = 1024
_print = builtins.print


def _send(data):
    for at in range(0, len(data), _CHUNK):
        _world.ask(_packets.CONSOLE, data[at : at + _CHUNK])


class _Raw:
    def write(self, data, *limits):
        data = bytes(data)
        if limits:
            start = limits[0] if len(limits) == 2 else 0
            data = data[start : start + limits[-1]]
        _send(data)
        return len(data)

    def flush(self):
        pass


class _Out(io.IOBase):
    buffer = raw = _Raw()

    def write(self, text):
        data = text.encode() if isinstance(text, str) else bytes(text)
        _send(data.replace(b"\n", b"\r\n"))
        return len(text)

    def flush(self):
        pass

    def ioctl(self, request, argument):
        return 0


out = _Out()
raw = out.buffer


def print(*values, **options):
    if "file" in options:
        return _print(*values, **options)
    text = io.StringIO()
    _print(*values, file=text, **options)
    out.write(text.getvalue())


def report(error, file=None):
    """Print a traceback without the lines of the stand-ins, which a board has in C."""
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line for line in text.getvalue().split("\n") if not line.startswith('  File "host_sim/')]
    if len(lines) == 3 and lines[0].startswith("Traceback"):
        del lines[0]
    (file or out).write("\n".join(lines))


def interrupts(on):
    """Make Ctrl-C a signal, or a byte like any other."""
    _world.ask(_packets.INTERRUPTS, bytes((on,)))


class _Module:
    """Stands for a built-in module, with some names changed."""

    def __init__(self, module, without=(), **changed):
        for name in dir(module):
            if name[:2] != "__" and name not in without:
                setattr(self, name, getattr(module, name))
        for name, value in changed.items():
            setattr(self, name, value)
        self.__name__ = module.__name__


def _uname():
    from collections import namedtuple

    kind = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))
    release = "%d.%d.%d" % tuple(sys.implementation.version[:3])
    return kind("esp32", "esp32", release, sys.version.split("; ")[-1], "PINTER virtual board with ESP32")


def _platform(*flags):
    # The form of the text is that of ports/esp32.
    return "MicroPython-%d.%d.%d-xtensa-IDFv5.5.2-with-newlib4.3.0" % tuple(sys.implementation.version[:3])


def banner():
    """Return what a board says when its REPL begins."""
    text = sys.version.split("; ")[-1]
    return text + '; PINTER virtual board with ESP32\nType "help()" for more information.\n'


def install():
    """Put the board's names in place of the host's."""
    builtins.print = print
    builtins.__repl_print__ = lambda value: None if value is None else print(repr(value))
    modules = sys.modules
    modules["os"] = _Module(
        host_os, ("getenv", "putenv", "unsetenv", "system"), uname=_uname, sync=lambda: None
    )
    modules["micropython"] = _Module(micropython, kbd_intr=lambda char: interrupts(char == 3))
    modules["platform"] = _Module(platform, platform=_platform)
    modules["sys"] = _Module(
        sys, ("argv", "executable"), platform="esp32", stdout=out, stderr=out, print_exception=report
    )
