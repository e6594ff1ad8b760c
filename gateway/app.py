"""Builds the whole gateway from its configuration, runs it, and closes it in reverse."""

import asyncio
import random  # noqa: TID251 - jitter and numbers of codes; PINs come from `secrets`
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import structlog

from gateway.access import ManualAccess
from gateway.acts import Acts
from gateway.alerts import Alerts, Senses, notice_of
from gateway.assembly import build_locks, devices, messages_setup, stays_client, tls_context
from gateway.canaries import Canaries
from gateway.clock import Clock
from gateway.config import Config
from gateway.credentials import Credentials
from gateway.derivation import Derivation
from gateway.domain.alerts import Condition
from gateway.domain.doors import doors_of
from gateway.domain.jobs import Job
from gateway.domain.messages import Composed
from gateway.domain.model import Property
from gateway.errors import RunInProgressError, StaysRefusedError, StoreError
from gateway.jobs import crontab
from gateway.jobs.scheduler import JobScheduler
from gateway.minting import Mint
from gateway.notify.log import LogNotifier
from gateway.notify.outbox import Outbox
from gateway.notify.texts import Texts
from gateway.pin_mending import PinMender
from gateway.ports import LockEvent, Notifier
from gateway.preview import Preview, preview
from gateway.reconciler import Reconciler, Rules
from gateway.stays.client import StaysClient
from gateway.store import backup, doors, jobs
from gateway.store.database import Database
from gateway.store.locks import forget_reached
from gateway.store.secretbox import SecretBox
from gateway.timekeeping import ClockState, TimeFiles, Timekeeper
from gateway.tuya.discovery import Discovery
from gateway.upkeep import Upkeep
from gateway.web.acts import ActsApi
from gateway.web.api import Api
from gateway.web.app import Access, build_app
from gateway.web.auth import load_secret
from gateway.web.commissioning import CommissioningApi
from gateway.web.hosts import Hosts
from gateway.web.links import LinksApi, SignInLinks
from gateway.web.listener import Listener, is_local
from gateway.web.manual_access import ManualAccessApi
from gateway.web.matching import MatchingApi
from gateway.web.messages import MessageApi
from gateway.web.meter import PrometheusMeter
from gateway.web.metrics import MetricsApi, Present
from gateway.web.page.frame import Place
from gateway.web.page.pages import Pages, build_pages
from gateway.web.reveals import Reveals

_STALE_AFTER = 3  # missed looks
_REST_SECONDS = 2.0  # what is under way at the end has so long to be answered

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the gateway looks by itself, in seconds; a simulation of weeks looks less often."""

    scheduler: float = 15.0
    sweep: float = 30.0
    heartbeat: float = 10.0
    lag: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Where what is left to chance comes from; a simulation draws it from its seed.

    Attributes:
        draw: jitter and the numbers of codes.
        randbelow: the digits of PINs.
    """

    draw: random.Random = field(default_factory=random.Random)
    randbelow: Callable[[int], int] = secrets.randbelow


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the gateway keeps its state."""

    database: Path

    @classmethod
    def of(cls, config: Config, *, folder: Path, environ: Mapping[str, str]) -> "Paths":
        """`[store] path`, relative to systemd's state directory, else to `folder`."""
        base = Path(environ["STATE_DIRECTORY"]) if "STATE_DIRECTORY" in environ else folder
        return cls(database=base / config.store.path)

    @property
    def folder(self) -> Path:
        """The state directory."""
        return self.database.parent

    @property
    def pin_key(self) -> Path:
        """The key of the PINs at rest."""
        return self.folder / "pin.key"

    @property
    def jwt_secret(self) -> Path:
        """The key that signs tokens."""
        return self.folder / "jwt.secret"

    @property
    def last_good(self) -> Path:
        """The last configuration that was valid."""
        return self.folder / "config.last-good.toml"


def signing_secret(config: Config, paths: Paths) -> str:
    """The key that signs tokens: configured, or made in the state directory.

    Raises:
        StoreError: it can be neither read nor made.
    """
    configured = config.http.jwt_secret
    return load_secret(paths.jwt_secret) if configured is None else configured.get_secret_value()


