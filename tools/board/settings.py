"""Goes through the settings of a gate (config.json) and names everything that is wrong, not only the first.

The rules are those of firmware/config.py, which stops at its first error: each one is noted and mended, and
the rest is looked at again. Owns nothing but that.
"""

import copy
import json
from typing import Any

from firmware import config
from firmware.errors import ConfigError
from tools.board import definition

_MOST = 100  # errors; whoever has more has the wrong file
_LIKELY = {"site": "S", "gate": "G", "board": "b", "broker": "b", "ssid": "s"}  # what is required, and good


def faults(text: str) -> list[str]:
    """Return what is wrong with the JSON `text`, one line each that begins with the field."""
    twice: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for name, value in pairs:
            if name in seen:
                twice.append("%s: is there twice" % name)
            seen[name] = value
        return seen

    try:
        obj = json.loads(text, object_pairs_hook=members)
    except ValueError as error:
        return ["config: not JSON: %s" % error]
    except RecursionError:
        return ["config: not JSON: too deep"]
    found = twice + _faults(obj)
    board = obj.get("board") if isinstance(obj, dict) else None
    if isinstance(board, str) and board not in definition.names() and not _has(found, "board"):
        found.append("board: there is no such board, only: %s" % ", ".join(definition.names()))
    return found


def _has(found: list[str], field: str) -> bool:
    return any(line.startswith(field + ":") for line in found)


def _faults(obj: Any) -> list[str]:
    obj, found = copy.deepcopy(obj), []
    for _ in range(_MOST):
        try:
            config.parse(obj)
        except ConfigError as error:
            if not _has(found, error.field):
                found.append(str(error))
            if not _mend(obj, error.field):
                return found
        else:
            return found
    return found


def _mend(obj: Any, field: str) -> bool:
    """Take the value at the dotted path `field` away; if there is none, put in one that is good."""
    while isinstance(obj, dict):
        if field in obj:
            del obj[field]
            return True
        inner = [key for key in obj if field.startswith(key + ".")]
        if not inner:
            break
        key = max(inner, key=len)
        if field == key + ".code" and isinstance(obj[key], dict) and "code" not in obj[key]:
            used = [rule.get("code") for rule in obj.values() if isinstance(rule, dict)]
            obj[key]["code"] = next(code for code in range(5, 200) if code not in used)
            return obj[key]["code"] < 16
        obj, field = obj[key], field[len(key) + 1 :]
    if isinstance(obj, dict) and field in _LIKELY:
        obj[field] = _LIKELY[field]
        return True
    return False
