"""`pinter office api`, `token`: the office over HTTP, alone or beside `serve`, and who may use it.

Owns options, signals and words; `tools.office.api` does the work.
"""

import functools
import ipaddress
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tools.cli.office_common import Office, Refusal, as_json, say, with_office
from tools.office.api import tokens
from tools.office.api.listen import Listen, ListenError, check
from tools.office.service import LiveView

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _address(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    try:
        if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError
        if host.startswith("[") and host.endswith("]"):
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        return str(ipaddress.IPv4Address(host)), int(port)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not ADDRESS:PORT, such as 127.0.0.1:8080") from error


def _options(address: str, prefix: str, default: str | None) -> Callable[..., Any]:
    """Return what adds the options of a server to a command, which gets them as `listen_api` (a Listen)."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            address,
            "api_at",
            default=default,
            show_default=default is not None,
            callback=_address,
            metavar="ADDRESS:PORT",
            help="Where the API listens." if default else "Answer the API there too.",
        )
        @click.option(f"--{prefix}cert", "api_cert", type=_FILE, help="Certificate of the API (PEM).")
        @click.option(f"--{prefix}key", "api_key", type=_FILE, help="Its key; for this user only.")
        @click.option(
            f"--{prefix}plain", "api_plain", is_flag=True, help="The API without TLS on any address."
        )
        @functools.wraps(function)
        def run(
            *arguments: Any,
            api_at: tuple[str, int] | None,
            api_cert: Path | None,
            api_key: Path | None,
            api_plain: bool,
            **options: Any,
        ) -> Any:
            listen = None
            if api_at is not None:
                listen = Listen(*api_at, api_cert, api_key, api_plain)
                try:
                    check(listen)
                except ListenError as error:
                    raise click.UsageError(f"{error}: --{prefix}cert and --{prefix}key") from error
            elif api_cert or api_key or api_plain:
                raise click.UsageError(f"--{prefix}cert, --{prefix}key, --{prefix}plain need {address}")
            return function(*arguments, listen_api=listen, **options)

        return run

    return add


beside_serve = _options("--api", "api-", None)


@contextmanager
def beside(
    office: Office, listen: Listen | None, live: LiveView | None, log: Callable[..., None]
) -> Iterator[None]:
    """Answer the API while the block runs; do nothing if `listen` is None.

    `live` tells what gates do, None while they are not served here.
    """
    if listen is None:
        yield
        return
    from tools.office.api import app, server  # takes longer to load than most commands run
    from tools.office.pages.site import Pages

    keeper = app.create(office.folder, office.engine, time.time, live, log)
    pages = Pages(keeper, office.folder, office.engine, time.time, log)
    try:
        known = tokens.Tokens(office.folder.path).all()
        with server.running(pages, listen, log):
            if not known:
                log("api_without_tokens", why="nobody may use it: pinter office token add")
            yield
    except (ListenError, tokens.TokenError) as error:
        raise Refusal(str(error)) from error


@click.command("api")
@_options("--listen", "", "127.0.0.1:8080")
@with_office
def api(office: Office, listen_api: Listen) -> None:
    """Answer the API alone: the desk by HTTP. Ends on SIGTERM or Ctrl-C.

    `pinter office serve --api` does it too, and knows which gates are online.
    """
    over = threading.Event()
    name: list[str] = []

    def end(number: int, frame: Any) -> None:
        name.append(signal.Signals(number).name)
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with beside(office, listen_api, None, _log):
        over.wait()
    _log("stopped", signal=name[0])


def _log(event: str, **fields: Any) -> None:
    click.echo(json.dumps({"time": round(time.time(), 3), "event": event, **fields}), err=True)


@click.group()
def token() -> None:
    """Who may use the API."""


def _name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not tokens.NAME.fullmatch(value):
        raise click.BadParameter("1 to 20 letters, digits, '_', '.' or '-'")
    return value


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except tokens.TokenError as error:
        raise Refusal(str(error)) from error


@token.command("add")
@click.argument("name", callback=_name)
@click.option(
    "--role", default="desk", show_default=True, type=click.Choice(tokens.ROLES), help="What it may do."
)
@as_json
@with_office
def token_add(office: Office, name: str, role: str, json_too: bool) -> None:
    """Make a token for NAME, who stands in the audit trail, and show it: once, never again.

    monitor: health, figures, gates. desk: also cards, visits, events. supervisor: also commands to gates,
    the audit trail, lost cards that were found.
    """
    with _refusing():
        text = tokens.Tokens(office.folder.path).add(name, role)
    say(json_too, {"name": name, "role": role, "token": text}, text)


@token.command("remove")
@click.argument("name", callback=_name)
@as_json
@with_office
def token_remove(office: Office, name: str, json_too: bool) -> None:
    """Take a token away; it ends at once."""
    with _refusing():
        tokens.Tokens(office.folder.path).remove(name)
    say(json_too, {"name": name}, f"token {name} is no more")


@token.command("list")
@as_json
@with_office
def token_list(office: Office, json_too: bool) -> None:
    """Show who has a token, and for what."""
    with _refusing():
        known = tokens.Tokens(office.folder.path).all()
    rows = [{"name": of.name, "role": of.role} for of in known]
    say(json_too, rows, "\n".join(f"{of.name:<20} {of.role}" for of in known) or "no tokens")


COMMANDS = (api, token)
