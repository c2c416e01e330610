"""The doctor: examines a gate from end to end by its serial port, and says of each part whether it is well.

Owns the order of the checks, what follows from what was found, and which checks need a person. What runs on
the board is firmware/doctor*.py, sent for the examination and kept in RAM; the words are doctor_words.py's.
"""

import contextlib
import dataclasses
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tools.board import definition
from tools.board.session import Report, Session, SessionError

OK, WARNING, ERROR, SKIPPED = 0, 1, 2, 3
LEVELS = ("ok", "warning", "fail", "skipped")
_OLDEST = (1, 29)  # TLS-PSK came with it
_IDF = (5, 5, 2)  # from here on a relay pulse can be shortened
_CLOCK_OFF_S = 60
_CHIP_OFF_S = 10
_STALE_S = 2 * 3600
_HEAP_LOW = 8192
_SETTLED_MS = 15_000  # after so long a gate has tried its link
_CARD_WAIT_MS = 8000

# Goes through the modules of the application in force, each loaded as a start would. Prints
# [directory, state, modules, what is wrong].
_APPLICATION = """\
import gc, json, os, sys
def _examine():
    try:
        with open('/slot') as file:
            slot, state = file.read().split()[:2]
    except (OSError, ValueError):
        slot, state = 'a', 'confirmed'
    def is_there(path):
        try:
            os.stat(path)
            return True
        except OSError:
            return False
    home = '/' + slot
    if not is_there(home + '/firmware'):
        home = '/' if is_there('/firmware') else home
    top = home.rstrip('/') + '/firmware'
    if not is_there(top):
        return [top, state, 0, 'missing']
    sys.path.insert(0, home)
    bad = ''
    for name in ('main', 'starter', 'rtcmem', 'safe'):
        if not is_there('/' + name + '.mpy') and not is_there('/' + name + '.py'):
            bad = bad or '/%s.mpy: is missing' % name
    folders, files = [''], []
    while folders:
        folder = folders.pop()
        for name, kind in [entry[:2] for entry in os.ilistdir(top + folder)]:
            if kind == 0x4000:
                folders.append(folder + '/' + name)
            elif name.endswith('.mpy') and name not in ('safe.mpy', 'starter.mpy', 'main.mpy'):
                files.append(folder + '/' + name)
                with open(top + folder + '/' + name, 'rb') as file:
                    if file.read(1) != b'M':
                        bad = bad or '%s: is no .mpy file' % (top + files[-1])
    for name in () if bad else files:
        try:
            __import__(('firmware' + name[:-4]).replace('/', '.').replace('.__init__', ''))
        except Exception as error:
            bad = bad or '%s: %s' % (top + name, error)
        for loaded in [one for one in sys.modules if one.startswith('firmware')]:
            del sys.modules[loaded]
        gc.collect()
    count = len(files)
    return [top, state, count, bad]
print(json.dumps(_examine()))
"""


