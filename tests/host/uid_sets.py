"""Sets of UIDs that are hard to tell apart. For tests of anticollision; knows no reader."""

import random


def random_uids(source: random.Random, count: int) -> list[bytes]:
    """Return distinct UIDs of mixed lengths; most differ from another one in a single bit."""
    uids: list[bytes] = []
    while len(uids) < count:
        size = source.choice((4, 7, 10))
        near = [uid for uid in uids if len(uid) == size]
        if near and source.random() < 0.7:
            uid = bytearray(source.choice(near))
            bit = source.randrange(8 * size)
            uid[bit // 8] ^= 1 << bit % 8
        else:
            uid = bytearray(source.randbytes(size))
        if (
            uid not in uids
            and not (size == 4 and uid[0] == 0x88)
            and not (size > 4 and 0x88 in (uid[0], uid[3]))
        ):
            uids.append(bytes(uid))
    return uids
