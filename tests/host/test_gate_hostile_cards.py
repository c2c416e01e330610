"""Cards made to do harm, at a gate in service: none is let in, none stops a reader."""

import random

from firmware.policy import ALARMS
from host_sim.cards.picc import Card
from tests import counts
from tests.host import proof_bench
from tests.host.gate_bench import UID, Bench
from tests.host.hostile_card import HostileCard

CARDS = counts.count(400, 100_000)
AT_ONE_GATE = counts.count(200, 500)  # so that its list does not expire
HELD_US = 800_000
AWAY_US = 300_000
OTHER_READER_US = 400_000  # the deadline of a tap, 250 ms, its end, and the other reader's own poll


def test_no_card_without_keys_is_let_in_or_stops_a_reader():
    for first in range(0, CARDS, AT_ONE_GATE):
        at_one_gate(first, min(first + AT_ONE_GATE, CARDS))


def at_one_gate(first: int, end: int) -> None:
    """Present the hostile cards from number `first` to `end` - 1 to one gate."""
    tier = random.Random(first).choice((1, 2))
    with proof_bench.running(tier=tier) as bench:
        for n in range(first, end):
            present(bench, n)
        allowed = {"clone", "unknown_exit", "card_storm"}
        raised = {ALARMS[record.reason] for record in bench.records("alarm")}
        assert raised <= allowed, f"cards from {first} on, seed {counts.SEED}: {raised}"
        kinds = {record.type for record in bench.records()}
        assert kinds <= {"boot", "list_applied", "reset", "deny", "alarm"}, kinds


def present(bench: Bench, n: int) -> None:
    """Hold hostile card `n` to the way in, and at the same moment a stranger's to the way out."""
    world, fields = bench.world, bench.gate.hardware.fields
    card = HostileCard(UID, random.Random(f"{counts.SEED} {n}"))
    stranger = Card(b"\x01" + n.to_bytes(3, "big"))
    entered = world.now
    fields["in"].enter(card)
    fields["out"].enter(stranger)
    world.run_until(entered + HELD_US)
    fields["in"].leave(card)
    fields["out"].leave(stranger)
    world.run_until(world.now + AWAY_US)
    which = f"hostile card {n} of seed {counts.SEED}"
    assert not bench.outputs("relay_in"), f"{which} opened the gate"
    waited_ms = [
        (at_us - entered) // 1000
        for at_us, kind, fields in bench.history
        if at_us >= entered
        and kind == "journal"
        and fields["record"].type == "deny"
        and fields["record"].direction & 3 == 2
    ]
    assert len(waited_ms) == 1 and waited_ms[0] <= OTHER_READER_US // 1000, f"{which}: {waited_ms} ms"
