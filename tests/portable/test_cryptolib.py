"""What the firmware relies on in `cryptolib`: the stand-in on CPython must be like the built-in."""

from binascii import unhexlify

from cryptolib import aes

ECB, CBC = 1, 2
KEY = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
# NIST SP 800-38A, F.1.1 and F.2.1
PLAIN = unhexlify("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
IV = unhexlify("000102030405060708090a0b0c0d0e0f")
BY_ECB = unhexlify("3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf")
BY_CBC = unhexlify("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")


def refuses(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


def test_both_modes_in_both_directions():
    assert aes(KEY, ECB).encrypt(PLAIN) == BY_ECB and aes(KEY, ECB).decrypt(BY_ECB) == PLAIN
    assert aes(KEY, CBC, IV).encrypt(PLAIN) == BY_CBC and aes(KEY, CBC, IV).decrypt(BY_CBC) == PLAIN


def test_chaining_goes_on_from_call_to_call():
    cipher = aes(KEY, CBC, IV)
    assert cipher.encrypt(PLAIN[:16]) + cipher.encrypt(PLAIN[16:]) == BY_CBC
    cipher = aes(KEY, CBC, IV)
    assert cipher.decrypt(BY_CBC[:16]) + cipher.decrypt(BY_CBC[16:]) == PLAIN


def test_any_buffers_are_taken_and_one_can_be_filled():
    view = memoryview(bytearray(PLAIN))
    assert aes(memoryview(KEY), CBC, bytearray(IV)).encrypt(view) == BY_CBC
    aes(KEY, CBC, IV).encrypt(view, view)
    assert bytes(view) == BY_CBC
    assert aes(KEY, ECB).encrypt(b"") == b""


def test_an_object_works_in_one_direction():
    cipher = aes(KEY, ECB)
    cipher.encrypt(PLAIN)
    assert refuses(cipher.decrypt, BY_ECB)
    cipher = aes(KEY, CBC, IV)
    cipher.decrypt(BY_CBC)
    assert refuses(cipher.encrypt, PLAIN)


def test_mistakes_are_value_errors():
    for arguments in ((KEY[1:], ECB), (KEY, 7), (KEY, CBC), (KEY, CBC, IV[1:]), (b"", ECB)):
        assert refuses(aes, *arguments), arguments
    for size in (1, 15, 17):
        assert refuses(aes(KEY, ECB).encrypt, bytes(size))
        assert refuses(aes(KEY, CBC, IV).decrypt, bytes(size))
