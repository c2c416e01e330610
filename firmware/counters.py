"""The last counter that each signed card showed: a card that shows an older one is a copy, or has one.

Owns one packed table, as large as there are such cards and bounded. Values in, values out; the journal keeps
what it is told (`counter` records), and it is filled from there at boot. Loaded only once a signed card came.
"""

from micropython import const

_CARDS = const(512)
_KEY = const(8)
_ENTRY = const(10)  # card key 8, counter 2
_HIGH = const(0xFF)
QUARANTINED = const(0xFFFF)  # in the place of a counter: this card and its copy exist


class Counters:
    """The counters by card key. When the table is full, the card that was first entered makes room."""

    def __init__(self):
        self._table = bytearray()
        self._next = 0

    def last(self, key: bytes) -> int:
        """Return the last counter of the card `key` (8 bytes), 0 if it never came, or QUARANTINED."""
        at = self._find(key)
        return 0 if at < 0 else self._table[at + _KEY] << 8 | self._table[at + _KEY + 1]

    def note(self, key: bytes, counter: int) -> None:
        """Remember `counter` (1 to 65,534, or QUARANTINED) as the last one of the card `key`."""
        at = self._find(key)
        if at < 0:
            at = self._next
            self._next = (at + _ENTRY) % (_CARDS * _ENTRY)
        self._table[at : at + _ENTRY] = bytes(key) + counter.to_bytes(2, "big")  # grows until it is full

    def lift(self) -> None:
        """End every quarantine: the next counter of such a card counts, whichever it is."""
        table = self._table
        for at in range(0, len(table), _ENTRY):
            if table[at + _KEY] == table[at + _KEY + 1] == _HIGH:
                table[at + _KEY] = table[at + _KEY + 1] = 0

    def _find(self, key):
        """Return where the entry of `key` begins, or -1."""
        at = -1
        while True:
            at = self._table.find(key, at + 1)
            if at < 0 or at % _ENTRY == 0:  # a key may also lie across two entries
                return at
