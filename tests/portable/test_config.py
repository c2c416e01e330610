"""The provisioned config: defaults, every limit from both sides, and errors that name their field."""

from firmware import config
from firmware.errors import ConfigError

GATE = {"site": "jaksel", "gate": "A", "board": "esp32_devkitc"}


def parse(**settings):
    obj = dict(GATE)
    obj.update(settings)
    return config.parse(obj)


def error(obj):
    """Return the text of the ConfigError that `obj` raises, or None."""
    try:
        config.parse(obj)
    except ConfigError as e:
        assert str(e) == e.field + ": " + e.text
        return str(e)
    return None


def wrong(**settings):
    obj = dict(GATE)
    obj.update(settings)
    return error(obj)


def test_the_defaults_of_a_site():
    s = parse()
    assert (s.site, s.gate, s.board) == ("jaksel", "A", "esp32_devkitc")
    assert (s.gates, s.utc_offset_min, s.min_tier) == (1, 420, 2)
    assert (s.occupancy_max, s.opening_hours, s.presence_reset) == (None, None, 0)
    assert (s.repeat_s, s.companion_after_s, s.companions_max) == (2, 120, 1)
    assert (s.passage_s, s.tailgate_s, s.pulse_ms) == (5, 2, 400)
    assert (s.passage_sensor, s.rtc) == (True, False)
    assert (s.poll_ms, s.positions_max) == (30, 512)
    assert s.places == {}
    assert len(s.classes) == 16


def test_the_defaults_of_the_classes():
    s = parse()
    rows = []
    for rule in s.classes:
        if rule:
            rows.append(
                (
                    rule.code,
                    rule.name,
                    rule.is_principal,
                    rule.needs_principal,
                    rule.counted,
                    rule.antipassback,
                    rule.exempt,
                    rule.slow,
                )
            )
            assert (rule.early_min, rule.late_min, rule.reentry_min) == (15, 0, 240)
            assert (rule.min_tier, rule.staff_grace_h) == (2, 72)
    assert rows == [
        (1, "yellow", True, False, True, "hard", False, False),
        (2, "green", True, False, True, "hard", False, False),
        (3, "blue", False, True, True, "hard", False, False),
        (4, "staff", False, False, False, "soft", True, False),
    ]
    assert [s.classes[rule.code] for rule in s.classes if rule] == [rule for rule in s.classes if rule]


def test_settings_of_a_site_are_taken_over():
    s = parse(
        gates=3,
        utc_offset_min=-300,
        min_tier="signed",
        occupancy_max=40,
        presence_reset="23:59",
        repeat_s=0.5,
        companion_after_s=60,
        companions_max=2,
        passage_s=7.5,
        tailgate_s=0,
        pulse_ms=150,
        passage_sensor=False,
        rtc=True,
        poll_ms=50,
        positions_max=100,
    )
    assert (s.gates, s.utc_offset_min, s.min_tier, s.occupancy_max) == (3, -300, 1, 40)
    assert (s.presence_reset, s.repeat_s, s.companion_after_s, s.companions_max) == (1439, 0.5, 60, 2)
    assert (s.passage_s, s.tailgate_s, s.pulse_ms, s.passage_sensor, s.rtc) == (7.5, 0, 150, False, True)
    assert (s.poll_ms, s.positions_max) == (50, 100)


def test_null_where_there_is_none():
    s = parse(occupancy_max=None, opening_hours=None, presence_reset=None)
    assert (s.occupancy_max, s.opening_hours, s.presence_reset) == (None, None, None)


def test_opening_hours_become_minutes_from_monday_on():
    s = parse(opening_hours={"mon": ["07:30", "16:00"], "sun": ["00:00", "24:00"], "tue": None})
    assert s.opening_hours == ((450, 960), None, None, None, None, None, (0, 1440))


def test_a_reset_at_24_00_is_at_midnight():
    assert parse(presence_reset="24:00").presence_reset == 0
    assert parse(presence_reset="00:00").presence_reset == 0


