"""docs/protocol.md: its tables cut its examples into fields, and both ends of the link make and take them."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from firmware import bundles, policy
from firmware.crypto import hmac_sha256
from firmware.sync import Session
from tests.host import test_formats
from tools.office import bundle, session
from tools.office.memory import MemoryOffice

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
SECTIONS = dict(re.findall(r"^#+ (\S[^\n]*)\n(.*?)(?=^#+ |\Z)", TEXT, re.M | re.S))
EXAMPLES: dict[str, dict[str, Any]] = {}
for block in re.findall(r"^```json\n(.*?)^```$", TEXT, re.M | re.S):
    example = json.loads(block)
    EXAMPLES[example.pop("example")] = example
KEYS = EXAMPLES.pop("session")
del EXAMPLES["status"]  # no frame: test_link_status.py has it
GATE_KEY = test_formats.KEYS["gate_key"]
raw = test_formats.raw
FRAMES = sorted(EXAMPLES)
SECOND = 1772415060


def fields(name: str) -> dict[str, bytes]:
    """Return the example frame `name` cut up by the table of its section, which must cover it whole."""
    frame = raw(EXAMPLES[name]["bytes"])
    found: dict[str, bytes] = {}
    rows = re.findall(r"^\| (\d+)[^|]* \| ([^|]*\bn|\d+) \| `(\w+)`[^|]* \|$", SECTIONS[name], re.M)
    at = 0
    for offset, size, field in rows:
        rest = len(frame) - at - 8
        length = rest if size.endswith("n") else int(size)
        if field != "mac":
            assert int(offset) == at, f"{name}: {field} does not begin where the one before ends"
        found[field] = frame[at : at + length]
        at += length
    assert at == len(frame) and list(found)[-1] == "mac", f"{name}: the table does not cover the example"
    return found


def test_every_frame_has_a_section_a_table_and_an_example():
    assert (
        sorted(
            "hello hello-ack have beat events delta chunk command moves jump update".split()  # noqa: SIM905
        )
        == FRAMES
    )
    types = {raw(EXAMPLES[name]["bytes"])[1] for name in FRAMES}
    ours = {session.HELLO, session.HAVE, session.EVENTS}
    assert types == ours | {session.ACK, session.BEAT, session.DELTA, session.CHUNK, session.ORDER}


@pytest.mark.parametrize("name", FRAMES)
def test_the_table_cuts_the_example_into_its_fields(name):
    example = EXAMPLES[name]
    for field, value in fields(name).items():
        said = example[field]
        assert value == (said.to_bytes(len(value), "big") if isinstance(said, int) else raw(said)), field
    assert set(fields(name)) == set(example) - {"bytes"}


@pytest.mark.parametrize("name", FRAMES)
def test_the_type_and_kind_in_the_table_are_those_of_the_example(name):
    for field, value in re.findall(r"`(type|counter|kind)` (0x\w+|\d+)", SECTIONS[name]):
        assert EXAMPLES[name][field] == int(value, 0)


def test_the_keys_follow_from_the_text():
    link_key = hmac_sha256(GATE_KEY, b"PINTER link 1", KEYS["site"].encode(), b"\0", KEYS["gate"].encode())
    assert link_key == raw(KEYS["link_key"])
    nonces = raw(KEYS["gate_nonce"]) + raw(KEYS["office_nonce"])
    assert hmac_sha256(link_key, b"session", nonces) == raw(KEYS["session_key"])


@pytest.mark.parametrize("name", FRAMES)
def test_the_mac_is_that_of_its_key(name):
    frame = raw(EXAMPLES[name]["bytes"])
    key = raw(KEYS["link_key" if name.startswith("hello") else "session_key"])
    assert frame[-8:] == hmac_sha256(key, frame[:-8])[:8]
    assert len(frame) <= session.LARGEST


class Gate:
    """A gate in the state of the examples; it keeps what it was told."""

    def __init__(self) -> None:
        self.list = self.clock = self
        self.journal = Journal(self)
        self.seq, self.expires, self.valid, self.trusted = 7, 1772496000, True, True
        self.command_nonce = bytes(8)
        self.told: list[tuple] = []

    def uptime_ms(self) -> int:
        return 0

    def __getattr__(self, name: str):
        return lambda *arguments: self.told.append((name, *arguments))


class Journal:
    """The journal of the examples: one record."""

    seq = oldest = 1
    journal_id = raw("a1b2c3d4")

    def __init__(self, gate: Gate) -> None:
        self.acknowledge = gate.acknowledge

    def read_into(self, seq: int, buf) -> int:
        if seq != 1:
            return 0
        buf[:32] = raw(EXAMPLES["events"]["records"])
        return 1


def connected() -> tuple[Gate, Session, list[bytes]]:
    """Return a gate whose session took the answer of the example, and what it sent so far."""
    gate = Gate()
    end = Session(gate, GATE_KEY, KEYS["site"], KEYS["gate"], lambda n: raw(KEYS["gate_nonce"])[:n])
    end._load_seq, end._load_at, end._load = 9, 2112, gate
    end.opened(0)
    hello = sent(end)[1]
    end.received(raw(EXAMPLES["hello-ack"]["bytes"]), 0)
    return gate, end, [hello, sent(end)[1]]


def sent(end: Session) -> tuple[str, bytes]:
    item = end.outgoing(0)
    assert item is not None
    return item[0], bytes(item[1])


def test_the_gate_makes_the_examples():
    gate, end, frames = connected()
    assert frames == [raw(EXAMPLES["hello"]["bytes"]), raw(EXAMPLES["have"]["bytes"])]
    assert gate.told == [("office_time", EXAMPLES["hello-ack"]["time_ms"])]
    beat = struct.pack(">BBI", 1, session.BEAT, 1) + struct.pack(">IQ4sI", 1, 0, gate.journal.journal_id, 0)
    end.received(beat + hmac_sha256(raw(KEYS["session_key"]), beat)[:8], 0)
    assert sent(end) == ("events", raw(EXAMPLES["events"]["bytes"]))


def test_the_gate_takes_the_examples():
    gate, end, _ = connected()
    gate.told.clear()
    for name in ("beat", "delta", "chunk", "command", "moves", "jump"):
        end.received(raw(EXAMPLES[name]["bytes"]), 0)
    assert end.rejected == 0
    told = {entry[0]: entry[1:] for entry in gate.told}
    assert told["acknowledge"] == (1,)
    assert told["apply_delta"] == (raw(EXAMPLES["delta"]["bundle"]),)
    assert told["feed"] == (raw(EXAMPLES["chunk"]["piece"]),)
    assert told["command"] == (raw(EXAMPLES["command"]["nonce"]), "mode", "lockdown")
    assert told["remote"] == (raw("b33adc7bb53cf70a"), "in", 1, 17, SECOND, 2)
    assert told["forget"] == (raw("93ab074a6989babb"), SECOND - 60)
    assert (gate.journal.acknowledged, gate.journal._mac) == (20575, raw("0011223344556677"))  # pyright: ignore


def office() -> tuple[MemoryOffice, session.GateSession]:
    store = MemoryOffice(KEYS["site"])
    store.add_gate(KEYS["gate"], GATE_KEY)
    store.add_gate("B", bytes(32))
    store.start_list([], SECOND - 60, SECOND + 86340)
    store._seq = 7
    return store, session.GateSession(store, KEYS["gate"], lambda n: raw(KEYS["office_nonce"])[:n])


def test_the_office_takes_and_makes_the_examples():
    store, end = office()
    now = EXAMPLES["hello-ack"]["time_ms"] / 1000
    end.received("up", raw(EXAMPLES["hello"]["bytes"]), now)
    assert end.outgoing(now) == raw(EXAMPLES["hello-ack"]["bytes"])
    end.received("up", raw(EXAMPLES["have"]["bytes"]), now)
    end.received("events", raw(EXAMPLES["events"]["bytes"]), now)
    assert end.rejected == 0
    assert [event.type for event in store.events("A")] == ["grant"]
    assert end.report is not None and end.report.load_at == 2112
    assert end.outgoing(EXAMPLES["beat"]["time_ms"] / 1000) == raw(EXAMPLES["beat"]["bytes"])


def test_the_office_makes_the_orders_of_the_examples():
    store, end = office()
    end.received("up", raw(EXAMPLES["hello"]["bytes"]), SECOND)
    end.outgoing(SECOND)
    end.received("up", raw(EXAMPLES["have"]["bytes"]), SECOND)
    end.outgoing(SECOND)
    store.command("A", "mode", "lockdown", SECOND)
    key, other = raw("b33adc7bb53cf70a"), raw("93ab074a6989babb")
    store._movements += [
        session.Movement(other, 0, 0, 0, SECOND - 60),
        session.Movement(key, 1, 1, 17, SECOND, "B"),
    ]
    made = [end.outgoing(SECOND), end.outgoing(SECOND)]
    for frame, name in zip(made, ("command", "moves"), strict=True):
        assert frame is not None and frame[6:-8] == raw(EXAMPLES[name]["bytes"])[6:-8]


def test_the_bundle_of_the_delta_is_one():
    parsed = bundle.parse(raw(EXAMPLES["delta"]["bundle"]), GATE_KEY)
    assert (parsed.header.kind, parsed.header.seq_from, parsed.header.seq_to) == (bundles.DELTA, 7, 8)
    assert parsed.credentials[0].blocked


def test_the_modes_of_the_text_are_those_of_the_rules():
    line = next(line for line in SECTIONS["command"].splitlines() if "`text`" in line)
    assert tuple(re.findall(r"`(\w+)`", line)[2:6]) == policy.MODES


def test_the_numbers_of_the_text_are_those_of_the_code():
    from firmware import sync
    from tools.office import memory

    source = Path(sync.__file__).read_text()
    for text, pattern in (
        ("again every 500 ms", r"_HELLO_MS = const\(500\)"),
        ("up to 32 with consecutive numbers", r"_PER_FRAME = const\(32\)"),
        ("At most 256 records are on their way", r"_WINDOW = const\(256\)"),
        ("Counters need at most 30 bits", r"_COUNTER_BITS = const\(30\)"),
        ("heard nothing for 5 s", r"_SILENCE_MS = const\(5000\)"),
        ("comes within 5 s", r"_ROUND_TRIP_MS = const\(5000\)"),
        ("within the last 10 s", r"_CONTACT_MS = const\(10000\)"),
        ("a frame has at most 1,200 bytes", r"_LARGEST = const\(1200\)"),
    ):
        assert text in TEXT.replace("\n", " ").replace("A frame", "a frame") and re.search(pattern, source), (
            text
        )
    assert session.LARGEST == 1200 and session._ORDERS_WINDOW == 16 and session._AGAIN_S == 0.7
    assert "missed more than 1,000 changed cards" in TEXT and memory.DELTA_MAX == 1000


def test_the_capture_of_the_page_has_every_frame_on_its_channel():
    (shown,) = re.findall(r"^\$ mosquitto_sub [^\n]*\n(.*?)^```$", TEXT, re.M | re.S)
    status, *lines = [line.split() for line in shown.splitlines()]
    prefix = "pinter/1/%s/%s/" % (KEYS["site"], KEYS["gate"])
    assert status[0] == prefix + "status" and bytes.fromhex(status[1]) == b'{"online": false}'
    frames = {bytes.fromhex(payload): topic.removeprefix(prefix) for topic, payload in lines}
    assert len(frames) == len(lines) == len(FRAMES)
    for name in FRAMES:
        frame = raw(EXAMPLES[name]["bytes"])
        channel = "down" if frame[1] & 0x80 else "events" if name == "events" else "up"
        assert frames[frame] == channel, name
