"""The routes of the API. Each is an act of `desk`, or a reading of the books, for a role.

`create` gives the application, with the gate keeper in front of it: nothing behind it is reached without a
token, errors and pages that do not exist included.
"""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Security, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.security import HTTPBearer
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from tools.office import eventlog, listing
from tools.office.api import metrics, problems, schemas, stream
from tools.office.api.keeper import Keeper
from tools.office.api.tokens import Token, Tokens
from tools.office.api.web import Log
from tools.office.db import models
from tools.office.db.engine import reading
from tools.office.desk import Desk, DeskError, Outcome
from tools.office.folder import Folder
from tools.office.listing import Row
from tools.office.service import LiveView
from tools.office.tables import uid

PAGE, PAGE_MAX = 100, 500
_NUMBER_MAX = (1 << 53) - 1

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
After = Annotated[int, Query(ge=0, le=_NUMBER_MAX, description="The page goes on after this one.")]
Number = Annotated[int, Path(ge=1, le=_NUMBER_MAX)]
GateName = Annotated[str, Path(pattern=schemas.GATE_PATTERN)]
Actor = Annotated[
    str | None,
    Header(
        alias="Pinter-Actor",
        pattern="^[!-~]([ -~]{0,38}[!-~])?$",
        description="Who is at the desk: stands in the audit trail after the name of the token.",
    ),
]
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A token from `pinter office token`.")


def _card(card: Annotated[str, Path(pattern=schemas.CARD_PATTERN, description="UID in hex.")]) -> str:
    return _canonical(card)


Card = Annotated[str, Depends(_card)]


def _canonical(text: str) -> str:
    try:
        return uid(text).hex().upper()
    except ValueError as error:
        raise HTTPException(422, f"card: {error}") from error


@dataclass(frozen=True)
class Context:
    """What routes need. `live` tells what gates do; None: their sessions are not in this program.

    It returns None while another program has them.
    """

    folder: Folder
    engine: Engine
    now: Callable[[], float]
    live: LiveView | None
    tokens: Tokens
    metrics: metrics.Metrics
    streams: stream.Streams

    def since(self) -> int:
        """Return when positions became unknown last."""
        return listing.reset(self.folder, self.now())


def _needs(role: str) -> Any:
    def check(request: Request, _: Annotated[Any, Security(_bearer)]) -> None:
        token: Token = request.scope["pinter.token"]
        if not token.may(role):
            raise HTTPException(403, f"this is for the role {role}; token {token.name} is {token.role}")

    return Depends(check)


def _refuse_unknown(request: Request) -> None:
    """Refuse a name that the route does not have: a filter that is misspelt would filter nothing."""
    fields = get_flat_params(request.scope["route"].dependant)
    known = {field.alias for field in fields if isinstance(field.field_info, params.Query)}
    for name in request.query_params:
        if name not in known:
            raise HTTPException(
                422, f"query: {name[:40]!r} is not one of: {', '.join(sorted(known)) or 'none'}"
            )


def _router(role: str) -> APIRouter:
    responses = {200: {"description": "Done."}} | problems.described(401, 403, 422, 503)
    return APIRouter(
        prefix="/v1", tags=[role], dependencies=[_needs(role), Depends(_refuse_unknown)], responses=responses
    )


