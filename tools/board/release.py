"""Makes releases of the firmware: a signed file each, that a gate checks and runs from (docs/formats.md).

Owns the release key file and how a release is put together. The same sources, number and key give the same
bytes. What a gate makes of a release is firmware/update.py's affair.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import packs
from firmware.errors import BundleError
from tools import mpy

SUFFIX = ".pinter"
INTERPRETER = (1, 29)  # the oldest MicroPython that runs the firmware: TLS-PSK came with it
IN_ROOT = ("main", "starter", "safe", "pack", "manifest")  # stay outside of updates
_LENT = "doctor*.py"  # by a technician's computer, when it is used
_KEY_BYTES = 32


class ReleaseError(Exception):
    """A release or a release key that cannot be used or made; one line for the user."""


@dataclass(frozen=True)
class Release:
    """`modules`: the .mpy files by name ("app", "cards/ev2"); `data`: the whole file."""

    header: packs.Header
    modules: dict[str, bytes]
    data: bytes

    @property
    def signed(self) -> bytes:
        """Return what the signature is over: SHA-256 of header and table."""
        return hashlib.sha256(self.data[: self._signature_at]).digest()

    @property
    def signature(self) -> bytes:
        """Return the 64 bytes of the signature."""
        return self.data[self._signature_at :][: packs.SIGNATURE_SIZE]

    @property
    def _signature_at(self) -> int:
        return packs.contents_at(self.header.count) - packs.SIGNATURE_SIZE

    def is_signed_by(self, public: bytes) -> bool:
        """Return whether the signature is one of the release key whose public half is `public`."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, self.signed)
        except InvalidSignature:
            return False
        return True


def create_key(path: Path) -> bytes:
    """Make a release key in the new file `path`, for this user only; return its public half, 32 bytes."""
    key = Ed25519PrivateKey.generate()
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.private_bytes_raw().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}") from None
    return key.public_key().public_bytes_raw()


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the release key in the file `path`. Raises ReleaseError if others may read it, or it is none."""
    try:
        if path.stat().st_mode & 0o077:
            raise ReleaseError(f"{path} can be read by others: chmod 600 {path}")
        raw = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ReleaseError(f"{path} is not a key in hex") from None
    if len(raw) != _KEY_BYTES:
        raise ReleaseError(f"{path} has {len(raw)} bytes, a release key {_KEY_BYTES}")
    return Ed25519PrivateKey.from_private_bytes(raw)


def build(
    key: Ed25519PrivateKey,
    version: int,
    text: str,
    board: str = packs.ANY_BOARD,
    firmware: Path = mpy.FIRMWARE,
) -> bytes:
    """Return the release made of the sources in the folder `firmware`, compiled and signed.

    `version`: its number, higher than that of every one before. Raises ReleaseError and mpy.CompileError.
    """
    modules = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(firmware.rglob("*.py")):
            name = source.relative_to(firmware).with_suffix("").as_posix()
            if name not in IN_ROOT and not source.match(_LENT):
                target = Path(folder) / "module.mpy"
                mpy.compile_file(source, target)
                modules[name] = target.read_bytes()
    return assemble(key, version, text, modules, board)


def assemble(
    key: Ed25519PrivateKey,
    version: int,
    text: str,
    modules: dict[str, bytes],
    board: str = packs.ANY_BOARD,
) -> bytes:
    """Return the release of `modules` (.mpy by name), signed. Raises ReleaseError for what does not fit."""
    kinds = {data[:3] for data in modules.values()}
    if len(kinds) != 1 or any(len(kind) < 3 or kind[:1] != b"M" or kind[2] for kind in kinds):
        raise ReleaseError("modules: must be .mpy files of one version, without native code")
    names = sorted(modules, key=str.encode)
    at = packs.contents_at(len(names))
    try:
        table = b""
        for name in names:
            data = modules[name]
            table += packs.pack_entry(name, at, len(data), hashlib.sha256(data).digest())
            at += len(data)
        (kind,) = kinds
        header = packs.Header(kind[1], INTERPRETER, board, version, text, len(names), at)
        text.encode("ascii")
        raw = packs.pack_header(header) + table
    except (ValueError, UnicodeEncodeError):
        raise ReleaseError(
            "a release has a number of 1 to 4294967295, a text of 1 to 16 ASCII characters, a board of at "
            "most 20 and modules of at most 24"
        ) from None
    return raw + key.sign(hashlib.sha256(raw).digest()) + b"".join(modules[name] for name in names)


def parse(data: bytes) -> Release:
    """Return the release in `data`, its signature not looked at. Raises ReleaseError naming what is bad."""
    try:
        header = packs.unpack_header(data)
    except BundleError as error:
        raise ReleaseError(str(error)) from None
    if len(data) != header.total:
        raise ReleaseError(f"total: {len(data)} bytes of {header.total}")
    modules: dict[str, bytes] = {}
    end, last = packs.contents_at(header.count), b""
    for i in range(header.count):
        at = packs.HEADER_SIZE + i * packs.ENTRY_SIZE
        try:
            name, offset, size, digest = packs.unpack_entry(data[at : at + packs.ENTRY_SIZE])
        except ValueError:
            raise ReleaseError(f"module {i}: its name is not ASCII") from None
        if name.encode() <= last:
            raise ReleaseError(f"{name}: is not in order")
        module, last = data[offset : offset + size], name.encode()
        if offset != end or hashlib.sha256(module).digest() != digest:
            raise ReleaseError(f"{name}: is not what the table says")
        modules[name] = module
        end += size
    if end != header.total:
        raise ReleaseError(f"total: {header.total - end} bytes are in no module")
    return Release(header, modules, data)


def load(path: Path) -> Release:
    """Return the release in the file `path`. Raises ReleaseError."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}") from None
    except ReleaseError as error:
        raise ReleaseError(f"{path}: {error}") from None
