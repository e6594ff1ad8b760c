"""One transaction over the credentials of one lock, and what others must learn after its commit."""

import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from gateway.domain import events
from gateway.domain.jobs import Job, JobKind, gen_id, rev_id
from gateway.domain.model import Origin
from gateway.errors import StoreError
from gateway.ports import JobBoard, Meter, Notice, Notifier
from gateway.store import audit, credentials, jobs
from gateway.store.database import Database, Row, Session
from gateway.store.moments import from_text

FIRST_PAUSE = 5.0  # seconds
LONGEST_PAUSE = 300.0
_FOR_PEOPLE = frozenset(
    {
        events.PIN_ISSUED,
        events.PIN_CHANGED,
        events.CREDENTIAL_OBSERVED,
        events.CODE_ELSEWHERE,
        events.CODE_REVOKED_USED,
        events.LOCK_CODE_MISSING,
    }
)

T = TypeVar("T")

_log = structlog.get_logger()


def pause_after(attempts: int, jitter: random.Random) -> float:
    """Seconds to wait after that many failures before: 5, doubling to 300, each ±20 %."""
    pause = min(FIRST_PAUSE * 2.0 ** min(attempts, 10), LONGEST_PAUSE)
    return pause * jitter.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened to a credential, for the log and, unless it is a trial, for people."""

    event: str
    credential_id: str
    detail: str
    trial: bool = False


@dataclass(slots=True)
class Turn:
    """A transaction with its one `now`. What it gathers holds only once it is committed.

    Attributes:
        put, dropped: changes of jobs, for the scheduler.
        told: what happened.
        wake: locks whose queue should look again.
        margins: how long before check-in a door confirmed for the first time.
    """

    session: Session
    lock: str
    now: datetime
    jitter: random.Random
    put: list[Job] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    wake: set[str] = field(default_factory=set)
    margins: list[timedelta] = field(default_factory=list)

    async def credential(self, credential_id: str) -> Row:
        """The row of a credential."""
        row = await self.session.one(
            "SELECT c.*, r.origin, r.check_in_at FROM credentials c"
            " JOIN reservations r ON r.id = c.reservation_id WHERE c.id = ?",
            (credential_id,),
        )
        if row is None:
            raise StoreError(f"credential {credential_id} has gone")
        return row

    async def confirm(self, credential_id: str) -> None:
        """The lock has confirmed a code of a credential."""
        row = await self.credential(credential_id)
        arrives = row["origin"] in {Origin.STAYS, Origin.GUEST}
        due_before = row["created_at"] < row["check_in_at"]  # a booking of the moment has no margin
        if arrives and due_before and row["confirmed_at"] is None:
            self.margins.append(from_text(row["check_in_at"]) - self.now)
        await credentials.confirm(self.session, credential_id, self.now)

    async def schedule(self, kind: JobKind, credential_id: str, run_at: datetime) -> None:
        """Give a credential a job on time, with no failures behind it."""
        await self._put(
            Job(id=_id(kind, credential_id), kind=kind, credential_id=credential_id, run_at=run_at)
        )

    async def drop(self, kind: JobKind, credential_id: str) -> None:
        """The job is done."""
        job_id = _id(kind, credential_id)
        await jobs.drop(self.session, [job_id])
        self.dropped.append(job_id)

    async def fail(self, kind: JobKind, credential_id: str, why: str) -> bool:
        """Move the job to its next attempt and keep the reason; False: the last one failed by the same."""
        job_id = _id(kind, credential_id)
        row = await self.session.one(
            "SELECT attempts, last_error FROM jobs WHERE id = ?", (job_id,)
        )
        attempts = 0 if row is None else int(row["attempts"])
        pause = timedelta(seconds=pause_after(attempts, self.jitter))
        await self._put(
            Job(
                id=job_id,
                kind=kind,
                credential_id=credential_id,
                run_at=self.now + pause,
                attempts=attempts + 1,
                last_error=why,
            )
        )
        await credentials.note_reason(self.session, credential_id, why)
        return row is None or row["last_error"] != why

    async def go_on(self, kind: JobKind, credential_id: str, run_at: datetime) -> None:
        """Give a credential's job its next attempt; its failures still count for the pause after that."""
        row = await self.session.one("SELECT * FROM jobs WHERE id = ?", (_id(kind, credential_id),))
        if row is None:
            await self.schedule(kind, credential_id, run_at)
        else:
            await self._put(replace(jobs.job_of(row), run_at=run_at))

    async def revive(self) -> None:
        """Whatever of the lock waits after failures may try at once."""
        rows = await self.session.all(
            "SELECT j.* FROM jobs j JOIN credentials c ON c.id = j.credential_id"
            " WHERE c.lock = ? AND j.attempts > 0",
            (self.lock,),
        )
        for job in map(jobs.job_of, rows):
            if job.run_at > self.now:
                await self._put(replace(job, run_at=self.now))

    async def wake_stay(self, reservation_id: str) -> None:
        """Another door of the stay may wait for what was just learnt."""
        rows = await self.session.all(
            "SELECT lock FROM credentials WHERE reservation_id = ? AND revoked_at IS NULL",
            (reservation_id,),
        )
        self.wake |= {row["lock"] for row in rows}

    async def tell(self, event: str, credential_id: str, detail: str) -> None:
        """Record in the audit trail what happened to a credential."""
        row = await self.credential(credential_id)
        await audit.append(
            self.session,
            at=self.now,
            actor=f"lock:{self.lock}",
            event=event,
            detail=detail,
            reservation_id=row["reservation_id"],
            credential_id=credential_id,
            lock=self.lock,
        )
        trial = row["origin"] == Origin.CANARY
        self.told.append(Told(event, credential_id, detail, trial))

    async def _put(self, job: Job) -> None:
        await jobs.put(self.session, [job])
        self.put.append(job)


