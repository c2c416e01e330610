"""A backup of a gate: its config, its list and its journal in one file, and none of its keys.

Owns the file's form (docs/technician.md) and what may go back: onto the same gate only, and nothing older
over something newer. The keys are in NVS and stay there; the office has them.

The file is a ZIP archive: `backup.json` (format 1, board, site, gate, made, SHA-256 of the others) and
`config.json`, `list.bin`, `journal.bin`, `ca.der` where there is one. The partitions are as on flash, without
the blank end.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware import config
from firmware.errors import ConfigError
from tools.board import rawflash
from tools.board.session import Session, SessionError

FORMAT = 1
_HEAD = "backup.json"
_CONFIG, _LIST, _JOURNAL, _CA = "config.json", "list.bin", "journal.bin", "ca.der"
_NAMES = (_CONFIG, _LIST, _JOURNAL, _CA)
_BUNDLE, _UNIT = b"PNTB", 16  # how a list begins, and what it is aligned to on flash
_MOST = 32 << 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the same board gives the same bytes

Progress = Callable[[str, int, int], None]  # what, blocks done, blocks in all


class BackupError(Exception):
    """A file that is no backup, or a board that it does not belong to; one line for the user."""


@dataclasses.dataclass(frozen=True)
class Backup:
    """`settings`: the config; `list_image`, `journal_image`: partitions without their blank end."""

    settings: dict[str, Any]
    made: int  # Unix seconds
    list_image: bytes
    journal_image: bytes
    ca: bytes | None = None

    @property
    def gate(self) -> str:
        """Name of the gate."""
        return self.settings["gate"]

    @property
    def site(self) -> str:
        """Name of the site."""
        return self.settings["site"]

    @property
    def config_text(self) -> bytes:
        """The config as a board gets it (record.Record.files)."""
        return (json.dumps(self.settings, indent=1, ensure_ascii=False) + "\n").encode()

    def render(self) -> bytes:
        """Return the file's bytes, as `parse` reads them."""
        parts = {_CONFIG: self.config_text, _LIST: self.list_image, _JOURNAL: self.journal_image}
        if self.ca is not None:
            parts[_CA] = self.ca
        head = {
            "format": FORMAT,
            "board": self.settings["board"],
            "site": self.site,
            "gate": self.gate,
            "made": self.made,
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
        }
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {_HEAD: json.dumps(head, indent=1).encode(), **parts}.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()


