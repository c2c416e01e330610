"""Reads scenario files (format 1) and judges every word of them.

Owns the format: keys, values, times, names, and what this world cannot play yet (`NOT_YET`). Every complaint
names file and line. Nothing is ignored: a file becomes a whole `Scenario` or raises ScenarioError. It plays
nothing.
"""

import datetime
import pathlib
import re
from typing import Any

import yaml

from firmware import config
from firmware.bundles import LENGTH_MIN_MAX
from firmware.errors import ConfigError
from firmware.policy import ALARMS, REASONS
from host_sim.cards import picc
from host_sim.scenario import model
from host_sim.scenario.model import BUILT_IN_CLASSES, US
from host_sim.scenario.nodes import Entry, Reader, ScenarioError, compose, line_of, names

__all__ = ["NOT_YET", "ScenarioError", "load", "parse"]

# What the format knows and this world cannot play yet. Taking a name out is all it takes to let it through.
NOT_YET: frozenset[str] = frozenset()

TOP_KEYS = ("format", "title", "start", "site", "gates", "cards", "allow", "list", "steps")
TOP_REQUIRED = ("format", "start", "steps")
SITE_KEYS = (
    "utc_offset_min",
    "min_tier",
    "occupancy_max",
    "opening_hours",
    "presence_reset",
    "repeat_s",
    "companion_after_s",
    "companions_max",
    "passage_s",
    "tailgate_s",
    "pulse_ms",
    "passage_sensor",
    "rtc",
    "classes",
)
CLASS_KEYS = tuple(row[0] for row in config.CLASS_KEYS if row[0] != "code")  # codes are given in file order
CARD_KEYS = ("uid", "type", "magic", "copy_of", "keys", "answers", "work_ms", "counter")
# Which types of cards can have what; the last two belong to a tap.
SPECIAL = {
    "keys": model.PROVING,
    "answers": model.SPEAKING,
    "work_ms": model.SPEAKING,
    "counter": model.SIGNED,
    "torn_at": model.PROVING,
    "relay_ms": model.SPEAKING,
}
RECORD_KEYS = ("card", "class", "from", "until", "party", "slow")
EXPECT_KEYS = ("decision", "reason", "within_ms", "alarm")
CHECK_KEYS = (
    "inside",
    "occupancy",
    "relay_pulses",
    "lane",
    "alarms",
    "events",
    "list_seq",
    "trusted_time",
    "safe_mode",
)
EVENT_KEYS = ("undelivered", "lost", "chain")
NETWORK_KEYS = ("loss", "duplicate", "reorder", "latency_ms")
OFFICE_CARD_ACTIONS = ("revoke", "return", "lost")
OFFICE_ACTIONS = ("issue", *OFFICE_CARD_ACTIONS, "expire_list", "command", "update")
TIME_KEYS = ("at", "after")
# The kinds of steps, and the keys that each takes beside its own name and the time.
STEP_KEYS = {
    "tap": ("dir", "hold", "expect", "gate", "torn_at", "relay_ms"),
    "pass": ("hold", "gate"),
    "input": ("state", "gate"),
    "office": (),
    "network": ("gate",),
    "power": ("clock", "cut_at", "gate"),
    "clock_step": (),
    "reader": ("dir", "gate"),
    "firmware": ("gate",),
    "check": ("gate",),
}
STEP_REQUIRED = {"tap": ("dir",), "input": ("state",), "reader": ("dir",)}

DEFAULT_UTC_OFFSET_MIN = 420
DEFAULT_TAP_HOLD_US = 400_000
DEFAULT_PASS_HOLD_US = 300_000
_EPOCH = datetime.datetime(1970, 1, 1)
_UID_BYTES = (4, 7, 10)
_SIGNED_UID_BYTES = {"classic": (4, 7), "ntag213": (7,)}
_COUNTER_MAX = 65534  # of a signed card
_LAST_CLASS_CODE = 15  # 4 bits of a credential
_MAX_PARTY = 0xFFFF  # 16 bits, 0 = none
_REASON_NAMES = tuple(name for name in REASONS if name)
_ALARM_NAMES = tuple(name for name in ALARMS if name)


