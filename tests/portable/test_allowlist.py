"""The credential store: lookups, loading, refusals, restarts, and what power cuts leave."""

import gc
from io import BytesIO

from nor_device import PROGRAM_CUTS, Cut, NorDevice

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.crypto import hmac_sha256
from firmware.errors import BundleError, StoreError

KEY = b"g" * 32
BLOCKS = 8  # two slots of 3 blocks


def key_of(number):
    return hmac_sha256(b"card", b"%d" % number)[:8]


def credential(number):
    if number % 32 == 0:
        gc.collect()  # what is kept then lies close together, not all over the heap
    return bundles.pack_credential(records.Credential(key_of(number), 1, False, True, 0, False, 0, 0, number))


def bundle(numbers, seq=1, site="JKT", gate="A", key=KEY, card_keys=0, order=sorted, **changes):
    """Return the bytes of a snapshot of the cards `numbers`; the party of each is its number."""
    credentials = order([credential(n) for n in numbers])
    entries = sorted([key_of(n) + b"K" * 24 for n in numbers[:card_keys]])
    fields = [bundles.SNAPSHOT, site, gate, 0, seq, 1000, 1000 + 86400, len(credentials), card_keys]
    if "kind" in changes:
        fields[0], fields[3] = changes["kind"], seq - 1
    if "count" in changes:
        fields[7] = changes["count"]
    body = bundles.pack_header(bundles.Header(*fields)) + b"".join(credentials) + b"".join(entries)
    return body + hmac_sha256(key, body)


def opened(device, site="JKT", gate="A"):
    allowlist = Allowlist(device, KEY, site, gate)
    allowlist.open()
    return allowlist


def loaded(numbers, **options):
    device = NorDevice(BLOCKS)
    allowlist = opened(device)
    assert allowlist.load(BytesIO(bundle(numbers, **options)))
    return device, allowlist


def party(allowlist, number):
    found = allowlist.find(key_of(number))
    return None if found is None else records.unpack_credential(found).party


def refusal(allowlist, data):
    """Return why `data` is refused, after looking that nothing changed."""
    before = (allowlist.valid, allowlist.seq, allowlist.count, party(allowlist, 1))
    try:
        allowlist.load(BytesIO(data))
    except BundleError as e:
        assert (allowlist.valid, allowlist.seq, allowlist.count, party(allowlist, 1)) == before
        again = opened(allowlist._device)
        assert (again.valid, again.seq, again.count, party(again, 1)) == before
        return str(e)
    raise AssertionError("was not refused")


def test_without_a_list_nobody_is_found():
    allowlist = opened(NorDevice(BLOCKS))
    assert not allowlist.valid and allowlist.seq == 0 and allowlist.count == 0
    assert allowlist.find(key_of(1)) is None


def test_a_loaded_list_is_in_force_and_after_a_restart_too():
    device, allowlist = loaded(range(300), seq=5)
    for store in (allowlist, opened(device)):
        assert store.valid and store.seq == 5 and store.count == 300
        assert store.issued == 1000 and store.expires == 87400
        for number in range(300):
            assert party(store, number) == number
        for number in range(300, 400):
            assert party(store, number) is None


def test_lists_of_few_cards_and_keys_at_the_ends():
    for count in (0, 1, 2, 12, 13, 63, 64, 65, 128):
        allowlist = loaded(range(count))[1]
        assert [party(allowlist, n) for n in range(count)] == list(range(count))
        assert allowlist.find(bytes(8)) is None and allowlist.find(b"\xff" * 8) is None


def test_lookups_are_right_whatever_the_distribution_of_keys():
    ends = [0, 1, 2, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF]
    near = [0x8000000000000000 + i for i in range(400)]
    keys = sorted([k.to_bytes(8, "big") for k in ends + near + [i << 40 for i in range(5, 300)]])
    credentials = b"".join([k + bytes(8) for k in keys])
    head = bundles.pack_header(bundles.Header(1, "JKT", "A", 0, 1, 1, 2, len(keys), 0))
    device = NorDevice(BLOCKS)
    allowlist = opened(device)
    allowlist.load(BytesIO(head + credentials + hmac_sha256(KEY, head + credentials)))
    device.reads = 0
    for k in keys:
        assert bytes(allowlist.find(k)) == k + bytes(8)
    assert device.reads < 6 * len(keys)
    assert allowlist.find((0x8000000000000000 + 400).to_bytes(8, "big")) is None


def test_keys_that_mislead_interpolation_cost_few_reads_more():
    credentials = b"".join([i.to_bytes(8, "big") + bytes(8) for i in range(700)])
    head = bundles.pack_header(bundles.Header(1, "JKT", "A", 0, 1, 1, 2, 700, 0))
    device = NorDevice(BLOCKS)
    allowlist = opened(device)
    allowlist.load(BytesIO(head + credentials + hmac_sha256(KEY, head + credentials)))
    for i in range(700):
        device.reads = 0
        assert allowlist.find(i.to_bytes(8, "big")) is not None
        assert device.reads <= 7


