"""What a new board gets that takes over a gate: the old one's config, and a new key from the office.

Owns how a provisioning record is made of them. Who rotates the key and writes the record are others.
"""

import json
from typing import Any

from tools.board import record
from tools.board.definition import Definition
from tools.board.session import Session


def record_of(
    settings: dict[str, Any],
    site_key: bytes,
    gate_key: bytes,
    wifi_password: str | None,
    ca: bytes | None,
    release_key: bytes | None,
) -> record.Record:
    """Return the record of the gate that `settings` (its config) describe. Raises record.RecordError.

    `wifi_password`, `ca`: used only where the config wants them.
    """
    network = settings.get("network") or {}
    nvs = {"site_key": site_key.hex(), "gate_key": gate_key.hex()}
    wifi = network.get("wifi")
    if wifi:
        if wifi_password is None:
            raise record.RecordError("network.wifi: its password is needed: --wifi-password FILE")
        nvs[wifi.get("password_key", "wifi_password")] = wifi_password.encode().hex()
    if release_key is not None:
        nvs["release_key"] = release_key.hex()
    made: dict[str, Any] = {"format": record.FORMAT, "config": settings, "nvs": nvs}
    if ca is not None and network.get("tls", "psk") == "ca":
        made["ca"] = ca.hex()
    return record.parse(json.dumps(made))


def check_layout(board: Session, port: str, definition: Definition) -> str | None:
    """Return why the board at `port` cannot become a gate of kind `definition`, None if it can."""
    board.refresh()
    have = board.value(
        "(lambda P: [list(p.info()[2:5]) for p in P.find(P.TYPE_DATA)])(__import__('esp32').Partition)"
    )
    wanted = [[part.offset, part.size, part.name] for part in definition.partitions if part.type == "data"]
    if sorted(have) != sorted(wanted):
        return f"{port}: has not the flash layout of {definition.name}: pinter board flash first"
    return None
