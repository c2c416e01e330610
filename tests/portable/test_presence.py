"""Positions: what moves a card, who counts, what is evicted, other gates, and the replay of a journal."""

from rules_world import BLUE, DAY, EIGHT, GREEN, HOUR, ORANGE, STAFF, YELLOW, key, make_site

from firmware import presence, records
from firmware.presence import INSIDE, OUTSIDE, UNKNOWN, Presence
from firmware.replay import replay, retime

T = EIGHT
EPOCH = 1577836800  # 2020-01-01T00:00:00Z


def make(capacity=512, **classes):
    return Presence(make_site(classes=classes).classes, capacity)


def test_nobody_is_known_at_first():
    p = make()
    assert p.position(key(1)) == UNKNOWN
    assert p.position(None) == UNKNOWN
    assert list(p.inside()) == []
    assert len(list(p.inside())) == 0
    assert p.occupancy() == 0


def test_a_confirmed_passage_moves_a_card():
    p = make()
    assert p.confirm(key(1), "in", YELLOW, 1, T) == ""
    assert p.position(key(1)) == INSIDE
    assert list(p.inside()) == [key(1)]
    assert p.position(key(2)) == UNKNOWN
    assert p.confirm(key(1), "out", YELLOW, 1, T) == ""
    assert p.position(key(1)) == OUTSIDE
    assert list(p.inside()) == []


def test_a_grant_moves_nobody():
    p = make()
    p.grant(key(1), YELLOW, 1, "in", T)
    assert p.position(key(1)) == UNKNOWN
    p.ended(key(1))
    assert p.position(key(1)) == UNKNOWN
    assert len(list(p.inside())) == 0


def test_a_key_is_found_only_as_a_whole_entry():
    p = make()
    for n in range(60):
        p.confirm(key(n), "in", YELLOW, n, T + n)
    for n in range(60):
        assert p.position(key(n)) == INSIDE
    # Bytes that lie across two fields or two entries of the table are nobody's key.
    table = bytes(p._table)
    for at in range(1, 40):
        if at % 20:
            assert p.position(table[at : at + 8]) == UNKNOWN, at


def test_the_zeros_of_unused_entries_are_nobody():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.position(bytes(8)) == UNKNOWN


def test_a_key_of_equal_bytes_is_found_behind_one_more_of_them():
    p = make()
    p.confirm(key(1), "out", YELLOW, 1, T - T % 256 + 7)
    p.confirm(key(1), "in", YELLOW, 1, T)  # the moment of the exit stays, at the end of the entry
    p.confirm(b"\x07" * 8, "in", YELLOW, 2, T)
    assert p.position(b"\x07" * 8) == INSIDE


def test_times_begin_with_2020():
    p = make()
    assert p.remote(key(1), "in", YELLOW, 1, EPOCH, 2) == ""
    assert p.position(key(1)) == UNKNOWN
    p.remote(key(1), "in", YELLOW, 1, EPOCH + 1, 2)
    assert p.position(key(1)) == INSIDE
    assert p.visit_entered(key(1), 1, EPOCH + 1) and not p.visit_entered(key(1), 1, EPOCH + 2)
    p.confirm(key(2), "out", YELLOW, 2, EPOCH - 1)  # a clock that knows nothing
    assert p.position(key(2)) == OUTSIDE
    p.remote(key(2), "in", YELLOW, 2, EPOCH + 1, 2)
    assert p.position(key(2)) == INSIDE
    p.confirm(key(3), "in", YELLOW, 3, EPOCH)
    assert not p.visit_entered(key(3), 3, EPOCH + 1)


# who entered in the visit


def test_an_entry_belongs_to_its_party_and_to_the_time_since():
    p = make()
    p.confirm(key(1), "in", YELLOW, 5, T)
    assert p.visit_entered(key(1), 5, T)
    assert p.visit_entered(key(1), 5, 0)
    assert not p.visit_entered(key(1), 5, T + 1)
    assert not p.visit_entered(key(1), 6, T)
    assert not p.visit_entered(key(2), 5, 0)


