"""Stands in for `_thread`: a thread whose only work is to wait for one blocking call beside everything else.

A thread's function is run until it blocks, and once more from its beginning when the wait is over; so it may
block once, and must not do anything before that. That is all that the firmware's threads do.
"""

import _world

_tasks = []
_over = None  # None: no thread runs; else whether its wait is over


class _Blocked(BaseException):
    pass


def start_new_thread(function, arguments):
    import asyncio

    _tasks.append(asyncio.create_task(_run(asyncio.sleep_ms, function, arguments)))


async def _run(sleep_ms, function, arguments):
    delay_us = _attempt(function, arguments, False)
    if delay_us is not None:
        await sleep_ms((delay_us + 999) // 1000)
        _attempt(function, arguments, True)
    _tasks.pop(0)


def _attempt(function, arguments, over):
    global _over
    _over = over
    try:
        function(*arguments)
    except _Blocked as blocked:
        return blocked.args[0]
    finally:
        _over = None


def block(us):
    """Wait for `us`: in a thread beside everything else, otherwise with everything else."""
    if _over is None:
        _world.sleep_until(_world.now_us + us)
    elif not _over:
        raise _Blocked(us)
