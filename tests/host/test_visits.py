"""The CSV of visits: what is read, and every fault with its file, line and column."""

import pytest

from firmware import bundles, records
from firmware.crypto import card_key
from tools.office import visits
from tools.office.visits import Visit, VisitsError

HEADER = "uid,class,from,until,party\n"
GOOD = "04A1B2C3D4E5F6,yellow,2026-03-02T08:30,2026-03-02T10:00,17\n"


def read(text, **options):
    return visits.parse(text.encode(), "v.csv", **options)


def faults(text, **options):
    with pytest.raises(VisitsError) as caught:
        read(text, **options)
    return list(caught.value.faults)


def test_a_visit_has_uid_class_window_and_party():
    assert read(HEADER + GOOD) == [
        Visit(bytes.fromhex("04A1B2C3D4E5F6"), "yellow", 1, 1772415000, 1772420400, 17)
    ]


def test_local_time_follows_the_offset():
    assert read(HEADER + GOOD, utc_offset_min=0)[0].from_unix == 1772415000 + 7 * 3600
    assert read(HEADER + GOOD, utc_offset_min=-90)[0].from_unix == 1772415000 + 7 * 3600 + 5400


def test_empty_times_mean_untimed_and_an_empty_party_none():
    assert read(HEADER + "04A1B2C3,staff,,,\n") == [Visit(bytes.fromhex("04A1B2C3"), "staff", 4)]


@pytest.mark.parametrize(
    "text",
    ["04a1b2c3d4e5f6", "04A1B2C3D4E5F6", "04:a1:b2:C3:D4:E5:F6", "04-A1-B2-C3-D4-E5-F6", " 04A1B2C3D4E5F6 "],
)
def test_every_way_to_write_a_card_number_is_the_same_card(text):
    assert read(HEADER + f"{text},staff,,,\n")[0].uid == bytes.fromhex("04A1B2C3D4E5F6")


def test_leading_zeros_make_another_card():
    found = read(HEADER + "01234567,staff,,,\n12345607,staff,,,\n")
    assert found[0].uid != found[1].uid
    assert "'1234567' is no card number" in faults(HEADER + "1234567,staff,,,\n")[0]


def test_all_three_lengths_are_read():
    uids = ["04A1B2C3", "04A1B2C3D4E5F6", "04A1B2C3D4E5F6A7B8C9"]
    found = read(HEADER + "".join(f"{uid},staff,,,\n" for uid in uids))
    assert [len(visit.uid) for visit in found] == [4, 7, 10]


def test_optional_columns():
    found = read(
        "slow,tier,uid,class,from,until,party\n"
        "yes,aes,04A1B2C3,staff,,,\n"
        ",,04A1B2C4,staff,,,\n"
        "no,signed,04A1B2C5,staff,,,\n"
    )
    assert [(v.slow, v.tier) for v in found] == [(True, "aes"), (False, "uid"), (False, "signed")]


def test_marks_line_ends_blank_lines_spaces_and_semicolons_of_spreadsheets():
    text = "\ufeff" + (HEADER + "\n04A1B2C3, blue ,2026-03-02 08:30,2026-03-02 09:00, 5\n,,,,\n")
    expected = [Visit(bytes.fromhex("04A1B2C3"), "blue", 3, 1772415000, 1772416800, 5)]
    for variant in (text, text.replace("\n", "\r\n"), text.replace(",", ";"), text.rstrip("\n")):
        assert read(variant) == expected


def test_further_classes_are_data():
    table = {**visits.CLASSES, "courier": 7}
    assert read(HEADER + "04A1B2C3,courier,,,\n", classes=table)[0].code == 7
    assert faults(HEADER + "04A1B2C3,courier,,,\n") == [
        "v.csv:2:class: 'courier' is none of yellow, green, blue, staff"
    ]


@pytest.mark.parametrize(
    "line,fault",
    [
        ("04A1B2C3,purple,,,", "class: 'purple' is none of"),
        ("04A1B2C3,Yellow,,,", "class: 'Yellow' is none of"),
        ("04A1B2C3,,,,", "class: '' is none of"),
        ("04A1B2C3,yellow,02/03/2026 08:30,2026-03-02T10:00,", "from: '02/03/2026 08:30' is no time like"),
        ("04A1B2C3,yellow,2026-02-30T08:30,2026-03-02T10:00,", "from: '2026-02-30T08:30' is no time like"),
        ("04A1B2C3,yellow,2026-03-02T08:30,2026-03-02T25:00,", "until: '2026-03-02T25:00' is no time like"),
        ("04A1B2C3,yellow,2026-03-02T08:30:30,2026-03-02T10:00,", "from: '2026-03-02T08:30:30' is no time"),
        ("04A1B2C3,yellow,2026-03-02T08:30+07:00,2026-03-02T10:00,", "from: '2026-03-02T08:30+07:00' is no"),
        ("04A1B2C3,yellow,1999-03-02T08:30,2026-03-02T10:00,", "from: 1999-03-02T08:30 is not between 2020"),
        ("04A1B2C3,yellow,2026-03-02T10:00,2026-03-02T08:30,", "until: the window ends before it starts"),
        ("04A1B2C3,yellow,2026-03-02T10:00,2026-03-02T10:00,", "until: the window ends before it starts"),
        ("04A1B2C3,yellow,2026-03-02T10:00,2026-03-26T10:00,", "until: the window is longer than 22 days"),
        ("04A1B2C3,yellow,2026-03-02T10:00,,", "until: a window has an end"),
        ("04A1B2C3,yellow,,2026-03-02T10:00,", "from: a window has a beginning"),
        ("04A1B2C3D4,staff,,,", "uid: 5 bytes; a card number has 4, 7 or 10"),
        ("04A1B2C3D4E5F60,staff,,,", "uid: '04A1B2C3D4E5F60' is no card number in hex"),
        ("04A1:B2C3,staff,,,", "uid: '04A1:B2C3' is no card number in hex"),
        ("04A1B2G3,staff,,,", "uid: '04A1B2G3' is no card number in hex"),
        (",staff,,,", "uid: '' is no card number in hex"),
        ("08A1B2C3,staff,,,", "uid: 4 bytes from 08: a number that a phone draws anew each time"),
        ("04A1B2C3,staff,,,-1", "party: '-1' is no number from 0 to 65535"),
        ("04A1B2C3,staff,,,65536", "party: '65536' is no number"),
        ("04A1B2C3,staff,,,1.0", "party: '1.0' is no number"),
        ("04A1B2C3,staff,,,²", "party: '²' is no number"),
        ("04A1B2C3,staff,,", "party: the line has 4 fields, the header 5"),
        ("04A1B2C3,staff,,,,x", "party: the line has 6 fields, the header 5"),
    ],
)
def test_every_fault_has_its_line_and_column(line, fault):
    found = faults(HEADER + GOOD + line + "\n")
    assert len(found) == 1
    assert found[0].startswith("v.csv:3:" + fault), found[0]


