"""What the office notices at its gates by itself: silence, lists that stay behind, clocks that are off."""

import pytest

from tests.host.office_bench import HOUR
from tests.host.test_office_books import make
from tests.host.test_office_service import ServiceWorld
from tools.office.watch import Seen, Watch

WELL = {"heard_s": 0.0, "known": True, "online": True, "have": (5, 0, 0), "wanted": 5, "skew_s": 0.0}


@pytest.fixture
def office(template, tmp_path):
    bench = make(template, tmp_path, "AB")
    yield bench
    bench.close()


@pytest.fixture
def world(office):
    """Gates A and B in service with a list."""
    found = ServiceWorld(office)
    office.issue_yellow()
    found.run(3)
    found.settle()
    return found


def looks(watch: Watch, *times: int, **fields) -> list[list[str]]:
    """Look every second up to each time; return the kinds that are new then, and over with a minus."""
    found = []
    for end in times:
        found.append([])
        for now_s in range(int(watch._looked_s) + 1, end + 1):
            fresh, over = watch.look(Seen(**{**WELL, "heard_s": now_s, **fields}), now_s)
            found[-1] += [*fresh, *("-" + kind for kind in over)]
    return found


def test_all_is_well():
    assert looks(Watch(0), 1000) == [[]]


@pytest.mark.parametrize("known", [True, False])
def test_silence_counts_for_a_gate_that_was_at_work_before(known):
    watch = Watch(100)
    silence = {"heard_s": None, "known": known, "online": False}
    assert looks(watch, 159, 160, 500, **silence) == [[], ["gate_silent"] if known else [], []]
    assert looks(watch, 501) == [["-gate_silent"] if known else []]
    assert looks(watch, 560, 561, heard_s=501, online=False) == [[], ["gate_silent"]]


def test_a_list_that_stays_behind_counts_after_a_minute_without_progress():
    watch = Watch(0)
    assert looks(watch, 50) == [[]]
    assert looks(watch, 109, 111, have=(4, 0, 0)) == [[], ["list_behind"]]
    assert watch.faults["list_behind"] == "has list 4 of 5, for 60 s"
    assert looks(watch, 112) == [["-list_behind"]]
    # A snapshot on its way is progress, and so is a list that is a little older than that of a busy desk.
    watch = Watch(0)
    assert [looks(watch, at, have=(4, 5, at)) for at in range(1, 500, 30)] == [[[]]] * 17
    watch = Watch(0)
    assert [looks(watch, at, have=(at, 0, 0), wanted=at + 3) for at in range(1, 500, 30)] == [[[]]] * 17
    # Who is not heard gets no list: that is silence.
    watch = Watch(0)
    assert looks(watch, 100, 300, have=(4, 0, 0), online=False) == [[], []]


@pytest.mark.parametrize("after", [11, 9 * HOUR, -5])
def test_an_office_that_slept_or_set_its_clock_blames_no_gate(after):
    watch = Watch(1000)
    assert looks(watch, 1050) == [[]]
    long_ago = Seen(**{**WELL, "heard_s": 1050, "have": (4, 0, 0)})
    assert watch.look(long_ago, 1050 + after) == ({}, [])
    assert looks(watch, 1050 + after + 58, heard_s=1050, have=(4, 0, 0)) == [[]]
    assert looks(watch, 1050 + after + 61, heard_s=1050, have=(4, 0, 0)) != [[]]


@pytest.mark.parametrize(("skew", "text"), [(60, "60 s ahead"), (-75, "75 s behind"), (59, ""), (-59, "")])
def test_a_clock_that_is_off_says_how_far(skew, text):
    watch = Watch(0)
    assert looks(watch, 1, 2, skew_s=skew) == [["clock_skew"] if text else [], []]
    assert watch.faults.get("clock_skew", "") == (f"its clock is {text}" if text else "")


def test_a_gate_that_falls_silent_raises_one_alarm_and_none_when_it_is_back(world, office):
    world.network("B", False)
    world.run(55)
    assert office.alarms() == []
    world.run(10)
    ((kind, text),) = office.alarms()
    assert (kind, text) == ("gate_silent", "nothing heard for 60 s")
    assert world.service.watched == [("B", kind, text)]
    world.run(120)
    world.network("B", True)
    world.run(5)
    assert len(office.alarms()) == 1
    assert world.service.watched[1:] == [("B", "gate_silent", "")]


def test_a_gate_that_was_added_and_never_came_is_no_alarm(world, office):
    office.desk.add_gate("C")
    world.run(200)
    assert office.alarms() == []


def test_a_gate_that_takes_no_list_raises_an_alarm(world, office):
    def without_lists(to, gate, channel, frame):
        return None if gate == "A" and frame[1] in (0x83, 0x84) else frame

    world.on_frame = without_lists
    office.desk.revoke("01020301")
    world.run(58)
    assert office.alarms() == []
    world.run(5)
    assert [kind for kind, _ in office.alarms()] == ["list_behind"]
    world.on_frame = lambda to, gate, channel, frame: frame
    world.run(5)
    assert world.service.watched[-1] == ("A", "list_behind", "")


@pytest.mark.parametrize(("offset_s", "side"), [(90, "ahead"), (-90, "behind"), (30, ""), (-30, "")])
def test_a_clock_that_is_off_shows_in_what_the_gate_signs(world, office, offset_s, side):
    gate = world.gates["A"]
    gate.office_time = lambda unix_ms: None  # a fault: it takes no time from the office
    gate.clock.offset_s = offset_s
    for _ in range(3):
        world.run(2)
        gate.record("deny")
    world.run(2)
    found = office.alarms()
    assert [kind for kind, _ in found] == (["clock_skew"] if side else [])
    assert not side or (side in found[0][1] and 80 < int(found[0][1].split()[3]) < 100)
    gate.clock.offset_s = 0
    gate.record("deny")
    world.run(3)
    assert len(office.alarms()) == len(found)
    assert world.service.watched[len(found) :] == ([("A", "clock_skew", "")] if side else [])


def test_what_was_written_while_the_gate_was_alone_says_nothing_of_its_clock(world, office):
    world.network("A", False)
    for _ in range(50):
        world.now += 300
        world.gates["A"].record("deny")
    world.now += 300  # the newest is old as well
    world.network("A", True)
    world.run(10)
    assert len(office.books().events("A")) > 50
    assert [kind for kind, _ in office.alarms() if kind == "clock_skew"] == []
