"""One turnstile with two directions: what opens it, what a passage means, which alarms it raises.

Owns the table of (state, event) and the memory that the rules of the lane need. A pure step: the state is a value,
time is an argument (a monotonic int in ms that never wraps), effects are returned and carried out by app.py. It
decides about no card and knows no position.

Events (tuples; `direction` is "in" or "out"):
    ("grant", direction, key, cls, party, slow)  a card was granted; ask `busy` first
    ("tap", direction, key, cls, party, slow)    a listed card was decided, granted or not (policy.binds)
    ("guard", direction)                         the guard's button was pressed
    ("sensor", direction, on)                    the passage sensor changed, debounced
    ("mode", mode)                               a mode of policy.MODES was commanded
    ("fire", on)                                 the fire input changed, debounced
    ("tick",)                                    time has passed: due at `deadline(state)`

Effects (tuples, in the order in which they are to be carried out):
    ("pulse", direction)                         a relay pulse
    ("hold",) / ("release",)                     both relays held, or no longer (`free`)
    ("override", direction, key, cls, party)     the guard opens; key None: bound to no card; comes before its pulse
    ("passage", direction, key, cls, party)      a confirmed passage; key None: by an override bound to no card, or
                                                 out in `fault`: it moves nobody
    ("no_passage", direction, key, cls, party)   a grant ended without a passage
    ("late_passage", direction, key, cls, party) a confirmed passage after all
    ("forget", key)                              the position of this card is unknown from now (out in `fault`)
    ("forget_all",)                              all positions are unknown from now (`free` or fire ended)
    ("alarm", kind, direction)                   kind of policy.ALARMS; direction "" where there is none
    ("alarm_end", kind, direction)               its cause ended (sensor_stuck, fire)
    ("wait",)                                    the grant was not taken: the lane is busy, nothing changed
"""

from collections import namedtuple

from micropython import const

_SLOW_S = const(15)
_LATE_MS = const(10000)
_BIND_MS = const(10000)
_STUCK_MS = const(15000)
_QUIET_MS = const(1000)
_PRESSES = const(4)  # waiting presses of the guard; more are dropped

# mode: of policy.MODES; fire: bool; opening: Opening or None; presses: ((direction, tap), ...) of the guard that wait;
# locked_ms: when a passage last locked the lane; passage_ms: when anybody last passed (None: never).
# Pairs (in, out): missed: (at_ms, key, cls, party) of the latest no_passage or None; taps: (at_ms, key, cls, party,
# slow) of the latest listed card or None; sensors: (on, since_ms, stuck).
State = namedtuple("State", "mode fire opening presses locked_ms passage_ms missed taps sensors")
_FIELDS = ("mode", "fire", "opening", "presses", "locked_ms", "passage_ms", "missed", "taps", "sensors")

# key None: it belongs to no card. guard: by the button.
Opening = namedtuple("Opening", "direction key cls party guard until_ms")


def initial(mode: str, fire: bool, now_ms: int, sensor_in: bool = False, sensor_out: bool = False):
    """Return (state, effects) at start: nothing is open, nothing is remembered, inputs have these levels.

    Raises no alarm: what is true at start was raised before. Effects: ("hold",) in `free` or fire, else none.
    """
    sensors = ((sensor_in, now_ms, False), (sensor_out, now_ms, False))
    none = (None, None)
    state = State(mode, fire, None, (), None, None, none, none, sensors)
    return state, (("hold",),) if is_free(state) else ()


def name(state: "State") -> str:
    """Return "free", "fault", "open_in", "open_out" or "locked"."""
    if is_free(state):
        return "free"
    return "fault" if is_fault(state) else _table_name(state)


def is_free(state: "State") -> bool:
    """Return whether both directions are held open (mode `free` or fire)."""
    return state.fire or state.mode == "free"


def is_fault(state: "State") -> bool:
    """Return whether a passage sensor is stuck (policy's `lane_fault`), in whatever mode."""
    return state.sensors[0][2] or state.sensors[1][2]


def busy(state: "State", direction: str, key) -> bool:
    """Return whether a grant must wait: an opening for another card, the other direction or by the guard is
    unfinished. When it is over (after any `step`), decide the waiting tap again if its card is still there."""
    o = state.opening
    return o is not None and (o.guard or o.key != key or o.direction != direction) and not is_free(state)


def deadline(state: "State"):
    """Return the ms at which a ("tick",) is due, None while nothing is."""
    due = [at for at, _ in _due(state)]
    return min(due) if due else None


def step(site, state: "State", event: tuple, now_ms: int):
    """Return (new state, effects) after `event` at `now_ms`; what fell due before it happens first.

    `site` is config.parse's result. A pair (state, event) that the table lacks changes nothing. Raises KeyError for
    an unknown event.
    """
    effects = []
    due = _due(state)
    while due and min(due)[0] <= now_ms:
        state = _expire(site, state, min(due), now_ms, effects)
        due = _due(state)
    state = EVENTS[event[0]](site, state, event, now_ms, effects)
    return state, tuple(effects)


