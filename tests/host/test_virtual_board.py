"""The virtual board as tools see it: the real mpremote, as a command and as a library.

Nothing here depends on how fast the machine is: what takes its time is waited for.
"""

import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from littlefs import LittleFS, UserContext
from mpremote.transport import TransportExecError
from mpremote.transport_serial import SerialTransport

from host_sim.board import BoardError, Running, gate_files, running
from host_sim.scenario import stage
from tests.host import gate_bench
from tools.board import definition

pytestmark = pytest.mark.requires_micropython

BIN = pathlib.Path(sys.executable).parent
BOARD = definition.load("esp32_devkitc")
(VFS,) = (part for part in BOARD.partitions if part.name == "vfs")
UID = gate_bench.UID


def mpremote(link: pathlib.Path, *arguments: str, fails: bool = False) -> str:
    """Return what `mpremote connect LINK ...` printed; with `fails` it must fail, and errors count too."""
    command = [BIN / "mpremote", "connect", str(link), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert bool(done.returncode) == fails, (arguments, done.stdout, done.stderr)
    return done.stdout + (done.stderr if fails else "")


@contextmanager
def connected(link: pathlib.Path, soft_reset: bool = True) -> Iterator[SerialTransport]:
    """Yield a client in raw REPL."""
    client = SerialTransport(str(link))
    try:
        client.enter_raw_repl(soft_reset=soft_reset)
        yield client
    finally:
        try:
            client.close()
        except OSError:
            pass  # the board was killed


def printed(client: SerialTransport, code: str) -> str:
    """Return what `code` prints on the board."""
    return client.exec(code).decode()


def file_system(image: pathlib.Path) -> LittleFS:
    """Return the file system in an image, mounted by another implementation than the board's."""
    with image.open("rb") as file:
        file.seek(VFS.offset)
        context = UserContext(buffsize=VFS.size)
        context.buffer[:] = file.read(VFS.size)
    found = LittleFS(context, block_size=4096, block_count=VFS.size // 4096, mount=False)
    found.mount()
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A board for tests that leave nothing behind that another one would meet."""
    with running(tmp_path_factory.mktemp("board")) as board:
        yield board


# --- mpremote, the command
# -------------------------------------------------------------------------------------------------


def test_exec_prints_with_the_line_ends_of_a_board(shared: Running) -> None:
    assert mpremote(shared.link, "exec", "print(6 * 7)") == "42\n"
    with connected(shared.link) as client:
        assert client.exec("print(6)\nprint(7)") == b"6\r\n7\r\n"


def test_a_traceback_looks_as_on_a_board(shared: Running) -> None:
    said = mpremote(shared.link, "exec", "def f():\n 1/0\nf()", fails=True)
    assert said.splitlines() == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 3, in <module>',
        '  File "<stdin>", line 2, in f',
        "ZeroDivisionError: divide by zero",
    ]
    assert "SyntaxError" in mpremote(shared.link, "exec", "1 +", fails=True)


def test_files_go_there_and_come_back(shared: Running, tmp_path: pathlib.Path) -> None:
    data = bytes(range(256)) * 5
    (tmp_path / "data.bin").write_bytes(data)
    mpremote(shared.link, "fs", "mkdir", ":dir", "+", "fs", "cp", str(tmp_path / "data.bin"), ":dir/")
    assert "1280 data.bin" in mpremote(shared.link, "fs", "ls", ":dir")
    assert "└── data.bin" in mpremote(shared.link, "fs", "tree")
    digest = hashlib.sha256(data).hexdigest()
    assert digest in mpremote(shared.link, "fs", "sha256sum", ":dir/data.bin")
    mpremote(shared.link, "fs", "cp", ":dir/data.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == data
    mpremote(shared.link, "fs", "rm", "-r", ":dir")
    assert "No such file" in mpremote(shared.link, "fs", "ls", ":dir", fails=True)


def test_a_local_program_runs_and_sees_a_mounted_folder(shared: Running, tmp_path: pathlib.Path) -> None:
    (tmp_path / "helper.py").write_text("W = 'mounted'\n")
    (tmp_path / "bytes.bin").write_bytes(bytes(range(256)))  # Ctrl-C, Ctrl-D and the rest among them
    program = tmp_path / "program.py"
    program.write_text(
        "import helper\nwith open('bytes.bin', 'rb') as f:\n print(helper.W, f.read() == bytes(range(256)))\n"
    )
    said = mpremote(shared.link, "mount", str(tmp_path), "run", str(program))
    assert "mounted True" in said.splitlines()  # mpremote says itself, at some time, that it mounts


def test_a_package_is_installed_from_a_local_description(shared: Running, tmp_path: pathlib.Path) -> None:
    (tmp_path / "thing.py").write_text("NAME = 'thing'\n")
    package = {"urls": [["thing.py", "thing.py"]], "version": "1"}
    (tmp_path / "package.json").write_text(json.dumps(package))
    mpremote(shared.link, "mip", "install", "--no-mpy", str(tmp_path / "package.json"))
    said = mpremote(shared.link, "exec", "import thing; print(thing.NAME, thing.__file__)")
    assert said == "thing /lib/thing.py\n"


def test_the_size_of_the_file_system_and_the_clock(shared: Running) -> None:
    assert re.search(rf"VfsLfs2>\s+{VFS.size}\s", mpremote(shared.link, "df"))
    mpremote(shared.link, "rtc", "--set")
    year = time.localtime().tm_year
    assert str(year) in mpremote(shared.link, "rtc")
    said = mpremote(shared.link, "exec", "import time; print(time.gmtime(0)[0], time.gmtime()[0])")
    assert said == f"2000 {year}\n", "the epoch of an ESP32, and the clock that was set"


# --- resets
# ----------------------------------------------------------------------------------------------------


def test_a_soft_reset_forgets_names_and_a_reset_is_told_apart(shared: Running) -> None:
    ask = "import machine; print(machine.reset_cause(), 'x' in globals())"
    assert mpremote(shared.link, "exec", "x = 1", "resume", "exec", "print(x)") == "1\n"
    assert mpremote(shared.link, "soft-reset", "exec", ask) == "5 False\n"
    mpremote(shared.link, "reset")
    shared.wait_for(lambda: _boots(shared, 2), "the boot after the reset")  # which is not at once
    assert mpremote(shared.link, "resume", "exec", ask) == "2 False\n"


def test_sys_exit_is_a_soft_reset(shared: Running) -> None:
    with connected(shared.link) as client:
        client.exec_raw_no_follow("x = 1\nimport sys\nsys.exit()")
        assert client.read_until(1, b"MPY: soft reboot\r\n").endswith(b"MPY: soft reboot\r\n")
        assert client.read_until(1, b"raw REPL; CTRL-B to exit\r\n").endswith(b"exit\r\n")
        assert printed(client, "print('x' in globals())") == "False\r\n"


def test_boot_and_main_run_as_on_a_board(tmp_path: pathlib.Path) -> None:
    with running(tmp_path) as board:
        with connected(board.link) as client:
            client.fs_writefile("boot.py", b"order = ['boot']\n")
            lamp = b"import machine\nmachine.Pin(14, machine.Pin.OUT, value=1)\n"
            client.fs_writefile("main.py", b"order.append(__name__)\n" + lamp + b"while True: pass\n")
            client.exec_raw_no_follow("import machine\nmachine.reset()")
            board.wait_for(lambda: board.output("lamp_red"), "main.py after machine.reset()")
            assert _boots(board, 2) == 1
        with connected(board.link, soft_reset=False) as client:
            assert printed(client, "print(order)") == "['boot', '__main__']\r\n", "Ctrl-C has stopped main.py"
        with connected(board.link) as client:
            assert printed(client, "print(order)") == "['boot']\r\n", "in raw REPL main.py does not run"


def test_a_ctrl_c_while_it_boots_is_not_lost(tmp_path: pathlib.Path) -> None:
    files = {"boot.py": b"while True: pass\n", "main.py": b"while True: pass\n"}
    with running(tmp_path, files=files) as board:
        for n in (1, 2, 3):
            with connected(board.link, soft_reset=False) as client:  # at once, wherever the board is
                client.exec_raw_no_follow("import machine\nmachine.reset()")
            board.wait_for(lambda n=n: _boots(board, 2) == n, "the reset")


def _boots(board: Running, cause: int) -> int:
    return [fields["cause"] for _, kind, fields in board.events if kind == "boot"].count(cause)


def test_an_interpreter_that_dies_comes_back(tmp_path: pathlib.Path) -> None:
    with running(tmp_path) as board:
        board.wait_for(lambda: _boots(board, 1), "the first boot")
        interpreter = board.board._interpreter
        assert interpreter is not None
        board.do(interpreter.process.kill)
        board.wait_for(lambda: _boots(board, 2), "the second boot")
        assert mpremote(board.link, "exec", "print('alive')") == "alive\n"


# --- raw REPL, and the friendly one
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw_paste", [True, False])
def test_a_long_program_arrives_whole(shared: Running, raw_paste: bool) -> None:
    lines = "".join(f"total += {n}\n" for n in range(1000))
    with connected(shared.link) as client:
        client.use_raw_paste = raw_paste
        assert printed(client, f"total = 0\n{lines}print(total)") == "499500\r\n"
        assert client.use_raw_paste is raw_paste


def test_much_output_arrives_whole_however_slowly_it_is_read(shared: Running) -> None:
    with connected(shared.link) as client:
        said = client.exec("for i in range(3000): print('%05d' % i)")
    assert said == b"".join(b"%05d\r\n" % i for i in range(3000))


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(3600)",
        "import asyncio\nasync def f():\n while True: await asyncio.sleep_ms(1)\nasyncio.run(f())",
        "import machine\np = machine.Pin(34, machine.Pin.IN)\nwhile True: p()",
        "while True:\n with open('f', 'wb') as f: f.write(b'x' * 500)",
        "while True: print('x' * 50)",
    ],
    ids=["loop", "sleep", "asyncio", "pins", "files", "print"],
)
def test_ctrl_c_stops_any_program(shared: Running, code: str) -> None:
    with connected(shared.link) as client:
        client.exec_raw_no_follow(code)
        time.sleep(0.05)  # so that it is somewhere in the middle; wherever it is, it must stop
        client.serial.write(b"\x03")
        _, error = client.follow(timeout=30)
        assert error.rstrip().endswith(b"KeyboardInterrupt:"), error
        assert printed(client, "print('here')") == "here\r\n"


def test_ctrl_c_waits_for_what_must_not_be_torn(shared: Running) -> None:
    with connected(shared.link) as client:
        for _ in range(20):
            # One long call into C, as a collection or a write to flash is; Ctrl-C comes while it runs.
            client.exec_raw_no_follow("x = []\nprint('go')\nx.append(sum(range(30000000)))\nwhile True: pass")
            client.read_until(1, b"go\r\n")
            client.serial.write(b"\x03")
            _, error = client.follow(timeout=30)
            assert error.rstrip().endswith(b"KeyboardInterrupt:"), error
            if client.eval("x"):  # else Ctrl-C was even faster
                return
    pytest.fail("Ctrl-C never let the call end")


def test_ctrl_c_is_a_signal_and_no_byte_unless_the_program_says_so(shared: Running) -> None:
    with connected(shared.link) as client:
        code = (
            "import micropython, sys\ntry:\n print('a')\n while True: pass\nexcept KeyboardInterrupt: pass\n"
        )
        code += (
            "micropython.kbd_intr(-1)\nprint('b')\nprint(repr(sys.stdin.read(2)))\nmicropython.kbd_intr(3)"
        )
        client.exec_raw_no_follow(code)
        assert client.read_until(1, b"a\r\n").endswith(b"a\r\n")
        client.serial.write(b"\x03")
        assert client.read_until(1, b"b\r\n").endswith(b"b\r\n")
        client.serial.write(b"\x03y")
        assert client.follow(timeout=30) == (b"'\\x03y'\r\n", b"")


def test_the_friendly_repl_talks_to_a_person(shared: Running) -> None:
    client = SerialTransport(str(shared.link))
    try:
        client.enter_raw_repl()
        client.exit_raw_repl()
        assert b"PINTER virtual board" in client.read_until(1, b">>> ")
        for typed, answer in (
            (b"1 + 1\r", b"1 + 1\r\n2\r\n>>> "),
            (b"x = 5\r", b"x = 5\r\n>>> "),
            (b"for i in (1, 2):\r", b"for i in (1, 2):\r\n... "),
            (b" i\r", b" i\r\n... "),
            (b"\r", b"\r\n1\r\n2\r\n>>> "),
            (b"(7,\r", b"(7,\r\n... "),
            (b"x)\r", b"x)\r\n(7, 5)\r\n>>> "),
            (b"xy\x7f\x08x\r", b"xy\x08 \x08\x08 \x08x\r\n5\r\n>>> "),
            (b"nothing\x03", b"nothing\r\n>>> "),
            (b"\x1b[A\r", b"x\r\n5\r\n>>> "),
        ):
            client.serial.write(typed)
            assert client.read_until(1, answer, timeout=30).endswith(answer), typed
        client.serial.write(b"\x04")
        assert b"MPY: soft reboot\r\n" in client.read_until(1, b">>> ")
    finally:
        client.close()


# --- hardware
# --------------------------------------------------------------------------------------------------


def test_outputs_and_inputs_are_wires_to_the_world(shared: Running) -> None:
    with connected(shared.link) as client:
        printed(client, "from machine import Pin")
        printed(client, "relay = Pin(26, Pin.OUT, value=0); guard = Pin(32, Pin.IN, Pin.PULL_UP)")
        assert shared.output("relay_in") == 0
        assert printed(client, "relay(1); print(relay(), guard())") == "1 1\r\n"
        assert shared.output("relay_in") == 1
        shared.set_input("guard_in", True)
        assert printed(client, "print(guard())") == "0\r\n"
        shared.set_input("guard_in", False)
        assert printed(client, "relay.off(); print(guard())") == "1\r\n"
        assert shared.output("relay_in") == 0


def test_an_rmt_pulse_ends_by_itself(shared: Running) -> None:
    with connected(shared.link) as client:
        printed(client, "import esp32; from machine import Pin")
        printed(client, "rmt = esp32.RMT(pin=Pin(27), resolution_hz=312500); rmt.write_pulses((31250,), 1)")
        shared.wait_for(lambda: _pulses(shared, "relay_out"), "the end of the pulse")
        ((on, off),) = _pulses(shared, "relay_out")
        assert off - on == 100_000, "in the world's time"


def _pulses(board: Running, name: str) -> list[tuple[int, int]]:
    levels = [(at, f["level"]) for at, kind, f in board.events if kind == "output" and f["name"] == name]
    return [(on, off) for (on, one), (off, zero) in itertools.pairwise(levels) if one > zero]


def test_a_world_that_is_held_up_keeps_the_distances_of_what_a_program_does(shared: Running) -> None:
    with connected(shared.link) as client:
        printed(client, "from machine import Pin; import time; relay = Pin(26, Pin.OUT, value=0)")
        del shared.events[:]
        client.exec_raw_no_follow("for i in range(1, 201): relay(i & 1); time.sleep_us(1000)")
        shared.wait_for(lambda: len(shared.events) > 10, "a program at work")
        for _ in range(3):
            shared.board.call(lambda: time.sleep(0.02))
        client.follow(60)
        shared.wait_for(lambda: len(shared.events) == 200, "the last change")
    distances = [after[0] - before[0] for before, after in itertools.pairwise(shared.events)]
    assert min(distances) > 990


def test_what_the_hardware_cannot_do_is_an_error_of_the_program(shared: Running) -> None:
    with connected(shared.link) as client:
        printed(client, "from machine import Pin, SPI; spi = SPI(2)")
        with pytest.raises(TransportExecError, match="0 chips selected"):
            client.exec("spi.write_readinto(b'12', bytearray(2))")
        assert printed(client, "print('here')") == "here\r\n"


def test_partitions_are_those_of_the_board(shared: Running) -> None:
    with connected(shared.link) as client:
        client.exec("import esp32\nP = esp32.Partition")
        found: Any = client.eval("[p.info() for p in P.find(P.TYPE_DATA)]")
        assert [(row[2], row[3], row[4]) for row in found] == [
            (part.offset, part.size, part.name) for part in BOARD.partitions if part.type == "data"
        ]
        assert printed(client, "print(P.find(P.TYPE_DATA, label='nothing'))") == "[]\r\n"


def test_flash_keeps_what_was_programmed_and_nvs_what_was_set(tmp_path: pathlib.Path) -> None:
    with running(tmp_path) as board, connected(board.link) as client:
        client.exec("import esp32\np = esp32.Partition.find(esp32.Partition.TYPE_DATA, label='list')[0]")
        client.exec("p.ioctl(6, 3)\np.writeblocks(3, b'\\x0f' * 16, 32)\np.writeblocks(3, b'\\xf1' * 16, 32)")
        client.exec("n = esp32.NVS('pinter')\nn.set_blob('key', b'secret')\nn.set_i32('n', -7)\nn.commit()")
        client.exec("n.set_blob('gone', b'1')\nn.erase_key('gone')")
    with running(tmp_path) as board, connected(board.link) as client:
        client.exec("import esp32\np = esp32.Partition.find(esp32.Partition.TYPE_DATA, label='list')[0]")
        client.exec("b = bytearray(64)\np.readblocks(3, b)\nn = esp32.NVS('pinter')\nk = bytearray(8)")
        assert client.eval("bytes(b[30:50])") == b"\xff\xff" + b"\x01" * 16 + b"\xff\xff", (
            "bits are only cleared"
        )
        assert client.eval("(n.get_blob('key', k), bytes(k), n.get_i32('n'))") == (6, b"secret\0\0", -7)
        with pytest.raises(TransportExecError, match="ESP_ERR_NVS_NOT_FOUND"):
            client.exec("n.get_blob('gone', k)")
        with pytest.raises(TransportExecError, match="ESP_ERR_NVS_INVALID_LENGTH"):
            client.exec("n.get_blob('key', bytearray(2))")


# --- the image
# -----------------------------------------------------------------------------------------------------


def test_the_file_system_is_littlefs_for_others_too(tmp_path: pathlib.Path) -> None:
    data = bytes(range(256)) * 40
    with running(tmp_path) as board, connected(board.link) as client:
        client.exec("import os\nos.mkdir('d')\nwith open('d/f', 'wb') as f: f.write(bytes(range(256)) * 40)")
        image = board.image
    found = file_system(image)
    with found.open("d/f", "rb") as file:
        assert file.read() == data
    with found.open("from_host.txt", "w") as file:
        file.write("hello")
    found.unmount()
    with image.open("r+b") as file:
        file.seek(VFS.offset)
        file.write(found.context.buffer)
    with running(tmp_path) as board, connected(board.link) as client:
        assert client.eval("open('/from_host.txt').read()") == "hello"
        client.exec("import os")
        assert client.eval("sorted(os.listdir('/'))") == ["boot.py", "d", "from_host.txt"]


def test_a_damaged_file_system_is_said_and_erase_helps(tmp_path: pathlib.Path) -> None:
    with running(tmp_path) as board, connected(board.link) as client:
        client.exec("open('kept', 'w').close()")
    with (tmp_path / "board.flash").open("r+b") as file:
        file.seek(VFS.offset)
        file.write(b"\x00" * 8192)
    with running(tmp_path) as board:
        client = SerialTransport(str(board.link))
        client.enter_raw_repl(soft_reset=False)
        client.serial.write(b"\x04")
        assert b"file system in partition vfs is damaged" in client.read_until(
            1, b"raw REPL; CTRL-B to exit\r\n"
        )
        client.close()
    with running(tmp_path, erase=True) as board, connected(board.link) as client:
        client.exec("import os")
        assert client.eval("os.listdir()") == ["boot.py"]


def test_kill_9_in_a_copy_leaves_a_sound_file_system_and_no_process(tmp_path: pathlib.Path) -> None:
    link, image = tmp_path / "board", tmp_path / "flash"
    (tmp_path / "long.bin").write_bytes(b"".join(b"block %05d...." % n for n in range(10000)))
    command = [BIN / "pinter", "sim", "board", "--link", str(link), "--image", str(image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert str(link) in process.stdout.readline()
        with connected(link) as client:
            client.fs_writefile("kept.bin", b"kept" * 100)
        (interpreter,) = _children(process.pid)
        copy = [BIN / "mpremote", "connect", str(link), "fs", "cp", str(tmp_path / "long.bin"), ":copy.bin"]
        with subprocess.Popen(copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
            _wait_for(lambda: b"block 00600" in image.read_bytes(), "the middle of the copy")
            process.kill()
            process.wait()
            assert copying.wait(60) != 0
        _wait_for(lambda: not os.path.exists(f"/proc/{interpreter}"), "the end of the interpreter")
    system = file_system(image)
    with system.open("kept.bin", "rb") as file:
        assert file.read() == b"kept" * 100
    assert link.is_symlink(), "a killed board leaves its link"
    (tmp_path / "flash").rename(tmp_path / "board.flash")
    with running(tmp_path) as board, connected(board.link) as client:
        assert client.eval("open('kept.bin').read()") == "kept" * 100
        client.fs_writefile("copy.bin", b"again")
        assert client.eval("open('copy.bin').read()") == "again"
    assert not link.is_symlink()


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- what cannot be
# --------------------------------------------------------------------------------------------------------


def test_it_refuses_in_one_line(shared: Running, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "short").write_bytes(b"\xff" * 100)
    free, flash = str(tmp_path / "free"), str(tmp_path / "flash")
    for arguments, message in (
        (["--link", str(tmp_path / "file"), "--image", flash], "file: exists already"),
        (["--link", str(shared.link), "--image", flash], "board: exists already"),
        (
            ["--link", free, "--image", str(tmp_path / "short")],
            "short: has 100 bytes, the flash of this board",
        ),
        (["--link", free, "--image", str(shared.image)], "another board is running on this image"),
        (["--link", str(tmp_path / "no" / "link"), "--image", flash], "No such file or directory"),
        (["--link", free, "--image", flash, "--board", "nothing"], "nothing"),
        (["--link", free, "--image", flash, "--card", "04A1B2@in"], "is not a UID"),
    ):
        command = [BIN / "pinter", "sim", "board", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2, (arguments, done.stdout)
        assert message in done.stderr.splitlines()[-1], done.stderr
        assert "Traceback" not in done.stderr
        assert not os.path.lexists(free), "nothing is left behind"
    assert (tmp_path / "file").read_text() == "mine"


def test_without_micropython_it_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.runtime.micropython", lambda: None)
    with pytest.raises(BoardError, match="no MicroPython on this machine"), running(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_micropython_that_ends_at_once_is_no_board(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROPYTHON", "/bin/true")
    with running(tmp_path) as board, pytest.raises(BoardError, match="/bin/true: ends at once"):
        board.wait_for(lambda: False, "the end")


def test_output_that_nobody_reads_holds_no_program_up(shared: Running) -> None:
    with connected(shared.link) as client:
        client.exec("from machine import Pin\nlamp = Pin(14, Pin.OUT, value=0)")
        client.exec_raw_no_follow("for _ in range(4000): print('x' * 60)\nlamp(1)")
    shared.wait_for(lambda: shared.output("lamp_red"), "the end of the program")
    with connected(shared.link) as client:
        assert client.eval("7") == 7


def test_a_program_talks_to_the_hosts_network(shared: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connected(shared.link) as client:
        client.exec("import network, socket\nw = network.WLAN(network.WLAN.IF_STA)\nw.active(True)")
        client.exec(f"w.connect('any')\na = socket.getaddrinfo('127.0.0.1', {server.getsockname()[1]})[0]")
        client.exec("s = socket.socket(*a[:3])\ns.connect(a[-1])")
        connection, _ = server.accept()
        connection.sendall(b"hello")
        assert client.eval("(w.isconnected(), s.recv(5))") == (True, b"hello")
        connection.close()
        with pytest.raises(TransportExecError, match="no access point"):
            client.exec("network.WLAN(network.WLAN.IF_AP).active(True)")


def test_a_board_that_is_told_to_stop_leaves_nothing_but_its_flash(tmp_path: pathlib.Path) -> None:
    link = tmp_path / "board"
    command = [BIN / "pinter", "sim", "board", "--link", str(link), "--card", "04A1B2C3D4E5F6@in"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert mpremote(link, "exec", "print('alive')") == "alive\n"
        process.stdin.write("leave 04A1B2C3D4E5F6\nleave 04A1B2C3D4E5F6\npress guard_out\n")
        process.stdin.flush()
        while not (line := process.stdout.readline()).startswith("? enter UID"):
            assert line, "the second order makes no sense"
        code = "from machine import Pin; print(Pin(33, Pin.IN)())"
        assert mpremote(link, "exec", code) == "0\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["board.flash"]


# --- the gate's firmware
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A provisioned gate in service."""
    made = stage.provisioned("A", {"min_tier": "uid", "rtc": True}, None)
    files = gate_files(made["config"], gate_bench.the_list(issued=int(time.time()) - 3600))
    with running(tmp_path_factory.mktemp("gate"), files=files, nvs=made["keys"]) as board:
        board.wait_for(lambda: "boot" in _records(board), "the boot record")
        yield board


def _records(board: Running) -> list[str]:
    return [fields["record"].type for _, kind, fields in board.events if kind == "journal"]


def test_the_gate_opens_for_a_card(gate: Running) -> None:
    card = gate.enter(UID)
    gate.wait_for(lambda: _pulses(gate, "relay_in"), "a pulse of the relay")
    gate.leave(card)
    assert "grant" in _records(gate)
    with connected(gate.link, soft_reset=False) as client:
        status: Any = client.eval("gate.status()")
        assert status["fault"] == "" and status["journal"]["seq"] >= 2
        card = gate.enter(UID)
        # Ctrl-C may have come in the middle of a frame: on a board as well the other chip must be let go.
        client.exec("import board\nfor pin in (board.READER_IN_CS, board.READER_OUT_CS): Pin(pin)(1)")
        client.exec("from firmware.cards.iso14443a import Scanner\nchip = gate._hardware.chips[0]")
        client.exec("chip.start()\nscanner = Scanner(chip)\nwhile not scanner.poll(): pass")
        assert client.eval("scanner.uids") == [UID], "a tool may use the reader"
        gate.leave(card)


def test_the_watchdog_has_an_hour_after_ctrl_c(tmp_path: pathlib.Path) -> None:
    main = b"""
from machine import WDT
dog = WDT(timeout=300)
print("armed")
try:
    while True: dog.feed()
except KeyboardInterrupt:
    WDT(timeout=3600000).feed()
"""
    with running(tmp_path, files={"main.py": main}) as board:
        board.wait_for(lambda: board.do(lambda: board.hardware._watchdog), "the watchdog")
        with connected(board.link, soft_reset=False) as client:
            assert board.do(lambda: board.hardware._watchdog_ms) == 3_600_000
        with connected(board.link) as client:
            assert board.do(lambda: board.hardware._watchdog is not None), "a soft reset does not stop it"
            client.exec_raw_no_follow("from machine import WDT\nWDT(timeout=200)\nwhile True: pass")
            board.wait_for(lambda: _boots(board, 3), "the reset by a watchdog that nobody feeds")
