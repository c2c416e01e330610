"""What a read costs: SPI frames, bytes and virtual time of our driver, beside physics and drivers of others.

Owns the operations, how each driver is asked for them, and the table. Figures are virtual, so they are the
same on every machine. A driver that brings a wrong result gets words instead of figures.
"""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from host_sim.bench import others
from host_sim.bench.rig import Rig, started
from host_sim.cards import air
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Answer, Card
from host_sim.cards.type2 import Type2Card
from host_sim.importer import ROOT

UID4, UID7, UID10 = (bytes.fromhex("04112233445566778899")[:size] for size in (4, 7, 10))
PAIR = (bytes.fromhex("04112233445566"), bytes.fromhex("04112233445567"))  # the last bits collide
TRIPLE = (*PAIR, bytes.fromhex("9c599b32"))
PAGE = 4
PAGES = bytes(range(16, 32))
PAGE_FILE = ROOT / "docs" / "reader.md"
_BEGIN = "<!-- made by `pinter bench reader --write-docs`, and compared by a test -->"
_END = "<!-- end -->"
_HALT = b"\x12\x50"  # the FIFO write of HLTA
_HALT_US = 1_000


@dataclass(frozen=True)
class Cost:
    """What one operation took."""

    frames: int
    bytes: int
    us: int


@dataclass(frozen=True)
class Limits:
    """What an operation may cost, and what it should: SPI frames, microseconds, multiples of the air time."""

    frames: int | None = None
    us: int | None = None
    ratio: float | None = None
    target_frames: int | None = None
    target_ratio: float | None = None


@dataclass(frozen=True)
class Row:
    """One operation: time in the air, ours, and per other driver its cost, words, or None: not installed."""

    name: str
    air_us: int
    ours: Cost
    limits: "Limits"
    others: dict[str, Cost | str | None]

    @property
    def ratio(self) -> float:
        """Return our time as a multiple of the time in the air."""
        return self.ours.us / self.air_us


class AirTime:
    """Adds up what the frames of a field take in the air, with no pause longer than the standard asks for.

    Both frame delay times are those of ISO/IEC 14443-3 6.2.1: the card's after the reader's frame, and as
    much before the reader's next one. The 1 ms of silence after HLTA is added by whoever sends it.
    """

    def __init__(self, rig: Rig) -> None:
        self.cycles = 0
        self._exchange = rig.field.exchange
        rig.field.exchange = self._listen

    def _listen(self, bits: bytes, began_us: int, speed: int = 0) -> list[tuple[Card, Answer]]:
        answers = self._exchange(bits, began_us, speed)
        self.cycles += (len(bits) + 2) * (air.ETU >> speed)
        if answers:
            longest = max(len(answer.bits) for _, answer in answers)
            delay = air.FDT_AFTER_1 if bits[-1] else air.FDT_AFTER_0
            from_card = answers[0][0].speed_from_card if answers[0][1].speed is None else answers[0][1].speed
            self.cycles += delay + (longest + 1) * (air.ETU >> from_card) + air.FDT_AFTER_0
        return answers

    @property
    def us(self) -> int:
        """Return microseconds."""
        return air.microseconds(self.cycles)


# Ours ------------------------------------------------------------------------------------------------------


def _empty() -> tuple[int, Cost]:
    rig = started()
    rig.poll()
    rig.rest()
    cost = _cost(rig, rig.scanner.poll, None)
    return air.microseconds(9 * air.ETU + air.FDT_AFTER_1), cost


def _cost(rig: Rig, function: Callable[[], Any], expected: Any) -> Cost:
    before = rig.bytes
    got, frames, us = rig.cost(function)
    assert got == expected, (got, expected)
    return Cost(frames, rig.bytes - before, us)


def _uids(*uids: bytes) -> Callable[[], tuple[int, Cost]]:
    """Return a measurement: from the first frame of REQA until the last UID is known, before its HLTA."""

    def measure() -> tuple[int, Cost]:
        rig = started()
        rig.poll()
        rig.enter(*uids)
        rig.rest()
        time_in_air = AirTime(rig)
        start, frames, sent = rig.timeline.now, rig.frames, rig.bytes
        here = (0, 0, 0, 0)
        marks = []

        def trace(now: int, kind: str, mosi: bytes, _miso: bytes) -> None:
            nonlocal here
            if kind == "spi":
                if mosi[:2] == _HALT:
                    marks.append(here)
                here = (now - start, rig.frames - frames, rig.bytes - sent, time_in_air.us)

        rig.chip.trace = trace
        found = rig.scanner.poll()
        assert set(found) == set(uids), found
        us, count, size, in_air = marks[-1]
        return in_air + (len(uids) - 1) * _HALT_US, Cost(count, size, us)

    return measure


def _read() -> tuple[int, Cost]:
    rig = _selected(Type2Card(UID7))
    frames = rig.load("drivers.mfrc522_frames").Frames(rig.driver)

    def read() -> bytes:
        frames.tx[0], frames.tx[1] = 0x30, PAGE
        return bytes(frames.rx[: frames.exchange(2, 5_000)])

    time_in_air = AirTime(rig)
    cost = _cost(rig, read, PAGES)
    return time_in_air.us, cost


