"""`pinter card`: looks at cards and makes them cards of an office's pool. Owns options and words.

Exit codes: 0 done; 1 the card is of no use, or it left before the end; 2 wrong usage, no reader, keys or pool
unfit.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from firmware.errors import CardError
from tools.card import encoder, personalise, transport
from tools.card.inspect import STATES, Report
from tools.card.inspect import inspect as inspect_card
from tools.card.refusal import Refusal
from tools.office import keys, pool, tables

_DEFAULT_KEYS = Path("keys")


class _Usage(click.ClickException):
    """An expected error of usage or input: one line, exit code 2."""

    exit_code = 2


class _Negative(click.ClickException):
    """The card is of no use, or left: one line, exit code 1."""

    exit_code = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Look at cards, and give them the keys of an office."""


def _open_reader(pcsc: str | None, port: str | None, side: str) -> transport.Transport:
    """Return the reader that the options name: what tests replace."""
    return encoder.open_board(port, side) if port else transport.pcsc(pcsc)


def _reader_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--side", type=click.Choice(encoder.SIDES), default="in", help="Which reader of the board."
        ),
        click.option("--port", help="A gate's board at this serial port is the reader."),
        click.option("--pcsc", help="The PC/SC reader whose name has this in it [default: the only one]."),
    ):
        command = option(command)
    return command


@contextmanager
def _reader(pcsc: str | None, port: str | None, side: str) -> Iterator[transport.Transport]:
    if pcsc and port:
        raise _Usage("--pcsc or --port, not both")
    try:
        reader = _open_reader(pcsc, port, side)
    except transport.TransportError as error:
        raise _Usage(str(error)) from error
    try:
        yield reader
    except (transport.CardLost, CardError) as error:
        raise _Negative(f"{error}: put the card on the reader and try again") from error
    except Refusal as error:
        raise _Negative(str(error)) from error
    except transport.TransportError as error:
        raise _Negative(str(error)) from error
    finally:
        reader.close()


@group.command()
@_reader_options
@click.option(
    "--keys",
    "keys_path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with card master keys: the card has to prove its own [default: ./keys, if there is one].",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def inspect(pcsc: str | None, port: str | None, side: str, keys_path: Path | None, as_json: bool) -> None:
    """Say what the card on the reader is, and whether it is one of the pool. Changes nothing."""
    if keys_path is None and _DEFAULT_KEYS.is_dir():
        keys_path = _DEFAULT_KEYS
    masters = _masters(keys_path) if keys_path else {}
    with _reader(pcsc, port, side) as reader:
        report = inspect_card(reader, masters)
    click.echo(json.dumps(_fields(report)) if as_json else _words(report))
    if not report.is_of_use:
        raise click.exceptions.Exit(1)


def _fields(report: Report) -> dict[str, Any]:
    identity, info = report.identity, report.identity.info
    return {
        "uid": info.uid.hex().upper(),
        "random_uid": identity.has_random_uid,
        "atqa": info.atqa,
        "sak": info.sak,
        "ats": info.ats.hex(),
        "product": identity.product,
        "kind": identity.kind,
        "signature": identity.has_signature,
        "maker": identity.maker,
        "state": report.state,
        "text": report.text,
        "key_version": report.key_version,
        "site": report.site,
    }


def _words(report: Report) -> str:
    identity, info = report.identity, report.identity.info
    air = [f"SAK {info.sak:02X}"]
    if info.atqa is not None:
        air.insert(0, f"ATQA {info.atqa:04X}")
    if info.ats:
        air.append(f"ATS {info.ats.hex().upper()}")
    if identity.maker:
        origin = f"signed by NXP ({identity.maker})"
    elif identity.has_signature:
        origin = "the signature is not NXP's"
    else:
        origin = "shows no signature"
    state = STATES[report.state][0]
    if report.site is not None:
        state += f" for {report.site!r}"
    if report.key_version is not None:
        state += f", key version {report.key_version}"
    if report.text:
        state += f" ({report.text})"
    rows = (
        ("card", info.uid.hex().upper() + (" (random)" if identity.has_random_uid else "")),
        ("air", ", ".join(air)),
        ("product", identity.product),
        ("origin", origin),
        ("state", state),
    )
    return "\n".join(f"{name:8} {text}" for name, text in rows)


@group.command("personalise")
@_reader_options
@click.option(
    "--pool",
    "pool_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The pool's CSV file: the card gets a line there.",
)
@click.option("--site", required=True, help="Name of the site, as in the config of its gates.")
@click.option(
    "--keys",
    "keys_path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with card master keys [default: ./keys, made on first use].",
)
@click.option(
    "--key-version", type=click.IntRange(1, 255), help="Version of the master key [default: the newest]."
)
@click.option("--rotate", is_flag=True, help="Change the keys of a card that has an older version.")
@click.option("--utc-offset-min", default=420, show_default=True, type=click.IntRange(-840, 840))
def personalise_command(
    pcsc: str | None,
    port: str | None,
    side: str,
    pool_path: Path,
    site: str,
    keys_path: Path | None,
    key_version: int | None,
    rotate: bool,
    utc_offset_min: int,
) -> None:
    """Give the card on the reader the keys of this office, read it back, and add it to the pool.

    May be interrupted at any moment: the same command goes on from there.
    """
    if not 0 < len(site) <= 12 or not site.isascii() or not site.isprintable() or " " in site:
        raise _Usage("--site: 1 to 12 ASCII characters without spaces")
    _read_pool(pool_path, utc_offset_min)  # before the card is touched
    if keys_path is None:
        keys_path = _DEFAULT_KEYS
        if not any(keys_path.glob("card-*.key")):
            _new_master(keys_path)
    masters = _masters(keys_path)
    target = key_version or max(masters, default=0)
    if target not in masters:
        raise _Usage(f"{keys_path / f'card-{target or 1}.key'} does not exist")
    with _reader(pcsc, port, side) as reader:
        done = personalise.personalise(reader, masters, target, site, rotate)
    card = pool.PoolCard(done.uid, done.kind, done.tier, target, int(time.time()))
    known = _read_pool(pool_path, utc_offset_min).get(done.uid)
    if done.changed or known is None or known != replace(card, personalised=known.personalised):
        try:
            pool.put(pool_path, card, utc_offset_min)
        except (OSError, tables.TableError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise _Usage(f"{pool_path}: {why}: the card is done, but not in the pool: repeat") from error
    did = "personalised" if done.changed else "is personalised already"
    click.echo(f"{done.uid.hex().upper()}: {done.product}, {did}, tier {done.tier}, key version {target}")


@group.command("new-key")
@click.option(
    "--keys",
    "keys_path",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DEFAULT_KEYS,
    show_default=True,
    help="Folder of the card master keys.",
)
def new_key(keys_path: Path) -> None:
    """Make the next version of the card master key. Cards get it by `personalise --rotate`."""
    _new_master(keys_path)


def _new_master(folder: Path) -> None:
    try:
        click.echo(f"New key, keep it safe: {keys.create_card_master(folder)}")
    except keys.KeyFileError as error:
        raise _Usage(str(error)) from error


def _masters(folder: Path) -> Mapping[int, bytes]:
    try:
        return keys.card_masters(folder)
    except keys.KeyFileError as error:
        raise _Usage(str(error)) from error


def _read_pool(path: Path, utc_offset_min: int) -> dict[bytes, pool.PoolCard]:
    try:
        return pool.read(path, utc_offset_min) if path.exists() else {}
    except tables.TableError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        raise click.exceptions.Exit(2) from error
    except OSError as error:
        raise _Usage(f"{path}: {error.strerror}") from error
