"""The API of the office: who is let in, which role may do what, and the file of tokens."""

import stat

import pytest

from tests.host.office_bench import YELLOW
from tests.host.postgres_bench import on_both
from tools.office.api.tokens import TokenError, Tokens
from tools.office.db import models

pytestmark = on_both


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
