"""What the office says to a gate, carried out: time, commands, passages at other gates, cards issued or lost.

Owns how each of these is journalled, so that a restart knows it too. It is what sync.Session works on; loaded
only where there is a link. It trusts its caller: the session has checked every MAC and nonce.
"""

from . import release
from .policy import DIRECTIONS
from .presence import UNKNOWN


class Orders:
    """The office's side of one gate.Gate; the attributes and methods that sync.Session names. None raises."""

    def __init__(self, gate):
        self._gate = gate
        self.list = gate.list
        self.journal = gate.journal
        self.clock = gate.clock
        self.bundle_rejected = gate.bundle_rejected  # a list of the office was not what it should be

    @property
    def command_nonce(self) -> bytes:
        """Return the 8 bytes of the last command that was carried out, over restarts; zeros for none."""
        return self._gate.command_nonce

    def office_time(self, unix_ms: int) -> None:
        """Take the time of the office; a step back of more than 120 s is refused and alarmed.

        What was stamped by a clock that was not trusted gets its true time.
        """
        from .clock_set import take_time

        release("clock_set")
        take_time(self._gate, unix_ms, "office")

    def command(self, nonce: bytes, name: str, argument: str) -> bool:
        """Carry out `mode` (of policy.MODES), `open` ("in", "out"), `identify`, `reboot`, `acknowledge` (of
        policy.ALARMS); return False for others.
        """
        from .commands import carry_out

        release("commands")
        return carry_out(self._gate, nonce, name, argument)

    def remote(self, key: bytes, direction: str, cls: int, party: int, unix: int, number: int) -> None:
        """Learn of a passage confirmed at gate `number` of the site (0: here, before a restart) at `unix`."""
        gate = self._gate
        known = gate.presence.known(key)
        alarm = gate.presence.remote(key, direction, cls, party, unix, number)
        if gate.presence.known(key) != known:
            code = DIRECTIONS.index(direction) | min(number, 15) << 4
            gate.record("remote", code, 0, cls, key, party, unix=unix)
            if alarm:
                gate.alarm(alarm, 0, cls, key, party)
        elif alarm:
            gate.alarm_once(alarm)

    def forget(self, key: bytes, unix: int) -> None:
        """The card was issued, returned or lost at `unix`: its position is unknown, its visit over."""
        presence = self._gate.presence
        known = presence.confirmed_at(key)
        # In the same second it was told already, or passed before it was at the desk.
        if known < unix or (known == unix and presence.position(key) != UNKNOWN):
            presence.forget(key, unix, True)
            self._gate.record("reset", key=key, unix=unix)

    def list_changed(self, kind: str, seq: int) -> None:
        """A list of the office is in force: `kind` "snapshot" or "delta"."""
        self._gate.list_applied()
