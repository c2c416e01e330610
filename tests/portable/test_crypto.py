"""HMAC-SHA256 against the published vectors, card keys, comparison."""

from binascii import hexlify, unhexlify

from firmware.crypto import HMAC, card_key, equal, hmac_sha256

# RFC 4231 section 4: (case, key, message, MAC)
_RFC4231 = (
    (1, b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        2,
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (3, b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        6,
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
)


def test_rfc_4231_vectors():
    for case, key, message, mac in _RFC4231:
        assert hexlify(hmac_sha256(key, message)).decode() == mac, "case %d" % case


def test_parts_are_hashed_in_sequence():
    whole = hmac_sha256(b"key", b"abcdef")
    assert hmac_sha256(b"key", b"ab", bytearray(b"cd"), memoryview(b"ef")) == whole
    assert hmac_sha256(b"key", b"ab", b"ef", b"cd") != whole


def test_streaming_gives_the_same_mac():
    mac = HMAC(b"key")
    for part in (b"a", b"", b"bc", b"def"):
        mac.update(part)
    assert mac.digest() == hmac_sha256(b"key", b"abcdef")


def test_a_key_with_leading_zeros_and_views_as_keys():
    key = bytes(8) + b"k" * 24
    assert hmac_sha256(key, b"m") == hmac_sha256(memoryview(key), b"m") == hmac_sha256(bytearray(key), b"m")
    assert hmac_sha256(key, b"m") != hmac_sha256(b"k" * 24, b"m")
    # a key of one block is used as it is: zeros behind it change nothing (RFC 2104)
    assert hmac_sha256(b"k", b"m") == hmac_sha256(b"k" + bytes(63), b"m")


def test_a_card_key_covers_the_length_of_the_uid():
    site = b"s" * 32
    uid = unhexlify("04a1b2c3d4e5f6")
    assert card_key(site, uid) == hmac_sha256(site, b"\x07" + uid)[:8]
    assert len({card_key(site, uid[:4]), card_key(site, uid), card_key(site, uid + b"\x00\x00\x00")}) == 3
    assert card_key(b"t" * 32, uid) != card_key(site, uid)


def test_equal_compares_content_and_length():
    assert equal(b"abc", bytearray(b"abc")) and equal(memoryview(b"abc"), b"abc")
    assert not equal(b"abc", b"abd") and not equal(b"abc", b"bbc")
    assert not equal(b"abc", b"ab") and not equal(b"", b"a")
    assert equal(b"", b"")
