"""How the API says no: problem+json (RFC 9457) with one line for whoever asked."""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tools.office.api.tokens import TokenError
from tools.office.db.engine import BooksError
from tools.office.desk import DeskError, InputError
from tools.office.eventlog import UnknownCardError
from tools.office.folder import FolderError
from tools.office.keys import KeyFileError

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "No token",
    403: "Not with this token",
    404: "Not there",
    405: "Not in this way",
    408: "Too slow",
    409: "Refused",
    413: "Too much",
    422: "Makes no sense",
    429: "Too many",
    500: "Fault",
    503: "The books cannot be had",
}
_STATUS: dict[type[Exception], int] = {
    InputError: 422,
    DeskError: 409,
    UnknownCardError: 404,
    BooksError: 503,
    KeyFileError: 503,
    FolderError: 503,
    TokenError: 503,
}


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    fields: list[dict[str, str]] | None = None,
) -> Response:
    """Return the answer of a refusal."""
    value: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Refused"),
        "status": status,
        "detail": detail,
        "fields": fields,
    }
    return Response(json.dumps(value), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every expected error of `app` end as a problem."""
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, lambda request, error, status=status: problem(status, str(error)))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(Exception, lambda request, error: problem(500, "a fault of the office"))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), headers)


def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was given is not said again: it may be the number of an identity document.
    fields = [
        {"field": ".".join(str(part) for part in fault["loc"]), "text": str(fault["msg"])}
        for fault in error.errors()[:20]
    ]
    is_json = all(fault["type"] != "json_invalid" for fault in error.errors())
    detail = "; ".join(f"{fault['field']}: {fault['text']}" for fault in fields)
    return problem(422 if is_json else 400, detail[:500], fields=fields)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the schema says of these refusals."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": TITLES[status], "content": content} for status in statuses}
