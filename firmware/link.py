"""The connection to the broker: MQTT over the sockets that dial.py opens, and always again after a failure.

Owns deadlines, back-off and what is on its way. What the frames mean is sync.py's affair; this module carries
them between a session and the topics of one gate. Nothing here can delay a tap: sockets never block, each
wait has a deadline, each buffer an end.
"""

import asyncio
import os
from time import ticks_add, ticks_diff, ticks_ms, ticks_us

from micropython import const

from . import mqtt, release
from .crypto import hmac_sha256
from .errors import PinterError
from .mqtt import MQTTError
from .orders import Orders
from .report import for_broker
from .sync import Session

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

_TICK_MS = const(50)
_ATTEMPT_MS = const(3900)  # for all up to CONNACK, so that attempts start 5 s apart at most
_FIRST_DELAY_MS = const(500)
_LAST_DELAY_MS = const(5000)
_PAUSE_MS = const(250)
_ANSWER_MS = const(5000)  # after the keepalive, or while a whole window waits
_STATUS_MS = const(60000)
_WINDOW = const(8)  # messages that wait for PUBACK
_QUEUE = const(12)  # packets that wait for the socket
_BURST = const(2)  # frames that are made in one turn
_PACKET_SIZE = const(1280)  # a frame of 1,200 bytes, its topic and its headers

_CONNECTING = const(0)
_SUBSCRIBING = const(1)
_OPEN = const(2)

# Packet types: MQTT 2.2.1.
_CONNACK = const(2)
_PUBLISH = const(3)
_PUBACK = const(4)
_SUBACK = const(9)
_PINGRESP = const(13)


