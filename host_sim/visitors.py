"""A morning's visitors: who comes to the gate when, made from the office's list of visits.

Owns the plan only: the same list and seed give the same morning. Most people come in their slot, stay and
leave; some do what a gate must stand up to. Whether a tap is granted is the gate's affair. Times are Unix
seconds.
"""

import dataclasses
import random
from collections.abc import Iterable, Sequence

TURN_S = 8  # one person at the gate: card, decision, passage, and a clear space behind
WALK_AWAY_S = 12  # the same with nobody walking through: the opening has to end first
_EARLY_S = 8 * 60  # how long before their slot the first ones come
_CLASS_LETTER = {"yellow": "Y", "green": "G", "blue": "B", "staff": "S"}


@dataclasses.dataclass(frozen=True)
class Visit:
    """One line of the office's list; staff have no window (0, 0)."""

    uid: bytes
    cls: str
    from_unix: int
    until_unix: int
    party: int


@dataclasses.dataclass(frozen=True)
class Turn:
    """Somebody holds a card to the reader `direction` at `at` and, if granted, walks through.

    `manner`: "" as one should; "walk_away": nobody walks through; "follow": a second person walks behind.
    `needs_inside`: True = only somebody who got in does this, False = only somebody outside, None = anybody.
    """

    at: float
    uid: bytes
    direction: str
    manner: str = ""
    needs_inside: bool | None = None


@dataclasses.dataclass(frozen=True)
class Morning:
    """The plan: turns in order of time, at least `TURN_S` apart; `labels` are short names for cards."""

    start: int
    end: int
    turns: tuple[Turn, ...]
    labels: dict[bytes, str]


def plan(visits: Sequence[Visit], seed: int = 1) -> Morning:
    """Return the morning of these visits. Raises ValueError if none of them has a window."""
    slots = sorted({visit.from_unix for visit in visits if visit.from_unix})
    ends = [visit.until_unix for visit in visits if visit.until_unix and visit.cls == "yellow"]
    if not slots or not ends:
        raise ValueError("no visit has a window: there is no morning to play")
    return _Plan(visits, slots[0] - 12 * 60, max(ends) + 6 * 60, random.Random(seed)).morning()


