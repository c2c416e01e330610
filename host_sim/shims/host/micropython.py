"""What the firmware uses of MicroPython's `micropython` module, for CPython."""


def const(value):
    """Return `value`; mpy-cross folds it at compile time."""
    return value


def native(function):
    """Return `function`; the native emitter exists on boards only."""
    return function


viper = native


def heap_lock():
    """Do nothing: CPython cannot forbid allocation."""


def heap_unlock():
    """Do nothing: see `heap_lock`."""


def opt_level(level=None):
    """Return the optimisation level that keeps assertions."""
    return 0
