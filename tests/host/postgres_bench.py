"""A PostgreSQL server of the tests' own, and the marks of tests that run on SQLite and on PostgreSQL.

Owns how the server is started, by a user without rights, and ended. One serves all tests of a process
(`server` in conftest.py); each test gets a database of its own.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text

from tests.host.link_peers import LIMIT_S, free_port, wait_for
from tools.office.db import engine

# Debian keeps the server's programs outside of PATH.
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_INITDB, _POSTGRES = (str(_PLACES[-1] / name) if _PLACES else name for name in ("initdb", "postgres"))
_NUMBERS = itertools.count(1)

needs_postgres = [
    pytest.mark.requires_program(_POSTGRES, package="postgresql"),
    pytest.mark.requires_program(_INITDB, package="postgresql"),
]
_KINDS = ["sqlite", pytest.param("postgres", marks=needs_postgres)]
# The offices of the test (`template` in conftest.py, and what comes from it) have their books here and there.
on_both = pytest.mark.parametrize("template", _KINDS, indirect=True)
# The test makes its office itself.
on_both_kinds = pytest.mark.parametrize("kind", _KINDS)


@contextmanager
def running(home: Path) -> Iterator[str]:
    """Let a server run with its data below `home`; yield the URL of its first database."""
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        account = pwd.getpwnam("nobody")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        home = Path("/tmp") / ("pinter-postgres-%d" % os.getpid())
        home.mkdir(mode=0o700)
        os.chown(home, account.pw_uid, account.pw_gid)
    data = home / "data"
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home)}
    common = {"cwd": home, "env": environment, **user}
    initdb = [_INITDB, "-D", data, "-U", "pinter", "-A", "trust", "-E", "UTF8"]
    initdb += ["--no-sync", "--no-instructions"]
    done = subprocess.run(initdb, capture_output=True, text=True, check=False, **common)
    assert done.returncode == 0, done.stderr
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(home), "-F"]
    for quicker in ("full_page_writes=off", "autovacuum=off", "max_wal_size=64MB"):
        options += ["-c", quicker]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process: subprocess.Popen[str] = subprocess.Popen([_POSTGRES, "-D", data, *options], **silent, **common)
    url = f"postgresql://pinter@127.0.0.1:{port}/postgres"
    try:
        _wait(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, whoever is connected
        process.communicate(timeout=LIMIT_S)
        shutil.rmtree(home, ignore_errors=True)


def _wait(process: "subprocess.Popen[str]", url: str) -> None:
    books = engine.connect(engine.parse_url(url))

    def answers() -> bool:
        assert process.poll() is None, process.communicate()[1]
        try:
            with books.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001  (whatever the driver says while the server is not there yet)
            return False
        return True

    wait_for("PostgreSQL", answers, lambda: "it does not answer")
    books.dispose()


def new_database(server: str, like: str = "template1") -> str:
    """Return the URL of a new database, a copy of the one at the URL (or with the name) `like`."""
    name = "t%d" % next(_NUMBERS)
    _execute(engine.parse_url(server), f"CREATE DATABASE {name} TEMPLATE {like.rpartition('/')[2]}")
    return server.replace("/postgres", f"/{name}")


def drop(database: URL) -> None:
    """Let a database be gone, whoever is connected to it."""
    _execute(database.set(database="postgres"), f"DROP DATABASE {database.database} WITH (FORCE)")


def _execute(url: URL, statement: str) -> None:
    admin = engine.connect(url)
    with admin.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))
    admin.dispose()
