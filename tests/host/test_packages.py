"""firmware/package.json and manifest.py name every module; mip installs what the former names."""

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from host_sim.board import running
from tools import mpy
from tools.board import __main__ as generator
from tools.board import files, packages

PACKAGE = mpy.FIRMWARE / "package.json"
MANIFEST = mpy.FIRMWARE / "manifest.py"
# Modules that no board has for itself: docs/technician.md, and the build of an image.
NOT_ON_BOARDS = re.compile(r"doctor\w*\.py|manifest\.py")


def every_module() -> set[str]:
    """Return the paths in firmware/ of all modules that boards have."""
    paths = {path.relative_to(mpy.FIRMWARE).as_posix() for path in mpy.FIRMWARE.rglob("*.py")}
    return {path for path in paths if not NOT_ON_BOARDS.fullmatch(path)}


def frozen(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return ((place, source), ...) and what is required, by the calls that a manifest may make."""
    found: list[tuple[str, str]] = []
    required: list[str] = []

    def module(path: str, base_path: str = ".", opt: int | None = None) -> None:
        found.append((path, f"{base_path}/{path}"))

    def package(path: str, names: tuple[str, ...], base_path: str = ".", opt: int | None = None) -> None:
        found.extend((f"{path}/{name}", f"{base_path}/{path}/{name}") for name in names)

    exec(  # noqa: S102 - the project's own file
        text,
        {"module": module, "package": package, "require": required.append, "include": lambda path: None},
    )
    return found, required


def test_both_are_up_to_date() -> None:
    for path in (PACKAGE, MANIFEST):
        assert path.read_text() == generator.generated_for_all()[path], "run `python -m tools.board`"


def test_both_name_every_module() -> None:
    package: dict[str, Any] = json.loads(PACKAGE.read_text())
    assert {source for _, source in package["urls"]} | {"main.py"} == every_module()
    placed, required = frozen(MANIFEST.read_text())
    sources = {(MANIFEST.parent / source).resolve() for _, source in placed}
    assert sources == {mpy.FIRMWARE / name for name in every_module()}
    assert required == [name for name, _ in package["deps"]] == list(packages.LIBRARIES)
    assert {place for place, _ in placed} == {place for place, _ in package["urls"]} | {"main.py"}
    assert {f"{place}.py" for place, _ in files.modules()} == {place for place, _ in package["urls"]}


class _Index(http.server.BaseHTTPRequestHandler):
    """An index of packages, in the form that mip asks for."""

    def do_GET(self) -> None:
        """Answer for a package with one file."""
        if re.fullmatch(r"/package/\w+/ssd1306/latest.json", self.path):
            body = json.dumps({"hashes": [["ssd1306.py", "0123abcd"]], "version": "0.1.0"}).encode()
        elif self.path == "/file/01/0123abcd":
            body = b"SIZE = 128\n"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the library names it
        """Say nothing."""


@contextmanager
def index() -> Iterator[str]:
    """Yield the address of an index of packages."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield "http://127.0.0.1:%d" % server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.requires_micropython
def test_mip_installs_the_firmware_from_its_local_description(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mpremote"
    large = "esp32_s3_devkitc1"  # sources take more room than .mpy files
    with running(tmp_path, board=large, heap="2m") as board, index() as address:
        command = [program, "connect", str(board.link), "mip", "install", "--index", address, str(PACKAGE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "Done" in done.stdout, done.stdout + done.stderr
        for path, source in json.loads(PACKAGE.read_text())["urls"][:3]:
            command = [program, "connect", str(board.link), "fs", "cat", f":/lib/{path}"]
            back = subprocess.run(command, capture_output=True, check=True).stdout
            assert back == (mpy.FIRMWARE / source).read_bytes().replace(b"\n", b"\r\n")
        code = "import ssd1306, starter, safe, firmware.app; print(firmware.app.__file__, ssd1306.SIZE)"
        command = [program, "connect", str(board.link), "exec", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "/lib/firmware/app.py 128\n", done.stdout + done.stderr
