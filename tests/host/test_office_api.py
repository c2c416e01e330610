"""The API of the office: who is let in, each route with what it gives and how it refuses, figures, limits."""

import stat
import threading
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.host.api_bench import ApiBench
from tests.host.office_bench import BLUE, GREEN, HOUR, LEFT, MORNING, OTHER, STAFF, YELLOW
from tests.host.test_sync_chain import KEY, written
from tools.office import folder, verify
from tools.office.api import keeper
from tools.office.api.tokens import TokenError, Tokens
from tools.office.db import models
from tools.office.db.engine import BooksError, reading
from tools.office.service import Live
from tools.office.session import Have

YELLOW_UNTIL = MORNING + HOUR
IDENTITY = "3174 0512 3456 0001"


def issue_yellow(api, uid=YELLOW):
    return api.post(f"/v1/cards/{uid}/issue", **{"class": "yellow", "until": YELLOW_UNTIL})


def issue_blue(api, uid=BLUE, of=YELLOW):
    fields = {"identity": IDENTITY, "document": "KTP", "place": "box 3"}
    return api.post(f"/v1/cards/{uid}/issue", **{"class": "blue", "companion_of": of, **fields})


def fill_journal(office, journal, raws):
    """Give the books a journal of gate A, or the beginning of one."""
    (office.folder.keys / "gate-A.key").write_text(KEY.hex())
    with office.engine.connect() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
        connection.commit()
    office.books().take_events("A", journal.journal_id, 1, raws)


# Who is let in


def routes(api):
    """Return (method, path) of every route, with something in each place."""
    fills = {"{card}": YELLOW, "{number}": "1", "{gate}": "A", "{nonce}": "0" * 16}
    found = []
    for route, methods in api.get("/openapi.json")["paths"].items():
        path = route
        for name, value in fills.items():
            path = path.replace(name, value)
        assert "{" not in path
        found += [(method.upper(), path) for method in methods]
    return [*found, ("GET", "/openapi.json"), ("GET", "/"), ("GET", "/docs"), ("PUT", "/v1/health")]


def test_no_route_is_reached_without_a_token_that_counts(api):
    known = routes(api)
    assert len(known) > 28
    good = api.tokens["supervisor"]
    wrong = ["", "Bearer", "Bearer ", f"Bearer {good}x", f"Bearer {good[:-1]}", f"Basic {good}", good]
    for method, path in known:
        for header in (None, *wrong):
            headers = {} if header is None else {"Authorization": header}
            answer = api.client(None).request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path, header)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["detail"].startswith("a token is needed")
    two = [("Authorization", f"Bearer {good}"), ("Authorization", "Bearer x")]
    assert api.client(None).get("/v1/health", headers=two).status_code == 401
    assert api.office.card(YELLOW).state == "free" and api.office.rows(models.Command) == []


# What a role may not do; whatever is here for `desk` is not for `monitor` either.
MONITOR = {"/v1/health", "/metrics", "/openapi.json", "/v1/gates", "/v1/gates/A"}
SUPERVISOR = {"/v1/audit", f"/v1/cards/{YELLOW}/restore"}


def test_each_role_may_do_what_it_is_for(api):
    for method, path in routes(api)[:-3]:
        if path.endswith("/stream"):
            continue
        needs_supervisor = path in SUPERVISOR or (method, path) == ("POST", "/v1/gates/A/commands")
        for role, is_allowed in (
            ("monitor", path in MONITOR),
            ("desk", not needs_supervisor),
            ("supervisor", True),
        ):
            answer = api.client(role).request(method, path)
            assert (answer.status_code != 403) == is_allowed, (role, method, path)
    answer = api.client("desk").get("/v1/audit")
    assert answer.json()["detail"] == "this is for the role supervisor; token the-desk is desk"
    assert api.client("monitor").get("/v1/events/stream").status_code == 403


