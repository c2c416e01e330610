"""The gate's end of the link with an office and a gate of the test: frames in, frames out, time a number."""

import struct

from firmware import bundles
from firmware.crypto import hmac_sha256
from firmware.errors import BundleError, StoreError
from firmware.report import for_broker
from firmware.sync import Session

KEY = b"g" * 32
SITE, NAME = "JKT", "A"
LINK_KEY = hmac_sha256(KEY, b"PINTER link 1", b"JKT\0A")
JOURNAL = b"\xa1\xb2\xc3\xd4"
CARD = b"CARDKEY8"
UNIX_MS = 1772409600000

HELLO, HAVE, EVENTS, ACK, BEAT, DELTA, CHUNK, ORDER = 1, 2, 3, 0x81, 0x82, 0x83, 0x84, 0x85
COMMAND, JUMP, MOVES = 1, 2, 3


class Writer:
    def __init__(self, owner):
        self.owner = owner
        self.data = b""

    def feed(self, chunk):
        if bytes(chunk) == b"bad":
            raise BundleError("order")
        self.data += bytes(chunk)
        return bytes(chunk) != b"known"

    def commit(self):
        if self.data.endswith(b"forged"):
            raise BundleError("MAC")
        self.owner.snapshots.append(self.data)
        self.owner.seq = 9
        self.owner.valid = True


class List:
    def __init__(self):
        self.seq, self.expires, self.valid, self.merging = 5, 1772496000, True, False
        self.deltas = []
        self.snapshots = []
        self.error = None
        self.answer = True

    def apply_delta(self, bundle):
        if self.error:
            raise self.error
        if self.answer:
            self.deltas.append(bytes(bundle))
            self.seq = bundles.unpack_header(bundle).seq_to
        return self.answer

    def begin(self):
        if self.merging:
            raise StoreError("list: a slot is being written")
        return Writer(self)


