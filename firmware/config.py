"""Validation of the provisioned config: from parsed JSON to a Site, every error naming its field.

Owns the keys, their limits and their defaults, and the rules of each card class as data. It reads no file and
decides nothing. Imported at boot, used once, released.
"""

from micropython import const

from .errors import ConfigError
from .records import TIERS

_TYPE_CHECKING = const(False)

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ANTIPASSBACK = ("hard", "soft", "off")
_YEAR_MIN = const(527040)
_REQUIRED = object()
_CODES = const(16)

DISPLAYS = ("ssd1306", "hd44780")
PLACES = ("waiting_room", "desk", "passport_lockers", "exit_desk")


class Site:
    """The settings of one gate. It has no methods: one would keep this module on the board's heap."""

    if _TYPE_CHECKING:
        site: str
        gate: str
        board: str
        gates: int  # at this site
        utc_offset_min: int
        min_tier: int  # index into records.TIERS
        occupancy_max: int | None
        opening_hours: tuple[tuple[int, int] | None, ...] | None  # from Monday on: minutes of the local day
        presence_reset: int | None  # minutes of the local day
        repeat_s: float
        companion_after_s: int
        companions_max: int
        passage_s: float
        tailgate_s: float
        pulse_ms: int
        passage_sensor: bool
        rtc: bool
        display: str | None  # of DISPLAYS
        poll_ms: int
        positions_max: int
        network: "Network | None"  # None: the gate stands alone
        classes: tuple["ClassRule | None", ...]  # index = class code, 0..15
        places: dict[str, tuple[str, str]]  # of PLACES: those that the config names, (Indonesian, English)


class Network:
    """Where the office's broker is, and how it is reached."""

    if _TYPE_CHECKING:
        broker: str
        port: int  # 8883 unless the config says otherwise, without TLS 1883
        tls: str  # "psk", "ca" or "none"
        keepalive_s: int
        sntp: str | None  # a server whose time is believed, though it is not authenticated
        wifi: "WiFi | None"
        ethernet: bool  # the board's; neither: somebody else brings the network up


class WiFi:
    """The access point whose station the gate is. The password is in NVS, under `password_key`."""

    if _TYPE_CHECKING:
        ssid: str
        password_key: str


class ClassRule:
    """The rules of one class of cards."""

    if _TYPE_CHECKING:
        name: str
        code: int
        early_min: int
        late_min: int
        reentry_min: int
        is_principal: bool
        needs_principal: bool
        counted: bool
        antipassback: str  # "hard", "soft" or "off"
        exempt: bool
        slow: bool
        min_tier: int  # index into records.TIERS: its own, else the site's
        staff_grace_h: int  # used for exempt classes


def parse(obj) -> "Site":
    """Return the Site that the parsed JSON object `obj` describes.

    Raise ConfigError(field, text) for a missing, unknown or wrong key; `field` is a dotted path such as
    "classes.orange.early_min". `site`, `gate` and `board` are required, all other keys have defaults.
    """
    site = Site()
    _fill(site, "", obj, KEYS)
    site.classes = _classes(obj.get("classes", {}), site.min_tier)
    site.places = {}
    for place in PLACES:
        if place in obj:
            site.places[place] = _place(place, obj[place])
    return site


def _fill(target, path, obj, keys, extra=None):
    """Set an attribute of `target` for each row of `keys` from `obj` or its default."""
    if not isinstance(obj, dict):
        raise ConfigError(path[:-1] or "config", "must be an object")
    known = [row[0] for row in keys]
    for key in sorted([str(k) for k in obj]):
        if key not in known and (path or key not in PLACES + ("classes",)):
            raise ConfigError(path + key, "unknown key")
    for row in keys:
        key, default, check = row[:3]
        value = obj.get(key, (extra or {}).get(key, default))
        if value is _REQUIRED:
            raise ConfigError(path + key, "is missing")
        setattr(target, key, value if key not in obj else check(path + key, value, *row[3:]))


def _error(field, text):
    raise ConfigError(field, text)


def _whole(field, value, low, high):
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _error(field, "must be a whole number from %d to %d" % (low, high))
    return value


def _number(field, value, low, high):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        _error(field, "must be a number from %d to %d" % (low, high))
    return value


def _optional_whole(field, value, low, high):
    return None if value is None else _whole(field, value, low, high)


def _flag(field, value):
    if not isinstance(value, bool):
        _error(field, "must be true or false")
    return value


def _choice(field, value, choices):
    if value not in choices:
        _error(field, "must be one of " + ", ".join(choices))
    return value


def _tier(field, value):
    return TIERS.index(_choice(field, value, TIERS))


def _name(field, value, longest=12, marks="-_"):
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        _error(field, "must be a name of 1 to %d characters" % longest)
    for c in value:
        if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in marks):
            _error(field, "may hold letters, digits, %s and %s only" % (marks[0], marks[1]))
    return value


def _ssid(field, value):
    if not isinstance(value, str) or not 0 < len(value.encode()) <= 32:
        _error(field, "must be a text of 1 to 32 bytes")
    return value


def _wifi(field, value):
    if value is None:
        return None
    wifi = WiFi()
    _fill(wifi, field + ".", value, WIFI_KEYS)
    return wifi


def _optional_host(field, value):
    return None if value is None else _name(field, value, 64, ".-")


def _time(field, value):
    """Return the minutes of "HH:MM", 00:00 to 24:00."""
    if isinstance(value, str) and len(value) == 5 and value[2] == ":":
        if all("0" <= c <= "9" for c in value[:2] + value[3:]) and value[3] < "6":
            minutes = int(value[:2]) * 60 + int(value[3:])
            if minutes <= 1440:
                return minutes
    raise ConfigError(field, 'must be a time like "07:30"')


