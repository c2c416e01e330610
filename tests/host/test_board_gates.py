"""Every board is a gate: the firmware with its own pins and flash layout lets a visitor in and out."""

import pytest

from tests.host.gate_bench import running
from tools.board import definition

SECOND = 1_000_000
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("board", definition.names())
def test_a_board_lets_in_and_out(board: str, runtime: str) -> None:
    with running(runtime, board=board, settings={"board": board, "rtc": True}) as bench:
        for start, direction in ((5, "in"), (12, "out")):
            bench.tap(start * SECOND, direction)
            bench.walk((start + 1) * SECOND, direction)
        bench.world.run_until(20 * SECOND)
        for name, start in (("relay_in", 5), ("relay_out", 12)):
            (on, off) = bench.outputs(name)
            assert (on[1], off[1]) == (1, 0)
            assert start * SECOND < on[0] < (start + 1) * SECOND
            assert off[0] - on[0] == 400_000
        assert [level for _, level in bench.outputs("lamp_green")][:2] == [1, 0]
        assert len(bench.outputs("buzzer")) == 4
        assert [record.type for record in bench.records("grant", "deny", "passage")].count("grant") == 2
        bench.gate.hardware.set_input("fire", True)
        bench.world.run_until(21 * SECOND)
        assert [bench.outputs(name)[-1][1] for name in ("relay_in", "relay_out")] == [1, 1]
