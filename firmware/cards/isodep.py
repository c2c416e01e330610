"""ISO/IEC 14443-4: a conversation with one selected card, block by block, within a deadline.

Owns RATS and ATS, block numbers, chaining, waiting times, error recovery and DESELECT; isodep_rates.py raises
the bit rate. It reaches the card only through `frames` (drivers/mfrc522_frames.py); it never knows what an
APDU means. Imported when a tier needs it. "P4" = ISO/IEC 14443-4; the rules are numbered as in P4 7.5.4.
"""

from time import sleep_us, ticks_add, ticks_diff, ticks_ms

from micropython import const

from ..errors import CardError, CardProtocolError, CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Protocol

    class Frames(Protocol):
        """What a conversation uses of a reader; see drivers/mfrc522_frames.py."""

        tx: memoryview
        rx: memoryview

        def exchange(self, count: int, wait_us: int) -> int: ...
        def set_rates(self, send: int, receive: int) -> None: ...
        def drop_field(self) -> None: ...
        def close(self) -> None: ...


_RATS = const(0xE0)
_FSDI_CID = const(0x50)  # we take frames of 64 bytes, the chip's FIFO; CID 0, which no block names
_I = const(0x02)  # P4 7.1.2.1; bit 0 of I- and R-blocks is the block number
_MORE = const(0x10)  # I-block: the next one goes on with it
_ACK = const(0xA2)
_NAK = const(0xB2)
_DESELECT = const(0xC2)
_WTX = const(0xF2)
_I_FIXED = const(0xEE)  # bits that tell an I-block without CID and NAD
_R_FIXED = const(0xFE)

_HEAD = const(3)  # PCB and CRC of a block
_ACTIVATION_US = const(5200)  # P4 7.2: 65536/fc = 4,833 us for ATS and S(DESELECT), and some margin
_FWT_UNIT_US = const(303)  # 256 * 16 / fc = 302.1 us, P4 7.2
_FWT_MARGIN_US = const(200)
_FWI_DEFAULT = const(4)
_FSCI_DEFAULT = const(2)
_WTXM_BITS = const(0x3F)  # above them the card says how well it is fed
_WTXM_MAX = const(59)
_RFU = const(15)
_FSC_MAX = const(64)
_FSC = b"\x10\x18\x20\x28\x30"  # by FSCI; larger ones are more than our FIFO holds
_TRIES = const(2)  # of RATS, PPS and DESELECT
_ERRORS_MAX = const(5)  # within one block
_ANSWER_MAX = const(1024)