class _Plan:
    """Collects wishes; `morning` puts them in a row."""

    def __init__(self, visits: Sequence[Visit], start: int, end: int, chance: random.Random) -> None:
        self.visits = visits
        self.start = start
        self.end = end
        self.chance = chance
        self.turns: list[Turn] = []
        self.labels: dict[bytes, str] = {}

    def morning(self) -> Morning:
        counts: dict[str, int] = {}
        for visit in self.visits:
            counts[visit.cls] = counts.get(visit.cls, 0) + 1
            letter = _CLASS_LETTER.get(visit.cls, visit.cls[:1].upper())
            self.labels[visit.uid] = "%s%02d" % (letter, counts[visit.cls])
        self.staff([visit for visit in self.visits if not visit.from_unix])
        parties = self.parties()
        self.oddities(parties)
        for principal, companions in parties:
            self.usual(principal, companions)
        self.strangers()
        return Morning(self.start, self.end, self.in_a_row(), self.labels)

    def parties(self) -> list[tuple[Visit, list[Visit]]]:
        """Return every principal with its companions, in the order of the list."""
        companions: dict[int, list[Visit]] = {}
        for visit in self.visits:
            if visit.cls == "blue":
                companions.setdefault(visit.party, []).append(visit)
        return [
            (visit, companions.get(visit.party, []))
            for visit in self.visits
            if visit.from_unix and visit.cls != "blue"
        ]

    def wish(
        self, at: float, visit: Visit, direction: str, manner: str = "", inside: bool | None = None
    ) -> None:
        self.turns.append(Turn(at, visit.uid, direction, manner, inside))

    def staff(self, officers: Iterable[Visit]) -> None:
        """Come before the first slot; every second one goes out for a while."""
        for number, officer in enumerate(officers):
            self.wish(self.start + 60 + 25 * number, officer, "in")
            if number % 2:
                out = self.start + 45 * 60 + 90 * number
                self.wish(out, officer, "out", inside=True)
                self.wish(out + 9 * 60, officer, "in")

    def usual(self, principal: Visit, companions: Sequence[Visit], arrival: float | None = None) -> None:
        """Come in the slot, companions right behind, stay for a while, and leave."""
        if arrival is None:
            latest = min(principal.until_unix, self.end - 20 * 60) - 4 * 60
            arrival = self.chance.uniform(principal.from_unix - _EARLY_S, latest)
        leaving = min(arrival + self.chance.uniform(7, 25) * 60, self.end - 150)
        self.wish(arrival, principal, "in")
        for number, companion in enumerate(companions, 1):
            self.wish(arrival + TURN_S * number, companion, "in")
            self.wish(leaving - TURN_S * number, companion, "out", inside=True)
        self.wish(leaving, principal, "out", inside=True)

    def oddities(self, parties: list[tuple[Visit, list[Visit]]]) -> None:
        """Take some parties out of the usual and let them do what a gate must stand up to."""
        alone = [party for party in parties if not party[1] and party[0].cls == "yellow"]
        families = [party for party in parties if len(party[1]) == 1]
        for oddity, among in (
            (self.comes_early, alone[-6:]),
            (self.comes_late, alone[:6]),
            (self.passes_card_back, alone[:6]),
            (self.walks_away_once, alone[:8]),
            (self.is_followed, alone[4:14]),
            (self.comes_back, alone[:8]),
            (self.companion_is_first, families[:4]),
            (self.companion_stays_behind, families[-4:]),
        ):
            left = [party for party in among if party in parties]
            if left:
                party = left[self.chance.randrange(len(left))]
                parties.remove(party)
                oddity(*party)

    def comes_early(self, principal: Visit, companions: Sequence[Visit]) -> None:
        self.wish(principal.from_unix - 31 * 60, principal, "in")
        self.usual(principal, companions, principal.from_unix - 2 * 60)

    def comes_late(self, principal: Visit, companions: Sequence[Visit]) -> None:
        self.wish(principal.until_unix + 3 * 60, principal, "in")

    def passes_card_back(self, principal: Visit, companions: Sequence[Visit]) -> None:
        arrival = principal.from_unix + 7 * 60
        self.usual(principal, companions, arrival)
        self.wish(arrival + 2 * TURN_S, principal, "in", inside=True)

    def walks_away_once(self, principal: Visit, companions: Sequence[Visit]) -> None:
        arrival = principal.from_unix + 4 * 60
        self.wish(arrival, principal, "in", "walk_away")
        self.usual(principal, companions, arrival + 3 * 60)

    def is_followed(self, principal: Visit, companions: Sequence[Visit]) -> None:
        arrival = principal.from_unix + 11 * 60
        self.wish(arrival, principal, "in", "follow")
        self.wish(arrival + 12 * 60, principal, "out", inside=True)

    def comes_back(self, principal: Visit, companions: Sequence[Visit]) -> None:
        self.wish(principal.from_unix + 2 * 60, principal, "in")
        self.wish(principal.from_unix + 13 * 60, principal, "out", inside=True)
        self.wish(principal.until_unix + 8 * 60, principal, "in", inside=False)
        self.wish(principal.until_unix + 21 * 60, principal, "out", inside=True)

    def companion_is_first(self, principal: Visit, companions: Sequence[Visit]) -> None:
        arrival = principal.from_unix + 9 * 60
        self.wish(arrival - 40, companions[0], "in")
        self.usual(principal, companions, arrival)

    def companion_stays_behind(self, principal: Visit, companions: Sequence[Visit]) -> None:
        arrival = principal.from_unix + 5 * 60
        self.wish(arrival, principal, "in")
        self.wish(arrival + TURN_S, companions[0], "in")
        self.wish(arrival + 10 * 60, principal, "out", inside=True)
        self.wish(arrival + 13 * 60, companions[0], "out", inside=True)

    def strangers(self) -> None:
        """Two cards of somebody else's and a phone."""
        known = {visit.uid for visit in self.visits}
        for number, head in enumerate((b"\x04", b"\x08", b"\x04"), 1):
            uid = head + self.chance.randbytes(3 if head == b"\x08" else 6)
            while uid in known or (len(uid) == 7 and uid[3] == 0x88):
                uid = head + self.chance.randbytes(len(uid) - 1)
            self.labels[uid] = "?%d" % number
            self.turns.append(Turn(self.start + (14 + 17 * number) * 60, uid, "in"))

    def in_a_row(self) -> tuple[Turn, ...]:
        """Return the wishes in order of time, each with the gate to itself."""
        row: list[Turn] = []
        free_at = 0.0
        for turn in sorted(self.turns, key=lambda turn: turn.at):
            at = round(max(turn.at, free_at), 1)
            row.append(dataclasses.replace(turn, at=at))
            free_at = at + (WALK_AWAY_S if turn.manner == "walk_away" else TURN_S)
        self.end = max(self.end, int(free_at) + 60)
        return tuple(row)
