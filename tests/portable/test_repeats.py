"""Repeated taps at one reader, and the count of strangers that makes a card storm."""

from rules_world import key

from firmware import policy
from firmware.repeats import Repeats, Storm

OK = policy.Decision(True, "ok", "", False)
EXIT = policy.Decision(True, "exit", "", False)
PASSBACK = policy.Decision(False, "passback", "", False)
REVOKED = policy.Decision(False, "revoked", "", False)


def test_nothing_is_ignored_at_first():
    assert not Repeats(2).ignores(key(1), OK, 0)


def test_after_a_grant_the_card_is_ignored_whatever_it_would_get():
    r = Repeats(2)
    r.note(key(1), OK, 1000)
    assert r.ignores(key(1), OK, 1000)
    assert r.ignores(key(1), PASSBACK, 2999)
    assert not r.ignores(key(1), OK, 3000)


def test_a_copy_is_not_the_card_that_was_let_in():
    copy = policy.Decision(False, "card_not_authentic", "clone", False)
    r = Repeats(2)
    r.note(key(1), OK, 1000)
    assert not r.ignores(key(1), copy, 1500)
    r.note(key(1), copy, 1500)
    assert r.ignores(key(1), copy, 1600)
    assert not r.ignores(key(1), OK, 1700)


def test_after_a_deny_only_the_same_reason_is_ignored():
    r = Repeats(2)
    r.note(key(1), PASSBACK, 1000)
    assert r.ignores(key(1), PASSBACK, 2999)
    assert not r.ignores(key(1), REVOKED, 2999)
    assert not r.ignores(key(1), OK, 1001)
    assert not r.ignores(key(1), PASSBACK, 3000)


def test_an_ignored_tap_does_not_renew_the_time():
    r = Repeats(2)
    r.note(key(1), OK, 0)
    assert r.ignores(key(1), OK, 1900)
    assert not r.ignores(key(1), OK, 2000)


def test_the_last_decision_of_a_card_counts():
    r = Repeats(2)
    r.note(key(1), PASSBACK, 0)
    r.note(key(1), REVOKED, 500)
    assert not r.ignores(key(1), PASSBACK, 600)
    assert r.ignores(key(1), REVOKED, 2499)
    r.note(key(1), OK, 1000)
    assert r.ignores(key(1), PASSBACK, 2999)


def test_other_cards_are_not_affected_nor_do_they_erase_the_memory():
    r = Repeats(2)
    r.note(key(1), OK, 0)
    r.note(key(2), PASSBACK, 100)
    assert not r.ignores(key(3), OK, 200)
    assert not r.ignores(key(2), REVOKED, 200)
    assert r.ignores(key(1), OK, 200)


def test_what_has_no_card_repeats_by_its_reason():
    r = Repeats(2)
    r.note(None, policy.Decision(False, "several_cards", "", False), 0)
    assert r.ignores(None, policy.Decision(False, "several_cards", "", False), 500)
    assert not r.ignores(None, policy.Decision(False, "random_uid", "", False), 500)


def test_repeat_s_is_a_setting():
    r = Repeats(0.5)
    r.note(key(1), OK, 0)
    assert r.ignores(key(1), OK, 499)
    assert not r.ignores(key(1), OK, 500)
    r = Repeats(0)
    r.note(key(1), OK, 0)
    assert not r.ignores(key(1), OK, 0)


def test_the_last_sixteen_cards_are_remembered():
    r = Repeats(2)
    for n in range(17):
        r.note(key(n), OK, 100)
    assert not r.ignores(key(0), OK, 200)
    for n in range(1, 17):
        assert r.ignores(key(n), OK, 200), n


def test_ten_strangers_in_a_minute_are_a_storm():
    s = Storm()
    for n in range(9):
        assert not s.note("unknown_card" if n % 2 else "random_uid", n * 1000)
    assert not s.note("revoked", 10000)
    assert s.note("unknown_card", 60000)


def test_nine_strangers_or_ten_in_more_than_a_minute_are_none():
    s = Storm()
    for n in range(9):
        assert not s.note("unknown_card", n * 1000)
    assert not s.note("unknown_card", 60001)
    assert s.note("unknown_card", 60999)


def test_a_storm_begins_afresh():
    s = Storm()
    for n in range(2):
        for _ in range(9):
            assert not s.note("random_uid", n)
        assert s.note("random_uid", n)
