"""Reads the office's key files: site.key (identity key of the site) and gate-NAME.key, 32 bytes in hex each,
and card-VERSION.key (card master keys), 16 bytes.

Owns where they are and who may read them. It prints no key and keeps none.
"""

import os
import re
import secrets
from pathlib import Path

from firmware.crypto import hmac_sha256

KEY_BYTES = 32
CARD_MASTER_BYTES = 16  # AES-128
VERSIONS = range(
    1, 256
)  # of card master keys: one byte on the card, 0 is a card as it comes from the factory

_CARD_MASTER = re.compile(r"card-(\d+)\.key", re.ASCII)


class KeyFileError(Exception):
    """A key file is missing, unfit or readable by others; the text is one line for the user."""


def site_key(folder: Path) -> bytes:
    """Return the identity key of the site, from `folder`/site.key. Raises KeyFileError."""
    return _read(folder / "site.key")


def gate_key(folder: Path, gate: str) -> bytes:
    """Return the key of `gate`, from `folder`/gate-NAME.key. Raises KeyFileError."""
    return _read(folder / f"gate-{gate}.key")


def key_file(path: Path) -> bytes:
    """Return the key in the file `path`. Raises KeyFileError."""
    return _read(path)


def broker_secret(key: bytes) -> str:
    """Return in hex what the gate with `key` shows a broker: its TLS-PSK key, or its password."""
    return hmac_sha256(key, b"PINTER broker 1").hex()


def card_masters(folder: Path) -> dict[int, bytes]:
    """Return the card master keys in `folder` by version (1 to 255), the newest last. Raises KeyFileError.

    All of them, also those that cards no longer get: a card keeps its version until it is rotated.
    """
    found: dict[int, bytes] = {}
    for path in folder.glob("card-*.key"):
        match = _CARD_MASTER.fullmatch(path.name)
        version = int(match[1]) if match else 0
        if version not in VERSIONS or path.name != f"card-{version}.key":
            raise KeyFileError(f"{path}: card master keys are called card-1.key to card-255.key")
        found[version] = _read(path, CARD_MASTER_BYTES)
    return dict(sorted(found.items()))


def card_master(folder: Path, version: int) -> bytes:
    """Return card master key `version` from `folder`/card-VERSION.key. Raises KeyFileError."""
    return _read(folder / f"card-{version}.key", CARD_MASTER_BYTES)


def create_card_master(folder: Path) -> Path:
    """Make the next version of the card master key in `folder`, for this user only. Raises KeyFileError."""
    version = max(card_masters(folder), default=0) + 1
    if version not in VERSIONS:
        raise KeyFileError(f"{folder}: card-255.key was the last version of a card master key")
    path = folder / f"card-{version}.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        create(path, CARD_MASTER_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    return path


def create_missing(folder: Path, gate: str) -> list[Path]:
    """Make the key files of the site and of `gate` that `folder` lacks, for this user only; return them.

    A site key is not made where keys of gates are: those gates already know another one. Raises KeyFileError.
    """
    site = folder / "site.key"
    if not site.exists() and any(folder.glob("gate-*.key")):
        raise KeyFileError(f"{site} is missing beside the keys of gates that know it: restore it")
    made = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (site, folder / f"gate-{gate}.key"):
            if not path.exists():
                create(path, KEY_BYTES)
                made.append(path)
    except OSError as error:
        raise KeyFileError(f"{folder}: {error.strerror}") from error
    return made


def create(path: Path, size: int = KEY_BYTES) -> None:
    """Make a key in the new file `path`, for this user only. Raises OSError."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_bytes(size).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, size: int = KEY_BYTES) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others: chmod 600 {path}")
        key = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError as error:
        raise KeyFileError(f"{path} does not exist") from error
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise KeyFileError(f"{path} is not a key in hex") from error
    if len(key) != size:
        raise KeyFileError(f"{path} has {len(key)} bytes, a key has {size}")
    return key
