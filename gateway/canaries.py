"""Canaries: PINs that a technician has written to one lock to try it, gone again within the hour."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.credentials import Credentials
from gateway.domain import events
from gateway.domain.jobs import Job, JobKind, gen_id, rev_id
from gateway.domain.model import Evidence, Property, Window
from gateway.errors import LockUnreachableError
from gateway.minting import Mint
from gateway.ports import Exchange, JobBoard
from gateway.store import audit, canaries, jobs
from gateway.store.database import Database, Session
from gateway.store.secretbox import SecretBox

LONGEST = timedelta(hours=1)
EARLIEST, LATEST = timedelta(days=-1), timedelta(minutes=30)  # of its window's start, from now


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One canary as it stands.

    Attributes:
        evidence, reason: of its newest code on the lock.
        gone: nothing of it can be on the lock any more.
        opened_when_gone: the lock reported an opening with it after it had called it deleted.
        exchange: how long the lock's last operation took, if that was one of this canary.
    """

    id: str
    lock: str
    window: Window
    pin: str = field(repr=False)
    evidence: Evidence
    reason: str | None
    gone: bool
    opened_when_gone: bool
    exchange: Exchange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """An attempt to reach a lock. `reason` None: it can take a command."""

    seconds: float
    reason: str | None


class Canaries:
    """Writes and removes canaries through the queues of the locks, so that none outlives a crash."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        site: Property,
        credentials: Credentials,
        mint: Mint,
        board: JobBoard,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._box = box
        self._site = site
        self._credentials = credentials
        self._mint = mint
        self._board = board
        self._monotonic = monotonic
        self._now = now

    def adopt(self, *, site: Property, mint: Mint) -> None:
        """Go on with another configuration."""
        self._site, self._mint = site, mint

    def knows(self, lock: str) -> bool:
        """Is there a lock of that name?"""
        return self._site.lock(lock) is not None

    async def reach(self, lock: str) -> Reached:
        """Try to reach a lock now, within 6 s."""
        began = self._monotonic()
        try:
            await self._credentials.reach(lock)
        except LockUnreachableError as error:
            return Reached(seconds=self._monotonic() - began, reason=error.reason)
        return Reached(seconds=self._monotonic() - began, reason=None)

    async def write(
        self, lock: str, *, opens_in: timedelta, lasts: timedelta, actor: str
    ) -> Canary:
        """Have a PIN written at once whose window begins `opens_in` from now and ends `lasts` from now.

        Raises:
            ValueError: the times are outside what a canary may have.
            NoPinLeftError: the rules leave no PIN for the lock.
        """
        if not EARLIEST <= opens_in <= LATEST or not timedelta(0) < lasts <= LONGEST:
            raise ValueError(
                "a canary begins within a day before to 30 min after now, and ends within 1 h"
            )
        if opens_in >= lasts:
            raise ValueError("a canary ends after it begins")
        now = self._now().astimezone(UTC).replace(microsecond=0)
        window = Window(valid_from=now + opens_in, valid_until=now + lasts)
        canary_id = f"{canaries.PREFIX}{secrets.token_hex(4)}"
        credential_id = canaries.credential_id_of(canary_id, lock)
        due = [
            Job(
                id=gen_id(credential_id), kind=JobKind.GEN, credential_id=credential_id, run_at=now
            ),
            Job(
                id=rev_id(credential_id),
                kind=JobKind.REV,
                credential_id=credential_id,
                run_at=window.valid_until,
            ),
        ]

        async def body(session: Session) -> None:
            await canaries.insert(session, canary_id, lock, window, now)
            await jobs.put(session, due)
            await self._mint.ensure(session, canary_id, now)
            await self._audit(session, canary_id, lock, actor, "a PIN to try the lock is asked for")

        await self._database.transaction(body)
        self._board.put(due)
        self._credentials.wake(lock)
        return await self._look(canary_id)

    async def look(self, canary_id: str) -> Canary | None:
        """One canary as it stands, None if there is none of that id."""
        known = await self._database.read(lambda session: canaries.known(session, canary_id))
        return await self._look(canary_id) if known else None

    async def remove(self, canary_id: str, *, actor: str) -> None:
        """Have it deleted now; the lock's queue keeps at it until the lock has confirmed."""
        now = self._now()

        async def body(session: Session) -> tuple[str, list[Job]]:
            if (await canaries.get(session, self._box, canary_id)).gone:
                return "", []
            lock, credential_id = await canaries.withdraw(session, canary_id, now)
            due = [
                Job(
                    id=rev_id(credential_id),
                    kind=JobKind.REV,
                    credential_id=credential_id,
                    run_at=now,
                )
            ]
            await jobs.put(session, due)
            await self._audit(
                session, canary_id, lock, actor, "the PIN to try the lock is taken back"
            )
            return lock, due

        lock, due = await self._database.transaction(body)
        self._board.put(due)
        self._credentials.wake(lock)

    async def _look(self, canary_id: str) -> Canary:
        row = await self._database.read(lambda session: canaries.get(session, self._box, canary_id))
        return Canary(
            id=canary_id,
            lock=row.lock,
            window=row.window,
            pin=row.pin,
            evidence=row.evidence,
            reason=row.reason,
            gone=row.gone,
            opened_when_gone=row.opened_when_gone,
            exchange=self._credentials.last_exchange(row.lock, row.credential_id),
        )

    async def _audit(
        self, session: Session, canary_id: str, lock: str, actor: str, detail: str
    ) -> None:
        await audit.append(
            session,
            at=self._now(),
            actor=actor,
            event=events.LOCK_TRIED,
            detail=detail,
            reservation_id=canary_id,
            lock=lock,
        )
