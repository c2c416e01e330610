"""Reads CSV tables with a header line, and says of every fault where it is: FILE:LINE:COLUMN: text.

Owns encodings, delimiters, headers, and fields that several tables have (numbers of cards, times, choices).
What the columns mean is the caller's.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

T = TypeVar("T")

FIRST = datetime(2020, 1, 1, tzinfo=UTC)  # windows of records begin here, and end in 2051
LAST = FIRST + timedelta(minutes=(1 << 24) - 1)

_UID = re.compile(r"[0-9A-F]{2}(?:([:-]?)[0-9A-F]{2}(?:\1[0-9A-F]{2})*)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_UID_BYTES = (4, 7, 10)  # ISO/IEC 14443-3 6.5.4: single, double, triple size
_RANDOM_UID = 0x08  # ISO/IEC 14443-3 table 9: uid0 of a number drawn anew each time


class TableError(Exception):
    """The file has faults; `faults` holds one line for each: FILE:LINE:COLUMN: text."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Row:
    """One line of a table being read. `fields` by column, stripped; `line`: its number in the file."""

    def __init__(self, fields: Mapping[str, str], name: str, line: int) -> None:
        self.fields = fields
        self.line = line
        self.faults: list[str] = []
        self._where = f"{name}:{line}"

    def take(self, column: str, convert: Callable[[str], T]) -> T | None:
        """Return the field converted (empty if the table has no such column).

        None if `convert` raises ValueError: that is noted as a fault.
        """
        try:
            return convert(self.fields.get(column, ""))
        except ValueError as error:
            self.fault(column, str(error))
            return None

    def fault(self, column: str, text: str) -> None:
        """Note that something is wrong in `column`."""
        self.faults.append(f"{self._where}:{column}: {text}")


def parse(
    data: bytes,
    name: str,
    required: Sequence[str],
    optional: Sequence[str],
    convert: Callable[[Row], T | None],
) -> list[T]:
    """Return what `convert` makes of each line in the bytes of a CSV file called `name`.

    Raises TableError with all faults found.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError([f"{name}:{line}:: not UTF-8 text"]) from error
    # Spreadsheets write ";" where the comma separates decimals.
    header_line = text.partition("\n")[0]
    delimiter = ";" if ";" in header_line and "," not in header_line else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    faults: list[str] = []
    found: list[T] = []
    try:
        header = [column.strip() for column in next(reader, [])]
        wrong = _header_faults(header, required, optional)
        faults += [f"{name}:1:{column}: {text}" for column, text in wrong]
        if faults:
            raise TableError(faults)
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                column = header[len(fields)] if len(fields) < len(header) else header[-1]
                faults.append(
                    f"{name}:{reader.line_num}:{column}: "
                    f"the line has {len(fields)} fields, the header {len(header)}"
                )
                continue
            pairs = zip(header, fields, strict=True)
            row = Row({column: field.strip() for column, field in pairs}, name, reader.line_num)
            value = convert(row)
            faults += row.faults
            if value is not None:
                found.append(value)
    except csv.Error as error:
        faults.append(f"{name}:{max(reader.line_num, 1)}:: not CSV: {error}")
    if faults:
        raise TableError(faults)
    return found


def _header_faults(
    header: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> list[tuple[str, str]]:
    known = [*required, *optional]
    faults = [(column, "the column is missing") for column in required if column not in header]
    faults += [
        (column, "unknown column; known: " + ", ".join(known)) for column in header if column not in known
    ]
    faults += [(column, "the column is there twice") for column in known if header.count(column) > 1]
    return faults


def uid(text: str) -> bytes:
    """Return the bytes of a UID in hex: 4, 7 or 10 bytes, any case, apart or joined by ":" or "-".

    Raises ValueError saying what is wrong, also for the random numbers of phones.
    """
    match = _UID.fullmatch(text.upper())
    if match is None:
        raise ValueError(f"{text!r} is no card number in hex")
    raw = bytes.fromhex(re.sub("[:-]", "", text))
    if len(raw) not in _UID_BYTES:
        raise ValueError(f"{len(raw)} bytes; a card number has 4, 7 or 10")
    if len(raw) == 4 and raw[0] == _RANDOM_UID:
        raise ValueError("4 bytes from 08: a number that a phone draws anew each time")
    return raw


def choice(text: str, names: Iterable[str]) -> str:
    """Return `text` if it is one of `names`, else raise ValueError naming them."""
    known = list(names)
    if text not in known:
        raise ValueError(f"{text!r} is none of {', '.join(known)}")
    return text


def minute(text: str, zone: timezone) -> int | None:
    """Return the Unix seconds of a local time like 2026-03-02T08:30 in `zone`, None if empty.

    Raises ValueError for anything else, and for a time that a record cannot hold.
    """
    if not text:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        time = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise ValueError(f"{text!r} is no time like 2026-03-02T08:30") from None
    if not FIRST <= time <= LAST:
        raise ValueError(f"{text} is not between {FIRST:%Y} and {LAST:%Y}")
    return int(time.timestamp())
