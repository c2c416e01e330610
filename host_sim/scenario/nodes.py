"""YAML with line numbers: what a scenario file says, piece by piece, and where.

Owns the reading of single values out of YAML nodes and the list of complaints. Scalars are read from their
text, so that `11:00:00`, `on` and `04112233` mean what is written, whatever YAML 1.1 makes of them. It knows
no scenario.
"""

import datetime
import decimal
import re
from collections.abc import Iterable
from typing import Any

import yaml

US = 1_000_000
_INT_TAG = "tag:yaml.org,2002:int"
_FLOAT_TAG = "tag:yaml.org,2002:float"
_BOOL_TAG = "tag:yaml.org,2002:bool"
_NULL_TAG = "tag:yaml.org,2002:null"
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?")
_EARLIEST = datetime.datetime(2020, 1, 1)  # from-minutes of a credential count from here
_LATEST = datetime.datetime(2100, 1, 1)  # Unix seconds of a record are 32 bits

Entry = tuple[yaml.Node, yaml.Node]


class ScenarioError(ValueError):
    """A file that cannot be taken; `problems` are (line, text), str() is one `FILE:LINE: text` a line."""

    def __init__(self, file: str, problems: list[tuple[int, str]]) -> None:
        self.file = file
        self.problems = sorted(problems)
        super().__init__("\n".join("%s:%d: %s" % (file, line, text) for line, text in self.problems))


def line_of(node: yaml.Node) -> int:
    """Return the line, counted from 1, where `node` starts."""
    return node.start_mark.line + 1


