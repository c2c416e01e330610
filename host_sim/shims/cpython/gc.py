"""`gc` with the time that a collection takes on the board; CPython needs none of it."""

import _world


def collect():
    _world.spend(_world.GC_US)


def mem_alloc():
    return 0


def mem_free():
    return 1 << 20


def threshold(amount=None):
    return -1
