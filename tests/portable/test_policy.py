"""Every row of the decision tables, with the edge just before and just after it applies, and their order."""

from rules_world import BLUE, DAY, EIGHT, GREEN, HOUR, MINUTE, ORANGE, STAFF, World, card, key

from firmware import policy, records

NINE = EIGHT + HOUR
TEN = EIGHT + 2 * HOUR
STAFF_CARD = card(4, STAFF, None, party=0)
WEEK = {"mon": ["07:30", "16:00"], "tue": ["08:00", "24:00"]}


def at(now, **settings):
    return World(now, **settings)


def test_codes_of_reasons_are_append_only():
    assert policy.REASONS == (
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


def test_codes_of_alarms_are_append_only():
    assert policy.ALARMS == (
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


def test_codes_of_modes_and_directions_are_append_only():
    assert policy.MODES == ("normal", "lockdown", "out_of_service", "free")
    assert policy.DIRECTIONS == ("", "in", "out")


def test_every_row_names_a_reason_and_an_alarm_of_the_tables():
    for rows in policy.ROWS.values():
        for reason, allow, alarm, applies in rows:
            assert reason in policy.REASONS[1:]
            assert alarm in policy.ALARMS
            assert allow in (True, False) and applies


def test_in_denies_come_before_grants_except_free():
    allowed = [allow for _, allow, _, _ in policy.ROWS["in"]]
    assert allowed == [True] + [False] * (len(allowed) - 3) + [True, True]


def test_error_shuts_in_and_opens_out():
    assert policy.error("in") == (False, "error", "fault", False)
    assert policy.error("out") == (True, "error", "fault", False)


def test_where_no_row_applies_nobody_gets_in():
    rows = dict(policy.ROWS)
    try:
        policy.ROWS["in"] = policy.ROWS["out"] = ()
        assert at(NINE).reason(card()) == "deny error + fault"
        assert at(NINE).reason(card(), "out") == "grant error + fault"
    finally:
        policy.ROWS.update(rows)
    assert at(NINE).reason(card()) == "grant ok"


def test_a_busy_lane_denies_without_alarm():
    assert policy.BUSY == (False, "lane_busy", "", False)


# in 0: free


def test_free_lets_every_card_through_both_ways():
    w = at(NINE)
    for direction in ("in", "out"):
        assert w.reason(None, direction, mode="free") == "grant free"
        assert w.reason(card(blocked=True), direction, mode="free") == "grant free"
        assert w.reason(card(), direction, mode="free", verdict="card_not_authentic") == "grant free"
        assert w.reason(None, direction, mode="free", list_valid=False) == "grant free"
        assert w.reason(None, direction, mode="free", key=None, verdict="several_cards") == "grant free"


def test_free_flags_nobody():
    w = at(NINE)
    w.passes(STAFF_CARD)
    assert not w.decide(STAFF_CARD, mode="free").flagged


# in 1: gate_closed


def test_lockdown_and_out_of_service_close_the_way_in_for_all_classes():
    w = at(NINE)
    for mode in ("lockdown", "out_of_service"):
        for c in (card(), STAFF_CARD, None):
            assert w.reason(c, mode=mode) == "deny gate_closed"


def test_an_unknown_mode_is_closed():
    assert at(NINE).reason(card(), mode="") == "deny gate_closed"


def test_lockdown_does_not_close_the_way_out():
    w = at(NINE)
    w.passes(card())
    assert w.reason(card(), "out", mode="lockdown") == "grant exit"
    assert w.reason(card(), "out", mode="out_of_service") == "grant exit"


def test_opening_hours_are_half_open_to_the_minute():
    start = EIGHT - DAY
    for now, reason in (
        (EIGHT - 30 * MINUTE - 1, "deny gate_closed"),
        (EIGHT - 30 * MINUTE, "grant ok"),
        (EIGHT + 8 * HOUR - 1, "grant ok"),
        (EIGHT + 8 * HOUR, "deny gate_closed"),
    ):
        assert at(now, opening_hours=WEEK).reason(card(1, GREEN, start, EIGHT + DAY)) == reason, now


def test_opening_hours_belong_to_the_local_weekday():
    tuesday_midnight = EIGHT + 16 * HOUR
    for now, reason in (
        (tuesday_midnight + 8 * HOUR - 1, "deny gate_closed"),
        (tuesday_midnight + 8 * HOUR, "grant ok"),
        (tuesday_midnight + DAY - 1, "grant ok"),
        (tuesday_midnight + DAY, "deny gate_closed"),  # Wednesday has no hours
        (tuesday_midnight + DAY + 12 * HOUR, "deny gate_closed"),
    ):
        assert at(now, opening_hours=WEEK).reason(card(1, GREEN, EIGHT, EIGHT + 4 * DAY)) == reason, now


def test_opening_hours_of_a_site_west_of_greenwich():
    now = EIGHT  # Monday 01:00 UTC, Sunday 20:00 at UTC-5
    assert at(now, opening_hours={"sun": ["19:00", "21:00"]}, utc_offset_min=-300).reason(
        card(1, GREEN, EIGHT, TEN)
    ) == ("grant ok")
    assert at(now, opening_hours={"mon": ["00:00", "24:00"]}, utc_offset_min=-300).reason(
        card(1, GREEN, EIGHT, TEN)
    ) == ("deny gate_closed")


def test_every_weekday_has_its_own_hours():
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    for n, day in enumerate(days):
        for week in (0, 1, 60):
            noon = EIGHT + 4 * HOUR + (n + 7 * week) * DAY
            w = at(noon, opening_hours={day: ["12:00", "12:01"]})
            assert w.reason(STAFF_CARD) == "grant ok"
            visit = card(1, GREEN, noon, noon + HOUR)
            assert w.reason(visit) == "grant ok", day
            w.now = noon + MINUTE
            assert w.reason(visit) == "deny gate_closed", day
            w.now = noon - DAY
            assert w.reason(visit) == "deny gate_closed", day
            w.now = noon + DAY
            assert w.reason(visit) == "deny gate_closed", day


def test_no_opening_hours_never_close():
    assert at(EIGHT + 13 * HOUR).reason(card(1, GREEN, EIGHT, EIGHT + DAY)) == "grant ok"


def test_exempt_classes_enter_outside_opening_hours_unlisted_cards_do_not():
    w = at(EIGHT + 10 * HOUR, opening_hours=WEEK)
    assert w.reason(STAFF_CARD) == "grant ok"
    assert w.reason(None) == "deny gate_closed"
    assert w.reason(None, verdict="random_uid") == "deny gate_closed"


def test_opening_hours_are_not_judged_by_an_untrusted_clock():
    w = at(EIGHT + 10 * HOUR, opening_hours=WEEK)
    assert w.reason(None, trusted=False) == "deny unknown_card"


def test_opening_hours_do_not_apply_to_the_way_out():
    w = at(EIGHT + 10 * HOUR, opening_hours=WEEK)
    w.passes(card(1, GREEN, EIGHT, EIGHT + DAY))
    assert w.reason(card(1, GREEN, EIGHT, EIGHT + DAY), "out") == "grant exit"


# in 2: what the reader says


def test_what_the_reader_says_is_the_reason():
    w = at(NINE)
    assert w.reason(None, key=None, verdict="several_cards") == "deny several_cards"
    assert w.reason(None, key=None, verdict="random_uid") == "deny random_uid"
    assert w.reason(card(), verdict="card_not_authentic") == "deny card_not_authentic + clone"


def test_a_copy_is_told_before_its_record():
    w = at(NINE)
    assert w.reason(card(blocked=True), verdict="card_not_authentic") == "deny card_not_authentic + clone"


def test_a_copy_is_told_before_it_is_missed_on_the_list():
    w = at(NINE)
    assert w.reason(None, verdict="card_not_authentic") == "deny card_not_authentic + clone"
    assert w.reason(None, "out", verdict="card_not_authentic") == "deny unknown_card + unknown_exit"


# in 3 to 5: unknown, revoked, weak


def test_an_unlisted_card_is_unknown_even_when_known_inside():
    w = at(NINE)
    assert w.reason(None) == "deny unknown_card"
    w.passes(card())
    assert w.reason(None) == "deny unknown_card"


def test_a_blocked_record_is_revoked():
    assert at(NINE).reason(card(blocked=True)) == "deny revoked"


def test_a_class_that_the_config_lacks_is_an_error_in_and_gets_out():
    w = at(NINE)
    stranger = card(cls=ORANGE)
    assert w.reason(stranger) == "deny error + fault"
    assert w.reason(card(cls=ORANGE, blocked=True)) == "deny revoked"
    assert w.reason(stranger, has_keys=True, tier=1) == "deny error + fault"
    assert w.reason(stranger, "out") == "grant exit_unrecorded"
    w.passes(stranger)
    assert w.reason(stranger, "out") == "grant exit"
    w.passes(stranger, "out")
    assert w.reason(stranger, "out") == "deny passback"


def test_a_tier_below_the_record_the_class_or_the_site_is_weak():
    aes = at(NINE, min_tier="aes")
    assert aes.reason(card(), tier=1) == "deny weak_card"
    assert aes.reason(card(), tier=2) == "grant ok"
    assert at(NINE).reason(card(tier=1), tier=0) == "deny weak_card"
    assert at(NINE).reason(card(tier=1), tier=1) == "grant ok"
    signed = at(NINE, classes={"yellow": {"min_tier": "signed"}})
    assert signed.reason(card(), tier=0) == "deny weak_card"
    assert signed.reason(card(), tier=1) == "grant ok"
    assert signed.reason(card(cls=GREEN), tier=0) == "grant ok"


def test_a_class_may_ask_for_less_than_its_site():
    w = at(NINE, min_tier="aes", classes={"staff": {"min_tier": "uid"}})
    assert w.reason(STAFF_CARD, tier=0) == "grant ok"


def test_weak_card_is_a_clone_only_if_the_card_has_keys():
    w = at(NINE, min_tier="aes")
    assert w.reason(card()) == "deny weak_card"
    assert w.reason(card(), has_keys=True) == "deny weak_card + clone"
    assert w.reason(card(), has_keys=True, tier=1) == "deny weak_card + clone"


def test_a_card_with_keys_must_use_them_even_where_numbers_suffice():
    w = at(NINE)
    assert w.reason(card(), has_keys=True, tier=0) == "deny weak_card + clone"
    assert w.reason(card(), has_keys=True, tier=1) == "grant ok"
    assert w.reason(card(), has_keys=True, tier=2) == "grant ok"


# in 6 and 7: list and clock


def test_an_expired_list_lets_nobody_in_from_its_second_on():
    w = at(NINE)
    assert w.reason(card(), list_expires=NINE + 1) == "grant ok"
    assert w.reason(card(), list_expires=NINE) == "deny list_expired"


def test_exempt_classes_have_72_hours_of_grace():
    w = at(NINE)
    assert w.reason(STAFF_CARD, list_expires=NINE - 72 * HOUR + 1) == "grant ok"
    assert w.reason(STAFF_CARD, list_expires=NINE - 72 * HOUR) == "deny list_expired"
    short = at(NINE, classes={"staff": {"staff_grace_h": 1}})
    assert short.reason(STAFF_CARD, list_expires=NINE - HOUR) == "deny list_expired"


def test_grace_is_for_exempt_classes_only():
    w = at(NINE, classes={"staff": {"exempt": False}})
    assert w.reason(STAFF_CARD, list_expires=NINE) == "deny list_expired"


def test_a_record_without_a_valid_list_counts_as_expired():
    assert at(NINE).reason(STAFF_CARD, list_valid=False) == "deny list_expired"


def test_an_untrusted_clock_judges_the_list_first():
    assert at(NINE).reason(card(), trusted=False, list_expires=NINE) == "deny list_expired"


def test_an_untrusted_clock_lets_in_untimed_exempt_cards_only():
    w = at(NINE)
    assert w.reason(card(), trusted=False) == "deny clock_untrusted"
    assert w.reason(card(1, GREEN, None), trusted=False) == "deny clock_untrusted"
    assert w.reason(card(4, STAFF), trusted=False) == "deny clock_untrusted"
    assert w.reason(STAFF_CARD, trusted=False) == "grant ok"


# in 8 and 9: the window


def test_too_early_until_15_minutes_before_the_window():
    assert at(NINE - 15 * MINUTE - 1).reason(card()) == "deny too_early"
    assert at(NINE - 15 * MINUTE).reason(card()) == "grant ok"


def test_too_late_from_the_end_of_the_window_on():
    assert at(TEN - 1).reason(card()) == "grant ok"
    assert at(TEN).reason(card()) == "deny too_late"


def test_grace_of_the_class_moves_both_ends():
    settings = {"classes": {"yellow": {"early_min": 0, "late_min": 10}}}
    assert at(NINE - 1, **settings).reason(card()) == "deny too_early"
    assert at(NINE, **settings).reason(card()) == "grant ok"
    assert at(TEN + 10 * MINUTE - 1, **settings).reason(card()) == "grant ok"
    assert at(TEN + 10 * MINUTE, **settings).reason(card()) == "deny too_late"


def test_an_untimed_record_is_neither_early_nor_late():
    assert at(NINE).reason(card(1, GREEN, None)) == "grant ok"
    future = card(1, GREEN, TEN, TEN + HOUR)
    untimed = records.Credential(*(future[:3] + (True,) + future[4:]))
    assert at(NINE).reason(untimed) == "grant ok"
    assert at(TEN + DAY).reason(untimed) == "grant ok"


def went_in_and_out():
    w = at(NINE)
    w.passes(card())
    w.passes(card(), "out")
    return w


def test_reentry_is_possible_for_240_minutes_after_the_window():
    w = went_in_and_out()
    w.now = TEN + 240 * MINUTE - 1
    assert w.reason(card()) == "grant reentry"
    w.now = TEN + 240 * MINUTE
    assert w.reason(card()) == "deny too_late"


def test_reentry_within_the_window_has_its_own_reason():
    assert went_in_and_out().reason(card()) == "grant reentry"


def test_a_grant_without_passage_is_no_entry():
    w = at(NINE)
    w.grants(card())
    w.presence.ended(key(1))
    assert w.reason(card()) == "grant ok"
    w.now = TEN
    assert w.reason(card()) == "deny too_late"


def test_an_entry_of_another_visit_is_no_reentry():
    w = went_in_and_out()
    assert w.reason(card(party=2)) == "grant ok"
    later = card(1, start=NINE + 2 * HOUR, end=NINE + 3 * HOUR)
    w.now = NINE + 2 * HOUR
    assert w.reason(later) == "grant ok"


def test_an_entry_in_the_minutes_of_grace_belongs_to_the_visit():
    w = at(NINE - 15 * MINUTE)
    w.passes(card())
    w.passes(card(), "out")
    assert w.reason(card()) == "grant reentry"


def test_an_untimed_record_is_one_visit():
    w = at(NINE)
    w.passes(STAFF_CARD)
    w.passes(STAFF_CARD, "out")
    w.now += 20 * DAY
    assert w.reason(STAFF_CARD) == "grant reentry"
    w.presence.forget(STAFF_CARD.key, w.now, True)
    assert w.reason(STAFF_CARD) == "grant ok"


# in 10: passback


def test_a_card_that_is_inside_does_not_enter_again():
    w = at(NINE)
    w.passes(card())
    assert w.decide(card()) == (False, "passback", "", False)


def test_soft_antipassback_grants_and_flags():
    w = at(NINE)
    assert not w.decide(STAFF_CARD).flagged
    w.passes(STAFF_CARD)
    assert w.decide(STAFF_CARD) == (True, "reentry", "", True)
    assert not w.decide(STAFF_CARD, "out").flagged
    w.passes(STAFF_CARD, "out")
    assert w.decide(STAFF_CARD, "out") == (True, "exit", "", True)
    assert not w.decide(STAFF_CARD).flagged


def test_denied_soft_cards_are_not_flagged():
    w = at(NINE)
    w.passes(STAFF_CARD)
    assert w.decide(STAFF_CARD, mode="lockdown") == (False, "gate_closed", "", False)


def test_antipassback_off_is_not_judged():
    w = at(NINE, classes={"staff": {"antipassback": "off"}})
    w.passes(STAFF_CARD)
    assert w.decide(STAFF_CARD) == (True, "reentry", "", False)
    w.passes(STAFF_CARD, "out")
    assert w.decide(STAFF_CARD, "out") == (True, "exit", "", False)


def test_unknown_lets_in():
    w = at(NINE)
    w.passes(card())
    w.presence.forget_all(NINE)
    assert w.reason(card()) == "grant reentry"


# in 11 and 12: companions

PRINCIPAL = card(1, party=7)
COMPANION = card(2, BLUE, party=7)
OTHER_COMPANION = card(3, BLUE, party=7)


def test_a_companion_enters_only_with_its_own_principal():
    w = at(NINE)
    assert w.reason(COMPANION) == "deny principal_absent"
    w.passes(card(9, party=8))
    assert w.reason(COMPANION) == "deny principal_absent"
    w.passes(PRINCIPAL)
    assert w.reason(COMPANION) == "grant ok"


def test_a_companion_without_a_party_has_no_principal():
    w = at(NINE)
    w.passes(card(1, party=0))
    assert w.reason(card(2, BLUE, party=0)) == "deny principal_absent"


def test_a_companion_is_no_principal():
    w = at(NINE)
    w.passes(OTHER_COMPANION)
    assert w.reason(COMPANION) == "deny principal_absent"


def test_a_principal_who_left_or_is_unknown_is_absent():
    w = at(NINE)
    w.passes(PRINCIPAL)
    w.passes(PRINCIPAL, "out")
    assert w.reason(COMPANION) == "deny principal_absent"
    w.passes(PRINCIPAL)
    w.presence.forget(PRINCIPAL.key, NINE)
    assert w.reason(COMPANION) == "deny principal_absent"


def test_a_granted_principal_counts_for_companion_after_s():
    w = at(NINE)
    w.grants(PRINCIPAL)
    w.now = NINE + 119
    assert w.reason(COMPANION) == "grant ok"
    w.now = NINE + 120
    assert w.reason(COMPANION) == "deny principal_absent"


def test_a_grant_of_the_principal_ends_without_passage():
    w = at(NINE)
    w.grants(PRINCIPAL)
    w.presence.ended(PRINCIPAL.key)
    assert w.reason(COMPANION) == "deny principal_absent"


def test_a_grant_to_leave_is_no_entry_of_the_principal():
    w = at(NINE)
    w.grants(PRINCIPAL, "out")
    assert w.reason(COMPANION) == "deny principal_absent"


def test_one_companion_of_a_party_at_a_time():
    w = at(NINE)
    w.passes(PRINCIPAL)
    w.passes(COMPANION)
    assert w.reason(OTHER_COMPANION) == "deny companion_limit"
    w.passes(COMPANION, "out")
    assert w.reason(OTHER_COMPANION) == "grant ok"
    w.grants(COMPANION)
    assert w.reason(OTHER_COMPANION) == "deny companion_limit"


def test_the_limit_counts_other_companions_of_the_same_party():
    w = at(NINE)
    w.passes(PRINCIPAL)
    w.passes(card(5, BLUE, party=8))
    w.grants(COMPANION)
    assert w.reason(COMPANION) == "grant ok"


def test_companions_max_is_a_setting():
    w = at(NINE, companions_max=2)
    w.passes(PRINCIPAL)
    w.passes(COMPANION)
    assert w.reason(OTHER_COMPANION) == "grant ok"
    w.passes(OTHER_COMPANION)
    assert w.reason(card(4, BLUE, party=7)) == "deny companion_limit"


def test_the_position_of_a_companion_comes_before_its_principal():
    w = at(NINE)
    w.passes(COMPANION)
    assert w.reason(COMPANION) == "deny passback"


# in 13: room_full


def test_room_full_counts_other_cards_inside_or_entering():
    w = at(NINE, occupancy_max=2)
    w.passes(card(11, party=11))
    assert w.reason(card(1)) == "grant ok"
    w.grants(card(12, party=12))
    assert w.reason(card(1)) == "deny room_full"
    assert w.reason(card(12, party=12)) == "grant ok"
    w.presence.ended(key(12))
    assert w.reason(card(1)) == "grant ok"


def test_staff_neither_fills_the_room_nor_is_kept_out_by_it():
    w = at(NINE, occupancy_max=1)
    w.passes(STAFF_CARD)
    assert w.reason(card(1)) == "grant ok"
    w.passes(card(11, party=11))
    assert w.reason(card(5, STAFF, None)) == "grant ok"


def test_companions_fill_the_room_but_are_not_kept_out_by_it():
    w = at(NINE, occupancy_max=2)
    w.passes(PRINCIPAL)
    w.passes(card(11, party=11))
    assert w.reason(COMPANION) == "grant ok"
    w.presence.confirm(key(11), "out", 1, 11, NINE)
    w.passes(COMPANION)
    assert w.reason(card(12, party=12)) == "deny room_full"


def test_a_room_without_limit_is_never_full():
    w = at(NINE)
    for number in range(20, 60):
        w.passes(card(number, party=number))
    assert w.reason(card()) == "grant ok"


def test_a_room_for_nobody_is_always_full():
    assert at(NINE, occupancy_max=0).reason(card()) == "deny room_full"


# in 14: lane_fault


def test_a_lane_in_fault_lets_nobody_in_and_everybody_out():
    w = at(NINE)
    assert w.reason(card(), lane_fault=True) == "deny lane_fault"
    w.passes(card())
    assert w.reason(card(), "out", lane_fault=True) == "grant exit"


# the order of the rows


def test_the_first_row_that_applies_is_the_reason():
    # Everything is wrong with this tap; each step mends the reason that was given.
    w = World(TEN + DAY, min_tier="aes", occupancy_max=0)
    wrong = {
        "mode": "lockdown",
        "verdict": "several_cards",
        "trusted": False,
        "list_expires": 0,
        "lane_fault": True,
    }
    blue = {"cls": BLUE, "party": 7, "start": TEN + 3 * DAY, "end": TEN + 4 * DAY}
    assert w.reason(None, **wrong) == "deny gate_closed"
    wrong["mode"] = "normal"
    assert w.reason(None, **wrong) == "deny several_cards"
    wrong["verdict"] = None
    assert w.reason(None, **wrong) == "deny unknown_card"
    assert w.reason(card(2, blocked=True, **blue), **wrong) == "deny revoked"
    assert w.reason(card(2, **blue), **wrong) == "deny weak_card"
    wrong["tier"] = 2
    assert w.reason(card(2, **blue), **wrong) == "deny list_expired"
    wrong["list_expires"] = w.now + 1
    assert w.reason(card(2, **blue), **wrong) == "deny clock_untrusted"
    wrong["trusted"] = True
    w.passes(card(2, **blue))
    w.passes(card(3, BLUE, party=7))
    assert w.reason(card(2, **blue), **wrong) == "deny too_early"
    blue["start"], blue["end"] = EIGHT, TEN - DAY + HOUR + DAY
    assert w.reason(card(2, **blue), **wrong) == "deny too_late"
    blue["end"] = TEN + 2 * DAY
    assert w.reason(card(2, **blue), **wrong) == "deny passback"
    w.presence.forget(key(2), w.now)
    assert w.reason(card(2, **blue), **wrong) == "deny principal_absent"
    w.passes(PRINCIPAL)
    assert w.reason(card(2, **blue), **wrong) == "deny companion_limit"
    blue["cls"] = GREEN
    assert w.reason(card(2, **blue), **wrong) == "deny room_full"
    blue["cls"] = STAFF
    assert w.reason(card(2, **blue), **wrong) == "deny lane_fault"
    wrong["lane_fault"] = False
    assert w.reason(card(2, **blue), **wrong) == "grant reentry"


# out


def test_none_of_ours_is_kept_in_for_the_guard():
    w = at(NINE)
    assert w.reason(None, "out") == "deny unknown_card + unknown_exit"
    assert w.reason(None, "out", key=None, verdict="random_uid") == "deny random_uid + unknown_exit"


def test_an_unlisted_card_known_outside_is_none_of_ours():
    w = at(NINE)
    w.passes(card())
    w.passes(card(), "out")
    assert w.reason(None, "out") == "deny unknown_card + unknown_exit"


def test_two_of_ours_do_not_leave_together():
    assert at(NINE).reason(None, "out", key=None, verdict="several_cards") == "deny several_cards"


def test_a_copy_does_not_leave_also_when_it_gives_only_its_number():
    w = at(NINE)
    for credential in (card(), card(blocked=True)):
        w.passes(credential)
        assert w.reason(credential, "out", verdict="card_not_authentic") == "deny card_not_authentic + clone"
        assert w.reason(credential, "out", has_keys=True) == "deny card_not_authentic + clone"
        w.passes(credential, "out")
        assert w.reason(credential, "out", has_keys=True) == "deny card_not_authentic + clone"


def test_a_weak_card_leaves():
    w = at(NINE, min_tier="aes")
    w.passes(card(tier=2))
    assert w.reason(card(tier=2), "out") == "grant exit"
    assert w.reason(card(tier=2), "out", has_keys=True, tier=1) == "grant exit"


def test_a_hard_card_that_is_outside_does_not_leave_again():
    w = at(NINE)
    w.passes(card(), "out")
    assert w.reason(card(), "out") == "deny passback"


def test_a_gate_out_of_contact_takes_outside_for_unknown_at_a_site_of_several():
    w = at(NINE, gates=2)
    w.passes(card(), "out")
    assert w.reason(card(), "out") == "deny passback"
    assert w.reason(card(), "out", isolated=True) == "grant exit_unrecorded"
    alone = at(NINE, gates=1)
    alone.passes(card(), "out")
    assert alone.reason(card(), "out", isolated=True) == "deny passback"


def test_being_out_of_contact_does_not_move_inside():
    w = at(NINE, gates=2)
    w.passes(card())
    assert w.reason(card(), "out", isolated=True) == "grant exit"
    assert w.reason(card(), isolated=True) == "deny passback"


def test_without_any_list_every_tap_out_opens():
    w = at(NINE)
    for number, direction in ((1, "in"), (2, "out")):
        w.passes(card(number), direction)
    assert w.reason(None, "out", list_valid=False) == "grant exit"
    assert w.reason(None, "out", list_valid=False, key=key(2)) == "grant exit_unrecorded"
    assert w.reason(None, "out", list_valid=False, key=key(3)) == "grant exit_unrecorded"
    for verdict in ("several_cards", "random_uid", "card_not_authentic"):
        assert (
            w.reason(None, "out", list_valid=False, key=None, verdict=verdict) == "grant exit_unrecorded"
        ), verdict


def test_an_expired_list_is_a_list():
    w = at(NINE)
    assert w.reason(None, "out", list_expires=0) == "deny unknown_card + unknown_exit"
    assert w.reason(card(), "out", list_expires=0) == "grant exit_unrecorded"


def test_a_blocked_card_leaves_without_an_alarm():
    w = at(NINE)
    assert w.reason(card(blocked=True), "out") == "grant exit_revoked"


def test_a_card_known_inside_leaves_though_no_longer_listed_with_an_alarm():
    w = at(NINE)
    w.passes(card())
    assert w.reason(None, "out") == "grant exit_revoked + unknown_exit"


def test_an_unknown_position_leaves_as_unrecorded():
    w = at(TEN)
    assert w.reason(card(), "out") == "grant exit_unrecorded"


def test_exit_late_begins_with_the_end_of_the_window():
    w = at(NINE)
    w.passes(card())
    w.now = TEN - 1
    assert w.reason(card(), "out") == "grant exit"
    w.now = TEN
    assert w.reason(card(), "out") == "grant exit_late"


def test_exit_late_needs_trusted_time_and_a_window():
    w = at(TEN + DAY)
    w.passes(card())
    w.passes(card(2, GREEN, None))
    assert w.reason(card(), "out", trusted=False) == "grant exit"
    assert w.reason(card(2, GREEN, None), "out") == "grant exit"


def test_exit_late_has_no_minutes_of_grace():
    w = at(TEN, classes={"yellow": {"late_min": 30}})
    w.passes(card())
    assert w.reason(card(), "out") == "grant exit_late"


def test_the_way_out_asks_for_no_window_list_clock_room_or_principal():
    w = at(NINE - HOUR, occupancy_max=0)
    w.passes(COMPANION)
    assert w.reason(COMPANION, "out", trusted=False, list_expires=0) == "grant exit"


# which taps a guard's press may bind


def test_a_press_binds_listed_cards_granted_or_denied():
    w = at(NINE)
    assert policy.binds(w.tap(card()))
    assert policy.binds(w.tap(card(blocked=True)))
    assert policy.binds(w.tap(card(), has_keys=True, tier=1))


def test_a_press_binds_no_stranger_and_no_copy():
    w = at(NINE)
    assert not policy.binds(w.tap(None))
    assert not policy.binds(w.tap(card(), verdict="card_not_authentic"))
    assert not policy.binds(w.tap(card(), has_keys=True))


# classes as data


def test_a_courier_class_works_by_config_alone():
    w = at(NINE, classes={"orange": {"code": ORANGE, "early_min": 0, "late_min": 5, "reentry_min": 0}})
    courier = card(6, ORANGE, NINE, NINE + 10 * MINUTE, party=0)
    assert w.reason(courier) == "grant ok"
    w.passes(courier)
    assert w.reason(courier) == "deny passback"
    assert w.presence.occupancy() == 1
    w.passes(courier, "out")
    w.now = NINE + 10 * MINUTE
    assert w.reason(courier) == "deny too_late"
    w.presence.forget(courier.key, w.now, True)
    assert w.reason(courier) == "grant ok"
    w.now = NINE + 15 * MINUTE
    assert w.reason(courier) == "deny too_late"