def _reset(field, value):
    return None if value is None else _time(field, value) % 1440


def _hours(field, value):
    if value is None:
        return None
    if not isinstance(value, dict):
        _error(field, "must be null or an object of days")
    for day in sorted([str(d) for d in value]):
        if day not in _DAYS:
            _error(field + "." + day, "unknown day")
    return tuple([_day(field + "." + day, value.get(day)) for day in _DAYS])


def _day(field, value):
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        _error(field, 'must be [opening, closing] like ["07:30", "16:00"]')
    opens, closes = _time(field, value[0]), _time(field, value[1])
    if opens >= closes:
        _error(field, "must close later than it opens")
    return opens, closes


def _place(field, value):
    if isinstance(value, str):
        value = {"id": value, "en": value}
    if not isinstance(value, dict) or sorted(value) != ["en", "id"]:
        _error(field, 'must be a text or {"id": ..., "en": ...}')
    for text in value.values():
        if not isinstance(text, str) or not 0 < len(text) <= 40:
            _error(field, "must be a text of 1 to 40 characters")
    return value["id"], value["en"]


def _network(field, value):
    if value is None:
        return None
    network = Network()
    _fill(network, field + ".", value, NETWORK_KEYS)
    if not network.port:
        network.port = 1883 if network.tls == "none" else 8883
    if network.wifi and network.ethernet:
        _error(field + ".ethernet", "must be false beside wifi")
    return network


def _classes(obj, min_tier):
    if not isinstance(obj, dict):
        _error("classes", "must be an object")
    rules: "list[ClassRule | None]" = [None] * _CODES
    for name, code, own in CLASSES:
        rules[code] = _rule(name, code, obj.get(name, {}), own, min_tier)
    fixed = [row[0] for row in CLASSES]
    for name in sorted([str(n) for n in obj]):
        if name in fixed:
            continue
        path = "classes." + _name("classes." + name, name, 16)
        if not isinstance(obj[name], dict):
            _error(path, "must be an object")
        if "code" not in obj[name]:
            _error(path + ".code", "is missing")
        code = _whole(path + ".code", obj[name]["code"], len(CLASSES) + 1, _CODES - 1)
        other = rules[code]
        if other:
            _error(path + ".code", "is already the code of " + other.name)
        rules[code] = _rule(name, code, obj[name], {}, min_tier)
    return tuple(rules)


def _rule(name, code, obj, own, min_tier):
    rule = ClassRule()
    _fill(rule, "classes." + name + ".", obj, CLASS_KEYS, own)
    rule.name = name
    if rule.code and rule.code != code:
        _error("classes." + name + ".code", "must be %d" % code)
    rule.code = code
    if rule.min_tier is None:
        rule.min_tier = min_tier
    return rule


# Rows of (key, default, check, limits...). The default is the parsed value.
KEYS = (
    ("site", _REQUIRED, _name),
    ("gate", _REQUIRED, _name),
    ("board", _REQUIRED, _name, 32),
    ("gates", 1, _whole, 1, 255),
    ("utc_offset_min", 420, _whole, -720, 840),
    ("min_tier", 2, _tier),
    ("occupancy_max", None, _optional_whole, 0, 10000),
    ("opening_hours", None, _hours),
    ("presence_reset", 0, _reset),
    ("repeat_s", 2, _number, 0, 60),
    ("companion_after_s", 120, _whole, 0, 3600),
    ("companions_max", 1, _whole, 0, 100),
    ("passage_s", 5, _number, 1, 120),
    ("tailgate_s", 2, _number, 0, 60),
    ("pulse_ms", 400, _whole, 100, 5000),
    ("passage_sensor", True, _flag),
    ("rtc", False, _flag),
    ("display", None, _choice, DISPLAYS),
    ("poll_ms", 30, _whole, 10, 1000),
    ("positions_max", 512, _whole, 16, 3000),
    ("network", None, _network),
)

NETWORK_KEYS = (
    ("broker", _REQUIRED, _name, 64, ".-"),
    ("port", None, _optional_whole, 1, 65535),
    ("tls", "psk", _choice, ("psk", "ca", "none")),
    ("keepalive_s", 10, _whole, 2, 300),
    ("sntp", None, _optional_host),
    ("wifi", None, _wifi),
    ("ethernet", False, _flag),
)

WIFI_KEYS = (
    ("ssid", _REQUIRED, _ssid),
    ("password_key", "wifi_password", _name, 15),  # NVS allows no longer ones
)

CLASS_KEYS = (
    ("code", 0, _whole, 1, 15),
    ("early_min", 15, _whole, 0, _YEAR_MIN),
    ("late_min", 0, _whole, 0, _YEAR_MIN),
    ("reentry_min", 240, _whole, 0, _YEAR_MIN),
    ("is_principal", False, _flag),
    ("needs_principal", False, _flag),
    ("counted", True, _flag),
    ("antipassback", "hard", _choice, _ANTIPASSBACK),
    ("exempt", False, _flag),
    ("slow", False, _flag),
    ("min_tier", None, _tier),
    ("staff_grace_h", 72, _whole, 0, 8760),
)

# Rows of (name, code, what differs from the defaults).
CLASSES = (
    ("yellow", 1, {"is_principal": True}),
    ("green", 2, {"is_principal": True}),
    ("blue", 3, {"needs_principal": True}),
    ("staff", 4, {"counted": False, "antipassback": "soft", "exempt": True}),
)
