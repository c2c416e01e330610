"""What must hold of the rules for every input, and the rules once more in other words to compare with.

The expected decision is written here from the rules as a plain chain of questions over a plain dictionary of
positions; it shares no code with firmware/policy.py and firmware/presence.py.
"""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from firmware import bundles, config, lane, policy, records
from firmware.presence import Presence
from firmware.replay import replay

NOON = 1772427600  # 2026-03-02 12:00 (a Monday) at UTC+7
MINUTE, HOUR, DAY = 60, 3600, 86400
DIRECTIONS = ("in", "out")
KEYS = tuple(bytes([n]) * 7 + b"k" for n in range(1, 7))
CLASSES = {1: "yellow", 2: "green", 3: "blue", 4: "staff", 5: "orange"}
LANE_STATES = {"locked", "open_in", "open_out", "free", "fault"}


def make_site(**settings: object) -> config.Site:
    base: dict[str, object] = {"site": "jaksel", "gate": "A", "board": "b", "min_tier": "uid"}
    return config.parse(base | {"classes": {"orange": {"code": 5, "antipassback": "off"}}} | settings)


# --- a plain model of the positions ------------------------------------------------------------------------


@dataclass
class Known:
    """What is known of one card."""

    position: str = "unknown"
    entered_at: int | None = None  # in the visit of `party`
    party: int = 0
    cls: int = 0
    time: int = 0


@dataclass
class Model:
    """Positions as a dictionary, and the one grant whose outcome is open."""

    site: config.Site
    cards: dict[bytes, Known] = field(default_factory=dict)
    entering: tuple[bytes, int, int, int] | None = None  # key, class, party, time
    leaving: bytes | None = None

    def has(self, cls: int, role: str) -> bool:
        rule = self.site.classes[cls]
        return rule is not None and bool(getattr(rule, role))

    def position(self, key: bytes | None) -> str:
        known = self.cards.get(key) if key else None
        return known.position if known else "unknown"

    def end(self, key: bytes) -> None:
        if self.entering and self.entering[0] == key:
            self.entering = None
        if self.leaving == key:
            self.leaving = None

    def confirm(self, key: bytes, direction: str, cls: int, party: int, now: int) -> str:
        self.end(key)
        known = self.cards.setdefault(key, Known())
        known.time = now
        known.party, known.cls = party, cls
        if direction == "in":
            known.position, known.entered_at = "inside", now
            return ""
        known.position = "outside"
        known.entered_at = now if known.entered_at is not None else None
        left = [k for k in self.cards.values() if k.position == "inside" and k.party == party]
        if not party or not self.has(cls, "is_principal"):
            return ""
        if any(self.has(k.cls, "is_principal") for k in left):
            return ""
        return "companion_inside" if any(self.has(k.cls, "needs_principal") for k in left) else ""

    def grant(self, key: bytes, cls: int, party: int, direction: str, now: int) -> None:
        other = self.entering[0] if self.entering else self.leaving
        if other is not None and other != key:
            self.forget(other, now)
        self.entering, self.leaving = None, None
        if direction == "in":
            self.entering = (key, cls, party, now)
        else:
            self.leaving = key

    def forget(self, key: bytes, now: int, visit_over: bool = False) -> None:
        self.end(key)
        known = self.cards.setdefault(key, Known())
        known.position, known.time = "unknown", now
        known.entered_at = None if visit_over or known.entered_at is None else now

    def forget_all(self, now: int) -> int:
        still = len(self.inside())
        for known in self.cards.values():
            known.position = "unknown"
        self.entering = self.leaving = None
        return still

    def inside(self) -> list[bytes]:
        return sorted(key for key, known in self.cards.items() if known.position == "inside")

    def around(self, role: str, except_key: bytes | None, party: int | None, now: int, within: int) -> int:
        """Count who has `role`, inside or entering."""
        n = sum(
            1
            for key, known in self.cards.items()
            if known.position == "inside"
            and key != except_key
            and party in (None, known.party)
            and self.has(known.cls, role)
        )
        if self.entering:
            key, cls, of, time = self.entering
            if key != except_key and party in (None, of) and self.position(key) != "inside":
                n += self.has(cls, role) and now - time < within
        return n


