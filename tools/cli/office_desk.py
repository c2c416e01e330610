"""`pinter office`, at the desk: issue, return, lost, revoke, position, reclaim, deposits.

Owns options and words; `tools.office.desk` has the rules. Alarms and notes go to stderr.
"""

import sys

import click

from tools.cli.office_common import CARD, Office, as_json, say, with_office
from tools.office import listing
from tools.office.db.models import HELD
from tools.office.desk import Outcome


@click.command()
@click.argument("card", type=CARD)
@click.option("--booking", help="Code of the booking: gives class and window.")
@click.option("--class", "cls", help="Class of the visit: yellow, green, blue, staff, ...")
@click.option("--from", "begin", metavar="TIME", help="2026-03-02T08:30, or 08:30 of today [default: now].")
@click.option("--until", metavar="TIME", help="End of the window; staff may do without.")
@click.option("--companion-of", type=CARD, help="Card of the principal whose party this card joins.")
@click.option("--slow", is_flag=True, help="The gate gives more time to pass.")
@click.option("--identity", help="Number of the companion's identity document; '-' reads it from stdin.")
@click.option("--document", help="Kind of the document that stays at the desk, such as KTP.")
@click.option("--place", help="Where it is kept.")
@as_json
@with_office
def issue(
    office: Office,
    card: str,
    booking: str | None,
    cls: str | None,
    begin: str | None,
    until: str | None,
    companion_of: str | None,
    slow: bool,
    identity: str | None,
    document: str | None,
    place: str | None,
    json_too: bool,
) -> None:
    """Bind a card to one visit and put it on the list.

    A companion's card (blue) needs its principal's card and an ID deposit. Others can see the options of a
    running command: give the number of a document by --identity -.
    """
    if identity == "-":
        identity = sys.stdin.readline().strip()
    outcome = office.desk().issue(
        card,
        cls=cls,
        booking=booking,
        begin=office.unix(begin, "--from"),
        until=office.unix(until, "--until"),
        companion_of=companion_of,
        slow=slow,
        identity=identity,
        document=document,
        place=place,
    )
    assert outcome.visit is not None
    visit = outcome.visit
    words = [f"card {card} issued: {visit.cls}"]
    words.append(f"{office.clock(visit.begin)} to {office.clock(visit.until)}" if visit.until else "untimed")
    if outcome.party:
        words.append(f"party {outcome.party}")
    if outcome.deposit is not None:
        words.append(f"deposit {outcome.deposit.id}: {_deposit_words(outcome)}")
    _tell(outcome, json_too, ", ".join(words))


@click.command("return")
@click.argument("card", type=CARD)
@as_json
@with_office
def take_back(office: Office, card: str, json_too: bool) -> None:
    """Take a card back: it is blocked, and a companion's deposit is closed."""
    outcome = office.desk().take_back(card)
    text = f"card {card} is back in the pool"
    if outcome.deposit is not None:
        text += f"; GIVE BACK deposit {outcome.deposit.id}: {_deposit_words(outcome)}"
    _tell(outcome, json_too, text)


@click.command()
@click.argument("card", type=CARD)
@as_json
@with_office
def lost(office: Office, card: str, json_too: bool) -> None:
    """Report a card lost: blocked for good, whatever a gate thinks."""
    outcome = office.desk().lose(card)
    if outcome.deposit is not None and outcome.deposit.state == HELD:
        number = outcome.deposit.id
        outcome.notes.append(
            f"deposit {number} ({_deposit_words(outcome)}) is still here: "
            f"pinter office deposit close {number}"
        )
    _tell(outcome, json_too, f"card {card} is lost and blocked")


@click.command()
@click.argument("card", type=CARD)
@as_json
@with_office
def revoke(office: Office, card: str, json_too: bool) -> None:
    """Block a card that somebody has. It still lets its holder out."""
    _tell(office.desk().revoke(card), json_too, f"card {card} is blocked")


@click.command()
@click.argument("card", type=CARD)
@click.argument("where", type=click.Choice(["inside", "outside", "unknown"]))
@as_json
@with_office
def position(office: Office, card: str, where: str, json_too: bool) -> None:
    """Correct where a card is, for all gates."""
    _tell(office.desk().correct_position(card, where), json_too, f"card {card} is {where}")


@click.command()
@as_json
@with_office
def reclaim(office: Office, json_too: bool) -> None:
    """Report the cards that were not back by closing time; they are blocked. Exit code 1 if there are any."""
    visits = office.desk().reclaim()
    lines = [f"card {visit.card}: {visit.cls}, since {office.clock(visit.opened)}" for visit in visits]
    rows = [{"card": visit.card, "class": visit.cls, "since": visit.opened} for visit in visits]
    say(json_too, {"overdue": rows}, "\n".join(lines) or "all cards are back")
    if visits:
        raise click.exceptions.Exit(1)


@click.group()
def deposit() -> None:
    """Identity documents that the desk keeps for companions."""


@deposit.command("close")
@click.argument("number", type=click.IntRange(1))
@as_json
@with_office
def close_deposit(office: Office, number: int, json_too: bool) -> None:
    """Give back the deposit of a card that was lost."""
    outcome = office.desk().close_deposit(number)
    _tell(outcome, json_too, f"deposit {number} is given back: {_deposit_words(outcome)}")


def _deposit_words(outcome: Outcome) -> str:
    assert outcome.deposit is not None
    return outcome.deposit.document + (f" from {outcome.deposit.place}" if outcome.deposit.place else "")


def _tell(outcome: Outcome, json_too: bool, text: str) -> None:
    """Print what an act came to; what the desk must read goes to stderr too."""
    say(json_too, listing.outcome(outcome), text)
    for line in outcome.alarms:
        click.echo(f"ALARM: {line}", err=True)
    for line in outcome.notes:
        click.echo(f"Note: {line}", err=True)


COMMANDS = (issue, take_back, lost, revoke, position, reclaim, deposit)
