"""The API over real sockets: streams that go on where they were, TLS, addresses; `--api` and `--follow`."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from host_sim.importer import ROOT
from tests.host.api_bench import YELLOW_FOR_AN_HOUR, ApiBench, fill_journal
from tests.host.link_peers import LIMIT_S, free_port, wait_for
from tests.host.office_bench import YELLOW
from tests.host.postgres_bench import on_both
from tests.host.test_office_cli import run
from tests.host.test_sync_chain import written
from tools.office.api import server, stream
from tools.office.api.listen import Listen, ListenError, check
from tools.office.broker import OwnBroker


@contextmanager
def listening(api: ApiBench, role: str = "desk", **listen: object) -> Iterator[httpx2.Client]:
    at = Listen("127.0.0.1", free_port(), **listen)  # pyright: ignore[reportArgumentType]
    with server.running(api.keeper, at, api._log) as port:
        assert port == at.port
        headers = {"Authorization": f"Bearer {api.tokens[role]}"}
        verify = ssl.create_default_context(cafile=api.office.folder.path / "tls/ca.pem") if listen else True
        url = at.url.replace("127.0.0.1", "localhost") if listen else at.url
        with httpx2.Client(base_url=url, headers=headers, verify=verify, timeout=LIMIT_S) as client:
            yield client


def messages(lines: Iterator[str], count: int) -> list[dict[str, str]]:
    """Return the next messages of a stream, field by field."""
    found: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            found.append(fields)
        fields = {}
        if len(found) == count:
            break
    return found


@on_both
def test_a_stream_goes_on_where_it_was(api, office):
    journal, raws = written(30, torn=11)
    fill_journal(office, journal, raws)
    with listening(api) as client:
        with client.stream("GET", "/v1/events/stream?after=10") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            first = messages(answer.iter_lines(), 6)
        assert json.loads(first[0]["data"]) == {"after": 10} and first[0]["event"] == "start"
        assert [message["id"] for message in first[1:]] == ["11", "12", "13", "14", "15"]
        with client.stream("GET", "/v1/events/stream", headers={"Last-Event-ID": "15"}) as answer:
            rest = messages(answer.iter_lines(), 15)
    events = [json.loads(message["data"]) for message in first[1:] + rest[1:]]
    assert [event["id"] for event in events] == list(range(11, 30))
    assert events == api.get("/v1/events?after=10&limit=500")["events"]
    assert events[-1]["journal"] == journal.journal_id.hex()


@on_both
def test_a_stream_from_now_on_tells_what_comes_and_is_chosen(api, office, monkeypatch):
    monkeypatch.setattr(stream, "_POLL_S", 0.02)
    journal, raws = written(40, torn=11)
    fill_journal(office, journal, raws[:20])
    with listening(api) as client, client.stream("GET", "/v1/events/stream?type=deny&type=grant") as answer:
        lines = answer.iter_lines()
        assert messages(lines, 1)[0]["id"] == "19"
        office.books().take_events("A", journal.journal_id, 21, raws[20:])
        wanted = [row for row in api.get("/v1/events?after=19&limit=500")["events"] if row["type"] != "boot"]
        wanted = [row for row in wanted if row["type"] in ("deny", "grant")]
        assert wanted
        assert [json.loads(m["data"]) for m in messages(lines, len(wanted))] == wanted


@on_both
def test_a_silent_stream_says_that_it_is_there_and_where(api, monkeypatch):
    monkeypatch.setattr(stream, "_POLL_S", 0.02)
    monkeypatch.setattr(stream, "_SILENCE_S", 0.05)
    with listening(api) as client, client.stream("GET", "/v1/events/stream") as answer:
        lines = answer.iter_lines()
        messages(lines, 1)
        assert [next(lines) for _ in range(3)] == ["id: 0", ": nothing new", ""]


def test_there_is_an_end_to_streams(api, monkeypatch):
    monkeypatch.setattr(stream, "STREAMS", 1)
    monkeypatch.setattr(stream, "_POLL_S", 0.02)
    streams = api.keeper.stop.__self__
    with listening(api) as client:
        with client.stream("GET", "/v1/events/stream") as answer:
            lines = answer.iter_lines()  # without it the connection is closed
            messages(lines, 1)
            with client.stream("GET", "/v1/events/stream") as refused:
                assert refused.status_code == 429
                assert json.loads(refused.read())["detail"] == "1 streams are open already"
        wait_for("the stream's end", lambda: streams._count == 0, lambda: str(api.lines))
        with client.stream("GET", "/v1/events/stream") as answer:
            messages(answer.iter_lines(), 1)


def test_the_end_of_the_server_ends_streams_and_frees_the_address(api):
    port = free_port()
    for _ in range(2):
        with server.running(api.keeper, Listen("127.0.0.1", port), api._log):
            other = server.running(api.keeper, Listen("127.0.0.1", port), api._log)
            with pytest.raises(ListenError, match="Address already in use"), other:
                pass
            headers = {"Authorization": f"Bearer {api.tokens['desk']}"}
            assert httpx2.get(f"http://127.0.0.1:{port}/v1/health", headers=headers).status_code == 200
    assert [line["event"] for line in api.lines if line["event"].startswith("api")] == [
        "api_started",
        "api_stopped",
    ] * 2
    assert not any(thread.name == "api" for thread in threading.enumerate())


@on_both
def test_an_open_stream_ends_with_the_server(api):
    with listening(api) as client:
        answer = client.send(client.build_request("GET", "/v1/events/stream"), stream=True)
        lines = answer.iter_lines()
        messages(lines, 1)
        api.keeper.stop()
        assert messages(lines, 1) == []
        answer.close()


def test_tls_with_the_offices_own_certificate(api, office):
    OwnBroker(office.folder.path / "tls", "JKT", "127.0.0.1", 1, ())
    files = {
        "certificate": office.folder.path / "tls/broker.pem",
        "key": office.folder.path / "tls/broker.key",
    }
    with listening(api, **files) as client:
        assert client.get("/v1/health").json()["site"] == "JKT"
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"http://localhost:{client.base_url.port}/v1/health")
    files["key"].chmod(0o644)
    with pytest.raises(ListenError, match="can be read by others"), listening(api, **files):
        pass
    files["key"].chmod(0o600)
    files["key"].write_text("nonsense")
    with pytest.raises(ListenError, match="broker"), listening(api, **files):
        pass


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        (Listen("0.0.0.0", 1), "without TLS only on this machine, not on 0.0.0.0"),  # noqa: S104
        (Listen("::", 1), "without TLS only on this machine, not on ::"),
        (Listen("127.0.0.1", 1, certificate=Path("x")), "a certificate and its key go together"),
    ],
)
def test_where_it_does_not_listen(listen, words):
    with pytest.raises(ListenError, match=words):
        check(listen)
    check(Listen("0.0.0.0", 1, is_plain=True))  # noqa: S104
    check(Listen("::1", 1))
    check(Listen("127.9.9.9", 1))


# As programs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("init", "--site", "JKT", "--min-tier", "uid")
    run("gate", "add", "A")
    run("card", "add", YELLOW)
    return tmp_path / "office"


@contextmanager
def program(*arguments: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Run `pinter office ...`; give the process and the file of what it writes to both outputs."""
    path = Path("program.log")
    command = [sys.executable, "-c", "from tools.cli.main import main; main()", "office", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with path.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
        try:
            yield process, path
        finally:
            process.kill()


def end(process: "subprocess.Popen[bytes]", number: int) -> int:
    process.send_signal(number)
    return process.wait(LIMIT_S)


@pytest.mark.parametrize(
    "arguments", [("api", "--listen"), ("serve", "--log-json", "--listen", "BROKER", "--api")]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_api_alone_and_beside_the_gates(folder, arguments, number):
    token = run("token", "add", "web", "--role", "desk").strip()
    port = free_port()
    words = [f"127.0.0.1:{free_port()}" if word == "BROKER" else word for word in arguments]
    with program(*words, f"127.0.0.1:{port}") as (process, path):
        wait_for("its start", lambda: "api_started" in path.read_text(), path.read_text)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=LIMIT_S) as client:
            serves = arguments[0] == "serve"  # the sessions of the gates begin after the API
            wait_for(
                "its sessions", lambda: client.get("/v1/health").json()["serving"] is serves, path.read_text
            )
            done = client.post(f"/v1/cards/{YELLOW}/issue", json={**YELLOW_FOR_AN_HOUR, "until": 1 << 60})
            assert done.status_code == 422
            until = (int(time.time()) // 60 + 60) * 60
            done = client.post(f"/v1/cards/{YELLOW}/issue", json={"class": "yellow", "until": until})
            assert done.json()["act"] == "issue"
            with client.stream("GET", "/v1/events/stream") as answer:
                lines = answer.iter_lines()
                messages(lines, 1)
                assert end(process, number) == 0
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert {"api_started", "request", "api_stopped", "stopped"} <= {line["event"] for line in lines}
        assert token not in path.read_text() and YELLOW not in path.read_text()


def test_an_api_that_nobody_may_use_says_so(folder):
    with program("api", "--listen", f"127.0.0.1:{free_port()}") as (process, path):
        wait_for("its line", lambda: "pinter office token add" in path.read_text(), path.read_text)
        assert end(process, signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("api", "--listen", "0.0.0.0:8080"), "without TLS only on this machine, not on 0.0.0.0"),
        (("api", "--listen", "here:8080"), "is not ADDRESS:PORT"),
        (("api", "--listen", "127.0.0.1:0"), "is not ADDRESS:PORT"),
        (("serve", "--api", "[::]:8080"), "without TLS only on this machine, not on ::"),
        (("serve", "--api-plain"), "--api-cert, --api-key, --api-plain need --api"),
        (("api", "--cert", "office/office.toml"), "a certificate and its key go together"),
        (("token", "add", "a b"), "1 to 20 letters"),
        (("token", "add", "web", "--role", "king"), "king"),
        (("token", "remove", "web"), "there is no token web"),
    ],
)
def test_options_that_cannot_be(folder, arguments, words):
    assert words in run(*arguments, code=2)
    assert not (folder / "api-tokens").exists()


