"""Scenario files are read as written, and every fault is named with its line."""

import pathlib
import textwrap
from typing import TypeVar

import pytest

from host_sim.scenario import format as scenario_format
from host_sim.scenario import model
from host_sim.scenario.nodes import ScenarioError

SCENARIOS = pathlib.Path(__file__).parents[1] / "scenarios"
START_US = 1772415000_000000  # 2026-03-02T08:30:00 at +07:00
S = 1_000_000
Kind = TypeVar("Kind", bound=model.Step)

HEAD = """\
format: 1
title: one story
start: "2026-03-02T08:30:00"
site: {min_tier: uid}
cards:
  Y1: {uid: "04A1B2C3D4E5F6"}
  B1: {uid: "04000000000002"}
allow:
  - {card: Y1, class: yellow, from: "2026-03-02T08:30", until: "2026-03-02T10:00", party: 17}
steps:
"""
FIRST = HEAD.count("\n") + 1  # the line of the first step


def parse(*steps, head=HEAD) -> model.Scenario:
    return scenario_format.parse(head + "".join(f"  - {step}\n" for step in steps), "story.yaml")


def one(story: model.Scenario, kind: type[Kind], index: int = 0) -> Kind:
    """Return the step number `index` of a story, which is of this kind."""
    step = story.steps[index]
    assert isinstance(step, kind)
    return step


def complaints(text):
    with pytest.raises(ScenarioError) as caught:
        scenario_format.parse(textwrap.dedent(text), "story.yaml")
    return str(caught.value).splitlines()


def step_complaint(*steps):
    """Return the first complaint about a file with good steps before the last one."""
    with pytest.raises(ScenarioError) as caught:
        parse(*steps)
    line = str(caught.value).splitlines()[0]
    assert line.startswith(f"story.yaml:{FIRST + len(steps) - 1}: "), line
    return line


