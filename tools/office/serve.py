"""The office, or a centre, on a broker: carries frames between MQTT and a service.

Owns when to connect, the back-off, and what is told to whoever watches. A PUBACK means nothing: a gate is
acknowledged by the service, after the commit. So frames go and come with QoS 0: the session makes a loss
good, and there are half as many packets. One thread does it all, in turns of at most 50 ms without traffic;
with traffic a turn takes what has come meanwhile, and its transaction is one for all gates.
"""

import ipaddress
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tools.office import homeassistant
from tools.office.broker import OFFICE, BrokerError, OwnBroker
from tools.office.mosquitto import Files, FilesError
from tools.office.mqtt_client import Client, ClientError

_TURN_S = 0.05  # a turn begins at least so often
# Where the database is slow, or the machine has much to do, turns are fewer, as each is a transaction: what
# comes within _GATHER times the length of the turn before is gathered, and when nothing comes the next turn
# begins after _IDLE times that. Both at most _GATHER_S.
_GATHER, _IDLE, _GATHER_S = 2, 10, 0.25
_SEND_S = 0.1  # the longest that a turn makes frames: then what comes has waited enough
_FIRST_DELAY_S, _LAST_DELAY_S = 1, 30
_AGAIN_S = 60  # the same fault is told again after this time

Log = Callable[..., None]  # log(event, **fields)


class Carried(Protocol):
    """What a server carries frames for: `service.Service` of an office, or `centre.Intake`.

    `peer`: what is at the other ends, in the words of the log.
    """

    peer: str
    faults: list[str]
    watched: list[tuple[str, str, str]]
    rejected: int

    def topics(self) -> list[str]: ...
    def keys(self) -> dict[str, bytes]: ...
    def online(self) -> list[str]: ...
    def received_all(self, frames: Iterable[tuple[str, bytes]]) -> None: ...
    def outgoing(self) -> Iterator[tuple[str, bytes]]: ...
    def close(self) -> None: ...


class UrlError(ValueError):
    """A broker's URL is unfit; the text is one line for the user."""


@dataclass(frozen=True)
class Address:
    """Where a broker is and how it is spoken to; `ca`: file of certificates to trust, None = the system's."""

    host: str
    port: int
    is_tls: bool
    user: str | None = None
    password: str | None = None
    ca: Path | None = None


