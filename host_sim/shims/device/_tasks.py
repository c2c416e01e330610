"""The order of asyncio tasks in virtual time, the same on both runtimes.

The interpreter's own queue stamps "run now" with the machine's uptime, whatever `time` says; this one knows
virtual time only. Tasks due in the same millisecond run in the order in which they were scheduled.
"""

import time

import _world


class TaskQueue:
    """A queue of tasks ordered by `ph_key` (ticks_ms); the loop's own queue charges a wake for each `pop`."""

    def __init__(self):
        self._tasks = []
        self.wake_us = 0

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def push(self, task, key=None):
        task.data = None
        task.ph_key = time.ticks_ms() if key is None else key
        tasks = self._tasks
        at = len(tasks)
        while at and time.ticks_diff(tasks[at - 1].ph_key, task.ph_key) > 0:
            at -= 1
        tasks.insert(at, task)

    def pop(self):
        _world.now_us += self.wake_us
        return self._tasks.pop(0)

    def remove(self, task):
        self._tasks.remove(task)


class BaseTask:
    """What is common to tasks of both runtimes; `queue()` and `current()` come from the runtime."""

    def __init__(self, coro):
        self.coro = coro
        self.data = None
        self.state = True  # True: running; a TaskQueue: running, awaited; False / None: done
        self.ph_key = 0

    def start_waiting(self):
        """Somebody awaits this task."""
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("task has a completion callback")

    def park(self, waiter):
        """Put `waiter` among those that this running task wakes when it ends."""
        self.state.push(waiter)
        waiter.data = self

    def done(self):
        return not self.state

    def cancel_in(self, queue, current, error):
        """Make this task run next with `error`; False if it is done."""
        if not self.state:
            return False
        if self is current:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, BaseTask):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            queue.push(task)
        elif time.ticks_diff(task.ph_key, time.ticks_ms()) > 0:
            queue.remove(task)
            queue.push(task)
        task.data = error
        return True
