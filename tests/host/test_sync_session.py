"""Gate and office over the link: what arrives, how soon, and what each end says of the other's past."""

import copy

import pytest

from firmware import bundles
from host_sim.chips.nor_flash import NorFlash
from tests.host.sync_world import START, World, card, key_of
from tools.office import bundle, memory
from tools.office.session import HAVE, HELLO, LARGEST

DAY = 86400


def world_with(cards: int = 20, names: str = "A", **options) -> World:
    """Return a world in service: every gate has the list of `cards` and is connected."""
    world = World(names, **options)
    world.office.start_list([card(i) for i in range(cards)], START, START + DAY)
    world.settle()
    return world


def until(world: World, is_so, limit_s: float = 60) -> float:
    """Run until `is_so()`; return how long that took."""
    begin = world.now
    while not is_so():
        assert world.now < begin + limit_s, "it never came"
        world.tick()
    return world.now - begin


def kinds(world: World) -> list[str]:
    return [kind for _, kind, _ in world.office.alarms]


# How soon


def test_a_gate_that_connects_has_everything_within_three_seconds():
    world = world_with(200, "AB")
    gate = world.gates["B"]
    world.network("B", False)
    world.run(30)
    gate.clock.trusted = False
    for i in range(60):
        world.run(1)
        world.gates["A"].pass_through(card(i).key, "in")
        world.office.revoke(card(i).key, world.now)
    world.office.command("B", "mode", "lockdown", world.now)
    order: list[str] = []
    world.on_frame = lambda to, name, channel, frame: (
        order.append(_what(frame)) if name == "B" else None,
        frame,
    )[1]
    world.network("B", True)
    world.run(3)
    assert world.is_settled(), world.differences()
    assert gate.clock.trusted and gate.commands == [("mode", "lockdown")]
    firsts = [what for what in dict.fromkeys(order) if what in ("time", "command", "delta", "moves")]
    assert firsts == ["time", "command", "delta", "moves"]


def _what(frame: bytes) -> str:
    if frame[1] == 0x85:
        return {1: "command", 2: "jump", 3: "moves"}[frame[10]]
    return {0x81: "time", 0x83: "delta", 0x84: "chunk"}.get(frame[1], "")


def test_commands_and_revocations_arrive_within_a_second():
    world = world_with(200)
    gate = world.gates["A"]
    world.latency_s = 0.1
    for i in range(20):
        world.run(0.37)
        key = card(i).key
        world.office.revoke(key, world.now)
        assert until(world, lambda key=key: gate.is_blocked(key)) < 1
        world.office.command("A", "open", "in", world.now)
        assert until(world, lambda n=i + 1: len(gate.commands) == n) < 1


def test_a_passage_reaches_the_other_gates_within_two_seconds():
    world = world_with(20, "ABC")
    world.latency_s = 0.1
    for i in range(10):
        world.run(1.3)
        world.gates["A"].pass_through(card(i).key, "in", party=i)
        assert until(world, lambda i=i: all(len(world.positions(name)) == i + 1 for name in "BC")) < 2
    remote = [event for event in world.gates["B"].journal.events() if event.type == "remote"]
    assert [(event.direction, event.cls, event.party) for event in remote] == [
        (0x11, 1, i) for i in range(10)
    ]


def test_contact_is_known_to_both_within_ten_seconds():
    world = world_with()
    gate, session = world.gates["A"], world.sessions["A"]
    assert gate.session.connected and session.online(world.now)
    world.loss = 1.0
    assert 7 < until(world, lambda: not gate.session.connected) <= 10.1
    assert until(world, lambda: not session.online(world.now)) <= 10.1
    world.loss = 0.0
    assert until(world, lambda: gate.session.connected and session.online(world.now)) < 1


def test_contact_is_kept_on_a_network_that_loses_a_third():
    world = world_with()
    world.loss, world.reorder, world.duplicate, world.latency_s = 0.3, 0.3, 0.2, 0.15
    for _ in range(600):
        world.run(0.5)
        assert world.gates["A"].session.connected


def test_a_restarted_office_is_joined_again_within_six_seconds():
    world = world_with()
    world.restart_office()
    world.office.revoke(card(1).key, world.now)
    assert until(world, world.is_settled) < 6


