"""What must come of a story: the expectations of its steps, and the promises that every gate keeps anyway.

Owns the reading of what a gate shows outside (relays, journal records, activated cards) and the verdicts.
What happens comes in through `Watch.see`; nothing here touches the world or its time.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from firmware import records
from firmware.crash import TASKS
from firmware.policy import ALARMS, MODES, REASONS
from host_sim.scenario import model
from host_sim.scenario.log import Log

_NO_CARD = bytes(8)
_ENTITLED_US = 1_000_000  # a grant or override opens at once; a relay later than this is no child of it
_MOVES = ("passage", "late_passage")
_FORGETS = ("reset", "boot", "mode", "alarm_end", "remote")  # after these a position may read otherwise
_TABLES = {
    "grant": REASONS,
    "deny": REASONS,
    "alarm": ALARMS,
    "alarm_end": ALARMS,
    "mode": MODES,
    "crash": TASKS,
}
_DIRECTIONS = ("", *model.DIRECTIONS)  # index = the low nibble of a record's direction


@dataclasses.dataclass(frozen=True)
class Failure:
    """One expectation or promise that did not hold. `step` 0: it belongs to none."""

    step: int
    line: int
    expected: str
    got: str

    def text(self, file: str) -> str:
        """Return the line for the user."""
        where = (
            "%s:%d: step %d" % (file, self.line, self.step) if self.step else "%s: beside the steps" % file
        )
        return "%s: expected %s, got %s" % (where, self.expected, self.got)


@dataclasses.dataclass
class TapWatch:
    """A tap in progress: what came of it so far. Times are the world's microseconds."""

    step: model.Tap
    keys: Mapping[bytes, str]
    entered_us: int
    inside_before: frozenset[bytes] | None
    moves_before: int
    decision: str | None = None
    reason: str | None = None
    relay_us: int | None = None
    activated: bool = False
    alarms: list[str] = dataclasses.field(default_factory=list)
    judged: bool = False
    is_torn: Callable[[], bool] = lambda: False  # whether a card in it has begun a proof and not ended it

    @property
    def outcome(self) -> str:
        """Return grant, deny, ignore or none."""
        return self.decision or ("ignore" if self.activated and not self.is_torn() else "none")


