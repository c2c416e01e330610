"""`pinter office report`: figures and signals of a day, for people and programs.

Owns options; `tools.office.report` does the work.
"""

import time
from pathlib import Path

import click

from tools.cli.office_common import Office, Refusal, with_office
from tools.office.db.engine import reading
from tools.office.report import data, load, page, text, whole
from tools.office.report.words import LANGUAGES, Speaker

FORMATS = {
    "text": text.as_text,
    "csv": lambda report, say: data.as_csv(report),
    "json": lambda report, say: data.as_json(report) + "\n",
    "html": page.as_html,
}


@click.command()
@click.option(
    "--day", default="today", show_default=True, metavar="DAY", help="2026-03-02, today or yesterday; local."
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--json", "json_too", is_flag=True, help="The same as --format json.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="id", show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write [default: the terminal]."
)
@with_office
def report(office: Office, day: str, form: str, json_too: bool, lang: str, out: Path | None) -> None:
    """Tell of a day: entries, denials, time in the room, cards not returned, gates, and signals of brokers.

    A signal is a reason to look, not proof. docs/report.md says what each number and each signal means.
    """
    if json_too:
        form = "json"
    now = int(time.time())
    try:
        date = load.day_of(day, office.folder.utc_offset_min, now)
    except ValueError as error:
        raise Refusal(f"--day: {error}") from error
    with reading(office.engine) as db:
        found = whole.report(load.read(db, office.folder, date, now))
    words = FORMATS[form](found, Speaker(lang, office.folder.report))
    if out is None:
        click.echo(words, nl=False)
    else:
        out.write_text(words, encoding="utf-8")


COMMANDS = (report,)
