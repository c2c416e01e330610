"""Brokers that send anything: the client neither hangs nor crashes nor grows, and heals when they do."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tests import counts
from tests.host.link_fuzz import Client

STREAMS = counts.count(3_000, 100_000)
BATCH = 500
HANG_S = 120  # for a batch of streams that takes less than a second; only ends a test that hangs


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail loudly if what is inside never returns."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise AssertionError("the client hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_fuzzed_broker_streams_neither_hang_nor_crash_nor_grow_the_client() -> None:
    client = Client(counts.SEED)
    while client.connections < STREAMS:
        with no_hang():
            for _ in range(BATCH):
                client.connection()
    assert len(client.faults) > 8, "the streams got nowhere: %s" % client.faults
    assert client.faults[""] > STREAMS // 4, "hardly any conversation began: %s" % client.faults
    assert client.faults["stalled"] > STREAMS // 1000 and client.faults["no answer"] > STREAMS // 1000
    assert client.link._session.rejected > STREAMS // 10
    assert client.gate.refused == [], "a spoiled frame reached the list"
    # Once the broker is well, gate and office end with the same list, events and commands.
    client.noise = 0.0
    client.world.office.command("A", "open", "in", client.world.now)
    with no_hang():
        for _ in range(2000):
            client.turn()
            if not client.differences():
                break
    assert client.differences() == []
    assert client.gate.commands.count(("open", "in")) == len(client.gate.commands) > STREAMS // 300


def test_without_noise_conversations_go_through_so_that_the_noise_says_something() -> None:
    client = Client(counts.SEED)
    client.noise = 0.0
    for _ in range(20):
        client.connection()
    assert client.gate.list.seq == client.world.office.list_seq() >= 1
    assert client.link._session.rejected == 0
    assert set(client.faults) <= {"", "closed", "104", "[Errno 104]"}, client.faults
