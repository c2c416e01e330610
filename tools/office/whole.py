"""Files that are there whole or as they were: keys, passwords, tokens, lists, the pool."""

import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path`: the file there is the old one or the new one, never half. Raises OSError.

    `mode`: who may read it; its owner only, unless said otherwise.
    """
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
