"""A proximity card of type A up to its activation: the state machine of ISO/IEC 14443-3.

Owns a card's UID, state and answers to REQA, WUPA, ANTICOLLISION, SELECT and HLTA. What an active card says
is added by subclasses (`Card.on_frame`). It knows no reader and no time of day; `Field` calls it.

"P3" = ISO/IEC 14443-3. Its state diagram (P3 6.3, figure 7) is the table `_NEXT`.
"""

import enum
import random
from collections.abc import Callable
from typing import NamedTuple

from host_sim.cards import air

REQA = 0x26  # P3 table 3, short frames
WUPA = 0x52
SELECT_LEVELS = (0x93, 0x95, 0x97)  # P3 table 8
HLTA = b"\x50\x00"  # P3 6.4.4
NVB_ALL = 0x70  # the whole UID of this level: SELECT

POWER_UP_US = 5_000  # P3 5.2: a card is ready 5 ms after the field at the latest; ours are as slow as allowed

_SAK_INCOMPLETE = 0x04  # P3 table 10, bit 3: cascade
# Usual answers of cards by length of UID: MIFARE Classic 1K, NTAG/Ultralight, a card with a triple-size UID.
_USUAL_ATQA = {4: 0x0004, 7: 0x0044, 10: 0x0084}  # P3 table 4: bits 7, 8 size of UID; bit 3 anticollision
_USUAL_SAK = {4: 0x08, 7: 0x00, 10: 0x00}


class State(enum.StrEnum):
    """Where a card stands (P3 6.3); the starred states lead back to HALT instead of IDLE."""

    POWER_OFF = "POWER-OFF"
    IDLE = "IDLE"
    READY = "READY"
    ACTIVE = "ACTIVE"
    HALT = "HALT"
    READY_STAR = "READY*"
    ACTIVE_STAR = "ACTIVE*"
    PROTOCOL = "PROTOCOL"  # ISO/IEC 14443-4 is active; only a deselected card leaves it


class Heard(enum.Enum):
    """What a frame means to this card (the arrows of P3 figure 7)."""

    REQA = enum.auto()
    WUPA = enum.auto()
    ANTICOLLISION = enum.auto()  # matches the bits of this card
    SELECT = enum.auto()  # names this card
    HLTA = enum.auto()
    OTHER = enum.auto()  # a standard frame with a right CRC
    WRONG = enum.auto()  # an error, or anticollision and selection of other cards


class Answer(NamedTuple):
    """What a card sends: bits in the order of transmission, `delay_us` later than its earliest moment.

    `speed`: at another bit rate than the card has from now on. `busy_us`: the card hears no frame that begins
    earlier than that after the one that it answers.
    """

    bits: bytes
    delay_us: int = 0
    speed: int | None = None
    busy_us: int = 0


# What a card does: its answer is chosen by what it heard, its next state by this table. A pair that is absent
# leads back to `_FALL_BACK`, silently.
_NEXT = {
    (State.IDLE, Heard.REQA): State.READY,
    (State.IDLE, Heard.WUPA): State.READY,
    (State.HALT, Heard.WUPA): State.READY_STAR,
    (State.READY, Heard.ANTICOLLISION): State.READY,
    (State.READY, Heard.SELECT): State.ACTIVE,
    (State.READY_STAR, Heard.ANTICOLLISION): State.READY_STAR,
    (State.READY_STAR, Heard.SELECT): State.ACTIVE_STAR,
    (State.ACTIVE, Heard.OTHER): State.ACTIVE,
    (State.ACTIVE_STAR, Heard.OTHER): State.ACTIVE_STAR,
    (State.ACTIVE, Heard.HLTA): State.HALT,
    (State.ACTIVE_STAR, Heard.HLTA): State.HALT,
}
_FALL_BACK = {
    State.IDLE: State.IDLE,
    State.READY: State.IDLE,
    State.ACTIVE: State.IDLE,
    State.HALT: State.HALT,
    State.READY_STAR: State.HALT,
    State.ACTIVE_STAR: State.HALT,
}


