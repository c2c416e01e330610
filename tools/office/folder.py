"""The office's folder: office.toml with its settings, keys/ with its key files, and where the books are.

Owns what the settings may say, and the making and replacing of keys. What they have in common with a gate's
config (site, classes, times) is checked by the same code. It prints no key.
"""

import os
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from firmware import config, records
from firmware.config import ClassRule
from firmware.crypto import hmac_sha256
from firmware.errors import ConfigError
from tools.office import keys
from tools.office.db import engine
from tools.office.report import settings as thresholds
from tools.office.report.settings import DEFAULTS, Thresholds

SETTINGS = "office.toml"
_OWN = ("reclaim_at", "database", "report")
_SHARED = ("site", "utc_offset_min", "presence_reset", "min_tier", "classes")
_TEMPLATE = """\
# The settings of this office. Times are local.
site = "{site}"
utc_offset_min = {utc_offset_min}
presence_reset = "00:00"   # positions become unknown; as in the config of the gates
reclaim_at = "{reclaim_at}"       # cards not returned by then are reported and blocked
min_tier = "{min_tier}"          # what cards must prove: uid, signed or aes; as in the config of the gates

# Without this line the books are books.db beside this file (SQLite).
# database = "postgresql://pinter@localhost/pinter"

# Further classes of cards, as in the config of the gates.
# [classes.courier]
# code = 5

# From when on the report of a day calls something a signal (docs/report.md).
# [report]
# passback_min = 10
"""


class FolderError(Exception):
    """The folder or its settings are unfit; the text is one line for the user."""


@dataclass(frozen=True)
class Folder:
    """An office's folder. `reclaim_at`, `presence_reset`: minutes of the local day; `classes` by name.

    `report`: the thresholds of the report's signals.
    """

    path: Path
    site: str
    utc_offset_min: int
    presence_reset: int | None
    reclaim_at: int
    min_tier: str
    classes: dict[str, ClassRule]
    database: URL
    report: Thresholds = DEFAULTS

    @property
    def keys(self) -> Path:
        """Return the folder of the key files."""
        return self.path / "keys"

    @property
    def ca(self) -> Path:
        """Return the file with the certificate of the office's own authority (broker.OwnBroker makes it)."""
        return self.path / "tls" / "ca.der"

    def key(self, name: str) -> bytes:
        """Return the key in keys/NAME.key. Raises KeyFileError."""
        return keys.key_file(self.keys / f"{name}.key")

    def gate_key(self, gate: str, key_id: str) -> bytes:
        """Return the key of `gate` that has `key_id`, an older one too. Raises KeyFileError.

        A key that was made for a rotation which the books know of takes its place here, should the
        program have ended between the two.
        """
        current = self.keys / f"gate-{gate}.key"
        if current.exists() and key_id_of(keys.key_file(current)) == key_id:
            return keys.key_file(current)
        fresh = _fresh(current)
        if fresh.exists() and key_id_of(keys.key_file(fresh)) == key_id:
            self.put_in_force(gate)
            return keys.key_file(current)
        old = _old(current, key_id)
        if old.exists():
            return keys.key_file(old)
        raise keys.KeyFileError(f"{current} is not the key that the books know ({key_id}): restore it")

    def make_gate_key(self, gate: str) -> bytes:
        """Make a new key for `gate`, not yet in force, and return it. Raises KeyFileError."""
        fresh = _fresh(self.keys / f"gate-{gate}.key")
        try:
            fresh.unlink(missing_ok=True)
        except OSError as error:
            raise keys.KeyFileError(f"{fresh}: {error.strerror}") from error
        return _make_key(fresh)

    def put_in_force(self, gate: str) -> None:
        """Let the key from `make_gate_key` take the place of the one before, kept for its journals."""
        current = self.keys / f"gate-{gate}.key"
        try:
            if current.exists():
                os.replace(current, _old(current, key_id_of(keys.key_file(current))))
            os.replace(_fresh(current), current)
        except OSError as error:
            raise keys.KeyFileError(f"{current}: {error.strerror}") from error


def key_id_of(key: bytes) -> str:
    """Return the name by which the books call `key`: 8 bytes in hex that do not lead back to it."""
    return hmac_sha256(key, b"PINTER key id")[:8].hex()


def create(
    path: Path, site: str, utc_offset_min: int, reclaim_at: str, min_tier: str, database: str | None
) -> Folder:
    """Make a new office at `path`: settings and keys, for this user only.

    Raises FolderError, BooksError for a wrong `database`, KeyFileError.
    """
    if (path / SETTINGS).exists():
        raise FolderError(f"{path / SETTINGS} exists already: it stays as it is")
    text = _TEMPLATE.format(
        site=site, utc_offset_min=utc_offset_min, reclaim_at=reclaim_at, min_tier=min_tier
    )
    if database is not None:
        engine.parse_url(database)
        text = text.replace('# database = "postgresql://pinter@localhost/pinter"', f"database = '{database}'")
    _parse(path, text)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "keys").mkdir(mode=0o700, exist_ok=True)
        for name in ("site", "audit", "identity"):
            if not (path / "keys" / f"{name}.key").exists():
                _make_key(path / "keys" / f"{name}.key")
        handle = os.open(path / SETTINGS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror}") from error
    return load(path)


def load(path: Path) -> Folder:
    """Return the office at `path`. Raises FolderError for settings that are missing or wrong."""
    try:
        text = (path / SETTINGS).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FolderError(f"{path} is no office (it has no {SETTINGS}): pinter office init {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"{path / SETTINGS}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    return _parse(path, text)


def _parse(path: Path, text: str) -> Folder:
    name = path / SETTINGS
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FolderError(f"{name}: {error}") from error
    for field in values:
        if field not in _OWN + _SHARED:
            raise FolderError(f"{name}: {field}: unknown key; known: {', '.join(_SHARED + _OWN)}")
    try:
        # Gate and board are fillers: the office checks what it shares with every gate.
        shared = {field: values[field] for field in _SHARED if field in values}
        site = config.parse({**shared, "gate": "A", "board": "office"})
    except ConfigError as error:
        raise FolderError(f"{name}: {error}") from error
    try:
        at = values.get("reclaim_at", "18:00")
        reclaim_at = config.parse(
            {"site": "X", "gate": "A", "board": "X", "presence_reset": at}
        ).presence_reset
    except ConfigError as error:
        raise FolderError(f"{name}: reclaim_at: {error.text}") from error
    if reclaim_at is None:
        raise FolderError(f'{name}: reclaim_at: must be a time like "16:30"')
    database = values.get("database", f"sqlite:///{(path / 'books.db').absolute()}")
    if not isinstance(database, str):
        raise FolderError(f"{name}: database: must be a URL in quotes")
    try:
        url = engine.parse_url(database)
    except engine.BooksError as error:
        raise FolderError(f"{name}: {error}") from error
    try:
        report = thresholds.parse(values.get("report", {}))
    except ValueError as error:
        raise FolderError(f"{name}: report: {error}") from error
    return Folder(
        path,
        site.site,
        site.utc_offset_min,
        site.presence_reset,
        reclaim_at,
        records.TIERS[site.min_tier],
        {rule.name: rule for rule in site.classes if rule is not None},
        url,
        report,
    )


def _fresh(current: Path) -> Path:
    return current.with_suffix(".key.new")


def _old(current: Path, key_id: str) -> Path:
    return current.with_name(f"{current.stem}.{key_id}.old")


def _make_key(path: Path) -> bytes:
    key = secrets.token_bytes(keys.KEY_BYTES)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise keys.KeyFileError(f"{path}: {error.strerror}") from error
    return key