def test_a_whole_file_becomes_a_scenario():
    story = parse(
        '{at: "08:31:00.250", tap: Y1, dir: in, expect: {decision: grant, reason: ok, within_ms: 60}}'
    )
    assert (story.title, story.start_us, story.gates) == ("one story", START_US, ("A",))
    assert story.cards["Y1"].uid == bytes.fromhex("04A1B2C3D4E5F6")
    assert story.allow == (model.Record("Y1", "yellow", START_US // S, START_US // S + 90 * 60, 17),)
    assert story.list_expires_unix == START_US // S + 86400
    (tap,) = story.steps
    assert isinstance(tap, model.Tap)
    assert (tap.number, tap.line, tap.at_us) == (1, FIRST, START_US + 60_250_000)
    assert (tap.cards, tap.direction, tap.hold_us, tap.gate) == (("Y1",), "in", 400_000, None)
    assert tap.expect == model.Expect("grant", "ok", 60)


def test_after_counts_from_the_start_of_the_step_before():
    story = parse("{after: 1, pass: in, hold: 20}", "{after: 0.25, pass: out}", "{after: 0, pass: in}")
    assert [step.at_us - START_US for step in story.steps] == [S, 1_250_000, 1_250_000]


def test_a_bare_time_is_on_the_day_of_the_step_before():
    story = parse('{at: "2026-03-03T00:00:01", pass: in}', '{at: "00:00:02", pass: in}')
    assert story.steps[1].at_us - story.steps[0].at_us == S


def test_unquoted_times_mean_what_is_written():
    story = parse("{at: 11:00:00, pass: in}", "{at: 2026-03-03T08:30:00, pass: in}")
    assert [step.at_us - START_US for step in story.steps] == [9000 * S, 86400 * S]


def test_local_times_follow_the_offset_of_the_site():
    story = parse(
        "{after: 1, pass: in}", head=HEAD.replace("min_tier: uid", "min_tier: uid, utc_offset_min: 0")
    )
    assert story.start_us == START_US + 7 * 3600 * S
    assert story.allow[0].from_unix == START_US // S + 7 * 3600


@pytest.mark.parametrize("word", ["on", '"on"', "true"])
def test_on_may_stand_unquoted(word):
    story = parse(f"{{after: 1, input: fire, state: {word}}}", "{after: 1, power: cut}")
    assert one(story, model.Input).on is True
    story = parse("{after: 1, power: cut}", f"{{after: 1, power: {word}, clock: lost}}")
    power = one(story, model.Power, 1)
    assert (power.on, power.clock_kept) == (True, False)


@pytest.mark.parametrize("word", ["off", '"off"', "false"])
def test_off_may_stand_unquoted(word):
    story = parse(f"{{after: 1, input: tamper, state: {word}}}")
    assert one(story, model.Input).on is False


def test_antipassback_off_is_a_word():
    head = HEAD.replace("min_tier: uid", "min_tier: uid, classes: {yellow: {antipassback: off}}")
    assert parse("{after: 1, pass: in}", head=head).site["classes"]["yellow"]["antipassback"] == "off"


def test_new_classes_get_codes_in_file_order():
    head = HEAD.replace(
        "min_tier: uid", "min_tier: uid, classes: {orange: {early_min: 10}, blue: {counted: false}, pink: {}}"
    ).replace("class: yellow", "class: pink")
    codes = parse("{after: 1, pass: in}", head=head).class_codes()
    assert codes == {"yellow": 1, "green": 2, "blue": 3, "staff": 4, "orange": 5, "pink": 6}


def test_unquoted_card_numbers_keep_their_digits():
    story = parse("{after: 1, pass: in}", head=HEAD.replace('"04000000000002"', "04112233"))
    assert story.cards["B1"].uid == bytes.fromhex("04112233")


def test_what_is_special_about_a_card_and_a_tap_is_read():
    head = HEAD.replace(
        'B1: {uid: "04000000000002"}',
        'B1: {uid: "04000000000002", type: desfire, keys: wrong, work_ms: 2.5}\n'
        '  X1: {uid: "04A1B2C3D4E5F6", type: ntag424, magic: true, copy_of: Y1, answers: number}',
    )
    story = parse(
        "{after: 1, tap: B1, dir: in, torn_at: 3}", "{after: 1, tap: X1, dir: in, relay_ms: 60}", head=head
    )
    plain, wrong, copy = (story.cards[name] for name in ("Y1", "B1", "X1"))
    assert (plain.is_copy, plain.keys, plain.answers, plain.work_ms) == (False, "own", "all", 2)
    assert (wrong.is_copy, wrong.keys, wrong.work_ms) == (False, "wrong", 2.5)
    assert (copy.is_copy, copy.copy_of, copy.answers) == (True, "Y1", "number")
    assert story.tiers() == {plain.uid: 0, wrong.uid: 2}  # what is no copy says what the office knows
    first, second = story.steps
    assert isinstance(first, model.Tap) and isinstance(second, model.Tap)
    assert (first.torn_at, first.relay_ms, second.torn_at, second.relay_ms) == (3, 0, None, 60)


def test_several_cards_and_every_check_are_read():
    story = parse(
        "{after: 1, tap: [Y1, B1], dir: out, hold: 2}",
        "{after: 1, check: {inside: [Y1], occupancy: 1, relay_pulses: {in: 2}, lane: open_out,"
        " alarms: [forced, tailgate], list_seq: 1, trusted_time: off}}",
    )
    tap, check = one(story, model.Tap), one(story, model.Check, 1)
    assert (tap.cards, tap.hold_us) == (("Y1", "B1"), 2 * S)
    assert (check.inside, check.occupancy, check.relay_pulses) == (("Y1",), 1, {"in": 2})
    assert (check.lane, check.alarms) == ("open_out", ("forced", "tailgate"))
    assert (check.list_seq, check.trusted_time) == (1, False)


@pytest.mark.parametrize(
    ("step", "part"),
    [
        ("{after: 1, tap: Y1, dir: in, expect: {reason: tired}}", "unknown reason `tired`"),
        ("{after: 1, tap: Y1, dir: in, expect: {decision: maybe}}", "unknown decision `maybe`"),
        ("{after: 1, tap: Y1, dir: in, expect: {alarm: bell}}", "unknown alarm `bell`"),
        ("{after: 1, tap: Y1, dir: in, expect: {color: red}}", "unknown key `color`"),
        ("{after: 1, tap: Y1, dir: in, expect: {within_ms: soon}}", "must be a number"),
        ("{after: 1, tap: Y1, dir: in, expect: {}}", "asks for nothing"),
        ("{after: 1, tap: Y1, dir: up}", "unknown direction `up`"),
        ("{after: 1, tap: Y1}", "`dir` is missing"),
        ("{after: 1, tap: Y9, dir: in}", "unknown card `Y9`"),
        ("{after: 1, tap: [Y1, Y1], dir: in}", "named twice"),
        ("{after: 1, tap: [], dir: in}", "at least one card"),
        ("{after: 1, tap: Y1, dir: in, gate: B}", "unknown gate `B`"),
        ("{after: 1, tap: Y1, dir: in, hold: 0}", "more than 0"),
        ("{after: 1, pass: in, expect: {decision: grant}}", "unknown key `expect`"),
        ("{after: 1, pass: left}", "unknown direction `left`"),
        ("{after: 1, pass: in, tap: Y1}", "two steps in one"),
        ("{after: 1}", "does nothing"),
        ("{after: 1, jump: in}", "unknown key `jump`"),
        ("{pass: in}", "neither `at` nor `after`"),
        ('{at: "08:40:00", after: 1, pass: in}', "both `at` and `after`"),
        ("{after: -1, pass: in}", "time never runs back"),
        ("{after: soon, pass: in}", "must be a number"),
        ("{after: .nan, pass: in}", "must be a number"),
        ("{after: 1000000000000, pass: in}", "ten years"),
        ('{at: "08:29:59", pass: in}', "is before the start"),
        ('{at: "25:00:00", pass: in}', "is not a time"),
        ('{at: "08:60:00", pass: in}', "is not a time"),
        ('{at: "2026-02-30T08:00:00", pass: in}', "is not a time"),
        ('{at: "2019-03-02T08:00:00", pass: in}', "outside the years"),
        ("{after: 1, input: door, state: on}", "unknown input `door`"),
        ("{after: 1, input: fire, state: half}", "must be true or false"),
        ("{after: 1, input: fire}", "`state` is missing"),
        ("{after: 1, power: half}", "must be cut or on"),
        ("{after: 1, power: on, clock: kept}", "power is on already"),
        ("{after: 1, power: cut, clock: kept}", "`clock` belongs to power: on"),
        ("{after: 1, power: cut, cut_at: 0}", "at least 1"),
        ("{after: 1, reader: ill, dir: in}", "unknown value `ill`"),
        ("{after: 1, reader: dead}", "`dir` is missing"),
        ("{after: 1, check: {}}", "asks for nothing"),
        ("{after: 1, check: {weather: fine}}", "unknown key `weather`"),
        ("{after: 1, check: {lane: open}}", "unknown state `open`"),
        ("{after: 1, check: {inside: [Y7]}}", "unknown card `Y7`"),
        ("{after: 1, check: {inside: Y1}}", "must be a list"),
        ("{after: 1, check: {alarms: [bell]}}", "unknown alarm `bell`"),
        ("{after: 1, check: {relay_pulses: {up: 1}}}", "unknown key `up`"),
        ("{after: 1, check: {occupancy: 1.5}}", "whole number"),
        ("{after: 1, check: {trusted_time: perhaps}}", "must be true or false"),
        ("{after: 1, network: sideways}", "unknown value `sideways`"),
        ("{after: 1, network: {loss: 2}}", "from 0 to 1"),
        ("{after: 1, network: {speed: 2}}", "unknown key `speed`"),
        ("{after: 1, office: {hire: Y1}}", "unknown key `hire`"),
        ("{after: 1, office: {revoke: Y9}}", "unknown card `Y9`"),
        ("{after: 1, office: {lost: B1}}", "card `B1` was never issued"),
        ("{after: 1, office: {command: {mode: party}}}", "unknown mode `party`"),
        ("{after: 1, clock_step: back}", "must be a number"),
        ("{after: 1, tap: Y1, dir: in, torn_at: 2}", "torn_at belongs to cards of type classic, ntag213"),
        ("{after: 1, tap: [Y1, B1], dir: in, relay_ms: 9}", "relay_ms belongs to the tap of one card"),
        ("{after: 1, tap: Y1, dir: in, torn_at: 0}", "from 1 to 100"),
        ("{after: 1, tap: Y1, dir: in, relay_ms: 1.5}", "whole number"),
        ("just words", "must be a mapping"),
    ],
)
def test_a_bad_step_is_named_with_its_line(step, part):
    with pytest.raises(ScenarioError) as caught:
        parse("{after: 0, pass: in}", step)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"story.yaml:{FIRST + 1}: ") for line in lines), lines
    assert any(part in line for line in lines), lines


