"""A gate on Wi-Fi or Ethernet: it decides without a network, and comes back by itself when there is one."""

import pathlib
import re

import pytest

from host_sim import radio
from host_sim.hardware import HardwareError
from host_sim.importer import ROOT
from host_sim.shims.device import _ops as ops
from tests.host.gate_bench import changed_firmware
from tests.host.link_bench import LinkBench, linked

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
GAP_US = 100_000  # between two looks at a reader
BACK_S = 15  # docs/protocol.md: from the return of the access point to a connected gate
WIFI = {"wifi": {"ssid": "PINTER"}}
KEYS = {"pinter/wifi_password": b"correct horse"}


def opened_by(bench: LinkBench, at_us: int) -> None:
    """Assert that a card in the field at `at_us` has opened the gate in time."""
    ((on, level), (off, _)) = [change for change in bench.outputs("relay_in") if change[0] >= at_us]
    assert level == 1 and off - on == 400_000 and on - at_us < 120_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_gate_joins_the_network_of_its_config_and_connects(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path, network=WIFI, keys=KEYS) as bench:
        bench.until(12)
        assert bench.gate.hardware.radio.status == radio.GOT_IP and bench.link() == ""
        assert bench.broker.connected == ["SIM-A"]
        assert len(bench.gate.hardware.radio.joins) == 1
        assert bench.worst_gap_us <= GAP_US


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_the_access_point_the_gate_decides_and_connects_when_it_is_there(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path, network=WIFI, keys=KEYS) as bench:
        air = bench.gate.hardware.radio
        air.in_range = False
        bench.tap(9 * SECOND)
        bench.until(59.3)
        assert bench.link() == "Wi-Fi: not found" and bench.broker.connects == 0
        opened_by(bench, 9 * SECOND)
        assert 5 <= len(air.joins) <= 10, "neither in a hurry nor asleep"
        air.in_range = True
        bench.until(59.3 + BACK_S)
        assert bench.link() == "" and bench.broker.connected == ["SIM-A"]
        assert bench.worst_gap_us <= GAP_US and not bench.records("alarm")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_access_point_that_goes_and_comes_is_joined_again(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path, network=WIFI, keys=KEYS) as bench:
        air = bench.gate.hardware.radio
        bench.until(12)
        for _ in range(3):
            air.in_range = False
            start_us = bench.world.now
            bench.tap(start_us + 5 * SECOND)
            bench.world.run_for(40)
            assert bench.link() == "Wi-Fi: not found"
            opened_by(bench, start_us + 5 * SECOND)
            air.in_range = True
            bench.world.run_for(BACK_S)
            assert bench.link() == ""
        assert bench.worst_gap_us <= GAP_US and not bench.records("alarm")


def test_a_short_loss_of_the_radio_keeps_the_connection(tmp_path: pathlib.Path) -> None:
    with linked("cpython", tmp_path, network=WIFI, keys=KEYS) as bench:
        bench.until(12)
        bench.gate.hardware.radio.in_range = False
        bench.until(12.5)
        bench.gate.hardware.radio.in_range = True
        bench.until(30)
        assert bench.link() == "" and bench.broker.connects == 1


@pytest.mark.parametrize("password", [b"wrong horse", b"short", None, b"x" * 64, b"\xff" * 10])
def test_a_password_that_is_wrong_or_missing_is_named_and_costs_only_the_network(
    password: bytes | None, tmp_path: pathlib.Path
) -> None:
    keys = {} if password is None else {"pinter/wifi_password": password}
    with linked("cpython", tmp_path, network=WIFI, keys=keys) as bench:
        bench.tap(9 * SECOND)
        bench.until(20)
        expected = "Wi-Fi: wrong password" if password == b"wrong horse" else "wifi_password: no password of"
        link = bench.link()
        assert link is not None and link.startswith(expected)
        opened_by(bench, 9 * SECOND)
        status = bench.gate.status()
        assert status is not None and not status["fault"] and not bench.records("alarm")


