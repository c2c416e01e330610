"""The rollout of a release of the firmware: one gate, then a tenth of them, then all; it stops by itself.

Owns which gate should get the release now, and what became of it where. Three files in the office's folder,
in `updates/`: the release, `order.json` (what was ordered and by whom, written by the command), `state.json`
(what the gates said, written by the service). It signs nothing and checks no signature: gates do.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from firmware import packs
from firmware.errors import BundleError
from tools.office.session import CONFIRMED, REFUSED, TRIAL, WENT_BACK

FOLDER = "updates"
LATE_S = 1800  # a gate that was given the release and has not kept it by then is a failure
_ORDER, _STATE = "order.json", "state.json"
_ENDS = {REFUSED: "refused", WENT_BACK: "went back", TRIAL: "on trial", CONFIRMED: "runs"}
_SHARE = 0.1  # of the gates, second stage


class UpdateError(Exception):
    """A rollout that cannot be, or files of one that cannot be read; one line for the user."""


@dataclass(frozen=True)
class Order:
    """What was ordered. `stages`: names of gates; each stage begins when all before it run the release."""

    version: int
    text: str
    file: str
    stages: list[list[str]]
    actor: str
    time: int
    stopped: str = ""


@dataclass
class Progress:
    """What a gate said of the release: bytes of it or an end (session), and since when (Unix seconds)."""

    version: int
    at: int
    begun: int
    heard: int

    @property
    def words(self) -> str:
        """Return it for people."""
        return _ENDS.get(self.at, f"{self.at} bytes")


@dataclass
class State:
    """How far the rollout of `version` is. `failed`: why it stopped by itself, "" if it did not."""

    version: int = 0
    stage: int = 0
    failed: str = ""
    gates: dict[str, Progress] = field(default_factory=dict)


def stages(gates: Sequence[str], first: str | None = None) -> list[list[str]]:
    """Return the gates by stage: `first` (or the first by name), up to a tenth of all, the others."""
    names = sorted(gates)
    if not names:
        raise UpdateError("there is no gate")
    if first is not None and first not in names:
        raise UpdateError(f"there is no gate {first}")
    begin = first or names[0]
    names.sort(key=lambda name: name != begin)
    tenth = max(1, math.ceil(len(names) * _SHARE))
    return [part for part in (names[:1], names[1:tenth], names[tenth:]) if part]


def order(
    folder: Path, data: bytes, gates: Sequence[str], actor: str, now: int, first: str | None = None
) -> Order:
    """Begin the rollout of the release in `data`. Raises UpdateError while another one is under way."""
    try:
        header = packs.unpack_header(data)
    except BundleError as error:
        raise UpdateError(str(error)) from None
    if header.total != len(data):
        raise UpdateError(f"total: {len(data)} bytes of {header.total}")
    found = look_at(folder)
    if found.order and not found.order.stopped and not found.state.failed and not found.is_done:
        raise UpdateError(f"{found.order.version} {found.order.text} is being rolled out: stop it first")
    made = Order(header.version, header.text, f"{header.version}.pinter", stages(gates, first), actor, now)
    place = folder / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    _replace(place / made.file, data)
    _write(place / _STATE, asdict(State(made.version)))
    _write(place / _ORDER, asdict(made))
    return made


def stop(folder: Path, why: str) -> Order:
    """Stop the rollout: no further gate gets the release. Gates that run it go on."""
    found = look_at(folder)
    if found.order is None or found.order.stopped:
        raise UpdateError("no release is being rolled out")
    made = replace(found.order, stopped=why)
    _write(folder / FOLDER / _ORDER, asdict(made))
    return made


def look_at(folder: Path) -> "Updates":
    """Return the rollout in the office's `folder`. Raises UpdateError if its files cannot be read."""
    found = Updates(folder)
    if found.fault:
        raise UpdateError(found.fault)
    return found