# --- strategies --------------------------------------------------------------------------------------------

party_numbers = st.integers(0, 2)
operations = st.one_of(
    st.tuples(
        st.just("confirm"),
        st.sampled_from(KEYS),
        st.sampled_from(DIRECTIONS),
        st.integers(1, 6),
        party_numbers,
    ),
    st.tuples(
        st.just("grant"), st.sampled_from(KEYS), st.integers(1, 5), party_numbers, st.sampled_from(DIRECTIONS)
    ),
    st.tuples(st.just("ended"), st.sampled_from(KEYS)),
    st.tuples(st.just("forget"), st.sampled_from(KEYS), st.booleans()),
    st.tuples(st.just("forget_all")),
    st.tuples(st.just("settle")),
)
histories = st.lists(st.tuples(st.integers(1, 200), operations), max_size=30)


def play(site: config.Site, history: list, capacity: int = 64) -> tuple[Presence, Model, int]:
    """Do everything of `history` to a Presence and to the model; return both, and the time afterwards."""
    real, model, now = Presence(site.classes, capacity), Model(site), NOON - 2 * HOUR
    for seconds, (what, *args) in history:
        now += seconds
        if what == "ended":
            real.ended(*args)
            model.end(*args)
        elif what == "settle":
            real.settle(now)
            model.grant(b"nobody", 0, 0, "in", now)
            model.entering = None
        elif what == "grant":
            key, cls, party, direction = args
            real.grant(key, cls, party, direction, now)
            model.grant(key, cls, party, direction, now)
        elif what == "confirm":
            key, direction, cls, party = args
            alarm = real.confirm(key, direction, cls, party, now)
            assert alarm == model.confirm(key, direction, cls, party, now)
        elif what == "forget":
            key, visit_over = args
            real.forget(key, now, visit_over)
            model.forget(key, now, visit_over)
        else:
            assert real.forget_all(now) == model.forget_all(now)
    return real, model, now


@st.composite
def credentials(draw: st.DrawFn) -> records.Credential:
    start = NOON + draw(st.integers(-300, 300)) * MINUTE
    untimed = draw(st.sampled_from([False, False, False, True]))
    return records.Credential(
        draw(st.sampled_from(KEYS)),
        draw(st.sampled_from([1, 1, 2, 3, 3, 4, 5, 6])),
        draw(st.sampled_from([False, False, False, False, True])),
        untimed,
        draw(st.sampled_from([0, 0, 0, 1, 2])),
        draw(st.booleans()),
        0 if untimed else bundles.minutes(start),
        0 if untimed else draw(st.integers(1, 300)),
        draw(party_numbers),
    )


@st.composite
def taps(draw: st.DrawFn) -> policy.Tap:
    list_valid = draw(st.sampled_from([True, True, True, True, False]))
    credential = draw(st.one_of(credentials(), credentials(), st.none())) if list_valid else None
    verdict = draw(
        st.sampled_from(
            [None] * 8 + (["card_not_authentic"] if credential else ["several_cards", "random_uid"])
        )
    )
    moment = draw(st.integers(NOON - DAY, NOON + DAY))
    nobody = verdict in ("several_cards", "random_uid")
    return policy.Tap(
        draw(st.sampled_from(DIRECTIONS)),
        None if nobody else credential.key if credential else draw(st.sampled_from(KEYS)),
        credential,
        verdict,
        draw(st.integers(0, 2)),
        credential is not None and draw(st.sampled_from([False, False, False, True])),
        draw(st.sampled_from(["normal"] * 12 + ["lockdown", "out_of_service", "free"])),
        moment,
        draw(st.sampled_from([True, True, True, False])),
        list_valid,
        moment + draw(st.sampled_from([-73 * HOUR, -72 * HOUR, -HOUR, 0, 1, DAY, DAY])) if list_valid else 0,
        draw(st.sampled_from([False, False, False, False, True])),
        draw(st.booleans()),
    )


