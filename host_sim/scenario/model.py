"""What a scenario file says, as values.

Owns the shapes that `format` fills and `runner` plays. Times are Unix microseconds (UTC) unless the name says
otherwise; it knows no YAML and no hardware.
"""

from dataclasses import dataclass, field
from typing import Any

from firmware.config import CLASSES

US = 1_000_000
LIST_LIFE_S = 86400  # unless the file says otherwise
DIRECTIONS: tuple[str, ...] = ("in", "out")
DECISIONS = ("grant", "deny", "ignore", "none")
LANES = ("locked", "open_in", "open_out", "free", "fault")
INPUTS = ("fire", "guard_in", "guard_out", "tamper")
MODES = ("normal", "lockdown", "out_of_service", "free")
# Type of card: the tier that it can prove.
TIERS = {"uid": 0, "classic": 1, "ntag213": 1, "ntag424": 2, "desfire": 2}
CARD_TYPES = tuple(TIERS)
PROVING = CARD_TYPES[1:]
SIGNED, SPEAKING = PROVING[:2], PROVING[2:]  # with a counter; with commands of ISO/IEC 14443-4
RELEASES = ("forged", "damaged", "for_another_board", "for_another_interpreter")
CARD_KEYS = ("own", "wrong")
CARD_ANSWERS = ("all", "number")
WORK_MS = 2  # of a card with keys, for each command
BUILT_IN_CLASSES = tuple(name for name, _, _ in CLASSES)


@dataclass(frozen=True)
class Card:
    """A piece of plastic. `copy_of` names the card whose number it carries, never its keys.

    `keys` wrong: they are none that the office gave it; `answers` number: it refuses every command and shows
    nothing but its number; `work_ms`: the time that it takes for a command; `counter`: what a signed one
    shows at the start, None: 1, or what its original does.
    """

    name: str
    uid: bytes
    type: str = "uid"
    magic: bool = False
    copy_of: str | None = None
    keys: str = "own"
    answers: str = "all"
    work_ms: float = WORK_MS
    counter: int | None = None

    @property
    def is_copy(self) -> bool:
        """Whether it only pretends to be the card with its number."""
        return self.magic or self.copy_of is not None


@dataclass(frozen=True)
class Record:
    """One line of the office's list; without a window (Unix seconds) it is untimed."""

    card: str
    cls: str
    from_unix: int | None = None
    until_unix: int | None = None
    party: int = 0
    slow: bool = False


@dataclass(frozen=True)
class Expect:
    """What must come of a tap; None = not asked."""

    decision: str | None = None
    reason: str | None = None
    within_ms: int | None = None
    alarm: str | None = None


@dataclass(frozen=True)
class Step:
    """One entry of the timeline: `number` from 1, `line` in the file; `gate` None = as the kind says."""

    number: int
    line: int
    at_us: int
    gate: str | None


@dataclass(frozen=True)
class Tap(Step):
    """Cards enter the field of one reader, stay `hold_us`, and leave.

    `torn_at`: the card is gone at the N-th frame of its proof; `relay_ms`: somebody carries its answers from
    elsewhere, and each is so much later.
    """

    cards: tuple[str, ...]
    direction: str
    hold_us: int
    expect: Expect | None
    torn_at: int | None = None
    relay_ms: int = 0


@dataclass(frozen=True)
class Pass(Step):
    """Somebody walks through: the direction's passage sensor is on for `hold_us`."""

    direction: str
    hold_us: int


@dataclass(frozen=True)
class Input(Step):
    """An input changes."""

    name: str
    on: bool


@dataclass(frozen=True)
class Office(Step):
    """The office acts: `action` is issue, revoke, return, lost, expire_list, command or update.

    `release`: of RELEASES, what is wrong with the release of the firmware that gates get.
    """

    action: str
    card: str | None = None
    record: Record | None = None
    mode: str | None = None
    release: str | None = None


@dataclass(frozen=True)
class Network(Step):
    """The link between office and gates."""

    up: bool
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True)
class Power(Step):
    """Power goes (`cut_at` = inside the N-th flash operation from here) or comes back (`clock_kept`)."""

    on: bool
    clock_kept: bool = True
    cut_at: int | None = None


@dataclass(frozen=True)
class ClockStep(Step):
    """SNTP steps by `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Reader(Step):
    """A reader chip stops answering, or answers again."""

    direction: str
    dead: bool


@dataclass(frozen=True)
class Firmware(Step):
    """No application of a gate can be loaded any more, from its next boot on; or again."""

    broken: bool


@dataclass(frozen=True)
class Check(Step):
    """What must be true at this instant; None = not asked. `inside` holds card names."""

    inside: tuple[str, ...] | None = None
    occupancy: int | None = None
    relay_pulses: dict[str, int] | None = None
    lane: str | None = None
    alarms: tuple[str, ...] | None = None
    events: dict[str, Any] | None = None
    list_seq: int | None = None
    trusted_time: bool | None = None
    safe_mode: bool | None = None


@dataclass(frozen=True)
class Scenario:
    """One file. `site` holds the overrides of the site config with a code for every new class."""

    file: str
    title: str
    start_us: int
    utc_offset_min: int
    site: dict[str, Any]
    gates: tuple[str, ...]
    cards: dict[str, Card]
    allow: tuple[Record, ...]
    list_expires_unix: int
    steps: tuple[Step, ...] = field(default=())

    @property
    def list_is_renewed(self) -> bool:
        """Whether the office keeps the list alive: not if the story says when it expires."""
        return self.list_expires_unix == self.start_us // US + LIST_LIFE_S

    @property
    def has_link(self) -> bool:
        """Whether the story needs an office: it acts, the network changes, events reach it, gates talk,
        or there is a time server.
        """
        return len(self.gates) > 1 or any(
            isinstance(step, (Office, Network, ClockStep))
            or (isinstance(step, Check) and step.events is not None)
            for step in self.steps
        )

    @property
    def has_sntp(self) -> bool:
        """Whether the story needs a time server."""
        return any(isinstance(step, ClockStep) for step in self.steps)

    def tiers(self) -> dict[bytes, int]:
        """Return the tier that the office's pool knows of every card number; what is no copy comes first."""
        cards = sorted(self.cards.values(), key=lambda card: not card.is_copy)
        return {card.uid: TIERS[card.type] for card in cards}

    def class_codes(self) -> dict[str, int]:
        """Return the credential's class code of every class name of this site."""
        codes = {name: code for name, code, _ in CLASSES}
        for name, rules in self.site.get("classes", {}).items():
            if "code" in rules:
                codes[name] = rules["code"]
        return codes
