"""What the API takes and gives, as its schema says it. Times are Unix seconds, cards UIDs in hex."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.office.desk import COMMANDS
from tools.office.tables import FIRST, LAST

CARD_PATTERN = "^[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2}){3,9}$"
GATE_PATTERN = "^[A-Za-z0-9_.-]{1,12}$"

Position = Literal["inside", "outside", "unknown"]
# Records have whole minutes.
Minute = Annotated[int, Field(ge=int(FIRST.timestamp()), le=int(LAST.timestamp()), multiple_of=60)]
Words = Annotated[str, Field(pattern="^[ -~]{1,32}$")]
CardNumber = Annotated[str, Field(pattern=CARD_PATTERN, examples=["04A1B2C3D4E5F6"])]


class Asked(BaseModel):
    """What is taken: fields that nobody knows are refused."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """What is given."""

    model_config = ConfigDict(populate_by_name=True)


class Problem(Given):
    """A refusal (RFC 9457). `detail` is one line for the desk; `fields`: where a value is wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    fields: list[dict[str, str]] | None = None


class Issue(Asked):
    """A card for one visit: of a booking, or of a class with a window. A companion leaves a document."""

    cls: Annotated[str | None, Field(alias="class", pattern="^[ -~]{1,16}$")] = None
    booking: Annotated[str | None, Field(pattern="^[A-Za-z0-9_./-]{1,32}$")] = None
    begin: Annotated[Minute | None, Field(alias="from", description="Default: now.")] = None
    until: Minute | None = None
    companion_of: Annotated[CardNumber | None, Field(description="Card of the principal.")] = None
    slow: bool = False
    identity: Annotated[
        str | None, Field(pattern="^[ -~]{1,64}$", description="Number of the document. It is not kept.")
    ] = None
    document: Annotated[Words | None, Field(description="Kind of the document, such as KTP.")] = None
    place: Annotated[Words | None, Field(description="Where the document is kept.")] = None


class Place(Asked):
    """Where a card is, by the desk's word."""

    position: Position


class Order(Asked):
    """A command for a gate; it holds for an hour. `argument` as the command asks for it."""

    command: Annotated[str, Field(pattern="^[a-z_]{1,32}$", examples=list(COMMANDS))]
    argument: Annotated[str, Field(pattern="^[a-z_0-9]{0,32}$")] = ""


class Deposit(Given):
    """A document that the desk keeps, or gave back."""

    number: int
    document: str
    place: str
    state: Literal["held", "closed"]


class HeldDeposit(Given):
    """A document that the desk keeps."""

    number: int
    document: str
    place: str
    card: str
    since: int


class Done(Given):
    """What an act came to. The desk has to read `alarms` and `notes`."""

    act: str
    alarms: list[str]
    notes: list[str]
    card: str | None = None
    state: Literal["free", "issued", "lost"] | None = None
    blocked: bool | None = None
    list_seq: int | None = None
    visit: int | None = None
    cls: Annotated[str | None, Field(alias="class")] = None
    begin: Annotated[int | None, Field(alias="from")] = None
    until: int | None = None
    party: int | None = None
    deposit: Deposit | None = None


class Visit(Given):
    """One card in somebody's hands. `party` 0 = none; no window = untimed."""

    visit: int
    card: str
    cls: Annotated[str, Field(alias="class")]
    begin: Annotated[int | None, Field(alias="from")]
    until: int | None
    slow: bool
    party: int
    booking: str
    state: Literal["live", "returned", "lost"]
    opened: int
    closed: int | None
    position: Position
    position_since: int | None
    blocked: bool


class Card(Given):
    """A card of the pool."""

    card: str
    product: str
    tier: str
    key_version: int
    state: Literal["free", "issued", "lost"]
    blocked: bool


class CardNow(Card):
    """A card, the visit that it is bound to, and the document that is kept for it."""

    visit: Visit | None
    deposit: HeldDeposit | None


class Visits(Given):
    """A page of visits. `next`: `after` of the next page, null = that is all."""

    visits: list[Visit]
    next: int | None


class Cards(Given):
    """A page of cards."""

    cards: list[Card]
    next: str | None


class Booking(Given):
    """A place in the online queue."""

    booking: str
    cls: Annotated[str, Field(alias="class")]
    begin: Annotated[int, Field(alias="from")]
    until: int
    slow: bool
    state: Literal["booked", "cancelled"]


class Bookings(Given):
    """A page of bookings."""

    bookings: list[Booking]
    next: str | None


class Deposits(Given):
    """A page of documents that the desk keeps."""

    deposits: list[HeldDeposit]
    next: int | None


class Inside(Given):
    """Who is inside. `occupancy` counts those who count for the room."""

    occupancy: int
    visits: list[Visit]


class Party(Given):
    """A principal, and who came along."""

    party: int
    visits: list[Visit]


class Overdue(Given):
    """Cards that were not back by closing time; they are blocked."""

    visits: list[Visit]


class Report(Given):
    """What a gate says to everybody on the broker. It is not signed: for display only."""

    at: float
    time: int | None = None
    trusted: bool | None = None
    lane: str | None = None
    mode: str | None = None
    occupancy: int | None = None
    fault: str | None = None
    alarms: list[str] = []


class Gate(Given):
    """A gate. What it does now is known only where `pinter office serve` runs: null elsewhere.

    `behind`: lists that it has not confirmed; `undelivered`: records that it has and the office has not.
    """

    gate: str
    number: int
    key_id: str
    list: int
    has_list: int
    behind: int
    online: bool | None = None
    heard: float | None = None
    undelivered: int | None = None
    report: Report | None = None


class Gates(Given):
    """All gates."""

    gates: list[Gate]


class Command(Given):
    """A command. `done`: the gate said that it arrived."""

    gate: str
    command: str
    argument: str
    nonce: str
    expires: int
    done: bool


class Commands(Given):
    """Commands that a gate has not had yet."""

    commands: list[Command]


class Alarm(Given):
    """An alarm of the office; `gate` "desk" = raised at the desk."""

    id: int
    since: int
    gate: str
    kind: str
    text: str


class Alarms(Given):
    """A page of alarms."""

    alarms: list[Alarm]
    next: int | None


class Event(Given):
    """A journal record. `id` is the order of arrival; `card` its UID, or its key if it is unknown.

    `fault`: what a fault of the program left behind.
    """

    id: int
    gate: str
    journal: str
    seq: int
    time: int
    ms: int
    trusted: bool
    type: str
    direction: str
    reason: str
    cls: Annotated[int, Field(alias="class")]
    card: str
    party: int
    fault: str


class Events(Given):
    """A page of events. `next`: `after` or `before` of the next page; `last`: the newest event of all."""

    events: list[Event]
    next: int | None
    last: int


class Act(Given):
    """A row of the audit trail. `details.rows`: what the act left in the books."""

    seq: int
    time: int
    actor: str
    act: str
    details: dict[str, Any]
    mac: str


class Acts(Given):
    """A page of the audit trail."""

    acts: list[Act]
    next: int | None


class Health(Given):
    """That the books can be read. `serving`: the gates' sessions run in this program."""

    site: str
    time: int
    serving: bool
    last_event: int
    acts: int