sites = st.builds(
    make_site,
    gates=st.integers(1, 2),
    occupancy_max=st.sampled_from([None, None, 0, 1, 2, 3]),
    companions_max=st.integers(0, 2),
    opening_hours=st.sampled_from(
        [None, {"mon": ["07:30", "16:00"]}, {"mon": ["12:00", "12:30"], "tue": None}]
    ),
    min_tier=st.sampled_from(["uid", "uid", "signed"]),
    utc_offset_min=st.sampled_from([420, 0, -300]),
)


# --- the rules in other words ------------------------------------------------------------------------------


def expected(site: config.Site, tap: policy.Tap, model: Model) -> tuple[bool, str, str]:
    """Return (allow, reason, alarm) as the rules say, without a table."""
    if tap.mode == "free":
        return True, "free", ""
    return expected_in(site, tap, model) if tap.direction == "in" else expected_out(site, tap, model)


def is_closed(site: config.Site, tap: policy.Tap, exempt: bool) -> bool:
    if tap.mode in ("lockdown", "out_of_service"):
        return True
    if site.opening_hours is None or not tap.trusted or exempt:
        return False
    local = tap.now + site.utc_offset_min * MINUTE
    monday = NOON - 12 * HOUR + 420 * MINUTE  # 2026-03-02 00:00 as if it were UTC
    day, second = divmod(local - monday, DAY)
    hours = site.opening_hours[day % 7]
    return hours is None or second < hours[0] * MINUTE or second >= hours[1] * MINUTE


def expected_in(site: config.Site, tap: policy.Tap, model: Model) -> tuple[bool, str, str]:  # noqa: C901
    c = tap.credential
    rule = site.classes[c.cls] if c else None
    exempt = bool(rule and rule.exempt)
    if is_closed(site, tap, exempt):
        return False, "gate_closed", ""
    if tap.verdict:
        return False, tap.verdict, "clone" if tap.verdict == "card_not_authentic" else ""
    if c is None:
        return False, "unknown_card", ""
    if c.blocked:
        return False, "revoked", ""
    if rule is None:
        return False, "error", "fault"
    if tap.tier < c.tier or tap.tier < rule.min_tier or (tap.has_keys and tap.tier == 0):
        return False, "weak_card", "clone" if tap.has_keys else ""
    if tap.now >= tap.list_expires + (72 * HOUR if exempt else 0):
        return False, "list_expired", ""
    if not tap.trusted and not (exempt and c.untimed):
        return False, "clock_untrusted", ""
    known = model.cards.get(c.key, Known())
    begins = 0 if c.untimed else records.from_unix(c) - 15 * MINUTE
    entered = known.entered_at is not None and known.party == c.party and known.time >= begins
    if not c.untimed:
        if tap.now < begins:
            return False, "too_early", ""
        if tap.now >= records.until_unix(c) + (240 * MINUTE if entered else 0):
            return False, "too_late", ""
    if rule.antipassback == "hard" and known.position == "inside":
        return False, "passback", ""
    if rule.needs_principal:
        if c.party == 0 or not model.around("is_principal", None, c.party, tap.now, 120):
            return False, "principal_absent", ""
        if model.around("needs_principal", c.key, c.party, tap.now, DAY * 10) >= site.companions_max:
            return False, "companion_limit", ""
    elif (
        site.occupancy_max is not None
        and not exempt
        and model.around("counted", c.key, None, tap.now, DAY * 10) >= site.occupancy_max
    ):
        return False, "room_full", ""
    if tap.lane_fault:
        return False, "lane_fault", ""
    return True, "reentry" if entered else "ok", ""


