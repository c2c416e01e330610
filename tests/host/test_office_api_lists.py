"""The API of the office: what is read page by page, bookings, and events by arrival."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.host.api_bench import YELLOW_UNTIL, fill_journal, issue_yellow
from tests.host.office_bench import GREEN, MORNING, OTHER, YELLOW
from tests.host.postgres_bench import on_both
from tests.host.test_sync_chain import written
from tools.office.db import models
from tools.office.db.engine import reading

pytestmark = on_both


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


def test_events_that_cannot_be_asked_for(api):
    both = "after=1&before=2"
    for query in (both, "type=nothing", "reason=nothing", "limit=0", "limit=501", "after=-1", "card=x"):
        assert api.client().get(f"/v1/events?{query}").status_code == 422, query


def test_a_stream_from_what_is_not_there_yet(api, office):
    fill_journal(office, *written(20, torn=11))
    answer = api.client().get("/v1/events/stream", headers={"Last-Event-ID": "20"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the books end with event 19: older ones were put back",
    )
    assert api.client().get("/v1/events/stream", headers={"Last-Event-ID": "x"}).status_code == 422