class Link:
    """Keeps `gate` (gate.Gate) connected to the broker in its config, with a session of its own.

    `status()` returns the gate's report. `on_status(text)`: "" when the gate is connected, else why not.
    Raises ConfigError if the gate has no key.
    """

    if _TYPE_CHECKING:
        _socket: Any
        _stream: Any
        _reader: Any
        _address: Any
        _interface: Any
        _found: Any
        _subscribe: bytes
        _error: "Exception | None"

    def __init__(self, gate, status, on_status):
        site = gate.site
        key = gate.hardware.secret("gate_key")
        gate.session = self._session = Session(Orders(gate), key, site.site, site.gate, os.urandom)
        self._gate = gate
        self._status = status
        self._on_status = on_status
        self._uptime_ms = gate.clock.uptime_ms
        self._network = site.network
        self._secret = hmac_sha256(
            key, b"PINTER broker 1"
        )  # known to the broker; does not lead back to the key
        self._name = site.site + "/" + site.gate
        self._topic = "pinter/1/" + self._name + "/"
        self._decoder = mqtt.Decoder(_PACKET_SIZE)  # once: later the heap may have no room in one piece
        self._address = self._interface = self._socket = self._reader = self._stage = None
        self._found = (None,)  # what the thread found; empty while it looks

    async def run(self, beat) -> None:
        """Connect, serve, and begin again, for ever; `beat()` tells the supervisor that all is well."""
        self._beat = beat
        delay_ms = _FIRST_DELAY_MS
        while True:
            self._close()
            begin = ticks_ms()
            try:
                await self._connect()
                while self._error is None:
                    self._check()
                    self._pump()
                    await self._turn()
                raise self._error
            except (PinterError, OSError) as error:
                why = str(error)
            if self._stage == _OPEN or (self._interface and self._interface.why):
                delay_ms = _FIRST_DELAY_MS
            self._close()
            self._on_status(why)
            # The microseconds of a failure are random enough to keep many gates from coming at once.
            jitter = ticks_us() % 256  # pyright: ignore[reportOperatorIssue]
            wait_ms = max(delay_ms * (256 + jitter) // 512, _since(begin) + _PAUSE_MS + jitter)
            delay_ms = min(2 * delay_ms, _LAST_DELAY_MS)
            while _since(begin) < wait_ms:
                await self._turn()

    def _turn(self):
        self._beat()
        if self._interface:
            self._interface.poll(self._uptime_ms())
        return asyncio.sleep_ms(_TICK_MS)

    async def _connect(self):
        """Begin to connect; `_receive` goes on from there."""
        from .dial import dial

        gate = self._gate
        # A handshake with a certificate computes for a second: only while that hurts nobody.
        while self._network.tls == "ca" and (
            gate.lane.opening is not None or any([reader.uids for reader in gate.hardware.readers])  # noqa: C419
        ):
            await self._turn()
        self._error = None
        self._decoder.clear()
        self._ids = mqtt.PacketIds()
        self._queue = []
        self._heard = self._sent = self._reported = ticks_ms()
        try:
            await dial(self)
        finally:
            release("dial")
            release("mqtt_connect")
        self._reader = asyncio.create_task(self._receive())

    def _close(self):
        if self._reader:
            self._reader.cancel()
            self._reader = None
        if self._socket:
            self._socket.close()
            self._socket = None
        if self._stage == _OPEN:
            self._session.closed(self._uptime_ms())
        self._stage = _CONNECTING

    # What comes

    async def _receive(self):
        """Read until something is wrong, and leave that in `_error` for the task that started this one."""
        try:
            try:
                await self._stream.drain()
            except ValueError as error:  # what MicroPython makes of a certificate that does not hold
                raise MQTTError(str(error).strip())
            while True:
                n = await self._stream.readinto(self._decoder.room())
                if n == 0:
                    raise MQTTError("closed")
                packet = n and self._decoder.add(n)
                if packet:
                    self._handle(mqtt.parse(packet[0], packet[1]))
                    self._pump()
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._error = error

    def _handle(self, packet):
        self._heard = ticks_ms()
        kind = packet[0]
        if kind == _PUBLISH:
            # What comes before SUBACK, or on another topic, is not for the session.
            if self._stage == _OPEN and packet[1] == (self._topic + "down").encode():
                self._session.received(packet[2], self._uptime_ms())
            if packet[3]:
                self._send(mqtt.puback(packet[3]))
        elif kind == _PUBACK:
            self._ids.release(packet[1])
            self._stuck = self._heard
        elif kind == _CONNACK and self._stage == _CONNECTING and not packet[1]:
            self._stage = _SUBSCRIBING
            self._send(self._subscribe)
        elif kind == _SUBACK and self._stage == _SUBSCRIBING and packet[2] < 2:
            self._stage = _OPEN
            self._reported = ticks_add(self._heard, -_STATUS_MS)
            self._session.opened(self._uptime_ms())
            self._on_status("")
        elif kind != _PINGRESP:
            raise MQTTError("refused: %s" % (packet,))

    # What goes

    def _check(self):
        """Raise MQTTError if the broker is silent for too long; ask now and then whether it is there."""
        silent_ms = _since(self._heard)
        limit_ms = _ATTEMPT_MS
        if self._stage == _OPEN:
            keepalive_ms = self._network.keepalive_s * 1000
            limit_ms = keepalive_ms + _ANSWER_MS
            if len(self._ids.waiting) < _WINDOW:
                self._stuck = ticks_ms()
            elif _since(self._stuck) > _ANSWER_MS:
                limit_ms = 0
            # Whatever else is sent is answered too, or is an answer: so a ping is due after a pause only.
            if not self._queue and _since(self._sent) >= keepalive_ms:
                self._send(mqtt.PINGREQ)
        if silent_ms > limit_ms:
            raise MQTTError("no answer")

    def _pump(self):
        """Send what there is to send, as far as the socket, the window and this turn allow."""
        for _ in range(_BURST):
            self._flush()
            if self._queue or self._stage != _OPEN or len(self._ids.waiting) == _WINDOW:
                return
            if _since(self._reported) >= _STATUS_MS:
                self._reported = ticks_ms()
                item = "status", for_broker(self._status(), self._session.rejected)
            else:
                item = self._session.outgoing(self._uptime_ms())
                if item is None:
                    return
            topic = self._topic + item[0]
            self._send(mqtt.publish(topic, item[1], self._ids.take(), item[0] == "status"))

    def _send(self, packet):
        if len(self._queue) >= _QUEUE:
            raise MQTTError("stalled")
        self._queue.append(packet)
        self._flush()

    def _flush(self):
        # TLS wants a packet that did not fit offered again just as it was: so one at a time, never joined.
        queue = self._queue
        while queue:
            n = self._socket.write(queue[0])
            if not n:
                return
            self._sent = ticks_ms()
            packet = queue.pop(0)
            if n < len(packet):
                queue.insert(0, packet[n:])


def _since(ticks):
    return ticks_diff(ticks_ms(), ticks)
