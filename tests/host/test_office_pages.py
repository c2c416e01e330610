"""The office's pages without a browser: what is in front of the API, cookies, other sites' pages, roles."""

import pytest
from starlette.testclient import TestClient

from tests.host.office_bench import MORNING, YELLOW
from tests.host.test_office_api_tokens import routes
from tools.office.api.tokens import Tokens
from tools.office.pages.site import Pages

MARK = {"Pinter-Page": "1"}
ISSUE = {"class": "yellow", "until": MORNING + 3600}


def client(api, role=None, base="http://testserver"):
    """Return a browser of sorts, logged in with a role (None = not)."""
    pages = Pages(api.keeper, api.office.folder, api.office.engine, lambda: api.office.now, api._log)
    made = TestClient(pages, base_url=base)
    if role is not None:
        answer = made.post("/session", json={"token": api.tokens[role]}, headers=MARK)
        assert answer.status_code == 200, answer.text
    return made


@pytest.mark.parametrize("path", ["/", "/desk", "/supervisor", "/pages/app.js", "/pages/style.css"])
def test_pages_come_without_a_token_and_let_nothing_foreign_in(api, path):
    answer = client(api).get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == (
        "nosniff",
        "no-referrer",
    )
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "") or path.endswith(".js")
    assert " style=" not in answer.text and "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/pages/x", "/report", "/session"])
def test_all_else_needs_a_token(api, path):
    assert client(api).get(path).status_code == 401


def test_no_route_answers_without_a_session_or_to_another_sites_page(api):
    strangers, web = client(api), client(api, "supervisor")
    known = [
        *routes(api),
        ("GET", "/metrics"),
        ("GET", "/report"),
        ("GET", "/session"),
        ("DELETE", "/session"),
    ]
    for method, path in known:
        if path == "/":
            continue  # where one logs in
        wanted = 200 if (method, path) == ("DELETE", "/session") else 401  # to end none is no harm
        assert strangers.request(method, path, headers=MARK).status_code == wanted, path
        for foreign in ({"Origin": "http://elsewhere"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            answer = web.request(method, path, headers={**MARK, **foreign})
            assert (answer.status_code, answer.json()["detail"]) == (
                403,
                "this came from another site's page",
            )
    assert web.get("/session").json()["role"] == "supervisor"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(api):
    web = client(api)
    answer = web.post("/session", json={"token": api.tokens["desk"]}, headers=MARK)
    assert answer.headers["set-cookie"] == (f"pinter={api.tokens['desk']}; Path=/; HttpOnly; SameSite=Strict")
    assert api.tokens["desk"] not in answer.text
    secure = client(api, base="https://testserver")
    answer = secure.post("/session", json={"token": api.tokens["desk"]}, headers=MARK)
    assert answer.headers["set-cookie"].startswith("__Host-pinter=")
    assert answer.headers["set-cookie"].endswith("; Secure")
    assert secure.get("/v1/health").status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "nonsense"}', b'{"token": "a;b"}', b"\xff"]
)
def test_a_login_without_a_token_that_counts(api, body):
    answer = client(api).post("/session", content=body, headers=MARK)
    assert answer.status_code == 401 and "set-cookie" not in answer.headers
    assert answer.json()["detail"] == "this token is not known: pinter office token add"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**MARK, "Origin": "http://elsewhere"},
        {**MARK, "Origin": "http://testserver:8081"},
        {**MARK, "Origin": "null"},
        {**MARK, "Sec-Fetch-Site": "cross-site"},
        {**MARK, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_other_sites_page_can_act(api, headers):
    web = client(api, "desk")
    assert web.post(f"/v1/cards/{YELLOW}/issue", json=ISSUE, headers=headers).status_code == 403
    assert web.post("/session", json={"token": api.tokens["desk"]}, headers=headers).status_code == 403
    assert web.delete("/session", headers=headers).status_code == 403
    if headers:
        assert web.get("/v1/cards", headers=headers).status_code == 403
    assert api.office.card(YELLOW).state == "free"
    same = {**MARK, "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin", "Pinter-Actor": "ani"}
    assert web.post(f"/v1/cards/{YELLOW}/issue", json=ISSUE, headers=same).status_code == 200


def test_roles_hold_behind_the_cookie_and_the_report_is_the_supervisors(api):
    assert client(api, "monitor").get("/v1/cards").status_code == 403
    assert client(api, "desk").get("/report").status_code == 403
    assert client(api).get("/report").status_code == 401
    web = client(api, "supervisor")
    answer = web.get("/report?day=2026-03-02&lang=en")
    assert "Report of the day 2026-03-02" in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "sandbox" in answer.headers["content-security-policy"]
    for query in ("day=nonsense", "day=2030-01-01", "lang=fr"):
        assert web.get(f"/report?{query}").status_code == 422


def test_a_session_ends_with_its_token_or_at_the_users_word(api, office):
    web = client(api, "desk")
    assert web.get("/session").json()["role"] == "desk"
    assert web.delete("/session", headers=MARK).status_code == 200
    assert web.get("/session").status_code == web.get("/v1/cards").status_code == 401
    web = client(api, "desk")
    Tokens(office.folder.path).remove("the-desk")
    answer = web.get("/session")
    assert answer.status_code == 401 and "Max-Age=0" in answer.headers["set-cookie"]
    assert web.get("/v1/cards").status_code == 401
    assert not any(token in str(api.lines) for token in api.tokens.values())