def test_the_password_is_in_nvs_under_the_name_in_the_config(tmp_path: pathlib.Path) -> None:
    wifi = {"wifi": {"ssid": "PINTER", "password_key": "wifi-2"}}
    with linked("cpython", tmp_path, network=wifi, keys={"pinter/wifi-2": b"correct horse"}) as bench:
        bench.until(12)
        assert bench.link() == ""
        assert b"correct horse" not in b"".join(path.read_bytes() for path in bench.gate.home.glob("*.json"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reset_joins_again(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path, network=WIFI, keys=KEYS) as bench:
        bench.until(12)
        bench.gate.power_cut()
        bench.until(14)
        bench.gate.power_on()
        bench.until(26)
        assert bench.link() == "" and len(bench.gate.hardware.radio.joins) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_cable_is_used_pulled_and_plugged_in(runtime: str, tmp_path: pathlib.Path) -> None:
    firmware = changed_firmware(
        tmp_path / "board", "interface.py", lambda text: text.replace("board.ETHERNET", WIRES)
    )
    with linked(runtime, tmp_path, network={"ethernet": True}, firmware=firmware) as bench:
        air = bench.gate.hardware.radio
        air.chip = 102
        air.cable = False
        bench.tap(6 * SECOND)
        bench.until(12)
        assert bench.link() == "Ethernet: no cable, or no address"
        opened_by(bench, 6 * SECOND)
        air.cable = True
        bench.until(16)
        assert bench.link() == "" and bench.broker.connects == 1
        air.cable = False
        bench.until(40)
        assert bench.link() == "Ethernet: no cable, or no address"
        air.cable = True
        bench.until(46)
        assert bench.link() == "" and bench.broker.connects == 2
        assert bench.worst_gap_us <= GAP_US and not bench.records("alarm")


WIRES = '("w5500", {"cs": 0, "int": 38, "phy_addr": 0, "spi": (1, 12, 15, 2)})'


def test_a_board_without_ethernet_and_a_chip_that_is_dead_are_named(tmp_path: pathlib.Path) -> None:
    with linked("cpython", tmp_path / "none", network={"ethernet": True}) as bench:
        bench.until(8)
        assert bench.link() == "network.ethernet: esp32_devkitc has none"
    firmware = changed_firmware(
        tmp_path / "board", "interface.py", lambda text: text.replace("board.ETHERNET", WIRES)
    )
    with linked("cpython", tmp_path, network={"ethernet": True}, firmware=firmware) as bench:
        bench.tap(6 * SECOND)
        bench.until(8)
        assert bench.link() == "Ethernet: esp_eth_driver_install failed"
        opened_by(bench, 6 * SECOND)


def test_without_wifi_in_the_config_no_driver_is_loaded_and_no_radio_touched(tmp_path: pathlib.Path) -> None:
    asked: list[bytes] = []
    with linked("cpython", tmp_path) as bench:
        bench.gate.hardware._serve[ops.NETWORK] = lambda payload: asked.append(payload) or b"\0\0"
        bench.until(8)
        assert bench.link() == "" and asked == []


# No access point, ever: not after a failure, not for provisioning, not by a name that looks harmless.


@pytest.mark.requires_micropython
def test_the_world_stops_loudly_if_an_access_point_is_opened(tmp_path: pathlib.Path) -> None:
    firmware = changed_firmware(
        tmp_path / "open", "drivers/wifi.py", lambda text: text.replace("active(False)", "active(True)")
    )
    with (
        linked("micropython", tmp_path, network=WIFI, keys=KEYS, firmware=firmware) as bench,
        pytest.raises(HardwareError, match="opened an access point"),
    ):
        bench.until(8)


def test_the_only_access_point_in_the_source_is_the_one_that_is_switched_off() -> None:
    found = []
    for path in sorted((ROOT / "firmware").rglob("*.py")):
        found += re.findall(r".*(?:\bIF_AP\b|\bAP_IF\b|WLAN\(\s*1\s*\)).*", path.read_text(encoding="utf-8"))
    assert [line.strip() for line in found] == ["network.WLAN(network.WLAN.IF_AP).active(False)"]
