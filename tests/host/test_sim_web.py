"""What `pinter sim web` says without a browser: refusals, who may, decisions explained, frames decoded."""

import asyncio
import json
import queue
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from firmware.policy import REASONS
from host_sim.cards import air
from host_sim.scenario import explain
from host_sim.scenario import format as scenario_format
from host_sim.web import commands, server, trace
from host_sim.web.hall import HALL, STORIES, Hall, Listener
from host_sim.web.live import Live
from host_sim.web.turnstile import WAIT_US, Turnstile
from tests import counts
from tests.web_bench import Served, serving

KNOWN = sorted(STORIES.glob("*.yaml"))
# Where the record and the office's list are not enough: an older list, copies, records that power cuts left.
HARD = ("desk_revoked_in_a_network_outage", "in_weak_keyed_card", "out_copied_card", "power_local")
CHOSEN = [
    path
    for number, path in enumerate(KNOWN)
    if counts.FULL or number % 40 == counts.SEED % 40 or path.stem in HARD
]
# All that answers a request; a page talks at /talk.
PATHS = [
    route.path
    for route in server.create(Hall("cpython", STORIES, print), None, print).routes
    if isinstance(route, Route)
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("web"), "--runtime", "cpython") as found:
        yield found


def answer(socket: ClientConnection, kinds: tuple[str, ...] = ("done", "error")) -> dict[str, Any]:
    while True:
        message = json.loads(socket.recv(timeout=60))
        if message["type"] in kinds:
            return message


@pytest.mark.parametrize(
    "text,wanted",
    [
        ("", "a message is one JSON object"),
        ("[1]", "a message is one JSON object"),
        ("[" * 3000, "a message is one JSON object"),
        (" " * (commands.LONGEST + 1), "a message has at most"),
        ("{}", "type: one of hold"),
        ('{"type": []}', "type: one of hold"),
        ('{"type": "trace"}', "type: one of hold"),
        ('{"type": "hold"}', "hold: card: a text"),
        ('{"type": "hold", "card": "Y1", "reader": "up"}', "hold: reader: one of in, out"),
        ('{"type": "hold", "card": "Y1", "reader": "in", "ms": true}', "hold: ms: a number from 20 to 60000"),
        ('{"type": "hold", "card": "Y1", "reader": "in", "ms": 1e400}', "hold: ms: a number"),
        ('{"type": "hold", "card": "Z9", "reader": "in"}', "there is no card 'Z9'"),
        ('{"type": "hold", "card": "Y1", "reader": "out"}', "Y1 is not inside"),
        ('{"type": "take", "card": "Y1"}', "Y1 is at no reader"),
        ('{"type": "walk", "direction": "out", "card": "Y1"}', "the person with Y1 is on the other side"),
        ('{"type": "input", "name": "sensor_in", "on": true}', "input: name: one of fire, tamper"),
        ('{"type": "input", "name": "fire", "on": 1}', "input: on: true or false"),
        ('{"type": "power", "on": true}', "the power is on already"),
        ('{"type": "clock_step", "seconds": NaN}', "clock_step: seconds: a number"),
        ('{"type": "speed", "speed": 101}', "speed: speed: a number from 0 to 100"),
        ('{"type": "play", "file": "../hall.yaml"}', "play: there is no story"),
        ('{"type": "view", "gate": "Z"}', "view: gate: one of A"),
        ('{"type": "hall", "extra": 1}', "hall: 'extra' is not known here"),
        ('{"type": "hall", "id": "1"}', "hall: id: a whole number"),
    ],
)
def test_a_bad_message_gets_one_clear_error(served: Served, text: str, wanted: str) -> None:
    with connect(served.ws) as socket:
        socket.send(text)
        found = answer(socket)
        assert found["type"] == "error" and found["text"].startswith(wanted), found
        assert "\n" not in found["text"]
        socket.send('{"type": "speed", "speed": 1, "id": 7}')
        assert answer(socket) == {"type": "done", "id": 7}, "the connection goes on"


def test_bytes_are_refused(served: Served) -> None:
    with connect(served.ws) as socket:
        socket.send(b"\x00\xff")
        assert answer(socket)["text"] == "a message is text, not bytes"