def test_a_token_ends_when_it_is_taken_away(api, office):
    client = api.client("desk")
    assert client.get("/v1/health").status_code == 200
    Tokens(office.folder.path).remove("the-desk")
    assert client.get("/v1/health").status_code == 401


def test_the_file_of_tokens_is_for_this_user_and_holds_no_token(api, office):
    path = office.folder.path / "api-tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in api.tokens.values())
    path.chmod(0o640)
    answer = api.client().get("/v1/health")
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        f"{path} can be read by others: chmod 600 {path}",
    )
    path.chmod(0o600)
    path.write_text("web desk 12\n")
    assert f"{path}:1: must be NAME ROLE SHA256" in api.client().get("/v1/health").json()["detail"]
    path.write_bytes(b"\xff")
    assert "is not UTF-8" in api.client().get("/v1/health").json()["detail"]
    path.unlink()
    assert api.client().get("/v1/health").status_code == 401
    with pytest.raises(TokenError, match="there is no token web"):
        Tokens(office.folder.path).remove("web")


# Acts


def test_a_card_from_issue_to_return(api):
    done = issue_yellow(api)
    assert (done["act"], done["card"], done["class"], done["party"]) == ("issue", YELLOW, "yellow", 1)
    assert (done["from"], done["until"], done["list_seq"]) == (MORNING, YELLOW_UNTIL, 1)
    blue = issue_blue(api)
    assert blue["deposit"] == {"number": 1, "document": "KTP", "place": "box 3", "state": "held"}
    assert [row["card"] for row in api.get("/v1/parties/1")["visits"]] == [YELLOW, BLUE]
    assert api.get("/v1/deposits")["deposits"][0]["card"] == BLUE
    card = api.get(f"/v1/cards/{BLUE}")
    assert (card["state"], card["visit"]["visit"], card["deposit"]["number"]) == ("issued", 2, 1)
    back = api.post(f"/v1/cards/{BLUE}/return")
    assert back["deposit"]["state"] == "closed"
    assert api.get("/v1/visits/2")["state"] == "returned"
    assert [row["card"] for row in api.get("/v1/visits")["visits"]] == [YELLOW]
    assert api.get(f"/v1/cards/{BLUE}")["deposit"] is None


def test_a_principal_that_leaves_a_companion_is_a_note_for_the_desk(api):
    issue_yellow(api)
    issue_blue(api)
    assert api.post(f"/v1/cards/{YELLOW}/return")["notes"] == [f"the companion's card {BLUE} is still out"]


def test_the_same_companion_of_two_parties_is_an_alarm(api):
    issue_yellow(api)
    issue_yellow(api, OTHER)
    issue_blue(api)
    api.post(f"/v1/cards/{BLUE}/return")
    assert len(issue_blue(api, of=OTHER)["alarms"]) == 1
    (alarm,) = api.get("/v1/alarms")["alarms"]
    assert (alarm["kind"], alarm["gate"]) == ("companion_twice", "desk")


def test_lost_found_and_its_deposit(api):
    issue_yellow(api)
    issue_blue(api)
    lost = api.post(f"/v1/cards/{BLUE}/lost")
    assert (lost["state"], lost["blocked"], lost["deposit"]["state"]) == ("lost", True, "held")
    assert api.get(f"/v1/cards/{BLUE}")["deposit"]["number"] == 1
    assert api.post("/v1/deposits/1/close", role="desk")["deposit"]["state"] == "closed"
    assert api.post(f"/v1/cards/{BLUE}/restore")["state"] == "free"


def test_revoke_and_position(api):
    issue_yellow(api)
    api.post(f"/v1/cards/{YELLOW}/position", position="inside")
    inside = api.get("/v1/inside")
    assert (inside["occupancy"], inside["visits"][0]["card"]) == (1, YELLOW)
    assert inside["visits"][0]["position_since"] == MORNING
    assert api.post(f"/v1/cards/{YELLOW}/revoke")["blocked"] is True
    api.post(f"/v1/cards/{STAFF}/issue", **{"class": "staff"})
    api.post(f"/v1/cards/{STAFF}/position", position="inside")
    inside = api.get("/v1/inside")
    assert (inside["occupancy"], len(inside["visits"])) == (1, 2)


