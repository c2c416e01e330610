"""`pinter sim web`: a simulated gate in a browser.

Owns options, the address that is printed, and the lines on stderr; `host_sim.web` does the work.
"""

import ipaddress
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import click

from tools import runtime as runtimes


def _host(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not an IP address, such as 127.0.0.1") from error


@click.command("web")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_host,
    metavar="ADDRESS",
    help="Where to listen. Beyond this machine a token is needed; it is printed.",
)
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
@click.option(
    "--runtime",
    type=click.Choice(["micropython", "cpython"]),
    default=None,
    help="Where the firmware runs.  [default: micropython]",
)
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(1, 100), help="Times real time."
)
@click.option(
    "--stories",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of stories that can be played.  [default: tests/scenarios]",
)
def web(host: str, port: int, runtime: str | None, speed: float, stories: Path | None) -> None:
    """Open a hall with one gate in a browser: cards, visitors, a guard, fire, power, network.

    The firmware is the unmodified one on real MicroPython, in real time. Ends on Ctrl-C.
    """
    from host_sim.web import hall, server  # takes longer to load than most commands run
    from tools.office.api.web import bound as server_socket

    try:
        found = runtimes.micropython()
    except runtimes.RuntimeSettingError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if runtime == "micropython" and found is None:
        click.echo("Error: there is no MicroPython on this machine: set MICROPYTHON=/path", err=True)
        sys.exit(2)
    chosen = runtime or ("micropython" if found else "cpython")
    address = ipaddress.ip_address(host)
    token = None if address.is_loopback else secrets.token_urlsafe(24)
    try:
        bound = server_socket(host, port)
    except OSError as error:
        click.echo("Error: %s port %d: %s" % (host, port, error.strerror), err=True)
        sys.exit(2)
    shown = f"[{host}]" if address.version == 6 else host
    url = "http://%s:%d/" % (shown, bound.getsockname()[1])
    click.echo("Open %s%s" % (url, "?token=" + token if token else ""))
    if token:
        click.echo("Without TLS everybody on the way can read the token: use a network that you trust.")
    click.echo("The firmware runs on %s. Ctrl-C ends it." % chosen)
    made = hall.Hall(chosen, stories or hall.STORIES, _log, speed)
    server.serve(server.create(made, token, _log), bound, _log)


def _log(event: str, **fields: Any) -> None:
    click.echo(json.dumps({"time": round(time.time(), 3), "event": event, **fields}), err=True)
