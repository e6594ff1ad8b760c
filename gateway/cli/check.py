"""`gateway check`: everything that must work, each with a verdict and the next step."""

import asyncio
import json
import random  # noqa: TID251 - jitter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import typer
from rich.table import Table

from gateway.app import Pace, Paths
from gateway.assembly import build_locks
from gateway.cli.ask import clock_words
from gateway.cli.daemon import NoDaemonError, request
from gateway.cli.packages import unfit
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    console,
    errors,
    read_config,
    write_line,
)
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.config.load import warnings
from gateway.config.model import Lock
from gateway.domain.trust import Evidence, Witness, judge
from gateway.errors import GatewayError, LockUnreachableError, WrongKeyError
from gateway.observability import configure_logging
from gateway.stays.client import StaysClient
from gateway.store.database import Database
from gateway.timekeeping import BUILT_AT
from gateway.tuya.discovery import Discovery
from gateway.tuya.driver import TuyaLock
from gateway.tuya.link import AUTO

_SEARCHES = 3  # of some seconds each


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    what: str
    good: bool
    detail: str


def check(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """Check configuration, packages, clock, database, Stays, hubs and locks."""
    settings, paths = read_config(config)
    # what goes wrong is told as a finding: standard output is for those alone
    configure_logging(level="critical", format="console", secrets=settings.secrets())
    with errors.status("trying everything for real", spinner="dots"):
        findings = asyncio.run(_check(settings, paths, config))
    if json_:
        write_line(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table("what", "verdict", "detail")
        for one in findings:
            table.add_row(
                one.what, "[green]good[/]" if one.good else "[bold red]bad[/]", one.detail
            )
        console.print(table)
    if not all(finding.good for finding in findings):
        raise typer.Exit(EXIT_FAILED)


async def _check(config: Config, paths: Paths, path: Path) -> list[Finding]:
    notes = "; ".join(warnings(config, path))
    wrong = "; ".join(unfit())
    findings = [
        Finding("configuration", good=True, detail=notes or "valid"),
        Finding("packages", good=not wrong, detail=wrong or "as the gateway was made for"),
    ]
    try:
        answer = await request(config, paths, "GET", "/readyz")
    except NoDaemonError:
        findings += await _database(paths)
        findings += await _stays(config)
        findings += await _locks(config)
        return findings
    problems = ", ".join(answer.body.get("problems", ()))
    ready = answer.status < 400  # noqa: PLR2004 - HTTP's errors
    findings.append(Finding("daemon", good=ready, detail=problems or "running and ready"))
    return findings + await _by_daemon(config, paths)


async def _by_daemon(config: Config, paths: Paths) -> list[Finding]:
    """The running daemon holds the connections: it is asked."""
    run = (await request(config, paths, "GET", "/api/admin/reconciliation/status")).data()
    last = run["lastRun"]
    good = last is None or last["status"] == "success"
    findings = [
        Finding("Stays", good=good, detail=(last or {}).get("message") or run["currentStatus"])
    ]
    clock = (await request(config, paths, "GET", "/api/admin/clock")).data()
    findings.append(Finding("clock", good=clock["trusted"], detail=clock_words(clock)))
    for lock in (await request(config, paths, "GET", "/api/admin/locks")).data():
        detail = lock["reason"] or ("reachable" if lock["reachable"] else "not reached yet")
        findings.append(
            Finding(f"lock {lock['name']}", good=bool(lock["reachable"]), detail=detail)
        )
    return findings


async def _database(paths: Paths) -> Iterable[Finding]:
    try:
        async with Database.open(paths.database):
            return [Finding("database", good=True, detail=str(paths.database))]
    except GatewayError as error:
        return [Finding("database", good=False, detail=str(error))]


async def _stays(config: Config) -> Iterable[Finding]:
    clock = SystemClock()
    client = StaysClient.open(
        url=config.stays.url,
        client_id=config.stays.client_id.get_secret_value(),
        client_secret=config.stays.client_secret.get_secret_value(),
        clock=clock,
    )
    today = clock.now().date()
    try:
        async with client as stays:
            rows = 0
            async for page in stays.pages(today, today + timedelta(days=1)):
                rows += len(page)
            theirs = stays.last_date
    except GatewayError as error:
        return [Finding("Stays", good=False, detail=str(error)), _clock(clock.now(), None)]
    return [
        Finding("Stays", good=True, detail=f"signed in; {rows} reservations touch today"),
        _clock(clock.now(), theirs),
    ]


def _clock(now: datetime, theirs: datetime | None) -> Finding:
    """Without a daemon: what can be said of the clock without what the daemon remembers."""
    said = {} if theirs is None else {Witness.STAYS: theirs}
    verdict = judge(Evidence(wall=now, built=BUILT_AT, said=said))
    detail = "; ".join(doubt.words for doubt in verdict.doubts)
    if theirs is not None:
        detail = f"{round(abs(now - theirs).total_seconds())} s from Stays' clock"
    if not verdict.trusted:
        detail += ": set the time (timedatectl set-ntp true)"
    return Finding("clock", good=verdict.trusted, detail=detail or "nothing speaks against it")


async def _locks(config: Config) -> Iterable[Finding]:
    jitter = random.Random()  # noqa: S311 - no secret
    site = build_locks(
        config,
        clock=SystemClock(),
        jitter=jitter,
        listener=lambda _event: None,
        heartbeat=Pace().heartbeat,
        discovery=Discovery(),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(site.run())
        findings = await asyncio.gather(
            *(_lock(site.locks[lock.name], found=_is_found(lock, config)) for lock in config.locks)
        )
        running.cancel()
    return findings


def _is_found(lock: Lock, config: Config) -> bool:
    """Is the lock, or its hub, to be found by its broadcasts?"""
    hubs = {hub.name: hub.address for hub in config.hubs}
    return AUTO in {lock.address, hubs.get(lock.hub or "")}


async def _lock(lock: TuyaLock, *, found: bool) -> Finding:
    """What broadcasts itself may take a while to be heard."""
    reason = ""
    for _ in range(_SEARCHES if found else 1):
        try:
            await lock.ready()
        except WrongKeyError as error:
            return Finding(f"lock {lock.name}", good=False, detail=error.reason)
        except LockUnreachableError as error:
            reason = error.reason
        else:
            return Finding(f"lock {lock.name}", good=True, detail="reached and signed in")
    return Finding(f"lock {lock.name}", good=False, detail=reason)
