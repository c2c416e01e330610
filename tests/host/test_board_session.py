"""The port under a technician's session: held by another program, gone with a reset, answering late."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from host_sim.board import running
from tools.board import session


@pytest.fixture
def pair() -> Iterator[tuple[int, str]]:
    """Yield the board's end of a terminal, and the name of the other one."""
    board, client = os.openpty()
    yield board, os.ttyname(client)
    os.close(board)
    os.close(client)


def test_a_port_that_another_program_has_for_a_moment_is_waited_for(pair: tuple[int, str]) -> None:
    other = serial.Serial(pair[1], exclusive=True)
    asked = threading.Event()

    class Port(session.Transport):
        def __init__(self, name: str) -> None:
            asked.set()
            super().__init__(name)

    def let_go() -> None:
        asked.wait()
        other.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "Transport", Port)
        thread = threading.Thread(target=let_go)
        thread.start()
        session._opened(pair[1]).close()
        thread.join()


def test_a_port_that_is_kept_by_another_program_is_one_line(
    pair: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_OPEN_S", 0)
    refused = pytest.raises(session.SessionError, match="no other program using it")
    with serial.Serial(pair[1], exclusive=True), refused:
        session._opened(pair[1])


def test_a_gate_is_heard_on_a_port_that_went_away_with_its_reset(
    pair: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, name = pair
    opened = session.Transport(name)
    made = session.Session(opened, name)
    opened.serial.close()

    def gone() -> int:
        raise OSError(errno.EIO, "Input/output error")

    vars(opened.serial)["inWaiting"] = gone  # what a reset does to the port of a chip with a USB of its own
    real = session.Transport

    class Again(real):
        def __init__(self, port: str, wait: int) -> None:
            super().__init__(port, wait=wait)
            os.write(board, b"rst:0x1\r\nPINTER runs\r\n")

    monkeypatch.setattr(session, "Transport", Again)
    assert made._listen(60) is False
    assert isinstance(made._transport, Again)
    made._transport.close()


@pytest.mark.requires_micropython
def test_a_board_on_which_nothing_runs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_PATIENCE_S", (3600,))
    with running(tmp_path) as board, session.session(str(board.link)) as talk:
        assert talk.report_in_service() is None


@pytest.mark.requires_micropython
def test_what_an_interrupted_board_answers_late_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    with running(tmp_path, files={"main.py": b"while True: pass\n"}) as board:
        opened = session.Transport(str(board.link))
        for _ in range(4):  # Ctrl-A of tries that were given up: each has its answer in the end
            opened.serial.write(b"\r\x03\r\x01")
        session._interrupt(opened)
        for n in range(20):
            assert opened.exec(f"print({n})") == b"%d\r\n" % n
        opened.close()


@pytest.mark.requires_micropython
def test_what_is_garbage_on_the_board_counts_as_free(tmp_path: Path) -> None:
    with running(tmp_path) as board, session.session(str(board.link)) as talk:
        talk.run("class gate:\n    status = dict\nimport gc\ngc.disable()")
        talk.run("gc.collect()\nfor _ in range((gc.mem_free() - 6000) // 1024):\n    bytearray(900)")
        assert talk.value("gc.mem_free()") < 50_000
        report = talk.report_in_service()
        assert report is not None and report.free > 50_000