class Watch:
    """The eyes on one gate. `keys` names the cards by key, `classes` the classes by code."""

    def __init__(
        self,
        gate: str,
        keys: Mapping[bytes, str],
        classes: Mapping[int, str],
        log: Log,
        inside: Callable[[], frozenset[bytes] | None],
    ) -> None:
        self.gate = gate
        self.failures: list[Failure] = []
        self.current: model.Step | None = None
        self.is_fire = False
        self.may_reset = False  # a step of the story lets no application start
        self._keys = keys
        self._classes = classes
        self._log = log
        self._inside = inside
        self._taps: list[TapWatch] = []
        self._level = _zeros()
        self._entitled: dict[str, list[int]] = {direction: [] for direction in model.DIRECTIONS}
        self._pulses = _zeros()
        self._alarms: list[str] = []
        self._granted: dict[str, set[bytes]] = {direction: set() for direction in model.DIRECTIONS}
        self._overridden = _zeros()
        self._is_free_mode = False
        self._moves = 0

    def begin(self) -> None:
        """Forget what was before the story's start: it was raised, and opened, before it."""
        self._pulses = _zeros()
        self._alarms.clear()

    # -- what happens --

    def see(self, at_us: int, kind: str, fields: Mapping[str, Any]) -> None:
        """Take one event of the gate's outside, in order of time."""
        if kind == "journal":
            self._record(at_us, fields["record"])
            return
        self._log.add(at_us, kind, self.gate, **fields)
        if kind == "output" and fields["name"].startswith("relay_"):
            self._relay(at_us, fields["name"][6:], fields["level"])
        elif kind == "reset" and not self.may_reset:
            self._broken("firmware that runs", "a reset of gate %s, cause %s" % (self.gate, fields["cause"]))
        elif kind == "power" and not fields["on"]:
            for tap in self.open_taps():
                tap.activated = False  # read, but torn before anything came of it

    def activated(self, at_us: int, direction: str, key: bytes, name: str) -> None:
        """Take the news that the reader `direction` selected a card."""
        for tap in self._taps:
            if not tap.judged and tap.step.direction == direction and key in tap.keys and not tap.activated:
                tap.activated = True
                self._log.add(at_us, "activated", self.gate, dir=direction, card=name)

    def entitle(self, at_us: int, direction: str) -> None:
        """Take it that the relay of `direction` may close now: the guard presses, and no journal says so."""
        self._entitled[direction].append(at_us)

    def _record(self, at_us: int, record: records.Event) -> None:
        direction = _DIRECTIONS[record.direction & 15]
        name = _name(_TABLES.get(record.type, ()), record.reason)
        has_card = record.key != _NO_CARD and record.type != "crash"  # there it is uptime and free bytes
        card = self._keys.get(record.key, record.key.hex()) if has_card else ""
        self._log.add(
            at_us,
            "journal",
            self.gate,
            seq=record.seq,
            type=record.type,
            dir=direction,
            reason=name,
            card=card,
            cls="" if record.type == "crash" else self._classes.get(record.cls, ""),
            party=record.party,
            time=self._log.local(record.time * model.US + record.ms * 1000),
            untrusted=record.untrusted,
            unauthenticated=bool(record.marks & records.UNAUTHENTICATED),
            contrary=bool(record.marks & records.CONTRARY),
            signed=bool(record.marks & records.SIGNED),
        )
        if record.type in ("grant", "deny"):
            self._decided(at_us, record, direction, name)
        elif record.type == "override":
            self._entitled[direction].append(at_us)
            self._overridden[direction] += 1
        elif record.type == "alarm":
            self._alarms.append(name)
            for tap in self._taps:
                if not tap.judged:
                    tap.alarms.append(name)
        elif record.type == "mode":
            self._is_free_mode = name == "free"
        if record.type in _MOVES and record.key != _NO_CARD:
            self._moved(record, direction, card)
        if record.type in _FORGETS:
            self._moves += 1

    def _decided(self, at_us: int, record: records.Event, direction: str, reason: str) -> None:
        if record.type == "grant":
            self._granted[direction].add(record.key)
            if reason != "free":
                self._entitled[direction].append(at_us)
        for tap in reversed(self._taps):
            if tap.judged or tap.decision or tap.step.direction != direction:
                continue
            if record.key == _NO_CARD or record.key in tap.keys:
                tap.decision, tap.reason = record.type, reason
                tap.activated = True
                return

    def _moved(self, record: records.Event, direction: str, card: str) -> None:
        self._moves += 1
        granted = self._granted[direction]
        if record.key in granted:
            granted.discard(record.key)
        elif self._overridden[direction]:
            self._overridden[direction] -= 1
        else:
            self._broken(
                "no passage %s of %s without a grant or an override" % (direction, card), record.type
            )

    def _relay(self, at_us: int, direction: str, level: int) -> None:
        before, self._level[direction] = self._level[direction], level
        if not level or before:
            return
        entitled = self._entitled[direction]
        while entitled and at_us - entitled[0] > _ENTITLED_US:
            entitled.pop(0)
        if not entitled:
            if not (self.is_fire or self._is_free_mode):
                self._broken(
                    "no relay pulse outside a grant, an override or free", "a pulse of relay %s" % direction
                )
                self._pulses[direction] += 1
            return
        entitled.pop(0)
        self._pulses[direction] += 1
        for tap in reversed(self._taps):
            if tap.step.direction == direction and tap.decision == "grant" and tap.relay_us is None:
                tap.relay_us = at_us
                return

    # -- what is asked --

    def tap_begins(self, step: model.Tap, keys: Mapping[bytes, str], at_us: int) -> TapWatch:
        """Start to watch a tap; an earlier one of the same card at the same reader is judged first."""
        for tap in self._taps:
            if not tap.judged and tap.step.direction == step.direction and tap.keys.keys() & keys.keys():
                self.judge(at_us, tap)
        self._taps = [tap for tap in self._taps if not tap.judged]
        tap = TapWatch(step, keys, at_us, self._inside(), self._moves)
        self._taps.append(tap)
        return tap

    def open_taps(self) -> list[TapWatch]:
        """Return the taps that were not judged yet."""
        return [tap for tap in self._taps if not tap.judged]

    def judge(self, at_us: int, tap: TapWatch) -> None:
        """Say what came of a tap, once."""
        if tap.judged:
            return
        tap.judged = True
        outcome = tap.outcome
        self._log.add(
            at_us, "outcome", self.gate, step=tap.step.number, decision=outcome, reason=tap.reason or ""
        )
        self._keep_promises(tap, outcome)
        expect = tap.step.expect
        if expect is None:
            return
        expected, got, is_right = _compare(expect, tap, outcome)
        if not is_right:
            self._fail(tap.step, expected, got)

    def _keep_promises(self, tap: TapWatch, outcome: str) -> None:
        if outcome not in ("deny", "ignore") or tap.inside_before is None or tap.moves_before != self._moves:
            return
        inside = self._inside()
        if inside is None:
            return
        for key, name in tap.keys.items():
            if (key in inside) != (key in tap.inside_before):
                was = "inside" if key in tap.inside_before else "not inside"
                self._fail(tap.step, "%s still %s after %s" % (name, was, outcome), "another position")

    def check(
        self, at_us: int, step: model.Check, status: Mapping[str, Any] | None, chain_holds: bool = True
    ) -> None:
        """Judge a check; `status` is the firmware's report, None while it has none. `chain_holds`: of the
        journal, at the gate and as far as the office has it.
        """
        before = len(self.failures)
        if step.relay_pulses is not None:
            for direction, expected in step.relay_pulses.items():
                got, self._pulses[direction] = self._pulses[direction], 0
                self._equal(step, "relay_pulses %s" % direction, expected, got)
        if step.alarms is not None:
            got_alarms = sorted(set(self._alarms))
            self._alarms.clear()
            self._equal(step, "alarms", _list(sorted(set(step.alarms))), _list(got_alarms))
        asked = (
            *(step.inside, step.occupancy, step.lane, step.list_seq, step.trusted_time, step.events),
            step.safe_mode,
        )
        if any(value is not None for value in asked):
            if status is None:
                self._fail(step, "a gate in service", "no answer: it is off, booting or hung")
            else:
                self._check_status(step, status, chain_holds)
        self._log.add(at_us, "check", self.gate, step=step.number, ok=len(self.failures) == before)

    def _check_status(self, step: model.Check, status: Mapping[str, Any], chain_holds: bool) -> None:
        if step.inside is not None:
            names = sorted(self._keys.get(bytes.fromhex(key), key) for key in status["inside"])
            self._equal(step, "inside", _list(sorted(step.inside)), _list(names))
        for word, expected, got in (
            ("occupancy", step.occupancy, status["occupancy"]),
            ("lane", step.lane, status["lane"]),
            ("list_seq", step.list_seq, (status["list"] or {}).get("seq")),
            ("trusted_time", step.trusted_time, status["trusted"]),
            ("safe_mode", step.safe_mode, status.get("safe_mode", False)),
        ):
            if expected is not None:
                self._equal(step, word, expected, got)
        events = {**(status["journal"] or {}), "chain": "ok" if chain_holds else "broken"}
        for word, expected in (step.events or {}).items():
            self._equal(step, "events %s" % word, expected, events.get(word))

    def _equal(self, step: model.Step, word: str, expected: Any, got: Any) -> None:
        if expected != got:
            self._fail(step, "%s %s" % (word, _word(expected)), _word(got))

    def _fail(self, step: model.Step, expected: str, got: str) -> None:
        self.failures.append(Failure(step.number, step.line, expected, got))

    def _broken(self, promise: str, got: str) -> None:
        step = self.current
        self.failures.append(Failure(step.number if step else 0, step.line if step else 0, promise, got))


