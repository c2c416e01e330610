"""Reads and writes the pool: the CSV of cards that an office has personalised and hands out.

Owns the columns (docs/formats.md) and what a valid line looks like. It holds no key: those follow from the
card master key of the version that a line names. Columns: uid, product, tier, key_version, personalised
(local time, to the minute).
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from firmware import records
from tools.office import cardkeys, keys, tables, whole

# What a card of this product can prove at most.
TIERS = {"ntag424": "aes", "desfire": "aes", "classic": "signed", "type2": "signed"}
COLUMNS = ("uid", "product", "tier", "key_version", "personalised")


@dataclass(frozen=True)
class PoolCard:
    """One card of the pool. `product`: of TIERS; `tier`: a name of records.TIERS; Unix seconds."""

    uid: bytes
    product: str
    tier: str
    key_version: int
    personalised: int | None

    def secret(self, masters: Mapping[int, bytes], folder: Path) -> bytes:
        """Return what gates are told of the card. Raises KeyFileError if its master key is not in `masters`.

        `folder`: where it should be, for the text.
        """
        if self.key_version not in masters:
            raise keys.KeyFileError(
                f"{folder / f'card-{self.key_version}.key'} does not exist:"
                f" card {self.uid.hex().upper()} has keys of that version"
            )
        secret = cardkeys.secret(masters[self.key_version], self.uid, records.TIERS.index(self.tier))
        assert secret is not None  # the tier of a pool card is never `uid`
        return secret


def read(path: Path, utc_offset_min: int = 420) -> dict[bytes, PoolCard]:
    """Return the cards in the file `path` by number, in its order.

    Raises tables.TableError with all faults found, OSError if the file cannot be read.
    """
    return parse(path.read_bytes(), str(path), utc_offset_min)


def parse(data: bytes, name: str, utc_offset_min: int = 420) -> dict[bytes, PoolCard]:
    """Return the cards in the bytes of a pool file called `name`; otherwise as `read`."""
    zone = timezone(timedelta(minutes=utc_offset_min))
    lines: dict[bytes, int] = {}

    def card(row: tables.Row) -> PoolCard | None:
        uid = row.take("uid", tables.uid)
        product = row.take("product", lambda text: tables.choice(text, TIERS))
        tier = row.take("tier", lambda text: tables.choice(text, records.TIERS[1:]))
        version = row.take("key_version", _version)
        personalised = row.take("personalised", lambda text: tables.minute(text, zone))
        if product and tier and tier != TIERS[product]:
            row.fault("tier", f"a {product} card proves {TIERS[product]!r}, not {tier!r}")
        if uid is None:
            return None
        first = lines.setdefault(uid, row.line)
        if first != row.line:
            row.fault("uid", f"card {uid.hex().upper()} is in line {first} already")
        return PoolCard(uid, product or "", tier or "", version or 0, personalised)

    return {card.uid: card for card in tables.parse(data, name, COLUMNS, (), card)}


def write(path: Path, cards: Iterable[PoolCard], utc_offset_min: int = 420) -> None:
    """Write the pool: the file there is the old one or the new one, never half. Raises OSError."""
    zone = timezone(timedelta(minutes=utc_offset_min))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for card in cards:
        time = ""
        if card.personalised is not None:
            time = f"{datetime.fromtimestamp(card.personalised, UTC).astimezone(zone):%Y-%m-%dT%H:%M}"
        writer.writerow((card.uid.hex().upper(), card.product, card.tier, card.key_version, time))
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    whole.write(path, out.getvalue().encode(), mode)


def put(path: Path, card: PoolCard, utc_offset_min: int = 420) -> None:
    """Add `card` to the pool at `path`, or replace its line; a pool that does not exist begins with it.

    One program at a time: the file is read, changed and replaced. Raises as `read` and `write`.
    """
    cards = read(path, utc_offset_min) if path.exists() else {}
    cards[card.uid] = card
    write(path, cards.values(), utc_offset_min)


def _version(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) in keys.VERSIONS):
        raise ValueError(f"{text!r} is no key version from 1 to 255")
    return int(text)
