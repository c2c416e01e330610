"""What does not hold is named; what no file asks for is watched all the same; bad files are refused."""

import dataclasses
import pathlib
import re
import shutil

import pytest
from click.testing import CliRunner

from firmware import records
from firmware.policy import ALARMS, REASONS
from host_sim.hardware import Hardware
from host_sim.scenario import expect, model, runner, stage
from host_sim.scenario import format as scenario_format
from host_sim.scenario.log import Log, first_difference
from tools.cli.main import pinter

ROOT = pathlib.Path(__file__).parents[2]
BAD = sorted((ROOT / "tests" / "scenarios" / "bad").glob("*.yaml"))
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
KEY, OTHER = b"\x01" * 8, b"\x02" * 8
S = 1_000_000

STORY = """\
format: 1
title: one visitor
start: "2026-03-02T08:59:55"
site: {min_tier: uid}
cards:
  Y1: {uid: "04A1B2C3D4E5F6"}
allow:
  - {card: Y1, class: yellow, from: "2026-03-02T09:00", until: "2026-03-02T10:00", party: 17}
steps:
  - {after: 1, tap: Y1, dir: in, expect: {decision: grant, reason: ok, within_ms: 80}}
  - {after: 1, pass: in}
  - {after: 0.2, check: {inside: [Y1], occupancy: 1, lane: locked, relay_pulses: {in: 1, out: 0}, alarms: []}}
"""


def play(text, runtime="cpython"):
    one = runner.Run(scenario_format.parse(text, "story.yaml"), runtime)
    one.play()
    return one


def texts(one):
    return [failure.text("story.yaml") for failure in one.failures]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_is_named_with_its_line_and_nothing_is_played(file):
    ((line, text),) = re.findall(r"\A# line (\d+): (.*)", file.read_text())
    result = CliRunner().invoke(
        pinter, ["sim", "run", str(ROOT / "tests" / "scenarios" / "lane.yaml"), str(file)]
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("%s:%s: %s" % (file, line, text))


def test_the_story_in_the_manual_holds():
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    (story,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert texts(play(story)) == []


def test_the_manual_names_what_is_not_supported_yet():
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8").partition("## Not yet")[2]
    for name in scenario_format.NOT_YET:
        word = name.replace("check.", "").replace("site.", "").replace("several ", "")
        assert ("card types" if name.startswith("card type") else word) in text, name


def test_the_manual_refuses_nothing_that_can_be_played():
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8").partition("## Not yet")[2]
    said = set(re.findall(r"`([a-z_.]+)`", text.partition("## ")[0]))
    assert said - {"uid"} <= scenario_format.NOT_YET


def test_the_manual_names_every_step_and_what_it_takes():
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    rows = "".join(line for line in text.splitlines() if line.startswith("| `"))
    steps = set(scenario_format.STEP_KEYS) - scenario_format.NOT_YET
    for word in (*steps, *scenario_format.NETWORK_KEYS, *scenario_format.OFFICE_ACTIONS, *model.MODES):
        assert re.search(rf"`[^`]*\b{word}\b[^`]*`", rows), word
    for word in (*scenario_format.CHECK_KEYS, *scenario_format.EVENT_KEYS, *scenario_format.EXPECT_KEYS):
        assert re.search(rf"`[^`]*\b{word}\b[^`]*`", text), word


@pytest.mark.parametrize(
    ("old", "new", "failure"),
    [
        (
            "decision: grant, reason: ok",
            "decision: deny, reason: ok",
            "10: step 1: expected deny/ok, relay within",
        ),
        (
            "reason: ok",
            "reason: reentry",
            "10: step 1: expected grant/reentry, relay within 80 ms, got grant/ok",
        ),
        (
            "within_ms: 80",
            "within_ms: 1",
            "10: step 1: expected grant/ok, relay within 1 ms, got grant/ok, relay",
        ),
        (
            "within_ms: 80",
            "alarm: clone",
            "10: step 1: expected grant/ok, alarm clone, got grant/ok, alarms []",
        ),
        ("inside: [Y1]", "inside: []", "12: step 3: expected inside [], got [Y1]"),
        ("occupancy: 1", "occupancy: 2", "12: step 3: expected occupancy 2, got 1"),
        ("lane: locked", "lane: free", "12: step 3: expected lane free, got locked"),
        ("out: 0}", "out: 1}", "12: step 3: expected relay_pulses out 1, got 0"),
        ("alarms: []", "alarms: [forced]", "12: step 3: expected alarms [forced], got []"),
        ("alarms: []", "list_seq: 2", "12: step 3: expected list_seq 2, got 1"),
        ("alarms: []", "trusted_time: false", "12: step 3: expected trusted_time false, got true"),
    ],
)
def test_a_false_expectation_is_named_with_step_expected_and_got(old, new, failure):
    assert old in STORY
    (text,) = texts(play(STORY.replace(old, new)))
    assert text.startswith("story.yaml:" + failure), text


def test_the_command_tells_good_from_failed(tmp_path):
    good, wrong, log = tmp_path / "good.yaml", tmp_path / "wrong.yaml", tmp_path / "log.jsonl"
    good.write_text(STORY)
    wrong.write_text(STORY.replace("occupancy: 1", "occupancy: 2"))
    result = CliRunner().invoke(pinter, ["sim", "run", str(good), "--runtime", "cpython", "--log", str(log)])
    assert (result.exit_code, result.stdout[:2]) == (0, "ok"), result.output
    assert log.read_text().splitlines() == play(STORY).log.lines
    result = CliRunner().invoke(pinter, ["sim", "run", str(good), str(wrong), "--runtime", "cpython"])
    assert result.exit_code == 1
    assert "%s:12: step 3: expected occupancy 2, got 1\nFAIL" % wrong in result.stdout


@pytest.mark.requires_micropython
def test_the_command_compares_both_runtimes_unless_told_otherwise(tmp_path):
    (tmp_path / "good.yaml").write_text(STORY)
    result = CliRunner().invoke(pinter, ["sim", "run", str(tmp_path / "good.yaml")])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("(3 steps, 0:00:02 of virtual time, on cpython and micropython)\n")


def test_a_log_that_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "good.yaml").write_text(STORY)
    result = CliRunner().invoke(
        pinter, ["sim", "run", str(tmp_path / "good.yaml"), "--log", str(tmp_path / "no" / "log.jsonl")]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no/log.jsonl: cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        (
            "power: cut, cut_at: 9",
            "step 2: expected power cut in a flash operation before it comes back, got none",
        ),
        ("power: cut", None),
    ],
)
def test_a_cut_that_never_came_is_no_cut(step, failure):
    text = STORY[: STORY.index("  - {after: 1, tap")]
    text += "  - {after: 1, %s}\n  - {after: 1, power: on, clock: kept}\n" % step
    found = texts(play(text + "  - {after: 4, check: {lane: locked, trusted_time: true}}\n"))
    assert found == [] if failure is None else failure in found[0]


