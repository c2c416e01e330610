"""Deltas on top of a list: what they change, when they are refused, how they are merged into a new slot."""

from io import BytesIO

from list_world import (
    BLOCKS,
    KEY,
    States,
    arriving,
    blank,
    card_key,
    credential,
    delta,
    finish,
    key_of,
    merged,
    opened,
    party,
    signed,
    snapshot,
    tag,
)
from sparse_device import SparseDevice

from firmware import bundles
from firmware.errors import BundleError, StoreError


def based(count=100, tags=None):
    """Return (device, store) with list 1: `count` cards whose party is their number."""
    device = blank()
    store = opened(device)
    assert store.load(BytesIO(snapshot(1, {n: n for n in range(count)}, tags)))
    return device, store


def apply(store, data):
    return store.load(BytesIO(data))


def refusal(store, data):
    """Return why `data` is refused, after looking that nothing changed, on flash neither."""
    device = store._device
    before = (store.seq, store.expires, store._fill, device.operations)
    try:
        apply(store, data)
    except BundleError as e:
        assert (store.seq, store.expires, store._fill, device.operations) == before
        return str(e)
    raise AssertionError("was not refused")


def test_a_delta_adds_changes_and_blocks_cards_and_leaves_the_others():
    device, store = based()
    assert apply(store, delta(1, 2, {5: 500, 6: 600, 200: 2000}, blocked=(6,)))
    for found in (store, opened(device)):
        assert found.seq == 2 and found.count == 100
        assert [party(found, n) for n in (4, 5, 6, 7, 200, 201)] == [4, 500, -600, 7, 2000, None]


def test_the_newest_of_several_deltas_counts():
    device, store = based()
    for seq in range(2, 12):
        assert apply(store, delta(seq - 1, seq, {5: seq, 200 + seq: seq}))
    for found in (store, opened(device)):
        assert party(found, 5) == 11 and [party(found, 200 + n) for n in range(2, 12)] == list(range(2, 12))


def test_a_card_that_was_returned_is_a_blocked_record_until_it_is_issued_again():
    device, store = based()
    apply(store, delta(1, 2, {5: 1}, blocked=(5,)))
    assert party(opened(device), 5) == -1
    apply(store, delta(2, 3, {5: 77}))
    assert party(opened(device), 5) == 77 == party(store, 5)
    merged(store)
    assert party(opened(device), 5) == 77


def test_card_keys_come_with_deltas_and_stay_when_the_record_changes():
    device, store = based(tags={1: 10, 2: 20})
    apply(store, delta(1, 2, {2: 200, 150: 150}, tags={2: 21, 150: 150}))
    apply(store, delta(2, 3, {2: 201}, blocked=(2,)))
    for found in (store, opened(device)):
        assert [tag(found, n) for n in (1, 2, 150, 3)] == [10, 21, 150, None]
        assert party(found, 2) == -201
    merged(store)
    for found in (store, opened(device)):
        assert found.keys == 3 and [tag(found, n) for n in (1, 2, 150, 3)] == [10, 21, 150, None]


def test_a_delta_says_when_the_list_expires():
    device, store = based()
    assert apply(store, delta(1, 2, {5: 1}, expires=5000))
    assert store.expires == 5000 and opened(device).expires == 5000
    assert apply(store, delta(2, 3, {}, expires=90000))  # renewed, nothing else
    assert store.expires == 90000 and opened(device).expires == 90000
    merged(store)
    assert store.expires == 90000 and opened(device).expires == 90000 and opened(device).seq == 3


def test_the_same_delta_again_and_an_older_one_do_nothing():
    device, store = based()
    one, two = delta(1, 2, {5: 500}), delta(2, 3, {5: 501})
    assert apply(store, one) and apply(store, two)
    before = device.operations
    assert apply(store, two) is False and apply(store, one) is False
    assert device.operations == before and party(store, 5) == 501


def test_a_delta_that_covers_more_than_is_missing_applies():
    store = based()[1]
    apply(store, delta(1, 4, {5: 500}))
    assert apply(store, delta(2, 6, {5: 501}))  # from 2 on; the gate has 4
    assert store.seq == 6 and party(store, 5) == 501


def test_a_delta_after_a_gap_or_without_a_list_is_refused():
    store = based()[1]
    assert refusal(store, delta(2, 3, {5: 1})) == "seq: from 2, the list is 1"
    assert refusal(opened(blank()), delta(0, 1, {5: 1})) == "seq: from 0, the list is 0"


