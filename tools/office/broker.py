"""A broker of the office's own: rumqttd (package `iotcore`) in a child process, TLS under a CA of the office.

Owns the certificates in `tls/` of the office's folder, and the broker's settings there: each gate is known
by the secret that comes from its key, the office by one of this run. rumqttd has no rules for topics: a gate
with a right secret could publish on another's. What it published there would be signed with no key that
counts. `mosquitto` is for offices that want rules.
"""

import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from iotcore import Broker

from tools.office import whole
from tools.office.keys import broker_secret

OFFICE = "office"  # the user that the office's own client is
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)  # a gate whose clock has lost its time must still be let in
_CA_DAYS, _BROKER_DAYS, _RENEW_DAYS = 3650, 730, 90
_START_S = 30
_SETTINGS = """\
id = 0
[router]
id = 0
max_connections = 300
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[v4.1]
name = "gates"
listen = {listen}
next_connection_delay_ms = 1
[v4.1.tls]
certpath = {certificate}
keypath = {key}
[v4.1.connections]
connection_timeout_ms = 5000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
auth = {{ {users} }}
"""


class BrokerError(Exception):
    """The broker cannot be started, or its certificates are unfit; the text is one line for the user."""


class OwnBroker:
    """The broker on `address`:`port`; gates call it by one of `names` (or IPv4 addresses), or localhost.

    Makes the CA and the broker's certificate in `folder` if they are missing, ending, or for other names.
    Raises BrokerError.
    """

    def __init__(self, folder: Path, site: str, address: str, port: int, names: tuple[str, ...]) -> None:
        self._folder = folder
        self._site = site
        self._listen = f"{address}:{port}"
        self.port = port
        self.host = "localhost" if address in ("0.0.0.0", "127.0.0.1") else address  # noqa: S104
        self.ca = folder / "ca.pem"
        self.password = secrets.token_hex(32)
        self._broker: Broker | None = None
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _certificates(folder, site, sorted({"localhost", "127.0.0.1", self.host, *names}))
        except OSError as error:
            raise BrokerError(f"{error.filename or folder}: {error.strerror}") from error

    @property
    def is_running(self) -> bool:
        """True while the broker's process is there."""
        return self._broker is not None and self._broker.is_running

    def start(self, gate_keys: Mapping[str, bytes]) -> None:
        """Start the broker for the gates with these keys, a running one anew. Raises BrokerError."""
        self.stop()
        users = {OFFICE: self.password}
        for gate, key in gate_keys.items():
            users[f"{self._site}/{gate}"] = broker_secret(key)
        path = self._folder / "broker.toml"
        text = _SETTINGS.format(
            listen=json.dumps(self._listen),
            certificate=json.dumps(str((self._folder / "broker.pem").absolute())),
            key=json.dumps(str((self._folder / "broker.key").absolute())),
            users=", ".join(f"{json.dumps(user)} = {json.dumps(users[user])}" for user in users),
        )
        os.environ.setdefault("IOTCORE_LOG_LEVEL", "CRITICAL")  # stderr is for our own lines
        try:
            whole.write(path, text.encode())
            self._broker = Broker(config_path=str(path))
            self._broker.start(timeout=_START_S)
        except (OSError, RuntimeError, ValueError) as error:
            self.stop()
            raise BrokerError(f"broker on {self._listen}: {str(error).splitlines()[0]}") from error

    def stop(self) -> None:
        """End the broker, if it runs."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


def _certificates(folder: Path, site: str, names: list[str]) -> None:
    """Make what is missing of ca.key, ca.pem, ca.der, broker.key, broker.pem. Raises BrokerError, OSError."""
    now = datetime.now(UTC)
    if not (folder / "ca.key").exists():
        if (folder / "ca.pem").exists():
            raise BrokerError(f"{folder / 'ca.key'} is missing beside a ca.pem that gates know: restore it")
        key = ec.generate_private_key(ec.SECP256R1())
        whole.write(folder / "ca.key", _private(key))
        _write_ca(folder, site, key, now)
    ca_key = _load_key(folder / "ca.key")
    if not (folder / "ca.pem").exists():
        _write_ca(folder, site, ca_key, now)
    ca = _load(folder / "ca.pem")
    if ca.public_key() != ca_key.public_key():
        raise BrokerError(f"{folder / 'ca.pem'} is not of {folder / 'ca.key'}: restore it")
    if not (folder / "ca.der").exists():
        whole.write(folder / "ca.der", ca.public_bytes(serialization.Encoding.DER))
    if (folder / "broker.pem").exists() and (folder / "broker.key").exists():
        old = _load(folder / "broker.pem")
        listed = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        lasts = old.not_valid_after_utc > now + timedelta(days=_RENEW_DAYS)
        same_key = old.public_key() == _load_key(folder / "broker.key").public_key()
        if lasts and same_key and listed == _names(names) and old.issuer == ca.subject:
            return
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        names[0], ca.subject, key, min(now + timedelta(days=_BROKER_DAYS), ca.not_valid_after_utc)
    )
    builder = builder.add_extension(_names(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
    )
    whole.write(folder / "broker.key", _private(key))
    made = builder.sign(ca_key, hashes.SHA256())
    whole.write(folder / "broker.pem", made.public_bytes(serialization.Encoding.PEM))


def _write_ca(folder: Path, site: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"PINTER office {site}")])
    uses = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    ca = (
        _builder(None, name, key, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **uses), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    whole.write(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    whole.write(folder / "ca.der", ca.public_bytes(serialization.Encoding.DER))


def _builder(
    subject: str | None, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime
) -> x509.CertificateBuilder:
    name = issuer if subject is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(end)
    )


def _names(names: list[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(IPv4Address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise BrokerError(f"{path} is no certificate: restore it") from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.stat().st_mode & 0o077:
        raise BrokerError(f"{path} can be read by others: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise BrokerError(f"{path} is no private key: restore it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BrokerError(f"{path} is no key of a curve: restore it")
    return key
