"""Finding and watching cards, over a chip that answers from memory; and the hot path without a heap."""

import time

if not hasattr(time, "ticks_us"):  # CPython
    time.ticks_us = lambda: int(time.monotonic() * 1000000) & ((1 << 30) - 1)
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)
    time.sleep_us = lambda us: None

import micropython

from firmware.cards.iso14443a import Scanner
from firmware.drivers.mfrc522 import MFRC522
from firmware.errors import BusError, CardError, CardTimeout

IDLE, READY, ACTIVE, HALT = "idle", "ready", "active", "halt"


class Card:
    """The card's side of ISO/IEC 14443-3; `is_woken` marks the starred states."""

    def __init__(self, uid, sak=0x08):
        self.uid = uid
        self.sak = sak
        self.state = IDLE
        self.is_woken = False
        self.level = 0
        parts = []
        rest = uid
        while len(rest) > 4:
            parts.append(b"\x88" + rest[:3])
            rest = rest[3:]
        parts.append(rest)
        self.parts = [part + bytes((part[0] ^ part[1] ^ part[2] ^ part[3],)) for part in parts]

    def fall_back(self):
        self.state = HALT if self.is_woken else IDLE

    def request(self, command):
        if self.state == IDLE or (self.state == HALT and command == 0x52):
            self.is_woken = self.state == HALT
            self.state = READY
            self.level = 0
            return True
        if self.state != HALT:
            self.fall_back()
        return False

    def bits(self):
        part = self.parts[self.level]
        return [part[i >> 3] >> (i & 7) & 1 for i in range(40)]


class Chip:
    """A reader chip that knows only `exchange`; `fail(number)` is asked before each, and may raise."""

    def __init__(self, *uids):
        self.tx = memoryview(bytearray(7))
        self.rx = memoryview(bytearray(5))
        self.collision = 0
        self.cards = [Card(uid) for uid in uids]
        self.exchanges = 0
        self.fail = None

    def exchange(self, count, expect, framing=0, crc=0, then=0):
        self.exchanges += 1
        if self.fail and self.fail(self.exchanges):
            for card in self.cards:
                if card.state in (READY, ACTIVE):
                    card.fall_back()
            return -1
        self.collision = 0
        sent = bytes(self.tx[:count])
        if framing == 7:
            assert count == 1 and not crc
            answers = [card for card in self.cards if card.request(sent[0])]
            return 2 if answers else -1
        if sent == b"\x50\x00":
            assert crc == 0x80 and expect == 0
            for card in self.cards:
                if card.state == ACTIVE:
                    card.state = HALT
            return -1
        return self.select(sent) if sent[1] == 0x70 else self.anticollision(sent, expect, framing)

    def ready(self, level):
        return [card for card in self.cards if card.state == READY and card.level == level]

    def select(self, sent):
        level = (0x93, 0x95, 0x97).index(sent[0])
        chosen = -1
        for card in self.cards:
            if card.state != READY:
                continue
            if card.level == level and card.parts[level] == sent[2:]:
                card.level += 1
                chosen = card.sak
                if card.level == len(card.parts):
                    card.state = ACTIVE
                else:
                    chosen = 0x04
            else:
                card.fall_back()
        if chosen < 0:
            return -1
        self.rx[0] = chosen
        return 1

    def anticollision(self, sent, expect, framing):
        level = (0x93, 0x95, 0x97).index(sent[0])
        whole, bits = (sent[1] >> 4) - 2, sent[1] & 7
        known = 8 * whole + bits
        assert framing == bits * 0x11
        assert len(sent) == 2 + whole + (bits > 0)
        assert expect == 5 - whole
        prefix = [sent[2 + (i >> 3)] >> (i & 7) & 1 for i in range(known)]
        rivals = []
        for card in self.ready(level):
            if card.bits()[:known] == prefix:
                rivals.append(card.bits())
            else:
                card.fall_back()
        if not rivals:
            return -1
        for i in range(expect):
            self.rx[i] = 0
        for at in range(known, 40):
            if len({rival[at] for rival in rivals}) > 1:
                # CollPos counts from the first bit of the received byte, RxAlign included; 32 reads 0.
                self.collision = at - 8 * whole + 1
                break
            self.rx[(at >> 3) - whole] |= rivals[0][at] << (at & 7)
        return expect


def make(*uids):
    chip = Chip(*uids)
    return chip, Scanner(chip)


U4, U7, U10 = b"\x01\x02\x03\x04", b"\x04abcdef", b"\x04abcdefghi"


def test_an_empty_field_is_none():
    chip, scanner = make()
    assert scanner.poll() is None
    assert chip.exchanges == 1


def test_a_uid_of_each_length_is_read_once():
    for uid in (U4, U7, U10):
        _, scanner = make(uid)
        assert scanner.poll() == (uid,)
        assert scanner.arrived == 1
        for _ in range(6):
            assert scanner.poll() is None
        assert uid in scanner.uids


