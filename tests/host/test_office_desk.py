"""The acts at the desk: what each leaves behind, and each way in which it is refused, in its own words."""

import pytest
from sqlalchemy import update

from firmware import records
from tests.host.office_bench import (
    BLUE,
    GREEN,
    HOUR,
    LEFT,
    MORNING,
    OTHER,
    SECOND_BLUE,
    STAFF,
    YELLOW,
)
from tests.host.postgres_bench import on_both
from tools.office import bookings
from tools.office.db import models
from tools.office.desk import BookingsError, DeskError
from tools.office.pool import PoolCard

pytestmark = on_both

DAY = 86400
CLOSING = MORNING + 8 * HOUR + 1800  # 16:30


@pytest.fixture
def office(template, tmp_path):
    bench = template.copy(tmp_path / "office")
    yield bench
    assert bench.verify().faults == []
    bench.close()


def refused(text):
    return pytest.raises(DeskError, match=text)


def booked(code, begin, until, cls="yellow", slow=False, state="booked"):
    return bookings.Booked(code, cls, begin, until, slow, state, f"b.csv:{code}")


# Issue


def test_issue_binds_a_card_to_a_visit_and_lists_it(office):
    outcome = office.issue_yellow()
    assert (outcome.card.state, outcome.visit.state, outcome.party) == ("issued", "live", 1)
    listed = office.listed(YELLOW)
    assert (listed.cls, listed.blocked, listed.untimed, listed.party) == (1, False, False, 1)
    assert (records.from_unix(listed), records.until_unix(listed)) == (MORNING, MORNING + HOUR)


def test_a_card_is_bound_to_one_visit_at_a_time(office):
    office.issue_yellow()
    with refused(f"card {YELLOW} is bound to a visit since 2026-03-02 08:00 .yellow.: take it back first"):
        office.issue_yellow()
    office.desk.take_back(YELLOW)
    assert office.issue_yellow().visit.id == 2


def test_a_card_that_is_not_in_the_pool(office):
    with refused("card 0A0B0C0D is not in the pool: pinter office card add"):
        office.issue_yellow("0A0B0C0D")


def test_a_card_that_a_gate_would_find_too_weak_is_not_handed_out(office):
    office.folder.classes["yellow"].min_tier = records.TIERS.index("aes")
    with refused(f"card {YELLOW} proves 'uid', class yellow asks for 'aes'"):
        office.issue_yellow()
    office.desk.issue(GREEN, "green", until=MORNING + HOUR)


def test_every_principal_begins_a_party_of_its_own(office):
    assert office.issue_yellow().party == 1
    assert office.desk.issue(GREEN, "green", until=MORNING + HOUR).party == 2
    assert office.issue_yellow(OTHER, companion_of=YELLOW).party == 1


def test_party_numbers_are_unique_among_live_parties_only(office):
    with office.engine.connect() as connection:
        connection.execute(update(models.State).values(last_party=0xFFFE))
        connection.commit()
    assert office.issue_yellow().party == 0xFFFF
    assert office.desk.issue(GREEN, "green", until=MORNING + HOUR).party == 1
    assert office.issue_yellow(OTHER).party == 2
    with office.engine.connect() as connection:
        connection.execute(update(models.State).values(last_party=0))
        connection.commit()
    assert office.issue_yellow(LEFT).party == 3


def test_staff_have_no_window_and_no_party(office):
    outcome = office.desk.issue(STAFF, "staff")
    listed = office.listed(STAFF)
    assert (outcome.party, listed.untimed, listed.party, listed.cls) == (0, True, 0, 4)
    with refused("class staff belongs to no party"):
        office.desk.issue(OTHER, "staff", companion_of=STAFF)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cls": None}, "give a booking or a class"),
        ({"cls": "purple"}, "class 'purple' is none of yellow, green, blue, staff"),
        ({"until": None}, "a visit of class yellow has an end"),
        ({"begin": MORNING + HOUR}, "the window ends before it starts"),
        ({"until": MORNING + 23 * DAY}, "the window is longer than 22 days"),
        ({"begin": MORNING - HOUR, "until": MORNING}, "the window is over since 2026-03-02 08:00"),
        ({"companion_of": GREEN}, f"card {GREEN} is in nobody's hands: there is no principal"),
        ({"companion_of": "0A0B0C0D"}, "card 0A0B0C0D is not in the pool"),
        ({"identity": "31740512"}, "class yellow leaves no deposit: only companions do"),
        ({"booking": "X1"}, "there is no booking X1"),
    ],
)
def test_what_a_visit_must_say(office, fields, text):
    with refused(text):
        office.desk.issue(YELLOW, **{"cls": "yellow", "until": MORNING + HOUR, **fields})
    assert office.card(YELLOW).state == "free"
    assert office.listed(YELLOW) is None