def test_places_in_one_or_two_languages():
    s = parse(desk="Loket 1", waiting_room={"id": "Ruang B", "en": "Room B"})
    assert s.places == {"desk": ("Loket 1", "Loket 1"), "waiting_room": ("Ruang B", "Room B")}


def test_class_settings_are_merged_over_the_defaults():
    s = parse(classes={"yellow": {"early_min": 5, "slow": True}, "staff": {"antipassback": "off", "code": 4}})
    yellow = s.classes[1]
    assert (yellow.early_min, yellow.slow, yellow.is_principal, yellow.late_min) == (5, True, True, 0)
    assert s.classes[4].antipassback == "off"
    assert s.classes[4].exempt
    assert parse().classes[1].early_min == 15


def test_a_class_has_the_tier_of_its_site_unless_it_has_its_own():
    s = parse(min_tier="uid", classes={"green": {"min_tier": "aes"}})
    assert [s.classes[n].min_tier for n in (1, 2, 3, 4)] == [0, 2, 0, 0]


def test_a_new_class_is_counted_hard_and_neither_principal_nor_companion():
    rule = parse(classes={"orange": {"code": 5, "late_min": 10}}).classes[5]
    assert (rule.name, rule.code, rule.late_min, rule.early_min) == ("orange", 5, 10, 15)
    assert (rule.counted, rule.antipassback) == (True, "hard")
    assert not (rule.is_principal or rule.needs_principal or rule.exempt or rule.slow)


# errors


def test_a_config_is_an_object():
    assert error([]) == "config: must be an object"
    assert error(None) == "config: must be an object"


def test_site_gate_and_board_are_required():
    for field in ("site", "gate", "board"):
        obj = dict(GATE)
        del obj[field]
        assert error(obj) == field + ": is missing"


def test_names_are_short_and_plain():
    assert wrong(site="") == "site: must be a name of 1 to 12 characters"
    assert wrong(gate="thirteen_char") == "gate: must be a name of 1 to 12 characters"
    assert wrong(gate="twelve_chars") is None
    assert wrong(site=7) == "site: must be a name of 1 to 12 characters"
    for bad in ("a b", "a/b", "a+b", "a#b", "a.b", "a@b", "a[b", "a`b", "a{b", "a:b", "\xe4"):
        assert wrong(site=bad) == "site: may hold letters, digits, - and _ only", bad
    assert wrong(site="azAZ09-_") is None
    assert wrong(board="b" * 32) is None
    assert wrong(board="b" * 33) == "board: must be a name of 1 to 32 characters"


def test_unknown_keys_are_errors():
    assert wrong(passage=5) == "passage: unknown key"
    assert wrong(early_min=5) == "early_min: unknown key"
    assert wrong(classes={"yellow": {"early": 5}}) == "classes.yellow.early: unknown key"
    assert wrong(classes={"yellow": {"classes": {}}}) == "classes.yellow.classes: unknown key"
    assert wrong(classes={"yellow": {"desk": "x"}}) == "classes.yellow.desk: unknown key"


WHOLE = (
    ("gates", 1, 255),
    ("utc_offset_min", -720, 840),
    ("occupancy_max", 0, 10000),
    ("companion_after_s", 0, 3600),
    ("companions_max", 0, 100),
    ("pulse_ms", 100, 5000),
    ("poll_ms", 10, 1000),
    ("positions_max", 16, 3000),
)
NUMBERS = (("repeat_s", 0, 60), ("passage_s", 1, 120), ("tailgate_s", 0, 60))


def test_every_number_has_its_limits():
    for field, low, high in WHOLE + NUMBERS:
        for value in (low, high):
            assert getattr(parse(**{field: value}), field) == value
        for value in (low - 1, high + 1, "5", True, [5], {}):
            text = wrong(**{field: value})
            assert text and text.startswith(field + ": must be a "), (field, value, text)
            assert text.endswith("from %d to %d" % (low, high)), (field, value, text)


def test_whole_numbers_are_whole():
    for field, low, _ in WHOLE:
        assert wrong(**{field: low + 0.5}).startswith(field + ": must be a whole number"), field
    for field, low, _ in NUMBERS:
        assert getattr(parse(**{field: low + 0.5}), field) == low + 0.5