def test_an_entry_stays_known_after_the_exit_and_after_a_reset():
    p = make()
    p.confirm(key(1), "in", YELLOW, 5, T)
    p.confirm(key(1), "out", YELLOW, 5, T + 60)
    assert p.visit_entered(key(1), 5, T)
    p.forget_all(T + 120)
    assert p.visit_entered(key(1), 5, T)
    p.forget(key(1), T + 180)
    assert p.visit_entered(key(1), 5, T)


def test_an_exit_alone_is_no_entry():
    p = make()
    p.confirm(key(1), "out", YELLOW, 5, T)
    assert not p.visit_entered(key(1), 5, 0)


def test_a_new_visit_has_no_entry_yet():
    p = make()
    p.confirm(key(1), "in", YELLOW, 5, T)
    p.forget(key(1), T + 60, True)
    assert not p.visit_entered(key(1), 5, 0)
    assert p.position(key(1)) == UNKNOWN


# who counts


def test_occupancy_counts_counted_classes_inside():
    p = make(orange={"code": ORANGE})
    for n, cls in enumerate((YELLOW, GREEN, BLUE, STAFF, ORANGE)):
        p.confirm(key(n), "in", cls, n, T)
    assert p.occupancy() == 4
    assert p.occupancy(key(0)) == 3
    assert p.occupancy(key(3)) == 4  # staff is not counted
    assert len(list(p.inside())) == 5
    p.confirm(key(1), "out", GREEN, 1, T)
    assert p.occupancy() == 3
    assert p.occupancy(key(1)) == 3
    p.confirm(key(0), "in", YELLOW, 0, T)  # again, without an exit
    assert p.occupancy() == 3


def test_the_last_of_16_classes_counts_like_the_first():
    p = make(last={"code": 15})
    assert p.occupancy() == 0
    p.confirm(key(1), "in", 15, 0, T)
    assert p.occupancy() == 1
    assert p.forget_all(T + 1) == 1
    assert p.occupancy() == 0
    p.confirm(key(1), "in", 15, 0, T + 2)
    assert p.occupancy() == 1


def test_occupancy_counts_who_is_entering_by_a_clock_that_has_just_begun():
    p = make()
    p.grant(key(1), BLUE, 1, "in", 1)
    assert p.occupancy() == 1
    assert p.companions(1) == 1


def test_occupancy_counts_who_is_entering_once():
    p = make()
    p.grant(key(1), YELLOW, 1, "in", T)
    assert p.occupancy() == 1
    assert p.occupancy(key(1)) == 0
    p.grant(key(1), YELLOW, 1, "in", T + 3)
    assert p.occupancy() == 1
    p.confirm(key(1), "in", YELLOW, 1, T + 4)
    assert p.occupancy() == 1
    p.grant(key(1), YELLOW, 1, "in", T + 9)
    assert p.occupancy() == 1


def test_who_is_leaving_or_staff_is_not_entering():
    p = make()
    p.grant(key(1), YELLOW, 1, "out", T)
    assert p.occupancy() == 0
    p.grant(key(1), STAFF, 0, "in", T)
    assert p.occupancy() == 0


def test_a_class_without_rules_is_not_counted():
    p = make()
    p.confirm(key(1), "in", ORANGE, 0, T)
    assert p.occupancy() == 0
    assert len(list(p.inside())) == 1


def test_a_card_of_a_new_class_moves_its_count():
    p = make()
    p.confirm(key(1), "in", STAFF, 0, T)
    p.confirm(key(1), "in", YELLOW, 1, T + 1)
    assert (p.occupancy(), len(list(p.inside()))) == (1, 1)
    p.confirm(key(1), "out", STAFF, 0, T + 2)
    assert (p.occupancy(), len(list(p.inside()))) == (0, 0)


def test_principals_of_a_party_are_inside_or_entering():
    p = make()
    assert not p.principal_in(7, T, 120)
    p.confirm(key(1), "in", BLUE, 7, T)
    p.confirm(key(2), "in", GREEN, 8, T)
    assert not p.principal_in(7, T, 120)
    p.confirm(key(3), "in", GREEN, 7, T)
    assert p.principal_in(7, T, 120)
    assert p.principal_in(7, T + DAY, 120)
    p.confirm(key(3), "out", GREEN, 7, T)
    assert not p.principal_in(7, T, 120)
    p.grant(key(3), GREEN, 7, "in", T)
    assert p.principal_in(7, T + 119, 120)
    assert not p.principal_in(7, T + 120, 120)
    assert not p.principal_in(8 + 1, T, 120)


