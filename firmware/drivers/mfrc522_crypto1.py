"""MIFARE Classic authentication by the MFRC522: the chip does the cipher, the host gives it the key.

Owns the command MFAuthent. From then on all frames are encrypted, until `logout`. Loaded when such a card
comes.
"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from time import sleep_us, ticks_diff, ticks_us

from micropython import const

from ..errors import CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .mfrc522 import MFRC522

_COMMAND = const(0x01)  # DS 9.3.1.2
_COM_IRQ = const(0x04)  # DS 9.3.1.5
_STATUS_2 = const(0x08)  # DS 9.3.1.9
_FIFO_DATA = const(0x09)
_FIFO_LEVEL = const(0x0A)
_TX_MODE = const(0x12)
_RX_MODE = const(0x13)
_IDLE = const(0x00)
_MF_AUTHENT = const(0x0E)  # DS 10.3.1.9
_FLUSH = const(0x80)
_IRQ_ENDED = const(0x11)  # IdleIRq: done; TimerIRq: the card has stopped answering
_CRYPTO1_ON = const(0x08)
_LOOK_US = const(200)
_LIMIT_US = const(10000)


def login(chip: "MFRC522", command: int, block: int, key: bytes, uid: bytes) -> None:
    """Open the sector of `block` of the selected card `uid`.

    `command`: 0x60 for key A, 0x61 for key B (6 bytes). Raises CardTimeout if the card does not go along: the
    key is wrong, or it has left. It must be selected anew then. Raises BusError.
    """
    write = chip._write
    # The handshake has CRCs and parities of its own: the chip sees to them.
    chip._tx_crc = chip._rx_crc = 0
    write(_TX_MODE, 0)
    write(_RX_MODE, 0)
    write(_COMMAND, _IDLE)
    write(_FIFO_LEVEL, _FLUSH)
    for byte in bytes((command, block)) + key + uid[-4:]:
        write(_FIFO_DATA, byte)
    chip._dirty = True  # another command than Transceive
    write(_COM_IRQ, 0x7F)
    start = ticks_us()
    write(_COMMAND, _MF_AUTHENT)
    while not chip.read(_COM_IRQ) & _IRQ_ENDED and ticks_diff(ticks_us(), start) < _LIMIT_US:
        sleep_us(_LOOK_US)
    chip._status(0)
    chip._alive()
    chip._ended_us = ticks_us()
    if not chip.read(_STATUS_2) & _CRYPTO1_ON:
        logout(chip)
        raise CardTimeout("the card does not take the key")


def logout(chip: "MFRC522") -> None:
    """Go back to plain frames."""
    chip._write(_COMMAND, _IDLE)
    chip._write(_STATUS_2, 0)
    chip._dirty = True
