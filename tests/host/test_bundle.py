"""Bundles: what the office builds is what it opens and what a gate takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.crypto import hmac_sha256
from firmware.errors import BundleError
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tools.office import bundle

KEY = b"g" * 32

credentials = st.builds(
    records.Credential,
    key=st.binary(min_size=8, max_size=8),
    cls=st.integers(0, 15),
    blocked=st.booleans(),
    untimed=st.booleans(),
    tier=st.integers(0, 2),
    slow=st.booleans(),
    from_min=st.integers(0, (1 << 24) - 1),
    length_min=st.integers(0, bundles.LENGTH_MIN_MAX),
    party=st.integers(0, 65535),
)


def card(number):
    return records.Credential(number.to_bytes(8, "big"), 1, False, True, 0, False, 0, 0, number)


def gate(flash):
    allowlist = Allowlist(Partition(flash, 0, flash.size), KEY, "JKT", "A")
    allowlist.open()
    return allowlist


def load(allowlist, data, tmp_path):
    path = tmp_path / "list.bundle"
    path.write_bytes(data)
    with path.open("rb") as stream:
        return allowlist.load(stream)


@given(st.lists(credentials, unique_by=lambda c: c.key, max_size=40), st.integers(1, 2**32 - 1))
def test_what_is_built_is_what_is_opened(listed, seq):
    opened = bundle.parse(bundle.snapshot("JKT", "A", KEY, listed, seq, 5, 9), KEY)
    assert list(opened.credentials) == sorted(listed, key=lambda c: c.key)
    assert opened.header == bundles.Header(bundles.SNAPSHOT, "JKT", "A", 0, seq, 5, 9, len(listed), 0)


def test_a_gate_takes_it_and_finds_every_card(tmp_path):
    flash = NorFlash(8 * SECTOR)
    data = bundle.snapshot("JKT", "A", KEY, [card(n) for n in range(500)], 7, 5, 9)
    assert load(gate(flash), data, tmp_path)
    allowlist = gate(flash)
    assert allowlist.seq == 7
    for n in range(500):
        assert records.unpack_credential(allowlist.find(card(n).key)) == card(n)


def test_card_keys_follow_the_credentials_in_order():
    entries = [bytes([n]) * 32 for n in (3, 1, 2)]
    opened = bundle.parse(bundle.snapshot("JKT", "A", KEY, [card(1)], 1, 5, 9, entries), KEY)
    assert opened.card_keys == tuple(sorted(entries)) and opened.header.keys == 3


@pytest.mark.parametrize(
    "change,text",
    [
        ({"credentials": [card(1), card(1)]}, "two credentials have the key 0000000000000001"),
        ({"card_keys": [b"k" * 32, b"k" * 32]}, "two card keys"),
        ({"card_keys": [b"k" * 31]}, "32 bytes"),
        ({"seq": 0}, "number of 1 or more"),
        ({"seq": 1 << 32}, "number of 1 or more"),
        ({"expires": 5}, "expires after"),
        ({"gate": ""}, "name"),
        ({"site": "Überlingen"}, "ASCII"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused(change, text):
    arguments = {
        "site": "JKT",
        "gate": "A",
        "gate_key": KEY,
        "credentials": [card(1)],
        "seq": 1,
        "issued": 5,
        "expires": 9,
    }
    with pytest.raises(ValueError, match=text):
        bundle.snapshot(**{**arguments, **change})


@given(st.data())
def test_any_changed_byte_is_noticed(data):
    good = bundle.snapshot("JKT", "A", KEY, [card(1), card(2)], 1, 5, 9)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError):
        bundle.parse(bytes(bad), KEY)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(BundleError):
        bundle.parse(data, KEY)


def test_another_key_and_other_lengths_are_refused():
    good = bundle.snapshot("JKT", "A", KEY, [card(1)], 1, 5, 9)
    with pytest.raises(BundleError, match="MAC"):
        bundle.parse(good, b"x" * 32)
    for bad in (good[:-1], good + b"\0"):
        with pytest.raises(BundleError, match="length"):
            bundle.parse(bad, KEY)


def test_a_delta_has_blocked_records_first_and_a_gate_takes_it(tmp_path):
    flash = NorFlash(16 * SECTOR)
    load(gate(flash), bundle.snapshot("JKT", "A", KEY, [card(n) for n in range(50)], 7, 5, 9), tmp_path)
    lost = card(40)._replace(blocked=True)
    keys = [card(3).key + b"k" * 24]
    data = bundle.delta("JKT", "A", KEY, [card(3), card(99), lost], 7, 8, 6, 10, keys)
    assert bundle.parse(data, KEY).credentials == (lost, card(3), card(99))
    assert load(gate(flash), data, tmp_path)
    allowlist = gate(flash)
    assert (allowlist.seq, allowlist.issued, allowlist.expires) == (8, 6, 10)
    assert records.unpack_credential(allowlist.find(lost.key)) == lost
    assert bytes(allowlist.find_card_key(card(3).key) or b"") == keys[0]


def test_deltas_that_no_gate_would_take_are_not_made():
    def build(listed, seq_from=1, seq_to=2, keys=()):
        bundle.delta("JKT", "A", KEY, listed, seq_from, seq_to, 5, 9, keys)

    with pytest.raises(ValueError, match="two credentials"):
        build([card(1), card(1)._replace(blocked=True)])
    with pytest.raises(ValueError, match="without its credential"):
        build([card(1)], keys=[card(2).key + bytes(24)])
    with pytest.raises(ValueError, match="higher number"):
        build([card(1)], 2, 2)
    build([card(n) for n in range(250)])
    with pytest.raises(ValueError, match="4112 bytes"):
        build([card(n) for n in range(251)])


def test_a_slot_that_a_gate_merged_is_no_bundle():
    header = bundles.Header(bundles.MERGED, "JKT", "A", 1, 2, 5, 9, 0, 0)
    body = bundles.pack_header(header)
    with pytest.raises(BundleError, match="made by a gate"):
        bundle.parse(body + hmac_sha256(KEY, body), KEY)
