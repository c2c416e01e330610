"""The file system of the board: LittleFS on the vfs partition, read and written right in the flash image.

Ctrl-C must not come up in the middle of a file system's operation. The interpreter raises it at jumps and in
system calls that wait; here are neither.
"""

import os

import vfs

_BLOCK = 4096
_BLANK = b"\xff" * _BLOCK
_BOOT_PY = b"# This file is executed on every boot (including wake-boot from deepsleep)\n"


class _Disk:
    """A block device on a part of a file."""

    def __init__(self, file, start, size):
        self._file = file
        self._start = start
        self._ioctl = {
            1: lambda argument: 0,
            2: lambda argument: 0,
            3: lambda argument: 0,
            4: lambda argument: size // _BLOCK,
            5: lambda argument: _BLOCK,
            6: self._erase,
        }

    def readblocks(self, block, into, offset=0):
        self._file.seek(self._start + block * _BLOCK + offset)
        self._file.readinto(into)

    def writeblocks(self, block, data, offset=0):
        self._file.seek(self._start + block * _BLOCK + offset)
        self._file.write(data)

    def ioctl(self, op, argument):
        return self._ioctl[op](argument)

    def _erase(self, block):
        self._file.seek(self._start + block * _BLOCK)
        self._file.write(_BLANK)
        return 0


def mount(image, start, size):
    """Mount the file system in the open file number `image`, made first if it is blank.

    Return False if what is there is no file system.
    """
    disk = _Disk(open(image, "r+b"), start, size)
    sectors = bytearray(2 * _BLOCK)
    disk.readblocks(0, sectors)
    is_new = sectors == _BLANK * 2
    if is_new:
        vfs.VfsLfs2.mkfs(disk)
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(disk), "/")
    except OSError:
        return False
    os.chdir("/")
    if is_new:
        with open("/boot.py", "wb") as boot:
            boot.write(_BOOT_PY)
    return True
