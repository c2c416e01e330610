"""A card that speaks ISO/IEC 14443-4: RATS, PPS, blocks, chaining, waiting time extension, DESELECT.

Owns the card's side of the protocol, written from the standard and sharing nothing with the firmware, and the
faults that a test may ask of a card. What an APDU means is the affair of the application that it carries. The
card hears blocks with its CID, but its answers never carry one.

"P4" = ISO/IEC 14443-4; rules of P4 7.5.4 and 7.5.5 are called by their numbers and letters.
"""

from collections.abc import Callable, Collection

from host_sim.cards import air
from host_sim.cards.picc import Answer, Card, State

RATS = 0xE0
PPSS = 0xD0
FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)  # P4 table 1, by FSDI and FSCI
FWT_UNIT_US = 302  # 256 * 16 / fc (P4 7.2)
OVERHEAD = 3  # PCB and CRC

_CID_FOLLOWS = 0x08
_NAD_FOLLOWS = 0x04
_CHAINING = 0x10
_IS_NAK = 0x10
_FWI_MAX = 14  # P4 5.2.5
_EARLY_US = 300  # a card asks for more time so long before its own is over


class IsoDepCard(Card):
    """A card for ISO/IEC 14443-4; `application(command)` returns the response of each command.

    `fsci`, `fwi`, `sfgi`, `ta` (bit rates) and `historical` make the ATS; `ats` replaces it as it is. `part`:
    bytes of a response per block, by default all that both sides allow. `work_us`: time that a command takes;
    beyond the frame waiting time the card asks for more, `wtxm` times the FWT at a time. `extensions`: how
    often it did since power-up.

    `relay_us`: somebody carries the blocks between the reader and a card elsewhere, and every answer to one
    comes so much later. RATS is answered at once, with the longest waiting time (FWI 14) in the place of the
    card's, or no reader would wait.

    Faults, by the number of the frame since RATS, which is 1: frames of the reader in `deaf_to` are not
    heard, answers in `mute_at` are not sent, those in `garble_at` arrive with a wrong bit, `silent_from` is
    the first that is not answered any more. `on_frame_number(n)` is called at the end of frame n: to take
    the card away.
    """

    def __init__(
        self,
        uid: bytes,
        application: Callable[[bytes], bytes] = lambda command: command,
        *,
        fsci: int = 8,
        fwi: int = 4,
        sfgi: int = 0,
        ta: int = 0x77,
        historical: bytes = b"",
        ats: bytes | None = None,
        part: int | None = None,
        work_us: int = 0,
        wtxm: int = 1,
        relay_us: int = 0,
        deaf_to: Collection[int] = (),
        mute_at: Collection[int] = (),
        garble_at: Collection[int] = (),
        silent_from: int | None = None,
        on_frame_number: Callable[[int], object] | None = None,
    ) -> None:
        super().__init__(uid, sak=0x20)
        self.application = application
        fwi = _FWI_MAX if relay_us else fwi
        body = bytes((0x70 | fsci, ta, fwi << 4 | sfgi, 0x02)) + historical
        self.ats = bytes((len(body) + 1,)) + body if ats is None else ats
        self.frame_size = FRAME_SIZES[min(fsci, len(FRAME_SIZES) - 1)]
        self.fwt_us = FWT_UNIT_US << fwi
        self.guard_us = FWT_UNIT_US << sfgi if sfgi else 0
        self.part = part
        self.work_us = work_us
        self.wtxm = wtxm
        self.relay_us = relay_us
        self.deaf_to = deaf_to
        self.mute_at = mute_at
        self.garble_at = garble_at
        self.silent_from = silent_from
        self.on_frame_number = on_frame_number
        self.commands: list[bytes] = []  # that the application got
        self.responses: list[bytes] = []  # that it gave
        self.delay_us = 0  # of the last answer, after the frame that it answers
        self.frames = 0  # heard or missed since RATS
        self.extensions = 0
        self._reset_protocol()

    def _reset_protocol(self) -> None:
        self._block = 1  # rule C
        self._may_pps = False
        self._cid = 0
        self._reader_size = 0
        self._command = bytearray()
        self._response: bytes | None = None  # what is left to send, while chaining
        self._work_left_us = 0
        self._last = b""
        self._asked_wtxm = 0

    def on_power_on(self) -> None:
        """Forget the conversation."""
        self.frames = self.extensions = 0
        self._reset_protocol()

    @property
    def has_answered(self) -> bool:
        """Whether a command has come and its whole response went out."""
        return bool(self.responses) and self._response is None

    # Frames and faults ------------------------------------------------------------------------------------

    def receive(self, bits: bytes) -> Answer | None:
        """Hear a frame, with the faults that were asked for."""
        data, _, _ = air.data_of(bits)
        is_rats = self.state in (State.ACTIVE, State.ACTIVE_STAR) and len(bits) > 7 and data[0] == RATS
        if self.state is not State.PROTOCOL and not is_rats:
            return super().receive(bits)
        self.frames += 1
        number = self.frames
        if self.on_frame_number is not None:
            self.on_frame_number(number)
        if number in self.deaf_to or (self.silent_from is not None and number >= self.silent_from):
            return None
        answer = super().receive(bits)
        if answer is None or number in self.mute_at:
            return None
        if self.relay_us and not is_rats:
            answer = answer._replace(delay_us=answer.delay_us + self.relay_us)
        self.delay_us = answer.delay_us
        if number in self.garble_at:
            wrong = bytearray(answer.bits)
            wrong[len(wrong) // 2] ^= 1
            return answer._replace(bits=bytes(wrong))
        return answer

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        """Answer RATS, PPS and blocks; an error, or what is not for this card, is passed over in silence."""
        if self.state is not State.PROTOCOL:
            return self._activate(data) if data[0] == RATS and len(data) == 2 else NotImplemented
        may_pps, self._may_pps = self._may_pps, False  # P4 5.6.2.2: the first frame after the ATS, or never
        if len(data) + 2 > self.frame_size:
            return None
        pcb = data[0]
        if pcb & 0xF0 == PPSS:
            return self._select_rates(data) if may_pps else None
        if pcb & 0xE2 == 0x02:
            return self._information(pcb, data)
        if pcb & 0xE6 == 0xA2:
            body = self._after_cid(pcb, data)
            return None if body is None or body else self._receive_ready(pcb)
        if pcb & 0xC7 == 0xC2:
            return self._supervisory(pcb, data)
        return None

    # Activation -------------------------------------------------------------------------------------------

    def _activate(self, data: bytes) -> Answer | None:
        size, cid = data[1] >> 4, data[1] & 0x0F
        if cid == 15:
            return None
        self._reset_protocol()
        self._cid = cid
        self._reader_size = FRAME_SIZES[min(size, len(FRAME_SIZES) - 1)]
        self._may_pps = True
        self.state = State.PROTOCOL
        bits = air.frame(air.with_crc_a(self.ats))
        on_air_us = air.microseconds((len(bits) + 2) * air.ETU + air.FDT_AFTER_1)
        return Answer(bits, busy_us=on_air_us + self.guard_us if self.guard_us else 0)

    def _select_rates(self, data: bytes) -> Answer | None:
        if data[0] & 0x0F != self._cid or len(data) not in (2, 3) or data[1] & 0xEF != 0x01:
            return None
        before = self.speed_from_card
        if data[1] & 0x10:
            if len(data) != 3 or data[2] & 0xF0:
                return None
            to_card, from_card = data[2] & 3, data[2] >> 2 & 3
            rates = self.ats[2] if len(self.ats) > 2 and self.ats[1] & 0x10 else 0
            if (to_card and not rates >> (to_card - 1) & 1) or (
                from_card and not rates >> (from_card + 3) & 1
            ):
                return None
            if rates & 0x80 and to_card != from_card:
                return None
            self.speed_to_card, self.speed_from_card = to_card, from_card
        return Answer(air.frame(air.with_crc_a(data[:1])), speed=before)

    # Blocks -----------------------------------------------------------------------------------------------

    def _after_cid(self, pcb: int, data: bytes) -> bytes | None:
        """Return what follows PCB and CID, or None if the block is for another card (P4 7.1.2.2)."""
        if not pcb & _CID_FOLLOWS:
            return data[1:] if self._cid == 0 else None
        return data[2:] if len(data) > 1 and data[1] & 0x0F == self._cid else None

    def _information(self, pcb: int, data: bytes) -> bytes | Answer | None:
        inf = self._after_cid(pcb, data)
        if inf is None or pcb & _NAD_FOLLOWS:
            return None
        self._block ^= 1  # rule D
        self._command += inf
        self._response = None
        if pcb & _CHAINING:
            return self._send(bytes((0xA2 | self._block,)))  # rule 2
        command, self._command = bytes(self._command), bytearray()
        self.commands.append(command)
        self._response = self.application(command)
        self.responses.append(self._response)
        self._work_left_us = self.work_us
        return self._respond(self.fwt_us)

    def _receive_ready(self, pcb: int) -> bytes | Answer | None:
        if pcb & 1 == self._block:
            return self._last or None  # rule 11
        if pcb & _IS_NAK:
            return self._send(bytes((0xA2 | self._block,)))  # rule 12
        if self._response is None:
            return None
        self._block ^= 1  # rules E and 13
        return self._respond(self.fwt_us)

    def _supervisory(self, pcb: int, data: bytes) -> bytes | Answer | None:
        inf = self._after_cid(pcb, data)
        if inf is None:
            return None
        if pcb & 0x30 == 0x30:
            if not self._asked_wtxm or inf != bytes((self._asked_wtxm,)):
                return None
            allowed_us, self._asked_wtxm = self.fwt_us * self._asked_wtxm, 0
            return self._respond(allowed_us)
        if pcb & 0x30 or inf:
            return None
        speed = self.speed_from_card
        self.halt()
        return Answer(air.frame(air.with_crc_a(data)), speed=speed)

    def _send(self, block: bytes) -> bytes:
        self._last = block
        return block

    def _respond(self, allowed_us: int) -> Answer:
        """Send the next part of the response, or ask for more time to make it (rule 9)."""
        if self._work_left_us > allowed_us - _EARLY_US:
            delay_us = allowed_us - _EARLY_US
            self._work_left_us -= delay_us
            self._asked_wtxm = self.wtxm
            self.extensions += 1
            block = bytes((0xF2, self.wtxm))
        else:
            delay_us, self._work_left_us = self._work_left_us, 0
            assert self._response is not None
            size = self._reader_size - OVERHEAD
            size = size if self.part is None else min(self.part, size)
            part, rest = self._response[:size], self._response[size:]
            self._response = rest or None
            block = bytes((0x02 | (_CHAINING if rest else 0) | self._block,)) + part
        return Answer(air.frame(air.with_crc_a(self._send(block))), delay_us)