@pytest.mark.parametrize("path", ["/", "/hall.js", "/words.js", "/drawing.js", "/hall.css", "/icon.svg"])
def test_every_file_has_a_policy_that_lets_nothing_in_from_elsewhere(served: Served, path: str) -> None:
    with urllib.request.urlopen(served.url + path.lstrip("/")) as response:  # noqa: S310
        policy = response.headers["content-security-policy"]
        text = response.read().decode()
    assert "default-src 'none'" in policy and "unsafe" not in policy
    references = set(re.findall(r"(?:https?:)?//[a-z0-9][\w.-]+[\w/.-]*", text))
    assert references <= {"http://www.w3.org/2000/svg"}, "the page needs nobody else"


def refused(url: str, **headers: str) -> None:
    """Expect that a request for `url` is answered with a refusal."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as denied:
        urllib.request.urlopen(request)  # noqa: S310
    assert denied.value.code == 403, url
    denied.value.close()


def turned_away(url: str, origin: str | None = None, **headers: str) -> None:
    """Expect that a WebSocket is not opened."""
    with pytest.raises(InvalidStatus) as denied:
        connect(url, origin=origin, additional_headers=headers)  # pyright: ignore[reportArgumentType]
    assert denied.value.response.status_code == 403


def test_a_page_of_another_site_is_turned_away(served: Served) -> None:
    assert {"/", "/hall.js", "/journal.json", "/last-tap.csv"} <= set(PATHS)
    for path in PATHS:
        refused(served.url + path[1:], Host="evil.example")
    for origin in ("http://evil.example", "null", served.url.replace("127.0.0.1", "localhost")[:-1]):
        turned_away(served.ws, origin)


def test_beyond_this_machine_only_the_token_opens(tmp_path: Path) -> None:
    with serving(tmp_path, "--runtime", "cpython", "--host", "0.0.0.0") as found:  # noqa: S104
        assert found.token
        url = found.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        for path in PATHS:
            refused(url + path[1:])
            refused(url + path[1:] + "?token=wrong")
            refused(url + path[1:], Cookie=f"{server.COOKIE}=wrong")
        ws = url.replace("http:", "ws:") + "talk"
        key = f"{server.COOKIE}={found.token}"
        turned_away(ws)
        turned_away(ws, Cookie=f"{server.COOKIE}=wrong")
        turned_away(ws, "http://evil.example", Cookie=key)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(url + "?token=" + found.token) as response:
            assert response.geturl() == url, "the token does not stay in the address"
        with connect(ws, additional_headers={"Cookie": key}) as socket:
            assert answer(socket, ("hello",))["stories"]


def test_a_story_is_played_to_its_result_and_the_hall_comes_back(served: Served) -> None:
    with connect(served.ws) as socket:
        socket.send('{"type": "speed", "speed": 100}')
        answer(socket)
        socket.send('{"type": "play", "file": "lane.yaml"}')
        answer(socket)
        socket.send('{"type": "guard", "direction": "in"}')
        assert answer(socket)["text"] == "a story is playing: stop it first"
        result = answer(socket, ("result",))
        assert result["ok"] and result["story"] == "lane.yaml", result
        socket.send('{"type": "guard", "direction": "in"}')
        assert answer(socket)["text"].startswith("nothing is running")
        socket.send('{"type": "hall"}')
        answer(socket)
        while answer(socket, ("state",))["story"] is not None:
            pass
        socket.send('{"type": "speed", "speed": 1}')
        answer(socket)
    assert not served.complaints()


def play(path: Path, *, may_look: bool) -> list[dict[str, Any]]:
    """Return the decisions of a story, explained by the firmware or, without a look into it, by the host."""

    class Blind(Live):
        def _hooks(self, gate: str) -> Any:
            return {}

    told: list[dict[str, Any]] = []
    kind = Live if may_look else Blind
    requests: Any = queue.Queue()
    kind(scenario_format.load(path), "cpython", requests, told.append, is_hall=False, speed=100).play()
    return [message for message in told if message["type"] == "decision"]


@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.stem)
def test_the_host_computes_what_the_firmware_would_say(path: Path) -> None:
    looked, computed = play(path, may_look=True), play(path, may_look=False)
    assert len(looked) == len(computed)
    for one, other in zip(looked, computed, strict=True):
        assert other["source"] == "host"
        assert other["agrees"], (other["at"], other["reason"], other["rows"][-1:])
        if other["rows"]:
            wanted = [(row["reason"], row["applied"]) for row in one["rows"]]
            assert [(row["reason"], row["applied"]) for row in other["rows"]] == wanted, one["at"]


def test_every_row_of_an_explanation_has_words_in_both_languages() -> None:
    words = (server.PAGE / "words.js").read_text()
    for reason in REASONS[1:]:
        assert f"{reason}: [" in words, reason
    assert explain.VALUES


def test_the_wait_is_split_without_a_rest() -> None:
    frame = air.frame(b"\x26", 7, False)
    entries = [
        (900, "spi", b"\x1a\x87", b"\x00\x00"),  # StartSend: nobody answers
        (1000, "sent", frame, b""),
        (2000, "spi", b"\x1a\x87", b"\x00\x00"),
        (2100, "sent", frame, b""),
        (2200, "spi", b"\x88\x00", b"\x00\x00"),  # while the card speaks
        (2400, "received", b"\x44\x00", b"\x00"),
        (2500, "spi", b"\x88\x00", b"\x00\x00"),
    ]
    found = trace.split(entries, 500, 4000, 300, lambda count: 70)
    assert found == {"poll": 1.5, "air": 0.4, "spi": 0.07, "cpu": 1.23, "flash": 0.3}
    assert sum(found.values()) == pytest.approx(3.5)
    assert trace.split([], 500, 4000, 0, lambda count: 70)["poll"] == 3.5


@pytest.mark.parametrize(
    "data,last_bits,wanted",
    [
        (b"\x26", 7, "REQA"),
        (b"\x52", 7, "WUPA"),
        (b"\x93\x20", 0, "anticollision, level 1"),
        (bytes.fromhex("957004a1b2c3d4"), 0, "SELECT, level 2"),
        (bytes.fromhex("500057cd"), 0, "HLTA"),
        (bytes.fromhex("e08031 73"), 0, "RATS"),
        (bytes.fromhex("02 90710000 0200 0000 aabb"), 0, "I-block 0: AuthenticateEV2First"),
        (bytes.fromhex("03 00a4040007 aabb"), 0, "I-block 1: ISOSelectFile"),
        (bytes.fromhex("f2 01 aabb"), 0, "S-block: WTX"),
        (bytes.fromhex("b2 aabb"), 0, "R-block 0: NAK"),
        (b"", 0, ""),
    ],
)
def test_frames_are_named(data: bytes, last_bits: int, wanted: str) -> None:
    assert trace.request(data, last_bits) == wanted


def test_registers_are_named_and_csv_is_quoted() -> None:
    row = trace.decoded("spi", b"\x88\x8c\x92\x92\x00", b"\x00\x20\x00\x01\x02")
    assert row == ("spi", "read", "20 00 01 02", "ComIrqReg, ErrorReg, FIFODataReg x2")
    assert trace.decoded("spi", b"\x02\x0c", b"\x00\x00")[3] == "CommandReg: Transceive"
    assert trace.as_csv([(1, *row)]).splitlines() == [
        "time_us,kind,what,bytes,meaning",
        '1,spi,read,20 00 01 02,"ComIrqReg, ErrorReg, FIFODataReg x2"',
    ]


def test_the_arms_turn_once_for_a_pulse_and_always_without_power() -> None:
    arms = Turnstile()
    assert not arms.is_free("in", 0)
    arms.relay("in", 1, 1000)
    arms.relay("in", 0, 401_000)
    assert arms.is_free("in", 1000 + WAIT_US) and not arms.is_free("in", 1001 + WAIT_US)
    assert not arms.is_free("out", 2000)
    arms.passed("in")
    assert not arms.is_free("in", 402_000) and arms.turns == 1
    arms.relay("out", 1, 0)
    arms.relay("out", 0, 9_000_000)  # it was held open
    assert not arms.is_free("out", 9_000_001)
    arms.is_powered = False
    assert arms.is_free("in", 9_000_001) and arms.is_free("out", 9_000_001)


def test_a_page_that_does_not_read_keeps_the_newest_state() -> None:
    async def run() -> list[str]:
        listener = Listener(asyncio.get_running_loop())
        for number in range(5000):
            listener.put("state", f"state {number}")
            listener.put("event", f"event {number}")
        await asyncio.sleep(0)
        return await listener.take()

    found = asyncio.run(run())
    assert found[-1] == "state 4999" and found[-2] == "event 4999"
    assert len(found) <= 2001


def test_the_hall_is_a_story_that_can_be_read() -> None:
    scenario = scenario_format.load(HALL)
    assert {card.name for card in scenario.cards.values()} >= {"Y1", "B1", "G1", "S1", "C1", "X1", "P1"}