def create(
    folder: Folder, engine: Engine, now: Callable[[], float], live: LiveView | None, log: Log
) -> Keeper:
    """Return the API of the office in `folder`, with its books behind `engine`."""
    context = Context(
        folder,
        engine,
        now,
        live,
        Tokens(folder.path),
        metrics.Metrics(folder, engine, now, live),
        stream.Streams(engine, log),
    )
    app = FastAPI(
        title="PINTER office",
        version="1",
        description="What the desk does, and what is in the books. Times are Unix seconds.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    problems.install(app)
    for routes in (_acts, _orders, _cards, _visits, _gates, _events, _audit, _watch):
        for router in routes(context):
            app.include_router(router)
    _describe(app)
    return Keeper(app, context.tokens, context.metrics, log, context.streams.stop)


def _describe(app: FastAPI) -> None:
    """Give the schema what FastAPI does not: the form of a refusal."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            kinds = schema.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                kinds.pop(name, None)
            kinds["Problem"] = schemas.Problem.model_json_schema()
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi

    @app.get("/openapi.json", include_in_schema=False, dependencies=[_needs("monitor")])
    def schema() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return openapi()


# Acts

_REFUSED = problems.described(400, 408, 409, 413)


def _acts(context: Context) -> list[APIRouter]:
    router = _router("desk")
    supervisor = _router("supervisor")

    def act(request: Request, actor: str | None, name: str, do: Callable[[Desk], Outcome]) -> Row:
        return listing.outcome(_timed(context, request, actor, name, do))

    @router.post("/cards/{card}/issue", response_model=schemas.Done, responses=_REFUSED)
    def issue(request: Request, card: Card, body: schemas.Issue, actor: Actor = None) -> Row:
        """Bind a card to one visit and put it on the list."""
        fields = body.model_dump()
        if fields["companion_of"] is not None:
            fields["companion_of"] = _canonical(fields["companion_of"])
        return act(request, actor, "issue", lambda desk: desk.issue(card, **fields))

    @router.post("/cards/{card}/return", response_model=schemas.Done, responses=_REFUSED)
    def take_back(request: Request, card: Card, actor: Actor = None) -> Row:
        """Take a card back: it is blocked, and a companion's deposit is closed."""
        return act(request, actor, "return", lambda desk: desk.take_back(card))

    @router.post("/cards/{card}/lost", response_model=schemas.Done, responses=_REFUSED)
    def lost(request: Request, card: Card, actor: Actor = None) -> Row:
        """Report a card lost: blocked for good. A deposit stays until it is closed."""
        return act(request, actor, "lost", lambda desk: desk.lose(card))

    @router.post("/cards/{card}/revoke", response_model=schemas.Done, responses=_REFUSED)
    def revoke(request: Request, card: Card, actor: Actor = None) -> Row:
        """Block a card that somebody has. It still lets its holder out."""
        return act(request, actor, "revoke", lambda desk: desk.revoke(card))

    @router.post("/cards/{card}/position", response_model=schemas.Done, responses=_REFUSED)
    def position(request: Request, card: Card, body: schemas.Place, actor: Actor = None) -> Row:
        """Correct where a card is, for all gates."""
        return act(request, actor, "position", lambda desk: desk.correct_position(card, body.position))

    @router.post("/deposits/{number}/close", response_model=schemas.Done, responses=_REFUSED)
    def close_deposit(request: Request, number: Number, actor: Actor = None) -> Row:
        """Give back the deposit of a card that was lost."""
        return act(request, actor, "deposit_close", lambda desk: desk.close_deposit(number))

    @router.post("/reclaim", response_model=schemas.Overdue)
    def reclaim(request: Request, actor: Actor = None) -> Row:
        """Block the cards that were not back by closing time; say which are still out."""
        visits = _timed(context, request, actor, "reclaim", lambda desk: desk.reclaim())
        with reading(context.engine) as db:
            found = [listing.visit(db, visit.id, context.since()) for visit in visits]
        return {"visits": found}

    @supervisor.post("/cards/{card}/restore", response_model=schemas.Done, responses=_REFUSED)
    def restore(request: Request, card: Card, actor: Actor = None) -> Row:
        """Take a card that was lost and found into the pool again."""
        return act(request, actor, "restore", lambda desk: desk.restore(card))

    return [router, supervisor]


def _orders(context: Context) -> list[APIRouter]:
    supervisor = _router("supervisor")

    @supervisor.post(
        "/gates/{gate}/commands",
        response_model=schemas.Command,
        responses=problems.described(400, 408, 409, 413),
    )
    def order(request: Request, gate: GateName, body: schemas.Order, actor: Actor = None) -> Row:
        """Order something of a gate: mode, open, identify, reboot, acknowledge."""
        row = _timed(
            context, request, actor, "command", lambda desk: desk.command(gate, body.command, body.argument)
        )
        return listing.command_row(row)

    return [supervisor]


def _timed(
    context: Context, request: Request, actor: str | None, name: str, do: Callable[[Desk], Any]
) -> Any:
    """Do an act at the desk in the name of the token, and of who is at the desk."""
    token: Token = request.scope["pinter.token"]
    desk = Desk(context.folder, context.engine, context.now, f"{token.name}/{actor}" if actor else token.name)
    begin, outcome = time.perf_counter(), "fault"
    try:
        found = do(desk)
        outcome = "done"
        return found
    except DeskError:
        outcome = "refused"
        raise
    finally:
        context.metrics.acts.labels(name, outcome).observe(time.perf_counter() - begin)


# What there is


def _found(row: Row | None, words: str) -> Row:
    if row is None:
        raise HTTPException(404, words)
    return row


def _page(name: str, rows: list[Row], key: str, limit: int) -> Row:
    return {name: rows, "next": rows[-1][key] if len(rows) == limit else None}


def _cards(context: Context) -> list[APIRouter]:
    router = _router("desk")

    @router.get("/cards", response_model=schemas.Cards)
    def cards(
        state: Annotated[str | None, Query(pattern="^(free|issued|lost)$")] = None,
        after: Annotated[str, Query(pattern="^[0-9A-F]{0,20}$")] = "",
        limit: Limit = PAGE,
    ) -> Row:
        """Show the pool, by the numbers of the cards."""
        with reading(context.engine) as db:
            return _page("cards", listing.cards(db, after, limit, state), "card", limit)

    @router.get("/cards/{card}", response_model=schemas.CardNow, responses=problems.described(404))
    def card(card: Card) -> Row:
        """Show a card, the visit that it is bound to, and the document that is kept for it."""
        with reading(context.engine) as db:
            return _found(listing.card(db, card, context.since()), f"card {card} is not in the pool")

    @router.get("/bookings", response_model=schemas.Bookings)
    def bookings(
        after: Annotated[str, Query(pattern="^[A-Za-z0-9_./-]{0,32}$")] = "", limit: Limit = PAGE
    ) -> Row:
        """Show the bookings, by their codes."""
        with reading(context.engine) as db:
            return _page("bookings", listing.bookings(db, after, limit), "booking", limit)

    @router.get("/deposits", response_model=schemas.Deposits)
    def deposits(after: After = 0, limit: Limit = PAGE) -> Row:
        """Show the documents that the desk keeps."""
        with reading(context.engine) as db:
            return _page("deposits", listing.deposits(db, after, limit), "number", limit)

    return [router]


def _visits(context: Context) -> list[APIRouter]:
    router = _router("desk")

    @router.get("/visits", response_model=schemas.Visits)
    def visits(after: After = 0, limit: Limit = PAGE) -> Row:
        """Show the visits that go on."""
        with reading(context.engine) as db:
            return _page("visits", listing.visits(db, context.since(), after, limit), "visit", limit)

    @router.get("/visits/{number}", response_model=schemas.Visit, responses=problems.described(404))
    def visit(number: Number) -> Row:
        """Show a visit, one that is over too."""
        with reading(context.engine) as db:
            return _found(listing.visit(db, number, context.since()), f"there is no visit {number}")

    @router.get("/parties/{number}", response_model=schemas.Party, responses=problems.described(404))
    def party(number: Annotated[int, Path(ge=1, le=0xFFFF)]) -> Row:
        """Show who belongs together and has cards out. Numbers are used again once a party is over."""
        with reading(context.engine) as db:
            found = listing.visits(db, context.since(), party=number)
        return _found(
            {"party": number, "visits": found} if found else None, f"no party {number} has cards out"
        )

    @router.get("/inside", response_model=schemas.Inside)
    def inside() -> Row:
        """Show who is inside, by the latest passages and the desk's word."""
        with reading(context.engine) as db:
            occupancy, found = listing.inside(db, context.folder, context.since())
        return {"occupancy": occupancy, "visits": found}

    return [router]


def _gates(context: Context) -> list[APIRouter]:
    router, desk = _router("monitor"), _router("desk")

    def now_of(db: Any, row: Row, live: dict[str, Any]) -> Row:
        value = {**row, "behind": row["list"] - row["has_list"]}
        of = live.get(row["gate"])
        if of is not None:
            value |= {
                "online": of.online,
                "heard": of.heard_s,
                "undelivered": metrics.undelivered(db, row["gate"], of),
                "report": metrics.report_of(of),
            }
        return value

    def all_gates() -> list[Row]:
        live = (context.live() if context.live is not None else None) or {}
        with reading(context.engine) as db:
            return [now_of(db, row, live) for row in listing.gates(db)]

    def known(gate: str) -> Row:
        found = [row for row in all_gates() if row["gate"] == gate]
        return _found(found[0] if found else None, f"there is no gate {gate}")

    @router.get("/gates", response_model=schemas.Gates)
    def gates() -> Row:
        """Show the gates: which list they have, whether they are online."""
        return {"gates": all_gates()}

    @router.get("/gates/{gate}", response_model=schemas.Gate, responses=problems.described(404))
    def one(gate: GateName) -> Row:
        """Show a gate."""
        return known(gate)

    @desk.get("/gates/{gate}/commands", response_model=schemas.Commands, responses=problems.described(404))
    def waiting(gate: GateName) -> Row:
        """Show the commands that a gate has not had yet."""
        known(gate)
        with reading(context.engine) as db:
            return {"commands": listing.waiting(db, gate, int(context.now()))}

    @desk.get("/commands/{nonce}", response_model=schemas.Command, responses=problems.described(404))
    def command(nonce: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]) -> Row:
        """Show a command, and whether its gate has had it."""
        with reading(context.engine) as db:
            return _found(listing.command(db, nonce), "there is no such command")

    @desk.get("/alarms", response_model=schemas.Alarms)
    def alarms(after: After = 0, limit: Limit = PAGE) -> Row:
        """Show the alarms that the office raised; those of gates are events."""
        with reading(context.engine) as db:
            return _page("alarms", listing.alarms(db, after, limit), "id", limit)

    return [router, desk]


