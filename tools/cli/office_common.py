"""What all commands of `pinter office` share: where the office is, how errors end, how numbers are written.

Owns no act: it opens the folder and the books for a command, and turns what they refuse into one line. Exit
codes: 0 done, 1 the rules or the state of the books say no, 2 wrong usage, invalid input, or no books.
"""

import functools
import getpass
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from tools.office import folder, keys, tables
from tools.office.db import engine
from tools.office.desk import BookingsError, Desk, DeskError, InputError, local

NAME = re.compile(r"[A-Za-z0-9_.-]{1,12}")
_CLOCK = re.compile(r"\d\d:\d\d", re.ASCII)


class Refusal(click.ClickException):
    """An expected error: one line, exit code 2."""

    exit_code = 2


class No(click.ClickException):
    """A negative result: one line, exit code 1."""

    exit_code = 1


@dataclass(frozen=True)
class Office:
    """An open office: its folder and its books, and who is at the desk."""

    folder: folder.Folder
    engine: Engine
    actor: str

    def desk(self) -> Desk:
        """Return the desk, with the clock of this machine."""
        return Desk(self.folder, self.engine, time.time, self.actor)

    def clock(self, unix: int | None) -> str:
        """Return local time in words, "" for None."""
        return "" if unix is None else local(unix, self.folder.utc_offset_min)

    def unix(self, text: str | None, option: str) -> int | None:
        """Return the Unix seconds of a local time, 2026-03-02T08:30, or 08:30 of today."""
        if text is None:
            return None
        zone = timezone(timedelta(minutes=self.folder.utc_offset_min))
        if _CLOCK.fullmatch(text):
            text = f"{datetime.now(UTC).astimezone(zone):%Y-%m-%d}T{text}"
        try:
            return tables.minute(text, zone)
        except ValueError as error:
            raise Refusal(f"{option}: {error}") from error


@contextmanager
def refusing() -> Iterator[None]:
    """Let every expected error end the command with one line, or one for each fault of a file."""
    try:
        yield
    except (tables.TableError, BookingsError) as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        raise click.exceptions.Exit(2) from error
    except (InputError, folder.FolderError, keys.KeyFileError, engine.BooksError) as error:
        raise Refusal(str(error)) from error
    except DeskError as error:
        raise No(str(error)) from error
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


def office_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --office."""
    return click.option(
        "--office",
        "office_path",
        envvar="PINTER_OFFICE",
        show_envvar=True,
        default="office",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder of the office.",
    )(function)


@contextmanager
def opened(path: Path, actor: str = "") -> Iterator[Office]:
    """Give the office at `path`, its books checked; expected errors end the command."""
    with refusing():
        of = folder.load(path)
        books = engine.connect(of.database)
        try:
            engine.check(books, of.site)
            yield Office(of, books, actor)
        finally:
            books.dispose()


def with_office(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command an open Office as its first argument, by --office and --actor."""

    @office_option
    @click.option(
        "--actor",
        callback=_actor,
        envvar="PINTER_ACTOR",
        show_envvar=True,
        help="Who stands in the audit trail [default: the user of this machine].",
    )
    @functools.wraps(function)
    def run(office_path: Path, actor: str, *arguments: Any, **options: Any) -> Any:
        with opened(office_path, actor) as office:
            return function(office, *arguments, **options)

    return run


def _actor(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    actor = getpass.getuser() if value is None else value.strip()
    if not 0 < len(actor) <= 64 or not actor.isprintable():
        raise click.BadParameter("1 to 64 letters")
    return actor


class CardNumber(click.ParamType[Any]):
    """A UID as an argument: any case, apart or joined by ":" or "-"; becomes hex in upper case."""

    name = "card"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the UID as the books write it, or fail."""
        try:
            return tables.uid(value).hex().upper()
        except ValueError as error:
            self.fail(str(error), param, ctx)


CARD = CardNumber()


def name_of(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check the name of a site or gate."""
    if not NAME.fullmatch(value):
        raise click.BadParameter("1 to 12 letters, digits, '_', '.' or '-'")
    return value


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "json_too", is_flag=True, help="Print JSON; times are Unix seconds.")(
        function
    )


def say(json_too: bool, value: Any, text: str) -> None:
    """Print the result of a command for a program or for a person."""
    click.echo(json.dumps(value) if json_too else text)
