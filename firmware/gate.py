"""What happens at the gate: a tap is decided, journalled, opens the lane; a passage moves a card.

Owns the state of one gate (site, list, journal, positions, lane, alarms) and carries out the effects that
the pure modules return. Synchronous: it is called with what happened and returns; app.py owns the tasks that
call it, boot.py brings it into service. A fault that keeps the gate from deciding is kept in `fault`: then
every tap in is denied and every tap out opens.
"""

import sys

from micropython import const

from . import crypto, lane, policy, release
from .clock import Clock
from .errors import BusError, CardError, PinterError, ProofFailed, StoreError
from .policy import ALARMS, DIRECTIONS, IN, OUT, REASONS
from .presence import INSIDE, last_reset
from .records import unpack_credential
from .repeats import Storm

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .allowlist import Allowlist
    from .config import Site
    from .hardware import Hardware
    from .journal import Journal
    from .lane import State
    from .presence import Presence
    from .proofs import Proofs
    from .repeats import Repeats
    from .update import Update

_STALE_S = const(7200)  # a list that expires sooner raises `list_stale`
_UNAUTHENTICATED = const(4)  # marks, as in records.py
_CONTRARY = const(2)
_SIGNED = const(1)
_RANDOM_UID = const(0x08)  # first byte of a 4-byte random number, ISO/IEC 14443-3 6.5.4


