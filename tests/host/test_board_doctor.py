"""`pinter board doctor` on the virtual board: a gate that is well, and every fault named with its remedy.

Several faults that know nothing of each other share one board and one examination.
"""

import json
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from host_sim.board import Running
from host_sim.scenario import stage
from tests.host import board_bench
from tests.host.board_bench import BOARD, fresh_list, gate, pinter_board
from tools.board import definition, doctor, doctor_words

pytestmark = pytest.mark.requires_micropython

WIFI = {"broker": "127.0.0.1", "port": 1, "tls": "none", "wifi": {"ssid": "Gerbang"}}
Report = dict[str, dict[str, Any]]


def examined(board: Running, *arguments: str, code: int = 1) -> Report:
    """Return the findings of the doctor by check; it ends with exit code `code`."""
    done = pinter_board("doctor", "--port", board.link, "--json", "--yes", *arguments)
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    rows: Report = {}
    for row in found["findings"]:
        rows.setdefault(row["check"], row)
    return rows


def failing(rows: Report) -> dict[str, str]:
    """Return {check: code} of what fails."""
    return {check: row["code"] for check, row in rows.items() if row["level"] == "fail"}


def deaf(board: Running, direction: str, level: int = 0xFF) -> None:
    """Take the reader away: nobody drives MISO."""
    board.hardware.chips[direction].transfer = lambda mosi: bytes((level,)) * len(mosi)


def spoiled(board: Running, direction: str, spoil: Any) -> None:
    chip = board.hardware.chips[direction]
    transfer = chip.transfer
    chip.transfer = lambda mosi: spoil(mosi, transfer)


def loses_bits(mosi: bytes, transfer: Any) -> bytes:
    """A shorted data wire: bit 2 of what the FIFO gives is always low."""
    miso = transfer(mosi)
    return miso[:1] + bytes([miso[1] & 0xFB]) if mosi[0] == 0x92 else miso


def no_antenna(mosi: bytes, transfer: Any) -> bytes:
    """The transmitters do not switch on: TxControlReg keeps its reset value."""
    return transfer(b"\x28\x80" if mosi[:1] == b"\x28" else mosi)


# --- a gate that is well


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gate(tmp_path_factory.mktemp("well"), bundle=fresh_list()) as board:
        yield board


def test_a_gate_that_is_well_passes_and_runs_afterwards(well: Running) -> None:
    well.wait_for_service()
    assert (flash := well.hardware.image("list"))[:4] == b"PNTB", "the first list is on flash"
    rows = examined(well, code=0)
    assert failing(rows) == {}
    assert {row["level"] for row in rows.values()} <= {"ok", "skipped"}, "no warning either"
    assert set(rows) >= {"service", "runtime", "partitions", "files", "application", "config", "keys", "list"}
    assert set(rows) >= {
        "journal",
        "heap",
        "clock",
        "clock_chip",
        "reader_in.fifo",
        "reader_out.antenna",
        "fire",
    }
    for relay in ("relay_in", "relay_out"):
        pulses = [(at, f["level"]) for at, kind, f in well.events if kind == "output" and f["name"] == relay]
        held = [off[0] - on[0] for on, off in zip(pulses[::2], pulses[1::2], strict=True)]
        assert held and held[-1] == 400_000 and all(us < 50_000 for us in held[:-1]), (
            "one pulse, no other opening"
        )
    well.wait_for_service()
    assert well.hardware.image("list") == flash, "the doctor changes nothing"


def test_without_yes_and_without_a_person_no_relay_moves(well: Running) -> None:
    well.wait_for_service()
    before = len(well.events)
    done = pinter_board("doctor", "--port", well.link, "--lang", "id")
    assert done.exit_code == 0, done.output
    assert "relai masuk" in done.output and "pintu akan bergerak" in done.output
    assert "Semua baik" in done.output
    moved = [f for _, kind, f in well.events[before:] if kind == "output" and f["name"].startswith("relay")]
    assert moved == []
    well.wait_for_service()


# --- faults, each on a board with others

