"""Every row of the rules, every alarm, every setting and every rule of the lane has a story of its own.

Names are the order: `in_too_late.yaml` tells of the row `too_late` of the way in, `alarm_forced.yaml`,
`site_passage_s.yaml` and `class_slow.yaml` of an alarm, a setting, a setting of a class. A story proves
something only if it fails without what it is about: each is played once more with the row taken out, the
alarm kept silent or the setting left at its default.
"""

import dataclasses
import functools
import json
import pathlib
import re

import pytest

from firmware import lane, policy
from host_sim.scenario import format as scenario_format
from host_sim.scenario import model, runner

ROOT = pathlib.Path(__file__).parents[2]
STORIES = {file.stem: file for file in sorted((ROOT / "tests" / "scenarios").glob("*.yaml"))}

# Rows that share direction and reason with another one, and the way out without a list: (direction, reason,
# predicate) -> story. Any other row is told by `DIRECTION_REASON`.
OWN_NAMES = {
    ("in", "weak_card", "weak_keyed"): "in_weak_keyed_card",
    ("out", "card_not_authentic", "copied"): "out_copied_card",
    ("out", "exit_revoked", "unknown_card"): "out_exit_revoked_not_listed",
    (None, "free", "free"): "out_without_list_free",
    (None, "exit_unrecorded", "stranger"): "out_without_list_exit_unrecorded",
    (None, "exit", "ok"): "out_without_list_exit",
}

# What this world cannot play yet, and what it waits for. The table can only shrink: an entry whose story has
# come, or whose capability is there, fails a test.
WAITING: dict[str, str] = {}

FULL_JOURNAL = "test_a_journal_that_nobody_fetches_is_alarmed_at_nine_tenths_and_when_it_loses_records"

# What no step of a story can cause: a bug, a worn flash, a list from another office, one that lost a card,
# thousands of records. The test that shows it.
ELSEWHERE = {
    "in_error": "tests/host/test_gate_errors.py::test_a_class_that_the_config_does_not_know_is_an_error",
    "in_error_of_the_gate": "tests/host/test_gate_errors.py::test_a_bug_in_the_rules_shuts_the_way_in",
    "out_error_of_the_gate": "tests/host/test_gate_errors.py::test_a_bug_in_the_rules_locks_nobody_in",
    "alarm_fault": "tests/host/test_gate_errors.py::test_a_bug_in_the_rules_shuts_the_way_in",
    "alarm_task_restart": "tests/host/test_gate_errors.py::test_a_task_that_fails_starts_again_and_is_told",
    "alarm_bundle_rejected": (
        "tests/host/test_gate_bad_input.py::"
        "test_a_corrupt_bundle_is_refused_and_journalled_and_the_last_good_list_stays"
    ),
    "alarm_journal_90": "tests/host/test_store_service.py::" + FULL_JOURNAL,
    "alarm_journal_lost": "tests/host/test_store_service.py::" + FULL_JOURNAL,
    "out_exit_revoked_not_listed": (
        "tests/host/test_scenario_office.py::test_who_is_inside_and_no_longer_listed_is_let_out_with_an_alarm"
    ),
    "out_without_list_free": "tests/host/test_gate_errors.py::test_without_a_list_every_tap_out_opens",
    "out_without_list_exit_unrecorded": (
        "tests/host/test_gate_errors.py::test_without_a_list_every_tap_out_opens"
    ),
    "out_without_list_exit": "tests/host/test_gate_errors.py::test_without_a_list_every_tap_out_opens",
}

# Reasons that no row gives.
BESIDE_THE_ROWS = ("in_lane_busy", "out_lane_busy", "in_error_of_the_gate", "out_error_of_the_gate")

