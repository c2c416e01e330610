"""Runs the tests of a module against its mutants: one forked process for each, a few at a time.

A child changes its own copy of the tree and ends with the first test that fails. It is limited in processor
time (not in time on the clock: other work on the machine changes no result) and in memory; what goes beyond
is killed.
"""

import gc
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator

import hypothesis
from hypothesis import strategies

from tests.mutation.operators import Mutant
from tests.mutation.suite import Snapshot

MEMORY = 4 << 30
_SURVIVED, _KILLED = 0, 1
Times = dict[str, float]
_PATIENCE = 20  # times the processor time of the test on the unchanged module
_SHORTEST_S = 0.25
_IMPORT_S = 2.0


def prepare(examples: int) -> None:
    """Make the random cases of the tests the same in every run, and this process a good one to fork."""
    hypothesis.settings.register_profile(
        "mutation",
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")
    hypothesis.given(strategies.integers())(lambda _: None)()  # its lazy imports
    gc.collect()
    gc.freeze()


def baseline(snapshot: Snapshot, module: str) -> Times:
    """Return {test: s of processor time} for the unchanged `module`; raise RuntimeError if a test fails."""
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(receive)
        name, status = "import", 0
        try:
            snapshot.install()
            times = {}
            for name, test in snapshot.tests(module):
                start = time.process_time()
                test()
                times[name] = time.process_time() - start
            text = json.dumps(times)
        except BaseException as error:  # noqa: BLE001
            status, text = 1, "%s: %s: %r" % (module, name, error)
        with os.fdopen(send, "w") as pipe:
            pipe.write(text)
        os._exit(status)
    os.close(send)
    with os.fdopen(receive) as pipe:
        text = pipe.read()
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("without any change a test fails: %s" % text)
    return json.loads(text)


def run(
    snapshot: Snapshot, chosen: Iterable[Mutant], times: dict[str, Times], jobs: int
) -> Iterator[tuple[Mutant, bool]]:
    """Yield (mutant, whether it survived) in the order in which they end. `times`: of `baseline`."""
    running: dict[int, Mutant] = {}
    for mutant in chosen:
        while len(running) >= jobs:
            yield _wait(running)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _child(snapshot, mutant, times[mutant.module])
        running[pid] = mutant
    while running:
        yield _wait(running)


def _wait(running: dict[int, Mutant]) -> tuple[Mutant, bool]:
    pid, status = os.wait()
    return running.pop(pid), status == _SURVIVED


def _child(snapshot: Snapshot, mutant: Mutant, times: Times) -> None:
    """Apply `mutant`, run the tests, and end this process with the result."""
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, _IMPORT_S)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        random.seed(0)
        mutant.apply()
        snapshot.recompile(mutant.module)
        snapshot.install()
        for name, test in snapshot.tests(mutant.module):
            signal.setitimer(signal.ITIMER_VIRTUAL, max(_SHORTEST_S, _PATIENCE * times[name]))
            test()
            signal.setitimer(signal.ITIMER_VIRTUAL, _IMPORT_S)
        os._exit(_SURVIVED)
    except BaseException:  # noqa: BLE001  (whatever a test raises is its result)
        os._exit(_KILLED)