class Gateway:
    """One running gateway. Made by `Gateway.running`."""

    def __init__(
        self,
        *,
        config: Config,
        paths: Paths,
        clock: Clock,
        timekeeper: Timekeeper,
        database: Database,
        stays: StaysClient,
        stays_open: AsyncExitStack,
        journal: Notifier,
        pace: Pace,
        is_local: Callable[[str], bool],
        discovery: Discovery,
        chance: Chance,
    ) -> None:
        self._config = self._started_with = config
        self.paths = paths
        self._pace = pace
        self._timekeeper = timekeeper
        self._database = database
        self._stays = stays
        self._stays_open = stays_open  # closes the client when another takes its place
        self._site = config.property()
        self._tasks: asyncio.TaskGroup | None = None
        self._guests: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        self._one_run = asyncio.Lock()  # held by a run, and by a reload
        self._one_look = asyncio.Lock()
        self._meter = PrometheusMeter()
        self._chance = chance
        self.box = SecretBox.load(paths.pin_key)
        mint = self._mint_for(self._site)
        self._discovery = discovery
        self._outbox = notifier = Outbox(
            database=database,
            box=self.box,
            setup=messages_setup(config, self.box),
            clock=timekeeper,
            sweep=pace.sweep,
            journal=journal,
        )
        self._locks = build_locks(
            config,
            clock=timekeeper,
            jitter=chance.draw,
            listener=self._on_lock_event,
            heartbeat=pace.heartbeat,
            discovery=self._discovery,
        )
        self._scheduler = JobScheduler(
            clock=clock,
            due_by=timekeeper.now,
            wake=self._on_due,
            reconcile=self._reconcile_by_cron,
            schedule=config.stays.schedule,
            zone=ZoneInfo(config.site.timezone),
            meter=self._meter,
            cap=pace.scheduler,
        )
        self._credentials = Credentials(
            database=database,
            box=self.box,
            site=self._site,
            drivers=self._locks.locks,
            board=self._scheduler,
            notifier=notifier,
            clock=timekeeper,
            now=timekeeper.now,
            draw=chance.draw,
            mint=mint,
            meter=self._meter,
            sweep=pace.sweep,
        )
        self._upkeep = Upkeep(
            database=database,
            backups=backup.folder_of(paths.database),
            pins=PinMender(database=database, box=self.box, notifier=notifier, now=timekeeper.now),
            notifier=notifier,
            clock=timekeeper,
            sure=lambda: timekeeper.verdict.sure,
        )
        self._upkeep.adopt(zone=self._site.zone, retention_days=config.store.retention_days)
        self._derivation = Derivation(
            site=self._site,
            mint=mint,
            board=self._scheduler,
            wake=self._credentials.wake,
            notifier=notifier,
        )
        self._reconciler = Reconciler(
            database=database,
            rules=self._rules(),
            derivation=self._derivation,
            notifier=notifier,
            meter=self._meter,
            clock=timekeeper,
            now=timekeeper.now,
            keep_time=timekeeper.keep_with,
        )
        self._alerts = Alerts(
            database=database,
            site=self._site,
            senses=Senses(
                contended=lambda: self._credentials.contended,
                clock_doubt=lambda: timekeeper.doubt,
            ),
            notifier=notifier,
            clock=timekeeper,
            now=timekeeper.now,
            sweep=pace.sweep,
        )
        self._run_wanted = asyncio.Event()
        self._guests_wanted = asyncio.Event()
        self._canaries = Canaries(
            database=database,
            box=self.box,
            site=self._site,
            credentials=self._credentials,
            mint=mint,
            board=self._scheduler,
            monotonic=timekeeper.monotonic,
            now=timekeeper.now,
        )
        self._reveals = Reveals(
            database=database, box=self.box, composer=self._outbox, clock=timekeeper
        )
        api = Api(
            database=database,
            reveals=self._reveals,
            daemon=self,
            lock_names=lambda: tuple(self._locks.locks),
            zone=lambda: self._site.zone,
            clock=timekeeper,
        )
        access = Access(
            secret=signing_secret(config, paths),
            insecure_lan=config.http.insecure_lan,
            is_local=is_local,
            hosts=Hosts(config.http.names),
        )
        tls = tls_context(config, paths.folder, clock.now())
        links = SignInLinks(secret=access.secret, clock=clock)
        self._acts = Acts(
            database=database,
            derivation=self._derivation,
            revive=self._credentials.revive,
            now=timekeeper.now,
        )
        self._access = ManualAccess(
            database=database,
            derivation=self._derivation,
            revive=self._credentials.revive,
            holds_weekly=self._credentials.holds_weekly,
            now=timekeeper.now,
        )
        matching = MatchingApi(source=lambda: self._stays, site=lambda: self._site)
        pages = self._pages(access, links, matching, has_tls=tls is not None)
        self.listener = Listener(
            build_app(
                api,
                CommissioningApi(canaries=self._canaries, credentials=self._credentials),
                self._acts_api(),
                self._access_api(),
                matching,
                MessageApi(reveals=self._reveals),
                LinksApi(links),
                pages,
                MetricsApi(
                    meter=self._meter,
                    database=database,
                    database_file=paths.database,
                    present=self._present,
                    clock=timekeeper,
                ),
                lost=pages.lost,
                access=access,
                clock=clock,
            ),
            tls=tls,
            is_local=is_local,
        )

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        config: Config,
        paths: Paths,
        *,
        clock: Clock,
        notifier: Notifier | None = None,
        pace: Pace | None = None,
        is_local: Callable[[str], bool] = is_local,
        discovery: Discovery | None = None,
        time_files: TimeFiles | None = None,
        chance: Chance | None = None,
    ) -> "AsyncIterator[Gateway]":
        """A gateway that runs inside the block. `is_local`: is a peer's address this machine?

        `notifier` is told everything, beside the configured channels; the journal by default.
        `time_files`: what the machine says of its clock; None: nothing.

        Raises:
            StoreBusyError, StoreNewerError, StoreError: the database cannot be used.
            OSError: the port cannot be bound.
        """
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database.open(paths.database, clock=clock))
            pace = pace or Pace()
            timekeeper = await Timekeeper.load(
                clock=clock,
                database=database,
                files=time_files or TimeFiles(),
                cap=pace.scheduler,
            )
            stays_open = await stack.enter_async_context(AsyncExitStack())
            stays = await stays_open.enter_async_context(stays_client(config, timekeeper))
            gateway = cls(
                config=config,
                paths=paths,
                clock=clock,
                timekeeper=timekeeper,
                database=database,
                stays=stays,
                stays_open=stays_open,
                journal=notifier or LogNotifier(),
                pace=pace,
                is_local=is_local,
                discovery=discovery or Discovery(),
                chance=chance or Chance(),
            )
            with suppress(StoreError):  # the first run and the connections put it right
                await gateway._reconciler.close_interrupted()
                await database.transaction(forget_reached)
                await gateway._note_doors()
            await stack.enter_async_context(
                gateway.listener.serving(config.http.host, config.http.port)
            )
            async with asyncio.TaskGroup() as tasks:
                background = await gateway._start(tasks)
                try:
                    yield gateway
                    await gateway._credentials.rest(_REST_SECONDS)
                finally:
                    await gateway._scheduler.stop()
                    for task in background:
                        task.cancel()
                    await gateway._stop_guests()
                    await gateway._keep_time()
            with suppress(StoreError):
                await database.forget_recovery()

    async def _start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        rows = await self._database.read(jobs.all_jobs)
        self._scheduler.start(rows)
        self._run_wanted.set()  # a run at start
        self._tasks = tasks
        self._start_guests()
        _log.info("gateway.started", port=self.listener.port)
        return [
            tasks.create_task(self._locks.run(), name="connections"),
            tasks.create_task(self._credentials.run(), name="credentials"),
            tasks.create_task(self._reconcile_on_demand(), name="reconciliation"),
            tasks.create_task(self._upkeep.run(), name="upkeep"),
            tasks.create_task(self._alerts.run(), name="alerts"),
            tasks.create_task(self._outbox.run(), name="messages"),
            tasks.create_task(self._watch_scheduler(), name="scheduler"),
            tasks.create_task(self._timekeeper.run(self._on_step), name="clock"),
            tasks.create_task(
                self._meter.watch_loop(self._timekeeper, self._pace.lag), name="loop lag"
            ),
        ]

    def _mint_for(self, site: Property) -> Mint:
        return Mint(site=site, box=self.box, randbelow=self._chance.randbelow)

    @property
    def config(self) -> Config:
        """The configuration of the moment."""
        return self._config

    def _acts_api(self) -> ActsApi:
        return ActsApi(
            acts=self._acts,
            preview=self._preview,
            database=self._database,
            zone=lambda: self._site.zone,
            clock=self._timekeeper,
            clock_trusted=self._clock_trusted,
        )

    def _access_api(self) -> ManualAccessApi:
        return ManualAccessApi(
            access=self._access,
            database=self._database,
            zone=lambda: self._site.zone,
            clock=self._timekeeper,
            clock_trusted=self._clock_trusted,
        )

    def _pages(
        self, access: Access, links: SignInLinks, matching: MatchingApi, *, has_tls: bool
    ) -> Pages:
        return build_pages(
            access=access,
            has_tls=has_tls,
            links=links,
            place=self._place,
            property_=lambda: self._site,
            daemon=self,
            database=self._database,
            reveals=self._reveals,
            acts=self._acts,
            manual=self._access,
            holds_weekly=self._credentials.holds_weekly,
            worries=self._alerts.present,
            explain=self._explain,
            suggestions=matching.found,
            clock=self._timekeeper,
        )

    def _place(self) -> Place:
        site = self._config.site
        return Place(name=site.name, language=site.language, zone=self._site.zone)

    def _explain(self, condition: Condition, *, language: str) -> Composed:
        texts = Texts(language=language, zone=self._site.zone)
        return texts.notice(notice_of(condition, self._timekeeper.now()))

    def _clock_trusted(self) -> bool:
        return self._timekeeper.verdict.trusted

    def _present(self) -> Present:
        return Present(
            ready=not self.problems(),
            clock_trusted=self._timekeeper.verdict.trusted,
            reachable=tuple(lock.reachable for lock in self._locks.locks.values()),
        )

    async def _preview(self) -> Preview:
        async with self._one_look:  # one that asks again and again reads Stays once at a time
            return preview(*await self._reconciler.look_ahead())

    # --- another configuration -----------------------------------------------------------------

    def _rules(self) -> Rules:
        stays = self._config.stays
        return Rules(
            source=self._stays,
            site=self._site,
            lookback_days=stays.lookback_days,
            horizon_days=stays.horizon_days,
            only_mapped=stays.scope == "mapped",
        )

    async def reload(self, config: Config) -> tuple[str, ...]:
        """Go on with another configuration; the settings of it that only a restart takes over.

        A run that reads is interrupted and another follows. A lock whose own settings or
        connection change waits for what is under way on it; the others notice nothing.
        """
        async with self._reloading:
            left = _only_at_start(self._started_with, config)
            self._reconciler.interrupt()
            async with self._one_run:
                await self._adopt(config)
            self._run_wanted.set()
            _log.info("gateway.reloaded", needs_restart=list(left))
            return left

    async def _adopt(self, config: Config) -> None:
        site, before = config.property(), self._site
        hubs, locks = devices(config, self._pace.heartbeat)
        touched = self._locks.changed(hubs, locks) | {
            lock.name for lock in before.locks if site.lock(lock.name) != lock
        }
        mint = self._mint_for(site)
        async with self._credentials.held(touched):
            await self._locks.adopt(hubs, locks)
            self._credentials.adopt(site=site, drivers=self._locks.locks, mint=mint)
        self._canaries.adopt(site=site, mint=mint)
        self._alerts.adopt(site)
        self._outbox.adopt(messages_setup(config, self.box))
        await self._stop_guests()
        if config.stays != self._config.stays:
            await self._stays_open.aclose()
            self._stays = await self._stays_open.enter_async_context(
                stays_client(config, self._timekeeper)
            )
        self._config, self._site = config, site
        with suppress(StoreError):  # the next start notes it
            await self._note_doors()
        self._derivation.adopt(site=site, mint=mint)
        self._reconciler.adopt(self._rules())
        self._upkeep.adopt(zone=site.zone, retention_days=config.store.retention_days)
        self._scheduler.reschedule(config.stays.schedule, site.zone)
        self._start_guests()

    async def _note_doors(self) -> None:
        """What the configuration changes of the doors stands in the audit trail."""
        said = doors_of(self._site)
        if await self._database.read(lambda session: doors.is_new(session, said)):
            now = self._timekeeper.now()
            await self._database.transaction(lambda session: doors.note(session, said, now))

    def _start_guests(self) -> None:
        if self._tasks is not None:
            self._guests = self._tasks.create_task(self._read_guests(), name="guests")

    async def _stop_guests(self) -> None:
        if self._guests is not None:
            self._guests.cancel()
            await asyncio.wait([self._guests])

    # --- what wakes what -----------------------------------------------------------------------

    def _on_lock_event(self, event: LockEvent) -> None:
        self._credentials.on_event(event)
        self._alerts.wake()
        self._outbox.wake()

    def _on_due(self, job: Job) -> None:
        self._credentials.wake_credential(job.credential_id)

    async def _on_step(self) -> None:
        """Time, or the trust in it, has changed: every window is looked at anew."""
        try:
            self._scheduler.restart_from(await self._database.read(jobs.all_jobs))
        except StoreError as error:
            _log.error("store.refused", during="clock", reason=str(error))
        self._credentials.wake_all()
        self._run_wanted.set()  # Stays knows what time it is
        self._alerts.wake()
        self._outbox.wake()

    async def _keep_time(self) -> None:
        try:
            await self._timekeeper.close()
        except StoreError as error:
            _log.error("store.refused", during="clock", reason=str(error))

    async def _reconcile_by_cron(self) -> None:
        self._run_wanted.set()

    async def _reconcile_on_demand(self) -> None:
        while True:
            await self._run_wanted.wait()
            self._run_wanted.clear()
            try:
                async with self._one_run:
                    await self._reconciler.run()
            except StoreError as error:
                _log.error("store.refused", during="reconciliation", reason=str(error))
            self._timekeeper.expect_no_stays()
            self._guests_wanted.set()
            self._alerts.wake()

    async def _read_guests(self) -> None:
        while True:
            await self._guests_wanted.wait()
            self._guests_wanted.clear()
            try:
                await self._reconciler.read_guests()
                self._outbox.wake()
            except (StoreError, StaysRefusedError) as error:
                _log.warning("guests.unread", reason=str(error))

    async def _watch_scheduler(self) -> None:
        """A bug in a job ends the daemon, for systemd to start it again."""
        await self._scheduler.crashed

    # --- what the API asks: see gateway.web.api.Daemon -----------------------------------------

    async def request_run(self) -> None:
        """See `Daemon.request_run`."""
        if self._reconciler.running or self._run_wanted.is_set():
            raise RunInProgressError("a reconciliation is already running")
        self._run_wanted.set()

    def next_run(self) -> datetime | None:
        """See `Daemon.next_run`."""
        return self._scheduler.next_reconciliation()

    def schedule_text(self) -> str:
        """See `Daemon.schedule_text`."""
        return crontab.describe(self._config.stays.schedule)

    def problems(self) -> tuple[str, ...]:
        """See `Daemon.problems`."""
        return (*self._stalled(), *self._upkeep.problems())

    async def no_progress(self) -> tuple[str, ...]:
        """What of the gateway's own work stands still; a restart would mend nothing else."""
        try:
            await self._database.read(jobs.count)
        except StoreError:
            return (*self._stalled(), "store_unreadable")
        return self._stalled()

    def _stalled(self) -> tuple[str, ...]:
        now = self._timekeeper.monotonic()
        found = []
        if _stale(self._scheduler.last_tick, now, self._pace.scheduler):
            found.append("scheduler_stalled")
        if _stale(self._credentials.last_sweep, now, self._pace.sweep):
            found.append("sweep_stalled")
        return tuple(found)

    async def copy_database(self) -> BinaryIO:
        """See `Daemon.copy_database`."""
        return await self._upkeep.copy()

    def clock_state(self) -> ClockState:
        """See `Daemon.clock_state`."""
        return self._timekeeper.state()

    async def trust_clock(self, actor: str) -> ClockState:
        """See `Daemon.trust_clock`."""
        return await self._timekeeper.trust(actor)

    async def decide_held(self, *, confirm: bool, actor: str) -> int:
        """See `Daemon.decide_held`."""
        count = await self._reconciler.decide_held(confirm=confirm, actor=actor)
        self._alerts.wake()
        return count

    async def sightings(self, seconds: float) -> list[dict[str, str]]:
        """See `Daemon.sightings`."""
        return [
            {
                "deviceId": one.device_id,
                "address": one.address,
                "version": one.version,
                "product": one.product,
            }
            for one in await self._discovery.sightings(seconds)
        ]


def _only_at_start(before: Config, after: Config) -> tuple[str, ...]:
    """The settings that differ and are taken at the start alone."""
    found = ["[http]"] if before.http != after.http else []
    if before.store.path != after.store.path:
        found.append("[store] path")
    return tuple(found)


def _stale(moment: float | None, now: float, pace: float) -> bool:
    return moment is None or now - moment > _STALE_AFTER * pace
