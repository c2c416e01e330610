"""Starts `pinter sim web` as a program of its own, and ends it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tools.mpy import ROOT


@dataclass
class Served:
    """A server that runs: its address, its token if it has one, and what it says on stderr."""

    url: str
    token: str
    log: Path

    @property
    def ws(self) -> str:
        """Return where a page talks to it."""
        return self.url.replace("http:", "ws:") + "talk"

    def complaints(self) -> list[str]:
        """Return all lines of its log: it says nothing unless something is wrong."""
        return self.log.read_text().splitlines()

    def fresh(self, **order: Any) -> None:
        """Let the hall begin anew; return when its gate is in service."""
        with connect(self.ws) as socket:
            socket.send(json.dumps({"type": "speed", "speed": 1}))
            socket.send(json.dumps({"type": "hall", "id": 1, **order}))
            is_new = False
            while True:
                message = json.loads(socket.recv(timeout=60))
                is_new = is_new or (message["type"] == "done" and message["id"] == 1)
                is_fresh = is_new and message["type"] == "state" and message["ready"]
                if is_fresh and message["list"]["seq"] == 2 and message["decision"] is None:
                    return


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """Yield a server on a free port; at the end it must stop when asked to."""
    log = folder / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "pinter", "sim", "web", "--port", "0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"Open (http://\S+?/)(?:\?token=(\S+))?$", line.strip())
            assert found, (line, log.read_text())
            yield Served(found[1], found[2] or "", log)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            assert process.stdout is not None
            process.stdout.close()
