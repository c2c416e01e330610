"""The MFRC522's contactless UART: frames out, answers in, both with the time that they take.

Owns the modem state, what is on its way through the antenna, and how several answers look when they come at
the same time. It never interprets a frame, and knows commands only as "send", "receive" and "stop".

"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from typing import NamedTuple, Protocol

from host_sim.cards import air
from host_sim.cards.field import Field
from host_sim.cards.picc import Card
from host_sim.chips import mfrc522_registers as reg
from host_sim.chips.mfrc522_fifo import Fifo
from host_sim.chips.mfrc522_timer import TimerUnit
from host_sim.timeline import Event, Timeline

# ModemState in Status2Reg (DS 9.3.1.9)
MODEM_IDLE = 0
MODEM_WAIT_START_SEND = 1
MODEM_TX_WAIT = 2
MODEM_TRANSMITTING = 3
MODEM_RX_WAIT = 4
MODEM_WAIT_FOR_DATA = 5
MODEM_RECEIVING = 6

TX_WAIT_BITS = 7  # added to MfTxReg's TxWait (DS 9.3.2.13)
TIMER_STOP_BITS = 5  # TAuto: a start bit and four data bits (DS 9.3.3.10)
SHORTEST_FRAME_BITS = 4  # fewer received bits are no frame (DS 9.3.2.4, RxNoErr)


class Chip(Protocol):
    """What the UART asks of the rest of the chip."""

    def raise_irq(self, bits: int) -> None:
        """Set bits of ComIrqReg."""

    def set_error(self, bits: int) -> None:
        """Set bits of ErrorReg, and ErrIRq."""

    def to_air(self, bits: bytes) -> bytes:
        """Return a frame as it leaves, under the cipher if that is on."""
        ...

    def from_air(self, frames: list[bytes]) -> list[bytes]:
        """Return frames that came at the same time, under the cipher if that is on."""
        ...

    def frame_sent(self, bits: bytes) -> bool:
        """A frame has left; return True if answers are to be received now."""
        ...

    def frame_received(self) -> None:
        """A frame has arrived and is in the FIFO."""


class _Incoming:
    """One card's answer on its way."""

    __slots__ = ("bits", "card", "start_us")

    def __init__(self, card: Card, bits: bytes, start_us: int) -> None:
        self.card = card
        self.bits = bits
        self.start_us = start_us


class Received(NamedTuple):
    """What the receiver makes of the bits in the air."""

    data: bytes
    last_bits: int  # valid bits in the last byte, 0 = all
    errors: int  # of ErrorReg
    collision: int  # CollReg's lower six bits
    bit_count: int  # without the start bit
    align: int  # position of the first bit in the first byte


_NOTHING = Received(b"", 0, 0, reg.COLL_POS_NOT_VALID, 0, 0)


def superpose(frames: list[bytes]) -> tuple[bytes, int | None]:
    """Return what several cards sending at once look like, and the first bit in which they differ, or None.

    Manchester coding makes a 0 and a 1 together a bit that is both (ISO/IEC 14443-3 6.2.3.3). From there on
    the result is their logical or: our assumption, real receivers follow the stronger card.
    """
    longest = max(frames, key=len)
    value = int.from_bytes(longest, "big")
    merged = value
    first = None
    for bits in frames:
        if bits is longest:
            continue
        shift = 8 * (len(longest) - len(bits))
        other = int.from_bytes(bits, "big")
        merged |= other << shift
        difference = (value >> shift) ^ other
        if difference:
            position = len(bits) - 1 - (difference.bit_length() - 1) // 8
            first = position if first is None else min(first, position)
    return merged.to_bytes(len(longest), "big"), first


