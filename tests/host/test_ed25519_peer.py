"""Our Ed25519 and SHA-512 against those of other makers, on any input."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from firmware import ed25519


def result(slices):
    try:
        while True:
            next(slices)
    except StopIteration as end:
        return end.value


@given(st.binary(max_size=400))
def test_sha_512(data):
    assert result(ed25519.sha512(data)) == hashlib.sha512(data).digest()


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 64 * 8 - 1))
def test_signatures(seed, message, bit):
    """What `cryptography` signs holds, and with any bit changed it does not, as there."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key = private.public_key().public_bytes_raw()
    signature = private.sign(message)
    assert result(ed25519.verify(key, message, signature)) is True
    changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert result(ed25519.verify(key, message, changed)) is False


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_noise_is_refused(key, signature):
    """Random keys are points half of the time; nothing is raised and nothing holds."""
    assert result(ed25519.verify(key, b"m", signature)) is False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, b"m")
        raise AssertionError("the peer takes noise")
    except (InvalidSignature, ValueError):
        pass
