"""What the office can be watched by, for Prometheus (package `prometheus-client`).

Owns names and meanings of the figures; they are read from the books and the sessions when they are asked for.
Counters of events count from the beginning of the books, so a restart is no reset.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client import Counter as Rising
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from tools.office import eventlog, listing
from tools.office.db import models
from tools.office.db.engine import reading
from tools.office.folder import Folder
from tools.office.service import Live, LiveView

disable_created_metrics()  # when a figure began says nothing here
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The figures of the office in `folder`; `live` tells what gates do, None = not in this program."""

    def __init__(
        self, folder: Folder, engine: Engine, now: Callable[[], float], live: LiveView | None
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Books(folder, engine, now, live))
        self.acts = Histogram(
            "pinter_desk_seconds",
            "Time of an act at the desk, from the request to the commit.",
            ("act", "outcome"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.requests = Histogram(
            "pinter_http_request_seconds",
            "Time until the answer to a request began.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.unauthorised = Rising(
            "pinter_http_unauthorised", "Requests without a token that counts.", registry=self._registry
        )

    def text(self) -> bytes:
        """Return all figures in the text format. Raises BooksError."""
        return generate_latest(self._registry)


class _Books(Collector):
    def __init__(
        self, folder: Folder, engine: Engine, now: Callable[[], float], live: LiveView | None
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._now = now
        self._live = live
        self._lock = threading.Lock()
        self._counted = 0
        self._events: Counter[tuple[str, ...]] = Counter()
        self._taps: Counter[tuple[str, ...]] = Counter()

    def describe(self) -> list[Metric]:
        return []  # the books are not asked before somebody wants to know

    def collect(self) -> Iterator[Metric]:
        live = self._live() if self._live is not None else None
        with reading(self._engine) as db:
            found = [*self._of_books(db), *self._of_gates(db, live)]
        yield from found

    def _of_books(self, db: Session) -> Iterator[Metric]:
        state = db.execute(select(models.State)).scalar_one()
        yield _gauge("pinter_list_number", "Number of the list as it should be everywhere.", state.list_seq)
        yield _gauge("pinter_list_expires_timestamp_seconds", "When the list ends.", state.expires)
        occupancy, visits = listing.inside(db, self._folder, listing.reset(self._folder, self._now()))
        yield _gauge("pinter_occupancy", "People inside who count for the room.", occupancy)
        yield _gauge("pinter_inside", "Cards inside.", len(visits))
        yield _table(
            GaugeMetricFamily("pinter_cards", "Cards of the pool.", labels=("state",)),
            db.execute(select(models.Card.state, func.count()).group_by(models.Card.state)),
        )
        yield _table(
            CounterMetricFamily(
                "pinter_office_alarms", "Alarms that the office raised.", labels=("gate", "kind")
            ),
            db.execute(
                select(models.Alarm.gate, models.Alarm.kind, func.count()).group_by(
                    models.Alarm.gate, models.Alarm.kind
                )
            ),
        )
        yield CounterMetricFamily("pinter_acts", "Acts in the audit trail.", value=state.audit_seq)
        with self._lock:
            self._count(db, state.last_event)
            events, taps = dict(self._events), dict(self._taps)
        yield _table(
            CounterMetricFamily("pinter_events", "Journal records that count.", labels=("gate", "type")),
            ((*key, value) for key, value in events.items()),
        )
        yield _table(
            CounterMetricFamily(
                "pinter_taps", "Decisions at the gates.", labels=("gate", "direction", "outcome", "reason")
            ),
            ((*key, value) for key, value in taps.items()),
        )

    def _count(self, db: Session, upto: int) -> None:
        if upto < self._counted:  # older books were put back
            self._counted = 0
            self._events.clear()
            self._taps.clear()
        for gate, kind, direction, reason, count in eventlog.counts(db, self._counted, upto):
            self._events[gate, kind] += count
            if kind in ("grant", "deny"):
                self._taps[gate, direction, kind, reason] += count
        self._counted = upto

    def _of_gates(self, db: Session, live: dict[str, Live] | None) -> Iterator[Metric]:
        gates = listing.gates(db)
        behind = [(row["gate"], row["list"] - row["has_list"]) for row in gates]
        yield _per_gate("pinter_gate_list_behind", "Lists that a gate has not confirmed.", behind)
        now = int(self._now())
        waiting = [(row["gate"], len(listing.waiting(db, row["gate"], now))) for row in gates]
        yield _per_gate("pinter_gate_commands_waiting", "Commands that a gate has not had.", waiting)
        yield _gauge("pinter_gates", "Gates in the books.", len(gates))
        if live is None:
            return
        at_work = [(row["gate"], live[row["gate"]]) for row in gates if row["gate"] in live]
        online = [(gate, int(of.online)) for gate, of in at_work]
        yield _gauge("pinter_gates_online", "Gates heard in the last 10 s.", sum(up for _, up in online))
        yield _per_gate("pinter_gate_online", "1 = heard in the last 10 s.", online)
        heard = [(gate, of.heard_s) for gate, of in at_work if of.heard_s is not None]
        yield _per_gate("pinter_gate_heard_timestamp_seconds", "When a gate was heard last.", heard)
        kept = [(gate, undelivered(db, gate, of)) for gate, of in at_work]
        kept = [(gate, count) for gate, count in kept if count is not None]
        yield _per_gate("pinter_gate_undelivered", "Records that a gate has and the office has not.", kept)
        reports = [(gate, report_of(of)) for gate, of in at_work]
        skews = [(gate, of["time"] - of["at"]) for gate, of in reports if of and of.get("time") is not None]
        yield _per_gate("pinter_gate_clock_skew_seconds", "A gate's clock, less the office's.", skews)
        trusted = [(gate, int(of["trusted"])) for gate, of in reports if of and "trusted" in of]
        yield _per_gate("pinter_gate_clock_trusted", "1 = the gate can rely on its clock.", trusted)


def undelivered(db: Session, gate: str, live: Live) -> int | None:
    """Return how many records a gate has and the office has not, by its last signed frame."""
    if live.have is None:
        return None
    journal = db.get(models.Journal, (gate, live.have.journal_id))
    return max(0, live.have.seq - (journal.acknowledged if journal is not None else 0))


def report_of(live: Live) -> dict[str, Any] | None:
    """Return what of a gate's unsigned report has the right form, and when it came; None = no report."""
    if live.status is None or live.status_s is None or "time" not in live.status:
        return None  # the last will says nothing but that the gate is away
    found: dict[str, Any] = {"at": live.status_s}
    for name, kind in _REPORTED.items():
        value: Any = live.status.get(name)
        if type(value) is kind and (_is_word(value) if kind is str else 0 <= value < 1 << 53):
            found[name] = value
    alarms = live.status.get("alarms")
    if isinstance(alarms, list):
        found["alarms"] = [alarm for alarm in alarms[:50] if _is_word(alarm)]
    return found


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 64 and value.isprintable()


_REPORTED = {"time": int, "trusted": bool, "lane": str, "mode": str, "occupancy": int, "fault": str}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _per_gate(name: str, text: str, values: list[tuple[str, Any]]) -> Metric:
    return _table(GaugeMetricFamily(name, text, labels=("gate",)), values)


def _table(family: Any, rows: Any) -> Metric:
    for *labels, value in rows:
        family.add_metric([str(label) for label in labels], value)
    return family
