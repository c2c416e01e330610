"""Each rule of the report at its thresholds: what is too little, what is enough, and what explains it."""

import pytest

from tests.host.report_days import HOUR, Maker
from tools.office.report.day import Alarm, Correction
from tools.office.report.settings import Thresholds, parse
from tools.office.report.signals import RULES, signals


def kinds(made):
    return [signal.kind for signal in signals(made.day())]


def only(made, kind):
    """Return the one signal of the day, which is of this kind."""
    found = signals(made.day())
    assert [signal.kind for signal in found] == [kind]
    return found[0]


@pytest.mark.parametrize(("minutes", "count"), [(10, 1), (10.5, 0)])
def test_passed_back(minutes, count):
    made = Maker()
    made.visit("a")
    made.go_in("a", 8, 0)
    made.deny("passback", "a", 8, minutes, gate="B")
    assert kinds(made) == ["passed_back"] * count
    if count:
        signal = only(made, "passed_back")
        assert (signal.cards, signal.visits, signal.gates) == (("a",), (1,), ("A", "B"))
        assert signal.times == (made.at(8, 0), made.at(8, 10))


def test_passed_back_needs_an_entry_that_was_not_followed_by_an_exit():
    made = Maker()
    made.deny("passback", "a", 8, 1)
    made.go_in("b", 8, 0)
    made.go_out("b", 8, 2)
    made.deny("passback", "b", 8, 3)
    made.go_in("c", 8, 0)
    made.deny("passback", "c", 8, 3, direction="out")
    assert kinds(made) == []


@pytest.mark.parametrize(("times", "pause", "count"), [(3, 5, 1), (2, 5, 0), (3, 6, 0)])
def test_handed_on(times, pause, count):
    made = Maker()
    made.visit("a", window=(8, 20))
    made.go_in("a", 8, 0)
    for hour in range(9, 9 + times):
        made.go_out("a", hour, 0)
        made.go_in("a", hour, pause)
    assert kinds(made) == ["handed_on"] * count


def test_handed_on_counts_within_one_visit_only():
    made = Maker()
    for hour in (8, 9, 10, 11):
        made.visit("a", opened=(hour, 0), closed=(hour, 59))
        made.go_in("a", hour, 1)
        made.go_out("a", hour, 58)
    assert kinds(made) == []


def test_entered_twice_unless_something_explains_it():
    def day(between=None, cls="yellow", second=(9, 0)):
        made = Maker()
        made.visit("a", cls)
        made.go_in("a", 8, 0, cls=cls)
        if between:
            between(made)
        made.go_in("a", *second, cls=cls, gate="B")
        return kinds(made)

    assert day() == ["entered_twice"]
    assert day(lambda made: made.go_out("a", 8, 30)) == []
    assert day(lambda made: made.event((8, 30), "reset", "")) == []
    assert day(lambda made: made.event((8, 30), "reset", "", "", "other")) == ["entered_twice"]
    assert day(lambda made: made.corrections.append(Correction(made.at(8, 30), "x", "a", "outside"))) == []
    assert day(lambda made: made.corrections.append(Correction(made.at(8, 30), "x", "b", "outside"))) != []
    assert day(cls="staff") == []


@pytest.mark.parametrize(("tries", "apart_s", "count"), [(5, 60, 1), (4, 60, 0), (9, 59, 0)])
def test_outside_slot(tries, apart_s, count):
    made = Maker()
    made.visit("a", window=(12, 13))
    for number in range(tries):
        made.deny("too_early" if number % 2 else "too_late", "a", 8 * HOUR + number * apart_s)
    assert kinds(made) == ["outside_slot"] * count


def test_kept_card():
    def day(tries=2, apart_min=2.0, **visit):
        made = Maker()
        made.visit("a", **visit)
        for number in range(tries):
            made.deny("revoked", "a", 9, number * apart_min)
        return kinds(made)

    yesterday = {"opened": (-15, 0), "closed": None}
    assert day(**yesterday) == ["kept_card"]
    assert day(tries=1, **yesterday) == []
    assert day(apart_min=0.5, **yesterday) == []
    assert day(closed=(8, 0)) == ["kept_card"]
    assert day(closed=(16, 0)) == []  # blocked in its holder's hands, today: he does not know