HARDWARE = {
    "reader_in.version": "reader_version_bad",
    "relay_in": "relay_open",
    "relay_out": "relay_short",
    "fire": "fire_on",
    "tamper": "tamper_on",
    "sensor_out": "sensor_on",
    "guard_in": "guard_on",
    "clock_chip": "rtc_missing",
    "clock": "clock_untrusted",
    "list": "list_missing",
}
STORES = {
    "reader_in.fifo": "reader_fifo_bad",
    "reader_out.antenna": "reader_antenna_bad",
    "list": "list_expired",
    "journal": "journal_damaged",
    "clock_chip": "rtc_wrong",
    "clock": "clock_wrong",
    "broker": "broker_refused",
    "link": "link_down",
}
IDENTITY = {
    "service": "service_fault",
    "runtime": "runtime_old",
    "keys": "key_missing",
    "config": "config_bad",
    "board": "board_other",
    "application": "application_damaged",
    "clock_chip": "rtc_unused",
}
OTHERS = {
    "network": "network_none",
    "clock_chip": "rtc_stopped",
    "config": "config_board",
}


@pytest.fixture(scope="module")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """No entry reader, a clone as exit reader, relay wires, inputs, no clock chip, no list."""
    with gate(tmp_path_factory.mktemp("hardware")) as board:
        deaf(board, "in")
        board.hardware.chips["out"]._version = 0x12
        board.hardware.clock_chip.fitted = False
        board.hardware.loose = {"relay_in"}
        board.hardware.shorted = {"relay_out": 0}
        for name in ("fire", "tamper", "sensor_out", "guard_in"):
            board.set_input(name, True)
        board.wait_for_service()
        return examined(board)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A FIFO that loses bits, no antenna, old list, changed record, wrong time, nobody at the broker."""

    def change(data: bytearray) -> None:
        data[32 + 90 * 32 + 20] ^= 4  # in record 91

    damaged = board_bench.journal_image(stage.gate_key("A"), 200, change)
    old = fresh_list(issued=int(time.time()) - 3 * 86400)
    broker = socket.create_server(("127.0.0.1", 0))
    broker.settimeout(60)
    settings = {"network": WIFI | {"port": broker.getsockname()[1]}}
    spoil = {"pinter/wifi_password": b"rahasia kami"}
    with gate(
        tmp_path_factory.mktemp("stores"),
        settings=settings,
        bundle=old,
        journal=damaged,
        change=lambda files, nvs: nvs.update(spoil),
    ) as board:
        spoiled(board, "in", loses_bits)
        spoiled(board, "out", no_antenna)
        board.do(board.hardware.clock_chip.set_unix, round((time.time() + 7200) * 1_000_000))
        with broker:
            for _ in range(2):  # who tries a second time knows that the first one was in vain
                broker.accept()[0].close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(doctor, "_SETTLED_MS", 0)  # that is all that it waits for
            return examined(board)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """An old MicroPython, another board's pins, a module that is no module, a bad config, no gate key."""

    def change(files: dict[str, bytes], nvs: dict[str, bytes]) -> None:
        files["boot.py"] = b"import sys\nclass Old: version = (1, 28, 0, '')\nsys.implementation = Old\n"
        files["board.py"] = files["board.py"].replace(b"BUZZER = 13", b"BUZZER = 15")
        (name,) = [name for name in files if name.endswith("firmware/sync.mpy")]
        files[name] = b"no module"
        del nvs["pinter/gate_key"]

    config = json.dumps({"site": "SIM", "gate": "A", "board": BOARD, "pulse_ms": 40})
    with gate(tmp_path_factory.mktemp("identity"), config=config, change=change) as board:
        board.wait_for_service()
        return examined(board)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """No Wi-Fi password, a clock chip whose battery was empty, a config for another board."""
    with gate(
        tmp_path_factory.mktemp("others"),
        settings={"network": WIFI, "board": "esp32_s3_devkitc1"},
        bundle=fresh_list(),
    ) as board:
        board.do(board.hardware.clock_chip.lose)
        board.wait_for_service()
        return examined(board)