def test_party_0_has_no_principal():
    p = make()
    p.confirm(key(1), "in", YELLOW, 0, T)
    p.grant(key(2), YELLOW, 0, "in", T)
    assert not p.principal_in(0, T, 120)


def test_companions_of_a_party_are_inside_or_entering():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(2), "in", BLUE, 7, T)
    p.confirm(key(3), "in", BLUE, 8, T)
    assert p.companions(7) == 1
    assert p.companions(7, key(2)) == 0
    p.grant(key(4), BLUE, 7, "in", T)
    assert p.companions(7) == 2
    assert p.companions(7, key(4)) == 1
    assert p.companions(8, key(3)) == 0
    p.grant(key(5), BLUE, 7, "out", T)
    assert p.companions(7) == 1


def test_party_numbers_are_not_found_across_other_fields():
    p = make()
    for n in range(200):
        p.confirm(key(n), "in", BLUE, n + 1, T + n)
    for party in range(1, 201):
        assert p.companions(party) == 1, party


def test_party_numbers_are_found_beside_bytes_like_them():
    p = make()
    p.confirm(b"\x00\x07" * 4, "in", BLUE, 7, T)  # a key that begins with the bytes of its party
    assert p.companions(7) == 1
    p.remote(key(1), "in", BLUE, 0xAAAA, T, 0xAA)  # so does what stands before the party
    assert p.companions(0xAAAA) == 1


# companion_inside


def test_the_last_principal_who_leaves_a_companion_behind():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(2), "in", GREEN, 7, T)
    p.confirm(key(3), "in", BLUE, 7, T)
    assert p.confirm(key(1), "out", YELLOW, 7, T) == ""
    assert p.confirm(key(2), "out", GREEN, 7, T) == "companion_inside"
    assert p.confirm(key(3), "out", BLUE, 7, T) == ""


def test_a_principal_who_leaves_nobody_behind():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(3), "in", BLUE, 8, T)
    assert p.confirm(key(1), "out", YELLOW, 7, T) == ""


def test_a_principal_of_unknown_position_leaves_a_companion_too():
    p = make()
    p.confirm(key(3), "in", BLUE, 7, T)
    assert p.confirm(key(1), "out", YELLOW, 7, T) == "companion_inside"


def test_parties_of_number_0_leave_nobody_behind():
    p = make()
    p.confirm(key(1), "in", YELLOW, 0, T)
    p.confirm(key(3), "in", BLUE, 0, T)
    assert p.confirm(key(1), "out", YELLOW, 0, T) == ""


def test_staff_or_a_companion_that_leaves_raises_nothing():
    p = make()
    p.confirm(key(2), "in", BLUE, 7, T)
    p.confirm(key(3), "in", BLUE, 7, T)
    assert p.confirm(key(3), "out", BLUE, 7, T) == ""
    assert p.confirm(key(4), "out", STAFF, 7, T) == ""


def test_a_principal_no_longer_listed_is_known_by_its_entry():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(3), "in", BLUE, 7, T)
    assert p.confirm(key(1), "out", 0, 0, T) == "companion_inside"


def test_a_forgotten_principal_is_still_known_as_one():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(3), "in", BLUE, 7, T)
    p.forget(key(1), T)
    assert p.confirm(key(1), "out", 0, 0, T) == "companion_inside"


def test_the_gate_of_the_exit_raises_companion_inside():
    p = make()
    p.confirm(key(1), "in", YELLOW, 7, T)
    p.confirm(key(3), "in", BLUE, 7, T)
    assert p.remote(key(1), "out", YELLOW, 7, T + 1, 2) == ""
    assert p.position(key(1)) == OUTSIDE


# grants and their outcome


def test_a_second_grant_without_an_outcome_of_the_first_makes_it_unknown():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.grant(key(1), YELLOW, 1, "out", T + 1)
    p.grant(key(2), YELLOW, 2, "in", T + 2)
    assert p.position(key(1)) == UNKNOWN
    assert p.occupancy() == 1


def test_a_grant_again_for_the_same_card_keeps_its_position():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.grant(key(1), YELLOW, 1, "out", T + 1)
    p.grant(key(1), YELLOW, 1, "out", T + 2)
    assert p.position(key(1)) == INSIDE


