"""The MFRC522 reader chip on an injected SPI bus: start, exchange one frame with the cards, liveness.

Owns the chip's registers and the timing of one frame. It never knows what a UID, a list or a gate is, and
never creates a bus or a pin. "DS" = NXP MFRC522 data sheet Rev. 3.9; air times follow ISO/IEC 14443-2 and -3.

The chip is slow to reach from Python, so the number of SPI frames decides the speed: one read frame carries
all status registers, the liveness registers and the expected reply (DS 8.1.2), and whatever need not precede
StartSend is written while the frame is on the air.
"""

from time import sleep_us, ticks_diff, ticks_us

from micropython import const

from .. import release
from ..errors import BusError, CardCollision, CardGarbled, CardProtocolError, CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Bus(Protocol):
        """What the driver uses of machine.SPI."""

        def write(self, __buf) -> object: ...
        def write_readinto(self, __write_buf, __read_buf) -> object: ...

    from .mfrc522_frames import Frames

    Level = Callable[..., Any]  # of machine.Pin: called with a level it sets the pin, without one it reads


_COMMAND = const(0x01)  # DS 9.3.1.2
_COM_IRQ = const(0x04)  # DS 9.3.1.5
_FIFO_DATA = const(0x09)  # DS 9.3.1.10
_FIFO_LEVEL = const(0x0A)  # DS 9.3.1.11
_WATER_LEVEL = const(0x0B)  # DS 9.3.1.12; unused by the driver, so free for the liveness echo
_BIT_FRAMING = const(0x0D)  # DS 9.3.1.14
_TX_MODE = const(0x12)  # DS 9.3.2.3
_RX_MODE = const(0x13)  # DS 9.3.2.4
_TX_CONTROL = const(0x14)  # DS 9.3.2.5

_TRANSCEIVE = const(0x0C)  # DS 10.3.1.8
_FLUSH = const(0x80)  # FIFOLevelReg
_START_SEND = const(0x80)  # BitFramingReg
_IRQ_RX_ERR = const(0x22)  # ComIrqReg: RxIRq | ErrIRq
_IRQ_DONE = const(0x23)  # the same | TimerIRq
_ERR_COLLISION = const(0x08)  # ErrorReg, DS 9.3.1.7
_ANTENNA = const(0x03)  # TxControlReg: Tx1RFEn | Tx2RFEn
_SHORT = const(7)  # BitFramingReg: TxLastBits of REQA and WUPA

_FDT_US = const(91)  # 1236/fc, the longer of the two frame delay times of ISO/IEC 14443-3 6.2.1.1
_HALT_US = const(1000)  # ISO/IEC 14443-3 6.4.3: silence for 1 ms acknowledges HLTA
_GUARD_US = const(90)  # the chip itself waits 9 bits after a reply (MfTxReg TxWait, DS 9.3.2.13)
_LATE_US = const(2000)  # the chip's timer must have ended the wait long before
_MARGIN_US = const(24)  # end of the reply -> flags and FIFO settled
_MARGIN_STEP_US = const(48)
_MARGIN_MAX_US = const(216)

# One status read: ComIrqReg, ErrorReg, FIFOLevelReg, CollReg, VersionReg, TxControlReg, WaterLevelReg.
_STATUS = b"\x88\x8c\x94\x9c\xee\xa8\x96"
_IRQ = const(1)  # offsets in the answer: byte 0 is undefined, DS table 7
_ERROR = const(2)
_LEVEL = const(3)
_COLL = const(4)
_VERSION = const(5)
_TX_ON = const(6)
_ECHO = const(7)
_DATA = const(8)
_EXPECT_MAX = const(5)
_SEND_MAX = const(7)


