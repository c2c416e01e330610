"""Renders docs/rules.md from the firmware's own tables: `python -m tools.docs.rules_page`.

Owns the words between the tables and the causes of alarms; every row comes from the firmware's own data.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from firmware import config, lane, messages, policy, records

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"

HEAD = """\
# The rules as the gate applies them

Made from the tables in `firmware/policy.py`, `lane.py`, `config.py` and `messages.py` by
`python -m tools.docs.rules_page`; a test compares. Codes are those of journal records: they are never
changed, new ones are added at the end.
"""

IN_TEXT = """\
## A card at the entrance

The first row that applies gives the reason. Deny is the rule: only the rows at the end grant.
"""

OUT_TEXT = """\
## A card at the exit

Nobody is locked in: no window, list age, clock, occupancy, opening hour or lockdown is asked here. Every
denial calls the guard. While the gate is out of contact with the office for more than 10 s, at a site of
several gates, a position `outside` counts as unknown.
"""

NO_LIST_TEXT = """\
Without any list (none was ever applied, or both slots are damaged; an expired list is a list) these rows take
the place of the table above:
"""

OTHER_TEXT = """\
One reason comes from no row: `lane_busy` (a grant that waited for a busy lane until its card had left; deny).
`error` stands also for a decision that failed, or that the journal cannot take: denied at the entrance, open
at the exit with the position unknown; alarm `fault`.

A grant is *flagged* when the class has `antipassback: soft` and the position contradicts the direction. After
a grant the same card at the same reader is ignored for `repeat_s`; after a denial only while the reason stays
the same.
"""

LANE_TEXT = """\
## The lane

What happens in which state (`any`: where the state has no row of its own); what is not in the table changes
nothing (in `free`, taps and passages move nobody). What fell due comes first: without a passage until
`passage_s` is over the grant ends with `no_passage`, and the lane locks.
"""

ALARM_TEXT = """\
## Alarms

Each is journalled, and ends when its cause ends or the office acknowledges it.
"""

CLASS_TEXT = """\
## Classes

A class of the config with another name starts as `counted`, antipassback `hard`, and needs a `code` from 5 to
15. Every setting can be changed under `classes`.
"""

SITE_TEXT = """\
## Settings of a site

All keys of a gate's config; names and limits are checked when the gate starts, and an error names its field.
"""

WORDS_TEXT = """\
## Words

What people read. `{...}` is the site's own name for a place. Green cards are shown English first, all others
Indonesian. On the way out, "desk" becomes "guard".
"""

ALARM_CAUSES = {
    "forced": "a passage without an opening, or against one",
    "tailgate": "a passage without an opening within `tailgate_s` of a passage that locked the lane",
    "sensor_stuck": "a passage sensor on for 15 s; ends when it was quiet for 1 s",
    "fire": "the fire contact opened, or its wire broke; ends when it closes",
    "tamper": "the housing was opened; ends when it is closed",
    "clone": "",
    "unknown_exit": "",
    "companion_inside": "the last principal of a party left while a companion is inside",
    "still_inside": "people were inside at the daily reset",
    "double_entry": "entries at two gates without an exit between them",
    "card_storm": "10 decisions `unknown_card` or `random_uid` in 60 s",
    "reader_dead": "a reader chip does not answer, even if a reset cures it",
    "clock": "a source stepped the time back by more than 120 s",
    "list_stale": "the list expires in less than 2 h",
    "journal_90": "the journal is 90 % full of records that the office has not confirmed",
    "journal_lost": "a record was overwritten before the office confirmed it",
    "fault": "the table of positions is full of people inside, the journal cannot be written, or a part of "
    "the gate failed",
    "update_rejected": "an update was refused",
    "bundle_rejected": "a list was refused",
    "task_restart": "a task of the firmware failed and was started again",
    "safe_mode": "the firmware failed to start three times",
}

SITE_MEANINGS = {
    "site": "name of the office",
    "gate": "name of this gate",
    "board": "the board it runs on",
    "gates": "gates at this site",
    "utc_offset_min": "local time minus UTC, minutes",
    "min_tier": "what a card must prove, unless its class says otherwise",
    "occupancy_max": "counted cards inside; null = no limit",
    "opening_hours": 'null, or {"mon": ["07:30", "16:00"], ...}; a day that is missing is closed',
    "presence_reset": "local time of the daily reset; null = never",
    "repeat_s": "a card held longer is one tap",
    "companion_after_s": "how long a principal's grant lets a companion follow",
    "companions_max": "companions of a party inside at a time",
    "passage_s": "time to walk through",
    "tailgate_s": "a second passage within this is a tailgate",
    "pulse_ms": "length of a relay pulse",
    "passage_sensor": "false: the pulse counts as the passage",
    "rtc": "a battery-backed clock is fitted",
    "display": "the display on the I2C bus: `ssd1306` (128 x 64 points) or `hd44780` (2 x 16 characters)",
    "poll_ms": "how often a reader looks for cards",
    "positions_max": "cards whose position is kept",
    "network": "how the office is reached, an object; null = the gate stands alone",
}

NETWORK_MEANINGS = {
    "broker": "name or address of the office's broker",
    "port": "null = 8883, without TLS 1883",
    "tls": "how the connection is protected",
    "keepalive_s": "how often a silent connection shows that it lives",
    "sntp": "a time server that is believed though it proves nothing; null = none",
    "wifi": 'the network to join, `{"ssid": ..., "password_key": ...}` (docs/provisioning.md); null = none',
    "ethernet": "the board's Ethernet is used; not beside `wifi`",
}

PLACE_MEANING = 'how the site calls it: a text, or {"id": ..., "en": ...}'


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table with a blank line after it."""
    lines = [list(header), ["---"] * len(list(header)), *[[str(cell) for cell in row] for row in rows]]
    return "".join("| %s |\n" % " | ".join(line) for line in lines) + "\n"