def test_copied_card():
    made = Maker()
    made.event((8, 0), "alarm", "in", "clone", "a")
    made.event((8, 1), "alarm", "in", "forced", "b")
    assert only(made, "copied_card").cards == (b"kkkkkkka".hex(),)


def test_position_corrected():
    made = Maker()
    made.visit("a")
    for minute in range(2):
        made.corrections.append(Correction(made.at(9, minute), "x", "a", "outside"))
    assert kinds(made) == []
    made.corrections.append(Correction(made.at(9, 2), "y", "a", "unknown"))
    assert only(made, "position_corrected").count == 3


def test_companion_of_several():
    made = Maker()
    for party in (1, 2, 3):
        made.visit(f"p{party}", party=party)
        made.visit(f"c{party}", "blue", party=party)
    made.persons = [frozenset({1, 3})]
    signal = only(made, "companion_of_several")
    assert (signal.count, signal.cards, signal.parties) == (2, ("c1", "c3"), (1, 3))


@pytest.mark.parametrize(("turns", "pause", "count"), [(4, 10, 1), (3, 10, 0), (4, 11, 0)])
def test_companion_swap(turns, pause, count):
    made = Maker()
    made.visit("p", party=1)
    made.visit("x", "blue", party=1)
    made.visit("y", "blue", party=1)
    made.go_in("p", 8, 0)
    for turn in range(turns):
        begin = 8 * 60 + turn * 30
        made.go_in("xy"[turn % 2], 0, begin + pause, cls="blue")
        made.go_out("xy"[turn % 2], 0, begin + 30, cls="blue")
    assert kinds(made) == ["companion_swap"] * count


def test_a_companion_who_comes_and_goes_alone_does_not_swap():
    made = Maker()
    made.visit("p", party=1)
    made.visit("x", "blue", party=1)
    made.go_in("p", 8, 0)
    for hour in range(9, 14):
        made.go_in("x", hour, 0, cls="blue")
        made.go_out("x", hour, 52, cls="blue")
    assert kinds(made) == []


@pytest.mark.parametrize(("stays_min", "count"), [(20, 1), (19, 0)])
def test_companion_alone(stays_min, count):
    made = Maker()
    made.visit("p", party=1)
    made.visit("x", "blue", party=1)
    made.go_in("p", 8, 0)
    made.go_in("x", 8, 1, cls="blue")
    made.go_out("p", 9, 0)
    made.go_out("x", 9, stays_min, cls="blue")
    assert kinds(made) == ["companion_alone"] * count


def test_a_companion_is_not_alone_while_another_principal_is_inside_or_was_not_seen_leaving():
    made = Maker()
    for card in ("p", "q"):
        made.visit(card, party=1)
        made.go_in(card, 8, 0)
    made.visit("x", "blue", party=1)
    made.go_in("x", 8, 1, cls="blue")
    made.go_out("p", 8, 30)
    made.go_out("x", 9, 30, cls="blue")
    assert kinds(made) == []


def burst(cards=5, issue=2, enter=0.5, leave=1, gate=lambda number: "A", party=lambda number: number + 1):
    made = Maker()
    for number in range(cards):
        made.visit(f"c{number}", party=party(number), opened=(8, number * issue))
        made.go_in(f"c{number}", 9, number * enter, gate=gate(number))
        made.go_out(f"c{number}", 10, number * leave)
    return kinds(made)


