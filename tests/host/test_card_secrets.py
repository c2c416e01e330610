"""Keys of cards on their way: from the master key in the office to the flash of a gate, and no further."""

import io
import itertools
import random

import pytest

from firmware import keywrap, records
from firmware.allowlist import Allowlist
from firmware.crypto import card_key
from firmware.errors import StoreError
from firmware.officekeys import diversify
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tools.office import bundle, cardkeys
from tools.office.memory import CHANGES_PER_SEQ, MemoryOffice
from tools.office.session import ROOM

SITE = bytes(range(32))
GATES = {"A": bytes(range(32, 64)), "B": bytes(range(64, 96))}
MASTER = bytes.fromhex("00112233445566778899aabbccddeeff")
NOW = 1772409600


def uid_of(number):
    return b"\x04" + number.to_bytes(6, "big")


def credential(number, blocked=False):
    return records.Credential(
        card_key(SITE, uid_of(number)), 1, blocked, False, 2, False, 3242970, 90, number
    )


def secret_of(number):
    return cardkeys.derive(MASTER, uid_of(number), cardkeys.GATE)


def with_secrets(numbers):
    return {card_key(SITE, uid_of(number)): secret_of(number) for number in numbers}


def office(numbers=(), keyed=()):
    books = MemoryOffice("JKT")
    for name, key in GATES.items():
        books.add_gate(name, key)
    books.start_list(map(credential, numbers), NOW, NOW + 86400, secrets=with_secrets(keyed))
    return books


def a_gate(name="A", flash=None):
    flash = flash or NorFlash(64 * SECTOR)
    gate = Allowlist(Partition(flash, 0, flash.size), GATES[name], "JKT", name)
    gate.open()
    return gate


def opened(gate, number, name="A"):
    """Return what a gate finds as the secret of a card, None if it has none."""
    entry = gate.find_card_key(card_key(SITE, uid_of(number)))
    return None if entry is None else keywrap.unwrap(keywrap.wrapping_key(GATES[name]), entry)


def test_keys_are_diversified_by_card_and_role():
    uid = uid_of(7)
    assert cardkeys.derive(MASTER, uid, cardkeys.GATE) == diversify(MASTER, uid + b"PNT\x01")
    assert cardkeys.secret(MASTER, uid, 2) == cardkeys.derive(MASTER, uid, 1)
    assert cardkeys.secret(MASTER, uid, 1) == cardkeys.derive(MASTER, uid, 5)
    assert cardkeys.secret(MASTER, uid, 0) is None
    made = [cardkeys.derive(MASTER, u, role) for u in (uid, uid_of(8)) for role in cardkeys.ROLES]
    assert len(set(made)) == 12


@pytest.mark.parametrize(("master", "role"), [(MASTER[:15], 0), (MASTER * 2, 0), (MASTER, 6), (MASTER, -1)])
def test_wrong_masters_and_roles_are_refused(master, role):
    with pytest.raises(ValueError):
        cardkeys.derive(master, uid_of(1), role)


def test_the_entry_of_a_card_is_for_one_gate():
    entry = cardkeys.entry(GATES["A"], SITE, uid_of(7), secret_of(7))
    assert entry[:8] == card_key(SITE, uid_of(7)) and len(entry) == 32
    assert keywrap.unwrap(keywrap.wrapping_key(GATES["A"]), entry) == secret_of(7)
    with pytest.raises(StoreError):
        keywrap.unwrap(keywrap.wrapping_key(GATES["B"]), entry)
    assert entry != cardkeys.entry(GATES["B"], SITE, uid_of(7), secret_of(7))


def test_a_snapshot_brings_every_gate_the_keys_under_its_own():
    books = office(range(1, 30), range(1, 20))
    for name in GATES:
        gate = a_gate(name)
        gate.load(io.BytesIO(books.snapshot(name)))
        assert opened(gate, 7, name) == secret_of(7)
        assert opened(gate, 25, name) is None


def test_the_same_number_means_the_same_bytes():
    books = office(range(1, 9), range(1, 9))
    assert books.snapshot("A") == books.snapshot("A")


def follow(books, gate, name="A"):
    """Bring a gate up by deltas; return their sizes."""
    sizes = []
    while gate.seq < books.list_seq():
        data = books.delta(name, gate.seq, ROOM)
        assert data is not None and len(data) <= ROOM
        assert gate.load(io.BytesIO(data))
        sizes.append(len(data))
        assert len(sizes) < 100
    return sizes


def test_deltas_bring_keys_with_their_credentials_and_fit_a_frame():
    books = office()
    gate = a_gate()
    gate.load(io.BytesIO(books.snapshot("A")))
    books.put(map(credential, range(1, 101)), NOW, secrets=with_secrets(range(1, 101)))
    follow(books, gate)
    assert all(opened(gate, number) == secret_of(number) for number in range(1, 101))