# Rules that are no row, alarm or setting, and their stories.
RULES = {
    "the way out asks for no window, list, hours, room or tier": (
        "out_asks_for_no_window_list_hours_or_room",
        "out_weak_card_is_no_reason",
    ),
    "repeats are ignored, at the same reader, from the same card, for the same reason": (
        "repeat_after_a_grant_is_ignored",
        "repeat_of_the_same_denial_is_ignored",
        "repeat_with_another_reason_is_heard",
        "repeat_never_affects_the_other_reader_or_card",
        "repeat_held_card_is_read_once",
    ),
    "a grant waits for a busy lane, a denial never": (
        "lane_busy_card_that_stays_is_let_in_next",
        "lane_busy_card_that_stays_is_judged_anew",
        "lane_busy_second_card_ends_the_wait",
        "lane_busy_card_replaced_by_another",
        "lane_busy_two_wait_and_the_guard_is_first",
        "lane_busy_denies_at_once",
        "lane_busy_by_the_guard",
    ),
    "the same card in the same direction starts the passage again": ("lane_same_card_starts_again",),
    "a confirmed passage locks the lane at once": ("lane_passage_locks_at_once", "lane_short_passage_counts"),
    "no passage within passage_s, 15 s for a slow record, moves nobody": (
        "lane_no_passage_moves_nobody",
        "lane_slow_record_has_15_s",
    ),
    "a late passage confirms the latest card of its direction for 10 s": (
        "lane_late_passage_confirms",
        "lane_late_passage_after_10_s_is_forced",
        "lane_late_passage_only_in_its_direction",
        "lane_late_passage_is_the_latest_cards",
        "lane_late_passage_not_right_behind_another",
        "lane_override_has_no_late_passage",
    ),
    "tailgate in either direction within tailgate_s, else forced": (
        "lane_tailgate_in_either_direction",
        "lane_tailgate_ends_after_2_s",
        "lane_forced_against_an_opening",
    ),
    "a stuck sensor: in denied, out open with the position unknown, until it was quiet for 1 s": (
        "lane_stuck_sensor_lets_out",
        "lane_stuck_sensor_ends_when_quiet",
        "lane_stuck_sensor_at_start",
        "lane_stuck_sensor_over_a_restart",
        "lane_without_a_sensor_has_none_stuck",
        "lane_passage_in_fault_is_forced",
    ),
    "the guard's button: one opening in every state": (
        "guard_opens_a_locked_lane",
        "guard_waits_for_a_busy_lane",
        "guard_opens_in_fault",
        "guard_in_free_gives_no_pulse",
        "guard_opens_when_closed",
        "guard_pressed_during_a_restart_opens_nothing",
    ),
    "a press binds the listed card tapped last up to 10 s before": (
        "guard_binds_the_denied_card",
        "guard_binds_the_granted_card",
        "guard_binds_the_card_tapped_last",
        "guard_binds_for_10_s_only",
        "guard_binds_as_of_the_press",
        "guard_binds_once_for_each_press",
        "guard_binds_no_ignored_tap",
        "guard_binds_no_stranger",
    ),
    "fire beats everything, and clears": (
        "fire_beats_everything",
        "fire_ends_an_opening",
        "fire_waits_for_nobody",
        "fire_at_start",
        "fire_that_ends_without_power",
        "fire_that_burns_at_a_restart_is_told_once",
        "fire_makes_positions_unknown",
        "free_passages_move_nobody",
    ),
    "positions change only by a confirmed passage or a rule": (
        "presence_unknown_lets_in_and_out",
        "presence_survives_a_power_cut",
        "presence_grant_without_outcome_at_restart",
        "presence_no_passage_survives_a_power_cut",
    ),
    "the daily reset, made up for, and only with trusted time": (
        "presence_daily_reset",
        "presence_reset_is_made_up_after_a_power_off",
        "presence_reset_waits_for_trusted_time",
        "site_presence_reset_never",
    ),
    "parties": (
        "party_principal_granted_entry_is_enough",
        "party_principal_who_did_not_pass_is_absent",
        "party_principal_who_left_is_absent",
        "party_companion_entering_counts",
        "party_companion_counts_but_is_not_refused",
    ),
    "time: the floor, and what is judged without trust": (
        "clock_kept_is_trusted_at_once",
        "clock_lost_counts_on_from_the_floor",
        "clock_lost_judges_the_list_by_the_floor",
        "clock_lost_knows_no_late_exit",
        "clock_lost_ignores_opening_hours",
        "clock_lost_until_the_office_answers",
    ),
    "time: a step back of more than 120 s needs a second source": ("clock_back_when_two_sources_agree",),
    "modes: closed for the way in, free, kept over a restart, fire beats them": (
        "mode_closed_shuts_the_way_in_for_all",
        "mode_free_lets_all_pass_and_moves_nobody",
        "mode_is_kept_over_a_restart",
        "mode_returns_when_the_fire_is_over",
        "mode_ends_a_wait_for_the_lane",
        "mode_given_during_an_outage",
    ),
    "between gates: a passage is known within 2 s, the later one wins, unknown is a fact of one gate": (
        "between_gates_within_2_s",
        "between_gates_the_later_passage_wins",
        "between_gates_unknown_stays_where_it_is",
        "between_gates_a_wrong_clock_is_put_right",
    ),
    "between gates: received positions are rebuilt at boot, a connection brings all since the last reset": (
        "between_gates_known_after_a_restart",
        "between_gates_told_on_connect",
        "between_gates_the_daily_reset_is_not_undone",
        "between_gates_a_reset_made_up_for_keeps_what_came_after",
        "between_gates_a_reset_made_up_for_keeps_what_came_after_clock_lost",
    ),
    "between gates: out of contact for 10 s, outside is taken for unknown": (
        "between_gates_out_of_contact_believes_nobody_outside",
        "between_gates_alone_needs_no_contact",
    ),
    "between gates: parties": (
        "between_gates_a_principal_inside_by_the_other",
        "between_gates_companion_alone_at_the_gate_of_the_exit",
    ),
    "between gates: two entries without an exit between them are told wherever both are known": (
        "between_double_entry_is_told_by_whoever_learns_of_both",
        "between_double_entry_has_no_exit_between",
    ),
    "at the desk: issued, returned, lost, revoked, a list that ends": (
        "desk_revoked_within_1_s",
        "desk_revoked_in_a_network_outage",
        "desk_return_clears_the_position",
        "desk_lost_is_for_good",
        "desk_issue_makes_a_card_known",
        "desk_issue_begins_a_new_visit",
        "desk_issue_begins_a_visit_without_a_window",
        "desk_issue_is_older_than_a_later_passage",
        "desk_expired_list",
    ),
    "the link: nothing is lost, nothing is done twice, the gate never waits for it": (
        "link_commands_are_carried_out_once",
        "link_bad_networks_end_in_the_same_list",
        "link_events_after_an_outage",
        "link_events_through_a_bad_network",
    ),
    "all cards in the field are looked at, one of ours is the tap": (
        "wallet_one_of_ours_among_strangers",
        "wallet_phone_beside_a_stranger",
        "wallet_card_beside_one_that_stays",
        "wallet_long_and_short_numbers",
        "torn_read_is_no_tap",
    ),
    "cards prove themselves; copies do not, and only they are alarmed": (
        "cards_genuine",
        "cards_copy_where_a_number_would_do",
        "cards_wrong_keys",
        "cards_weak_without_keys",
        "cards_two_at_once",
        "cards_repeat_proves_first",
        "cards_issued_later",
        "cards_signed",
        "cards_signed_copies",
    ),
    "a proof that is torn or late is no decision and no alarm": (
        "cards_torn_at_every_frame",
        "cards_signed_torn_at_every_frame",
        "cards_relayed",
        "cards_slow",
    ),
    "a day without opening hours is closed": ("site_opening_hours_closed_day",),
    "tamper is told again after a restart only if it is new": ("alarm_tamper_while_off",),
    "longer stories, of several rules": (
        "companion",
        "courier",
        "lane",
        "power",
        "power_local",
        "power_network",
        "reader",
        "repeats",
        "strangers",
        "stuck_sensor",
        "sync",
        "torn_write",
    ),
}

