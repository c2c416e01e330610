"""Brings a gate into service: config, keys, stores, then positions, alarms and mode as the journal has them.

Owns the order of a start, and what a gate does that cannot start. Loaded at boot only.
"""

import gc
import json
import sys

from micropython import const

from . import lane, release
from .allowlist import Allowlist
from .clock_set import start_clock
from .errors import BundleError, ConfigError, PinterError, StoreError
from .flash import partition, secret
from .journal import Journal
from .policy import ALARMS, MODES, REASONS
from .presence import Presence
from .repeats import Repeats

release("flash")  # goes with this module

_OPENING_MS = const(300000)  # to go through a full journal takes long


def start(app) -> None:
    """Bring the gate of `app` (app.App) into service and start its tasks, a link if the config has one."""
    gate, add = app._gate, app._supervisor.add
    gate.hardware.make_watchdog(_OPENING_MS)  # instead of starter.py's, until that of health.py starts
    boot(gate)
    standing = _tell(app)
    network = gate.site.network
    if network and not gate.fault:
        from .link import Link

        add("link", Link(gate, app.told, app._on_link).run)
        gate.session.update = standing
        if network.sntp:
            from .sntp import Client

            add("sntp", Client(gate).run)
    if gate.site.display:
        from .display import fit

        add("display", fit(gate, gate.hardware.board).run)
    if gate.hardware.expander:
        from .expander import Watch

        add("expander", Watch(gate).run)
    add("inputs", app._watch_inputs)
    add("reader in", app._read, 0)
    add("reader out", app._read, 1)
    add("housekeeping", app._keep_house)


def _tell(app):
    """Tell of earlier boots; return what the office is told of the release that runs."""
    from .aftermath import standing, tell

    release("aftermath")
    tell(app)
    return standing(app.slot)


def boot(gate) -> None:
    """Bring `gate` (gate.Gate) into service, or into `fault` with the reason named. Raise nothing."""
    hardware = gate.hardware
    try:
        _configure(gate)
        if (gate.site.rtc or gate.site.display) and hardware.board.I2C_SDA is None:
            raise ConfigError("rtc" if gate.site.rtc else "display", "the board has no I2C bus")
        gate._site_key = secret("site_key")
        gate_key = secret("gate_key")
        gate.journal = Journal(partition("journal"), gate_key)
        gate.journal.open()
        gate._lost = gate.journal.lost
        gate.list = Allowlist(partition("list"), gate_key, gate.site.site, gate.site.gate)
        gate.list.open()
        release("recover")
    except PinterError as error:
        gate.fault = str(error)
    if gate.fault:
        # Nothing of the config is believed: the defaults open and shut.
        _configure(gate, {"site": "none", "gate": "none", "board": "none"})
    site = gate.site
    start_clock(
        gate.clock,
        max(gate.journal.newest_time if gate.journal else 0, gate.list.issued if gate.list else 0),
        _battery_rtc(hardware) if site.rtc else None,
    )
    release("clock_set")
    gate.presence = Presence(site.classes, site.positions_max)
    if gate.journal:
        _replay(gate)
    gate._repeats = (Repeats(site.repeat_s), Repeats(site.repeat_s))
    fire = bool(hardware.fire.is_active)
    gate.lane, effects = lane.initial(
        "out_of_service" if gate.fault else MODES[gate._mode],
        fire,
        gate.clock.uptime_ms(),
        *[site.passage_sensor and bool(sensor.is_active) for sensor in hardware.sensors],
        *[("sensor_stuck", direction) in gate.alarms for direction in (1, 2)],
    )
    gate._due_ms = lane.deadline(gate.lane)
    gate.record("boot", reason=hardware.reset_cause)
    if ("fire", 0) in gate.alarms and not fire:
        gate._forget_all()  # it ended while there was no power
    for kind, is_on in (
        ("fire", fire),
        ("tamper", bool(hardware.tamper.is_active)),
        ("fault", bool(gate.fault)),
    ):
        gate.alarm_once(kind) if is_on else gate.end_alarm(kind)
    if not gate.fault:
        _load_list(gate)
        gate.daily_reset()  # what fell into the time without power comes before the first card
        if gate.list.keys or any(rule and rule.min_tier for rule in site.classes):
            gate.proofs()  # this and the next line load what the first card would wait for
            hardware.chips[0].frames()
    gate._carry_out(effects)


def _battery_rtc(hardware):
    from .battery_rtc import fit  # loaded only where there is one

    return fit(hardware)


def _configure(gate, settings=None):
    from . import config  # used once, let go at once

    try:
        if settings is None:
            with open("config.json") as file:
                settings = json.load(file)
        gate.site = config.parse(settings)
    except OSError:
        raise ConfigError("config.json", "is missing: provision the board")
    except ValueError:
        raise ConfigError("config.json", "is not JSON")
    finally:
        release("config")
        gc.collect()


def _replay(gate):
    """Go through the journal: what it says of positions, alarms, the mode and the last command."""
    from .replay import replay

    newest = 0
    for event in gate.journal.events():
        newest = max(newest, event.time)
        if event.type == "alarm":
            gate.alarms[ALARMS[event.reason], event.direction & 15] = True
        elif event.type == "alarm_end":
            gate.alarms.pop((ALARMS[event.reason], event.direction & 15), None)
            if ALARMS[event.reason] == "clone" and gate._proofs:
                gate._proofs.lift()
        elif event.type == "reset" and not any(event.key):
            gate._reset_at = event.time
        elif event.type == "mode":
            gate._mode = event.reason
            gate.command_nonce = event.key
        elif event.type == "command":
            gate.command_nonce = event.key
        elif event.type == "counter":
            gate.proofs().note(event.key, event.party)
        replay(gate.presence, event, REASONS[event.reason] if event.reason < len(REASONS) else "")
    gate.clock.raise_floor(newest)  # passages of other gates are older than what stands before them
    gate.presence.settle(gate.clock.now())
    release("journal_open")
    release("replay")


def _load_list(gate):
    """Apply the bundle on the file system, if it is newer; a bad one is refused and journalled."""
    try:
        with open("list.bundle", "rb") as file:
            # An older one stays there while the office goes on over the link.
            if not 0 < int.from_bytes(file.read(40)[36:], "big") < gate.list.seq:
                file.seek(0)
                if gate.list.load(file):
                    gate.list_applied()
    except OSError:
        pass  # no file: nothing new
    except BundleError as error:
        gate.bundle_rejected(error)
    except StoreError as error:
        sys.print_exception(error)
        gate.alarm_once("fault")
    release("slots")
