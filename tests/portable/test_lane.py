"""The turnstile: openings, passages, alarms, the guard, modes and fire, with the edges of every time."""

from rules_world import Turnstile, alarm, key, passed, unbound

from firmware import lane


def test_a_grant_pulses_and_opens():
    t = Turnstile()
    assert t.name == "locked"
    assert t.grant() == (("pulse", "in"),)
    assert t.name == "open_in"
    out = Turnstile()
    assert out.grant(1, "out") == (("pulse", "out"),)
    assert out.name == "open_out"


def test_a_passage_locks_at_once():
    t = Turnstile()
    t.grant()
    assert t.after(4999) == ()
    assert t.passage() == (passed(),)
    assert t.name == "locked"
    assert lane.deadline(t.state) is None


def test_no_passage_after_passage_s():
    t = Turnstile()
    t.grant(1, "out")
    assert t.after(4999) == ()
    assert t.name == "open_out"
    assert t.after(1) == (passed(1, "out", "no_passage"),)
    assert t.name == "locked"


def test_a_slow_card_has_15_seconds():
    t = Turnstile()
    t.grant(slow=True)
    assert t.after(14999) == ()
    assert t.after(1) == (passed(kind="no_passage"),)


def test_passage_s_is_a_setting_and_slow_is_never_shorter():
    t = Turnstile(passage_s=20)
    t.grant(slow=True)
    assert t.after(19999) == ()
    assert t.after(1) == (passed(kind="no_passage"),)
    t = Turnstile(passage_s=2.5)
    t.grant()
    assert t.after(2499) == ()
    assert t.after(1) == (passed(kind="no_passage"),)


def test_a_late_step_does_first_what_fell_due():
    t = Turnstile()
    t.grant()
    t.now_ms += 5000
    assert t.step("sensor", "in", True) == (passed(kind="no_passage"), passed(kind="late_passage"))


# busy


def test_another_card_or_direction_waits_while_an_opening_is_unfinished():
    t = Turnstile()
    t.grant(1)
    assert lane.busy(t.state, "in", key(2))
    assert lane.busy(t.state, "out", key(1))
    assert not lane.busy(t.state, "in", key(1))
    before = lane.deadline(t.state)
    assert t.grant(2) == (("wait",),)
    assert t.grant(1, "out") == (("wait",),)
    assert lane.deadline(t.state) == before
    assert t.passage() == (passed(1),)
    assert not lane.busy(t.state, "in", key(2))


def test_a_card_waits_for_the_opening_of_the_guard_even_if_it_is_bound_to_it():
    t = Turnstile()
    t.tap(1)
    t.step("guard", "in")
    assert lane.busy(t.state, "in", key(1))
    assert t.grant(1) == (("wait",),)


def test_the_same_card_starts_again_with_a_new_pulse():
    t = Turnstile()
    t.grant()
    t.after(4000)
    assert t.grant() == (("pulse", "in"),)
    assert t.after(4999) == ()
    assert t.name == "open_in"
    assert t.after(1) == (passed(kind="no_passage"),)


# late passages


def missed(ms=0, direction="in", **settings):
    """Return a turnstile `ms` after a no_passage of card 1."""
    t = Turnstile(**settings)
    t.grant(1, direction)
    t.after(5000 + ms)
    return t


def test_a_passage_up_to_10_seconds_after_no_passage_confirms_it():
    assert missed(10000).passage() == (passed(kind="late_passage"),)
    assert missed(10001).passage() == (alarm("forced"),)
    assert missed(0, "out").passage("out") == (passed(1, "out", "late_passage"),)


def test_a_late_passage_has_its_direction():
    assert missed(1000).passage("out") == (alarm("forced", "out"),)


def test_a_late_passage_confirms_once():
    t = missed(1000)
    t.passage()
    t.after(3000)
    assert t.passage() == (alarm("forced"),)


