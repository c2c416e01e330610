"""`pinter centre`: gathers the events of many offices, over a broker to which theirs are bridged.

Owns options, signals and words; `tools.office.centre` does the work.
"""

import functools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tools.cli.office_common import Refusal, as_json, name_of, refusing, say
from tools.cli.office_serve import broker_login, listen_option, locked, log_json, log_text, password
from tools.office import centre, mosquitto, serve
from tools.office.db.engine import connect


@click.group()
def group() -> None:
    """Gather the events of many offices."""


def _with_centre(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the Folder of --centre; expected errors end it with one line."""

    @click.option(
        "--centre",
        "centre_path",
        envvar="PINTER_CENTRE",
        show_envvar=True,
        default="centre",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder of the centre.",
    )
    @functools.wraps(function)
    def run(centre_path: Path, *arguments: Any, **options: Any) -> Any:
        with refusing():
            try:
                return function(centre.load(centre_path), *arguments, **options)
            except centre.CentreError as error:
                raise Refusal(str(error)) from error

    return run


@group.command("init")
@click.option(
    "--database", metavar="URL", help="postgresql://USER@HOST/NAME [default: SQLite in the folder]."
)
@click.argument("path", default="centre", type=click.Path(path_type=Path))
def init(path: Path, database: str | None) -> None:
    """Make a centre in the folder PATH [default: centre]."""
    with refusing():
        try:
            centre.create(path, database)
        except centre.CentreError as error:
            raise Refusal(str(error)) from error
    click.echo(f"{path}: a centre without sites: pinter centre add SITE")


@group.command("add")
@click.argument("site", callback=name_of)
@_with_centre
def add(folder: centre.Folder, site: str) -> None:
    """Let the office of SITE tell its events: make the key that it needs."""
    path = centre.add_site(folder, site)
    click.echo(f"site {site} added: take {path} to its office, as keys/centre.key")


@group.command("broker-files")
@click.argument("path", required=False, metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
@listen_option("0.0.0.0:8884", "For the offices.")
@click.option(
    "--centre-port",
    default=1884,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="For the centre, on 127.0.0.1.",
)
@as_json
@_with_centre
def broker_files(
    folder: centre.Folder, path: Path | None, listen: tuple[str, int], centre_port: int, json_too: bool
) -> None:
    """Write the files of a mosquitto for the offices' bridges [DIR: mosquitto in the centre's folder]."""
    path = path or folder.path / "mosquitto"
    if listen[1] == centre_port:
        raise click.UsageError("--centre-port is the port of --listen")
    sites = folder.sites()
    files = mosquitto.Files(path, None)
    try:
        files.make(sites, *listen, centre_port)
    except mosquitto.FilesError as error:
        raise Refusal(str(error)) from error
    settings = str(path / files.settings.name)
    value = {"settings": settings, "sites": sorted(sites), "centre_port": centre_port}
    text = (
        f"{settings}: sites ({len(sites)}) on {listen[0]}:{listen[1]}, the centre on 127.0.0.1:{centre_port}"
    )
    say(json_too, value, text)


@group.command("serve")
@click.option(
    "--broker", "url", required=True, metavar="URL", help="mqtts://[USER@]HOST[:PORT], or mqtt:// here."
)
@broker_login
@click.option(
    "--broker-files",
    "files",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Of a mosquitto here: told of new sites.",
)
@click.option("--log-json", "is_json", is_flag=True, help="Log a JSON object a line, for programs.")
@_with_centre
def serve_command(
    folder: centre.Folder,
    url: str,
    ca: Path | None,
    password_file: Path | None,
    files: Path | None,
    is_json: bool,
) -> None:
    """Take in what the offices tell, and ask for what is missing. Ends on SIGTERM or Ctrl-C."""
    log = log_json if is_json else log_text
    lock = locked(folder.path / "serve.lock")
    engine = connect(folder.database)
    try:
        intake = centre.Intake(folder, engine, time.time)
        kept = None if files is None else mosquitto.Files(files, None)
        address = serve.address_of(url, password(password_file), ca)
        server = serve.Server(intake, centre.NAME, address, None, log, kept)
        over: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: over.append(number))
        server.run(lambda: bool(over))
        log("stopped", signal=signal.Signals(over[0]).name)
    except (serve.UrlError, mosquitto.FilesError) as error:
        raise Refusal(str(error)) from error
    finally:
        engine.dispose()
        lock.close()


@group.command("list")
@as_json
@_with_centre
def list_command(folder: centre.Folder, json_too: bool) -> None:
    """Show how far each site is."""
    engine = connect(folder.database)
    rows, faults = centre.overview(engine, folder), centre.faults(engine)
    engine.dispose()
    lines = [f"{'site':<12} {'events':>10} {'missing':>8} {'faults':>6}  heard"]
    for of in rows:
        heard = "never" if of["heard"] is None else f"{time.time() - of['heard']:.0f} s ago"
        missing = of["at_office"] - of["after"]
        lines.append(f"{of['site']:<12} {of['events']:>10} {missing:>8} {of['faults']:>6}  {heard}")
    lines += [f"{of['site']}: {of['kind']}: {of['text']}" for of in faults]
    say(json_too, {"sites": rows, "faults": faults}, "\n".join(lines))


@group.command("events")
@click.option("--site", callback=lambda c, p, v: v and name_of(c, p, v), help="Only of this site.")
@_with_centre
def events(folder: centre.Folder, site: str | None) -> None:
    """Print the events that are here, a JSON object a line, in the order of their offices."""
    engine = connect(folder.database)
    for value in centre.events(engine, site):
        click.echo(json.dumps(value))
    engine.dispose()
