"""Counts what happens while the gateway runs, for Prometheus: in memory, without any name."""

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector

from gateway.clock import Clock
from gateway.domain.jobs import JobKind
from gateway.domain.model import Operation
from gateway.ports import Confirmed, Exchange, NotSent, Outcome, Rejected, Unknown

_OUTCOMES = {Confirmed: "confirmed", Rejected: "rejected", Unknown: "unknown", NotSent: "not_sent"}
_RUN_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_COMMAND_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LATE_SECONDS = (1, 5, 15, 30, 60, 300, 900, 3600, 21600, 86400)
_MARGIN_MINUTES = (0, 15, 30, 60, 90, 105, 115, 120, 240, 720, 1440, 4320)


class PrometheusMeter:
    """A Meter that keeps what it has counted since the start, and the process's own figures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._runs = Counter(
            "gateway_reconciliations",
            "Reconciliations that have ended",
            ["status"],
            registry=self._registry,
        )
        for status in ("success", "failed"):  # a series that is missing cannot be compared with 0
            self._runs.labels(status)
        self._run_seconds = self._histogram(
            "gateway_reconciliation_duration_seconds", "How long they took", _RUN_SECONDS
        )
        self._commands = Counter(
            "gateway_lock_commands",
            "Commands to locks by what came of them",
            ["operation", "outcome"],
            registry=self._registry,
        )
        self._acknowledged = self._histogram(
            "gateway_lock_acknowledgement_seconds",
            "From a command to its acknowledgement by the hub or the lock",
            _COMMAND_SECONDS,
            "operation",
        )
        self._reported = self._histogram(
            "gateway_lock_report_seconds",
            "From a command to the lock's own report",
            _COMMAND_SECONDS,
            "operation",
        )
        for operation in Operation:
            self._acknowledged.labels(operation)
            self._reported.labels(operation)
            for outcome in _OUTCOMES.values():
                self._commands.labels(operation, outcome)
        self._margin = self._histogram(
            "gateway_pin_margin_minutes",
            "How long before check-in a door had confirmed its PIN; up to 0: not in time",
            _MARGIN_MINUTES,
        )
        self._late = self._histogram(
            "gateway_job_lateness_seconds",
            "From the moment at which a job was due to its start",
            _LATE_SECONDS,
            "kind",
        )
        for kind in JobKind:
            self._late.labels(kind)
        self._lag = self._histogram(
            "gateway_loop_lag_seconds", "How much too late the event loop woke", _LAG_SECONDS
        )

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *label: str
    ) -> Histogram:
        return Histogram(name, text, label, buckets=buckets, registry=self._registry)

    def reconciled(self, *, succeeded: bool, seconds: float) -> None:
        """See `Meter.reconciled`."""
        self._runs.labels("success" if succeeded else "failed").inc()
        self._run_seconds.observe(seconds)

    def operated(self, outcome: Outcome, exchange: Exchange) -> None:
        """See `Meter.operated`."""
        self._commands.labels(exchange.operation, _OUTCOMES[type(outcome)]).inc()
        if exchange.acknowledged is not None:
            self._acknowledged.labels(exchange.operation).observe(exchange.acknowledged)
        if exchange.reported is not None:
            self._reported.labels(exchange.operation).observe(exchange.reported)

    def confirmed(self, *, before_check_in: timedelta) -> None:
        """See `Meter.confirmed`."""
        self._margin.observe(before_check_in / timedelta(minutes=1))

    def started(self, kind: JobKind, *, late: timedelta) -> None:
        """See `Meter.started`."""
        self._late.labels(kind).observe(late.total_seconds())

    def families(self) -> Iterator[Metric]:
        """Everything that is counted."""
        for family in self._registry.collect():
            # when each series began is for OpenMetrics, which nobody asks us for
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family

    async def watch_loop(self, clock: Clock, pace: float) -> None:
        """Measure, every `pace` seconds until cancelled, how late the event loop wakes."""
        while True:
            began = clock.monotonic()
            await clock.sleep(pace)
            self._lag.observe(max(0.0, clock.monotonic() - began - pace))