# Which story needs which row of the lane's table.
LANE_STORIES = {
    ("locked", "grant"): "in_ok",
    ("open", "grant"): "lane_same_card_starts_again",
    ("fault", "grant"): "lane_stuck_sensor_lets_out",
    ("locked", "passage"): "alarm_forced",
    ("open", "passage"): "lane_passage_locks_at_once",
    ("fault", "passage"): "lane_passage_in_fault_is_forced",
    ("any", "guard"): "guard_opens_a_locked_lane",
    ("any", "tap"): "guard_binds_the_denied_card",
    ("any", "sensor"): "in_ok",
    ("any", "mode"): "lane_modes_of_the_office",
    ("any", "fire"): "alarm_fire",
}


def replaced(name, change):
    """Return a hook that replaces what `name` ("Class.method") is in a module by `change(what it was)`."""

    def hook(module):
        owner, _, last = name.rpartition(".")
        owner = getattr(module, owner) if owner else module
        setattr(owner, last, change(getattr(owner, last)))

    return hook


def without(direction, row):
    """Return a hook that takes a row out of the rules."""

    def hook(module):
        rows = module.ROWS[direction]
        module.ROWS[direction] = tuple(other for other in rows if other[:3] != row[:3])

    return hook


def silent(name):
    """Return a hook that makes a function of a module do nothing."""
    return replaced(name, lambda _: lambda *arguments, **named: None)


