"""What the access bits in a MIFARE Classic's trailer allow, written from the data sheet's tables alone.

MF1S50YYX data sheet 8.7.2 (trailer) and 8.7.3 (data), for the bits that the tests need; others allow nothing.
Lives beside the tests.
"""

from host_sim.cards.classic import KEY_A, KEY_B

_BOTH = {KEY_A, KEY_B}
# C1 C2 C3 -> who reads and writes.
_DATA = {"000": (_BOTH, _BOTH), "010": (_BOTH, set()), "110": (_BOTH, {KEY_B})}
_TRAILER = {
    "000": ({KEY_A}, set()),
    "001": ({KEY_A}, {KEY_A}),
    "011": (_BOTH, {KEY_B}),
    "100": (_BOTH, set()),
}


def bits(trailer, block):
    """Return "C1C2C3" of `block` (0 to 3) in its sector; None if the inverted copies differ: locked."""
    c1, c2, c3 = trailer[7] >> 4, trailer[8] & 15, trailer[8] >> 4
    if (trailer[6] & 15, trailer[6] >> 4, trailer[7] & 15) != (15 - c1, 15 - c2, 15 - c3):
        return None
    return "".join(str(c >> block & 1) for c in (c1, c2, c3))


def opens(trailer, kind):
    """Return whether a key of `kind` opens the sector: key B does not where it can be read."""
    return bits(trailer, 3) is not None and (kind == KEY_A or bits(trailer, 3) not in ("000", "001", "010"))


def may(trailer, kind, place, what):
    """Return whether the sector, opened by `kind` (None: it is not), lets `place` be read or written."""
    if kind is None or place // 4 != 1:
        return False
    table = _TRAILER if place % 4 == 3 else _DATA
    return kind in table.get(bits(trailer, place % 4) or "", (set(), set()))[what == "write"]


def masked(trailer):
    """Return what a card shows of its trailer: key A never, key B where it is data."""
    shows_b = not opens(trailer, KEY_B)
    return bytes(6) + trailer[6:10] + (trailer[10:] if shows_b else bytes(6))
