"""What a page may ask for: one table of messages, and how each field must look.

Owns the words of a refusal. It carries nothing out.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from firmware.policy import MODES

LONGEST = 4000  # characters of a message
SPEEDS = (0, 100)  # virtual seconds a second; 0 stands still
STEPS_S = (-86_400, 86_400)
HOLDS_MS = (20, 60_000)
_FILE = 100


class CommandError(Exception):
    """A message that cannot be carried out; the text is one line for whoever sent it."""


def _one_of(*words: str) -> Callable[[Any], str | None]:
    return lambda value: None if isinstance(value, str) and value in words else "one of %s" % ", ".join(words)


def _number(low: float, high: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_number and low <= value <= high else "a number from %d to %d" % (low, high)

    return check


def _text(longest: int) -> Callable[[Any], str | None]:
    return lambda value: (
        None if isinstance(value, str) and 0 < len(value) <= longest else "a text of 1 to %d" % longest
    )


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


_WAY = _one_of("in", "out")
_CARD = _text(20)
# A name that ends with "?" may be missing. Messages that a story in progress refuses: ACTS.
ACTS: Mapping[str, Mapping[str, Callable[[Any], str | None]]] = {
    "hold": {"card": _CARD, "reader": _WAY, "ms?": _number(*HOLDS_MS)},
    "take": {"card": _CARD},
    "walk": {"direction": _WAY, "card?": _CARD},
    "tailgate": {"direction": _WAY, "card?": _CARD},
    "force": {"direction": _WAY},
    "pass_back": {"card": _CARD},
    "input": {"name": _one_of("fire", "tamper"), "on": _flag},
    "guard": {"direction": _WAY},
    "power": {"on": _flag, "clock?": _one_of("kept", "lost")},
    "network": {"on": _flag},
    "clock_step": {"seconds": _number(*STEPS_S)},
    "mode": {"mode": _one_of(*MODES)},
}
MESSAGES = {
    **ACTS,
    "speed": {"speed": _number(*SPEEDS)},
    "play": {"file": _text(_FILE)},
    "hall": {},
    "runtime": {"runtime": _one_of("micropython", "cpython")},
    "view": {"gate": _CARD},
}


def parse(text: str) -> dict[str, Any]:
    """Return the message in `text`, every field checked. Raises CommandError."""
    if len(text) > LONGEST:
        raise CommandError("a message has at most %d characters" % LONGEST)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise CommandError("a message is one JSON object") from None
    if not isinstance(message, dict):
        raise CommandError("a message is one JSON object")
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in MESSAGES:
        raise CommandError("type: one of %s" % ", ".join(MESSAGES))
    fields = MESSAGES[kind]
    for name, check in fields.items():
        value = message.get(name.rstrip("?"))
        if value is None and name.endswith("?"):
            continue
        wanted = check(value)
        if wanted is not None:
            raise CommandError("%s: %s: %s" % (kind, name.rstrip("?"), wanted))
    known = {"type", "id", *(name.rstrip("?") for name in fields)}
    for name in message:
        if name not in known:
            raise CommandError("%s: %s is not known here" % (kind, ascii(name)[:40]))
    number = message.get("id")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise CommandError("%s: id: a whole number" % kind)
    return message