def test_a_late_passage_confirms_the_latest_card():
    t = missed(1000)
    t.grant(2)
    t.after(5000)
    assert t.passage() == (passed(2, kind="late_passage"),)
    t.after(2000)
    assert t.passage() == (alarm("forced"),)


def test_a_late_passage_is_not_within_tailgate_s_of_another_passage():
    t = missed(1000)
    assert t.passage("out") == (alarm("forced", "out"),)
    t.after(1999)
    assert t.passage() == (alarm("forced"),)
    t.after(2000)
    assert t.passage() == (passed(kind="late_passage"),)


def test_a_late_passage_is_not_within_tailgate_s_of_a_passage_against_its_opening():
    t = Turnstile()
    t.grant()
    t.after(4500)
    t.passage("out")
    assert t.after(500) == (passed(kind="no_passage"),)
    assert t.passage() == (alarm("forced"),)
    t.after(2000)
    assert t.passage() == (passed(kind="late_passage"),)


def test_a_passage_after_a_late_passage_is_forced():
    t = missed(1000)
    t.passage()
    t.after(1000)
    assert t.passage() == (alarm("forced"),)


def test_a_card_that_passed_meanwhile_is_not_late():
    t = missed(1000)
    t.grant(1)
    assert t.passage() == (passed(1),)
    t.after(2000)
    assert t.passage() == (alarm("forced"),)


def test_another_card_that_passed_meanwhile_leaves_the_late_one_late():
    t = missed(1000)
    t.grant(2)
    t.passage()
    t.after(1999)
    assert t.passage() == (alarm("tailgate"),)
    t.after(2000)
    assert t.passage() == (passed(1, kind="late_passage"),)


def test_a_passage_while_open_is_that_of_the_open_card():
    t = missed(1000)
    t.grant(2)
    assert t.passage() == (passed(2),)


def test_overrides_have_no_late_passage():
    t = Turnstile()
    t.tap()
    t.step("guard", "in")
    assert t.after(5000) == ()
    assert t.name == "locked"
    assert t.passage() == (alarm("forced"),)


# tailgate and forced


def test_a_second_passage_within_tailgate_s_is_a_tailgate_either_way():
    for direction in ("in", "out"):
        t = Turnstile()
        t.grant()
        t.passage()
        t.after(1999)
        assert t.passage(direction) == (alarm("tailgate", direction),)


def test_a_passage_after_tailgate_s_is_forced():
    t = Turnstile()
    t.grant()
    t.passage()
    t.after(2000)
    assert t.passage() == (alarm("forced"),)


def test_tailgate_s_runs_from_the_passage_that_locked():
    t = Turnstile()
    t.grant()
    t.passage()
    t.after(1500)
    assert t.passage() == (alarm("tailgate"),)
    t.after(500)
    assert t.passage() == (alarm("forced"),)


def test_a_tailgate_of_an_override():
    t = Turnstile()
    t.step("guard", "out")
    t.passage("out")
    assert t.passage("out") == (alarm("tailgate", "out"),)


def test_tailgate_s_is_a_setting():
    t = Turnstile(tailgate_s=0)
    t.grant()
    t.passage()
    assert t.passage() == (alarm("forced"),)


def test_a_passage_of_a_locked_lane_is_forced():
    t = Turnstile()
    assert t.passage() == (alarm("forced"),)
    assert t.name == "locked"
    assert Turnstile(now_ms=0).passage("out") == (alarm("forced", "out"),)


def test_a_passage_against_an_opening_is_forced_and_the_opening_stays():
    t = Turnstile()
    t.grant()
    assert t.passage("out") == (alarm("forced", "out"),)
    assert t.name == "open_in"
    assert t.passage() == (passed(),)


def test_a_passage_against_an_opening_is_forced_also_right_after_another_passage():
    t = Turnstile()
    t.grant(1)
    t.passage()
    t.grant(2)
    assert t.passage("out") == (alarm("forced", "out"),)
    assert t.passage() == (passed(2),)