def test_positions_of_yesterday_say_nothing(api, office):
    api.post(f"/v1/cards/{STAFF}/issue", **{"class": "staff"})
    api.post(f"/v1/cards/{STAFF}/position", position="inside")
    office.now += 24 * HOUR
    assert api.get("/v1/inside") == {"occupancy": 0, "visits": []}
    assert api.get(f"/v1/cards/{STAFF}")["visit"]["position"] == "unknown"


def test_what_was_not_back_by_closing_time(api, office):
    issue_yellow(api)
    assert api.post("/v1/reclaim") == {"visits": []}
    office.now = MORNING + 9 * HOUR
    (overdue,) = api.post("/v1/reclaim")["visits"]
    assert (overdue["card"], overdue["blocked"]) == (YELLOW, True)


def test_a_command_until_its_gate_has_had_it(api, office):
    order = api.post("/v1/gates/A/commands", command="mode", argument="lockdown")
    assert (order["gate"], order["expires"], order["done"]) == ("A", MORNING + HOUR, False)
    assert api.get("/v1/gates/A/commands")["commands"] == [order]
    office.books().command_done("A", bytes.fromhex(order["nonce"]))
    assert api.get("/v1/gates/A/commands")["commands"] == []
    assert api.get(f"/v1/commands/{order['nonce']}")["done"] is True


def test_acts_are_in_the_name_of_the_token_and_of_who_is_at_the_desk(api, office):
    issue_yellow(api)
    answer = api.client("desk").post(f"/v1/cards/{YELLOW}/return", headers={"Pinter-Actor": "ani"})
    assert answer.status_code == 200
    acts = api.get("/v1/audit?after=2")["acts"]
    assert [(act["actor"], act["act"]) for act in acts] == [
        ("the-supervisor", "issue"),
        ("the-desk/ani", "return"),
    ]
    assert acts[1]["details"]["rows"]["cards"][YELLOW]["state"] == "free"
    assert verify.verify(office.folder, office.engine).faults == []
    for actor in ("x" * 41, "a\tb", ""):
        answer = api.client("desk").post(f"/v1/cards/{YELLOW}/lost", headers={"Pinter-Actor": actor})
        assert answer.status_code == 422
    assert api.office.card(YELLOW).state == "free"


# How it refuses

YELLOW_FOR_AN_HOUR = {"class": "yellow", "until": YELLOW_UNTIL}
REFUSALS = [
    (409, f"/v1/cards/{LEFT}/issue", YELLOW_FOR_AN_HOUR, f"card {LEFT} is bound to a visit since 2026-03-02"),
    (409, f"/v1/cards/{YELLOW}/return", {}, "is in the pool already: nobody had it"),
    (409, f"/v1/cards/{YELLOW}/revoke", {}, "is in nobody's hands (free)"),
    (409, f"/v1/cards/{YELLOW}/restore", {}, "is not lost (free)"),
    (409, f"/v1/cards/{YELLOW}/position", {"position": "inside"}, "it has no position"),
    (409, f"/v1/cards/{BLUE}/issue", {"class": "blue"}, "a blue card needs a principal"),
    (
        409,
        f"/v1/cards/{BLUE}/issue",
        {"class": "blue", "companion_of": LEFT},
        "a blue card needs an ID deposit",
    ),
    (422, "/v1/cards/0A0B0C0D/issue", YELLOW_FOR_AN_HOUR, "card 0A0B0C0D is not in the pool"),
    (422, f"/v1/cards/{YELLOW}/issue", {"class": "purple"}, "class 'purple' is none of yellow"),
    (422, f"/v1/cards/{YELLOW}/issue", {"booking": "M-1"}, "there is no booking M-1"),
    (422, f"/v1/cards/{YELLOW}/issue", {"class": "yellow", "until": YELLOW_UNTIL + 1}, "multiple of 60"),
    (422, f"/v1/cards/{YELLOW}/issue", {"class": "yellow", "until": 60}, "body.until"),
    (422, f"/v1/cards/{YELLOW}/issue", {"klass": "yellow"}, "body.klass"),
    (422, "/v1/cards/08010203/issue", YELLOW_FOR_AN_HOUR, "a number that a phone draws anew each time"),
    (422, "/v1/cards/010203/return", {}, "path.card"),
    (422, "/v1/cards/0102030405/return", {}, "5 bytes; a card number has 4, 7 or 10"),
    (422, f"/v1/cards/{YELLOW}/position", {"position": "there"}, "body.position"),
    (422, "/v1/deposits/7/close", {}, "there is no deposit 7"),
    (422, "/v1/gates/Z/commands", {"command": "reboot"}, "there is no gate Z"),
    (422, "/v1/gates/A/commands", {"command": "explode"}, "'explode' is no command: mode, open"),
    (422, "/v1/gates/A/commands", {"command": "open", "argument": "up"}, "open is followed by in, out"),
    (404, "/v1/nothing", {}, "Not Found"),
    (405, "/v1/inside", {}, "Method Not Allowed"),
]


