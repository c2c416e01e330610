"""The API of the office: each act with what it gives, in whose name, and desks at the same time."""

import threading

from tests.host.api_bench import YELLOW_FOR_AN_HOUR, YELLOW_UNTIL, issue_blue, issue_yellow
from tests.host.office_bench import BLUE, HOUR, MORNING, OTHER, STAFF, YELLOW
from tests.host.postgres_bench import on_both
from tools.office import verify
from tools.office.db import models

pytestmark = on_both


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
