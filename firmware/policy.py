"""The rules of the gate: which taps are granted, and the one reason of each decision.

Owns the codes of reasons, alarms and modes, and the rows of both directions. Values in, values out: it
reads no clock, list or pin and moves no position. docs/rules.md is made from its tables and docstrings.
"""

from collections import namedtuple

from . import records
from .presence import INSIDE, OUTSIDE, UNKNOWN

IN = "in"
OUT = "out"
NONE = ""  # a name, so that the tables below are no constants: those would hold each word a second time
DIRECTIONS = ("", IN, OUT)  # index = code in journal records

MODES = ("normal", "lockdown", "out_of_service", "free")  # index = code in journal records; append only

# What the gate knows about a card in the field:
#   direction     IN or OUT: the reader
#   key           8 bytes; None where no single card stands for the tap (several_cards, random_uid)
#   credential    records.Credential, None = not on the list
#   verdict       what the reader says: None, "several_cards", "random_uid" or "card_not_authentic"
#   tier          what the card proved, index into records.TIERS
#   has_keys      the list holds AES keys for this card (a blocked record keeps them)
#   mode          of MODES; while there is fire: "free"
#   now, trusted  Unix seconds, and whether they may be believed (else `now` counts on from the floor)
#   list_valid    False = there is no list at all; list_expires = its expiry, Unix seconds
#   lane_fault    the lane is in `fault`
#   isolated      out of contact with the office for more than 10 s
# fmt: off
Tap = namedtuple("Tap", [
    "direction", "key", "credential", "verdict", "tier", "has_keys", "mode", "now", "trusted", "list_valid",
    "list_expires", "lane_fault", "isolated",
])
# fmt: on

# allow: bool. reason: of REASONS. alarm: of ALARMS, "" = none. flagged: granted although the position
# contradicts it (a class whose antipassback is "soft").
Decision = namedtuple("Decision", ["allow", "reason", "alarm", "flagged"])


def decide(site, tap: "Tap", presence) -> "Decision":
    """Return the Decision for `tap`: the first of its rows that applies.

    `site` is config.parse's result, `presence` a Presence (only read). Raise nothing for a well-formed tap;
    should it raise all the same, the caller answers with `error(direction)`.
    """
    rule, at = case(site, tap, presence)
    for reason, allow, alarm, applies in ROWS[
        tap.direction if tap.list_valid or tap.direction == IN else None
    ]:
        if applies(site, tap, presence, rule, at):
            flagged = allow and reason != "free" and bool(rule) and rule.antipassback == "soft"
            return Decision(allow, reason, alarm, flagged and at == _contrary(tap))
    return error(tap.direction)


def error(direction: str) -> "Decision":
    """Return the Decision where none could be made or journalled: shut for in, open for out."""
    return Decision(direction == OUT, "error", "fault", False)


def binds(tap: "Tap") -> bool:
    """Return whether a guard's press may bind the passage to this card: it is listed, and no copy."""
    return bool(tap.credential) and not (tap.verdict or (tap.has_keys and not tap.tier))


def case(site, tap: "Tap", presence):
    """Return (rule, position) of `tap` as its rows see them.

    The rule is None for a card without a record or of an unknown class. Out of contact at a site of several
    gates, `outside` is not believed (the way in does not ask for it).
    """
    at = presence.position(tap.key)
    if at == OUTSIDE and tap.isolated and site.gates > 1:
        at = UNKNOWN
    return tap.credential and site.classes[tap.credential.cls], at


def _contrary(t):
    return INSIDE if t.direction == IN else OUTSIDE


def _opens(t, rule):
    """Return the first second of the visit; 0 for a record without a window."""
    c = t.credential
    return 0 if c.untimed else records.from_unix(c) - rule.early_min * 60


# The predicates; each docstring is the "when" of a row in docs/rules.md. Arguments: site, tap, presence, and
# what `case` returns.


def free(s, t, p, rule, at):
    """mode `free`, or fire: every tap, whatever the card"""
    return t.mode == "free"


