"""The connection to the broker: names, TCP, TLS, MQTT, and always again after a failure.

Owns sockets, deadlines and back-off. What the frames mean is sync.py's affair; this module carries them
between a session and the topics of one gate. Nothing here can delay a tap: names are resolved in a thread,
sockets never block, each wait has a deadline, each buffer an end.
"""

import _thread
import asyncio
import os
import socket
import time

from micropython import const

from . import mqtt
from .crypto import hmac_sha256
from .errors import PinterError
from .orders import Orders
from .sync import Session

TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from typing import Any

_TICK_MS = const(50)
_ATTEMPT_MS = const(4000)  # for all up to CONNACK, so that attempts start 5 s apart at most
_LOOKUP_MS = const(500)  # then the address of last time must do
_FIRST_DELAY_MS = const(500)
_LAST_DELAY_MS = const(5000)
_PAUSE_MS = const(250)
_ANSWER_MS = const(5000)  # after the keepalive, or while a whole window waits
_STATUS_MS = const(60000)
_WINDOW = const(8)  # messages that wait for PUBACK
_QUEUE = const(12)  # packets that wait for the socket
_BURST = const(2)  # frames that are made in one turn
_PACKET_SIZE = const(1280)  # a frame of 1,200 bytes, its topic and its headers

_CONNECTING, _SUBSCRIBING, _OPEN = const(0), const(1), const(2)
_OFFLINE = b'{"online": false}'


def of(gate, hardware, status, on_status) -> "Link":
    """Return the link of `gate` (gate.Gate) on its `hardware`, with a session of its own.

    `status()` returns the gate's report. Raises ConfigError if the gate has no key.
    """
    key = hardware.secret("gate_key")
    gate.session = session = Session(Orders(gate), key, gate.site.site, gate.site.gate, os.urandom)
    return Link(
        session,
        gate.site,
        key,
        lambda: session.status_json(status()),
        on_status,
        gate.clock.uptime_ms,
        lambda: gate.lane.opening is None and not any(reader.uids for reader in hardware.readers),
    )


