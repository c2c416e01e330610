"""Sets up every test run: portable tests, seed and counts, and what happens where a program is missing."""

import gc
import os
import shutil
from pathlib import Path

import hypothesis
import pytest

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)
from host_sim.importer import ROOT
from tests import counts
from tests.portable_items import PORTABLE, RUNTIMES_KEY, PortableFile, Runtimes
from tools.runtime import RuntimeSettingError, micropython

hypothesis.settings.register_profile(
    "pinter",
    max_examples=counts.EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("pinter")


# Long files, about the longest first. Workers take files in this order (`--dist loadfile`): a long one at
# the end would leave the other workers without work.
LONG = (
    "host/test_bootstrap.py",
    "host/test_store_service.py",
    "host/test_office_kill.py",
    "host/test_chaos.py",
    "host/test_office_lease.py",
    "host/test_bridge.py",
    "host/test_technician.py",
    "host/test_office_gate.py",
    "host/test_office_api_schema.py",
    "host/test_mutation_sample.py",
    "host/test_types.py",
    "host/test_virtual_board.py",
    "host/test_office_api_server.py",
    "host/test_gate_starts.py",
    "host/test_board_doctor.py",
    "host/test_board_provision.py",
    "host/test_board_flash.py",
    "host/test_stories.py",
    "host/test_stories_slow_board.py",
    "host/test_update_cuts.py",
    "host/test_update_link.py",
    "host/test_update_usb.py",
    "host/test_bench_sync.py",
    "host/test_bench_report.py",
    "host/test_office_serve.py",
    "host/test_office_serve_mosquitto.py",
    "host/test_office_machine.py",
    "host/test_soak.py",
    "host/test_office_report_week.py",
    "host/test_sync_session.py",
    "host/test_sync_model.py",
    "host/test_link_fuzz.py",
    "host/test_sync_fuzz.py",
    "host/test_board_replace.py",
    "host/test_board_backup.py",
    "host/test_readme.py",
    "host/test_demo.py",
    "host/test_sim_web.py",
    "system/test_office_pages.py",
    "system/test_sim_web_page.py",
)

# Files whose tests run programs on this machine's clock: boards on a serial line, brokers, servers, browsers.
# What takes the processor away from them for a second can fail them, so they have a second try, and the run
# says who needed it ("rerun"). Everything else runs in virtual time and has one.
REAL_TIME = (
    "host/test_bench_sync.py",
    "host/test_board_backup.py",
    "host/test_board_doctor.py",
    "host/test_board_flash.py",
    "host/test_board_provision.py",
    "host/test_board_replace.py",
    "host/test_board_session.py",
    "host/test_bridge.py",
    "host/test_card_encoder.py",
    "host/test_chaos.py",
    "host/test_link_iotcore.py",
    "host/test_link_mosquitto.py",
    "host/test_mqtt_peers.py",
    "host/test_office_api_acts.py",
    "host/test_office_api_server.py",
    "host/test_office_gate.py",
    "host/test_office_kill.py",
    "host/test_office_lease.py",
    "host/test_office_mqtt_client.py",
    "host/test_office_serve.py",
    "host/test_office_serve_mosquitto.py",
    "host/test_office_serve_panels.py",
    "host/test_office_turns.py",
    "host/test_packages.py",
    "host/test_readme.py",
    "host/test_sim_web.py",
    "host/test_technician.py",
    "host/test_update_usb.py",
    "host/test_virtual_board.py",
    "system/test_desk_and_gate.py",
    "system/test_office_pages.py",
    "system/test_report_pages.py",
    "system/test_sim_web_page.py",
)
_REAL_TIME = {ROOT / "tests" / name for name in REAL_TIME}


def has_micropython() -> bool:
    """Return True if tests may start a MicroPython; RUNTIME=cpython in the environment forbids it."""
    return os.environ.get("RUNTIME") != "cpython" and micropython() is not None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Fix the seed; refuse to start without MicroPython unless that was asked for."""
    config.option.loadscopereorder = False  # of xdist: it would put files with few tests last, however long
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(counts.SEED)
    runtime = os.environ.get("RUNTIME", "")
    if runtime not in ("", "cpython"):
        raise pytest.UsageError("RUNTIME=%s: only RUNTIME=cpython is a choice for tests" % runtime)
    try:
        found = micropython()
    except RuntimeSettingError as error:
        raise pytest.UsageError(str(error)) from error
    if found is None and runtime != "cpython":
        raise pytest.UsageError(
            "there is no MicroPython on this machine: set MICROPYTHON=/path/to/micropython, or "
            "RUNTIME=cpython to run only the tests that need none"
        )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Prepare the runtimes of the portable tests; nothing is compiled before the first of them runs."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # pyright: ignore[reportAttributeAccessIssue]
    session.config.stash[RUNTIMES_KEY] = Runtimes(factory.getbasetemp() / "portable")


def pytest_report_header() -> list[str]:
    """Say which counts, seed and MicroPython this run has."""
    return [counts.describe(), "micropython: %s" % (micropython() if has_micropython() else "none")]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect files of tests/portable without importing them."""
    if module_path.is_relative_to(PORTABLE):
        return PortableFile.from_parent(parent, path=module_path)
    return None


def missing(item: pytest.Item) -> str | None:
    """Return what `item` needs and this machine has not, in words, or None."""
    for marker in item.iter_markers("requires_program"):
        name = marker.args[0]
        if shutil.which(name) is None:
            return "needs the program %s (Debian package %s)" % (name, marker.kwargs.get("package", name))
    if item.get_closest_marker("requires_micropython") and not has_micropython():
        return "needs MicroPython"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests their groups (`system`) and second tries (`REAL_TIME`); long files go first."""
    for item in items:
        if item.path in _REAL_TIME:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.get_closest_marker("requires_program"):
            item.add_marker("system")
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_collection_finish() -> None:
    """Take the thousands of tests out of the sight of the garbage collector: they stay until the end."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Do not run a test whose program is missing, and say so; where CI is set, that is a failure."""
    reason = missing(item)
    if reason is None:
        return
    if os.environ.get("CI") == "true" and os.environ.get("RUNTIME") != "cpython":
        pytest.fail("CI must have everything: this test %s" % reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run, and how many needed a second try; lists stand above."""
    again = len(terminalreporter.stats.get("rerun", []))
    if again:
        terminalreporter.write_line(
            "tried again after a failure: %d (see the list above)" % again, yellow=True
        )
    left_out = len(terminalreporter.stats.get("skipped", []))
    if left_out:
        terminalreporter.write_line("%d tests did not run (see the reasons above)" % left_out, yellow=True)
