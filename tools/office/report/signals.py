"""The signals of a day: what brokers do and honest visitors hardly ever, each with its evidence.

Owns the table of rules. A rule is a pure function of a `Day` in `by_card`, `by_party` or `by_gate`; what it
says in words is `words`', its thresholds are `settings`'. A signal is a reason to look, not a verdict.
"""

from tools.office.report import by_card, by_gate, by_party
from tools.office.report.day import Day
from tools.office.report.evidence import Signal

RULES = {
    "companion_of_several": by_party.companion_of_several,
    "companion_swap": by_party.companion_swap,
    "companion_alone": by_party.companion_alone,
    "slot_burst": by_party.slot_burst,
    "followed": by_party.followed,
    "passed_back": by_card.passed_back,
    "handed_on": by_card.handed_on,
    "entered_twice": by_card.entered_twice,
    "outside_slot": by_card.outside_slot,
    "kept_card": by_card.kept_card,
    "copied_card": by_card.copied_card,
    "position_corrected": by_card.position_corrected,
    "unknown_burst": by_gate.unknown_burst,
    "unknown_probed": by_gate.unknown_probed,
    "guard_overrides": by_gate.guard_overrides,
    "gate_restarts": by_gate.gate_restarts,
    "journal_tampered": by_gate.journal_tampered,
}


def signals(day: Day) -> tuple[Signal, ...]:
    """Return every signal of `day`, rule by rule, each in the order of time."""
    return tuple(signal for rule in RULES.values() for signal in sorted(rule(day), key=lambda one: one.times))
