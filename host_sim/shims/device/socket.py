"""`socket` in virtual time: TCP and UDP clients that never block, over the network of the world."""

import errno
import struct

import _ops
import _threads
import _world

AF_INET, SOCK_STREAM, SOCK_DGRAM = 2, 1, 2
_CHUNK = 1024  # as much travels in one message
_NO_NAME = -202  # what lwIP says


class socket:
    """A TCP or UDP socket. Non-blocking whatever `setblocking` says: nothing in the firmware may block."""

    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0):
        self._handle = None
        self._type = type
        self.handshake_us = 0  # what the first write costs: see _tls

    def setblocking(self, flag):
        if flag:
            raise OSError(errno.EINVAL, "blocking")

    def connect(self, address):
        host, port = address
        is_stream = self._type == SOCK_STREAM
        op = _ops.SOCKET_CONNECT if is_stream else _ops.SOCKET_DATAGRAMS
        answer = _world.ask(op, struct.pack("<H", port) + host.encode())
        if not answer:
            raise OSError(errno.ENOMEM, "no socket left")
        self._handle = answer[0]
        if is_stream:
            raise OSError(errno.EINPROGRESS, "connecting")

    def ready_bits(self, readable, writable):
        """Return the bits of this socket in `_world.ready`."""
        if self._handle is None:
            return 0
        return (bool(readable) | bool(writable) << 1) << 2 * self._handle

    def _ask(self, op, payload):
        if self._handle is None:
            raise OSError(errno.ENOTCONN, "not connected")
        answer = _world.ask(op, bytes((self._handle,)) + payload)
        if answer[0] == _ops.SOCKET_AGAIN:
            return None
        if answer[0]:
            raise OSError(answer[0], "connection lost")
        return answer

    def read(self, n=-1):
        answer = self._ask(_ops.SOCKET_RECV, struct.pack("<H", _CHUNK if n < 0 else min(n, _CHUNK)))
        return None if answer is None else bytes(answer[1:])

    recv = read

    def readinto(self, into):
        data = self.read(len(into))
        if data is None:
            return None
        into[: len(data)] = data
        return len(data)

    def write(self, data):
        answer = self._ask(_ops.SOCKET_SEND, bytes(data[:_CHUNK]))
        if answer is None:
            return None
        _world.spend(self.handshake_us)
        self.handshake_us = 0
        return answer[1] | answer[2] << 8

    send = write

    def close(self):
        if self._handle is not None:
            _world.post(_ops.SOCKET_CLOSE, bytes((self._handle,)))
            _world.ready &= ~(3 << 2 * self._handle)
            self._handle = None


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    answer = _world.ask(_ops.LOOKUP, host.encode())
    delay_us = struct.unpack("<I", answer[:4])[0]
    _threads.block(delay_us)
    if len(answer) == 4:
        raise OSError(_NO_NAME, "no such name")
    return [(AF_INET, type or SOCK_STREAM, 0, "", (bytes(answer[4:]).decode(), port))]
