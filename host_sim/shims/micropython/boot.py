"""Runs before `main.py`, as on a board: puts the stand-ins in place, then starts the unmodified `main.py`."""

import gc
import sys

import _ops
import _threads
import _tls
import _virtual_asyncio  # before asyncio: see there
import _world


class _GC:
    """`gc` with the time that a collection takes on the board."""

    mem_alloc, mem_free, threshold = gc.mem_alloc, gc.mem_free, gc.threshold

    @staticmethod
    def collect():
        _world.spend(_world.GC_US)
        gc.collect()


def _heap():
    gc.collect()
    return {"alloc": gc.mem_alloc(), "free": gc.mem_free()}


sys.modules["gc"] = _GC
sys.modules["_thread"] = _threads
sys.modules["tls"] = _tls
_world.probes[_ops.PROBE_STATUS] = lambda: sys.modules["main"].gate.status()
_world.probes[_ops.PROBE_HEAP] = _heap

import asyncio.core

asyncio.core._task_queue.wake_us = _world.WAKE_US

import main
