"""An office in memory: what `session.Office` asks for, and what people do at the desk.

Owns the list and its numbers, copies of journals, movements, commands and alarms of one site, as long as the
process lives. It knows no network and no rules of the desk: it does as it is told.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from firmware import records
from firmware.presence import last_reset
from tools.office import bundle, cardkeys
from tools.office.chain import JournalCopy
from tools.office.session import Command, Movement

DAY_S = 86400
LIFE_S = DAY_S  # of a list, rules.md
FRESH_S = LIFE_S - 3600  # a gate that connects gets a new life only if the list is older than an hour
COMMAND_S = 3600  # life of a command
CHANGES_PER_SEQ = 20  # so that every step of the list fits one frame, card keys included
DELTA_MAX = 1000  # changed cards; a gate that misses more gets a snapshot

_NO_SECRETS: Mapping[bytes, bytes] = MappingProxyType({})


@dataclass
class GateState:
    """What the office has of one gate; `number` for the others."""

    key: bytes
    number: int
    confirmed: int = 0  # list that it said it has
    journals: dict[bytes, JournalCopy] = field(default_factory=dict)
    staged: list[Movement] = field(default_factory=list)  # not yet for the other gates
    unsure: list[Movement] = field(default_factory=list)  # stamped by a clock that was not trusted
    commands: list[Command] = field(default_factory=list)


class MemoryOffice:
    """The office of `site`. `presence_reset` (minutes after midnight, None = never), `utc_offset_min`: its
    config.

    `credentials`: the list by card key; `alarms`: (gate, kind, text) in the order in which they were raised.
    Times are Unix seconds.
    """

    def __init__(self, site: str, presence_reset: int | None = 0, utc_offset_min: int = 420) -> None:
        self.site = site
        self.credentials: dict[bytes, records.Credential] = {}
        self.issued = self.expires = 0
        self.renewing = True
        self.alarms: list[tuple[str, str, str]] = []
        self._reset = presence_reset, utc_offset_min
        self._gates: dict[str, GateState] = {}
        self._seq = 0
        self._changed: dict[bytes, int] = {}  # number of the list that changed a card last
        self._secrets: dict[bytes, bytes] = {}  # of cards that prove themselves
        self._keyed: dict[bytes, int] = {}  # number of the list that brought a card's secret
        self.releases: dict[str, tuple[int, bytes]] = {}  # that gates should get: number and bytes
        self.running: dict[str, tuple[int, int]] = {}  # what they say of the last one that they know of
        self._floor = 0  # lists before this one are brought up by a snapshot
        self._steps: dict[int, list[bundle.Change]] = {}  # changes since a list, for list `_steps_to`
        self._steps_to = 0
        self._movements: list[Movement] = []
        self._nonce = 0

    # The desk

    def add_gate(self, name: str, key: bytes) -> None:
        """Add a gate, or give one that was reset or replaced its new key."""
        number = self._gates[name].number if name in self._gates else len(self._gates) + 1
        self._gates[name] = GateState(key, number)

    def start_list(
        self,
        credentials: Iterable[records.Credential],
        issued: int,
        expires: int,
        secrets: Mapping[bytes, bytes] = _NO_SECRETS,
    ) -> None:
        """Begin with this list as number 1; gates get it as a snapshot. `secrets` as `put`."""
        self.credentials = {credential.key: credential for credential in credentials}
        self._steps = {}
        _refuse_lonely(secrets, self.credentials)
        self._take_secrets(secrets, 1)
        self._seq = self._floor = 1
        self.issued, self.expires = issued, expires

    def put(
        self,
        credentials: Iterable[records.Credential],
        now_s: float,
        secrets: Mapping[bytes, bytes] = _NO_SECRETS,
    ) -> None:
        """Add cards to the list or change them.

        `secrets`: what gates are told of cards that prove themselves (`cardkeys.secret`), 16 bytes by card
        key. A card keeps its secret until another one comes or it is purged. Raises ValueError for the
        secret of a card that is not among `credentials`.
        """
        credentials = list(credentials)
        _refuse_lonely(secrets, {credential.key for credential in credentials})
        self._live(now_s)
        for i, credential in enumerate(credentials):
            self._seq += i % CHANGES_PER_SEQ == 0
            self.credentials[credential.key] = credential
            self._changed[credential.key] = self._seq
            if credential.key in secrets:
                self._take_secrets({credential.key: secrets[credential.key]}, self._seq)

    def issue(
        self, credential: records.Credential, now_s: float, secrets: Mapping[bytes, bytes] = _NO_SECRETS
    ) -> None:
        """Bind a card to a visit: where it is becomes unknown. `secrets` as `put`."""
        self.put([credential], now_s, secrets)
        self._forget(credential.key, now_s)

    def revoke(self, key: bytes, now_s: float) -> None:
        """Block a card. Raises KeyError if it is not listed."""
        self.put([self.credentials[key]._replace(blocked=True)], now_s)

    def take_back(self, key: bytes, now_s: float) -> None:
        """Block a card that was returned or lost: where it is becomes unknown. Raises KeyError."""
        self.revoke(key, now_s)
        self._forget(key, now_s)

    def purge(self, keys: Iterable[bytes], now_s: float) -> None:
        """Drop cards from the list for good: every gate gets a snapshot."""
        for key in keys:
            self.credentials.pop(key, None)
            self._changed.pop(key, None)
            self._secrets.pop(key, None)
            self._keyed.pop(key, None)
        self._live(now_s)
        self._seq += 1
        self._floor = self._seq

    def expire_list(self, now_s: float) -> None:
        """Let the list expire now, for all gates, and renew it no more."""
        self.renewing = False
        self._seq += 1
        self.issued, self.expires = min(self.issued, int(now_s) - 1), int(now_s)

    def command(self, gate: str, name: str, argument: str, now_s: float) -> bytes:
        """Order a command for a gate; return its nonce.

        Raises KeyError for a gate that does not exist, ValueError for words that no command has.
        """
        if not (name + argument).isascii() or " " in name + argument or len(name + argument) > 200:
            raise ValueError("a command is two words of ASCII")
        self._nonce = max(self._nonce + 1, int(now_s) << 32)
        nonce = self._nonce.to_bytes(8, "big")
        self._gates[gate].commands.append(Command(nonce, name, argument, int(now_s) + COMMAND_S))
        return nonce

    def journal_alarms(self, gate: str) -> list[str]:
        """Return what was found wrong with the journals of a gate, in words."""
        return [text for name, kind, text in self.alarms if name == gate and kind.startswith("journal_")]

    def events(self, gate: str) -> list[records.Event]:
        """Return all events of a gate that count, journal after journal."""
        journals = self._gates[gate].journals.values()
        return [event for copy in journals for _, event in sorted(copy.events.items())]

    def confirmed(self, gate: str) -> int:
        """Return the number of the list that `gate` said it has."""
        return self._gates[gate].confirmed

    # For the sessions: session.Office

    def gate_key(self, gate: str) -> bytes:
        """Return the gate's key."""
        return self._gates[gate].key

    def gate_number(self, gate: str) -> int:
        """Return the gate's number; 0 for the desk."""
        return self._gates[gate].number if gate else 0

    def list_seq(self) -> int:
        """Return the number of the list; 0 before there is one."""
        return self._seq

    def renew_list(self, now_s: float, connected: bool) -> None:
        """Give the list a new life at half of it, or if a gate `connected` and it is an hour old."""
        if self.renewing and self._seq and self.expires - now_s < (FRESH_S if connected else LIFE_S / 2):
            self._seq += 1
            self.issued, self.expires = int(now_s), int(now_s) + LIFE_S

    def delta(self, gate: str, have: int, room: int) -> bytes | None:
        """Return the next steps from list `have` on as a bundle of at most `room` bytes, or None."""
        changes = self._changes(have)
        if have < self._floor or len(changes) > DELTA_MAX:
            return None
        seq_to, taken = bundle.fitting(changes, self._seq, room)
        key = self.gate_key(gate)
        secrets = {change.credential.key: change.secret for change in taken if change.secret}
        return bundle.delta(
            self.site,
            gate,
            key,
            [change.credential for change in taken],
            have,
            seq_to,
            self.issued,
            self.expires,
            cardkeys.entries(key, secrets),
        )

    def _changes(self, have: int) -> list[bundle.Change]:
        """Return what changed since list `have`: most gates ask for the same."""
        if self._steps_to != self._seq:
            self._steps, self._steps_to = {}, self._seq
        if have not in self._steps:
            self._steps[have] = [
                bundle.Change(
                    seq, self.credentials[key], self._secrets[key] if self._keyed.get(key, 0) > have else None
                )
                for seq, key in sorted((seq, key) for key, seq in self._changed.items() if seq > have)
            ]
        return self._steps[have]

    def snapshot(self, gate: str) -> bytes:
        """Return the whole list as a bundle for `gate`."""
        key = self.gate_key(gate)
        return bundle.snapshot(
            self.site,
            gate,
            key,
            self.credentials.values(),
            self._seq,
            self.issued,
            self.expires,
            cardkeys.entries(key, self._secrets),
        )

    def list_confirmed(self, gate: str, seq: int, now_s: float) -> None:
        """Note that `gate` has list `seq`; an older one than before, or one to come, raises an alarm."""
        of = self._gates[gate]
        if seq < of.confirmed:
            self.alarm(gate, "list_rolled_back", f"has list {seq}, had {of.confirmed}")
        if self._seq < seq < 0xFFFFFFFF:
            self.alarm(gate, "office_rolled_back", f"has list {seq}, the office {self._seq}")
            self._live(now_s)
            self._seq = self._floor = seq + 1
        of.confirmed = seq

    def journal(self, gate: str, journal_id: bytes) -> JournalCopy:
        """Return the copy of a journal; a second one under the same key raises an alarm."""
        of = self._gates[gate]
        if journal_id not in of.journals:
            if of.journals:
                self.alarm(gate, "journal_replaced", f"begins journal {journal_id.hex()} under its old key")
            of.journals[journal_id] = JournalCopy(of.key, journal_id)
        return of.journals[journal_id]

    def take_events(self, gate: str, journal_id: bytes, first: int, raws: list[bytes]) -> None:
        """Keep records, raise an alarm for each that is wrong, and note who went through."""
        of = self._gates[gate]
        copy = self.journal(gate, journal_id)
        known = len(copy.faults)
        for event in copy.add(first, raws):
            self._note(of, gate, journal_id, event)
        for fault in copy.faults[known:]:
            self.alarm(gate, "journal_" + fault.kind, f"record {fault.seq}")

    def _note(self, of: GateState, gate: str, journal_id: bytes, event: records.Event) -> None:
        if event.type in ("passage", "late_passage") and any(event.key):
            move = Movement(
                event.key,
                event.direction & 15,
                event.cls,
                event.party,
                event.time,
                gate,
                journal_id,
                event.seq,
            )
            (of.unsure if event.untrusted else of.staged).append(move)
        elif event.type in ("clock", "boot"):
            # `clock`: what the clock showed before is in the field of the card key. After a restart nobody
            # can tell any more what time it was.
            step = event.time - int.from_bytes(event.key[:4], "big") if event.type == "clock" else 0
            of.staged += [move._replace(time=move.time + step) for move in of.unsure]
            of.unsure = []

    def publish(self, gate: str) -> None:
        """Append what `gate` had to tell to the movements, the newest last."""
        of = self._gates[gate]
        self._movements += of.staged
        of.staged = []

    def movements(self) -> Sequence[Movement]:
        """Return all movements since the office began."""
        return self._movements

    def movements_since_reset(self, now_s: float) -> int:
        """Return the index of the first movement of today."""
        reset = last_reset(*self._reset, int(now_s))
        for i, move in enumerate(self._movements):
            if reset is None or move.time > reset:
                return i
        return len(self._movements)

    def commands(self, gate: str, now_s: float) -> Sequence[Command]:
        """Return what is still to be carried out."""
        of = self._gates[gate]
        of.commands = [command for command in of.commands if command.expires > now_s]
        return of.commands

    def command_done(self, gate: str, nonce: bytes) -> None:
        """Strike a command off."""
        of = self._gates[gate]
        of.commands = [command for command in of.commands if command.nonce != nonce]

    def release(self, gate: str) -> tuple[int, bytes] | None:
        """Return the release that the gate should get now (session.Office)."""
        return self.releases.get(gate)

    def release_noted(self, gate: str, version: int, at: int, now_s: float) -> None:
        """Note what the gate says of a release (session.Office)."""
        self.running[gate] = version, at

    def alarm(self, gate: str, kind: str, text: str) -> None:
        """Keep the alarm."""
        self.alarms.append((gate, kind, text))

    def _take_secrets(self, secrets: Mapping[bytes, bytes], seq: int) -> None:
        for key, secret in secrets.items():
            if self._secrets.get(key) != secret:
                self._secrets[key] = secret
                self._keyed[key] = seq

    def _live(self, now_s: float) -> None:
        if not self.expires:
            self.issued, self.expires = int(now_s), int(now_s) + LIFE_S

    def _forget(self, key: bytes, now_s: float) -> None:
        self._movements.append(Movement(key, 0, 0, 0, int(now_s)))


def _refuse_lonely(secrets: Mapping[bytes, bytes], listed: Container[bytes]) -> None:
    for key in secrets:
        if key not in listed:
            raise ValueError(f"the secret of {key.hex()} comes without its credential")
