"""Signals of what happens at a gate, or to it: strangers' cards, favours of a guard, power cuts, forgery."""

from collections.abc import Iterator

from tools.office.report.day import IN, NO_KEY, Day, Event
from tools.office.report.evidence import Signal, of_events, windows

_FORGED = ("journal_changed", "journal_fork", "journal_rolled_back", "journal_replaced", "list_rolled_back")


def _strangers(day: Day) -> list[Event]:
    return [
        event
        for event in day.events
        if event.type == "deny"
        and event.reason == "unknown_card"
        and event.direction == IN
        and event.key != NO_KEY
    ]


def unknown_burst(day: Day) -> Iterator[Signal]:
    """Find `unknown_cards` different cards of nobody at one gate within `unknown_min`."""
    for gate in day.gates:
        taps = [event for event in _strangers(day) if event.gate == gate]
        burst: dict[Event, None] = {}
        for found in windows(taps, lambda event: event.time, day.thresholds.unknown_min * 60):
            if burst and found[0] not in burst:
                yield of_events(day, "unknown_burst", len({event.key for event in burst}), burst)
                burst = {}
            if len({event.key for event in found}) >= day.thresholds.unknown_cards:
                burst.update(dict.fromkeys(found))
        if burst:
            yield of_events(day, "unknown_burst", len({event.key for event in burst}), burst)


def unknown_probed(day: Day) -> Iterator[Signal]:
    """Find cards of nobody that were tried at `probe_gates` gates."""
    cards: dict[bytes, list[Event]] = {}
    for event in _strangers(day):
        cards.setdefault(event.key, []).append(event)
    for events in cards.values():
        gates = len({event.gate for event in events})
        if gates >= day.thresholds.probe_gates:
            yield of_events(day, "unknown_probed", gates, events)


def guard_overrides(day: Day) -> Iterator[Signal]:
    """Find gates where the guard's button let in `override_denied` cards within `override_s` of their
    denial.
    """
    denied: dict[tuple[str, bytes], Event] = {}
    let_in: dict[str, dict[bytes, Event]] = {}
    for event in day.events:
        if event.direction != IN or event.key == NO_KEY:
            continue
        if event.type == "deny":
            denied[event.gate, event.key] = event
        elif event.type == "override":
            before = denied.pop((event.gate, event.key), None)
            if before is not None and event.time - before.time <= day.thresholds.override_s:
                let_in.setdefault(event.gate, {})[event.key] = event
    for events in let_in.values():
        if len(events) >= day.thresholds.override_denied:
            yield of_events(day, "guard_overrides", len(events), events.values())


def gate_restarts(day: Day) -> Iterator[Signal]:
    """Find gates that started `restarts` times."""
    for gate in day.gates:
        boots = [event for event in day.events if event.gate == gate and event.type == "boot"]
        if len(boots) >= day.thresholds.restarts:
            yield of_events(day, "gate_restarts", len(boots), boots)


def journal_tampered(day: Day) -> Iterator[Signal]:
    """Find gates whose journal or list is not what the office knows of it."""
    for gate in day.gates:
        times = tuple(alarm.time for alarm in day.alarms if alarm.gate == gate and alarm.kind in _FORGED)
        if times:
            yield Signal("journal_tampered", len(times), times, gates=(gate,))
