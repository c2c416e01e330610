"""A release that is put on a board: what is taken, what is refused, and that refusing changes nothing."""

import hashlib
import struct

import pytest

from tests.host import update_bench
from tests.host.update_bench import KEY, STRANGER, Board, patched, resigned
from tools.board import release

pytestmark = pytest.mark.requires_micropython


@pytest.fixture(scope="module")
def bundle():
    return update_bench.bundle(11)


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "home")


def test_a_release_is_put_into_the_other_slot_and_runs_from_there(board, bundle):
    assert board.install(bundle) == "installed 11 1.0.11"
    assert board.slot == "b trial 11 10"
    files = board.files()
    assert files["b.pack"] == bundle
    assert "update.bundle" not in files
    script = (
        "import sys, pack; sys.path.insert(0, pack.mount('b.pack'))\n"
        "from firmware import crypto, errors\nfrom firmware.cards import ev2\n"
        "print(crypto.__file__, ev2.__file__, crypto.hmac_sha256(b'', b'').hex()[:8])\n"
        "for name in ('firmware.no', 'firmware.cards.no', 'firm', 'firmware.aaaa', 'firmware.zzzz'):\n"
        "    try:\n        __import__(name); print('imported', name)\n    except ImportError:\n        pass\n"
    )
    found = board.run(script)
    assert found == "/pack/firmware/crypto.mpy /pack/firmware/cards/ev2.mpy b613679a"


def test_every_module_of_a_release_can_be_read_from_it(board, bundle):
    board.install(bundle)
    found = board.run(
        "from hashlib import sha256\nfrom pack import Pack\npack = Pack('b.pack')\nbuf = bytearray(100)\n"
        "for name in %r:\n"
        "    stream = pack.open('/firmware/' + name + '.mpy', 'rb')\n"
        "    hashed = sha256()\n"
        "    while n := stream.readinto(buf):\n        hashed.update(buf[:n])\n"
        "    print(name, hashed.digest().hex())" % sorted(release.parse(bundle).modules)
    )
    expected = [
        f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in release.parse(bundle).modules.items()
    ]
    assert sorted(found.splitlines()) == sorted(expected)


def test_the_next_release_takes_the_place_of_the_first_directory(board, bundle):
    board.install(bundle)
    (board.home / "slot").write_text("b confirmed 11 10\n")
    assert board.install(update_bench.bundle(12)) == "installed 12 1.0.12"
    files = board.files()
    assert files["b.pack"] == bundle
    assert "a.pack" in files
    assert not [name for name in files if name.startswith("a/")]
    assert board.slot == "a trial 12 11"


