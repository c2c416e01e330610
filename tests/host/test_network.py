"""The simulated network: bytes keep their order and number whatever happens to the path."""

import errno
import struct

from host_sim.network import RETRANSMIT_US, SYN_RETRANSMIT_US, WINDOW, Connection, Network, Stack
from host_sim.shims.device import _ops as ops
from host_sim.timeline import Timeline

HOST = "10.0.0.9"
SECOND = 1_000_000


class Recorder:
    """A service that keeps what it is told."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.taken = b""
        self.is_closed = False

    def accept(self, connection: Connection) -> None:
        self.connection = connection

    def data(self, connection: Connection, data: bytes) -> None:
        self.taken += data

    def closed(self, connection: Connection) -> None:
        self.is_closed = True


class Bench:
    """One board's stack and one service."""

    def __init__(self, *, listens: bool = True) -> None:
        self.timeline = Timeline()
        self.network = Network(self.timeline)
        self.service = Recorder()
        if listens:
            self.network.services[HOST, 80] = self.service
        self.stack = Stack(self.timeline)
        self.stack.join(self.network, "A")
        self.path = self.network.path("A")

    def ask(self, op: int, payload: bytes) -> bytes:
        return self.stack.operations[op](payload) or b""

    def connect(self) -> int:
        (handle,) = self.ask(ops.SOCKET_CONNECT, struct.pack("<H", 80) + HOST.encode())
        return handle

    def opened(self) -> int:
        handle = self.connect()
        self.run(1)
        assert self.writable(handle)
        return handle

    def run(self, seconds: float) -> None:
        self.timeline.run_until(self.timeline.now + round(seconds * SECOND))

    def send(self, handle: int, data: bytes) -> int:
        answer = self.ask(ops.SOCKET_SEND, bytes((handle,)) + data)
        return 0 if answer[0] == ops.SOCKET_AGAIN else struct.unpack("<BH", answer)[1]

    def recv(self, handle: int, n: int = 1024) -> bytes:
        return self.ask(ops.SOCKET_RECV, struct.pack("<BH", handle, n))

    def readable(self, handle: int) -> bool:
        return bool(self.stack.ready >> 2 * handle & 1)

    def writable(self, handle: int) -> bool:
        return bool(self.stack.ready >> 2 * handle & 2)


def test_a_connection_takes_a_round_trip_and_carries_bytes_both_ways() -> None:
    bench = Bench()
    handle = bench.connect()
    bench.run(0.0039)
    assert not bench.writable(handle)
    bench.run(0.0002)
    assert bench.writable(handle) and not bench.readable(handle)
    assert bench.send(handle, b"up") == 2
    assert bench.service.connection is not None
    bench.service.connection.write(b"down")
    bench.run(0.01)
    assert bench.service.taken == b"up" and bench.readable(handle)
    assert bench.recv(handle, 3) == b"\x00dow" and bench.recv(handle) == b"\x00n"
    assert bench.recv(handle) == bytes((ops.SOCKET_AGAIN,)) and not bench.readable(handle)


def test_what_is_sent_while_the_path_is_down_arrives_later_once_and_in_order() -> None:
    bench = Bench()
    handle = bench.opened()
    connection = bench.service.connection
    assert connection is not None
    bench.path.down = True
    for number in range(5):
        bench.send(handle, b"%d" % number)
        connection.write(b"%d" % number)
    bench.run(10)
    assert bench.service.taken == b"" and not bench.readable(handle)
    bench.path.down = False
    bench.send(handle, b"5")
    connection.write(b"5")
    bench.run(RETRANSMIT_US / SECOND - 0.01)
    assert bench.service.taken == b""
    bench.run(0.1)
    assert bench.service.taken == b"012345" and bench.recv(handle) == b"\x00012345"


