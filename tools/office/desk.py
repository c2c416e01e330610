"""The acts at the desk: cards in and out of hands, bookings, gates, commands, positions.

Owns the office's rules (docs/rules.md, *At the desk*): what an act asks for, what it refuses, and what it
leaves behind. Each act is one transaction: the rows, the record for the gates' list, the movement, and its
audit row, or nothing. Books are `db.models`; what a gate is sent from them is `books`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from firmware import bundles, records
from firmware.config import ClassRule
from firmware.crypto import card_key, hmac_sha256
from firmware.policy import ALARMS, MODES
from firmware.presence import INSIDE, OUTSIDE, UNKNOWN, last_reset
from tools.office import audit, bookings, updates
from tools.office.db.engine import writing
from tools.office.db.models import (
    CANCELLED,
    CLOSED,
    ENDED_LOST,
    FREE,
    HELD,
    ISSUED,
    LIVE,
    LOST,
    PUBLISHED,
    RETURNED,
    Alarm,
    Base,
    Booking,
    Card,
    Command,
    Deposit,
    Gate,
    Identity,
    Movement,
    Party,
    Position,
    State,
    Visit,
)
from tools.office.folder import Folder, key_id_of
from tools.office.keys import gate_key
from tools.office.memory import CHANGES_PER_SEQ, COMMAND_S, LIFE_S
from tools.office.pool import PoolCard

DAY_S = 86400
PARTIES = 0xFFFF
GATES = 255
# name: what it may be followed by; firmware/orders.py carries them out
COMMANDS = {"mode": MODES, "open": ("in", "out"), "reboot": (), "identify": (), "acknowledge": ALARMS[1:]}
_DIRECTIONS = {INSIDE: 1, OUTSIDE: 2, UNKNOWN: 0}
_IDENTITY = re.compile(r"[A-Z0-9]{4,32}", re.ASCII)
_WORDS = re.compile(r"[ -~]{1,32}")


class DeskError(Exception):
    """The act is refused and nothing changed; the text is one line for the desk."""


class InputError(DeskError):
    """What was given makes no sense in these books, whatever their state."""


class _Undo(Exception):
    """Ends a dry run."""


class BookingsError(InputError):
    """Bookings cannot be taken over; `faults` holds one line for each: FILE:LINE:COLUMN: text."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass
