"""MicroPython's asyncio, as far as the firmware uses it, on CPython: tasks on integer milliseconds.

CPython's own loop orders tasks by real-number time and needs several turns for what MicroPython does in one;
this one follows MicroPython's documented behaviour, so that both runtimes run the same tasks in the same
order.
"""

import time

import _world
from _tasks import BaseTask, TaskQueue


class CancelledError(BaseException):
    """Raised in a task that is cancelled."""


class TimeoutError(Exception):
    """Raised by `wait_for`."""


_queue = TaskQueue()
_queue.wake_us = _world.WAKE_US
_current = None


class Task(BaseTask):
    """A task; `await task` waits for its end and returns its value or raises what it died of."""

    def __await__(self):
        self.start_waiting()
        while self.state:
            self.park(_current)
            yield
        if isinstance(self.data, StopIteration):
            return self.data.value
        if self.data is not None:
            raise self.data

    def cancel(self):
        return self.cancel_in(_queue, _current, CancelledError)


class _Sleep:
    def __init__(self, until):
        self._until = until

    def __await__(self):
        _queue.push(_current, self._until)
        yield


def sleep_ms(ms):
    return _Sleep(time.ticks_add(time.ticks_ms(), max(0, ms)))


def sleep(s):
    return sleep_ms(int(s * 1000))


def current_task():
    return _current


def create_task(coro):
    task = Task(coro)
    _queue.push(task)
    return task


class Event:
    """A flag that tasks wait for."""

    def __init__(self):
        self.state = False
        self.waiting = TaskQueue()

    def is_set(self):
        return self.state

    def set(self):
        while self.waiting.peek():
            _queue.push(self.waiting.pop())
        self.state = True

    def clear(self):
        self.state = False

    async def wait(self):
        if not self.state:
            self.waiting.push(_current)
            _current.data = self.waiting
            await _Never()
        return True


class _Never:
    def __await__(self):
        yield


def run(coro):
    """Run `coro` and the tasks that it creates until it ends; return its value."""
    global _current
    main = create_task(coro)
    while True:
        task = _queue.peek()
        if task is None:
            return None
        while (wait_ms := time.ticks_diff(task.ph_key, time.ticks_ms())) > 0:
            _world.sleep_until(_world.grained(_world.now_us + wait_ms * 1000))
            task = _queue.peek()
        _current = task = _queue.pop()
        try:
            error = task.data
            if error is None:
                task.coro.send(None)
            else:
                task.data = None
                task.coro.throw(error)
        except (StopIteration, CancelledError, Exception) as ended:
            if task is main:
                if isinstance(ended, StopIteration):
                    return ended.value
                raise
            _end(task, ended)


def _end(task, ended):
    waiters, task.data = task.state, ended
    task.state = None
    if isinstance(waiters, TaskQueue):
        task.state = False
        while waiters.peek():
            _queue.push(waiters.pop())
    elif not isinstance(ended, (StopIteration, CancelledError)):
        print("Task exception wasn't retrieved:", repr(ended))
