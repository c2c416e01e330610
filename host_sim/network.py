"""The network: names, TCP connections from boards to services, and what goes wrong on the way.

Owns the bytes in flight, in virtual time. A service (the broker, or anything with the methods of `Service`)
stands at an address; a board's `Stack` reaches it through the operations of `shims/device/_ops.py`. What the
bytes mean is nobody's affair here.
"""

import errno
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from host_sim.shims.device import _ops as ops
from host_sim.timeline import Timeline

LOOKUP_US = 20_000
LOOKUP_FAILURE_US = 5_000_000
WINDOW = 5760  # bytes in one direction that nobody has taken yet: send buffer and window of lwIP on an ESP32
SEGMENT = 1440
RETRANSMIT_US = 1_000_000
SYN_RETRANSMIT_US = 3_000_000


class Service(Protocol):
    """What stands at an address: it is told what happens to its connections."""

    def accept(self, connection: "Connection") -> None:
        """A board has connected."""
        ...

    def data(self, connection: "Connection", data: bytes) -> None:
        """Bytes have come."""
        ...

    def closed(self, connection: "Connection") -> None:
        """The board has closed, or lost, the connection."""
        ...


class Path:
    """The way between a board and everything else: `latency_us` each way; `down` holds back what is sent.

    `unplug` does so too, for the board's own end: it has no Wi-Fi, or no cable.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.latency_us = 2000
        self._down = self._unplugged = False
        self.board_is_on = False  # and its stack answers for connections that it does not know
        self._held: deque[Callable[[], None]] = deque()
        self._last_us = [0, 0]  # arrival of the last segment, by direction: nothing overtakes

    @property
    def down(self) -> bool:
        """True while nothing passes, in neither direction."""
        return self._down or self._unplugged

    @down.setter
    def down(self, down: bool) -> None:
        self._set(down, self._unplugged)

    def unplug(self, unplugged: bool) -> None:
        """Take the board off the network, or put it back."""
        self._set(self._down, unplugged)

    def _set(self, down: bool, unplugged: bool) -> None:
        was = self.down
        self._down, self._unplugged = down, unplugged
        if was and not self.down:
            held, self._held = self._held, deque()
            at_us = self._timeline.now + RETRANSMIT_US
            for deliver in held:
                self._timeline.at(at_us, self._arrive, deliver)
            self._last_us = [max(last, at_us if held else 0) for last in self._last_us]

    def send(self, to_board: bool, deliver: Callable[[], None]) -> None:
        """Call `deliver()` when the segment arrives; TCP sends what was lost again until it does."""
        at_us = max(self._timeline.now + self.latency_us, self._last_us[to_board])
        self._last_us[to_board] = at_us
        self._timeline.at(at_us, self._arrive, deliver)

    def datagram(self, deliver: Callable[[], None]) -> None:
        """Call `deliver()` when the datagram arrives; it is lost if the path is down then or now."""
        if not self.down:
            self._timeline.after(self.latency_us, lambda: None if self.down else deliver())

    def retry(self, after_us: int, function: Callable[[], None]) -> None:
        """Call `function()` after `after_us`: the sender tries again."""
        self._timeline.after(after_us, function)

    def _arrive(self, deliver: Callable[[], None]) -> None:
        if self.down:
            self._held.append(deliver)
        else:
            deliver()


class Network:
    """Names, addresses and the services there."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.names: dict[str, str] = {}
        self.services: dict[tuple[str, int], Service] = {}
        self.datagrams: dict[tuple[str, int], Callable[[bytes], bytes]] = {}  # who answers them
        self.unreachable: set[str] = set()  # addresses where nobody answers, not even with a refusal
        self.name_server = True  # False: it is silent
        self.paths: dict[str, Path] = {}  # by board

    def path(self, board: str) -> Path:
        """Return the way to the board of that name."""
        if board not in self.paths:
            self.paths[board] = Path(self._timeline)
        return self.paths[board]

    def lookup(self, name: str, path: Path) -> tuple[int, str]:
        """Return (how long it takes in us, address or "")."""
        if name.replace(".", "").isdigit():
            return 0, name
        if not self.name_server or path.down:
            return LOOKUP_FAILURE_US, ""
        return LOOKUP_US, self.names.get(name, "")


