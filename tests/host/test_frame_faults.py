"""Every fault that a frame can have, by name, at both ends: it changes nothing and is counted, once.

Each end is in service, and is shown frames that would be taken were they not at fault: the last lines of each
case show that the very same frame, without its fault, is.
"""

import copy
from collections.abc import Iterable

import pytest

from tests.host.sync_world import SITE, START, World, card

DAY = 86400
ENDS = ("gate", "office")


class Case:
    """A world whose next frames to one end, `end`, are held back: `fresh` are the ones that it waits for."""

    def __init__(self, end: str, names: str = "A", site: str = SITE) -> None:
        self.end = end
        self.world = World(names, site=site)
        self.world.office.start_list([card(i) for i in range(20)], START, START + DAY)
        self.seen: list[tuple[str, str, bytes]] = []
        self.world.on_frame = self._look
        self._is_holding = False
        self.world.settle()

    def _look(self, to: str, name: str, channel: str, frame: bytes) -> bytes | None:
        if name == "A":
            self.seen.append((to, channel, frame))
        return None if self._is_holding and to == self.end else frame

    def hold(self) -> list[tuple[str, bytes]]:
        """Let something happen, and return the frames with which the end would learn of it; it does not."""
        self._is_holding = True
        begin = len(self.seen)
        self.world.office.revoke(card(1).key, self.world.now)
        self.world.office.command("A", "open", "in", self.world.now)
        self.world.gates["A"].record("deny")
        self.world.run(0.4)
        found = [(channel, frame) for to, channel, frame in self.seen[begin:] if to == self.end]
        assert found
        return found

    def sent(self, to: str) -> list[tuple[str, bytes]]:
        """Return the frames that were sent to an end so far, each once."""
        return list(dict.fromkeys((channel, frame) for there, channel, frame in self.seen if there == to))

    def receive(self, channel: str, frame: bytes) -> None:
        """Deliver a frame to the end, now."""
        gate = self.world.gates["A"]
        if self.end == "gate":
            gate.session.received(frame, gate.uptime_ms())
        else:
            self.world.sessions["A"].received(channel, frame, self.world.now)

    @property
    def rejected(self) -> int:
        """Frames that the end has refused."""
        return (self.world.gates["A"].session if self.end == "gate" else self.world.sessions["A"]).rejected

    def state(self) -> object:
        """Return all that a frame to either end could change."""
        gate, office = self.world.gates["A"], self.world.sessions["A"]
        session = gate.session
        return copy.deepcopy(
            (
                (gate.flash.contents(), gate.list.seq, gate.journal.acknowledged, gate.commands, gate.times),
                (session._key, session._nonce, session._got, session._order, session._heard_ms),
                (office.report, office._heard_s, self.world.office.events("A"), self.world.office.alarms),
            )
        )

    def refuses(self, frames: Iterable[tuple[str, bytes]]) -> None:
        """Assert that each frame changes nothing and is counted."""
        before = self.state()
        number = -1
        for number, (channel, frame) in enumerate(frames):
            rejected = self.rejected
            self.receive(channel, frame)
            assert self.rejected == rejected + 1, (number, frame.hex())
            assert self.state() == before, (number, frame.hex())
        assert number >= 0, "there was no frame"

    def takes(self, frames: Iterable[tuple[str, bytes]]) -> None:
        """Assert that the frames, as they are, would have been taken."""
        rejected, before = self.rejected, self.state()
        for channel, frame in frames:
            self.receive(channel, frame)
        assert self.rejected == rejected and self.state() != before


@pytest.fixture(params=ENDS)
def case(request: pytest.FixtureRequest) -> Case:
    """Return a world at both ends of which frames may be tried."""
    return Case(request.param)


def test_a_forged_frame_changes_nothing_and_is_counted(case: Case) -> None:
    fresh = case.hold()
    case.refuses((channel, frame[:-8] + bytes(8)) for channel, frame in fresh)
    case.refuses(
        (channel, frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :])
        for channel, frame in fresh
        for at in range(len(frame))
    )
    case.takes(fresh)


def test_a_replayed_frame_changes_nothing_and_is_counted(case: Case) -> None:
    fresh = case.hold()
    case.takes(fresh)
    case.refuses(fresh)
    case.refuses(item for item in case.sent(case.end) if item[1][1] != 0x01)  # an old hello is answered


def test_a_reflected_frame_changes_nothing_and_is_counted(case: Case) -> None:
    fresh = case.hold()
    other = "office" if case.end == "gate" else "gate"
    mirrored = [frame for _, frame in case.sent(other)]
    assert len({frame[1] for frame in mirrored}) >= 3, "frames of every kind"
    case.refuses((channel, frame) for frame in mirrored for channel in ("up", "events", "down"))
    case.takes(fresh)


def test_a_rolled_back_frame_changes_nothing_and_is_counted(case: Case) -> None:
    earlier = case.sent(case.end)
    case.world.network("A", False)
    case.world.network("A", True)
    case.world.run(3)  # another session, other keys
    fresh = case.hold()
    case.refuses(item for item in earlier if item[1][1] != 0x01)
    case.takes(fresh)
    if len(fresh) > 1:  # and inside a session: what was overtaken counts as lost
        case.refuses(fresh[:-1])


@pytest.mark.parametrize("end", ENDS)
def test_another_gates_frame_changes_nothing_and_is_counted(end: str) -> None:
    case = Case(end, "AB")
    others = []
    case.world.on_frame = lambda to, name, channel, frame: (
        others.append((channel, frame)) if name == "B" and to == end else None,
        frame,
    )[1]
    case.world.network("B", False)
    case.world.network("B", True)
    case.world.office.command("B", "open", "in", case.world.now)
    case.world.gates["B"].record("deny")
    case.world.run(3)
    case.world.on_frame = case._look
    fresh = case.hold()
    case.refuses(others)
    case.takes(fresh)


@pytest.mark.parametrize("end", ENDS)
def test_another_sites_frame_changes_nothing_and_is_counted(end: str) -> None:
    case = Case(end)
    other = Case(end, site="SBY")  # a gate of the same name with the same key: only the site differs
    fresh = case.hold()
    case.refuses(other.sent(end))
    case.takes(fresh)


def test_a_truncated_frame_changes_nothing_and_is_counted(case: Case) -> None:
    fresh = case.hold()
    case.refuses((channel, frame[:n]) for channel, frame in fresh for n in range(len(frame)))
    case.takes(fresh)


def test_an_oversized_frame_changes_nothing_and_is_counted(case: Case) -> None:
    fresh = case.hold()
    case.refuses((channel, frame + bytes(more)) for channel, frame in fresh for more in (1, 8, 1200, 65_000))
    case.takes(fresh)