def test_a_delta_for_another_gate_or_site_or_with_another_key_is_refused():
    store = based()[1]
    assert refusal(store, delta(1, 2, {5: 1}, gate="B")) == "gate"
    assert refusal(store, delta(1, 2, {5: 1}, site="BDG")) == "site"
    assert refusal(store, delta(1, 2, {5: 1}, key=b"x" * 32)) == "MAC"


def test_every_changed_byte_of_a_delta_is_noticed():
    store = based()[1]
    good = delta(1, 2, {5: 1}, tags={5: 1})
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x10
        refusal(store, bytes(bad))


def test_a_truncated_or_overlong_delta_is_refused():
    store = based()[1]
    good = delta(1, 2, {5: 1, 6: 2})
    for length in (6, 63, 64, 65, 80, len(good) - 32, len(good) - 1):
        assert "length" in refusal(store, good[:length])
    assert "length" in refusal(store, good + b"\x00")
    assert refusal(store, delta(1, 2, dict.fromkeys(range(253), 1))) == "count"  # over 4,096 bytes


def test_what_the_gate_merged_itself_is_no_bundle():
    store = based()[1]
    credentials = sorted([credential(n, n) for n in range(5)])
    assert refusal(store, signed(bundles.MERGED, 1, 2, credentials, [])) == "kind"


def test_a_card_key_without_its_credential_in_the_delta_is_left_out():
    store = based()[1]
    assert apply(store, signed(bundles.DELTA, 1, 2, [credential(5, 50)], [card_key(6, 1)]))
    assert party(store, 5) == 50 and tag(store, 6) is None


def test_a_delta_costs_one_program_per_page_and_one_erase_per_sector_of_deltas():
    device, store = based()
    before, erases = device.operations, len(device.erases)
    for seq in range(2, 40):  # 38 x 112 bytes = 4,256
        apply(store, delta(seq - 1, seq, {5: seq}))
    assert device.erases[erases:] == [20, 21]
    assert device.operations - before <= 2 + 38 + 4256 // 256 + 1


def test_a_merge_puts_everything_into_the_other_slot():
    device, store = based(300, tags={n: n for n in range(1, 34)})
    states = {n: n for n in range(300)}
    for seq in range(2, 30):
        change = {seq * 7 % 300: 1000 + seq, 300 + seq: seq}
        states.update(change)
        apply(store, delta(seq - 1, seq, change, tags={300 + seq: seq} if seq % 2 else {}))
    slot = store._slot
    assert merged(store) > 5
    for found in (store, opened(device)):
        assert found._slot != slot and found._fill == 0 and found.seq == 29
        assert found.count == len(states) and found.keys == 33 + 14
        for n in range(340):
            assert party(found, n) == states.get(n), n
        for n in range(301, 330, 2):
            assert n == 301 or tag(found, n) == n - 300


def test_cards_at_both_ends_and_an_empty_list_below_are_merged():
    ends = sorted([key_of(n) for n in range(100)])
    low, high = [n for n in range(100) if key_of(n) in (ends[0], ends[-1])]
    device = blank()
    store = opened(device)
    apply(store, snapshot(1, {}))
    apply(store, delta(1, 2, {n: n + 1 for n in range(100)}, tags={n: n for n in range(1, 60)}))
    merged(store)
    again = opened(device)
    assert again.count == 100 and again.keys == 59
    assert [party(again, n) for n in range(100)] == list(range(1, 101))
    assert party(again, low) == low + 1 and party(again, high) == high + 1
    for n in range(1, 60):
        assert tag(again, n) == n


def test_deltas_that_come_during_a_merge_count_at_once_and_stay_on_top():
    device, store = based(300)
    apply(store, delta(1, 2, {5: 500, 6: 600}))
    store._short = True
    seq = 2
    while store.work(True):
        seq += 1
        assert apply(store, delta(seq - 1, seq, {5: seq, 400 + seq: seq}))
        assert party(store, 5) == seq and party(store, 6) == 600
        assert opened(device).seq == seq
    for found in (store, opened(device)):
        assert found.seq == seq and found._base == 2 and found.count == 300
        assert party(found, 5) == seq and party(found, 403) == 3 and party(found, 6) == 600
        assert found._fill == 1 + seq - 2