class Datagrams:
    """A board's end of UDP to one address, for its `Stack`: what is sent while the path is down is lost."""

    def __init__(
        self, stack: "Stack", path: Path, handle: int, answer: Callable[[bytes], bytes] | None
    ) -> None:
        self._stack: Stack | None = stack
        self._path = path
        self._handle = handle
        self._answer = answer
        self._came: deque[bytes] = deque()
        self.is_open = True
        self.ended = False
        self.error = 0

    @property
    def inbox(self) -> bool:
        """Whether a datagram has come."""
        return bool(self._came)

    def room(self) -> int:
        """Return how many bytes the board may send now."""
        return WINDOW

    def accept_bytes(self, data: bytes) -> int:
        """Take a datagram from the board; return its length."""
        self._path.datagram(lambda: self._arrived(data))
        return len(data)

    def _arrived(self, data: bytes) -> None:
        if self._answer is not None:
            answer = self._answer(data)
            self._path.datagram(lambda: self._take(answer))

    def _take(self, data: bytes) -> None:
        self._came.append(data)
        if self._stack is not None:
            self._stack.update(self._handle)

    def give(self, n: int) -> bytes:
        """Let the board have a datagram that has come; what is beyond `n` bytes is lost."""
        return self._came.popleft()[:n]

    def drop(self, told: bool) -> None:
        """The board has closed its end."""
        self._stack = None