def test_an_idle_link_costs_one_frame_a_second():
    world = world_with()
    frames: list[bytes] = []
    world.on_frame = lambda to, gate, channel, frame: (frames.append(frame), frame)[1]
    world.run(60)
    assert 50 <= len(frames) <= 62
    assert max(map(len, frames)) <= 55


# Lists


def test_no_frame_is_longer_than_the_limit():
    frames: list[bytes] = []
    world = World("AB")
    world.on_frame = lambda to, gate, channel, frame: (frames.append(frame), frame)[1]
    world.office.start_list([card(i) for i in range(500)], START, START + DAY)
    world.settle()
    world.office.put([card(i, party=1) for i in range(200)], world.now)
    for i in range(100):
        world.gates["A"].record("deny", party=i)
    world.settle()
    assert 1000 < max(map(len, frames)) <= LARGEST


def test_a_large_change_is_several_deltas_revocations_first():
    world = world_with(300)
    blocked = [card(i).key for i in range(150, 180)]
    world.network("A", False)
    world.office.put([card(i, party=5) for i in range(150)], world.now)
    for key in blocked:
        world.office.revoke(key, world.now)
    found: list[int] = []
    gate = world.gates["A"]
    gate.list_changed = lambda kind, seq: found.append(sum(gate.is_blocked(key) for key in blocked))
    world.network("A", True)
    assert until(world, lambda: gate.list.seq == world.office.list_seq()) < 1.5
    assert len(found) > 3 and found[0] == 30 and found[-1] == 30
    assert world.is_settled()


def test_a_gate_that_missed_too_much_gets_a_snapshot():
    world = world_with(20)
    world.network("A", False)
    world.office.put([card(i) for i in range(memory.DELTA_MAX + 20)], world.now)
    world.settle()
    assert world.gates["A"].applied[-1][0] == "snapshot"