def test_time_running_back_names_the_step_before():
    line = step_complaint('{at: "09:00:00", pass: in}', '{at: "08:59:59.999", pass: in}')
    assert "is before the step before (2026-03-02 09:00:00.000)" in line


def test_power_on_needs_clock():
    assert "needs `clock`" in step_complaint("{after: 1, power: cut}", "{after: 1, power: on}")


def test_a_step_over_several_lines_names_the_line_of_the_fault():
    text = (
        HEAD
        + "  - after: 1\n    tap: Y1\n    dir: in\n    expect:\n      decision: grant\n      reason: tired\n"
    )
    with pytest.raises(ScenarioError) as caught:
        scenario_format.parse(text, "story.yaml")
    assert str(caught.value).startswith(
        f"story.yaml:{FIRST + 5}: step 1: expect: reason: unknown reason `tired`"
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("title: one story", "titel: one story", 2, "unknown key `titel`"),
        ("format: 1", "format: 2", 1, "format 2 is not known"),
        ("title: one story", "format: 1", 2, "`format` is given twice"),
        ('start: "2026-03-02T08:30:00"', 'start: "tomorrow"', 3, "is not a time"),
        ("{min_tier: uid}", "{min_tier: paper}", 4, "min_tier"),
        ("{min_tier: uid}", "{colour: red}", 4, "unknown key `colour`"),
        ("{min_tier: uid}", "{min_tier: uid, classes: {yellow: {speed: 1}}}", 4, "unknown key `speed`"),
        ("{min_tier: uid}", "{min_tier: uid, pulse_ms: 5}", 4, "pulse_ms"),
        ("{min_tier: uid}", "{min_tier: uid, utc_offset_min: 9999}", 4, "utc_offset_min"),
        ('"04A1B2C3D4E5F6"', '"04A1B2C3D4"', 6, "5 bytes"),
        ('"04A1B2C3D4E5F6"', '"04A1B2C3D4E5F"', 6, "hexadecimal"),
        ('"04A1B2C3D4E5F6"}', '"04A1B2C3D4E5F6", type: paper}', 6, "unknown card type `paper`"),
        ('"04000000000002"}', '"04000000000002", owner: me}', 7, "unknown key `owner`"),
        ("card: Y1", "card: Y8", 9, "unknown card `Y8`"),
        ("class: yellow", "class: mauve", 9, "unknown class `mauve`"),
        ('until: "2026-03-02T10:00"', 'until: "2026-03-02T08:30"', 9, "ends before it starts"),
        (', until: "2026-03-02T10:00"', "", 9, "needs both"),
        ('until: "2026-03-02T10:00"', 'until: "2026-03-02T10:00:30"', 9, "to the minute"),
        ("party: 17", "party: 70000", 9, "from 1 to 65535"),
        ("party: 17", "room: 3", 9, "unknown key `room`"),
        ('"04A1B2C3D4E5F6"', '"88A1B2C3"', 6, "cascade tag"),
        ('"04000000000002"}', '"04000000000002", copy_of: Y1}', 7, "`Y1` has another number"),
        ('"04000000000002"}', '"04000000000002", copy_of: B1}', 7, "no copy of itself"),
        ('"04000000000002"}', '"04000000000002", copy_of: X9}', 7, "unknown card `X9`"),
        ('"04000000000002"}', '"04000000000002", magic: perhaps}', 7, "must be true or false"),
        ('"04000000000002"}', '"04000000000002", keys: wrong}', 7, "belongs to cards of type"),
        ('"04000000000002"}', '"04000000000002", type: desfire, keys: none}', 7, "unknown value `none`"),
        ('"04000000000002"}', '"04000000000002", type: ntag424, answers: no}', 7, "unknown value `no`"),
        ('"04000000000002"}', '"04000000000002", type: ntag424, work_ms: -1}', 7, "from 0 to 1000"),
        ('"04000000000002"}', '"04000000000002", work_ms: 1}', 7, "belongs to cards of type"),
        ('"04000000000002"}', '"04000000000002", type: classic, work_ms: 1}', 7, "type ntag424, desfire"),
        ('"04000000000002"}', '"04000000000002", type: desfire, counter: 1}', 7, "type classic, ntag213"),
        ('"04000000000002"}', '"04000000000002", type: classic, counter: 0}', 7, "from 1 to 65534"),
        ('"04000000000002"}', '"04000002", type: ntag213}', 7, "no card of type ntag213 has 4 bytes"),
        (
            '"04000000000002"}',
            '"04000000000002", type: classic, magic: true, counter: 5}',
            7,
            "never has the original's keys",
        ),
        (
            '"04000000000002"}',
            '"04000000000002", type: ntag424, magic: true, keys: wrong}',
            7,
            "never has the original's keys",
        ),
        (
            '"04000000000002"}',
            '"04000000000002", type: ntag424, answers: number, keys: wrong}',
            7,
            "nobody asks a card",
        ),
    ],
)
def test_a_bad_head_is_named_with_its_line(old, new, line, part):
    assert old in HEAD
    with pytest.raises(ScenarioError) as caught:
        parse("{after: 1, pass: in}", head=HEAD.replace(old, new))
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"story.yaml:{line}: "), first
    assert part in first


