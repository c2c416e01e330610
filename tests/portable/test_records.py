"""The byte codecs: every field at both ends of its range, and what is refused."""

from firmware import bundles, records
from firmware.bundles import Header
from firmware.errors import BundleError
from firmware.records import Credential, Event

KEY = b"\x01\x02\x03\x04\x05\x06\x07\x08"
HEADER = Header(bundles.SNAPSHOT, "JKT-SELATAN1", "A", 0, 7, 1000, 2000, 3, 4)


def raises(error, function, *arguments):
    try:
        function(*arguments)
    except error as e:
        return str(e)
    raise AssertionError("nothing was raised")


def changed(record, **fields):
    """Return the namedtuple `record` with other fields (MicroPython's has no _replace)."""
    values = []
    for name in type(record)._fields if hasattr(type(record), "_fields") else NAMES[type(record)]:
        values.append(fields.pop(name, getattr(record, name)))
    assert not fields
    return type(record)(*values)


NAMES = {
    Credential: "key cls blocked untimed tier slow from_min length_min party".split(),
    Event: "seq time ms untrusted marks type direction reason cls key party".split(),
    Header: "kind site gate seq_from seq_to issued expires count keys".split(),
}


def test_a_credential_takes_16_bytes_in_the_documented_order():
    c = Credential(KEY, 3, True, False, 2, True, 0x123456, 0x7ABC, 0xBEEF)
    packed = bundles.pack_credential(c)
    assert packed == KEY + b"\x3a\x12\x34\x56\xf5\x79\xbe\xef"
    assert records.unpack_credential(packed) == c
    assert records.unpack_credential(b"\xff" * 5 + packed, 5) == c


def test_every_credential_field_survives_alone_at_its_ends():
    base = Credential(bytes(8), 0, False, False, 0, False, 0, 0, 0)
    ends = {
        "key": b"\xff" * 8,
        "cls": 15,
        "blocked": True,
        "untimed": True,
        "tier": 2,
        "slow": True,
        "from_min": (1 << 24) - 1,
        "length_min": bundles.LENGTH_MIN_MAX,
        "party": 65535,
    }
    seen = set()
    for name in ends:
        c = changed(base, **{name: ends[name]})
        packed = bundles.pack_credential(c)
        assert records.unpack_credential(packed) == c, name
        seen.add(packed)
    assert len(seen) == len(ends)


