"""Serves the pages in front of the API: files, the session in a cookie, the report of a day.

Owns who is behind a cookie, and that no other site can act with it. The cookie holds the token, out of the
reach of scripts, so a token that is taken away ends its sessions, and a restart of the office ends none.
"""

import json
from collections.abc import Callable, Iterator
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from firmware.policy import ALARMS, MODES
from tools.office.api import problems
from tools.office.api.keeper import Keeper, read_body
from tools.office.api.tokens import Token, TokenError, Tokens
from tools.office.api.web import Log
from tools.office.db.engine import BooksError, reading
from tools.office.desk import COMMANDS
from tools.office.folder import Folder
from tools.office.report import load, page, whole
from tools.office.report.words import ALARMS as ALARM_WORDS
from tools.office.report.words import LANGUAGES, REASONS, Speaker

COOKIE, SECURE_COOKIE = "pinter", "__Host-pinter"
MARK = "pinter-page"  # header of every act of the pages: other sites cannot send it unasked
_PAGES = ("/", "/desk", "/supervisor")
_FILES = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
_TOKEN_LONGEST = 200
_SAFE = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
# The report has its style in it, and no script.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)


class Pages:
    """An ASGI application: pages in front of the API of `keeper`. `stop` as there."""

    def __init__(
        self, keeper: Keeper, folder: Folder, engine: Engine, now: Callable[[], float], log: Log
    ) -> None:
        self.stop = keeper.stop
        self._keeper = keeper
        self._folder = folder
        self._engine = engine
        self._now = now
        self._log = log
        self._tokens = Tokens(folder.path)
        self._files = dict(_files())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: a page, something for the pages, or what the API answers."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self._keeper(scope, receive, send)
        elif path in self._files and scope["method"] in _SAFE:
            kind, data = self._files[path]
            await _response(data, kind)(scope, receive, send)
        elif path == "/session":
            await (await self._session(scope, receive))(scope, receive, send)
        elif path == "/report" and scope["method"] in _SAFE:
            await (await self._report(scope))(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, with the token of the cookie if it brings none."""
        headers = Headers(scope=scope)
        text = "" if "authorization" in headers else _cookie(headers)
        if text:
            why = _foreign(scope, headers)
            if why:
                await _refusal(403, why)(scope, receive, send)
                return
            known = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            scope = {**scope, "headers": [*known, (b"authorization", b"Bearer " + text.encode("latin-1"))]}
        await self._keeper(scope, receive, send)

    async def _session(self, scope: Scope, receive: Receive) -> Response:
        """Begin a session (POST), end it (DELETE), or say whose it is, with what the pages need (GET)."""
        headers, method = Headers(scope=scope), scope["method"]
        if method not in ("GET", "POST", "DELETE"):
            return _refusal(405, "a session is begun, shown and ended", {"Allow": "GET, POST, DELETE"})
        why = _foreign(scope, headers)
        if why:
            return _refusal(403, why)
        if method == "DELETE":
            return _ended(scope, headers, 200)
        text = _cookie(headers)
        if method == "POST":
            body = await read_body(receive)
            if isinstance(body, Response):
                return body
            text = _given(body)
        try:
            token = await run_in_threadpool(self._tokens.of, text) if text else None
        except TokenError as error:
            return _refusal(503, str(error))
        if token is None:
            if method == "GET":
                return _ended(scope, headers, 401) if text else _refusal(401, "nobody is logged in")
            client = (scope.get("client") or ("",))[0]
            self._log("login_refused", client=client)
            return _refusal(401, "this token is not known: pinter office token add")
        answer = _response(json.dumps(self._about(token)).encode(), "application/json")
        if method == "POST":
            self._log("login", token=token.name)
            answer.headers.append("Set-Cookie", _set_cookie(scope, headers, text))
        return answer

    def _about(self, token: Token) -> dict[str, Any]:
        folder = self._folder
        return {
            "name": token.name,
            "role": token.role,
            "site": folder.site,
            "utc_offset_min": folder.utc_offset_min,
            "time": int(self._now()),
            "reclaim_at": folder.reclaim_at,
            "classes": [
                {"name": rule.name, "companion": bool(rule.needs_principal), "exempt": bool(rule.exempt)}
                for rule in folder.classes.values()
            ],
            "commands": {name: list(words) for name, words in COMMANDS.items()},
            "modes": list(MODES),
            "words": {name: list(words) for name, words in {**ALARM_WORDS, **REASONS}.items()},
            "alarm_words": {name: list(ALARM_WORDS[name]) for name in ALARMS if name in ALARM_WORDS},
        }

    async def _report(self, scope: Scope) -> Response:
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        why = _foreign(scope, headers)
        if why:
            return _refusal(403, why)
        try:
            token = await run_in_threadpool(self._tokens.of, _cookie(headers))
            if token is None:
                return _refusal(401, "nobody is logged in")
            if not token.may("supervisor"):
                return _refusal(403, f"this is for the role supervisor; token {token.name} is {token.role}")
            language = query.get("lang", LANGUAGES[0])
            if language not in LANGUAGES:
                return _refusal(422, f"lang: one of {', '.join(LANGUAGES)}")
            text = await run_in_threadpool(self._report_of, query.get("day", "today"), language)
        except ValueError as error:
            return _refusal(422, f"day: {error}")
        except (TokenError, BooksError) as error:
            return _refusal(503, str(error))
        return _response(text.encode(), "text/html; charset=utf-8", REPORT_POLICY)

    def _report_of(self, day: str, language: str) -> str:
        now = int(self._now())
        date = load.day_of(day, self._folder.utc_offset_min, now)
        with reading(self._engine) as db:
            found = whole.report(load.read(db, self._folder, date, now))
        return page.as_html(found, Speaker(language, self._folder.report))


def _files() -> Iterator[tuple[str, tuple[str, bytes]]]:
    for path in sorted(_FILES.iterdir()):
        kind = f"{_KINDS[path.suffix]}; charset=utf-8"
        if path.suffix != ".html":
            yield f"/pages/{path.name}", (kind, path.read_bytes())
            continue
        for name in _PAGES:
            yield name, (kind, path.read_bytes())


def _response(data: bytes, kind: str, policy: str = POLICY) -> Response:
    frames = "SAMEORIGIN" if policy is REPORT_POLICY else "DENY"
    headers = {**_HEADERS, "Content-Security-Policy": policy, "X-Frame-Options": frames}
    return Response(data, 200, headers, kind)


def _refusal(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return problems.problem(status, words, {**_HEADERS, **(headers or {})})


def _foreign(scope: Scope, headers: Headers) -> str:
    """Return why a request that comes with a cookie, or for one, is not from our pages; "" = it is.

    Browsers send Origin and Sec-Fetch-Site by themselves. Other ports of this machine are the same site, so
    SameSite alone is not enough; a header of our own is asked for where something is changed.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "this came from another site's page"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return "this came from another site's page"
    if scope["method"] not in _SAFE and MARK not in headers:
        return "with a cookie, acts are for the office's pages: the header Pinter-Page is missing"
    return ""


def _cookie(headers: Headers) -> str:
    try:
        known = SimpleCookie("; ".join(headers.getlist("cookie")))
    except CookieError:
        return ""
    for name in (SECURE_COOKIE, COOKIE):
        if name in known:
            text = known[name].value[:_TOKEN_LONGEST]
            return text if text.isascii() and text.isprintable() else ""
    return ""


def _is_secure(scope: Scope, headers: Headers) -> bool:
    """Return whether the browser speaks TLS, to us or to what stands in front of us."""
    return scope["scheme"] == "https" or headers.get("origin", "").startswith("https://")


def _set_cookie(scope: Scope, headers: Headers, text: str) -> str:
    flags = "Path=/; HttpOnly; SameSite=Strict"
    if _is_secure(scope, headers):
        return f"{SECURE_COOKIE}={text}; {flags}; Secure"
    return f"{COOKIE}={text}; {flags}"


def _ended(scope: Scope, headers: Headers, status: int) -> Response:
    """Return the answer that makes the browser forget the cookie."""
    answer = (
        _response(b"{}", "application/json") if status == 200 else _refusal(status, "the session is over")
    )
    names = [COOKIE, SECURE_COOKIE] if scope["scheme"] == "https" else [COOKIE]
    if "origin" in headers and _is_secure(scope, headers):
        names = [COOKIE, SECURE_COOKIE]
    for name in names:
        secure = "; Secure" if name == SECURE_COOKIE else ""
        answer.headers.append("Set-Cookie", f"{name}=; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age=0")
    return answer


def _given(body: bytes) -> str:
    """Return the token in the body of a login, "" if there is none that could be one."""
    try:
        value = json.loads(body)
    except ValueError:
        return ""
    text = value.get("token") if isinstance(value, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= _TOKEN_LONGEST:
        return ""
    return text if all("!" <= letter <= "~" and letter not in ';,\\"' for letter in text) else ""