def expected_out(site: config.Site, tap: policy.Tap, model: Model) -> tuple[bool, str, str]:
    c = tap.credential
    position = model.position(tap.key)
    if not tap.list_valid:
        return True, "exit" if position == "inside" else "exit_unrecorded", ""
    if tap.verdict in ("several_cards", "random_uid"):
        return False, tap.verdict, "unknown_exit" if tap.verdict == "random_uid" else ""
    if c is None:
        if position == "inside":
            return True, "exit_revoked", "unknown_exit"
        return False, "unknown_card", "unknown_exit"
    if tap.verdict == "card_not_authentic" or (tap.has_keys and tap.tier == 0):
        return False, "card_not_authentic", "clone"
    rule = site.classes[c.cls]
    if position == "outside" and site.gates > 1 and tap.isolated:
        position = "unknown"
    if position == "outside" and (rule is None or rule.antipassback == "hard"):
        return False, "passback", ""
    if c.blocked:
        return True, "exit_revoked", ""
    if position == "unknown":
        return True, "exit_unrecorded", ""
    if tap.trusted and not c.untimed and tap.now >= records.until_unix(c):
        return True, "exit_late", ""
    return True, "exit", ""


# --- policy ------------------------------------------------------------------------------------------------


@given(sites, histories, st.lists(taps(), min_size=1, max_size=12))
def test_every_decision_is_that_of_the_rules(
    site: config.Site, history: list, tapped: list[policy.Tap]
) -> None:
    presence, model, _ = play(site, history)
    for tap in tapped:
        assert policy.decide(site, tap, presence)[:3] == expected(site, tap, model), tap


@given(sites, histories, taps())
def test_a_decision_has_one_reason_of_the_table_and_leaves_no_trace(
    site: config.Site, history: list, tap: policy.Tap
) -> None:
    presence, model, now = play(site, history)
    before = positions(presence)
    decision = policy.decide(site, tap, presence)
    assert decision.reason in policy.REASONS[1:]
    assert decision.alarm in policy.ALARMS
    assert decision == policy.decide(site, tap, presence)
    assert positions(presence) == before
    assert presence.occupancy() == model.around("counted", None, None, now, 10 * DAY)


@given(sites, histories, taps())
def test_nobody_inside_is_denied_the_way_out(site: config.Site, history: list, tap: policy.Tap) -> None:
    presence, model, now = play(site, history)
    for key in KEYS:
        presence.confirm(key, "in", 1, 1, now)
    tap = policy.Tap("out", *tap[1:])
    decision = policy.decide(site, tap, presence)
    if not decision.allow:
        two = tap.verdict == "several_cards"
        stranger = tap.verdict == "random_uid"
        copy = tap.verdict == "card_not_authentic" or (tap.has_keys and tap.tier == 0)
        assert two or stranger or copy
        assert model is not None


@given(sites, histories, taps(), taps())
def test_the_way_out_asks_neither_window_nor_list_age_nor_clock_nor_mode(
    site: config.Site, history: list, tap: policy.Tap, other: policy.Tap
) -> None:
    presence, _, _ = play(site, history)
    if tap.mode == "free" or other.mode == "free":
        return
    first = tap._replace(direction="out")
    second = first._replace(
        mode=other.mode,
        now=other.now,
        trusted=other.trusted,
        list_expires=other.list_expires,
        lane_fault=other.lane_fault,
    )
    assert policy.decide(site, first, presence).allow == policy.decide(site, second, presence).allow


@given(sites, histories, taps())
def test_nobody_enters_without_a_good_record_in_its_time(
    site: config.Site, history: list, tap: policy.Tap
) -> None:
    presence, _, _ = play(site, history)
    tap = tap._replace(direction="in")
    if not policy.decide(site, tap, presence).allow or tap.mode == "free":
        return
    c = tap.credential
    assert c is not None and not c.blocked and tap.verdict is None and tap.mode == "normal"
    if not c.untimed:
        assert records.from_unix(c) - 15 * MINUTE <= tap.now < records.until_unix(c) + 240 * MINUTE


