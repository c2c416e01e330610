"""Bytes of any kind at both ends of the link: nothing is raised, and what is not signed changes nothing."""

import copy
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.crypto import hmac_sha256
from tests import counts
from tests.host.sync_world import START, World, card
from tools.office import session

BODIES = {
    session.HAVE: 41,
    session.EVENTS: 40,
    session.BEAT: 20,
    session.DELTA: 96,
    session.CHUNK: 13,
    session.ORDER: 5,
}
small = st.one_of(st.binary(max_size=80), st.binary(min_size=1180, max_size=1300))
edges = st.sampled_from([0, 1, 2, 5, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
numbers = st.one_of(edges, st.integers(0, 300)).map(lambda number: struct.pack(">I", number))
# Mostly numbers that mean something, so that the bodies get past the first look.
bodies = st.lists(st.one_of(numbers, st.binary(min_size=1, max_size=12)), max_size=40).map(b"".join)


def world() -> World:
    made = World("A")
    made.office.start_list([card(i) for i in range(20)], START, START + 86400)
    made.settle()
    return made


def state(made: World) -> object:
    gate = made.gates["A"]
    return copy.deepcopy(
        (
            gate.flash.contents(),
            gate.list.seq,
            gate.journal.acknowledged,
            gate.commands,
            gate.session._got,
            made.sessions["A"].report,
            made.office.events("A"),
            made.office.alarms,
        )
    )


def sealed(kind: int, counter: int, body: bytes, key: bytes) -> bytes:
    frame = struct.pack(">BBI", 1, kind, counter) + body
    return frame + hmac_sha256(key, frame)[:8]


@settings(max_examples=counts.count(150, 4000))
@given(st.lists(small, min_size=1, max_size=20), st.sampled_from(["up", "events", "down", ""]))
def test_noise_changes_nothing_and_is_counted(frames, channel):
    made = world()
    before = state(made)
    gate, office = made.gates["A"].session, made.sessions["A"]
    for frame in frames:
        gate.received(frame, made.gates["A"].uptime_ms())
        office.received(channel, frame, made.now)
    assert state(made) == before
    assert (gate.rejected, office.rejected) == (len(frames), len(frames))


@settings(max_examples=counts.count(150, 4000))
@given(
    st.lists(st.tuples(st.sampled_from(sorted(BODIES)), bodies, st.integers(0, 60)), min_size=1, max_size=12)
)
def test_a_peer_out_of_its_mind_raises_nothing(frames):
    made = world()
    gate = made.gates["A"]
    counter = 1000
    for kind, body, length in frames:
        counter += 1
        body = (body + bytes(1300))[: BODIES[kind] + length]
        assert gate.session._key is not None
        frame = sealed(kind, counter, body, gate.session._key)
        if kind >= 0x80:
            gate.session.received(frame, gate.uptime_ms())
            gate.session.outgoing(gate.uptime_ms())
        else:
            made.sessions["A"].received("events" if kind == session.EVENTS else "up", frame, made.now)
            sent = made.sessions["A"].outgoing(made.now)
            assert sent is None or len(sent) <= session.LARGEST
    if gate.list.seq == 1:
        assert gate.list.find(card(3).key) is not None