def test_no_number_is_no_number():
    assert wrong(passage_s=float("nan")).startswith("passage_s: must be a number")
    assert wrong(gates=None).startswith("gates: must be a whole number")


def test_flags_are_true_or_false():
    for field in ("passage_sensor", "rtc"):
        for value in (0, 1, "true", None):
            assert wrong(**{field: value}) == field + ": must be true or false"


def test_a_display_is_none_or_one_that_there_is_a_driver_for():
    assert parse().display is None
    for name in ("ssd1306", "hd44780"):
        assert parse(display=name).display == name
    for name in ("sh1106", None, ""):
        assert wrong(display=name) == "display: must be one of ssd1306, hd44780"


def test_choices_name_what_may_be_chosen():
    assert wrong(min_tier="rsa") == "min_tier: must be one of uid, signed, aes"
    assert wrong(min_tier=2) == "min_tier: must be one of uid, signed, aes"
    assert wrong(classes={"blue": {"antipassback": "none"}}) == (
        "classes.blue.antipassback: must be one of hard, soft, off"
    )
    assert wrong(classes={"blue": {"min_tier": None}}) == (
        "classes.blue.min_tier: must be one of uid, signed, aes"
    )


def test_times_are_hh_mm():
    for bad in (
        "7:30",
        "07.30",
        "24:01",
        "25:00",
        "07:60",
        "0730",
        "07:3a",
        "0a:30",
        "a7:30",
        "07:/0",
        "0;:30",
        "-1:00",
        " 7:30",
        "",
        730,
        None,
    ):
        if bad is not None:
            assert wrong(presence_reset=bad) == 'presence_reset: must be a time like "07:30"', bad
        assert wrong(opening_hours={"fri": [bad, "16:00"]}) == (
            'opening_hours.fri: must be a time like "07:30"'
        ), bad
    assert wrong(presence_reset="07:59") is None
    assert parse(presence_reset="12:34").presence_reset == 754


def test_opening_hours_are_days_that_open_before_they_close():
    assert wrong(opening_hours=[]) == "opening_hours: must be null or an object of days"
    assert wrong(opening_hours={"Mon": None}) == "opening_hours.Mon: unknown day"
    for bad in ([], ["07:30"], ["07:30", "16:00", "17:00"], "07:30", "ab", {}, {"a": 1, "b": 2}):
        assert wrong(opening_hours={"mon": bad}) == (
            'opening_hours.mon: must be [opening, closing] like ["07:30", "16:00"]'
        ), bad
    for bad in (["16:00", "07:30"], ["07:30", "07:30"]):
        assert wrong(opening_hours={"mon": bad}) == "opening_hours.mon: must close later than it opens"
    assert parse(opening_hours={"mon": ["07:30", "07:31"]}).opening_hours[0] == (450, 451)


def test_places_are_texts():
    for bad in (7, None, [], {}, {"id": "x"}, {"id": "x", "en": "y", "de": "z"}):
        assert wrong(exit_desk=bad) == 'exit_desk: must be a text or {"id": ..., "en": ...}', bad
    for bad in ("", "x" * 41, {"id": "", "en": "x"}, {"id": "x", "en": 5}):
        assert wrong(exit_desk=bad) == "exit_desk: must be a text of 1 to 40 characters", bad
    for good in ("x", "x" * 40):
        for place in ("waiting_room", "desk", "passport_lockers", "exit_desk"):
            assert parse(**{place: good}).places == {place: (good, good)}


CLASS_WHOLE = (
    ("early_min", 0, 527040),
    ("late_min", 0, 527040),
    ("reentry_min", 0, 527040),
    ("staff_grace_h", 0, 8760),
)


def test_numbers_of_a_class_have_their_limits():
    for field, low, high in CLASS_WHOLE:
        for value in (low, high):
            assert getattr(parse(classes={"green": {field: value}}).classes[2], field) == value
        for value in (low - 1, high + 1, True, 0.5, None):
            text = wrong(classes={"green": {field: value}})
            assert text == "classes.green.%s: must be a whole number from %d to %d" % (field, low, high)