def test_a_card_is_listed_once():
    twice = HEAD.replace("steps:", "  - {card: Y1, class: green}\nsteps:")
    with pytest.raises(ScenarioError, match=r"story.yaml:10: allow: card `Y1` is listed twice"):
        parse("{after: 1, pass: in}", head=twice)


def test_all_faults_are_told_in_the_order_of_lines():
    with pytest.raises(ScenarioError) as caught:
        parse("{after: 1, pass: up}", "{after: x, pass: in}", head=HEAD.replace("title", "titel"))
    assert [line for line, _ in caught.value.problems] == [2, FIRST, FIRST + 1]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", "story.yaml:1: the file is empty"),
        ("- 1\n", "story.yaml:1: the scenario must be a mapping (key: value)"),
        ("format: 1\ntitle: [\n", "story.yaml:3: not YAML: "),
        ("format: 1\n---\nformat: 1\n", "story.yaml:2: not YAML: "),
        ("title: \x01\n", "story.yaml:1: not YAML: a character that is not allowed"),
        ("format: 1\nstart: &a [*a]\nsteps: []\n", "story.yaml:2: start must be a word"),
    ],
)
def test_what_is_no_scenario_at_all_is_named(text, first):
    assert any(line.startswith(first) for line in complaints(text))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"nothing.yaml:1: cannot be read: No such file"):
        scenario_format.load(tmp_path / "nothing.yaml")
    (tmp_path / "b.yaml").write_bytes(b"format: 1\ntitle: \xff\n")
    with pytest.raises(ScenarioError, match=r"b.yaml:2: not UTF-8 text"):
        scenario_format.load(tmp_path / "b.yaml")


