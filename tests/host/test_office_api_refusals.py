"""The API of the office: how it refuses, what it says of its own faults, and what it logs."""

from tests.host.api_bench import IDENTITY, YELLOW_FOR_AN_HOUR, YELLOW_UNTIL, issue_yellow
from tests.host.office_bench import BLUE, LEFT, STAFF, YELLOW
from tests.host.postgres_bench import on_both
from tools.office.api import keeper
from tools.office.db import models
from tools.office.db.engine import BooksError

pytestmark = on_both


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


def test_a_refusal_is_a_problem_in_the_desks_own_words_and_changes_nothing(api, office):
    issue_yellow(api, LEFT)
    before = office.row(models.State, 1).audit_seq
    for code, path, body, words in REFUSALS:
        problem = api.post(path, code=code, **body)
        assert problem["status"] == code and words in problem["detail"] and "\n" not in problem["detail"]
        assert office.row(models.State, 1).audit_seq == before, (path, body)


NOT_THERE = [
    ("/v1/cards/0A0B0C0D", "card 0A0B0C0D is not in the pool"),
    ("/v1/visits/7", "there is no visit 7"),
    ("/v1/parties/7", "no party 7 has cards out"),
    ("/v1/gates/Z", "there is no gate Z"),
    ("/v1/gates/Z/commands", "there is no gate Z"),
    ("/v1/commands/0000000000000000", "there is no such command"),
    ("/v1/events?card=0A0B0C0D", "card 0A0B0C0D is not in the pool"),
    ("/v1/events/stream?card=0A0B0C0D", "card 0A0B0C0D is not in the pool"),
]


def test_what_is_not_there(api):
    answers = [(path, api.client().get(path)) for path, _ in NOT_THERE]
    assert [(path, answer.json()["detail"]) for path, answer in answers] == NOT_THERE
    assert {answer.status_code for _, answer in answers} == {404}


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
