"""`pinter office update`: rolls a release of the firmware out. Owns options and words only.

Exit codes: 0 done, 1 the rollout stopped by itself or cannot be now, 2 wrong usage or invalid input.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from tools.board import release as releases
from tools.cli.office_common import No, Office, Refusal, with_office
from tools.office import updates


@click.group()
def update() -> None:
    """Bring a release of the firmware to the gates: one first, then a tenth of them, then all."""


@update.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--first", metavar="GATE", help="Where to begin [default: the first by name].")
@click.option("--release-key", metavar="HEX", help="Public half of the release key: refuse what gates would.")
@with_office
def start(office: Office, path: Path, first: str | None, release_key: str | None) -> None:
    """Begin the rollout of the release in FILE. `pinter office serve` carries it out.

    A gate that refuses the release, goes back to the one before or is silent for half an hour stops it.
    """
    try:
        found = releases.load(path)
        if release_key is not None and not found.is_signed_by(bytes.fromhex(release_key)):
            raise Refusal(f"{path}: is not signed with this release key")
    except releases.ReleaseError as error:
        raise Refusal(str(error)) from error
    except ValueError as error:
        raise Refusal("--release-key: 32 bytes in hex") from error
    try:
        made = office.desk().roll_out(found.data, first)
    except updates.UpdateError as error:
        raise No(str(error)) from error
    click.echo(f"{made.version} {made.text}: {' | '.join(' '.join(part) for part in made.stages)}")


@update.command()
@click.option("--why", default="by hand", show_default=True, help="What is kept as the reason.")
@with_office
def stop(office: Office, why: str) -> None:
    """Give the release to no further gate. Those that run it go on with it."""
    try:
        made = office.desk().stop_rollout(why)
    except updates.UpdateError as error:
        raise No(str(error)) from error
    click.echo(f"{made.version} {made.text}: stopped")


@update.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; times are Unix seconds.")
@with_office
def status(office: Office, as_json: bool) -> None:
    """Show how far the rollout is, and what every gate says. Exit code 1: it stopped by itself."""
    try:
        found = updates.look_at(office.folder.path)
    except updates.UpdateError as error:
        raise Refusal(str(error)) from error
    order, state = found.order, found.state
    if as_json:
        said = {name: asdict(gate) | {"says": gate.words} for name, gate in sorted(state.gates.items())}
        known = asdict(order) if order else None
        click.echo(json.dumps({"order": known, "stands": found.stands, "stage": state.stage, "gates": said}))
    else:
        click.echo(f"{order.version} {order.text}: {found.stands}" if order else found.stands)
        for name, gate in sorted(state.gates.items()):
            click.echo(f"{name:<12} {gate.version:>6} {gate.words:<12} {office.clock(gate.heard)}")
    if state.failed:
        raise click.exceptions.Exit(1)


COMMANDS = (update,)