def decode(bits: bytes, collision: int | None, registers: bytes | bytearray) -> Received:
    """Return the bytes that the receiver stores for `bits`, by BitFramingReg, CollReg, RxModeReg, MfRxReg.

    `collision` is the index of the first bit in which cards differed. A CRC checked by RxCRCEn is not stored.
    """
    align = registers[reg.BIT_FRAMING] >> 4 & 7
    width = 8 if registers[reg.MF_RX] & reg.PARITY_DISABLE else 9
    errors = 0
    position = reg.COLL_POS_NOT_VALID
    count = len(bits)
    if collision is not None:
        errors |= reg.ERR_COLL
        byte, bit = divmod(collision + align, width)
        if bit < 8 and 8 * byte + bit < 32:
            position = (8 * byte + bit + 1) & 0x1F  # DS 9.3.1.15: 0 is the 32nd bit
        if not registers[reg.COLL] & reg.VALUES_AFTER_COLL:
            bits = bits[:collision] + bytes(count - collision)
    aligned = bytes(align) + bits
    data = bytearray()
    for start in range(0, len(aligned), width):
        part = aligned[start : start + width]
        value = 0
        for place, one in enumerate(part[:8]):
            value |= one << place
        data.append(value)
        checked = width == 9 and len(part) >= 8 and (start or not align)
        if collision is not None and start + width > collision + align:
            checked = False
        if checked and (len(part) == 8 or part[8] == (value.bit_count() & 1)):
            errors |= reg.ERR_PARITY
    last_bits = len(aligned) % width % 8
    if count < SHORTEST_FRAME_BITS:
        errors |= reg.ERR_PROTOCOL
    if registers[reg.RX_MODE] & reg.CRC_EN:
        if last_bits or len(data) < 3:
            errors |= reg.ERR_CRC  # too short to hold one: everything is stored
        else:
            if not air.has_crc_a(data):
                errors |= reg.ERR_CRC
            del data[-2:]
    return Received(bytes(data), last_bits, errors, position, count, align)