def test_an_opening_of_its_own_is_no_tailgate():
    t = Turnstile()
    t.grant(1)
    t.passage()
    t.grant(2)
    assert t.passage() == (passed(2),)


# stuck sensors


def test_a_sensor_on_for_15_seconds_is_stuck():
    t = Turnstile()
    t.step("sensor", "out", True)
    assert t.after(14999) == ()
    assert not lane.is_fault(t.state)
    assert t.after(1) == (alarm("sensor_stuck", "out"),)
    assert t.name == "fault"
    assert lane.is_fault(t.state)
    assert lane.deadline(t.state) is None


def stuck(direction="in", **settings):
    t = Turnstile(**settings)
    t.step("sensor", direction, True)
    t.after(15000)
    return t


def test_the_fault_ends_when_the_sensor_was_quiet_for_a_second():
    t = stuck("out")
    assert t.step("sensor", "out", False) == ()
    assert t.after(999) == ()
    assert t.name == "fault"
    assert t.after(1) == (("alarm_end", "sensor_stuck", "out"),)
    assert t.name == "locked"


def test_a_flickering_sensor_stays_stuck_and_passes_nobody():
    t = stuck()
    t.step("sensor", "in", False)
    t.after(999)
    assert t.step("sensor", "in", True) == ()
    assert t.after(60000) == ()
    assert t.name == "fault"
    t.step("sensor", "in", False)
    t.after(1000)
    assert t.name == "locked"
    assert t.passage() == (alarm("forced"),)


def test_both_sensors_may_be_stuck():
    t = Turnstile()
    t.step("sensor", "in", True)
    t.step("sensor", "out", True)
    assert t.after(15000) == (alarm("sensor_stuck", "in"), alarm("sensor_stuck", "out"))
    t.step("sensor", "in", False)
    t.after(1000)
    assert t.name == "fault"
    t.step("sensor", "out", False)
    t.after(1000)
    assert t.name == "locked"


def test_a_sensor_that_is_on_at_start_is_no_passage_but_may_be_stuck():
    state, effects = lane.initial("normal", False, 500, True, False)
    assert effects == ()
    assert lane.deadline(state) == 15500
    assert lane.deadline(lane.initial("normal", False, 500, False, True)[0]) == 15500


def test_a_sensor_that_was_stuck_before_the_start_is_stuck_until_it_was_quiet_and_raises_nothing_again():
    for direction, levels, stuck in (
        ("in", (True, False), (True, False)),
        ("out", (False, True), (False, True)),
    ):
        t = Turnstile()
        t.state, effects = lane.initial("normal", False, t.now_ms, *levels, *stuck)
        assert effects == ()
        assert lane.is_fault(t.state)
        assert lane.deadline(t.state) is None
        t.step("sensor", direction, False)
        assert t.after(999) == ()
        assert t.after(1) == (("alarm_end", "sensor_stuck", direction),)
        assert t.name == "locked"
        quiet, _ = lane.initial("normal", False, 500, False, False, *stuck)
        assert lane.deadline(quiet) == 1500


def test_a_repeated_level_of_a_sensor_means_nothing():
    t = Turnstile()
    t.step("sensor", "in", True)
    t.after(1000)
    assert t.step("sensor", "in", True) == ()
    assert lane.deadline(t.state) == 16000
    assert t.step("sensor", "out", False) == ()


def test_out_in_fault_opens_and_forgets_the_position():
    t = stuck()
    assert t.grant(1, "out") == (("forget", key(1)), ("pulse", "out"))
    assert t.name == "fault"
    assert t.passage("out") == (unbound("out"),)


def test_out_in_fault_without_passage_says_nothing_more():
    t = stuck()
    t.grant(1, "out")
    assert t.after(5000) == ()
    assert lane.deadline(t.state) is None
    assert t.passage("out") == (alarm("forced", "out"),)


def test_in_is_not_taken_in_fault():
    t = stuck("out")
    assert t.grant(1, "in") == (("wait",),)
    assert lane.deadline(t.state) is None


