"""Reads the office's key files: site.key (identity key of the site) and gate-NAME.key, 32 bytes in hex each.

Owns where they are and who may read them. It prints no key and keeps none.
"""

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


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
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with os.fdopen(handle, "w") as file:
                    file.write(secrets.token_bytes(KEY_BYTES).hex() + "\n")
                made.append(path)
    except OSError as error:
        raise KeyFileError(f"{folder}: {error.strerror}") from error
    return made


def _read(path: Path) -> bytes:
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
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path} has {len(key)} bytes, a key has {KEY_BYTES}")
    return key
