"""AES-CMAC and diversified keys against published vectors, session keys and MACs of SUN messages among them.

Sources: RFC 4493 section 4, NXP AN10922 section 2.2, NXP AN12196 (Tables 2 and 4, page 10). The vectors of
2TDEA diversification and of Ultralight C (3DES) are not here: cards with these ciphers are of the tier `uid`.
"""

from binascii import unhexlify

from cryptolib import aes

from firmware.cmac import cmac
from firmware.officekeys import diversify

KEY = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
TEXT = unhexlify(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


def test_rfc_4493():
    for size, mac in (
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ):
        assert cmac(KEY, TEXT[:size]) == unhexlify(mac), size


def test_every_length_has_its_own_mac():
    assert len({cmac(KEY, bytes(size)) for size in range(50)}) == 50


def test_the_key_may_be_a_view_and_the_message_is_not_changed():
    message = bytearray(TEXT[:17])
    assert cmac(memoryview(KEY), bytes(message)) == cmac(bytearray(KEY), bytes(message))
    assert message == TEXT[:17]


def test_an10922_aes_128():
    master = unhexlify("00112233445566778899aabbccddeeff")
    data = unhexlify("04782e21801d803042f54e585020416275")
    assert diversify(master, data) == unhexlify("a8dd63a3b89d54b37ca802473fda9175")


def test_a_short_diversification_input_is_padded_to_two_blocks():
    data = b"\x04\x11\x22\x33\x44\x55\x66PNT\x01"
    by_hand = b"\x01" + data + b"\x80" + bytes(19)
    assert len(by_hand) == 32
    subkey = int.from_bytes(aes(KEY, 1).encrypt(bytes(16)), "big")
    for _ in range(2):
        subkey = (subkey << 1) % (1 << 128) ^ (0x87 if subkey >> 127 else 0)
    last = int.from_bytes(by_hand[16:], "big") ^ subkey
    expected = aes(KEY, 2, bytes(16)).encrypt(by_hand[:16] + last.to_bytes(16, "big"))[16:]
    assert diversify(KEY, data) == expected
    assert diversify(KEY, data) != cmac(KEY, b"\x01" + data)


def test_diversification_inputs_of_1_to_31_bytes_are_taken():
    assert len({diversify(KEY, bytes(size)) for size in range(1, 32)}) == 31
    assert diversify(KEY, bytes(31)) == cmac(KEY, b"\x01" + bytes(31))  # two whole blocks: K1, no padding
    for size in (0, 32, 40):
        try:
            diversify(KEY, bytes(size))
        except ValueError:
            continue
        raise AssertionError(size)


def test_the_session_keys_of_sun_messages():
    for k_file, uid, counter, enc, mac in (
        (
            "00000000000000000000000000000000",
            "04DE5F1EACC040",
            61,
            "df38382b84fb90d2dddb24e51aaff7ac",
            "3fb5f6e3a807a03d5e3570ace393776f",
        ),
        (
            "00000000000000000000000000000000",
            "041E3C8A2D6B80",
            6,
            "4a3159203decd9095158e4e6c0e548b8",
            "c16f8eaa1a08e2736e718f1f1fdef0a2",
        ),
        (
            "5ace7e50ab65d5d51fd5bf5a16b8205b",
            "04C767F2066180",
            1,
            "66da61797e23deca5d8eca13bbadf7a9",
            "3a3e8110e05311f7a3fcf0d969bf2b48",
        ),
    ):
        vector = b"\x00\x01\x00\x80" + unhexlify(uid) + counter.to_bytes(3, "little")
        assert cmac(unhexlify(k_file), b"\xc3\x3c" + vector) == unhexlify(enc)
        assert cmac(unhexlify(k_file), b"\x3c\xc3" + vector) == unhexlify(mac)


def test_the_macs_of_sun_messages():
    for ks_mac, mac in (
        ("3fb5f6e3a807a03d5e3570ace393776f", "94EED9EE65337086"),
        ("c16f8eaa1a08e2736e718f1f1fdef0a2", "4B00064004B0B3D3"),
    ):
        assert bytes(list(cmac(unhexlify(ks_mac), b""))[1::2]) == unhexlify(mac)


def test_the_picc_data_of_a_sun_message():
    plain = aes(bytes(16), 2, bytes(16)).decrypt(unhexlify("EF963FF7828658A599F3041510671E88"))
    assert plain[1:8] == unhexlify("04DE5F1EACC040")
    assert plain[8:11] == (61).to_bytes(3, "little")