class Outcome:
    """What an act came to. `alarms` and `notes`: lines that the desk must read; the rest as far as it
    applies.

    `party`: number, 0 = none. `deposit`: of the visit, with its state after the act.
    """

    act: str
    card: Card | None = None
    visit: Visit | None = None
    party: int = 0
    deposit: Deposit | None = None
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Act:
    """One act in its transaction: what it changed, and how the list and positions follow."""

    def __init__(self, session: Session, state: State, folder: Folder, now: int) -> None:
        self.session = session
        self.state = state
        self.folder = folder
        self.now = now
        self.details: dict[str, Any] = {}
        self.changed: dict[int, Base] = {}
        self._listed = 0

    def change(self, row: Base) -> None:
        """Note that `row`, new or old, is not as it was."""
        self.session.add(row)
        self.changed[id(row)] = row

    def relist(self, card: Card, visit: Visit) -> None:
        """Give the card the record that follows from it and its visit, under the next number of the list."""
        self.state.list_seq += self._listed % CHANGES_PER_SEQ == 0
        self._listed += 1
        if not self.state.expires:
            self.state.issued, self.state.expires = self.now, self.now + LIFE_S
        card.record = bundles.pack_credential(record_of(card, visit, self.number_of(visit), self.folder))
        card.list_seq = self.state.list_seq
        if card.key_version and not card.keyed_seq:
            card.keyed_seq = card.list_seq
        self.change(card)

    def move(self, card: Card, where: str, cls: int = 0, party: int = 0) -> None:
        """Say where the card is, from now on, to all gates.

        A gate whose clock is ahead may have told of a passage to come: the desk's word is then as late.
        """
        known = self.session.get(Position, card.key)
        time = self.now if known is None else max(self.now, known.time)
        self.state.last_move += 1
        self.session.add(
            Movement(
                state=PUBLISHED,
                rank=self.state.last_move,
                key=card.key,
                direction=_DIRECTIONS[where],
                cls=cls,
                party=party,
                time=time,
                gate="",
                journal_id=b"",
                seq=0,
            )
        )
        self.session.merge(Position(key=card.key, position=where, time=time, gate=""))

    def alarm(self, kind: str, text: str) -> None:
        """Raise an alarm at the desk."""
        self.session.add(Alarm(time=self.now, gate="", kind=kind, text=text))
        self.details.setdefault("alarms", []).append([kind, text])

    def card(self, uid: str) -> Card:
        """Return the card with this UID (hex, upper case), or refuse."""
        card = self.session.get(Card, uid)
        if card is None:
            raise InputError(f"card {uid} is not in the pool: pinter office card add")
        return card

    def live_visit(self, card: Card) -> Visit | None:
        """Return the visit that the card is bound to."""
        return self.session.scalars(
            select(Visit).where(Visit.card == card.uid, Visit.state == LIVE)
        ).one_or_none()

    def live_visits(self, party: int) -> list[Visit]:
        """Return the visits of a party (its id) that go on, the oldest first."""
        of = select(Visit).where(Visit.party == party, Visit.state == LIVE).order_by(Visit.id)
        return list(self.session.scalars(of))

    def number_of(self, visit: Visit) -> int:
        """Return the number of the visit's party, 0 = none."""
        party = self.session.get(Party, visit.party) if visit.party is not None else None
        return party.number if party is not None else 0

    def new_party(self) -> Party:
        """Return a new party with a number that no live party has."""
        taken = set(self.session.scalars(select(Party.number).where(Party.closed.is_(None))))
        if len(taken) >= PARTIES:
            raise DeskError("all party numbers are in use")
        number = self.state.last_party % PARTIES + 1
        while number in taken:
            number = number % PARTIES + 1
        self.state.last_party = number
        party = Party(number=number, opened=self.now, closed=None)
        self.change(party)
        self.session.flush()
        return party


