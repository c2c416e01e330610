"""`pinter board flash`: esptool as it is, against the boot loader of a chip that is none.

What lies on the flash afterwards is judged by others than those that made it: esptool, a decoder written from
ESP-IDF's documentation, and a MicroPython that mounts the file system.
"""

import fcntl
import hashlib
import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from esp32_mock_bootloader import protocol

from host_sim.board import running
from tests.counts import SEED, count
from tests.host import flash_bench
from tests.host.test_provisioning_record import EXAMPLE
from tools.board import contents, definition, files, flash, image, record, session
from tools.cli.board import group

pytestmark = pytest.mark.usefixtures("code")

BOARD = definition.load("esp32_devkitc")
S3 = definition.load("esp32_s3_devkitc1")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images of MicroPython by chip."""
    folder = tmp_path_factory.mktemp("images")
    found = {}
    for chip in flash_bench.CHIPS:
        found[chip] = folder / f"{chip}.bin"
        found[chip].write_bytes(flash_bench.image(chip))
    return found


@pytest.fixture(scope="module")
def code() -> Iterator[dict[str, bytes]]:
    """The files of a board, compiled once for all tests."""
    made = files.code(BOARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            files, "code", lambda board: made | {"board.py": definition.render_board_py(board).encode()}
        )
        yield made


def run(*arguments: object) -> Result:
    """Return what `pinter board ...` did."""
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def line_of(result: Result) -> str:
    """Return the one line with which a command refuses."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("Error: "), result.stderr
    return lines[0].removeprefix("Error: ")


def test_esptool_finds_the_images_of_these_tests_valid(stock: dict[str, Path], tmp_path: Path) -> None:
    for chip, path in stock.items():
        said = flash_bench.image_info(path)
        assert "(valid)" in said and "invalid" not in said
        alone = tmp_path / "application.bin"
        alone.write_bytes(flash_bench.application(chip))
        said = flash_bench.image_info(alone)
        assert "Project name: micropython" in said and "invalid" not in said


def test_an_image_is_taken_apart(stock: dict[str, Path]) -> None:
    for board in (BOARD, S3):
        found = image.load(stock[board.chip.name], board)
        assert found.version == "v1.29.0"
        assert found.application == flash_bench.application(board.chip.name)
        data = stock[board.chip.name].read_bytes()
        assert data.startswith(found.boot_loader) and data[len(found.boot_loader)] == 0xFF
        assert found.sha256 == hashlib.sha256(data).hexdigest()


