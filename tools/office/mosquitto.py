"""The files of a mosquitto that serves an office, or a centre: its settings, secrets, rules for topics.

Gates come with TLS-PSK and their own key, each to its own topics and no other; the office and panels come by
a password on the loopback address. Owns the files in one folder and tells a running mosquitto to read them
again; starts none.
"""

import getpass
import hashlib
import os
import secrets
import signal
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.office import whole
from tools.office.keys import broker_secret

OFFICE, PANEL = "office", "panel"  # the users that come by a password
_ROUNDS = 101  # of PBKDF2, mosquitto_passwd's own; the password has 256 bits
_SETTINGS = """\
# Made by `pinter office broker-files`. The office keeps gates.psk up to date, and leaves the rest as it is.
user {user}
pid_file {folder}/mosquitto.pid
persistence false
log_dest stderr
allow_anonymous false
max_packet_size 20480
acl_file {folder}/topics.acl
password_file {folder}/users
psk_file {folder}/gates.psk

# The gates: TLS-PSK, each with its own key.
listener {port} {address}
psk_hint pinter
use_identity_as_username true
tls_version tlsv1.2
ciphers PSK-AES128-GCM-SHA256

# The office, and panels on this machine.
listener {office_port} 127.0.0.1
"""
# `topic` of a bridge: pattern, direction, QoS, prefix here, prefix there. Gates' own frames stay here.
_BRIDGE = """
# To the centre: events there, what it asks for from there, and the gates' reports for panels.
connection centre
address {host}:{port}
remote_clientid {site}-bridge
local_clientid {site}-bridge
bridge_identity {site}
bridge_psk {secret}
bridge_tls_version tlsv1.2
cleansession false
notifications false
try_private true
keepalive_interval 10
restart_timeout 1 10
topic feed out 1 pinter/1/{site}/ pinter/1/{site}/
topic want in 1 pinter/1/{site}/ pinter/1/{site}/
topic +/status out 1 pinter/1/{site}/ pinter/1/{site}/
"""
_CENTRE_TOPICS = """\
user {office}
topic read pinter/1/+/feed
topic write pinter/1/+/want

user {panel}
topic read pinter/1/+/+/status

pattern write pinter/1/%u/feed
pattern write pinter/1/%u/+/status
pattern read pinter/1/%u/want
"""
_TOPICS = """\
user {office}
topic read pinter/1/{site}/want
topic write pinter/1/{site}/feed
topic read pinter/1/{site}/+/up
topic read pinter/1/{site}/+/events
topic read pinter/1/{site}/+/status
topic write pinter/1/{site}/+/down
topic readwrite homeassistant/#

user {panel}
topic read pinter/1/{site}/+/status
topic read homeassistant/#

pattern write pinter/1/%u/status
pattern write pinter/1/%u/up
pattern write pinter/1/%u/events
pattern read pinter/1/%u/down
"""


class FilesError(Exception):
    """The files cannot be made or kept; the text is one line for the user."""


@dataclass(frozen=True)
class Bridge:
    """Where the broker of the centre is, and the key that this site has there."""

    host: str
    port: int
    key: bytes


class Files:
    """The files in `folder` for the gates of `site`; without a site, for the bridges of a centre's sites."""

    def __init__(self, folder: Path, site: str | None) -> None:
        self._folder = folder.absolute()
        self._site = site

    @property
    def settings(self) -> Path:
        """Return the file that mosquitto is started with."""
        return self._folder / "mosquitto.conf"

    def make(
        self,
        gate_keys: Mapping[str, bytes],
        address: str,
        port: int,
        office_port: int,
        bridge: Bridge | None = None,
    ) -> None:
        """Write all files: gates come to `address`:`port`, the office to `office_port`. Raises FilesError.

        Passwords that are there already stay in force.
        """
        if "\n" in str(self._folder):
            raise FilesError(f"{str(self._folder)!r}: mosquitto cannot read a path of two lines")
        values = {"folder": self._folder, "port": port, "address": address, "office_port": office_port}
        text = _SETTINGS.format(user=getpass.getuser(), **values)
        if bridge is not None:
            secret = broker_secret(bridge.key)
            text += _BRIDGE.format(host=bridge.host, port=bridge.port, site=self._site, secret=secret)
        of = _CENTRE_TOPICS if self._site is None else _TOPICS
        topics = of.format(office=OFFICE, panel=PANEL, site=self._site)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            users = "".join(self._user(name) for name in (OFFICE, PANEL))
            for name, data in (
                ("users", users),
                ("topics.acl", topics),
                ("gates.psk", self._secrets(gate_keys)),
            ):
                whole.write(self._folder / name, data.encode())
            whole.write(self.settings, text.encode())
        except OSError as error:
            raise FilesError(f"{error.filename or self._folder}: {error.strerror}") from error

    def refresh(self, gate_keys: Mapping[str, bytes]) -> bool:
        """Let gates.psk have the keys of these gates; return whether a running mosquitto was told to read it.

        Raises FilesError, also where `make` was never called.
        """
        path, text = self._folder / "gates.psk", self._secrets(gate_keys)
        try:
            if path.read_text() != text:
                whole.write(path, text.encode())
            return self._tell()
        except FileNotFoundError as error:
            raise FilesError(f"{path} does not exist: pinter office broker-files {self._folder}") from error
        except OSError as error:
            raise FilesError(f"{error.filename or path}: {error.strerror}") from error

    def _secrets(self, gate_keys: Mapping[str, bytes]) -> str:
        before = "" if self._site is None else f"{self._site}/"
        return "".join(f"{before}{name}:{broker_secret(key)}\n" for name, key in gate_keys.items())

    def _user(self, name: str) -> str:
        """Return the line of a user for mosquitto; make the password if there is none."""
        path = self._folder / f"{name}.password"
        if not path.exists():
            whole.write(path, f"{secrets.token_hex(32)}\n".encode())
        salt = secrets.token_bytes(12)
        made = hashlib.pbkdf2_hmac("sha512", path.read_text().strip().encode(), salt, _ROUNDS)
        return f"{name}:$7${_ROUNDS}${b64encode(salt).decode()}${b64encode(made).decode()}\n"

    def _tell(self) -> bool:
        """Send SIGHUP to the mosquitto that wrote its number here, if it runs and is this user's."""
        try:
            number = int((self._folder / "mosquitto.pid").read_text())
            if number <= 1 or not _is_mosquitto(number):
                return False
            os.kill(number, signal.SIGHUP)
        except (FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
            return False
        return True


def _is_mosquitto(number: int) -> bool:
    """Return False if process `number` is another program by now; where nobody can tell, True."""
    if not Path("/proc/self/cmdline").exists():
        return True
    program = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0]
    return Path(os.fsdecode(program)).name == "mosquitto"
