"""What the configuration last said of the doors, so that a change of it stands in the audit trail."""

import json
from datetime import datetime

from gateway.domain import events
from gateway.domain.doors import Doors, differences
from gateway.store import audit, meta
from gateway.store.session import Session

_KEY = "doors"
_ACTOR = "config.toml"


async def is_new(session: Session, doors: Doors) -> bool:
    """Is it other than what was said last?"""
    return await meta.get(session, _KEY) != json.dumps(doors)


async def note(session: Session, doors: Doors, now: datetime) -> None:
    """Keep it, and what it changes; the first one changes nothing."""
    kept = await meta.get(session, _KEY)
    await meta.put(session, _KEY, json.dumps(doors))
    if kept is None:
        return
    for lock, detail in differences(json.loads(kept), doors):
        await audit.append(
            session,
            at=now,
            actor=_ACTOR,
            event=events.CONFIG_CHANGED,
            detail=detail,
            lock=lock,
        )
