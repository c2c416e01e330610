"""The flash of a virtual board as a file: every byte of it, so that it outlives the board and a kill -9.

Owns the file, its lock, and how NVS is kept in partition nvs. Partition vfs is LittleFS, which the
interpreter writes by itself in the same file; here nobody interprets it.
"""

import fcntl
import json
import mmap
import os
import pathlib
import zlib
from collections.abc import Mapping

from littlefs import LittleFS, LittleFSError, UserContext

from host_sim.hardware import Partition

SECTOR = 4096
_HEAD = b"PNVS"


class ImageError(Exception):
    """The image cannot be used; one line for the user."""


class Flash:
    """A NOR flash whose contents are the file `path`; made blank if it is missing or `erase` is set.

    Programming clears bits only, as on the chip; operations take no time of their own. `file` is the open
    file: whoever inherits it keeps the lock. Raises ImageError.
    """

    last_us = 0

    def __init__(self, path: pathlib.Path, size: int, erase: bool = False) -> None:
        self.path = path
        self.size = size
        try:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from None
        try:
            self._open(erase)
        except BaseException:
            os.close(self.file)
            raise

    def _open(self, erase: bool) -> None:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ImageError(f"{self.path}: another board is running on this image") from None
        have = os.fstat(self.file).st_size
        if have not in (0, self.size):
            raise ImageError(f"{self.path}: has {have} bytes, the flash of this board has {self.size}")
        if erase or not have:
            try:
                os.pwrite(self.file, b"\xff" * self.size, 0)
            except OSError as error:
                raise ImageError(f"{self.path}: {error.strerror}") from None
        self._data = mmap.mmap(self.file, self.size)

    def close(self) -> None:
        """Give the file back."""
        self._data.close()
        os.close(self.file)

    def power_on(self) -> None:
        """Do nothing: the contents never fade."""

    def contents(self) -> bytes:
        """Return a copy of all bytes."""
        return self._data[:]

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`."""
        return self._data[offset : offset + count]

    def program(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Clear the bits that are 0 in `data`."""
        end = offset + len(data)
        old = int.from_bytes(self._data[offset:end])
        self._data[offset:end] = (old & int.from_bytes(data)).to_bytes(len(data))

    def erase(self, sector: int) -> None:
        """Set every byte of sector number `sector` to 0xFF."""
        self._data[sector * SECTOR : (sector + 1) * SECTOR] = b"\xff" * SECTOR

    def put_files(self, vfs: Partition, files: Mapping[str, bytes]) -> None:
        """Write files into the file system in `vfs`, made if that is blank. Raises ImageError."""
        context = UserContext(buffer=bytearray(self.read(vfs.offset, vfs.size)))
        is_blank = context.buffer[: 2 * SECTOR] == b"\xff" * 2 * SECTOR
        system = LittleFS(
            context,
            block_size=SECTOR,
            block_count=vfs.size // SECTOR,
            read_size=32,  # as VfsLfs2 of MicroPython
            prog_size=32,
            lookahead_size=32,
            mount=False,
        )
        try:
            if is_blank:
                system.format()
            system.mount()
            for name, data in files.items():
                if "/" in name.strip("/"):
                    system.makedirs(name.rpartition("/")[0], exist_ok=True)
                with system.open(name, "wb") as file:
                    file.write(data)
            system.unmount()
        except LittleFSError as error:
            raise ImageError(f"{self.path}: partition vfs: {error}") from None
        self._data[vfs.offset : vfs.offset + vfs.size] = bytes(context.buffer)


class NVS(dict[str, bytes]):
    """Keys and values kept in partition nvs, in two copies of which one is always whole.

    A copy is `PNVS`, counter u32, length u32, CRC-32 of what follows u32, then JSON of hex values; it is not
    the format of ESP-IDF. What is no copy counts as empty.
    """

    def __init__(self, flash: Flash, partition: Partition) -> None:
        self._flash = flash
        self._half = partition.size // 2 // SECTOR * SECTOR
        self._offset = partition.offset
        self._counter = 0
        super().__init__()
        for counter, body in sorted(filter(None, map(self._read, (0, 1)))):
            self._counter = counter
            self.clear()
            self.update({key: bytes.fromhex(value) for key, value in json.loads(body).items()})

    def _read(self, copy: int) -> tuple[int, bytes] | None:
        at = self._offset + copy * self._half
        head = self._flash.read(at, 16)
        counter, length, crc = (int.from_bytes(head[i : i + 4], "little") for i in (4, 8, 12))
        if head[:4] != _HEAD or length > self._half - 16:
            return None
        body = self._flash.read(at + 16, length)
        return (counter, body) if zlib.crc32(body) == crc else None

    def save(self) -> None:
        """Write all of it over the older copy. Raises ImageError if the partition is full."""
        body = json.dumps({key: value.hex() for key, value in self.items()}).encode()
        if len(body) > self._half - 16:
            raise ImageError("ESP_ERR_NVS_NOT_ENOUGH_SPACE")
        self._counter += 1
        at = self._offset + self._counter % 2 * self._half
        for sector in range(at // SECTOR, (at + self._half) // SECTOR):
            self._flash.erase(sector)
        numbers = (self._counter, len(body), zlib.crc32(body))
        head = _HEAD + b"".join(n.to_bytes(4, "little") for n in numbers)
        self._flash.program(at + 16, body)
        self._flash.program(at, head)