@pytest.mark.parametrize(("code", "path", "body", "words"), REFUSALS)
def test_a_refusal_is_a_problem_in_the_desks_own_words(api, office, code, path, body, words):
    issue_yellow(api, LEFT)
    before = office.row(models.State, 1).audit_seq
    problem = api.post(path, code=code, **body)
    assert problem["status"] == code and words in problem["detail"] and "\n" not in problem["detail"]
    assert office.row(models.State, 1).audit_seq == before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/cards/0A0B0C0D", "card 0A0B0C0D is not in the pool"),
        ("/v1/visits/7", "there is no visit 7"),
        ("/v1/parties/7", "no party 7 has cards out"),
        ("/v1/gates/Z", "there is no gate Z"),
        ("/v1/gates/Z/commands", "there is no gate Z"),
        ("/v1/commands/0000000000000000", "there is no such command"),
        ("/v1/events?card=0A0B0C0D", "card 0A0B0C0D is not in the pool"),
        ("/v1/events/stream?card=0A0B0C0D", "card 0A0B0C0D is not in the pool"),
    ],
)
def test_what_is_not_there(api, path, words):
    answer = api.client().get(path)
    assert (answer.status_code, answer.json()["detail"]) == (404, words)


def test_the_number_of_a_document_is_not_said_again(api):
    fields = {"class": "blue", "companion_of": YELLOW, "document": "KTP", "identity": IDENTITY + "é"}
    problem = api.post(f"/v1/cards/{BLUE}/issue", code=422, **fields)
    assert problem["fields"][0]["field"] == "body.identity"
    assert "3174" not in str(problem) and "3174" not in str(api.lines)


