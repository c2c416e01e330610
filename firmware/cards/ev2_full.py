"""What a session EV2 needs beyond a gate's: encrypted data, long answers, other keys.

For whoever writes to cards; not loaded at a gate in service. "DS" as in ev2.py.
"""

from cryptolib import aes
from micropython import const

from ..cmac import cmac
from ..errors import CardProtocolError
from .ev2 import FULL, MAC, PLAIN, Session

_NON_FIRST = const(0x77)  # AuthenticateEV2NonFirst
_NEXT = const(0xAF)
_OK = const(0x9100)
_MORE = const(0x91AF)
_CBC = const(2)
_BLOCK = const(16)
_PARTS_MAX = const(16)  # of an answer, after the first


class FullSession(Session):
    """As Session, with CommMode.Full and answers of several parts.

    Raises ProofFailed only where a key or a MAC is wrong; any other refusal is a CardProtocolError.
    """

    no = b"\xae\x1e"

    def __init__(self, transceive):
        super().__init__(transceive)
        self._enc_key = b""

    def authenticate_non_first(self, key_no: int, key: bytes, rnd_a: bytes) -> None:
        """Authenticate with another key of the application; `ti` and `counter` stay (DS 9.1.6)."""
        self._authenticate(_NON_FIRST, bytes((key_no,)), key, rnd_a, 0)

    def command(self, code: int, header: bytes = b"", data: bytes = b"", mode: int = PLAIN) -> bytes:
        """As Session.command; `mode` FULL encrypts `data` and decrypts the answer (DS 9.1.10)."""
        if mode != FULL:
            return super().command(code, header, data, mode)
        answer = super().command(code, header, self._encrypted(data), MAC)
        if len(answer) % _BLOCK:
            raise CardProtocolError("%d encrypted bytes" % len(answer))
        if not answer:
            return answer
        plain = aes(self._enc_key, _CBC, self._iv(b"\x5a\xa5")).decrypt(answer).rstrip(b"\0")
        if plain[-1:] != b"\x80":
            raise CardProtocolError("encrypted data without padding")
        return plain[:-1]

    def command_last(self, code: int, header: bytes, data: bytes) -> None:
        """Send a FULL command that ends the session, and whose answer is therefore a bare status.

        That is the change of the session's own key. Nobody vouches for such an answer: authenticate anew.
        """
        body = header + self._encrypted(data)
        answer = self._exchange(code, body + self._mac(code, body))
        self._mac_key = self._enc_key = b""
        if answer:
            raise CardProtocolError("%d bytes where only a status may come" % len(answer))

    def _exchange(self, code, data):
        answer = self._apdu(code, data)
        for _ in range(_PARTS_MAX):
            if self.status != _MORE:
                break
            answer += self._apdu(_NEXT, b"")
        if self.status != _OK:
            raise self._refused()
        return answer

    def _derive(self, key, vector):
        super()._derive(key, vector)
        self._enc_key = cmac(key, b"\xa5\x5a" + vector)

    def _iv(self, label):
        counter = self.counter.to_bytes(2, "little")
        return aes(self._enc_key, _CBC, bytes(_BLOCK)).encrypt(label + self.ti + counter + bytes(8))

    def _encrypted(self, data):
        if not data:
            return b""
        data += b"\x80" + bytes(_BLOCK - 1 - len(data) % _BLOCK)
        return aes(self._enc_key, _CBC, self._iv(b"\xa5\x5a")).encrypt(data)