class MFRC522:
    """One MFRC522. `spi` like machine.SPI (mode 0, at most 10 MHz), `cs`, `rst`, `irq` like machine.Pin.

    The constructor touches nothing; call `start` before anything else. Attributes:

    `tx`: bytes to send, filled by the caller; `rx`: the reply of the last `exchange`, lost with the next.
    `collision`: 1-based position of the first collision in the last reply, RxAlign included; 0 = none.
    `version`: VersionReg as found by `start`; `resets`: starts after the first one.
    `gain`: of the receiver from the next `start` on, RxGain 0 to 7 (18, 23, 18, 23, 33, 38, 43, 48 dB).
    """

    def __init__(self, spi: "Bus", cs: "Level", rst: "Level", irq: "Level | None" = None):
        self._spi = spi
        self._cs = cs
        self._rst = rst
        self._irq = irq
        self._pair = bytearray(2)
        out = memoryview(bytearray(1 + _SEND_MAX))
        answer = memoryview(bytearray(_DATA + _EXPECT_MAX))
        # Slicing allocates, so every length that is ever needed is cut here.
        self._sends = [out[: 1 + n] for n in range(_SEND_MAX + 1)]
        self._asks = []
        self._answers = []
        for n in range(_EXPECT_MAX + 1):
            self._asks.append(_STATUS + b"\x92" * n + b"\0")
            self._answers.append(answer[: _DATA + n])
        out[0] = _FIFO_DATA << 1
        self.tx = out[1:]
        self.rx = answer[_DATA:]
        self._answer = answer
        self._dirty = True
        self._tx_crc = 0
        self._rx_crc = 0
        self._framing = 0
        self._margin_us = _MARGIN_US
        self._is_stuck = False
        self._is_careful = False
        self._ended_us = 0
        self.collision = 0
        self.version = 0
        self.resets = -1
        self.gain = 4

    def _write(self, register, value):
        pair = self._pair
        pair[0] = register << 1
        pair[1] = value
        self._cs(0)
        self._spi.write(pair)
        self._cs(1)

    def read(self, register: int) -> int:
        """Return one register (0x00 to 0x3F)."""
        pair = self._pair
        pair[0] = 0x80 | register << 1
        pair[1] = 0
        self._cs(0)
        self._spi.write_readinto(pair, pair)
        self._cs(1)
        return pair[1]

    def _status(self, count):
        """Read all status registers and `count` bytes of the FIFO in one frame."""
        self._cs(0)
        self._spi.write_readinto(self._asks[count], self._answers[count])
        self._cs(1)

    def _send(self, count):
        self._cs(0)
        self._spi.write(self._sends[count])
        self._cs(1)

    def _error(self, kind, text):
        answer = self._answer
        return kind(
            "%s: ComIrq %02x Error %02x FIFOLevel %d Coll %02x Version %02x"
            " TxControl %02x" % ((text,) + tuple(answer[_IRQ:_ECHO]))
        )

    def _alive(self):
        version = self._answer[_VERSION]
        if version == 0x00 or version == 0xFF:
            raise self._error(BusError, "no reader chip: check SPI wiring, chip select and reset pin")
        if self._answer[_TX_ON] & _ANTENNA != _ANTENNA:
            raise self._error(BusError, "the chip lost its settings")

    def start(self) -> int:
        """Reset the chip by its RST pin, check and configure it, switch the field on; return VersionReg.

        Takes a few ms, at most 25. Raises BusError when the chip does not answer (VersionReg 0x00 or 0xFF) or
        its FIFO does not echo. Cards in the field lose their state.
        """
        from .mfrc522_start import start

        release("drivers.mfrc522_start")
        return start(self)

    def probe(self) -> None:
        """Raise BusError unless the chip answers, keeps its settings and takes a write; two SPI frames."""
        echo = self._answer[_ECHO] & 0x3F ^ 0x15
        self._write(_WATER_LEVEL, echo)
        self._status(0)
        self._alive()
        if self._answer[_ECHO] & 0x3F != echo:
            raise self._error(BusError, "the chip takes no writes")

    def frames(self) -> "Frames":
        """Return whole frames for a selected card, a new mfrc522_frames.Frames: close it when done."""
        from .mfrc522_frames import Frames

        return Frames(self)

    def crypto1(self):
        """Return the module mfrc522_crypto1: `login` and `logout` for this chip, for MIFARE Classic."""
        from . import mfrc522_crypto1

        return mfrc522_crypto1

    def exchange(self, count: int, expect: int, framing: int = 0, crc: int = 0, then: int = 0) -> int:
        """Send `count` bytes of `tx`; return the number of bytes that came back in `rx`, -1 for silence.

        `expect` (0 to 5) bytes are waited for; 0 = HLTA, which silence acknowledges. `framing` is
        RxAlign << 4 | TxLastBits; 7 = short frame. `crc` 0x80: the chip appends CRC_A, checks and removes it;
        `then`: `crc` of the frame that will probably follow. Allocates nothing unless something is wrong.

        Raises CardGarbled, CardProtocolError, CardCollision (at a place that the chip
        cannot tell), CardTimeout (a reply later than the standard allows; the next wait is longer), BusError.
        """
        was_dirty = self._dirty
        if was_dirty:
            # StartSend is write-only (DS 9.3.1.14), so it should not last; if it does on some clone, the next
            # command starts the transmission itself, and then it must find the right framing.
            if self._framing != framing:
                self._write(_BIT_FRAMING, framing)
            # Closes the receiver, into which the FIFO must not be written. After a reply it is closed, and
            # Transceive goes on with the next frame by itself (DS 10.3.1.8).
            self._write(_COMMAND, _TRANSCEIVE)
            self._write(_FIFO_LEVEL, _FLUSH)
        self._framing = framing
        self._dirty = True  # until a reply has been read as expected: an open receiver may catch noise
        self.collision = 0
        if self._tx_crc != crc:
            self._tx_crc = crc
            self._write(_TX_MODE, crc)
        if self._rx_crc > crc:
            # Anticollision is short: written on the air, this could come after the start of the reply.
            self._rx_crc = crc
            self._write(_RX_MODE, crc)
        self._send(count)
        self._sleep(self._ended_us, _GUARD_US)
        self._write(_BIT_FRAMING, _START_SEND | framing)
        start = ticks_us()
        wait_us = self._while_on_air(start, count, expect, framing, crc, then)
        self._sleep(start, wait_us)
        self._status(expect)
        self._ended_us = ticks_us()
        self._alive()
        answer = self._answer
        level = answer[_LEVEL]
        error = answer[_ERROR]
        if framing == _SHORT:
            # Too early for flags of its own, see `_while_on_air`; what counts is that somebody is there.
            self._dirty = level != expect or self._is_careful
            return level if level or error & _ERR_COLLISION else -1
        if not answer[_IRQ] & _IRQ_DONE:
            self._late(start, wait_us + _LATE_US, was_dirty)
            return -1
        self._is_stuck = False
        if answer[_IRQ] & _IRQ_RX_ERR:
            self._dirty = level != expect or self._is_careful
            if error:
                self._judge(error)
            return level
        return -1

    def _while_on_air(self, start, count, expect, framing, crc, then):
        """Write what need not precede StartSend; return the us from `start` to the end of the reply."""
        # 1 etu = 128/fc = 9.44 us; a byte is 9 etu with its parity bit, 2 more for start and end.
        last = framing & 7
        send_us = (9 * count + 2 - (9 - last if last else 0) + (18 if crc else 0)) * 944 // 100
        if framing != _SHORT:
            # All flags that matter rise after the transmission. A short frame does without them: the empty
            # poll has spent its frame on flushing what the open receiver may have caught since the last one.
            self._write(_COM_IRQ, 0x7F)
        if self._rx_crc < crc:
            self._rx_crc = crc
            self._write(_RX_MODE, crc)
        if then != crc:
            self._sleep(start, send_us)
            self._tx_crc = then
            self._write(_TX_MODE, then)
        if not expect:
            return send_us + _HALT_US
        reply = 9 * expect + 2 - (framing >> 4) + (18 if crc else 0)
        return send_us + _FDT_US + reply * 944 // 100 + self._margin_us

    def _late(self, start, limit_us, was_dirty):
        """Wait for a reply that should have ended, or for the chip's timer to say that there is none."""
        answer = self._answer
        while not answer[_IRQ] & _IRQ_DONE:
            if ticks_diff(ticks_us(), start) > limit_us:
                if answer[_LEVEL]:  # the timer is right to stand: somebody goes on talking
                    raise self._error(CardTimeout, "bad reply")
                # Once can be a hiccup between StartSend and the clearing of the flags, or a clone that sent
                # nothing because it wants a command for each frame: from now on it gets one.
                kind = BusError if self._is_stuck else CardTimeout
                self._is_stuck = was_dirty
                self._is_careful |= not was_dirty
                raise self._error(kind, "the timer does not run")
            if self._irq is None or not self._irq():
                self._status(0)
                self._alive()
        self._is_stuck = False
        if answer[_IRQ] & _IRQ_RX_ERR:
            # Part of the reply was taken from the FIFO too early and is spoilt; wait longer from now on.
            if self._margin_us < _MARGIN_MAX_US:
                self._margin_us += _MARGIN_STEP_US
            raise self._error(CardTimeout, "late reply")

    def _judge(self, error):
        """Note a collision, or raise what the bits of ErrorReg say."""
        if error & _ERR_COLLISION:
            position = self._answer[_COLL]
            if position & 0x20:
                raise self._error(CardCollision, "collision out of reach")
            self.collision = position & 0x1F or 32
            return
        kind = BusError  # TempErr
        if error & 0x06:  # CRCErr, ParityErr
            kind = CardGarbled
        elif error & 0x91:
            # Or more than the FIFO holds (BufferOvfl), or while we wrote our next frame (WrErr).
            kind = CardProtocolError
        self._dirty = True
        raise self._error(kind, "bad reply")

    def _sleep(self, start, until_us):
        left_us = until_us - ticks_diff(ticks_us(), start)
        if 0 < left_us <= until_us:  # more than that: `start` is so long ago that the ticks have wrapped
            sleep_us(left_us)
