"""The thread in which worlds run, one after the other: the hall, a story, the hall again.

Owns that thread, and who hears what it has to say. Whatever goes wrong in a world becomes one message;
then there is a new one.
"""

import asyncio
import collections
import dataclasses
import itertools
import pathlib
import queue
import threading
from typing import Any

from host_sim.deploy import DeployError
from host_sim.scenario import format as scenario_format
from host_sim.scenario import model
from host_sim.scenario.nodes import ScenarioError
from host_sim.web.live import Live, Request, Switch, as_text
from tools.office.api.web import Log

HALL = pathlib.Path(__file__).parent.parent / "samples" / "hall.yaml"
STORIES = pathlib.Path(__file__).parent.parent.parent / "tests" / "scenarios"
_REMEMBERED = 60  # events and decisions that a new page is told
_WAITING = 2000  # messages for a page that does not read
_ANSWER_S = 30.0


class Listener:
    """One page: messages wait here until it takes them. A slow page loses events, never the newest state."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: collections.deque[str] = collections.deque(maxlen=_WAITING)
        self._state: str | None = None
        self._news = asyncio.Event()

    def put(self, kind: str, text: str) -> None:
        """Add a message, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._add, kind, text)
        except RuntimeError:  # the loop is closed: the server ends
            pass

    def _add(self, kind: str, text: str) -> None:
        if kind == "state":
            self._state = text
        else:
            self._waiting.append(text)
        self._news.set()

    async def take(self) -> list[str]:
        """Wait for news; return what there is, in order, the state last."""
        await self._news.wait()
        self._news.clear()
        found = list(self._waiting)
        self._waiting.clear()
        if self._state is not None:
            found.append(self._state)
            self._state = None
        return found


class Hall:
    """All worlds of one server. `log(event, **fields)` is the server's own."""

    def __init__(self, runtime: str, stories: pathlib.Path, log: Log, speed: float = 1.0) -> None:
        self._runtime, self._speed = runtime, speed
        self._folder = stories
        self._log = log
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._history: collections.deque[str] = collections.deque(maxlen=_REMEMBERED)
        self._state = ""
        self._number = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)
        self._is_over = False

    @property
    def stories(self) -> list[str]:
        """Names of the stories that can be played."""
        return sorted(path.name for path in self._folder.glob("*.yaml"))

    def start(self) -> None:
        """Open the hall."""
        self._thread.start()

    def stop(self) -> None:
        """Close it, and wait until nothing of it is left."""
        self._is_over = True
        self._requests.put(None)
        self._thread.join(_ANSWER_S)

    # -- pages --

    def listen(self, listener: Listener) -> None:
        """Tell `listener` all that happens from now on, after what has just been."""
        with self._lock:
            for text in self._history:
                listener.put("event", text)
            if self._state:
                listener.put("state", self._state)
            self._listeners.add(listener)

    def forget(self, listener: Listener) -> None:
        """Tell `listener` nothing more."""
        with self._lock:
            self._listeners.discard(listener)

    async def ask(self, message: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Have a message (commands.parse) carried out; return (one line of refusal or None, answer)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[str | None, dict[str, Any]]] = loop.create_future()

        def answer(error: str | None, found: dict[str, Any]) -> None:
            def done() -> None:
                if not future.done():
                    future.set_result((error, found))

            try:
                loop.call_soon_threadsafe(done)
            except RuntimeError:  # the loop is closed
                pass

        if message["type"] == "play" and message["file"] not in self.stories:
            return "play: there is no story %s" % ascii(message["file"])[:60], {}
        self._requests.put(Request(message, answer))
        try:
            return await asyncio.wait_for(future, _ANSWER_S)
        except TimeoutError:
            return "the world is busy: try again", {}

    def _tell(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind != "state":
            message = {**message, "number": next(self._number)}
        text = as_text(message)
        with self._lock:
            if kind == "state":
                self._state = text
            else:
                self._history.append(text)
            for listener in self._listeners:
                listener.put(kind, text)

    # -- worlds --

    def _run(self) -> None:
        order: dict[str, Any] | None = {"type": "hall"}
        while order is not None and not self._is_over:
            try:
                order = self._one(order)
            except DeployError as error:
                order = self._trouble(str(error))
            except BaseException as error:  # noqa: BLE001 - a page that stands still says nothing
                order = self._trouble("%s: %s" % (type(error).__name__, " ".join(str(error).split())))

    def _trouble(self, why: str) -> dict[str, Any] | None:
        self._log("world_failed", why=why)
        self._tell({"type": "trouble", "why": why})
        return self._wait()

    def _one(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """Let one world run until it is to be another; return which."""
        if order["type"] == "runtime":
            self._runtime = order["runtime"]
        is_hall = order["type"] != "play"
        path = HALL if is_hall else self._folder / order["file"]
        try:
            scenario = scenario_format.load(path)
        except ScenarioError as error:
            return self._trouble(str(error).splitlines()[0])
        with self._lock:
            self._history.clear()
        self._tell({"type": "world", "story": None if is_hall else path.name, "runtime": self._runtime})
        live = Live(
            _named(scenario, path.name), self._runtime, self._requests, self._tell,
            is_hall=is_hall, speed=self._speed or 1.0,
        )  # fmt: skip
        try:
            live.play()
        except Switch as switch:
            return switch.order
        finally:
            self._speed = live.speed
        if is_hall:
            return self._trouble("; ".join(failure.got for failure in live.failures) or "the gate has ended")
        problems = [failure.text(path.name) for failure in live.failures]
        self._tell({"type": "result", "story": path.name, "ok": not problems, "problems": problems})
        return self._wait()

    def _wait(self) -> dict[str, Any] | None:
        """Wait for what is to come, refusing all else; None at the end."""
        while True:
            request = self._requests.get()
            if request is None:
                return None
            if request.message["type"] in ("play", "hall", "runtime"):
                request.answer(None, {})
                return request.message
            request.answer("nothing is running: open the hall, or play a story", {})


def _named(scenario: model.Scenario, name: str) -> model.Scenario:
    return dataclasses.replace(scenario, file=name)