class Updates:
    """The rollout in the office's folder. A service keeps one; others make one to look at it."""

    def __init__(self, folder: Path, alarm: Callable[[str, str, str], None] = lambda gate, kind, text: None):
        self._folder = folder / FOLDER
        self._alarm = alarm
        self._read_at = 0
        self._data = b""
        self.fault = ""  # why the files cannot be read: then no gate gets anything
        self.order: Order | None = None
        self.state = State()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was ordered since."""
        try:
            at = (self._folder / _ORDER).stat().st_mtime_ns
        except OSError:
            return
        if at == self._read_at:
            return
        try:
            self.order = Order(**_load(self._folder / _ORDER))
            raw = _load(self._folder / _STATE)
            gates = {name: Progress(**fields) for name, fields in raw.pop("gates").items()}
            self.state = State(**raw, gates=gates)
            self._data = (self._folder / self.order.file).read_bytes()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self.fault = f"{self._folder}: {error}"
            self.order = None
        else:
            self.fault = ""
        self._read_at = at

    @property
    def is_done(self) -> bool:
        """Return whether every gate runs the release."""
        return self.order is not None and self.state.stage >= len(self.order.stages)

    @property
    def stands(self) -> str:
        """Return where it is, in words."""
        if self.order is None:
            return "no release was rolled out"
        if self.state.failed:
            return f"stopped by itself: {self.state.failed}"
        if self.order.stopped:
            return f"stopped: {self.order.stopped}"
        if self.is_done:
            return "done"
        return f"stage {self.state.stage + 1} of {len(self.order.stages)}"

    def release(self, gate: str) -> tuple[int, bytes] | None:
        """Return (number, bytes) of the release if it is the turn of `gate`."""
        self.refresh()
        order, state = self.order, self.state
        if order is None or order.stopped or state.failed:
            return None
        if not any(gate in part for part in order.stages[: state.stage + 1]):
            return None
        known = state.gates.get(gate)
        if known and (known.version > order.version or known.at == TRIAL):
            return None  # it runs a newer one, or one that is not kept yet
        return order.version, self._data

    def noted(self, gate: str, version: int, at: int, now: int) -> None:
        """Take what `gate` says of a release, and see whether the rollout goes on or stops."""
        self.refresh()
        if self.order is None:
            return
        before = self.state.gates.get(gate)
        if before and before.version == version and before.at == at:
            return
        begun = before.begun if before and before.version == version and before.begun else 0
        if version == self.order.version and not begun:
            begun = now
        ends = before is None or at in _ENDS or before.at in _ENDS or version != before.version
        self.state.gates[gate] = Progress(version, at, begun, now)
        if version == self.order.version and at in (REFUSED, WENT_BACK):
            self._fail(gate, f"gate {gate}: {_ENDS[at]}")
        self.look(now)
        if ends:
            self._save()

    def look(self, now: int) -> None:
        """See whether the stage is over, or a gate has been silent for too long over the release."""
        order, state = self.order, self.state
        if order is None or order.stopped or state.failed:
            return
        for name, gate in state.gates.items():
            late = gate.begun and now - gate.begun > LATE_S
            if late and gate.version == order.version and gate.at != CONFIRMED:
                self._fail(name, f"gate {name}: {gate.words}, for {(now - gate.begun) // 60} minutes")
        while not state.failed and not self.is_done and all(map(self._runs, order.stages[state.stage])):
            state.stage += 1
            self._save()

    def _runs(self, gate: str) -> bool:
        assert self.order is not None
        known = self.state.gates.get(gate)
        return known is not None and known.at == CONFIRMED and known.version >= self.order.version

    def _fail(self, gate: str, text: str) -> None:
        if not self.state.failed:
            self.state.failed = text
            self._save()
            self._alarm(gate, "rollout_stopped", text)

    def _save(self) -> None:
        _write(self._folder / _STATE, asdict(self.state))


def _load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write(path: Path, value: dict[str, Any]) -> None:
    _replace(path, (json.dumps(value, indent=1) + "\n").encode())


def _replace(path: Path, data: bytes) -> None:
    """Write the file so that a power cut leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