def test_each_bit_of_a_credential_stands_for_itself():
    for n in range(128):
        packed = bytearray(16)
        packed[n // 8] = 1 << n % 8
        c = records.unpack_credential(packed)
        fields = (c.cls, c.blocked, c.untimed, c.tier, c.slow, c.from_min, c.length_min, c.party)
        assert sum([bool(field) for field in fields]) + (c.key != bytes(8)) == 1, n
    assert [records.unpack_credential(bytes(8) + bytes((n,)) + bytes(7)).tier for n in (1, 2)] == [1, 2]
    assert bundles.LENGTH_MIN_MAX == 32767


def test_a_credential_that_does_not_fit_is_refused():
    base = Credential(KEY, 1, False, True, 0, False, 0, 0, 0)
    for field, value in (
        ("key", KEY[:7]),
        ("cls", 16),
        ("cls", -1),
        ("tier", 3),
        ("tier", -1),
        ("from_min", 1 << 24),
        ("from_min", -1),
        ("length_min", bundles.LENGTH_MIN_MAX + 1),
        ("length_min", -1),
        ("party", 65536),
        ("party", -1),
    ):
        bad = changed(base, **{field: value})
        assert raises(ValueError, bundles.pack_credential, bad) == "credential", field


def test_windows_are_whole_minutes_from_2020():
    from_min = bundles.minutes(1772415000)  # 2026-03-02T01:30:00Z
    c = Credential(KEY, 1, False, False, 0, False, from_min, 90, 0)
    assert records.from_unix(c) == 1772415000
    assert records.until_unix(c) == 1772415000 + 5400
    assert bundles.minutes(1577836800) == 0 and bundles.minutes(1577836859) == 0
    assert bundles.minutes(1577836860) == 1


def test_an_event_takes_24_bytes_and_leaves_the_mac_alone():
    buf = bytearray(b"\xee" * 40)
    e = Event(0x01020304, 0x69A4D9C8, 999, True, 0, "grant", 2, 5, 4, KEY, 0x0102)
    records.pack_event_into(buf, e, 4)
    assert bytes(buf[4:28]) == b"\x01\x02\x03\x04\x69\xa4\xd9\xc8\x83\xe7\x02\x02\x05\x04" + KEY + b"\x01\x02"
    assert bytes(buf[:4] + buf[28:]) == b"\xee" * 16
    assert records.unpack_event(buf, 4) == e


def test_flags_of_an_event_do_not_touch_its_milliseconds():
    buf = bytearray(32)
    for untrusted in (False, True):
        for marks in range(8):
            for ms in (0, 999):
                e = Event(1, 2, ms, untrusted, marks, "deny", 1, 0, 0, KEY, 0)
                records.pack_event_into(buf, e)
                assert records.unpack_event(buf) == e


def test_an_event_without_a_card_has_a_key_of_zeros():
    buf = bytearray(32)
    records.pack_event_into(buf, Event(1, 2, 3, False, 0, "boot", 0, 0, 0, None, 0))
    assert records.unpack_event(buf).key == bytes(8)
    assert len(buf) == records.EVENT_SIZE


def test_types_keep_their_codes():
    kept = (
        " boot grant deny passage no_passage late_passage override alarm alarm_end remote mode reset "
        "list_applied bundle_rejected torn clock fault reclaim command counter crash"
    ).split(" ")
    assert list(records.TYPES[: len(kept)]) == kept
    assert len(set(records.TYPES)) == len(records.TYPES)
    assert (records.UNAUTHENTICATED, records.CONTRARY, records.SIGNED) == (4, 2, 1)


def test_an_unknown_type_is_refused_when_packed_and_empty_when_read():
    buf = bytearray(32)
    raises(ValueError, records.pack_event_into, buf, Event(1, 2, 3, False, 0, "x", 0, 0, 0, None, 0))
    assert bytes(buf) == bytes(32)
    for code in (0, len(records.TYPES), 250):
        buf[10] = code
        assert records.unpack_event(buf).type == ""


def test_a_header_takes_64_bytes_and_comes_back():
    packed = bundles.pack_header(HEADER)
    assert len(packed) == bundles.HEADER_SIZE
    assert packed[:8] == b"PNTB\x01\x01\x00\x40" and packed[8:20] == b"JKT-SELATAN1"
    assert bundles.unpack_header(packed) == HEADER
    assert bundles.unpack_header(b"x" + packed + b"y", 1) == HEADER


def test_a_header_with_a_bad_field_names_it():
    good = bundles.pack_header(HEADER)
    for at, value, field in (
        (0, b"X", "magic"),
        (4, b"\x02", "format"),
        (5, b"\x00", "kind"),
        (5, b"\x04", "kind"),
        (7, b"\x3f", "header length"),
        (8, b"\x80", "name"),
        (20, b"\xff", "name"),
        (35, b"\x01", "seq"),  # a snapshot starts from nothing
        (36, bytes(4), "seq"),
        (44, b"\x00\x00\x03\xe8", "expires"),
        (63, b"\x01", "reserved"),
    ):
        bad = good[:at] + value + good[at + len(value) :]
        assert raises(BundleError, bundles.unpack_header, bad) == field, (at, field)


def test_a_delta_header_has_a_beginning():
    delta = changed(HEADER, kind=bundles.DELTA, seq_from=6)
    assert bundles.unpack_header(bundles.pack_header(delta)) == delta
    raises(BundleError, bundles.unpack_header, bundles.pack_header(changed(delta, seq_from=7)))


def test_names_of_site_and_gate_have_1_to_12_characters():
    for field in ("site", "gate"):
        for name in ("", "A" * 13):
            assert raises(ValueError, bundles.pack_header, changed(HEADER, **{field: name})) == "name"
        for name in ("A", "A" * 12):
            header = changed(HEADER, **{field: name})
            assert bundles.unpack_header(bundles.pack_header(header)) == header