Kinds = Annotated[list[str], Query(alias="type", max_length=30, description="May be repeated.")]
Reasons = Annotated[list[str], Query(alias="reason", max_length=60, description="May be repeated.")]
Instant = Annotated[int | None, Query(ge=0, lt=1 << 33)]


def _filter(
    gate: Annotated[str | None, Query(pattern=schemas.GATE_PATTERN)] = None,
    card: Annotated[str | None, Query(pattern=schemas.CARD_PATTERN)] = None,
    kinds: Kinds = [],  # noqa: B006  (FastAPI copies it)
    reasons: Reasons = [],  # noqa: B006
    begin: Annotated[Instant, Query(alias="from")] = None,
    until: Instant = None,
) -> eventlog.Filter:
    for words, known in ((kinds, eventlog.KINDS), (reasons, eventlog.WORDS)):
        for word in words:
            if word not in known:
                raise HTTPException(422, f"{word!r} is none of {', '.join(known)}"[:500])
    return eventlog.Filter(
        gate, None if card is None else _canonical(card), tuple(kinds), tuple(reasons), begin, until
    )


Chosen = Annotated[eventlog.Filter, Depends(_filter)]


def _events(context: Context) -> list[APIRouter]:
    router = _router("desk")

    @router.get("/events", response_model=schemas.Events, responses=problems.described(404))
    def events(
        chosen: Chosen,
        after: Annotated[int | None, Query(ge=0, le=_NUMBER_MAX, description="The oldest first.")] = None,
        before: Annotated[int | None, Query(ge=0, le=_NUMBER_MAX, description="The newest first.")] = None,
        limit: Limit = PAGE,
    ) -> Row:
        """Show what happened at the gates: the newest first, or from one event on in the order of arrival."""
        if after is not None and before is not None:
            raise HTTPException(422, "after or before")
        with reading(context.engine) as db:
            found = eventlog.arrived(db, chosen, after, before, limit)
            return {**_page("events", found, "id", limit), "last": eventlog.last(db)}

    @router.get(
        "/events/stream",
        response_class=StreamingResponse,
        responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}}
        | problems.described(404, 409, 429),
    )
    async def follow(
        request: Request,
        chosen: Chosen,
        after: Annotated[int | None, Query(ge=0, le=_NUMBER_MAX)] = None,
        last_event_id: Annotated[str | None, Header(pattern="^[0-9]{1,15}$")] = None,
    ) -> Response:
        """Go on with the events that come after `Last-Event-ID`, after `after`, or from now on."""
        at = after if last_event_id is None else int(last_event_id)
        begin = await run_in_threadpool(context.streams.begin, chosen, at)
        texts: AsyncIterator[str] = context.streams.texts(chosen, begin, request.is_disconnected)
        return StreamingResponse(texts, media_type="text/event-stream")

    return [router]


def _audit(context: Context) -> list[APIRouter]:
    router = _router("supervisor")

    @router.get("/audit", response_model=schemas.Acts)
    def audit(after: After = 0, limit: Limit = PAGE) -> Row:
        """Show the audit trail. `pinter office verify` says whether it holds."""
        with reading(context.engine) as db:
            return _page("acts", listing.acts(db, after, limit), "seq", limit)

    return [router]


def _watch(context: Context) -> list[APIRouter]:
    router = _router("monitor")
    bare = APIRouter(
        tags=["monitor"], dependencies=[_needs("monitor")], responses=problems.described(401, 403, 503)
    )

    @router.get("/health", response_model=schemas.Health)
    def health() -> Row:
        """Say that the books can be read, or not."""
        with reading(context.engine) as db:
            state = db.get_one(models.State, 1)
            return {
                "site": context.folder.site,
                "time": int(context.now()),
                "serving": context.live is not None and context.live() is not None,
                "last_event": state.last_event,
                "acts": state.audit_seq,
            }

    @bare.get(
        "/metrics",
        response_class=Response,
        responses={200: {"description": "Figures for Prometheus.", "content": {"text/plain": {}}}},
    )
    def figures() -> Response:
        """Show what the office can be watched by."""
        return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [router, bare]
