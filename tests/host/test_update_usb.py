"""`pinter board release`, `release-key` and `update` as a technician uses them, on the virtual board."""

import json
import time

import pytest
from click.testing import CliRunner

from host_sim.board import running
from host_sim.scenario import stage
from tests.host import gate_bench
from tools.board import definition, session, update
from tools.board import files as board_files
from tools.board import release as releases
from tools.cli.main import pinter

VERSION = "1.2.0"


def call(*words: object, code: int = 0) -> str:
    """Return what `pinter board ...` printed, errors too."""
    done = CliRunner().invoke(pinter, ["board", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """Return the file of a release key."""
    path = tmp_path_factory.mktemp("key") / "release.key"
    call("release-key", path)
    return path


def make(key, folder, number, *options, name=None):
    path = folder / f"{number}.pinter"
    call("release", path, "--key", key, "--number", number, "--name", name or f"1.2.{number}", *options)
    return path


def test_a_release_key_and_a_release_are_made(key, tmp_path):
    assert key.stat().st_mode & 0o777 == 0o600
    path = tmp_path / "out.pinter"
    text = call("release", path, "--key", key, "--number", 7, "--name", VERSION)
    found = releases.load(path)
    assert text == f"{path}: 7 {VERSION}, {len(found.modules)} modules, {len(found.data)} bytes\n"
    assert found.is_signed_by(releases.load_key(key).public_key().public_bytes_raw())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--number", 0, "--name", "x"), "--number"),
        (("--number", 1, "--name", "x" * 17), "a text of 1 to 16"),
        (("--number", 1, "--name", "x", "--board", "b" * 21), "a board of at"),
    ],
)
def test_a_release_that_cannot_be_is_refused(key, tmp_path, words, text):
    path = tmp_path / "out.pinter"
    assert text in call("release", path, "--key", key, *words, code=2)
    assert not path.exists()


def test_a_key_that_others_can_read_signs_nothing(tmp_path):
    path = tmp_path / "release.key"
    call("release-key", path)
    path.chmod(0o644)
    options = ("--key", path, "--number", 1, "--name", "x")
    assert "can be read by others" in call("release", tmp_path / "out", *options, code=2)
    assert "File exists" in call("release-key", path, code=2)


def test_what_is_no_release_never_reaches_a_board(tmp_path):
    path = tmp_path / "x.pinter"
    path.write_bytes(b"PK")
    assert f"{path}: header: truncated" in call("update", path, "--port", "/dev/none", code=2)
    assert "No such file" in call("update", tmp_path / "none", "--port", "/dev/none", code=2)


def test_without_a_board_the_port_is_named(key, tmp_path):
    path = make(key, tmp_path, 1)
    assert "/dev/none" in call("update", path, "--port", "/dev/none", code=2)


def journal(board):
    """Return the types of all journal records that the board wrote, in order."""
    return [fields["record"].type for _, kind, fields in board.events if kind == "journal"]


def last_run(board):
    """Return those since the last start."""
    types = journal(board)
    return types[len(types) - types[::-1].index("boot") :]


@pytest.mark.requires_micropython
def test_a_board_takes_a_release_and_runs_it(key, tmp_path):
    made = stage.provisioned("A", {"min_tier": "uid", "rtc": True}, None)
    public = releases.load_key(key).public_key().public_bytes_raw()
    files = board_files.code(definition.load("esp32_devkitc")) | {
        "config.json": json.dumps(made["config"]).encode(),
        "list.bundle": gate_bench.the_list(issued=int(time.time()) - 3600),
    }
    new, old = make(key, tmp_path, 11), make(key, tmp_path, 10)

    def starts(n):
        """Wait until the board has started for the n-th time and decides."""
        board.wait_for(lambda: journal(board).count("boot") >= n, f"start number {n}")
        card = board.enter(gate_bench.UID)
        board.wait_for(lambda: {"grant", "deny"} & set(last_run(board)), "a decision about a card")
        board.leave(card)

    with running(tmp_path, files=files, nvs=made["keys"] | {"pinter/release_key": public}) as board:
        starts(1)
        text = call("update", new, "--port", board.link)
        assert text == f"{board.link}: 11 1.2.11 starts, on trial; before: 0 in slot a\n"
        starts(2)
        with session.session(str(board.link)) as opened:
            assert update.running(opened) == ("b", "trial", 11, 0)
            place = opened.run("import firmware\nprint(firmware.__file__)").strip()
            assert place == "/pack/firmware/__init__.mpy"
            opened.run("starter.confirm()")
        starts(3)
        text = call("update", old, "--port", board.link, code=1)
        assert "refused: version: 10 is not newer than 11" in text
        starts(4)
        call("update", old, "--port", board.link, "--force")
        starts(5)
        with session.session(str(board.link)) as opened:
            assert update.running(opened) == ("a", "trial", 10, 11)