@given(sites, histories, taps())
def test_a_flag_says_that_the_position_contradicts(site: config.Site, history: list, tap: policy.Tap) -> None:
    presence, model, _ = play(site, history)
    decision = policy.decide(site, tap, presence)
    c = tap.credential
    rule = site.classes[c.cls] if c else None
    contrary = {"in": "inside", "out": "outside"}[tap.direction]
    believed = not (tap.direction == "out" and site.gates > 1 and tap.isolated)
    assert decision.flagged == (
        decision.allow
        and decision.reason != "free"
        and rule is not None
        and rule.antipassback == "soft"
        and believed
        and model.position(tap.key) == contrary
    )


# --- positions ---------------------------------------------------------------------------------------------


def positions(presence: Presence) -> list[str]:
    return [presence.position(key) for key in KEYS]


@given(sites, histories)
def test_positions_are_those_of_a_plain_dictionary(site: config.Site, history: list) -> None:
    real, model, now = play(site, history)
    assert positions(real) == [model.position(key) for key in KEYS]
    assert sorted(real.inside()) == model.inside()
    for key in (None, *KEYS):
        assert real.occupancy(key) == model.around("counted", key, None, now, 10 * DAY)
        for party in (1, 2):
            want = model.around("needs_principal", key, party, now, 10 * DAY)
            assert real.companions(party, key) == want
    for party in (1, 2):
        for within in (1, 120):
            assert real.principal_in(party, now, within) == (
                model.around("is_principal", None, party, now, within) > 0
            )


@given(sites, histories)
def test_a_position_changes_only_by_a_passage_or_by_forgetting(site: config.Site, history: list) -> None:
    for end in range(len(history)):
        what = history[end][1]
        before = positions(play(site, history[:end])[0])
        after = positions(play(site, history[: end + 1])[0])
        changed = {KEYS[i] for i in range(len(KEYS)) if before[i] != after[i]}
        if what[0] == "ended":
            assert not changed
        elif what[0] in ("confirm", "forget"):
            assert changed <= {what[1]}
        else:  # grant and settle may end a grant without an outcome; forget_all ends all
            assert all(after[KEYS.index(key)] == "unknown" for key in changed)


def as_event(time: int, what: tuple) -> records.Event | None:
    """Return the journal record of an operation, None where there is none of its own."""
    kind, *args = what
    if kind == "confirm":
        key, direction, cls, party = args
        return event("passage", time, direction, key, cls, party)
    if kind == "grant":
        key, cls, party, direction = args
        return event("grant", time, direction, key, cls, party)
    if kind == "ended":
        return event("no_passage", time, "in", args[0])
    if kind == "forget_all":
        return event("reset", time, "", bytes(8))
    if kind == "forget" and args[1]:
        return event("reset", time, "", args[0])
    return None


def event(kind: str, time: int, direction: str, key: bytes, cls: int = 0, party: int = 0) -> records.Event:
    code = policy.DIRECTIONS.index(direction)
    return records.Event(1, time, 0, False, 0, kind, code, 0, cls, key, party)


@given(sites, histories)
def test_a_journal_brings_back_the_positions(site: config.Site, history: list) -> None:
    journalled = [item for item in history if as_event(0, item[1]) is not None]
    real, _, now = play(site, journalled)
    again = Presence(site.classes, 64)
    time = NOON - 2 * HOUR
    for seconds, what in journalled:
        time += seconds
        item = as_event(time, what)
        assert item is not None
        replay(again, item, "ok")
    real.settle(now)
    again.settle(now)
    assert positions(again) == positions(real)
    assert [again.visit_entered(key, 1, 0) for key in KEYS] == [real.visit_entered(key, 1, 0) for key in KEYS]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(DIRECTIONS)), min_size=20, max_size=80))
