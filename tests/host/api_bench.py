"""An office with its API, in this process: clients with tokens, and what was logged."""

from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from tests.host.office_bench import Bench
from tools.office.api import app
from tools.office.api.tokens import Tokens


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
