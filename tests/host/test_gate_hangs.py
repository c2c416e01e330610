"""The relay releases when the firmware hangs in mid-pulse, in virtual time and in real time."""

import os
import pathlib
import signal
import time

import pytest

from tests.host.gate_bench import changed_firmware, running

SECOND = 1_000_000
PULSE = "self.hardware.relays[effect[1] == OUT].pulse(self.site.pulse_ms)\n"
WATCHDOG_ARMED_US = 14 * SECOND
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))


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