def test_only_the_card_of_the_grant_ends_it():
    p = make()
    p.grant(key(1), YELLOW, 1, "in", T)
    p.ended(key(2))
    assert p.occupancy() == 1
    p.confirm(key(2), "in", YELLOW, 2, T)
    assert p.occupancy() == 2
    p.forget(key(1), T)
    assert p.occupancy() == 1


# forgetting


def test_forget_makes_one_position_unknown():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.confirm(key(2), "in", YELLOW, 2, T)
    p.forget(key(1), T + 1)
    assert p.position(key(1)) == UNKNOWN
    assert p.position(key(2)) == INSIDE
    assert len(list(p.inside())) == 1


def test_forget_all_returns_how_many_were_inside():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.confirm(key(2), "in", STAFF, 0, T)
    p.confirm(key(3), "out", YELLOW, 3, T)
    p.grant(key(4), YELLOW, 4, "in", T)
    assert p.forget_all(T + 1) == 2
    for n in (1, 2, 3, 4):
        assert p.position(key(n)) == UNKNOWN
    assert (len(list(p.inside())), p.occupancy()) == (0, 0)
    assert p.forget_all(T + 2) == 0


# a full table


def test_the_oldest_who_left_is_evicted():
    p = make(capacity=16)
    for n in range(16):
        p.confirm(key(n), "in", YELLOW, n, T + n)
    for n, t in ((5, T + 300), (3, T + 200), (9, T + 100)):
        p.confirm(key(n), "out", YELLOW, n, t)
    assert p.confirm(key(50), "in", YELLOW, 50, T + 400) == ""
    assert p.position(key(9)) == UNKNOWN
    assert p.position(key(3)) == OUTSIDE
    assert p.position(key(5)) == OUTSIDE
    assert p.confirm(key(51), "in", YELLOW, 51, T + 400) == ""
    assert p.position(key(3)) == UNKNOWN
    assert p.position(key(5)) == OUTSIDE
    assert p.position(key(50)) == INSIDE
    assert len(list(p.inside())) == 15


def test_an_unknown_one_is_evicted_before_one_who_left_later():
    p = make(capacity=16)
    for n in range(16):
        p.confirm(key(n), "in", YELLOW, n, T)
    p.forget(key(4), T + 1)
    p.confirm(key(5), "out", YELLOW, 5, T + 2)
    assert p.confirm(key(50), "in", YELLOW, 50, T + 3) == ""
    assert not p.visit_entered(key(4), 4, 0)
    assert p.position(key(5)) == OUTSIDE


def test_when_all_are_inside_a_newcomer_is_not_recorded_and_raises_fault():
    p = make(capacity=16)
    for n in range(16):
        p.confirm(key(n), "in", YELLOW, n, T)
    assert p.confirm(key(50), "in", YELLOW, 50, T + 1) == "fault"
    assert p.position(key(50)) == UNKNOWN
    assert not p.visit_entered(key(50), 50, 0)
    assert p.remote(key(50), "in", YELLOW, 50, T + 1, 2) == "fault"
    p.forget(key(50), T + 1)
    assert len(list(p.inside())) == 16
    p.confirm(key(0), "out", YELLOW, 0, T + 2)
    assert p.confirm(key(50), "in", YELLOW, 50, T + 3) == ""
    assert p.position(key(50)) == INSIDE


def test_there_is_room_for_512_unless_said_otherwise():
    p = Presence(make_site().classes)
    for n in range(512):
        assert p.confirm(key(n), "in", YELLOW, n, T) == ""
    assert p.confirm(key(512), "in", YELLOW, 512, T) == "fault"
    assert p.occupancy() == 512


def test_those_known_need_no_place():
    p = make(capacity=16)
    for n in range(16):
        p.confirm(key(n), "in", YELLOW, n, T)
    for n in range(16):
        assert p.confirm(key(n), "out", YELLOW, n, T + 1) == ""
    assert len(list(p.inside())) == 0


def test_the_oldest_is_evicted_wherever_it_stands():
    for oldest in range(3):
        p = make(capacity=3)
        for n in range(3):
            p.confirm(key(n), "out", YELLOW, n, T if n == oldest else T + 1 + n)
        p.confirm(key(50), "in", YELLOW, 50, T + 9)
        assert [p.position(key(n)) == UNKNOWN for n in range(3)] == [n == oldest for n in range(3)]


