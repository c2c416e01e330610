"""Values for the tests of the rules: a site, cards, taps and a lane; a test says only what is unusual."""

from firmware import bundles, config, lane, policy, records
from firmware.presence import Presence

EIGHT = 1772413200  # 2026-03-02 08:00 (a Monday) at UTC+7, as Unix seconds
MINUTE = 60
HOUR = 3600
DAY = 86400
YELLOW, GREEN, BLUE, STAFF, ORANGE = 1, 2, 3, 4, 5


def make_site(**settings):
    """Return the Site of a minimal config with `settings`; cards need to prove nothing unless they say so."""
    obj = {"site": "jaksel", "gate": "A", "board": "esp32_devkitc", "min_tier": "uid"}
    obj.update(settings)
    return config.parse(obj)


def key(number):
    """Return a card key that looks like one (any 8 bytes that are not alike)."""
    return bytes([(number * 37 + 11 * i + 1) & 255 for i in range(6)]) + number.to_bytes(2, "big")


def card(number=1, cls=YELLOW, start=EIGHT + HOUR, end=EIGHT + 2 * HOUR, party=1, **other):
    """Return a Credential with the window [start, end) in Unix seconds; start None: without a window."""
    untimed = start is None
    first = 0 if untimed else bundles.minutes(start)
    length = 0 if untimed else bundles.minutes(end) - first
    return records.Credential(
        key(number),
        cls,
        other.get("blocked", False),
        untimed,
        other.get("tier", 0),
        other.get("slow", False),
        first,
        length,
        party,
    )


class World:
    """A site with its positions, at a moment: `decide` taps a card."""

    def __init__(self, now=EIGHT + HOUR, **settings):
        self.site = make_site(**settings)
        self.presence = Presence(self.site.classes, self.site.positions_max)
        self.now = now

    def tap(self, credential, direction="in", **other):
        """Return a policy.Tap of `credential` (None: card 1, not listed) in the usual circumstances."""
        fields = {
            "key": credential.key if credential else key(1),
            "verdict": None,
            "tier": 0,
            "has_keys": False,
            "mode": "normal",
            "now": self.now,
            "trusted": True,
            "list_valid": True,
            "list_expires": self.now + DAY,
            "lane_fault": False,
            "isolated": False,
        }
        for name in other:
            assert name in fields, name
        fields.update(other)
        return policy.Tap(
            direction,
            fields["key"],
            credential,
            fields["verdict"],
            fields["tier"],
            fields["has_keys"],
            fields["mode"],
            fields["now"],
            fields["trusted"],
            fields["list_valid"],
            fields["list_expires"],
            fields["lane_fault"],
            fields["isolated"],
        )

    def decide(self, credential, direction="in", **other):
        """Return the Decision for that tap."""
        return policy.decide(self.site, self.tap(credential, direction, **other), self.presence)

    def reason(self, credential, direction="in", **other):
        """Return "grant REASON" or "deny REASON", with " + ALARM" where one is raised."""
        decision = self.decide(credential, direction, **other)
        alarm = " + " + decision.alarm if decision.alarm else ""
        return ("grant " if decision.allow else "deny ") + decision.reason + alarm

    def passes(self, credential, direction="in", gate=0):
        """Confirm a passage of `credential` now; return the alarm."""
        c = credential
        return self.presence.confirm(c.key, direction, c.cls, c.party, self.now, gate)

    def grants(self, credential, direction="in"):
        """Remember a grant of `credential` now, its passage still to come."""
        self.presence.grant(credential.key, credential.cls, credential.party, direction, self.now)


class Turnstile:
    """A lane that keeps its own state: each call is a step, and returns the effects."""

    def __init__(self, mode="normal", fire=False, now_ms=1000, **settings):
        self.site = make_site(**settings)
        self.now_ms = now_ms
        self.state, self.first = lane.initial(mode, fire, now_ms)

    @property
    def name(self):
        """The state's name."""
        return lane.name(self.state)

    def after(self, ms):
        """Let `ms` pass, with a tick whenever one is due; return the effects."""
        end = self.now_ms + ms
        effects = ()
        due = lane.deadline(self.state)
        while due is not None and due <= end:
            self.now_ms = due
            effects += self.step("tick")
            due = lane.deadline(self.state)
        self.now_ms = end
        return effects

    def step(self, *event):
        """Let `event` happen now; return the effects."""
        self.state, effects = lane.step(self.site, self.state, event, self.now_ms)
        return effects

    def grant(self, number=1, direction="in", slow=False):
        """Grant card `number` (yellow, party = number)."""
        return self.step("grant", direction, key(number), YELLOW, number, slow)

    def tap(self, number=1, direction="in", slow=False):
        """Note that card `number` was tapped."""
        return self.step("tap", direction, key(number), YELLOW, number, slow)

    def passage(self, direction="in"):
        """Somebody passes the sensor: on, and off at once; return the effects of both."""
        return self.step("sensor", direction, True) + self.step("sensor", direction, False)


def passed(number=1, direction="in", kind="passage"):
    """Return the effect of a confirmed passage (or another `kind`) of card `number`."""
    return (kind, direction, key(number), YELLOW, number)


def unbound(direction="in", kind="passage"):
    """Return the effect of a passage that moves nobody."""
    return (kind, direction, None, 0, 0)


def alarm(kind, direction="in"):
    """Return the effect of an alarm."""
    return ("alarm", kind, direction)