def test_a_full_step_with_keys_fits_a_frame():
    books = office()
    books.put(map(credential, range(CHANGES_PER_SEQ)), NOW, secrets=with_secrets(range(CHANGES_PER_SEQ)))
    data = books.delta("A", 1, ROOM)
    assert data is not None and len(bundle.parse(data, GATES["A"]).card_keys) == CHANGES_PER_SEQ


def test_a_key_that_the_gate_has_is_not_sent_again_and_stays():
    books = office([1], [1])
    gate = a_gate()
    gate.load(io.BytesIO(books.snapshot("A")))
    books.revoke(card_key(SITE, uid_of(1)), NOW)
    data = books.delta("A", 1, ROOM)
    assert data is not None and bundle.parse(data, GATES["A"]).card_keys == ()
    follow(books, gate)
    assert records.unpack_credential(gate.find(card_key(SITE, uid_of(1)))).blocked
    assert opened(gate, 1) == secret_of(1)
    assert len(bundle.parse(books.snapshot("A"), GATES["A"]).card_keys) == 1


def test_a_new_secret_takes_the_place_of_the_old_one():
    books = office([1], [1])
    gate = a_gate()
    gate.load(io.BytesIO(books.snapshot("A")))
    books.issue(credential(1), NOW, {card_key(SITE, uid_of(1)): bytes(16)})
    follow(books, gate)
    assert opened(gate, 1) == bytes(16)


def test_revocations_do_not_wait_behind_keys():
    books = office(range(200, 210), range(200, 210))
    gate = a_gate()
    gate.load(io.BytesIO(books.snapshot("A")))
    books.put(map(credential, range(100)), NOW, secrets=with_secrets(range(100)))
    books.revoke(card_key(SITE, uid_of(205)), NOW)
    data = books.delta("A", gate.seq, ROOM)
    assert data is not None and gate.load(io.BytesIO(data))
    assert records.unpack_credential(gate.find(card_key(SITE, uid_of(205)))).blocked
    follow(books, gate)
    assert all(opened(gate, number) == secret_of(number) for number in range(100))


def test_what_was_purged_has_no_key_any_more():
    books = office(range(1, 5), range(1, 5))
    books.purge([card_key(SITE, uid_of(2))], NOW)
    parsed = bundle.parse(books.snapshot("A"), GATES["A"])
    assert len(parsed.card_keys) == len(parsed.credentials) == 3


def test_a_secret_comes_with_its_credential():
    books = office([1])
    with pytest.raises(ValueError, match="comes without its credential"):
        books.put([credential(1)], NOW, secrets=with_secrets([2]))
    with pytest.raises(ValueError, match="comes without its credential"):
        office([1], [2])
    assert books.list_seq() == 1


def test_steps_are_whole_and_make_progress():
    changes = [
        bundle.Change(seq, credential(seq * 20 + i), bytes(16)) for seq in range(2, 8) for i in range(20)
    ]
    have, got = 1, []
    while have < 7:
        left = [change for change in changes if change.seq > have]
        have, taken = bundle.fitting(left, 7, ROOM)
        assert taken == [change for change in left if change.seq <= have] and taken
        got += taken
    assert got == changes
    with pytest.raises(ValueError, match="list 2 alone changed 960 bytes"):
        bundle.fitting(changes, 7, 1000)


def test_the_flash_of_a_gate_gives_no_secret_away():
    """What is on the chip, NVS apart, opens nothing: a gate's key is there alone."""
    numbers = range(1, 120)
    books = office(numbers, numbers)
    flash = NorFlash(64 * SECTOR)
    gate = a_gate("A", flash)
    gate.load(io.BytesIO(books.snapshot("A")))
    books.put(map(credential, range(200, 240)), NOW, secrets=with_secrets(range(200, 240)))
    follow(books, gate)
    gate._short = True  # merges, however little there is
    while gate.work(True):
        pass
    books.put(map(credential, range(300, 310)), NOW, secrets=with_secrets(range(300, 310)))
    follow(books, gate)
    assert opened(gate, 305) == secret_of(305) and opened(gate, 5) == secret_of(5)
    image = bytes(flash.contents())
    wk = keywrap.wrapping_key(GATES["A"])
    told = [MASTER, SITE, *GATES.values(), wk, keywrap.wrapping_key(GATES["B"])]
    for number in (*numbers, *range(200, 240), *range(300, 310)):
        told += [cardkeys.derive(MASTER, uid_of(number), role) for role in cardkeys.ROLES]
        told.append(uid_of(number))
    for secret in told:
        for start in range(len(secret) - 6):  # no piece of 7 bytes either (a whole UID)
            assert secret[start : start + 7] not in image, secret.hex()
    entries = [cardkeys.entry(GATES["A"], SITE, uid_of(number), secret_of(number)) for number in numbers]
    assert all(entry in image for entry in entries)  # the search can find
    others = [GATES["B"], SITE, MASTER, bytes(32), random.Random(1).randbytes(32)]
    for entry, key in itertools.product(entries, others):
        with pytest.raises(StoreError):
            keywrap.unwrap(keywrap.wrapping_key(key), entry)