def _fire_ends_in_normal(module):
    module.STEPS["any", "fire"] = lambda _, s, event, now_ms, effects: module._hold(
        s, "normal", event[1], effects
    )


def _never_alone(decide):
    def decided(site, tap, presence):
        site.gates = 2
        return decide(site, tap, presence)

    return decided


_CLOSED = {"policy": without("in", ("gate_closed", False, ""))}
_DEAF = {"orders": silent("Orders.remote")}
_FORGETS_NOBODY = {"orders": silent("Orders.forget")}
_NO_CHANGES = {"arrival": silent("delta")}


def _torn_is_false(module):
    """Take a card that was torn away for a copy."""
    checked = module.Proofs.check

    def check(*arguments):
        try:
            return checked(*arguments)
        except Exception as error:
            raise module.ProofFailed("torn") from error

    module.Proofs.check = check


_BELIEVES = {"proofs": replaced("Proofs.check", lambda _: lambda *arguments: 2)}
_HAS_TIME = {"proofs": replaced("_BUDGET_MS", lambda _: 5_000)}

# What is done to the firmware, without which each of these stories must fail: story -> hooks by module.
BREAKS = {
    "cards_genuine": {"proofs": replaced("Proofs.check", lambda _: lambda *arguments: 0)},
    "cards_copy_where_a_number_would_do": _BELIEVES,
    "cards_wrong_keys": _BELIEVES,
    "cards_issued_later": _BELIEVES,
    "cards_weak_without_keys": {"policy": without("in", ("weak_card", False, ""))},
    "cards_two_at_once": {"policy": without("in", ("several_cards", False, ""))},
    "cards_repeat_proves_first": {"repeats": replaced("Repeats.ignores", lambda _: lambda *a: False)},
    "cards_torn_at_every_frame": {"proofs": _torn_is_false},
    "cards_signed_torn_at_every_frame": {"proofs": _torn_is_false},
    "cards_signed": {"proofs": replaced("Proofs.check", lambda _: lambda *arguments: 0)},
    "cards_signed_copies": {"counters": replaced("Counters.last", lambda _: lambda *arguments: 0)},
    "cards_relayed": _HAS_TIME,
    "cards_slow": _HAS_TIME,
    "mode_closed_shuts_the_way_in_for_all": _CLOSED,
    "mode_ends_a_wait_for_the_lane": _CLOSED,
    "mode_given_during_an_outage": {"orders": silent("Orders.command")},
    "mode_free_lets_all_pass_and_moves_nobody": {"lane": replaced("is_free", lambda _: lambda s: s.fire)},
    "mode_is_kept_over_a_restart": {"gate": replaced("MODES", lambda modes: ("normal",) * len(modes))},
    "mode_returns_when_the_fire_is_over": {"lane": _fire_ends_in_normal},
    "between_gates_within_2_s": _DEAF,
    "between_gates_told_on_connect": _DEAF,
    "between_gates_a_principal_inside_by_the_other": _DEAF,
    "between_gates_the_later_passage_wins": {
        "presence": replaced("Presence.remote", lambda _: lambda p, *passage: p.confirm(*passage))
    },
    "between_gates_companion_alone_at_the_gate_of_the_exit": {
        "presence": replaced("Presence.remote", lambda _: lambda p, *passage: p.confirm(*passage[:-1]))
    },
    "between_gates_a_wrong_clock_is_put_right": {"replay": silent("retime")},
    "between_gates_known_after_a_restart": {
        "presence": replaced(
            "Presence.replay",
            lambda f: lambda p, event, reason: event.type == "remote" or f(p, event, reason),
        )
    },
    "between_gates_unknown_stays_where_it_is": {
        "presence": replaced("Presence.forget_all", lambda f: lambda p, now: f(p, now - 3600))
    },
    "between_gates_the_daily_reset_is_not_undone": {"gate": silent("last_reset")},
    "between_gates_a_reset_made_up_for_keeps_what_came_after": {
        "gate": replaced("Gate._forget_all", lambda f: lambda gate, due=0: f(gate))
    },
    "between_gates_a_reset_made_up_for_keeps_what_came_after_clock_lost": {
        "gate": replaced("Gate._forget_all", lambda f: lambda gate, due=0: f(gate))
    },
    "between_gates_out_of_contact_believes_nobody_outside": {
        "policy": replaced("decide", lambda f: lambda s, tap, p: f(s, tap._replace(isolated=False), p))
    },
    "between_gates_alone_needs_no_contact": {"policy": replaced("decide", _never_alone)},
    "between_double_entry_is_told_by_whoever_learns_of_both": {
        "presence": replaced(
            "Presence.remote", lambda f: lambda p, *a: f(p, *a) if a[4] > p.confirmed_at(a[0]) else ""
        )
    },
    "between_double_entry_has_no_exit_between": {
        "orders": replaced("Orders.remote", lambda f: lambda o, key, _, *more: f(o, key, "in", *more))
    },
    "desk_revoked_within_1_s": _NO_CHANGES,
    "desk_revoked_in_a_network_outage": _NO_CHANGES,
    "desk_issue_makes_a_card_known": _NO_CHANGES,
    "desk_return_clears_the_position": _FORGETS_NOBODY,
    "desk_lost_is_for_good": _FORGETS_NOBODY,
    "desk_issue_begins_a_visit_without_a_window": _FORGETS_NOBODY,
    "desk_issue_begins_a_new_visit": {
        "presence": replaced(
            "Presence.forget", lambda f: lambda p, key, now, visit_over=False: f(p, key, now)
        )
    },
    "desk_issue_is_older_than_a_later_passage": {
        "gate": replaced(
            "Gate.record",
            lambda f: (
                lambda g, kind, *a, unix=0, **more: f(g, kind, *a, unix=unix * (kind == "remote"), **more)
            ),
        )
    },
    "desk_expired_list": {"policy": without("in", ("list_expired", False, ""))},
    "link_commands_are_carried_out_once": {"orders": silent("Orders.command")},
    "link_bad_networks_end_in_the_same_list": _NO_CHANGES,
    "link_events_after_an_outage": {"sync": silent("Session._events")},
    "link_events_through_a_bad_network": {"sync": replaced("_EVENTS_MS", lambda _: 1 << 30)},
    "clock_lost_until_the_office_answers": {"orders": silent("Orders.office_time")},
    "clock_back_when_two_sources_agree": {"clock_set": replaced("_AGREE_MS", lambda _: -1)},
}


