"""Gates on the books: sessions over a database, restarts, failures, a desk in another program."""

import pytest
from sqlalchemy import func, select, update

from firmware import bundles
from tests.host.office_bench import BLUE, GREEN, HOUR, MORNING, OTHER, STAFF, YELLOW, Bench
from tests.host.postgres_bench import on_both
from tests.host.sync_world import SITE, World, key_of
from tests.host.test_sync_chain import KEY, changed, copy_of, written
from tools.office import bundle, keys, verify
from tools.office.books import Books
from tools.office.db import engine, models
from tools.office.db.engine import BooksError
from tools.office.desk import Desk
from tools.office.pool import PoolCard
from tools.office.session import GateSession

pytestmark = on_both

MASTER = bytes(range(16))


class BookWorld(World):
    """sync_world with an office on books: the desk writes them, the sessions see that at their next tick."""

    def __init__(self, bench: Bench, names: str = "A") -> None:
        super().__init__(names)
        self.now = float(MORNING)
        self.bench = bench
        for gate in self.gates.values():
            gate.boot()
        self.restart_office()

    def restart_office(self) -> None:
        """Let the office begin again with nothing but its books."""
        self.office = Books(self.bench.folder, self.bench.engine, self.now)
        super().restart_office()

    def settle(self, limit_s: float = 120) -> float:
        """Let everything arrive; what the desk has just done counts too."""
        self.run(3)
        return super().settle(limit_s)

    def tick(self) -> None:
        self.bench.now = int(self.now)
        self.office.refresh(self.now)
        super().tick()


def make(template, path, names="A"):
    bench = template.copy(path / "office")
    for name in names:
        file = bench.folder.keys / f"gate-{name}.key"
        file.write_text(key_of(name).hex())
        file.chmod(0o600)
    with bench.engine.connect() as connection:
        connection.execute(models.Gate.__table__.delete())  # pyright: ignore[reportAttributeAccessIssue]
        connection.commit()
    for name in names:
        bench.desk.add_gate(name)
    assert bench.folder.site == SITE
    return bench


