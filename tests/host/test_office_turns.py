"""The turns of `pinter office serve`: what comes soon after one is gathered, and nothing waits long."""

import pytest

from tools.office import serve
from tools.office.mqtt_client import ClientError
from tools.office.serve import Address, Server


class Clock:
    """Stands in for `time` in serve.py."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Frames come at the times in `comes`; at `ends` the connection does."""

    is_full = False

    def __init__(self, clock: Clock, comes: list[float], ends: float = 1e9) -> None:
        self._clock, self._comes, self._ends = clock, comes, ends

    def connect(self, host: str, port: int, topics: list[str]) -> None: ...
    def publish(self, topic: str, frame: bytes) -> None: ...
    def close(self) -> None: ...

    def receive(self, timeout_s: float) -> list[tuple[str, bytes]]:
        until = min([self._clock.now + timeout_s, *self._comes[:1]])
        if until >= self._ends:
            raise ClientError("gone")
        self._clock.now = max(self._clock.now, until)
        came = [at for at in self._comes if at <= self._clock.now]
        del self._comes[: len(came)]
        return [(str(at), b"") for at in came]


class Service:
    """Takes `took_s` for each turn that has something; notes when each began, and with how many frames."""

    peer = "gate"

    def __init__(self, clock: Clock, took_s: float) -> None:
        self._clock, self._took_s = clock, took_s
        self.faults: list[str] = []
        self.watched: list[tuple[str, str, str]] = []
        self.rejected = 0
        self.turns: list[tuple[float, int]] = []

    def received_all(self, frames: list[tuple[str, bytes]]) -> None:
        self.turns.append((round(self._clock.now, 3), len(frames)))
        self._clock.now += self._took_s

    def topics(self) -> list[str]:
        return []

    def close(self) -> None: ...

    keys = online = outgoing = topics


def turns(monkeypatch: pytest.MonkeyPatch, took_s: float, comes: list[float], count: int, ends: float = 1e9):
    """Return (when it began, frames) of the first `count` turns after the connection."""
    clock = Clock()
    monkeypatch.setattr(serve, "time", clock)
    service = Service(clock, took_s)
    server = Server(service, "JKT", Address("x", 1, False), None, lambda event, **fields: None)  # pyright: ignore[reportArgumentType]
    server._client = Client(clock, comes, ends)  # pyright: ignore[reportAttributeAccessIssue]
    server.run(lambda: len(service.turns) > count)
    return service.turns[1:]


def test_a_frame_after_a_calm_is_taken_at_once(monkeypatch):
    assert turns(monkeypatch, 0.0, [100.02, 100.04], 2) == [(100.02, 1), (100.04, 1)]


def test_frames_soon_after_a_turn_come_together(monkeypatch):
    """A turn takes 20 ms, and twice that is gathered: up to 60 ms after it began."""
    found = turns(monkeypatch, 0.02, [100.03, 100.06, 100.08, 100.1, 100.2], 3)
    assert found == [(100.03, 1), (100.09, 2), (100.15, 1)]


def test_however_long_a_turn_is_the_next_waits_a_quarter_of_a_second(monkeypatch):
    assert turns(monkeypatch, 3.0, [103.1, 106.15, 106.3], 2) == [(103.1, 1), (106.35, 2)]


def test_without_frames_turns_go_on_and_slow_ones_are_fewer(monkeypatch):
    assert [at for at, _ in turns(monkeypatch, 0.001, [], 3)] == [100.051, 100.102, 100.153]
    assert [at for at, _ in turns(monkeypatch, 0.01, [], 3)] == [100.11, 100.22, 100.33]
    assert [at for at, _ in turns(monkeypatch, 1.0, [], 3)] == [101.25, 102.5, 103.75]


def test_what_came_before_the_connection_ended_counts(monkeypatch):
    assert turns(monkeypatch, 0.02, [100.03, 100.06], 2, 100.08)[:2] == [(100.03, 1), (100.06, 1)]
