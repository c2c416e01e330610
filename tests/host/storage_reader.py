"""A reader of `pinter card` with a simulated Type 2 card or MIFARE Classic on it, torn away on demand.

The sector of the Classic has its keys and access bits in its trailer, as the chip has. Beside the tests.
"""

from host_sim.cards.classic import KEY_A, KEY_B, ClassicCard
from host_sim.cards.type2 import Type2Card
from tests.host import storage_access
from tests.host.reader_of import Unexpected
from tools.card.transport import CardInfo, CardLost, Refused, TransportError

TYPE2_UID = bytes.fromhex("04112233445566")
CLASSIC_UID = bytes.fromhex("11223344")
FACTORY_TRAILER = b"\xff" * 6 + bytes.fromhex("ff078069") + b"\xff" * 6
TRAILER = 7
# NTAG213 as delivered: capability container, an empty NDEF message.
NTAG213 = bytes.fromhex("041122334455667700480000e11012000103a00c340300fe").ljust(180, b"\0")


def ntag(size=180, uid=TYPE2_UID):
    """Return an NTAG213 from the factory, or what there is of it in `size` bytes."""
    return Type2Card(uid, NTAG213[:size])


def mifare(uid=CLASSIC_UID, trailer=FACTORY_TRAILER):
    """Return a MIFARE Classic from the factory; a write to its trailer changes its keys."""
    memory = bytearray(1024)
    memory[TRAILER * 16 : TRAILER * 16 + 16] = trailer
    keys = {}
    card = ClassicCard(uid, keys, bytes(memory))

    def on_write(block, data):
        if block == TRAILER:
            keys.update(keys_of(data))
        return data

    keys.update(keys_of(trailer))
    card.on_write = on_write
    return card


def keys_of(trailer):
    """Return the keys of sector 1 for ClassicCard."""
    return {(KEY_A, 1): trailer[:6], (KEY_B, 1): trailer[10:]}


class StorageReader(Unexpected):
    """A transport straight to the memory of `card`.

    `torn_at`: number of the operation since the last `put_back`, from 0, at which the card leaves; of a write
    it keeps `keeps` bytes (a trailer all or nothing: the chip writes its row at once).
    """

    def __init__(self, card, frames=None):
        self.card = card
        self.is_classic = isinstance(card, ClassicCard)
        self.frames = frames or {}
        self.uid = card.uid
        self.stays = False  # only the frame is lost, not the card
        self.put_back()

    def put_back(self, torn_at=None, keeps=0):
        self.torn_at, self.keeps = torn_at, keeps
        self.operations = 0
        self.writes = []
        self.is_gone = self.is_selected = False
        self.key = None

    def connect(self):
        if self.is_gone and not self.stays:
            raise TransportError("no card on the reader")
        self.is_gone = False
        self.is_selected, self.key = True, None
        return CardInfo(self.uid, 0x0044, 0x08 if self.is_classic else 0, b"")

    def _begin(self):
        number, self.operations = self.operations, self.operations + 1
        if self.is_gone or number == self.torn_at:
            self.is_gone = True
        assert self.is_gone or self.is_selected, "nobody has selected the card again"

    def _end(self):
        if self.is_gone:
            raise CardLost("the card left the reader")

    def _refuse(self, text):
        self.is_selected, self.key = False, None
        raise Refused(text)

    def raw(self, frame):
        self._begin()
        self._end()
        if frame not in self.frames:
            self._refuse("NAK")
        return self.frames[frame]

    def login(self, block, is_key_b, key):
        self._begin()
        self._end()
        assert self.is_classic
        assert self.key is None, "a second login needs the card connected anew"
        kind = KEY_B if is_key_b else KEY_A
        if not storage_access.opens(self._trailer, kind) or self.card.keys[kind, block // 4] != key:
            self._refuse(f"key {'AB'[is_key_b]}")
        self.key = kind

    def read(self, place):
        self._begin()
        self._end()
        memory = bytes(self.card.memory)
        if not self.is_classic:
            if place * 4 >= len(memory):
                self._refuse(f"reading {place}")
            return (memory + memory)[place * 4 : place * 4 + 16]
        if not storage_access.may(self._trailer, self.key, place, "read"):
            self._refuse(f"reading {place}")
        raw = memory[place * 16 : place * 16 + 16]
        return storage_access.masked(raw) if place == TRAILER else raw

    def write(self, place, data):
        self._begin()
        size = 16 if self.is_classic else 4
        assert len(data) == size
        if self.is_classic and not storage_access.may(self._trailer, self.key, place, "write"):
            self._end()
            self._refuse(f"writing {place}")
        kept = size
        if self.is_gone:
            kept = min(self.keeps, size) if self.number_is_torn else 0
            if self.is_classic and place == TRAILER and kept < size:
                kept = 0
        if kept:
            self.writes.append(place)
            old = bytes(self.card.memory[place * size + kept : (place + 1) * size])
            self.card.memory[place * size : (place + 1) * size] = self.card.on_write(place, data[:kept] + old)
        self._end()

    def close(self):
        pass

    @property
    def number_is_torn(self):
        return self.operations - 1 == self.torn_at

    @property
    def _trailer(self):
        return bytes(self.card.memory[TRAILER * 16 : TRAILER * 16 + 16])
