"""A gate's board as the reader on the technician's desk, over USB and the board's raw REPL.

Owns the little program that runs on the board and how the two talk. Messages for a card are made on the
host: keys and session keys stay there, the board sees what goes over the air. The exception is MIFARE
Classic, whose 6-byte keys the reader chip itself needs: they are in the board's RAM until its reset, on no
flash.
"""

from typing import Any, Protocol

from tools.card.transport import CardInfo, CardLost, Refused, TransportError

SIDES = ("in", "out")

# Runs on the board. One line per answer: "+" and hex, or "!", the kind of error and its words. The relays are
# made safe by `wiring`; nothing of the gate's application is started.
PROGRAM = """\
import board, binascii
from firmware import wiring
from firmware.cards.iso14443a import Scanner
from firmware.cards.isodep import IsoDep
from firmware.errors import BusError, CardError, CardTimeout
_hardware = wiring.connect(board)
_chip = _hardware.chips[%(side)d]
_scanner = None  # of the last look for cards
_link = None  # with a card with ISO/IEC 14443-4
_memory = None  # with any other: a Sector of a MIFARE Classic, else Frames
_is_classic = False
_uid = b''
_chip.start()

class Refused(CardError):
    pass

def _say(function, *arguments):
    try:
        print('+' + binascii.hexlify(function(*arguments) or b'').decode())
    except (BusError, CardError) as e:
        print('!' + type(e).__name__ + ' ' + str(e))

def _connect():
    for attempt in range(10):
        try:
            return _activate()
        except CardError as e:
            error = e
            if len(_scanner.uids) > 1:
                break
        except BusError as e:  # as the gate does: reset, and once more; one that is dead says so here
            error = e
            _chip.start()
    raise error

def _activate():
    global _scanner, _link, _memory, _uid, _is_classic
    for one in (_link, _memory):
        if one:
            one.close()
    _link = _memory = None
    frames = _chip.frames()
    frames.drop_field()
    frames.close()
    from time import sleep_ms
    sleep_ms(10)
    _scanner = Scanner(_chip)  # the last one thinks of cards before the field went
    uids = set()  # all that were heard: one that the scanner misses later is halted, and not found again
    for _ in range(5):  # one that is torn at the first is found by the next
        uids.update(_scanner.poll() or ())
    if len(uids) != 1:
        raise CardError('%%d cards on the reader' %% len(uids))
    _uid = uids.pop()
    atqa = _wake()
    try:
        sak = _scanner.select(_uid)  # the card does not expect a second WUPA, and starts anew
    except CardError:
        sak = _scanner.select(_uid)
    ats = b''
    if sak & 0x20:
        _link = IsoDep(_chip.frames(), 60000)
        ats = _link.connect(0)
    elif sak & 8:
        from firmware.cards.classic import Sector
        _memory = Sector(_chip, _uid)
    else:
        _memory = _chip.frames()
    _is_classic = sak & 0x28 == 8
    return bytes((len(_uid),)) + _uid + atqa + bytes((sak,)) + ats

def _wake():
    for _ in range(4):  # a card that was not heard takes the next for a mistake, and answers the one after
        _chip.tx[0] = 0x52
        if _chip.exchange(1, 2, 7) == 2:
            return bytes(_chip.rx[:2])
    raise CardError('no answer to WUPA')

def _apdu(text):
    return _link.transceive(binascii.unhexlify(text))

def _raw(text):
    frame = binascii.unhexlify(text)
    _memory.tx[:len(frame)] = frame
    try:
        count = _memory.exchange(len(frame), 10000)
    except CardError:  # a NAK has no CRC
        count = -1
    if count < 2:
        raise Refused('no answer to ' + text)
    return bytes(_memory.rx[:count])

def _read(place):
    if _is_classic:
        return _memory.read(place)
    from firmware.cards.type2 import read
    try:
        return read(_memory, place)
    except CardTimeout:
        raise
    except CardError as e:
        raise Refused('reading %%d: %%s' %% (place, e))

def _write(place, text):
    data = binascii.unhexlify(text)
    if _is_classic:
        _memory.write(place, data)
    else:
        from firmware.cards.type2 import write
        write(_memory, place, data)

def _login(block, command, text):
    try:
        _memory.login(command, block, binascii.unhexlify(text))
    except CardTimeout as e:
        raise Refused(e)
"""


