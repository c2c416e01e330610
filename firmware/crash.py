"""What is kept of a fault: its text, and the journal record that stands for it.

The text begins with a line "task NAME, cause N, uptime N s, free N bytes" (cause: of the reset before; free:
of the heap), then comes the traceback, cut at its front. The record has what fits: the task as `reason`, the
cause as `cls`, and in `key` the uptime (u32) and the free bytes (u32). Layouts: docs/formats.md.
"""

import struct

# Index = reason of a record of the type `crash`; append only.
TASKS = (
    "",
    "start",
    "inputs",
    "reader in",
    "reader out",
    "housekeeping",
    "link",
    "sntp",
    "display",
    "expander",
)


def facts(text: str) -> "tuple[str, int, int, int]":
    """Return (task, cause, uptime in s, free bytes) of a text. Raise ValueError if it is none."""
    words = text.split("\n")[0].split(", ")
    if len(words) != 4 or not words[0].startswith("task "):
        raise ValueError("no text of a fault: %s" % words[0])
    cause, uptime_s, free = [int(word.split(" ")[1]) for word in words[1:]]
    return words[0][5:], cause, uptime_s, free


def fields(text: str) -> "tuple[int, int, bytes]":
    """Return (reason, cls, key) of the record that stands for a text. Raise ValueError if it is none."""
    task, cause, uptime_s, free = facts(text)
    return TASKS.index(task) if task in TASKS else 0, cause & 15, struct.pack(">II", uptime_s, free)


def of_record(reason: int, cls: int, key) -> "tuple[str, int, int, int]":
    """Return what `facts` says, as far as a record tells it; a task of a later version is ""."""
    uptime_s, free = struct.unpack(">II", key)
    return TASKS[reason] if reason < len(TASKS) else "", cls, uptime_s, free
