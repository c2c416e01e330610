"""`pinter board provision` on the virtual board: MicroPython, the firmware, and mpremote as they are."""

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from host_sim.board import Running, running
from host_sim.scenario import stage
from tests.counts import SEED, count
from tests.host import flash_bench, gate_bench
from tests.host.test_provisioning_record import EXAMPLE
from tests.host.test_virtual_board import file_system
from tools.board import definition, files, provision, record, session
from tools.cli.board import group

pytestmark = [pytest.mark.requires_micropython, pytest.mark.usefixtures("code")]

BOARD = definition.load("esp32_devkitc")
KEYS = {"site_key": bytes(range(32)), "gate_key": bytes(range(100, 132))}
SETTINGS = {
    **{name: value for name, value in json.loads(EXAMPLE)["config"].items() if name != "network"},
    "min_tier": "uid",
}


@pytest.fixture(scope="module")
def code() -> Iterator[dict[str, bytes]]:
    """The files of a board, compiled once for all tests."""
    made = files.code(BOARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "code", lambda board: made)
        yield made


def write_record(path: Path, change: Callable[[dict[str, Any]], object] = lambda obj: None) -> Path:
    """Write a record of a gate without a network to `path`, changed by `change`."""
    obj: dict[str, Any] = {"format": 1, "config": copy.deepcopy(SETTINGS)}
    obj["nvs"] = {name: value.hex() for name, value in KEYS.items()}
    change(obj)
    path.write_text(json.dumps(obj))
    path.chmod(0o600)
    return path


def run(path: Path, board: Running, *more: object) -> Result:
    """Return what `pinter board provision` did; no secret may be in what it says."""
    arguments = ["provision", str(path), "--port", str(board.link), *map(str, more)]
    result = CliRunner().invoke(group, arguments)
    assert "Traceback" not in result.output
    for value in KEYS.values():
        assert value.hex() not in result.output
    return result


def line_of(result: Result) -> str:
    """Return the one line with which a command refuses."""
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def contents(board: Running) -> dict[str, bytes]:
    """Return the files of a board, as another implementation of LittleFS reads them from its flash."""
    system = file_system(board.image)
    found = {}
    for folder, _, names in system.walk("/"):
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            with system.open(path, "rb") as file:
                found[path] = file.read()
    return found


def assert_gate(board: Running, code: dict[str, bytes], path: Path) -> None:
    """Check that the board has all that the record says, and nothing else that could run."""
    there = contents(board)
    wanted = code | record.load(path).files
    assert {name: there.get(name) for name in wanted} == wanted
    assert set(there) - set(wanted) <= {"boot.py", "list.bundle"}, "nothing is left over"
    secrets = {name.removeprefix("pinter/"): value for name, value in board.hardware.nvs.items()}
    assert secrets == record.load(path).nvs


def test_a_blank_board_becomes_a_gate_and_the_second_time_nothing_is_sent(
    code: dict[str, bytes], tmp_path: Path
) -> None:
    path = write_record(tmp_path / "gate.json")
    bundle = tmp_path / "first.bundle"
    with running(tmp_path, heap="192k") as board:
        result = run(path, board)
        assert result.exit_code == 0, result.output
        assert f"{len(code) + 1} of {len(code) + 1} files sent" in result.stdout
        assert "gate A of JKT-SELATAN is in service" in result.stdout
        assert_gate(board, code, path)

        before = board.do(board.hardware.flash.contents)
        vfs = board.hardware.partition("vfs")
        result = run(path, board)
        assert result.exit_code == 0 and "nothing was sent" in result.stdout
        after = board.do(board.hardware.flash.contents)
        assert after[vfs.offset : vfs.offset + vfs.size] == before[vfs.offset : vfs.offset + vfs.size]

        # one file of the code, and settings alone
        board.do(_break, board, "a/firmware/lane.mpy")
        result = run(path, board)
        assert "1 of " in result.stdout and "(a/firmware/lane.mpy)" in result.stdout, result.output
        assert "keys: as they were" in result.stdout
        assert_gate(board, code, path)
        write_record(path, lambda obj: obj["config"].update(occupancy_max=41))
        result = run(path, board)
        assert "(config.json)" in result.stdout and "erased" not in result.stdout, result.output
        assert_gate(board, code, path)
        bundle.write_bytes(b"a list")
        result = run(path, board, "--list", bundle)
        assert "(list.bundle)" in result.stdout and result.exit_code == 0, result.output


def _break(board: Running, name: str) -> None:
    board.hardware.flash.put_files(board.hardware.partition("vfs"), {name: b"other"})


