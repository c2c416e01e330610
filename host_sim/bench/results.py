"""What `pinter bench X --json` prints: the result, and which command made it, when, at which commit.

Owns this form, its writing and its reading. A file that was read has the form of its bench, so that nobody
behind has to look again.
"""

import json
import math
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host_sim.importer import ROOT

_SIZE_MAX = 32 << 20
_TEXT_MAX = 2000
_NUMBER_MAX = 1e15


class ResultError(ValueError):
    """A file is no result of a bench; the text says which file, and where in it."""


@dataclass(frozen=True)
class Result:
    """`result` has the form that FORMS has for `bench`; `date`: UTC, ISO 8601; `source`: the file."""

    bench: str
    command: str
    commit: str
    date: str
    result: Any
    source: str = ""


def commit() -> str:
    """Return the short hash of what is checked out, with `, changed` if it was edited since; else words."""
    try:
        hash_ = _git("rev-parse", "--short", "HEAD")
        return hash_ + (", changed" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "not recorded"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def now() -> str:
    """Return the time, UTC, as the form wants it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")


def wrap(bench: str, command: str, result: Any) -> str:
    """Return the text that `pinter bench X --json` prints."""
    about = {"bench": bench, "command": command, "commit": commit(), "date": now()}
    return json.dumps(about | {"result": result}, indent=2)


# Forms -----------------------------------------------------------------------------------------------------


class _Wrong(Exception):
    """`args`: where, and what is expected there."""


_Form = Callable[[Any, str], None]


def _number(value: Any, where: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not -1 <= value <= _NUMBER_MAX:
        raise _Wrong(where, "a number that is not negative")


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise _Wrong(where, "a text of at most %d characters" % _TEXT_MAX)


def _none(value: Any, where: str) -> None:
    if value is not None:
        raise _Wrong(where, "null")


def _either(what: str, *forms: _Form) -> _Form:
    def check(value: Any, where: str) -> None:
        for form in forms:
            try:
                return form(value, where)
            except _Wrong:
                continue
        raise _Wrong(where, what)

    return check


def _list(form: _Form) -> _Form:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or not value:
            raise _Wrong(where, "a list with something in it")
        for i, one in enumerate(value):
            form(one, "%s[%d]" % (where, i))

    return check


def _any_list(form: _Form) -> _Form:
    return lambda value, where: None if value == [] else _list(form)(value, where)


def _object(**fields: _Form) -> _Form:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _Wrong(where, "an object")
        for name, form in fields.items():
            if name not in value:
                raise _Wrong("%s.%s" % (where, name), "to be there")
            form(value[name], "%s.%s" % (where, name))

    return check


def _map(form: _Form, is_counted: bool = False) -> _Form:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict) or not value:
            raise _Wrong(where, "an object with something in it")
        for name, one in value.items():
            if is_counted and not (name.isascii() and name.isdigit() and 0 < int(name[:16]) < _NUMBER_MAX):
                raise _Wrong(where, "numbers of cards as keys")
            form(one, "%s.%.40s" % (where, name))

    return check


def _pair(value: Any, where: str) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise _Wrong(where, "a pair of numbers")
    for i, one in enumerate(value):
        _number(one, "%s[%d]" % (where, i))


_MAYBE = _either("a number that is not negative, or null", _number, _none)
_COST = _object(frames=_number, bytes=_number, us=_number)
_FIGURE = _object(name=_text, value=_number, unit=_text, limit=_MAYBE)
_GOAL = _object(name=_text, value=_number, unit=_text, limit=_MAYBE, target=_MAYBE)
_CELLS = _object(
    ours=_object(
        lookup=_object(reads=_number, read_bytes=_number),
        boot=_object(read_bytes=_number),
        deltas=_object(programs=_number),
        merge=_object(programs=_number),
        heap=_number,
    ),
    json=_object(heap=_MAYBE, boot_bytes=_number, change_bytes=_number),
    sqlite=_object(lookup_bytes=_number, change_bytes=_number),
)

FORMS: Mapping[str, _Form] = {
    "reader": _list(
        _object(
            operation=_text,
            air_us=_number,
            ours=_COST,
            ratio=_number,
            limits=_object(frames=_MAYBE, us=_MAYBE, ratio=_MAYBE, target_frames=_MAYBE, target_ratio=_MAYBE),
            others=_map(_either("a cost, a text or null", _COST, _text, _none)),
        )
    ),
    "tap": _object(
        waits=_list(_object(card=_text, profile=_text, taps=_number, mean_ms=_number, worst_ms=_number)),
        split_ms=_map(_map(_number)),
    ),
    "store": _object(
        lists=_map(_CELLS, is_counted=True),
        wear=_object(days=_number, slots=_number, deltas=_number, journal=_number),
    ),
    "memory": _list(_FIGURE),
    "size": _list(_GOAL),
    "link": _list(_object(trouble=_text, worst_ms=_number, polls=_number, connections=_number)),
    "sync": _list(_GOAL),
    "office": _list(_GOAL),
    "soak": _list(
        _object(
            seed=_number,
            profile=_text,
            days=_number,
            taps=_number,
            heap=_list(_pair),
            problems=_any_list(_text),
        )
    ),
}
_ABOUT = _object(bench=_text, command=_text, commit=_text, date=_text)


def read(text: bytes, source: str) -> Result:
    """Return the result in `text`, which is called `source` in errors. Raises ResultError."""
    try:
        found = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ResultError("%s: not UTF-8 at byte %d" % (source, error.start)) from None
    except json.JSONDecodeError as error:
        raise ResultError(
            "%s: no JSON at line %d, column %d: %s" % (source, error.lineno, error.colno, error.msg)
        ) from None
    except (RecursionError, ValueError):
        raise ResultError("%s: JSON that is nested too deep, or with a number too long" % source) from None
    try:
        _ABOUT(found, "file")
        bench = found["bench"]
        if bench not in FORMS:
            raise _Wrong("file.bench", "one of " + ", ".join(FORMS))
        _object(result=FORMS[bench])(found, "file")
    except _Wrong as wrong:
        where = str(wrong.args[0]).removeprefix("file.")
        raise ResultError(
            "%s: %s: expected %s; is it from `pinter bench X --json`?" % (source, where, wrong.args[1])
        ) from None
    return Result(bench, found["command"], found["commit"], found["date"], found["result"], source)


def read_folder(folder: Path) -> dict[str, list[Result]]:
    """Return what all *.json files of `folder` say, by bench; several only of `sync`. Raises ResultError."""
    found: dict[str, list[Result]] = {}
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ResultError("%s: there is no .json file in it" % folder)
    for path in files:
        try:
            if path.stat().st_size > _SIZE_MAX:
                raise ResultError("%s: larger than %d MB" % (path, _SIZE_MAX >> 20))
            result = read(path.read_bytes(), str(path))
        except OSError as error:
            raise ResultError("%s: %s" % (path, error.strerror)) from None
        earlier = found.setdefault(result.bench, [])
        if earlier and result.bench != "sync":
            raise ResultError("%s: `%s` is in %s already" % (path, result.bench, earlier[0].source))
        earlier.append(result)
    return found