def test_what_is_forgotten_in_a_full_table_leaves_no_trace():
    p = make(capacity=2)
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.confirm(key(2), "in", YELLOW, 2, T)
    p.forget(key(3), T + 100)
    p.confirm(key(1), "out", YELLOW, 1, T + 20)
    assert p.remote(key(4), "in", YELLOW, 4, T + 50, 2) == ""
    assert p.position(key(4)) == INSIDE


# other gates


def test_a_later_passage_of_another_gate_wins():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.remote(key(1), "out", YELLOW, 1, T + 1, 2) == ""
    assert p.position(key(1)) == OUTSIDE
    assert p.remote(key(1), "in", YELLOW, 1, T + 2, 2) == ""
    assert p.position(key(1)) == INSIDE
    assert p.visit_entered(key(1), 1, T + 2)
    assert p.occupancy() == 1


def test_an_earlier_or_equal_passage_of_another_gate_moves_nobody():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.remote(key(1), "out", YELLOW, 1, T, 2) == ""
    assert p.position(key(1)) == INSIDE
    assert p.remote(key(1), "out", YELLOW, 1, T - 1, 2) == ""
    assert p.position(key(1)) == INSIDE


def test_a_passage_of_this_gate_always_counts():
    p = make()
    p.remote(key(1), "in", YELLOW, 1, T + 100, 2)
    p.confirm(key(1), "out", YELLOW, 1, T)
    assert p.position(key(1)) == OUTSIDE


def test_what_was_before_a_reset_does_not_come_back():
    p = make()
    p.forget_all(T)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.position(key(1)) == UNKNOWN
    p.remote(key(1), "in", YELLOW, 1, T + 1, 2)
    assert p.position(key(1)) == INSIDE


def test_what_was_before_an_issue_does_not_come_back():
    p = make()
    p.forget(key(1), T, True)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.position(key(1)) == UNKNOWN
    p.remote(key(1), "in", YELLOW, 1, T + 1, 2)
    assert p.position(key(1)) == INSIDE


def test_two_entries_at_two_gates_are_a_double_entry():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.remote(key(1), "in", YELLOW, 1, T + 1, 2) == "double_entry"
    assert p.confirm(key(1), "in", YELLOW, 1, T + 2) == "double_entry"
    assert p.remote(key(1), "in", YELLOW, 1, T + 3, 2) == "double_entry"
    assert p.remote(key(1), "in", YELLOW, 1, T + 4, 3) == "double_entry"


def test_two_entries_at_one_gate_are_none():
    p = make()
    p.confirm(key(1), "in", STAFF, 0, T)
    assert p.confirm(key(1), "in", STAFF, 0, T + 1) == ""
    p.remote(key(2), "in", STAFF, 0, T, 2)
    assert p.remote(key(2), "in", STAFF, 0, T + 1, 2) == ""


def test_an_exit_between_two_entries_makes_them_good():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    p.confirm(key(1), "out", YELLOW, 1, T + 1)
    assert p.remote(key(1), "in", YELLOW, 1, T + 2, 2) == ""


def test_a_gate_that_learns_late_of_an_earlier_entry_finds_the_double_entry():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == "double_entry"
    assert p.position(key(1)) == INSIDE
    assert p.remote(key(1), "in", YELLOW, 1, T + 10, 2) == ""


def test_an_earlier_entry_at_the_gate_of_the_later_one_is_none():
    p = make()
    p.remote(key(1), "in", YELLOW, 1, T + 10, 2)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""


def test_news_of_an_exit_between_excuses_the_earlier_entry():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    assert p.remote(key(1), "out", YELLOW, 1, T + 5, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.position(key(1)) == INSIDE
    p.confirm(key(2), "out", YELLOW, 2, T + 5)
    p.confirm(key(2), "in", YELLOW, 2, T + 10)
    assert p.remote(key(2), "in", YELLOW, 2, T, 2) == ""


def test_a_double_entry_is_told_once_however_often_its_passages_come():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    known = p.known(key(1))
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == "double_entry"
    assert p.known(key(1)) != known, "to be journalled, so that a restart does not tell it again"
    known = p.known(key(1))
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == "" and p.known(key(1)) == known
    assert p.remote(key(1), "in", YELLOW, 1, T + 20, 2) == "double_entry"
    p = make()
    p.remote(key(1), "in", YELLOW, 1, T, 2)
    assert p.remote(key(1), "in", YELLOW, 1, T + 10, 3) == "double_entry"
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 11, 3) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""


