"""Our CMAC and diversified keys against the package `cryptography`, on any input."""

import pytest
from cryptography.hazmat.primitives import cmac as peer
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from firmware.cmac import cmac
from firmware.officekeys import diversify

KEYS = st.binary(min_size=16, max_size=16)


@given(KEYS | st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_cmac(key, message):
    other = peer.CMAC(algorithms.AES(key))
    other.update(message)
    assert cmac(key, message) == other.finalize()


@given(KEYS, st.binary(min_size=1, max_size=31))
def test_diversified_keys(master, data):
    """AN10922 section 2.2: two blocks always, K2 where they were padded, K1 where not."""
    block = Cipher(algorithms.AES(master), modes.ECB()).encryptor()  # noqa: S305
    subkey = block.update(bytes(16))
    for _ in range(1 if len(data) == 31 else 2):
        bits = "".join(f"{byte:08b}" for byte in subkey)
        shifted = int(bits[1:] + "0", 2) ^ (0x87 if bits[0] == "1" else 0)
        subkey = shifted.to_bytes(16, "big")
    text = (b"\x01" + data + b"\x80" + bytes(30))[:32]
    first = block.update(text[:16])
    last = bytes(a ^ b ^ c for a, b, c in zip(first, text[16:], subkey, strict=True))
    assert diversify(master, data) == block.update(last)


@pytest.mark.parametrize("size", [0, 32, 100])
def test_other_lengths_are_refused(size):
    with pytest.raises(ValueError, match="input of %d bytes" % size):
        diversify(bytes(16), bytes(size))