def load(path: str | pathlib.Path) -> model.Scenario:
    """Read one scenario file; raises ScenarioError naming file and line."""
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ScenarioError(str(path), [(line, "not UTF-8 text")]) from None
    except OSError as error:
        raise ScenarioError(str(path), [(1, "cannot be read: %s" % (error.strerror or error))]) from None
    return parse(text, str(path))


def parse(text: str, file: str = "scenario") -> model.Scenario:
    """Return the scenario written in the YAML `text`; raises ScenarioError with every complaint found."""
    return _Parser(file).scenario(compose(file, text))


class _Parser(Reader):
    """One file on its way from nodes to values."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.offset_min = DEFAULT_UTC_OFFSET_MIN
        self.site: dict[str, Any] = {}
        self.gates: tuple[str, ...] = ("A",)
        self.cards: dict[str, model.Card] = {}
        self.card_names: tuple[str, ...] = ()
        self.class_names: tuple[str, ...] = BUILT_IN_CLASSES
        self.listed: set[bytes] = set()  # numbers of the cards that the office knows, at this step
        self.powered: dict[str, bool] = {}
        self.start = _EPOCH
        self.previous = _EPOCH

    def scenario(self, root: yaml.Node) -> model.Scenario:
        """Return the whole file as a Scenario; raises ScenarioError."""
        top = self.mapping(root, "the scenario", TOP_KEYS, TOP_REQUIRED)
        if "format" in top:
            value = self.integer(top["format"][1], "format")
            if value is not None and value != 1:
                self.error(top["format"][1], "format %d is not known (known: 1)" % value)
        title = self.text(top["title"][1], "title") if "title" in top else ""
        if title and "\n" in title.strip():
            self.error(top["title"][1], "title must be one line")
        if "site" in top:
            self.read_site(top["site"][1])
        start = self.date(top["start"][1], "start") if "start" in top else None
        if "gates" in top:
            self.read_gates(top["gates"][1])
        if "cards" in top:
            self.read_cards(top["cards"][1])
        allow = self.read_allow(top["allow"][1]) if "allow" in top else ()
        expires = self.read_list(top["list"][1]) if "list" in top else None
        steps: tuple[model.Step, ...] = ()
        if start is not None:
            self.start = self.previous = start
            if expires is None:
                expires = start + datetime.timedelta(seconds=model.LIST_LIFE_S)
        if "steps" in top:
            steps = self.read_steps(top["steps"][1])
        if self.problems or start is None or expires is None:
            raise ScenarioError(self.file, self.problems)
        return model.Scenario(
            file=self.file,
            title=(title or "").strip(),
            start_us=self.to_us(start),
            utc_offset_min=self.offset_min,
            site=self.site,
            gates=self.gates,
            cards=self.cards,
            allow=allow,
            list_expires_unix=self.to_us(expires) // US,
            steps=steps,
        )

    def to_us(self, local: datetime.datetime) -> int:
        """Return a local time as Unix microseconds."""
        return (local - _EPOCH) // datetime.timedelta(microseconds=1) - self.offset_min * 60 * US

    def not_yet(self, node: yaml.Node, name: str) -> None:
        """Complain if the world cannot play `name` yet."""
        if name in NOT_YET:
            self.error(node, f"not supported yet: {name}")

    # -- what is there at the start --

    def read_site(self, node: yaml.Node) -> None:
        entries = self.mapping(node, "site", SITE_KEYS)
        lines = {"": node}
        site: dict[str, Any] = {}
        for name, (key_node, value_node) in entries.items():
            lines[name] = key_node
            if name == "classes":
                site[name] = self.read_classes(value_node, lines)
            elif name == "utc_offset_min":
                offset = self.integer(value_node, "site.utc_offset_min", -720, 840)
                if offset is not None:
                    self.offset_min = site[name] = offset
            else:
                site[name] = self.plain(value_node, "site." + name)
        if self.problems:
            return  # the config would complain about the same once more
        try:
            config.parse(dict(site, site="S", gate="A", board="esp32_devkitc"))
        except ConfigError as error:
            field = str(error.field)
            while field and field not in lines:
                field = field.rpartition(".")[0]
            self.error(lines[field], f"site.{error}")
        self.site = site

    def read_classes(self, node: yaml.Node, lines: dict[str, yaml.Node]) -> dict[str, Any]:
        classes: dict[str, Any] = {}
        code = len(config.CLASSES) + 1
        for name, (name_node, rules_node) in self.mapping(node, "site.classes").items():
            what = "classes." + name
            if not re.fullmatch("[a-z][a-z0-9_]{0,15}", name):
                self.error(name_node, f"site.{what}: a class is named by at most 16 small letters")
            lines[what] = name_node
            rules: dict[str, Any] = {}
            for key, (key_node, value_node) in self.mapping(rules_node, "site." + what, CLASS_KEYS).items():
                lines[what + "." + key] = key_node
                if key == "antipassback":  # `off` is a word here, not a boolean
                    rules[key] = self.text(value_node, f"site.{what}.{key}")
                else:
                    rules[key] = self.plain(value_node, f"site.{what}.{key}")
            if name not in BUILT_IN_CLASSES:
                if code > _LAST_CLASS_CODE:
                    self.error(name_node, "site.classes: more than %d classes" % _LAST_CLASS_CODE)
                rules["code"] = code
                code += 1
                self.class_names += (name,)
            classes[name] = rules
        return classes

    def read_gates(self, node: yaml.Node) -> None:
        gates: list[str] = []
        for entry in self.sequence(node, "gates"):
            name = self.text(entry, "gates: a gate")
            if name is None:
                continue
            if not re.fullmatch("[A-Za-z0-9_-]{1,12}", name):
                self.error(entry, f"gates: `{name}` is not a gate's name (1 to 12 letters, digits, - or _)")
            elif name in gates:
                self.error(entry, f"gates: `{name}` is given twice")
            else:
                gates.append(name)
        if not gates:
            self.error(node, "gates: at least one is needed")
            return
        self.gates = tuple(gates)

    def read_cards(self, node: yaml.Node) -> None:
        entries = self.mapping(node, "cards")
        self.card_names = tuple(entries)
        copies: dict[str, yaml.Node] = {}
        for name, (_, value_node) in entries.items():
            what = "cards." + name
            keys = self.mapping(value_node, what, CARD_KEYS, ("uid",))
            uid = self.read_uid(keys["uid"][1], what + ".uid") if "uid" in keys else None
            kind: str | None = "uid"
            if "type" in keys:
                kind = self.choice(keys["type"][1], what + ".type", model.CARD_TYPES, "card type")
                self.not_yet(keys["type"][0], f"card type {kind}")
            magic = self.boolean(keys["magic"][1], what + ".magic") if "magic" in keys else False
            copy_of = None
            if "copy_of" in keys:
                copy_of = self.choice(keys["copy_of"][1], what + ".copy_of", self.card_names, "card")
                if copy_of is not None:
                    copies[name] = keys["copy_of"][1]
                if copy_of == name:
                    self.error(keys["copy_of"][1], what + ".copy_of: a card is no copy of itself")
            if uid is not None and len(uid) not in _SIGNED_UID_BYTES.get(kind or "", _UID_BYTES):
                self.error(keys["uid"][1], f"{what}.uid: no card of type {kind} has {len(uid)} bytes")
            faults = self.read_card_faults(keys, what, kind, bool(magic) or copy_of is not None)
            if uid is not None and kind is not None:
                self.cards[name] = model.Card(name, uid, kind, bool(magic), copy_of, **faults)
        for name, node in copies.items():
            card, original = self.cards.get(name), self.cards.get(node.value)
            if card and original and card.uid != original.uid:
                self.error(node, f"cards.{name}.copy_of: `{node.value}` has another number")

    def read_card_faults(
        self, keys: dict[str, Entry], what: str, kind: str | None, is_copy: bool
    ) -> dict[str, Any]:
        """Return what is wrong with a card that has keys; a complaint where the kind of card has none."""
        faults: dict[str, Any] = {}
        for key in ("keys", "answers", "work_ms", "counter"):
            if key not in keys:
                continue
            name_node, node = keys[key]
            if kind is not None and kind not in SPECIAL[key]:
                self.error(name_node, f"{what}.{key} belongs to cards of type {names(SPECIAL[key])}")
            elif is_copy and (key == "keys" or (key == "counter" and kind == "classic")):
                self.error(name_node, f"{what}.{key}: a copy never has the original's keys")
            elif key == "counter":
                faults[key] = self.integer(node, what + ".counter", 1, _COUNTER_MAX)
            elif key == "work_ms":
                faults[key] = float(self.number(node, what + ".work_ms", 0, 1000) or 0)
            else:
                allowed = model.CARD_KEYS if key == "keys" else model.CARD_ANSWERS
                faults[key] = self.choice(node, f"{what}.{key}", allowed)
        if faults.get("answers") == "number" and "keys" in faults:
            self.error(keys["keys"][0], f"{what}.keys: nobody asks a card that answers only with its number")
        return faults

    def read_uid(self, node: yaml.Node, what: str) -> bytes | None:
        value = self.text(node, what)
        if value is None:
            return None
        if not re.fullmatch("(?:[0-9A-Fa-f]{2})+", value):
            self.error(node, f"{what}: `{value}` is not a card number in hexadecimal")
        elif len(value) // 2 not in _UID_BYTES:
            self.error(node, "%s: %d bytes; a card number has 4, 7 or 10" % (what, len(value) // 2))
        else:
            uid = bytes.fromhex(value)
            try:
                picc.Card(uid)
            except ValueError as error:
                self.error(node, f"{what}: {error}")
                return None
            return uid
        return None

    def read_allow(self, node: yaml.Node) -> tuple[model.Record, ...]:
        records: list[model.Record] = []
        for entry in self.sequence(node, "allow"):
            record = self.read_record(entry, "allow")
            if record is None:
                continue
            uid = self.cards[record.card].uid if record.card in self.cards else None
            if uid in self.listed:
                self.error(entry, f"allow: card `{record.card}` is listed twice")
            elif uid is not None:
                self.listed.add(uid)
            records.append(record)
        return tuple(records)

    def read_record(self, node: yaml.Node, what: str) -> model.Record | None:
        before = len(self.problems)
        keys = self.mapping(node, what, RECORD_KEYS, ("card", "class"))
        card = self.card(keys["card"][1], what + ": card") if "card" in keys else None
        cls = (
            self.choice(keys["class"][1], what + ": class", self.class_names, "class")
            if "class" in keys
            else None
        )
        begin = self.minute(keys["from"][1], what + ": from") if "from" in keys else None
        end = self.minute(keys["until"][1], what + ": until") if "until" in keys else None
        if ("from" in keys) != ("until" in keys):
            self.error(node, f"{what}: a window needs both `from` and `until`")
        elif begin is not None and end is not None:
            length = (end - begin) // datetime.timedelta(minutes=1)
            if length <= 0:
                self.error(keys["until"][1], f"{what}: the window ends before it starts")
            elif length > LENGTH_MIN_MAX:
                self.error(keys["until"][1], "%s: a window is at most %d minutes" % (what, LENGTH_MIN_MAX))
        party = self.integer(keys["party"][1], what + ": party", 1, _MAX_PARTY) if "party" in keys else 0
        slow = self.boolean(keys["slow"][1], what + ": slow") if "slow" in keys else False
        if len(self.problems) != before or card is None or cls is None:
            return None
        from_unix = None if begin is None else self.to_us(begin) // US
        until_unix = None if end is None else self.to_us(end) // US
        return model.Record(card, cls, from_unix, until_unix, party or 0, bool(slow))

    def read_list(self, node: yaml.Node) -> datetime.datetime | None:
        keys = self.mapping(node, "list", ("expires",), ("expires",))
        return self.date(keys["expires"][1], "list.expires") if "expires" in keys else None

    def card(self, node: yaml.Node, what: str) -> str | None:
        """Return the name of a card that exists."""
        value = self.text(node, what)
        if value is None or value in self.card_names:
            return value
        self.error(node, f"{what}: unknown card `{value}`")
        return None

    # -- the timeline --

    def read_steps(self, node: yaml.Node) -> tuple[model.Step, ...]:
        self.powered = dict.fromkeys(self.gates, True)
        entries = self.sequence(node, "steps")
        if not entries and isinstance(node, yaml.SequenceNode):
            self.error(node, "steps: at least one is needed")
        steps = [self.read_step(entry, number) for number, entry in enumerate(entries, 1)]
        return tuple(step for step in steps if step is not None)

    def read_step(self, node: yaml.Node, number: int) -> model.Step | None:
        what = "step %d" % number
        if not isinstance(node, yaml.MappingNode):
            self.error(node, f"{what} must be a mapping (key: value)")
            return None
        present = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        kinds = [kind for kind in STEP_KEYS if kind in present]
        if len(kinds) != 1:
            known = (*TIME_KEYS, *STEP_KEYS, "dir", "hold", "expect", "gate", "state", "clock", "cut_at")
            self.mapping(node, what, known)
            text = (
                f"is two steps in one: {names(kinds)}"
                if kinds
                else f"does nothing: name one of {names(STEP_KEYS)}"
            )
            self.error(node, f"{what} {text}")
            return None
        kind = kinds[0]
        before = len(self.problems)
        keys = self.mapping(
            node, f"{what} ({kind})", (kind, *TIME_KEYS, *STEP_KEYS[kind]), STEP_REQUIRED.get(kind, ())
        )
        moment = self.read_time(node, keys, what)
        self.not_yet(node, kind)
        gate = self.choice(keys["gate"][1], what + ": gate", self.gates, "gate") if "gate" in keys else None
        values = getattr(self, "read_" + kind)(keys, what, gate)
        if len(self.problems) != before or moment is None or values is None:
            return None
        shape, fields = values
        return shape(number=number, line=line_of(node), at_us=self.to_us(moment), gate=gate, **fields)

    def read_time(self, node: yaml.Node, keys: dict[str, Entry], what: str) -> datetime.datetime | None:
        if ("at" in keys) == ("after" in keys):
            fault = "both `at` and `after`" if "at" in keys else "neither `at` nor `after`"
            self.error(node, f"{what} has {fault}")
            return None
        if "after" in keys:
            delay = self.duration_us(keys["after"][1], what + ": after")
            if delay is None:
                return None
            moment = self.previous + datetime.timedelta(microseconds=delay)
        else:
            moment = self.moment(keys["at"][1], what + ": at", self.previous.date())
            if moment is None:
                return None
            if moment < self.previous:
                written = keys["at"][1].value
                since = "the start" if self.previous == self.start else "the step before"
                since += " ({})".format(self.previous.isoformat(sep=" ", timespec="milliseconds"))
                self.error(keys["at"][1], f"{what}: at `{written}` is before {since}: time never runs back")
                return None
        self.previous = moment
        return moment

    def hold(self, keys: dict[str, Entry], what: str, default_us: int) -> int | None:
        if "hold" not in keys:
            return default_us
        return self.duration_us(keys["hold"][1], what + ": hold", positive=True)

    def direction(self, keys: dict[str, Entry], what: str) -> str | None:
        if "dir" not in keys:
            return None
        return self.choice(keys["dir"][1], what + ": dir", model.DIRECTIONS, "direction")

    def read_tap(self, keys: dict[str, Entry], what: str, gate: str | None):
        node = keys["tap"][1]
        if isinstance(node, yaml.SequenceNode):
            cards = [self.card(entry, what + ": tap") for entry in node.value]
            if not cards:
                self.error(node, f"{what}: tap: at least one card is needed")
            if len(set(cards)) != len(cards):
                self.error(node, f"{what}: tap: a card is named twice")
        else:
            cards = [self.card(node, what + ": tap")]
        expect = self.read_expect(keys["expect"][1], what + ": expect") if "expect" in keys else None
        values: dict[str, Any] = {
            "cards": tuple(cards),
            "direction": self.direction(keys, what),
            "hold_us": self.hold(keys, what, DEFAULT_TAP_HOLD_US),
            "expect": expect,
        }
        for key in ("torn_at", "relay_ms"):
            if key in keys:
                self.only_of_one(keys[key][0], f"{what}: {key}", cards, SPECIAL[key])
                high = 100 if key == "torn_at" else 5000
                values[key] = self.integer(keys[key][1], f"{what}: {key}", 1, high)
        return model.Tap, values

    def only_of_one(
        self, node: yaml.Node, what: str, cards: list[str | None], kinds: tuple[str, ...]
    ) -> None:
        """Complain unless the tap is one of a single card of one of `kinds`."""
        if len(cards) != 1:
            self.error(node, f"{what} belongs to the tap of one card")
        elif cards[0] in self.cards and self.cards[cards[0]].type not in kinds:
            self.error(node, f"{what} belongs to cards of type {names(kinds)}")

    def read_expect(self, node: yaml.Node, what: str) -> model.Expect:
        keys = self.mapping(node, what, EXPECT_KEYS)
        if not keys and isinstance(node, yaml.MappingNode):
            self.error(node, f"{what} asks for nothing")
        values: dict[str, Any] = {}
        if "decision" in keys:
            values["decision"] = self.choice(
                keys["decision"][1], what + ": decision", model.DECISIONS, "decision"
            )
        if "reason" in keys:
            values["reason"] = self.choice(keys["reason"][1], what + ": reason", _REASON_NAMES, "reason")
        if "within_ms" in keys:
            values["within_ms"] = self.integer(keys["within_ms"][1], what + ": within_ms", 1)
        if "alarm" in keys:
            values["alarm"] = self.choice(keys["alarm"][1], what + ": alarm", _ALARM_NAMES, "alarm")
        return model.Expect(**values)

    def read_pass(self, keys: dict[str, Entry], what: str, gate: str | None):
        return model.Pass, {
            "direction": self.choice(keys["pass"][1], what + ": pass", model.DIRECTIONS, "direction"),
            "hold_us": self.hold(keys, what, DEFAULT_PASS_HOLD_US),
        }

    def read_input(self, keys: dict[str, Entry], what: str, gate: str | None):
        name = self.choice(keys["input"][1], what + ": input", model.INPUTS, "input")
        on = self.boolean(keys["state"][1], what + ": state (on, off)") if "state" in keys else None
        return model.Input, {"name": name, "on": on}

    def read_office(self, keys: dict[str, Entry], what: str, gate: str | None):
        what += ": office"
        acts = self.mapping(keys["office"][1], what, OFFICE_ACTIONS)
        if len(acts) != 1:
            self.error(keys["office"][1], f"{what}: exactly one of {names(OFFICE_ACTIONS)}")
            return None
        action, (_, node) = next(iter(acts.items()))
        values: dict[str, Any] = {"action": action}
        if action == "issue":
            record = values["record"] = self.read_record(node, what + ": issue")
            if record is not None and record.card in self.cards:
                self.listed.add(self.cards[record.card].uid)
        elif action == "expire_list":
            if self.boolean(node, what + ": expire_list") is False:
                self.error(node, what + ": expire_list: only `true` means something")
        elif action == "command":
            command = self.mapping(node, what + ": command", ("mode",), ("mode",))
            if "mode" in command:
                values["mode"] = self.choice(command["mode"][1], what + ": mode", model.MODES, "mode")
        elif action == "update":
            values["release"] = self.choice(node, what + ": update", model.RELEASES)
        else:
            card = values["card"] = self.card(node, f"{what}: {action}")
            if card in self.cards and self.cards[card].uid not in self.listed:
                self.error(node, f"{what}: {action}: card `{card}` was never issued")
        return model.Office, values

    def read_network(self, keys: dict[str, Entry], what: str, gate: str | None):
        node = keys["network"][1]
        what += ": network"
        if not isinstance(node, yaml.MappingNode):
            word = self.choice(node, what, ("down", "up"))
            return model.Network, {"up": word == "up"}
        values: dict[str, Any] = {"up": True}
        for name, (_, value_node) in self.mapping(node, what, NETWORK_KEYS).items():
            high = None if name == "latency_ms" else 1
            value = self.number(value_node, f"{what}: {name}", 0, high)
            values[name] = 0.0 if value is None else float(value)
        return model.Network, values

    def read_power(self, keys: dict[str, Entry], what: str, gate: str | None):
        node = keys["power"][1]
        word = node.value.lower() if isinstance(node, yaml.ScalarNode) else ""
        if word == "cut":
            on = False
        elif word in ("on", "true", "yes"):
            on = True
        else:
            self.error(node, f"{what}: power must be cut or on")
            return None
        values: dict[str, Any] = {"on": on}
        if on and "clock" not in keys:
            self.error(node, f"{what}: power: on needs `clock` (kept or lost)")
        if not on and "clock" in keys:
            self.error(keys["clock"][0], f"{what}: `clock` belongs to power: on")
        if on and "cut_at" in keys:
            self.error(keys["cut_at"][0], f"{what}: `cut_at` belongs to power: cut")
        if "clock" in keys:
            values["clock_kept"] = self.choice(keys["clock"][1], what + ": clock", ("kept", "lost")) == "kept"
        if "cut_at" in keys:
            values["cut_at"] = self.integer(keys["cut_at"][1], what + ": cut_at", 1)
        for name in self.gates if gate is None else (gate,):
            if name in self.powered and self.powered[name] == on:
                self.error(node, "{}: power is {} already".format(what, "on" if on else "cut"))
            self.powered[name] = on
        return model.Power, values

    def read_clock_step(self, keys: dict[str, Entry], what: str, gate: str | None):
        value = self.number(keys["clock_step"][1], what + ": clock_step (seconds)")
        return model.ClockStep, {"seconds": 0.0 if value is None else float(value)}

    def read_reader(self, keys: dict[str, Entry], what: str, gate: str | None):
        word = self.choice(keys["reader"][1], what + ": reader", ("dead", "ok"))
        return model.Reader, {"direction": self.direction(keys, what), "dead": word == "dead"}

    def read_firmware(self, keys: dict[str, Entry], what: str, gate: str | None):
        word = self.choice(keys["firmware"][1], what + ": firmware", ("broken", "ok"))
        return model.Firmware, {"broken": word == "broken"}

    def read_check(self, keys: dict[str, Entry], what: str, gate: str | None):
        what += ": check"
        node = keys["check"][1]
        asked = self.mapping(node, what, CHECK_KEYS)
        if not asked and isinstance(node, yaml.MappingNode):
            self.error(node, f"{what} asks for nothing")
        values: dict[str, Any] = {}
        for name, (key_node, value_node) in asked.items():
            self.not_yet(key_node, "check." + name)
            values[name] = getattr(self, "check_" + name)(value_node, f"{what}: {name}")
        return model.Check, values

    def check_inside(self, node: yaml.Node, what: str):
        return tuple(self.card(entry, what) for entry in self.sequence(node, what))

    def check_occupancy(self, node: yaml.Node, what: str):
        return self.integer(node, what, 0)

    def check_relay_pulses(self, node: yaml.Node, what: str):
        asked = self.mapping(node, what, model.DIRECTIONS)
        if not asked and isinstance(node, yaml.MappingNode):
            self.error(node, f"{what} asks for nothing")
        return {name: self.integer(value, f"{what}: {name}", 0) for name, (_, value) in asked.items()}

    def check_lane(self, node: yaml.Node, what: str):
        return self.choice(node, what, model.LANES, "state")

    def check_alarms(self, node: yaml.Node, what: str):
        return tuple(self.choice(entry, what, _ALARM_NAMES, "alarm") for entry in self.sequence(node, what))

    def check_events(self, node: yaml.Node, what: str):
        values: dict[str, Any] = {}
        for name, (_, value_node) in self.mapping(node, what, EVENT_KEYS).items():
            if name == "chain":
                values[name] = self.choice(value_node, what + ": chain", ("ok",))
            else:
                values[name] = self.integer(value_node, f"{what}: {name}", 0)
        return values

    def check_list_seq(self, node: yaml.Node, what: str):
        return self.integer(node, what, 0)

    def check_trusted_time(self, node: yaml.Node, what: str):
        return self.boolean(node, what)

    def check_safe_mode(self, node: yaml.Node, what: str):
        return self.boolean(node, what)
