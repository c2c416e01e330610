"""Reads the office's CSV of visits, and says of every fault where it is and what it is.

Owns the columns and what a valid visit looks like. It signs nothing and keeps no keys. Columns: uid, class,
from, until, party, and optionally slow (yes/no) and tier (uid, signed, aes). Times are local, to the minute.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from firmware import records
from firmware.crypto import card_key

CLASSES = {"yellow": 1, "green": 2, "blue": 3, "staff": 4}
REQUIRED = ("uid", "class", "from", "until", "party")
OPTIONAL = ("slow", "tier")

_UID = re.compile(r"[0-9A-F]{2}(?:([:-]?)[0-9A-F]{2}(?:\1[0-9A-F]{2})*)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_UID_BYTES = (4, 7, 10)  # ISO/IEC 14443-3 6.5.4: single, double, triple size
_RANDOM_UID = 0x08  # ISO/IEC 14443-3 table 9: uid0 of a number drawn anew each time
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_LAST = _FIRST + timedelta(minutes=(1 << 24) - 1)


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
        begin = 0 if self.from_unix is None else records.minutes(self.from_unix)
        length = 0 if self.until_unix is None else records.minutes(self.until_unix) - begin
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


class VisitsError(Exception):
    """The file has faults; `faults` holds one line for each: FILE:LINE:COLUMN: text."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class _Fault(Exception):
    """One fault, in one column of the row being read."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column = column


def read(path: Path, classes: Mapping[str, int] = CLASSES, utc_offset_min: int = 420) -> list[Visit]:
    """Return the visits in the file `path`; `classes` gives the code of every class name.

    Raises VisitsError with all faults found, OSError if the file cannot be read.
    """
    return parse(path.read_bytes(), str(path), classes, utc_offset_min)


def parse(
    data: bytes, name: str, classes: Mapping[str, int] = CLASSES, utc_offset_min: int = 420
) -> list[Visit]:
    """Return the visits in the bytes of a CSV file called `name`; otherwise as `read`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VisitsError([f"{name}:{line}:: not UTF-8 text"]) from error
    # Spreadsheets write ";" where the comma separates decimals.
    header_line = text.partition("\n")[0]
    delimiter = ";" if ";" in header_line and "," not in header_line else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    faults: list[str] = []
    visits: list[Visit] = []
    seen: dict[bytes, int] = {}
    zone = timezone(timedelta(minutes=utc_offset_min))
    try:
        header = [column.strip() for column in next(reader, [])]
        faults += [f"{name}:1:{column}: {text}" for column, text in _header_faults(header)]
        if faults:
            raise VisitsError(faults)
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            where = f"{name}:{reader.line_num}"
            if len(row) != len(header):
                column = header[len(row)] if len(row) < len(header) else header[-1]
                faults.append(f"{where}:{column}: the line has {len(row)} fields, the header {len(header)}")
                continue
            fields = {column: field.strip() for column, field in zip(header, row, strict=True)}
            visit, found = _visit(fields, classes, zone)
            faults += [f"{where}:{fault.column}: {fault}" for fault in found]
            if visit is None:
                continue
            first = seen.setdefault(visit.uid, reader.line_num)
            if first != reader.line_num:
                faults.append(f"{where}:uid: card {visit.uid.hex().upper()} is in line {first} already")
            visits.append(visit)
    except csv.Error as error:
        faults.append(f"{name}:{max(reader.line_num, 1)}:: not CSV: {error}")
    if faults:
        raise VisitsError(faults)
    return visits


def parse_uid(text: str) -> bytes:
    """Return the bytes of a UID in hex: 4, 7 or 10 bytes, any case, apart or joined by ":" or "-".

    Raises ValueError saying what is wrong, also for the random numbers of phones.
    """
    match = _UID.fullmatch(text.upper())
    if match is None:
        raise ValueError(f"{text!r} is no card number in hex")
    uid = bytes.fromhex(re.sub("[:-]", "", text))
    if len(uid) not in _UID_BYTES:
        raise ValueError(f"{len(uid)} bytes; a card number has 4, 7 or 10")
    if len(uid) == 4 and uid[0] == _RANDOM_UID:
        raise ValueError("4 bytes from 08: a number that a phone draws anew each time")
    return uid


def _header_faults(header: Sequence[str]) -> list[tuple[str, str]]:
    faults = [(column, "the column is missing") for column in REQUIRED if column not in header]
    faults += [
        (column, "unknown column; known: " + ", ".join(REQUIRED + OPTIONAL))
        for column in header
        if column not in REQUIRED + OPTIONAL
    ]
    faults += [
        (column, "the column is there twice") for column in REQUIRED + OPTIONAL if header.count(column) > 1
    ]
    return faults


def _visit(
    fields: Mapping[str, str], classes: Mapping[str, int], zone: timezone
) -> tuple[Visit | None, list[_Fault]]:
    """Return the visit of a row, None if not even its card is known, and the row's faults."""
    faults: list[_Fault] = []

    def take(column: str, convert: Callable[[str], Any]) -> Any:
        try:
            return convert(fields.get(column, ""))
        except ValueError as error:
            faults.append(_Fault(column, str(error)))
            return None

    uid = take("uid", parse_uid)
    code = take("class", lambda text: _choice(text, classes))
    begin = take("from", lambda text: _minute(text, zone))
    end = take("until", lambda text: _minute(text, zone))
    if fields["from"] and not fields["until"]:
        faults.append(_Fault("until", "a window has an end, or neither from nor until"))
    elif fields["until"] and not fields["from"]:
        faults.append(_Fault("from", "a window has a beginning, or neither from nor until"))
    elif begin is not None and end is not None:
        if end <= begin:
            faults.append(_Fault("until", "the window ends before it starts"))
        elif (end - begin) // 60 > records.LENGTH_MIN_MAX:
            faults.append(_Fault("until", "the window is longer than 22 days"))
    party = take("party", _party)
    slow = take("slow", lambda text: bool(_choice(text.lower() or "no", {"no": 0, "yes": 1})))
    tier = take("tier", _tier)
    if uid is None:
        return None, faults
    return Visit(uid, fields["class"], code or 0, begin, end, party or 0, bool(slow), tier or "uid"), faults


def _choice(text: str, table: Mapping[str, int]) -> int:
    if text not in table:
        raise ValueError(f"{text!r} is none of {', '.join(table)}")
    return table[text]


def _tier(text: str) -> str:
    return records.TIERS[_choice(text or "uid", {name: code for code, name in enumerate(records.TIERS)})]


def _party(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF):
        raise ValueError(f"{text!r} is no number from 0 to 65535")
    return int(text)


def _minute(text: str, zone: timezone) -> int | None:
    if not text:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        time = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise ValueError(f"{text!r} is no time like 2026-03-02T08:30") from None
    if not _FIRST <= time <= _LAST:
        raise ValueError(f"{text} is not between {_FIRST:%Y} and {_LAST:%Y}")
    return int(time.timestamp())