def test_merges_alternate_between_slots_and_halves_for_ever():
    states = States()
    device = blank()
    store = opened(device)
    apply(store, states.snapshot({n: n for n in range(40)}))
    for turn in range(12):
        for i in range(5):
            apply(store, states.delta({turn * 5 + i: turn, 3: turn + i}, tags={3: turn}))
        merged(store)
        states.check(store, [states.seq])
        states.check(opened(device), [states.seq])
    for first in (0, 10):
        assert 5 <= device.erases.count(first) <= 7
    for half in (20, 22):
        assert 5 <= device.erases.count(half) <= 7


def test_a_restart_in_a_merge_keeps_both_halves_until_they_are_merged():
    states = States()
    device = blank()
    store = opened(device)
    apply(store, states.snapshot({n: n for n in range(40)}))
    for turn in range(3):  # each half is once the first
        apply(store, states.delta({1: 100 + turn, 2: 200}))
        store._short = True
        store.work(True)  # the next delta goes into the other half
        apply(store, states.delta({2: 201, 50: 50}))
        assert sorted(store._live)[-2:] == [states.seq - 1, states.seq]
        store = opened(device)
        states.check(store, [states.seq])
        store._short = True
        store.work(True)  # both halves are needed: no other one
        apply(store, states.delta({3: 300 + turn}))
        store = opened(device)
        states.check(store, [states.seq])
        for n in range(2):
            merged(store)
            apply(store, states.delta({1: 400 + turn + n}))
            states.check(opened(device), [states.seq])
        merged(store)
        states.check(opened(device), [states.seq])


def test_room_runs_out_and_comes_back_with_a_merge():
    states = States()
    device = blank()
    store = opened(device)
    apply(store, states.snapshot({n: n for n in range(40)}))
    given, refused = 0, 0
    for i in range(150):
        data = states.delta({i % 50: i + 1})
        while apply(store, data) is None:
            refused += 1
            assert store.urgent and store.seq == states.seq - 1
            finish(store, quiet=False)
            assert not store.urgent
        given += 1
    assert given == 150 and refused == 2  # 73 deltas of 112 bytes fit into a half of 8,192
    states.check(opened(device), [states.seq])


def test_more_cards_than_the_table_holds_wait_for_a_merge():
    store = based()[1]
    seq = 1
    for first in (0, 80, 160):
        seq += 1
        assert apply(store, delta(seq - 1, seq, dict.fromkeys(range(first, first + 80), 1)))
    assert store._fill == 240 and store.urgent
    last = delta(seq, seq + 1, dict.fromkeys(range(240, 260), 1))
    assert apply(store, last) is None
    finish(store, quiet=False)
    assert apply(store, last) and party(store, 259) == 1 and party(store, 239) == 1


def test_a_merge_waits_for_quiet_moments_unless_it_is_urgent():
    store = based()[1]
    apply(store, delta(1, 2, dict.fromkeys(range(194), 1)))  # 75 % of 256
    assert not store.work(False) and store._job is None
    apply(store, delta(2, 3, {200: 1, 201: 1}))
    assert store.work(True) and not store.work(False) and store._job is not None
    finish(store)
    assert store._base == 3
    apply(store, delta(3, 4, dict.fromkeys(range(235), 1)))
    assert store.urgent and finish(store, quiet=False) and not store.urgent
    assert store._base == 4


def test_few_deltas_are_left_alone():
    store = based()[1]
    apply(store, delta(1, 2, dict.fromkeys(range(150), 1)))
    assert not store.work(True) and not store.busy


def test_renewals_alone_fill_their_half_and_are_merged_too():
    device, store = based()
    for seq in range(2, 200):
        while apply(store, delta(seq - 1, seq, {}, expires=5000 + seq)) is None:
            finish(store, quiet=False)
    assert store.expires == 5199 and opened(device).expires == 5199


def test_a_list_that_fills_its_slot_takes_no_more_cards():
    store = opened(SparseDevice(8))  # slots of three blocks
    room = (3 * 4096 - 96) // 16
    credentials = sorted([credential(n, 1) for n in range(room - 4)])
    assert apply(store, signed(bundles.SNAPSHOT, 0, 1, credentials, []))
    assert apply(store, delta(1, 2, {5: 2, 100000: 3}))
    assert apply(store, delta(2, 3, {6: 2, 100001: 3}))
    assert apply(store, delta(3, 4, {7: 2})) is None  # who knows: until they are merged
    merged(store)
    assert store.count == room - 2
    assert apply(store, delta(3, 4, {7: 2}))
    merged(store)
    assert "full" in refusal(store, delta(4, 5, {100002: 1, 100003: 1, 100004: 1}))
    assert party(store, 100000) == 3 and party(store, 7) == 2


