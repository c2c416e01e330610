"""Ed25519 (RFC 8032): verifies signatures, in slices short enough for a gate that reads cards meanwhile.

Owns the arithmetic only; it never signs, and keeps no key. Loaded while an update is checked. SHA-512, which
the device's hashlib lacks, is in here as well: its constants are computed as FIPS 180-4 defines them, which
takes less room than a table. Nothing in here is secret, so nothing takes care to run in constant time.
"""

import struct

from micropython import const

_P = (1 << 255) - 19  # RFC 8032 section 5.1
_L = (1 << 252) + 0x14DEF9DEA2F79CD65812631A5CF5D3ED
_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
_X = 0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A
_Y = 0x6666666666666666666666666666666666666666666666666666666666666658
_ROOT = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0  # of -1, section 5.1.3
_ONE = (0, 1, 1, 0)  # the neutral point. Points are X, Y, Z, T with x = X/Z, y = Y/Z, x y = T/Z
_WORD = (1 << 64) - 1
# How much is done in one slice: about 10 ms on an ESP32, docs/updates.md has the figures.
_ROUNDS = const(5)  # of SHA-512
_SQUARES = const(32)
_BITS = const(4)  # of both scalars


def verify(key: bytes, message: bytes, signature: bytes):
    """Yield after each slice of verifying, then return True if `signature` is one of `key` over `message`.

    A generator; `yield from` gives its result. Strict: no cofactor, S below L, canonical encodings, no key of
    small order. Whatever the bytes are, it raises nothing.
    """
    s = int.from_bytes(signature[32:], "little")
    if len(key) != 32 or len(signature) != 64 or s >= _L:
        return False
    point = yield from _decode(key)
    if point is None:
        return False
    small = point
    for _ in range(3):
        small = _add(small, small)
    if not small[0]:  # 8 A = 0, or the point (0, -1), which 8 A cannot be
        return False
    digest = yield from sha512(signature[:32] + key + message)
    k = int.from_bytes(digest, "little") % _L
    minus = (_P - point[0], point[1], 1, _P - point[3])
    base = (_X, _Y, 1, _X * _Y % _P)
    addends = (None, base, minus, _add(base, minus))
    point = _ONE
    for i in range(252, -1, -1):
        point = _add(point, point)
        which = s >> i & 1 | (k >> i & 1) << 1
        if which:
            point = _add(point, addends[which])
        if i % _BITS == 0:
            yield
    z = yield from _power(point[2], _P - 2)
    y = point[1] * z % _P | (point[0] * z % _P & 1) << 255
    return y.to_bytes(32, "little") == signature[:32]


def _add(p, q):
    """Return the sum of two points, which may be the same one (RFC 8032 section 5.1.4)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = p[3] * q[3] % _P * (2 * _D) % _P
    d = 2 * p[2] * q[2] % _P
    e = b - a
    f = d - c
    g = d + c
    h = b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _power(x, exponent):
    """Yield now and then, and return x ** exponent modulo p."""
    power = 1
    for i in range(254, -1, -1):
        power = power * power % _P
        if exponent >> i & 1:
            power = power * x % _P
        if i % _SQUARES == 0:
            yield
    return power


def _decode(raw):
    """Yield now and then, and return the point that `raw` encodes, or None (RFC 8032 section 5.1.3)."""
    y = int.from_bytes(raw, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= _P:
        return None
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    v3 = v * v * v % _P
    x = yield from _power(u * v3 * v3 * v % _P, (1 << 252) - 3)
    x = x * u * v3 % _P
    if (v * x * x - u) % _P:
        x = x * _ROOT % _P
        if (v * x * x - u) % _P:
            return None
    if x & 1 != sign:  # with x = 0 the point is of small order, and refused for that
        x = _P - x
    return x, y, 1, x * y % _P


def sha512(data: bytes):
    """Yield now and then, and return the 64 bytes of the SHA-512 of `data` (FIPS 180-4 section 6.4)."""
    n = len(data)
    data += b"\x80" + bytes(-(n + 17) % 128) + (n << 3).to_bytes(16, "big")
    primes = [2, 3, 5, 7, 11, 13, 17, 19]
    state = [_fraction(prime, 2) for prime in primes]
    yield
    for at in range(0, len(data), 128):
        words = list(struct.unpack_from(">16Q", data, at))
        now = state
        for i in range(80):
            word = words[i & 15]
            if i > 15:
                old, new = words[i + 1 & 15], words[i - 2 & 15]
                word += (
                    (_turned(old, 1, 8) ^ old >> 7) + (_turned(new, 19, 61) ^ new >> 6) + words[i - 7 & 15]
                )
                word &= _WORD
                words[i & 15] = word
            if i == len(primes):
                n = primes[-1] + 2
                while not all(n % prime for prime in primes):
                    n += 2
                primes.append(n)
            a, b, c, d, e, f, g, h = now
            h += word + _fraction(primes[i], 3) + (_turned(e, 14, 18, 41)) + (e & f ^ ~e & g)
            now = [
                h + _turned(a, 28, 34, 39) + (a & b ^ a & c ^ b & c) & _WORD,
                a,
                b,
                c,
                d + h & _WORD,
                e,
                f,
                g,
            ]
            if i % _ROUNDS == 0:
                yield
        state = [state[i] + now[i] & _WORD for i in range(8)]
    return struct.pack(">8Q", *state)


def _turned(word, *distances):
    """Return the 64-bit `word` rotated right by each distance, combined by exclusive or."""
    word |= word << 64
    result = 0
    for distance in distances:
        result ^= word >> distance
    return result & _WORD


def _fraction(n, degree):
    """Return the first 64 bits of the fraction of a root of `n` < 512, of `degree` 2 or 3."""
    n <<= 64 * degree
    root = 1 << 69
    while True:  # Newton's method, from above
        better = ((degree - 1) * root + n // root ** (degree - 1)) // degree
        if better >= root:
            return root & _WORD
        root = better
