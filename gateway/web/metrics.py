"""`GET /metrics`: how the gateway is doing, for Prometheus, without names and without a token."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.clock import Clock
from gateway.domain.jobs import JobKind
from gateway.domain.model import Evidence
from gateway.domain.status import PinStatus
from gateway.errors import StoreError
from gateway.store import backup
from gateway.store.condition import CONDITIONS
from gateway.store.database import Database
from gateway.store.figures import Figures, figures
from gateway.web.meter import PrometheusMeter

_REST_SECONDS = 5.0  # whoever asks sooner than that again gets the same answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """How the gateway is doing in memory. `reachable`: of each lock, None while it is not known."""

    ready: bool
    clock_trusted: bool
    reachable: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    database_bytes: int
    free_bytes: int
    backups: int
    newest_backup_at: datetime | None


class MetricsApi:
    """The handler."""

    def __init__(
        self,
        *,
        meter: PrometheusMeter,
        database: Database,
        database_file: Path,
        present: Callable[[], Present],
        clock: Clock,
    ) -> None:
        self._meter = meter
        self._database = database
        self._file = database_file
        self._present = present
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._kept: bytes | None = None
        self._kept_until = 0.0

    def routes(self, _prefix: str) -> list[web.RouteDef]:
        """The route; it is not among those for admins."""
        return [web.get("/metrics", self.metrics)]

    async def metrics(self, _request: web.Request) -> web.Response:
        """Everything that is counted; without the store's share while that refuses."""
        async with self._one_at_a_time:
            if self._kept is None or self._clock.monotonic() >= self._kept_until:
                self._kept = await self._read()
                self._kept_until = self._clock.monotonic() + _REST_SECONDS
            body = self._kept
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _read(self) -> bytes:
        now, present = self._clock.now(), self._present()
        try:
            stored = await self._database.snapshot(
                lambda session: figures(session, now, clock_trusted=present.clock_trusted)
            )
        except StoreError:
            stored = None
        try:
            disk = await asyncio.to_thread(self._look_at_disk)
        except OSError:
            disk = None
        moment = CollectorRegistry()
        moment.register(
            _Moment(
                [
                    *self._meter.families(),
                    *_of_present(present),
                    *_of_store(stored, self._database.condition, now),
                    *_of_disk(disk, now),
                ]
            )
        )
        return generate_latest(moment)

    def _look_at_disk(self) -> _Disk:
        """Raises OSError."""
        beside = self._file.with_name(self._file.name + "-wal")
        kept = backup.kept(backup.folder_of(self._file))
        return _Disk(
            database_bytes=self._file.stat().st_size
            + (beside.stat().st_size if beside.exists() else 0),
            free_bytes=self._database.room.free(),
            backups=len(kept),
            newest_backup_at=backup.made_at(kept[0]) if kept else None,
        )


class _Moment(Collector):
    """What holds now, in prometheus_client's form."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _of_present(present: Present) -> Iterable[Metric]:
    states = Counter(present.reachable)
    yield _gauge("gateway_ready", "1 while /readyz answers 200", present.ready)
    yield _gauge("gateway_clock_trusted", "1 while the clock is trusted", present.clock_trusted)
    yield _gauges(
        "gateway_locks",
        "Configured locks by whether they can be reached",
        "state",
        {"reachable": states[True], "unreachable": states[False], "unknown": states[None]},
    )


def _of_store(stored: Figures | None, condition: str | None, now: datetime) -> Iterable[Metric]:
    yield _gauge("gateway_store_readable", "1 if the database could be read", stored is not None)
    yield _gauges(
        "gateway_store_condition",
        "1 for what keeps the database from being written",
        "condition",
        {one: one == condition for one in CONDITIONS},
    )
    if stored is None:
        return
    yield _gauges(
        "gateway_stays",
        "Reservations that are not over, or whose PIN may be on a lock, by pinStatus",
        "pin_status",
        {status: stored.stays[status] for status in PinStatus},
    )
    yield _gauges(
        "gateway_pins",
        "Doors of these stays by the evidence of their PIN",
        "evidence",
        {evidence: stored.pins[evidence] for evidence in Evidence},
    )
    yield _gauges(
        "gateway_operations_waiting",
        "Operations on locks that are due or wait after a failure",
        "kind",
        {kind: stored.waiting[kind] for kind in JobKind},
    )
    yield _gauges(
        "gateway_operations_failing",
        "Operations on locks that have failed and are tried again",
        "kind",
        {kind: stored.failing[kind] for kind in JobKind},
    )
    overdue = timedelta(0) if stored.due_since is None else now - stored.due_since
    yield _gauge(
        "gateway_operation_overdue_seconds",
        "How long the operation that is due the longest has been due",
        overdue.total_seconds(),
    )
    if stored.succeeded_at is not None:
        yield _gauge(
            "gateway_reconciliation_last_success_timestamp_seconds",
            "When the last successful reconciliation ended",
            stored.succeeded_at.timestamp(),
        )


def _of_disk(disk: _Disk | None, now: datetime) -> Iterable[Metric]:
    if disk is None:
        return
    yield _gauge("gateway_database_bytes", "Size of the database with its log", disk.database_bytes)
    yield _gauge("gateway_disk_free_bytes", "Room on the database's disk", disk.free_bytes)
    yield _gauge("gateway_backups", "Backups that are kept", disk.backups)
    if disk.newest_backup_at is not None:
        age = (now - disk.newest_backup_at).total_seconds()
        yield _gauge("gateway_backup_age_seconds", "Age of the newest backup", age)