def test_issue_makes_the_position_unknown(office):
    office.issue_yellow()
    office.desk.correct_position(YELLOW, "inside")
    office.desk.take_back(YELLOW)
    assert office.position(YELLOW) == "unknown"
    office.issue_yellow()
    assert office.position(YELLOW) == "unknown"
    assert [move.direction for move in office.books().movements()] == [0, 1, 0, 0]


# Companions


def test_a_blue_card_has_its_principals_party_and_window(office):
    office.issue_yellow()
    outcome = office.issue_blue()
    listed = office.listed(BLUE)
    assert (outcome.party, listed.party, records.until_unix(listed)) == (1, 1, MORNING + HOUR)
    assert (outcome.deposit.document, outcome.deposit.place, outcome.deposit.state) == (
        "KTP",
        "box 3",
        "held",
    )


def test_a_blue_card_needs_a_principal(office):
    office.issue_yellow()
    office.desk.issue(STAFF, "staff")
    with refused("a blue card needs a principal: whose companion is it?"):
        office.issue_blue(of=None)
    with refused(f"card {STAFF} is no principal's .staff."):
        office.issue_blue(of=STAFF)
    office.issue_blue()
    with refused(f"card {BLUE} is no principal's .blue."):
        office.issue_blue(SECOND_BLUE, of=BLUE)
    office.desk.revoke(YELLOW)
    with refused(f"card {YELLOW} is blocked: its holder gets no companion"):
        office.issue_blue(SECOND_BLUE)
    office.desk.take_back(YELLOW)
    with refused(f"card {YELLOW} is in nobody's hands: there is no principal"):
        office.issue_blue(SECOND_BLUE)


def test_a_blue_card_needs_an_id_deposit(office):
    office.issue_yellow()
    for missing in ({"identity": None}, {"identity": ""}):
        with refused("a blue card needs an ID deposit: number and kind of the document"):
            office.issue_blue(**missing)
    with refused("an identity number has 4 to 32 letters and digits"):
        office.issue_blue(identity="31/74")
    with refused("a blue card has its principal's window: give none"):
        office.issue_blue(until=MORNING + HOUR)
    assert office.rows(models.Deposit) == []


def test_the_same_person_as_companion_of_a_second_party_alarms_the_desk(office):
    office.issue_yellow()
    office.issue_yellow(OTHER)
    assert office.issue_blue().alarms == []
    office.desk.take_back(BLUE)
    assert office.issue_blue().alarms == []  # the same party again
    outcome = office.issue_blue(SECOND_BLUE, of=OTHER, identity="3174.0512-34560001")
    text = f"the companion with card {SECOND_BLUE} (party 2) was today the companion of party 1"
    assert outcome.alarms == [text]
    assert office.alarms() == [("companion_twice", text)]


def test_another_person_alarms_nobody(office):
    office.issue_yellow()
    office.issue_yellow(OTHER)
    office.issue_blue()
    assert office.issue_blue(SECOND_BLUE, of=OTHER, identity="3174051234560002").alarms == []


def test_identities_are_hashed_and_forgotten_with_the_day(office):
    office.issue_yellow()
    office.issue_blue()
    (kept,) = office.rows(models.Identity)
    assert b"3174" not in kept.hash
    assert all("3174" not in row.details for row in office.rows(models.Audit))
    for uid in (BLUE, YELLOW):
        office.desk.take_back(uid)
    office.now += DAY
    office.issue_yellow(OTHER)
    assert office.rows(models.Identity) == []
    assert office.issue_blue(of=OTHER).alarms == []
    assert office.rows(models.Identity)[0].hash != kept.hash