def test_an_address_that_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        at = f"127.0.0.1:{other.getsockname()[1]}"
        assert run("api", "--listen", at, code=2) == f"Error: http://{at}: Address already in use\n"


def test_tokens_at_the_command_line(folder):
    made = json.loads(run("token", "add", "web", "--role", "supervisor", "--json"))
    assert len(made["token"]) == 43
    assert "there is a token web" in run("token", "add", "web", code=2)
    run("token", "add", "scraper", "--role", "monitor")
    assert run("token", "list").split() == ["web", "supervisor", "scraper", "monitor"]
    assert stat.S_IMODE((folder / "api-tokens").stat().st_mode) == 0o600
    run("token", "remove", "web")
    assert json.loads(run("token", "list", "--json")) == [{"name": "scraper", "role": "monitor"}]


# events --follow


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_events_as_they_come(office, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    journal, raws = written(30, torn=11)
    fill_journal(office, journal, raws[:20])
    already = run("events", *form).splitlines()
    with program("events", "--follow", *form) as (process, path):
        wait_for("what is there", lambda: len(path.read_text().splitlines()) == len(already), path.read_text)
        office.books().take_events("A", journal.journal_id, 21, raws[20:])
        wait_for(
            "what comes", lambda: len(path.read_text().splitlines()) == len(already) + 10, path.read_text
        )
        assert end(process, signal.SIGINT) == 0
    assert path.read_text().splitlines() == run("events", *form).splitlines()


def test_only_what_is_chosen_is_followed(office, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal, raws = written(40, torn=11)
    fill_journal(office, journal, raws[:20])
    with program("events", "--follow", "--last", "1", "--type", "torn", "--type", "deny") as (process, path):
        wait_for("the last", lambda: path.read_text().count("\n") == 1, path.read_text)
        office.books().take_events("A", journal.journal_id, 21, raws[20:])
        all_of_them = run("events", "--type", "torn", "--type", "deny").splitlines()
        wait_for("the rest", lambda: all_of_them[-1] in path.read_text(), path.read_text)
        assert end(process, signal.SIGINT) == 0
    assert path.read_text().splitlines() == all_of_them[-path.read_text().count("\n") :]
