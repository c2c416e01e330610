"""A reader of `pinter card` with a card on it, which may be torn away. Lives beside the tests."""

from tools.card.transport import CardInfo, CardLost, Transport, TransportError


class Unexpected(Transport):
    """A transport that nobody should ask for anything; what a test needs is in a subclass."""

    def connect(self) -> CardInfo:
        raise AssertionError("connect")

    def transmit(self, apdu: bytes) -> bytes:
        raise AssertionError(f"transmit {apdu.hex()}")

    def raw(self, frame: bytes) -> bytes:
        raise AssertionError(f"raw {frame.hex()}")

    def read(self, place: int) -> bytes:
        raise AssertionError(f"read {place}")

    def write(self, place: int, data: bytes) -> None:
        raise AssertionError(f"write {place}: {data.hex()}")

    def login(self, block: int, is_key_b: bool, key: bytes) -> None:
        raise AssertionError(f"login {block}")

    def close(self) -> None:
        raise AssertionError("close")


class ReaderOf(Unexpected):
    """A transport straight to `card`, called with APDUs.

    `torn_at`: number of the APDU since the last `put_back`, from 0, at which the card leaves; `hears_it`: it
    still does what the APDU says, only its answer is lost.
    """

    def __init__(self, card, atqa=0x0344, sak=0x20, ats=b"\x06\x77\x77\x71\x02\x80"):
        self.card = card
        self.info = (atqa, sak, ats)
        self.uid = None  # on the air, if it is another one
        self.put_back()
        self.is_closed = False

    def put_back(self, torn_at=None, hears_it=False):
        self.torn_at, self.hears_it = torn_at, hears_it
        self.apdus = 0
        self.is_gone = False

    def connect(self):
        if self.is_gone or self.card is None:
            raise TransportError("no card on the reader")
        self.card.power_off()
        return CardInfo(self.uid or self.card.uid, *self.info)

    def transmit(self, apdu):
        number, self.apdus = self.apdus, self.apdus + 1
        if self.is_gone:
            raise CardLost("the card left the reader")
        if number == self.torn_at:
            self.is_gone = True
            if self.hears_it:
                self.card(apdu)
            raise CardLost("the card left the reader")
        return self.card(apdu)

    def close(self):
        self.is_closed = True
