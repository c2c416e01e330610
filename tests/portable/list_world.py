"""Bundles for tests of the credential store, and what a gate must find after each of them.

A card is a number; its party tells which record of it is in force, the tag in its card key which key is.
"""

import gc

from sparse_device import SparseDevice

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.crypto import hmac_sha256

KEY = b"g" * 32
BLOCKS = 24  # two slots of 10 blocks, two halves of 2 blocks for deltas
LIFE = 86400
_ISSUED = 1000

if hasattr(gc, "threshold"):
    gc.threshold(32768)  # on MicroPython: what is kept stays close together, not all over the heap

_keys = {}


def key_of(number):
    """Return the card key of a card; those of small numbers are computed once."""
    if number not in _keys:
        key = hmac_sha256(b"card", b"%d" % number)[:8]
        if number >= 64:
            return key
        _keys[number] = key
    return _keys[number]


def credential(number, party, blocked=False):
    return bundles.pack_credential(
        records.Credential(key_of(number), 1, blocked, True, 0, False, 0, 0, party)
    )


def card_key(number, tag):
    return key_of(number) + bytes((tag,)) * 24


def signed(kind, seq_from, seq_to, credentials, card_keys, key=KEY, site="JKT", gate="A", expires=0):
    """Return a bundle of packed credentials and card keys in the order in which they come."""
    issued = _ISSUED + min(seq_to, 0x7FFFFFFF)
    fields = kind, site, gate, seq_from, seq_to, issued, expires or issued + LIFE
    body = bundles.pack_header(bundles.Header(*(fields + (len(credentials), len(card_keys)))))
    body += b"".join(credentials) + b"".join(card_keys)
    return body + hmac_sha256(key, body)


def snapshot(seq, parties, tags=None, **options):
    """Return the list number `seq`. `parties`: {card: party}; `tags`: {card: tag of its card key}."""
    gc.collect()  # what is kept then lies close together, not all over the heap
    credentials = sorted([credential(n, party) for n, party in parties.items()])
    keys = sorted([card_key(n, tag) for n, tag in (tags or {}).items()])
    return signed(bundles.SNAPSHOT, 0, seq, credentials, keys, **options)


def delta(seq_from, seq_to, parties, tags=None, blocked=(), **options):
    """Return the delta with these changes; cards in `blocked` are blocked and come first."""
    first = [credential(n, parties[n], True) for n in sorted(blocked)]
    rest = [credential(n, parties[n]) for n in sorted(parties) if n not in blocked]
    keys = sorted([card_key(n, tag) for n, tag in (tags or {}).items()])
    return signed(bundles.DELTA, seq_from, seq_to, first + rest, keys, **options)


def opened(device):
    gc.collect()
    store = Allowlist(device, KEY, "JKT", "A")
    store.open()
    return store


def party(store, number):
    """Return the party of a card, negative if it is blocked, None if it is not listed."""
    found = store.find(key_of(number))
    if found is None:
        return None
    found = records.unpack_credential(found)
    return -found.party if found.blocked else found.party


def tag(store, number):
    found = store.find_card_key(key_of(number))
    return None if found is None else found[8]


def arriving(store, data):
    """Feed the snapshot `data` as the link does, yielding after each chunk; then commit it."""
    snapshot = store.begin()
    at = 0
    while at < len(data):
        end = at + (1024 if at else 64)
        if not snapshot.feed(data[at:end]):
            return
        at = end
        yield snapshot
    snapshot.commit()


def finish(store, quiet=True):
    """Let the store work until there is nothing to do; return the number of pieces."""
    pieces = 0
    while store.work(quiet):
        pieces += 1
        assert pieces < 5000, "it never ends"
    return pieces


def merged(store):
    """Merge the deltas now, however few they are; return the number of pieces."""
    store._short = True
    return finish(store)


class States:
    """What a gate may hold: after each list that the office made, which party and tag each card has."""

    def __init__(self):
        self.bundles = []  # (seq, bytes)
        self.parties = {}  # seq: {card: party}
        self.tags = {}
        self.seq = 0
        self.cards = set()

    def snapshot(self, parties, tags=None):
        """Publish a list; return its bundle."""
        self.seq += 1
        self._keep(dict(parties), dict(tags or {}))
        return snapshot(self.seq, parties, tags)

    def delta(self, parties, tags=None, blocked=(), since=None):
        """Publish changes to the list before; return the delta, which continues list `since` as well."""
        now = dict(self.parties[self.seq])
        for n, p in parties.items():
            now[n] = -p if n in blocked else p
        keys = dict(self.tags[self.seq])
        keys.update(tags or {})
        before = self.seq if since is None else since
        self.seq += 1
        self._keep(now, keys)
        return delta(before, self.seq, parties, tags, blocked)

    def _keep(self, parties, tags):
        self.parties[self.seq] = parties
        self.tags[self.seq] = tags
        self.cards.update(parties)

    def check(self, store, allowed):
        """The store must hold exactly one of the lists with the numbers `allowed`."""
        seq = store.seq
        assert seq in allowed, "list %d, not one of %r" % (seq, sorted(allowed))
        if not seq:
            assert not store.valid
            return
        assert store.valid and store.issued == _ISSUED + seq and store.expires == _ISSUED + seq + LIFE
        parties, tags = self.parties[seq], self.tags[seq]
        for n in self.cards:
            found = party(store, n)
            assert found == parties.get(n), "list %d, card %d: %r" % (seq, n, found)
        for n in tags:
            assert tag(store, n) == tags[n], "list %d, key of card %d" % (seq, n)


def blank():
    return SparseDevice(BLOCKS)