class Card:
    """One card with a UID of 4, 7 or 10 bytes.

    `atqa` is the 16-bit value whose low byte goes out first; `sak` answers the last SELECT. Both default to
    what cards with such a UID usually say. Raises `ValueError` for a UID that the standard does not allow.
    """

    power_up_us = POWER_UP_US
    speed_to_card = 0  # steps above 106 kbit/s, each doubling the rate
    speed_from_card = 0

    def __init__(self, uid: bytes, atqa: int | None = None, sak: int | None = None) -> None:
        self._levels: tuple[bytes, ...] = ()
        self.uid = b""
        self._set_uid(bytes(uid))
        self.atqa = _USUAL_ATQA[len(uid)] if atqa is None else atqa
        self.sak = _USUAL_SAK[len(uid)] if sak is None else sak
        self.state = State.POWER_OFF
        self.ready_at_us = 0
        self.on_selected: Callable[[], object] | None = None  # called when a reader has selected the card
        self._level = 0

    def __repr__(self) -> str:
        return "%s(%s, %s)" % (type(self).__name__, self.uid.hex(), self.state)

    def _set_uid(self, uid: bytes) -> None:
        if len(uid) not in _USUAL_ATQA:
            raise ValueError("a UID has 4, 7 or 10 bytes, not %d" % len(uid))
        if (len(uid) == 4 and uid[0] == air.CASCADE_TAG) or (len(uid) == 7 and uid[3] == air.CASCADE_TAG):
            raise ValueError("UID %s: 88 is the cascade tag (ISO/IEC 14443-3 6.5.4)" % uid.hex())
        tag = bytes([air.CASCADE_TAG])
        parts = {
            4: (uid,),
            7: (tag + uid[:3], uid[3:]),
            10: (tag + uid[:3], tag + uid[3:6], uid[6:]),
        }[len(uid)]
        self.uid = uid
        self._levels = tuple(part + bytes([air.bcc(part)]) for part in parts)

    # Power ------------------------------------------------------------------------------------------------

    def power_on(self, now_us: int) -> None:
        """Enter a field at `now_us`: the card hears frames that begin `power_up_us` later."""
        self.state = State.IDLE
        self.ready_at_us = now_us + self.power_up_us
        self.speed_to_card = self.speed_from_card = 0
        self.on_power_on()

    def power_off(self) -> None:
        """Lose the field, and with it every state."""
        self.state = State.POWER_OFF

    def halt(self) -> None:
        """Go to HALT, as HLTA and S(DESELECT) do."""
        self.state = State.HALT
        self.speed_to_card = self.speed_from_card = 0

    # Frames -----------------------------------------------------------------------------------------------

    def receive(self, bits: bytes) -> Answer | None:
        """Hear one frame of the reader, change state, and return the answer or None.

        `bits` as `air.frame` makes them; an empty frame is one that the reader broke off.
        """
        if self.state is State.POWER_OFF:
            return None
        if self.state is State.PROTOCOL:
            return self._in_protocol(bits)
        heard, data, known = self._understand(bits)
        before = self.state
        after = _NEXT.get((before, heard))
        if after is None:
            self.state = _FALL_BACK[before]
            return None
        if heard is Heard.SELECT and self._level + 1 < len(self._levels):
            self._level += 1
            return Answer(air.frame(air.with_crc_a(bytes([_SAK_INCOMPLETE]))))
        self.state = after
        if heard is Heard.SELECT and self.on_selected is not None:
            self.on_selected()
        if heard in (Heard.REQA, Heard.WUPA):
            self._level = 0
            return Answer(air.frame(self.atqa.to_bytes(2, "little")))
        if heard is Heard.ANTICOLLISION:
            # The split byte keeps the parity bit of the whole byte (P3 6.2.3.3).
            return Answer(air.frame(self._levels[self._level])[9 * (known // 8) + known % 8 :])
        if heard is Heard.SELECT:
            return Answer(air.frame(air.with_crc_a(bytes([self.sak & ~_SAK_INCOMPLETE & 0xFF]))))
        return self._ask_higher_layer(data) if heard is Heard.OTHER else None

    def _understand(self, bits: bytes) -> tuple[Heard, bytes, int]:
        """Return what a frame means, its data without CRC, and how many UID bits an anticollision names."""
        data, last_bits, parity_right = air.data_of(bits)
        if len(bits) == 7:
            return {REQA: Heard.REQA, WUPA: Heard.WUPA}.get(data[0], Heard.WRONG), data, 0
        if not parity_right or len(data) < 2:
            return Heard.WRONG, data, 0
        ready = self.state in (State.READY, State.READY_STAR)
        if ready and data[0] in SELECT_LEVELS:
            return self._understand_selection(data, last_bits)
        if last_bits or not air.has_crc_a(data):
            return Heard.WRONG, data, 0
        body = data[:-2]
        return (Heard.HLTA if body == HLTA else Heard.OTHER), body, 0

    def _understand_selection(self, data: bytes, last_bits: int) -> tuple[Heard, bytes, int]:
        level = self._levels[self._level]
        nvb = data[1]
        if data[0] != SELECT_LEVELS[self._level]:
            return Heard.WRONG, data, 0
        if nvb == NVB_ALL:
            named = not last_bits and len(data) == 9 and data[2:7] == level and air.has_crc_a(data)
            return (Heard.SELECT if named else Heard.WRONG), data, 0
        known = 8 * ((nvb >> 4) - 2) + (nvb & 15)
        sent = 8 * (len(data) - 2) - (8 - last_bits if last_bits else 0)
        if not 0 <= known < 40 or nvb & 8 or known != sent:
            return Heard.WRONG, data, 0
        mask = (1 << known) - 1
        match = (int.from_bytes(data[2:], "little") ^ int.from_bytes(level, "little")) & mask == 0
        return (Heard.ANTICOLLISION if match else Heard.WRONG), data, known

    def _in_protocol(self, bits: bytes) -> Answer | None:
        data, last_bits, parity_right = air.data_of(bits)
        if last_bits or not parity_right or not air.has_crc_a(data):
            return None  # ISO/IEC 14443-4 7.5.4: a card keeps silent after an error
        return self._as_answer(self.on_frame(data[:-2]))

    def _ask_higher_layer(self, data: bytes) -> Answer | None:
        reply = self.on_frame(data)
        if reply is NotImplemented:
            self.state = _FALL_BACK[self.state]
            return None
        return self._as_answer(reply)

    @staticmethod
    def _as_answer(reply: "bytes | Answer | None") -> Answer | None:
        return Answer(air.frame(air.with_crc_a(reply))) if isinstance(reply, bytes | bytearray) else reply

    # For subclasses ---------------------------------------------------------------------------------------

    def on_power_on(self) -> None:
        """Forget what a card forgets without a field; the UID may change here (`_set_uid`)."""

    def on_frame(self, data: bytes) -> "bytes | Answer | None":
        """Answer a frame for the active card: `data` without its CRC.

        Return bytes (sent as a standard frame with CRC_A), an `Answer` (sent as it is), or None to keep
        silent. `NotImplemented`, the default, is an unknown command: the card falls back to IDLE or HALT.
        """
        del data
        return NotImplemented


class RandomUidCard(Card):
    """A phone or a privacy card: a new UID 08 xx xx xx at each power-up (P3 table 5: a random number).

    The numbers come from `source`, so that a run can be repeated.
    """

    def __init__(self, source: random.Random, atqa: int | None = None, sak: int | None = 0x20) -> None:
        self._source = source
        super().__init__(self._new_uid(), atqa, sak)

    def _new_uid(self) -> bytes:
        return b"\x08" + self._source.randbytes(3)

    def on_power_on(self) -> None:
        """Take a new UID."""
        self._set_uid(self._new_uid())