def _selected(card: Card) -> Rig:
    rig = started()
    rig.field.enter(card)
    rig.poll()
    rig.scanner.select(card.uid)
    rig.rest(200)  # what lies before is not part of the operation
    return rig


def _rats(rate: int) -> Callable[[], tuple[int, Cost]]:
    def measure() -> tuple[int, Cost]:
        rig = _selected(IsoDepCard(UID7))
        link = rig.iso_dep()
        time_in_air = AirTime(rig)
        cost = _cost(rig, lambda: link.connect(rate), IsoDepCard(UID7).ats)
        return time_in_air.us, cost

    return measure


def _apdu(rate: int) -> Callable[[], tuple[int, Cost]]:
    def measure() -> tuple[int, Cost]:
        rig = _selected(IsoDepCard(UID7))
        link = rig.iso_dep()
        link.connect(rate)
        rig.rest(200)
        time_in_air = AirTime(rig)
        cost = _cost(rig, lambda: link.transceive(bytes(32)), bytes(32))
        return time_in_air.us, cost

    return measure


# Others --------------------------------------------------------------------------------------------------

Operations = dict[str, Callable[[], Any]]


def _mfrc522(load: Callable[[str], Any], bus: others.OtherBus) -> Operations:
    bus.wires[22] = bus.chip.reset_pin
    reader = load("mfrc522.MFRC522").MFRC522(debugLevel="CRITICAL")

    def uid() -> bytes | str:
        if reader.MFRC522_Request(reader.PICC_REQIDL)[0] != reader.MI_OK:
            return "no card"
        status, data = reader.MFRC522_Anticoll()
        if status != reader.MI_OK:
            return "collision"
        return bytes(data[:4]) if reader.MFRC522_SelectTag(data) else "cut to 4 bytes"

    def read() -> bytes:
        return bytes(reader.MFRC522_Read(PAGE) or ())

    return {
        "empty": lambda: reader.MFRC522_Request(reader.PICC_REQIDL)[0] == reader.MI_OK,
        "uid": uid,
        "read": read,
    }


def _pi_rc522(load: Callable[[str], Any], bus: others.OtherBus) -> Operations:
    bus.wires[22] = bus.chip.reset_pin
    module = load("pirc522.rfid")
    module.logger.setLevel("CRITICAL")
    reader = module.RFID(pin_irq=None)

    def uid() -> bytes | str:
        if reader.request()[0]:
            return "no card"
        error, part = reader.anticoll()
        if error:
            return "collision"
        if part[0] != 0x88:
            return "no SAK" if reader.select_tag(part) else bytes(part[:4])
        reader.select_tag(part)
        error, rest = reader.anticoll2()
        return "no second part" if error else bytes(part[1:4] + rest[:4])

    return {
        "empty": lambda: not reader.request()[0],
        "uid": uid,
        "read": lambda: bytes(reader.read(PAGE)[1]),
    }


def _python_rfid(load: Callable[[str], Any], bus: others.OtherBus) -> Operations:
    bus.wires[2] = bus.chip.reset_pin
    chip = load("python_rfid.mfrc522").MFRC522()
    chip.Init()
    handler = load("python_rfid.picc_handler").PICC_Handler(chip)
    silence = load("python_rfid.errors").TimeoutError
    collision = load("python_rfid.errors").CollisionError

    def is_there() -> bool:
        try:
            handler.RequestA()
        except silence:
            return False
        return True

    def uid() -> bytes | str:
        try:
            handler.RequestA()
            return bytes(handler.Select().raw_bytes)
        except silence:
            return "no second part"
        except (collision, TypeError):
            return "collision"

    def read() -> bytes:
        request = [0x30, PAGE]
        return bytes(
            chip.Transceive(request + list(chip.CalculateCrcBytes(request)), check_crc=False).data[:16]
        )

    return {"empty": is_there, "uid": uid, "read": read}


_DRIVERS: dict[str, Callable[[Callable[[str], Any], others.OtherBus], Operations]] = {
    "mfrc522": _mfrc522,
    "pi-rc522": _pi_rc522,
    "python-rfid": _python_rfid,
}


def _ask(name: str, operation: str, cards: list[Card], expected: Any) -> Cost | str | None:
    """Return what `operation` costs the driver `name` with `cards` in its field; words if it goes wrong."""
    if not others.is_installed(name):
        return None
    bus = others.OtherBus()
    with warnings.catch_warnings(), others.other(name, bus) as load:
        warnings.simplefilter("ignore", DeprecationWarning)  # ~ of a bool
        operations = _DRIVERS[name](load, bus)
        if operation not in operations:
            return "no"
        bus.enter(*cards)
        if operation == "read":
            operations["uid"]()
        frames, sent, start = bus.frames, bus.bytes, bus.now
        got = operations[operation]()
        cost = Cost(bus.frames - frames, bus.bytes - sent, bus.now - start)
    if got == expected:
        return cost
    return got if isinstance(got, str) else "wrong: %s" % (bytes(got).hex() or "nothing")


