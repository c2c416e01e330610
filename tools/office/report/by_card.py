"""Signals of a single card: handed back, handed on, used outside its time, kept, copied."""

from collections.abc import Iterator

from tools.office.report.day import IN, NO_KEY, OUT, Day, Event
from tools.office.report.evidence import Signal, attempts, of_events, of_visits


def passed_back(day: Day) -> Iterator[Signal]:
    """Find cards shown at an entrance within `passback_min` of going in: the holder is in, the card out."""
    for events in day.by_card().values():
        entry: Event | None = None
        found: list[Event] = []
        for event in events:
            if event.is_passage:
                entry = event if event.direction == IN else None
            elif (
                entry is not None
                and (event.type, event.reason, event.direction) == ("deny", "passback", IN)
                and event.time - entry.time <= day.thresholds.passback_min * 60
            ):
                found += [entry, event] if entry not in found else [event]
        if found:
            yield of_events(day, "passed_back", sum(e.type == "deny" for e in found), found)


def handed_on(day: Day) -> Iterator[Signal]:
    """Find visits whose card went in again `reuse_times` times, each within `reuse_min` of coming out."""
    limit_s = day.thresholds.reuse_min * 60
    for events in day.by_card().values():
        out: Event | None = None
        visits: dict[int, list[Event]] = {}
        for event in events:
            if not event.is_passage:
                continue
            visit = day.visit_at(event.key, event.time)
            if (
                out is not None
                and visit is not None
                and event.direction == IN
                and visit.covers(out.time)
                and event.time - out.time <= limit_s
            ):
                visits.setdefault(visit.id, []).append(event)
            out = event if event.direction == OUT else None
        for again in visits.values():
            if len(again) >= day.thresholds.reuse_times:
                yield of_events(day, "handed_on", len(again), again)


def entered_twice(day: Day) -> Iterator[Signal]:
    """Find cards that went in twice in a visit and did not come out between: two holders, or a gate forgot.

    What makes all positions unknown (a reset, the end of fire or `free`) or a correction of the desk between
    the two explains it; exempt classes, which may do it, are left out.
    """
    resets = [event.time for event in day.events if event.type == "reset" and event.key == NO_KEY]
    for key, events in day.by_card().items():
        entry: Event | None = None
        found: list[Event] = []
        for event in events:
            if not event.is_passage or event.cls in day.roles.exempt:
                continue
            visit = day.visit_at(key, event.time)
            if event.direction == IN and entry and visit and visit.covers(entry.time):
                explained = any(entry.time <= time <= event.time for time in resets) or any(
                    one.card == visit.card and entry.time <= one.time <= event.time for one in day.corrections
                )
                if not explained:
                    found += [entry, event]
            entry = event if event.direction == IN else None
        if found:
            yield of_events(day, "entered_twice", len(found) // 2, dict.fromkeys(found))


def outside_slot(day: Day) -> Iterator[Signal]:
    """Find cards with `slot_tries` attempts to go in before or after their window."""
    limits = day.thresholds
    for events in day.by_card().values():
        taps = [
            event
            for event in events
            if event.type == "deny" and event.direction == IN and event.reason in ("too_early", "too_late")
        ]
        found = attempts(taps, limits.attempt_s)
        if len(found) >= limits.slot_tries:
            yield of_events(day, "outside_slot", len(found), found)


def kept_card(day: Day) -> Iterator[Signal]:
    """Find blocked cards with `kept_tries` attempts to go in: kept over closing time, given back, or lost."""
    limits = day.thresholds
    for key, events in day.by_card().items():
        taps = []
        for event in events:
            if event.type != "deny" or event.reason != "revoked" or event.direction != IN:
                continue
            visit = day.visit_at(key, event.time)
            if visit is None or visit.opened < day.begin or visit.opened < day.closing <= event.time:
                taps.append(event)
        found = attempts(taps, limits.attempt_s)
        if len(found) >= limits.kept_tries:
            yield of_events(day, "kept_card", len(found), found)


def copied_card(day: Day) -> Iterator[Signal]:
    """Find cards that did not prove to be themselves (alarm `clone`)."""
    for events in day.by_card().values():
        found = [event for event in events if event.type == "alarm" and event.reason == "clone"]
        if found:
            yield of_events(day, "copied_card", len(found), found)


def position_corrected(day: Day) -> Iterator[Signal]:
    """Find visits in which the desk corrected the position of the card `corrections` times."""
    for visit in day.visits:
        times = [one.time for one in day.corrections if one.card == visit.card and visit.covers(one.time)]
        if len(times) >= day.thresholds.corrections:
            yield of_visits("position_corrected", len(times), [visit], times)
