"""Any sequence of acts at the desk, beside a model of what must come of it, and a gate that gets every list.

The model knows the rules in its own words: which act is refused, which card is blocked, whose ID is held.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import func, select

from firmware import bundles, records
from firmware.crypto import card_key
from tests.counts import count
from tests.host.office_bench import CARDS, HOUR, MORNING, Bench, Template
from tools.office import bookings, bundle, verify
from tools.office.books import Books
from tools.office.db import engine, models
from tools.office.desk import DeskError

CODES = {"yellow": 1, "green": 2, "blue": 3, "staff": 4}
PRINCIPALS = ("yellow", "green")
DAY = 86400
CLOSING = MORNING + 8 * HOUR + 1800
picks = st.integers(0, 63)
codes = st.sampled_from(("B1", "B2"))
hours = st.integers(1, 30)


@dataclass
class Held:
    """The last visit of a card, as the model has it."""

    cls: str
    begin: int
    until: int
    slow: bool
    party: int
    opened: int
    booking: str = ""
    live: bool = True
    blocked: bool = False
    deposit: str = ""  # "", "held", "closed"
    number: int = 0  # of the deposit


class DeskMachine(RuleBasedStateMachine):
    """Desk, books and one gate. `held`: last visit of a card; `lost`: cards; `at_gate`: its list by key."""

    template: Template | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        if DeskMachine.template is None:
            DeskMachine.template = Template()
        self.office: Bench = DeskMachine.template.copy(Path(self.folder.name) / "office")
        self.books: Books = self.office.books()
        self.held: dict[str, Held] = {}
        self.lost: set[str] = set()
        self.bookings: dict[str, bookings.Booked] = {}
        self.reclaimed = CLOSING - DAY
        self.at_gate: dict[bytes, records.Credential] = {}
        self.has = 0
        self.issue_principal(1, "yellow", 5, False)
        self.issue_companion(1, 1, "31740001")
        self.book("B1", "green", 0, 5, False, "booked", False)

    def teardown(self) -> None:
        self.ship(1186)
        assert verify.verify(self.office.folder, self.office.engine).faults == []
        self.office.close()
        self.folder.cleanup()

    # The model

    def pick(self, number: int, fits: Callable[[str], bool]) -> str:
        """Return a card: three times out of four one that fits, if there is any."""
        fitting = [uid for uid in CARDS if fits(uid)]
        chosen = fitting if number % 4 and fitting else CARDS
        return chosen[number // 4 % len(chosen)]

    def live(self, uid: str) -> Held | None:
        held = self.held.get(uid)
        return held if held is not None and held.live else None

    def act(self, allowed: Callable[[], bool], do: Callable[[], Any]) -> Any:
        """Do an act; it must be carried out exactly if the model allows it. Return its outcome, or None."""
        self.closing_time()
        try:
            outcome = do()
        except DeskError as refusal:
            assert not allowed(), refusal
            return None
        assert allowed(), "carried out against the rules"
        return outcome

    def closing_time(self) -> None:
        closing = (self.office.now - CLOSING) // DAY * DAY + CLOSING
        if closing > self.reclaimed:
            self.reclaimed = closing
            for held in self.held.values():
                if held.live and held.cls != "staff" and held.opened < closing:
                    held.blocked = True

    def is_free(self, uid: str) -> bool:
        return uid not in self.lost and self.live(uid) is None

    def is_host(self, uid: str) -> bool:
        held = self.live(uid)
        return held is not None and held.cls in PRINCIPALS and not held.blocked

    def taken(self, uid: str, outcome, cls: str, begin: int, until: int, slow: bool = False) -> None:
        self.held[uid] = Held(cls, begin, until, slow, outcome.party, self.office.now)

    def parties(self) -> set[int]:
        return {held.party for held in self.held.values() if held.live and held.party}

    def deposits(self) -> set[str]:
        return {held.deposit for held in self.held.values() if held.live}

    # Acts

    @rule(pick=picks, cls=st.sampled_from(PRINCIPALS), length=hours, slow=st.booleans())
    def issue_principal(self, pick, cls, length, slow):
        uid = self.pick(pick, self.is_free)
        now = self.office.now
        until = now + length * HOUR
        others = self.parties()
        outcome = self.act(
            lambda: self.is_free(uid), lambda: self.office.desk.issue(uid, cls, until=until, slow=slow)
        )
        if outcome is not None:
            assert outcome.party and outcome.party not in others
            self.taken(uid, outcome, cls, now // 60 * 60, until // 60 * 60, slow)

    @precondition(lambda self: self.parties())
    @rule(pick=picks, host=picks, person=st.sampled_from(("31740001", "31740002", "31740003", None)))
    def issue_companion(self, pick, host, person):
        uid = self.pick(pick, self.is_free)
        of = self.pick(host, self.is_host)

        def allowed():
            return self.is_free(uid) and self.is_host(of) and person is not None

        def do():
            return self.office.desk.issue(uid, "blue", companion_of=of, identity=person, document="KTP")

        outcome = self.act(allowed, do)
        if outcome is not None:
            host = self.held[of]
            assert outcome.party == host.party
            self.taken(uid, outcome, "blue", host.begin, host.until)
            self.held[uid].deposit, self.held[uid].number = "held", outcome.deposit.id

    @rule(pick=picks)
    def issue_staff(self, pick):
        uid = self.pick(pick, self.is_free)
        outcome = self.act(lambda: self.is_free(uid), lambda: self.office.desk.issue(uid, "staff"))
        if outcome is not None:
            self.taken(uid, outcome, "staff", 0, 0)

    @precondition(lambda self: self.bookings)
    @rule(pick=picks, code=codes)
    def issue_booked(self, pick, code):
        uid = self.pick(pick, self.is_free)
        booked = self.bookings.get(code)
        allowed = (
            self.is_free(uid)
            and booked is not None
            and booked.state == "booked"
            and booked.until > self.office.now
            and not any(held.live and held.booking == code for held in self.held.values())
        )
        outcome = self.act(lambda: allowed, lambda: self.office.desk.issue(uid, booking=code))
        if outcome is not None:
            assert booked is not None
            self.taken(uid, outcome, booked.cls, booked.begin, booked.until, booked.slow)
            self.held[uid].booking = code

    @rule(
        code=codes,
        cls=st.sampled_from(PRINCIPALS),
        begin=st.integers(-3, 20),
        length=st.integers(1, 5),
        slow=st.booleans(),
        state=st.sampled_from(("booked", "booked", "cancelled")),
        dry_run=st.booleans(),
    )
    def book(self, code, cls, begin, length, slow, state, dry_run):
        start = MORNING + begin * HOUR
        wanted = bookings.Booked(code, cls, start, start + length * HOUR, slow, state, "f:2")
        before = self.bookings.get(code)
        out = next((held for held in self.held.values() if held.live and held.booking == code), None)
        fits = out is None or before is None or (before.cls, before.state) == (cls, state)
        done = self.act_of_import(fits, wanted, dry_run)
        if done and not dry_run:
            self.bookings[code] = wanted
            if out is not None:
                out.begin, out.until, out.slow = wanted.begin, wanted.until, slow

    def act_of_import(self, fits, wanted, dry_run):
        if not dry_run:
            return self.act(lambda: fits, lambda: [self.office.desk.import_bookings([wanted], False)])
        try:
            self.office.desk.import_bookings([wanted], True)
        except DeskError:
            assert not fits
        return False

    @rule(pick=picks)
    def take_back(self, pick):
        self.back(self.pick(pick, lambda uid: self.live(uid) is not None))

    @precondition(lambda self: "held" in self.deposits())
    @rule(pick=picks)
    def companion_leaves(self, pick):
        self.back(self.pick(pick, lambda uid: self.live(uid) is not None and self.held[uid].deposit != ""))

    def back(self, uid: str) -> None:
        outcome = self.act(lambda: self.live(uid) is not None, lambda: self.office.desk.take_back(uid))
        if outcome is not None:
            held = self.held[uid]
            held.live, held.blocked = False, True
            held.deposit = "closed" if held.deposit else ""

    @rule(pick=picks)
    def lose(self, pick):
        uid = self.pick(pick, lambda uid: self.live(uid) is not None)
        outcome = self.act(lambda: uid not in self.lost, lambda: self.office.desk.lose(uid))
        if outcome is not None:
            self.lost.add(uid)
            if uid in self.held:
                self.held[uid].live, self.held[uid].blocked = False, True

    @precondition(lambda self: self.lost)
    @rule(pick=picks)
    def restore(self, pick):
        uid = self.pick(pick, lambda uid: uid in self.lost)
        if self.act(lambda: uid in self.lost, lambda: self.office.desk.restore(uid)) is not None:
            self.lost.discard(uid)

    @rule(pick=picks)
    def revoke(self, pick):
        uid = self.pick(pick, lambda uid: self.live(uid) is not None)

        def allowed():
            held = self.live(uid)
            return held is not None and not held.blocked

        if self.act(allowed, lambda: self.office.desk.revoke(uid)) is not None:
            self.held[uid].blocked = True

    @rule(pick=picks, where=st.sampled_from(("inside", "outside", "unknown")))
    def correct(self, pick, where):
        uid = self.pick(pick, lambda uid: self.live(uid) is not None)
        outcome = self.act(
            lambda: self.live(uid) is not None, lambda: self.office.desk.correct_position(uid, where)
        )
        if outcome is not None:
            assert self.office.position(uid) == where

    @rule(pick=picks)
    def close_deposit(self, pick):
        uid = self.pick(pick, lambda uid: uid in self.held and self.held[uid].deposit == "held")
        held = self.held.get(uid)
        if held is not None and held.number:
            allowed = held.deposit == "held" and not held.live
            if self.act(lambda: allowed, lambda: self.office.desk.close_deposit(held.number)) is not None:
                held.deposit = "closed"

    @rule(minutes=st.integers(1, 12 * 60))
    def time_passes(self, minutes):
        self.office.now += minutes * 60

    @rule()
    def reclaim(self):
        overdue = self.act(lambda: True, lambda: [self.office.desk.reclaim()])
        expected = {
            uid
            for uid, held in self.held.items()
            if held.live and held.cls != "staff" and held.opened < self.reclaimed
        }
        assert {visit.card for visit in overdue[0]} == expected

    # Lists

    @rule(room=st.sampled_from((416, 500, 1186)))  # of one number of the list, at least
    def ship(self, room):
        """Send what the gate lacks, step by step in frames of `room` bytes, and compare."""
        self.books.refresh(self.office.now)
        if not self.books.list_seq():
            assert not self.held
            return
        key = self.books.gate_key("A")
        if not self.has:
            self.take(bundle.parse(self.books.snapshot("A"), key))
        while self.has < self.books.list_seq():
            data = self.books.delta("A", self.has, room)
            assert data is not None and len(data) <= room
            self.take(bundle.parse(data, key))
        assert self.at_gate == self.expected()

    @rule()
    def begin_again(self):
        """Let the office's program begin again, and the gate lose its list."""
        self.books = self.office.books()
        self.at_gate, self.has = {}, 0

    def take(self, found: bundle.Bundle) -> None:
        assert found.header.seq_from <= self.has < found.header.seq_to
        self.at_gate |= {credential.key: credential for credential in found.credentials}
        self.has = found.header.seq_to

    def expected(self) -> dict[bytes, records.Credential]:
        site_key = self.office.folder.key("site")
        listed = {}
        for uid, held in self.held.items():
            key = card_key(site_key, bytes.fromhex(uid))
            untimed = held.cls == "staff"
            begin = 0 if untimed else bundles.minutes(held.begin)
            length = 0 if untimed else bundles.minutes(held.until) - begin
            listed[key] = records.Credential(
                key, CODES[held.cls], held.blocked, untimed, 0, held.slow, begin, length, held.party
            )
        return listed

    # What must hold at any time

    @invariant()
    def a_card_has_one_visit_and_a_returned_deposit_is_closed(self):
        with engine.reading(self.office.engine) as db:
            of = select(models.Visit.card, func.count()).where(models.Visit.state == "live")
            live = {row[0]: row[1] for row in db.execute(of.group_by(models.Visit.card))}
            kept = set(
                db.scalars(
                    select(models.Visit.card)
                    .join(models.Deposit, models.Deposit.visit == models.Visit.id)
                    .where(models.Deposit.state == "held", models.Visit.state == "returned")
                )
            )
            issued = set(db.scalars(select(models.Card.uid).where(models.Card.state == "issued")))
        assert live == {uid: 1 for uid, held in self.held.items() if held.live}
        assert issued == set(live)
        assert kept == set()


DeskMachine.TestCase.settings = settings(max_examples=count(20, 100), stateful_step_count=count(40, 50))
test_any_sequence_of_acts = DeskMachine.TestCase


def teardown_module():
    if DeskMachine.template is not None:
        DeskMachine.template.close()
        DeskMachine.template = None
