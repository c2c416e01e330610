"""Bit errors in the air, repeatable.

Owns the decision which bits arrive wrong. It never looks at what a frame means.
"""

import random


class BitErrors:
    """Flips each bit with probability `rate` (0-1), in both directions; the same seed gives the same errors.

    Put it into `Field.noise`.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self.flipped = 0
        self._random = random.Random(seed)

    def __call__(self, bits: bytes, to_card: bool) -> bytes:
        """Return the bits that arrive."""
        del to_card
        chance = self._random.random
        rate = self.rate
        hit = [position for position in range(len(bits)) if chance() < rate]
        if not hit:
            return bits
        arrived = bytearray(bits)
        for position in hit:
            arrived[position] ^= 1
        self.flipped += len(hit)
        return bytes(arrived)