def test_all_cards_of_a_wallet_are_reported():
    uids = (U4, U7, U10, b"\x01\x02\x03\x05", b"\x81\x02\x03\x04", b"\x04abcdeg")
    _, scanner = make(*uids)
    found = scanner.poll()
    assert found is not None and sorted(found) == sorted(uids)
    assert scanner.arrived == len(uids)


def test_a_collision_at_every_bit():
    for bit in range(32):
        other = bytearray(U4)
        other[bit >> 3] ^= 1 << (bit & 7)
        _, scanner = make(U4, bytes(other))
        found = scanner.poll()
        assert found is not None and sorted(found) == sorted((U4, bytes(other))), bit


def test_a_card_is_gone_after_two_misses_and_not_before():
    chip, scanner = make(U7)
    scanner.poll()
    card = chip.cards.pop()
    assert scanner.poll() is None  # the first look is a miss
    assert U7 in scanner.uids
    assert scanner.poll() == ()
    assert scanner.arrived == 0
    card.state = IDLE
    chip.cards.append(card)
    assert scanner.poll() == (U7,)


def test_one_missed_look_is_forgiven():
    chip, scanner = make(U7)
    scanner.poll()
    card = chip.cards.pop()
    assert scanner.poll() is None
    chip.cards.append(card)
    for _ in range(6):
        assert scanner.poll() is None
    assert U7 in scanner.uids


def test_a_torn_activation_is_tried_again_and_raises_nothing():
    for torn in range(2, 8):
        chip, scanner = make(U10)
        chip.fail = lambda number, torn=torn: number == torn
        assert scanner.poll() == (U10,), torn
        assert scanner.errors == 1


def test_a_card_that_cannot_be_activated_does_not_hold_up_the_poll():
    chip, scanner = make(U4)
    chip.fail = lambda number: chip.tx[0] == 0x93
    assert scanner.poll() is None
    assert scanner.errors == 3
    assert isinstance(scanner.error, CardError)
    assert chip.exchanges < 12


def test_one_bad_card_does_not_hide_another():
    _, scanner = make(U4, b"\x88\x01\x02\x03")  # the second pretends to be a longer UID
    found = scanner.poll()
    assert found == (U4,)


def test_at_most_eight_cards_are_held():
    uids = [bytes((n, 1, 2, 3)) for n in range(10)]
    _, scanner = make(*uids)
    found = scanner.poll()
    assert found is not None and len(found) == 8


def test_select_returns_the_sak_and_leaves_the_card_selected():
    chip, scanner = make(U7, U4)
    scanner.poll()
    assert scanner.select(U7) == 0x08
    assert [card.state for card in chip.cards] == [ACTIVE, HALT]
    scanner.halt()
    assert [card.state for card in chip.cards] == [HALT, HALT]


def test_select_of_an_absent_card_is_a_timeout():
    _, scanner = make(U7)
    scanner.poll()
    for uid in (U4, U10):
        try:
            scanner.select(uid)
        except CardTimeout:
            continue
        raise AssertionError("selected")


class QuietBus:
    """An MFRC522 in an empty field: all status registers as they are when nobody answers."""

    def __init__(self):
        self.frames = 0
        self.fifo = bytearray(5)
        self.is_echo = False
        # answer to the status read: -, ComIrq, Error, FIFOLevel, Coll, Version, TxControl, WaterLevel, FIFO
        self.answer = b"\0\x45\0\0\xa0\x92\x83\x08" + bytes(8)

    def write(self, data):
        self.frames += 1
        if len(data) == 6:
            for i in range(5):
                self.fifo[i] = data[1 + i]
            self.is_echo = True

    def write_readinto(self, data, into):
        self.frames += 1
        for i in range(len(into)):
            into[i] = self.answer[i] if len(into) > 2 else 0
        if self.is_echo and len(into) > 2:
            into[3] = 5
            for i in range(5):
                into[8 + i] = self.fifo[i]
            self.is_echo = False


def nothing(level):
    pass


def test_an_empty_poll_needs_no_heap_and_five_frames():
    bus = QuietBus()
    chip = MFRC522(bus, nothing, nothing)
    assert chip.start() == 0x92
    scanner = Scanner(chip)
    scanner.poll()
    bus.frames = 0
    micropython.heap_lock()
    try:
        for _ in range(10):
            found = scanner.poll()
            if found is not None:
                break
    finally:
        micropython.heap_unlock()
    assert found is None
    assert bus.frames == 50


def test_a_chip_that_lost_its_field_is_a_bus_error():
    bus = QuietBus()
    chip = MFRC522(bus, nothing, nothing)
    chip.start()
    bus.answer = bus.answer[:6] + b"\x80" + bus.answer[7:]
    try:
        Scanner(chip).poll()
    except BusError as e:
        assert "TxControl 80" in str(e)
        return
    raise AssertionError("not noticed")