def test_an_earlier_entry_at_the_same_gate_excuses_nothing():
    p = make()
    p.remote(key(1), "in", YELLOW, 1, T + 10, 2)
    assert p.remote(key(1), "in", YELLOW, 1, T + 5, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 1, 3) == "double_entry"


def test_an_entry_at_the_same_moment_is_told_nowhere_and_excuses_nothing():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T - 1, 2) == "double_entry"


def test_an_exit_excuses_only_the_entries_before_it():
    p = make()
    p.confirm(key(1), "out", YELLOW, 1, T)
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    assert p.remote(key(1), "in", YELLOW, 1, T - 5, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 5, 2) == "double_entry"
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    assert p.remote(key(1), "out", YELLOW, 1, T, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 5, 2) == "double_entry"
    assert p.remote(key(1), "out", YELLOW, 1, T + 2, 2) == "" and p.position(key(1)) == INSIDE


def test_a_card_that_was_issued_again_has_not_entered_twice():
    p = make()
    p.remote(key(1), "in", YELLOW, 1, T, 2)
    p.forget(key(1), T + 5, True)
    p.confirm(key(1), "in", YELLOW, 1, T + 10)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 6, 2) == "double_entry"


def test_a_second_entry_at_one_gate_excuses_nobody():
    p = make()
    p.confirm(key(1), "in", STAFF, 1, T + 10)
    p.confirm(key(1), "in", STAFF, 1, T + 20)
    assert p.remote(key(1), "in", STAFF, 1, T + 5, 2) == "double_entry"


def test_an_earlier_entry_of_somebody_outside_is_no_double_entry():
    p = make()
    p.confirm(key(1), "out", YELLOW, 1, T + 10)
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""
    assert p.position(key(1)) == OUTSIDE


# replay


def event(kind, number=0, direction=0, time=T, cls=YELLOW, party=1):
    return records.Event(
        1, time, 0, False, False, kind, direction, 0, cls, key(number) if number else bytes(8), party
    )


def replayed(*events):
    p = make()
    for item in events:
        replay(p, item[0], item[1] if len(item) > 1 else "ok")
    return p


def test_a_replay_confirms_passages():
    p = replayed(
        (event("boot"), ""),
        (event("grant", 1, 1), "ok"),
        (event("passage", 1, 1), ""),
        (event("grant", 2, 1), "ok"),
        (event("no_passage", 2, 1), ""),
        (event("late_passage", 2, 1), ""),
        (event("grant", 3, 1), "ok"),
        (event("passage", 3, 1), ""),
        (event("grant", 3, 2), "exit"),
        (event("passage", 3, 2), ""),
        (event("deny", 4, 1), "revoked"),
        (event("override", 5, 1), ""),
        (event("passage", 0, 1), ""),
    )
    p.settle(T)
    assert sorted(p.inside()) == sorted([key(1), key(2)])
    assert p.position(key(3)) == OUTSIDE
    assert p.position(key(4)) == UNKNOWN
    assert p.position(key(5)) == UNKNOWN
    assert p.occupancy() == 2


def test_a_replay_leaves_a_grant_without_outcome_unknown():
    p = replayed(
        (event("grant", 1, 1), "ok"),
        (event("passage", 1, 1), ""),
        (event("grant", 1, 2), "exit"),
    )
    assert p.position(key(1)) == INSIDE
    p.settle(T + 60)
    assert p.position(key(1)) == UNKNOWN
    p.settle(T + 60)
    assert p.occupancy() == 0


def test_a_replay_ends_grants_without_passage():
    p = replayed(
        (event("grant", 1, 1), "ok"),
        (event("passage", 1, 1), ""),
        (event("grant", 1, 2), "exit"),
        (event("no_passage", 1, 2), ""),
    )
    p.settle(T)
    assert p.position(key(1)) == INSIDE