class Journal:
    """Holds records 1 to `seq`; each is its number, eight times."""

    def __init__(self):
        self.seq, self.oldest, self.journal_id, self.acknowledged = 100, 1, JOURNAL, 0

    def read_into(self, seq, buf):
        if not self.oldest <= seq <= self.seq:
            return 0
        n = min(len(buf) // 32, self.seq + 1 - seq)
        for i in range(n):
            buf[32 * i : 32 * i + 32] = record(seq + i)
        return n

    def acknowledge(self, seq):
        self.acknowledged = max(self.acknowledged, min(seq, self.seq))


class Clock:
    def __init__(self):
        self.ms = 1000
        self.trusted = True

    def uptime_ms(self):
        return self.ms


class Gate:
    def __init__(self):
        self.list, self.journal, self.clock = List(), Journal(), Clock()
        self.command_nonce = bytes(8)
        self.log = []

    def office_time(self, unix_ms):
        self.log.append(("time", unix_ms))

    def command(self, nonce, name, argument):
        self.command_nonce = nonce
        self.log.append(("command", name, argument))

    def remote(self, key, direction, cls, party, unix, number):
        self.log.append(("remote", key, direction, cls, party, unix, number))

    def forget(self, key, unix):
        self.log.append(("forget", key, unix))

    def list_changed(self, kind, seq):
        self.log.append(("list", kind, seq))

    def bundle_rejected(self, error):
        self.log.append(("rejected", str(error)))


class World:
    """A session over a gate of the test; `gate.clock.ms` is the time."""

    def __init__(self, connect=True):
        self.gate = Gate()
        self.randoms = 0
        self.session = Session(self.gate, KEY, SITE, NAME, self.urandom)
        self.counter = 0
        if connect:
            self.connect()

    def urandom(self, n):
        self.randoms += 1
        return bytes([self.randoms]) * n

    def connect(self, acked=None):
        """Connect and answer the hello; with `acked` also the first report."""
        self.session.opened(self.gate.clock.ms)
        hello = self.sent()[0][1]
        self.receive(self.ack(hello[6:22]))
        self.counter = 0
        if acked is not None:
            self.sent(limit=1)
            self.beat(acked)
        return self

    def ack(self, nonce, unix_ms=UNIX_MS, key=LINK_KEY):
        self.key = hmac_sha256(LINK_KEY, b"session", nonce, b"o" * 16)
        return sealed(ACK, 0, nonce + b"o" * 16 + struct.pack(">Q", unix_ms), key)

    def frame(self, kind, body, counter=None, key=None):
        self.counter += 1
        return sealed(kind, counter or self.counter, body, key or self.key)

    def beat(self, acked, echo=1, unix_ms=UNIX_MS, journal_id=JOURNAL):
        self.receive(self.frame(BEAT, struct.pack(">IQ4sI", echo, unix_ms, journal_id, acked)))

    def order(self, number, kind, payload):
        self.receive(self.frame(ORDER, struct.pack(">IB", number, kind) + payload))

    def chunk(self, seq, total, at, data):
        self.receive(self.frame(CHUNK, struct.pack(">III", seq, total, at) + data))

    def receive(self, frame):
        self.session.received(frame, self.gate.clock.ms)

    def pass_ms(self, ms):
        self.gate.clock.ms += ms

    def sent(self, limit=99):
        """Return [(channel, frame)] of what the session has to send now."""
        frames = []
        while len(frames) < limit:
            item = self.session.outgoing(self.gate.clock.ms)
            if item is None:
                break
            frames.append((item[0], bytes(item[1])))
        return frames

    def have(self):
        """Return the fields of the report that is due now, or 40 ms after what came just now."""
        frames = self.sent()
        self.pass_ms(40)
        for channel, frame in frames + self.sent():
            if frame[1] == HAVE:
                assert channel == "up" and len(frame) == 55
                return struct.unpack(">IIIIBI4sII8s", frame[6:47])
        raise AssertionError("no report")

    def done(self, kind):
        return [entry for entry in self.gate.log if entry[0] == kind]


def sealed(kind, counter, body, key, version=1):
    frame = struct.pack(">BBI", version, kind, counter) + body
    return frame + hmac_sha256(key, frame)[:8]


def record(seq):
    return struct.pack(">I", seq) * 8


def delta(seq_from, seq_to, count=1):
    header = bundles.Header(bundles.DELTA, SITE, NAME, seq_from, seq_to, 1, 2, count, 0)
    return bundles.pack_header(header) + bytes(16 * count + 32)


def events(frames):
    """Return [(first, how many)] of the frames with events."""
    return [
        (struct.unpack(">I", frame[10:14])[0], (len(frame) - 22) // 32)
        for channel, frame in frames
        if channel == "events"
    ]


# Beginning


def test_a_connection_begins_with_a_hello_under_the_gates_key():
    world = World(connect=False)
    assert world.sent() == []
    world.session.opened(1000)
    assert world.sent() == [("up", sealed(HELLO, 0, b"\1" * 16, LINK_KEY))]
    assert world.sent() == []


def test_a_hello_is_repeated_twice_a_second_and_has_a_new_nonce_after_five():
    world = World(connect=False)
    world.session.opened(1000)
    first = world.sent()
    for _ in range(9):
        world.pass_ms(499)
        assert world.sent() == []
        world.pass_ms(1)
        assert world.sent() == first
    world.pass_ms(500)
    assert world.sent()[0][1][6:22] == b"\2" * 16


def test_the_answer_begins_the_session_with_a_report_under_the_session_key():
    world = World()
    channel, frame = world.sent()[0]
    assert channel == "up" and frame == sealed(HAVE, 1, frame[6:47], world.key)
    assert world.session.connected and world.session.rejected == 0


def test_the_report_says_what_the_gate_has():
    world = World()
    assert world.have() == (5, 1772496000, 0, 0, 3, 0, JOURNAL, 1, 100, record(100)[24:])
    world.gate.clock.trusted = world.gate.list.valid = False
    world.gate.journal.seq = 0
    world.pass_ms(1000)
    assert world.have() == (5, 1772496000, 0, 0, 0, 0, JOURNAL, 1, 0, bytes(8))


def test_an_answer_that_took_longer_than_five_seconds_is_not_believed():
    world = World(connect=False)
    world.session.opened(1000)
    nonce = world.sent()[0][1][6:22]
    world.pass_ms(5000)
    late = World(connect=False)
    late.session.opened(1000)
    late.sent()
    late.pass_ms(5000)
    late.receive(late.ack(nonce))
    assert late.session.connected
    world.pass_ms(1)
    world.receive(world.ack(nonce))
    assert not world.session.connected and world.done("time") == [] and world.session.rejected == 1


def test_an_answer_to_another_hello_is_not_believed():
    world = World(connect=False)
    world.session.opened(1000)
    world.sent()
    world.receive(world.ack(b"x" * 16))
    assert not world.session.connected and world.session.rejected == 1


def test_a_doubled_answer_does_not_begin_the_session_again():
    world = World()
    world.sent()
    world.receive(world.ack(b"\1" * 16))
    assert world.session.rejected == 1
    world.pass_ms(1000)
    assert struct.unpack(">I", world.sent()[0][1][2:6])[0] == 2


def test_a_closed_connection_sends_and_takes_nothing():
    world = World()
    frame = world.frame(BEAT, struct.pack(">IQ4sI", 1, UNIX_MS, JOURNAL, 50))
    world.session.closed(world.gate.clock.ms)
    world.pass_ms(6000)
    assert world.sent() == []
    world.receive(frame)
    assert world.gate.journal.acknowledged == 0 and world.session.rejected == 1


def test_a_new_connection_says_nothing_under_the_key_of_the_old_one():
    world = World().connect(40)
    world.session.opened(world.gate.clock.ms)
    assert [frame[1] for _, frame in world.sent()] == [HELLO]


# Contact and time


def test_out_of_contact_after_ten_seconds_whatever_the_connection_does():
    world = World()
    world.session.closed(world.gate.clock.ms)
    world.pass_ms(10000)
    assert world.session.connected
    world.pass_ms(1)
    assert not world.session.connected
    assert not World(connect=False).session.connected


def test_reports_come_every_second_until_answered_and_then_every_two():
    world = World()
    world.sent()
    world.pass_ms(999)
    assert world.sent() == []
    world.pass_ms(1)
    assert len(world.sent()) == 1
    world.beat(100, echo=2)
    world.sent()  # the record that the office has
    world.pass_ms(1999)
    assert world.sent() == []
    world.pass_ms(1)
    assert len(world.sent()) == 1


def test_five_seconds_of_silence_begin_a_new_session():
    world = World()
    world.sent()
    world.pass_ms(4999)
    assert [frame[1] for _, frame in world.sent()] == [HAVE]
    world.pass_ms(1)
    assert [frame[1] for _, frame in world.sent()] == [HELLO]
    old = world.frame(BEAT, struct.pack(">IQ4sI", 1, UNIX_MS, JOURNAL, 50))
    world.receive(old)  # late, but of the session that is still the newest
    assert world.gate.journal.acknowledged == 50
    world.receive(world.ack(b"\2" * 16))
    world.counter = 0
    world.receive(old)
    assert world.session.rejected == 1
    assert world.have()[6] == JOURNAL


def test_a_counter_that_grows_too_large_begins_a_new_session():
    world = World()
    world.sent()
    world.receive(world.frame(BEAT, struct.pack(">IQ4sI", 1, UNIX_MS, JOURNAL, 100), counter=1 << 30))
    assert world.sent()[0][1][1] == HELLO


def test_time_is_that_of_the_office_plus_half_of_the_round_trip():
    world = World(connect=False)
    world.session.opened(1000)
    nonce = world.sent()[0][1][6:22]
    world.pass_ms(600)
    world.receive(world.ack(nonce))
    assert world.done("time") == [("time", UNIX_MS + 300)]


def test_the_clock_is_set_again_after_an_hour_or_while_it_is_not_trusted():
    world = World().connect(100)
    assert len(world.done("time")) == 2  # one for each session
    for passed_ms, trusted, times in ((2000, True, 2), (2000, False, 3), (3600000, True, 4)):
        world.gate.clock.trusted = trusted
        world.pass_ms(passed_ms)
        frame = [frame for _, frame in world.sent() if frame[1] == HAVE][-1]
        world.beat(100, echo=struct.unpack(">I", frame[2:6])[0])
        assert world.done("time") == [("time", UNIX_MS)] * times


def test_a_beat_that_answers_no_report_or_too_late_sets_no_clock():
    world = World()
    world.gate.clock.trusted = False
    world.sent()
    world.beat(100, echo=0)
    assert len(world.done("time")) == 1
    world.pass_ms(5001)
    world.beat(100, echo=1)
    assert len(world.done("time")) == 1
    counter = struct.unpack(">I", next(frame for _, frame in world.sent() if frame[1] == HAVE)[2:6])[0]
    world.pass_ms(5000)
    world.beat(100, echo=counter)
    assert len(world.done("time")) == 2


# Events


def test_no_event_is_sent_before_the_office_says_what_it_has():
    world = World()
    assert events(world.sent()) == []


def test_events_go_from_the_watermark_on_with_the_last_one_that_the_office_has():
    world = World()
    world.sent()
    world.beat(40)
    frames = world.sent()
    assert events(frames) == [(40, 32), (72, 29)]
    assert frames[0][1][6:10] == JOURNAL
    assert [frame[2:6] for _, frame in frames] == [b"\0\0\0\2", b"\0\0\0\3"]
    assert frames[0][1][14:46] == record(40) and frames[1][1][-40:-8] == record(100)
    assert world.gate.journal.acknowledged == 40


def test_an_office_that_has_nothing_gets_all_from_the_oldest_on():
    world = World()
    world.gate.journal.oldest = 51
    world.sent()
    world.beat(0)
    assert events(world.sent()) == [(51, 32), (83, 18)]


def test_no_more_than_a_window_of_events_is_on_its_way():
    world = World()
    world.gate.journal.seq = 1000
    world.sent()
    world.beat(0)
    assert events(world.sent()) == [(1 + 32 * i, 32) for i in range(8)]
    world.beat(32)
    assert events(world.sent()) == [(257, 32)]


def test_events_without_progress_go_again_after_a_second():
    world = World()
    world.sent()
    world.beat(0)
    assert len(events(world.sent())) == 4
    world.pass_ms(600)
    world.beat(32)
    world.pass_ms(999)
    assert events(world.sent()) == []
    world.pass_ms(1)
    assert events(world.sent()) == [(33, 32), (65, 32), (97, 4)]
    world.beat(100)
    world.pass_ms(1000)
    assert events(world.sent()) == []


def test_a_new_event_goes_at_once():
    world = World().connect(100)
    world.sent()
    world.beat(100)
    world.gate.journal.seq = 101
    assert events(world.sent()) == [(101, 1)]


def test_one_event_that_got_lost_goes_again_though_the_office_is_heard():
    world = World().connect(100)
    world.sent()
    world.gate.journal.seq = 101
    assert events(world.sent()) == [(101, 1)]
    for _ in range(4):
        world.pass_ms(249)
        world.beat(100)
        assert events(world.sent()) == []
    world.pass_ms(4)
    assert events(world.sent()) == [(101, 1)]


def test_an_office_that_lost_events_gets_them_again():
    world = World().connect(100)
    world.sent()
    world.beat(60)
    world.pass_ms(1000)
    assert events(world.sent()) == [(61, 32), (93, 8)]


def test_a_watermark_of_another_journal_is_none():
    world = World()
    world.sent()
    world.beat(100, journal_id=b"else")
    assert world.gate.journal.acknowledged == 0 and events(world.sent()) == []


# Lists


def test_a_delta_that_continues_the_list_is_applied_and_reported_soon():
    world = World()
    world.sent()
    bundle = delta(5, 7)
    world.receive(world.frame(DELTA, bundle))
    assert world.gate.list.deltas == [bundle]
    assert world.done("list") == [("list", "delta", 7)]
    assert world.have()[0] == 7


def test_a_delta_after_a_gap_or_of_the_past_is_left_alone():
    world = World()
    for seq_from, seq_to in ((6, 7), (4, 5), (1, 2)):
        world.receive(world.frame(DELTA, delta(seq_from, seq_to)))
    assert world.gate.list.deltas == [] and world.done("rejected") == []
    assert world.have()[0] == 5


def test_a_delta_may_begin_before_the_list():
    world = World()
    world.receive(world.frame(DELTA, delta(3, 8)))
    assert world.gate.list.seq == 8


def test_a_delta_that_finds_no_room_yet_can_come_again():
    world = World()
    world.gate.list.answer = None
    world.receive(world.frame(DELTA, delta(5, 6)))
    assert world.done("list") == [] and world.done("rejected") == [] and world.have()[4] & 4 == 0
    world.gate.list.answer = True
    world.receive(world.frame(DELTA, delta(5, 6)))
    assert world.gate.list.seq == 6


def test_after_a_refused_delta_only_a_snapshot_helps():
    world = World()
    world.gate.list.error = BundleError("MAC")
    world.receive(world.frame(DELTA, delta(5, 6)))
    world.gate.list.error = None
    world.receive(world.frame(DELTA, delta(5, 6)))
    assert world.done("rejected") == [("rejected", "MAC")] and world.gate.list.deltas == []
    assert world.have()[4] == 7
    world.chunk(9, 4, 0, b"list")
    assert world.have()[4] == 3
    world.receive(world.frame(DELTA, delta(9, 10)))
    assert world.gate.list.seq == 10


def test_a_body_that_is_no_bundle_is_refused():
    world = World()
    world.receive(world.frame(DELTA, bytes(96)))
    assert world.done("rejected") == [("rejected", "magic")]


def test_a_snapshot_arrives_in_chunks_each_reported():
    world = World()
    world.chunk(9, 11, 0, b"one")
    assert world.have()[2:4] == (9, 3)
    world.chunk(9, 11, 3, b"two")
    world.chunk(9, 11, 6, b"three")
    assert world.gate.list.snapshots == [b"onetwothree"]
    assert world.done("list") == [("list", "snapshot", 9)]
    assert world.have()[0] == 9


def test_chunks_that_are_doubled_or_come_too_early_are_left_alone():
    world = World()
    for at, data in (
        (3, b"two"),
        (0, b"one"),
        (0, b"one"),
        (6, b"three"),
        (3, b"two"),
        (3, b"two"),
        (6, b"three"),
    ):
        world.chunk(9, 11, at, data)
    assert world.gate.list.snapshots == [b"onetwothree"]


def test_a_snapshot_goes_on_in_the_next_session():
    world = World()
    world.chunk(9, 6, 0, b"one")
    world.session.closed(world.gate.clock.ms)
    world.connect()
    assert world.have()[2:4] == (9, 3)
    world.chunk(9, 6, 3, b"two")
    assert world.gate.list.snapshots == [b"onetwo"]
    world.connect()
    assert world.have()[2] == 0


def test_another_snapshot_takes_the_place_of_one_that_is_arriving():
    world = World()
    world.chunk(8, 6, 0, b"old")
    world.chunk(9, 6, 0, b"one")
    world.chunk(8, 6, 3, b"old")
    world.chunk(9, 6, 3, b"two")
    assert world.gate.list.snapshots == [b"onetwo"]


def test_a_snapshot_of_the_past_is_not_begun():
    world = World()
    world.chunk(5, 3, 0, b"one")
    assert world.gate.list.snapshots == [] and world.have()[2:4] == (0, 0)


def test_a_refused_snapshot_is_reported_and_not_begun_again_in_this_session():
    for last in (b"bad", b"forged"):
        world = World()
        world.chunk(9, 3 + len(last), 0, b"one")
        world.chunk(9, 3 + len(last), 3, last)
        assert len(world.done("rejected")) == 1
        assert world.have()[2:4] == (9, 0xFFFFFFFF)
        world.chunk(9, 3, 0, b"one")
        assert world.gate.list.snapshots == []
        world.connect()
        assert world.have()[2] == 0
        world.chunk(9, 3, 0, b"one")
        assert world.gate.list.snapshots == [b"one"]


def test_a_snapshot_that_is_in_force_already_is_dropped():
    world = World()
    world.chunk(9, 99, 0, b"known")
    world.chunk(9, 9, 5, b"more")
    assert world.gate.list.snapshots == [] and world.done("rejected") == []


def test_a_snapshot_waits_while_a_merge_is_written():
    world = World()
    world.gate.list.merging = True
    world.chunk(9, 3, 0, b"one")
    assert world.gate.list.snapshots == [] and world.have()[2:4] == (0, 0) and world.done("rejected") == []
    world.gate.list.merging = False
    world.chunk(9, 3, 0, b"one")
    assert world.gate.list.snapshots == [b"one"]


# Orders


def move(key, what, number=2, party=17, unix=1772409700):
    return struct.pack(">8sBBHI", key, what, number, party, unix)


def test_movements_are_handed_on_in_their_order():
    world = World()
    world.order(1, MOVES, move(CARD, 0x11) + move(CARD, 0x42, 3, 0) + move(CARD, 0))
    assert world.gate.log[1:] == [
        ("remote", CARD, "in", 1, 17, 1772409700, 2),
        ("remote", CARD, "out", 4, 0, 1772409700, 3),
        ("forget", CARD, 1772409700),
    ]
    assert world.have()[5] == 1


def test_orders_are_carried_out_once_and_in_their_order():
    world = World()
    world.order(2, MOVES, move(b"second__", 0x11))
    assert world.have()[5] == 0
    world.order(1, MOVES, move(b"first___", 0x11))
    world.order(1, MOVES, move(b"first___", 0x11))
    world.order(2, MOVES, move(b"second__", 0x11))
    assert [entry[1] for entry in world.done("remote")] == [b"first___", b"second__"]
    assert world.have()[5] == 2


def test_what_comes_together_is_reported_once():
    world = World()
    world.have()
    for number in range(1, 9):
        world.order(number, MOVES, move(b"somebody", 0x11))
        assert world.sent() == []
        world.pass_ms(5)
    assert world.have()[5] == 8
    world.pass_ms(500)
    assert world.sent() == []


def test_a_gate_says_that_it_carried_out_orders_since_its_start():
    world = World()
    world.connect()
    world.order(2, MOVES, move(b"overtook", 0x11))
    assert world.have()[4] == 3
    world.order(1, MOVES, move(b"somebody", 0x11))
    assert world.have()[4] == 11
    world.session.closed(world.gate.clock.ms)
    world.connect()
    assert world.have()[4:6] == (11, 0)


def command(nonce, text, expires=UNIX_MS // 1000 + 60):
    return struct.pack(">QI", nonce, expires) + text


def test_a_command_is_carried_out():
    world = World()
    world.order(1, COMMAND, command(7, b"mode lockdown"))
    world.order(2, COMMAND, command(8, b"reboot"))
    assert world.done("command") == [("command", "mode", "lockdown"), ("command", "reboot", "")]


def test_a_command_is_carried_out_once_whatever_the_session():
    world = World()
    world.order(1, COMMAND, command(7, b"open in"))
    world.connect()
    world.order(1, COMMAND, command(7, b"open in"))
    world.order(2, COMMAND, command(6, b"open out"))
    assert len(world.done("command")) == 1
    assert world.have()[5] == 2


def test_a_command_expires_by_the_clock_of_the_office():
    world = World()
    world.pass_ms(59000)
    world.order(1, COMMAND, command(7, b"open in", UNIX_MS // 1000 + 60))
    assert len(world.done("command")) == 1
    world.pass_ms(1000)
    world.order(2, COMMAND, command(8, b"open in", UNIX_MS // 1000 + 60))
    assert len(world.done("command")) == 1
    assert world.have()[5] == 2


def test_a_journal_that_was_rolled_back_jumps_and_one_that_was_not_stays():
    world = World()
    world.order(1, JUMP, struct.pack(">I", 100) + b"chainMAC")
    assert world.gate.journal.seq == 100
    world.order(2, JUMP, struct.pack(">I", 101) + b"chainMAC")
    assert (world.gate.journal.acknowledged, world.gate.journal._mac) == (101, b"chainMAC")


# What must change nothing


def untouched(make):
    """Assert that the frame that `make(world)` gives changes nothing and is counted."""
    world = World().connect(40)
    world.sent()
    log, seq = list(world.gate.log), world.gate.list.seq
    heard = world.session._heard_ms
    world.pass_ms(10)
    world.receive(make(world))
    assert world.session.rejected == 1
    assert world.gate.log == log and world.gate.list.seq == seq and world.gate.journal.acknowledged == 40
    assert world.session._heard_ms == heard and world.sent() == []


def order_frame(world, **options):
    return world.frame(ORDER, struct.pack(">IB", 1, COMMAND) + command(7, b"mode free"), **options)


def test_a_frame_under_another_key_is_refused():
    untouched(lambda world: order_frame(world, key=b"x" * 32))


def test_a_frame_with_any_byte_changed_is_refused():
    world = World()
    frame = order_frame(world)
    for at in range(len(frame)):
        changed = bytearray(frame)
        changed[at] ^= 1
        world.receive(changed)
        assert world.session.rejected == at + 1
    assert world.done("command") == []
    world.receive(frame)
    assert len(world.done("command")) == 1


def test_a_replayed_frame_is_refused():
    world = World()
    frame = order_frame(world)
    world.receive(frame)
    world.receive(frame)
    assert world.session.rejected == 1 and len(world.done("command")) == 1


def test_a_frame_that_was_overtaken_is_refused():
    world = World()
    late = world.frame(BEAT, struct.pack(">IQ4sI", 1, UNIX_MS, JOURNAL, 30))
    world.beat(50)
    world.receive(late)
    assert world.session.rejected == 1 and world.session._acked == 50


def test_a_frame_of_an_earlier_session_is_refused():
    world = World()
    old = order_frame(world)
    world.connect()
    world.receive(old)
    assert world.session.rejected == 1 and world.done("command") == []


def test_what_the_gate_sent_itself_is_refused():
    world = World().connect()
    frames = [frame for _, frame in world.sent()]
    world.beat(40)
    frames += [frame for _, frame in world.sent()]
    assert len(frames) == 3
    for n, frame in enumerate(frames):
        world.receive(frame)
        assert world.session.rejected == n + 1


def test_a_frame_of_another_gate_or_site_is_refused():
    for names in (b"JKT\0B", b"SBY\0A", b"JK\0TA"):
        other = hmac_sha256(hmac_sha256(KEY, b"PINTER link 1", names), b"session", b"\2" * 16, b"o" * 16)
        untouched(lambda world, key=other: order_frame(world, key=key))


def test_an_answer_of_another_gates_office_is_refused():
    for names in (b"JKT\0B", b"SBY\0A"):
        world = World(connect=False)
        world.session.opened(1000)
        nonce = world.sent()[0][1][6:22]
        world.receive(world.ack(nonce, key=hmac_sha256(KEY, b"PINTER link 1", names)))
        assert world.session.rejected == 1 and not world.session.connected


def test_a_truncated_frame_is_refused():
    for length in range(40):
        untouched(lambda world, n=length: order_frame(world)[:n])


def test_a_short_frame_with_a_valid_mac_is_refused():
    for kind, least in ((BEAT, 20), (DELTA, 96), (CHUNK, 13), (ORDER, 5)):
        untouched(lambda world, kind=kind, n=least - 1: world.frame(kind, bytes(n)))


def test_an_oversized_frame_is_refused():
    untouched(lambda world: world.frame(DELTA, delta(5, 6) + bytes(1201)))
    world = World()
    world.chunk(9, 99999, 0, bytes(1201 - 26))
    assert world.session.rejected == 1
    world.chunk(9, 99999, 0, bytes(1200 - 26))
    assert world.session.rejected == 1 and world.have()[2:4] == (9, 1174)


def test_another_version_and_unknown_types_are_refused():
    untouched(lambda world: sealed(BEAT, 9, struct.pack(">IQ4sI", 1, 0, JOURNAL, 60), world.key, version=2))
    for kind in (0, 4, 0x80, 0x86, 0xFF):
        untouched(lambda world, kind=kind: world.frame(kind, bytes(60)))


def test_a_frame_before_any_session_is_refused():
    world = World(connect=False)
    world.key = KEY
    world.session.opened(1000)
    world.sent()
    world.receive(order_frame(world))
    assert world.session.rejected == 1


def test_an_order_that_is_too_short_is_counted():
    for kind in (COMMAND, JUMP, 9):
        world = World()
        world.order(1, kind, b"short")
        assert world.session.rejected == 1


def test_bytes_of_any_kind_raise_nothing():
    state = 12345
    world = World().connect(100)
    for n in range(600):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        length = state >> 8 & 127
        noise = bytes([(state * (i + 7) >> 5) & 255 for i in range(length)])
        if n % 2:  # as an office of another mind would seal it
            noise = world.frame((BEAT, DELTA, CHUNK, ORDER)[n // 2 % 4], noise)
        world.receive(noise)
        world.sent()
        world.pass_ms(20)
    assert world.session.rejected > 300


def test_the_status_for_everybody_does_not_name_cards():
    world = World()
    world.receive(b"")
    text = for_broker({"lane": "locked", "inside": ["aa"], "occupancy": 1}, world.session.rejected)
    assert b"inside" not in text and b'"occupancy": 1' in text and b'"rejected_frames": 1' in text
    assert b'"online": true' in text, "the last will says false"
