"""Files that only their owner may read: keys, passwords, tokens, and what lies beside them."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file for this user only; it is there whole, or as it was. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
