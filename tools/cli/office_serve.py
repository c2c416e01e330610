"""`pinter office serve`, `broker-files`: the office at work for its gates, over its own broker or another's.

Owns options, signals and the lines on stderr; `tools.office.serve` does the work.
"""

import fcntl
import json
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from tools.cli import office_api
from tools.cli.office_common import Office, Refusal, as_json, say, with_office
from tools.office import broker, keys, lease, mosquitto, serve
from tools.office.api.listen import Listen
from tools.office.books import Books
from tools.office.db import engine
from tools.office.service import Live, Service

_OF_ANOTHER = {"ca", "password_file", "files", "home_assistant"}  # options beside --broker
_NAME = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


def _listen(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    try:
        if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError
        return str(IPv4Address(host)), int(port)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not ADDRESS:PORT, such as 0.0.0.0:8883") from error


def listen_option(default: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --listen, which gives an IPv4 address and a port."""
    return click.option(
        "--listen", default=default, show_default=True, callback=_listen, metavar="ADDRESS:PORT", help=text
    )


def _to(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, _, port = value.partition(":")
    if not _NAME.fullmatch(host) or not (port or "8884").isdecimal() or not 0 < int(port or 8884) < 65536:
        raise click.BadParameter(f"{value!r} is not HOST or HOST:PORT")
    return host, int(port or 8884)


def _names(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is no name of a computer")
    return value


def broker_login(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `ca`, whom to trust, and `password_file`, by which a broker lets it in."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--password-file", type=file, help="Password for USER; for this user only."),
        click.option("--ca", type=file, help="Trusted certificates (PEM)."),
    ):
        function = option(function)
    return function


@click.command("serve")
@click.option(
    "--broker",
    "url",
    metavar="URL",
    help="mqtts://[USER@]HOST[:PORT], or mqtt:// on this machine [default: a broker of our own].",
)
@broker_login
@click.option(
    "--broker-files",
    "files",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Of a mosquitto here: told of new gates and keys.",
)
@listen_option("127.0.0.1:8883", "Of our own broker.")
@click.option(
    "--name", "names", multiple=True, callback=_names, help="What gates call our broker; may be repeated."
)
@click.option("--home-assistant", is_flag=True, help="Let Home Assistant find the gates (MQTT discovery).")
@click.option("--log-json", "is_json", is_flag=True, help="Log a JSON object a line, for programs.")
@office_api.beside_serve
@with_office
def serve_command(
    office: Office,
    url: str | None,
    ca: Path | None,
    password_file: Path | None,
    files: Path | None,
    listen: tuple[str, int],
    names: tuple[str, ...],
    home_assistant: bool,
    is_json: bool,
    listen_api: Listen | None,
) -> None:
    """Hold sessions with all gates: lists and commands go out, events come in. Ends on SIGTERM or Ctrl-C.

    What happens is a line on stderr. Where the books are in PostgreSQL, a second one stands by, on this or
    another machine, and takes over within 10 s when the first is gone.
    """
    log = log_json if is_json else log_text
    context = click.get_current_context()
    given = {name for name in context.params if _is_given(context, name)}
    unfit = given & ({"listen", "names"} if url is not None else _OF_ANOTHER)
    if unfit:
        option = next(p.opts[0] for p in context.command.params if p.name in unfit)
        raise click.UsageError(f"{option} says nothing {'with' if url is not None else 'without'} --broker")
    site = office.folder.site
    try:
        address = None if url is None else serve.address_of(url, password(password_file), ca)
    except serve.UrlError as error:
        raise Refusal(str(error)) from error
    over: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: over.append(number))
    serving: list[Service] = []  # none while this program stands by

    def term(books: Engine, is_over: Callable[[], bool]) -> None:
        service = Service(office.folder, books, time.time)
        if address is None:
            own = broker.OwnBroker(office.folder.path / "tls", site, *listen, names)
            server = serve.Server(service, site, serve.own_address(own), own, log)
        else:
            kept = None if files is None else mosquitto.Files(files, site)
            server = serve.Server(service, site, address, None, log, kept, home_assistant)
        serving.append(service)
        try:
            server.run(is_over)
        finally:
            serving.clear()

    def live() -> dict[str, Live] | None:
        return next((service.live() for service in serving[:]), None)

    faults = (serve.UrlError, broker.BrokerError, mosquitto.FilesError)
    with office_api.beside(office, listen_api, live, log):
        if office.folder.database.drivername == "sqlite":
            lock = locked(office.folder.path / "serve.lock")
            try:
                term(office.engine, lambda: bool(over))
            except faults as error:
                raise Refusal(str(error)) from error
            finally:
                lock.close()
        else:
            books = engine.connect(office.folder.database, lease.TIMEOUT_S)
            name = f"{socket.gethostname()[:50]}:{os.getpid()}:{secrets.token_hex(4)}"
            faults += (engine.BooksError, keys.KeyFileError)
            lease.hold(lease.Lease(books, name), term, lambda: bool(over), log, faults)
            books.dispose()
    log("stopped", signal=signal.Signals(over[0]).name)


@click.command("broker-files")
@click.argument("path", required=False, metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
@listen_option("0.0.0.0:8883", "For the gates.")
@click.option(
    "--office-port",
    default=1883,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="For the office, on 127.0.0.1.",
)
@click.option(
    "--bridge",
    callback=_to,
    metavar="HOST[:PORT]",
    help="Broker of a centre, which gets the events; asks for keys/centre.key. [PORT: 8884]",
)
@as_json
@with_office
def broker_files(
    office: Office,
    path: Path | None,
    listen: tuple[str, int],
    office_port: int,
    bridge: tuple[str, int] | None,
    json_too: bool,
) -> None:
    """Write the files of a mosquitto for the gates into DIR [default: mosquitto in the office's folder].

    Each gate comes with TLS-PSK, its own key, to its own topics only. `serve --broker-files DIR` keeps the
    keys up to date; passwords that are there stay in force.
    """
    path = path or office.folder.path / "mosquitto"
    if listen[1] == office_port:
        raise click.UsageError("--office-port is the port of --listen")
    known = Books(office.folder, office.engine, time.time())
    known_keys = {gate: known.gate_key(gate) for gate in known.gates()}
    files = mosquitto.Files(path, office.folder.site)
    try:
        to = None
        if bridge is not None:
            to = mosquitto.Bridge(*bridge, keys.key_file(office.folder.keys / "centre.key"))
        files.make(known_keys, *listen, office_port, to)
    except mosquitto.FilesError as error:
        raise Refusal(str(error)) from error
    value = {
        "settings": str(path / files.settings.name),
        "gates": sorted(known_keys),
        "office_port": office_port,
    }
    say(
        json_too,
        value,
        f"{value['settings']}: gates ({len(known_keys)}) on {listen[0]}:{listen[1]}, "
        f"the office on 127.0.0.1:{office_port}",
    )


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)


def locked(path: Path) -> Any:
    """Return the open lock of the one service that an office, or a centre, has."""
    try:
        file = path.open("w")
        path.chmod(0o600)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Refusal(f"{path}: this office is served already") from error
    return file


def password(path: Path | None) -> str | None:
    """Return the password in a file that nobody else can read."""
    if path is None:
        return None
    try:
        if path.stat().st_mode & 0o077:
            raise Refusal(f"{path} can be read by others: chmod 600 {path}")
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8") from error


def log_json(event: str, **fields: Any) -> None:
    """Say what happens as a JSON object."""
    click.echo(json.dumps({"time": round(time.time(), 3), "event": event, **fields}), err=True)


def log_text(event: str, **fields: Any) -> None:
    """Say what happens in words."""
    words = [
        f"{name}={value if isinstance(value, str) and value.isalnum() else json.dumps(value)}"
        for name, value in fields.items()
    ]
    click.echo(" ".join([f"{datetime.now():%Y-%m-%d %H:%M:%S}", event, *words]), err=True)


COMMANDS = (serve_command, broker_files)