class IsoDep:
    """A conversation with the card that `Scanner.select` has just selected.

    Everything from `connect` on happens within `budget_ms` and at most one frame (15 ms) more: whatever the
    card does, the call that overruns raises CardTimeout. Call `close` at the end, however it came about.

    Attributes after `connect`: `ats`: the answer to select (bytes); `rates`: (to the card, from the card),
    106 kbit/s << rate.
    """

    def __init__(self, frames: "Frames", budget_ms: int = 250):
        self._frames = frames
        self._budget_ms = budget_ms
        self.ats = b""
        self.rates = (0, 0)

    def connect(self, rate_max: int = 3) -> bytes:
        """Activate the protocol, raise the bit rate to what card and `rate_max` (0-3) allow; return the ATS.

        Raises CardTimeout, CardProtocolError, other CardErrors and BusError.
        """
        frames = self._frames
        self._until = ticks_add(ticks_ms(), self._budget_ms)
        self._block = 0
        frames.tx[0] = _RATS
        frames.tx[1] = _FSDI_CID
        count = self._ask(2)
        self.ats = ats = bytes(frames.rx[:count])
        if ats[0] != count:
            raise CardProtocolError("ATS of %d bytes says %d" % (count, ats[0]))
        try:
            rates = self._read_ats(ats)
        except IndexError:
            raise CardProtocolError("ATS ends early: " + str(ats))
        if rate_max:
            from .isodep_rates import raise_rates  # a gate stays at 106 kbit/s

            self.rates = raise_rates(self, rates, rate_max)
        return ats

    def _read_ats(self, ats):
        """Take FSC, FWT and SFGT from an ATS (P4 5.2); return TA(1). Waits for SFGT. Raises IndexError."""
        t0 = ats[1] if len(ats) > 1 else _FSCI_DEFAULT
        at = 2
        rates = 0
        times = _FWI_DEFAULT << 4
        if t0 & 0x10:
            rates = ats[at]
            at += 1
        if t0 & 0x20:
            times = ats[at]
            at += 1
        if t0 & 0x40:
            ats[at]  # TC(1): NAD and CID, of which we use neither
        fsci = t0 & 15
        self._size = (_FSC[fsci] if fsci < len(_FSC) else _FSC_MAX) - _HEAD
        fwi = times >> 4
        self._wait_us = (_FWT_UNIT_US << (_FWI_DEFAULT if fwi == _RFU else fwi)) + _FWT_MARGIN_US
        guard = times & 15
        if guard and guard != _RFU:
            guard_us = _FWT_UNIT_US << guard
            if guard_us > self._left_us():
                raise CardTimeout("a pause of %d us" % guard_us)
            sleep_us(guard_us)
        return rates

    def transceive(self, data: bytes) -> bytes:
        """Send `data` (one APDU), chained as the card needs it; return the whole answer, at most 1,024 bytes.

        Raises CardTimeout (silence, or the deadline), CardProtocolError, the last of several other CardErrors
        in a row, and BusError.
        """
        frames = self._frames
        tx = frames.tx
        rx = frames.rx
        size = self._size
        at = 0
        while True:
            part = data[at : at + size]
            at += size
            more = _MORE if at < len(data) else 0
            tx[0] = _I | more | self._block
            tx[1 : 1 + len(part)] = part
            pcb = self._exchange(1 + len(part), more)
            if not more:
                break
        answer = bytearray()
        while True:
            answer.extend(rx[1 : self._length])
            if not pcb & _MORE:
                return bytes(answer)
            if len(answer) > _ANSWER_MAX:
                raise CardProtocolError("an answer without end")
            tx[0] = _ACK | self._block  # rule 2
            pcb = self._exchange(1, 0)

    def close(self) -> bool:
        """Send the card to HALT and give the reader back; return whether the card confirmed it.

        A card that does not may be stuck at another bit rate: the field is switched off for 5 ms, and all
        cards in it start anew. Takes at most 25 ms. Raises BusError.
        """
        frames = self._frames
        try:
            for _ in range(_TRIES):  # rule 8
                frames.tx[0] = _DESELECT
                try:
                    if frames.exchange(1, _ACTIVATION_US) == 1 and frames.rx[0] == _DESELECT:
                        return True
                except CardError:
                    pass
            frames.drop_field()
            return False
        finally:
            frames.close()

    def _left_us(self):
        left_ms = ticks_diff(self._until, ticks_ms())
        if left_ms <= 0:
            raise CardTimeout("more than %d ms" % self._budget_ms)
        return 1000 * left_ms

    def _ask(self, count):
        """Send RATS or PPS; return the length of the answer, at least 1."""
        error = CardTimeout("no answer to 0x%02x" % self._frames.tx[0])
        for _ in range(_TRIES):
            try:
                got = self._frames.exchange(count, min(_ACTIVATION_US, self._left_us()))
                if got > 0:
                    return got
            except CardError as e:
                error = e
        raise error

    def _exchange(self, count, more):
        """Send the block in `tx`; return the PCB of the block that goes on from there, `_length` is its size.

        That is an I-block, or, if `more`, the R(ACK) of ours. Errors are repaired as P4 7.5.5 says.
        """
        frames = self._frames
        tx = frames.tx
        rx = frames.rx
        first, whole = tx[0], count  # the head of the block is overwritten by control blocks
        repair = _ACK if first & _R_FIXED == _ACK else _NAK  # rules 5 and 4
        wait_us = self._wait_us
        errors = 0
        while True:
            left_us = self._left_us()
            try:
                got = frames.exchange(count, min(wait_us, left_us))
                if got < 0:
                    raise CardTimeout("no answer to block 0x%02x" % tx[0])
                pcb = rx[0] if got else 0
                if got == 2 and pcb == _WTX and 0 < rx[1] & _WTXM_BITS <= _WTXM_MAX:  # rule 3
                    tx[0] = _WTX
                    tx[1] = rx[1] & _WTXM_BITS
                    count = 2
                    wait_us = self._wait_us * tx[1]
                    continue
                if pcb & 1 == self._block and (
                    got == 1 and pcb & _R_FIXED == _ACK if more else pcb & _I_FIXED == _I
                ):
                    self._block ^= 1  # rule B
                    self._length = got
                    return pcb
                if got != 1 or repair != _NAK or pcb != _ACK | self._block ^ 1:
                    raise CardProtocolError("block 0x%02x, %d bytes, answers 0x%02x" % (pcb, got, tx[0]))
                tx[0] = first  # rule 6: the card has not got our block
                count = whole
                error = CardProtocolError("block 0x%02x refused" % first)
            except CardError as e:
                error = e
                tx[0] = repair | self._block
                count = 1
            wait_us = self._wait_us
            errors += 1
            if errors > _ERRORS_MAX:
                raise error