def test_a_lookup_reads_windows_of_1024_bytes_at_most_and_few_of_them():
    device, allowlist = loaded(range(700))
    device.reads = device.largest_read = 0
    for number in range(700):
        allowlist.find(key_of(number))
    assert device.largest_read <= 1024
    assert device.reads <= 2.0 * 700, device.reads / 700


def test_card_keys_are_a_section_of_their_own():
    device = loaded(range(100), card_keys=40)[0]
    again = opened(device)
    assert again.keys == 40 and again.count == 100
    for number in range(40):
        assert bytes(again.find_card_key(key_of(number))) == key_of(number) + b"K" * 24
    assert again.find_card_key(key_of(41)) is None
    assert party(again, 41) == 41


def test_the_same_list_again_is_no_error_and_writes_nothing():
    device, allowlist = loaded(range(20), seq=3)
    before = device.operations
    assert allowlist.load(BytesIO(bundle(range(20), seq=3))) is False
    assert device.operations == before


def test_a_newer_list_replaces_the_old_one_and_slots_alternate():
    device, allowlist = loaded([1, 2, 3], seq=1)
    for seq in range(2, 6):
        assert allowlist.load(BytesIO(bundle([1, seq * 10], seq=seq)))
        assert party(allowlist, seq * 10) == seq * 10 and party(allowlist, 2) is None
        assert opened(device).seq == seq
    assert len(set(device.erases)) == 2


def test_an_older_list_is_refused():
    device, allowlist = loaded([1], seq=9)
    before = device.operations
    assert "older than 9" in refusal(allowlist, bundle([1, 2], seq=8))
    assert device.operations == before


def test_a_list_for_another_gate_or_site_is_refused_before_anything_is_written():
    device, allowlist = loaded([1])
    before = device.operations
    assert refusal(allowlist, bundle([1], seq=2, gate="B")) == "gate"
    assert refusal(allowlist, bundle([1], seq=2, site="BDG")) == "site"
    assert refusal(allowlist, bundle([1], seq=2, kind=bundles.MERGED)) == "kind"
    assert refusal(allowlist, b"PNTX" + bundle([1], seq=2)[4:]) == "magic"
    assert refusal(allowlist, bundle([1], seq=2, count=10000)) == "count"
    assert device.operations == before


def test_a_list_signed_with_another_key_is_refused():
    allowlist = loaded([1])[1]
    assert refusal(allowlist, bundle([1, 2], seq=2, key=b"x" * 32)) == "MAC"


def test_every_changed_byte_is_noticed():
    good = bundle([1, 2, 3], seq=2, card_keys=1)
    allowlist = loaded([1])[1]
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x10
        refusal(allowlist, bytes(bad))


def test_a_truncated_or_overlong_bundle_is_refused():
    allowlist = loaded([1])[1]
    good = bundle(range(40), seq=2)
    for length in (0, 1, 63, 64, 65, 255, 256, 257, 512, len(good) - 32, len(good) - 1):
        assert refusal(allowlist, good[:length]) == "length: too short", length
    assert refusal(allowlist, good + b"\x00") == "length: too long"
    assert refusal(allowlist, good + good) == "length: too long"


def test_an_unsorted_list_and_one_with_a_card_twice_are_refused_though_signed():
    allowlist = loaded([1])[1]
    assert refusal(allowlist, bundle(range(40), seq=2, order=lambda c: sorted(c)[::-1])) == "order"
    assert refusal(allowlist, bundle([1, 2, 2, 3], seq=2)) == "order"
    credentials = sorted([key_of(n) + bytes(8) for n in range(2)])
    head = bundles.pack_header(bundles.Header(1, "JKT", "A", 0, 2, 1, 2, 2, 2))
    body = head + b"".join(credentials) + b"".join([c[:8] + bytes(24) for c in credentials[::-1]])
    assert refusal(allowlist, body + hmac_sha256(KEY, body)) == "order"


def test_a_list_that_fills_the_slot_fits_and_one_more_card_does_not():
    room = (3 * 4096 - 96) // 16
    allowlist = loaded([1])[1]
    assert "count" in refusal(allowlist, bundle(range(room + 1), seq=2))
    assert allowlist.load(BytesIO(bundle(range(room), seq=3)))
    assert party(allowlist, room - 1) == room - 1


def test_any_chunks_give_the_same_list():
    data = bundle(range(200), seq=2, card_keys=5)
    for sizes in ((1,), (64, 1024), (7, 300, 64), (4096,), (len(data),)):
        device = NorDevice(BLOCKS)
        allowlist = opened(device)
        snapshot = allowlist.begin()
        at = i = 0
        while at < len(data):
            assert snapshot.feed(data[at : at + sizes[i % len(sizes)]])
            at += sizes[i % len(sizes)]
            i += 1
        assert not allowlist.valid
        snapshot.commit()
        assert allowlist.seq == 2 and party(opened(device), 199) == 199


