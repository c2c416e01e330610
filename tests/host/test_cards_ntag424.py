"""The model of NTAG 424 DNA: what it answers to whom, by the data sheet and by NXP's worked examples.

The firmware's session and commands are the peer here; who judges both is test_judge_cards.py.
"""

import pytest

from firmware.cards import aes
from firmware.cards.ev2 import MAC
from firmware.cards.ev2_full import FullSession
from firmware.errors import ProofFailed
from host_sim.cards.ev2_card import File, Rights
from host_sim.cards.ntag424 import DF_NAME, Ntag424Chip

UID = bytes.fromhex("04112233445566")
RND_A = bytes(range(16))
KEY = bytes(range(16, 32))


def opened(chip, key_no=0, key=bytes(16)):
    """Return a session with `chip`, authenticated."""
    session = FullSession(chip)
    assert session.select(DF_NAME)
    session.authenticate_first(key_no, key, RND_A)
    return session


def test_a_gate_reads_file_3_with_key_1_and_a_mac():
    record = b"PNTR\x01\x01" + b"SIM".ljust(12, b"\0") + bytes(14)
    chip = Ntag424Chip(UID, {1: KEY}, files={3: File(bytearray(record), MAC, Rights(1, 0, 0, 0))})
    assert aes.prove(chip, KEY, "SIM")


def test_a_wrong_key_is_refused_and_counted():
    chip = Ntag424Chip(UID, {1: KEY})
    with pytest.raises(ProofFailed, match="0x91ae"):
        opened(chip, 1, bytes(16))
    assert chip.wrong_keys == 1