def compose(file: str, text: str) -> yaml.Node:
    """Return the root node of the YAML `text`; raises ScenarioError for what is not one YAML document."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or error.context or "not YAML").split())
        raise ScenarioError(file, [(mark.line + 1 if mark else 1, "not YAML: " + problem)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise ScenarioError(file, [(line, "not YAML: a character that is not allowed")]) from None
    except (RecursionError, ValueError):
        raise ScenarioError(file, [(1, "not YAML that can be read: nested too deeply")]) from None
    if root is None:
        raise ScenarioError(file, [(1, "the file is empty")])
    return root


def names(allowed: Iterable[str]) -> str:
    """Return the words in the order given, for a message."""
    return ", ".join(allowed)


class Reader:
    """Reads values of nodes. A bad one goes to `problems` (line, text), and None or empty is returned."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[tuple[int, str]] = []

    def error(self, node: yaml.Node, text: str) -> None:
        """Note a complaint about `node`, once."""
        problem = (line_of(node), text)
        if problem not in self.problems:
            self.problems.append(problem)

    def mapping(
        self, node: yaml.Node, what: str, allowed: Iterable[str] | None = None, required: Iterable[str] = ()
    ) -> dict[str, Entry]:
        """Return name -> (key node, value node); `allowed` None takes every name, others are errors."""
        if not isinstance(node, yaml.MappingNode):
            self.error(node, f"{what} must be a mapping (key: value)")
            return {}
        allowed = None if allowed is None else tuple(allowed)
        found: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.error(key_node, f"{what}: a key must be a word")
                continue
            key = key_node.value
            if key in found:
                self.error(key_node, f"{what}: `{key}` is given twice")
            elif allowed is not None and key not in allowed:
                self.error(key_node, f"{what}: unknown key `{key}` (known: {names(allowed)})")
            else:
                found[key] = (key_node, value_node)
        for key in required:
            if key not in found:
                self.error(node, f"{what}: `{key}` is missing")
        return found

    def sequence(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Return the entries of a list."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.error(node, f"{what} must be a list")
        return []

    def text(self, node: yaml.Node, what: str) -> str | None:
        """Return a scalar as it is written."""
        if isinstance(node, yaml.ScalarNode) and node.tag != _NULL_TAG and node.value.strip():
            return node.value
        self.error(node, f"{what} must be a word")
        return None

    def choice(self, node: yaml.Node, what: str, allowed: Iterable[str], noun: str = "value") -> str | None:
        """Return one of the `allowed` words."""
        allowed = tuple(allowed)
        value = self.text(node, what)
        if value is None or value in allowed:
            return value
        self.error(node, f"{what}: unknown {noun} `{value}` (known: {names(allowed)})")
        return None

    def boolean(self, node: yaml.Node, what: str) -> bool | None:
        """Return true/yes/on or false/no/off, quoted or not."""
        word = node.value.lower() if isinstance(node, yaml.ScalarNode) else ""
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        self.error(node, f"{what} must be true or false")
        return None

    def number(self, node: yaml.Node, what: str, low: float | None = None, high: float | None = None):
        """Return a number as an exact Decimal, `low` <= it <= `high`."""
        value = None
        if isinstance(node, yaml.ScalarNode) and node.tag in (_INT_TAG, _FLOAT_TAG) and not node.style:
            try:
                value = decimal.Decimal(node.value)
            except decimal.InvalidOperation:
                value = None
        if value is None or not value.is_finite():
            self.error(node, f"{what} must be a number")
            return None
        if (low is not None and value < low) or (high is not None and value > high):
            limits = "at least %g" % (low or 0) if high is None else f"from {low or 0:g} to {high:g}"
            self.error(node, f"{what} must be {limits}, not {node.value}")
            return None
        return value

    def integer(
        self, node: yaml.Node, what: str, low: int | None = None, high: int | None = None
    ) -> int | None:
        """Return a whole number, `low` <= it <= `high`."""
        value = self.number(node, what, low, high)
        if value is None:
            return None
        if value != int(value):
            self.error(node, f"{what} must be a whole number, not {node.value}")
            return None
        return int(value)

    def duration_us(self, node: yaml.Node, what: str, positive: bool = False) -> int | None:
        """Return seconds (at most ten years) as microseconds."""
        value = self.number(node, what + " (seconds)")
        if value is None:
            return None
        if value < 0 or (positive and value == 0):
            fault = "be more than 0" if positive else "not be less than 0: time never runs back"
            self.error(node, f"{what} (seconds) must {fault}")
            return None
        if value > 10 * 366 * 86400:
            self.error(node, f"{what} (seconds) is more than ten years")
            return None
        return int(value * US)

    def date(self, node: yaml.Node, what: str) -> datetime.datetime | None:
        """Return a local date and time, YYYY-MM-DDTHH:MM[:SS[.mmm]]."""
        value = self.text(node, what)
        if value is None:
            return None
        match = _DATE.fullmatch(value)
        if match:
            year, month, day, hour, minute, second, fraction = match.groups()
            try:
                moment = datetime.datetime(
                    int(year),
                    int(month),
                    int(day),
                    int(hour),
                    int(minute),
                    int(second or 0),
                    _micro(fraction),
                )
            except ValueError:
                moment = None
            if moment is not None and not _EARLIEST <= moment < _LATEST:
                self.error(node, f"{what}: `{value}` is outside the years 2020 to 2099")
                return None
            if moment is not None:
                return moment
        self.error(node, f"{what}: `{value}` is not a time (YYYY-MM-DDTHH:MM:SS)")
        return None

    def moment(self, node: yaml.Node, what: str, day: datetime.date) -> datetime.datetime | None:
        """Return a local date and time; a bare HH:MM:SS[.mmm] is on `day`."""
        value = self.text(node, what)
        if value is None:
            return None
        match = _TIME.fullmatch(value)
        if match:
            hour, minute, second, fraction = match.groups()
            try:
                time = datetime.time(int(hour), int(minute), int(second), _micro(fraction))
            except ValueError:
                time = None
            if time is not None:
                return datetime.datetime.combine(day, time)
        elif _DATE.fullmatch(value):
            return self.date(node, what)
        self.error(node, f"{what}: `{value}` is not a time (HH:MM:SS[.mmm] or YYYY-MM-DDTHH:MM:SS)")
        return None

    def minute(self, node: yaml.Node, what: str) -> datetime.datetime | None:
        """Return a local date and time without seconds."""
        moment = self.date(node, what)
        if moment is not None and (moment.second or moment.microsecond):
            self.error(node, f"{what}: windows are to the minute")
            return None
        return moment

    def plain(self, node: yaml.Node, what: str, depth: int = 0) -> Any:
        """Return a node as None, bool, int, float, str, list or dict, for a config that judges it itself."""
        if depth > 8:
            self.error(node, f"{what} is nested too deeply")
            return None
        if isinstance(node, yaml.MappingNode):
            entries = self.mapping(node, what)
            return {
                name: self.plain(value, f"{what}.{name}", depth + 1) for name, (_, value) in entries.items()
            }
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(value, what, depth + 1) for value in node.value]
        if node.tag == _NULL_TAG:
            return None
        if node.tag == _BOOL_TAG:
            return node.value.lower() in _TRUE
        if node.tag in (_INT_TAG, _FLOAT_TAG) and ":" not in node.value:
            try:
                return int(node.value) if node.tag == _INT_TAG else float(node.value)
            except ValueError:
                return node.value
        return node.value


def _micro(fraction: str | None) -> int:
    return int((fraction or "0").ljust(6, "0"))
