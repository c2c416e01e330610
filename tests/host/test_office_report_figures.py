"""The figures of a day and of its gates, on days made by hand; edges of the local day among them."""

from dataclasses import replace

import pytest

from tests.host.report_days import BEGIN, HOUR, Maker
from tools.office.report.day import Contact
from tools.office.report.figures import figures, percentile
from tools.office.report.health import apart, down, health


def test_hours_are_local_and_classes_apart():
    made = Maker()
    made.go_in("a", 0, 0)
    made.go_in("b", 0, 59, cls="green")
    made.go_in("c", 23, 59)
    made.go_out("a", 8, 30)
    found = figures(made.day())
    assert {cls: [h for h, n in enumerate(hours) if n] for cls, hours in found.entries.items()} == {
        "green": [0],
        "yellow": [0, 23],
    }
    assert found.exits["yellow"][8] == 1


def test_an_opening_is_no_entry_and_a_passage_without_a_card_is_nobodys():
    made = Maker()
    made.event((8, 0), "grant", "in", "ok", "a")
    made.event((8, 1), "passage")
    made.event((8, 2), "no_passage", "in", "", "a")
    made.event((8, 3), "late_passage", "in", "", "a")
    found = figures(made.day())
    assert (found.grants, found.no_passage) == (1, 1)
    assert sum(found.entries["yellow"]) == 1


def test_denials_are_counted_by_direction_and_reason_the_most_frequent_first():
    made = Maker()
    for minute in range(3):
        made.deny("too_early", "a", 8, minute)
    made.deny("passback", "a", 9, 0, direction="out")
    assert list(figures(made.day()).denials.items()) == [(("in", "too_early"), 3), (("out", "passback"), 1)]


def test_a_stay_is_from_an_entry_to_the_exit_after_it():
    made = Maker()
    made.visit("a")
    for begin, length in ((8, 10), (9, 20), (10, 40)):
        made.go_in("a", begin, 0)
        made.go_out("a", begin, length)
    made.go_in("a", 11, 0)
    found = figures(made.day())
    stays = found.stays["yellow"]
    assert (stays.count, stays.p50_s, stays.p90_s, stays.longest_s) == (3, 1200, 2400, 2400)
    assert (found.stays["all"], found.unended) == (stays, 1)


def test_an_exit_without_an_entry_and_an_entry_after_an_entry_are_no_stays():
    made = Maker()
    made.go_out("a", 8, 0)
    made.go_in("b", 8, 0)
    made.go_in("b", 9, 0)
    made.go_out("b", 9, 10)
    found = figures(made.day())
    assert (found.stays["yellow"].count, found.stays["yellow"].longest_s, found.unended) == (1, 600, 1)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([1, 2], 50, 1),
        ([1, 2, 3], 50, 2),
        (range(1, 11), 90, 9),
        (range(1, 12), 90, 10),
        ([5], 0, 5),
    ],
)
def test_percentiles_are_values_that_occurred(values, percent, expected):
    assert percentile(list(values), percent) == expected


def test_who_stays_more_than_a_quarter_of_an_hour_after_the_window_overstays():
    made = Maker()
    for card, minute in (("just", 15), ("over", 16)):
        made.visit(card)
        made.go_in(card, 11, 0)
        made.go_out(card, 12, minute)
    made.visit("officer", "staff", None)
    made.go_in("officer", 8, 0, cls="staff")
    made.go_out("officer", 20, 0, cls="staff")
    made.visit("desk", closed=(12, 30))
    made.go_in("desk", 11, 0)
    made.visit("safe", closed=(12, 1))
    made.go_in("safe", 11, 0)
    found = figures(made.day()).overstays
    assert [(one.card, one.over_s // 60, one.left is None) for one in found] == [
        ("desk", 30, True),
        ("over", 16, False),
    ]


def test_cards_are_not_returned_if_they_are_out_at_closing_time_and_that_has_come():
    made = Maker()
    made.visit("back", closed=(16, 29))
    made.visit("kept", closed=None)
    made.visit("late", closed=(16, 31))
    made.visit("older", opened=(-40, 0), closed=None)
    made.visit("after", opened=(16, 31), closed=None)
    made.visit("officer", "staff", None, closed=None)
    found = figures(made.day()).not_returned
    assert [(one.card, one.returned is None) for one in found] == [
        ("kept", True),
        ("late", False),
        ("older", True),
    ]
    assert figures(made.day(asked=made.at(16, 29))).not_returned == ()


def test_the_busiest_quarter_is_the_first_of_those_with_most_passages():
    made = Maker()
    assert figures(made.day()).busiest is None
    for time in ((8, 14), (9, 15), (9, 29), (10, 0), (10, 14)):
        made.go_in("a", *time)
    assert figures(made.day()).busiest == (made.at(9, 15), 2)


def test_people_inside_are_told_at_the_end_of_each_quarter():
    made = Maker()
    made.go_in("a", 8, 0)
    made.go_out("a", 8, 31)
    made.go_in("b", 8, 16)
    made.go_in("officer", 8, 0, cls="staff")
    made.go_out("officer", 9, 0, cls="staff")
    assert figures(made.day()).inside[31:36] == [0, 1, 1, 0, 0]


def test_health_of_a_gate():
    made = Maker()
    made.event((6, 0), "boot", "")
    made.event((8, 0), "alarm", "in", "tailgate")
    made.event((8, 5), "alarm", "in", "tailgate")
    made.event((9, 0), "clock", "", "-90")
    made.event((9, 1), "boot", "", gate="B")
    first, second, third = health(made.day())
    assert (first.gate, first.records, first.starts, first.alarms) == ("A", 4, 1, {"tailgate": 2})
    assert first.steps == ((made.at(9, 0), -90),)
    assert (second.starts, third.records) == (1, 0)


def test_a_start_tells_how_long_the_gate_was_down_at_most():
    made = Maker()
    made.event((20, 0), "passage")
    before = made.events.pop()
    made.event((6, 0), "boot", "")
    made.event((8, 0), "passage")
    made.event((8, 7), "boot", "")
    spans = down(made.events, before)
    assert spans[1] == (made.at(8, 0), made.at(8, 7))
    assert down(made.events, None) == spans[1:]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], None),
        ([(0, "A", True)], []),
        ([(0, "A", True), (8, "A", False), (9, "A", True)], [(8, 9)]),
        ([(0, "A", True), (8, "", False), (8, "B", True), (10, "A", True)], [(8, 10)]),
        ([(7, "A", True)], [(0, 7)]),
        ([(0, "A", True), (20, "A", False)], [(20, 22)]),
    ],
)
def test_a_gate_is_apart_while_the_office_does_not_hear_it(changes, expected):
    made = Maker()
    made.contacts = [Contact(BEGIN + hour * HOUR, gate, online) for hour, gate, online in changes]
    spans = apart(made.day(asked=BEGIN + 22 * HOUR), "A")
    hours = None if spans is None else [((a - BEGIN) // HOUR, (b - BEGIN) // HOUR) for a, b in spans]
    assert hours == expected


def test_a_record_whose_time_is_not_certain_is_counted():
    made = Maker()
    made.event((0, 5), "grant", "in", "ok", "a")
    made.events[0] = replace(made.events[0], unsure=True)
    assert figures(made.day()).unsure == 1
