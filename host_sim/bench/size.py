"""How large the firmware is that stays loaded, compiled as for the board, beside its limits.

Owns the sums and their limits; which modules stay loaded says the table that the tests hold.
"""

import dataclasses
import tempfile
from pathlib import Path

from tests import budgets
from tools import mpy

_ARCH = "xtensawin"  # of the ESP32's native code
# name, kinds of `Budget.resident`, limit and target in bytes
_SUMS = (
    ("card tier uid, without a network", (True,), 42_000, 36_000),
    ("card tier uid, with a network", (True, budgets.NETWORK), None, None),
    ("cards prove (tier aes), without a network", (True, budgets.AES), 50_000, 42_000),
    ("cards prove (tier aes), with a network", (True, budgets.NETWORK, budgets.AES), 50_000, None),
)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One sum; `limit` and `target` in the same unit, None = there is none."""

    name: str
    value: float
    unit: str
    limit: float | None
    target: float | None


def measure() -> list[Figure]:
    """Compile every module and return the sums. Raises mpy.CompileError."""
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in mpy.sources():
            module = path.relative_to(mpy.FIRMWARE).with_suffix("").as_posix()
            sizes[module] = mpy.compile_file(path, Path(folder) / "module.mpy", _ARCH)
    return [
        Figure(name, budgets.resident(sizes, *kinds), "bytes", limit, target)
        for name, kinds, limit, target in _SUMS
    ]


def over(figures: list[Figure]) -> list[str]:
    """Return a line for each sum over its limit."""
    return [
        "%s: %d bytes, limit %d" % (figure.name, figure.value, figure.limit)
        for figure in figures
        if figure.limit is not None and figure.value > figure.limit
    ]
