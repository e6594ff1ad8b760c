"""Mends the stored PINs that do not open, and tells people what became of each."""

from collections.abc import Callable
from datetime import datetime

import structlog

from gateway.domain import events
from gateway.ports import Notice, Notifier
from gateway.store import audit
from gateway.store.database import Database, Session
from gateway.store.secretbox import SecretBox
from gateway.store.unreadable import Fate, Mending, mend

_FATES = {
    Fate.MENDED: "its stored PIN was damaged: it was mended from another copy, and the lock is asked",
    Fate.WORKS: (
        "its stored PIN is damaged: the guest's PIN goes on opening the door, but nobody can show it"
        " any more, and a change of its window will need another one"
    ),
    Fate.LOST: "its stored PIN is damaged: another one is minted when it is due",
}
_WRONG_KEY = (
    "none of the stored PINs opens: pin.key is not the one they were sealed with. Those on the locks go"
    " on working; others are minted anew. To have the old ones back, stop the gateway, put the old"
    " pin.key back and restore a backup"
)

_log = structlog.get_logger()


class PinMender:
    """Looks at all stored PINs: at the start, each night, and when one was found not to open."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        notifier: Notifier,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._box = box
        self._notifier = notifier
        self._now = now

    async def mend(self) -> bool:
        """Afterwards every stored PIN opens; True if there was one that did not.

        Raises:
            StoreError: the database refused.
        """
        mending = await self._database.transaction(self._mend)
        if mending.wrong_key:
            await self._tell("gateway", _WRONG_KEY)
        for one in mending.found:
            if mending.wrong_key:
                _log.error(events.PIN_UNREADABLE, credential_id=one.credential_id, fate=one.fate)
            else:
                await self._tell(one.credential_id, _FATES[one.fate])
        return bool(mending.found)

    async def _mend(self, session: Session) -> Mending:
        mending = await mend(session, self._box)
        for one in mending.found:
            await audit.append(
                session,
                at=self._now(),
                actor="gateway",
                event=events.PIN_UNREADABLE,
                detail=_FATES[one.fate],
                reservation_id=one.reservation_id,
                credential_id=one.credential_id,
            )
        return mending

    async def _tell(self, subject: str, detail: str) -> None:
        _log.error(events.PIN_UNREADABLE, subject=subject, detail=detail)
        notice = Notice(event=events.PIN_UNREADABLE, at=self._now(), subject=subject, detail=detail)
        await self._notifier.tell(notice)
