"""Examines the way from a gate to its broker: the interface, the name, the port.

Sent to the board by the technician's tool and never resident. TLS and the broker's answer are the link's own
affair: what it said last is in the gate's report. Findings are those of doctor.py.
"""

import socket
from time import sleep_ms, ticks_diff, ticks_ms

from micropython import const

from .errors import ConfigError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .config import Network

OK, WARNING, ERROR = 0, 1, 2
_JOIN_MS = const(20000)
_CONNECT_S = const(5)


def network(board, settings: "Network") -> list:
    """Return the findings on interface and broker of `settings`; takes up to 30 s."""
    found = []
    if settings.wifi or settings.ethernet:
        from .interface import fit

        try:
            way = fit(board, settings)
        except (ConfigError, OSError) as error:
            return [("network", ERROR, "network_none", str(error))]
        began = ticks_ms()
        waited = 0
        while way.why and waited < _JOIN_MS:
            way.poll(waited)
            sleep_ms(50)
            waited = ticks_diff(ticks_ms(), began)
        if way.why:
            return [("network", ERROR, "network_down", way.why)]
        found.append(("network", OK, "network_up", "Wi-Fi" if settings.wifi else "Ethernet"))
    try:
        address = socket.getaddrinfo(settings.broker, settings.port, 0, socket.SOCK_STREAM)[0]
    except OSError:
        return found + [("broker", ERROR, "broker_name", settings.broker)]
    client = socket.socket(address[0], address[1], address[2])
    try:
        client.settimeout(_CONNECT_S)
        client.connect(address[-1])
    except OSError as error:
        return found + [("broker", ERROR, "broker_refused", settings.broker, settings.port, str(error))]
    finally:
        client.close()
    return found + [("broker", OK, "broker_ok", settings.broker, settings.port)]
