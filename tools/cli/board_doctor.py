"""`pinter board doctor`: what a technician reads about a gate. Owns options, the table, and the questions.

Exit codes: 0 all is well (warnings too), 1 something fails, 2 the board cannot be talked to.
"""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from host_sim import deploy
from tools.board import doctor, doctor_words, session
from tools.cli.office_common import Refusal
from tools.mpy import FIRMWARE, CompileError

_WIDTH = 140  # of a table that goes to a file
_STYLES = ("green", "yellow", "bold red", "dim")
_LEVELS = {"id": ("baik", "perhatian", "GAGAL", "lewat"), "en": ("pass", "warning", "FAIL", "skipped")}
_HEAD = {
    "id": ("bagian", "", "ditemukan", "yang harus dilakukan"),
    "en": ("part", "", "found", "what to do"),
}
_QUESTIONS = {
    "move": ("{0}: pintu akan bergerak. Beri pulsa?", "{0}: the turnstile will move. Give a pulse?"),
    "moved": ("{0}: pintu terbuka untuk satu orang?", "{0}: did the turnstile open for one person?"),
    "lamps": ("Hijau, merah, buzzer: semua terlihat?", "Green, red, buzzer: did all of them come?"),
    "card": ("{0}: tempelkan kartu, lalu tekan Enter.", "{0}: lay a card on it, then press Enter."),
}
_SUMMARY = {
    "id": (
        "{0} gagal, {1} perhatian, {2} baik. Gerbang dinyalakan ulang.",
        "Semua baik. Gerbang dinyalakan ulang.",
    ),
    "en": (
        "{0} failed, {1} warnings, {2} well. The gate was started again.",
        "All is well. The gate was started again.",
    ),
}

port_option = click.option(
    "--port", required=True, metavar="P", help="Serial port of the board, such as /dev/ttyUSB0."
)
lang_option = click.option(
    "--lang", default="en", show_default=True, type=click.Choice(doctor_words.LANGUAGES), help="Language."
)


@click.command("doctor")
@port_option
@lang_option
@click.option("--yes", is_flag=True, help="Ask nothing: the relays pulse, the turnstile moves.")
@click.option("--cards", "wants_cards", is_flag=True, help="Read a card at each reader as well.")
@click.option("--board", "board_name", help="Kind of board, for one without board.py.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; asks nothing.")
def examine(
    port: str, lang: str, yes: bool, wants_cards: bool, board_name: str | None, as_json: bool
) -> None:
    """Examine a gate from end to end, and say what to do about what fails.

    The gate stands still meanwhile (half a minute) and is started again at the end. Nothing is changed.
    """

    def ask(question: str, check: str) -> bool | None:
        if question == "move" and yes:
            return True
        if yes or as_json or not sys.stdin.isatty():
            return None
        name = doctor_words.check_name(check.partition(".")[0], lang)
        text = _QUESTIONS[question][doctor_words.LANGUAGES.index(lang)].format(name)
        if question == "card":
            click.prompt(text, default="", show_default=False, prompt_suffix=" ")
            return True
        return click.confirm(text, default=question != "move")

    found = []
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    try:
        firmware = deploy.compiled(FIRMWARE)
        with session.session(port) as board:
            patient = doctor.Doctor(
                board,
                firmware,
                ask=ask,
                is_moving_allowed=yes,
                wants_cards=wants_cards,
                board_name=board_name,
            )
            for finding in patient.examine():
                found.append(finding)
                if not as_json and console.is_terminal:
                    console.print(_progress(finding, lang), end="\r")
    except session.SessionError as error:
        raise Refusal(str(error)) from error
    except CompileError as error:
        raise Refusal(str(error)) from error
    order = list(doctor_words.CHECKS)
    found.sort(key=lambda finding: order.index(finding.check.partition(".")[0]))
    failed = [finding for finding in found if finding.level == doctor.ERROR]
    if as_json:
        click.echo(json.dumps({"ok": not failed, "findings": [_as_json(f, lang) for f in found]}))
    else:
        console.print(_table(found, lang))
        warned = sum(finding.level == doctor.WARNING for finding in found)
        well = sum(finding.level == doctor.OK for finding in found)
        text = _SUMMARY[lang][0 if failed or warned else 1]
        click.echo(text.format(len(failed), warned, well))
    if failed:
        sys.exit(1)


def _progress(finding: doctor.Finding, lang: str) -> str:
    return f"{doctor_words.check_name(finding.check, lang)} ...".ljust(40)


def _table(found: list[doctor.Finding], lang: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, ratio in zip(_HEAD[lang], (None, None, 3, 4), strict=True):
        table.add_column(title, ratio=ratio, overflow="fold")
    for finding in found:
        level = f"[{_STYLES[finding.level]}]{_LEVELS[lang][finding.level]}[/]"
        remedy = doctor_words.remedy(finding.code, lang) if finding.level != doctor.OK else ""
        text = doctor_words.found(finding.code, list(finding.facts), lang)
        table.add_row(doctor_words.check_name(finding.check, lang), level, _plain(text), _plain(remedy))
    return table


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _as_json(finding: doctor.Finding, lang: str) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": doctor.LEVELS[finding.level],
        "code": finding.code,
        "facts": list(finding.facts),
        "text": doctor_words.found(finding.code, list(finding.facts), lang),
        "remedy": doctor_words.remedy(finding.code, lang),
    }


COMMANDS = (examine,)