# Return


def test_return_blocks_the_record_and_closes_the_deposit(office):
    office.issue_yellow()
    office.issue_blue()
    outcome = office.desk.take_back(BLUE)
    assert (outcome.deposit.state, outcome.deposit.closed) == ("closed", MORNING)
    assert (office.card(BLUE).state, office.listed(BLUE).blocked) == ("free", True)
    assert office.position(BLUE) == "unknown"


def test_a_party_ends_with_its_last_card(office):
    office.issue_yellow()
    office.issue_blue()
    outcome = office.desk.take_back(YELLOW)
    assert outcome.notes == [f"the companion's card {BLUE} is still out"]
    assert office.row(models.Party, 1).closed is None
    office.desk.take_back(BLUE)
    assert office.row(models.Party, 1).closed == MORNING


def test_what_nobody_has_cannot_come_back(office):
    with refused(f"card {YELLOW} is in the pool already: nobody had it"):
        office.desk.take_back(YELLOW)
    office.issue_yellow()
    office.desk.take_back(YELLOW)
    with refused(f"card {YELLOW} is in the pool already: nobody had it"):
        office.desk.take_back(YELLOW)


# Lost


def test_lost_blocks_the_card_and_clears_its_position(office):
    office.issue_yellow()
    office.desk.correct_position(YELLOW, "inside")
    outcome = office.desk.lose(YELLOW)
    assert (outcome.card.state, outcome.visit.state, office.listed(YELLOW).blocked) == ("lost", "lost", True)
    assert office.position(YELLOW) == "unknown"
    assert office.books().movements()[-1].direction == 0


def test_a_lost_card_is_never_handed_out(office):
    office.issue_yellow()
    office.desk.lose(YELLOW)
    with refused(f"card {YELLOW} was reported lost: it is not handed out"):
        office.issue_yellow()
    with refused(f"card {YELLOW} was reported lost: pinter office card restore {YELLOW}"):
        office.desk.take_back(YELLOW)
    with refused(f"card {YELLOW} was reported lost already"):
        office.desk.lose(YELLOW)
    with refused(f"card {YELLOW} is in nobody's hands .lost.: there is nothing to revoke"):
        office.desk.revoke(YELLOW)
    assert office.listed(YELLOW).blocked


def test_a_card_of_the_pool_can_be_lost_too(office):
    office.desk.lose(LEFT)
    assert (office.card(LEFT).state, office.card(LEFT).blocked, office.listed(LEFT)) == ("lost", True, None)
    office.issue_yellow()
    office.desk.take_back(YELLOW)
    office.desk.lose(YELLOW)
    assert office.listed(YELLOW).blocked


def test_a_found_card_comes_back_by_an_act_of_its_own(office):
    with refused(f"card {YELLOW} is not lost .free."):
        office.desk.restore(YELLOW)
    office.issue_yellow()
    office.desk.lose(YELLOW)
    office.desk.restore(YELLOW)
    assert (office.card(YELLOW).state, office.listed(YELLOW).blocked) == ("free", True)
    office.issue_yellow()
    assert not office.listed(YELLOW).blocked


def test_the_deposit_of_a_lost_card_stays_until_it_is_given_back(office):
    office.issue_yellow()
    with refused("there is no deposit 1"):
        office.desk.close_deposit(1)
    office.issue_blue()
    with refused(f"deposit 1 goes back with card {BLUE}: pinter office return"):
        office.desk.close_deposit(1)
    assert office.desk.lose(BLUE).deposit.state == "held"
    assert office.desk.close_deposit(1).deposit.state == "closed"
    with refused("deposit 1 was given back already"):
        office.desk.close_deposit(1)


# Revoke, positions


def test_revoke_blocks_a_card_in_somebodys_hands(office):
    office.issue_yellow()
    office.desk.revoke(YELLOW)
    assert (office.card(YELLOW).state, office.listed(YELLOW).blocked) == ("issued", True)
    with refused(f"card {YELLOW} is blocked already"):
        office.desk.revoke(YELLOW)
    office.desk.take_back(YELLOW)
    with refused(f"card {YELLOW} is in nobody's hands .free.: there is nothing to revoke"):
        office.desk.revoke(YELLOW)


