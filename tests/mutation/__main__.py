"""`python -m tests.mutation [MODULE ...] [--sample N]`: mutants, the tests against them, and the survivors.

Exit code 0: every survivor is listed in survivors.toml with its reason and, in a whole run, every module
reaches the limit and no entry of the list is stale; 1: not so; 2: wrong arguments, or the tests fail without
any change.
"""

import argparse
import os
import random
import sys
import tomllib
import warnings
from collections import Counter
from pathlib import Path

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)
from tests import counts, figures
from tests.mutation import workers
from tests.mutation.operators import Mutant, mutants
from tests.mutation.suite import SUITES, Snapshot

LIMIT_PERCENT = 95.0
SURVIVORS = Path(__file__).with_name("survivors.toml")
COMMAND = "python -m tests.mutation --record"


def listed() -> dict[str, str]:
    """Return {name of a mutant: why it survives} of survivors.toml."""
    rows = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    return {name: row["reason"] for row in rows for name in row["mutants"]}


def choose(found: list[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    """Return `found`, or `sample` of them."""
    if sample is None or sample >= len(found):
        return found
    return random.Random(seed).sample(found, sample)


def table(total: Counter[str], killed: Counter[str]) -> str:
    """Return killed and total of each module, and of all together."""
    rows = [(name, killed[name], total[name]) for name in total]
    rows.append(("all", sum(killed.values()), sum(total.values())))
    lines = ["%-10s %6s %6s %8s" % ("module", "killed", "of", "percent")]
    return "\n".join(
        [*lines, *("%-10s %6d %6d %7.1f%%" % (*row, 100 * row[1] / max(row[2], 1)) for row in rows)]
    )


def main(arguments: list[str]) -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="of %s; none: all" % ", ".join(SUITES))
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, chosen by the seed")
    parser.add_argument("--seed", type=int, default=counts.SEED, help="of the sample (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (%(default)s)")
    parser.add_argument("--examples", type=int, default=50, help="random cases per property (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the figures to docs/figures.json")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.modules if name not in SUITES]
    if unknown:
        parser.error("there is no module %s" % unknown[0])
    if options.record and (options.modules or options.sample is not None):
        parser.error("--record needs a run of everything")
    modules = tuple(options.modules or SUITES)
    warnings.simplefilter("ignore")  # a mutant may well compare an int with `is`
    options.commit = figures.commit() if options.record else ""
    snapshot = Snapshot(modules)
    everything = [m for name in modules for m in mutants(name, snapshot.trees["firmware." + name])]
    chosen = choose(everything, options.sample, options.seed)
    if options.sample is None:
        os.nice(10)  # minutes of work, which nobody waits for
    workers.prepare(options.examples)
    try:
        times = {name: workers.baseline(snapshot, name) for name in modules}
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    total: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    survivors = []
    if options.sample is not None:  # what is listed may live or not
        reasons = listed()
        chosen = [mutant for mutant in chosen if mutant.name not in reasons]
    for mutant, survived in workers.run(snapshot, chosen, times, options.jobs):
        total[mutant.module] += 1
        killed[mutant.module] += not survived
        if survived:
            survivors.append(mutant)
    return report(survivors, total, killed, options)


def report(
    survivors: list[Mutant],
    total: Counter[str],
    killed: Counter[str],
    options: argparse.Namespace,
) -> int:
    """Print the result; return the exit code."""
    reasons = listed()
    unexplained = [mutant for mutant in survivors if mutant.name not in reasons]
    alive = {mutant.name for mutant in survivors}
    wrong = []
    if options.sample is None:
        modules = tuple(total)
        ours = [name for name in reasons if name.split(":")[0].split(".")[0] in modules]
        wrong += ["listed in %s, but not alive: %s" % (SURVIVORS.name, n) for n in ours if n not in alive]
        wrong += [
            "%s: %.1f %% killed, less than %.0f %%" % (name, 100 * killed[name] / total[name], LIMIT_PERCENT)
            for name in modules
            if 100 * killed[name] < LIMIT_PERCENT * total[name]
        ]
    for mutant in sorted(survivors, key=lambda m: (m.module, m.line)):
        reason = reasons.get(mutant.name, "NOT EXPLAINED")
        print("firmware/%s.py:%d: %s\n    %s" % (mutant.module, mutant.line, mutant.name, reason))
    print(table(total, killed))
    for line in wrong:
        print(line)
    if unexplained:
        print("%d survivors have no reason in %s" % (len(unexplained), SURVIVORS.name))
    if options.record:
        for name in (*total, "all"):
            n = total[name] if name in total else sum(total.values())
            k = killed[name] if name in total else sum(killed.values())
            percent = round(100 * k / n, 1)
            title = "mutation score, " + name
            figures.record(title, percent, "%", LIMIT_PERCENT, LIMIT_PERCENT, COMMAND, options.commit)
    return 1 if unexplained or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
