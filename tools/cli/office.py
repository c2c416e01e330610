"""`pinter office`: the group, and `export`. Its other commands are in the modules that it collects.

Owns options and words; tools.office does the work.
"""

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from firmware import records
from firmware.crypto import card_key
from firmware.errors import BundleError
from tools.cli import (
    office_api,
    office_books,
    office_desk,
    office_events,
    office_record,
    office_report,
    office_serve,
    office_update,
)
from tools.cli.office_common import Refusal, name_of, office_option, opened
from tools.office import books, bundle, cardkeys, keys, pool, visits, whole

_DEFAULT_KEYS = Path("keys")


@click.group()
def group() -> None:
    """Keep cards and visits, publish lists, read events."""


def _classes(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, int]:
    table = dict(visits.CLASSES)
    for text in value:
        name, _, code = text.partition("=")
        if not name or not code.isdecimal() or not 5 <= int(code) <= 15:
            raise click.BadParameter(f"{text!r} is not NAME=CODE with a code from 5 to 15")
        if name in table or int(code) in table.values():
            raise click.BadParameter(f"{text!r}: the name or the code is taken")
        table[name] = int(code)
    return table


@group.command()
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Visits: uid, class, from, until, party [default: what is in the books].",
)
@click.option("--gate", required=True, callback=name_of, help="Name of the gate that the list is for.")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Bundle to write."
)
@click.option("--site", default="SITE", show_default=True, callback=name_of, help="Name of the site.")
@click.option(
    "--expires-h", default=24, show_default=True, type=click.IntRange(1, 24 * 366), help="Life in hours."
)
@click.option(
    "--seq", type=click.IntRange(1, 2**32 - 1), help="Number of the list [default: that of --out + 1]."
)
@click.option("--utc-offset-min", default=420, show_default=True, type=click.IntRange(-840, 840))
@click.option("--class", "classes", multiple=True, callback=_classes, help="A further class, NAME=CODE.")
@click.option(
    "--keys",
    "keys_path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with site.key and gate-NAME.key [default: ./keys, made on first use].",
)
@click.option(
    "--pool",
    "pool_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cards that prove themselves: the list gets the keys of those that it names.",
)
@office_option
@click.pass_context
def export(
    context: click.Context,
    office_path: Path,
    csv_path: Path | None,
    gate: str,
    out: Path,
    site: str,
    expires_h: int,
    seq: int | None,
    utc_offset_min: int,
    classes: dict[str, int],
    keys_path: Path | None,
    pool_path: Path | None,
) -> None:
    """Make the signed list of one gate, from the books or from a file of visits.

    From the books it gets a new life under the next number, the same at all gates; site, times, classes,
    keys and pool are the office's.
    """
    if csv_path is None:
        _refuse_given(context, ("site", "seq", "utc_offset_min", "classes", "keys_path", "pool_path"))
        _export_books(office_path, gate, out, expires_h)
        return
    _refuse_given(context, ("office_path",))
    try:
        listed = visits.read(csv_path, classes, utc_offset_min)
        pooled = pool.read(pool_path, utc_offset_min) if pool_path else {}
        if pool_path:
            _check_proofs(csv_path, listed, pool_path, pooled)
        seq = seq or _next_seq(out, site, gate)
        if keys_path is None:
            keys_path = _DEFAULT_KEYS
            made = keys.create_missing(keys_path, gate)
            if made:
                click.echo("New keys, keep them safe: " + ", ".join(map(str, made)))
        site_key = keys.site_key(keys_path)
        gate_key = keys.gate_key(keys_path, gate)
        masters = keys.card_masters(keys_path) if pooled else {}
        secrets = {
            card_key(site_key, visit.uid): pooled[visit.uid].secret(masters, keys_path)
            for visit in listed
            if visit.uid in pooled
        }
        issued = int(time.time())
        expires = issued + expires_h * 3600
        data = bundle.snapshot(
            site,
            gate,
            gate_key,
            [visit.credential(site_key) for visit in listed],
            seq,
            issued,
            expires,
            cardkeys.entries(gate_key, secrets),
        )
        _write(out, data)
    except visits.VisitsError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        raise click.exceptions.Exit(2) from error
    except keys.KeyFileError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{error.filename or csv_path}: {error.strerror}") from error
    until = datetime.fromtimestamp(expires, timezone(timedelta(minutes=utc_offset_min)))
    with_keys = f", {len(secrets)} with keys" if pool_path else ""
    click.echo(
        f"{out}: list {seq} for gate {gate}, {len(listed)} cards{with_keys}, expires {until:%Y-%m-%d %H:%M}"
    )


def _refuse_given(context: click.Context, names: tuple[str, ...]) -> None:
    """Refuse options on the command line that say nothing where the list comes from."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and given == click.core.ParameterSource.COMMANDLINE:
            source = "the books: give --csv" if "office_path" not in names else "a file"
            raise click.UsageError(f"{parameter.opts[0]} says nothing of a list from {source}")


def _export_books(office_path: Path, gate: str, out: Path, expires_h: int) -> None:
    now = time.time()
    with opened(office_path) as office:
        listed = books.Books(office.folder, office.engine, now)
        if gate not in listed.gates():
            raise Refusal(f"there is no gate {gate}: pinter office gate add")
        if not listed.list_seq():
            raise Refusal("no card was ever issued: there is no list")
        _next_seq(out, office.folder.site, gate)
        listed.renew(now, expires_h * 3600)
        _write(out, listed.snapshot(gate))
        click.echo(
            f"{out}: list {listed.list_seq()} for gate {gate}, {len(listed.credentials)} cards, "
            f"expires {office.clock(listed.expires)}"
        )


def _check_proofs(
    csv_path: Path, listed: list[visits.Visit], pool_path: Path, pooled: dict[bytes, pool.PoolCard]
) -> None:
    """Refuse visits for which a card must prove more than the pool says that it can."""
    faults = []
    for visit in listed:
        card = pooled.get(visit.uid)
        if records.TIERS.index(visit.tier) > (records.TIERS.index(card.tier) if card else 0):
            says = f"{pool_path} says {card.tier!r}" if card else f"it is not in {pool_path}"
            faults.append(
                f"{csv_path}: card {visit.uid.hex().upper()} has to prove {visit.tier!r}, but {says}"
            )
    if faults:
        raise visits.VisitsError(faults)


def _next_seq(out: Path, site: str, gate: str) -> int:
    """Return the number after that of the list at `out`, 1 if there is none."""
    try:
        with out.open("rb") as file:
            header = bundle.header_of(file.read(64))
    except FileNotFoundError:
        return 1
    except BundleError as error:
        raise Refusal(f"{out} exists and is no list bundle: it stays as it is") from error
    if (header.site, header.gate) != (site, gate):
        raise Refusal(f"{out} is the list of gate {header.gate} at {header.site}: it stays as it is")
    return header.seq_to + 1


def _write(out: Path, data: bytes) -> None:
    try:
        whole.write(out, data, 0o644)
    except OSError as error:
        raise Refusal(f"{out}: {error.strerror}") from error


for _module in (
    office_api,
    office_books,
    office_desk,
    office_events,
    office_record,
    office_report,
    office_serve,
    office_update,
):
    for _command in _module.COMMANDS:
        group.add_command(_command)