def test_a_card_opens_the_lane_of_a_board_that_was_flashed_and_provisioned(
    code: dict[str, bytes], tmp_path: Path
) -> None:
    stock = tmp_path / "micropython.bin"
    stock.write_bytes(flash_bench.image())
    with flash_bench.Chip() as chip:
        result = CliRunner().invoke(group, ["flash", str(stock), "--port", chip.url])
        assert result.exit_code == 0, result.output
        (tmp_path / "board.flash").write_bytes(chip.flash)
    made = stage.provisioned("A", {"min_tier": "uid", "rtc": True}, None)
    keys = {name.removeprefix("pinter/"): value for name, value in made["keys"].items()}

    def as_staged(obj: dict[str, Any]) -> None:
        obj["config"] = made["config"]
        obj["nvs"] = {name: value.hex() for name, value in keys.items()}

    path = write_record(tmp_path / "gate.json", as_staged)
    bundle = tmp_path / "first.bundle"
    bundle.write_bytes(gate_bench.the_list(issued=int(time.time()) - 3600))
    with running(tmp_path) as board:
        result = run(path, board, "--list", bundle)
        assert result.exit_code == 0, result.output
        sent = result.stdout.splitlines()[0]
        assert sent.startswith("2 of "), "the code is there already: " + sent
        board.wait_for_service()
        begun = len(board.events)
        card = board.enter(gate_bench.UID)
        board.wait_for(lambda: "grant" in _records(board, begun), "the gate after it was looked at")
        board.leave(card)
        doctor = group.get_command(click.Context(group), "doctor")
        assert doctor is not None
        result = CliRunner().invoke(group, ["doctor", "--port", str(board.link), "--yes", "--json"])
        assert result.exit_code == 0, result.output
        board.wait_for_service()
        begun = len(board.events)
        card = board.enter(gate_bench.UID)
        board.wait_for(lambda: "grant" in _records(board, begun), "a grant")
        board.wait_for(
            lambda: any(
                kind == "output" and fields == {"name": "relay_in", "level": 1}
                for _, kind, fields in board.events[begun:]
            ),
            "the relay",
        )
        board.leave(card)


def _records(board: Running, begun: int = 0) -> list[str]:
    return [fields["record"].type for _, kind, fields in board.events[begun:] if kind == "journal"]


def test_another_key_erases_list_and_journal(code: dict[str, bytes], tmp_path: Path) -> None:
    path = write_record(tmp_path / "gate.json")
    with running(tmp_path) as board:
        assert run(path, board).exit_code == 0
        for name in ("list", "journal"):
            part = board.hardware.partition(name)
            last = (part.offset + part.size) // 4096 - 1
            board.do(board.hardware.flash.erase, last)
            board.do(board.hardware.flash.program, last * 4096, b"old")
        write_record(path, lambda obj: obj["nvs"].update(site_key="77" * 32))
        result = run(path, board)
        assert "keys: site_key." in result.stdout, result.output
        assert board.hardware.flash.read(last * 4096, 3) == b"old"
        write_record(path, lambda obj: obj["nvs"].update(site_key="77" * 32, gate_key="88" * 32))
        result = run(path, board)
        assert "keys: gate_key; list and journal erased." in result.stdout, result.output
        assert result.exit_code == 0
        for name in ("list", "journal"):
            part = board.hardware.partition(name)
            assert board.hardware.flash.read(part.offset + part.size - 4096, 3) == b"\xff" * 3
        assert_gate(board, code, path)


def test_what_a_record_has_no_more_goes_away(code: dict[str, bytes], tmp_path: Path) -> None:
    def with_network(obj: dict[str, Any]) -> None:
        obj["config"]["network"] = {"broker": "127.0.0.1", "tls": "ca", "wifi": {"ssid": "x"}}
        obj["nvs"] |= {"wifi_password": "61" * 10, "release_key": "99" * 32}
        obj["ca"] = "3082"

    path = write_record(tmp_path / "gate.json", with_network)
    with running(tmp_path) as board:
        run(path, board)
        assert_gate(board, code, path)
        with session.session(str(board.link)) as talk:
            for name in ("b/firmware/app.mpy", "a/firmware/gone.mpy", "slot", "b.pack"):
                talk.run("import os\nif 'b' not in os.listdir('/'): os.mkdir('/b'); os.mkdir('/b/firmware')")
                talk.run(f"with open('/{name}', 'w') as f: f.write('x')")
        write_record(path)
        result = run(path, board)
        assert result.exit_code == 0 and "5 removed" in result.stdout, result.output
        assert_gate(board, code, path)


# --- what cannot be
# -----------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_the_record_is_said_and_the_board_left_alone(tmp_path: Path) -> None:
    path = write_record(tmp_path / "gate.json")
    with running(tmp_path) as board:
        board.wait_for(lambda: any(kind == "boot" for _, kind, _ in board.events), "the start")
        for change, message in (
            (lambda p: p.chmod(0o640), "gate.json: can be read by others: chmod 600"),
            (lambda p: write_record(p, lambda obj: obj["nvs"].pop("gate_key")), "nvs.gate_key: is missing"),
            (lambda p: write_record(p, lambda obj: obj["config"].pop("site")), "config.site: is missing"),
            (
                lambda p: write_record(p, lambda obj: obj["config"].update(board="none")),
                "config.board: ",
            ),
            (lambda p: p.write_text("{"), "gate.json: record: not JSON"),
            (lambda p: p.unlink(), "gate.json: No such file"),
        ):
            change(path)
            assert message in line_of(run(path, board))
        write_record(path)
        assert "no.bundle: No such file" in line_of(run(path, board, "--list", tmp_path / "no.bundle"))
        assert [kind for _, kind, _ in board.events] == ["boot"], "nobody has touched the board"
        assert contents(board).keys() == {"boot.py"}