def test_who_does_not_read_stops_the_sender() -> None:
    bench = Bench()
    handle = bench.opened()
    connection = bench.service.connection
    assert connection is not None
    connection.read(False)
    sent = sum(bench.send(handle, bytes(1024)) for _ in range(20))
    bench.run(5)
    assert sent == WINDOW and not bench.writable(handle) and bench.service.taken == b""
    connection.read(True)
    bench.run(1)
    assert len(bench.service.taken) == WINDOW and bench.writable(handle)
    connection.write(bytes(3 * WINDOW))
    bench.run(5)
    assert connection.unsent == 2 * WINDOW, "the board has not read"
    got = 0
    while bench.readable(handle):
        got += len(bench.recv(handle)) - 1
        bench.run(0.01)
    assert got == 3 * WINDOW


def test_nobody_at_the_address_is_a_refusal_and_nobody_at_home_is_silence() -> None:
    bench = Bench(listens=False)
    handle = bench.connect()
    bench.run(1)
    assert bench.readable(handle) and bench.writable(handle)
    assert bench.recv(handle) == bytes((errno.ECONNREFUSED,))
    bench = Bench()
    bench.network.unreachable.add(HOST)
    handle = bench.connect()
    bench.run(2 * SYN_RETRANSMIT_US / SECOND - 0.1)
    assert not bench.stack.ready
    bench.network.unreachable.clear()
    bench.run(0.2)
    assert bench.writable(handle)


def test_both_ends_hear_of_the_end() -> None:
    bench = Bench()
    handle = bench.opened()
    connection = bench.service.connection
    assert connection is not None
    connection.write(b"last")
    connection.close()
    bench.run(1)
    assert bench.recv(handle) == b"\x00last" and bench.recv(handle) == b"\x00" and bench.readable(handle)
    bench.ask(ops.SOCKET_CLOSE, bytes((handle,)))
    assert not bench.stack.ready
    handle = bench.opened()
    bench.ask(ops.SOCKET_CLOSE, bytes((handle,)))
    bench.run(1)
    assert bench.service.is_closed
    handle = bench.opened()
    assert bench.service.connection is not None
    bench.service.connection.reset()
    bench.run(1)
    assert bench.recv(handle) == bytes((errno.ECONNRESET,))


def test_a_board_without_power_tells_nobody_until_it_is_asked_again() -> None:
    bench = Bench()
    bench.opened()
    first = bench.service.connection
    assert first is not None
    bench.stack.reset()
    first.write(b"are you there?")
    bench.run(30)
    assert not bench.service.is_closed
    bench.opened()
    first.write(b"and now?")
    bench.run(1)
    assert bench.service.is_closed


def test_sockets_are_few() -> None:
    bench = Bench()
    handles = [bench.connect() for _ in range(ops.SOCKETS)]
    assert handles == list(range(ops.SOCKETS))
    assert bench.ask(ops.SOCKET_CONNECT, struct.pack("<H", 80) + HOST.encode()) == b""


def test_names_take_their_time_and_addresses_none() -> None:
    bench = Bench()
    bench.network.names["office"] = HOST

    def lookup(name: bytes) -> tuple[int, bytes]:
        answer = bench.ask(ops.LOOKUP, name)
        return struct.unpack("<I", answer[:4])[0], answer[4:]

    assert lookup(b"office") == (20_000, HOST.encode()) and lookup(b"nobody") == (20_000, b"")
    bench.network.name_server = False
    assert lookup(b"office") == (5 * SECOND, b"") and lookup(HOST.encode()) == (0, HOST.encode())


def test_a_wait_may_be_interrupted_and_only_then_ends_early() -> None:
    timeline = Timeline()
    seen: list[int] = []

    def interrupt() -> None:
        seen.append(timeline.now)
        timeline.interrupt()

    timeline.at(10, interrupt)
    timeline.at(20, lambda: seen.append(timeline.now))
    timeline.run_until(100, may_stop=True)
    assert (timeline.now, seen) == (10, [10])
    timeline.at(15, timeline.interrupt)
    timeline.run_until(100)
    assert (timeline.now, seen) == (100, [10, 20])
