"""Runs a gate by a technician's session and hears what its journal writes, record by record.

The gate is in service meanwhile: main.py itself runs, with one addition that prints each record after it is
on flash. Owns that addition; nothing of it stays on the board.
"""

from collections.abc import Iterator

from tools.board.session import Session, SessionError

_MARK = b"\x1e"  # before each record, so that nothing else is taken for one
_SIZE = 32
_END = b"\x04"  # of what a program prints in raw REPL
_PROGRAM = """
import asyncio
from binascii import hexlify as _hexlify
_run = asyncio.run
def _followed(main):
    from firmware.journal import Journal
    put = Journal._put
    def _put(self, *fields):
        seq = put(self, *fields)
        print("\\x1e" + _hexlify(self._record).decode())
        return seq
    Journal._put = _put
    return _run(main)
asyncio.run = _followed
with open("/main.py") as _file:
    _source = _file.read()
exec(_source)
"""


def records_of(board: Session) -> Iterator[bytes]:
    """Start the gate and yield the 32 bytes of each record that it writes.

    Raises SessionError if the gate ends by itself or the board goes away.
    """
    board.refresh()
    board.start(_PROGRAM)
    pending = b""
    while True:
        pending += board.heard()
        *lines, pending = pending.split(b"\n")
        for line in lines:
            line = line.strip(b"\r")
            if line[:1] == _MARK and len(line) == 1 + 2 * _SIZE:
                yield bytes.fromhex(line[1:].decode())
        if _END in pending:
            said = pending.strip(_END + b">\r\n").decode(errors="replace")
            raise SessionError(f"the gate has ended: {said.splitlines()[-1] if said else 'without a word'}")