def row_story(direction, row):
    reason, _, _, predicate = row
    default = f"{direction}_{reason}"
    return OWN_NAMES.get((direction, reason, predicate.__name__), default)


ROWS = [(direction, row) for direction, rows in policy.ROWS.items() for row in rows]
ALARMS = [name for name in policy.ALARMS if name]
NEEDED = (
    {row_story(direction, row) for direction, row in ROWS}
    | set(BESIDE_THE_ROWS)
    | {"alarm_" + kind for kind in ALARMS}
    | {"site_" + key for key in scenario_format.SITE_KEYS}
    | {"class_" + key for key in scenario_format.CLASS_KEYS}
    | set(LANE_STORIES.values())
    | {name for names in RULES.values() for name in names}
)


@functools.cache
def told(name):
    return scenario_format.load(STORIES[name])


def is_told(name):
    return name not in WAITING and name not in ELSEWHERE


def taps(story):
    """Return (direction, what is expected) of every tap of a story that expects something."""
    return [(s.direction, s.expect) for s in story.steps if isinstance(s, model.Tap) and s.expect]


class Changed(runner.Run):
    """A run on CPython with a firmware whose modules were changed after they had been loaded."""

    def __init__(self, story, hooks=None):
        super().__init__(story, "cpython")
        self.changes = hooks or {}

    def _hooks(self, gate):
        return self.changes


