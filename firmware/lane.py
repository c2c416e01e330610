"""One turnstile with two directions: what opens it, what a passage means, which alarms it raises.

Owns the table of (state, event) and what the rules of the lane must remember. A pure step: the state is a
value, time is an argument (a monotonic int in ms that never wraps), effects are returned and carried out by
the caller. It decides about no card and knows no position.

Events (tuples; `direction` is "in" or "out"; `key` 8 bytes):
    ("grant", direction, key, cls, party, slow)   a card was granted; ask `busy` first
    ("tap", direction, key, cls, party, slow)     a card was decided, granted or not, that policy.binds
    ("guard", direction)                          the guard's button was pressed
    ("sensor", direction, on)                     the passage sensor changed, debounced
    ("mode", mode)                                a mode of policy.MODES was commanded
    ("fire", on)                                  the fire input changed, debounced
    ("tick",)                                     time has passed: due at `deadline(state)`

Effects (tuples, to be carried out in this order):
    ("pulse", direction)                          a pulse of the relay
    ("hold",), ("release",)                       both relays held, no longer held (`free`)
    ("override", direction, key, cls, party)      an opening by the guard; key None: bound to no card
    ("passage", direction, key, cls, party)       confirmed; key None: it moves nobody
    ("no_passage", direction, key, cls, party)    a grant ended without its passage
    ("late_passage", direction, key, cls, party)  confirmed after all
    ("forget", key)                               the position of this card becomes unknown (out in `fault`)
    ("forget_all",)                               all positions become unknown (`free` or fire ended)
    ("alarm", kind, direction)                    kind of policy.ALARMS; direction "" where there is none
    ("alarm_end", kind, direction)                its cause ended (sensor_stuck, fire)
    ("wait",)                                     the grant was not taken: the lane is busy
"""

from micropython import const

_SLOW_S = const(15)
_LATE_MS = const(10000)
_BIND_MS = const(10000)
_STUCK_MS = const(15000)
_QUIET_MS = const(1000)
_PRESSES = const(4)  # presses of the guard that may wait; more are dropped
_NEVER = const(-1000000)

_NOTHING = (_NEVER, None, 0, 0, False)  # (at ms, key, cls, party, slow)


class State:
    """The state of a lane: a value, which `step` replaces. Callers read `mode`, `fire` and `opening` at most.

    opening: None, or of the unfinished opening (direction, key, cls, party, by the guard, until ms); key
    None: of no card. presses: ((direction, card), ...) of the guard that wait. locked_ms: when a passage
    last locked the lane; passage_ms: when anybody passed. By direction: missed: the card of the latest
    no_passage; taps: the listed card tapped last (both like _NOTHING); sensors: (on, since ms, stuck).
    """

    def __init__(self, mode, fire, sensors):
        self.mode = mode
        self.fire = fire
        self.sensors = sensors
        self.opening: "tuple | None" = None
        self.presses: "tuple" = ()
        self.locked_ms = self.passage_ms = _NEVER
        self.missed = {"in": _NOTHING, "out": _NOTHING}
        self.taps = self.missed  # only copies of them are changed


def initial(
    mode: str,
    fire: bool,
    now_ms: int,
    sensor_in: bool = False,
    sensor_out: bool = False,
    stuck_in: bool = False,
    stuck_out: bool = False,
):
    """Return (state, effects) at start: nothing is open or remembered, the inputs have these levels.

    `stuck_in`, `stuck_out`: `sensor_stuck` was on when the power went. Raises no alarm: what is true at start
    was raised before. Effects: ("hold",) in `free` or fire, else none.
    """
    state = State(mode, fire, {"in": (sensor_in, now_ms, stuck_in), "out": (sensor_out, now_ms, stuck_out)})
    return state, (("hold",),) if is_free(state) else ()


def name(state: "State") -> str:
    """Return "free", "fault", "open_in", "open_out" or "locked"."""
    if is_fault(state) and not is_free(state):
        return "fault"
    return "open_" + state.opening[0] if state.opening else _where(state)


def is_free(state: "State") -> bool:
    """Return whether both directions are held open: mode `free`, or fire."""
    return state.fire or state.mode == "free"


