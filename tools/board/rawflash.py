"""Reads and writes a data partition of a board as it lies on flash, by a technician's session.

Owns the way over the line: blank parts travel as one letter, blocks that are right already stay, and what is
written is compared. What the bytes mean is the caller's affair.
"""

import binascii
import hashlib
import json
from collections.abc import Callable

from tools.board.session import Session, SessionError

BLOCK = 4096
_PIECE = 512
_BLANK = b"\xff" * BLOCK
_AT_ONCE = 16  # blocks between two signs of progress

_ON_BOARD = """
import esp32, hashlib, json
from binascii import hexlify, b2a_base64, a2b_base64
_buf = bytearray(4096)
def _part(label):
    return esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)[0]
def raw_size(label):
    print(_part(label).ioctl(4, 0))
def raw_read(label, first, count):
    part, view, blank = _part(label), memoryview(_buf)[:512], b"\\xff" * 512
    for block in range(first, first + count):
        for at in range(0, 4096, 512):
            part.readblocks(block, view, at)
            print("-" if view == blank else b2a_base64(view).decode().strip())
def raw_digests(label, first, count):
    part, found = _part(label), []
    for block in range(first, first + count):
        part.readblocks(block, _buf, 0)
        found.append(hexlify(hashlib.sha256(_buf).digest()[:8]).decode())
    print(json.dumps(found))
def raw_fill(at, text):
    data = a2b_base64(text)
    _buf[at : at + len(data)] = data
def raw_write(label, block, is_blank):
    part = _part(label)
    part.ioctl(6, block)
    if not is_blank:
        for at in range(0, 4096, 256):
            part.writeblocks(block, memoryview(_buf)[at : at + 256], at)
"""

Progress = Callable[[int, int], None]  # blocks done, blocks in all


def prepare(board: Session) -> None:
    """Give the board what this module needs there; again after each `refresh`. Raises SessionError."""
    board.run(_ON_BOARD)


def read(board: Session, label: str, progress: Progress = lambda done, total: None) -> bytes:
    """Return all bytes of the partition `label`. Raises SessionError."""
    total = _size(board, label)
    data = bytearray()
    for first in range(0, total, _AT_ONCE):
        count = min(_AT_ONCE, total - first)
        lines = board.run(f"raw_read({label!r}, {first}, {count})").split()
        if len(lines) != count * BLOCK // _PIECE:
            raise SessionError(f"partition {label}: the board sends {len(lines)} pieces at block {first}")
        for line in lines:
            data += _BLANK[:_PIECE] if line == "-" else binascii.a2b_base64(line)
        progress(first + count, total)
    return bytes(data)


def write(board: Session, label: str, data: bytes, progress: Progress = lambda done, total: None) -> int:
    """Make the partition `label` hold `data` and then blank; return how many blocks were written.

    Raises SessionError if it does not fit, or reads back otherwise.
    """
    total = _size(board, label)
    if len(data) > total * BLOCK:
        raise SessionError(f"partition {label}: {len(data)} bytes do not fit into {total * BLOCK}")
    data = data.ljust(total * BLOCK, b"\xff")
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    wanted = [hashlib.sha256(block).digest()[:8].hex() for block in blocks]
    wrong = [number for number, have in enumerate(_digests(board, label, total)) if have != wanted[number]]
    for done, number in enumerate(wrong):
        is_blank = blocks[number] == _BLANK
        for at in () if is_blank else range(0, BLOCK, _PIECE):
            text = binascii.b2a_base64(blocks[number][at : at + _PIECE], newline=False)
            board.run(f"raw_fill({at}, {text!r})")
        board.run(f"raw_write({label!r}, {number}, {is_blank})")
        progress(done + 1, len(wrong))
    if wrong and _digests(board, label, total) != wanted:
        raise SessionError(f"partition {label}: reads back otherwise than it was written")
    return len(wrong)


def _size(board: Session, label: str) -> int:
    try:
        return int(board.run(f"raw_size({label!r})"))
    except (SessionError, ValueError):
        raise SessionError(f"no partition {label}: pinter board flash") from None


def _digests(board: Session, label: str, total: int) -> list[str]:
    found: list[str] = []
    for first in range(0, total, _AT_ONCE):
        count = min(_AT_ONCE, total - first)
        found += json.loads(board.run(f"raw_digests({label!r}, {first}, {count})"))
    return found
