"""Is this chip one that NXP made? Verifies the originality signature, which NXP puts over a chip's number.

Owns the published keys and the arithmetic. A signature can be copied together with its number, so it keeps
makers of cheap clones out, not a counterfeiter; what proves a card at a gate are its own keys. The signature
is ECDSA over the number itself, without a hash (AN11350 section 2, AN12196 section 8.2).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

# NXP's keys on secp224r1, for 56-byte signatures. The first is AN12196 8.2, the others were read out of many
# chips' signatures and are in use in public tools; those chips' signatures are the tests' examples.
_SECP224R1 = {
    "NTAG 424 DNA, DESFire EV2": (
        "048a9b380af2ee1b98dc417fecc263f8449c7625cece82d9b916c992da"
        "209d68422b81ec20b65a66b5102a61596af3379200599316a00a1410"
    ),
    "DESFire EV2": (
        "04b304dc4c615f5326fe9383ddec9aa892df3a57fa7ffb3276192bc0ea"
        "a252ed45a865e3b093a3d0dce5be29e92f1392ce7de321e3e5c52b3a"
    ),
    "DESFire EV2 XL": (
        "04cd5d45e50b1502f0ba4656ff37669597e7e183251150f9574cc8da56"
        "bf01c7abe019e29fea48f9ce22c3ea4029a765e1bc95a89543bad1bc"
    ),
    "DESFire EV3": (
        "041db46c145d0a36539c6544bd6d9b0aa62ff91ec48cbc6abae36e0089"
        "a46f0d08c8a715ea40a63313b92e90ddc1730230e0458a33276fb743"
    ),
}
# On secp128r1, for 32-byte signatures: AN11350 (NTAG21x), AN11341 (Ultralight EV1), MIFARE Classic EV1.
_SECP128R1 = {
    "NTAG21x": "04494e1a386d3d3cfe3dc10e5de68a499b1c202db5b132393e89ed19fe5be8bc61",
    "MIFARE Ultralight EV1": "0490933bdcd6e99b4e255e3da55389a827564e11718e017292faf23226a96614b8",
    "MIFARE Classic EV1": "044f6d3f294dea5737f0f46ffee88a356eed95695dd7e0c27a591e6f6f65962baf",
}

# SEC 2 version 1.0, section 2.3.1; `cryptography` does not have this curve. Only ever used to verify what is
# public, so the time that it takes gives nothing away.
_P = 0xFFFFFFFDFFFFFFFFFFFFFFFFFFFFFFFF
_A = _P - 3
_N = 0xFFFFFFFE0000000075A30D1B9038A115
_G = (0x161FF7528B899B2D0C28607CA52C5B86, 0xCF5AC8395BAFEB13C02DA292DDED7A83)

_Point = tuple[int, int] | None  # None: at infinity


def maker(uid: bytes, signature: bytes) -> str | None:
    """Return whose chips have signatures like `signature` over `uid`; None: no key that we know made it.

    56 bytes (NTAG 424 DNA, DESFire) or 32 (NTAG21x, Ultralight EV1, Classic EV1); any other length is None.
    """
    if len(signature) == 56:
        return next((name for name, key in _SECP224R1.items() if _is_by_224(key, uid, signature)), None)
    if len(signature) == 32:
        return next((name for name, key in _SECP128R1.items() if _is_by_128(key, uid, signature)), None)
    return None


def _is_by_224(key: str, uid: bytes, signature: bytes) -> bool:
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), bytes.fromhex(key))
    r, s = (int.from_bytes(half, "big") for half in (signature[:28], signature[28:]))
    # The number takes the place of a hash. Padded on the left it is the same integer, of a length that fits.
    digest = uid.rjust(28, b"\0")
    try:
        public.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA224())))
    except InvalidSignature:
        return False
    return True


def _is_by_128(key: str, uid: bytes, signature: bytes) -> bool:
    raw = bytes.fromhex(key)
    public = int.from_bytes(raw[1:17], "big"), int.from_bytes(raw[17:], "big")
    r, s = (int.from_bytes(half, "big") for half in (signature[:16], signature[16:]))
    if not 0 < r < _N or not 0 < s < _N:
        return False
    inverse = pow(s, -1, _N)
    point = _add(_times(int.from_bytes(uid, "big") * inverse % _N, _G), _times(r * inverse % _N, public))
    return point is not None and point[0] % _N == r


def _times(factor: int, point: _Point) -> _Point:
    total: _Point = None
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def _add(a: _Point, b: _Point) -> _Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] + _A) * pow(2 * a[1], -1, _P) % _P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P) % _P
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P