def test_a_random_number_is_one_of_four_bytes_only():
    assert len(read(HEADER + "08A1B2C3D4E5F6,staff,,,\n")) == 1


def test_a_window_may_be_as_long_as_its_field():
    longest = "04A1B2C3,yellow,2026-03-01T00:00,2026-03-23T18:07,\n"
    visit = read(HEADER + longest)[0]
    assert visit.credential(b"s" * 32).length_min == bundles.LENGTH_MIN_MAX
    assert "longer" in faults(HEADER + longest.replace("18:07", "18:08"))[0]


def test_a_duplicate_names_the_first_line_also_when_written_otherwise_or_at_fault_itself():
    text = HEADER + GOOD + "04:a1:b2:c3:d4:e5:f6,purple,,,\n" + GOOD
    assert faults(text) == [
        "v.csv:3:class: 'purple' is none of yellow, green, blue, staff",
        "v.csv:3:uid: card 04A1B2C3D4E5F6 is in line 2 already",
        "v.csv:4:uid: card 04A1B2C3D4E5F6 is in line 2 already",
    ]


def test_all_faults_are_told_in_order():
    text = HEADER + "zz,purple,x,y,z\n" + GOOD + "08A1B2C3,staff,,,99999\n"
    found = faults(text)
    assert [fault.split(": ")[0] for fault in found] == [
        "v.csv:2:uid",
        "v.csv:2:class",
        "v.csv:2:from",
        "v.csv:2:until",
        "v.csv:2:party",
        "v.csv:4:uid",
        "v.csv:4:party",
    ]


def test_columns_that_are_missing_unknown_or_double():
    assert faults("uid,class,from,until\n") == ["v.csv:1:party: the column is missing"]
    assert [fault.split(": ")[0] for fault in faults("")] == [
        f"v.csv:1:{column}" for column in ("uid", "class", "from", "until", "party")
    ]
    assert faults(HEADER.strip() + ",name\n")[0].startswith("v.csv:1:name: unknown column")
    assert faults(HEADER.strip() + ",uid\n") == ["v.csv:1:uid: the column is there twice"]


def test_values_of_optional_columns():
    text = HEADER.strip() + ",slow,tier\n04A1B2C3,staff,,,,maybe,gold\n"
    assert faults(text) == [
        "v.csv:2:slow: 'maybe' is none of no, yes",
        "v.csv:2:tier: 'gold' is none of uid, signed, aes",
    ]


def test_what_is_no_text_or_no_csv():
    with pytest.raises(VisitsError) as caught:
        visits.parse((HEADER + GOOD).encode() + b"\xff\xfe", "v.csv")
    assert caught.value.faults == ("v.csv:3:: not UTF-8 text",)
    assert faults(HEADER + '"04A1B2C3,staff,,,\n')[0].startswith("v.csv:2:: not CSV")


def test_lines_are_counted_over_blank_ones_and_quoted_line_ends():
    assert faults(HEADER + "\n\n04A1B2C3,purple,,,\n")[0].startswith("v.csv:4:class")


def test_the_credential_of_a_visit():
    visit = Visit(bytes.fromhex("04A1B2C3"), "blue", 3, 1772415000, 1772420400, 17, True, "aes")
    assert visit.credential(b"s" * 32) == records.Credential(
        card_key(b"s" * 32, visit.uid), 3, False, False, 2, True, bundles.minutes(1772415000), 90, 17
    )
    assert Visit(visit.uid, "staff", 4).credential(b"s" * 32)[1:] == (4, False, True, 0, False, 0, 0, 0)


def test_a_file_is_read_and_named(tmp_path):
    path = tmp_path / "visits.csv"
    path.write_text(HEADER + GOOD)
    assert len(visits.read(path)) == 1
    path.write_text(HEADER + "x,staff,,,\n")
    with pytest.raises(VisitsError, match=r"visits\.csv:2:uid: "):
        visits.read(path)