def journal(name):
    """Return the journal records of a story, as its log shows them."""
    one = Changed(told(name))
    one.play()
    lines = [json.loads(line) for line in one.log.lines]
    return [line for line in lines if line["event"] == "journal"]


def fails(story, hooks=None):
    """Return whether a story that holds would fail with this change."""
    one = Changed(story, hooks)
    one.play()
    return bool(one.failures)


def test_no_rule_is_without_its_story():
    missing = sorted(name for name in NEEDED if is_told(name) and name not in STORIES)
    assert not missing, "write tests/scenarios/%s.yaml" % missing[0]


def test_no_story_is_of_nothing():
    strange = sorted(set(STORIES) - NEEDED)
    assert not strange, "tests/scenarios/%s.yaml: which rule is it of? Say so in RULES" % strange[0]


def test_what_cannot_be_told_yet_is_known_and_not_told():
    for name in (*WAITING, *ELSEWHERE):
        assert name in NEEDED, f"{name}: no rule needs it; take it out"
        assert name not in STORIES, f"tests/scenarios/{name}.yaml is there: take it out of the table"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_no_story_can_cause_is_shown_by_a_test(name):
    file, test = ELSEWHERE[name].split("::")
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_what_waits_is_not_yet_in_the_format_or_not_yet_raised_by_the_firmware():
    """An entry may wait only while the capability is missing; this notices the moment when it comes."""
    firmware = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "firmware").glob("*.py"))
    for name, capability in WAITING.items():
        assert capability in scenario_format.NOT_YET, f"{name} waits for {capability}, which is there"
        kind = name.removeprefix("alarm_")
        assert not re.search(rf"alarm(_once)?\(\s*\"{kind}\"", firmware), f"{name} can be told"


