"""The API of the office: gates at work, and figures as Prometheus reads them."""

from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, update

from tests.host.api_bench import YELLOW_FOR_AN_HOUR, ApiBench, fill_journal, issue_yellow
from tests.host.office_bench import MORNING, YELLOW
from tests.host.postgres_bench import on_both
from tests.host.test_sync_chain import written
from tools.office.db import models
from tools.office.service import Live
from tools.office.session import Have

pytestmark = on_both


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


LIES = [
    {"time": "x"},
    {"time": 10**400},
    {"time": -1},
    {"mode": ["x"]},
    {"lane": "\ud800"},
    {"trusted": 1},
    {"alarms": {"a": 1}},
    {"fault": "x" * 65},
    {"occupancy": float("inf")},
]


def test_a_report_that_lies_about_its_form_is_left_out(at_work):
    api, live = at_work
    for field in LIES:
        live.now = {"A": Live(True, None, None, {**STATUS, **field}, float(MORNING))}
        report = api.get("/v1/gates/A")["report"]
        (name,) = field
        assert report[name] in (None, []), field
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