class Connection:
    """One TCP connection. The board's end is driven by its `Stack`; the methods without underscore are the
    service's end.
    """

    def __init__(self, stack: "Stack", path: Path, handle: int) -> None:
        self._stack: Stack | None = stack  # None: the board has closed or forgotten it
        self._path = path
        self._handle = handle
        self._service: Service | None = None
        self.is_open = False
        self.error = 0
        self.inbox = bytearray()
        self.ended = False
        self._outbox = bytearray()  # of the service
        self._to_board = 0  # bytes on their way or in the inbox
        self._is_closing = False
        self._not_taken = 0  # bytes that the board has sent and the service has not taken
        self._waiting: list[bytes] = []  # what has come while the service was not reading
        self._reading = True

    # The service's end

    def write(self, data: bytes) -> None:
        """Send `data` to the board, as fast as it reads."""
        self._outbox += data
        self._fill()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the board to read."""
        return len(self._outbox)

    def close(self) -> None:
        """End the connection after what was written."""
        self._is_closing = True
        self._service = None
        self._fill()

    def reset(self) -> None:
        """Break the connection off."""
        self._service = None
        self._path.send(True, lambda: self._fail(errno.ECONNRESET))

    def read(self, reading: bool) -> None:
        """Take what comes, or leave it where it is until the board can send no more."""
        self._reading = reading
        if reading:
            waiting, self._waiting = self._waiting, []
            for data in waiting:
                self._take(data)

    # The board's end

    def knock(self, network: Network, address: tuple[str, int]) -> None:
        """Ask for the connection, again and again while nobody answers."""
        if self._stack is None or self.is_open:
            return
        if self._path.down or address[0] in network.unreachable:
            self._path.retry(SYN_RETRANSMIT_US, lambda: self.knock(network, address))
            return
        self._path.send(False, lambda: self._knocked(network.services.get(address)))

    def _knocked(self, service: Service | None) -> None:
        if service is None:
            self._path.send(True, lambda: self._fail(errno.ECONNREFUSED))
            return
        self._service = service
        self._path.send(True, self._opened)
        service.accept(self)

    def _opened(self) -> None:
        self.is_open = True
        self._changed()

    def _fail(self, error: int) -> None:
        self.error = error
        self._changed()

    def _changed(self) -> None:
        if self._stack is not None:
            self._stack.update(self._handle)

    def _fill(self) -> None:
        """Put on the way what the board has room for."""
        while self._outbox and self._to_board < WINDOW:
            segment = bytes(self._outbox[: min(SEGMENT, WINDOW - self._to_board)])
            del self._outbox[: len(segment)]
            self._to_board += len(segment)
            self._path.send(True, lambda data=segment: self._came(data))
        if self._is_closing and not self._outbox:
            self._is_closing = False
            self._path.send(True, self._end)

    def _came(self, data: bytes) -> None:
        if self._stack is None:
            if self._path.board_is_on:  # it does not know this connection
                self._path.send(False, self.forgotten)
            return
        self.inbox += data
        self._changed()

    def _end(self) -> None:
        self.ended = True
        self._changed()

    def room(self) -> int:
        """Return how many bytes the board may send now."""
        return WINDOW - self._not_taken

    def accept_bytes(self, data: bytes) -> int:
        """Take bytes from the board; return how many."""
        taken = data[: self.room()]
        self._not_taken += len(taken)
        if taken:
            self._path.send(False, lambda: self._take(taken))
        return len(taken)

    def _take(self, data: bytes) -> None:
        if not self._reading:
            self._waiting.append(data)
            return
        self._path.send(True, lambda: self._acknowledge(len(data)))
        if self._service is not None:
            self._service.data(self, data)

    def _acknowledge(self, n: int) -> None:
        self._not_taken -= n
        self._changed()

    def give(self, n: int) -> bytes:
        """Let the board have up to `n` bytes that have come."""
        data = bytes(self.inbox[:n])
        del self.inbox[:n]
        self._to_board -= len(data)
        self._path.send(False, self._fill)
        return data

    def drop(self, told: bool) -> None:
        """The board has closed the connection (`told`), or lost its power."""
        self._stack = None
        if told:
            self._path.send(False, self.forgotten)

    def forgotten(self) -> None:
        """The service hears that the connection is gone."""
        service, self._service = self._service, None
        if service is not None:
            service.closed(self)


class Stack:
    """The sockets of one board. `operations` serves the requests of its firmware; `ready`: see `_ops.py`."""

    def __init__(self, timeline: Timeline) -> None:
        self.ready = 0
        self.on_ready: Callable[[], None] = lambda: None
        self._timeline = timeline
        self._network: Network | None = None
        self._path = Path(timeline)
        self._connections: list[Connection | Datagrams | None] = [None] * ops.SOCKETS
        self.operations: dict[int, Callable[[bytes], bytes | None]] = {
            ops.LOOKUP: self._lookup,
            ops.SOCKET_CONNECT: self._connect,
            ops.SOCKET_DATAGRAMS: self._open_datagrams,
            ops.SOCKET_SEND: self._send,
            ops.SOCKET_RECV: self._recv,
            ops.SOCKET_CLOSE: self._close,
        }

    def join(self, network: Network, board: str) -> None:
        """Plug the board named `board` into `network`."""
        self._network = network
        self._path = network.path(board)

    def reset(self) -> None:
        """Forget all connections, as a board without power does: nobody is told."""
        for connection in self._connections:
            if connection is not None:
                connection.drop(told=False)
        self._connections = [None] * ops.SOCKETS
        self._path.board_is_on = False
        self.ready = 0

    def unplug(self, unplugged: bool) -> None:
        """Take the board off the network, or put it back."""
        self._path.unplug(unplugged)

    def update(self, handle: int) -> None:
        """Look again what can be read and written at a socket."""
        connection = self._connections[handle]
        bits = 0
        if connection is not None:
            bits = bool(connection.inbox or connection.ended or connection.error)
            can_write = connection.is_open and connection.room() > WINDOW // 2
            bits |= (can_write or bool(connection.error)) << 1
        before, self.ready = self.ready, self.ready & ~(3 << 2 * handle) | bits << 2 * handle
        if self.ready & ~before:
            self.on_ready()

    def _lookup(self, payload: bytes) -> bytes:
        if self._network is None:
            return struct.pack("<I", LOOKUP_FAILURE_US)
        delay_us, address = self._network.lookup(payload.decode(), self._path)
        return struct.pack("<I", delay_us) + address.encode()

    def _connect(self, payload: bytes) -> bytes:
        (port,) = struct.unpack_from("<H", payload)
        if None not in self._connections:
            return b""
        self._path.board_is_on = True
        handle = self._connections.index(None)
        connection = self._connections[handle] = Connection(self, self._path, handle)
        if self._network is not None:
            connection.knock(self._network, (payload[2:].decode(), port))
        else:
            connection.error = errno.EHOSTUNREACH
        self.update(handle)
        return bytes((handle,))

    def _open_datagrams(self, payload: bytes) -> bytes:
        (port,) = struct.unpack_from("<H", payload)
        if None not in self._connections:
            return b""
        handle = self._connections.index(None)
        services = self._network.datagrams if self._network is not None else {}
        answer = services.get((payload[2:].decode(), port))
        self._connections[handle] = Datagrams(self, self._path, handle, answer)
        self.update(handle)
        return bytes((handle,))

    def _at(self, handle: int) -> Connection | Datagrams:
        connection = self._connections[handle]
        if connection is None:
            raise ValueError(f"socket {handle} is not open")
        return connection

    def _send(self, payload: bytes) -> bytes:
        connection = self._at(payload[0])
        if connection.error:
            return bytes((connection.error,))
        n = connection.accept_bytes(payload[1:]) if connection.is_open else 0
        self.update(payload[0])
        return struct.pack("<BH", 0, n) if n else bytes((ops.SOCKET_AGAIN,))

    def _recv(self, payload: bytes) -> bytes:
        handle, n = struct.unpack("<BH", payload)
        connection = self._at(handle)
        if connection.inbox:
            data = connection.give(n)
            self.update(handle)
            return b"\x00" + data
        if connection.error:
            return bytes((connection.error,))
        return b"\x00" if connection.ended else bytes((ops.SOCKET_AGAIN,))

    def _close(self, payload: bytes) -> None:
        self._at(payload[0]).drop(told=True)
        self._connections[payload[0]] = None
        self.update(payload[0])