def test_out_in_fault_waits_for_an_unfinished_opening():
    t = stuck()
    t.grant(1, "out")
    assert lane.busy(t.state, "out", key(2))
    assert t.grant(2, "out") == (("wait",),)


def test_out_by_error_opens_again_for_whoever_taps():
    t = stuck()
    assert t.step("grant", "out", None, 0, 0, False) == (("forget", None), ("pulse", "out"))
    assert t.step("grant", "out", None, 0, 0, False) == (("pulse", "out"),)
    t = Turnstile()
    t.step("grant", "out", None, 0, 0, False)
    assert t.step("grant", "out", None, 0, 0, False) == (("pulse", "out"),)
    assert t.after(5000) == ()
    assert t.passage("out") == (alarm("forced", "out"),)


def test_an_opening_goes_on_when_the_other_sensor_gets_stuck():
    t = Turnstile(passage_s=60)
    t.step("sensor", "out", True)
    t.grant()
    assert t.after(15000) == (alarm("sensor_stuck", "out"),)
    assert t.name == "fault"
    assert t.passage() == (passed(),)


def test_there_is_no_late_passage_in_fault():
    t = Turnstile()
    t.step("sensor", "out", True)
    t.after(6000)
    t.grant()
    t.after(9500)
    assert t.name == "fault"
    assert t.after(0) == ()
    assert t.passage() == (alarm("forced"),)


# the guard


def test_a_press_opens_once_and_moves_nobody():
    t = Turnstile()
    assert t.step("guard", "out") == (unbound("out", "override"), ("pulse", "out"))
    assert t.name == "open_out"
    assert t.passage("out") == (unbound("out"),)
    assert t.name == "locked"


def test_a_press_without_passage_ends_silently():
    t = Turnstile()
    t.step("guard", "in")
    assert t.after(5000) == ()
    assert t.name == "locked"


def test_a_press_opens_in_every_mode_and_in_fault():
    for mode in ("normal", "lockdown", "out_of_service"):
        assert ("pulse", "in") in Turnstile(mode).step("guard", "in")
    assert ("pulse", "in") in stuck().step("guard", "in")
    assert ("pulse", "out") in stuck().step("guard", "out")


def test_a_press_in_free_is_only_recorded():
    t = Turnstile("free")
    t.tap()
    assert t.step("guard", "in") == (unbound("in", "override"),)
    assert t.step("mode", "normal") == (("release",), ("forget_all",))
    assert t.name == "locked"


def test_a_press_binds_the_card_tapped_last_up_to_10_seconds_ago():
    t = Turnstile()
    t.tap(1)
    t.tap(2)
    t.after(10000)
    assert t.step("guard", "in") == (passed(2, kind="override"), ("pulse", "in"))
    assert t.passage() == (passed(2),)
    t = Turnstile()
    t.tap(1)
    t.after(10001)
    assert t.step("guard", "in") == (unbound("in", "override"), ("pulse", "in"))


def test_a_press_binds_a_card_of_its_direction():
    t = Turnstile()
    t.tap(1, "out")
    assert t.step("guard", "in") == (unbound("in", "override"), ("pulse", "in"))
    t.passage()
    assert t.step("guard", "out") == (passed(1, "out", "override"), ("pulse", "out"))


def test_each_press_is_judged_by_itself():
    t = Turnstile()
    t.tap(1)
    t.step("guard", "in")
    t.passage()
    assert t.step("guard", "in")[0] == passed(1, kind="override")
    t.passage()
    t.after(10001)
    assert t.step("guard", "in")[0] == unbound("in", "override")


def test_a_press_for_a_slow_card_has_15_seconds():
    t = Turnstile()
    t.tap(1, slow=True)
    t.step("guard", "in")
    t.after(14999)
    assert t.name == "open_in"
    t.after(1)
    assert t.name == "locked"