def _compare(expect: model.Expect, tap: TapWatch, outcome: str) -> tuple[str, str, bool]:
    expected, got, is_right = [], [], True
    if expect.decision is not None or expect.reason is not None:
        expected.append("/".join(word for word in (expect.decision, expect.reason) if word))
        got.append("/".join(word for word in (outcome, tap.reason) if word))
        # `none` means no decision at all, whether the card was heard or not.
        decision = expect.decision
        is_right = decision in (None, outcome) or (decision == "none" and outcome == "ignore")
        is_right = is_right and expect.reason in (None, tap.reason)
    if expect.within_ms is not None:
        expected.append("relay within %d ms" % expect.within_ms)
        if tap.relay_us is None:
            got.append("no relay pulse")
            is_right = False
        else:
            delay_us = tap.relay_us - tap.entered_us
            got.append("relay after %.1f ms" % (delay_us / 1000))
            is_right = is_right and delay_us <= expect.within_ms * 1000
    if expect.alarm is not None:
        expected.append("alarm %s" % expect.alarm)
        got.append("alarms %s" % _list(sorted(set(tap.alarms))))
        is_right = is_right and expect.alarm in tap.alarms
    return ", ".join(expected), ", ".join(got), is_right


def _zeros() -> dict[str, int]:
    return dict.fromkeys(model.DIRECTIONS, 0)


def _name(table: tuple[str, ...], code: int) -> str:
    return table[code] if code < len(table) else "code %d" % code if code else ""


def _list(words: list[str]) -> str:
    return "[%s]" % ", ".join(words)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
