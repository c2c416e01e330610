"""Reads the office's CSV of visits, and says of every fault where it is and what it is.

Owns the columns and what a valid visit looks like. It signs nothing and keeps no keys. Columns: uid, class,
from, until, party, and optionally slow (yes/no) and tier (uid, signed, aes). Times are local, to the minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path

from firmware import bundles, records
from firmware.crypto import card_key
from tools.office import tables

CLASSES = {"yellow": 1, "green": 2, "blue": 3, "staff": 4}
REQUIRED = ("uid", "class", "from", "until", "party")
OPTIONAL = ("slow", "tier")

VisitsError = tables.TableError
parse_uid = tables.uid


@dataclass(frozen=True)
class Visit:
    """One card's visit: `cls` is the class's name, `code` its number; Unix seconds, None = untimed."""

    uid: bytes
    cls: str
    code: int
    from_unix: int | None = None
    until_unix: int | None = None
    party: int = 0
    slow: bool = False
    tier: str = "uid"

    def credential(self, site_key: bytes) -> records.Credential:
        """Return the record that a gate of the site with this identity key gets."""
        untimed = self.from_unix is None or self.until_unix is None
        begin = 0 if self.from_unix is None else bundles.minutes(self.from_unix)
        length = 0 if self.until_unix is None else bundles.minutes(self.until_unix) - begin
        return records.Credential(
            card_key(site_key, self.uid),
            self.code,
            False,
            untimed,
            records.TIERS.index(self.tier),
            self.slow,
            begin,
            length,
            self.party,
        )


def read(path: Path, classes: Mapping[str, int] = CLASSES, utc_offset_min: int = 420) -> list[Visit]:
    """Return the visits in the file `path`; `classes` gives the code of every class name.

    Raises VisitsError with all faults found, OSError if the file cannot be read.
    """
    return parse(path.read_bytes(), str(path), classes, utc_offset_min)


def parse(
    data: bytes, name: str, classes: Mapping[str, int] = CLASSES, utc_offset_min: int = 420
) -> list[Visit]:
    """Return the visits in the bytes of a CSV file called `name`; otherwise as `read`."""
    zone = timezone(timedelta(minutes=utc_offset_min))
    seen: dict[bytes, int] = {}

    def convert(row: tables.Row) -> Visit | None:
        visit = _visit(row, classes, zone)
        if visit is not None:
            first = seen.setdefault(visit.uid, row.line)
            if first != row.line:
                row.fault("uid", f"card {visit.uid.hex().upper()} is in line {first} already")
        return visit

    return tables.parse(data, name, REQUIRED, OPTIONAL, convert)


def _visit(row: tables.Row, classes: Mapping[str, int], zone: timezone) -> Visit | None:
    """Return the visit of a row, None if not even its card is known."""
    uid = row.take("uid", parse_uid)
    row.take("class", lambda text: tables.choice(text, classes))
    begin, end = window(row, zone)
    party = row.take("party", _party)
    slow = row.take("slow", lambda text: tables.choice(text.lower() or "no", ("no", "yes")))
    tier = row.take("tier", lambda text: tables.choice(text or "uid", records.TIERS))
    if uid is None:
        return None
    cls = row.fields["class"]
    return Visit(uid, cls, classes.get(cls, 0), begin, end, party or 0, slow == "yes", tier or "uid")


def window(row: tables.Row, zone: timezone) -> tuple[int | None, int | None]:
    """Return the fields `from` and `until` of a row, both Unix seconds or both None; faults are noted."""
    begin = row.take("from", lambda text: tables.minute(text, zone))
    end = row.take("until", lambda text: tables.minute(text, zone))
    if row.fields["from"] and not row.fields["until"]:
        row.fault("until", "a window has an end, or neither from nor until")
    elif row.fields["until"] and not row.fields["from"]:
        row.fault("from", "a window has a beginning, or neither from nor until")
    elif begin is not None and end is not None:
        if end <= begin:
            row.fault("until", "the window ends before it starts")
        elif (end - begin) // 60 > bundles.LENGTH_MIN_MAX:
            row.fault("until", "the window is longer than 22 days")
    return begin, end


def _party(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF):
        raise ValueError(f"{text!r} is no number from 0 to 65535")
    return int(text)