def is_fault(state: "State") -> bool:
    """Return whether a passage sensor is stuck (policy's `lane_fault`), in whatever mode."""
    return state.sensors["in"][2] or state.sensors["out"][2]


def busy(state: "State", direction: str, key) -> bool:
    """Return whether a grant must wait: an opening for another card, the other direction or by the guard is
    unfinished. When `opening` is None after a step, decide the waiting tap again if its card is still
    there."""
    return bool(state.opening) and (state.opening[4] or state.opening[:2] != (direction, key))


def deadline(state: "State"):
    """Return the ms at which a ("tick",) is due, None while nothing is."""
    due = _due(state)
    return min(due)[0] if due else None


def step(site, state: "State", event: tuple, now_ms: int):
    """Return (new state, effects) after `event` at `now_ms`; what fell due before it happens first.

    `site` is config.parse's result.
    """
    s = State(state.mode, state.fire, dict(state.sensors))
    s.opening = state.opening
    s.presses = state.presses
    s.locked_ms = state.locked_ms
    s.passage_ms = state.passage_ms
    s.missed = dict(state.missed)
    s.taps = dict(state.taps)
    effects = []
    due = _due(s)
    while due and min(due)[0] <= now_ms:
        _expire(s, min(due), effects)
        due = _due(s)
    _handle(site, s, event, now_ms, effects)
    if s.presses and not s.opening:
        direction, card = s.presses[0]
        s.presses = s.presses[1:]
        opening = (direction,) + card[1:4]
        effects.append(("override",) + opening)
        _open(site, s, opening, card[4], True, now_ms, effects)
    return s, tuple(effects)


# Handlers: they change the fresh state `s` and add to `effects`. The docstrings are the texts of
# docs/rules.md.


def opens(site, s, event, now_ms, effects):
    """a pulse; `passage_s` begins (15 s for a slow record or class)"""
    _open(site, s, event[1:5], event[5], False, now_ms, effects)


def opens_again(site, s, event, now_ms, effects):
    """the same card in the same direction: a new pulse, `passage_s` begins again; any other waits"""
    if busy(s, event[1], event[2]):
        effects.append(("wait",))
    else:
        opens(site, s, event, now_ms, effects)


def opens_out(site, s, event, now_ms, effects):
    """out: a pulse, and the position of the card becomes unknown; in: denied before it comes here"""
    if event[1] == "in":
        effects.append(("wait",))
    else:
        effects.append(("forget", event[2]))
        _open(site, s, ("out", None, 0, 0), event[5], False, now_ms, effects)


def confirms(site, s, event, now_ms, effects):
    """in the direction of the opening: confirmed, the lane locks; against it: `forced`, the opening stays"""
    if s.opening[0] != event[1]:
        effects.append(("alarm", "forced", event[1]))
    else:
        effects.append(("passage",) + s.opening[:4])
        for direction in s.missed:
            if s.missed[direction][1] == s.opening[1]:
                s.missed[direction] = _NOTHING
        s.opening = None
        s.locked_ms = now_ms
    s.passage_ms = now_ms


def intrudes(site, s, event, now_ms, effects):
    """within `tailgate_s` of a passage that locked the lane: `tailgate`; else up to 10 s after a
    `no_passage` in this direction, not within `tailgate_s` of another passage, and not in `fault`:
    `late_passage` of the latest such card; else `forced`"""
    direction = event[1]
    missed = s.missed[direction]
    tailgate_ms = int(site.tailgate_s * 1000)
    if now_ms - s.locked_ms < tailgate_ms:
        effects.append(("alarm", "tailgate", direction))
    elif now_ms - missed[0] <= _LATE_MS and now_ms - s.passage_ms >= tailgate_ms and not is_fault(s):
        effects.append(("late_passage", direction) + missed[1:])
        s.missed[direction] = _NOTHING
    else:
        effects.append(("alarm", "forced", direction))
    s.passage_ms = now_ms


def presses(site, s, event, now_ms, effects):
    """one opening, as soon as none is unfinished; it binds the listed card tapped last in this direction up
    to 10 s before the press. In `free`: only recorded as `override`"""
    card = s.taps[event[1]]
    if is_free(s):
        effects.append(("override", event[1], None, 0, 0))
    elif len(s.presses) < _PRESSES:
        s.presses += ((event[1], card if now_ms - card[0] <= _BIND_MS else _NOTHING),)