class Desk:
    """The desk of the office in `folder`, with its books behind `engine`.

    `now` gives Unix seconds, `actor` is who stands in the audit trail. Every act raises DeskError if it is
    refused, BooksError if the books fail, KeyFileError without the keys that it needs.
    """

    def __init__(self, folder: Folder, engine: Engine, now: Callable[[], float], actor: str) -> None:
        self._folder = folder
        self._engine = engine
        self._now = now
        self._actor = actor
        self._audit_key = folder.key("audit")

    # Cards

    def add_cards(self, cards: Iterable[PoolCard], known_too: bool = False) -> list[str]:
        """Take cards into the pool; return the UIDs of those that are new or have new keys.

        One that is there already refuses them all; with `known_too` it is passed over, or takes the later
        version of its keys.
        """
        site_key = self._folder.key("site")
        with self._act("card_add") as act:
            changed = []
            for new in cards:
                uid = new.uid.hex().upper()
                if new.tier != records.TIERS[0] and not 1 <= new.key_version <= 255:
                    raise InputError(f"card {uid} of tier {new.tier} needs the version of its keys, 1 to 255")
                card = act.session.get(Card, uid)
                if card is None:
                    card = Card(uid=uid, key=card_key(site_key, new.uid), state=FREE, blocked=False)
                    card.record, card.list_seq, card.keyed_seq = None, 0, 0
                elif not known_too:
                    raise DeskError(f"card {uid} is in the pool already")
                elif new.key_version < card.key_version:
                    raise DeskError(f"card {uid} has keys of version {card.key_version} already")
                elif (new.product, new.tier, new.key_version) == (card.product, card.tier, card.key_version):
                    continue
                card.product, card.tier, card.key_version = new.product, new.tier, new.key_version
                card.keyed_seq = 0
                last = self._last_visit(act, card)
                act.relist(card, last) if last is not None else act.change(card)
                act.session.flush()
                changed.append(uid)
            return changed

    def issue(
        self,
        uid: str,
        cls: str | None = None,
        booking: str | None = None,
        begin: int | None = None,
        until: int | None = None,
        companion_of: str | None = None,
        slow: bool = False,
        identity: str | None = None,
        document: str | None = None,
        place: str | None = None,
    ) -> Outcome:
        """Bind a card to one visit and put it on the list; where it is becomes unknown.

        `booking` gives class and window, else `cls`, `begin` (default: now) and `until`; exempt classes may
        do without a window, a companion has its principal's. `companion_of`: the card of the party to join.
        `identity`, `document`, `place`: the number, kind and keeping place of a companion's ID deposit.
        """
        with self._act("issue") as act:
            card = act.card(uid)
            self._refuse_taken(act, card)
            if booking is not None:
                booked = self._booked(act, booking)
                if cls not in (None, booked.cls) or begin is not None or until is not None:
                    raise InputError(f"booking {booking} says class and window: give neither")
                cls, begin, until, slow = booked.cls, booked.begin, booked.until, slow or booked.slow
            rule = self._rule(cls)
            if records.TIERS.index(card.tier) < rule.min_tier:
                asked = records.TIERS[rule.min_tier]
                raise DeskError(f"card {uid} proves {card.tier!r}, class {rule.name} asks for {asked!r}")
            host = self._host(act, rule, companion_of)
            visit = Visit(
                card=uid,
                booking=booking,
                cls=rule.name,
                slow=slow,
                party=host.party if host else None,
                state=LIVE,
                opened=act.now,
                closed=None,
            )
            visit.begin, visit.until = self._window(rule, host, begin, until, act.now)
            if host is None and rule.is_principal:
                visit.party = act.new_party().id
            card.state, card.blocked = ISSUED, False
            act.change(visit)
            act.session.flush()
            outcome = Outcome("issue", card, visit, act.number_of(visit))
            if rule.needs_principal:
                outcome.deposit = self._take_deposit(act, visit, identity, document, place)
                outcome.alarms += self._companion_elsewhere(act, visit, identity)
            elif identity or document or place:
                raise InputError(f"class {rule.name} leaves no deposit: only companions do")
            act.relist(card, visit)
            act.move(card, UNKNOWN)
            return outcome

    def take_back(self, uid: str) -> Outcome:
        """Take a card back: its record is blocked, its deposit closed, its position unknown."""
        with self._act("return") as act:
            card = act.card(uid)
            if card.state == LOST:
                raise DeskError(f"card {uid} was reported lost: pinter office card restore {uid}")
            outcome = self._end(act, "return", card, RETURNED)
            card.state = FREE
            if outcome.deposit is not None and outcome.deposit.state == HELD:
                outcome.deposit.state, outcome.deposit.closed = CLOSED, act.now
                act.change(outcome.deposit)
            if outcome.visit is not None and self._folder.classes[outcome.visit.cls].is_principal:
                outcome.notes += self._companions_left(act, outcome.visit)
            return outcome

    def lose(self, uid: str) -> Outcome:
        """Report a card lost: blocked for good, its position unknown. A deposit stays until it is closed."""
        with self._act("lost") as act:
            card = act.card(uid)
            if card.state == LOST:
                raise DeskError(f"card {uid} was reported lost already")
            if card.state == FREE:
                outcome = Outcome("lost", card)
                card.blocked = True
                last = self._last_visit(act, card)
                act.relist(card, last) if last is not None else act.change(card)
                act.move(card, UNKNOWN)
            else:
                outcome = self._end(act, "lost", card, ENDED_LOST)
            card.state = LOST
            return outcome

    def revoke(self, uid: str) -> Outcome:
        """Block a card that somebody has; the visit, its deposit and position stay."""
        with self._act("revoke") as act:
            card = act.card(uid)
            visit = act.live_visit(card)
            if visit is None:
                raise DeskError(f"card {uid} is in nobody's hands ({card.state}): there is nothing to revoke")
            if card.blocked:
                raise DeskError(f"card {uid} is blocked already")
            card.blocked = True
            act.relist(card, visit)
            return Outcome("revoke", card, visit, act.number_of(visit))

    def restore(self, uid: str) -> Outcome:
        """Take a lost card that was found into the pool again; its record stays blocked until issued."""
        with self._act("restore") as act:
            card = act.card(uid)
            if card.state != LOST:
                raise DeskError(f"card {uid} is not lost ({card.state})")
            card.state = FREE
            act.change(card)
            return Outcome("restore", card)

    def correct_position(self, uid: str, where: str) -> Outcome:
        """Say that the card is "inside", "outside" or "unknown", whatever the gates think."""
        with self._act("position") as act:
            card = act.card(uid)
            visit = act.live_visit(card)
            if visit is None:
                raise DeskError(f"card {uid} is in nobody's hands ({card.state}): it has no position")
            if where not in _DIRECTIONS:
                raise InputError(f"{where!r} is none of {', '.join(_DIRECTIONS)}")
            party = act.number_of(visit)
            act.move(card, where, self._folder.classes[visit.cls].code if _DIRECTIONS[where] else 0, party)
            act.details["position"] = [uid, where]
            return Outcome("position", card, visit, party)

    def close_deposit(self, number: int) -> Outcome:
        """Note that the deposit of a lost card went back to its owner."""
        with self._act("deposit_close") as act:
            deposit = act.session.get(Deposit, number)
            if deposit is None:
                raise InputError(f"there is no deposit {number}")
            if deposit.state == CLOSED:
                raise DeskError(f"deposit {number} was given back already")
            visit = act.session.get(Visit, deposit.visit)
            assert visit is not None
            if visit.state == LIVE:
                raise DeskError(f"deposit {number} goes back with card {visit.card}: pinter office return")
            deposit.state, deposit.closed = CLOSED, act.now
            act.change(deposit)
            return Outcome("deposit_close", None, visit, act.number_of(visit), deposit)

    def reclaim(self) -> list[Visit]:
        """Block the cards that were not back by closing time; return the visits of all that still are not.

        Every act does the blocking first, so it happens once a day whoever comes first.
        """
        self._catch_up()
        with writing(self._engine) as (session, state):
            return _overdue(session, self._folder, state.reclaimed)

    # Bookings

    def import_bookings(self, wanted: Sequence[bookings.Booked], dry_run: bool) -> list[bookings.Change]:
        """Take bookings over; return what changed, or would. Raises BookingsError naming all that cannot be.

        A card that is out on a booking follows its new window.
        """
        with self._act("import", dry_run) as act:
            books = {row.code: bookings.of(row) for row in act.session.scalars(select(Booking))}
            found = bookings.changes(wanted, books)
            faults: list[str] = []
            for change in found:
                visit = act.session.scalars(
                    select(Visit).where(Visit.booking == change.after.code, Visit.state == LIVE)
                ).one_or_none()
                if visit is not None:
                    faults += _in_hands(change, visit)
                self._put_booking(act, change.after, visit)
            if faults:
                raise BookingsError(faults)
            return found

    def _put_booking(self, act: _Act, after: bookings.Booked, visit: Visit | None) -> None:
        row = act.session.get(Booking, after.code) or Booking(code=after.code)
        row.cls, row.begin, row.until = after.cls, after.begin, after.until
        row.slow, row.state = after.slow, after.state
        act.change(row)
        if visit is not None:
            visit.begin, visit.until, visit.slow = after.begin, after.until, after.slow
            act.change(visit)
            act.relist(act.card(visit.card), visit)

    # Gates

    def add_gate(self, name: str) -> Gate:
        """Add a gate with a key of its own, or with the one that its key file already holds."""
        with self._act("gate_add") as act:
            if act.session.get(Gate, name) is not None:
                raise DeskError(f"gate {name} is there already")
            number = (act.session.scalar(select(func.max(Gate.number))) or 0) + 1
            if number > GATES:
                raise DeskError(f"a site has at most {GATES} gates")
            adopted = (self._folder.keys / f"gate-{name}.key").exists()
            key = gate_key(self._folder.keys, name) if adopted else self._folder.make_gate_key(name)
            gate = Gate(name=name, number=number, generation=1, key_id=key_id_of(key), confirmed=0)
            act.change(gate)
        if not adopted:
            self._folder.put_in_force(name)
        return gate

    def rotate_key(self, name: str) -> Gate:
        """Give a gate a new key; it knows nobody until it is provisioned with it."""
        with self._act("rotate_key") as act:
            gate = act.session.get(Gate, name)
            if gate is None:
                raise InputError(f"there is no gate {name}: pinter office gate add")
            self._folder.gate_key(name, gate.key_id)  # an unfinished rotation is finished first
            gate.key_id = key_id_of(self._folder.make_gate_key(name))
            gate.generation += 1
            gate.confirmed = 0
            act.change(gate)
        self._folder.put_in_force(name)
        return gate

    def command(self, gate: str, name: str, argument: str) -> Command:
        """Order something of a gate; it is carried out once, within the hour."""
        with self._act("command") as act:
            if act.session.get(Gate, gate) is None:
                raise InputError(f"there is no gate {gate}: pinter office gate add")
            if name not in COMMANDS:
                raise InputError(f"{name!r} is no command: {', '.join(COMMANDS)}")
            if argument not in (COMMANDS[name] or ("",)):
                choices = ", ".join(COMMANDS[name]) or "no further word"
                raise InputError(f"{name} is followed by {choices}")
            # The nonce of the wire is twice the number in the books, whose 64 bits have a sign.
            act.state.nonce = max(act.state.nonce + 1, act.now << 31)
            row = Command(
                nonce=f"{act.state.nonce << 1:016x}",
                gate=gate,
                name=name,
                argument=argument,
                expires=act.now + COMMAND_S,
                done=False,
            )
            act.change(row)
            return row

    def roll_out(self, data: bytes, first: str | None = None) -> updates.Order:
        """Begin to bring the release of the firmware in `data` to all gates. Raises updates.UpdateError."""
        with self._act("update_start") as act:
            gates = list(act.session.scalars(select(Gate.name)))
            made = updates.order(self._folder.path, data, gates, self._actor, act.now, first)
            act.details["release"] = [made.version, made.text, hashlib.sha256(data).hexdigest()]
            return made

    def stop_rollout(self, why: str) -> updates.Order:
        """Bring it to no further gate. Raises updates.UpdateError."""
        with self._act("update_stop") as act:
            made = updates.stop(self._folder.path, f"{why} ({self._actor})")
            act.details["release"] = [made.version, made.text, why]
            return made

    # Parts of acts

    @contextmanager
    def _act(self, name: str, dry_run: bool = False) -> Iterator[_Act]:
        if not dry_run:
            self._catch_up()
        try:
            with writing(self._engine) as (session, state):
                act = _Act(session, state, self._folder, int(self._now()))
                yield act
                if dry_run:
                    raise _Undo
                self._write(act, name, self._actor)
        except _Undo:
            pass

    def _write(self, act: _Act, name: str, actor: str) -> None:
        act.session.flush()
        if act.changed or act.details:
            rows = act.changed.values()
            audit.append(act.session, act.state, self._audit_key, act.now, actor, name, rows, act.details)

    def _catch_up(self) -> None:
        """Do what time asks for: forget yesterday's identities, block what was not back by closing time."""
        now = int(self._now())
        closing = last_reset(self._folder.reclaim_at, self._folder.utc_offset_min, now)
        assert closing is not None
        with writing(self._engine) as (session, state):
            session.execute(delete(Identity).where(Identity.day != self._day(now)))
            if state.reclaimed >= closing:
                return
            state.reclaimed = closing
            act = _Act(session, state, self._folder, now)
            for visit in _overdue(session, self._folder, closing):
                card = act.card(visit.card)
                if not card.blocked:
                    card.blocked = True
                    act.relist(card, visit)
                    act.alarm("not_returned", f"card {card.uid} ({visit.cls}) was not back by closing time")
            self._write(act, "reclaim", "")

    def _refuse_taken(self, act: _Act, card: Card) -> None:
        if card.state == LOST:
            raise DeskError(f"card {card.uid} was reported lost: it is not handed out")
        visit = act.live_visit(card)
        if visit is not None:
            raise DeskError(
                f"card {card.uid} is bound to a visit since {self._clock(visit.opened)} ({visit.cls}): "
                "take it back first"
            )

    def _booked(self, act: _Act, code: str) -> Booking:
        booking = act.session.get(Booking, code)
        if booking is None:
            raise InputError(f"there is no booking {code}")
        if booking.state == CANCELLED:
            raise DeskError(f"booking {code} was cancelled")
        visit = act.session.scalars(
            select(Visit).where(Visit.booking == code, Visit.state == LIVE)
        ).one_or_none()
        if visit is not None:
            raise DeskError(f"booking {code} has card {visit.card} already")
        return booking

    def _rule(self, cls: str | None) -> ClassRule:
        if cls is None:
            raise InputError("give a booking or a class")
        rule = self._folder.classes.get(cls)
        if rule is None:
            raise InputError(f"class {cls!r} is none of {', '.join(self._folder.classes)}")
        return rule

    def _host(self, act: _Act, rule: ClassRule, companion_of: str | None) -> Visit | None:
        """Return the visit of the principal whose party is joined, None if none is."""
        if companion_of is None:
            if rule.needs_principal:
                raise DeskError(f"a {rule.name} card needs a principal: whose companion is it?")
            return None
        if not rule.needs_principal and not rule.is_principal:
            raise InputError(f"class {rule.name} belongs to no party")
        host = act.live_visit(act.card(companion_of))
        if host is None:
            raise DeskError(f"card {companion_of} is in nobody's hands: there is no principal")
        if not self._folder.classes[host.cls].is_principal:
            raise DeskError(f"card {companion_of} is no principal's ({host.cls})")
        if act.card(companion_of).blocked:
            raise DeskError(f"card {companion_of} is blocked: its holder gets no companion")
        return host

    def _window(
        self, rule: ClassRule, host: Visit | None, begin: int | None, until: int | None, now: int
    ) -> tuple[int | None, int | None]:
        if rule.needs_principal and host is not None:
            if begin is not None or until is not None:
                raise InputError(f"a {rule.name} card has its principal's window: give none")
            return host.begin, host.until
        if until is None:
            if begin is None and rule.exempt:
                return None, None
            raise InputError(f"a visit of class {rule.name} has an end")
        begin = now // 60 * 60 if begin is None else begin
        if until <= begin:
            raise InputError("the window ends before it starts")
        if (until - begin) // 60 > bundles.LENGTH_MIN_MAX:
            raise InputError("the window is longer than 22 days")
        if until <= now:
            raise DeskError(f"the window is over since {self._clock(until)}")
        return begin, until

    def _take_deposit(
        self, act: _Act, visit: Visit, identity: str | None, document: str | None, place: str | None
    ) -> Deposit:
        if not identity or not document:
            raise DeskError(f"a {visit.cls} card needs an ID deposit: number and kind of the document")
        for words in (document, place or ""):
            if words and not _WORDS.fullmatch(words):
                raise InputError(f"{words!r}: kind and place of a deposit have at most 32 letters")
        deposit = Deposit(
            visit=visit.id, document=document, place=place or "", state=HELD, opened=act.now, closed=None
        )
        act.change(deposit)
        return deposit

    def _companion_elsewhere(self, act: _Act, visit: Visit, identity: str | None) -> list[str]:
        """Note whose companion this is today; return what the desk must know if it was another party's."""
        number = re.sub(r"[\s.-]", "", identity or "").upper()
        if not _IDENTITY.fullmatch(number):
            raise InputError("an identity number has 4 to 32 letters and digits")
        assert visit.party is not None
        day = self._day(act.now)
        hashed = hmac_sha256(self._folder.key("identity"), day.to_bytes(4, "big"), number.encode())
        others = act.session.scalars(
            select(Party)
            .join(Identity, Identity.party == Party.id)
            .where(Identity.day == day, Identity.hash == hashed, Identity.party != visit.party)
            .distinct()
        ).all()
        act.session.add(Identity(day=day, hash=hashed, party=visit.party))
        if not others:
            return []
        text = (
            f"the companion with card {visit.card} (party {act.number_of(visit)}) was today the companion of "
            + ", ".join(f"party {party.number}" for party in others)
        )
        act.alarm("companion_twice", text)
        return [text]

    def _end(self, act: _Act, name: str, card: Card, state: str) -> Outcome:
        """End the visit of a card: blocked on the list, position unknown, party closed if it was the last."""
        visit = act.live_visit(card)
        if visit is None:
            raise DeskError(f"card {card.uid} is in the pool already: nobody had it")
        number = act.number_of(visit)
        visit.state, visit.closed = state, act.now
        card.blocked = True
        act.change(visit)
        act.relist(card, visit)
        act.move(card, UNKNOWN)
        act.session.flush()
        if visit.party is not None and not act.live_visits(visit.party):
            party = act.session.get_one(Party, visit.party)
            party.closed = act.now
            act.change(party)
        deposit = act.session.scalars(select(Deposit).where(Deposit.visit == visit.id)).one_or_none()
        return Outcome(name, card, visit, number, deposit)

    def _companions_left(self, act: _Act, visit: Visit) -> list[str]:
        """Return a line for each companion who is still there after the last principal of a party."""
        assert visit.party is not None
        left = act.live_visits(visit.party)
        if any(self._folder.classes[other.cls].is_principal for other in left):
            return []
        return [f"the companion's card {other.card} is still out" for other in left]

    def _last_visit(self, act: _Act, card: Card) -> Visit | None:
        return act.session.scalars(
            select(Visit).where(Visit.card == card.uid).order_by(Visit.id.desc()).limit(1)
        ).one_or_none()

    def _day(self, now: int) -> int:
        return (now + self._folder.utc_offset_min * 60) // DAY_S

    def _clock(self, unix: int) -> str:
        return local(unix, self._folder.utc_offset_min)


