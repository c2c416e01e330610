"""The office's connection to its broker: MQTT 3.1.1 with QoS 0, for thousands of frames a second.

Owns one socket, TCP or TLS, and what waits to be written to it; the packets are firmware.mqtt's. What is
published goes out in one piece at `flush`, and what has come is read in one piece. A loss is not noticed
here: the sessions with the gates see to that.
"""

import select
import socket
import ssl
import time
from collections.abc import Sequence

from firmware import mqtt, mqtt_connect
from firmware.errors import PinterError

_CONNECT_S = 5.0  # for all up to SUBACK
_KEEPALIVE_S = 10
_LARGEST = 65536  # bytes of a packet; a longer one is passed over
_PIECE = 262144  # bytes that are read at a time
_FULL = 131072  # bytes that wait: the broker reads slowly
_CONNACK, _PUBLISH, _SUBACK, _PINGRESP = 2, 3, 9, 13  # MQTT 2.2.1
_REFUSED = ("", "version", "identifier", "server unavailable", "bad user or password", "not authorized")


class ClientError(Exception):
    """There is no connection, or no more; the text is one line."""


class Client:
    """A client with this identifier; `context`: for TLS, None = without."""

    def __init__(
        self, identifier: str, user: str | None, password: str | None, context: ssl.SSLContext | None
    ) -> None:
        self._connect = mqtt_connect.connect(identifier, _KEEPALIVE_S, user, password)
        self._context = context
        self._socket: socket.socket | None = None
        self._reset()

    def _reset(self) -> None:
        self._in = bytearray()
        self._skip = 0  # bytes of a packet that is too long
        self._out = bytearray()
        self._came: list[tuple[str, bytes]] = []
        self._acks: list[tuple[int, int]] = []  # CONNACK, SUBACK: (type, code)
        self._heard_s = self._said_s = self._asked_s = time.monotonic()

    @property
    def is_full(self) -> bool:
        """Return whether so much waits to be written that there had better not come more."""
        return len(self._out) > _FULL

    def connect(self, host: str, port: int, topics: Sequence[str]) -> None:
        """Connect and subscribe, in 5 s. Raises ClientError."""
        self.close()
        end = time.monotonic() + _CONNECT_S
        try:
            plain = socket.create_connection((host, port), _CONNECT_S)
            self._socket = plain
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                self._socket = self._context.wrap_socket(plain, server_hostname=host)
            self._socket.setblocking(False)
            self._reset()
            self._out += self._connect
            code = self._answer(_CONNACK, end)
            if code:
                words = _REFUSED[code] if code < len(_REFUSED) else str(code)
                raise ClientError(f"refused: {words}")
            for number, topic in enumerate(topics, 1):
                self._out += mqtt_connect.subscribe(number, topic, 0)
                if self._answer(_SUBACK, end) > 1:
                    raise ClientError("refused: the subscription")
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be looked up
            self.close()
            raise ClientError(str(error)) from error
        except ClientError:
            self.close()
            raise

    def _answer(self, kind: int, end: float) -> int:
        while not self._acks:
            if time.monotonic() > end:
                raise ClientError("no answer")
            self._exchange(0.1)
        found, code = self._acks.pop(0)
        if found != kind:
            raise ClientError("an answer to another question")
        return code

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Let the message go out at the next `flush` or `receive`."""
        self._out += mqtt.publish(topic, payload, 0, retain)

    def receive(self, timeout_s: float) -> list[tuple[str, bytes]]:
        """Return (topic, payload) of what has come, waiting for it at most so long. Raises ClientError."""
        self._exchange(timeout_s)
        came, self._came = self._came, []
        now = time.monotonic()
        if now - self._heard_s > 2 * _KEEPALIVE_S:
            raise ClientError("no answer")
        oldest = min(self._heard_s, self._said_s)
        if now - oldest > _KEEPALIVE_S / 2 and now - self._asked_s > _KEEPALIVE_S / 2:
            self._asked_s = now
            self._out += mqtt.PINGREQ
        return came

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it. Raises ClientError."""
        if self._socket is None:
            raise ClientError("not connected")
        while self._out:
            try:
                n = self._socket.send(self._out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                raise ClientError(str(error)) from error
            self._said_s = time.monotonic()
            del self._out[:n]

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._socket is not None:
            try:
                self._out += b"\xe0\x00"  # DISCONNECT, MQTT 3.14
                self.flush()
            except ClientError:
                pass
            self._socket.close()
            self._socket = None

    # Bytes

    def _exchange(self, timeout_s: float) -> None:
        """Write and read what can be written and read, waiting at most so long for something to come."""
        self.flush()
        assert self._socket is not None
        has_rest = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not has_rest:
            wanted = [self._socket] if self._out else []
            if not any(select.select([self._socket], wanted, [], timeout_s)):
                return
        left, why = _PIECE, ""
        while left > 0 and not why:
            try:
                data = self._socket.recv(left)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                data, why = b"", str(error)
            why = why if data else why or "the broker has closed the connection"
            left -= len(data)
            self._in += data
        self._take()
        if why and not (self._came or self._acks):  # else what came last is taken first
            raise ClientError(why)
        if not why:
            self.flush()

    def _take(self) -> None:
        """Take whole packets off what has come."""
        data, at = self._in, 0
        self._heard_s = time.monotonic()
        if self._skip:
            at = min(self._skip, len(data))
            self._skip -= at
        view = memoryview(bytes(data))
        try:
            while len(view) - at >= 2:
                head, length, shift = at + 1, 0, 0
                while head < len(view) and view[head] & 0x80 and shift < 21:
                    length |= (view[head] & 0x7F) << shift
                    head, shift = head + 1, shift + 7
                if head >= len(view):
                    break
                if view[head] & 0x80:
                    raise ClientError("the broker sent no MQTT")
                length |= view[head] << shift
                end = head + 1 + length
                if length > _LARGEST:
                    self._skip = max(0, end - len(view))
                elif end > len(view):
                    break
                else:
                    self._handle(mqtt.parse(view[at], view[head + 1 : end]))
                at = min(end, len(view))
        except PinterError as error:
            raise ClientError(f"the broker sent no MQTT: {error}") from error
        finally:
            del data[:at]

    def _handle(self, packet: tuple) -> None:
        if packet[0] == _PUBLISH:
            self._came.append((packet[1].decode(errors="replace"), bytes(packet[2])))
            if packet[3]:
                self._out += mqtt.puback(packet[3])
        elif packet[0] in (_CONNACK, _SUBACK):
            self._acks.append((packet[0], packet[1] if packet[0] == _CONNACK else packet[2]))
        elif packet[0] != _PINGRESP:
            raise ClientError(f"the broker sent a packet {packet[0]}")