def gate_closed(s, t, p, rule, at):
    """mode `lockdown` or `out_of_service`; or outside the opening hours (time trusted, class not exempt)"""
    if t.mode != "normal":
        return True
    if not s.opening_hours or not t.trusted or (rule and rule.exempt):
        return False
    local_min = t.now // 60 + s.utc_offset_min
    hours = s.opening_hours[(local_min // 1440 + 3) % 7]  # row 0 is Monday; 1970-01-01 was a Thursday
    return not hours or not hours[0] <= local_min % 1440 < hours[1]


def several_cards(s, t, p, rule, at):
    """two cards of ours are in the field"""
    return t.verdict == "several_cards"


def random_uid(s, t, p, rule, at):
    """no card of ours is in the field, and all numbers are random ones (a phone)"""
    return t.verdict == "random_uid"


def card_not_authentic(s, t, p, rule, at):
    """the proof of the card failed"""
    return t.verdict == "card_not_authentic"


def copied(s, t, p, rule, at):
    """the card has keys on the list and answers only with its number"""
    return t.has_keys and not t.tier


def unknown_card(s, t, p, rule, at):
    """the card is not on the list"""
    return not t.credential


def stranger(s, t, p, rule, at):
    """the card is neither on the list nor known to be inside"""
    return not t.credential and at != INSIDE


def revoked(s, t, p, rule, at):
    """the record is blocked"""
    return t.credential.blocked


def classless(s, t, p, rule, at):
    """the config of the gate does not know the class of the record"""
    return not rule


def weak_card(s, t, p, rule, at):
    """the record or the class asks for a stronger tier than the card proved"""
    return t.tier < max(t.credential.tier, rule.min_tier)


def weak_keyed(s, t, p, rule, at):
    """the card has keys on the list, and proved less than the record or the class asks for, or nothing"""
    return t.has_keys and (not t.tier or weak_card(s, t, p, rule, at))


def list_expired(s, t, p, rule, at):
    """the list has expired (exempt classes: at least `staff_grace_h` ago)"""
    return not t.list_valid or t.now >= t.list_expires + (rule.exempt and rule.staff_grace_h * 3600)


def clock_untrusted(s, t, p, rule, at):
    """time is not trusted, and the record has a window or its class is not exempt"""
    return not t.trusted and not (t.credential.untimed and rule.exempt)


def too_early(s, t, p, rule, at):
    """now < from - `early_min`"""
    return t.now < _opens(t, rule)


def too_late(s, t, p, rule, at):
    """now >= until + `late_min`; after a confirmed entry of this visit: now >= until + `reentry_min`"""
    after_min = rule.reentry_min if reentry(s, t, p, rule, at) else rule.late_min
    return not t.credential.untimed and t.now >= records.until_unix(t.credential) + after_min * 60


def passback(s, t, p, rule, at):
    """the card is on that side already (class with antipassback `hard`)"""
    return at == _contrary(t) and (not rule or rule.antipassback == "hard")


def principal_absent(s, t, p, rule, at):
    """the class needs a principal, and none of its party is inside, nor granted entry within
    `companion_after_s` with the passage still to come"""
    return rule.needs_principal and not p.principal_in(t.credential.party, t.now, s.companion_after_s)


def companion_limit(s, t, p, rule, at):
    """`companions_max` other companions of the party are inside or entering"""
    return rule.needs_principal and p.companions(t.credential.party, t.key) >= s.companions_max


def room_full(s, t, p, rule, at):
    """`occupancy_max` other counted cards are inside or entering (companions and exempt classes are not
    refused)"""
    limit = s.occupancy_max
    return not (limit is None or rule.exempt or rule.needs_principal) and p.occupancy(t.key) >= limit


def lane_fault(s, t, p, rule, at):
    """the lane is in `fault`"""
    return t.lane_fault


def reentry(s, t, p, rule, at):
    """after a confirmed entry of the same visit"""
    return p.visit_entered(t.key, t.credential.party, _opens(t, rule))


def exit_unrecorded(s, t, p, rule, at):
    """the position is unknown"""
    return at == UNKNOWN


def exit_late(s, t, p, rule, at):
    """time is trusted, and now >= until"""
    c = t.credential
    return t.trusted and not c.untimed and t.now >= records.until_unix(c)


def ok(s, t, p, rule, at):
    """otherwise"""
    return True


# Rows of (reason, allow, alarm, predicate): the first that applies gives the reason. One table for each
# direction; None: the way out while there is no list at all (none was ever applied, or both slots are
# damaged).
ROWS = {
    IN: (
        ("free", True, "", free),
        ("gate_closed", False, "", gate_closed),
        ("several_cards", False, "", several_cards),
        ("random_uid", False, "", random_uid),
        ("card_not_authentic", False, "clone", card_not_authentic),
        ("unknown_card", False, "", unknown_card),
        ("revoked", False, "", revoked),
        ("error", False, "fault", classless),
        ("weak_card", False, "clone", weak_keyed),
        ("weak_card", False, "", weak_card),
        ("list_expired", False, "", list_expired),
        ("clock_untrusted", False, "", clock_untrusted),
        ("too_early", False, "", too_early),
        ("too_late", False, "", too_late),
        ("passback", False, "", passback),
        ("principal_absent", False, "", principal_absent),
        ("companion_limit", False, "", companion_limit),
        ("room_full", False, "", room_full),
        ("lane_fault", False, "", lane_fault),
        ("reentry", True, "", reentry),
        ("ok", True, "", ok),
    ),
    OUT: (
        ("free", True, "", free),
        ("several_cards", False, "", several_cards),
        ("random_uid", False, "unknown_exit", random_uid),
        ("unknown_card", False, "unknown_exit", stranger),
        ("card_not_authentic", False, "clone", card_not_authentic),
        ("card_not_authentic", False, "clone", copied),
        ("passback", False, "", passback),
        ("exit_revoked", True, "unknown_exit", unknown_card),
        ("exit_revoked", True, "", revoked),
        ("exit_unrecorded", True, "", exit_unrecorded),
        ("exit_late", True, "", exit_late),
        ("exit", True, "", ok),
    ),
    None: (
        ("free", True, "", free),
        ("exit_unrecorded", True, "", stranger),
        ("exit", True, "", ok),
    ),
}

# Index = code in journal records; append only. 0 is "no reason".
# fmt: off
REASONS = (
    NONE, "free", "gate_closed", "several_cards", "random_uid", "card_not_authentic", "unknown_card",
    "revoked", "weak_card", "list_expired", "clock_untrusted", "too_early", "too_late", "passback",
    "principal_absent", "companion_limit", "room_full", "lane_fault", "ok", "reentry", "exit_revoked",
    "exit_unrecorded", "exit_late", "exit", "lane_busy", "error",
)
# fmt: on

# Index = code in the `reason` byte of `alarm` and `alarm_end` records; append only. 0 is "no alarm".
# fmt: off
ALARMS = (
    NONE, "forced", "tailgate", "sensor_stuck", "fire", "tamper", "clone", "unknown_exit",
    "companion_inside", "still_inside", "double_entry", "card_storm", "reader_dead", "clock",
    "list_stale", "journal_90", "journal_lost", "fault", "update_rejected", "bundle_rejected",
    "task_restart", "safe_mode",
)
# fmt: on

BUSY = Decision(False, "lane_busy", "", False)  # a grant that waited until its card had left