def load(path: Path) -> Backup:
    """Return the backup in the file `path`. Raises BackupError, whose text begins with the path."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from error
    except BackupError as error:
        raise BackupError(f"{path}: {error}") from error


def parse(data: bytes) -> Backup:
    """Return the backup in the bytes of a file. Raises BackupError naming what is wrong."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if sum(archive.getinfo(name).file_size for name in names) > _MOST:
                raise BackupError("is too large for a backup")
            parts = {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BackupError(f"is no backup, or damaged: {error}") from error
    try:
        head = json.loads(parts.pop(_HEAD))
        digests, made = dict(head["sha256"]), int(head["made"])
        is_known = head["format"] == FORMAT
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BackupError(f"{_HEAD}: is missing or damaged") from None
    if not is_known:
        raise BackupError(f"format: must be {FORMAT}")
    if set(parts) != set(digests) or not {_CONFIG, _LIST, _JOURNAL} <= set(parts) <= set(_NAMES):
        raise BackupError(f"{_HEAD}: does not name what is there")
    for name, content in parts.items():
        if hashlib.sha256(content).hexdigest() != digests[name]:
            raise BackupError(f"{name}: is damaged")
    return Backup(_settings(parts[_CONFIG]), made, parts[_LIST], parts[_JOURNAL], parts.get(_CA))


def _settings(text: bytes) -> dict[str, Any]:
    try:
        settings = json.loads(text)
        config.parse(settings)
    except ConfigError as error:
        raise BackupError(f"{_CONFIG}: {error}") from None
    except ValueError as error:
        raise BackupError(f"{_CONFIG}: is not JSON: {error}") from None
    assert isinstance(settings, dict)
    return settings


def take(board: Session, now: float, progress: Progress = lambda what, done, total: None) -> Backup:
    """Return a backup of the gate at `board`. Raises BackupError if it is none, SessionError."""
    board.refresh()
    rawflash.prepare(board)
    text = board.read("/config.json")
    if text is None:
        raise BackupError("config.json: is missing: this board is no gate")
    settings = _settings(text)
    images = [
        rawflash.read(board, label, lambda done, total, label=label: progress(label, done, total)).rstrip(
            b"\xff"
        )
        for label in ("list", "journal")
    ]
    return Backup(settings, int(now), images[0], images[1], board.read("/ca.der"))


@dataclasses.dataclass(frozen=True)
class Restored:
    """Blocks that were written of list and journal; None: what is on the board is newer, and stays."""

    list_blocks: int | None
    journal_blocks: int | None


def restore(
    board: Session,
    backup: Backup,
    firmware: Path,
    progress: Progress = lambda what, done, total: None,
) -> Restored:
    """Put `backup` back on the gate that it is of. `firmware`: compiled, to judge what is there.

    Until the last step the board is a gate in fault. Raises BackupError if it is another gate, SessionError.
    """
    board.refresh()
    board.mount(firmware.parent)
    board.run("import firmware.doctor_stores as _stores\n_site = None")
    _check_key(board, backup)
    newest = {
        "journal": _newest(board, "_stores.newest()"),
        "list": _newest(board, f"_stores.list_seq({backup.site!r}, {backup.gate!r})"),
    }
    board.refresh()
    rawflash.prepare(board)
    rename = "import os\ntry: os.rename('/config.json', '/config.json.off')\nexcept OSError: pass"
    board.run(rename)
    written: dict[str, int | None] = {}
    for label, image, seq in (
        ("list", backup.list_image, list_seq(backup)),
        ("journal", backup.journal_image, journal_seq(backup)),
    ):
        if newest[label] and newest[label] >= seq:
            written[label] = None
            continue
        written[label] = rawflash.write(
            board, label, image, lambda done, total, label=label: progress(label, done, total)
        )
    if backup.ca is not None:
        board.write("/ca.der", backup.ca)
    board.write("/config.json", backup.config_text)
    board.run("import os\ntry: os.remove('/config.json.off')\nexcept OSError: pass")
    return Restored(written["list"], written["journal"])


def _newest(board: Session, expression: str) -> int:
    return int(board.value(expression))


def _check_key(board: Session, backup: Backup) -> None:
    """Refuse a board whose gate key is not that of the journal: the MACs of its headers say so."""
    heads = [backup.journal_image[at : at + 32] for at in range(0, len(backup.journal_image), rawflash.BLOCK)]
    heads = [head.hex() for head in heads if head[:2] == b"PJ"]
    if not heads:
        raise BackupError("journal.bin: has no journal in it")
    try:
        is_ours = any(board.value(f"_stores.is_header(bytes.fromhex({head!r}))") for head in heads[:4])
    except SessionError as error:
        if "gate_key" not in str(error):
            raise
        raise BackupError("the board has no gate key: pinter board provision, then restore") from error
    if not is_ours:
        text = "the board has another gate key than the backup's"
        raise BackupError(f"gate {backup.gate}: {text}: a new board takes over by `pinter board replace`")


def journal_seq(backup: Backup) -> int:
    """Return the number of the newest record that lies in the backup, 0 without one."""
    newest = 0
    data = backup.journal_image
    for at in range(0, len(data), rawflash.BLOCK):
        if data[at : at + 2] != b"PJ":
            continue
        first = int.from_bytes(data[at + 8 : at + 12])
        for place in range(127):
            start = at + 32 + place * 32
            if data[start : start + 4] == (first + place).to_bytes(4):
                newest = max(newest, first + place)
    return newest


def list_seq(backup: Backup) -> int:
    """Return the number of the newest list that lies in the backup, deltas included (docs/formats.md)."""
    newest, at = 0, -1
    data = backup.list_image
    while (at := data.find(_BUNDLE, at + 1)) >= 0:
        if not at % _UNIT:
            newest = max(newest, int.from_bytes(data[at + 36 : at + 40]))
    return newest