def test_a_press_waits_until_the_lane_locks_by_a_passage():
    t = Turnstile()
    t.grant()
    assert t.step("guard", "out") == ()
    assert t.passage() == (passed(), unbound("out", "override"), ("pulse", "out"))
    assert t.name == "open_out"


def test_a_press_waits_until_the_lane_locks_without_a_passage():
    t = Turnstile()
    t.grant()
    t.step("guard", "in")
    assert t.after(5000) == (
        passed(kind="no_passage"),
        unbound("in", "override"),
        ("pulse", "in"),
    )
    assert t.after(4999) == ()
    assert t.name == "open_in"


def test_what_a_waiting_press_binds_is_judged_at_the_press():
    t = Turnstile()
    t.grant(1)
    t.tap(1)
    t.step("guard", "in")
    t.tap(2)
    assert t.after(5000)[1] == passed(1, kind="override")
    assert t.passage() == (passed(1),)
    t = Turnstile()
    t.grant(1)
    t.step("guard", "in")
    t.tap(2)
    assert t.after(5000)[1] == unbound("in", "override")


def test_waiting_presses_come_in_their_order_four_at_most():
    t = Turnstile()
    t.grant()
    for direction in ("in", "out", "in", "out", "in"):
        t.step("guard", direction)
    opened = [e[1] for e in t.passage() if e[0] == "pulse"]
    while t.state.opening:
        opened += [e[1] for e in t.after(5000) if e[0] == "pulse"]
    assert opened == ["in", "out", "in", "out"]


def test_a_bound_passage_settles_the_late_one_of_its_card():
    t = missed(1000)
    t.tap(1)
    t.step("guard", "in")
    assert t.passage() == (passed(1),)
    t.after(3000)
    assert t.passage() == (alarm("forced"),)


# modes and fire


def test_free_holds_and_its_end_releases_and_forgets():
    t = Turnstile()
    assert t.step("mode", "free") == (("hold",),)
    assert t.name == "free"
    assert t.step("mode", "lockdown") == (("release",), ("forget_all",))
    assert t.name == "locked"
    assert t.state.mode == "lockdown"


def test_in_free_taps_and_passages_move_nobody_and_alarm_nobody():
    t = Turnstile("free")
    assert t.first == (("hold",),)
    assert t.grant() == ()
    assert not lane.busy(t.state, "out", key(2))
    assert t.passage() == ()
    assert t.passage("out") == ()
    assert t.name == "free"


def test_other_modes_change_nothing_in_the_lane():
    t = Turnstile()
    t.grant()
    assert t.step("mode", "lockdown") == ()
    assert t.name == "open_in"
    assert t.passage() == (passed(),)


def test_fire_holds_in_every_mode_and_the_mode_returns():
    for mode in ("normal", "lockdown", "out_of_service"):
        t = Turnstile(mode)
        assert t.step("fire", True) == (alarm("fire", ""), ("hold",))
        assert t.name == "free"
        assert lane.is_free(t.state)
        assert t.step("fire", False) == (("alarm_end", "fire", ""), ("release",), ("forget_all",))
        assert t.name == "locked"
        assert t.state.mode == mode


def test_fire_at_start_holds_without_an_alarm():
    t = Turnstile(fire=True)
    assert t.first == (("hold",),)
    assert t.step("fire", True) == ()
    assert t.step("fire", False) == (("alarm_end", "fire", ""), ("release",), ("forget_all",))


def test_a_fire_during_free_ends_in_free_and_forgets():
    t = Turnstile("free")
    assert t.step("fire", True) == (alarm("fire", ""),)
    assert t.step("fire", False) == (("alarm_end", "fire", ""), ("forget_all",))
    assert t.name == "free"


def test_a_free_that_ends_during_fire_forgets_twice_and_stays_open():
    t = Turnstile("free")
    t.step("fire", True)
    assert t.step("mode", "normal") == (("forget_all",),)
    assert t.name == "free"
    assert t.step("fire", False) == (("alarm_end", "fire", ""), ("release",), ("forget_all",))


