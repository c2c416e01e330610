"""Examines what a gate has on its flash: partitions, files, config, keys, the list, the journal.

Sent to the board by the technician's tool and never resident. It changes nothing but one file of its own: the
stores are opened on a copy of what they would write. Findings are those of doctor.py: the tool has the words.
"""

import json
import os
import struct

from esp32 import Partition
from micropython import const

from . import records, release
from .errors import ConfigError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .config import Site

OK, WARNING, ERROR = 0, 1, 2
_BLOCK = const(4096)
_SIZE = const(32)
_BODY = const(24)
_NEWEST = const(500)  # records whose chain is verified here; the tool's `logs` verifies all
_ENODEV = const(19)
_TRIAL = "/doctor.tmp"


class _Copy:
    """A partition whose changes are kept in RAM: erased blocks, and what was programmed in them."""

    def __init__(self, device):
        self._device = device
        self._erased = {}

    def readblocks(self, block, into, offset=0):
        self._device.readblocks(block, into, offset)
        end = offset + len(into)
        for number in self._erased:
            start = (number - block) * _BLOCK
            for i in range(max(start, offset), min(start + _BLOCK, end)):
                into[i - offset] = 0xFF
            for at, data in self._erased[number]:
                for i in range(len(data)):
                    if offset <= start + at + i < end:
                        into[start + at + i - offset] = data[i]

    def writeblocks(self, block, data, offset=0):
        if block not in self._erased:
            raise OSError(30)  # EROFS
        self._erased[block].append((offset, bytes(data)))

    def ioctl(self, op, argument=0):
        if op == 6:
            self._erased[argument] = []
            return 0
        return self._device.ioctl(op, argument)


def partitions() -> list:
    """Return the partition table: [type, subtype, offset, size, label] of each."""
    return [
        list(p.info()[:5]) for kind in (Partition.TYPE_APP, Partition.TYPE_DATA) for p in Partition.find(kind)
    ]


def files() -> list:
    """Return the findings on the file system: that it is there, has room, and keeps what is written."""
    try:
        found = os.statvfs("/")
    except OSError as error:
        return [("files", ERROR, "vfs_damaged", str(error))]
    free, size = found[0] * found[3], found[0] * found[2]
    data = bytes(range(256)) * 4
    try:
        with open(_TRIAL, "wb") as file:
            file.write(data)
        with open(_TRIAL, "rb") as file:
            kept = file.read() == data
        os.remove(_TRIAL)
    except OSError as error:
        code = "vfs_damaged" if error.errno == _ENODEV else "vfs_write"  # nothing is mounted there
        return [("files", ERROR, code, str(error))]
    if not kept:
        return [("files", ERROR, "vfs_write", "other bytes come back")]
    if free < size // 10:
        return [("files", WARNING, "vfs_full", free // 1024)]
    return [("files", OK, "vfs_ok", free // 1024)]


def site() -> "Site":
    """Return the config of the gate. Raises ConfigError."""
    from . import config

    release("config")
    try:
        with open("/config.json") as file:
            return config.parse(json.load(file))
    except OSError:
        raise ConfigError("config.json", "is missing")
    except ValueError:
        raise ConfigError("config.json", "is not JSON")


def keys(names: tuple) -> list:
    """Return the findings on the keys `names` in NVS, and on each byte of them being there."""
    from .flash import secret

    found = []
    for name in names:
        try:
            secret(name)
        except ConfigError:
            found.append(("keys", ERROR, "key_missing", name))
    return found or [("keys", OK, "keys_ok", len(names))]


def credentials(of: "Site") -> list:
    """Return [valid, seq, count, issued, expires] of the list on flash, as it would be after a start."""
    from .allowlist import Allowlist
    from .flash import partition, secret

    made = Allowlist(_Copy(partition("list")), secret("gate_key"), of.site, of.gate)
    made.open()
    return [bool(made.valid), made.seq, made.count, made.issued, made.expires]


def journal() -> list:
    """Return the findings on the journal: where it ends, and whether its newest records hang together."""
    from .crypto import hmac_sha256
    from .flash import partition, secret
    from .journal import Journal

    device, key = partition("journal"), secret("gate_key")
    made = Journal(_Copy(device), key)
    made.open()
    if not made.seq:
        head = bytearray(2)
        for sector in range(device.ioctl(4, 0) or 0):
            device.readblocks(sector, head, 0)
            if head != b"\xff\xff":
                return [("journal", ERROR, "journal_foreign")]
        return [("journal", OK, "journal_empty")]
    first = max(made.oldest, made.seq - _NEWEST)
    raw, other = memoryview(bytearray(_SIZE)), memoryview(bytearray(_SIZE))
    broken = []  # little is kept: the heap lies in pieces by now
    for seq in range(first, made.seq + 1):
        made.read_into(seq, raw)
        event = records.unpack_event(raw)
        before = seq - 1
        if event.type == "torn":
            before = struct.unpack(">I", event.key[:4])[0] - 1
            broken = [number for number in broken if number <= before]
        is_right = event.seq == seq
        if is_right and before >= first:
            made.read_into(before, other)
            is_right = hmac_sha256(key, other[_BODY:], raw[:_BODY])[:8] == raw[_BODY:]
        if not is_right:
            broken.append(seq)
    broken = [number for number in broken if number <= made.seq - made._torn]
    if broken:
        return [("journal", ERROR, "journal_damaged", broken[0], made.seq)]
    lost = made.lost
    facts = (made.seq, made.undelivered, lost)
    return [("journal", WARNING, "journal_lost") + facts if lost else ("journal", OK, "journal_ok") + facts]


def is_header(raw: bytes) -> bool:
    """Tell whether the 32 bytes `raw` are a header of a journal under this gate's key."""
    from .crypto import hmac_sha256
    from .flash import secret

    return hmac_sha256(secret("gate_key"), raw[:_BODY])[:8] == raw[_BODY:]


def newest() -> int:
    """Return the number of the newest record of this gate's journal, 0 if there is none."""
    from .flash import partition, secret
    from .journal import Journal

    made = Journal(_Copy(partition("journal")), secret("gate_key"))
    made.open()
    return made.seq


def list_seq(site: str, gate: str) -> int:
    """Return the number of the list in force for `gate` at `site`, 0 if there is none."""
    from .allowlist import Allowlist
    from .flash import partition, secret

    made = Allowlist(_Copy(partition("list")), secret("gate_key"), site, gate)
    made.open()
    return made.seq