GOOD = flash_bench.image()
DAMAGED = bytearray(GOOD)
DAMAGED[0xF000 + 5000] ^= 1
WRONG = {
    "is no image for an ESP32": b"\x7fELF" + GOOD[4:],
    "boot loader at 0x0: ": GOOD[:100],
    "is for the esp32s3, esp32_devkitc has an esp32": flash_bench.image("esp32s3"),
    "is an application without its boot loader": flash_bench.application(),
    "application at 0xF000: ": GOOD[:-5000],
    "application at 0xF000: Checksum mismatch": bytes(DAMAGED),
    "application at 0xF000: Invalid image header": GOOD[:0xF000],
    "is arduino, not MicroPython": flash_bench.image(project=b"arduino"),
    "does not say which MicroPython it is": flash_bench.image(banner=b"CircuitPython 9"),
    "is MicroPython v1.28.0, PINTER needs v1.29": flash_bench.image(
        banner=flash_bench.BANNER.replace(b"29", b"28")
    ),
    "the application has ": GOOD[:0xF000]
    + flash_bench.part("esp32", flash_bench.application()[32 : 32 + 256] + bytes(0x1F0000), 0x3F400020),
    "application: is none for the esp32": GOOD[:0xF000] + flash_bench.application("esp32s3"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_image_is_refused_in_one_line(message: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(WRONG[message])
    said = line_of(run("flash", path, "--port", "socket://127.0.0.1:9"))
    assert said.startswith(f"{path}: ") and message in said, said


def test_an_image_is_the_one_that_was_meant(tmp_path: Path) -> None:
    path, digest = tmp_path / "image.bin", hashlib.sha256(GOOD).hexdigest()
    path.write_bytes(GOOD)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{digest}  image.bin\n")
    assert image.load(path, BOARD, digest.upper()) == image.load(path, BOARD, str(sums))
    (tmp_path / "image.bin.sha256").write_text("0" * 64 + "\n")
    for given, message in (
        (None, f"is not the file that was meant: its SHA-256 is {digest}, not {'0' * 64}"),
        ("1" * 64, f"is not the file that was meant: its SHA-256 is {digest}, not {'1' * 64}"),
        ("12", "12: is neither a SHA-256 of 64 hex digits nor a file with one"),
        (str(path), "cannot be read"),
        (str(tmp_path / "empty"), "does not begin with a SHA-256"),
    ):
        (tmp_path / "empty").touch()
        with pytest.raises(image.ImageError) as caught:
            image.load(path, BOARD, given)
        assert message in str(caught.value)


def table_rows(data: bytes) -> list[tuple[str, int, int, int, int]]:
    """Return (name, type, subtype, offset, size) as ESP-IDF's "Partition Tables" describes them."""
    rows, at = [], 0
    while data[at : at + 2] == b"\xaa\x50":
        kind, subtype, offset, size, name, flags = struct.unpack_from("<BBII16sI", data, at + 2)
        assert flags == 0
        rows.append((name.rstrip(b"\0").decode(), kind, subtype, offset, size))
        at += 32
    assert data[at : at + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert data[at + 16 : at + 32] == hashlib.md5(data[:at], usedforsecurity=False).digest()
    assert data[at + 32 :] == b"\xff" * (0xC00 - at - 32)
    return rows


@pytest.mark.parametrize("board", [BOARD, S3], ids=lambda board: board.name)
def test_the_partition_table_is_what_the_boot_loader_reads(board: definition.Definition) -> None:
    subtypes = {"nvs": (1, 2), "phy": (1, 1), "factory": (0, 0), "fat": (1, 0x81), "undefined": (1, 6)}
    assert table_rows(contents.partition_table(board)) == [
        (part.name, *subtypes[part.subtype], part.offset, part.size) for part in board.partitions
    ]


def nvs_blobs(data: bytes) -> dict[str, bytes]:
    """Return the blobs of namespace pinter: "Non-Volatile Storage", pages, entries, multi-page blobs."""
    found: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    spaces: dict[str, int] = {}
    for page in range(0, len(data), 4096):
        state, _, version = struct.unpack_from("<IIB", data, page)
        if state == 0xFFFFFFFF:
            continue
        assert state in (0xFFFFFFFE, 0xFFFFFFFC) and version == 0xFE
        entry = 0
        while entry < 126:
            bits = data[page + 32 + entry // 4] >> entry % 4 * 2 & 3
            at = page + 64 + 32 * entry
            if bits != 2:
                assert bits == 3, "neither written nor empty"
                break
            space, kind, span, _, _, raw = struct.unpack_from("<BBBBI16s", data, at)
            name = raw.rstrip(b"\0").decode()
            if kind == 0x01:
                spaces[name] = data[at + 24]
            elif kind == 0x42:
                assert space == spaces["pinter"]
                (length,) = struct.unpack_from("<H", data, at + 24)
                found[name] = data[at + 32 : at + 32 + length]
            else:
                assert kind == 0x48
                (sizes[name],) = struct.unpack_from("<I", data, at + 24)
            entry += span
    assert sizes == {name: len(value) for name, value in found.items()}
    return found


def test_nvs_has_the_secrets_and_nothing_else() -> None:
    (part,) = (part for part in BOARD.partitions if part.name == "nvs")
    secrets = {"site_key": bytes(range(32)), "gate_key": b"\xff" * 32, "wifi_password": b"rahasia kami "}
    made = contents.nvs(part, secrets)
    assert len(made) == part.size and nvs_blobs(made) == secrets
    assert nvs_blobs(contents.nvs(part, {})) == {}
    with pytest.raises(contents.ContentsError, match="do not fit"):
        contents.nvs(part, {"blob%d" % n: bytes(3000) for n in range(7)})


# --- onto a chip
# --------------------------------------------------------------------------------------------------------


def pieces(path: Path, code: dict[str, bytes], **more: dict[str, bytes]) -> list[contents.Region]:
    """Return what a board gets."""
    return contents.regions(BOARD, image.load(path, BOARD), code, **more)


def assert_flashed(chip: flash_bench.Chip, regions: list[contents.Region]) -> None:
    """Check all that was written; the header of the boot loader says how large the flash is."""
    for region in regions:
        found = bytes(chip.flash[region.offset : region.offset + len(region.data)])
        if region.name == "boot loader":
            assert found[3] >> 4 == 2, "4 MB"
            assert found[4:-32] == region.data[4:-32]
            assert found[-32:] == hashlib.sha256(found[:-32]).digest()
        else:
            assert found == region.data, region.name
    assert table_rows(bytes(chip.flash[0x8000:0x8C00]))[0][0] == "nvs"


def test_a_board_is_written_verified_and_read_back(stock: dict[str, Path], code: dict[str, bytes]) -> None:
    with flash_bench.Chip() as chip:
        journal = BOARD.partitions[-1]
        chip.flash[journal.offset : journal.offset + 4] = b"kept"
        result = run("flash", stock["esp32"], "--port", chip.url)
        assert result.exit_code == 0, result.output
        assert "v1.29.0" in result.output and chip.url in result.output
        regions = pieces(stock["esp32"], code)
        assert_flashed(chip, regions)
        assert chip.flash[0x9000:0xF000] == b"\xff" * 0x6000
        assert chip.flash[journal.offset : journal.offset + 4] == b"kept"
        result = run("flash", stock["esp32"], "--port", chip.url, "--erase")
        assert result.exit_code == 0, result.output
        assert_flashed(chip, regions)
        assert chip.flash[journal.offset : journal.offset + 4] == b"\xff" * 4


def test_a_record_makes_it_a_gate_at_once(
    stock: dict[str, Path], code: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "gate.json"
    path.write_text(EXAMPLE)
    assert "can be read by others: chmod 600" in line_of(
        run("flash", stock["esp32"], "--port", "socket://127.0.0.1:9", "--record", path)
    )
    path.chmod(0o600)
    found = record.load(path)
    with flash_bench.Chip() as chip:
        chip.flash[:] = bytes(len(chip.flash))
        result = run("flash", stock["esp32"], "--port", chip.url, "--record", path)
        assert result.exit_code == 0, result.output
        assert_flashed(chip, pieces(stock["esp32"], code | found.files, secrets=found.nvs))
        assert nvs_blobs(bytes(chip.flash[0x9000:0xF000])) == found.nvs
        for name in ("list", "journal"):
            (part,) = (part for part in BOARD.partitions if part.name == name)
            assert chip.flash[part.offset : part.offset + part.size] == b"\xff" * part.size
    assert not any(blob.hex() in result.output for blob in found.nvs.values())


@pytest.mark.requires_micropython
def test_what_was_flashed_starts(stock: dict[str, Path], tmp_path: Path) -> None:
    with flash_bench.Chip() as chip:
        assert run("flash", stock["esp32"], "--port", chip.url).exit_code == 0
        (tmp_path / "board.flash").write_bytes(chip.flash)
    with running(tmp_path) as board:
        with session.session(str(board.link)) as talk:
            report = talk.report_in_service()
        assert report is not None
        assert report.status["fault"] == "config.json: is missing: provision the board"


def test_boards_are_flashed_side_by_side(stock: dict[str, Path], code: dict[str, bytes]) -> None:
    regions = pieces(stock["esp32"], code)
    with flash_bench.Chip() as one, flash_bench.Chip() as two, flash_bench.Chip("esp32s3") as other:
        ports = [f"--port={chip.url}" for chip in (one, other, two)]
        result = run("flash", stock["esp32"], *ports)
        assert result.exit_code == 2
        assert result.stderr == f"Error: {other.url}: has an ESP32-S3, not an ESP32: another kind of board\n"
        assert_flashed(one, regions)
        assert_flashed(two, regions)
        assert other.flash == b"\xff" * len(other.flash), "nothing is written to the wrong chip"
        assert result.stdout.count("flashed and verified") == 2


# --- what cannot be
# -----------------------------------------------------------------------------------------------------


def test_a_flash_that_is_too_small_is_refused(stock: dict[str, Path]) -> None:
    with flash_bench.Chip("esp32s3") as chip:
        result = run("flash", stock["esp32s3"], "--port", chip.url, "--board", S3.name)
        assert line_of(result) == f"{chip.url}: has 4 MB of flash, {S3.name} needs 16 MB"
        assert chip.flash == b"\xff" * len(chip.flash)


def test_a_large_flash_gets_its_size_into_the_header(
    stock: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MOCK_FLASH_ID", flash_bench.flash_id(16))
    with flash_bench.Chip("esp32s3", 16) as chip:
        result = run("flash", stock["esp32s3"], "--port", chip.url, "--board", S3.name)
        assert result.exit_code == 0, result.output
        assert chip.flash[3] >> 4 == 4, "16 MB, at the place where this chip has its boot loader"
        rows = json.loads(run("list", "--probe", "--json", "--port", chip.url).stdout)
        alike = [S3.name, "waveshare_esp32_s3_eth"]  # the same chip and the same layout
        assert [row["boards"] for row in rows] == [alike] and rows[0]["flash_mb"] == 16


def test_ports_that_cannot_be_used_are_named(stock: dict[str, Path], tmp_path: Path) -> None:
    master, client = os.openpty()
    busy = os.ttyname(client)
    try:
        fcntl.flock(client, fcntl.LOCK_EX)  # as every program does that opens a port for itself
        (tmp_path / "file").touch()
        for port, message in (
            (str(tmp_path / "nothing"), "there is no such port"),
            ("socket://127.0.0.1:9", "cannot be opened"),
            (str(tmp_path / "file"), ""),
            (busy, "another program uses it"),
        ):
            said = line_of(run("flash", stock["esp32"], "--port", port))
            assert said.startswith(f"{port}: {message}"), said
    finally:
        os.close(master)
        os.close(client)
    assert "same port twice" in line_of(run("flash", stock["esp32"], "--port=a", "--port=a"))
    assert "there is no such board" in line_of(run("flash", stock["esp32"], "--port=a", "--board=none"))
    assert "No such file" in line_of(run("flash", tmp_path / "no.bin", "--port=a"))


def test_a_line_that_is_pulled_is_one_line_and_the_command_can_be_repeated(
    stock: dict[str, Path], code: dict[str, bytes]
) -> None:
    regions = pieces(stock["esp32"], code)
    with flash_bench.Chip() as chip:
        flash.flash(chip.url, BOARD, regions)
        whole = chip.sent * 9 // 10  # of the last bytes it is never sure that they are sent
        chance = random.Random(SEED)
        for _ in range(count(2, 20)):
            chip.flash[:] = chance.choice((b"\xff", b"\0")) * len(chip.flash)
            chip.pull_after = chip.sent + chance.randrange(whole)
            said = line_of(run("flash", stock["esp32"], "--port", chip.url))
            assert said.startswith(f"{chip.url}: ") and chip.is_pulled, said
            chip.plug_in()
            result = run("flash", stock["esp32"], "--port", chip.url)
            assert result.exit_code == 0, result.output
            assert_flashed(chip, regions)


def test_what_does_not_read_back_is_not_called_done(
    stock: dict[str, Path], code: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = pieces(stock["esp32"], code)
    real = flash.read
    for place, bit, message in (
        (3, 0x10, "boot loader does not read back"),
        (100, 1, "boot loader does not read back"),
        (0x7000, 1, "the partition table reads back otherwise"),
    ):

        def damaged(*arguments: Any, place: int = place, bit: int = bit) -> bytes:
            data = bytearray(real(*arguments))
            data[place] ^= bit
            return bytes(data)

        monkeypatch.setattr(flash, "read", damaged)
        with flash_bench.Chip() as chip, pytest.raises(flash.FlashError, match=message):
            flash.flash(chip.url, BOARD, regions)


# --- which board is it
# --------------------------------------------------------------------------------------------------


def test_boards_are_told_apart_by_their_partition_table(stock: dict[str, Path]) -> None:
    with flash_bench.Chip() as chip:
        said = run("list", "--probe", "--port", chip.url)
        assert said.exit_code == 0 and said.output == f"{chip.url}  esp32, 4 MB, not flashed by PINTER\n"
        assert run("flash", stock["esp32"], "--port", chip.url).exit_code == 0
        said = run("list", "--probe", "--port", chip.url, "--port", "socket://127.0.0.1:9")
        alike = f"{BOARD.name} or olimex_esp32_poe"
        assert said.output == f"{chip.url}  esp32, 4 MB, {alike}\nsocket://127.0.0.1:9: cannot be opened\n"
        assert run("list", "--port", chip.url).output == f"{chip.url}\n", "nobody was asked"