def test_flags_of_a_class_are_true_or_false():
    for field in ("is_principal", "needs_principal", "counted", "exempt", "slow"):
        for value in (True, False):
            assert getattr(parse(classes={"green": {field: value}}).classes[2], field) is value
        assert wrong(classes={"green": {field: 1}}) == "classes.green.%s: must be true or false" % field


def test_classes_are_objects_of_objects():
    assert wrong(classes=[]) == "classes: must be an object"
    assert wrong(classes={"yellow": 5}) == "classes.yellow: must be an object"
    assert wrong(classes={"orange": 5}) == "classes.orange: must be an object"


def test_a_new_class_needs_a_code_of_its_own():
    assert wrong(classes={"orange": {}}) == "classes.orange.code: is missing"
    for code in (4, 16, "5", None):
        assert wrong(classes={"orange": {"code": code}}) == (
            "classes.orange.code: must be a whole number from 5 to 15"
        ), code
    assert wrong(classes={"orange": {"code": 5}, "pink": {"code": 5}}) == (
        "classes.pink.code: is already the code of orange"
    )
    assert wrong(classes={"orange": {"code": 5}, "pink": {"code": 15}}) is None


def test_the_codes_of_the_four_classes_are_fixed():
    assert wrong(classes={"yellow": {"code": 2}}) == "classes.yellow.code: must be 1"
    assert wrong(classes={"yellow": {"code": 1}}) is None
    for code in (0, 16):
        assert wrong(classes={"yellow": {"code": code}}) == (
            "classes.yellow.code: must be a whole number from 1 to 15"
        )


def test_a_new_class_has_a_plain_name():
    assert wrong(classes={"a b": {"code": 5}}) == "classes.a b: may hold letters, digits, - and _ only"
    assert wrong(classes={"": {"code": 5}}) == "classes.: must be a name of 1 to 16 characters"
    assert wrong(classes={"n" * 16: {"code": 5}}) is None
    assert wrong(classes={"n" * 17: {"code": 5}}).endswith("must be a name of 1 to 16 characters")


def test_the_object_that_is_parsed_stays_as_it_was():
    obj = {"site": "x", "gate": "A", "board": "b", "classes": {"yellow": {"early_min": 1}}}
    config.parse(obj)
    assert obj == {"site": "x", "gate": "A", "board": "b", "classes": {"yellow": {"early_min": 1}}}


# the network

BROKER = {"broker": "office.example-1.go.id"}


def network(**settings):
    obj = dict(BROKER)
    obj.update(settings)
    return parse(network=obj).network


def wrong_network(**settings):
    obj = dict(BROKER)
    obj.update(settings)
    return wrong(network=obj)


def test_a_gate_stands_alone_unless_a_broker_is_named():
    assert parse().network is None
    assert parse(network=None).network is None


def test_the_defaults_of_the_network():
    n = network()
    assert (n.broker, n.port, n.tls, n.keepalive_s) == ("office.example-1.go.id", 8883, "psk", 10)
    assert n.sntp is None and n.wifi is None and n.ethernet is False


def test_the_port_follows_the_kind_of_tls_unless_it_is_given():
    assert [network(tls=tls).port for tls in ("psk", "ca", "none")] == [8883, 8883, 1883]
    assert [network(tls=tls, port=7).port for tls in ("psk", "ca", "none")] == [7, 7, 7]


def test_settings_of_the_network_have_their_limits():
    for field, low, high in (("port", 1, 65535), ("keepalive_s", 2, 300)):
        for value in (low, high):
            assert getattr(network(**{field: value}), field) == value
        for value in (low - 1, high + 1, "5", True):
            assert wrong_network(**{field: value}) == (
                "network.%s: must be a whole number from %d to %d" % (field, low, high)
            )
    assert wrong_network(tls="ssl") == "network.tls: must be one of psk, ca, none"
    assert network(broker="b" * 64).broker == "b" * 64
    assert wrong_network(broker="b" * 65) == "network.broker: must be a name of 1 to 64 characters"
    for bad in ("a_b", "a:1", "a/b"):
        assert wrong_network(broker=bad) == "network.broker: may hold letters, digits, . and - only"
    assert (network(sntp=None).sntp, network(sntp="10.0.0.3").sntp) == (None, "10.0.0.3")
    assert wrong_network(sntp="a_b") == "network.sntp: may hold letters, digits, . and - only"
    assert wrong_network(sntp=5) == "network.sntp: must be a name of 1 to 64 characters"
    assert wrong(network={}) == "network.broker: is missing"
    assert wrong(network=[]) == "network: must be an object"
    assert wrong_network(user="x") == "network.user: unknown key"