def record_of(card: Card, visit: Visit, party: int, folder: Folder) -> records.Credential:
    """Return the record of `card` on the list, as its latest visit, of the party with this number, has it."""
    begin = 0 if visit.begin is None else bundles.minutes(visit.begin)
    return records.Credential(
        card.key,
        folder.classes[visit.cls].code,
        card.blocked,
        visit.until is None,
        records.TIERS.index(card.tier),
        visit.slow,
        begin,
        0 if visit.until is None else bundles.minutes(visit.until) - begin,
        party,
    )


def local(unix: int, utc_offset_min: int) -> str:
    """Return local time in words, to the minute."""
    return f"{datetime.fromtimestamp(unix, UTC) + timedelta(minutes=utc_offset_min):%Y-%m-%d %H:%M}"


def _overdue(session: Session, folder: Folder, closing: int) -> list[Visit]:
    """Return the visits whose cards were handed out before `closing` and are not back; staff keep theirs."""
    keepers = [rule.name for rule in folder.classes.values() if rule.exempt]
    return list(
        session.scalars(
            select(Visit)
            .where(Visit.state == LIVE, Visit.opened < closing, Visit.cls.not_in(keepers))
            .order_by(Visit.id)
        )
    )


def _in_hands(change: bookings.Change, visit: Visit) -> list[str]:
    """Return what of a booking cannot change while somebody has a card on it."""
    return [
        f"{change.after.where}:{column}: booking {visit.booking} has card {visit.card}: take it back first"
        for name, column in (("cls", "class"), ("state", "state"))
        if name in change.fields
    ]
