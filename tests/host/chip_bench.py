"""A simulated MFRC522 on the bench: the bare SPI frames that the tests of chip and cards need.

Its register addresses are numbers on purpose, a third copy that agrees with neither driver nor simulator by
import. SPI takes no time here, so that virtual microseconds in tests are those of chip and air alone.
"""

from typing import NamedTuple

from host_sim.cards.air import with_crc_a
from host_sim.cards.field import Field
from host_sim.cards.picc import Card
from host_sim.chips.mfrc522 import MFRC522
from host_sim.timeline import Timeline

TIMER_IRQ, ERR_IRQ, LO_ALERT_IRQ, HI_ALERT_IRQ, IDLE_IRQ, RX_IRQ, TX_IRQ = (1 << bit for bit in range(7))
PROTOCOL_ERR, PARITY_ERR, CRC_ERR, COLL_ERR, BUFFER_OVFL, WR_ERR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x80
TRANSCEIVE, IDLE = 0x0C, 0x00


class Result(NamedTuple):
    """What the chip shows after an exchange."""

    data: bytes
    last_bits: int
    irq: int
    error: int
    coll: int


class Bench:
    """Timeline, field, chip, and the least a driver does."""

    def __init__(self, version: int = 0x92) -> None:
        self.timeline = Timeline()
        self.field = Field(self.timeline)
        self.chip = MFRC522(self.timeline, self.field, version)

    @property
    def now(self) -> int:
        return self.timeline.now

    def advance(self, microseconds: int) -> None:
        self.timeline.run_until(self.timeline.now + microseconds)

    def write(self, address: int, *values: int) -> None:
        assert self.chip.transfer(bytes((address << 1, *values))) == bytes(1 + len(values))

    def read(self, address: int) -> int:
        return self.chip.transfer(bytes((0x80 | address << 1, 0)))[1]

    def read_many(self, *addresses: int) -> bytes:
        return self.chip.transfer(bytes([0x80 | address << 1 for address in addresses] + [0]))[1:]

    def set_up(self, timer_us: int = 1_000) -> None:
        """Switch the field on, 100 % ASK, CRC_A preset, TAuto with ticks of 25 us."""
        self.write(0x2A, 0x80)
        self.write(0x2B, 0xA9)
        reload = timer_us // 25 - 1
        self.write(0x2C, reload >> 8)
        self.write(0x2D, reload & 0xFF)
        self.write(0x15, 0x40)
        self.write(0x11, 0x3D)
        self.write(0x14, 0x83)

    def enter(self, *cards: Card) -> None:
        """Bring cards in and wait until they are awake."""
        for card in cards:
            self.field.enter(card)
        self.advance(5_000)

    def start(self, data: bytes, last_bits: int = 0, align: int = 0) -> None:
        """Start a Transceive."""
        self.write(0x01, IDLE)
        self.write(0x04, 0x7F)
        self.write(0x0A, 0x80)
        self.write(0x0D, align << 4 | last_bits)
        if data:
            self.write(0x09, *data)
        self.write(0x01, TRANSCEIVE)
        self.write(0x0D, 0x80 | align << 4 | last_bits)

    def result(self) -> Result:
        irq, error, level, control, coll = self.read_many(0x04, 0x06, 0x0A, 0x0C, 0x0E)
        data = self.read_many(*[0x09] * level) if level else b""
        return Result(data, control & 7, irq, error, coll)

    def exchange(self, data: bytes, last_bits: int = 0, align: int = 0, wait_us: int = 20_000) -> Result:
        """Send `data`, wait, and return what came."""
        self.start(data, last_bits, align)
        self.advance(wait_us)
        return self.result()

    def short(self, value: int) -> Result:
        """Send a 7-bit frame: REQA 26, WUPA 52."""
        return self.exchange(bytes([value]), 7)

    def with_crc(self, data: bytes) -> Result:
        """Send `data` and its CRC_A."""
        return self.exchange(with_crc_a(data))

    def activate(self, card: Card) -> int:
        """Select one card by its whole UID; return the last SAK."""
        self.short(0x52)
        uid = card.uid
        parts = {
            4: [uid],
            7: [b"\x88" + uid[:3], uid[3:]],
            10: [b"\x88" + uid[:3], b"\x88" + uid[3:6], uid[6:]],
        }
        sak = -1
        for level, part in zip((0x93, 0x95, 0x97), parts[len(uid)], strict=False):
            check = part[0] ^ part[1] ^ part[2] ^ part[3]
            result = self.with_crc(bytes([level, 0x70]) + part + bytes([check]))
            assert len(result.data) == 3, result
            sak = result.data[0]
        return sak


def bench_with(*cards: Card) -> Bench:
    """Return a bench whose field is on, with `cards` awake in it."""
    bench = Bench()
    bench.set_up()
    bench.enter(*cards)
    return bench