# What was needed for the stores only: the readers want room.
_FORGET = """\
import firmware, gc
del _stores
for _name in ('doctor_stores', 'allowlist', 'journal'):
    firmware.release(_name)
gc.collect()
"""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found. `level`: OK, WARNING, ERROR or SKIPPED; `code` and `facts`: of doctor_words."""

    check: str
    level: int
    code: str
    facts: tuple[Any, ...] = ()


class Doctor:
    """Examines the gate at the other end of `session` with the compiled `firmware` (a folder of .mpy).

    `ask(question, check)` returns what a person says to "move", "moved", "lamps" or "card"; None if there is
    nobody to ask.
    `is_moving_allowed`: may the relays pulse without being asked. `board_name`: for a board without board.py.
    """

    def __init__(
        self,
        session: Session,
        firmware: Path,
        *,
        ask: Callable[[str, str], bool | None] = lambda question, check: None,
        is_moving_allowed: bool = False,
        wants_cards: bool = False,
        board_name: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._firmware = firmware
        self._ask = ask
        self._moves = is_moving_allowed
        self._wants_cards = wants_cards
        self._board_name = board_name
        self._now = now
        self._report: Report | None = None
        self._definition: definition.Definition | None = None
        self._settings: dict[str, Any] | None = None
        self._offset_min = 420

    def examine(self) -> Iterator[Finding]:
        """Yield the findings as they are made. Raises SessionError if the board goes away."""
        session = self._session
        self._report = session.report_in_service()
        yield from self._service()
        session.refresh()
        yield from self._guarded("application", self._application)
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            (home / "firmware").symlink_to(self._firmware, target_is_directory=True)
            board_findings = list(self._board(home))
            session.refresh()
            session.mount(home)
            session.run("import sys\nsys.path.append('/')")
            for what, act in (
                ("runtime", self._runtime),
                ("partitions", self._partitions),
                ("files", self._files),
            ):
                if what == "partitions":
                    yield from board_findings
                yield from self._guarded(what, act)
            yield from self._stores()
            yield from self._hardware()
            yield from self._network()

    # --- helpers

    def _guarded(self, check: str, act: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        """Yield what `act` finds; an error of its own is a finding as well, and the examination goes on."""
        try:
            yield from act()
        except SessionError as error:
            self._session.run("")  # raises if the board has gone
            yield Finding(check, ERROR, "error", (str(error),))

    def _findings(self, expression: str) -> Iterator[Finding]:
        for check, level, code, *facts in self._session.value(expression):
            yield Finding(check, level, code, tuple(facts))

    def _when(self, unix: int) -> str:
        local = datetime.fromtimestamp(unix, UTC) + timedelta(minutes=self._offset_min)
        return f"{local:%Y-%m-%d %H:%M}"

    # --- what the running gate said

    def _service(self) -> Iterator[Finding]:
        if self._report is None:
            yield Finding("service", ERROR, "service_absent")
            return
        status, free = self._report.status, self._report.free
        if status.get("safe_mode"):
            last = (status.get("crash") or "?").strip().splitlines()[-1]
            yield Finding("service", ERROR, "service_safe", (last,))
        elif status["fault"]:
            yield Finding("service", ERROR, "service_fault", (status["fault"],))
        else:
            yield Finding("service", OK, "service_ok")
        if status["alarms"]:
            yield Finding("alarms", WARNING, "alarms_on", (", ".join(status["alarms"]),))
        else:
            yield Finding("alarms", OK, "alarms_none")
        low = free < _HEAP_LOW
        yield Finding("heap", WARNING if low else OK, "heap_low" if low else "heap_ok", (free // 1024,))

    # --- what runs, and where

    def _application(self) -> Iterator[Finding]:
        import json

        top, state, count, bad = json.loads(self._session.run(_APPLICATION).strip().splitlines()[-1])
        if bad == "missing":
            yield Finding("application", ERROR, "application_missing", (top,))
        elif bad:
            file, _, text = bad.partition(": ")
            yield Finding("application", ERROR, "application_damaged", (file, text))
        else:
            code = "application_trial" if state == "trial" else "application_ok"
            yield Finding("application", OK, code, (top, count))

    def _board(self, home: Path) -> Iterator[Finding]:
        """Find out which board this is; without board.py of its own it gets one beside the sent firmware."""
        source = self._session.read("/board.py")
        name = self._board_name
        if source is not None:
            match = re.search(r"^NAME = ['\"]([^'\"]+)['\"]", source.decode(errors="replace"), re.MULTILINE)
            name = match[1] if match else ""
        if name is None:
            yield Finding("board", ERROR, "board_missing")
            return
        try:
            self._definition = definition.load(name)
        except definition.BoardError:
            yield Finding("board", ERROR, "board_unknown", (name,))
            return
        right = definition.render_board_py(self._definition)
        if source is None:
            (home / "board.py").write_text(right, encoding="utf-8")
            yield Finding("board", ERROR, "board_missing")
        elif source.decode(errors="replace") != right:
            yield Finding("board", ERROR, "board_other", (name,))
        else:
            yield Finding("board", OK, "board_ok", (self._definition.title,))

    def _runtime(self) -> Iterator[Finding]:
        version, platform, _ = self._session.value("__import__('firmware.doctor').doctor.runtime()")
        name = "MicroPython " + ".".join(map(str, version))
        match = re.search(r"IDFv?(\d+(?:\.\d+)*)", platform)
        idf = match[1] if match else "?"
        facts = (name, idf)
        if tuple(version[:2]) < _OLDEST:
            yield Finding("runtime", ERROR, "runtime_old", facts)
        elif match and tuple(map(int, idf.split("."))) < _IDF:
            yield Finding("runtime", WARNING, "idf_old", facts)
        else:
            yield Finding("runtime", OK, "runtime_ok", facts)

    def _partitions(self) -> Iterator[Finding]:
        table = self._session.value("__import__('firmware.doctor_stores').doctor_stores.partitions()")
        if self._definition is None:
            yield Finding("partitions", SKIPPED, "skipped_after", ("board.py",))
            return
        have = {row[4]: f"0x{row[2]:X}+0x{row[3]:X}" for row in table}
        wrong = False
        for part in self._definition.partitions:
            right = f"0x{part.offset:X}+0x{part.size:X}"
            if have.get(part.name) != right:
                wrong = True
                yield Finding(
                    "partitions", ERROR, "partition_wrong", (part.name, have.get(part.name, "-"), right)
                )
        if not wrong:
            yield Finding("partitions", OK, "partitions_ok", (len(table),))

    def _files(self) -> Iterator[Finding]:
        return self._findings("__import__('firmware.doctor_stores').doctor_stores.files()")

    # --- what it is

    def _stores(self) -> Iterator[Finding]:
        session = self._session
        session.run("import firmware.doctor_stores as _stores")
        try:
            session.run("_site = _stores.site()")
            site = session.value("[_site.site, _site.gate, _site.board, _site.rtc, _site.utc_offset_min]")
            network = session.value("bool(_site.network)")
        except SessionError as error:
            text = str(error).partition(": ")[2] or str(error)
            yield Finding("config", ERROR, "config_bad", (text,))
        else:
            self._settings = {"rtc": site[3], "network": network}
            self._offset_min = site[4]
            if self._definition is not None and site[2] != self._definition.name:
                yield Finding("config", ERROR, "config_board", (site[2], self._definition.name))
            else:
                yield Finding("config", OK, "config_ok", (site[0], site[1]))
        keys = list(self._guarded("keys", lambda: self._findings("_stores.keys(('site_key', 'gate_key'))")))
        yield from keys
        has_key = not any("gate_key" in finding.facts for finding in keys)
        if self._settings is None or not has_key:
            yield Finding("list", SKIPPED, "skipped_after", ("config" if has_key else "gate_key",))
        else:
            yield from self._guarded("list", self._list)
        if has_key:
            yield from self._guarded("journal", lambda: self._findings("_stores.journal()"))
        else:
            yield Finding("journal", SKIPPED, "skipped_after", ("gate_key",))
        with contextlib.suppress(SessionError):
            session.run(_FORGET)
        yield from self._guarded("clock", self._clock)

    def _list(self) -> Iterator[Finding]:
        valid, seq, count, _, expires = self._session.value("_stores.credentials(_site)")
        facts = (seq, count, self._when(expires))
        left_s = expires - self._now()
        if not valid:
            yield Finding("list", ERROR, "list_missing")
        elif left_s <= 0:
            yield Finding("list", ERROR, "list_expired", facts)
        else:
            stale = left_s < _STALE_S
            yield Finding("list", WARNING if stale else OK, "list_stale" if stale else "list_ok", facts)

    def _clock(self) -> Iterator[Finding]:
        """Judge the time that the gate decided by: its own, as it was when it was interrupted."""
        if self._report is None:
            yield Finding("clock", SKIPPED, "skipped_after", ("service",))
            return
        status = self._report.status
        if not status["trusted"]:
            yield Finding("clock", ERROR, "clock_untrusted")
            return
        shown = self._session.value("__import__('firmware.doctor').doctor.clock()")
        off_s = round(_unix(shown) - self._now())
        wrong = abs(off_s) > _CLOCK_OFF_S
        yield Finding("clock", ERROR if wrong else OK, "clock_wrong" if wrong else "clock_ok", (off_s,))

    # --- hardware

    def _hardware(self) -> Iterator[Finding]:
        session = self._session
        if self._definition is None:
            for check in ("clock_chip", "reader_in", "reader_out", "fire", "lamps", "relay_in", "relay_out"):
                yield Finding(check, SKIPPED, "skipped_after", ("board.py",))
            return
        session.run("import board, firmware.doctor as _doctor\n_parts = _doctor.parts(board)")
        yield from self._guarded("clock_chip", self._clock_chip)
        readers = list(self._guarded("reader_in", lambda: self._findings("_doctor.readers(_parts)")))
        yield from readers
        if self._wants_cards:
            yield from self._cards()
        yield from self._guarded("fire", lambda: self._findings("_doctor.inputs(_parts)"))
        yield from self._guarded("lamps", self._lamps)
        for direction in (0, 1):
            check = ("relay_in", "relay_out")[direction]
            yield from self._guarded(check, lambda direction=direction: self._relay(direction))

    def _clock_chip(self) -> Iterator[Finding]:
        kind, *facts = self._session.value("_doctor.clock_chip(board)")
        wanted = self._settings is not None and self._settings["rtc"]
        if not wanted:
            if kind == "missing":
                yield Finding("clock_chip", SKIPPED, "none_in_config")
            else:
                yield Finding("clock_chip", WARNING, "rtc_unused")
        elif kind != "ok":
            yield Finding("clock_chip", ERROR, "rtc_" + kind, tuple(facts))
        else:
            off_s = round(_unix(facts[0]) - self._now())
            wrong = abs(off_s) > _CHIP_OFF_S
            yield Finding("clock_chip", ERROR if wrong else OK, "rtc_wrong" if wrong else "rtc_ok", (off_s,))

    def _cards(self) -> Iterator[Finding]:
        for direction in (0, 1):
            check = ("reader_in.card", "reader_out.card")[direction]
            if self._ask("card", check) is False:
                yield Finding(check, SKIPPED, "skipped")
                continue
            expression = f"_doctor.cards(_parts, {direction}, {_CARD_WAIT_MS})"
            yield from self._guarded(check, lambda expression=expression: self._findings(expression))

    def _lamps(self) -> Iterator[Finding]:
        self._session.run("_doctor.lamps(_parts)")
        seen = self._ask("lamps", "lamps")
        if seen is None:
            yield Finding("lamps", SKIPPED, "skipped_look")
        else:
            yield Finding("lamps", OK if seen else ERROR, "lamps_seen" if seen else "lamps_unseen")

    def _relay(self, direction: int) -> Iterator[Finding]:
        check = ("relay_in", "relay_out")[direction]
        if not self._moves and not self._ask("move", check):
            yield Finding(check, SKIPPED, "skipped_moves")
            return
        (found,) = self._findings(f"_doctor.relay(_parts, {direction})")
        if found.level == OK and self._ask("moved", check) is False:
            found = Finding(check, ERROR, "relay_unseen")
        yield found

    # --- network

    def _network(self) -> Iterator[Finding]:
        if self._settings is None:
            yield Finding("network", SKIPPED, "skipped_after", ("config",))
            return
        if not self._settings["network"]:
            yield Finding("network", SKIPPED, "none_in_config")
            return
        if self._definition is None:
            yield Finding("network", SKIPPED, "skipped_after", ("board.py",))
            return
        expression = "__import__('firmware.doctor_network').doctor_network.network(board, _site.network)"
        yield from self._guarded("network", lambda: self._findings(expression))
        link = self._report.status.get("link") if self._report else None
        if link is None or (link and self._report is not None and self._report.uptime_ms < _SETTLED_MS):
            yield Finding("link", SKIPPED, "skipped_after", ("service",))
        elif link:
            yield Finding("link", ERROR, "link_down", (link,))
        else:
            yield Finding("link", OK, "link_ok")


def _unix(parts: list[int]) -> float:
    """Return the Unix time of (year, month, day, weekday, hour, minute, second, microsecond)."""
    year, month, day, _, hour, minute, second, us = parts
    return datetime(year, month, day, hour, minute, second, us, tzinfo=UTC).timestamp()