class Gate:
    """One gate over its hardware (hardware.Hardware). Reader and lane directions: 0 in, 1 out."""

    if _TYPE_CHECKING:  # what boot.boot makes
        site: Site
        presence: Presence
        lane: State
        _repeats: "tuple[Repeats, Repeats]"

    def __init__(self, hardware: "Hardware"):
        self.hardware = hardware
        self.clock = Clock(hardware.rtc)
        self.fault = ""
        self.list: "Allowlist | None" = None
        self.journal: "Journal | None" = None
        self.alarms = {}  # (kind, direction) of those that are on
        self._site_key = b""
        self._storm = Storm()
        # By reader: the number of the card that was decided and is still in the field; (uid, policy.Tap) of
        # a grant that waits for the lane.
        self._held: "list[bytes | None]" = [None, None]
        self.torn: "list[bytes | None]" = [None, None]  # a card whose proof is to be tried once more
        self._waiting: "list[tuple[bytes, policy.Tap] | None]" = [None, None]
        self._due_ms = None  # when the lane wants a tick
        self._reset_at = 0
        self._lost = 0  # journal records whose loss was alarmed
        self._mode = 0  # index into policy.MODES, as the office set it last
        self.command_nonce = bytes(8)  # of the office's command that was carried out last
        self.session = None  # sync.Session, where there is a link
        self.update: "Update | None" = None  # a release of the firmware on its way
        self._proofs: "Proofs | None" = None

    # The list

    def list_applied(self) -> None:
        """Journal that another list is in force."""
        assert self.list
        self.record("list_applied", key=self.list.seq.to_bytes(8, "big"))
        self.clock.raise_floor(self.list.issued)
        self.end_alarm("bundle_rejected")

    def bundle_rejected(self, error) -> None:
        """Journal and alarm a list that was not what it should be; the last good one stays."""
        sys.print_exception(error)
        self.record("bundle_rejected")
        self.alarm_once("bundle_rejected")

    # Cards

    def cards(self, reader: int, uids) -> None:
        """Decide the tap of `reader`, in whose field are now `uids`, a newcomer among them."""
        ours = key = None
        verdict = "random_uid"
        for uid in uids:
            if len(uid) != 4 or uid[0] != _RANDOM_UID:
                verdict = None
            if self.fault or self.list is None:
                continue
            key = crypto.card_key(self._site_key, uid)
            credential = self.list.find(key)
            if credential is None and self.presence.position(key) != INSIDE:
                continue
            if ours:
                ours, verdict = None, "several_cards"
                break
            ours = uid, key, credential and unpack_credential(credential)
        if ours:
            uid, key, credential = ours
            self.tap(reader, uid, key, credential, None)
        elif verdict or self.fault or len(uids) > 1:
            self.tap(reader, uids[-1], None, None, verdict)
        else:
            self.tap(reader, uids[0], key, None, None)

    def tap(self, reader: int, uid, key, credential, verdict) -> None:
        """Decide one tap, unless the same card is still being held there, and do what follows."""
        if key is not None and uid == self._held[reader]:
            return
        self._held[reader] = key and uid
        direction = DIRECTIONS[reader + 1]
        tier, has_keys, is_broken = 0, False, bool(self.fault)
        try:
            if key is not None:
                tier, has_keys = self._prove(reader, uid, key)
        except ProofFailed as error:
            sys.print_exception(error)
            has_keys, verdict = True, "card_not_authentic"
        except (BusError, CardError) as error:
            # Nothing is known, so no decision. The next poll tries once more, if the card is still there.
            if self.torn[reader] == uid:
                self.torn[reader] = None
            else:
                self.torn[reader], self._held[reader] = uid, None
            if isinstance(error, BusError):
                raise
            return
        except Exception as error:  # noqa: BLE001 - as below
            sys.print_exception(error)
            is_broken = True
        self.torn[reader] = None
        tap = policy.Tap(
            direction,
            key,
            credential,
            verdict,
            tier,
            has_keys,
            "free" if lane.is_free(self.lane) else self.lane.mode,
            self.clock.now(),
            self.clock.trusted,
            bool(self.list and self.list.valid),
            self.list.expires if self.list else 0,
            lane.is_fault(self.lane),
            self.session is None or not self.session.connected,
        )
        try:
            decision = policy.error(direction) if is_broken else policy.decide(self.site, tap, self.presence)
        except Exception as error:  # noqa: BLE001 - a bug in the rules must not lock anybody in
            sys.print_exception(error)
            decision = policy.error(direction)
        now_ms = self.clock.uptime_ms()
        if self._repeats[reader].ignores(key, decision, now_ms):
            return
        self._waiting[reader] = None  # a second card in the field ends the wait of the first
        if decision.allow and lane.busy(self.lane, direction, key):
            self._waiting[reader] = uid, tap
            return
        self._give(reader, tap, decision, now_ms)

    def _give(self, reader, tap, decision, now_ms):
        """Journal the decision, then act on it."""
        key, credential = tap.key, tap.credential
        cls, party, slow = 0, 0, False
        if credential:
            cls, party = credential.cls, credential.party
            rule = self.site.classes[cls]
            slow = credential.slow or bool(rule and rule.slow)
        self._repeats[reader].note(key, decision, now_ms)
        if not self.record(
            "grant" if decision.allow else "deny",
            reader + 1,
            REASONS.index(decision.reason),
            cls,
            key,
            party,
            (decision.allow and (not tap.tier) * _UNAUTHENTICATED + decision.flagged * _CONTRARY)
            + (tap.tier == 1) * _SIGNED,
        ):
            decision = policy.error(tap.direction)
        if decision.allow and decision.reason != "free":
            if decision.reason == "error":
                if key:
                    self.presence.forget(key, tap.now)
                key, cls, party = None, 0, 0
            else:
                self.presence.grant(key, cls, party, tap.direction, tap.now)
            self.lane_event(("grant", tap.direction, key, cls, party, slow))
        if policy.binds(tap):
            self.lane_event(("tap", tap.direction, key, cls, party, slow))
        self.hardware.feedback.show(
            "grant" if decision.allow else "deny" if tap.direction == IN else "call_guard"
        )
        if decision.alarm:
            self.alarm(decision.alarm, reader + 1, cls, tap.key, party)
        if self._storm.note(decision.reason, now_ms):
            self.alarm("card_storm", reader + 1)

    def _prove(self, reader, uid, key):
        """Return (tier that the card proved, whether the list has keys for it). In `free` nobody is asked."""
        entry = None
        if self.list and not lane.is_free(self.lane):
            entry = self.list.find_card_key(key)
        if not entry:
            return 0, False
        hardware = self.hardware
        return self.proofs().check(hardware.readers[reader], hardware.chips[reader], uid, bytes(entry)), True

    def proofs(self) -> "Proofs":
        """Return what lets cards prove themselves. Raises ConfigError without a gate key."""
        if self._proofs is None:
            from .proofs import Proofs

            self._proofs = Proofs(self.hardware.secret("gate_key"), self.site.site, self.record)
        return self._proofs

    def present(self, reader: int, uids) -> None:
        """The field of `reader` changed: `uids` are there now. To be told before their tap is decided."""
        if self._held[reader] not in uids:
            self._held[reader] = None
        if self.torn[reader] not in uids:
            self.torn[reader] = None
        waiting = self._waiting[reader]
        if waiting and waiting[0] not in uids:
            self._decide_waiting(reader, False)

    def _decide_waiting(self, reader, is_there):
        _, tap = self._waiting[reader]
        self._waiting[reader] = self._held[reader] = None
        if is_there:
            self.cards(reader, self.hardware.readers[reader].uids)
        else:
            self._give(reader, tap, policy.BUSY, self.clock.uptime_ms())

    # Lane

    def lane_event(self, event) -> None:
        """Let the lane take a step, carry out its effects, and decide a tap that waited for it to lock."""
        self.lane, effects = lane.step(self.site, self.lane, event, self.clock.uptime_ms())
        self._due_ms = lane.deadline(self.lane)
        self._carry_out(effects)
        for reader in (0, 1):
            if self._waiting[reader] and self.lane.opening is None:
                self._decide_waiting(reader, True)

    def tick(self) -> None:
        """Tell the lane that time has passed, if it waits for that."""
        if self._due_ms is not None and self._due_ms <= self.clock.uptime_ms():
            self.lane_event(("tick",))

    def _carry_out(self, effects):
        for effect in effects:
            kind = effect[0]
            if kind == "pulse":
                self.hardware.relays[effect[1] == OUT].pulse(self.site.pulse_ms)
            elif kind == "hold" or kind == "release":
                for relay in self.hardware.relays:
                    relay.hold() if kind == "hold" else relay.release()
                self.hardware.feedback.show("free" if kind == "hold" else "fault" if self.fault else "idle")
            elif kind == "alarm":
                self.alarm(effect[1], DIRECTIONS.index(effect[2]))
            elif kind == "alarm_end":
                self.end_alarm(effect[1], DIRECTIONS.index(effect[2]))
            elif kind == "forget":
                if effect[1]:
                    self.presence.forget(effect[1], self.clock.now())
            elif kind == "forget_all":
                self._forget_all()
            else:  # override, passage, no_passage, late_passage
                self._moved(*effect)

    def _moved(self, kind, direction, key, cls, party):
        self.record(kind, DIRECTIONS.index(direction), 0, cls, key, party)
        if key is None or kind == "override":
            return
        if kind == "no_passage":
            self.presence.ended(key)
            return
        alarm = self.presence.confirm(key, direction, cls, party, self.clock.now())
        if alarm:
            self.alarm(alarm, DIRECTIONS.index(direction), cls, key, party)

    # Journal and alarms

    def alarm(self, kind: str, direction: int = 0, cls: int = 0, key=None, party: int = 0) -> None:
        """Raise an alarm: journalled each time its cause occurs; it stays on until it ends."""
        self.alarms[kind, direction] = True
        self.record("alarm", direction, ALARMS.index(kind), cls, key, party)

    def alarm_once(self, kind: str, direction: int = 0) -> None:
        """Raise an alarm unless it is on: for causes that are looked at again and again."""
        if (kind, direction) not in self.alarms:
            self.alarm(kind, direction)

    def end_alarm(self, kind: str, direction: int = 0) -> None:
        """End an alarm whose cause has gone; nothing if it was not on."""
        if self.alarms.pop((kind, direction), None):
            self.record("alarm_end", direction, ALARMS.index(kind))

    def record(self, kind, direction=0, reason=0, cls=0, key=None, party=0, marks=0, unix=0) -> bool:
        """Append to the journal, as of now or of the Unix time `unix`; return whether it could be written."""
        if self.journal is None:
            return bool(self.fault)  # without a key there is no journal, and the fault says so
        now_ms = unix * 1000 or self.clock.now_ms()
        try:
            self.journal.append(
                kind,
                direction,
                reason,
                cls,
                key,
                party,
                now_ms // 1000,
                now_ms % 1000,
                not self.clock.trusted,
                marks,
            )
            return True
        except StoreError as error:
            sys.print_exception(error)
            self.alarms["fault", 0] = True
            return False

    def _forget_all(self, due=0):
        """Make all positions unknown as of now, or of `due` (Unix time): what others tell of later counts."""
        self._reset_at = due or self.clock.now()
        still = self.presence.forget_all(self._reset_at)
        self.record("reset", party=still, unix=due)
        return still

    def daily_reset(self) -> None:
        """Make the daily reset, if time is trusted and one is due since the last that was made."""
        due = self.clock.trusted and last_reset(
            self.site.presence_reset, self.site.utc_offset_min, self.clock.now()
        )
        if due and due > self._reset_at:
            still = self._forget_all(due)
            if still:
                self.alarm("still_inside", party=still)

    # Now and then

    def housekeep(self) -> None:
        """Do what is due once a second: daily reset, ageing list, journal that nobody fetches."""
        now = self.clock.now()
        if self.fault or self.list is None or self.journal is None:
            return
        self.daily_reset()
        if self.clock.trusted:
            if self.list.valid:
                if now < self.list.expires - _STALE_S:
                    self.end_alarm("list_stale")
                else:
                    self.alarm_once("list_stale")
        journal = self.journal
        if journal.lost > self._lost:
            self._lost = journal.lost
            self.alarm("journal_lost")
        if journal.undelivered * 10 >= journal.capacity * 9:
            self.alarm_once("journal_90")
        else:
            self.end_alarm("journal_90")
            self.end_alarm("journal_lost")

    def work(self) -> bool:
        """Do one piece of what can wait, with at most one erase; return True if the next should follow soon.

        A merge of the list, spare journal sectors: while no card is in a field and no lane is open, unless it
        cannot wait any longer.
        """
        credentials = self.list
        if self.fault or credentials is None or self.journal is None:
            return False
        is_quiet = self.lane.opening is None and not any(reader.uids for reader in self.hardware.readers)
        is_busy = False
        try:
            is_busy = credentials.work(is_quiet)
        except PinterError as error:  # the list in force goes on, with its deltas
            sys.print_exception(error)
            self.alarm_once("fault")
        if not credentials.busy:
            release("slots")
        if is_busy:
            return is_quiet or credentials.urgent
        if self.update and is_quiet and self.update.work():
            return True
        return is_quiet and self.journal.idle()
