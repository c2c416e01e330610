"""The start of an MFRC522: reset, settings, and whether it takes and gives bytes. "DS" as in mfrc522.py.

Owns the settings that the driver counts on. A part of mfrc522.py, apart so that it is loaded for a start
only.
"""

from time import sleep_us

from micropython import const

from ..errors import BusError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .mfrc522 import MFRC522

_COMMAND = const(0x01)  # DS 9.3.1.2
_FIFO_LEVEL = const(0x0A)  # DS 9.3.1.11
_RF_CFG = const(0x26)  # DS 9.3.3.6
_POWER_DOWN = const(0x10)  # CommandReg: reads 1 until the oscillator runs
_FLUSH = const(0x80)  # FIFOLevelReg
_START_MS = const(25)  # oscillator start, DS 8.8.2
_LEVEL = const(3)  # places in the driver's answer
_VERSION = const(5)
_ECHO_SIZE = const(5)

# (register, value) pairs written after a reset.
_SETUP = (
    b"\x02\xa1"  # ComIEnReg: IRQ pin active low, RxIEn, TimerIEn
    b"\x03\x80"  # DivIEnReg: IRQ pin push-pull
    b"\x15\x40"  # TxASKReg: 100 % ASK
    b"\x2a\x80"  # TModeReg: TAuto, starts at the end of transmission, stops with the first bits of a reply
    b"\x2b\xa9"  # TPrescalerReg: 169 -> (2 * 169 + 1) / 13.56 MHz = 25 us
    # TReloadReg: 10 -> 275 us, 3 x the frame delay time. A reply of activation comes after exactly 86 or
    # 91 us (ISO/IEC 14443-3), so an empty field costs no more than a full one.
    b"\x2d\x0a"
    b"\x14\x83"  # TxControlReg: antenna on
)


def start(chip: "MFRC522") -> int:
    """Start `chip` (MFRC522.start)."""
    chip.resets += 1
    chip._tx_crc = chip._rx_crc = chip._framing = 0
    chip._cs(1)
    chip._rst(0)
    sleep_us(100)  # DS 8.8.1 asks for 100 ns
    chip._rst(1)
    for _ in range(_START_MS):
        sleep_us(1000)
        if not chip.read(_COMMAND) & _POWER_DOWN:
            break
    for i in range(0, len(_SETUP), 2):
        chip._write(_SETUP[i], _SETUP[i + 1])
    chip._write(_RF_CFG, chip.gain << 4)
    chip._write(_FIFO_LEVEL, _FLUSH)
    tx = chip.tx
    for i in range(_ECHO_SIZE):
        tx[i] = 0x5A + 0x33 * i & 0xFF
    chip._send(_ECHO_SIZE)
    chip._status(_ECHO_SIZE)
    chip._dirty = True
    chip._alive()
    if chip._answer[_LEVEL] != _ECHO_SIZE or bytes(chip.rx) != bytes(tx[:_ECHO_SIZE]):
        raise chip._error(BusError, "the reader chip's FIFO does not echo: check SPI wiring and clock")
    chip.version = chip._answer[_VERSION]
    return chip.version
