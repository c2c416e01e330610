"""Signals of people who belong together, or say so: companions, groups of one slot, people who follow."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tools.office.report.day import IN, OUT, Day, Event, Visit
from tools.office.report.evidence import Signal, of_events, of_visits, windows
from tools.office.report.figures import Stay, stays
from tools.office.report.settings import Thresholds


class _Member(NamedTuple):
    """Somebody of a slot, with the first way in and out."""

    visit: Visit
    entered: int
    left: int


def companion_of_several(day: Day) -> Iterator[Signal]:
    """Find persons who were companions of `companion_parties` parties: the same identity number left as a
    deposit.
    """
    for parties in day.persons:
        if len(parties) >= day.thresholds.companion_parties:
            visits = [
                visit
                for visit in day.visits
                if visit.party in parties
                and visit.cls in day.roles.companions
                and day.begin <= visit.opened < day.end
            ]
            yield of_visits("companion_of_several", len(parties), visits)


def companion_swap(day: Day) -> Iterator[Signal]:
    """Find parties whose companions took turns `companion_swaps` times, each in within `companion_swap_min`
    of the other's way out.
    """
    left: dict[int, tuple[int, Event]] = {}
    swaps: dict[int, list[Event]] = {}
    for event in day.passages():
        visit = day.visit_at(event.key, event.time)
        if visit is None or visit.party is None or visit.cls not in day.roles.companions:
            continue
        if event.direction == OUT:
            left[visit.party] = visit.id, event
        elif visit.party in left:
            other, out = left.pop(visit.party)
            if other != visit.id and event.time - out.time <= day.thresholds.companion_swap_min * 60:
                swaps.setdefault(visit.party, []).extend((out, event))
    for events in swaps.values():
        if len(events) // 2 >= day.thresholds.companion_swaps:
            yield of_events(day, "companion_swap", len(events) // 2, events)


def companion_alone(day: Day) -> Iterator[Signal]:
    """Find companions who stayed `companion_alone_min` after the last principal of their party had left."""
    found = stays(day)
    principals: dict[int, list[Stay]] = {}
    for stay in found:
        if stay.visit and stay.visit.party is not None and stay.visit.cls in day.roles.principals:
            principals.setdefault(stay.visit.party, []).append(stay)
    for stay in found:
        visit = stay.visit
        if visit is None or visit.party is None or visit.cls not in day.roles.companions:
            continue
        end = stay.left or min(visit.closed or day.end, day.end, day.asked)
        alone = _alone_from(stay.came, end, principals.get(visit.party, ()), day.end)
        if alone is not None and end - alone >= day.thresholds.companion_alone_min * 60:
            yield of_visits("companion_alone", (end - alone) // 60, [visit], (alone, end))


def _alone_from(came: int, end: int, principals: Sequence[Stay], never: int) -> int | None:
    """Return since when no principal was inside, at the `end` of a companion's stay; None if one was."""
    last = None
    for stay in principals:
        left = stay.left or never  # one that nobody saw leave counts as inside
        if stay.came <= end and left > came:
            last = max(last or 0, left)
    return None if last is None or last >= end else last


def slot_burst(day: Day) -> Iterator[Signal]:
    """Find `slot_cards` cards of one slot, each of another party, that were handed out within
    `slot_issue_min`, went in at one gate within `slot_enter_min` and came out within `slot_leave_min`.
    """
    limits = day.thresholds
    slots: dict[tuple[str, int, int, str], list[_Member]] = {}
    seen: set[int] = set()
    entries: dict[bytes, Event] = {}
    for event in day.passages():
        if event.direction == IN:
            entries[event.key] = event
            continue
        entry = entries.pop(event.key, None)
        visit = day.visit_at(event.key, event.time)
        if entry is None or visit is None or visit.begin is None or visit.until is None or visit.id in seen:
            continue
        if visit.cls not in day.roles.principals:
            continue
        seen.add(visit.id)
        slot = visit.cls, visit.begin, visit.until, entry.gate
        slots.setdefault(slot, []).append(_Member(visit, entry.time, event.time))
    for (*_, gate), members in slots.items():
        while burst := _burst(members, limits):
            found = of_visits(
                "slot_burst", len(burst), [one.visit for one in burst], [one.entered for one in burst]
            )
            yield replace(found, gates=(gate,))
            members = [one for one in members if one not in burst]


def _burst(members: list[_Member], limits: Thresholds) -> list[_Member]:
    """Return the most of `members` that move together, or none if they are fewer than `slot_cards`."""
    best: list[_Member] = []
    by_entry = sorted(members, key=lambda one: one.entered)
    for entered in windows(by_entry, lambda one: one.entered, limits.slot_enter_min * 60):
        if len(entered) < limits.slot_cards:
            continue
        entered.sort(key=lambda one: one.visit.opened)
        for issued in windows(entered, lambda one: one.visit.opened, limits.slot_issue_min * 60):
            issued.sort(key=lambda one: one.left)
            for left in windows(issued, lambda one: one.left, limits.slot_leave_min * 60):
                apart = list({one.visit.party: one for one in left}.values())
                if len(apart) > len(best):
                    best = apart
    return best if len(best) >= limits.slot_cards else []


def followed(day: Day) -> Iterator[Signal]:
    """Find parties, or single cards, behind whose cards somebody walked in `followed_times` times."""
    last: dict[tuple[str, str], Event] = {}
    behind: dict[object, list[Event]] = {}
    for event in day.events:
        if event.is_passage:
            last[event.gate, event.direction] = event
        elif event.type == "alarm" and event.reason == "tailgate" and event.direction == IN:
            ahead = last.get((event.gate, IN))
            if ahead is not None:
                visit = day.visit_at(ahead.key, ahead.time)
                who = visit.party if visit and visit.party is not None else ahead.key
                behind.setdefault(who, []).append(ahead)
    for events in behind.values():
        if len(events) >= day.thresholds.followed_times:
            yield of_events(day, "followed", len(events), events)