# How each name of NOT_YET is written in a file: the head's change, or a step.
USES = {
    "card type classic": ('"04000000000002"', '"04000000000002", type: classic'),
    "card type ntag424": ('"04000000000002"', '"04000000000002", type: ntag424'),
    "card type desfire": ('"04000000000002"', '"04000000000002", type: desfire'),
    "magic": ('"04000000000002"', '"04000000000002", magic: true'),
    "copy_of": ('"04000000000002"', '"04A1B2C3D4E5F6", copy_of: Y1'),
    "several gates": ("cards:", "gates: [A, B]\ncards:"),
    "site.rtc": ("min_tier: uid", "min_tier: uid, rtc: true"),
    "network": "{after: 1, network: down}",
    "office": "{after: 1, office: {revoke: Y1}}",
    "clock_step": "{after: 1, clock_step: -10800}",
    "check.events": "{after: 1, check: {events: {undelivered: 0, lost: 0, chain: ok}}}",
}


@pytest.mark.parametrize("name", sorted(USES))
def test_what_the_world_cannot_play_is_said(name):
    use = USES[name]
    head, steps = HEAD, ["{after: 1, pass: in}"]
    if isinstance(use, str):
        steps.append(use)
    else:
        assert use[0] in head
        head = head.replace(*use)
    if name not in scenario_format.NOT_YET:
        parse(*steps, head=head)
        return
    with pytest.raises(ScenarioError, match=rf"story.yaml:\d+: not supported yet: {name}"):
        parse(*steps, head=head)


def test_every_name_that_is_not_supported_yet_is_tried():
    assert set(USES) >= scenario_format.NOT_YET
