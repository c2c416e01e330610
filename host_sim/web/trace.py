"""The last tap at a reader, frame by frame: SPI decoded to registers, the air to ISO/IEC 14443, and its time.

Owns the decoding and the split of the wait; it listens to the chip's trace and changes nothing. Register
names are those of the simulated chip's map. Times are microseconds.
"""

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from host_sim.cards import air
from host_sim.chips import mfrc522_registers as reg
from host_sim.chips.mfrc522 import MFRC522
from host_sim.chips.nor_flash import NorFlash

LONGEST = 20_000  # frames of one tap
COLUMNS = ("time_us", "kind", "what", "bytes", "meaning")
_COMMANDS = {
    reg.IDLE: "Idle",
    reg.MEM: "Mem",
    reg.GENERATE_RANDOM_ID: "GenerateRandomID",
    reg.CALC_CRC: "CalcCRC",
    reg.TRANSMIT: "Transmit",
    reg.NO_CMD_CHANGE: "NoCmdChange",
    reg.RECEIVE: "Receive",
    reg.TRANSCEIVE: "Transceive",
    reg.MF_AUTHENT: "MFAuthent",
    reg.SOFT_RESET: "SoftReset",
}
_LEVELS = {0x93: "level 1", 0x95: "level 2", 0x97: "level 3"}
_SHORT = {0x26: "REQA", 0x52: "WUPA"}
_SMALL = {0x50: "HLTA", 0x30: "READ", 0xA2: "WRITE", 0xE0: "RATS", 0x60: "AUTH key A", 0x61: "AUTH key B"}
_NATIVE = {  # of DESFire and NTAG 424 DNA, behind 90 or as it is
    0x71: "AuthenticateEV2First",
    0xAA: "AuthenticateAES",
    0xAD: "ReadData",
    0xAF: "the next part",
    0x5A: "SelectApplication",
    0xA4: "ISOSelectFile",
    0x60: "GetVersion",
    0x3C: "Read_Sig",
    0xBD: "ReadData",
}

Entry = tuple[int, str, bytes, bytes]


