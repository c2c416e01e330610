"""Why a tap was decided as it was: the rows of its direction in order, with the values that each looked at.

Owns the words for the values; the rows and what they mean are `firmware.policy`'s, which it watches from
outside while the firmware runs on CPython. It changes no decision.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any

from firmware import records


@dataclasses.dataclass(frozen=True)
class Row:
    """One row that was looked at: its reason, the predicate's name, whether it applied, and what it saw."""

    reason: str
    predicate: str
    applied: bool
    values: str


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One decision: reader `direction`, card `key` (None: no single card), and the rows down to the one
    that gave it.
    """

    direction: str
    key: bytes | None
    allow: bool
    reason: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Case:
    """What the predicates of one tap look at."""

    site: Any
    tap: Any
    presence: Any
    rule: Any
    position: str


def clock(case: Case, unix: int) -> str:
    """Return a Unix time as local HH:MM:SS, with the date if it is another day than the tap's."""
    local, today = unix + case.site.utc_offset_min * 60, case.tap.now + case.site.utc_offset_min * 60
    text = "%02d:%02d:%02d" % (local // 3600 % 24, local // 60 % 60, local % 60)
    return (
        text if local // 86400 == today // 86400 else "%s (%+d d)" % (text, local // 86400 - today // 86400)
    )


def _hours(case: Case) -> str:
    if case.tap.mode != "normal" or not case.site.opening_hours:
        return "mode %s" % case.tap.mode
    day = (case.tap.now // 60 + case.site.utc_offset_min) // 1440
    hours = case.site.opening_hours[(day + 3) % 7]
    text = (
        "%02d:%02d-%02d:%02d" % (*divmod(hours[0], 60), *divmod(hours[1], 60)) if hours else "closed all day"
    )
    return "mode normal, now %s, open %s" % (clock(case, case.tap.now), text)


def _window(case: Case, text: str) -> str:
    if case.tap.credential.untimed:
        return "no window"
    return "now %s, %s" % (clock(case, case.tap.now), text)


def _early(case: Case) -> str:
    if case.tap.credential.untimed:
        return "no window"
    begin = records.from_unix(case.tap.credential)
    return _window(case, "from %s - early_min %d" % (clock(case, begin), case.rule.early_min))


def _late(case: Case) -> str:
    if case.tap.credential.untimed:
        return "no window"
    entered = _entered(case)
    name = "reentry_min" if entered else "late_min"
    until = clock(case, records.until_unix(case.tap.credential))
    return _window(
        case,
        "until %s + %s %d%s" % (until, name, getattr(case.rule, name), ", entered before" if entered else ""),
    )


def _entered(case: Case) -> bool:
    credential = case.tap.credential
    since = 0 if credential.untimed else records.from_unix(credential) - case.rule.early_min * 60
    return case.presence.visit_entered(case.tap.key, credential.party, since)


def _tiers(case: Case) -> str:
    needed = max(case.tap.credential.tier, case.rule.min_tier)
    keys = ", keys on the list" if case.tap.has_keys else ""
    return "proved %s, needs %s%s" % (records.TIERS[case.tap.tier], records.TIERS[needed], keys)


def _list(case: Case) -> str:
    if not case.tap.list_valid:
        return "no list"
    grace = " + %d h" % case.rule.staff_grace_h if case.rule and case.rule.exempt else ""
    return "now %s, expires %s%s" % (clock(case, case.tap.now), clock(case, case.tap.list_expires), grace)


def _principal(case: Case) -> str:
    if not case.rule.needs_principal:
        return "class %s needs none" % case.rule.name
    party = case.tap.credential.party
    found = case.presence.principal_in(party, case.tap.now, case.site.companion_after_s)
    return "party %d, principal %s" % (
        party,
        "inside or entering" if found else "neither inside nor entering",
    )


def _companions(case: Case) -> str:
    if not case.rule.needs_principal:
        return "class %s is no companion" % case.rule.name
    others = case.presence.companions(case.tap.credential.party, case.tap.key)
    return "%d other companions, companions_max %d" % (others, case.site.companions_max)


def _occupancy(case: Case) -> str:
    limit = case.site.occupancy_max
    return "%d others, occupancy_max %s" % (
        case.presence.occupancy(case.tap.key),
        "none" if limit is None else limit,
    )


# Predicate of firmware.policy -> the values that it looks at, in words. A test checks that none is missing.
VALUES: Mapping[str, Callable[[Case], str]] = {
    "free": lambda c: "mode %s" % c.tap.mode,
    "gate_closed": _hours,
    "several_cards": lambda c: "reader says %s" % (c.tap.verdict or "one card"),
    "random_uid": lambda c: "reader says %s" % (c.tap.verdict or "one card"),
    "card_not_authentic": lambda c: "reader says %s" % (c.tap.verdict or "one card"),
    "copied": lambda c: (
        "%s keys on the list, proved %s"
        % (
            "has" if c.tap.has_keys else "no",
            records.TIERS[c.tap.tier],
        )
    ),
    "unknown_card": lambda c: "on the list" if c.tap.credential else "not on the list",
    "stranger": lambda c: "%s, %s" % ("on the list" if c.tap.credential else "not on the list", c.position),
    "revoked": lambda c: "blocked" if c.tap.credential.blocked else "not blocked",
    "classless": lambda c: "class %s" % (c.rule.name if c.rule else "unknown"),
    "weak_card": _tiers,
    "weak_keyed": _tiers,
    "list_expired": _list,
    "clock_untrusted": lambda c: "time %s" % ("trusted" if c.tap.trusted else "not trusted"),
    "too_early": _early,
    "too_late": _late,
    "passback": lambda c: "%s, antipassback %s" % (c.position, c.rule.antipassback if c.rule else "hard"),
    "principal_absent": _principal,
    "companion_limit": _companions,
    "room_full": _occupancy,
    "lane_fault": lambda c: "lane in fault" if c.tap.lane_fault else "lane works",
    "reentry": lambda c: "entered before in this visit" if _entered(c) else "no entry in this visit",
    "exit_unrecorded": lambda c: "position %s" % c.position,
    "exit_late": lambda c: (
        _window(c, "until %s" % clock(c, records.until_unix(c.tap.credential)))
        if c.tap.trusted
        else "time not trusted"
    ),
    "ok": lambda c: "nothing else applies",
}


def explanation(policy: types.ModuleType, site: Any, tap: Any, presence: Any, decision: Any) -> Explanation:
    """Return why `policy` came to `decision` for `tap`; nothing is changed."""
    case = Case(site, tap, presence, *policy.case(site, tap, presence))
    rows = []
    for reason, _, _, predicate in policy.ROWS[
        tap.direction if tap.list_valid or tap.direction == "in" else None
    ]:
        name = predicate.__name__
        applied = bool(predicate(site, tap, presence, case.rule, case.position))
        rows.append(Row(reason, name, applied, VALUES[name](case)))
        if applied:
            break
    return Explanation(tap.direction, tap.key, decision.allow, decision.reason, tuple(rows))


def watch(policy: types.ModuleType, tell: Callable[[Explanation], None]) -> None:
    """Let `tell` hear of every decision that `policy.decide` makes from now on."""
    decide = policy.decide

    def explained(site: Any, tap: Any, presence: Any) -> Any:
        decision = decide(site, tap, presence)
        tell(explanation(policy, site, tap, presence, decision))
        return decision

    policy.decide = explained  # pyright: ignore[reportAttributeAccessIssue]


def lines(explanation: Explanation, when: str, gate: str, card: str) -> list[str]:
    """Return the text of one explanation: a heading, then one line for each row."""
    outcome = "grant" if explanation.allow else "deny"
    heading = "%s %s %s %s: %s %s" % (when, gate, explanation.direction, card, outcome, explanation.reason)
    return [heading] + [
        "    %s %-18s %s" % (">" if row.applied else " ", row.reason, row.values) for row in explanation.rows
    ]