class Link:
    """Keeps `session` (sync.Session) connected to the broker in the config of `site` (config.Site).

    `gate_key`: 32 bytes; what the broker knows is derived from it and does not lead back. `report()` returns
    what is published for everybody to see. `on_status(text)`: "" when the gate is connected, else why not.
    `uptime_ms()`: the session's clock. `is_quiet()`: True while a second without reader polls hurts nobody; a
    handshake with a certificate waits for that.
    """

    if TYPE_CHECKING:
        _socket: Any
        _stream: Any
        _reader: Any
        _address: Any
        _found: Any
        _error: "Exception | None"

    def __init__(self, session, site, gate_key: bytes, report, on_status, uptime_ms, is_quiet):
        self._session = session
        self._network = site.network
        self._name = site.site + "/" + site.gate
        self._secret = hmac_sha256(gate_key, b"PINTER broker 1")
        self._report = report
        self._on_status = on_status
        self._uptime_ms = uptime_ms
        self._is_quiet = is_quiet
        self._topic = "pinter/1/" + self._name + "/"
        self._address = self._socket = self._reader = None
        self._stage = _CONNECTING
        self._found = (None,)  # what the thread found; empty while it looks

    async def run(self, beat) -> None:
        """Connect, serve, and begin again, for ever; `beat()` tells the supervisor that all is well."""
        self._beat = beat
        delay_ms = _FIRST_DELAY_MS
        while True:
            while self._network.tls == "ca" and not self._is_quiet():
                await self._turn()
            begin = time.ticks_ms()
            try:
                self._start()
                await self._resolve()
                self._connect()
                while self._error is None:
                    self._check()
                    self._pump()
                    await self._turn()
                raise self._error
            except (PinterError, OSError) as error:
                why = str(error)
            if self._stage == _OPEN:
                delay_ms = _FIRST_DELAY_MS
            self._close()
            self._on_status(why)
            # The microseconds of a failure are random enough to keep many gates from coming at once.
            jitter = time.ticks_us() % 256  # pyright: ignore[reportOperatorIssue]
            wait_ms = max(delay_ms * (256 + jitter) // 512, _since(begin) + _PAUSE_MS)
            delay_ms = min(2 * delay_ms, _LAST_DELAY_MS)
            while _since(begin) < wait_ms:
                await self._turn()

    def _turn(self):
        self._beat()
        return asyncio.sleep_ms(_TICK_MS)

    # Getting there

    def _start(self):
        self._close()  # what a fault that was not the network's has left
        self._error = None
        self._decoder = mqtt.Decoder(_PACKET_SIZE)
        self._ids = mqtt.PacketIds()
        self._queue = []
        self._pinged = False
        self._heard = self._sent = self._reported = time.ticks_ms()

    async def _resolve(self):
        """Find the broker's address, in a thread: a name server that does not answer would block all else."""
        if self._found:
            found = []
            network = self._network
            _thread.start_new_thread(_look_up, (network.broker, network.port, found))
            self._found = found
        while not self._found and _since(self._heard) < (_LOOKUP_MS if self._address else _ATTEMPT_MS):
            await self._turn()
        if self._found and self._found[0]:
            self._address = self._found[0]
        if not self._address:
            raise mqtt.MQTTError("no address")

    def _connect(self):
        address, tls = self._address, self._network.tls
        self._socket = plain = socket.socket(address[0], address[1], address[2])
        plain.setblocking(False)
        try:
            plain.connect(address[-1])
        except OSError:
            pass  # EINPROGRESS; anything else shows at the first write
        user = password = None
        if tls != "none":
            user = self._name
            if tls == "ca":
                password = self._secret.hex()
            self._socket = _context(tls, user, self._secret).wrap_socket(
                plain, server_hostname=self._network.broker, do_handshake_on_connect=False
            )
        self._stream = asyncio.StreamReader(self._socket)
        # Written when the connection is there: `drain` waits for that, and for the TLS handshake.
        self._stream.out_buf = mqtt.connect(
            self._name.replace("/", "-"),
            self._network.keepalive_s,
            user,
            password,
            (self._topic + "status", _OFFLINE, 1, True),
        )
        self._reader = asyncio.create_task(self._receive())

    def _close(self):
        if self._reader:
            self._reader.cancel()
            self._reader = None
        if self._socket:
            self._socket.close()
            self._socket = self._stream = None
        if self._stage == _OPEN:
            self._stage = _CONNECTING
            self._session.closed(self._uptime_ms())

    # What comes

    async def _receive(self):
        """Read until something is wrong, and leave that in `_error` for the task that started this one."""
        try:
            try:
                await self._stream.drain()
            except ValueError as error:  # what MicroPython makes of a certificate that does not hold
                raise mqtt.MQTTError(str(error).strip())
            while True:
                n = await self._stream.readinto(self._decoder.room())
                if n == 0:
                    raise mqtt.MQTTError("closed by the broker")
                packet = n and self._decoder.add(n)
                if packet:
                    self._handle(mqtt.parse(packet[0], packet[1]))
                    self._pump()
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._error = error

    def _handle(self, packet):
        self._heard = time.ticks_ms()
        kind = packet[0]
        if kind == mqtt.PUBLISH:
            # What comes before SUBACK, or on another topic, is not for the session.
            if self._stage == _OPEN and packet[1] == (self._topic + "down").encode():
                self._session.received(packet[2], self._uptime_ms())
            if packet[3]:
                self._send(mqtt.puback(packet[3]))
        elif kind == mqtt.PUBACK:
            self._ids.release(packet[1])
            self._stuck = self._heard
        elif kind == mqtt.PINGRESP:
            self._pinged = False
        elif kind == mqtt.CONNACK and self._stage == _CONNECTING and not packet[1]:
            self._stage = _SUBSCRIBING
            self._send(mqtt.subscribe(1, self._topic + "down", 1))
        elif kind == mqtt.SUBACK and self._stage == _SUBSCRIBING and packet[2] < 2:
            self._stage = _OPEN
            self._reported = time.ticks_add(self._heard, -_STATUS_MS)
            self._session.opened(self._uptime_ms())
            self._on_status("")
        else:
            raise mqtt.MQTTError("refused: %s" % (packet,))

    # What goes

    def _check(self):
        """Raise MQTTError if the broker is silent for too long; ask now and then whether it is there."""
        silent_ms = _since(self._heard)
        limit_ms = _ATTEMPT_MS
        if self._stage == _OPEN:
            keepalive_ms = self._network.keepalive_s * 1000
            limit_ms = keepalive_ms + _ANSWER_MS
            if len(self._ids.waiting) < _WINDOW:
                self._stuck = time.ticks_ms()
            elif _since(self._stuck) > _ANSWER_MS:
                limit_ms = 0
            if not self._pinged and max(silent_ms, _since(self._sent)) >= keepalive_ms:
                self._pinged = True
                self._send(mqtt.PINGREQ)
        if silent_ms > limit_ms:
            raise mqtt.MQTTError("no answer")

    def _pump(self):
        """Send what there is to send, as far as the socket, the window and this turn allow."""
        for _ in range(_BURST):
            self._flush()
            if self._queue or self._stage != _OPEN or len(self._ids.waiting) == _WINDOW:
                return
            if _since(self._reported) >= _STATUS_MS:
                self._reported = time.ticks_ms()
                item = "status", self._report()
            else:
                item = self._session.outgoing(self._uptime_ms())
                if item is None:
                    return
            topic = self._topic + item[0]
            self._send(mqtt.publish(topic, item[1], self._ids.take(), item[0] == "status"))

    def _send(self, packet):
        if len(self._queue) >= _QUEUE:
            raise mqtt.MQTTError("not read by the broker")
        self._queue.append(packet)
        self._flush()

    def _flush(self):
        # TLS wants a packet that did not fit offered again just as it was: so one at a time, never joined.
        queue = self._queue
        while queue:
            n = self._socket.write(queue[0])
            if not n:
                return
            self._sent = time.ticks_ms()
            packet = queue.pop(0)
            if n < len(packet):
                queue.insert(0, packet[n:])


def _since(ticks):
    return time.ticks_diff(time.ticks_ms(), ticks)


def _look_up(host, port, found):
    """Put the address of `host` into `found`, None if there is none. Runs in a thread of its own."""
    try:
        found.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0])
    except OSError:
        found.append(None)


def _context(kind, identity, secret):
    """Return a TLS context that trusts the holder of our secret, or of the office's certificate, no other."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    if kind == "psk":
        context.set_ciphers(["TLS-PSK-WITH-AES-128-GCM-SHA256"])
        context.psk_identity = identity  # pyright: ignore[reportAttributeAccessIssue]
        context.psk_key = secret  # pyright: ignore[reportAttributeAccessIssue]
    else:
        context.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]
        with open("ca.der", "rb") as file:
            context.load_verify_locations(file.read())
    return context