# Every handler: (site, state, event, now_ms, effects) -> state; it appends to `effects`. Its docstring is the text
# in docs/rules.md.


def _by_state(site, state, event, now_ms, effects):
    """look up (state, event) in the table of the lane"""
    handler = STEPS.get((_table_name(state), event[0]))
    return handler(site, state, event, now_ms, effects) if handler else state


def _open_for_card(site, state, event, now_ms, effects):
    """open for the card: pulse, `passage_s` begins (15 s if slow)"""
    return _open(site, state, event[1:], False, now_ms, effects)


def _grant_while_open(site, state, event, now_ms, effects):
    """the same card in the same direction: a new pulse, `passage_s` begins again; any other waits"""
    if busy(state, event[1], event[2]):
        effects.append(("wait",))
        return state
    return _open(site, state, event[1:], False, now_ms, effects)


def _grant_in_fault(site, state, event, now_ms, effects):
    """out: open, the position of the card becomes unknown; in: not taken"""
    _, direction, key, _, _, slow = event
    if direction == "in":
        effects.append(("wait",))
        return state
    effects.append(("forget", key))
    return _open(site, state, (direction, None, 0, 0, slow), False, now_ms, effects)


def _passage_while_open(site, state, event, now_ms, effects):
    """in the direction of the opening: confirmed, locked; against it: `forced`, the opening stays"""
    direction = event[1]
    o = state.opening
    if o.direction != direction:
        effects.append(("alarm", "forced", direction))
        return _with(state, passage_ms=now_ms)
    effects.append(("passage", direction, o.key, o.cls, o.party))
    missed = tuple([None if m and m[1] == o.key else m for m in state.missed])
    state = _with(state, opening=None, locked_ms=now_ms, passage_ms=now_ms, missed=missed)
    return _serve_guard(site, state, now_ms, effects)


def _passage_while_locked(site, state, event, now_ms, effects):
    """within `tailgate_s` of a passage that locked the lane: `tailgate`; up to 10 s after `no_passage` in this
    direction, and not within `tailgate_s` of another passage: late passage of the latest such card; else `forced`"""
    direction = event[1]
    side = _side(direction)
    missed = state.missed[side]
    if _within(site.tailgate_s, state.locked_ms, now_ms):
        effects.append(("alarm", "tailgate", direction))
    elif (
        missed
        and now_ms - missed[0] <= _LATE_MS
        and not is_fault(state)
        and not _within(site.tailgate_s, state.passage_ms, now_ms)
    ):
        effects.append(("late_passage", direction) + missed[1:])
        state = _with(state, missed=_put(state.missed, side, None))
    else:
        effects.append(("alarm", "forced", direction))
    return _with(state, passage_ms=now_ms)


def _guard_opens(site, state, event, now_ms, effects):
    """one opening, bound to the listed card tapped last in this direction up to 10 s ago"""
    return _override(site, state, event[1], _bound(state, event[1], now_ms), now_ms, effects)


def _guard_waits(site, state, event, now_ms, effects):
    """the press waits until the lane locks; what it binds is judged now"""
    direction = event[1]
    presses = state.presses + ((direction, _bound(state, direction, now_ms)),)
    return _with(state, presses=presses[:_PRESSES])


def _guard_in_free(site, state, event, now_ms, effects):
    """both directions are open already: recorded, moves nobody"""
    effects.append(("override", event[1], None, 0, 0))
    return state


# (state, event) -> handler. `fault` here is a lane in fault without an unfinished opening; with one it follows the
# rows of that opening. A pair that is absent changes nothing: in `free` taps and passages move nobody.
STEPS = {
    ("locked", "grant"): _open_for_card,
    ("open_in", "grant"): _grant_while_open,
    ("open_out", "grant"): _grant_while_open,
    ("fault", "grant"): _grant_in_fault,
    ("locked", "passage"): _passage_while_locked,
    ("open_in", "passage"): _passage_while_open,
    ("open_out", "passage"): _passage_while_open,
    ("fault", "passage"): _passage_while_locked,
    ("locked", "guard"): _guard_opens,
    ("open_in", "guard"): _guard_waits,
    ("open_out", "guard"): _guard_waits,
    ("fault", "guard"): _guard_opens,
    ("free", "guard"): _guard_in_free,
}


def _tapped(site, state, event, now_ms, effects):
    """remember the listed card tapped last in this direction"""
    return _with(state, taps=_put(state.taps, _side(event[1]), (now_ms,) + event[2:]))