def test_a_piece_of_a_merge_erases_one_sector_or_programs_a_few_pages():
    device, store = based(300, tags={n: n for n in range(1, 30)})
    apply(store, delta(1, 2, dict.fromkeys(range(150, 250), 1), tags={n: n for n in range(150, 180)}))
    store._short = True
    while True:
        operations, erases, reads = device.operations, len(device.erases), device.reads
        if not store.work(True):
            break
        erased = len(device.erases) - erases
        assert erased <= 1 and device.operations - operations - erased <= 6
        assert not erased or device.operations - operations == 1
        assert device.reads - reads <= 40


def test_a_snapshot_comes_in_chunk_by_chunk_and_the_old_list_serves():
    device, store = based(100)
    apply(store, delta(1, 2, {5: 500}))
    chunks = 0
    erases = len(device.erases)
    for _ in arriving(store, snapshot(5, {n: n + 1 for n in range(400)})):
        chunks += 1
        assert len(device.erases) - erases <= 1 and store.seq == 2 and store.busy
        assert party(store, 5) == 500 and party(store, 399) is None
        erases = len(device.erases)
    assert chunks > 6 and store.seq == 5 and store._fill == 0 and not store.busy
    for found in (store, opened(device)):
        assert [party(found, n) for n in (0, 5, 399)] == [1, 6, 400]


def test_erasing_can_be_a_piece_of_its_own():
    device = blank()
    store = opened(device)
    data = snapshot(1, {n: n for n in range(300)})
    writer = store.begin()
    writer.feed(data[:64])
    for at in range(64, len(data), 1024):
        operations, erases = device.operations, len(device.erases)
        if writer.prepare(1024):
            assert device.operations - operations == 1 and len(device.erases) - erases == 1
        erases = len(device.erases)
        writer.feed(data[at : at + 1024])
        assert len(device.erases) == erases
    writer.commit()
    assert store.seq == 1 and len(device.erases) == 2


def test_snapshot_and_merge_exclude_each_other():
    store = based(300)[1]
    apply(store, delta(1, 2, {5: 500}))
    store._short = True
    store.work(True)
    for act in (store.begin, lambda: apply(store, snapshot(9, {1: 1}))):
        try:
            act()
            raise AssertionError("two at once")
        except StoreError as e:
            assert "being written" in str(e)
    finish(store)
    assert apply(store, snapshot(9, {5: 9}))
    assert store.seq == 9 and party(store, 5) == 9 and party(store, 6) is None
    store = based()[1]
    apply(store, delta(1, 2, {5: 500}))
    writer = store.begin()
    store._short = True
    assert not store.work(True) and store._writer is writer


def test_a_snapshot_that_deltas_overtook_is_refused_at_the_end():
    device, store = based(100)
    data = snapshot(3, {n: n + 1 for n in range(100)})
    writer = store.begin()
    writer.feed(data)
    apply(store, delta(1, 4, {5: 500}))
    try:
        writer.commit()
        raise AssertionError("went back")
    except BundleError as e:
        assert "older" in str(e)
    assert opened(device).seq == 4 == store.seq and party(store, 5) == 500 and party(store, 6) == 6


def test_a_snapshot_that_is_given_up_or_bad_leaves_everything_as_it_was():
    for spoil in (None, b"", b"x"):
        device, store = based(100)
        apply(store, delta(1, 2, {5: 500}))
        data = snapshot(5, {n: n + 1 for n in range(100)})
        raised = ""
        chunks = arriving(store, data if spoil is None else data[:-40] + spoil)
        try:
            for _ in range(2 if spoil is None else 50):
                next(chunks)
        except BundleError as e:
            raised = str(e)
        assert raised == ("" if spoil is None else "length: too short")
        assert store.busy == (spoil is None) and not store.work(True)
        for found in (store, opened(device)):
            assert found.seq == 2 and party(found, 5) == 500
        for _ in arriving(store, data):
            pass
        assert store.seq == 5 and not store.busy