def test_a_gate_without_power_answers_no_check():
    text = STORY[: STORY.index("  - {after: 1, tap")] + "  - {after: 1, power: cut}\n"
    (failure,) = texts(play(text + "  - {after: 1, check: {lane: locked}}\n"))
    assert "expected a gate in service, got no answer" in failure


def test_a_journal_that_was_changed_is_found(monkeypatch):
    read = Hardware.image

    def changed(hardware, label):
        image = bytearray(read(hardware, label))
        image[32 + 32 + 12] ^= 1  # the reason of the second record
        return bytes(image)

    monkeypatch.setattr(Hardware, "image", changed)
    (failure,) = texts(play(STORY))
    assert failure.startswith(
        "story.yaml: beside the steps: expected a journal of gate A whose chain holds, got "
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_firmware_that_ends_is_a_failure_of_the_step(tmp_path, monkeypatch, runtime):
    folder = tmp_path / "firmware"
    shutil.copytree(ROOT / "firmware", folder)
    main = (folder / "main.py").read_text()
    life = "    task = asyncio.create_task(gate.run())\n    await asyncio.sleep_ms(10000)\n    return task\n"
    short = main.replace("try:", "async def life():\n" + life + "\n\ntry:")
    short = short.replace("asyncio.run(gate.run())", "asyncio.run(life())")
    (folder / "main.py").write_text(short)
    provisioned = stage.provisioned
    monkeypatch.setattr(stage, "provisioned", lambda *known: dict(provisioned(*known), firmware=folder))
    found = texts(play(STORY, runtime))
    assert any(
        re.match(r"story.yaml:\d+: step [12]: expected firmware that runs, got ", line) for line in found
    ), found
    assert all("\n" not in line for line in found)


# What the runner watches without being asked, shown to it without a gate


class Eyes:
    """A Watch with one tap in progress, and a way to show it things."""

    def __init__(self, decision=None):
        self.inside = frozenset()
        keys = {KEY: "Y1", OTHER: "Y2"}
        self.watch = expect.Watch("A", keys, {1: "yellow"}, Log(0, 0), lambda: self.inside)
        wanted = model.Expect(decision) if decision else None
        self.step = model.Tap(1, 10, 0, None, ("Y1",), "in", 400_000, wanted)
        self.watch.current = self.step
        self.tap = self.watch.tap_begins(self.step, {KEY: "Y1"}, S)

    def record(self, at_us, kind, direction=1, reason="", key=KEY):
        table = ALARMS if kind == "alarm" else REASONS
        record = records.Event(1, 0, 0, False, 0, kind, direction, table.index(reason), 1, key, 0)
        self.watch.see(at_us, "journal", {"record": record})

    def relay(self, at_us, direction="in"):
        self.watch.see(at_us, "output", {"name": "relay_" + direction, "level": 1})
        self.watch.see(at_us + 400_000, "output", {"name": "relay_" + direction, "level": 0})

    def failures(self):
        self.watch.judge(3 * S, self.tap)
        return [(failure.expected, failure.got) for failure in self.watch.failures]


def test_a_pulse_after_a_grant_is_right_and_timed():
    eyes = Eyes("grant")
    eyes.record(S + 30_000, "grant", reason="ok")
    eyes.relay(S + 31_000)
    assert eyes.failures() == []
    assert eyes.tap.relay_us == S + 31_000


@pytest.mark.parametrize("kind", ["deny", None])
def test_a_pulse_without_a_grant_is_found(kind):
    eyes = Eyes()
    if kind:
        eyes.record(S + 30_000, kind, reason="too_early")
    eyes.relay(S + 31_000)
    assert eyes.failures() == [("no relay pulse outside a grant, an override or free", "a pulse of relay in")]


def test_one_grant_is_one_pulse_at_its_own_relay():
    eyes = Eyes()
    eyes.record(S + 30_000, "grant", reason="ok")
    eyes.relay(S + 31_000, "out")
    eyes.relay(S + 31_000)
    eyes.relay(S + 600_000)
    assert [got for _, got in eyes.failures()] == ["a pulse of relay out", "a pulse of relay in"]


def test_fire_holds_the_relay_without_a_pulse():
    eyes = Eyes()
    eyes.watch.is_fire = True
    eyes.relay(S + 31_000)
    check = model.Check(2, 11, 2 * S, None, relay_pulses={"in": 0, "out": 0})
    eyes.watch.check(2 * S, check, None)
    assert eyes.failures() == []


def test_an_override_opens_and_may_carry_the_card_tapped_before():
    eyes = Eyes()
    eyes.record(S + 30_000, "deny", reason="room_full")
    eyes.record(S + 60_000, "override", key=bytes(8))
    eyes.relay(S + 61_000)
    eyes.inside = frozenset((KEY,))
    eyes.record(S + 900_000, "passage")
    assert eyes.failures() == []


def test_a_passage_without_a_grant_is_found():
    eyes = Eyes()
    eyes.record(S + 30_000, "passage")
    assert [expected for expected, _ in eyes.failures()] == [
        "no passage in of Y1 without a grant or an override"
    ]


@pytest.mark.parametrize("kind", ["deny", None])
def test_a_denied_or_ignored_card_that_moves_is_found(kind):
    eyes = Eyes()
    eyes.watch.activated(S + 20_000, "in", KEY, "Y1")
    if kind:
        eyes.record(S + 30_000, kind, reason="passback")
    eyes.inside = frozenset((KEY,))
    assert eyes.failures() == [("Y1 still not inside after %s" % (kind or "ignore"), "another position")]


def test_a_decision_about_another_card_is_not_this_taps():
    eyes = Eyes("none")
    eyes.record(S + 30_000, "deny", reason="too_early", key=OTHER)
    eyes.record(S + 30_000, "deny", direction=2, reason="passback")
    assert eyes.failures() == []


@pytest.mark.parametrize(
    ("activated", "decision", "is_right"),
    [(True, "ignore", True), (True, "none", True), (False, "none", True), (False, "ignore", False)],
)
def test_ignored_is_read_and_none_may_be_either(activated, decision, is_right):
    eyes = Eyes(decision)
    if activated:
        eyes.watch.activated(S + 20_000, "in", KEY, "Y1")
    assert (eyes.failures() == []) is is_right


def test_alarms_and_pulses_count_since_the_check_that_named_them():
    eyes = Eyes()
    eyes.record(S, "alarm", 0, "tamper", bytes(8))
    eyes.record(S, "grant", reason="ok")
    eyes.relay(S + 1000)
    check = model.Check(2, 11, 2 * S, None, relay_pulses={"in": 1}, alarms=("tamper",))
    eyes.watch.check(2 * S, check, None)
    eyes.watch.check(2 * S, dataclasses.replace(check, relay_pulses={"in": 0}, alarms=()), None)
    assert eyes.failures() == []


def test_logs_that_differ_name_the_first_line():
    assert first_difference(["a", "b"], ["a", "b"]) is None
    assert first_difference(["a", "b"], ["a", "c"]) == (2, "b", "c")
    assert first_difference(["a"], ["a", "c"]) == (2, "(the log ends)", "c")


def test_a_runtime_that_tells_another_story_fails():
    story = scenario_format.parse(STORY, "story.yaml")
    runs = [runner.Played(runtime, [], [runtime], []) for runtime in runner.RUNTIMES]
    result = runner.joined(story, runs)
    assert result.problems == [
        "story.yaml: the logs differ in line 1: cpython: cpython | micropython: micropython"
    ]
    failure = expect.Failure(2, 12, "lane locked", "free")
    result = runner.joined(story, [dataclasses.replace(run, failures=[failure], log=[]) for run in runs])
    assert result.problems == ["story.yaml:12: step 2: expected lane locked, got free"]