class Recorder:
    """What happens at one reader from a card's arrival to the decision; the tap before stays until then."""

    def __init__(self, chip: MFRC522, flash: NorFlash, spi_us: int, baud: int) -> None:
        self._chip = chip
        self._spi_us, self._baud = spi_us, baud
        self._flash_us = 0
        self.began_us = self._done_began_us = self._flash_before = 0
        self._entries: list[Entry] | None = None
        self.done: list[Entry] = []
        for name in ("read", "program", "erase"):
            setattr(flash, name, self._timed(flash, getattr(flash, name)))

    def _timed(self, flash: NorFlash, operation: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            result = operation(*arguments)
            self._flash_us += flash.last_us
            return result

        return timed

    @property
    def is_running(self) -> bool:
        """True from `begin` to `end`."""
        return self._entries is not None

    def begin(self, now_us: int) -> None:
        """A card comes."""
        self._entries = []
        self.began_us, self._flash_before = now_us, self._flash_us
        self._chip.trace = self._see

    def _see(self, now_us: int, kind: str, a: bytes, b: bytes) -> None:
        if self._entries is not None and len(self._entries) < LONGEST:
            self._entries.append((now_us, kind, a, b))

    def end(self, now_us: int) -> dict[str, float] | None:
        """The gate has answered: return where the wait went, in ms; None if nothing was running."""
        if self._entries is None:
            return None
        self.stop()
        return split(
            self.done,
            self.began_us,
            now_us,
            self._flash_us - self._flash_before,
            lambda count: self._spi_us + count * 8_000_000 // self._baud,
        )

    def stop(self) -> None:
        """Listen no more; what was heard is the last tap."""
        self._chip.trace = None
        if self._entries is not None:
            self.done, self._entries = self._entries, None
            self._done_began_us = self.began_us

    def rows(self) -> list[tuple[int, str, str, str, str]]:
        """Return the last tap, decoded; times from the moment at which the card came."""
        return [(at_us - self._done_began_us, *decoded(kind, a, b)) for at_us, kind, a, b in self.done]


def split(
    entries: Sequence[Entry], began_us: int, ended_us: int, flash_us: int, cost: Callable[[int], int]
) -> dict[str, float]:
    """Return in ms where the time went.

    `poll`: until the frame that the card answered first; then `air`: from a frame's start to the end of its
    answer, the bus meanwhile included; `spi`: frames on the bus beside that, `cost(bytes)` us each; `flash`;
    and `cpu`: all that is left.
    """
    start_us: int | None = None
    first_us: int | None = None
    pairs: list[tuple[int, int]] = []
    for at_us, kind, a, _ in entries:
        if kind == "spi" and _starts(a):
            start_us = at_us
        elif kind == "sent" and start_us is not None:
            pairs.append((start_us, at_us))
        elif kind == "received" and pairs:
            pairs[-1] = pairs[-1][0], at_us
            if first_us is None:
                first_us = pairs[-1][0]
    if first_us is None:
        return {"poll": (ended_us - began_us) / 1000, "air": 0.0, "spi": 0.0, "cpu": 0.0, "flash": 0.0}
    flying = [(a, b) for a, b in pairs if a >= first_us]
    air_us = sum(b - a for a, b in flying)
    spi_us, place = 0, 0
    for at_us, kind, a, _ in entries:
        if kind != "spi" or at_us <= first_us:
            continue
        while place < len(flying) and flying[place][1] < at_us:
            place += 1
        if place == len(flying) or not flying[place][0] < at_us <= flying[place][1]:
            spi_us += cost(len(a))
    poll_us = first_us - began_us
    rest_us = ended_us - first_us - air_us - spi_us - flash_us
    return {
        "poll": poll_us / 1000,
        "air": air_us / 1000,
        "spi": spi_us / 1000,
        "cpu": max(0, rest_us) / 1000,
        "flash": flash_us / 1000,
    }


def _starts(mosi: bytes) -> bool:
    """Return whether an SPI frame starts a transmission: StartSend, or the command MFAuthent."""
    if len(mosi) < 2 or mosi[0] & 0x80:
        return False
    address = mosi[0] >> 1 & 0x3F
    if address == reg.BIT_FRAMING:
        return bool(mosi[-1] & reg.START_SEND)
    return address == reg.COMMAND and mosi[-1] & 0x0F == reg.MF_AUTHENT


def decoded(kind: str, a: bytes, b: bytes) -> tuple[str, str, str, str]:
    """Return (kind, what, bytes in hex, meaning) of one entry of the chip's trace."""
    if kind == "spi":
        return _register(a, b)
    if kind == "sent":
        data, last_bits, _ = air.data_of(a)
        return "air", "reader to card", data.hex(" "), request(data, last_bits)
    errors = b[0] if b else 0
    return "air", "card to reader", a.hex(" "), "ErrorReg 0x%02x" % errors if errors else answer(a)


def _register(mosi: bytes, miso: bytes) -> tuple[str, str, str, str]:
    address = mosi[0] >> 1 & 0x3F if mosi else 0
    name = reg.MAP[address].name if address in reg.MAP else "reserved 0x%02x" % address
    if mosi and mosi[0] & 0x80:
        addresses = [byte >> 1 & 0x3F for byte in mosi[:-1]]
        parts = []
        for one, run in itertools.groupby(addresses):
            count = len(list(run))
            text = reg.MAP[one].name if one in reg.MAP else "reserved 0x%02x" % one
            parts.append(text if count == 1 else "%s x%d" % (text, count))
        return "spi", "read", miso[1:].hex(" "), ", ".join(parts)
    meaning = name
    if address == reg.COMMAND and len(mosi) > 1:
        meaning += ": " + _COMMANDS.get(mosi[1] & 0x0F, "?")
    elif address == reg.BIT_FRAMING and len(mosi) > 1 and mosi[1] & reg.START_SEND:
        meaning += ": StartSend"
    elif address == reg.FIFO_LEVEL and len(mosi) > 1 and mosi[1] & reg.FLUSH_BUFFER:
        meaning += ": FlushBuffer"
    return "spi", "write", mosi[1:].hex(" "), meaning


def request(data: bytes, last_bits: int) -> str:
    """Return what a frame from a reader to a card is (ISO/IEC 14443-3 6 and -4 7)."""
    if not data:
        return ""
    if len(data) == 1 and last_bits == 7:
        return _SHORT.get(data[0], "short frame")
    if data[0] in _LEVELS and len(data) > 1:
        what = "SELECT" if data[1] == 0x70 else "anticollision"
        return "%s, %s" % (what, _LEVELS[data[0]])
    if data[0] & 0xF0 == 0xD0:
        return "PPS"
    if data[0] & 0xE2 == 0x02:
        inner = data[1 + bool(data[0] & 8) + bool(data[0] & 4) : -2]
        code = inner[1] if len(inner) > 1 and inner[0] in (0x90, 0x00) else inner[0] if inner else 0
        return "I-block %d: %s" % (data[0] & 1, _NATIVE.get(code, "command 0x%02x" % code))
    if data[0] & 0xE2 == 0xA2 and len(data) < 5:
        return "R-block %d: %s" % (data[0] & 1, "NAK" if data[0] & 0x10 else "ACK")
    if data[0] & 0xC7 == 0xC2 and len(data) < 6:
        return "S-block: %s" % ("WTX" if data[0] & 0x30 == 0x30 else "DESELECT")
    return _SMALL.get(data[0], "")


def answer(data: bytes) -> str:
    """Return what an answer may be, by its form alone."""
    if len(data) == 2:
        return "ATQA"
    if len(data) == 5:
        return "UID part and BCC" if air.bcc(data[:4]) == data[4] else ""
    if data and len(data) in (1, 3):
        return "SAK" + (", ISO/IEC 14443-4" if data[0] & 0x20 else "")
    if len(data) > 3 and data[0] & 0xE2 == 0x02:
        return "I-block %d" % (data[0] & 1)
    if data and data[0] in (len(data) - 2, len(data)):
        return "ATS"
    return ""


def as_csv(rows: Sequence[tuple[int, str, str, str, str]]) -> str:
    """Return the rows of a tap as CSV (RFC 4180) with a heading."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()