def test_a_flash_that_fails_in_a_merge_leaves_the_list_and_is_not_tried_for_ever():
    device, store = based(300)
    apply(store, delta(1, 2, {5: 500}))
    store._short = True
    store.work(True)
    real = device.writeblocks

    def broken(block, buf, offset):
        if block < 20:
            raise OSError(5)
        real(block, buf, offset)

    device.writeblocks = broken
    try:
        finish(store)
        raise AssertionError("nothing was raised")
    except StoreError:
        pass
    assert not store.work(True) and not store.busy
    assert party(store, 5) == 500 and party(store, 6) == 6
    assert apply(store, delta(2, 3, {6: 600})) and party(store, 6) == 600
    device.writeblocks = real
    again = opened(device)
    assert again.seq == 3 and party(again, 5) == 500
    merged(again)
    assert opened(device)._base == 3


def test_a_flash_that_fails_anywhere_in_a_merge_leaves_all_deltas_in_force():
    fails = 0
    while True:
        device, store = based(100)
        apply(store, delta(1, 2, {5: 500, 200: 2}))
        store._short = True
        real, left = device.writeblocks, [fails]

        def broken(block, buf, offset):
            left[0] -= 1  # noqa: B023 - called in this turn only
            if left[0] < 0:  # noqa: B023
                raise OSError(5)
            real(block, buf, offset)  # noqa: B023

        device.writeblocks = broken
        try:
            finish(store)
            break
        except StoreError:
            fails += 1
        for found in (store, opened(device)):
            assert found.seq == 2 and [party(found, n) for n in (5, 6, 200)] == [500, 6, 2]
    assert fails == 7  # six pages and the first one, which has the header


def test_a_delta_that_the_flash_does_not_keep_is_not_in_force_and_the_next_one_is():
    device, store = based()
    apply(store, delta(1, 2, {5: 500}))
    real = device.writeblocks

    def broken(block, buf, offset):
        real(block, bytes(buf)[:40] + bytes(len(buf) - 40), offset)

    device.writeblocks = broken
    try:
        apply(store, delta(2, 3, {5: 501}))
        raise AssertionError("nothing was raised")
    except StoreError:
        pass
    device.writeblocks = real
    assert party(store, 5) == 500 and store.seq == 2
    assert apply(store, delta(2, 3, {5: 502}))
    for found in (store, opened(device)):
        assert party(found, 5) == 502 and found.seq == 3


def test_a_damaged_slot_gives_way_to_the_one_before_with_its_deltas():
    states = States()
    device = blank()
    store = opened(device)
    apply(store, states.snapshot({n: n for n in range(40)}))
    apply(store, states.delta({1: 100}))
    apply(store, states.delta({2: 200}, blocked=(2,)))
    merged(store)
    assert store._base == 3
    damaged = SparseDevice(BLOCKS, device)
    sector = bytearray(damaged.sectors[store._slot])
    sector[100] ^= 1
    damaged.sectors[store._slot] = bytes(sector)
    again = opened(damaged)
    assert again._base == 1
    states.check(again, [3])


def test_any_content_of_the_region_of_deltas_is_survived():
    x = 7
    for case in range(12):
        device, store = based()
        for seq in range(2, 30):
            apply(store, delta(seq - 1, seq, {5: seq}))
        for block in (20, 21, 22, 23):
            sector = bytearray(device.sectors.get(block, b"\xff" * 4096))
            for _ in range(40 if case < 8 else 4000):
                x = (x * 1103515245 + 12345) & 0x7FFFFFFF
                sector[(x >> 3) % 4096] = (x >> 15) & 0xFF
            if case == 11:  # headers that look right wherever one may be
                head = delta(1, 2, {5: 9})[:64]
                sector = bytearray(head * 64)
            device.sectors[block] = bytes(sector)
        again = opened(device)
        assert again.valid and 1 <= again.seq <= 29
        assert party(again, 5) == (again.seq if again.seq > 1 else 5)
        assert apply(again, delta(1, 50, {5: 50})) or again.urgent


def test_a_delta_of_another_gate_on_flash_is_not_applied():
    device, store = based()
    apply(store, delta(1, 2, {5: 500}))
    forged = delta(2, 3, {5: 666}, key=b"x" * 32)
    sector = bytearray(device.sectors[20])
    sector[112 : 112 + len(forged)] = forged
    device.sectors[20] = bytes(sector)
    again = opened(device)
    assert again.seq == 2 and party(again, 5) == 500
    assert apply(again, delta(2, 3, {5: 501})) and party(opened(device), 5) == 501


def test_the_table_takes_the_same_room_however_many_deltas_there_are():
    store = based()[1]
    assert len(store._table) == 3072 and KEY
    for seq in range(2, 60):
        apply(store, delta(seq - 1, seq, {seq: 1, seq + 1: 2}))
    assert len(store._table) == 3072 and store._fill == 59
