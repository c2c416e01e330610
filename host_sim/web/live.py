"""A hall in progress: the world of one story, at the pace of the clock, open to whoever stands in it.

Owns the thread's work between two looks: messages of the page become cards, people, inputs and power; what
the gate shows becomes messages for the page. The world advances in short pieces and waits for the firmware,
so a slow computer makes it late and never wrong.
"""

import dataclasses
import json
import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

from firmware import messages, records
from firmware.crypto import card_key
from firmware.policy import REASONS
from host_sim.chips import hd44780
from host_sim.gate import Gate
from host_sim.links import Hooks
from host_sim.scenario import explain, model, stage
from host_sim.scenario.log import Log
from host_sim.scenario.runner import Run
from host_sim.web import reasons
from host_sim.web.commands import ACTS, CommandError
from host_sim.web.trace import Recorder
from host_sim.web.turnstile import INSIDE, OUTSIDE, SIDES, WAYS, People, Turnstile
from tools.office import journal_image

DISPLAY = "hd44780"
HEAP = "288k"  # of 64-bit values: a link, a display and proofs
_PIECE_US = 20_000
_PIECES_S = 50  # pieces in a second of real time, at any speed
_LATE_S = 0.5  # more than this is not made up for
_LOOK_S = 1.0  # the gate is asked how it does so often, and whenever something happened
_CHAIN_S = 0.5
_SENSOR_US = 300_000
_PRESS_US = 300_000
_FOLLOW_US = 800_000
_TAP_US = 2_000_000  # a tap without an answer is over by then
_STARTED_US = 500_000  # after its first record a gate that starts can say how it does
_SURELY_US = 8_000_000  # in safe mode it writes none
_OUTPUTS = ("relay_in", "relay_out", "lamp_green", "lamp_red", "buzzer")


class Switch(Exception):
    """The world is to end, and `order` (a message) says what comes then; None: nothing."""

    def __init__(self, order: dict[str, Any] | None) -> None:
        super().__init__()
        self.order = order


@dataclasses.dataclass(frozen=True)
class Request:
    """A message of a page, and where its answer goes: (error or None, more fields)."""

    message: dict[str, Any]
    answer: Callable[[str | None, dict[str, Any]], None]


_Listed = tuple[Mapping[bytes, records.Credential], frozenset[bytes], int]  # records, cards with keys, expiry