def test_the_desks_word_is_as_late_as_a_passage_by_a_clock_that_is_ahead(office):
    office.issue_yellow()
    office.now += 90
    office.desk.correct_position(YELLOW, "inside")
    office.now -= 60
    office.desk.take_back(YELLOW)
    before, last = office.books().movements()[-2:]
    assert (last.direction, last.time) == (0, before.time), "earlier, and no gate would forget the card"
    assert office.position(YELLOW) == "unknown"


def test_the_desk_corrects_a_position(office):
    office.issue_yellow()
    for where, code in (("inside", 1), ("outside", 2), ("unknown", 0)):
        office.now += 60
        office.desk.correct_position(YELLOW, where)
        move = office.books().movements()[-1]
        assert (office.position(YELLOW), move.direction, move.time, move.gate) == (
            where,
            code,
            office.now,
            "",
        )
        assert (move.cls, move.party) == ((1, 1) if code else (0, 1))
    with refused("'upstairs' is none of inside, outside, unknown"):
        office.desk.correct_position(YELLOW, "upstairs")
    with refused(f"card {GREEN} is in nobody's hands .free.: it has no position"):
        office.desk.correct_position(GREEN, "inside")


# Closing time


def test_cards_that_are_not_back_by_closing_time_are_reported_and_blocked(office):
    office.desk.issue(YELLOW, "yellow", until=MORNING + 5 * HOUR)
    office.desk.issue(GREEN, "green", until=MORNING + 5 * DAY)
    office.desk.issue(STAFF, "staff")
    office.desk.issue(OTHER, "yellow", until=MORNING + 5 * HOUR)
    office.desk.take_back(OTHER)
    office.now = CLOSING - 1
    assert office.desk.reclaim() == []
    assert not office.listed(YELLOW).blocked
    office.now = CLOSING
    assert [visit.card for visit in office.desk.reclaim()] == [YELLOW, GREEN]
    assert office.listed(YELLOW).blocked and office.listed(GREEN).blocked and not office.listed(STAFF).blocked
    assert office.alarms() == [
        ("not_returned", f"card {YELLOW} (yellow) was not back by closing time"),
        ("not_returned", f"card {GREEN} (green) was not back by closing time"),
    ]
    office.desk.take_back(GREEN)
    assert [visit.card for visit in office.desk.reclaim()] == [YELLOW]
    assert len(office.alarms()) == 2


def test_closing_time_is_made_up_for_by_the_next_act(office):
    office.desk.issue(YELLOW, "yellow", until=MORNING + 5 * DAY)
    office.now += DAY
    with refused("is not in the pool"):
        office.desk.lose("0A0B0C0D")
    assert office.listed(YELLOW).blocked
    acts = [(row.act, row.actor) for row in office.rows(models.Audit)]
    assert acts[-2:] == [("issue", "tester"), ("reclaim", "")]


def test_a_card_handed_out_after_closing_time_is_not_overdue_yet(office):
    office.now = CLOSING + 60
    office.desk.issue(YELLOW, "yellow", until=office.now + 2 * HOUR)
    assert office.desk.reclaim() == []
    office.now += DAY
    assert len(office.desk.reclaim()) == 1


# Bookings


def test_a_booking_gives_class_and_window_once_at_a_time(office):
    office.desk.import_bookings([booked("B1", MORNING + HOUR, MORNING + 2 * HOUR, slow=True)], False)
    with refused("booking B1 says class and window: give neither"):
        office.desk.issue(YELLOW, booking="B1", until=MORNING + HOUR)
    office.desk.issue(YELLOW, booking="B1")
    listed = office.listed(YELLOW)
    assert (listed.cls, listed.slow, records.from_unix(listed)) == (1, True, MORNING + HOUR)
    with refused(f"booking B1 has card {YELLOW} already"):
        office.desk.issue(OTHER, booking="B1")
    office.desk.take_back(YELLOW)
    office.desk.issue(OTHER, booking="B1")