def test_a_chunk_erases_at_most_one_sector():
    device = NorDevice(BLOCKS)
    snapshot = opened(device).begin()
    stream = BytesIO(bundle(range(700)))
    chunk = stream.read(64)
    while chunk:
        before = len(device.erases)
        snapshot.feed(chunk)
        assert len(device.erases) - before <= 1
        chunk = stream.read(1024)


def test_the_old_list_serves_while_a_new_one_comes_in():
    allowlist = loaded(range(100))[1]
    snapshot = allowlist.begin()
    snapshot.feed(bundle(range(50), seq=2)[:500])
    assert [party(allowlist, n) for n in range(100)] == list(range(100))


def test_a_snapshot_that_failed_or_was_overtaken_is_spent():
    allowlist = loaded([1])[1]
    data = bundle(range(40), seq=2)
    first = allowlist.begin()
    first.feed(data)
    second = allowlist.begin()
    for act in (lambda: first.feed(b"x"), first.commit):
        try:
            act()
            raise AssertionError("was accepted")
        except (StoreError, BundleError):
            pass
    second.feed(data)
    second.commit()
    assert allowlist.seq == 2


def test_a_bundle_that_was_too_long_cannot_be_committed():
    allowlist = loaded([1])[1]
    snapshot = allowlist.begin()
    snapshot.feed(bundle([1, 2], seq=2))
    for act in (lambda: snapshot.feed(b"x"), snapshot.commit):
        try:
            act()
            raise AssertionError("was accepted")
        except BundleError:
            pass
    assert allowlist.seq == 1


def test_a_flash_that_does_not_keep_what_is_written_is_an_error():
    device, allowlist = loaded([1])
    device.deaf = True
    try:
        allowlist.load(BytesIO(bundle(range(40), seq=2)))
        raise AssertionError("was accepted")
    except StoreError as e:
        assert "flash differs" in str(e)
    assert allowlist.seq == 1 and party(allowlist, 1) == 1


def test_a_damaged_slot_gives_way_to_the_one_before():
    device, allowlist = loaded(range(30), seq=1)
    allowlist.load(BytesIO(bundle(range(60), seq=2)))
    slot = allowlist._slot * 4096
    for at in (0, 10, 64, 300, 64 + 60 * 16 + 31):
        damaged = NorDevice(BLOCKS, device.data)
        damaged.data[slot + at] ^= 1
        again = opened(damaged)
        assert again.seq == 1 and party(again, 29) == 29 and party(again, 30) is None
        damaged.data[65] ^= 1
        damaged.data[3 * 4096 + 65] ^= 1
        assert not opened(damaged).valid


def test_a_slot_of_another_gate_is_no_list():
    device = loaded([1])[0]
    assert opened(device).valid
    assert not opened(device, gate="B").valid and not opened(device, site="X").valid


def test_any_flash_content_is_survived():
    x = 7
    for case in range(20):
        device = NorDevice(BLOCKS)
        for _ in range(3000):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
            device.data[(x >> 3) % len(device.data)] = (x >> 15) & 0xFF
        if case > 9:  # headers that look right, with counts up to what fits
            for slot in (0, 3):
                head = bundles.pack_header(bundles.Header(1, "JKT", "A", 0, case, 1, 2, 40 * case, case))
                device.data[slot * 4096 : slot * 4096 + 64] = head
        allowlist = opened(device)
        assert not allowlist.valid and allowlist.find(key_of(1)) is None


def test_a_cut_at_any_operation_leaves_the_old_list_or_the_new_one():
    old, new = bundle(range(30), seq=1), bundle(range(20, 320), seq=2)
    device = NorDevice(BLOCKS)
    opened(device).load(BytesIO(old))
    contents = bytes(device.data)
    whole = NorDevice(BLOCKS, contents)
    opened(whole).load(BytesIO(new))
    cuts = 0
    for at in range(1, whole.operations + 2):
        for how in PROGRAM_CUTS:
            cut = NorDevice(BLOCKS, contents)
            cut.cut_in, cut.how = at, how
            try:
                opened(cut).load(BytesIO(new))
                assert at == whole.operations + 1, "operation %d was not cut" % at
            except Cut:
                cuts += 1
            again = opened(NorDevice(BLOCKS, cut.data))
            if again.seq == 1:
                assert party(again, 0) == 0 and party(again, 319) is None and at <= whole.operations
            else:
                assert again.seq == 2 and at >= whole.operations
                assert party(again, 0) is None and party(again, 319) == 319
            if again.seq == 1:
                assert again.load(BytesIO(new))  # the next try succeeds
            assert party(again, 319) == 319
    assert cuts == whole.operations * len(PROGRAM_CUTS)


def test_the_4_mb_partition_holds_twice_20000_credentials_and_2000_card_keys():
    class Sizes:
        def ioctl(self, op, argument):
            return 0xD2000 // 4096

    allowlist = Allowlist(Sizes(), KEY, "JKT", "A")
    assert allowlist._slot_blocks * 4096 >= 64 + 20000 * 16 + 2000 * 32 + 32
    assert 0xD2000 // 4096 - 2 * allowlist._slot_blocks == 18  # what is left for deltas