def test_a_board_of_another_kind_is_refused(code: dict[str, bytes], tmp_path: Path) -> None:
    other = write_record(tmp_path / "gate.json", lambda obj: obj["config"].update(board="esp32_s3_devkitc1"))
    with running(tmp_path) as board:
        assert "has not the flash layout of esp32_s3_devkitc1" in line_of(run(other, board))
        assert contents(board).keys() == {"boot.py"}
    with running(tmp_path, files={"board.py": b'NAME = "my_board"\n'}) as board:
        said = line_of(run(write_record(tmp_path / "gate.json"), board))
        assert "is an my_board, the record is for an esp32_devkitc: take the other one" in said
        assert contents(board).keys() == {"boot.py", "board.py"} and not board.hardware.nvs


def test_a_port_without_a_board_is_one_line(tmp_path: Path) -> None:
    path = write_record(tmp_path / "gate.json")
    result = CliRunner().invoke(group, ["provision", str(path), "--port", str(tmp_path / "nothing")])
    assert str(tmp_path / "nothing") in line_of(result)


def test_a_gate_that_does_not_come_into_service_is_said(
    code: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_record(tmp_path / "gate.json")
    with running(tmp_path) as board, monkeypatch.context() as patch:
        patch.setattr(provision, "_write_secrets", lambda *arguments: None)
        result = run(path, board)
        assert result.exit_code == 1
        assert "gate A of JKT-SELATAN is in fault: site_key" in result.stderr


def test_a_gate_that_is_changed_is_in_fault_until_all_of_it_is_there(
    code: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_record(tmp_path / "gate.json")
    with running(tmp_path) as board:
        assert run(path, board).exit_code == 0
        write_record(path, lambda obj: obj["nvs"].update(gate_key="88" * 32))

        def pulled(*arguments: Any) -> None:
            raise session.SessionError("the line was pulled")

        with monkeypatch.context() as patch:
            patch.setattr(provision, "_write_secrets", pulled)
            said = line_of(run(path, board))
        assert said == f"{board.link}: the line was pulled: run the same command again"
        with session.session(str(board.link)) as talk:
            report = talk.report_in_service()
        assert report is not None
        assert report.status["fault"] == "config.json: is missing: provision the board"
        result = run(path, board)
        assert result.exit_code == 0 and "0 of " in result.stdout, result.output
        assert_gate(board, code, path)


# --- the line is pulled, and the power with it
# -----------------------------------------------------------------------------------------------------


class _Line:
    """A serial port that breaks when `budget` bytes have been written to it; `broken()` is told once."""

    def __init__(self, port: Any, budget: int, broken: Callable[[], None]) -> None:
        self._port = port
        self._budget = budget
        self._broken = broken
        self.written = 0

    def __getattr__(self, name: str) -> Any:
        if name != "close" and self.written > self._budget:
            raise OSError("the line was pulled")
        return getattr(self._port, name)

    def write(self, data: bytes) -> int:
        if self.written <= self._budget:
            self.written += len(data)
            if self.written <= self._budget:
                return self._port.write(data)
            self._port.write(data[: self._budget - self.written])
            self._broken()
        raise OSError("the line was pulled")


def test_a_line_that_is_pulled_anywhere_leaves_a_board_that_the_same_command_completes(
    code: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lines = session.Transport, []
    budget = [10**9]

    def connected(port: str) -> Any:
        transport = real(port)
        transport.serial = _Line(transport.serial, budget[0], cut_power)
        lines.append(transport.serial)
        return transport

    def cut_power() -> None:
        board.do(board.board._on_reset, 1)  # whatever the interpreter is doing, it ends

    monkeypatch.setattr(session, "Transport", connected)
    chance = random.Random(SEED)
    path = tmp_path / "gate.json"
    with running(tmp_path) as board:
        write_record(path)
        assert run(path, board).exit_code == 0
        whole = lines[0].written
        for turn in range(count(4, 20)):
            # Every second time all of it, else another key over what is there.
            if turn % 2 == 0:
                with session.session(str(board.link)) as talk:
                    talk.refresh()
                    talk.run(_EMPTY)
                wanted = whole
            else:
                write_record(path, lambda obj, n=turn: obj["nvs"].update(gate_key="%02x" % n * 32))
                wanted = 4000
            budget[0] = chance.randrange(wanted)
            said = line_of(run(path, board))
            assert str(board.link) in said
            budget[0] = 10**9
            result = run(path, board)
            assert result.exit_code == 0, result.output
            assert_gate(board, code, path)


_EMPTY = """
import os
def clear(top):
    for row in list(os.ilistdir(top)):
        path = top + "/" + row[0]
        if row[1] & 0x4000:
            clear(path)
            os.rmdir(path)
        else:
            os.remove(path)
clear("")
"""
