"""Card secrets are closed for one gate and one card, and what was changed does not open."""

from binascii import hexlify

from firmware import keywrap, officekeys
from firmware.crypto import hmac_sha256
from firmware.errors import StoreError

GATE = bytes(range(32, 64))
CARD = b"\xb3\x3a\xdc\x7b\xb5\x3c\xf7\x0a"
SECRET = bytes(range(16))


def refused(wk, entry):
    try:
        keywrap.unwrap(wk, entry)
    except StoreError as e:
        return str(e) == "card key: not of this gate"
    return False


def test_the_gate_opens_what_was_closed_for_it():
    wk = keywrap.wrapping_key(GATE)
    entry = CARD + officekeys.wrap(wk, CARD, SECRET)
    assert len(entry) == 32
    assert keywrap.unwrap(wk, entry) == SECRET
    assert keywrap.unwrap(wk, memoryview(bytearray(entry))) == SECRET


def test_the_bytes_are_those_of_the_formula():
    wk = hmac_sha256(GATE, b"PINTER card keys 1")
    assert keywrap.wrapping_key(GATE) == wk
    siv = hmac_sha256(wk, b"\x01" + CARD + SECRET)[:8]
    pad = hmac_sha256(wk, b"\x02" + CARD + siv)
    sealed = bytes([SECRET[i] ^ pad[i] for i in range(16)])
    assert hexlify(officekeys.wrap(wk, CARD, SECRET)) == hexlify(siv + sealed)


def test_leading_zeros_of_a_secret_stay():
    wk = keywrap.wrapping_key(GATE)
    for secret in (bytes(16), bytes(15) + b"\x01"):
        assert keywrap.unwrap(wk, CARD + officekeys.wrap(wk, CARD, secret)) == secret


def test_any_changed_bit_is_refused():
    wk = keywrap.wrapping_key(GATE)
    entry = CARD + officekeys.wrap(wk, CARD, SECRET)
    for bit in range(256):
        changed = bytearray(entry)
        changed[bit >> 3] ^= 1 << (bit & 7)
        assert refused(wk, changed), "bit %d" % bit


def test_another_gate_and_another_length_are_refused():
    wk = keywrap.wrapping_key(GATE)
    entry = CARD + officekeys.wrap(wk, CARD, SECRET)
    assert refused(keywrap.wrapping_key(bytes(32)), entry)
    assert refused(wk, entry[:-1])
    assert refused(wk, entry + b"\0")
    assert refused(wk, b"")


def test_what_does_not_fit_is_not_closed():
    wk = keywrap.wrapping_key(GATE)
    for card, secret in ((CARD[:7], SECRET), (CARD, SECRET[:15]), (CARD, SECRET + b"\0")):
        try:
            officekeys.wrap(wk, card, secret)
        except ValueError:
            continue
        raise AssertionError("%d and %d bytes were taken" % (len(card), len(secret)))
