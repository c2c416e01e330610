"""Takes a release of the firmware: in pieces, checked, put beside what runs, switched to (docs/updates.md).

Owns the file `update.bundle` and what must hold before a release may run: it is for this gate, newer, whole,
and signed with the key of the releases. Which application runs is starter.py's affair, and going back to the
one before as well. Everything is done in slices between polls. Loaded while an update is on its way.
"""

import os
import struct
import sys
from hashlib import sha256

from micropython import const

from . import packs, release
from .errors import BundleError, PinterError
from .flash import secret

release("packs")  # both go with this module
release("flash")

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

FILE = "update.bundle"
PACK = ".pack"

_READ = const(1024)
_SPARE = const(3)  # blocks of flash that an update leaves free
_REFUSED = const(0xFFFFFFFF)
_DIRECTORY = const(0x4000)


def install(board: str, force: bool = False) -> "Generator[None, None, packs.Header]":
    """Yield after each slice of checking `update.bundle` and putting it in place; return its Header.

    From the next reset on it runs, on trial. `board`: board.NAME. `force`: take an older version too. Raises
    PinterError if it must not run; then it is removed, and nothing else has changed.
    """
    try:
        header = yield from _check(board, force)
    except PinterError:
        os.remove(FILE)
        raise
    starter = _starter()
    other = starter.prepare()  # from here on there is nothing to go back to, until the switch
    yield from _discard(other + PACK, other)
    os.rename(FILE, other + PACK)
    yield
    starter.switch(header.version)
    return header


def make_room(total: int):
    """Yield now and then while room is made for `total` bytes: what does not run is removed if it must be.

    What a cut left of an update goes first. Raises BundleError if there is not enough room then.
    """
    yield from _discard(FILE, FILE + ".new")
    if _lacks(total):
        other = _starter().prepare()
        yield from _discard(other + PACK, other)
        if _lacks(total):
            raise BundleError("total: no room for %d bytes" % total)


def _lacks(total):
    found = os.statvfs(".")
    return found[3] < total // found[0] + _SPARE


def install_now(board: str, force: bool = False, room: int = 0) -> str:
    """Do all of `install` at once, for a technician; return what became of it as one line.

    `room`: only make room for so many bytes, before they are put into `update.bundle`.
    """
    try:
        slices = make_room(room) if room else install(board, force)
        while True:
            next(slices)
    except StopIteration as end:
        return "installed %d %s" % (end.value.version, end.value.text) if end.value else "room"
    except PinterError as error:
        return "refused %s" % error
    except OSError as error:
        return "failed %s" % error


def _starter() -> "Any":
    import starter

    sys.modules.pop("starter", None)
    return starter


def _accept(raw, board, force):
    return packs.accept(raw, board, _starter().read(), sys.implementation, force)


def _check(board, force):
    """Yield now and then, and return the Header of `update.bundle`: all of it was read and is as signed."""
    with open(FILE, "rb") as file:
        raw = file.read(packs.HEADER_SIZE)
        header = _accept(raw, board, force)
        if os.stat(FILE)[6] != header.total:
            raise BundleError("total: %d bytes of %d" % (os.stat(FILE)[6], header.total))
        signed = sha256(raw)
        yield from _hash(file, signed, header.count * packs.ENTRY_SIZE)
        signature = file.read(packs.SIGNATURE_SIZE)
        from .ed25519 import verify

        release("ed25519")
        good = yield from verify(secret("release_key"), signed.digest(), signature)
        if not good:
            raise BundleError("signature")
        end = packs.contents_at(header.count)
        for i in range(header.count):
            file.seek(packs.HEADER_SIZE + i * packs.ENTRY_SIZE)
            name, offset, size, digest = packs.unpack_entry(file.read(packs.ENTRY_SIZE))
            found = sha256()
            file.seek(offset)
            yield from _hash(file, found, size)
            if found.digest() != digest or offset != end:
                raise BundleError("%s: is not what was signed" % name)
            end += size
    if end != header.total:
        raise BundleError("total: %d bytes are in no module" % (header.total - end))
    return header


def _hash(file, hashed, n):
    """Yield after each piece of adding the next `n` bytes of `file` to `hashed`."""
    while n > 0:
        piece = file.read(min(n, _READ))
        if not piece:
            raise BundleError("truncated")
        hashed.update(piece)
        n -= len(piece)
        yield


def _discard(*paths):
    """Yield after each removal: of what is there of `paths`, and of all that directories hold."""
    for path in paths:
        try:
            os.stat(path)
        except OSError:
            continue
        yield from _remove(path)


def _remove(path):
    if os.stat(path)[0] & _DIRECTORY:
        for name in os.listdir(path):
            yield from _remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
    yield


class Update:
    """A release that comes over the link; `gate.update` while it does.

    `version`: of its header. `at`: bytes of it so far, `session.update` tells the office.
    """

    def __init__(self, gate: "Any", raw):
        self._gate = gate
        self._board = gate.hardware.board.NAME
        header = _accept(raw, self._board, False)
        self._total = header.total
        self.version = header.version
        self.at = 0
        self._slices = make_room(header.total)
        self._file = None

    def feed(self, piece) -> None:
        """Take the next bytes; the last ones are followed by `work`."""
        if self._file is None:
            self._file = open(FILE, "wb")
        self._file.write(piece)
        self.at += len(piece)
        if self.at >= self._total:
            self._file.close()
            self._slices = install(self._board)

    def work(self) -> bool:
        """Do one slice; return True if the next should follow soon. What must not run is refused."""
        if not self._slices:
            return False
        try:
            next(self._slices)
            return True
        except StopIteration:
            self._slices = None
            if self.at >= self._total:
                self._gate.hardware.reset()
        except (PinterError, OSError) as error:
            refuse(self._gate, self.version, error)
            release("update")
        return False

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()

    @property
    def is_ready(self) -> bool:
        """Return whether there is room: `feed` may begin."""
        return not self._slices


def refuse(gate: "Any", version: int, error: Exception) -> None:
    """Journal and alarm that release `version` will not run, and forget it."""
    sys.print_exception(error)
    if gate.update:
        gate.update.close()
        gate.update = None
    session = gate.session
    if session:
        session.update = struct.pack(">II", version, _REFUSED)
    gate.alarm("update_rejected", key=struct.pack(">II", version, 0))


def take(session: "Any", body) -> None:
    """Take a piece of a release, as the order of the office has it: version, offset, bytes."""
    version, at = struct.unpack_from(">II", body)
    gate = session._gate._gate
    piece = body[8:]
    update = gate.update
    try:
        if not at and (update is None or update.version != version):
            if update:
                update.close()
            update = gate.update = Update(gate, piece)
            session.update = struct.pack(">II", version, 0)
        if update and update.version == version and update.at == at and update.is_ready:
            update.feed(piece)
            session.update = struct.pack(">II", version, update.at)
    except (PinterError, OSError) as error:
        refuse(gate, version, error)
    if gate.update is None:
        release("update")
