"""The rules of the gate: which taps are granted, and the one reason for each decision.

Owns the tables of reasons and alarms, the rows of each direction, and the small memories of repeats and card
storms. Values in, values out: it never reads a clock, a list or a pin, and never moves a position. docs/rules.md
is made from the tables below.
"""

from collections import namedtuple

from micropython import const

from . import records
from .presence import INSIDE, OUTSIDE, UNKNOWN

_STORM = const(10)
_STORM_MS = const(60000)
_REPEATS = const(16)

IN = "in"
OUT = "out"
DIRECTIONS = ("", IN, OUT)  # index = code in journal records

# Index = code in journal records; append only. 0 is "no reason".
REASONS = (
    "",
    "free",
    "gate_closed",
    "several_cards",
    "random_uid",
    "card_not_authentic",
    "unknown_card",
    "revoked",
    "weak_card",
    "list_expired",
    "clock_untrusted",
    "too_early",
    "too_late",
    "passback",
    "principal_absent",
    "companion_limit",
    "room_full",
    "lane_fault",
    "ok",
    "reentry",
    "exit_revoked",
    "exit_unrecorded",
    "exit_late",
    "exit",
    "lane_busy",
    "error",
)

# Index = code in the `reason` byte of `alarm` and `alarm_end` records; append only. 0 is "no alarm".
ALARMS = (
    "",
    "forced",
    "tailgate",
    "sensor_stuck",
    "fire",
    "tamper",
    "clone",
    "unknown_exit",
    "companion_inside",
    "still_inside",
    "double_entry",
    "card_storm",
    "reader_dead",
    "clock",
    "list_stale",
    "journal_90",
    "journal_lost",
    "fault",
    "update_rejected",
    "bundle_rejected",
    "task_restart",
    "safe_mode",
)

MODES = ("normal", "lockdown", "out_of_service", "free")  # index = code in `mode` records; append only

# What the gate knows when a card was read:
#   direction     IN or OUT: the reader
#   key           8 bytes, or None when no single card stands for the tap (several_cards, random_uid)
#   credential    records.Credential of the card, None = not on the list
#   verdict       what the reader says: None, "several_cards", "random_uid" or "card_not_authentic"
#   tier          what the card proved, index into records.TIERS
#   has_keys      the list holds AES keys for this card (a blocked record keeps them)
#   mode          of MODES; while there is fire: "free"
#   now           Unix seconds; trusted: whether the clock may be believed (else `now` counts from the floor)
#   list_valid    False = there is no list at all; list_expires: its expiry, Unix seconds
#   lane_fault    the lane is in `fault`
#   isolated      no contact with the office for more than 10 s (counts at sites of several gates only)
Tap = namedtuple(
    "Tap",
    "direction key credential verdict tier has_keys mode now trusted list_valid list_expires lane_fault isolated",
)

# allow: bool. reason: a name of REASONS. alarm: a name of ALARMS or "". flagged: granted although the position
# says otherwise (a class whose antipassback is "soft").
Decision = namedtuple("Decision", "allow reason alarm flagged")

BUSY = Decision(False, "lane_busy", "", False)  # a grant that waited until its card had left


def error(direction: str) -> "Decision":
    """Return what stands in for a decision that could not be made or journalled: shut for in, open for out."""
    return Decision(direction == OUT, "error", "fault", False)


def decide(site, tap: "Tap", presence) -> "Decision":
    """Return the Decision for `tap`: the first row of its direction that applies.

    `site` is config.parse's result, `presence` a Presence (read only). A card whose class the config does not
    know is decided as `error`. Raises nothing for a well-formed tap; whatever a bug raises, the caller answers
    with `error(direction)`.
    """
    rule = tap.credential and site.classes[tap.credential.cls]
    position = judged_position(site, tap, presence)
    may_deny = tap.direction == IN or tap.list_valid
    for reason, allow, applies in ROWS[tap.direction]:
        if (allow or may_deny) and applies(site, tap, presence, rule, position):
            break
    else:
        return error(tap.direction)
    flagged = (
        allow
        and reason != "free"
        and bool(rule)
        and rule.antipassback == "soft"
        and position == (INSIDE if tap.direction == IN else OUTSIDE)
    )
    return Decision(allow, reason, _alarm(tap, reason), flagged)


def judged_position(site, tap: "Tap", presence) -> str:
    """Return the position that the rules see: out of contact, or without any list, `outside` is not believed."""
    position = presence.position(tap.key)
    if tap.direction == OUT and position == OUTSIDE:
        if not tap.list_valid or (tap.isolated and site.gates > 1):
            return UNKNOWN
    return position


