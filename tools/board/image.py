"""The MicroPython that a board gets: reads a stock image, and refuses one that would not run there.

Owns what is taken from an image: boot loader and application. Its partition table, and what lies between, is
left out. Sources: ESP-IDF Programming Guide, "App Image Format"; MicroPython, ports/esp32 (an image is what
lies on the flash from the boot loader on).
"""

import dataclasses
import hashlib
import re
import struct
from pathlib import Path

from esp_idf_defs import ImageMetadata

from tools.board.definition import Definition

BOOT_LOADER = {"esp32": 0x1000, "esp32s3": 0x0}  # IDF, "Bootloader": where the ROM looks for it
TABLE = 0x8000
LEAST = (1, 29)  # the first with TLS-PSK
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)([-.\w]*) on \d{4}-")  # what the REPL says first
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class ImageError(Exception):
    """An image that would not run; the text is one line that begins with the file."""


@dataclasses.dataclass(frozen=True)
class Image:
    """A checked image: `version` of MicroPython, SHA-256 of the file, and its two parts."""

    version: str
    sha256: str
    boot_loader: bytes
    application: bytes


def load(path: Path, board: Definition, sha256: str | None = None) -> Image:
    """Return the MicroPython in the file `path`, checked for `board`.

    `sha256`: 64 hex digits, or the name of a file that begins with them; without it FILE.sha256 counts where
    there is one. Raises ImageError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    wanted = _wanted(path, sha256)
    if wanted and wanted != digest:
        raise ImageError(f"{path}: is not the file that was meant: its SHA-256 is {digest}, not {wanted}")
    chip, base = board.chip.name, BOOT_LOADER[board.chip.name]
    boot, boot_end = _part(path, data, 0, "boot loader")
    found = boot.header.chip_id.chip_name if boot.header.chip_id is not None else "unknown"
    if found != chip:
        raise ImageError(f"{path}: is for the {found}, {board.name} has an {chip}")
    if boot.app_description is not None:
        raise ImageError(
            f"{path}: is an application without its boot loader: take the .bin, not the .app-bin"
        )
    (factory,) = (part for part in board.partitions if part.name == "factory")
    if boot_end > TABLE - base:
        raise ImageError(f"{path}: its boot loader has {boot_end} bytes, there is room for {TABLE - base}")
    at = factory.offset - base
    application, end = _part(path, data, at, "application")
    about = application.app_description
    if application.header.chip_id != boot.header.chip_id or about is None:
        raise ImageError(f"{path}: application: is none for the {chip}")
    if about.project_name != "micropython":
        raise ImageError(f"{path}: is {about.project_name or 'without a name'}, not MicroPython")
    if end > factory.size:
        raise ImageError(f"{path}: the application has {end} bytes, there is room for {factory.size}")
    return Image(_version(path, data[at : at + end]), digest, data[:boot_end], data[at : at + end])


def _wanted(path: Path, sha256: str | None) -> str | None:
    """Return the digest in hex that the file must have, None if none was said."""
    if sha256 is not None and _DIGEST.fullmatch(sha256):
        return sha256.lower()
    file = path.with_name(path.name + ".sha256") if sha256 is None else Path(sha256)
    try:
        words = file.read_text("utf-8").split()
    except FileNotFoundError:
        if sha256 is None:
            return None
        raise ImageError(f"{file}: is neither a SHA-256 of 64 hex digits nor a file with one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{file}: cannot be read: {error}") from error
    if not words or not _DIGEST.fullmatch(words[0]):
        raise ImageError(f"{file}: does not begin with a SHA-256 of 64 hex digits")
    return words[0].lower()


def _part(path: Path, data: bytes, offset: int, name: str) -> tuple[ImageMetadata, int]:
    """Return what the image at `offset` says of itself, and its length in bytes; its checksums hold."""
    try:
        found = ImageMetadata.from_bytes(data[offset:])
    except (ValueError, IndexError, struct.error) as error:
        if offset == 0 and data[:1] != b"\xe9":
            raise ImageError(f"{path}: is no image for an ESP32") from error
        raise ImageError(f"{path}: {name} at 0x{offset:X}: {error}") from error
    last = found.segments[-1]
    end = (last.offset + last.length + 16) // 16 * 16  # a byte of checksum, padded
    end += 32 if found.header.hash_appended else 0
    if offset + end > len(data):
        raise ImageError(f"{path}: {name} at 0x{offset:X}: ends after {len(data) - offset} of {end} bytes")
    return found, end


def _version(path: Path, application: bytes) -> str:
    match = _BANNER.search(application)
    if match is None:
        raise ImageError(f"{path}: does not say which MicroPython it is")
    version = b"v%s.%s%s" % match.groups()
    if (int(match[1]), int(match[2])) < LEAST:
        raise ImageError(f"{path}: is MicroPython {version.decode()}, PINTER needs v%d.%d or later" % LEAST)
    return version.decode()