def test_a_replay_knows_grants_that_await_no_passage():
    p = replayed(
        (event("passage", 1, 1), ""),
        (event("grant", 1, 2), "free"),
        (event("passage", 2, 1), ""),
        (event("grant", 2, 2), "error"),
    )
    assert p.position(key(2)) == UNKNOWN
    p.settle(T)
    assert p.position(key(1)) == INSIDE


def test_a_replay_makes_resets_of_one_card_and_of_all():
    p = replayed((event("passage", 1, 1), ""), (event("passage", 2, 1), ""), (event("reset", 1), ""))
    assert p.position(key(1)) == UNKNOWN
    assert not p.visit_entered(key(1), 1, 0)
    assert p.position(key(2)) == INSIDE
    replay(p, event("reset"), "")
    assert p.position(key(2)) == UNKNOWN
    assert p.visit_entered(key(2), 1, 0)


def test_a_replay_takes_passages_of_other_gates():
    p = replayed((event("remote", 1, 2 << 4 | 1), ""), (event("remote", 2, 2 << 4 | 2), ""))
    assert p.position(key(1)) == INSIDE
    assert p.position(key(2)) == OUTSIDE
    assert p.remote(key(1), "in", YELLOW, 1, T + 1, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 2, 1) == "double_entry"


def test_a_replay_waits_for_the_outcome_of_a_grant_until_the_next_boot():
    for kind, position in (("alarm", INSIDE), ("boot", UNKNOWN)):
        p = replayed(
            (event("passage", 1, 1), ""),
            (event("grant", 1, 2), "exit"),
            (event(kind), ""),
            (event("no_passage", 1, 2), ""),
        )
        assert p.position(key(1)) == position, kind


def test_a_replay_takes_earlier_exits_at_other_gates():
    p = replayed(
        (event("remote", 1, 2 << 4 | 1, T + 10), ""),
        (event("remote", 1, 2 << 4 | 2, T + 5), ""),
    )
    assert p.position(key(1)) == INSIDE
    assert p.remote(key(1), "in", YELLOW, 1, T + 1, 3) == ""


def test_a_replay_knows_that_a_double_entry_was_told():
    p = replayed((event("passage", 1, 1, T + 10), ""), (event("remote", 1, 2 << 4 | 1, T), ""))
    assert p.position(key(1)) == INSIDE
    assert p.remote(key(1), "in", YELLOW, 1, T, 2) == ""


# a clock that was not trusted


def test_what_a_wrong_clock_stamped_since_the_start_gets_its_true_time():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, T)  # before the start
    p.settle(T)
    p.confirm(key(2), "in", YELLOW, 2, T + 1)
    p.confirm(key(3), "out", YELLOW, 3, T + 20)
    p.remote(key(4), "in", YELLOW, 4, T + 10, 2)
    retime(p, T + 20, T + 80)
    times = [p.confirmed_at(key(n)) for n in (1, 2, 3, 4)]
    assert times == [T, T + 61, T + 80, T + 10]
    assert sorted(p.inside()) == sorted([key(1), key(2), key(4)]) and p.position(key(3)) == OUTSIDE
    assert p.remote(key(2), "in", YELLOW, 2, T + 60, 2) == "double_entry"
    p = make()
    p.settle(T)
    p.confirm(key(2), "out", YELLOW, 2, T + 1)
    p.confirm(key(2), "in", YELLOW, 2, T + 2)
    retime(p, T + 20, T + 80)
    assert p.remote(key(2), "in", YELLOW, 2, T + 50, 2) == "", "before the exit, which was at T + 61"
    p.confirm(key(5), "in", YELLOW, 5, T + 21)
    retime(p, T + 20, T + 80)
    assert p.confirmed_at(key(5)) == T + 21


def test_a_reset_by_a_wrong_clock_gets_its_true_time():
    for at, is_before in ((T, False), (T + 20, False), (T - 1, True), (T + 21, True)):
        p = make()
        p.settle(T)
        p.forget_all(at)
        retime(p, T + 20, T + 80)
        p.remote(key(1), "in", YELLOW, 1, at + 60, 2)
        assert (p.position(key(1)) == INSIDE) == is_before, at


