"""Runs before `main.py`, as on a board; the CPython twin of the MicroPython runtime's `boot`."""

import sys

import _ops
import _threads
import _tls
import _world

sys.modules["_thread"] = _threads
sys.modules["tls"] = _tls

_world.probes[_ops.PROBE_STATUS] = lambda: sys.modules["main"].gate.status()
_world.probes[_ops.PROBE_HEAP] = lambda: {"alloc": 0, "free": 0}

import main