class _LiveLog(Log):
    """A log that is told and not kept."""

    def __init__(self, start_unix_us: int, offset_min: int, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(start_unix_us, offset_min)
        self._tell = tell

    def add(self, at_us: int, event: str, gate: str | None = None, **fields: Any) -> None:
        self._tell({"type": "event", "at": self.time(at_us), "gate": gate, "event": event, "fields": fields})


class _Side:
    """What a page sees of one gate beyond its hardware."""

    def __init__(self) -> None:
        self.turnstile = Turnstile()
        self.outputs = dict.fromkeys(_OUTPUTS, 0)
        self.inputs = {"fire": False, "tamper": False}
        self.status: dict[str, Any] | None = None
        self.chain = ""  # what is wrong with the journal's chain
        self.seq = self.checked = 0
        self.decision: dict[str, Any] | None = None
        self.latency: dict[str, Any] | None = None
        self.heard: explain.Explanation | None = None  # from the firmware itself, on CPython
        self.listed: _Listed | None = None  # the office's list when the gate took its newest one
        self.resets = 0
        self.ready_us = _SURELY_US  # it is not asked how it does before: it could not answer


class Live(Run):
    """One story, `tell` gets what a page should know, `requests` is where its messages come from.

    `is_hall`: it has no end, and people do what the page says.
    """

    def __init__(
        self,
        scenario: model.Scenario,
        runtime: str,
        requests: "queue.Queue[Request | None]",
        tell: Callable[[dict[str, Any]], None],
        *,
        is_hall: bool,
        speed: float,
    ) -> None:
        super().__init__(scenario, runtime)
        self.log = _LiveLog(self._start_unix_us, scenario.utc_offset_min, self._told)
        self._requests, self._tell = requests, tell
        self._is_hall, self.speed = is_hall, speed
        self._has_begun = False
        self._sides: dict[str, _Side] = {}
        self._recorders: dict[tuple[str, str], Recorder] = {}
        self.people = People(list(scenario.cards))
        self._held: dict[str, Any] = {}  # card -> (field, piece of plastic)
        self._by_key = {
            card_key(stage.SITE_KEY, card.uid): card for card in scenario.cards.values() if not card.is_copy
        }
        self._listed = {record.card: record for record in scenario.allow}
        self._shown = scenario.gates[0]
        self._last_reader = (self._shown, "in")
        self._mirrors: dict[str, reasons.Mirror] = {}
        self._anchor = (0.0, 0)
        self._looked = self._chained = 0.0
        self._is_dirty = True
        self._sent: dict[str, Any] = {}
        self._read = ("", "")
        self._steps_done = 0

    # -- the run --

    def _provisioned(self, name: str) -> dict[str, Any]:
        made = super()._provisioned(name)
        made["config"] = {**made["config"], "display": DISPLAY}
        made["heap"] = HEAP
        self._mirrors[name] = reasons.Mirror(made["config"])
        return made

    def _hooks(self, gate: str) -> Hooks:
        def heard(explanation: explain.Explanation) -> None:
            self._sides[gate].heard = explanation

        return {"firmware.policy": lambda policy: explain.watch(policy, heard)}

    def _begin(self) -> None:
        for name, gate in self._gates.items():
            self._sides[name] = _Side()
            self._fit_display(gate)
            gate.on_event(lambda at_us, kind, fields, name=name: self._see(name, at_us, kind, fields))
            hardware = gate.hardware
            for direction, chip in hardware.chips.items():
                self._recorders[name, direction] = Recorder(
                    chip, hardware.flash, gate.charges.spi_us, hardware.board["SPI_BAUD"]
                )
        self._has_begun = True

    def _fit_display(self, gate: Gate) -> None:
        gate.hardware.displays[hd44780.ADDRESS] = hd44780.HD44780(self._world.timeline)

    def _advance(self, until_us: int) -> None:
        if not self._has_begun:
            self._begin()
            while self._world.now < until_us:  # the gate starts as fast as it can
                self._serve(block=False)
                self._world.run_until(min(self._world.now + 500_000, until_us))
            self._rebase()
            self._look()
            return
        if self._is_hall:
            until_us = self._world.now + 3_600_000_000
        while self._world.now < until_us:
            self._serve(block=self.speed == 0)
            if self.speed == 0:
                continue
            piece_us = max(_PIECE_US, round(1_000_000 * self.speed / _PIECES_S))
            self._world.run_until(min(self._world.now + piece_us, until_us))
            self._look()
            self._pace()
        self._look()

    def _rebase(self) -> None:
        self._anchor = time.monotonic(), self._world.now

    def _pace(self) -> None:
        real_s, virtual_us = self._anchor
        wait_s = real_s + (self._world.now - virtual_us) / 1_000_000 / self.speed - time.monotonic()
        if wait_s > 0:
            try:  # a message ends the wait
                self._carry_out(self._requests.get(timeout=wait_s))
            except queue.Empty:
                pass
        elif wait_s < -_LATE_S:
            self._rebase()

    def _serve(self, *, block: bool) -> None:
        while True:
            try:
                request = self._requests.get(timeout=0.5) if block else self._requests.get_nowait()
            except queue.Empty:
                return
            block = False
            self._carry_out(request)
            self._look()

    def _carry_out(self, request: Request | None) -> None:
        if request is None:
            raise Switch(None)
        message = request.message
        kind = message["type"]
        try:
            if kind in ("play", "hall", "runtime"):
                request.answer(None, {})
                raise Switch(message)
            if kind == "trace":
                request.answer(None, {"rows": self._recorders[self._last_reader].rows()})
                return
            if kind == "journal":
                request.answer(
                    None, {"image": self._gates[self._shown].hardware.image("journal"), "gate": self._shown}
                )
                return
            if kind in ACTS and not self._is_hall:
                raise CommandError("a story is playing: stop it first")
            answer = _CARRY[kind](self, message)
        except CommandError as error:
            request.answer(str(error), {})
            return
        self._is_dirty = True
        request.answer(None, answer or {})

    # -- what pages ask for --

    def _speed(self, message: Mapping[str, Any]) -> None:
        self.speed = message["speed"]
        self._rebase()

    def _view(self, message: Mapping[str, Any]) -> None:
        if message["gate"] not in self._gates:
            raise CommandError("view: gate: one of %s" % ", ".join(self._gates))
        self._shown = message["gate"]
        self._last_reader = (self._shown, "in")

    def _hold(self, message: Mapping[str, Any]) -> None:
        name, direction = message["card"], message["reader"]
        card = self._card(name)
        if self.people.card[name] != SIDES[direction]:
            where = "outside" if direction == "in" else "inside"
            raise CommandError("%s is not %s, where this reader is" % (name, where))
        if self.people.reader[name] is not None:
            raise CommandError("%s is at a reader already" % name)
        hardware = self._gates[self._shown].hardware
        field = hardware.fields[direction]
        taken = self._wallet.taken(card, field)
        recorder = self._recorders[self._shown, direction]
        self._last_reader = self._shown, direction
        field.enter(taken.card)
        recorder.begin(self._world.now)
        self._later(_TAP_US, self._give_up, recorder, self._world.now)
        self.people.reader[name] = direction
        self._held[name] = field, taken.card
        if message.get("ms"):
            self._later(round(message["ms"] * 1000), self._leave_if, name, taken.card)

    def _give_up(self, recorder: Recorder, began_us: int) -> None:
        if recorder.began_us == began_us:  # no other tap has begun since
            recorder.stop()

    def _leave_if(self, name: str, plastic: Any) -> None:
        if self._held.get(name, (None, None))[1] is plastic:
            self._taken(name)
            self._is_dirty = True

    def _take(self, message: Mapping[str, Any]) -> None:
        self._card(message["card"])
        if message["card"] not in self._held:
            raise CommandError("%s is at no reader" % message["card"])
        self._taken(message["card"])

    def _taken(self, name: str) -> None:
        field, plastic = self._held.pop(name)
        field.leave(plastic)
        self.people.reader[name] = None

    def _card(self, name: str) -> model.Card:
        if name not in self.scenario.cards:
            raise CommandError("there is no card %s" % ascii(name)[:40])
        return self.scenario.cards[name]

    def _walk(self, message: Mapping[str, Any]) -> dict[str, Any]:
        direction, side = message["direction"], self._sides[self._shown]
        name = message.get("card")
        if name is not None:
            self._card(name)
            if self.people.person[name] != SIDES[direction]:
                raise CommandError("the person with %s is on the other side" % name)
        if not side.turnstile.is_free(direction, self._world.now):
            self.log.add(self._world.now, "blocked", self._shown, dir=direction)
            return {"blocked": True}
        if name in self._held:
            self._taken(name)
        self._through(side, direction)
        if name is not None:
            self.people.walked(name, direction)
        return {"blocked": False}

    def _through(self, side: _Side, direction: str) -> None:
        side.turnstile.passed(direction)
        self._sensor(direction)

    def _sensor(self, direction: str) -> None:
        at_us = self._start_unix_us + self._world.now
        self._pass(model.Pass(0, 0, at_us, self._shown, direction, _SENSOR_US))

    def _tailgate(self, message: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._walk(message)
        if not answer["blocked"]:  # squeezed into the same turn of the arms
            self._later(_FOLLOW_US, self._sensor, message["direction"])
        return answer

    def _force(self, message: Mapping[str, Any]) -> None:
        self._sensor(message["direction"])

    def _pass_back(self, message: Mapping[str, Any]) -> None:
        name = message["card"]
        self._card(name)
        if name in self._held:
            raise CommandError("%s is at a reader" % name)
        self.people.card[name] = OUTSIDE if self.people.card[name] == INSIDE else INSIDE

    def _put(self, message: Mapping[str, Any]) -> None:
        side, name = self._sides[self._shown], message["name"]
        side.inputs[name] = message["on"]
        self._gates[self._shown].hardware.set_input(name, message["on"])
        if name == "fire":
            side.turnstile.is_fire = self._watches[self._shown].is_fire = message["on"]

    def _guard(self, message: Mapping[str, Any]) -> None:
        name = "guard_" + message["direction"]
        hardware = self._gates[self._shown].hardware
        hardware.set_input(name, True)
        self._later(_PRESS_US, hardware.set_input, name, False)

    def _switch_power(self, message: Mapping[str, Any]) -> None:
        gate = self._gates[self._shown]
        if message["on"] == gate.powered:
            raise CommandError("the power is %s already" % ("on" if message["on"] else "off"))
        if message["on"]:
            is_kept = message.get("clock") != "lost"
            gate.power_on(clock_kept=is_kept, trusted=is_kept)
        else:
            gate.power_cut()

    def _cable(self, message: Mapping[str, Any]) -> None:
        self._linked().line.set(self._shown, down=not message["on"])

    def _linked(self) -> Any:
        if self._office is None:
            raise CommandError("this gate stands alone: there is no office")
        return self._office

    def _step_clock(self, message: Mapping[str, Any]) -> None:
        self._time_server.step_s += message["seconds"]

    def _mode(self, message: Mapping[str, Any]) -> None:
        office = self._linked()
        for name in self._gates:
            office.books.command(name, "mode", message["mode"], self._world.unix())
        office.acted()

    # -- what gates show --

    def _told(self, message: dict[str, Any]) -> None:
        self._is_dirty = True
        self._tell(message)

    def _see(self, name: str, at_us: int, kind: str, fields: Mapping[str, Any]) -> None:
        side = self._sides[name]
        if kind == "output":
            side.outputs[fields["name"]] = fields["level"]
            if fields["name"].startswith("relay_"):
                direction = fields["name"][6:]
                side.turnstile.relay(direction, fields["level"], at_us)
                if fields["level"]:
                    self._answered(name, direction, at_us)
        elif kind == "power":
            side.turnstile.is_powered = fields["on"]
            side.status = None
            if not fields["on"]:
                self._fit_display(self._gates[name])
                self._held_forget(name)
        elif kind == "boot":
            side.ready_us = at_us + _SURELY_US
            side.status = None
        elif kind == "reset":
            side.resets += 1
            side.status = None
        elif kind == "journal":
            self._missed(name, side, fields["record"].seq)
            side.seq = fields["record"].seq
            if fields["record"].type == "boot":
                side.ready_us = at_us + _STARTED_US
            self._journalled(name, side, at_us, fields["record"])

    def _held_forget(self, name: str) -> None:
        for direction in WAYS:
            self._recorders[name, direction].stop()

    def _answered(self, name: str, direction: str, at_us: int) -> None:
        parts = self._recorders[name, direction].end(at_us)
        if parts is not None:
            found = {"direction": direction, "total": round(sum(parts.values()), 2)}
            found.update({part: round(value, 2) for part, value in parts.items()})
            self._sides[name].latency = found
            self._told({"type": "latency", "gate": name, **found})

    def _missed(self, name: str, side: _Side, seq: int) -> None:
        """Let the mirror see what is on the flash before record `seq` and was not told: power failed then."""
        if seq > side.seq + 1:
            image = self._gates[name].hardware.image("journal")
            for record in journal_image.read(image, stage.gate_key(name)).events:
                if side.seq < record.seq < seq:
                    self._mirrors[name].see(record, lambda of=record: self._inputs(side, of))

    def _journalled(self, name: str, side: _Side, at_us: int, record: records.Event) -> None:
        heard, side.heard = side.heard, None
        computed = self._mirrors[name].see(record, lambda: self._inputs(side, record))
        if record.type == "list_applied":
            side.listed = self._office_list()
        if record.type not in ("grant", "deny"):
            return
        direction = WAYS[(record.direction & 15) - 1]
        reason = REASONS[record.reason]
        explanation = heard or computed
        agrees = explanation is None or (explanation.reason, explanation.allow) == (
            reason,
            record.type == "grant",
        )
        cls = next((c for c, code in self._codes().items() if code == record.cls), "")
        card = self._by_key.get(record.key)
        texts = {
            language: messages.text(reason, cls, language, None, direction, self._slot(card))
            for language in messages.LANGUAGES
        }
        side.decision = {
            "type": "decision",
            "at": self.log.time(at_us),
            "gate": name,
            "seq": record.seq,
            "direction": direction,
            "card": card.name if card else "",
            "class": cls,
            "kind": record.type,
            "reason": reason,
            "sentence": {language: text.sentence for language, text in texts.items()},
            "source": "firmware" if heard else "host",
            "agrees": agrees,
            "rows": [dataclasses.asdict(row) for row in explanation.rows] if explanation else [],
        }
        self._told(side.decision)
        if record.type == "deny":  # a grant is answered by its relay
            self._answered(name, direction, at_us)

    def _codes(self) -> dict[str, int]:
        return self.scenario.class_codes()

    def _slot(self, card: model.Card | None) -> int | None:
        record = self._listed.get(card.name) if card else None
        if record is None or record.from_unix is None:
            return None
        return (record.from_unix // 60 + self.scenario.utc_offset_min) % 1440

    def _inputs(self, side: _Side, record: records.Event) -> reasons.Inputs:
        status = side.status or {}
        credentials, keyed, expires = side.listed or self._office_list()
        expires = (status.get("list") or {}).get("expires", expires)
        return reasons.Inputs(credentials, expires, keyed, status.get("link") != "", self._tapped(record))

    def _office_list(self) -> _Listed:
        if self._office is not None:
            books = self._office.books
            keyed = frozenset(books._secrets)  # pyright: ignore[reportPrivateUsage]
            return dict(books.credentials), keyed, books.expires
        visits = [stage.visit(self.scenario, record) for record in self.scenario.allow]
        credentials = {one.key: one for one in (v.credential(stage.SITE_KEY) for v in visits)}
        return credentials, frozenset(stage.secrets(self.scenario, visits)), self.scenario.list_expires_unix

    def _tapped(self, record: records.Event) -> model.Card | None:
        """Return the piece of plastic behind a decision: that at the reader, if its number is the one."""
        way = WAYS[(record.direction & 15) - 1]
        found = [
            card
            for name, card in self.scenario.cards.items()
            if self.people.reader[name] == way and card_key(stage.SITE_KEY, card.uid) == record.key
        ]
        return found[0] if len(found) == 1 else self._by_key.get(record.key)

    # -- the state of a page --

    def _look(self) -> None:
        now = time.monotonic()
        glass = self._glass(self._shown).lines
        if glass != self._read:
            self._read, self._is_dirty = glass, True
        if not self._is_dirty and now - self._looked < _LOOK_S:
            return
        self._looked = now
        self._is_dirty = False
        for name, gate in self._gates.items():
            side = self._sides[name]
            found = gate.status() if self._world.now >= side.ready_us else None
            if found is not None:
                side.status = found
            elif not gate.powered:
                side.status = None
            else:
                self._is_dirty = True  # it computes: asked again soon
            if self._is_hall:
                self._watches[name].failures.clear()  # nobody promised that people behave
            if side.seq != side.checked and now - self._chained >= _CHAIN_S:
                side.checked, self._chained = side.seq, now
                side.chain = stage.journal_fault(gate) or ""
        state = self.state()
        if state != self._sent:
            self._sent = state
            self._tell(state)

    def _glass(self, gate: str) -> hd44780.HD44780:
        chip = self._gates[gate].hardware.displays[hd44780.ADDRESS]
        assert isinstance(chip, hd44780.HD44780)
        return chip

    def state(self) -> dict[str, Any]:
        """Return all that a page shows of the gate that it looks at."""
        name = self._shown
        gate, side, status = self._gates[name], self._sides[name], self._sides[name].status
        now = self._world.now
        found = status or {}
        by_key = {key.hex(): card.name for key, card in self._by_key.items()}
        journal = found.get("journal") or {}
        return {
            "type": "state",
            "gate": name,
            "gates": list(self._gates),
            "story": None if self._is_hall else {"file": self.scenario.file, "title": self.scenario.title},
            "runtime": self.runtime,
            "speed": self.speed,
            "clock": self.log.time(now)[:19],
            "power": gate.powered,
            "ready": status is not None,
            "resets": side.resets,
            "lane": found.get("lane"),
            "mode": found.get("mode"),
            "fault": found.get("fault") or "",
            "safe_mode": bool(found.get("safe_mode")),
            "outputs": dict(side.outputs),
            "inputs": dict(side.inputs),
            "free": {way: side.turnstile.is_free(way, now) for way in WAYS},
            "turns": side.turnstile.turns,
            "display": [line.rstrip() for line in self._glass(name).lines],
            "inside": sorted(str(by_key.get(key, key)) for key in found.get("inside", ())),
            "occupancy": found.get("occupancy"),
            "occupancy_max": self.scenario.site.get("occupancy_max"),
            "alarms": found.get("alarms", []),
            "trusted": found.get("trusted"),
            "time": self._local(found.get("time")),
            "source": (found.get("clock") or {}).get("source"),
            "list": self._list(found.get("list")),
            "journal": {**journal, "chain": side.chain} if journal else None,
            "network": not self._world.network.path(name).down if self._office is not None else None,
            "link": found.get("link"),
            "cards": [self._shown_card(card) for card in self.scenario.cards],
            "decision": side.decision["seq"] if side.decision else None,
            "step": self._steps_done,
            "steps": len(self.scenario.steps),
        }

    def _local(self, unix: int | None) -> str | None:
        return None if unix is None else self.log.local(unix * 1_000_000)[:19]

    def _list(self, found: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if found is None else {**found, "expires": self._local(found["expires"])}

    def _shown_card(self, name: str) -> dict[str, Any]:
        card, record = self.scenario.cards[name], self._listed.get(name)
        people = self.people
        return {
            "name": name,
            "type": card.type,
            "uid": card.uid.hex().upper(),
            "class": record.cls if record else "",
            "copy_of": card.copy_of,
            "blocked": self._is_blocked(card),
            "party": record.party if record else 0,
            "from": self._local(record.from_unix) if record else None,
            "until": self._local(record.until_unix) if record else None,
            "person": people.person[name],
            "card": people.card[name],
            "reader": people.reader[name],
        }

    def _is_blocked(self, card: model.Card) -> bool:
        if self._office is None or card.is_copy:
            return False
        credential = self._office.books.credentials.get(card_key(stage.SITE_KEY, card.uid))
        return credential is not None and credential.blocked

    # -- stories --

    def _step(self, step: model.Step) -> None:
        self._steps_done = step.number
        super()._step(step)
        if isinstance(step, model.Tap):
            name = self._one(step)
            self._last_reader = name, step.direction
            recorder = self._recorders[name, step.direction]
            recorder.begin(self._world.now)
            self._later(_TAP_US, self._give_up, recorder, self._world.now)
            for card in step.cards:
                self.people.reader[card] = step.direction
            self._world.at(self._world.now + step.hold_us, self._story_left, step.cards)
        elif isinstance(step, model.Pass):
            self._sides[self._one(step)].turnstile.passed(step.direction)
        elif isinstance(step, model.Input) and step.name in ("fire", "tamper"):
            side = self._sides[self._one(step)]
            side.inputs[step.name] = step.on
            side.turnstile.is_fire = side.inputs["fire"]

    def _story_left(self, cards: tuple[str, ...]) -> None:
        for card in cards:
            self.people.reader[card] = None


_CARRY: Mapping[str, Callable[[Live, Any], dict[str, Any] | None]] = {
    "speed": Live._speed,
    "view": Live._view,
    "hold": Live._hold,
    "take": Live._take,
    "walk": Live._walk,
    "tailgate": Live._tailgate,
    "force": Live._force,
    "pass_back": Live._pass_back,
    "input": Live._put,
    "guard": Live._guard,
    "power": Live._switch_power,
    "network": Live._cable,
    "clock_step": Live._step_clock,
    "mode": Live._mode,
}


def as_text(message: Mapping[str, Any]) -> str:
    """Return a message as it goes over the wire."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