@pytest.mark.parametrize(
    "fixture,check,code",
    [
        (name, check, code)
        for name, table in (
            ("hardware", HARDWARE),
            ("stores", STORES),
            ("identity", IDENTITY),
            ("others", OTHERS),
        )
        for check, code in table.items()
    ],
)
def test_a_fault_is_named_with_its_remedy(request: Any, fixture: str, check: str, code: str) -> None:
    rows = request.getfixturevalue(fixture)
    assert rows[check]["code"] == code, rows[check]
    assert rows[check]["remedy"] == doctor_words.remedy(code, "en") != ""
    assert rows[check]["text"] == doctor_words.found(code, rows[check]["facts"], "en")


def test_only_the_faults_fail(hardware: Report) -> None:
    assert set(failing(hardware)) == set(HARDWARE)


def test_a_clone_is_a_warning(hardware: Report) -> None:
    assert hardware["reader_out.version"]["level"] == "warning"
    assert "0x12" in hardware["reader_out.version"]["text"]
    assert hardware["reader_out.fifo"]["level"] == "ok"


def test_facts_say_where(stores: Report, identity: Report, hardware: Report) -> None:
    assert stores["journal"]["facts"][0] == 91
    assert identity["config"]["facts"] == ["pulse_ms: must be a whole number from 100 to 5000"]
    assert identity["keys"]["facts"] == ["gate_key"]
    assert identity["application"]["facts"][0].endswith("firmware/sync.mpy")
    assert hardware["relay_out"]["facts"] == [27, "GND"]
    assert 7100 < stores["clock_chip"]["facts"][0] < 7300


def test_a_damaged_file_system_with_another_gates_journal_is_examined_all_the_same(
    tmp_path: pathlib.Path,
) -> None:
    with gate(tmp_path, bundle=fresh_list()) as board:
        board.wait_for_service()
    with (tmp_path / "board.flash").open("r+b") as file:
        file.seek(board_bench.partition("vfs").offset)
        file.write(b"\x00" * 8192)
        file.seek(board_bench.partition("journal").offset)
        file.write(board_bench.journal_image(bytes(32), 10))
    with board_bench.running(tmp_path) as board:
        rows = examined(board, "--board", BOARD)
    assert rows["service"]["code"] == "service_absent"
    assert rows["files"]["code"] == "vfs_damaged" and "--" not in rows["files"]["text"]
    assert rows["board"]["code"] == "board_missing"
    assert rows["application"]["code"] == "application_missing"
    assert rows["config"]["code"] == "config_bad" and "is missing" in rows["config"]["text"]
    assert rows["journal"]["code"] == "journal_foreign"
    assert rows["keys"]["code"] == "keys_ok", "NVS lies elsewhere"
    assert rows["reader_in.fifo"]["level"] == "ok", "the pins come from --board"


def test_a_port_that_is_none_is_one_line_and_exit_code_2(tmp_path: pathlib.Path) -> None:
    for port in (tmp_path / "nothing", tmp_path):
        done = pinter_board("doctor", "--port", port)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {port}: cannot be opened") and "Traceback" not in done.output


# --- words


def test_every_finding_has_words_in_both_languages() -> None:
    for code, ((found_id, found_en), (do_id, do_en)) in doctor_words.FINDINGS.items():
        assert found_id and found_en, code
        assert bool(do_id) == bool(do_en), code
        for number in range(3):
            field = "{%d}" % number
            assert (field in found_id) == (field in found_en), code


def test_every_code_that_can_be_found_has_words() -> None:
    import re

    sources = [*(definition.ROOT / "firmware").glob("doctor*.py"), definition.ROOT / "tools/board/doctor.py"]
    named = set()
    for path in sources:
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'(?:OK|WARNING|ERROR|SKIPPED), "([a-z_0-9]+)"', text))
    assert len(named) > 30
    assert named - set(doctor_words.FINDINGS) - {"reader_", "rtc_"} == set()