class ContactlessUart:
    """Sends what is in the FIFO, receives what cards answer."""

    def __init__(
        self, chip: Chip, timeline: Timeline, registers: bytearray, fifo: Fifo, timer: TimerUnit, field: Field
    ) -> None:
        self._chip = chip
        self._timeline = timeline
        self._regs = registers
        self._fifo = fifo
        self._timer = timer
        self._field = field
        self._state = MODEM_IDLE
        self._waiting = False  # told to send, but there is no data or no field yet
        self._guard_until_us = 0
        # The frame being sent
        self._sent = bytearray()  # bytes already taken out of the FIFO
        self._send_start_us = 0
        self._last_bits = 0  # TxLastBits when it began
        self._send_event: Event | None = None
        # The frame being received
        self._listen_from_us = 0
        self._incoming: list[_Incoming] = []
        self._arriving: list[_Incoming] = []
        self._receive_start_us = 0
        self._jammed_from: int | None = None  # bit index from which a later answer disturbs
        self._received = _NOTHING
        self._stored = 0  # bytes of it already in the FIFO
        self._receive_event: Event | None = None
        self._fifth_bit_event: Event | None = None

    # State ------------------------------------------------------------------------------------------------

    def modem_state(self) -> int:
        """Return ModemState."""
        state = self._state
        if state == MODEM_TRANSMITTING and self._timeline.now < self._send_start_us:
            return MODEM_TX_WAIT
        if state == MODEM_WAIT_FOR_DATA and self._timeline.now < self._listen_from_us:
            return MODEM_RX_WAIT
        return state

    def is_awaiting_or_receiving(self) -> bool:
        """Return True between the last bit sent and the last bit received (DS 9.3.1.7, WrErr)."""
        return self._state in (MODEM_WAIT_FOR_DATA, MODEM_RECEIVING)

    def stop(self) -> None:
        """Break off whatever is being sent or received. Cards go on sending."""
        state = self._state
        self._waiting = False
        if state == MODEM_IDLE:
            return
        if state == MODEM_TRANSMITTING:
            self.sync()
            self._timeline.cancel(self._send_event)
            if self._timeline.now > self._send_start_us:
                self._field.exchange(b"", self._send_start_us)
        elif state == MODEM_RECEIVING:
            self._timeline.cancel(self._receive_event)
            self._timeline.cancel(self._fifth_bit_event)
            self._guard()
        self._state = MODEM_IDLE

    def sync(self) -> None:
        """Bring the FIFO to the present in the middle of a frame."""
        state = self._state
        if state == MODEM_TRANSMITTING:
            passed = self._bits_passed(self._send_start_us, reg.TX_MODE)
            fetched = (passed - 1) // 9 + 1 if passed > 0 else 0
            self._sent += self._fifo.take(max(fetched - len(self._sent), 0))
        elif state == MODEM_RECEIVING:
            received = self._received
            whole = (self._bits_passed(self._receive_start_us, reg.RX_MODE) - 1 + received.align) // 9
            self._store(min(whole, len(received.data) - (1 if received.last_bits else 0)))

    def _etu(self, mode_register: int) -> int:
        return air.ETU >> (self._regs[mode_register] >> 4 & 3)

    def _bits_passed(self, start_us: int, mode_register: int) -> int:
        return (self._timeline.now - start_us) * 1356 // (100 * self._etu(mode_register))

    def _guard(self) -> None:
        bits = TX_WAIT_BITS + (self._regs[reg.MF_TX] & 3)
        self._guard_until_us = self._timeline.now + air.microseconds(bits * air.ETU)

    # Sending ----------------------------------------------------------------------------------------------

    def await_start_send(self) -> None:
        """Stand by for `send` (the Transceive command)."""
        self._state = MODEM_WAIT_START_SEND

    def send(self) -> None:
        """Send the FIFO; as soon as there is a field if TxWaitRF asks for one, and data."""
        if self._state not in (MODEM_IDLE, MODEM_WAIT_START_SEND, MODEM_TX_WAIT):
            return
        no_field = self._regs[reg.MODE] & reg.TX_WAIT_RF and not self._field.powered
        if no_field or not self._fifo.data:
            self._waiting = True
            if no_field:
                self._state = MODEM_TX_WAIT
            return
        self._waiting = False
        self._state = MODEM_TRANSMITTING
        self._sent.clear()
        self._last_bits = self._regs[reg.BIT_FRAMING] & 7
        now = self._timeline.now
        self._send_start_us = now if now > self._guard_until_us else self._guard_until_us
        self._plan_end_of_sending()

    def resume(self) -> None:
        """Look again at data and field: something has changed."""
        if self._waiting:
            self.send()
        elif self._state == MODEM_TRANSMITTING:
            self._timeline.cancel(self._send_event)
            self._plan_end_of_sending()

    def _plan_end_of_sending(self) -> None:
        regs = self._regs
        width = 8 if regs[reg.MF_RX] & reg.PARITY_DISABLE else 9
        bits = 1 + width * (len(self._sent) + len(self._fifo.data))
        if regs[reg.TX_MODE] & reg.CRC_EN:
            bits += 2 * width
        if self._last_bits:
            bits += self._last_bits - width
        end = self._send_start_us + air.microseconds(bits * self._etu(reg.TX_MODE))
        self._send_event = self._timeline.at(end, self._end_of_sending)

    def _end_of_sending(self) -> None:
        regs = self._regs
        fifo = self._fifo
        sent = bytes(self._sent + fifo.data)
        fifo.clear()
        field = self._field
        bits = b""
        if field.cards:
            if regs[reg.TX_MODE] & reg.CRC_EN:
                sent = air.with_crc_a(sent)
            bits = air.frame(sent, self._last_bits, not regs[reg.MF_RX] & reg.PARITY_DISABLE)
            bits = self._chip.to_air(bits)
        if regs[reg.T_MODE] & reg.T_AUTO:
            self._timer.start()
        self._state = MODEM_IDLE
        if self._chip.frame_sent(bits):
            self.listen(air.microseconds((regs[reg.RX_SEL] & 0x3F) * self._etu(reg.RX_MODE)))
        if bits:
            self._ask_cards(bits)

    def _ask_cards(self, bits: bytes) -> None:
        """Let the cards hear a frame, and plan their answers."""
        regs = self._regs
        field = self._field
        # Cards demodulate 100 % ASK of the internal encoder only (DS 9.3.2.6, 9.3.2.7), with pauses that fit
        # the bit rate (DS 9.3.3.4; the limits are our assumption: between a fifth and half of a bit).
        if not regs[reg.TX_ASK] & reg.FORCE_100_ASK or regs[reg.TX_SEL] & 0x30 != 0x10:
            return
        pause, etu = regs[reg.MOD_WIDTH] + 1, self._etu(reg.TX_MODE)
        if not etu < 5 * pause < 5 * etu // 2:
            return
        now = self._timeline.now
        start = now + air.microseconds(air.answer_start(bits))
        moments = set()
        answers = [
            (card, answer)
            for card, answer in field.exchange(bits, self._send_start_us, regs[reg.TX_MODE] >> 4 & 7)
            if (card.speed_from_card if answer.speed is None else answer.speed) == regs[reg.RX_MODE] >> 4 & 7
        ]
        noise = field.noise
        heard = [answer.bits if noise is None else noise(answer.bits, False) for _, answer in answers]
        for (card, answer), arriving in zip(answers, self._chip.from_air(heard), strict=True):
            self._incoming.append(_Incoming(card, arriving, start + answer.delay_us))
            moments.add(start + answer.delay_us)
        for moment in sorted(moments):
            self._timeline.at(moment, self._signal)

    # Receiving --------------------------------------------------------------------------------------------

    def listen(self, after_us: int = 0) -> None:
        """Open the receiver `after_us` from now (RxWait)."""
        self._state = MODEM_WAIT_FOR_DATA
        self._listen_from_us = self._timeline.now + after_us
        regs = self._regs
        regs[reg.ERROR] &= ~(reg.ERR_PROTOCOL | reg.ERR_PARITY | reg.ERR_CRC | reg.ERR_COLL)
        regs[reg.COLL] = regs[reg.COLL] & reg.VALUES_AFTER_COLL | reg.COLL_POS_NOT_VALID

    def _signal(self) -> None:
        """A card, or several, begin to answer now."""
        now = self._timeline.now
        beginning = [answer for answer in self._incoming if answer.start_us == now]
        self._incoming = [answer for answer in self._incoming if answer.start_us > now]
        if not beginning or not self._field.powered:
            return
        regs = self._regs
        if self._state == MODEM_RECEIVING:
            bit = max(self._bits_passed(self._receive_start_us, reg.RX_MODE) - 1, 0)
            if self._jammed_from is None:
                self._jammed_from = bit
            self._decode()
            return
        deaf = regs[reg.COMMAND] & reg.RCV_OFF or regs[reg.RX_SEL] & 0xC0 != 0x80
        if self._state != MODEM_WAIT_FOR_DATA or now < self._listen_from_us or deaf:
            return
        self._state = MODEM_RECEIVING
        self._arriving = beginning
        self._receive_start_us = now
        self._jammed_from = None
        self._stored = 0
        self._decode()
        if regs[reg.T_MODE] & reg.T_AUTO and not regs[reg.RX_MODE] & reg.RX_MULTIPLE:
            fifth = now + air.microseconds(TIMER_STOP_BITS * self._etu(reg.RX_MODE))
            self._fifth_bit_event = self._timeline.at(fifth, self._fifth_bit)

    def _decode(self) -> None:
        """Work out what arrives, and plan its end: one bit without modulation after the last."""
        merged, collision = superpose([answer.bits for answer in self._arriving])
        jam = self._jammed_from
        if jam is not None and jam < len(merged):
            collision = jam if collision is None else min(collision, jam)
        self._received = decode(merged, collision, self._regs)
        end = self._receive_start_us + air.microseconds((len(merged) + 2) * self._etu(reg.RX_MODE))
        self._timeline.cancel(self._receive_event)
        self._receive_event = self._timeline.at(end, self._end_of_receiving)

    def _fifth_bit(self) -> None:
        if self._received.bit_count >= SHORTEST_FRAME_BITS:
            self._timer.stop()

    def _store(self, count: int) -> None:
        """Bring the first `count` bytes of the frame into the FIFO."""
        if count <= self._stored:
            return
        if not self._fifo.put(self._received.data[self._stored : count]):
            self._chip.set_error(reg.ERR_BUFFER_OVFL)
        self._stored = count

    def _end_of_receiving(self) -> None:
        received = self._received
        regs = self._regs
        self._guard()
        self._arriving = []
        if received.bit_count < SHORTEST_FRAME_BITS and regs[reg.RX_MODE] & reg.RX_NO_ERR:
            self._state = MODEM_WAIT_FOR_DATA
            return
        self._store(len(received.data))
        regs[reg.CONTROL] = regs[reg.CONTROL] & ~reg.RX_LAST_BITS | received.last_bits
        regs[reg.COLL] = regs[reg.COLL] & reg.VALUES_AFTER_COLL | received.collision
        if received.errors:
            self._chip.set_error(received.errors)
        self._state = MODEM_IDLE
        if regs[reg.RX_MODE] & reg.RX_MULTIPLE:
            self._fifo.put(bytes([regs[reg.ERROR]]))
            self._chip.raise_irq(reg.IRQ_RX)
            self.listen()
        else:
            self._chip.frame_received()

    # Cards ------------------------------------------------------------------------------------------------

    def card_left(self, card: Card) -> None:
        """Cut the answer of a card that has just gone, or the part of it that it has not sent yet."""
        self._incoming = [answer for answer in self._incoming if answer.card is not card]
        if self._state == MODEM_RECEIVING and any(answer.card is card for answer in self._arriving):
            sent = max(self._bits_passed(self._receive_start_us, reg.RX_MODE) - 1, 0)
            for answer in self._arriving:
                if answer.card is card:
                    answer.bits = answer.bits[:sent]
            self._decode()

    def field_lost(self) -> None:
        """Cut every answer: the cards have lost their power."""
        self._incoming = []
        if self._state == MODEM_RECEIVING:
            for card in [answer.card for answer in self._arriving]:
                self.card_left(card)