@pytest.fixture
def office(template, tmp_path):
    bench = make(template, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def two(template, tmp_path):
    bench = make(template, tmp_path, "AB")
    yield bench
    bench.close()


def events(bench):
    with engine.reading(bench.engine) as db:
        return db.scalar(select(func.count()).select_from(models.Event))


def test_what_the_desk_does_reaches_the_gates_and_what_they_see_reaches_the_books(two):
    world = BookWorld(two, "AB")
    two.issue_yellow()
    two.issue_blue()
    world.settle()
    key = two.card(YELLOW).key
    assert not world.gates["A"].is_blocked(key)
    assert two.row(models.Gate, "B").confirmed == world.office.list_seq()
    world.now += 1
    world.gates["A"].pass_through(key, "in", 1, 1)
    world.settle()
    assert two.position(YELLOW) == "inside"
    assert world.gates["B"].presence.position(key) == "inside"
    world.now += 1
    two.desk.take_back(YELLOW)
    world.settle()
    assert two.position(YELLOW) == "unknown"
    assert [world.gates[name].presence.position(key) for name in "AB"] == ["unknown", "unknown"]
    assert all(gate.is_blocked(key) for gate in world.gates.values())
    two.desk.command("A", "identify", "")
    world.settle()
    assert world.gates["A"].commands == [("identify", "")]
    assert two.rows(models.Command)[0].done
    assert verify.verify(two.folder, two.engine).faults[1:] == []


def test_a_position_that_the_desk_corrects_holds_at_every_gate(two):
    world = BookWorld(two, "AB")
    two.issue_yellow()
    world.settle()
    key = two.card(YELLOW).key
    for where in ("inside", "outside", "unknown"):
        world.now += 5
        two.now = int(world.now)
        two.desk.correct_position(YELLOW, where)
        world.settle()
        assert [world.gates[name].presence.position(key) for name in "AB"] == [where, where]


def test_an_office_that_begins_again_goes_on_where_its_books_are(two):
    world = BookWorld(two, "AB")
    two.issue_yellow()
    world.settle()
    key = two.card(YELLOW).key
    for i in range(100):
        world.gates["A"].record("deny")
        if i % 30 == 0:
            world.run(1)
            world.restart_office()
    world.gates["A"].pass_through(key, "in", 1, 1)
    world.settle()
    before = events(two)
    world.restart_office()
    world.settle()
    world.run(5)
    assert events(two) == before == sum(len(world.office.events(name)) for name in "AB")
    assert world.gates["B"].presence.position(key) == "inside"
    assert two.alarms() == []


def test_nothing_is_acknowledged_that_is_not_committed(office, monkeypatch):
    world = BookWorld(office)
    office.issue_yellow()
    world.settle()
    gate = world.gates["A"]
    journal = gate.journal.journal_id
    gate.pass_through(office.card(YELLOW).key, "in", 1, 1)
    raw = bytearray(32)
    gate.journal.read_into(gate.journal.seq, raw)
    before = world.office.journal("A", journal).acknowledged
    assert gate.journal.seq == before + 1

    def fails(*arguments):
        raise BooksError("database: disk full")

    monkeypatch.setattr("tools.office.books._event_row", fails)
    with pytest.raises(BooksError, match="disk full"):
        world.office.take_events("A", journal, before + 1, [bytes(raw)])
    world.office.refresh(world.now)
    assert world.office.journal("A", journal).acknowledged == before
    assert office.position(YELLOW) == "unknown"
    monkeypatch.undo()
    world.settle()
    assert world.office.journal("A", journal).acknowledged == gate.journal.seq
    assert office.position(YELLOW) == "inside"
    assert [row.direction for row in office.rows(models.Movement)] == [0, 1]


def test_events_are_kept_once_whoever_sends_them_again(office):
    books = office.books()
    journal, raws = written(40)
    for first, count in ((1, 10), (5, 10), (1, 40), (1, 40)):
        books.take_events("A", journal.journal_id, first, raws[first - 1 : first - 1 + count])
        books = office.books()
    assert events(office) == 40
    assert [bytes(row.raw) for row in office.rows(models.Event)] == raws
    assert office.rows(models.Journal)[0].acknowledged == 40


def keyed(template, path):
    """Return an office whose gate A has the key of the journals that `written` makes."""
    bench = template.copy(path / "office")
    file = bench.folder.keys / "gate-A.key"
    file.write_text(KEY.hex())
    with bench.engine.connect() as connection:
        connection.execute(models.Gate.__table__.delete())  # pyright: ignore[reportAttributeAccessIssue]
        connection.commit()
    bench.desk.add_gate("A")
    return bench


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_records_count_in_the_books_as_in_a_copy_that_never_rests(template, tmp_path, restart, pieces):
    office = keyed(template, tmp_path)
    journal, raws = written(40, torn=17)
    raws[29] = changed(raws[29])
    plain = copy_of(journal)
    books = office.books()
    for first in range(1, len(raws) + 1, pieces):
        piece = raws[first - 1 : first - 1 + pieces]
        plain.add(first, piece)
        books.take_events("A", journal.journal_id, first, piece)
        if restart:
            books = office.books()
    states = {row.seq: row.state for row in office.rows(models.Event)}
    assert [seq for seq, state in states.items() if state == "counts"] == sorted(plain.events)
    assert (states[17], states[30]) == ("torn", "changed")
    assert (
        office.alarms()
        == [("journal_changed", "record 30"), ("journal_changed", "record 31")][: len(plain.faults)]
    )
    assert [fault.seq for fault in plain.faults] == [seq for seq, s in states.items() if s == "changed"]
    found = [f for f in verify.verify(office.folder, office.engine).faults if f.startswith("gate A, journal")]
    assert len(found) == len(plain.faults)
    assert books.events("A") == [plain.events[seq] for seq in sorted(plain.events)]
    office.close()


def test_a_fork_after_a_restart_is_seen(template, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.office.books._IN_MEMORY", 16)
    office = keyed(template, tmp_path)
    journal, raws = written(200)
    for first in range(1, 201, 10):
        office.books().take_events("A", journal.journal_id, first, raws[first - 1 : first + 9])
    books = office.books()
    books.take_events("A", journal.journal_id, 3, [changed(raws[2])])
    books.take_events("A", journal.journal_id, 200, [changed(raws[199])])
    assert office.alarms() == [("journal_fork", "record 3"), ("journal_fork", "record 200")]
    assert [bytes(row.raw) for row in office.rows(models.Event)] == raws
    office.close()


def test_records_that_were_changed_or_removed_in_the_books_are_found(template, tmp_path):
    office = keyed(template, tmp_path)
    journal, raws = written(30)
    office.books().take_events("A", journal.journal_id, 1, raws)
    name = f"gate A, journal {journal.journal_id.hex()}"

    def journals():
        return [f for f in verify.verify(office.folder, office.engine).faults if f.startswith("gate A, j")]

    def execute(statement):
        with office.engine.connect() as connection:
            connection.execute(statement)
            connection.commit()

    assert journals() == []
    of = models.Event.seq == 12
    execute(update(models.Event).where(of).values(raw=changed(raws[11])))
    assert f"{name}: record 12 counts in the books and has no place in the chain" in journals()
    execute(update(models.Event).where(of).values(raw=raws[11]))
    assert journals() == []
    execute(models.Event.__table__.delete().where(models.Event.seq > 28))  # pyright: ignore[reportAttributeAccessIssue]
    assert journals() == [f"{name}: records 29 to 30 never came, or were removed"]
    execute(models.Event.__table__.delete().where(of))  # pyright: ignore[reportAttributeAccessIssue]
    assert journals()[0] == f"{name}: records 12 to 12 never came, or were removed"
    office.close()


def test_passages_of_an_untrusted_clock_wait_for_the_true_time_over_a_restart(office):
    world = BookWorld(office)
    office.issue_yellow()
    world.settle()
    key = office.card(YELLOW).key
    gate = world.gates["A"]
    world.network("A", False)
    gate.boot(trusted=False)
    gate.pass_through(key, "in", 1, 1)
    raws = []
    for seq in range(1, gate.journal.seq + 1):
        raw = bytearray(32)
        gate.journal.read_into(seq, raw)
        raws.append(bytes(raw))
    world.office.take_events("A", gate.journal.journal_id, 1, raws)
    world.office.publish("A")
    assert [row.state for row in office.rows(models.Movement)] == ["published", "unsure"]
    assert office.position(YELLOW) == "unknown"
    world.now += HOUR
    world.restart_office()
    world.settle()
    world.run(2)
    assert [row.state for row in office.rows(models.Movement)] == ["published", "published"]
    assert office.position(YELLOW) == "inside"


def test_a_desk_in_another_program_is_seen_at_the_next_refresh(office):
    books = office.books()
    other = engine.connect(office.folder.database)
    desk = Desk(office.folder, other, lambda: office.now, "other")
    assert not books.refresh(office.now)
    desk.issue(STAFF, "staff")
    assert books.list_seq() == 0 and books.refresh(office.now)
    assert books.list_seq() == 1 and office.card(STAFF).key in books.credentials
    desk.command("A", "reboot", "")
    books.refresh(office.now)
    assert [command.name for command in books.commands("A", office.now)] == ["reboot"]
    other.dispose()


@pytest.mark.parametrize("is_desk_busy", [False, True])
def test_passages_and_what_the_desk_did_just_before_are_told_in_the_order_of_the_books(office, is_desk_busy):
    office.issue_yellow()
    world = BookWorld(office)
    world.settle()
    books, gate = world.office, world.gates["A"]
    journal, known = gate.journal.journal_id, gate.journal.seq
    gate.pass_through(office.card(YELLOW).key, "in", 1, 1)
    raw = bytearray(32)
    gate.journal.read_into(known + 1, raw)
    if is_desk_busy:
        office.now += 1
        office.desk.issue(STAFF, "staff")
    with books.together():
        books.take_events("A", journal, known + 1, [bytes(raw)])
        books.publish("A")
    assert not books.refresh(office.now)
    anew = office.books()
    assert list(books.movements()) == list(anew.movements())
    assert len(books.movements()) == 2 + is_desk_busy
    assert (books.list_seq(), books.credentials) == (anew.list_seq(), anew.credentials)


def test_a_rotated_key_ends_the_old_session_and_its_journal_still_fits(office):
    world = BookWorld(office)
    office.issue_yellow()
    world.settle()
    office.desk.rotate_key("A")
    world.office.refresh(world.now)
    assert world.office.gate_key("A") != key_of("A")
    fresh = GateSession(world.office, "A")
    world.sessions["A"] = fresh
    world.run(3)
    assert fresh.rejected > 0 and fresh.report is None
    (journal,) = office.rows(models.Journal)
    assert office.folder.gate_key("A", journal.key_id) == key_of("A")
    assert [f for f in verify.verify(office.folder, office.engine).faults if f.startswith("gate A")] == []


def test_a_rotation_that_was_cut_short_is_finished(office, monkeypatch):
    monkeypatch.setattr(type(office.folder), "put_in_force", lambda self, gate: None)
    gate = office.desk.rotate_key("A")
    monkeypatch.undo()
    assert (office.folder.keys / "gate-A.key.new").exists()
    key = office.folder.gate_key("A", gate.key_id)
    assert keys.gate_key(office.folder.keys, "A") == key != key_of("A")
    assert not (office.folder.keys / "gate-A.key.new").exists()


def test_an_office_that_was_restored_from_a_backup_takes_the_next_number(office):
    world = BookWorld(office)
    office.issue_yellow()
    world.settle()
    for _ in range(5):
        office.desk.take_back(YELLOW)
        office.issue_yellow()
    world.settle()
    had = world.office.list_seq()
    with office.engine.connect() as connection:
        connection.execute(update(models.State).values(list_seq=3))
        connection.execute(update(models.Gate).values(confirmed=3))
        connection.execute(update(models.Card).where(models.Card.list_seq > 3).values(list_seq=3))
        connection.commit()
    world.restart_office()
    world.settle()
    assert world.office.list_seq() > had
    assert ("office_rolled_back", f"has list {had}, the office 3") in office.alarms()
    assert office.card(YELLOW).key in world.office.credentials


def test_lists_are_renewed_at_half_their_life_and_at_connect(office):
    world = BookWorld(office)
    office.issue_yellow()
    world.settle()
    seq, expires = world.office.list_seq(), world.office.expires
    world.run(3)
    assert world.office.list_seq() == seq
    world.now += 12 * HOUR
    world.run(3)
    assert world.office.list_seq() == seq + 1
    assert office.row(models.State, 1).expires == world.office.expires >= expires + 12 * HOUR


def test_the_secrets_of_cards_travel_once_and_again_after_new_keys(office):
    for version in (1, 2):
        file = office.folder.keys / f"card-{version}.key"
        file.write_text(bytes(b ^ version for b in MASTER).hex())
        file.chmod(0o600)
    uid = "04C1C2C3C4C5C6"

    def add(version):
        card = PoolCard(bytes.fromhex(uid), "ntag424", "aes", version, None)
        office.desk.add_cards([card], known_too=True)

    def sent(have):
        books = office.books()
        data = books.delta("A", have, 1186)
        assert data is not None
        return bundle.parse(data, books.gate_key("A")).card_keys

    add(1)
    office.desk.issue(uid, "staff")
    listed = office.books().list_seq()
    (first,) = sent(0)
    office.desk.take_back(uid)
    assert sent(listed) == ()
    add(2)
    (second,) = sent(listed)
    assert first[:8] == second[:8] == office.card(uid).key and first[8:] != second[8:]
    assert office.listed(uid).blocked


def test_a_card_whose_master_key_is_missing_is_named(office):
    office.desk.add_cards([PoolCard(bytes.fromhex(OTHER[:-2] + "AA"), "ntag424", "aes", 7, None)])
    office.desk.issue(OTHER[:-2] + "AA", "staff")
    with pytest.raises(keys.KeyFileError, match=r"card-7\.key does not exist: card 04A1B2C3D4E5AA has keys"):
        office.books()


def test_a_delta_has_everything_since_any_number(office):
    office.issue_yellow()
    office.issue_blue()
    office.desk.issue(GREEN, "green", until=MORNING + HOUR)
    office.desk.take_back(BLUE)
    books = office.books()
    for have in range(1, books.list_seq()):
        found = bundle.parse(books.delta("A", have, 1186), books.gate_key("A"))
        assert (found.header.seq_from, found.header.seq_to) == (have, books.list_seq())
        assert {c.key for c in found.credentials} == {
            bytes(card.key) for card in office.rows(models.Card) if card.list_seq > have
        }
        assert all(bundles.pack_credential(c) == books_record(office, c.key) for c in found.credentials)


def books_record(office, key):
    return next(bytes(card.record) for card in office.rows(models.Card) if card.key == key)