def test_a_booking_that_is_over_or_cancelled(office):
    rows = [
        booked("B1", MORNING - HOUR, MORNING),
        booked("B2", MORNING, MORNING + HOUR, state="cancelled"),
    ]
    office.desk.import_bookings(rows, False)
    with refused("the window is over since 2026-03-02 08:00"):
        office.desk.issue(YELLOW, booking="B1")
    with refused("booking B2 was cancelled"):
        office.desk.issue(YELLOW, booking="B2")


def test_a_changed_booking_reaches_the_card_that_is_out(office):
    first = booked("B1", MORNING, MORNING + HOUR)
    assert [change.before for change in office.desk.import_bookings([first], False)] == [None]
    office.desk.issue(YELLOW, booking="B1")
    later = booked("B1", MORNING, MORNING + 3 * HOUR)
    (change,) = office.desk.import_bookings([later], True)
    assert (change.fields, change.before.until) == (("until",), MORNING + HOUR)
    assert records.until_unix(office.listed(YELLOW)) == MORNING + HOUR
    office.desk.import_bookings([later], False)
    assert records.until_unix(office.listed(YELLOW)) == MORNING + 3 * HOUR
    assert office.desk.import_bookings([later], False) == []


def test_what_a_booking_cannot_change_while_its_card_is_out(office):
    office.desk.import_bookings([booked("B1", MORNING, MORNING + HOUR)], False)
    office.desk.issue(YELLOW, booking="B1")
    rows = [
        booked("B1", MORNING, MORNING + HOUR, "green", state="cancelled"),
        booked("B2", MORNING, MORNING + HOUR),
    ]
    with pytest.raises(BookingsError) as caught:
        office.desk.import_bookings(rows, False)
    assert caught.value.faults == (
        f"b.csv:B1:class: booking B1 has card {YELLOW}: take it back first",
        f"b.csv:B1:state: booking B1 has card {YELLOW}: take it back first",
    )
    assert [row.code for row in office.rows(models.Booking)] == ["B1"]


# Pool


def test_cards_of_the_pool(office):
    with refused(f"card {YELLOW} is in the pool already"):
        office.desk.add_cards([PoolCard(bytes.fromhex(YELLOW), "", "uid", 0, None)])
    new = PoolCard(bytes.fromhex("0A0B0C0D"), "ntag424", "aes", 1, None)
    with refused("card 0A0B0C0D of tier aes needs the version of its keys, 1 to 255"):
        office.desk.add_cards([PoolCard(new.uid, "ntag424", "aes", 0, None)])
    assert office.desk.add_cards([new]) == ["0A0B0C0D"]
    assert office.desk.add_cards([new], known_too=True) == []
    later = PoolCard(new.uid, "ntag424", "aes", 2, None)
    assert office.desk.add_cards([later], known_too=True) == ["0A0B0C0D"]
    with refused("card 0A0B0C0D has keys of version 2 already"):
        office.desk.add_cards([new], known_too=True)


# Gates and commands


def test_gates_have_numbers_and_keys_of_their_own(office):
    assert office.desk.add_gate("B").number == 2
    assert office.folder.key("gate-A") != office.folder.key("gate-B")
    with refused("gate A is there already"):
        office.desk.add_gate("A")


def test_commands_carry_rising_nonces_and_expire(office):
    first = office.desk.command("A", "mode", "lockdown")
    second = office.desk.command("A", "open", "in")
    assert first.nonce < second.nonce and int(second.nonce, 16) >> 32 == MORNING
    assert [(c.name, c.argument) for c in office.books().commands("A", MORNING)] == [
        ("mode", "lockdown"),
        ("open", "in"),
    ]
    office.now += HOUR
    assert office.books().commands("A", office.now) == []
    for words, text in (
        (("B", "reboot", ""), "there is no gate B: pinter office gate add"),
        (("A", "dance", ""), "'dance' is no command: mode, open, reboot, identify, acknowledge"),
        (("A", "mode", "party"), "mode is followed by normal, lockdown, out_of_service, free"),
        (("A", "open", ""), "open is followed by in, out"),
        (("A", "reboot", "now"), "reboot is followed by no further word"),
    ):
        with refused(text):
            office.desk.command(*words)