def words(function: Callable[..., object]) -> str:
    """Return the docstring of a predicate or handler on one line."""
    return re.sub(r"\s+", " ", function.__doc__ or "").strip()


def code(name: str) -> str:
    """Return `name` as code; nothing for an empty one."""
    return "`%s`" % name if name else ""


def decisions(rows: Iterable[tuple]) -> str:
    """Return the table of the decision rows of one direction."""
    return table(
        ("reason", "decision", "when", "alarm"),
        (
            (code(reason), "grant" if allow else "deny", words(applies), code(alarm))
            for reason, allow, alarm, applies in rows
        ),
    )


def lane_rows() -> str:
    """Return the table (state, event) of the lane."""
    return table(
        ("state", "event", "what happens"),
        ((code(state), code(event), words(handler)) for (state, event), handler in lane.STEPS.items()),
    )


def alarms() -> str:
    """Return the table of alarms: code, name, cause."""
    by_alarm: dict[str, list[str]] = {}
    for direction, rows in policy.ROWS.items():
        for reason, _, alarm, _ in rows:
            text = "%s (%s)" % (code(reason), direction)
            if alarm and text not in by_alarm.setdefault(alarm, []):
                by_alarm[alarm].append(text)
    rows = []
    for number, name in enumerate(policy.ALARMS[1:], 1):
        causes = [ALARM_CAUSES[name]] if ALARM_CAUSES[name] else []
        if name in by_alarm:
            causes.append("a decision " + ", ".join(by_alarm[name]))
        rows.append((number, code(name), "; ".join(causes)))
    return table(("code", "alarm", "cause"), rows)


def classes() -> str:
    """Return the table of the classes with all their settings, as an empty config gives them."""
    site = config.parse({"site": "x", "gate": "x", "board": "x"})
    rules = [rule for rule in site.classes if rule]
    rows = []
    for key in (row[0] for row in config.CLASS_KEYS):
        values = [getattr(rule, key) for rule in rules]
        if key == "min_tier":
            values = ["of the site"] * len(rules)
        rows.append((code(key), *[shown(value) for value in values]))
    return table(("setting", *[rule.name for rule in rules]), rows)


def shown(value: object) -> str:
    """Return a setting as the config writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings() -> str:
    """Return the table of the keys of a config."""
    rows = []
    keys = cast("tuple[tuple[Any, ...], ...]", config.KEYS)
    network = cast("tuple[tuple[Any, ...], ...]", config.NETWORK_KEYS)
    meanings = SITE_MEANINGS | {"network." + key: NETWORK_MEANINGS[key] for key in NETWORK_MEANINGS}
    for key, default, _, *limits in (*keys, *(("network." + row[0], *row[1:]) for row in network)):
        given = "required" if default is config.KEYS[0][1] else shown(default)
        if key == "min_tier":
            given, limits = records.TIERS[default], [", ".join(records.TIERS)]
        elif key == "presence_reset":
            given = '"%02d:%02d"' % divmod(default, 60)
        bounds = "%s to %s" % tuple(limits) if len(limits) == 2 else shown(limits[0]) if limits else ""
        if key == "network.tls":
            bounds = ", ".join(limits[0])
        elif key == "network.broker":
            bounds = "up to %d characters" % limits[0]
        elif key == "board":
            bounds = "up to %s characters" % bounds
        rows.append((code(key), given, bounds, meanings[key]))
    for place, names in messages.PLACES.items():
        rows.append((code(place), " / ".join(names), "up to 40 characters", PLACE_MEANING))
    return table(("key", "default", "limits", "meaning"), rows)


def sentences() -> str:
    """Return the table of what people read, with the codes of the reasons."""
    rows = []
    for number, reason in enumerate(policy.REASONS[1:], 1):
        for language in messages.LANGUAGES:
            text = messages.text(reason, "", language)
            first = (str(number), code(reason)) if language == "id" else ("", "")
            rows.append((*first, text.sentence, "%s / %s" % (text.line1, text.line2)))
    return table(("code", "reason", "sentence", "display"), rows)


def render() -> str:
    """Return the page."""
    parts = [
        HEAD,
        IN_TEXT,
        decisions(policy.ROWS["in"]),
        OUT_TEXT,
        decisions(policy.ROWS["out"]),
        NO_LIST_TEXT,
        decisions(policy.ROWS[None]),
        OTHER_TEXT,
        LANE_TEXT,
        lane_rows(),
        ALARM_TEXT,
        alarms(),
        CLASS_TEXT,
        classes(),
        SITE_TEXT,
        settings(),
        WORDS_TEXT,
        sentences(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