def _sensed(site, state, event, now_ms, effects):
    """on: a passage (unless this sensor is stuck); on for 15 s: `sensor_stuck`; then off for 1 s: it ends"""
    _, direction, on = event
    side = _side(direction)
    was_on, _, stuck = state.sensors[side]
    if not site.passage_sensor or on == was_on:
        return state
    state = _with(state, sensors=_put(state.sensors, side, (on, now_ms, stuck)))
    if on and not stuck:
        state = _by_state(site, state, ("passage", direction), now_ms, effects)
    return state


def _mode_set(site, state, event, now_ms, effects):
    """`free` holds both directions; its end releases them and makes all positions unknown"""
    return _hold(state, _with(state, mode=event[1]), effects)


def _fire_changed(site, state, event, now_ms, effects):
    """fire is `free` whatever the mode; when it clears, the earlier mode returns at once"""
    fire = event[1]
    if fire == state.fire:
        return state
    effects.append(("alarm" if fire else "alarm_end", "fire", ""))
    return _hold(state, _with(state, fire=fire), effects)


def _ticked(site, state, event, now_ms, effects):
    """nothing more than what fell due"""
    return state


# Events and who answers them; `_by_state`: by the state of the lane, in STEPS.
EVENTS = {
    "grant": _by_state,
    "guard": _by_state,
    "tap": _tapped,
    "sensor": _sensed,
    "mode": _mode_set,
    "fire": _fire_changed,
    "tick": _ticked,
}


def _table_name(state):
    if is_free(state):
        return "free"
    if state.opening:
        return "open_" + state.opening.direction
    return "fault" if is_fault(state) else "locked"


def _with(state, **changes):
    return State(*[changes.get(f, state[i]) for i, f in enumerate(_FIELDS)])


def _side(direction):
    return 0 if direction == "in" else 1


def _put(pair, side, value):
    return (pair[0], value) if side else (value, pair[1])


def _within(seconds, since_ms, now_ms):
    return since_ms is not None and now_ms - since_ms < int(seconds * 1000)


def _bound(state, direction, now_ms):
    """Return (key, cls, party, slow) of the card that a press now binds, or None."""
    tap = state.taps[_side(direction)]
    return tap[1:] if tap and now_ms - tap[0] <= _BIND_MS else None


def _override(site, state, direction, bound, now_ms, effects):
    card = bound or (None, 0, 0, False)
    effects.append(("override", direction) + card[:3])
    return _open(site, state, (direction,) + card, True, now_ms, effects)


def _serve_guard(site, state, now_ms, effects):
    """Open for the press that waited longest."""
    if not state.presses:
        return state
    direction, bound = state.presses[0]
    return _override(site, _with(state, presses=state.presses[1:]), direction, bound, now_ms, effects)


def _open(site, state, card, guard, now_ms, effects):
    direction, key, cls, party, slow = card
    effects.append(("pulse", direction))
    open_ms = int((max(_SLOW_S, site.passage_s) if slow else site.passage_s) * 1000)
    if not site.passage_sensor:
        # The pulse is the passage; the lane stays busy while it lasts.
        if key is not None:
            effects.append(("passage", direction, key, cls, party))
        key, open_ms = None, site.pulse_ms
    return _with(state, opening=Opening(direction, key, cls, party, guard, now_ms + open_ms))


def _hold(old, state, effects):
    was, now = is_free(old), is_free(state)
    if now and not was:
        effects.append(("hold",))
        return _with(state, opening=None, presses=(), missed=(None, None))
    if was and not now:
        effects.append(("release",))
    if (old.fire and not state.fire) or (old.mode == "free" and state.mode != "free"):
        effects.append(("forget_all",))
    return state


def _due(state):
    """Return a list of (at_ms, side): side 0 or 1 for a sensor, 2 for the opening."""
    due = []
    for side, (on, since_ms, stuck) in enumerate(state.sensors):
        if on and not stuck:
            due.append((since_ms + _STUCK_MS, side))
        elif stuck and not on:
            due.append((since_ms + _QUIET_MS, side))
    if state.opening:
        due.append((state.opening.until_ms, 2))
    return due


def _expire(site, state, due, now_ms, effects):
    at_ms, side = due
    if side < 2:
        on, since_ms, stuck = state.sensors[side]
        effects.append(("alarm_end" if stuck else "alarm", "sensor_stuck", "out" if side else "in"))
        return _with(state, sensors=_put(state.sensors, side, (on, since_ms, not stuck)))
    o = state.opening
    state = _with(state, opening=None)
    if o.key is not None and not o.guard:
        effects.append(("no_passage", o.direction, o.key, o.cls, o.party))
        state = _with(state, missed=_put(state.missed, _side(o.direction), (at_ms, o.key, o.cls, o.party)))
    return _serve_guard(site, state, now_ms, effects)