def test_a_full_table_never_loses_who_is_inside(passages: list[tuple[int, str]]) -> None:
    site = make_site()
    presence = Presence(site.classes, 16)
    inside: set[bytes] = set()
    for time, (number, direction) in enumerate(passages):
        key = bytes([number + 1]) * 8
        alarm = presence.confirm(key, direction, 1, 0, NOON + time)
        if alarm == "fault":
            assert len(inside) == 16 and key not in inside
        elif direction == "in":
            inside.add(key)
        else:
            inside.discard(key)
        assert set(presence.inside()) == inside
        assert presence.occupancy() == len(inside)


# --- the lane ----------------------------------------------------------------------------------------------

directions = st.sampled_from(DIRECTIONS)
cards = st.tuples(st.sampled_from(KEYS[:3]), st.integers(1, 4), party_numbers, st.booleans())
lane_events = st.one_of(
    st.tuples(st.just("grant"), directions, cards).map(lambda e: (e[0], e[1], *e[2])),
    st.tuples(st.just("tap"), directions, cards).map(lambda e: (e[0], e[1], *e[2])),
    st.tuples(st.just("sensor"), directions, st.booleans()),
    st.tuples(st.just("sensor"), directions, st.just(True)),
    st.tuples(st.just("guard"), directions),
    st.tuples(st.just("mode"), st.sampled_from(policy.MODES)),
    st.tuples(st.just("fire"), st.booleans()),
    st.tuples(st.just("tick")),
)
days = st.lists(
    st.tuples(st.sampled_from([0, 1, 50, 400, 999, 1000, 1999, 2000, 4999, 5000, 10000, 15000]), lane_events),
    max_size=40,
)


def run_lane(site: config.Site, day: list, start_ms: int = 1000, ticks: bool = False) -> list:
    """Return [(state before, event, now, effects, state after)]; with `ticks`, one whenever it is due."""
    state, _ = lane.initial("normal", False, start_ms)
    now, seen = start_ms, []
    for ms, what in day:
        now += ms
        due = lane.deadline(state)
        while ticks and due is not None and due <= now:
            after, effects = lane.step(site, state, ("tick",), due)
            seen.append((state, ("tick",), due, effects, after))
            state = after
            due = lane.deadline(state)
        after, effects = lane.step(site, state, what, now)
        seen.append((state, what, now, effects, after))
        state = after
    return seen


lane_sites = st.builds(
    make_site,
    passage_sensor=st.sampled_from([True, True, True, False]),
    passage_s=st.sampled_from([5, 2, 30]),
    tailgate_s=st.sampled_from([2, 0]),
)


@given(lane_sites, days)
def test_no_pulse_without_a_grant_or_an_override(site: config.Site, day: list) -> None:
    for before, what, _, effects, _ in run_lane(site, day, ticks=True):
        overrides = [e[1] for e in effects if e[0] == "override"]
        pulses = [e[1] for e in effects if e[0] == "pulse"]
        assert len(pulses) <= 2
        for direction in pulses:
            if direction in overrides:
                overrides.remove(direction)
            else:
                assert what[:2] == ("grant", direction)
                assert not lane.busy(before, direction, what[2]) and not lane.is_free(before)


@given(lane_sites, days)
def test_the_relays_are_held_exactly_in_free(site: config.Site, day: list) -> None:
    held = False
    for _, _, _, effects, after in run_lane(site, day):
        for effect in effects:
            if effect[0] in ("hold", "release"):
                assert held == (effect[0] == "release")
                held = effect[0] == "hold"
        assert held == lane.is_free(after) == (lane.name(after) == "free")
        if held:
            assert after.opening is None and not any(e[0] == "pulse" for e in effects)