def test_slot_burst():
    assert burst() == ["slot_burst"]
    assert burst(cards=4) == []
    assert burst(issue=3) == []
    assert burst(enter=1) == []
    assert burst(leave=2) == []
    assert burst(gate=lambda number: "AB"[number % 2]) == []
    assert burst(party=lambda number: 1 + number // 2) == []  # families


def test_two_bursts_of_one_slot_are_two_signals():
    made = Maker()
    for number in range(10):
        hour = 9 + number // 5
        made.visit(f"c{number}", opened=(8, number % 5))
        made.go_in(f"c{number}", hour, 0.5 * (number % 5))
        made.go_out(f"c{number}", hour, 30)
    assert kinds(made) == ["slot_burst", "slot_burst"]


def test_followed():
    made = Maker()
    made.visit("a", party=7)
    made.visit("b", party=7)
    for card, minute in (("a", 0), ("b", 20)):
        made.go_in(card, 8, minute)
        made.event((8, minute + 0.02), "alarm", "in", "tailgate")
        made.go_out(card, 8, minute + 10)
        made.event((8, minute + 10.02), "alarm", "out", "tailgate")
    assert only(made, "followed").cards == ("a", "b")
    made.events = [event for event in made.events if event.key != made.visits[1].key]
    made.events = made.events[:2]
    assert kinds(made) == []


@pytest.mark.parametrize(("cards", "step", "count"), [(4, 3, 1), (3, 3, 0), (4, 4, 0)])
def test_unknown_burst(cards, step, count):
    made = Maker()
    for number in range(cards):
        made.deny("unknown_card", f"s{number}", 8, number * step)
        made.deny("unknown_card", "same", 9, number)
        made.deny("random_uid", "", 10, number)
    assert kinds(made) == ["unknown_burst"] * count


def test_a_long_burst_is_one_signal_and_a_second_one_another():
    made = Maker()
    for number in range(12):
        made.deny("unknown_card", f"s{number}", 8, number)
        made.deny("unknown_card", f"t{number}", 12, number)
    assert [signal.count for signal in signals(made.day())] == [12, 12]


def test_unknown_probed():
    made = Maker()
    made.deny("unknown_card", "s", 8, 0, gate="A")
    made.deny("unknown_card", "s", 9, 0, gate="B")
    assert kinds(made) == []
    made.deny("unknown_card", "s", 10, 0, gate="C")
    assert only(made, "unknown_probed").gates == ("A", "B", "C")


@pytest.mark.parametrize(("cards", "after_s", "count"), [(3, 10, 1), (2, 10, 0), (3, 11, 0)])
def test_guard_overrides(cards, after_s, count):
    made = Maker()
    for number in range(cards):
        begin = 8 * HOUR + number * 600
        made.deny("too_early", f"c{number}", begin)
        made.event((begin + after_s,), "override", "in", "", f"c{number}")
    made.event((13, 0), "override", "in")
    assert kinds(made) == ["guard_overrides"] * count


def test_gate_restarts():
    made = Maker()
    for hour in (8, 9):
        made.event((hour, 0), "boot", "")
    made.event((9, 30), "boot", "", gate="B")
    assert kinds(made) == []
    made.event((10, 0), "boot", "")
    assert only(made, "gate_restarts").gates == ("A",)


def test_journal_tampered():
    made = Maker()
    made.alarms = [Alarm(made.at(8, 0), "B", "journal_fork", "record 4"), Alarm(made.at(8, 1), "A", "x", "")]
    assert only(made, "journal_tampered").gates == ("B",)


def test_the_thresholds_of_the_settings_are_those_that_count():
    made = Maker(passback_min=1)
    made.go_in("a", 8, 0)
    made.deny("passback", "a", 8, 2)
    assert kinds(made) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"passback": 3}, "passback: unknown key; known: overstay_min, "),
        ({"passback_min": 0}, "passback_min: must be a whole number from 1 to 1440"),
        ({"passback_min": True}, "passback_min: must be a whole number from 1 to 1440"),
        ({"passback_min": "3"}, "passback_min: must be a whole number from 1 to 1440"),
        ([], "must be a table"),
    ],
)
def test_wrong_thresholds_are_named(values, words):
    with pytest.raises(ValueError, match=words):
        parse(values)


def test_right_thresholds_are_taken():
    assert parse({"passback_min": 3}) == Thresholds(passback_min=3)
    assert len(RULES) == 17
