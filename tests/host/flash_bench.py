"""Boards that are flashed: images as MicroPython publishes them, with nothing in them, and chips that answer.

An image has valid headers, checksums and hashes, which esptool judges. A chip is the ROM of
esp32-mock-bootloader, with a flash of its own and a line that can be pulled.
"""

import hashlib
import socket
import struct
import subprocess
import sys
import threading
from functools import reduce
from pathlib import Path
from types import TracebackType

from esp32_mock_bootloader import protocol, server

CHIPS = {"esp32": (0x0000, 0x1000), "esp32s3": (0x0009, 0x0000)}  # chip id, place of the boot loader
_PATIENCE_S = 10.0
BANNER = b"MicroPython v1.29.0 on 2026-06-09; Generic ESP32 module with ESP32\0"


def part(chip: str, body: bytes, address: int) -> bytes:
    """Return an image of one segment: ESP-IDF Programming Guide, "App Image Format"."""
    body = body.ljust(-(-len(body) // 4) * 4, b"\0")
    size_and_speed = 0x20  # 4 MB at 40 MHz
    head = struct.pack("<BBBBI", 0xE9, 1, 2, size_and_speed, 0x40080400)
    head += struct.pack("<B3sHBHH4sB", 0xEE, b"\0\0\0", CHIPS[chip][0], 0, 0, 65535, b"\0" * 4, 1)
    data = head + struct.pack("<II", address, len(body)) + body
    checksum = reduce(lambda a, b: a ^ b, body, 0xEF)
    data += b"\0" * (15 - len(data) % 16) + bytes([checksum])
    return data + hashlib.sha256(data).digest()


def application(chip: str = "esp32", banner: bytes = BANNER, project: bytes = b"micropython") -> bytes:
    """Return an application with its descriptor (esp_app_desc_t), 60 kB of it incompressible."""
    about = struct.pack(
        "<II8s32s32s16s16s32s32s80s",
        *(0xABCD5432, 0, b"", b"v1.29.0", project, b"12:00:00", b"Jun  9 2026", b"v5.5.1", b"\x11" * 32, b""),
    )
    filling = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(1900))
    return part(chip, about + banner + filling, 0x3F400020 if chip == "esp32" else 0x3C000020)


def image(chip: str = "esp32", **changes: bytes) -> bytes:
    """Return what lies on the flash of a board from the boot loader on; `changes`: those of `application`."""
    base = CHIPS[chip][1]
    boot = part(chip, b"boot loader" * 1500, 0x3FFF0018 if chip == "esp32" else 0x3FCD0018)
    table = b"\xaa\x50" + b"a table of its own" * 10
    return boot.ljust(0x8000 - base, b"\xff") + table.ljust(0x8000, b"\xff") + application(chip, **changes)


def image_info(path: Path) -> str:
    """Return what esptool says of an image; it must find it valid."""
    command = [sys.executable, "-m", "esptool", "image-info", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class _Line:
    """A socket that breaks when `budget` bytes have come through it."""

    def __init__(self, link: socket.socket, budget: int | None) -> None:
        self._link = link
        self._budget = budget
        self.seen = 0
        link.settimeout(_PATIENCE_S)
        self.sendall = link.sendall
        self.close = link.close

    def settimeout(self, timeout_s: float) -> None:
        """Do nothing: the 50 ms of the mock are too short for a client on a busy machine."""

    def recv(self, size: int) -> bytes:
        data = self._link.recv(size)
        self.seen += len(data)
        if self._budget is not None and self.seen > self._budget:
            self._link.close()
            raise OSError("the line was pulled")
        return data


class Chip:
    """A chip in boot loader mode at `url`, with its `flash`.

    `sent`: bytes that came in on all connections so far; `pull_after`: so many, then the line breaks, and
    nobody can connect before `plug_in`.
    """

    def __init__(self, chip: str = "esp32", megabytes: int = 4) -> None:
        self._chip = chip
        self._megabytes = megabytes
        self._flash = server.FlashImage()
        self._flash.data = bytearray(b"\xff" * (megabytes << 20))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "socket://127.0.0.1:%d" % self._listener.getsockname()[1]
        self.pull_after: int | None = None
        self.is_pulled = False
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="chip")

    @property
    def flash(self) -> bytearray:
        """The contents of the flash."""
        return self._flash.data

    def plug_in(self) -> None:
        """Mend the line."""
        self.pull_after, self.is_pulled = None, False

    def __enter__(self) -> "Chip":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        self._listener.settimeout(0.1)
        while not self._stop.is_set():
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.is_pulled:
                link.close()
                continue
            budget = None if self.pull_after is None else self.pull_after - self.sent
            line = _Line(link, budget)
            connection = server.BootloaderConnection(sock=line)  # pyright: ignore[reportArgumentType]
            server.handle_client(
                connection, self._stop, self._chip, exit_on_disconnect=True, flash=self._flash
            )
            self.sent += line.seen
            if budget is not None and line.seen > budget:
                self.is_pulled = True


def flash_id(megabytes: int) -> int:
    """Return the number by which a flash of this size is known: put it in protocol.MOCK_FLASH_ID."""
    return protocol.MOCK_FLASH_ID & 0xFFFF | (20 + (megabytes.bit_length() - 1)) << 16
