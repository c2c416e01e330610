"""MQTT 3.1.1 as bytes: what a client sends, and what it may be sent. "MQTT" is the OASIS standard of 2014.

Owns packet formats and identifiers. It has no socket, no clock and no queue; link.py uses it on a connection,
which begins with the packets of mqtt_connect.py. Only what the gate uses: QoS 0 and 1.
"""

import struct

from micropython import const

from .errors import PinterError

# Packet types, MQTT 2.2.1: those that a server sends to a client.
_CONNACK = const(2)
_PUBLISH = const(3)
_PUBACK = const(4)
_SUBACK = const(9)
_PINGRESP = const(13)

PINGREQ = b"\xc0\x00"

_LAST_ID = const(65535)
_HEADER_LONGEST = const(5)  # type and flags, and up to four bytes of length: MQTT 2.2.3
_MORE = const(0x80)


class MQTTError(PinterError):
    """The peer sent what MQTT 3.1.1 does not allow, or more than there is room for."""


def packet(first: int, *parts) -> bytes:
    """Return the packet that begins with the byte `first`, its length (MQTT 2.2.3) and then `parts`."""
    length = sum([len(part) for part in parts])
    head = [first]
    while length >= _MORE:
        head.append(length & 0x7F | _MORE)
        length >>= 7
    head.append(length)
    return b"".join((bytes(head),) + parts)


def string(text) -> bytes:
    """Return text or bytes of at most 65,535 bytes with their length in front: MQTT 1.5.3."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def publish(topic, payload, packet_id: int = 0, retain: bool = False) -> bytes:
    """Return PUBLISH (MQTT 3.3): QoS 1 with a `packet_id` from 1 to 65535, QoS 0 with 0; never DUP."""
    first = 0x30 | bool(retain)
    payload = bytes(payload)  # MicroPython joins no memoryviews
    if not packet_id:
        return packet(first, string(topic), payload)
    return packet(first | 2, string(topic), struct.pack(">H", packet_id), payload)


def puback(packet_id: int) -> bytes:
    """Return PUBACK (MQTT 3.4)."""
    return struct.pack(">BBH", 0x40, 2, packet_id)


class Decoder:
    """Cuts a stream of bytes into packets of at most `size` bytes, header included; at least 5.

    Read into `room()`, then say with `add(n)` how many bytes came. A packet is given out the moment that it
    is whole, so there is never a second one in the buffer and nothing is moved.
    """

    def __init__(self, size: int):
        self._view = memoryview(bytearray(size))
        self.clear()

    def clear(self) -> None:
        """Forget what came: another stream begins."""
        self._have = 0
        self._need = 2  # no packet is shorter
        self._start = 0  # where the body begins; 0 while the header is not whole

    def room(self):
        """Return where the next bytes belong: a view of at least one byte, valid until `add`."""
        return self._view[self._have : self._need]

    def add(self, n: int):
        """Take note of `n` bytes in `room()`; return (first byte, body) of a packet that is whole now, or
        None.

        The body is a view that the next bytes overwrite. Raises MQTTError when the length is malformed or
        beyond `size`; the stream is of no use after that.
        """
        self._have += n
        if self._have < self._need:
            return None
        view = self._view
        if not self._start:
            if view[self._have - 1] & _MORE:
                if self._have == _HEADER_LONGEST:
                    raise MQTTError("bad length")
                self._need += 1
                return None
            length = 0
            for i in range(self._have - 1, 0, -1):
                length = length << 7 | view[i] & 0x7F
            self._start = self._have
            self._need += length
            if self._need > len(view):
                raise MQTTError("too long")
            if length:
                return None
        body = view[self._start : self._need]
        self._have = self._start = 0
        self._need = 2
        return view[0], body


def parse(first: int, body):
    """Return what a server's packet says, its type first (MQTT 2.2.1). Raises MQTTError for anything else.

    CONNACK: (2, return code, session present). PUBLISH: (3, topic as bytes, payload as a view, packet id or
    0, retain). PUBACK: (4, packet id, ...). SUBACK: (9, packet id, granted QoS or 128). PINGRESP: (13,).
    """
    kind, n = first >> 4, len(body)
    if kind == _PUBLISH and n > 1:
        qos, topic_end = first >> 1 & 3, 2 + (body[0] << 8 | body[1])
        start = topic_end + 2 * qos
        packet_id = body[start - 2] << 8 | body[start - 1] if qos == 1 and start <= n else 0
        # A topic has a character or more (MQTT 4.7.3), an identifier is not 0 (2.3.1), DUP needs QoS 1
        # (3.3.1).
        if start <= n and topic_end > 2 and bool(packet_id) == qos and (qos or not first & 8):
            return _PUBLISH, bytes(body[2:topic_end]), body[start:], packet_id, first & 1
    elif not first & 15:
        if n == 0 and kind == _PINGRESP:
            return (_PINGRESP,)
        if n == 2 and kind == _CONNACK:
            return _CONNACK, body[1], body[0]
        if n > 1 and n == (2 if kind == _PUBACK else 3 if kind == _SUBACK else 0):
            return kind, body[0] << 8 | body[1], body[n - 1]
    raise MQTTError("packet %02x of %d bytes" % (first, n))


class PacketIds:
    """Identifiers of messages that wait for PUBACK, from 1 to 65535 and round again; `waiting` lists them."""

    def __init__(self):
        self._last = 0
        self.waiting = []

    def take(self) -> int:
        """Return an identifier that is not in use. The caller keeps `waiting` short."""
        while True:
            self._last = self._last % _LAST_ID + 1
            if self._last not in self.waiting:
                self.waiting.append(self._last)
                return self._last

    def release(self, packet_id: int) -> None:
        """Free an identifier that was acknowledged; one that nobody waits for is ignored."""
        if packet_id in self.waiting:
            self.waiting.remove(packet_id)
