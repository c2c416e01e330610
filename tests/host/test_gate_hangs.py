"""Whatever hangs, the relay releases, the gate is back in its stated time, and the journal tells.

The times are those of docs/supervision.md.
"""

import os
import pathlib
import re
import signal
import time

import pytest

from firmware import crash, rtcmem
from firmware.policy import ALARMS
from host_sim.shims.device import _ops as ops
from tests.host.gate_bench import START, UID, Bench, changed_firmware, running, the_list
from tools.mpy import FIRMWARE

SECOND = 1_000_000
PULSE = "self.hardware.relays[effect[1] == OUT].pulse(self.site.pulse_ms)\n"
WATCHDOG_ARMED_US = 14 * SECOND
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))


OTHER = bytes.fromhex("04A1B2C3D4E5F7")


def resets(bench: Bench, *causes: int) -> list[int]:
    """Return when the gate was reset, for one of these causes or any."""
    return [
        at
        for at, kind, fields in bench.history
        if kind == "reset" and (not causes or fields["cause"] in causes)
    ]


def hang_after_pulse(folder: pathlib.Path, loop: str) -> pathlib.Path:
    """Return a firmware that hangs right after it has switched a relay on."""
    return changed_firmware(
        folder, "gate.py", lambda source: source.replace(PULSE, PULSE + " " * 16 + loop + "\n")
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_loop_that_watches_the_clock_neither_holds_the_relay_nor_the_gate(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    loop = "import time\n                while True: time.ticks_ms()"
    with running(runtime, firmware=hang_after_pulse(tmp_path, loop)) as bench:
        bench.world.run_until(WATCHDOG_ARMED_US)
        bench.tap(15 * SECOND)
        bench.world.run_until(40 * SECOND)
        (on, _), (off, level) = bench.outputs("relay_in")
        assert level == 0 and off - on == 400_000
        resets = [at for at, kind, fields in bench.history if kind == "reset" and fields["cause"] == 3]
        assert len(resets) == 1 and 0 < resets[0] - on <= 8 * SECOND, "the watchdog resets a gate that hangs"
        status = bench.gate.status()
        assert status is not None and status["trusted"], "back in service, with its clock"


@pytest.mark.requires_micropython
def test_a_loop_that_never_looks_up_neither_holds_the_relay_nor_the_gate(tmp_path: pathlib.Path) -> None:
    firmware = hang_after_pulse(tmp_path, "while True: pass")
    with running("micropython", firmware=firmware, hang_s=1.0) as bench:
        bench.world.run_until(WATCHDOG_ARMED_US)
        bench.tap(15 * SECOND)
        bench.world.run_until(40 * SECOND)
        (on, _), (off, level) = bench.outputs("relay_in")
        assert level == 0 and off - on == 400_000
        assert [kind for _, kind, _ in bench.history].count("reset") == 1
        assert bench.gate.status() is not None


@pytest.mark.requires_micropython
def test_the_relay_releases_in_real_time_though_the_process_is_stopped() -> None:
    with running("micropython", speed=1.0) as bench:
        stopped: list[float] = []

        def stop(at_us: int, kind: str, fields: dict) -> None:
            if kind == "output" and fields["name"] == "relay_in" and fields["level"] and not stopped:
                assert bench.gate.pid is not None
                os.kill(bench.gate.pid, signal.SIGSTOP)
                stopped.append(time.monotonic())

        bench.gate.on_event(stop)
        bench.tap(4_200_000)
        bench.world.run_until(5_500_000)
        assert stopped, "the tap must have opened the lane"
        (on, _), (off, level) = bench.outputs("relay_in")
        assert level == 0 and off - on == 400_000
        assert time.monotonic() - stopped[0] >= 0.4, "real time passed while the firmware was stopped"
        assert bench.gate.status() is None, "a stopped firmware reports nothing"


# --- the processor waits for hardware that never answers: within these times it is reset and back in service
FEEDS_US = 8 * SECOND  # the watchdog's time, docs/supervision.md
BACK_US = 4 * SECOND  # a boot


def wedge(bench: Bench, at_us: int, *operations: int) -> None:
    """Let these operations never end, from `at_us` until the reset."""
    bench.world.at(at_us, bench.gate.wedged.update, operations)


WEDGES = {"spi": (ops.SPI, ops.SPI_WRITE), "flash": (ops.FLASH_PROGRAM,), "relay": (ops.RMT_BUSY,)}


@pytest.mark.parametrize("what", WEDGES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_hardware_that_never_answers_neither_holds_the_relay_nor_the_gate(runtime: str, what: str) -> None:
    with running(runtime) as bench:
        bench.world.run_until(WATCHDOG_ARMED_US)
        bench.tap(15 * SECOND)
        bench.walk(15_200_000)
        wedge(bench, 15_100_000, *WEDGES[what])
        bench.world.run_until(15_100_000 + FEEDS_US + BACK_US + SECOND)
        (on, _), (off, level) = bench.outputs("relay_in")
        assert on < 15_100_000 and level == 0 and off - on == 400_000
        (reset,) = resets(bench, 3)
        assert 0 < reset - 15_100_000 <= FEEDS_US + 200_000
        assert bench.records("boot")[-1].reason == 3, "the journal tells by what it was reset"
        bench.tap(bench.world.now + SECOND, "out")
        bench.world.run_for(3)
        assert bench.records("grant")[-1].direction == 2, "in service"


@pytest.mark.parametrize("tls", ["none", "ca"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_never_answers_does_not_hold_the_gate(
    runtime: str, tls: str, tmp_path: pathlib.Path
) -> None:
    settings = {"network": {"broker": "broker.example", "tls": tls}}
    with running(runtime, settings=settings, heap="224k") as bench:
        (bench.gate.home / "ca.der").write_bytes(b"\x30\x00")
        bench.world.network.names["broker.example"] = "10.0.0.1"
        bench.world.run_until(WATCHDOG_ARMED_US)
        bench.tap(15 * SECOND)
        wedge(bench, 15_100_000, ops.SOCKET_CONNECT, ops.SOCKET_SEND, ops.SOCKET_RECV)
        bench.world.run_until(40 * SECOND)
        (on, _), (off, level) = bench.outputs("relay_in")
        assert level == 0 and off - on == 400_000
        assert len(resets(bench, 3)) == 1 and bench.gate.status() is not None


# --- one task hangs, is killed, or ends: it alone begins again

AGAIN_US = 6_500_000  # within which a task that hangs is at work again
ONCE = "if self._gate.clock.uptime_ms() > 15000 and not hasattr(asyncio, 'once'):\n"
# Task -> (file, the line of its loop before which it goes wrong, condition of its own)
TASKS = {
    "inputs": ("app.py", "            self._gate.tick()\n", ""),
    "reader in": ("app.py", "            uids = scanner.poll()\n", "if reader == 0:\n"),
    "reader out": ("app.py", "            uids = scanner.poll()\n", "if reader == 1:\n"),
    "housekeeping": ("app.py", "            pieces += 1\n", ""),
    "link": ("link.py", "            self._close()\n            begin = ticks_ms()\n", ""),
    "sntp": ("sntp.py", "                beat()\n                await asyncio.sleep_ms(_TURN_MS)\n\n", ""),
}
DEATHS = {
    "hangs": "await asyncio.sleep_ms(1 << 28)",
    "is killed": "raise asyncio.CancelledError",
    "fails": "raise MemoryError",
    "ends": "return",
}


# On MicroPython the one in which its asyncio has a part.
WHERE = [("cpython", death) for death in DEATHS] + [
    pytest.param("micropython", "hangs", marks=pytest.mark.requires_micropython)
]


def dying(folder: pathlib.Path, task: str, death: str) -> pathlib.Path:
    """Return a firmware in which `task` goes wrong once, 15 s after the start."""
    file, line, own = TASKS[task]
    indent = line[: -len(line.lstrip())]
    inserted = ""
    for clause in (own, ONCE):
        if clause:
            inserted += indent + clause
            indent += "    "
    inserted += f"{indent}asyncio.once = 1\n{indent}{DEATHS[death]}\n"
    return changed_firmware(folder, file, lambda source: source.replace(line, inserted + line, 1))


def test_every_task_that_is_started_has_a_name_in_the_journal() -> None:
    started = re.findall(r'\badd\("([^"]+)"', (FIRMWARE / "boot.py").read_text())
    assert set(started) == set(crash.TASKS) - {"", "start"}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("runtime", "death"), WHERE)
def test_a_task_that_goes_wrong_begins_again_and_stops_nothing_else(
    runtime: str, task: str, death: str, tmp_path: pathlib.Path
) -> None:
    settings = {"network": {"broker": "broker.example", "tls": "none", "sntp": "time.example"}}
    firmware = dying(tmp_path, task, death)
    with running(
        runtime, firmware=firmware, settings=settings, heap="224k", bundle=the_list(uids=(UID, OTHER))
    ) as bench:
        start = 1_500_000 + 15 * SECOND
        bench.tap(start + SECOND, "out" if task == "reader in" else "in")
        bench.tap(start + AGAIN_US + 4 * SECOND, "out" if task == "reader out" else "in", uid=OTHER)
        bench.world.run_until(start + AGAIN_US + 6 * SECOND)
        assert not resets(bench)
        status = bench.gate.status()
        assert status is not None and status["restarts"] == {task: 1}
        (record,) = bench.records("crash")
        assert crash.TASKS[record.reason] == task
        at_us = record.time * SECOND + record.ms * 1000 - START * SECOND
        assert at_us - start <= AGAIN_US if death == "hangs" else at_us - start < SECOND + 500_000
        assert [ALARMS[r.reason] for r in bench.records("alarm")] == ["task_restart"]
        assert status["crash"].startswith(f"task {task}, cause 1, uptime ")
        assert len(bench.records("grant")) == 2, "the other reader goes on meanwhile, both afterwards"


def test_a_task_that_cannot_be_ended_costs_a_reset(tmp_path: pathlib.Path) -> None:
    stubborn = (
        "            while self._gate.clock.uptime_ms() > 15000:\n"
        "                try:\n                    await asyncio.sleep_ms(1 << 28)\n"
        "                except asyncio.CancelledError:\n                    pass\n"
    )
    line = TASKS["housekeeping"][1]
    firmware = changed_firmware(tmp_path, "app.py", lambda source: source.replace(line, stubborn + line))
    with running("cpython", firmware=firmware) as bench:
        bench.world.run_until(1_500_000 + 15 * SECOND + FEEDS_US + 2_500_000 + BACK_US)
        (reset,) = resets(bench, 3)
        assert reset <= 1_500_000 + 15 * SECOND + 2 * SECOND + FEEDS_US + 200_000
        assert bench.gate.status() is not None


def test_a_task_that_fails_for_ever_is_told_ever_more_rarely_and_keeps_a_trial_from_being_healthy(
    tmp_path: pathlib.Path,
) -> None:
    line = "        now = self.clock.now()\n        if self.fault or"
    firmware = changed_firmware(
        tmp_path, "gate.py", lambda source: source.replace(line, "        raise ValueError('a bug')\n" + line)
    )
    with running("cpython", firmware=firmware) as bench:
        bench.world.run_until(200 * SECOND)
        status = bench.gate.status()
        assert status is not None
        n = status["restarts"]["housekeeping"]
        assert n > 30 and len(bench.records("crash")) == n.bit_length()
        assert rtcmem.unpack(bench.gate.hardware.rtc_memory)[0] == 1, "never healthy"
        assert not resets(bench)
