"""An office with its API, in this process: clients with tokens, and what was logged."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import update
from starlette.testclient import TestClient

from tests.host.office_bench import BLUE, HOUR, MORNING, YELLOW, Bench
from tests.host.test_sync_chain import KEY
from tools.office import folder
from tools.office.api import app
from tools.office.api.tokens import Tokens
from tools.office.db import models

YELLOW_UNTIL = MORNING + HOUR
IDENTITY = "3174 0512 3456 0001"
YELLOW_FOR_AN_HOUR = {"class": "yellow", "until": YELLOW_UNTIL}


class ApiBench:
    """The API of `office`; `lines` is its log. `live` as in app.create."""

    def __init__(self, office: Bench, live: Callable[[], Any] | None = None) -> None:
        self.office = office
        self.lines: list[dict[str, Any]] = []
        tokens = Tokens(office.folder.path)
        self.tokens = {role: tokens.add(f"the-{role}", role) for role in ("monitor", "desk", "supervisor")}
        self.keeper = app.create(office.folder, office.engine, lambda: office.now, live, self._log)

    def _log(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    def client(self, role: str | None = "supervisor") -> TestClient:
        """Return a client with the token of a role, None = without one."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        return TestClient(self.keeper, headers=headers)

    def get(self, path: str, role: str = "supervisor") -> Any:
        """Return the JSON at `path`, which has to be there."""
        answer = self.client(role).get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, role: str = "supervisor", code: int = 200, **body: Any) -> Any:
        """Do an act; return the JSON of the answer, which has to have this code."""
        answer = self.client(role).post(path, json=body) if body else self.client(role).post(path)
        assert answer.status_code == code, answer.text
        kind = "application/json" if code == 200 else "application/problem+json"
        assert answer.headers["content-type"] == kind
        return answer.json()


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
