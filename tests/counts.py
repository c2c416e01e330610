"""How many random cases a test runs, and from which seed.

Reduced counts are the default; `make test-full` sets PINTER_FULL=1. PINTER_SEED gives another seed; the
header of every test run prints both.
"""

import os

FULL = os.environ.get("PINTER_FULL") == "1"
SEED = int(os.environ.get("PINTER_SEED", "20260101"))


def count(reduced: int, full: int) -> int:
    """Return `full` under `make test-full`, else `reduced`."""
    return full if FULL else reduced


EXAMPLES = count(50, 1000)  # per hypothesis test


def describe() -> str:
    """Return the line that the header of a test run shows."""
    return "counts: %s (%d examples per property), seed %d" % ("full" if FULL else "reduced", EXAMPLES, SEED)
