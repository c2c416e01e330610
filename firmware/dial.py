"""How a connection to the broker begins: Wi-Fi or Ethernet, the name, TCP, TLS, and the packet CONNECT.

Owns sockets before they are open, and whom TLS trusts. The name is resolved in a thread, and no socket ever
blocks. A part of link.py, apart so that it is loaded for each attempt only.
"""

import _thread
import asyncio
import socket
from time import ticks_diff, ticks_ms

from micropython import const

from . import release
from .mqtt import MQTTError
from .mqtt_connect import connect, subscribe

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .link import Link

_NAME_MS = const(3900)
_LOOKUP_MS = const(500)  # then the address of last time must do


async def dial(link: "Link") -> None:
    """Find the broker of `link` and begin to connect: makes `_socket`, `_stream` and `_subscribe` for it.

    Raises MQTTError without a network, or if the name is not known in time; ConfigError, OSError.
    """
    network, name = link._network, link._name
    if not link._interface and (network.wifi or network.ethernet):
        from .interface import fit

        release("interface")
        link._interface = fit(link._gate.hardware.board, network)
    if link._interface and link._interface.why:
        raise MQTTError(link._interface.why)
    if link._found:
        # In a thread: a name server that does not answer would block everything else.
        found = []
        _thread.start_new_thread(_look_up, (network.broker, network.port, found))
        link._found = found
    limit_ms = _LOOKUP_MS if link._address else _NAME_MS
    while not link._found and ticks_diff(ticks_ms(), link._heard) < limit_ms:
        await link._turn()
    link._address = address = (link._found and link._found[0]) or link._address
    if not address:
        raise MQTTError("no address")
    link._socket = plain = socket.socket(address[0], address[1], address[2])
    plain.setblocking(False)
    try:
        plain.connect(address[-1])
    except OSError:
        pass  # EINPROGRESS; anything else shows at the first write
    user = password = None
    if network.tls != "none":
        user = name
        if network.tls == "ca":
            password = link._secret.hex()
        link._socket = _context(network.tls, name, link._secret).wrap_socket(
            plain, server_hostname=network.broker, do_handshake_on_connect=False
        )
    link._stream = asyncio.StreamReader(link._socket)
    # Written when the connection is there: `drain` waits for that, and for the TLS handshake.
    link._stream.out_buf = connect(
        name.replace("/", "-"),
        network.keepalive_s,
        user,
        password,
        (link._topic + "status", b'{"online": false}', 1, True),
    )
    link._subscribe = subscribe(1, link._topic + "down", 1)


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
