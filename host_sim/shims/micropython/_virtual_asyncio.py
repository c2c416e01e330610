"""Stands in for the interpreter's `_asyncio`, so that its unmodified asyncio runs in virtual time.

Must be imported before `asyncio`, which finds it in `sys.modules`.
"""

import sys

from _tasks import BaseTask, TaskQueue


class Task(BaseTask):
    """A task; `core` holds the globals of `asyncio.core`."""

    def __init__(self, coro, core):
        super().__init__(coro)
        self._core = core

    def __iter__(self):
        self.start_waiting()
        return self

    def __next__(self):
        if self.state:
            self.park(self._core["cur_task"])
        elif self.data is not None:
            raise self.data

    def cancel(self):
        core = self._core
        return self.cancel_in(core["_task_queue"], core["cur_task"], core["CancelledError"])


class _Module:
    pass


_Module.TaskQueue = TaskQueue
_Module.Task = Task
sys.modules["_asyncio"] = _Module
