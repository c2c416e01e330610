"""The signatures of real chips (published by those who read them), and what is no signature."""

import pytest

from tools.card import originality

SAMPLES = [
    (
        "NTAG 424 DNA, DESFire EV2",
        "0463474AA26A80",
        "27E9A50E6CA4BA9037C02F7D20A80D0284D0C1D83C67F5A5AC1D8A4EF86C9508417E4E9C6F85AA7920F0ABDED984CAF20467D66EA54BBF08",
    ),
    (
        "NTAG 424 DNA, DESFire EV2",
        "04C46C222A6380",
        "344A806EBF704C05C19215D2F840529CE365AAD2D08A469A95896D75D477D9FAB02A0C827E9F215BD8EB0E56A3A9A008FB75D706AABBD4DA",
    ),
    (
        "DESFire EV3",
        "04448BD2DB6B80",
        "5CBB5632795C8F15263FEFB095B51C7B541AFD914A1AE44EF6FB8AF605EDF13DBFEE6C3A2DB372245E671DFE0D42CB1F0D0B8FE67A89D2F6",
    ),
    ("NTAG21x", "04E10CDA993C80", "8B76052EE42F5567BEB53238B3E3F9950707C0DCC956B5C5EFCFDB709B2D82B3"),
    ("NTAG21x", "04DB0BDA993C80", "6048EFD9417CD10F6B7F1818D471A7FE5B46868D2EABDC6307A1E0AAE139D8D0"),
    (
        "MIFARE Ultralight EV1",
        "04C1285A373080",
        "CEA2EB0B3C95D0844A95B824A7553703B3702378033BF0987899DB70151A19E7",
    ),
    ("MIFARE Classic EV1", "524374E2", "F8758CE30A58553A9985C458FB9C7D340FCFB04847B928A0667939272BC58B5E"),
]


@pytest.mark.parametrize(("name", "uid", "signature"), SAMPLES)
def test_a_real_chip_is_known(name, uid, signature):
    assert originality.maker(bytes.fromhex(uid), bytes.fromhex(signature)) == name


@pytest.mark.parametrize(("name", "uid", "signature"), SAMPLES)
def test_another_number_or_a_changed_signature_is_not(name, uid, signature):
    number, raw = bytes.fromhex(uid), bytes.fromhex(signature)
    assert originality.maker(number[:-1] + bytes((number[-1] ^ 1,)), raw) is None
    for at in (0, len(raw) // 2, len(raw) - 1):
        changed = bytearray(raw)
        changed[at] ^= 0x10
        assert originality.maker(number, bytes(changed)) is None


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 55, 56, 57, 64])
@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_what_is_no_signature_is_by_nobody(size, fill):
    assert originality.maker(bytes.fromhex("0463474AA26A80"), bytes((fill,)) * size) is None
