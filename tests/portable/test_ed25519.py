"""Ed25519 against published signatures, and against keys and signatures that other verifiers let pass.

Sources: RFC 8032 section 7.1; FIPS 180-4 (SHA-512 of "abc" and of nothing as in NIST's examples).
"""

from binascii import unhexlify

from firmware import ed25519

ABC = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
EMPTY = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)
# Key, message, signature: TEST 1, 2, 3 and SHA(abc).
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        ABC,
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
)
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"  # of TEST 1
ORDER = (1 << 252) + 27742317777372353535851937790883648493
PRIME = (1 << 255) - 19
# The eight points of small order, and encodings of three of them that are not canonical.
SMALL = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000080",
)


def result(slices):
    """Go through all slices and return what the generator returns."""
    try:
        while True:
            next(slices)
    except StopIteration as end:
        return end.value


def verify(key, message, signature):
    return result(ed25519.verify(key, message, signature))


def vector(number):
    return [unhexlify(text) for text in VECTORS[number]]


def own_scalar():
    """Return the secret scalar of TEST 1 (RFC 8032 section 5.1.5)."""
    a = int.from_bytes(result(ed25519.sha512(unhexlify(SEED)))[:32], "little")
    return a & ((1 << 254) - 8) | 1 << 254


def signed(r, message):
    """Return the signature of TEST 1's key whose first half is `r`, an encoding of a point without a log."""
    key = vector(0)[0]
    k = int.from_bytes(result(ed25519.sha512(r + key + message)), "little") % ORDER
    return r + (k * own_scalar() % ORDER).to_bytes(32, "little")


def test_sha_512():
    assert result(ed25519.sha512(b"abc")) == unhexlify(ABC)
    assert result(ed25519.sha512(b"")) == unhexlify(EMPTY)


def test_signatures_of_rfc_8032_hold():
    for number in range(len(VECTORS)):
        assert verify(*vector(number)) is True, number


def test_a_signature_of_another_key_or_message_is_refused():
    key, message, signature = vector(1)
    assert verify(vector(0)[0], message, signature) is False
    assert verify(key, b"\x73", signature) is False
    assert verify(key, message + b"\0", signature) is False


def test_a_signature_with_any_byte_changed_is_refused():
    key, message, signature = vector(2)
    for at in range(0, 64, 5):
        changed = bytearray(signature)
        changed[at] ^= 1 << at % 8
        assert verify(key, message, bytes(changed)) is False, at


def test_a_key_with_a_bit_changed_is_refused():
    key, message, signature = vector(2)
    for at in (0, 9, 30, 31):
        changed = bytearray(key)
        changed[at] ^= 0x80
        assert verify(bytes(changed), message, signature) is False, at


def test_a_signature_whose_second_half_is_not_below_the_order_is_refused():
    key, message, signature = vector(0)
    s = int.from_bytes(signature[32:], "little")
    for times in (1, 2, 7):
        malleable = signature[:32] + (s + times * ORDER).to_bytes(32, "little")
        assert verify(key, message, malleable) is False, times


def test_a_key_of_small_order_is_refused_though_the_equation_holds():
    """With such a key, R = S B is a signature of any message for one in at most eight of them."""
    base = "5866666666666666666666666666666666666666666666666666666666666666"
    forged = unhexlify(base) + (1).to_bytes(32, "little")
    for text in SMALL:
        for message in (b"", b"1", b"2"):
            assert verify(unhexlify(text), message, forged) is False, text


def test_a_first_half_that_is_not_canonical_is_refused():
    key = vector(0)[0]
    assert verify(key, b"m", signed(unhexlify(SMALL[0]), b"m")) is True
    assert verify(key, b"m", signed(unhexlify(SMALL[8]), b"m")) is False
    assert verify(key, b"m", signed(unhexlify(SMALL[10]), b"m")) is False


def test_what_holds_only_times_the_cofactor_is_refused():
    key = vector(0)[0]
    for text in SMALL[1:8]:
        assert verify(key, b"m", signed(unhexlify(text), b"m")) is False, text


def test_a_key_that_is_no_point_or_not_canonical_is_refused():
    _, message, signature = vector(0)
    for y in (2, PRIME + 3, PRIME + 18):
        assert verify(y.to_bytes(32, "little"), message, signature) is False, y
    # Nobody knows a signature for such a point, so that it is refused shows only here.
    for y in (3, 18):
        assert result(ed25519._decode(y.to_bytes(32, "little"))), y
        assert result(ed25519._decode((PRIME + y).to_bytes(32, "little"))) is None, y


def test_other_lengths_are_refused():
    key, message, signature = vector(0)
    for n in (0, 31, 33):
        assert verify((key + b"\0")[:n], message, signature) is False
    for n in (0, 32, 63, 65):
        assert verify(key, message, (signature + b"\0")[:n]) is False


def test_no_slice_is_long():
    """Virtual time is not charged for arithmetic, so the work is cut by count: about 100 slices."""
    assert 90 <= sum(1 for _ in ed25519.verify(*vector(0))) <= 130
