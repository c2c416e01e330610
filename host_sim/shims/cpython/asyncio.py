"""MicroPython's asyncio, as far as the firmware uses it, on CPython: tasks on integer milliseconds.

CPython's own loop orders tasks by real-number time and needs several turns for what MicroPython does in one;
this one follows MicroPython's documented behaviour, so that both runtimes run the same tasks in the same
order.
"""

import select
import time

import _world
from _tasks import BaseTask, TaskQueue


class CancelledError(BaseException):
    """Raised in a task that is cancelled."""


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


def create_task(coro):
    task = Task(coro)
    _queue.push(task)
    return task


class _IOQueue:
    """Tasks that wait until a socket can be read (0) or written (1)."""

    def __init__(self):
        self._poller = select.poll()
        self._waiting = {}  # id of a socket -> [reader, writer, socket]

    def enqueue(self, sock, index):
        entry = self._waiting.setdefault(id(sock), [None, None, sock])
        entry[index] = _current
        self._watch(entry)
        _current.data = self

    def _watch(self, entry):
        flags = (select.POLLIN if entry[0] else 0) | (select.POLLOUT if entry[1] else 0)
        if flags:
            self._poller.register(entry[2], flags)
        else:
            self._forget(entry[2])

    def _forget(self, sock):
        del self._waiting[id(sock)]
        self._poller.unregister(sock)

    def remove(self, task):
        for entry in list(self._waiting.values()):
            if task in entry[:2]:
                self._forget(entry[2])

    def wait(self, ms):
        for sock, events in self._poller.ipoll(ms):
            entry = self._waiting[id(sock)]
            for index, flag in enumerate((select.POLLIN, select.POLLOUT)):
                if events & flag and entry[index]:
                    _queue.push(entry[index])
                    entry[index] = None
            self._watch(entry)


_io = _IOQueue()


class _Ready:
    def __init__(self, sock, index):
        self._sock, self._index = sock, index

    def __await__(self):
        _io.enqueue(self._sock, self._index)
        yield


class StreamReader:
    """A connection, read and written by tasks."""

    def __init__(self, s):
        self.s = s
        self.out_buf = b""

    async def readinto(self, into):
        await _Ready(self.s, 0)
        return self.s.readinto(into)

    async def drain(self):
        if not self.out_buf:
            await sleep_ms(0)
        sent = 0
        while sent < len(self.out_buf):
            await _Ready(self.s, 1)
            sent += self.s.write(self.out_buf[sent:]) or 0
        self.out_buf = b""


def run(coro):
    """Run `coro` and the tasks that it creates until it ends; return its value."""
    global _current
    main = create_task(coro)
    while True:
        wait_ms = 1
        while wait_ms > 0:
            task = _queue.peek()
            if task is None:
                return None
            wait_ms = max(0, time.ticks_diff(task.ph_key, time.ticks_ms()))
            _io.wait(wait_ms)
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
