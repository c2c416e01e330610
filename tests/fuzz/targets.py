"""What fuzzers call: each target takes any bytes and fails loudly if they were believed, raised or hung.

Owns the promises: no exception but those that are documented, a bounded number of reads, and nothing in force
that the office did not sign. tests/host/test_store_fuzz.py feeds them from hypothesis, fuzz_stores.py from
atheris.
"""

import functools
import io
import random
import sys

from firmware import bundles
from firmware.allowlist import Allowlist
from firmware.errors import BundleError, StoreError
from firmware.journal import Journal
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tests.portable_items import PORTABLE
from tools.office import bundle, journal_image

sys.path.append(str(PORTABLE))
import list_world  # pyright: ignore[reportMissingImports]

KEY = list_world.KEY
LIST_SECTORS, JOURNAL_SECTORS = 24, 5
READS_MAX = 20_000  # a start that reads more than this counts as hung


class Lax(Partition):
    """A partition whose programs clear bits wherever they are, as a real chip does with damaged contents."""

    def writeblocks(self, block, buf, offset=None):
        at = self._at(block, offset or 0, len(buf))
        flash = self._flash
        for i, byte in enumerate(bytes(buf)):
            flash._data[at + i] &= byte


@functools.cache
def office() -> tuple[list_world.States, tuple[bytes, ...]]:
    """Return lists that the office made: a snapshot, deltas, another snapshot; and the bundles."""
    states = list_world.States()
    bundles = [states.snapshot({n: n + 1 for n in range(80)}, {1: 1, 2: 2})]
    bundles += [states.delta({n: 100 + n, 90 + n: n + 1}, tags={n: 9}, blocked=(n,)) for n in range(6)]
    bundles.append(states.snapshot({n: n + 5 for n in range(60)}))
    return states, tuple(bundles)


@functools.cache
def flash_of_a_gate(merged: bool) -> bytes:
    """Return a list partition with a snapshot and six deltas, and with `merged` what a merge made of them."""
    flash = NorFlash(LIST_SECTORS * SECTOR)
    store = opened(flash)
    for data in office()[1][:7]:
        assert store.load(io.BytesIO(data))
    if merged:
        list_world.merged(store)
    return flash.contents()


@functools.cache
def journal_of_a_gate() -> bytes:
    """Return a journal partition with 400 records in a ring that has wrapped."""
    flash = NorFlash(JOURNAL_SECTORS * SECTOR)
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    journal.open()
    while journal.seq < 700:
        journal.append("grant", 1, 16, 1, b"CARDKEY8", 17, 1000 + journal.seq)
        journal.acknowledge(journal.seq)
        journal.idle()
    return flash.contents()


def opened(flash: NorFlash, kind: type[Partition] = Partition) -> Allowlist:
    store = Allowlist(kind(flash, 0, flash.size), KEY, "JKT", "A")
    store.open()
    return store


def spoiled(base: bytes, data: bytes) -> bytes:
    """Return `base` with changes that `data` describes: bytes, runs, copies of pieces, cuts."""
    out = bytearray(base)
    chance = random.Random(data)
    for what in data[:24]:
        at, other = chance.randrange(len(out) + 1), chance.randrange(len(out) + 1)
        n = chance.choice((1, 1, 2, 16, 32, 112, 4096))
        kind = what % 6
        if kind == 0:
            out[at : at + 1] = bytes((what,))[: len(out) - at]
        elif kind == 1:
            out[at : at + n] = bytes(len(out[at : at + n]))
        elif kind == 2:
            out[at : at + n] = b"\xff" * len(out[at : at + n])
        elif kind == 3:
            piece = out[other : other + n][: len(out) - at]
            out[at : at + len(piece)] = piece
        elif kind == 4:
            out[at : at + n] = chance.randbytes(len(out[at : at + n]))
        elif n < 4096:
            piece = data[at % (len(data) + 1) :][:n][: len(out) - at]
            out[at : at + len(piece)] = piece
    return bytes(out)


def try_bundle(data: bytes) -> None:
    """No bytes but the office's own bundles change what is in force; the office's parser agrees."""
    states, bundles = office()
    flash = NorFlash(LIST_SECTORS * SECTOR, contents=flash_of_a_gate(False))
    store = opened(flash)
    before = store.seq
    try:
        done = store.load(io.BytesIO(data))
    except (BundleError, StoreError):
        done = False
    if data in bundles:
        assert done or store.seq == before
    else:
        assert not done and store.seq == before, "accepted what was not signed"
    states.check(store, [store.seq])
    states.check(opened(flash), [store.seq])
    try:
        bundle.parse(data, KEY)
        assert data in bundles, "the office opened what it did not sign"
    except BundleError:
        pass


def try_header(data: bytes) -> None:
    """Any 64 bytes are a header or a BundleError."""
    try:
        header = bundles.unpack_header(data[:64].ljust(64, b"\x00"))
        assert bundles.pack_header(header)
    except (BundleError, ValueError):
        pass


def try_list_flash(contents: bytes) -> None:
    """Whatever the list partition holds: a start ends, raises nothing, and believes only what was signed."""
    states = office()[0]
    flash = NorFlash(len(contents), contents=contents)
    store = opened(flash, Lax)
    assert flash.reads < READS_MAX, "it hangs"
    states.check(store, [0, *range(1, 8)])
    newest = office()[1][-1]
    try:
        assert store.load(io.BytesIO(newest)), "the next snapshot does not get in"
        states.check(store, [8])
        states.check(opened(flash), [8])
    except StoreError:
        pass  # a real chip would not do that: it says so


def try_journal_flash(contents: bytes) -> None:
    """Whatever the journal partition holds: a start and the verifier end, and the gate can write again."""
    flash = NorFlash(len(contents), contents=contents)
    journal = Journal(Lax(flash, 0, flash.size), KEY)
    journal.open()
    assert flash.reads < READS_MAX, "it hangs"
    known = {event.seq for event in journal.events()}
    assert len(known) == sum(1 for _ in journal.events())
    for _ in range(5):
        try:
            seq = journal.append("boot", time=1)
            assert seq not in known and seq == journal.seq
            break
        except StoreError:
            pass  # the place was damaged: its number is used up
    else:
        raise AssertionError("nothing can be written any more")
    image = journal_image.read(contents, KEY)
    assert image.ok or image.faults
    journal_image.unverified(contents)


TARGETS = {
    "bundle": try_bundle,
    "header": try_header,
    "spoiled bundle": lambda data: try_bundle(spoiled(office()[1][data[0] % 8 if data else 0], data)),
    "next bundle": lambda data: try_bundle(spoiled(office()[1][7], data)),
    "list": lambda data: (
        try_list_flash((data * (LIST_SECTORS * SECTOR))[: LIST_SECTORS * SECTOR]) if data else None
    ),
    "spoiled list": lambda data: try_list_flash(spoiled(flash_of_a_gate(len(data) % 2 == 0), data)),
    "journal": lambda data: (
        try_journal_flash((data * (JOURNAL_SECTORS * SECTOR))[: JOURNAL_SECTORS * SECTOR]) if data else None
    ),
    "spoiled journal": lambda data: try_journal_flash(spoiled(journal_of_a_gate(), data)),
}
