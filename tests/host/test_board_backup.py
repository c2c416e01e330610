"""`pinter board logs --port`, `backup` and `restore` on virtual boards."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from host_sim.board import Running
from host_sim.scenario import stage
from tests.host import board_bench
from tests.host.board_bench import fresh_list, gate, pinter_board
from tools.board import backup
from tools.cli.main import pinter
from tools.office import journal_image

pytestmark = pytest.mark.requires_micropython

PINTER = pathlib.Path(sys.executable).parent / "pinter"
PATIENCE_S = 60


def key_file(folder: pathlib.Path, key: bytes) -> pathlib.Path:
    path = folder / "gate-A.key"
    path.write_text(key.hex() + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gate in service with a list and a few records."""
    with gate(tmp_path_factory.mktemp("gate"), bundle=fresh_list()) as running:
        running.wait_for(lambda: running.hardware.image("list")[:4] == b"PNTB", "the first list on flash")
        yield running


@pytest.fixture(scope="module")
def kept(board: Running, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("kept") / "gate-A.backup"
    done = pinter_board("backup", "--port", board.link, "--out", path)
    assert done.exit_code == 0, done.output
    assert "gate A of SIM, list 1, journal up to record" in done.output
    return path


# --- logs


def test_logs_reads_the_board_verifies_and_exports(board: Running, tmp_path: pathlib.Path) -> None:
    key, out = key_file(tmp_path, stage.gate_key("A")), tmp_path / "journal.bin"
    boots = board_bench.boots(board)
    done = pinter_board("logs", "--port", board.link, "--key", key, "--export", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["verified"] and found["ok"]
    assert "boot" in [record["type"] for record in found["records"]]
    board.wait_for(lambda: board_bench.boots(board) > boots, "the gate afterwards", PATIENCE_S)
    board.wait_for_service()
    again = pinter_board("logs", "--image", out, "--key", key, "--json")
    assert again.exit_code == 0 and json.loads(again.stdout) == found, "the export is an image"
    done = pinter_board("logs", "--port", board.link, "--export", out)
    assert done.exit_code == 2 and "exists already" in done.stderr


@contextlib.contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Yield a process that ends with the test, or after a while: nothing waits for it for ever."""
    too_long = threading.Timer(3 * PATIENCE_S, process.kill)
    too_long.start()
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        too_long.cancel()


def test_logs_follows_a_gate_in_service(board: Running, tmp_path: pathlib.Path) -> None:
    key = key_file(tmp_path, stage.gate_key("A"))
    boots = board_bench.boots(board)
    command = [PINTER, "board", "logs", "--port", board.link, "--follow", "--key", key, "--last", "0"]
    with ended(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ) as process:
        board.wait_for(lambda: board_bench.boots(board) > boots, "the gate under the session", PATIENCE_S)
        board.wait_for_service()
        card = board.enter("04A1B2C3D4E5F6")
        board.wait_for(lambda: board.output("relay_in"), "the opening, as in service")
        board.leave(card)
        assert process.stdout is not None and process.stderr is not None
        lines = []
        while not any(" grant " in line for line in lines):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert "changed" not in process.stderr.read(), "each record follows from the one before"
    assert any(" boot" in line for line in lines)
    board.wait_for(lambda: board_bench.boots(board) > boots + 1, "the gate afterwards", PATIENCE_S)


@pytest.mark.parametrize(
    "arguments,text",
    [
        ((), "give --image FILE or --port P"),
        (("--image", __file__, "--follow"), "go with --port"),
        (("--port", "x", "--follow", "--json"), "--json does not go with --follow"),
        (("--port", "/nowhere"), "/nowhere: cannot be opened"),
    ],
)
def test_wrong_usage_of_logs_is_one_line(arguments: tuple[str, ...], text: str) -> None:
    done = pinter_board("logs", *arguments)
    assert done.exit_code == 2 and text in done.stderr and "Traceback" not in done.output


# --- backup and restore


def test_a_backup_has_no_key_in_it(kept: pathlib.Path) -> None:
    found = backup.load(kept)
    assert (found.site, found.gate) == ("SIM", "A")
    assert backup.parse(found.render()) == found
    with zipfile.ZipFile(kept) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
    for key in (stage.SITE_KEY, stage.gate_key("A")):
        assert key not in whole and key.hex().encode() not in whole


def test_a_backup_that_is_there_stays(board: Running, kept: pathlib.Path) -> None:
    before = kept.read_bytes()
    done = pinter_board("backup", "--port", board.link, "--out", kept)
    assert done.exit_code == 2 and "exists already" in done.stderr and kept.read_bytes() == before


def test_restore_brings_back_config_list_and_journal(kept: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The flash was erased but for the keys: the gate goes on with its list, after its last record."""
    with gate(tmp_path, change=lambda files, nvs: files.pop("config.json")) as board:
        done = pinter_board("restore", kept, "--port", board.link)
        assert done.exit_code == 0, done.output
        board.wait_for_service()
        records = [f["record"] for _, kind, f in board.events if kind == "journal"]
        assert records[-1].seq > backup.journal_seq(backup.load(kept))
        card = board.enter("04A1B2C3D4E5F6")
        board.wait_for(lambda: board.output("relay_in"), "the opening")
        board.leave(card)
        done = pinter_board("restore", kept, "--port", board.link)
        assert done.exit_code == 0 and done.output.count("is newer, and stays") == 2, done.output


def test_restore_refuses_another_gate_and_changes_nothing(kept: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def other(files: dict[str, bytes], nvs: dict[str, bytes]) -> None:
        nvs["pinter/gate_key"] = bytes(32)

    with gate(tmp_path, change=other) as board:
        board.wait_for_service()
        image = board.hardware.image("vfs")
        done = pinter_board("restore", kept, "--port", board.link)
        assert done.exit_code == 2
        assert "the board has another gate key than the backup's" in done.stderr
        assert board.hardware.image("vfs") == image


@pytest.mark.parametrize(
    "spoil,text",
    [
        (lambda data: data[:100], "is no backup, or damaged"),
        (lambda data: b"", "is no backup, or damaged"),
        (lambda data: repacked(data, "list.bin", b"x"), "list.bin: is damaged"),
        (lambda data: repacked(data, "extra", b"x"), "backup.json: does not name what is there"),
        (lambda data: repacked(data, "backup.json", b"{}"), "backup.json: is missing or damaged"),
    ],
)
def test_a_damaged_backup_is_one_line(kept: pathlib.Path, tmp_path: pathlib.Path, spoil, text: str) -> None:
    path = tmp_path / "bad.backup"
    path.write_bytes(spoil(kept.read_bytes()))
    done = pinter_board("restore", path, "--port", "/nowhere")
    assert done.exit_code == 2 and f"{path}: {text}" in done.stderr, done.output


def repacked(data: bytes, name: str, content: bytes) -> bytes:
    """Return the archive `data` with `content` as its file `name`."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for other in old.namelist():
            if other != name:
                new.writestr(other, old.read(other))
        new.writestr(name, content)
    return out.getvalue()


def test_a_board_that_is_no_gate_has_no_backup(tmp_path: pathlib.Path) -> None:
    with board_bench.running(tmp_path) as board:
        done = pinter_board("backup", "--port", board.link, "--out", tmp_path / "x")
        assert done.exit_code == 2 and "config.json: is missing: this board is no gate" in done.stderr
        assert not (tmp_path / "x").exists()


# --- replace


def office_with_a_visitor(folder: pathlib.Path) -> None:
    """Make an office in `folder`/office with gate A, and a card of staff that was issued."""
    for arguments in (
        ("init", "--site", "SIM", "--min-tier", "uid", str(folder / "office")),
        ("gate", "add", "A"),
        ("card", "add", "04A1B2C3D4E5F6"),
        ("issue", "04A1B2C3D4E5F6", "--class", "staff"),
    ):
        environment = {"PINTER_OFFICE": str(folder / "office")}
        done = CliRunner().invoke(pinter, ["office", *arguments], env=environment)
        assert done.exit_code == 0, (arguments, done.output)


def test_replace_gives_a_new_board_a_new_key_and_kills_the_old_one(
    kept: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    office_with_a_visitor(tmp_path)
    key = tmp_path / "office" / "keys" / "gate-A.key"
    old = key.read_text()

    def blank(files: dict[str, bytes], nvs: dict[str, bytes]) -> None:
        files.clear()
        nvs.clear()

    with gate(tmp_path, change=blank) as board:
        arguments = ("replace", "--port", board.link, "--office", tmp_path / "office")
        done = pinter_board(*arguments, "--backup", kept)
        assert done.exit_code == 1 and "dies now" in done.output, "without --yes nobody said yes"
        assert key.read_text() == old and dict(board.hardware.nvs) == {}
        done = pinter_board(*arguments, "--backup", kept, "--yes")
        assert done.exit_code == 0, done.output
        new = bytes.fromhex(key.read_text())
        assert new.hex() != old.strip() and board.hardware.nvs["pinter/gate_key"] == new
        assert journal_image.read(board.hardware.image("journal"), new).ok
        made = journal_image.read(board.hardware.image("journal"), new)
        before = journal_image.read(
            backup.load(kept).journal_image.ljust(4096 * 162, b"\xff"), stage.gate_key("A")
        )
        assert made.journal_id != before.journal_id != bytes(4)
        card = board.enter("04A1B2C3D4E5F6")
        board.wait_for(
            lambda: board.output("relay_in"), "the opening for a card that the office listed", PATIENCE_S
        )
        board.leave(card)
        done = pinter_board("restore", kept, "--port", board.link)
        assert done.exit_code == 2 and "another gate key" in done.stderr, (
            "the old board's data is no longer its own"
        )
        again = pinter_board(*arguments, "--backup", kept, "--yes", "--resume")
        assert again.exit_code == 0 and bytes.fromhex(key.read_text()) == new, "nothing is rotated twice"


@pytest.mark.parametrize(
    "change,text",
    [
        ({"site": "ELSEWHERE"}, "config.site: is ELSEWHERE, the office is that of SIM"),
        ({"gate": "B"}, "there is no gate B"),
        ({"network": {"broker": "b", "wifi": {"ssid": "x"}}}, "its password is needed"),
        ({"pulse_ms": 1}, "config.json: pulse_ms: must be"),
        ({"board": "nothing"}, "nothing"),
    ],
)
def test_replace_says_what_is_wrong_before_any_key_dies(
    tmp_path: pathlib.Path, change: dict[str, object], text: str
) -> None:
    office_with_a_visitor(tmp_path)
    key = tmp_path / "office" / "keys" / "gate-A.key"
    old = key.read_text()
    config = {**stage.provisioned("A", {"min_tier": "uid"}, None)["config"], **change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = pinter_board(
        *("replace", "--port", "/nowhere", "--office", tmp_path / "office"),
        *("--config", tmp_path / "config.json", "--yes"),
    )
    assert done.exit_code == 2 and text in done.stderr and "Traceback" not in done.output, done.output
    assert key.read_text() == old
