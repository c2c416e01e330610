"""The cipher of the simulated MIFARE Classic against a published trace, on CPython and on MicroPython."""

import subprocess
import sys
from pathlib import Path

import pytest

from host_sim import deploy

FOLDER = Path(__file__).parents[2] / "host_sim" / "cards"

# proxmark3, tools/mfc/card_reader (mfkey64), sample trace; the parity bits of a trace are not in it.
TRACE = """
import sys
sys.path.insert(0, sys.argv[1])
from crypto1 import Crypto1, successor

def frame(text):
    bits = []
    for byte in bytes.fromhex(text):
        bits += [byte >> place & 1 for place in range(8)] + [0]
    return bytes(bits)

def data(bits):
    rows = [bits[at : at + 8] for at in range(0, len(bits), 9)]
    return bytes([sum([bit << place for place, bit in enumerate(row)]) for row in rows]).hex()

uid, nonce = bytes.fromhex("9c599b32"), bytes.fromhex("82a4166c")
fed = bytes([a ^ b for a, b in zip(uid, nonce)])
card = Crypto1(bytes.fromhex("ffffffffffff"))
card.feed(fed)
print(data(card.take_nonce(frame("a1e458ce"))))
print(data(card.crypt(frame("6eea41e0"))), successor(nonce, 64).hex())
print(data(card.crypt(frame("5cadf439"))), successor(nonce, 96).hex())

reader = Crypto1(bytes.fromhex("ffffffffffff"))
reader.feed(fed)
proof = frame(successor(nonce, 64).hex())
print(data(reader.send_nonce(bytes.fromhex("efea1cda"))), data(reader.crypt(proof)))

# In a sector that is open the card's nonce is encrypted: both ends are in the same state afterwards.
card, reader = Crypto1(b"sector"), Crypto1(b"sector")
seen = card.send_nonce(nonce, uid)
plain = reader.take_nonce(seen, uid)
other = Crypto1(b"sector")
other.feed(fed)
print(data(seen) != nonce.hex(), data(plain), card.peek() == reader.peek() == other.peek())
print(card.crypt(bytes(32)) == reader.crypt(bytes(32)) == other.crypt(bytes(32)))
print([sum(plain[at : at + 9]) & 1 for at in (0, 9, 18, 27)])
"""
TOLD = [
    "efea1cda",
    "8d65734b 8d65734b",
    "9a427b20 9a427b20",
    "a1e458ce 6eea41e0",
    "True 82a4166c True",
    "True",
    "[1, 1, 1, 1]",
]


@pytest.mark.requires_micropython
@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_published_handshake(runtime, tmp_path):
    script = tmp_path / "trace.py"
    script.write_text(TRACE, encoding="utf-8")
    program = sys.executable if runtime == "cpython" else str(deploy.micropython())
    done = subprocess.run([program, str(script), str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == TOLD, done.stderr