FAULTS = {
    "signature": (lambda data: resigned(data, STRANGER), "signature"),
    "unsigned_table": (lambda data: patched(data, 64, b"z"), "signature"),
    "other_board": (lambda data: resigned(patched(data, 8, b"other\0")), "board: for other"),
    "other_mpy": (lambda data: resigned(patched(data, 5, b"\7")), "mpy: of version 7, this gate runs 6"),
    "newer_interpreter": (
        lambda data: resigned(patched(data, 6, b"\1\x63")),
        "interpreter: needs MicroPython 1.99",
    ),
    "same_version": (
        lambda data: resigned(patched(data, 28, struct.pack(">I", 10))),
        "version: 10 is not newer than 10",
    ),
    "downgrade": (
        lambda data: resigned(patched(data, 28, struct.pack(">I", 9))),
        "version: 9 is not newer than 10",
    ),
    "format": (lambda data: patched(data, 4, b"\2"), "format"),
    "magic": (lambda data: b"X" + data[1:], "magic"),
    "empty": (lambda data: b"", "header: truncated"),
    "cut_in_the_header": (lambda data: data[:63], "header: truncated"),
    "cut_in_the_table": (lambda data: data[:1000], "total: 1000 bytes of"),
    "cut_by_a_byte": (lambda data: data[:-1], "total: "),
    "longer": (lambda data: data + b"\0", "total: "),
    "bytes_of_no_module": (
        lambda data: resigned(patched(data, 52, struct.pack(">I", len(data) + 4))) + b"more",
        "total: 4 bytes are in no module",
    ),
    "last_byte": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "wiring: is not what was signed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named_and_nothing_changes(board, bundle, fault):
    change, text = FAULTS[fault]
    before = board.files()
    found = board.install(change(bundle))
    assert found.startswith("refused " + text)
    assert board.files() == before


def test_a_directory_kept_for_going_back_survives_a_refusal(board, bundle):
    (board.home / "b.pack").write_bytes(bundle)
    (board.home / "slot").write_text("a confirmed 12 11\n")
    before = board.files()
    assert board.install(update_bench.bundle(13)[:-1]).startswith("refused total")
    assert board.files() == before


def test_what_a_cut_left_goes_before_room_is_made(board, bundle):
    (board.home / "b.pack").write_bytes(bundle)
    before = board.files()
    for name in ("update.bundle", "update.bundle.new"):
        (board.home / name).write_bytes(b"half of a release")
    script = "import sys; sys.path.insert(0, 'a')\nfrom firmware.update import install_now\n"
    assert board.run(script + f"print(install_now({update_bench.NAME!r}, False, 1000))") == "room"
    assert board.files() == before, "there was room: what it would go back to stays"


def test_an_older_release_is_taken_by_force(board):
    old = update_bench.bundle(9)
    assert board.install(old, force=True) == "installed 9 1.0.9"
    assert board.slot == "b trial 9 10"


def test_force_takes_nothing_that_is_not_signed(board, bundle):
    assert board.install(resigned(bundle, STRANGER), force=True) == "refused signature"


def test_a_release_that_went_back_is_not_tried_again_unless_forced(board, bundle):
    (board.home / "slot").write_text("a rejected 10 11\n")
    assert board.install(bundle) == "refused version: 11 was tried and went back"
    assert board.install(bundle, force=True) == "installed 11 1.0.11"


def test_while_one_is_on_trial_there_is_no_other(board, bundle):
    (board.home / "slot").write_text("a trial 10 9\n")
    assert board.install(bundle, force=True).startswith("refused version: what runs is on trial")


def test_without_a_release_key_nothing_is_taken(board, bundle):
    (board.home / "nvs.release_key").unlink()
    before = board.files()
    assert board.install(bundle) == "refused release_key: no key of 32 bytes in NVS: provision the board"
    assert board.files() == before


def test_a_release_for_one_board_is_taken_by_that_board(board):
    data = update_bench.bundle(11, board=update_bench.NAME)
    assert board.install(data) == "installed 11 1.0.11"


# --- how releases are made


def test_a_release_is_the_same_every_time():
    assert update_bench.bundle(11) == update_bench.bundle(11)


def test_a_release_holds_the_application_and_not_what_lies_in_the_root(bundle):
    found = release.parse(bundle)
    assert found.header.version == 11
    assert found.header.board == "gate"
    assert not set(release.IN_ROOT) & set(found.modules)
    assert {"app", "__init__", "cards/__init__", "drivers/mfrc522", "update", "rtcmem"} <= set(found.modules)
    assert found.is_signed_by(update_bench.PUBLIC)
    assert not found.is_signed_by(STRANGER.public_key().public_bytes_raw())


def test_the_key_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "release.key"
    public = release.create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert release.load_key(path).public_key().public_bytes_raw() == public
    with pytest.raises(release.ReleaseError, match="File exists"):
        release.create_key(path)
    path.chmod(0o640)
    with pytest.raises(release.ReleaseError, match="can be read by others: chmod 600"):
        release.load_key(path)


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_file_that_is_no_key_is_named(tmp_path, text):
    path = tmp_path / "release.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(release.ReleaseError, match=r"release\.key"):
        release.load_key(path)


@pytest.mark.parametrize(
    ("version", "text", "modules"),
    [
        (0, "1.0", {"app": b"M\6\0\x1f"}),
        (1 << 32, "1.0", {"app": b"M\6\0\x1f"}),
        (1, "", {"app": b"M\6\0\x1f"}),
        (1, "1.0.0-a-long-text", {"app": b"M\6\0\x1f"}),
        (1, "é", {"app": b"M\6\0\x1f"}),
        (1, "1.0", {"a_name_of_25_characters__": b"M\6\0\x1f"}),
        (1, "1.0", {}),
        (1, "1.0", {"app": b""}),
        (1, "1.0", {"app": b"M\6\x0a\x1f"}),
        (1, "1.0", {"app": b"M\6\0\x1f", "b": b"M\7\0\x1f"}),
    ],
)
def test_what_does_not_fit_into_a_release_is_refused(version, text, modules):
    with pytest.raises(release.ReleaseError):
        release.assemble(KEY, version, text, modules)


def test_a_release_that_was_changed_is_named_by_the_host_too(bundle):
    for data, text in (
        (b"", "header: truncated"),
        (bundle[:-1], "total"),
        (patched(bundle, len(bundle) - 1, b"\x55"), "wiring: is not what the table says"),
        (patched(bundle, 64, b"\xff"), "module 0"),
        (patched(bundle, 64 + 2 * 64, b"\0"), "is not in order"),
    ):
        with pytest.raises(release.ReleaseError, match=text):
            release.parse(data)
