"""Tier `aes` at a gate in service: proof, then decision; copies, torn reads, and what the records say."""

import pytest

from firmware.policy import ALARMS
from firmware.records import UNAUTHENTICATED
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Card
from host_sim.scenario import stage
from tests.host import proof_bench
from tests.host.gate_bench import UID, changed_firmware
from tests.host.proof_bench import MASTER, decisions, put
from tests.portable import ev2_card
from tools.office import cardkeys

SECRET = cardkeys.derive(MASTER, UID, cardkeys.GATE)
RECORD = b"PNTR\x01\x01" + stage.SITE.encode().ljust(26, b"\0")
AT = 5_000_000


def genuine(key: bytes = SECRET, record: bytes = RECORD, **options) -> IsoDepCard:
    """Return the card of the list, personalised; it works 2 ms on each block."""
    return IsoDepCard(UID, ev2_card.Card(key, record), **{"work_us": 2_000, **options})


def alarms(bench) -> list[str]:
    """Return the kinds of all alarms raised, in order."""
    return [ALARMS[record.reason] for record in bench.records("alarm")]


@pytest.mark.requires_micropython
@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_genuine_card_is_let_in_and_out_and_no_record_says_unauthenticated(runtime):
    with proof_bench.running(runtime) as bench:
        put(bench, AT, genuine())
        bench.walk(AT + 1_000_000)
        put(bench, AT + 5_000_000, genuine(), "out")
        bench.world.run_until(AT + 7_000_000)
        assert decisions(bench) == [("grant", "ok", 0), ("grant", "exit", 0)]
        assert alarms(bench) == []


def test_the_wait_of_an_aes_card_is_within_the_limit():
    with proof_bench.running() as bench:
        put(bench, AT, genuine())
        bench.world.run_until(AT + 1_000_000)
        opened = [at for at, level in bench.outputs("relay_in") if level]
        assert len(opened) == 1 and opened[0] - AT <= 120_000


@pytest.mark.parametrize(
    "copy",
    [lambda: genuine(bytes(16)), lambda: genuine(record=RECORD.replace(b"SIM", b"JKT"))],
    ids=["without the key", "with the record of another site"],
)
def test_a_copy_that_fails_its_proof_is_refused_and_alarmed_both_ways(copy):
    with proof_bench.running() as bench:
        put(bench, AT, copy())
        put(bench, AT + 3_000_000, copy(), "out")
        bench.world.run_until(AT + 5_000_000)
        assert decisions(bench) == [("deny", "card_not_authentic", 0)] * 2
        assert alarms(bench) == ["clone", "clone"]
        assert not bench.outputs("relay_in") and not bench.outputs("relay_out")


def test_a_copy_right_behind_its_original_is_alarmed():
    with proof_bench.running() as bench:
        put(bench, AT, genuine())
        put(bench, AT + 900_000, genuine(bytes(16)))
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("grant", "ok", 0), ("deny", "card_not_authentic", 0)]
        assert alarms(bench) == ["clone"]


def test_a_copy_that_has_only_the_number_is_weak_on_the_way_in_and_a_copy_on_the_way_out():
    with proof_bench.running() as bench:
        put(bench, AT, IsoDepCard(UID, lambda apdu: b"\x6a\x82"))
        put(bench, AT + 3_000_000, IsoDepCard(UID, lambda apdu: b"\x6a\x82"), "out")
        bench.world.run_until(AT + 5_000_000)
        assert decisions(bench) == [("deny", "weak_card", 0), ("deny", "card_not_authentic", 0)]
        assert alarms(bench) == ["clone", "clone"]


@pytest.mark.parametrize("number", range(1, 6))
def test_a_card_that_leaves_at_any_frame_is_no_decision_and_no_alarm(number):
    with proof_bench.running() as bench:
        field = bench.gate.hardware.fields["in"]
        card = genuine(on_frame_number=lambda n: field.leave(card) if n == number else None)
        bench.world.at(AT, field.enter, card)
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [] and alarms(bench) == []
        put(bench, AT + 2_000_000, genuine())
        bench.world.run_until(AT + 3_000_000)
        assert decisions(bench) == [("grant", "ok", 0)]


