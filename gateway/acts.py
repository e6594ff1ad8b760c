"""What a person does to the PIN of a stay: reprocess, revoke, reissue. Each act is one transaction."""

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from gateway.derivation import Derivation, Outcome
from gateway.domain import events
from gateway.domain.model import Asked, Origin
from gateway.errors import NoRightToPinError, NoSuchStayError
from gateway.store import audit, credentials, placements, reservations
from gateway.store.database import Database, Session

LONGEST_REASON = 200
_DIGITS = re.compile(r"\d(?:[ .-]?\d){3,}")


class Acts:
    """Every act is done by the stay's id or code, by an actor, for a reason (or none).

    Each raises NoSuchStayError, and StoreError with nothing done; the stay's long id is answered.
    """

    def __init__(
        self,
        *,
        database: Database,
        derivation: Derivation,
        revive: Callable[[str], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        """`revive`: lets a lock's queue try again at once."""
        self._database = database
        self._derivation = derivation
        self._revive = revive
        self._now = now

    async def reprocess(self, id_or_code: str, *, actor: str, reason: str | None) -> str:
        """Derive the stay's credentials anew, and have its codes confirmed once more.

        What was missed is written, what waits after failures is tried at once, and a code that is
        confirmed is sent once more in place, where the lock can take that. No block is lifted.
        """

        async def body(session: Session) -> tuple[str, set[str], Outcome]:
            now = self._now()
            stay = await self._find(session, id_or_code)
            outcome = await self._derivation.anew(session, now)
            await placements.ask(session, stay, Asked.REWRITE)
            await self._schedule(session, stay, now, outcome)
            await note(
                session,
                at=now,
                actor=actor,
                event=events.STAY_REPROCESSED,
                detail="looked at once more",
                reason=reason,
                stay=stay,
            )
            return stay, await credentials.locks_of(session, stay), outcome

        return await self._done(*await self._database.transaction(body))

    async def revoke(self, id_or_code: str, *, actor: str, reason: str | None) -> str:
        """Block the stay: its codes go from every door, and none comes back but by a reissue.

        Where the same guest's next stay has taken the code over, that stay is blocked as well.
        """

        async def body(session: Session) -> tuple[str, set[str], Outcome]:
            now = self._now()
            stay = await self._find(session, id_or_code)
            for one in [stay, *await credentials.heirs(session, stay)]:
                await reservations.block(session, one, by=actor, reason=tidy(reason), now=now)
                await credentials.forget_inherited(session, one)
                await placements.ask(session, one, Asked.REMOVE)
                await note(
                    session,
                    at=now,
                    actor=actor,
                    event=events.PIN_REVOKED,
                    detail="by a person: no PIN until it is reissued",
                    reason=reason,
                    stay=one,
                )
            outcome = await self._derivation.anew(session, now)
            return stay, await credentials.locks_of(session, stay), outcome

        return await self._done(*await self._database.transaction(body))

    async def reissue(self, id_or_code: str, *, actor: str, reason: str | None) -> str:
        """Mint another PIN: on every door first, then the old one goes, door by door. Lifts a block.

        Raises:
            NoRightToPinError: no door is due to this stay, now or later.
            NoPinLeftError: the rules leave no PIN.
        """

        async def body(session: Session) -> tuple[str, set[str], Outcome]:
            now = self._now()
            stay = await self._find(session, id_or_code)
            await reservations.unblock(session, stay)
            outcome = await self._derivation.anew(session, now)
            if not await self._derivation.mint.renew(session, stay, now):
                raise NoRightToPinError(await self._why_not(session, stay))
            await self._schedule(session, stay, now, outcome)
            await note(
                session,
                at=now,
                actor=actor,
                event=events.PIN_REISSUED,
                detail="another PIN: the old one goes once every door has confirmed the new one",
                reason=reason,
                stay=stay,
            )
            return stay, await credentials.locks_of(session, stay), outcome

        return await self._done(*await self._database.transaction(body))

    async def _done(self, stay: str, locks: Iterable[str], outcome: Outcome) -> str:
        await self._derivation.announce(outcome)
        for lock in sorted({*locks, *outcome.wake}):
            await self._revive(lock)
        return stay

    async def _find(self, session: Session, id_or_code: str) -> str:
        found = await reservations.find(session, id_or_code)
        if found is None or found.origin is Origin.CANARY:
            raise NoSuchStayError("there is no such reservation")
        return found.id

    async def _why_not(self, session: Session, stay: str) -> str:
        heirs = await credentials.heirs(session, stay)
        if heirs:
            code = await reservations.code_of(session, heirs[0])
            return f"its PIN goes on as that of the same guest's next stay: reissue {code}"
        return "no door is due to this stay: it is over, cancelled, unmapped or a hold"

    async def _schedule(self, session: Session, stay: str, now: datetime, outcome: Outcome) -> None:
        """Its doors have their jobs on time, with no failures behind them."""
        due = await credentials.due(session, stay, now)
        await self._derivation.schedule(session, due, now, outcome)


async def note(
    session: Session,
    *,
    at: datetime,
    actor: str,
    event: str,
    detail: str,
    reason: str | None,
    stay: str,
) -> None:
    """Add what a person did to the audit trail, and why."""
    said = tidy(reason)
    await audit.append(
        session,
        at=at,
        actor=actor,
        event=event,
        detail=detail if said is None else f"{detail} ({said})",
        reservation_id=stay,
    )


def tidy(reason: str | None) -> str | None:
    """A reason as it is kept: one line, and no digits that might be a PIN or a telephone number."""
    words = " ".join((reason or "").split())[:LONGEST_REASON]
    return _DIGITS.sub("****", words) or None
