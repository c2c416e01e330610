"""Runs Espressif's esptool as a program of its own, and says in one line what went wrong.

Owns its command line and its words; nothing of it is imported here. What it is to do is flash.py's affair.
"""

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

from serial.tools import list_ports

_SILENCE_S = 180  # erasing 16 MB takes up to two minutes without a word
_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What it says -> what that means to a technician; {port} and the groups of the expression are filled in.
_FAULTS = (
    (r"This chip is ([\w-]+), not ([\w-]+)", "{port}: has an {0}, not an {1}: another kind of board"),
    (r"exclusively lock|temporarily unavailable|[Bb]usy, |resource busy", "{port}: another program uses it"),
    (r"Permission denied", "{port}: permission denied: may this user use serial ports?"),
    (r"No such file or directory|[Cc]ould not (open|connect)|Connection refused", "{port}: cannot be opened"),
    (
        r"Failed to connect|No serial data received|Wrong boot mode",
        "{port}: no boot loader answers: hold BOOT, press EN, and try again",
    ),
    (r"requires chip revision", "{port}: {line}"),
)


class EsptoolError(Exception):
    """esptool did not do it; one line for the user that begins with the port."""


def command() -> list[str]:
    """Return how esptool is started. Raises EsptoolError if it is not installed."""
    if find_spec("esptool") is None:
        raise EsptoolError("esptool is not installed: pip install esptool")
    return [sys.executable, "-m", "esptool"]


def run(
    port: str, chip: str, arguments: Sequence[str], on_line: Callable[[str], None] = lambda line: None
) -> list[str]:
    """Run esptool on the board at `port` and return what it printed; `on_line` sees each line at once.

    `chip`: its --chip. Raises EsptoolError.
    """
    check_port(port)
    process = subprocess.Popen(
        [*command(), "--chip", chip, "--port", port, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
    )
    try:
        printed = []
        for line in _lines(process):
            printed.append(line)
            on_line(line)
        if process.wait() != 0:
            raise EsptoolError(_meaning(port, printed))
        return printed
    finally:
        process.kill()
        process.wait()


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Yield the lines of `process` as they come; one that is silent for too long is ended."""
    found: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        for line in stdout:
            found.put(line)
        found.put(None)
        stdout.close()

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = found.get(timeout=_SILENCE_S)
        except queue.Empty:
            process.kill()
            yield "esptool says nothing any more"
            return
        if line is None:
            return
        for text in line.decode(errors="replace").replace("\r", "\n").split("\n"):
            if clean := _NOISE.sub("", text).strip():
                yield clean


def _meaning(port: str, printed: Sequence[str]) -> str:
    """Return in one line what the lines of a run that failed mean."""
    text = "\n".join(printed)
    for pattern, meaning in _FAULTS:
        if match := re.search(pattern, text):
            return meaning.format(*match.groups(), port=port, line=_reason(printed))
    return f"{port}: the connection was lost ({_reason(printed)}): run the same command again"


def _reason(printed: Sequence[str]) -> str:
    for line in printed:
        if match := re.search(r"error occurred: (.*)", line):
            return match[1].rstrip(".")
    return printed[-1].rstrip(".") if printed else "esptool ended without a word"


def check_port(port: str) -> None:
    """Raise EsptoolError if there is no such serial port, naming those that there are."""
    if "://" in port or os.name == "nt" or os.path.exists(port):
        return
    found = ", ".join(sorted(info.device for info in list_ports.comports()))
    raise EsptoolError(
        f"{port}: there is no such port; " + (f"there are {found}" if found else "there is none")
    )