class Turns:
    """Takes the turns of one lock: each is one transaction, and its commit is followed by the telling."""

    def __init__(
        self,
        *,
        lock: str,
        database: Database,
        board: JobBoard,
        notifier: Notifier,
        meter: Meter,
        now: Callable[[], datetime],
        draw: random.Random,
        wake: Callable[[str], None],
    ) -> None:
        """`wake`: lets the queue of another lock look again."""
        self._lock = lock
        self._database = database
        self._board = board
        self._notifier = notifier
        self._meter = meter
        self._now = now
        self._draw = draw
        self._wake = wake

    async def take(self, body: Callable[[Turn], Awaitable[T]]) -> T:
        """Run `body` in a transaction; once it is committed, tell whom it concerns.

        Raises:
            StoreError: the database refused, and nothing of it is written.
        """
        turns: list[Turn] = []

        async def transact(session: Session) -> T:
            turn = Turn(session, self._lock, self._now(), self._draw)
            result = await body(turn)
            turns.append(turn)
            return result

        result = await self._database.brief_transaction(transact)
        for turn in turns:
            self._board.drop(turn.dropped)
            self._board.put(turn.put)
            for lock in turn.wake - {self._lock}:
                self._wake(lock)
            for margin in turn.margins:
                self._meter.confirmed(before_check_in=margin)
            await self._announce(turn)
        return result

    async def _announce(self, turn: Turn) -> None:
        for told in turn.told:
            _log.info(
                told.event,
                lock=self._lock,
                credential_id=told.credential_id,
                detail=told.detail,
            )
            if told.event in _FOR_PEOPLE and not told.trial:
                await self.notify(told.event, told.credential_id, told.detail)

    async def notify(self, event: str, subject: str, detail: str) -> None:
        """Tell people."""
        notice = Notice(event=event, at=self._now(), subject=subject, detail=detail)
        await self._notifier.tell(notice)


def _id(kind: JobKind, credential_id: str) -> str:
    match kind:
        case JobKind.GEN:
            return gen_id(credential_id)
        case JobKind.REV:
            return rev_id(credential_id)