# The table -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operation:
    name: str
    ours: Callable[[], tuple[int, Cost]]
    operation: str
    cards: Callable[[], list[Card]]
    expected: Any
    limits: Limits = Limits()


def _plain(*uids: bytes) -> Callable[[], list[Card]]:
    return lambda: [Card(uid) for uid in uids]


_OPERATIONS = (
    _Operation("empty poll", _empty, "empty", _plain(), False, Limits(8, 2_000, None, 5)),
    _Operation("UID of 4 bytes", _uids(UID4), "uid", _plain(UID4), UID4, Limits(30, None, 1.6, 20, 1.3)),
    _Operation("UID of 7 bytes", _uids(UID7), "uid", _plain(UID7), UID7, Limits(52, None, 1.6, 36, 1.3)),
    _Operation("UID of 10 bytes", _uids(UID10), "uid", _plain(UID10), UID10, Limits(74, None, 1.6, 52, 1.3)),
    _Operation("two cards that collide", _uids(*PAIR), "uid", _plain(*PAIR), PAIR),
    _Operation("three cards", _uids(*TRIPLE), "uid", _plain(*TRIPLE), TRIPLE),
    _Operation("READ, 16 bytes", _read, "read", lambda: [Type2Card(UID4)], PAGES),
    _Operation("RATS", _rats(0), "rats", _plain(), None),
    _Operation("RATS and PPS to 848 kbit/s", _rats(3), "rats", _plain(), None),
    _Operation("32 bytes and back, 106 kbit/s", _apdu(0), "apdu", _plain(), None),
    _Operation("32 bytes and back, 848 kbit/s", _apdu(3), "apdu", _plain(), None),
)


def measure() -> list[Row]:
    """Measure every operation with every driver that is installed."""
    rows = []
    for asked in _OPERATIONS:
        in_air, ours = asked.ours()
        found = {name: _ask(name, asked.operation, asked.cards(), asked.expected) for name in _DRIVERS}
        rows.append(Row(asked.name, in_air, ours, asked.limits, found))
    return rows


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain values: times in microseconds."""

    def plain(found: Cost | str | None) -> Any:
        return asdict(found) if isinstance(found, Cost) else found

    return [
        {
            "operation": row.name,
            "air_us": row.air_us,
            "ours": asdict(row.ours),
            "ratio": round(row.ratio, 3),
            "limits": asdict(row.limits),
            "others": {name: plain(found) for name, found in row.others.items()},
        }
        for row in rows
    ]


def table(rows: list[Row]) -> str:
    """Return the table as Markdown; it is read as it is on a terminal, too."""
    names = list(_DRIVERS)
    head = ["operation", "air, ms", "PINTER, ms", "x air", "limit", "SPI frames", "limit", "bytes", *names]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1 - len(names)) + ["---"] * len(names)]
    lines += [
        [
            row.name,
            _ms(row.air_us),
            _ms(row.ours.us),
            "%.2f" % row.ratio,
            _limit(row.limits.ratio, row.limits.target_ratio),
            str(row.ours.frames),
            _limit(row.limits.frames, row.limits.target_frames),
            str(row.ours.bytes),
            *(_other(row, row.others[name]) for name in names),
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| %s |" % " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _other(row: Row, found: Cost | str | None) -> str:
    if isinstance(found, Cost):
        return "%d frames, %s ms, %.1f x" % (found.frames, _ms(found.us), found.us / row.air_us)
    return found or "-"


def _ms(us: int) -> str:
    return "%.2f" % (us / 1000)


def _limit(limit: float | None, target: float | None) -> str:
    return "-" if limit is None else "%s (%s)" % (limit, target)


def over(rows: list[Row]) -> list[str]:
    """Return a line for every limit that is not kept."""
    found = []
    for row in rows:
        for what, value, limit in (
            ("SPI frames", row.ours.frames, row.limits.frames),
            ("us", row.ours.us, row.limits.us),
            ("x air time", round(row.ratio, 3), row.limits.ratio),
        ):
            if limit is not None and value > limit:
                found.append("%s: %s %s, limit %s" % (row.name, value, what, limit))
    return found


def page(text: str, rows: list[Row]) -> str:
    """Return the text of docs/reader.md with the table in its place. Raises ValueError if it has none."""
    start, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    return text[:start] + "\n\n" + table(rows) + "\n\n" + text[end:]


def write_page(rows: list[Row]) -> None:
    """Put the table into docs/reader.md."""
    PAGE_FILE.write_text(page(PAGE_FILE.read_text(encoding="utf-8"), rows), encoding="utf-8")


def missing() -> list[str]:
    """Return the drivers of others that are not installed."""
    return [name for name in _DRIVERS if not others.is_installed(name)]
