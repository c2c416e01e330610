"""The power fails in every flash operation of loading, deltas, merging, snapshots, and again in what follows.

Whatever the cut: after the restart the gate has one whole list, never older than what it was told of, and
what the office does next brings it to the newest.
"""

from io import BytesIO

from list_world import BLOCKS, States, arriving, blank, finish, merged, opened, tag
from sparse_device import Cut, SparseDevice

from firmware.allowlist import Allowlist
from firmware.errors import BundleError

HOWS = ("none", "part", "late", "bits", "all")


class Office:
    """Publishes lists (`states` keeps what they say), or the same bundles once more without `states`.

    `apply` tells the gate, and `told` remembers the lists that it took.
    """

    def __init__(self, states, bundles, told):
        self._states = states
        self._bundles = bundles
        self._next = 0
        self._told = told

    def snapshot(self, *arguments, **options):
        return self._publish("snapshot", arguments, options)

    def delta(self, *arguments, **options):
        return self._publish("delta", arguments, options)

    def apply(self, store, data):
        assert store.load(BytesIO(data))
        self._told.append(store.seq)

    def _publish(self, kind, arguments, options):
        if self._states:
            self._bundles.append(getattr(self._states, kind)(*arguments, **options))
        self._next += 1
        return self._bundles[self._next - 1]


class History:
    """What is on flash at first (`prepare`) and what happens then (`act`)."""

    def __init__(self, prepare, act):
        self.states = States()
        self.device = blank()
        prepare(self.states, opened(self.device))
        self.start = self.states.seq
        self.bundles = []
        self._act = act
        act(Office(self.states, self.bundles, []), opened(SparseDevice(BLOCKS, self.device)))

    def run(self, device, told):
        """Do everything on `device`; `told` gets the number of each list that the gate was told of."""
        store = opened(device)
        self._act(Office(None, self.bundles, told), store)


def catch_up(history, store):
    """Bring the store to the newest list, as the office does: each bundle that fits, once more."""
    for data in history.bundles:
        try:
            while store.load(BytesIO(data)) is None:
                assert finish(store, quiet=False)
        except BundleError:
            pass  # older, or after a gap that a later one closes
    merged(store)


def cut_everywhere(history, turn=0, step=29):
    """Cut at every operation; return (cut points, operations of a whole run, cuts in what follows).

    `turn` (0 to 4) picks the way of each cut; what follows is cut at every `step`-th operation.
    """
    whole = SparseDevice(BLOCKS, history.device)
    history.run(whole, [])
    history.states.check(opened(whole), [history.states.seq])
    newest = history.states.seq
    points = again = 0
    at = 1
    while True:
        device = SparseDevice(BLOCKS, history.device)
        device.cut_in, device.how = at, HOWS[(at + turn) % 5]
        told = [history.start]
        try:
            history.run(device, told)
            break
        except Cut:
            points += 1
        allowed = [seq for seq in history.states.parties if seq in (told[-1], told[-1] + 1)]
        if not told[-1]:
            allowed.append(0)
        device.cut_in = 0
        history.states.check(opened(SparseDevice(BLOCKS, device)), allowed)
        second = 1 + at % min(step, 4)
        while True:
            follows = SparseDevice(BLOCKS, device)
            follows.cut_in, follows.how = second, HOWS[(at + turn + second) % 5]
            try:
                catch_up(history, opened(follows))
                history.states.check(opened(follows), [newest])
                break
            except Cut:
                again += 1
            before = opened(SparseDevice(BLOCKS, follows)).seq
            assert before >= min(allowed), "a second cut brought an older list back"
            history.states.check(opened(SparseDevice(BLOCKS, follows)), [before])
            second += step
        at += 1
    return points, whole.operations, again


def base(count, tags=0):
    def prepare(states, store):
        store.load(BytesIO(states.snapshot({n: n for n in range(count)}, {n: n for n in range(1, tags + 1)})))

    return prepare


def load(office, store):
    office.apply(store, office.snapshot({n: n + 1 for n in range(350)}, {3: 3, 4: 4}))