def binds(tap: "Tap") -> bool:
    """Return whether a guard's press may bind the passage to the card of `tap`: it is listed and no copy."""
    return tap.credential is not None and tap.verdict is None and not _is_copy(tap)


def _alarm(tap, reason):
    if reason == "card_not_authentic" or (reason == "weak_card" and tap.has_keys):
        return "clone"
    if reason == "error":
        return "fault"
    if tap.direction == OUT and (
        reason in ("unknown_card", "random_uid") or (reason == "exit_revoked" and tap.credential is None)
    ):
        return "unknown_exit"
    return ""


# The predicates. Each row's docstring is its "when" in docs/rules.md. Arguments: site, tap, presence, the class
# rule of the card (None: not listed, or a class that the config lacks), the position as the rules see it.


def _is_free(s, t, p, rule, at):
    """the mode is `free`, or there is fire: every tap, whatever the card"""
    return t.mode == "free"


def _is_closed(s, t, p, rule, at):
    """the mode is `lockdown` or `out_of_service`; or outside the opening hours (time trusted, class not exempt)"""
    if t.mode != "normal":
        return True
    if s.opening_hours is None or not t.trusted or (rule and rule.exempt):
        return False
    local = t.now + s.utc_offset_min * 60
    hours = s.opening_hours[(local // 86400 + 3) % 7]  # 1970-01-01 was a Thursday; row 0 is Monday
    return not hours or not hours[0] <= local % 86400 // 60 < hours[1]


def _is_several(s, t, p, rule, at):
    """two cards of ours are in the field"""
    return t.verdict == "several_cards"


def _is_random(s, t, p, rule, at):
    """no card of ours, and all numbers are random ones (a phone)"""
    return t.verdict == "random_uid"


def _is_forged(s, t, p, rule, at):
    """the proof of the card failed"""
    return t.verdict == "card_not_authentic"


def _is_unlisted(s, t, p, rule, at):
    """the card is not on the list"""
    return t.credential is None


def _is_blocked(s, t, p, rule, at):
    """the record is blocked"""
    return t.credential is not None and t.credential.blocked


def _is_classless(s, t, p, rule, at):
    """the config of the gate lacks the class of the record"""
    return rule is None


def _is_weak(s, t, p, rule, at):
    """the record or the class asks for a stronger tier than the card proved; or it has keys and proved nothing"""
    return t.tier < max(t.credential.tier, rule.min_tier) or _is_copy(t)


def _is_list_expired(s, t, p, rule, at):
    """the list has expired (exempt classes: more than `staff_grace_h` ago)"""
    return not t.list_valid or t.now >= t.list_expires + (rule.staff_grace_h * 3600 if rule.exempt else 0)


def _is_clock_untrusted(s, t, p, rule, at):
    """time is not trusted, and the record has a window or its class is not exempt"""
    return not t.trusted and not (t.credential.untimed and rule.exempt)


def _is_early(s, t, p, rule, at):
    """now < from - `early_min`"""
    return not t.credential.untimed and t.now < _opens(t, rule)


def _is_late(s, t, p, rule, at):
    """now >= until + `late_min`; after a confirmed entry of this visit: until + `reentry_min`"""
    if t.credential.untimed:
        return False
    after_min = rule.reentry_min if _has_entered(s, t, p, rule, at) else rule.late_min
    return t.now >= records.until_unix(t.credential) + after_min * 60


def _is_passback_in(s, t, p, rule, at):
    """the card is inside (antipassback `hard`)"""
    return at == INSIDE and rule.antipassback == "hard"


def _is_principal_absent(s, t, p, rule, at):
    """the class needs a principal, and none of its party is inside or was granted entry in the last
    `companion_after_s` with the passage still to come"""
    return rule.needs_principal and not p.principal_in(t.credential.party, t.now, s.companion_after_s)


def _is_companion_limit(s, t, p, rule, at):
    """`companions_max` other companions of the party are inside or entering"""
    return rule.needs_principal and p.companions(t.credential.party, t.key) >= s.companions_max


def _is_room_full(s, t, p, rule, at):
    """`occupancy_max` other counted cards are inside or entering (companions and exempt classes: never refused)"""
    return (
        s.occupancy_max is not None
        and not rule.exempt
        and not rule.needs_principal
        and p.occupancy(t.key) >= s.occupancy_max
    )


def _is_lane_fault(s, t, p, rule, at):
    """the lane is in `fault`"""
    return t.lane_fault


def _has_entered(s, t, p, rule, at):
    """after a confirmed entry of the same visit"""
    since = 0 if t.credential.untimed else _opens(t, rule)
    return p.visit_entered(t.key, t.credential.party, since)


def _is_known(s, t, p, rule, at):
    """any other grant in"""
    return rule is not None


def _is_stranger(s, t, p, rule, at):
    """the card is neither on the list nor known to be inside"""
    return t.credential is None and at != INSIDE


def _is_forged_out(s, t, p, rule, at):
    """the proof of the card failed; or it has keys on the list and answers only with its number"""
    return t.verdict == "card_not_authentic" or _is_copy(t)


def _is_passback_out(s, t, p, rule, at):
    """the card is outside (antipassback `hard`)"""
    return at == OUTSIDE and (rule is None or rule.antipassback == "hard")


def _is_revoked_out(s, t, p, rule, at):
    """the record is blocked, or the card is no longer listed"""
    return t.list_valid if t.credential is None else t.credential.blocked


def _is_unrecorded(s, t, p, rule, at):
    """the position is unknown"""
    return at == UNKNOWN


def _is_late_out(s, t, p, rule, at):
    """time is trusted and now >= until"""
    c = t.credential
    return c is not None and t.trusted and not c.untimed and t.now >= records.until_unix(c)


def _is_any(s, t, p, rule, at):
    """any other tap out"""
    return True


def _opens(t, rule):
    return records.from_unix(t.credential) - rule.early_min * 60


def _is_copy(t):
    return t.has_keys and t.tier == 0


# Rows of (reason, allow, predicate); the first that applies gives the reason. Without any list the denying rows
# of OUT do not apply.
ROWS = {
    IN: (
        ("free", True, _is_free),
        ("gate_closed", False, _is_closed),
        ("several_cards", False, _is_several),
        ("random_uid", False, _is_random),
        ("card_not_authentic", False, _is_forged),
        ("unknown_card", False, _is_unlisted),
        ("revoked", False, _is_blocked),
        ("error", False, _is_classless),
        ("weak_card", False, _is_weak),
        ("list_expired", False, _is_list_expired),
        ("clock_untrusted", False, _is_clock_untrusted),
        ("too_early", False, _is_early),
        ("too_late", False, _is_late),
        ("passback", False, _is_passback_in),
        ("principal_absent", False, _is_principal_absent),
        ("companion_limit", False, _is_companion_limit),
        ("room_full", False, _is_room_full),
        ("lane_fault", False, _is_lane_fault),
        ("reentry", True, _has_entered),
        ("ok", True, _is_known),
    ),
    OUT: (
        ("free", True, _is_free),
        ("several_cards", False, _is_several),
        ("random_uid", False, _is_random),
        ("unknown_card", False, _is_stranger),
        ("card_not_authentic", False, _is_forged_out),
        ("passback", False, _is_passback_out),
        ("exit_revoked", True, _is_revoked_out),
        ("exit_unrecorded", True, _is_unrecorded),
        ("exit_late", True, _is_late_out),
        ("exit", True, _is_any),
    ),
}


class Repeats:
    """What one reader remembers so that a card held a little too long is not decided twice."""

    def __init__(self, repeat_s):
        self._repeat_ms = int(repeat_s * 1000)
        self._seen = []  # (key, allow, reason, decided at ms), newest last; one per card

    def ignores(self, key, decision: "Decision", now_ms: int) -> bool:
        """Return whether `decision` for `key` is none: no record, no feedback, no lane.

        Within `repeat_s` of the card's last decision here: always after a grant; after a deny only when the reason
        is the same. `key` is None where no single card stands for the tap. Nothing is remembered: see `note`.
        """
        for seen_key, allow, reason, at_ms in self._seen:
            if seen_key == key and now_ms - at_ms < self._repeat_ms:
                return allow or reason == decision.reason
        return False

    def note(self, key, decision: "Decision", now_ms: int) -> None:
        """Remember `decision`, made at `now_ms` (monotonic): call it for each decision that was given."""
        self._seen = [s for s in self._seen if s[0] != key and now_ms - s[3] < self._repeat_ms]
        self._seen.append((key, decision.allow, decision.reason, now_ms))
        if len(self._seen) > _REPEATS:
            self._seen.pop(0)


class Storm:
    """Counts the strangers: ten decisions `unknown_card` or `random_uid` in 60 s are a card storm."""

    def __init__(self):
        self._times = []

    def note(self, reason: str, now_ms: int) -> bool:
        """Return True when this decision completes a storm (alarm `card_storm`); the count then starts afresh."""
        if reason not in ("unknown_card", "random_uid"):
            return False
        self._times = [t for t in self._times if now_ms - t <= _STORM_MS]
        self._times.append(now_ms)
        if len(self._times) < _STORM:
            return False
        self._times = []
        return True
