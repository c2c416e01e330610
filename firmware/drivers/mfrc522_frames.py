"""Whole frames of up to 64 bytes on a started MFRC522, for a card that is selected: READ, ISO/IEC 14443-4.

Owns what activation does not need: long replies, frame waiting times, bit rates above 106 kbit/s. Imported
when a card is talked to and let go afterwards; activation (mfrc522.py) neither knows nor pays for it.
"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from time import sleep_us, ticks_diff, ticks_us

from micropython import const

from ..errors import CardCollision, CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .mfrc522 import MFRC522

_COMMAND = const(0x01)  # DS 9.3.1.2
_COM_IRQ = const(0x04)  # DS 9.3.1.5
_FIFO_DATA = const(0x09)  # DS 9.3.1.10
_FIFO_LEVEL = const(0x0A)  # DS 9.3.1.11
_BIT_FRAMING = const(0x0D)  # DS 9.3.1.14
_TX_MODE = const(0x12)  # DS 9.3.2.3
_RX_MODE = const(0x13)  # DS 9.3.2.4
_TX_CONTROL = const(0x14)  # DS 9.3.2.5
_MOD_WIDTH = const(0x24)  # DS 9.3.3.4
_RELOAD_H = const(0x2C)  # DS 9.3.3.11
_RELOAD_L = const(0x2D)

_TRANSCEIVE = const(0x0C)
_FLUSH = const(0x80)
_START_SEND = const(0x80)
_CRC = const(0x80)  # TxModeReg, RxModeReg
_IRQ_RX_ERR = const(0x22)  # ComIrqReg: RxIRq | ErrIRq
_IRQ_DONE = const(0x23)  # the same | TimerIRq
_FIELD_OFF = const(0x80)  # TxControlReg
_FIELD_ON = const(0x83)

_IRQ = const(1)  # offsets in the answer to the driver's status read
_ERROR = const(2)
_LEVEL = const(3)

_SIZE = const(64)  # of the FIFO
_TICK_US = const(25)  # of the timer, as mfrc522.py has set it
_ACTIVATION_TICKS = const(10)  # TReloadReg as mfrc522.py wants it back
_TICKS_MAX = const(0xFFFF)
_GUARD_US = const(90)  # as in mfrc522.py
_FIRST_US = const(354)  # frame delay time and the shortest reply, 3 bytes, at 106 kbit/s
_LOOK_US = const(100)  # between two looks at the status
_LATE_US = const(8000)  # the longest reply, and 2 ms for a clock that stands
_RESET_US = const(5100)  # ISO/IEC 14443-3 5.2: 5 ms without a field reset every card, 5 ms with it wake it up

# Width of a pause at 106, 212, 424 and 848 kbit/s: shorter than half a bit (unverified on hardware).
_WIDTHS = b"\x26\x15\x0a\x05"
_READ = b"\x92" * _SIZE + b"\0"  # FIFODataReg, read so many times


class Frames:
    """Frames with CRC_A in both directions on `chip`, which appends, checks and removes it.

    `tx`: up to 62 bytes to send, filled by the caller and kept; `rx`: the reply, overwritten by the next one.
    Call `close` when done with a card: activation needs its own timer and bit rate back.
    """

    def __init__(self, chip: "MFRC522"):
        self._chip = chip
        out = bytearray(1 + _SIZE)
        out[0] = _FIFO_DATA << 1
        self._out = memoryview(out)
        self._in = memoryview(bytearray(1 + _SIZE))
        self.tx = self._out[1:]
        self.rx = self._in[1:]
        self._ticks = _ACTIVATION_TICKS
        self._send_rate = self._receive_rate = 0

    def exchange(self, count: int, wait_us: int, crc: int = _CRC) -> int:
        """Send `count` bytes of `tx`; return how many came back in `rx`, -1 if none within `wait_us`.

        `crc` 0: the answer has none; that of four bits (ACK, NAK) is in the low half of one byte.

        The wait counts from the end of the frame; the chip's timer ends it, at the latest after 1.6 s. Raises
        CardGarbled, CardProtocolError, CardCollision, CardTimeout (the chip's timer does
        not run) and BusError.
        """
        chip = self._chip
        write = chip._write
        self._set_timer(min(wait_us // _TICK_US + 1, _TICKS_MAX))
        if chip._dirty:
            write(_COMMAND, _TRANSCEIVE)
            write(_FIFO_LEVEL, _FLUSH)
        chip._dirty = True
        mode = _CRC | self._send_rate << 4
        if chip._tx_crc != mode:
            chip._tx_crc = mode
            write(_TX_MODE, mode)
        mode = crc | self._receive_rate << 4
        if chip._rx_crc != mode:
            chip._rx_crc = mode
            write(_RX_MODE, mode)
        self._transfer(chip._spi.write, self._out[: 1 + count])
        chip._sleep(chip._ended_us, _GUARD_US)
        write(_BIT_FRAMING, _START_SEND)
        start = ticks_us()
        write(_COM_IRQ, 0x7F)
        send_us = (9 * count + 20) * 944 // 100 >> self._send_rate
        chip._sleep(start, send_us + (_FIRST_US >> self._receive_rate))
        answer = chip._answer
        limit_us = send_us + self._ticks * _TICK_US + _LATE_US
        while True:
            if chip._irq is None or not chip._irq():
                chip._status(0)
                chip._alive()
                if answer[_IRQ] & _IRQ_DONE:
                    break
            if ticks_diff(ticks_us(), start) > limit_us:
                raise chip._error(CardTimeout, "the timer does not run")
            sleep_us(_LOOK_US)
        chip._ended_us = ticks_us()
        if not answer[_IRQ] & _IRQ_RX_ERR:
            return -1
        count = answer[_LEVEL]
        self._transfer(chip._spi.write_readinto, _READ[_SIZE - count :], self._in[: 1 + count])
        chip._dirty = chip._is_careful
        error = answer[_ERROR]
        if error:
            chip._judge(error)
            raise chip._error(CardCollision, "two cards answer")
        return count

    def set_rates(self, send: int, receive: int) -> None:
        """Use 106 kbit/s << `send` to the card and 106 kbit/s << `receive` from it (0 to 3) from now on."""
        if self._send_rate != send:
            self._chip._write(_MOD_WIDTH, _WIDTHS[send])
        self._send_rate = send
        self._receive_rate = receive

    def drop_field(self) -> None:
        """Switch the field off for 5 ms: every card in it forgets its state. It hears us again afterwards."""
        self._chip._dirty = True
        for state in (_FIELD_OFF, _FIELD_ON):
            self._chip._write(_TX_CONTROL, state)
            sleep_us(_RESET_US)

    def close(self) -> None:
        """Give the chip back to activation."""
        self.set_rates(0, 0)
        self._set_timer(_ACTIVATION_TICKS)

    def _set_timer(self, ticks):
        if self._ticks != ticks:
            if self._ticks >> 8 != ticks >> 8:
                self._chip._write(_RELOAD_H, ticks >> 8)
            self._chip._write(_RELOAD_L, ticks & 0xFF)
            self._ticks = ticks

    def _transfer(self, function, *buffers):
        self._chip._cs(0)
        function(*buffers)
        self._chip._cs(1)