def test_a_snapshot_goes_on_over_reconnections_without_sending_anything_twice():
    world = World()
    offsets: list[int] = []
    world.on_frame = lambda to, gate, channel, frame: (
        offsets.append(int.from_bytes(frame[14:18], "big")) if frame[1] == 0x84 else None,
        frame,
    )[1]
    world.office.start_list([card(i) for i in range(1500)], START, START + DAY)
    for turn in range(40):
        until(world, lambda turn=turn: len(offsets) > 3 * turn + 2 or world.is_settled())
        world.run(0.1)
        world.network("A", False)
        world.network("A", True)
    world.settle()
    assert world.gates["A"].applied == [("snapshot", 1)]
    chunks = 1 + -(-(1500 * 16 + 32) // 1024)
    assert len(set(offsets)) == chunks and len(offsets) < 2 * chunks + 10


def test_a_snapshot_of_which_a_byte_was_changed_is_refused_once_in_a_session(monkeypatch):
    snapshot = memory.MemoryOffice.snapshot

    def damaged(office, gate):
        data = bytearray(snapshot(office, gate))
        data[100] ^= 1
        return bytes(data)

    monkeypatch.setattr(memory.MemoryOffice, "snapshot", damaged)
    world = World()
    world.office.start_list([card(i) for i in range(100)], START, START + DAY)
    world.run(30)
    assert len(world.gates["A"].refused) == 1 and not world.gates["A"].list.valid
    assert not world.gates["A"].list.busy, "it would keep deltas from being merged"
    monkeypatch.setattr(memory.MemoryOffice, "snapshot", snapshot)
    world.office.put([card(200)], world.now)
    world.settle()
    assert world.gates["A"].list.seq == 2


def test_a_refused_delta_is_followed_by_a_snapshot(monkeypatch):
    world = world_with(50)
    delta = memory.MemoryOffice.delta

    def damaged(office, *arguments):
        data = delta(office, *arguments)
        return data and data[:-1] + bytes((data[-1] ^ 1,))

    monkeypatch.setattr(memory.MemoryOffice, "delta", damaged)
    world.office.put([card(200)], world.now)
    world.settle()
    assert world.gates["A"].refused == ["MAC"] and world.gates["A"].applied[-1] == ("snapshot", 2)


def test_a_list_is_renewed_at_half_its_life():
    world = world_with()
    world.office.expires = int(world.now) + DAY // 2 + 30  # as if the time had passed
    world.run(25)
    assert world.gates["A"].list.seq == 1
    world.run(10)
    assert world.gates["A"].list.expires == pytest.approx(world.now + DAY, abs=60)
    assert world.is_settled()


def test_a_list_is_renewed_when_a_gate_comes_back_and_not_again_within_the_hour():
    world = world_with()
    world.network("A", False)
    world.now += 3700
    world.network("A", True)
    world.run(3)
    assert world.gates["A"].list.expires == pytest.approx(world.now + DAY, abs=10)
    seq = world.office.list_seq()
    for _ in range(3):
        world.network("A", False)
        world.run(60)
        world.settle()
    assert world.office.list_seq() == seq == 2


def test_the_list_can_be_expired_and_is_renewed_no_more():
    world = world_with()
    world.office.expire_list(world.now)
    world.settle()
    assert world.gates["A"].list.expires <= world.now
    world.office.put([card(50)], world.now)
    world.network("A", False)
    world.settle()
    assert world.gates["A"].list.expires <= world.now and world.gates["A"].list.seq == 3
    assert world.office.alarms == []


def test_a_card_that_was_purged_is_gone_from_the_gate():
    world = world_with()
    world.office.purge([card(3).key], world.now)
    world.settle()
    assert world.gates["A"].list.find(card(3).key) is None and world.gates["A"].list.count == 19
    assert world.gates["A"].list.seq == 2 and world.office.alarms == []


def test_an_office_that_begins_with_nothing_gives_its_first_card_a_day():
    world = World()
    world.run(2)
    assert not world.gates["A"].list.valid
    world.office.issue(card(1), world.now)
    world.settle()
    assert world.gates["A"].list.seq == 1
    assert world.gates["A"].list.expires == pytest.approx(world.now + DAY, abs=5)


def test_a_list_that_is_held_back_expires_and_the_office_sees_it():
    world = world_with()
    world.on_frame = lambda to, gate, channel, frame: None if frame[1] in (0x83, 0x84) else frame
    gate, session = world.gates["A"], world.sessions["A"]
    expires = gate.list.expires
    world.office.revoke(card(1).key, world.now)
    world.now += 3700
    world.run(30)
    assert gate.session.connected and session.online(world.now)
    assert gate.list.expires == expires < world.office.expires
    assert session.report is not None and session.report.list_seq == 1 < world.office.list_seq()


# Under load


def crowded(count: int = 80) -> tuple[World, list[str]]:
    """Return a world where `count` passages wait to be told to B, and what is sent to B from now on.

    Movements do not arrive.
    """
    world = world_with(count, "AB")
    sent: list[str] = []

    def lose(to, name, channel, frame):
        if name == "B" and to == "gate":
            sent.append(_what(frame))
            return None if _what(frame) == "moves" else frame
        return frame

    world.on_frame = lose
    for i in range(count):
        world.gates["A"].pass_through(card(i).key, "in")
    until(world, lambda: "moves" in sent)
    return world, sent


def frames_of(world: World, name: str) -> list[str]:
    """Return what the office would send to gate `name` now, its answers left out."""
    frames = iter(lambda: world.sessions[name].outgoing(world.now), None)
    return [what for frame in frames if (what := _what(frame))]


def test_a_change_of_the_list_goes_before_movements_that_are_late():
    world, _ = crowded()
    world.run(1)
    world.office.revoke(card(1).key, world.now)
    world.now += 5
    frames = frames_of(world, "B")
    assert frames[0] == "delta" and "moves" in frames


def test_a_command_goes_before_a_change_though_movements_that_are_late_go_first():
    world, _ = crowded(8)
    world.run(1)
    world.office.command("B", "identify", "", world.now)
    world.office.revoke(card(1).key, world.now)
    assert frames_of(world, "B")[-2:] == ["command", "delta"]
    world.on_frame = lambda to, name, channel, frame: frame
    assert until(world, lambda: world.gates["B"].commands != [] and world.gates["B"].list.seq == 2) < 6


def test_of_orders_that_are_late_one_goes_again_until_there_is_progress():
    world, sent = crowded()
    world.run(0.3)
    assert sent.count("moves") == 16
    world.run(6)
    assert 18 <= sent.count("moves") <= 25
    world.on_frame = lambda to, name, channel, frame: (
        sent.append(_what(frame)) if name == "B" and to == "gate" else None,
        frame,
    )[1]
    sent.clear()
    assert until(world, lambda: len(world.positions("B")) == 80) < 4
    assert sent.count("moves") <= 24


def test_orders_do_not_go_again_and_again_because_answers_take_long():
    world = world_with(20, "AB")
    world.latency_s = 1.0
    numbers: list[int] = []
    world.on_frame = lambda to, name, channel, frame: (
        numbers.append(int.from_bytes(frame[6:10], "big")) if name == "B" and _what(frame) == "moves" else 0,
        frame,
    )[1]
    for turn in range(6):
        world.run(6)
        for i in range(20):
            world.gates["A"].pass_through(card(i).key, "out" if turn % 2 else "in")
    world.run(6)
    assert len(set(numbers)) == 30, "four in each"
    assert len(numbers) <= 36


# Commands


def test_a_command_is_not_repeated_though_its_confirmation_got_lost():
    world = world_with()
    gate = world.gates["A"]
    world.office.command("A", "reboot", "", world.now)
    world.on_frame = lambda to, name, channel, frame: frame if to == "gate" else None
    until(world, lambda: gate.commands)
    gate.boot()
    world.on_frame = lambda to, name, channel, frame: frame
    world.settle()
    assert gate.commands == [("reboot", "")]


def test_a_command_is_worth_nothing_after_an_hour():
    world = world_with()
    world.network("A", False)
    world.office.command("A", "open", "in", world.now)
    world.now += 3599
    late = copy.deepcopy(world.office.commands("A", world.now))
    assert late
    world.now += 1
    assert world.office.commands("A", world.now) == []
    world.office.commands = lambda gate, now_s: late if gate == "A" else []  # an office whose clock stands
    world.network("A", True)
    world.run(5)
    assert world.gates["A"].commands == []


def test_commands_are_carried_out_in_the_order_in_which_they_were_given():
    world = world_with()
    world.loss, world.reorder = 0.3, 0.3
    given = [("mode", "lockdown"), ("open", "in"), ("mode", "normal"), ("identify", "")] * 5
    for name, argument in given:
        world.office.command("A", name, argument, world.now)
    until(world, lambda: len(world.gates["A"].commands) == len(given))
    assert world.gates["A"].commands == given


@pytest.mark.parametrize("words", [("mode", "lock down"), ("möde", ""), ("mode", "x" * 200)])
def test_a_command_is_two_plain_words(words):
    with pytest.raises(ValueError, match="two words of ASCII"):
        world_with().office.command("A", words[0], words[1], START)


# Positions


def test_a_gate_that_was_away_learns_the_newest_first():
    world = world_with(20, "AB")
    world.network("B", False)
    for i in range(12):
        world.run(2)
        world.gates["A"].pass_through(card(0).key, "out" if i % 2 else "in")
    handed: list[int] = []
    world.gates["B"].remote = lambda key, direction, cls, party, unix, number: handed.append(unix)
    world.network("B", True)
    world.run(3)
    assert handed == sorted(handed, reverse=True) and len(handed) == 12


def test_what_a_gate_that_was_away_tells_is_passed_on_when_all_is_there():
    world = world_with(20, "AB")
    world.network("A", False)
    for i in range(100):
        world.run(1)
        world.gates["A"].pass_through(card(0).key, "out" if i % 2 else "in")
    handed: list[int] = []
    world.gates["B"].remote = lambda key, direction, cls, party, unix, number: handed.append(unix)
    world.network("A", True)
    world.run(3)
    assert handed == sorted(handed, reverse=True) and len(handed) == 100


def test_what_a_gate_told_is_passed_on_though_it_went_away_before_the_end():
    world = world_with(20, "AB")
    world.network("A", False)
    for i in range(300):
        world.gates["A"].record("deny")
        if i == 0:
            world.run(1)
            world.gates["A"].pass_through(card(0).key, "in")
    stopped: list[bool] = []

    def first_events_only(to, name, channel, frame):
        if channel == "events":
            stopped.append(True)
            return frame if len(stopped) == 1 else None
        return None if stopped and name == "A" else frame

    world.on_frame = first_events_only
    world.network("A", True)
    world.run(5)
    assert world.positions("B") == {}
    world.run(8)
    assert list(world.positions("B").values()) == ["inside"]


def handed(world: World, name: str) -> list[int]:
    """Return a list that gets the time of each movement that gate `name` is told from now on."""
    found: list[int] = []
    gate = world.gates[name]
    tell = gate.remote
    gate.__dict__["remote"] = lambda key, direction, cls, party, unix, number: (
        found.append(unix),
        tell(key, direction, cls, party, unix, number),
    )
    return found


def passages(world: World, count: int) -> None:
    """Let so many cards through at gate A, one a second, as seen from the others."""
    for i in range(count):
        world.run(1)
        world.gates["A"].pass_through(card(i % 20).key, "out" if i // 20 % 2 else "in")


def test_a_gate_that_was_away_for_a_moment_is_told_only_what_is_new():
    world = world_with(20, "AB")
    passages(world, 40)
    world.settle()
    told = handed(world, "B")
    world.network("B", False)
    passages(world, 3)
    world.network("B", True)
    world.settle()
    assert len(told) == 3
    world.network("B", False)
    world.network("B", True)
    world.run(3)
    assert len(told) == 3
    world.restart_office()
    world.run(8)
    assert len(told) == 46, "an office that does not know what it told"


def test_a_gate_that_started_again_is_told_everything_of_the_day():
    world = world_with(20, "AB")
    passages(world, 30)
    world.settle()
    told = handed(world, "B")
    world.gates["B"].boot()
    world.run(3)
    assert len(told) == 30
    world.network("B", False)
    world.network("B", True)
    world.run(3)
    assert len(told) == 30


def test_what_was_on_its_way_when_the_connection_broke_is_told_in_the_next_one():
    world = world_with(20, "AB")
    passages(world, 5)
    world.settle()
    told = handed(world, "B")
    world.on_frame = lambda to, name, channel, frame: None if _what(frame) == "moves" else frame
    passages(world, 5)
    assert told == []
    world.run(1)
    world.network("B", False)
    world.on_frame = lambda to, name, channel, frame: frame
    world.network("B", True)
    world.run(3)
    assert len(told) == 5
    world.on_frame = lambda to, name, channel, frame: None if to == "office" and name == "B" else frame
    passages(world, 5)
    known = len(told)
    assert known > 5
    world.on_frame = lambda to, name, channel, frame: frame
    world.network("B", False)
    world.network("B", True)
    world.run(3)
    assert len(told) == known + 5, "what the gate did not confirm comes again"


def test_issue_return_and_loss_make_the_position_unknown_everywhere():
    world = world_with(20, "AB")
    for act in (
        lambda: world.office.issue(card(0, party=9), world.now),
        lambda: world.office.take_back(card(0).key, world.now),
    ):
        world.run(2)
        world.gates["A"].pass_through(card(0).key, "in")
        world.run(2)
        assert world.positions("A") == world.positions("B") != {}
        act()
        world.settle()
        assert world.positions("A") == world.positions("B") == {}


def test_positions_of_yesterday_are_not_sent():
    world = world_with(20, "AB")
    world.gates["A"].pass_through(card(0).key, "in")
    world.settle()
    world.network("B", False)
    world.now += DAY
    world.gates["B"].boot()
    handed: list[int] = []
    world.gates["B"].remote = lambda key, direction, cls, party, unix, number: handed.append(unix)
    world.network("B", True)
    world.run(5)
    assert handed == []


def test_passages_of_an_untrusted_clock_are_passed_on_with_their_true_time():
    world = world_with(20, "AB")
    gate = world.gates["A"]
    world.network("A", False)
    world.run(500)
    gate.boot(trusted=False)
    world.run(100)
    truth = int(world.now)
    assert gate.clock.now() < truth - 400
    gate.pass_through(card(0).key, "in")
    world.run(50)
    world.settle()
    move = world.office.movements()[0]
    assert abs(move.time - truth) <= 1
    assert world.gates["B"].known_at(card(0).key) == move.time == gate.known_at(card(0).key)
    gate.boot()
    world.settle()
    assert len(world.office.movements()) == 1


def test_passages_whose_true_time_nobody_knows_are_passed_on_after_the_next_start():
    world = world_with(20, "AB")
    gate = world.gates["A"]
    world.network("A", False)
    gate.boot(trusted=False)
    world.run(100)
    gate.pass_through(card(0).key, "in")
    gate.boot(trusted=False)
    world.settle()
    assert world.positions("B") == world.positions("A") != {}


# The other's past


def backup(world: World, name: str) -> bytes:
    return world.gates[name].flash.contents()


def restore(world: World, name: str, image: bytes) -> None:
    """Put an old image on the gate's flash and start it."""
    gate = world.gates[name]
    world.network(name, False)
    gate.flash = NorFlash(len(image), contents=image)
    gate.boot()


@pytest.mark.parametrize("boots", [True, False])
def test_a_rolled_back_journal_jumps_past_what_the_office_has(boots):
    world = world_with(20, "AB")
    gate = world.gates["A"]
    image = backup(world, "A")
    gate.pass_through(card(0).key, "in")
    for _ in range(10):
        gate.record("deny")
    world.settle()
    newest = gate.journal.seq
    before = world.office.events("A")
    if not boots:  # else it has written a record of its own already
        gate.__dict__["record"] = lambda kind, **fields: None
    restore(world, "A", image)
    gate.__dict__.pop("record", None)
    world.network("A", True)
    assert until(world, lambda: gate.journal.seq > newest) < 1
    gate.record("deny")
    world.run(3)
    assert kinds(world) == ["journal_fork"] * boots + ["journal_rolled_back"]
    events = world.office.events("A")
    assert events[: len(before)] == before and events[-1].type == "deny" and events[-1].seq > newest
    assert world.positions("A") == world.positions("B") != {}
    gate.boot()
    assert gate.journal.seq > newest
    world.run(3)
    assert len(world.office.alarms) <= 2


def test_a_journal_that_went_on_differently_is_a_fork():
    world = world_with()
    gate = world.gates["A"]
    image = backup(world, "A")
    for _ in range(5):
        gate.record("deny")
    world.settle()
    kept = world.office.events("A")
    restore(world, "A", image)
    for _ in range(20):
        gate.record("grant")
    world.network("A", True)
    world.run(5)
    assert "journal_fork" in kinds(world)
    assert world.office.events("A")[: len(kept)] == kept


def test_a_gate_cannot_take_back_what_the_office_has_by_calling_it_torn():
    world = world_with()
    gate = world.gates["A"]
    for _ in range(3):
        gate.record("deny")
    world.settle()
    kept = world.office.events("A")
    gate.journal._torn = 2
    gate.journal._mac = kept_mac(gate, gate.journal.seq - 2)
    gate.record("grant")
    world.run(2)
    assert kinds(world) == ["journal_fork"] * 2
    assert world.office.events("A")[: len(kept)] == kept


def kept_mac(gate, seq: int) -> bytes:
    buf = bytearray(32)
    gate.journal.read_into(seq, buf)
    return bytes(buf[24:])


def test_a_changed_record_is_noticed():
    world = world_with()
    gate = world.gates["A"]
    world.network("A", False)
    gate.record("passage", key=card(1).key, direction=1)
    seq = gate.journal.seq
    gate.record("deny")
    read_into = gate.journal.read_into

    def changed(first, buf):
        n = read_into(first, buf)
        if first <= seq < first + n:
            buf[(seq - first) * 32 + 11] = 2
        return n

    gate.journal.__dict__["read_into"] = changed
    world.network("A", True)
    world.run(3)
    assert world.office.alarms == [("A", "journal_changed", "record %d" % seq)]
    assert world.office.movements() == []


def test_a_new_journal_under_the_old_key_is_noticed():
    world = world_with()
    gate = world.gates["A"]
    world.network("A", False)
    gate.flash = NorFlash(gate.flash.size)
    gate.boot()
    world.network("A", True)
    world.run(5)
    assert sorted(kinds(world)) == ["journal_replaced", "list_rolled_back"]
    assert world.office.events("A")[-1].type == "list_applied"


def test_a_gate_with_a_new_key_starts_anew_without_an_alarm():
    world = world_with()
    world.office.add_gate("A", key_of("A"))
    world.restart_office()
    world.gates["A"].flash = NorFlash(world.gates["A"].flash.size)
    world.gates["A"].boot()
    world.settle()
    assert world.office.alarms == []


def test_a_list_that_was_rolled_back_is_noticed_and_brought_up():
    world = world_with()
    image = backup(world, "A")
    world.office.revoke(card(1).key, world.now)
    world.settle()
    world.network("A", False)
    gate = world.gates["A"]
    journal = backup(world, "A")[20 * 4096 :]
    gate.flash = NorFlash(len(image), contents=image[: 20 * 4096] + journal)
    gate.boot()
    world.settle()
    assert kinds(world) == ["list_rolled_back"]
    assert gate.is_blocked(card(1).key)


def test_an_office_that_was_restored_from_a_backup_takes_the_next_number():
    world = world_with()
    old = copy.deepcopy(world.office)
    world.office.put([card(100)], world.now)
    world.office.put([card(101)], world.now)
    world.settle()
    world.office = old
    world.restart_office()
    world.office.put([card(102)], world.now)
    world.settle()
    assert "office_rolled_back" in kinds(world)
    assert world.gates["A"].list.seq == 4 and world.gates["A"].list.find(card(100).key) is None


def test_an_office_that_lost_events_gets_those_that_the_gate_still_has():
    world = world_with()
    old = copy.deepcopy(world.office)
    for _ in range(30):
        world.gates["A"].record("deny")
    world.settle()
    world.office = old
    world.restart_office()
    world.settle()
    assert world.office.events("A") == list(world.gates["A"].journal.events())


def test_events_that_were_overwritten_leave_a_gap_and_do_not_stop_the_others():
    world = world_with()
    gate = world.gates["A"]
    world.network("A", False)
    while gate.journal.lost == 0:
        gate.record("deny")
    world.network("A", True)
    until(world, lambda: gate.journal.undelivered == 0)
    assert world.office.events("A")[-1].seq == gate.journal.seq
    assert [kind for kind in kinds(world) if kind != "journal_lost"] == []


# What must change nothing at the office


def recorded(world: World) -> list[tuple[str, bytes]]:
    frames: list[tuple[str, bytes]] = []
    world.on_frame = lambda to, gate, channel, frame: (
        frames.append((channel, frame)) if to == "office" else None,
        frame,
    )[1]
    return frames


def untouched(world: World, channel: str, frame: bytes) -> None:
    """Assert that the office does not take the frame from gate A, and counts it."""
    session = world.sessions["A"]
    before = session.rejected
    keys = (session._current, session._pending, session._greeted)
    state = copy.deepcopy((world.office.events("A"), world.office.alarms, session.report, session._heard_s))
    world.sessions["A"].received(channel, frame, world.now)
    assert session.rejected == before + 1
    assert (session._current, session._pending, session._greeted) == keys
    assert (world.office.events("A"), world.office.alarms, session.report, session._heard_s) == state


def one_of_each(world: World) -> list[tuple[str, bytes]]:
    """Return a hello, a report and events that gate A has sent and the office has taken."""
    frames = recorded(world)
    world.network("A", False)
    world.network("A", True)
    world.gates["A"].record("deny")
    world.settle()
    found = {frame[1]: (channel, frame) for channel, frame in frames}
    assert len(found) == 3
    return list(found.values())


def test_the_office_refuses_replayed_frames_and_only_answers_a_replayed_hello():
    world = world_with()
    for channel, frame in one_of_each(world):
        if frame[1] != HELLO:
            untouched(world, channel, frame)
        else:
            world.sessions["A"].received(channel, frame, world.now)
    world.office.revoke(card(1).key, world.now)
    assert until(world, world.is_settled) < 1, "the session did not live on"


def test_a_replayed_hello_of_another_session_does_not_disturb_the_one_that_is():
    world = world_with()
    old = next(item for item in one_of_each(world) if item[1][1] == HELLO)
    one_of_each(world)
    session = world.sessions["A"]
    current = session._current
    world.sessions["A"].received(*old, world.now)
    world.run(5)
    assert session._current is current and world.gates["A"].session.connected
    assert world.gates["A"].session.rejected == 1  # the answer to it


def test_a_hello_that_is_repeated_gets_the_same_answer():
    world = world_with()
    hello = next(frame for _, frame in one_of_each(world) if frame[1] == HELLO)
    world.restart_office()
    session = world.sessions["A"]
    answers = []
    for _ in range(3):
        session.received("up", hello, world.now)
        answers.append(session.outgoing(world.now))
    assert answers[0] is not None and answers == answers[:1] * 3


def test_the_office_refuses_changed_bytes():
    world = world_with()
    frames = one_of_each(world)
    world.restart_office()
    for channel, frame in frames:
        for at in range(len(frame)):
            untouched(world, channel, frame[:at] + bytes((frame[at] ^ 0x80,)) + frame[at + 1 :])


def test_the_office_refuses_its_own_frames():
    world = world_with()
    frames: list[bytes] = []
    world.on_frame = lambda to, gate, channel, frame: (frames.append(frame) if to == "gate" else None, frame)[
        1
    ]
    world.network("A", False)
    world.network("A", True)
    world.office.put([card(50)], world.now)
    world.office.command("A", "identify", "", world.now)
    world.settle()
    assert {frame[1] for frame in frames} == {0x81, 0x82, 0x83, 0x85}
    for frame in frames:
        untouched(world, "up", frame)
        untouched(world, "events", frame)


def test_the_office_refuses_frames_of_another_gate_and_another_site():
    world = world_with(20, "AB")
    frames = recorded(world)
    world.network("B", False)
    world.network("B", True)
    world.run(2)
    other = World("A")
    other.office.site = "SBY"
    other.sessions = {"A": type(other.sessions["A"])(other.office, "A")}
    world.run(1)
    for channel, frame in frames[:]:
        other.sessions["A"].received(channel, frame, other.now)
        if frame[1] == HELLO:
            untouched(world, channel, frame)
    assert other.sessions["A"].rejected == len(frames)


def test_the_office_refuses_truncated_and_oversized_frames():
    world = world_with()
    for channel, frame in one_of_each(world):
        for n in (*range(len(frame)), -1):
            untouched(world, channel, frame[:n])
        untouched(world, channel, frame + bytes(1200))


def test_the_office_refuses_frames_on_the_wrong_channel():
    world = world_with()
    world.on_frame = lambda to, gate, channel, frame: (
        taken.append((channel, frame)) if to == "office" else frame
    )
    taken: list[tuple[str, bytes]] = []
    world.gates["A"].record("deny")
    world.run(2)
    assert {channel for channel, _ in taken} == {"up", "events"}
    for channel, frame in taken:
        untouched(world, "events" if channel == "up" else "up", frame)


def test_events_of_a_journal_that_was_not_announced_are_refused():
    world = world_with()
    gate = world.gates["A"]
    gate.journal.journal_id = b"else"
    gate.record("deny")
    rejected = world.sessions["A"].rejected
    world.on_frame = lambda to, name, channel, frame: None if frame[1] == HAVE else frame
    world.run(1)
    assert world.sessions["A"].rejected > rejected
    assert [event.type for event in world.office.events("A")].count("deny") == 0


def test_a_clock_of_the_office_that_is_set_back_stops_nothing():
    world = world_with()
    gate, session = world.gates["A"], world.sessions["A"]
    world.office.revoke(card(1).key, world.now)
    assert session.outgoing(world.now + 8) is not None, "the delta, which gets lost"
    assert until(world, world.is_settled) < 3
    assert session.online(world.now) and gate.session.connected
    session._heard_s = session._last_s = world.now + 3600
    world.loss = 1.0
    world.run(11)
    assert not session.online(world.now)


def test_the_bundles_are_what_the_tools_can_read():
    world = world_with()
    world.office.put([card(50), card(51, blocked=True)], world.now)
    data = world.office.delta("A", 1, 1186)
    assert data is not None
    parsed = bundle.parse(data, key_of("A"))
    assert (parsed.header.kind, parsed.header.seq_from, parsed.header.seq_to) == (bundles.DELTA, 1, 2)
    assert [c.blocked for c in parsed.credentials] == [True, False]