def test_a_torn_proof_is_tried_once_more_while_the_card_is_there():
    with proof_bench.running() as bench:
        torn = genuine(silent_from=3)

        def recovers():
            torn.silent_from = None

        bench.world.at(AT + 80_000, recovers)
        put(bench, AT, torn, hold_us=1_500_000)
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("grant", "ok", 0)]


def test_a_proof_that_is_torn_twice_is_given_up_until_the_card_comes_again():
    with proof_bench.running() as bench:
        begun: list[int] = []
        torn = genuine(silent_from=3, on_frame_number=lambda n: begun.append(n) if n == 1 else None)
        put(bench, AT, torn, hold_us=3_000_000)
        bench.world.run_until(AT + 4_000_000)
        assert decisions(bench) == [] and alarms(bench) == []
        assert len(begun) == 2
        put(bench, AT + 4_000_000, genuine())
        bench.world.run_until(AT + 5_000_000)
        assert decisions(bench) == [("grant", "ok", 0)]


@pytest.mark.parametrize(("work_us", "granted"), [(20_000, True), (90_000, False)])
def test_a_card_that_answers_late_is_waited_for_until_the_deadline_of_the_tap(work_us, granted):
    """A relay adds its delay to every answer: then it is no decision, and no alarm."""
    with proof_bench.running() as bench:
        put(bench, AT, genuine(work_us=work_us), hold_us=2_000_000)
        bench.world.run_until(AT + 3_000_000)
        assert decisions(bench) == ([("grant", "ok", 0)] if granted else [])
        assert alarms(bench) == []


def test_two_cards_of_ours_are_asked_for_no_proof():
    other = bytes.fromhex("04A1B2C3D4E5F7")
    with proof_bench.running(bundle=proof_bench.the_list(uids=(UID, other))) as bench:
        first = genuine()
        put(bench, AT, first)
        put(bench, AT, Card(other))
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("deny", "several_cards", 0)]
        assert first.commands == []


def test_a_card_without_keys_on_the_list_is_granted_unauthenticated_where_uid_will_do():
    with proof_bench.running(tier=0) as bench:
        put(bench, AT, Card(UID))
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("grant", "ok", UNAUTHENTICATED)]


def test_a_card_without_keys_on_the_list_is_weak_where_more_is_asked():
    bundle = proof_bench.the_list(tier=0)
    with proof_bench.running(tier=2, bundle=bundle) as bench:
        put(bench, AT, Card(UID))
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("deny", "weak_card", 0)] and alarms(bench) == []


def test_in_free_mode_nobody_is_asked():
    with proof_bench.running() as bench:
        bench.world.at(AT, bench.gate.hardware.set_input, "fire", True)
        card = genuine(bytes(16))
        put(bench, AT + 1_000_000, card)
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("grant", "free", UNAUTHENTICATED)]
        assert card.commands == []


def test_an_entry_of_another_gate_shuts_the_way_in_and_is_told(tmp_path):
    """As a flash that went bad after the start would: the secret cannot be opened."""
    source = changed_firmware(
        tmp_path, "keywrap.py", lambda text: text.replace('b"PINTER card keys 1"', 'b"PINTER card keys 2"')
    )
    with proof_bench.running(firmware=source) as bench:
        put(bench, AT, genuine())
        put(bench, AT + 3_000_000, genuine(), "out")
        bench.world.run_until(AT + 5_000_000)
        assert decisions(bench) == [("deny", "error", 0), ("grant", "error", UNAUTHENTICATED)]
        assert "fault" in alarms(bench)


def test_a_gate_that_does_not_read_the_outcome_of_the_proof_would_be_seen(tmp_path):
    """With the tier made up, the copy is let in: so the tests above say something."""
    source = changed_firmware(
        tmp_path, "proofs.py", lambda text: text.replace("return tier\n", "return 2\n", 1)
    )
    with proof_bench.running(firmware=source) as bench:
        put(bench, AT, IsoDepCard(UID, lambda apdu: b"\x6a\x82"))
        bench.world.run_until(AT + 2_000_000)
        assert decisions(bench) == [("grant", "ok", 0)]
