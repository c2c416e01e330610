"""The file system of a board and an interpreter on it, for tests of updates: no gate, no pins, no time."""

import hashlib
import os
import struct
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware import packs
from tools import mpy
from tools.board import release
from tools.runtime import micropython

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = "esp32_devkitc"

_FAKES = {
    "machine.py": """
_memory = b""
class RTC:
    def memory(self, data=None):
        global _memory
        if data is None:
            return _memory
        _memory = data
class WDT:
    def __init__(self, timeout): pass
def reset(): raise SystemExit
def reset_cause(): return 1
""",
    "esp32.py": """
class NVS:
    def __init__(self, name): pass
    def get_blob(self, name, buf):
        try:
            with open("HOME/nvs." + name, "rb") as file:
                return file.readinto(buf)
        except OSError:
            raise OSError(-0x1102)
class Partition: pass
""",
}


class Board:
    """The file system in `folder`: slot a has the project's firmware as a directory, `version` of it."""

    def __init__(self, folder: Path, version: int = 10):
        self.home = folder
        fakes = folder.parent / "fakes"
        fakes.mkdir(exist_ok=True)
        for name, text in _FAKES.items():
            (fakes / name).write_text(text.replace("HOME", str(folder)))
        self._path = f"{folder}:{fakes}:.frozen"
        folder.mkdir()
        for name in ("starter", "rtcmem", "pack"):
            mpy.compile_file(mpy.FIRMWARE / f"{name}.py", folder / f"{name}.mpy")
        (folder / "slot").write_text(f"a confirmed {version} 0\n")
        (folder / "nvs.release_key").write_bytes(PUBLIC)
        for name in ("__init__", "errors", "update", "packs", "flash", "ed25519"):
            mpy.compile_file(mpy.FIRMWARE / f"{name}.py", folder / "a" / "firmware" / f"{name}.mpy")

    def run(self, script: str) -> str:
        """Return what `script` prints on MicroPython in the root of the file system."""
        program = micropython()
        assert program is not None
        done = subprocess.run(
            [str(program), "-X", "heapsize=256k", "-c", script],
            cwd=self.home,
            env={"MICROPYPATH": self._path, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def install(self, data: bytes, force: bool = False) -> str:
        """Put `data` beside and install it as a technician's tools do; return the line that comes out."""
        (self.home / "update.bundle").write_bytes(data)
        return self.run(
            "import sys, starter; slot = starter.read()[0]\n"
            "try:\n    import pack; sys.path.insert(0, pack.mount(slot + '.pack'))\n"
            "except OSError:\n    sys.path.insert(0, slot)\n"
            f"from firmware.update import install_now\nprint(install_now({NAME!r}, {force}))"
        )

    @property
    def slot(self) -> str:
        """The text of the file `slot`."""
        return (self.home / "slot").read_text().strip()

    def files(self) -> dict[str, bytes]:
        """Return all files by path."""
        found = (path for path in self.home.rglob("*") if path.is_file())
        return {path.relative_to(self.home).as_posix(): path.read_bytes() for path in found}


def modules(names: dict[str, str], folder: Path) -> dict[str, bytes]:
    """Return .mpy files by name, compiled from the texts `names`."""
    made = {}
    for name, text in names.items():
        source = folder / "module.py"
        source.write_text(text)
        mpy.compile_file(source, folder / "module.mpy")
        made[name] = (folder / "module.mpy").read_bytes()
    return made


def resigned(data: bytes, key: Ed25519PrivateKey = KEY) -> bytes:
    """Return the release with a signature that fits what stands before it."""
    at = packs.contents_at(struct.unpack_from(">H", data, 48)[0]) - packs.SIGNATURE_SIZE
    return data[:at] + key.sign(hashlib.sha256(data[:at]).digest()) + data[at + packs.SIGNATURE_SIZE :]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return `data` with `new` at `at`."""
    return data[:at] + new + data[at + len(new) :]


def bundle(version: int = 11, **options) -> bytes:
    """Return a release of the whole project, signed with KEY."""
    return release.build(KEY, version, f"1.0.{version}", **options)