@pytest.mark.parametrize(
    ("direction", "row"),
    [pair for pair in ROWS if is_told(row_story(*pair))],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_each_row_is_told_by_a_story_that_fails_without_it(direction, row):
    reason, allow, alarm, _ = row
    name = row_story(direction, row)
    decision = "grant" if allow else "deny"
    assert any(
        (at_reader, expect.decision, expect.reason) == (direction, decision, reason)
        and (not alarm or expect.alarm == alarm)
        for at_reader, expect in taps(told(name))
    ), f"{name}: no tap expects {decision}/{reason}" + (f", alarm {alarm}" if alarm else "")
    assert fails(told(name), {"firmware.policy": without(direction, row)}), (
        f"{name} holds without the row {reason}"
    )


@pytest.mark.parametrize("name", [name for name in BESIDE_THE_ROWS if is_told(name)])
def test_each_reason_beside_the_rows_is_told(name):
    direction, _, reason = name.partition("_")
    assert any((at, expect.reason) == (direction, reason) for at, expect in taps(told(name)))


@pytest.mark.parametrize("kind", [kind for kind in ALARMS if is_told("alarm_" + kind)])
def test_each_alarm_is_told_by_a_story_that_fails_without_it(kind):
    story = told("alarm_" + kind)
    checks = [step.alarms or () for step in story.steps if isinstance(step, model.Check)]
    assert any(kind in alarms for alarms in checks) or any(e.alarm == kind for _, e in taps(story))

    without_it = replaced(
        "Gate.alarm", lambda f: lambda gate, which, *more: which != kind and f(gate, which, *more)
    )
    assert fails(story, {"firmware.gate": without_it}), f"alarm_{kind} holds without the alarm"


@pytest.mark.parametrize("kind", ["fire", "tamper", "sensor_stuck", "reader_dead"])
def test_an_alarm_whose_cause_can_end_ends_with_it(kind):
    records = [record for record in journal("alarm_" + kind) if record["reason"] == kind]
    assert [record["type"] for record in records][:2] == ["alarm", "alarm_end"]
    assert records[0]["dir"] == records[1]["dir"]


def test_still_inside_says_how_many():
    (record,) = [record for record in journal("alarm_still_inside") if record["reason"] == "still_inside"]
    assert record["party"] == 1


# Without `classes` the file's cards have no class: the keys of the classes are left out one by one below.
# In a story without `rtc` the board itself keeps the clock: what has to be missing is the chip.
@pytest.mark.parametrize(
    "key",
    [key for key in scenario_format.SITE_KEYS if key not in ("classes", "rtc") and is_told("site_" + key)],
)
def test_each_setting_is_told_by_a_story_that_fails_without_it(key):
    story = told("site_" + key)
    assert key in story.site
    site = {name: value for name, value in story.site.items() if name != key}
    if key == "min_tier":
        site[key] = "uid"  # the default asks for even more than the story
    assert fails(dataclasses.replace(story, site=site)), f"site_{key} holds without it"


def test_the_clock_chip_is_told_by_a_story_that_fails_without_it():
    story = told("site_rtc")
    assert story.site["rtc"]

    def stopped(module):
        module.DS3231.read = lambda chip: None

    assert fails(story, {"firmware.drivers.ds3231": stopped}), "site_rtc holds without the chip"


@pytest.mark.parametrize("key", [key for key in scenario_format.CLASS_KEYS if is_told("class_" + key)])
def test_each_setting_of_a_class_is_told_by_a_story_that_fails_without_it(key):
    story = told("class_" + key)
    classes = {
        name: {k: value for k, value in rules.items() if k != key}
        for name, rules in story.site["classes"].items()
    }
    assert classes != story.site["classes"]
    changed = dataclasses.replace(story, site={**story.site, "classes": classes})
    assert fails(changed), f"class_{key} holds without it"


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_of_link_and_cards_is_told_by_a_story_that_fails_without_it(name):
    hooks = {"firmware." + module: hook for module, hook in BREAKS[name].items()}
    assert fails(told(name), hooks), f"{name} holds although the firmware was changed"


def test_every_story_of_office_link_and_cards_names_what_it_fails_without():
    with_breaks = re.compile("(mode|between|desk|link|cards)_")
    assert {name for name in STORIES if with_breaks.match(name)} <= set(BREAKS) <= set(STORIES)


def test_a_command_that_comes_twice_is_journalled_once():
    records = journal("link_commands_are_carried_out_once")
    modes = [record["reason"] for record in records if record["type"] == "mode"]
    assert modes == ["free", "lockdown", "normal"]


def test_every_row_of_the_lane_names_its_story():
    assert set(LANE_STORIES) == set(lane.STEPS)


@pytest.mark.parametrize("row", [row for row in LANE_STORIES if is_told(LANE_STORIES[row])], ids="-".join)
def test_each_row_of_the_lane_is_told_by_a_story_that_fails_without_it(row):
    story = told(LANE_STORIES[row])
    assert fails(story, {"firmware.lane": lambda module: module.STEPS.pop(row)})
