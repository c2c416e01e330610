"""A virtual board inside a test: the board in a thread, and its outside for the test to play with."""

import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from host_sim import deploy
from host_sim.board.board import BoardError, VirtualBoard
from host_sim.board.hardware import BoardHardware
from host_sim.cards.picc import Card

_T = TypeVar("_T")
_PATIENCE_S = 60.0


class Running:
    """A board that runs. `link`: path for clients; `image`: its flash; `events`: (time in us, kind, fields).

    `hardware` belongs to the board's thread: use `do`, or the methods below, which do.
    """

    def __init__(self, board: VirtualBoard, image: pathlib.Path) -> None:
        self.board = board
        self.failed: BoardError | None = None
        self.link = board.terminal.link
        self.image = image
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        board.hardware.observers.append(lambda at_us, kind, fields: self.events.append((at_us, kind, fields)))

    @property
    def hardware(self) -> BoardHardware:
        """The board's hardware; look, but touch it by `do` only."""
        return self.board.hardware

    def do(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Return `function(*arguments)`, called in the board's thread. Raises what it raises."""
        done = threading.Event()
        result: list[Any] = []

        def call() -> None:
            try:
                result.append(function(*arguments))
            except Exception as error:  # noqa: BLE001 - it is raised where it belongs
                result.append(error)
            done.set()

        self.board.call(call)
        self.wait_for(done.is_set, "an answer of the board's thread")
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def enter(self, card: Card | str | bytes, direction: str = "in") -> Card:
        """Bring a card (or one with this UID, hex or bytes) to the reader `direction`; return it."""
        if not isinstance(card, Card):
            card = Card(bytes.fromhex(card) if isinstance(card, str) else card)
        self.do(self.hardware.fields[direction].enter, card)
        return card

    def leave(self, card: Card, direction: str = "in") -> None:
        """Take a card away."""
        self.do(self.hardware.fields[direction].leave, card)

    def set_input(self, name: str, active: bool) -> None:
        """Bring sensor_in, fire, guard_out ... to its active or its idle level."""
        self.do(self.hardware.set_input, name, active)

    def output(self, name: str) -> int:
        """Return the level of relay_in, lamp_red ... now."""
        return self.do(self.hardware.output, name)

    def wait_for_service(self) -> None:
        """Return once the gate is in service that was started last: it can be asked for its report.

        A boot record does not say so, it is written earlier.
        """
        self.wait_for(lambda: self.board.is_in_service, "a gate in service")

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = _PATIENCE_S) -> Any:
        """Return `condition()` once it is true.

        Raises TimeoutError, which says `what` did not happen, and BoardError if the board has broken down.
        """
        end = time.monotonic() + timeout_s
        while True:
            if self.failed is not None:
                raise self.failed
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                seen = "\n".join(map(str, self.events[-10:]))
                said = self.board.terminal.tail.decode(errors="replace")
                raise TimeoutError(f"not within {timeout_s:.0f} s: {what}\n{seen}\nThe board said:\n{said}")
            time.sleep(0.01)


def gate_files(
    config: Mapping[str, Any] | str, bundle: bytes | None, board: str = "esp32_devkitc"
) -> dict[str, bytes]:
    """Return the files of a provisioned gate, for `files` of `running`: firmware, config and list."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        firmware = deploy.deploy(home, "micropython", board, config, bundle)[-1]
        paths = [(path, path.relative_to(firmware)) for path in firmware.rglob("*.mpy")]
        paths += [(path, path.relative_to(home)) for path in home.iterdir()]
        return {name.as_posix(): path.read_bytes() for path, name in paths}


@contextmanager
def running(
    folder: pathlib.Path, *, cards: Sequence[tuple[Card | str | bytes, str]] = (), **arguments: Any
) -> Iterator[Running]:
    """Yield a virtual board with link and image in `folder`, `cards` (card or UID, direction) at its readers.

    The image outlives the board: run again in the same folder for a board that was switched off and on.
    `arguments`: those of VirtualBoard (board, erase, heap, files, nvs). Raises BoardError.
    """
    image = folder / "board.flash"
    board = VirtualBoard(folder / "board", image, **arguments)
    bench = Running(board, image)

    def run() -> None:
        try:
            board.run()
        except BoardError as error:
            bench.failed = error

    thread = threading.Thread(target=run, name="virtual board")
    thread.start()
    try:
        for card, direction in cards:
            bench.enter(card, direction)
        yield bench
    finally:
        board.stop()
        thread.join()
        board.close()