class Repl(Protocol):
    """What the encoder uses of mpremote's SerialTransport."""

    def enter_raw_repl(self, soft_reset: bool = True) -> None: ...
    def exec(self, command: str) -> bytes: ...
    def exit_raw_repl(self) -> None: ...
    def close(self) -> None: ...


class BoardTransport:
    """The reader `side` ("in" or "out") of the board behind `repl`. `failures`: its exceptions."""

    def __init__(self, repl: Repl, failures: tuple[type[Exception], ...], side: str = "in") -> None:
        self._repl = repl
        self._failures = failures
        self._program = PROGRAM % {"side": SIDES.index(side)}
        self._is_loaded = False

    def connect(self) -> CardInfo:
        """Switch the field off and on, and select the one card in it."""
        if not self._is_loaded:
            try:
                # A soft reset would start the gate.
                self._repl.enter_raw_repl(soft_reset=False)
                self._repl.exec(self._program)
            except self._failures as error:
                raise TransportError(f"the board does not take the program: {_last_line(error)}") from error
            self._is_loaded = True
        raw = self._ask("_connect")
        size = raw[0]
        rest = raw[1 + size :]
        return CardInfo(raw[1 : 1 + size], int.from_bytes(rest[:2], "little"), rest[2], rest[3:])

    def transmit(self, apdu: bytes) -> bytes:
        """Send an APDU."""
        return self._ask("_apdu", apdu)

    def raw(self, frame: bytes) -> bytes:
        """Send a frame to a Type 2 card."""
        return self._ask("_raw", frame)

    def read(self, place: int) -> bytes:
        """Read by the firmware's own module."""
        return self._ask("_read", place)

    def write(self, place: int, data: bytes) -> None:
        """Write by the firmware's own module, which looks at access bits before it writes a trailer."""
        self._ask("_write", place, data)

    def login(self, block: int, is_key_b: bool, key: bytes) -> None:
        """Give the key to the reader chip, which does the handshake."""
        self._ask("_login", block, 0x61 if is_key_b else 0x60, key)

    def close(self) -> None:
        """Leave the board at its friendly prompt; nothing of us stays after a reset."""
        try:
            self._repl.exit_raw_repl()
            self._repl.close()
        except self._failures:
            pass

    def _ask(self, function: str, *arguments: bytes | int) -> bytes:
        words = [
            repr(argument.hex()) if isinstance(argument, bytes) else str(argument) for argument in arguments
        ]
        try:
            lines = self._repl.exec(f"_say({', '.join([function, *words])})").decode("ascii").split()
            text = " ".join(lines)
            if text[:1] == "+":
                return bytes.fromhex(text[1:])
        except self._failures as error:
            raise TransportError(f"the board stopped: {_last_line(error)}") from error
        except ValueError as error:
            raise TransportError("the board answers something else") from error
        kind, _, words_of_it = text[1:].partition(" ")
        if text[:1] != "!":
            raise TransportError("the board answers something else")
        if kind == "Refused":
            raise Refused(words_of_it)
        raise (TransportError if kind == "BusError" else CardLost)(words_of_it or kind)


def open_board(port: str, side: str) -> BoardTransport:
    """Return the board at the serial port `port`. Raises TransportError."""
    from mpremote.transport import TransportError as Failure
    from mpremote.transport_serial import SerialTransport
    from serial import SerialException

    failures = (Failure, SerialException, OSError)
    try:
        repl: Any = SerialTransport(port)
    except failures as error:
        raise TransportError(f"{port}: {_last_line(error)}") from error
    return BoardTransport(repl, failures, side)


def _last_line(error: Exception) -> str:
    detail = getattr(error, "error_output", None) or str(error)
    lines = [line for line in str(detail).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