def test_a_body_that_is_too_long_or_no_json(api):
    path = f"/v1/cards/{YELLOW}/issue"
    json_too = {"content-type": "application/json"}
    whole = api.client().post(path, content=b" " * keeper.BODY_BYTES + b"{}", headers=json_too)
    in_parts = api.client().post(path, content=iter([b" " * 9000] * 2), headers=json_too)
    for answer in (whole, in_parts):
        assert (answer.status_code, answer.json()["detail"]) == (413, "a request has at most 16384 bytes")
    for content, code in ((b"{", 400), (b"\xff", 400), (b"[" * 9000, 400), (b"null", 422), (b"", 422)):
        answer = api.client().post(path, content=content, headers=json_too)
        assert (answer.status_code, answer.json()["status"]) == (code, code), content
    answer = api.client().post(path, content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 422


def test_books_that_cannot_be_had(api, office, monkeypatch):
    def fails(*arguments):
        raise BooksError("database: disk full")

    monkeypatch.setattr("tools.office.audit.append", fails)
    problem = api.post(f"/v1/cards/{STAFF}/issue", code=503, **{"class": "staff"})
    assert problem["detail"] == "database: disk full"
    assert office.card(STAFF).state == "free"
    (office.folder.keys / "audit.key").rename(office.folder.keys / "away")
    problem = api.post(f"/v1/cards/{STAFF}/issue", code=503, **{"class": "staff"})
    assert "audit.key does not exist" in problem["detail"]


def test_a_fault_of_ours_is_one_line_and_no_traceback(api, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr("tools.office.listing.inside", fails)
    answer = api.client().get("/v1/inside")
    assert (answer.status_code, answer.json()["detail"]) == (500, "a fault of the office")
    (fault,) = [line for line in api.lines if line["event"] == "api_fault"]
    assert fault["why"].startswith("ZeroDivisionError at fails:")
    assert "secret words" not in answer.text + str(api.lines)


def test_requests_are_logged_without_the_numbers_of_cards(api):
    issue_yellow(api)
    api.client().get(f"/v1/cards/{YELLOW}")
    api.client(None).get(f"/v1/cards/{YELLOW}")
    assert [(line["route"], line["status"], line["token"]) for line in api.lines] == [
        ("/v1/cards/{card}/issue", 200, "the-supervisor"),
        ("/v1/cards/{card}", 200, "the-supervisor"),
        ("", 401, ""),
    ]
    assert YELLOW not in str(api.lines)


def test_what_is_given_is_kept_by_nobody(api):
    answer = api.client().get("/v1/cards")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# Two at once


def test_two_desks_that_issue_the_same_card_at_once(api, office):
    """One of them has it; the other is told, and leaves nothing behind."""
    codes: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        client = api.client("desk")
        start.wait()
        codes.append(client.post(f"/v1/cards/{YELLOW}/issue", json=YELLOW_FOR_AN_HOUR).status_code)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 409, 409, 409]
    assert len(office.rows(models.Visit)) == 1 and len(office.rows(models.Party)) == 1
    assert verify.verify(office.folder, office.engine).faults == []


# Pages


def test_pages_lead_through_all_cards(api):
    seen, after = [], ""
    while after is not None:
        page = api.get(f"/v1/cards?limit=3&after={after}")
        seen += [card["card"] for card in page["cards"]]
        after = page["next"]
    with reading(api.office.engine) as db:
        assert seen == list(db.scalars(select(models.Card.uid).order_by(models.Card.uid)))
    issue_yellow(api)
    assert [card["card"] for card in api.get("/v1/cards?state=issued")["cards"]] == [YELLOW]


def test_a_filter_that_no_route_has_is_refused(api):
    for path, name in (("/v1/cards?limt=5", "limt"), ("/v1/gates?card=1", "card")):
        refused = api.client("supervisor").get(path)
        assert refused.status_code == 422 and f"{name!r} is not one of" in refused.json()["detail"]


def test_pages_of_visits_and_acts(api):
    for uid in (YELLOW, GREEN, OTHER):
        issue_yellow(api, uid)
    first = api.get("/v1/visits?limit=2")
    assert [row["visit"] for row in first["visits"]] == [1, 2] and first["next"] == 2
    rest = api.get("/v1/visits?limit=2&after=2")
    assert [row["visit"] for row in rest["visits"]] == [3] and rest["next"] is None
    assert [act["seq"] for act in api.get("/v1/audit?after=1&limit=2")["acts"]] == [2, 3]


def test_bookings(api, office):
    row = models.Booking(
        code="M-1", cls="yellow", begin=MORNING, until=YELLOW_UNTIL, slow=False, state="booked"
    )
    with Session(office.engine) as session:
        session.add(row)
        session.commit()
    (found,) = api.get("/v1/bookings")["bookings"]
    assert (found["booking"], found["from"], found["state"]) == ("M-1", MORNING, "booked")
    assert api.post(f"/v1/cards/{YELLOW}/issue", booking="M-1")["until"] == YELLOW_UNTIL


# Events


def test_events_are_found_and_paged_by_arrival(api, office):
    fill_journal(office, *written(20, torn=11))
    first = api.get("/v1/events?limit=5")
    assert [event["id"] for event in first["events"]] == [19, 18, 17, 16, 15]
    assert (first["next"], first["last"]) == (15, 19)
    assert [event["id"] for event in api.get("/v1/events?before=15&limit=2")["events"]] == [14, 13]
    rest = api.get("/v1/events?after=17")
    assert [event["id"] for event in rest["events"]] == [18, 19] and rest["next"] is None
    torn = api.get("/v1/events?type=torn")["events"]
    assert [(event["type"], event["card"]) for event in torn] == [("torn", "")]
    assert api.get("/v1/events?gate=B")["events"] == []
    everything = api.get("/v1/events?after=0&limit=500")["events"]
    for reason in {event["reason"] for event in everything} - {""}:
        found = api.get(f"/v1/events?after=0&limit=500&reason={reason}")["events"]
        assert found == [event for event in everything if event["reason"] == reason]
    time = everything[7]["time"]
    assert api.get(f"/v1/events?after=0&limit=500&from={time}&until={time + 1}")["events"] == [
        event for event in everything if event["time"] == time
    ]


@pytest.mark.parametrize(
    "query",
    ["after=1&before=2", "type=nothing", "reason=nothing", "limit=0", "limit=501", "after=-1", "card=x"],
)
def test_events_that_cannot_be_asked_for(api, query):
    assert api.client().get(f"/v1/events?{query}").status_code == 422


def test_a_stream_from_what_is_not_there_yet(api, office):
    fill_journal(office, *written(20, torn=11))
    answer = api.client().get("/v1/events/stream", headers={"Last-Event-ID": "20"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the books end with event 19: older ones were put back",
    )
    assert api.client().get("/v1/events/stream", headers={"Last-Event-ID": "x"}).status_code == 422


# Gates at work, figures

HAVE = Have(4, 0, 0, 0, 1, 0, b"abcd", 1, 9, bytes(8))
STATUS = {
    "online": True,
    "time": MORNING + 3,
    "trusted": True,
    "mode": "normal",
    "lane": "locked",
    "occupancy": 2,
    "fault": "",
    "alarms": ["forced", 7, "x" * 65],
}


@pytest.fixture
def at_work(office):
    """The API beside sessions with gate A, which was heard."""
    live = SimpleNamespace(now={"A": Live(True, MORNING - 1.0, HAVE, STATUS, float(MORNING))})
    bench = ApiBench(office, lambda: live.now)
    return bench, live


def test_a_gate_at_work(at_work):
    api, live = at_work
    gate = api.get("/v1/gates/A", role="monitor")
    assert (gate["online"], gate["heard"], gate["undelivered"]) == (True, MORNING - 1.0, 9)
    assert gate["report"] == {
        "at": MORNING,
        "time": MORNING + 3,
        "trusted": True,
        "lane": "locked",
        "mode": "normal",
        "occupancy": 2,
        "fault": "",
        "alarms": ["forced"],
    }
    assert api.get("/v1/health")["serving"] is True
    live.now = {"A": Live(False, None, None, {"online": False}, 5.0)}
    assert api.get("/v1/gates")["gates"][0] == {
        **{name: gate[name] for name in ("gate", "number", "key_id", "list", "has_list", "behind")},
        "online": False,
        "heard": None,
        "undelivered": None,
        "report": None,
    }


@pytest.mark.parametrize(
    "field",
    [
        {"time": "x"},
        {"time": 10**400},
        {"time": -1},
        {"mode": ["x"]},
        {"lane": "\ud800"},
        {"trusted": 1},
        {"alarms": {"a": 1}},
        {"fault": "x" * 65},
        {"occupancy": float("inf")},
    ],
)
def test_a_report_that_lies_about_its_form_is_left_out(at_work, field):
    api, live = at_work
    live.now = {"A": Live(True, None, None, {**STATUS, **field}, float(MORNING))}
    report = api.get("/v1/gates/A")["report"]
    (name,) = field
    assert report[name] in (None, [])
    assert figures(api)["pinter_gate_online", ("A",)] == 1


def test_nobody_knows_here_what_gates_do_elsewhere(api):
    gate = api.get("/v1/gates/A")
    assert (gate["online"], gate["heard"], gate["report"]) == (None, None, None)
    assert api.get("/v1/health") == {
        "site": "JKT",
        "time": MORNING,
        "serving": False,
        "last_event": 0,
        "acts": 2,
    }
    assert not any(name == "pinter_gate_online" for name, _ in figures(api))


def figures(api):
    """Return the figures as Prometheus reads them: (name, values of the labels by their names) -> value."""
    answer = api.client("monitor").get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_figures_of_the_books(api, office):
    journal, raws = written(20, torn=11)
    fill_journal(office, journal, raws)
    issue_yellow(api)
    api.post(f"/v1/cards/{YELLOW}/position", position="inside")
    api.post("/v1/gates/A/commands", command="reboot")
    api.post(f"/v1/cards/{YELLOW}/issue", code=409, **YELLOW_FOR_AN_HOUR)
    api.client(None).get("/metrics")
    found = figures(api)
    assert found["pinter_gates", ()] == 1
    assert found["pinter_gate_list_behind", ("A",)] == found["pinter_list_number", ()] == 1
    assert found["pinter_list_expires_timestamp_seconds", ()] == office.row(models.State, 1).expires
    assert found["pinter_occupancy", ()] == found["pinter_inside", ()] == 1
    assert (found["pinter_cards", ("issued",)], found["pinter_cards", ("free",)]) == (1, 6)
    assert found["pinter_gate_commands_waiting", ("A",)] == 1
    assert found["pinter_acts_total", ()] == office.row(models.State, 1).audit_seq
    assert found["pinter_http_unauthorised_total", ()] == 1
    assert found["pinter_desk_seconds_count", ("issue", "done")] == 1
    assert found["pinter_desk_seconds_count", ("issue", "refused")] == 1
    events = api.get("/v1/events?after=0&limit=500")["events"]
    for kind in {event["type"] for event in events}:
        assert found["pinter_events_total", ("A", kind)] == sum(event["type"] == kind for event in events)
    taps = {key: value for (name, key), value in found.items() if name == "pinter_taps_total"}
    assert taps and sum(taps.values()) == sum(event["type"] in ("grant", "deny") for event in events)
    for (direction, gate, outcome, reason), value in taps.items():
        like = {"gate": gate, "direction": direction, "type": outcome, "reason": reason}
        assert value == sum(all(event[name] == of for name, of in like.items()) for event in events)
    assert figures(api)["pinter_events_total", ("A", "torn")] == 1, "counted once more"
    assert journal.journal_id.hex() == events[0]["journal"]


def test_figures_of_gates_at_work(at_work):
    found = figures(at_work[0])
    assert found["pinter_gates_online", ()] == found["pinter_gate_online", ("A",)] == 1
    assert found["pinter_gate_heard_timestamp_seconds", ("A",)] == MORNING - 1
    assert found["pinter_gate_undelivered", ("A",)] == 9
    assert found["pinter_gate_clock_skew_seconds", ("A",)] == 3
    assert found["pinter_gate_clock_trusted", ("A",)] == 1


def test_figures_count_anew_when_older_books_are_put_back(api, office):
    fill_journal(office, *written(20, torn=11))
    assert figures(api)["pinter_events_total", ("A", "torn")] == 1
    with office.engine.connect() as connection:
        connection.execute(delete(models.Event))
        connection.execute(update(models.State).values(last_event=0))
        connection.commit()
    assert ("pinter_events_total", ("A", "torn")) not in figures(api)
