"""Examines a reader chip on demand: version, FIFO, digital self-test, gain, antenna.

Owns what a technician wants to know and service does not need; imported for the check and let go. A clone is
a warning, a chip that cannot work an error. "DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from time import sleep_us

from micropython import const

from ..errors import BusError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .mfrc522 import MFRC522

_COMMAND = const(0x01)  # DS 9.3.1.2
_FIFO_DATA = const(0x09)
_FIFO_LEVEL = const(0x0A)
_TX_CONTROL = const(0x14)
_RF_CFG = const(0x26)
_AUTO_TEST = const(0x36)  # DS 9.3.4.7
_VERSION = const(0x37)

_IDLE = const(0x00)
_MEM = const(0x01)
_CALC_CRC = const(0x03)
_SOFT_RESET = const(0x0F)
_POWER_DOWN = const(0x10)
_FLUSH = const(0x80)
_SELF_TEST_ON = const(0x09)
_SIZE = const(64)  # of the FIFO
_BUFFER_SIZE = const(25)  # DS 10.3.1.2
_TRIES = const(25)  # ms

OK, WARNING, ERROR = 0, 1, 2

# What the self-test leaves in the FIFO (DS 16.1.1), by VersionReg; 0x90 as its preliminary data sheet says.
_RESULTS = {
    0x90: b"\x00\x87\x98\x0f\x49\xff\x07\x19\xbf\x22\x30\x49\x59\x63\xad\xca"
    b"\x7f\xe3\x4e\x03\x5c\x4e\x49\x50\x47\x9a\x37\x61\xe7\xe2\xc6\x2e"
    b"\x75\x5a\xed\x04\x3d\x02\x4b\x78\x32\xff\x58\x3b\x7c\xe9\x00\x94"
    b"\xb4\x4a\x59\x5b\xfd\xc9\x29\xdf\x35\x96\x98\x9e\x4f\x30\x32\x8d",
    0x91: b"\x00\xc6\x37\xd5\x32\xb7\x57\x5c\xc2\xd8\x7c\x4d\xd9\x70\xc7\x73"
    b"\x10\xe6\xd2\xaa\x5e\xa1\x3e\x5a\x14\xaf\x30\x61\xc9\x70\xdb\x2e"
    b"\x64\x22\x72\xb5\xbd\x65\xf4\xec\x22\xbc\xd3\x72\x35\xcd\xaa\x41"
    b"\x1f\xa7\xf3\x53\x14\xde\x7e\x02\xd9\x0f\xb5\x5e\x25\x1d\x29\x79",
    0x92: b"\x00\xeb\x66\xba\x57\xbf\x23\x95\xd0\xe3\x0d\x3d\x27\x89\x5c\xde"
    b"\x9d\x3b\xa7\x00\x21\x5b\x89\x82\x51\x3a\xeb\x02\x0c\xa5\x00\x49"
    b"\x7c\x84\x4d\xb3\xcc\xd2\x1b\x81\x5d\x48\x76\xd5\x71\x61\x21\xa9"
    b"\x86\x96\x83\x38\xcf\x9d\x5b\x6d\xdc\x15\xba\x3e\x7d\x95\x3b\x2f",
}


def check(chip: "MFRC522") -> "list[tuple[str, int, str]]":
    """Return (what, OK | WARNING | ERROR, text) for version, fifo, self-test, gain and antenna.

    Restarts the chip: cards in the field lose their state. Takes 35 ms, at most 130. Raises nothing; a chip
    that does not answer has one row only, and after any ERROR the chip is not fit for service.
    """
    found = []
    try:
        chip.start()
    except BusError as error:
        version = chip.read(_VERSION)
        if version == 0x00 or version == 0xFF:
            return [("version", ERROR, str(error))]
    version = chip.read(_VERSION)
    text = "VersionReg=0x%02x" % version
    if version in _RESULTS:
        found.append(("version", OK, text + ", by NXP"))
    else:
        found.append(("version", WARNING, text + ", a clone"))
    lost = _echo(chip)
    found.append(("fifo", ERROR, "%d of 64 bytes are lost" % lost) if lost else ("fifo", OK, "64 bytes"))
    found.append(_self_test(chip, version))
    try:
        chip.start()
    except BusError as error:
        found.append(("restart", ERROR, str(error)))
        return found
    gain = chip.read(_RF_CFG) >> 4 & 7
    found.append(("gain", OK if gain == chip.gain else ERROR, "RxGain=%d, set %d" % (gain, chip.gain)))
    drivers = chip.read(_TX_CONTROL) & 3
    found.append(("antenna", OK if drivers == 3 else ERROR, "TxControlReg bits 1-0 = %d of 3" % drivers))
    return found


def _echo(chip):
    """Return how many of 64 bytes do not come back from the FIFO."""
    chip._write(_COMMAND, _IDLE)
    chip._write(_FIFO_LEVEL, _FLUSH)
    for i in range(_SIZE):
        chip._write(_FIFO_DATA, i * 37 & 0xFF)
    lost = 0
    for i in range(_SIZE):
        lost += chip.read(_FIFO_DATA) != i * 37 & 0xFF
    return lost


def _self_test(chip, version):
    """Run the digital self-test by the steps of DS 16.1.1; afterwards the chip wants a reset."""
    chip._write(_COMMAND, _SOFT_RESET)
    for _ in range(_TRIES):
        sleep_us(1000)
        if not chip.read(_COMMAND) & _POWER_DOWN:
            break
    for _ in range(_BUFFER_SIZE):
        chip._write(_FIFO_DATA, 0)
    chip._write(_COMMAND, _MEM)
    chip._write(_AUTO_TEST, _SELF_TEST_ON)
    chip._write(_FIFO_DATA, 0)
    chip._write(_COMMAND, _CALC_CRC)
    for _ in range(_TRIES):
        sleep_us(1000)
        if chip.read(_FIFO_LEVEL) == _SIZE:
            break
    else:
        return "self-test", WARNING, "does not end"
    chip._write(_COMMAND, _IDLE)
    result = bytes([chip.read(_FIFO_DATA) for _ in range(_SIZE)])
    if version not in _RESULTS:
        return "self-test", WARNING, "no reference for this version"
    if result != _RESULTS[version]:
        return "self-test", WARNING, "not the result of this version: a clone, or a damaged chip"
    return "self-test", OK, "as the data sheet says"