@given(lane_sites, days)
def test_a_passage_needs_its_sensor_and_an_opening_or_a_recent_no_passage(
    site: config.Site, day: list
) -> None:
    missed: dict[str, tuple[int, bytes]] = {}
    for before, what, now, effects, _ in run_lane(site, day, ticks=True):
        for effect in effects:
            if effect[0] == "no_passage":
                missed[effect[1]] = (now, effect[2])
            elif effect[0] == "late_passage":
                at, key = missed.pop(effect[1])
                assert what == ("sensor", effect[1], True)
                assert key == effect[2] and now - at <= 10000
                assert lane.name(before) == "locked"
            elif effect[0] == "passage" and site.passage_sensor:
                assert what == ("sensor", effect[1], True)
                assert before.opening is not None and before.opening[:4] == effect[1:]
            elif effect[0] == "passage":
                assert ("pulse", effect[1]) in effects and effect[2] is not None


@given(lane_sites, days)
def test_every_grant_that_was_taken_has_one_outcome(site: config.Site, day: list) -> None:
    open_key = None
    for _, what, _, effects, after in run_lane(site, day, ticks=True):
        for effect in effects:
            if effect[0] in ("passage", "no_passage") and effect[2] is not None and effect[2] == open_key:
                open_key = None
            elif effect[0] == "no_passage":
                raise AssertionError("no_passage of a card that had no opening: %r" % (effect,))
            elif effect[0] in ("hold", "forget_all"):
                open_key = None
        if what[0] == "grant" and ("pulse", what[1]) in effects and after.opening and after.opening[1]:
            open_key = what[2]


@given(lane_sites, days)
def test_states_and_effects_are_those_of_the_tables(site: config.Site, day: list) -> None:
    known = {"pulse", "hold", "release", "override", "passage", "no_passage", "late_passage"}
    known |= {"forget", "forget_all", "alarm", "alarm_end", "wait"}
    for _, _, now, effects, after in run_lane(site, day):
        assert lane.name(after) in LANE_STATES
        due = lane.deadline(after)
        assert due is None or due > now
        for effect in effects:
            assert effect[0] in known
            if effect[0] in ("alarm", "alarm_end"):
                assert effect[1] in policy.ALARMS[1:]


@given(lane_sites, days)
def test_stuck_and_well_take_turns(site: config.Site, day: list) -> None:
    stuck = {"in": False, "out": False}
    for _, _, _, effects, after in run_lane(site, day):
        for effect in effects:
            if effect[1:2] == ("sensor_stuck",):
                assert stuck[effect[2]] == (effect[0] == "alarm_end")
                stuck[effect[2]] = effect[0] == "alarm"
        assert lane.is_fault(after) == any(stuck.values())


def without_times(effects: list) -> list:
    return [effect for _, _, _, some, _ in effects for effect in some]


@given(lane_sites, days)
def test_the_count_of_milliseconds_does_not_matter(site: config.Site, day: list) -> None:
    early = without_times(run_lane(site, day, 1000))
    for start in (0, 2**29 - 5000, 2**30 - 5000, 2**31 - 5000, 2**32 - 5000, 10**12):
        assert without_times(run_lane(site, day, start)) == early


@given(lane_sites, days)
def test_a_step_leaves_the_state_that_it_was_given(site: config.Site, day: list) -> None:
    for before, what, now, effects, after in run_lane(site, day):
        again, same = lane.step(site, before, what, now)
        assert same == effects
        assert vars(again) == vars(after)


@given(lane_sites, days)
def test_ticks_in_time_change_no_outcome(site: config.Site, day: list) -> None:
    """Without waiting presses of the guard, a late tick brings the same effects as one in time."""
    quiet = [item for item in day if item[1][0] != "guard"]
    with_ticks = without_times(run_lane(site, quiet, ticks=True))
    assert without_times(run_lane(site, quiet)) == with_ticks
