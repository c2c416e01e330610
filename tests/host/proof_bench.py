"""A gate whose list has keys for its cards: tiers `aes` and `signed`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.scenario import stage
from tests.host import gate_bench
from tests.host.gate_bench import START, UID, Bench
from tools.office import bundle, cardkeys

MASTER = bytes(range(16))
STAFF = 4


def the_list(tier: int = 2, uids: tuple[bytes, ...] = (UID,), seq: int = 1) -> bytes:
    """Return a list for gate A in which `uids` are staff cards that must prove `tier`, with their secrets."""
    keys = {uid: card_key(stage.SITE_KEY, uid) for uid in uids}
    credentials = [records.Credential(key, STAFF, False, True, tier, False, 0, 0, 0) for key in keys.values()]
    gate_key = stage.gate_key("A")
    secrets = {key: cardkeys.secret(MASTER, uid, tier) for uid, key in keys.items()}
    entries = cardkeys.entries(gate_key, {key: secret for key, secret in secrets.items() if secret})
    return bundle.snapshot(stage.SITE, "A", gate_key, credentials, seq, START - 3600, START + 86400, entries)


@contextmanager
def running(runtime: str = "cpython", tier: int = 2, **arguments: Any) -> Iterator[Bench]:
    """Yield a bench whose gate has the card UID on its list; else as `gate_bench.running`."""
    settings = {"min_tier": records.TIERS[tier], **arguments.pop("settings", {})}
    arguments.setdefault("bundle", the_list(tier))
    with gate_bench.running(runtime, settings=settings, **arguments) as bench:
        yield bench


def put(bench: Bench, at_us: int, card: Any, direction: str = "in", hold_us: int = 400_000) -> None:
    """Put `card` into a reader's field at `at_us` for `hold_us`."""
    field = bench.gate.hardware.fields[direction]
    bench.world.at(at_us, field.enter, card)
    bench.world.at(at_us + hold_us, field.leave, card)


def decisions(bench: Bench) -> list[tuple[str, str, int]]:
    """Return (type, reason, marks) of every decision, in order."""
    from firmware.policy import REASONS

    return [(r.type, REASONS[r.reason], r.marks) for r in bench.records("grant", "deny")]