def test_a_replay_moves_what_a_wrong_clock_stamped():
    shown = (T + 20).to_bytes(4, "big") + bytes(4)
    clock = records.Event(1, T + 80, 0, False, False, "clock", 0, 0, 0, shown, 0)
    p = replayed(
        (event("passage", 1, 1, T), ""),
        (event("boot", 0, 0, T), ""),
        (event("passage", 2, 1, T + 5), ""),
        (clock, ""),
    )
    assert p.confirmed_at(key(1)) == T
    assert p.confirmed_at(key(2)) == T + 65
    p = replayed((event("grant", 1, 1, T), "ok"), (event("boot", 0, 0, T + 5), ""))
    p.confirm(key(2), "in", YELLOW, 2, T + 6)
    assert p.confirmed_at(key(1)) == T + 5 and not p.principal_in(1, T + 6, 120)


# the daily reset


def test_the_last_reset_is_at_local_midnight():
    midnight = EIGHT - 8 * HOUR
    assert presence.last_reset(0, 420, midnight - 1) == midnight - DAY
    assert presence.last_reset(0, 420, midnight) == midnight
    assert presence.last_reset(0, 420, midnight + DAY - 1) == midnight


def test_the_last_reset_follows_the_setting_and_the_time_zone():
    assert presence.last_reset(8 * 60, 420, EIGHT) == EIGHT
    assert presence.last_reset(8 * 60, 420, EIGHT - 1) == EIGHT - DAY
    assert presence.last_reset(20 * 60, -300, EIGHT) == EIGHT
    assert presence.last_reset(None, 420, EIGHT) is None


def test_the_newest_confirmed_passage_has_its_time():
    p = make()
    assert p.confirmed_at(key(1)) < T
    p.confirm(key(1), "in", YELLOW, 1, T)
    assert p.confirmed_at(key(1)) == T
    p.remote(key(1), "out", YELLOW, 1, T + 5, 2)
    assert p.confirmed_at(key(1)) == T + 5
    p.forget(key(1), T + 9)
    assert p.confirmed_at(key(1)) == T + 9 and p.confirmed_at(key(2)) < T


def test_a_gate_that_has_just_begun_gets_its_true_time():
    p = make()
    p.confirm(key(1), "in", YELLOW, 1, EPOCH + 1)
    retime(p, EPOCH + 10, T + 10)
    assert p.confirmed_at(key(1)) == T + 1


def test_a_reset_by_a_wrong_clock_counts_at_its_true_time():
    p = make()
    p.forget_all(T + 10)
    retime(p, T + 20, T + 80)
    p.remote(key(1), "in", YELLOW, 1, T + 70, 2)
    assert p.position(key(1)) == UNKNOWN
    p.remote(key(1), "in", YELLOW, 1, T + 71, 2)
    assert p.position(key(1)) == INSIDE


def test_a_card_off_the_list_keeps_its_class_and_party():
    p = make()
    p.confirm(key(1), "in", BLUE, 1, T)
    p.confirm(key(1), "in", 0, 0, T + 1)
    assert p.companions(1) == 1


def test_a_true_time_changes_nothing_else():
    p = make()
    p.confirm(key(1), "in", BLUE, 1, T)
    retime(p, T + 20, T + 80)
    assert (p.companions(1), p.occupancy(), p.visit_entered(key(1), 1, T + 60)) == (1, 1, True)


def test_an_exit_before_the_start_keeps_its_time():
    for exit_at, entered_at in ((T - 10, T - 5), (T, T + 5)):
        p = make()
        p.confirm(key(1), "out", YELLOW, 1, exit_at)
        p.settle(T)
        p.confirm(key(1), "in", YELLOW, 1, T + 10)
        retime(p, T + 20, T + 80)
        assert p.remote(key(1), "in", YELLOW, 1, entered_at, 2) == "double_entry"


def test_an_exit_since_the_start_gets_its_true_time():
    p = make()
    p.settle(T)
    p.confirm(key(1), "out", YELLOW, 1, T + 1)
    p.confirm(key(1), "in", YELLOW, 1, T + 5)
    retime(p, T + 20, T + 80)
    assert p.remote(key(1), "in", YELLOW, 1, T + 61, 2) == ""
    assert p.remote(key(1), "in", YELLOW, 1, T + 62, 2) == "double_entry"