def test_an_access_point_has_a_name_and_its_password_a_place_in_nvs():
    wifi = network(wifi={"ssid": "Imigrasi Soekarno"}).wifi
    assert (wifi.ssid, wifi.password_key) == ("Imigrasi Soekarno", "wifi_password")
    assert network(wifi=None).wifi is None
    assert network(wifi={"ssid": "x", "password_key": "wifi-2"}).wifi.password_key == "wifi-2"
    assert network(wifi={"ssid": "\u00e9" * 16}).wifi.ssid == "\u00e9" * 16
    for bad in ("", "s" * 33, "\u00e9" * 17, 5, None):
        assert wrong_network(wifi={"ssid": bad}) == "network.wifi.ssid: must be a text of 1 to 32 bytes"
    assert wrong_network(wifi={}) == "network.wifi.ssid: is missing"
    assert wrong_network(wifi="x") == "network.wifi: must be an object"
    assert wrong_network(wifi={"ssid": "x", "password": "secret"}) == "network.wifi.password: unknown key"
    long = wrong_network(wifi={"ssid": "x", "password_key": "k" * 16})
    assert long == "network.wifi.password_key: must be a name of 1 to 15 characters"


def test_a_gate_has_one_way_into_the_network():
    assert network(ethernet=True).ethernet
    assert wrong_network(ethernet="lan8720") == "network.ethernet: must be true or false"
    both = wrong_network(wifi={"ssid": "x"}, ethernet=True)
    assert both == "network.ethernet: must be false beside wifi"


# Of several errors the first is told, in the order in which docs/rules.md lists the keys.

NETWORK_ORDER = ("broker", "port", "tls", "keepalive_s", "sntp", "wifi", "ethernet")
SITE_ORDER = (
    "site gate board gates utc_offset_min min_tier occupancy_max opening_hours presence_reset repeat_s "
    "companion_after_s companions_max passage_s tailgate_s pulse_ms passage_sensor rtc display poll_ms "
    "positions_max network classes waiting_room desk passport_lockers exit_desk"
).split()
CLASS_ORDER = (
    "code early_min late_min reentry_min is_principal needs_principal counted antipassback exempt slow "
    "min_tier staff_grace_h"
).split()


def check_order(order, right, error_of):
    """Take one wrong value after the other out of an object in which all are wrong."""
    obj = {key: [] for key in order}
    for key in order:
        text = error_of(obj)
        assert text and text.startswith(key + ": "), (key, text)
        obj[key] = right[key]
        if right[key] is None:
            del obj[key]
    assert error_of(obj) is None


def test_errors_come_in_the_order_of_the_keys():
    right = dict.fromkeys(SITE_ORDER)
    right.update(GATE)
    check_order(SITE_ORDER, right, error)
    right = dict.fromkeys(NETWORK_ORDER)
    right.update(BROKER)

    def of_network(obj):
        text = wrong(network=obj)
        return text and text[len("network.") :]

    check_order(NETWORK_ORDER, right, of_network)

    def of_wifi(obj):
        text = wrong_network(wifi=obj)
        return text and text[len("network.wifi.") :]

    check_order(("ssid", "password_key"), {"ssid": "x", "password_key": None}, of_wifi)

    def of_class(obj):
        text = wrong(classes={"green": obj})
        return text and text[len("classes.green.") :]

    check_order(CLASS_ORDER, dict.fromkeys(CLASS_ORDER), of_class)

    def of_classes(obj):
        text = wrong(classes=obj)
        return text and text[len("classes.") :]

    names = ("yellow", "green", "blue", "staff")
    check_order(names, {name: {} for name in names}, of_classes)
