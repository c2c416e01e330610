"""Secure messaging EV2 of NTAG 424 DNA and MIFARE DESFire EV2/EV3: authentication, commands, MACs.

Owns the session with one card; it reaches the card only through `transceive` and knows no files and no rules.
What a gate does not need (encrypted data, long answers, a second authentication) is in ev2_full.py.

"DS" = NXP NT4H2421Gx data sheet Rev. 3.0; DESFire has the same commands.
"""

from cryptolib import aes
from micropython import const

from ..cmac import cmac
from ..crypto import equal
from ..errors import CardProtocolError, ProofFailed

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable

PLAIN, MAC, FULL = 0, 1, 2

_FIRST = const(0x71)  # AuthenticateEV2First
_NEXT = const(0xAF)  # go on
_OK = const(0x9100)
_MORE = const(0x91AF)
_NONE = const(0xFFFF)
_CBC = const(2)  # cryptolib
_BLOCK = const(16)
_MAC_SIZE = const(8)


class Session:
    """A conversation with a card; `transceive(apdu)` returns its response, status included.

    Attributes: `ti`: the transaction identifier, `counter`: commands since the authentication; `status`: the
    last status word (0x9100: done), 0xFFFF if there was none.

    All methods raise ProofFailed if the card has not the key, and for a status that means no: it has no such
    key or file, finds our key wrong, or is of another kind. Any other status that should not be there is a
    CardProtocolError. Both name it. What `transceive` raises goes through.
    """

    # Low bytes of a final no (DS 8.4): our key is wrong, our MAC is wrong; no such key, no permission, no
    # such file, too short a file, no such command; 00 ends what other kinds of cards say (6D00, 6E00, 6700).
    no = b"\xae\x1e\x40\x9d\xf0\xbe\x1c\x00"

    def __init__(self, transceive: "Callable[[bytes], bytes]"):
        self._transceive = transceive
        self._mac_key = b""
        self.ti = b""
        self.counter = 0
        self.status = _NONE

    def select(self, df_name: bytes) -> bool:
        """Select the application with this DF name (ISOSelectFile); return False if the card refuses it."""
        self._answer(b"\x00\xa4\x04\x0c" + bytes((len(df_name),)) + df_name + b"\0")
        if self.status >> 12 not in (6, 9):
            raise self._refused()
        return self.status == 0x9000

    def authenticate_first(self, key_no: int, key: bytes, rnd_a: bytes) -> None:
        """Prove to each other that both sides have `key`, the card's number `key_no` (DS 9.1.5).

        `rnd_a`: 16 random bytes, never used before. A new transaction: new `ti`, `counter` 0.
        """
        self.ti = self._authenticate(_FIRST, bytes((key_no, 0)), key, rnd_a, 4)[:4]
        self.counter = 0

    def command(self, code: int, header: bytes = b"", data: bytes = b"", mode: int = PLAIN) -> bytes:
        """Send a command and return the data of its answer.

        `mode` MAC: the command carries a MAC, and that of the answer is checked. FULL, and answers in several
        parts: see ev2_full.py.
        """
        data = header + data
        answer = self._exchange(code, data + self._mac(code, data) if mode else data)
        self.counter += 1
        if mode:
            mac = answer[-_MAC_SIZE:]
            answer = answer[:-_MAC_SIZE]
            if not equal(mac, self._mac(0, answer)):
                raise ProofFailed("wrong MAC")
        return answer

    def _authenticate(self, code, header, key, rnd_a, at):
        """Do both parts of an authentication; return the plain answer to the second, with RndA' at `at`."""
        zero = bytes(_BLOCK)
        rnd_b = self._apdu(code, header)
        if self.status != _MORE or len(rnd_b) != _BLOCK:
            raise self._refused()
        rnd_b = aes(key, _CBC, zero).decrypt(rnd_b)
        answer = self._exchange(_NEXT, aes(key, _CBC, zero).encrypt(rnd_a + rnd_b[1:] + rnd_b[:1]))
        if len(answer) not in (_BLOCK, 2 * _BLOCK):
            raise self._refused()
        answer = aes(key, _CBC, zero).decrypt(answer)
        if not equal(answer[at : at + _BLOCK], rnd_a[1:] + rnd_a[:1]):
            raise ProofFailed("wrong RndA'")
        mixed = int.from_bytes(rnd_a[2:8], "big") ^ int.from_bytes(rnd_b[:6], "big")
        self._derive(key, b"\x00\x01\x00\x80" + rnd_a[:2] + mixed.to_bytes(6, "big") + rnd_b[6:] + rnd_a[8:])
        return answer

    def _derive(self, key, vector):
        """Make the session's keys; `vector`: SV1 and SV2 without their first two bytes (DS 9.1.7)."""
        self._mac_key = cmac(key, b"\x5a\xa5" + vector)

    def _mac(self, first, data):
        """Return the MAC of a command (`first`: its code) or an answer (0): every second byte (DS 9.1.3)."""
        data = bytes((first,)) + self.counter.to_bytes(2, "little") + self.ti + data
        return bytes(list(cmac(self._mac_key, data))[1::2])

    def _exchange(self, code, data):
        """Send a command that is answered in one part."""
        answer = self._apdu(code, data)
        if self.status != _OK:
            raise self._refused()
        return answer

    def _apdu(self, code, data):
        """Send a native command in ISO wrapping (DS 8.4); return the answer without its status."""
        return self._answer(bytes((0x90, code, 0, 0)) + (bytes((len(data),)) + data if data else b"") + b"\0")

    def _answer(self, apdu):
        answer = self._transceive(apdu)
        self.status = answer[-2] << 8 | answer[-1] if len(answer) > 1 else _NONE
        return answer[:-2]

    def _refused(self):
        kind = ProofFailed if self.status & 0xFF in self.no else CardProtocolError
        return kind("card status 0x%04x" % self.status)