def taps(site, s, event, now_ms, effects):
    """the listed card tapped last in this direction is remembered"""
    s.taps[event[1]] = (now_ms,) + event[2:]


def sensor(site, s, event, now_ms, effects):
    """on: a passage, unless this sensor is stuck; on for 15 s: `sensor_stuck`; then off for 1 s: it ends"""
    _, direction, on = event
    was_on, _, stuck = s.sensors[direction]
    if site.passage_sensor and on != was_on:
        s.sensors[direction] = (on, now_ms, stuck)
        if on and not stuck:
            _handle(site, s, ("passage", direction), now_ms, effects)


def mode(site, s, event, now_ms, effects):
    """`free` holds both directions open; its end releases them and makes all positions unknown"""
    _hold(s, event[1], s.fire, effects)


def fire(site, s, event, now_ms, effects):
    """fire is `free` in every mode; when it clears, the mode is as before, and all positions are unknown"""
    if event[1] != s.fire:
        effects.append(("alarm" if event[1] else "alarm_end", "fire", ""))
        _hold(s, s.mode, event[1], effects)


# (state, event) -> handler; "passage" is the event that `sensor` makes. "any": where the state has no row
# of its own. "open": open_in and open_out. "fault": a lane in fault without an unfinished opening; with one
# it follows "open". A pair that is absent changes nothing: in "free" grants and passages move nobody.
STEPS = {
    ("locked", "grant"): opens,
    ("open", "grant"): opens_again,
    ("fault", "grant"): opens_out,
    ("locked", "passage"): intrudes,
    ("open", "passage"): confirms,
    ("fault", "passage"): intrudes,
    ("any", "guard"): presses,
    ("any", "tap"): taps,
    ("any", "sensor"): sensor,
    ("any", "mode"): mode,
    ("any", "fire"): fire,
}


def _handle(site, s, event, now_ms, effects):
    handler = STEPS.get((_where(s), event[0])) or STEPS.get(("any", event[0]))
    if handler:
        handler(site, s, event, now_ms, effects)


def _where(s):
    if is_free(s):
        return "free"
    if s.opening:
        return "open"
    return "fault" if is_fault(s) else "locked"


def _open(site, s, opening, slow, guard, now_ms, effects):
    effects.append(("pulse", opening[0]))
    open_ms = int(max(site.passage_s, slow and _SLOW_S) * 1000)
    if not site.passage_sensor:  # the pulse is the passage; the lane stays busy while it lasts
        open_ms = site.pulse_ms
        if opening[1]:
            effects.append(("passage",) + opening)
        opening = (opening[0], None, 0, 0)
    s.opening = opening + (guard, now_ms + open_ms)


def _hold(s, mode, fire, effects):
    was_free = is_free(s)
    has_ended = (s.fire and not fire) or (s.mode == "free" and mode != "free")
    s.mode = mode
    s.fire = fire
    if is_free(s) != was_free:
        effects.append(("release",) if was_free else ("hold",))
        s.opening = None
        s.presses = ()
        s.missed = {"in": _NOTHING, "out": _NOTHING}
    if has_ended:
        effects.append(("forget_all",))


def _due(s):
    """Return [(ms, what)] of all that falls due: a direction (its sensor), or "" (the opening)."""
    due = []
    for direction in ("in", "out"):
        on, since_ms, stuck = s.sensors[direction]
        if on != stuck:
            due.append((since_ms + (_STUCK_MS if on else _QUIET_MS), direction))
    if s.opening:
        due.append((s.opening[5], ""))
    return due


def _expire(s, due, effects):
    at_ms, direction = due
    if direction:
        on, _, stuck = s.sensors[direction]
        effects.append(("alarm_end" if stuck else "alarm", "sensor_stuck", direction))
        s.sensors[direction] = (on, at_ms, not stuck)
        return
    if s.opening[1] and not s.opening[4]:
        effects.append(("no_passage",) + s.opening[:4])
        s.missed[s.opening[0]] = (at_ms,) + s.opening[1:4]
    s.opening = None
