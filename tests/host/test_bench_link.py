"""`pinter bench link`: every trouble is tried and reported, and a loop that waits for the network is seen.

How long the waits are says the command; in virtual time test_link_virtual.py asserts it.
"""

import json
import pathlib

import pytest
from click.testing import CliRunner

from host_sim.bench import link
from tests.host.gate_bench import changed_firmware
from tools.cli.bench import group

pytestmark = pytest.mark.requires_micropython


def test_every_trouble_is_tried_while_the_readers_are_polled() -> None:
    done = CliRunner().invoke(group, ["link", "--seconds", "0.4", "--json"])
    rows = [link.Row(**row) for row in json.loads(done.stdout)["result"]]
    assert [row.trouble for row in rows] == [*[name for name, _ in link.TROUBLES], link.NO_NAME]
    assert all(row.polls > 0 and row.worst_ms > 0 for row in rows)
    connections = {row.trouble: row.connections for row in rows}
    assert connections["none"] == connections[link.NO_NAME] == 0
    assert done.exit_code == bool(link.over(rows)) and bool(done.stderr) == bool(link.over(rows))


def test_a_loop_that_waits_for_the_network_is_seen(tmp_path: pathlib.Path) -> None:
    slow = changed_firmware(
        tmp_path,
        "link.py",
        lambda text: text.replace(
            "        self._beat()\n", "        import time; time.sleep_ms(150); self._beat()\n"
        ),
    )
    rows = link.measure(0.5, link.TROUBLES[:1], slow)
    assert all(row.worst_ms > 150 for row in rows)
    assert [line.partition(":")[0] for line in link.over(rows)] == ["none", link.NO_NAME.partition(":")[0]]


def test_a_gate_that_ends_is_an_error_of_one_line(tmp_path: pathlib.Path) -> None:
    broken = changed_firmware(
        tmp_path, "app.py", lambda text: text.replace("import gc\n", "import gone\n", 1)
    )
    with pytest.raises(link.Ended, match="the firmware ended: ImportError: no module named 'gone'"):
        link.measure(0.3, link.TROUBLES[:1], broken)


def test_the_limit_is_100_ms() -> None:
    rows = [link.Row("none", 100.0, 5, 0), link.Row("drops", 100.1, 5, 0)]
    assert link.over(rows) == ["drops: 100.1 ms between two polls, limit 100"]