def address_of(url: str, password: str | None, ca: Path | None) -> Address:
    """Return what mqtt://HOST[:PORT] or mqtts://[USER@]HOST[:PORT] says. Raises UrlError.

    Without TLS only a broker on this machine is spoken to. A password in the URL is refused: all users of a
    machine can see it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlError(f"broker: {error}") from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        raise UrlError("broker: must be mqtt://HOST:PORT or mqtts://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UrlError("broker: nothing may follow HOST:PORT")
    if parts.password is not None:
        raise UrlError("broker: others can see a password in a URL: --password-file FILE")
    user = None if parts.username is None else unquote(parts.username)
    if password is not None and user is None:
        raise UrlError("broker: a password needs a user: mqtts://USER@HOST")
    is_tls = parts.scheme == "mqtts"
    if not is_tls and not _is_here(parts.hostname):
        raise UrlError(f"broker: without TLS only to this machine, not to {parts.hostname}: mqtts://")
    if ca is not None and not is_tls:
        raise UrlError("broker: --ca says nothing of mqtt://")
    return Address(parts.hostname, port or (8883 if is_tls else 1883), is_tls, user, password, ca)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server:
    """Serves the gates of `service` over the broker at `address`, or over the office's own, `own`.

    `files` of a mosquitto are kept up to date; Home Assistant is told of the gates if it is to be.
    `log(event, **fields)` is told what happens. Raises UrlError for a CA file that is none.
    """

    def __init__(
        self,
        service: Carried,
        site: str,
        address: Address,
        own: OwnBroker | None,
        log: Log,
        files: Files | None = None,
        home_assistant: bool = False,
    ) -> None:
        self._service = service
        self._site = site
        self._address = address
        self._own = own
        self._files = files
        self._shown: set[str] | None = set() if home_assistant else None  # gates that Home Assistant knows
        self._log = log
        self._connected = False
        self._next_try = 0.0
        self._turned = self._took_s = 0.0  # when the last turn with frames ended; how long the last one was
        self._delay_s = _FIRST_DELAY_S
        self._online: set[str] = set()
        self._keys: dict[str, bytes] = {}
        self._faults: dict[str, float] = {}
        self._rejected = 0
        self._client = self._new_client()

    def _new_client(self) -> Client:
        at, context = self._address, None
        if at.is_tls:
            try:
                context = ssl.create_default_context(cafile=at.ca)
            except OSError as error:  # SSLError too
                raise UrlError(f"{at.ca}: {error.strerror or 'no certificates'}") from error
        return Client(f"{self._site}-office", at.user, at.password, context)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Serve until `is_over()`.

        Raises BrokerError if the office's own broker does not start at first, FilesError if there are none.
        """
        if self._own is not None:
            self._keys = self._service.keys()
            self._own.start(self._keys)
            self._log("broker_started", host=self._own.host, port=self._own.port, gates=sorted(self._keys))
        if self._files is not None:
            self._write_files(self._files, self._service.keys())
        try:
            while not is_over():
                self._turn(is_over)
        finally:
            self._client.close()
            if self._own is not None:
                self._own.stop()
            self._service.close()

    def _turn(self, is_over: Callable[[], bool]) -> None:
        now = time.monotonic()
        self._tend_own(now)
        self._tend_files()
        received: list[tuple[str, bytes]] = []
        if self._connected:
            try:
                received = self._receive()
            except ClientError as error:
                if not is_over():  # Ctrl-C ends the broker's process too
                    self._lost(str(error), now)
        elif now >= self._next_try:
            self._connect(now)
        else:
            time.sleep(_TURN_S)
        begin = time.monotonic()
        self._service.received_all(received)
        end = time.monotonic() + _SEND_S
        # Without a connection too: closing time comes all the same.
        for topic, frame in self._service.outgoing():
            if self._connected:
                self._client.publish(topic, frame)
                if self._client.is_full or time.monotonic() > end:  # the rest is said next time
                    break
        self._took_s = time.monotonic() - begin
        if received:
            self._turned = begin + self._took_s
        self._show()
        self._tell(now)

    def _receive(self) -> list[tuple[str, bytes]]:
        """Return what has come, and what else comes until it may wait no longer."""
        received = self._client.receive(max(_TURN_S, min(_IDLE * self._took_s, _GATHER_S)))
        until = self._turned + min(_GATHER * self._took_s, _GATHER_S)
        while received and (left := until - time.monotonic()) > 0:
            try:
                received += self._client.receive(left)
            except ClientError:  # what came before counts; the next turn is told again
                break
        return received

    def _show(self) -> None:
        """Tell Home Assistant of gates that it does not know."""
        if self._shown is None or not self._connected:
            return
        for gate in sorted(self._service.keys().keys() - self._shown):
            for topic, payload in homeassistant.messages(self._site, gate):
                self._client.publish(topic, payload, retain=True)
            self._shown.add(gate)

    # The connection

    def _connect(self, now: float) -> None:
        at = self._address
        try:
            self._client.connect(at.host, at.port, self._service.topics())
        except ClientError as error:
            self._lost(str(error), now)
            return
        self._connected = True
        self._delay_s = _FIRST_DELAY_S
        self._log("connected", host=at.host, port=at.port, tls=at.is_tls)

    def _lost(self, why: str, now: float) -> None:
        self._client.close()
        self._connected = False
        if self._shown is not None:
            self._shown = set()  # a broker that was started again may have forgotten what it kept
        self._next_try = now + self._delay_s
        at = self._address
        self._log("broker_away", host=at.host, port=at.port, why=why, again_in_s=self._delay_s)
        self._delay_s = min(2 * self._delay_s, _LAST_DELAY_S)

    def _tend_own(self, now: float) -> None:
        """Start the office's own broker again when it has ended, or when it has to know other keys."""
        if self._own is None or now < self._next_try:
            return
        keys = self._service.keys()
        if keys == self._keys and self._own.is_running:
            return
        self._log("broker_restarts", why="keys" if keys != self._keys else "it had ended")
        try:
            self._own.start(keys)
            self._keys = keys
        except BrokerError as error:
            self._lost(str(error), now)

    def _tend_files(self) -> None:
        """Let mosquitto know a gate that is new, or has a new key."""
        if self._files is not None and (keys := self._service.keys()) != self._keys:
            try:
                self._write_files(self._files, keys)
            except FilesError as error:
                self._service.faults.append(str(error))

    def _write_files(self, files: Files, keys: dict[str, bytes]) -> None:
        is_told = files.refresh(keys)
        self._keys = keys
        self._log("broker_files", gates=sorted(keys), told=is_told)

    # What is told

    def _tell(self, now: float) -> None:
        online = set(self._service.online())
        peer = self._service.peer
        for name in sorted(online - self._online):
            self._log(f"{peer}_online", **{peer: name})
        for name in sorted(self._online - online):
            self._log(f"{peer}_offline", **{peer: name})
        self._online = online
        watched, self._service.watched = self._service.watched, []
        for gate, kind, text in watched:
            self._log(
                "alarm" if text else "alarm_over", gate=gate, kind=kind, **({"text": text} if text else {})
            )
        faults, self._service.faults = self._service.faults, []
        for text in dict.fromkeys(faults):
            if now - self._faults.get(text, -_AGAIN_S) >= _AGAIN_S:
                self._faults[text] = now
                self._log("fault", why=text)
        self._faults = {text: at for text, at in self._faults.items() if now - at < _AGAIN_S}
        if self._service.rejected != self._rejected and now - self._faults.get("", -_AGAIN_S) >= _AGAIN_S:
            self._rejected, self._faults[""] = self._service.rejected, now
            self._log("rejected", frames=self._rejected)


def own_address(own: OwnBroker) -> Address:
    """Return how the office's client comes to the office's own broker."""
    return Address(own.host, own.port, True, OFFICE, own.password, own.ca)
