"""`pinter office record`: what makes a board one gate of this office. Owns options and words.

The record's form is tools/board/record.py's. Secrets come from key files and from the keyboard or a file, and
leave in a file for its owner's eyes only.
"""

import json
import os
from pathlib import Path

import click

from tools.board import record, settings
from tools.cli.office_common import Refusal, office_option, opened
from tools.office import keys


@click.command("record")
@click.argument("config_path", metavar="CONFIG", type=click.Path(path_type=Path))
@office_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Record to write; a new file.")
@click.option(
    "--wifi-password",
    "password_path",
    type=click.Path(path_type=Path),
    help="File with the password of the Wi-Fi [default: it is asked for].",
)
@click.option("--ca", "ca_path", type=click.Path(path_type=Path), help="Certificate, DER [default: own CA].")
@click.option("--release-key", metavar="HEX", help="Public key of releases, from `board release-key`.")
def make_record(
    config_path: Path,
    office_path: Path,
    out: Path,
    password_path: Path | None,
    ca_path: Path | None,
    release_key: str | None,
) -> None:
    """Make the provisioning record of the gate whose config.json is CONFIG.

    It holds the keys of the site and the gate: hand it to the technician, who deletes it after
    `pinter board provision`.
    """
    with opened(office_path) as office:
        text = config_path.read_text("utf-8", "replace")
        found = settings.faults(text)
        if found:
            for line in found:
                click.echo(f"{config_path}: {line}", err=True)
            raise click.exceptions.Exit(2)
        config = json.loads(text)
        if config["site"] != office.folder.site:
            raise Refusal(f"{config_path}: site: is {config['site']}, this office is {office.folder.site}")
        wifi = (config.get("network") or {}).get("wifi")
        try:
            made = record.make(
                config,
                keys.site_key(office.folder.keys),
                keys.gate_key(office.folder.keys, config["gate"]),
                _password(wifi["ssid"], password_path) if wifi else None,
                ca_path or office.folder.ca,
                release_key,
            )
        except record.RecordError as error:
            raise Refusal(str(error)) from error
        handle = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(made.render())
    click.echo(f"{out}: gate {config['gate']} of {config['site']}, with its keys, for you only")


def _password(ssid: str, path: Path | None) -> bytes:
    if path is None:
        return click.prompt(f"Password of {ssid}", hide_input=True).encode()
    return record.password(path)


COMMANDS = (make_record,)