def deltas(office, store):
    for n in range(6):
        office.apply(store, office.delta({n: 100 + n, 200 + n: n + 1}, tags={n: 50 + n}, blocked=(n,)))


def merge(office, store):
    """A merge of a list of two sectors, with a delta in the middle of it and one after."""
    office.apply(store, office.delta({n: 100 + n for n in range(10)}, tags={1: 9, 2: 8}, blocked=(0, 1)))
    office.apply(store, office.delta({3: 300, 400: 4}))
    store._short = True
    for _ in range(12):
        store.work(True)
    assert store._frozen
    office.apply(store, office.delta({3: 301, 401: 4}, tags={401: 44}))
    finish(store)
    office.apply(store, office.delta({4: 400}))


def merges(office, store):
    """Two merges: both slots, both halves."""
    for turn in range(2):
        for n in range(3):
            office.apply(store, office.delta({n: 10 * turn + n + 50, 90 + turn: 1}))
        merged(store)


def restarted(office, store):
    """A restart in a merge, when both halves have deltas that are needed, and the merge once more."""
    office.apply(store, office.delta({1: 100, 2: 200}, tags={1: 10}))
    store._short = True
    store.work(True)
    office.apply(store, office.delta({2: 201, 250: 1}))
    store = opened(store._device)
    store._short = True
    store.work(True)
    office.apply(store, office.delta({3: 300}))
    finish(store)
    office.apply(store, office.delta({1: 101}))
    merged(store)


def replace(office, store):
    """A snapshot over deltas, received while another delta comes, which it contains."""
    office.apply(store, office.delta({1: 100}, blocked=(1,)))
    meanwhile = office.delta({2: 200})
    chunks = arriving(store, office.snapshot({n: n + 500 for n in range(420)}, {7: 70}))
    for _ in range(4):
        next(chunks)
    office.apply(store, meanwhile)
    for _ in chunks:
        pass


def crossing(states, store):
    """Deltas that end shortly before a sector does."""
    base(20)(states, store)
    while store._at < 4096 - 300:
        assert store.load(BytesIO(states.delta({1: store.seq, 2: store.seq})))


def cross(office, store):
    for n in range(4):
        parties = {n: 60 + n, n + 1: 61 + n, n + 2: 62 + n}
        office.apply(store, office.delta(parties, tags={n: 1 + n, n + 1: 2 + n}))
    assert store._at > 4096


HISTORIES = {
    "first": (lambda states, store: None, load),
    "over": (base(200), load),
    "deltas": (base(40, 6), deltas),
    "crossing": (crossing, cross),
    "merge": (base(450, 40), merge),
    "merges": (base(360), merges),
    "restarted": (base(30), restarted),
    "snapshot": (base(60), replace),
}


def check(name):
    points, operations, again = cut_everywhere(History(*HISTORIES[name]))
    assert points == operations, (points, operations)
    assert again > points / 2


def test_cuts_in_the_first_list():
    check("first")


def test_cuts_in_a_list_over_another():
    check("over")


def test_cuts_in_deltas():
    check("deltas")


def test_cuts_in_deltas_that_cross_a_sector():
    check("crossing")


def test_cuts_in_a_merge_with_deltas_meanwhile():
    check("merge")


def test_cuts_in_two_merges():
    check("merges")


def test_cuts_in_a_merge_after_a_restart_in_one():
    check("restarted")


def test_cuts_in_a_snapshot_over_deltas():
    check("snapshot")


def test_the_histories_have_two_hundred_operations():
    total = 0
    for name in HISTORIES:
        history = History(*HISTORIES[name])
        device = SparseDevice(BLOCKS, history.device)
        history.run(device, [])
        total += device.operations
    assert total >= 200, total


def test_the_judge_notices_a_list_of_two_halves():
    history = History(base(40), deltas)
    device = SparseDevice(BLOCKS, history.device)
    history.run(device, [])
    store = opened(device)
    history.states.parties[store.seq][5] = 77
    try:
        history.states.check(store, [store.seq])
        raise AssertionError("it did not")
    except AssertionError as e:
        assert "card 5" in str(e)
    assert tag(store, 5) == 55 and isinstance(store, Allowlist)
