"""Who comes to the simulated site: honest visitors with what honest people do wrong, and brokers.

Owns the behaviour. Each broker's case says of which rule it is to be a signal, and by which visits, cards or
gates it is known. Behaviour is drawn from the site's `random`: the same seed gives the same day.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.host.report_site import Process, Site, unknown_uids

HOUR, MINUTE = 3600, 60
OPENS, CLOSES = 8 * HOUR, 15 * HOUR  # local seconds of the day; slots last an hour


@dataclass
class Case:
    """What a broker did: a signal of `kind` on the day that begins at `day` must name one of these.

    `foiled`: a gate refused, so that it may not have come to that.
    """

    kind: str
    day: int
    visits: set[int] = field(default_factory=set)
    cards: set[str] = field(default_factory=set)
    gates: set[str] = field(default_factory=set)
    foiled: bool = False


class Crowd:
    """Everybody who comes to `site`; `cases`: what the brokers among them did; `came`: how many visits."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.chance = site.random
        self.names = list(site.gates)
        self.cases: list[Case] = []
        self.came = 0
        self._person = 0
        self._free = list(site.pool)
        self._strangers = unknown_uids(site.random)

    # What everybody does

    def gate(self) -> str:
        return self.chance.choice(self.names)

    def wait(self, low: float, high: float) -> float:
        """Return a time between `low` and `high` minutes from now."""
        return self.site.now + self.chance.uniform(low, high) * MINUTE

    def identity(self) -> str:
        self._person += 1
        return f"3174{self._person:012d}"

    def card(self) -> str:
        return self._free.pop(0)

    def issue(self, cls: str, begin: int, until: int, **fields) -> Any:
        """Hand out a card for a window; return the act's outcome."""
        self.came += 1
        return self.site.act(self.site.desk.issue, self.card(), cls, None, begin, until, **fields)

    def companion(self, of: str, identity: str) -> Any:
        self.came += 1
        fields = {"companion_of": of, "identity": identity, "document": "KTP", "place": "box"}
        return self.site.act(self.site.desk.issue, self.card(), "blue", **fields)

    def give_back(self, uid: str) -> None:
        self.site.act(self.site.desk.take_back, uid)
        self._free.append(uid)

    def enter(self, uid: str, manner: str = "", walk_s: float = 1.5) -> Process:
        """Go in, somewhere; whoever is too early tries again when it is time. Returns whether it worked."""
        for _ in range(3):
            reason = yield from self.site.turn(self.gate(), "in", uid, manner, walk_s)
            if reason in ("ok", "reentry"):
                return True
            if reason not in ("too_early", "principal_absent", "companion_limit"):
                return False
            yield self.wait(6, 14)
        return False

    def leave(self, uid: str) -> Process:
        yield from self.site.turn(self.gate(), "out", uid)

    def stay(self) -> float:
        """Return when somebody has finished: most in a quarter of an hour, some much later."""
        return self.site.now + min(max(self.chance.lognormvariate(2.9, 0.5), 4), 70) * MINUTE

    # A day

    def day(self, midnight: int, visitors: int, plants: Callable[["Crowd", int], None] | None) -> None:
        """Let a day come: `visitors` honest parties, staff, and whatever `plants` adds."""
        kinds = [getattr(self, name) for name in dir(self) if name.startswith("honest_")]
        for number in range(visitors):
            slot = midnight + OPENS + self.chance.randrange((CLOSES - OPENS) // HOUR) * HOUR
            usual = self.honest_usual if self.chance.random() < 0.5 else kinds[number % len(kinds)]
            self.site.add(slot + self.chance.uniform(-25, 40) * MINUTE, usual(slot, slot + HOUR))
        for _ in range(len(self.names) * 2):
            self.site.add(midnight + 7 * HOUR + self.chance.uniform(0, 40) * MINUTE, self.officer(midnight))
        self.site.add(midnight + 10 * HOUR, self.power_cut())
        self.site.add(midnight + 13 * HOUR, self.network_outage())
        if plants is not None:
            plants(self, midnight)

    def officer(self, midnight: int) -> Process:
        uid = self.card()
        self.came += 1
        self.site.act(self.site.desk.issue, uid, "staff")
        for _ in range(4):
            yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(40, 110)
            yield from self.site.turn(self.gate(), "out", uid)
            yield self.wait(3, 25)
        self.give_back(uid)

    def power_cut(self) -> Process:
        gate = self.site.gates[self.names[-1]]
        gate.free_at = self.site.now + 90
        yield self.site.now + 60
        gate.start()

    def network_outage(self) -> Process:
        name = self.names[0]
        self.site.contact(name, False)
        yield self.wait(4, 5)
        self.site.contact(name, True)

    # Honest visitors: each is a process over a slot [begin, until)

    def honest_usual(self, begin: int, until: int, cls: str = "yellow", manner: str = "", slow: bool = False):
        """Card, in, out, card back."""
        uid = self.issue(cls, begin, until, slow=slow).card.uid
        yield self.wait(0.5, 4)
        if (yield from self.enter(uid, manner, 9 if slow else 1.5)):
            yield self.stay()
            yield from self.leave(uid)
        yield self.wait(1, 6)
        self.give_back(uid)

    def honest_slow(self, begin: int, until: int) -> Process:
        yield from self.honest_usual(begin, until, "green", slow=True)

    def honest_double_tap(self, begin: int, until: int) -> Process:
        yield from self.honest_usual(begin, until, manner="double")

    def honest_hesitant(self, begin: int, until: int) -> Process:
        """Shows the card and walks away, then comes back."""
        uid = self.issue("yellow", begin, until).card.uid
        yield from self.site.turn(self.gate(), "in", uid, "walk_away")
        yield self.wait(0.2, 2)
        if (yield from self.enter(uid)):
            yield self.stay()
            yield from self.leave(uid)
        self.give_back(uid)

    def honest_early_bird(self, begin: int, until: int) -> Process:
        """Comes more than an hour early and tries now and then."""
        yield begin - 80 * MINUTE
        uid = self.issue("yellow", begin, until).card.uid
        for _ in range(3):
            yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(15, 22)
        yield max(self.site.now, begin - 10 * MINUTE)
        if (yield from self.enter(uid)):
            yield self.stay()
            yield from self.leave(uid)
        self.give_back(uid)

    def honest_late(self, begin: int, until: int) -> Process:
        """Had a card in time and comes to the gate when the slot is over."""
        yield until - 2 * MINUTE
        uid = self.issue("yellow", begin, until).card.uid
        yield until + self.chance.uniform(1, 9) * MINUTE
        for _ in range(2):
            yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(1, 2)
        self.give_back(uid)

    def honest_wrong_card(self, begin: int, until: int) -> Process:
        """Holds a bank card and a phone to the reader first."""
        uid = self.issue("yellow", begin, until).card.uid
        gate, bank = self.gate(), next(self._strangers)
        for other in (bank, bank, "08" + self.chance.randbytes(3).hex()):
            yield from self.site.turn(gate, "in", other)
            yield self.wait(0.1, 0.4)
        if (yield from self.enter(uid)):
            yield self.stay()
            yield from self.leave(uid)
        self.give_back(uid)

    def honest_forgets_to_tap_out(self, begin: int, until: int) -> Process:
        """Goes out with an officer; the card is given back all the same."""
        uid = self.issue("yellow", begin, until).card.uid
        if (yield from self.enter(uid)):
            yield self.stay()
        self.give_back(uid)

    def honest_out_and_back(self, begin: int, until: int) -> Process:
        """Goes out for a paper left in the car, once in a hurry and once for lunch."""
        uid = self.issue("green", begin, until + 2 * HOUR).card.uid
        if (yield from self.enter(uid)):
            for pause in ((1, 2.5), (12, 25)):
                yield self.wait(5, 12)
                yield from self.leave(uid)
                yield self.wait(*pause)
                yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(5, 15)
            yield from self.leave(uid)
        self.give_back(uid)

    def honest_lost_exit(self, begin: int, until: int) -> Process:
        """Slips out behind an officer, is refused at the way in later, and the desk puts it right."""
        uid = self.issue("green", begin, until + 2 * HOUR).card.uid
        if (yield from self.enter(uid)):
            yield self.wait(14, 30)
            yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(1, 3)
            self.site.act(self.site.desk.correct_position, uid, "outside")
            if (yield from self.enter(uid)):
                yield self.wait(5, 20)
                yield from self.leave(uid)
        self.give_back(uid)

    def honest_family(self, begin: int, until: int, stays_min: float = 0, helpers: int = 1) -> Process:
        """An elderly person or a parent with a companion, who goes out first, or a little later."""
        uid = self.issue("yellow", begin, until, slow=True).card.uid
        blues = [self.companion(uid, self.identity()).card.uid for _ in range(helpers)]
        yield self.wait(1, 3)
        if not (yield from self.enter(uid, walk_s=6)):
            for one in (*blues, uid):
                self.give_back(one)
            return
        yield self.wait(0.2, 0.5)
        got_in = yield from self.enter(blues[0])
        for other in blues[1:]:  # they take turns, once
            yield self.wait(6, 9)
            yield from self.leave(blues[0])
            yield self.wait(1, 2)
            yield from self.enter(other)
        yield self.wait(5, 10)
        inside = blues[-1]
        if got_in and not stays_min:
            yield from self.leave(inside)
        yield from self.leave(uid)
        if got_in and stays_min:
            yield self.wait(stays_min, stays_min + 4)
            yield from self.leave(inside)
        yield self.wait(1, 4)
        for one in (*blues, uid):
            self.give_back(one)

    def honest_companion_lingers(self, begin: int, until: int) -> Process:
        yield from self.honest_family(begin, until, stays_min=6)

    def honest_relay(self, begin: int, until: int) -> Process:
        yield from self.honest_family(begin, until, helpers=2)

    def honest_companion_first(self, begin: int, until: int) -> Process:
        """The companion tries before the principal, who is still in the queue."""
        uid = self.issue("green", begin, until).card.uid
        blue = self.companion(uid, self.identity()).card.uid
        yield from self.site.turn(self.gate(), "in", blue)
        if (yield from self.enter(uid)):
            yield from self.enter(blue)
            yield self.stay()
            yield from self.leave(blue)
            yield from self.leave(uid)
        self.give_back(blue)
        self.give_back(uid)

    def honest_child_runs_behind(self, begin: int, until: int) -> Process:
        """A child runs through behind its mother: one tailgate alarm."""
        uid = self.issue("yellow", begin, until).card.uid
        if (yield from self.enter(uid, "follow")):
            yield self.stay()
            yield from self.leave(uid)
        self.give_back(uid)

    def honest_takes_card_home(self, begin: int, until: int) -> Process:
        """Gives the card back the next morning, after one try at the gate."""
        uid = self.issue("yellow", begin, until).card.uid
        if (yield from self.enter(uid)):
            yield self.stay()
            yield from self.leave(uid)
        yield (begin + 7 * HOUR) // 86400 * 86400 - 7 * HOUR + 86400 + 9 * HOUR
        yield from self.site.turn(self.gate(), "in", uid)
        yield self.wait(1, 3)
        self.give_back(uid)

    def honest_wheelchair(self, begin: int, until: int) -> Process:
        """Is granted, and the guard opens the wide gate."""
        uid = self.issue("yellow", begin, until, slow=True).card.uid
        gate = self.gate()
        of = self.site.gates[gate]
        while of.free_at > self.site.now:
            yield of.free_at + 1
        of.free_at = self.site.now + 40
        granted = of.show("in", bytes.fromhex(uid)) in ("ok", "reentry")
        if granted:
            yield self.site.now + 17
            of.press("in")
            yield self.site.now + 2
            of.walk("in")
            yield self.stay()
            yield from self.leave(uid)
        self.give_back(uid)

    # Brokers: `plant_RULE` is a process that makes a case of RULE

    def plants(self, midnight: int, rounds: int = 1) -> None:
        """Let brokers do everything that they do, `rounds` times."""
        names = [name for name in dir(self) if name.startswith("plant_")]
        for round_ in range(rounds):
            for number, name in enumerate(names):
                at = (
                    midnight
                    + OPENS
                    + ((number + 2 * round_) % 6) * HOUR
                    + self.chance.uniform(5, 20) * MINUTE
                )
                case = Case(name.removeprefix("plant_"), midnight)
                self.cases.append(case)
                slot = int(at) // HOUR * HOUR
                self.site.add(at, getattr(self, name)(case, slot, slot + HOUR))

    def client(self, case: Case, begin: int, until: int, cls: str = "yellow") -> str:
        outcome = self.issue(cls, begin, until)
        case.visits.add(outcome.visit.id)
        return outcome.card.uid

    def must(self, case: Case, process: Process) -> Process:
        """Go in; a gate that is out of contact may refuse: then there is no case."""
        if not (yield from process):
            case.foiled = True

    def helper(self, case: Case, of: str, identity: str) -> str:
        outcome = self.companion(of, identity)
        case.visits.add(outcome.visit.id)
        return outcome.card.uid

    def plant_companion_of_several(self, case: Case, begin: int, until: int) -> Process:
        """The same person comes in with three applicants, one after the other."""
        me = self.identity()
        for _ in range(3):
            uid = self.issue("yellow", begin, until + HOUR).card.uid
            blue = self.helper(case, uid, me)
            if (yield from self.enter(uid)):
                yield from self.enter(blue)
                yield self.wait(8, 12)
                yield from self.leave(blue)
                yield from self.leave(uid)
            self.give_back(blue)
            self.give_back(uid)
            yield self.wait(2, 5)

    def plant_companion_swap(self, case: Case, begin: int, until: int) -> Process:
        """Companions of one applicant take turns: each works the room for a while."""
        uid = self.client(case, begin, until + HOUR)
        blues = [self.helper(case, uid, self.identity()) for _ in range(2)]
        yield from self.must(case, self.enter(uid))
        for number in range(5):
            yield from self.must(case, self.enter(blues[number % 2]))
            yield self.wait(4, 6)
            yield from self.leave(blues[number % 2])
            yield self.wait(0.3, 1)
        yield from self.leave(uid)
        for one in (*blues, uid):
            self.give_back(one)

    def plant_companion_alone(self, case: Case, begin: int, until: int) -> Process:
        """The applicant goes home, the companion stays."""
        uid = self.issue("yellow", begin, until).card.uid
        blue = self.helper(case, uid, self.identity())
        yield from self.must(case, self.enter(uid))
        yield from self.must(case, self.enter(blue))
        yield self.wait(5, 6)
        yield from self.leave(uid)
        yield self.wait(35, 60)
        yield from self.leave(blue)
        self.give_back(blue)
        self.give_back(uid)

    def plant_slot_burst(self, case: Case, begin: int, until: int) -> Process:
        """Six places of one slot come together, and go together."""
        clients = []
        for _ in range(6):
            clients.append(self.client(case, begin, until))
            yield self.wait(0.3, 1)
        gate = self.gate()
        for uid in clients:
            yield from self.site.turn(gate, "in", uid)
        yield self.wait(20, 25)
        for uid in clients:
            yield from self.site.turn(gate, "out", uid)
        for uid in clients:
            yield self.wait(0.2, 1)
            self.give_back(uid)

    def plant_followed(self, case: Case, begin: int, until: int) -> Process:
        """A client lets somebody slip in behind, twice."""
        uid = self.client(case, begin, until + HOUR, "green")
        for _ in range(2):
            yield from self.must(case, self.enter(uid, "follow"))
            yield self.wait(10, 14)
            yield from self.leave(uid)
            yield self.wait(8, 12)
        self.give_back(uid)

    def plant_passed_back(self, case: Case, begin: int, until: int) -> Process:
        """The card comes back over the barrier and is shown at the entrances."""
        uid = self.client(case, begin, until)
        yield from self.must(case, self.enter(uid))
        for _ in range(2):
            yield self.wait(0.8, 2)
            yield from self.site.turn(self.gate(), "in", uid)
        yield self.wait(10, 20)
        yield from self.leave(uid)
        self.give_back(uid)

    def plant_handed_on(self, case: Case, begin: int, until: int) -> Process:
        """One card brings in four people, one after the other."""
        uid = self.client(case, begin, until + HOUR, "green")
        for _ in range(4):
            yield from self.must(case, self.enter(uid))
            yield self.wait(3, 6)
            yield from self.leave(uid)
            yield self.wait(0.5, 1.5)
        self.give_back(uid)

    def plant_entered_twice(self, case: Case, begin: int, until: int) -> Process:
        """Cuts a gate off, so that it does not know that the card is inside already."""
        uid = self.client(case, begin, until)
        cut, other = self.names[0], self.names[1]
        self.site.contact(cut, False)
        yield from self.site.turn(other, "in", uid)
        yield self.wait(1, 2)
        yield from self.site.turn(cut, "in", uid)
        yield self.wait(2, 3)
        self.site.contact(cut, True)
        yield self.wait(10, 15)
        yield from self.leave(uid)
        self.give_back(uid)

    def plant_outside_slot(self, case: Case, begin: int, until: int) -> Process:
        """Tries a card of a later slot again and again."""
        uid = self.client(case, begin + 3 * HOUR, until + 3 * HOUR)
        for _ in range(6):
            yield from self.site.turn(self.gate(), "in", uid)
            yield self.wait(8, 20)
        self.give_back(uid)

    def plant_kept_card(self, case: Case, begin: int, until: int) -> Process:
        """A card that was reported lost is tried."""
        uid = self.client(case, begin, until)
        self.site.act(self.site.desk.lose, uid)
        for _ in range(3):
            yield self.wait(3, 9)
            yield from self.site.turn(self.gate(), "in", uid)

    def plant_copied_card(self, case: Case, begin: int, until: int) -> Process:
        uid = self.client(case, begin, until)
        yield self.wait(1, 2)
        self.site.gates[self.gate()].show_copy("in", bytes.fromhex(uid))
        yield self.wait(1, 2)
        self.give_back(uid)

    def plant_position_corrected(self, case: Case, begin: int, until: int) -> Process:
        """Somebody at the desk helps a card that is inside already to bring in more people."""
        uid = self.client(case, begin, until + HOUR, "green")
        yield from self.enter(uid)
        for _ in range(3):
            yield self.wait(11, 14)
            self.site.act(self.site.desk.correct_position, uid, "outside")
            yield from self.enter(uid)
        yield self.wait(5, 9)
        yield from self.leave(uid)
        self.give_back(uid)

    def plant_unknown_burst(self, case: Case, begin: int, until: int) -> Process:
        """Tries the cards in a bag."""
        gate = self.gate()
        for _ in range(6):
            uid = next(self._strangers)
            case.cards.add(self.site.key(bytes.fromhex(uid)).hex())
            yield from self.site.turn(gate, "in", uid)
            yield self.wait(0.2, 1)

    def plant_unknown_probed(self, case: Case, begin: int, until: int) -> Process:
        """Tries a home-made card at every gate."""
        uid = next(self._strangers)
        case.cards.add(self.site.key(bytes.fromhex(uid)).hex())
        for gate in self.names:
            yield from self.site.turn(gate, "in", uid)
            yield self.wait(5, 15)

    def plant_guard_overrides(self, case: Case, begin: int, until: int) -> Process:
        """The guard lets in clients whose time has not come."""
        gate = self.gate()
        case.gates.add(gate)
        of = self.site.gates[gate]
        for _ in range(4):
            uid = self.issue("yellow", begin + 2 * HOUR, until + 2 * HOUR).card.uid
            while of.free_at > self.site.now:
                yield of.free_at + 1
            of.free_at = self.site.now + 30
            of.show("in", bytes.fromhex(uid))
            yield self.site.now + 4
            of.press("in")
            yield self.site.now + 2
            of.walk("in")
            self.site.add(self.wait(10, 25), self._goes(uid))
            yield self.wait(2, 6)

    def _goes(self, uid: str) -> Process:
        yield from self.leave(uid)
        self.give_back(uid)

    def plant_gate_restarts(self, case: Case, begin: int, until: int) -> Process:
        """Pulls the plug of a gate three times."""
        gate = self.gate()
        case.gates.add(gate)
        of = self.site.gates[gate]
        for _ in range(3):
            while of.free_at > self.site.now:
                yield of.free_at + 1
            of.free_at = self.site.now + 60
            yield self.site.now + 40
            of.start()
            yield self.wait(10, 30)

    def plant_journal_tampered(self, case: Case, begin: int, until: int) -> Process:
        """Changes a record of a gate after the office had it."""
        name = self.gate()
        case.gates.add(name)
        self.site.flush()
        journal = self.site.gates[name].journal
        buffer = bytearray(32)
        journal.read_into(journal.acknowledged, memoryview(buffer))
        buffer[12] ^= 1
        self.site.books.take_events(name, journal.journal_id, journal.acknowledged, [bytes(buffer)])
        yield self.wait(1, 2)
