"""Renders the tables of docs/technician.md: `python -m tools.docs.technician_page`.

Owns which lamp and display text a visitor gets for which reason, put together from the firmware's own tables.
The rest of the page is written by hand; what stands between the marks is made here.
"""

import re
from pathlib import Path

from firmware import messages, policy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "technician.md"
START = "<!-- made by python -m tools.docs.technician_page, start -->"
END = "<!-- made by python -m tools.docs.technician_page, end -->"


def reasons() -> str:
    """Return a row for each reason: where it comes, what lamp and buzzer do, the lines of the display."""
    rows = [
        "| reason | at | lamp and buzzer | display, Indonesian | display, English |",
        "|---|---|---|---|---|",
    ]
    for reason in policy.REASONS[1:]:
        for way in ("in", "out"):
            if not _comes(reason, way):
                continue
            shown = [messages.text(reason, "", language, None, way) for language in messages.LANGUAGES]
            lines = " | ".join(f"{text.line1} / {text.line2}" for text in shown)
            rows.append(f"| `{reason}` | {way} | {pattern(reason, way)} | {lines} |")
    return "\n".join(rows) + "\n"


def pattern(reason: str, way: str) -> str:
    """Return the name of the pattern (drivers/feedback.py) that a decision for `reason` plays."""
    if any(row[0] == reason and row[1] for row in policy.ROWS[way]) or policy.error(way)[:2] == (
        True,
        reason,
    ):
        return "grant"
    return "deny" if way == "in" else "call_guard"


def _comes(reason: str, way: str) -> bool:
    if reason in ("lane_busy", "error"):
        return True
    return any(row[0] == reason for row in policy.ROWS[way])


def render(text: str) -> str:
    """Return the page `text` with its table made anew."""
    made = f"{START}\n{reasons()}{END}"
    return re.sub(re.escape(START) + ".*?" + re.escape(END), lambda _: made, text, flags=re.DOTALL)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
