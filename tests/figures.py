"""Writes docs/figures.json: what was measured, by which command, at which commit; one object for each figure.

Owns the form of the file. It measures nothing.
"""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures.json"


def commit() -> str:
    """Return the short hash of the commit that is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def record(
    name: str,
    value: float,
    unit: str,
    limit: float | None,
    target: float | None,
    command: str,
    at: str | None = None,
) -> None:
    """Put the figure `name` into the file, in the place of an earlier one of that name.

    `at`: the commit that was measured, if it may no longer be the one that is checked out.
    """
    rows = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else []
    row = {
        "name": name,
        "value": value,
        "unit": unit,
        "limit": limit,
        "target": target,
        "command": command,
        "commit": at or commit(),
    }
    names = [other["name"] for other in rows]
    if name in names:
        rows[names.index(name)] = row
    else:
        rows.append(row)
    FIGURES.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
