"""The provisioning record: all that makes a flashed board one gate of one site (docs/provisioning.md).

Owns its form, and what belongs into one: who makes it (the office) and who writes it to a board (the
technician's tools) use this module. It holds secrets: a file with a record is for its owner's eyes only, and
is deleted once it is written.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from firmware import config
from firmware.errors import ConfigError

FORMAT = 1
NAMESPACE = "pinter"  # in NVS
_KEYS = ("site_key", "gate_key")
_OPTIONAL = ("release_key",)  # public: what updates are signed with
_KEY_BYTES = 32
_PASSWORD_BYTES = range(8, 64)  # WPA2
_FIELDS = ("format", "config", "nvs", "ca")


class RecordError(Exception):
    """A record that would not make a gate; the text is "FIELD: what is wrong"."""


@dataclasses.dataclass(frozen=True)
class Record:
    """`settings`: what becomes config.json; `nvs`: blobs by name; `ca`: the office's certificate as DER."""

    settings: dict[str, Any]
    nvs: dict[str, bytes]
    ca: bytes | None = None

    @property
    def board(self) -> str:
        """Name of the board definition that this gate is."""
        return self.settings["board"]

    @property
    def files(self) -> dict[str, bytes]:
        """Return the files that a board gets beside its code, by name."""
        text = json.dumps(self.settings, indent=1, ensure_ascii=False) + "\n"
        made = {"config.json": text.encode()}
        return made if self.ca is None else {**made, "ca.der": self.ca}

    def render(self) -> str:
        """Return the record as text, as `parse` reads it."""
        obj: dict[str, Any] = {"format": FORMAT, "config": self.settings}
        obj["nvs"] = {name: value.hex() for name, value in self.nvs.items()}
        if self.ca is not None:
            obj["ca"] = self.ca.hex()
        return json.dumps(obj, indent=1, ensure_ascii=False) + "\n"


def make(
    settings: dict[str, Any],
    site_key: bytes,
    gate_key: bytes,
    wifi_password: bytes | None,
    ca_path: Path,
    release_key: str | None,
) -> Record:
    """Return the record of the gate that `settings` (its config) describe.

    `wifi_password`, and what the file `ca_path` holds: used only where the config wants them. `release_key`:
    in hex. Raises RecordError, OSError.
    """
    network = settings.get("network") or {}
    nvs = {"site_key": site_key.hex(), "gate_key": gate_key.hex()}
    wifi = network.get("wifi")
    if wifi:
        if wifi_password is None:
            raise RecordError("network.wifi: its password is needed: --wifi-password FILE")
        nvs[wifi.get("password_key", "wifi_password")] = wifi_password.hex()
    if release_key is not None:
        nvs["release_key"] = release_key
    made: dict[str, Any] = {"format": FORMAT, "config": settings, "nvs": nvs}
    if network.get("tls") == "ca":
        made["ca"] = ca_path.read_bytes().hex()
    return parse(json.dumps(made))


def password(path: Path) -> bytes:
    """Return the password in the file `path`, which nobody else may read. Raises RecordError naming it."""
    try:
        return _private(path).rstrip(b"\r\n")
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def load(path: Path) -> Record:
    """Return the record in the file `path`, which nobody else may read. Raises RecordError naming it."""
    try:
        return parse(_private(path).decode())
    except UnicodeDecodeError:
        raise RecordError(f"{path}: record: not UTF-8") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def _private(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise RecordError(f"can be read by others: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise RecordError(str(error.strerror)) from None


def parse(text: str) -> Record:
    """Return the record in the JSON `text`. Raises RecordError naming the first field that is wrong."""
    try:
        obj = json.loads(text)
    except ValueError as error:
        raise RecordError("record: not JSON: %s" % error) from None
    if not isinstance(obj, dict):
        raise RecordError("record: must be an object")
    for field in obj:
        if field not in _FIELDS:
            raise RecordError("%s: unknown field" % field)
    if obj.get("format") != FORMAT:
        raise RecordError("format: must be %d" % FORMAT)
    settings = obj.get("config")
    try:
        site = config.parse(settings)
    except ConfigError as error:
        raise RecordError("config.%s" % error if error.field != "config" else str(error)) from None
    nvs, ca = _nvs(obj.get("nvs"), site), None
    wants_ca = site.network is not None and site.network.tls == "ca"
    if "ca" in obj:
        ca = _blob("ca", obj["ca"])
    if wants_ca != bool(ca):
        raise RecordError("ca: %s" % ("is missing" if wants_ca else "must not be there unless tls is ca"))
    assert isinstance(settings, dict)
    return Record(settings, nvs, ca)


def _nvs(obj: Any, site: config.Site) -> dict[str, bytes]:
    if not isinstance(obj, dict):
        raise RecordError("nvs: must be an object")
    wifi = site.network.wifi if site.network else None
    wanted = {name: range(_KEY_BYTES, _KEY_BYTES + 1) for name in (*_KEYS, *_OPTIONAL)}
    if wifi:
        if wifi.password_key in wanted:
            raise RecordError("config.network.wifi.password_key: is the name of another secret")
        wanted[wifi.password_key] = _PASSWORD_BYTES
    for name in obj:
        if name not in wanted:
            raise RecordError("nvs.%s: unknown secret" % name)
    found = {}
    for name, lengths in wanted.items():
        if name not in obj:
            if name in _OPTIONAL:
                continue
            raise RecordError("nvs.%s: is missing" % name)
        blob = found[name] = _blob("nvs.%s" % name, obj[name])
        if len(blob) not in lengths:
            limits = "%d" % lengths[0] if len(lengths) == 1 else "%d to %d" % (lengths[0], lengths[-1])
            raise RecordError("nvs.%s: must have %s bytes, not %d" % (name, limits, len(blob)))
    if found["site_key"] == found["gate_key"]:
        raise RecordError("nvs.gate_key: must not be the site's key")
    return found


def _blob(field: str, value: Any) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise RecordError("%s: must be bytes in hex" % field) from None