def test_a_mode_that_changes_during_fire_changes_nothing_yet():
    t = Turnstile(fire=True)
    assert t.step("mode", "lockdown") == ()
    assert t.step("fire", False) == (("alarm_end", "fire", ""), ("release",), ("forget_all",))
    assert t.state.mode == "lockdown"


def test_the_same_mode_or_fire_again_changes_nothing():
    t = Turnstile("free")
    assert t.step("mode", "free") == ()
    assert t.step("fire", False) == ()


def test_free_ends_openings_waiting_presses_and_late_passages():
    t = missed(1000)
    t.grant(2)
    t.step("guard", "in")
    t.step("fire", True)
    assert lane.deadline(t.state) is None
    t.step("fire", False)
    assert t.name == "locked"
    t.after(3000)
    assert t.passage() == (alarm("forced"),)


def test_a_stuck_sensor_is_told_in_free_and_is_a_fault_after_it():
    t = Turnstile("free")
    t.step("sensor", "in", True)
    assert t.after(15000) == (alarm("sensor_stuck"),)
    assert t.name == "free"
    t.step("mode", "normal")
    assert t.name == "fault"


# without a passage sensor


def test_without_a_sensor_the_pulse_is_the_passage():
    t = Turnstile(passage_sensor=False)
    assert t.grant() == (("pulse", "in"), passed())
    assert lane.busy(t.state, "in", key(2))
    assert t.after(399) == ()
    assert t.name == "open_in"
    assert t.after(1) == ()
    assert t.name == "locked"


def test_without_a_sensor_a_bound_press_is_the_passage_too():
    t = Turnstile(passage_sensor=False)
    t.tap(1)
    assert t.step("guard", "in") == (passed(kind="override"), ("pulse", "in"), passed())
    t.after(10400)
    assert t.step("guard", "in") == (unbound(kind="override"), ("pulse", "in"))


def test_without_a_sensor_its_input_is_not_looked_at():
    t = Turnstile(passage_sensor=False)
    assert t.passage() == ()
    t.step("sensor", "in", True)
    assert t.after(60000) == ()
    assert t.name == "locked"


def test_without_a_sensor_the_opening_is_of_no_card_any_more():
    t = Turnstile(passage_sensor=False)
    t.grant(1)
    assert t.state.opening[:4] == ("in", None, 0, 0)


# a card without a class: out, though it is on no list


def test_a_card_without_a_class_has_its_passage():
    for settings in ({}, {"passage_sensor": False}):
        t = Turnstile(**settings)
        effects = t.step("grant", "out", key(1), 0, 0, False) + t.passage("out")
        assert effects == (("pulse", "out"), ("passage", "out", key(1), 0, 0)), settings


def test_a_card_without_a_class_has_its_end():
    t = Turnstile()
    t.step("grant", "out", key(1), 0, 0, False)
    assert t.after(5000) == (("no_passage", "out", key(1), 0, 0),)


# a value


def test_a_step_leaves_the_state_it_was_given():
    t = Turnstile()
    t.tap(1)
    t.grant(1)
    before = t.state
    seen = [repr(getattr(before, f)) for f in FIELDS]
    for event in (
        ("guard", "in"),
        ("sensor", "in", True),
        ("sensor", "out", True),
        ("tap", "in", key(2), 1, 2, False),
        ("mode", "free"),
        ("fire", True),
        ("tick",),
    ):
        lane.step(t.site, before, event, t.now_ms + 60000)
        assert [repr(getattr(before, f)) for f in FIELDS] == seen, event


FIELDS = (
    "mode",
    "fire",
    "sensors",
    "opening",
    "presses",
    "locked_ms",
    "passage_ms",
    "missed",
    "taps",
)


def test_an_event_that_is_none_changes_nothing():
    t = Turnstile()
    assert t.step("nonsense") == ()
    assert t.name == "locked"
