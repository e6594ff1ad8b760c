"""After an older copy of the database: nothing that it says of the locks is certain any more."""

from datetime import datetime

from gateway.store.moments import to_text
from gateway.store.reservations import LIVE
from gateway.store.session import Session

_WHY = "the database is an older copy: what was sent since is not known"


async def doubt_everything(session: Session, now: datetime) -> int:
    """Every code that may be on a lock is `unknown`, and no slot is believed; how many codes.

    A slot that the copy names may be another guest's by now, so it is forgotten: what is addressed
    by slot then waits for the lock's list, a later report or a person. Members and sequence numbers
    are drawn anew at random and rest after use, so those that the copy names are still ours.
    """
    count = await session.execute(f"{_DOUBT} WHERE evidence IN {LIVE}", (_WHY,))
    await session.execute("UPDATE placements SET slot = NULL WHERE slot IS NOT NULL")
    # What a list showed before says nothing of the codes that were written since.
    await session.execute(
        "UPDATE lock_status SET listed_at = NULL, listed_device = NULL, list_proven = 0,"
        " foreign_slots = NULL, stray_codes = NULL"
    )
    await _issue_again(session, now)
    return count


async def doubt_code(session: Session, placement_id: int, why: str) -> None:
    """One code that may be on a lock is `unknown`."""
    await session.execute(f"{_DOUBT} WHERE evidence IN {LIVE} AND id = ?2", (why, placement_id))


_DOUBT = (
    "UPDATE placements SET evidence = 'unknown', operation = 'create', operation_at = NULL,"
    " operation_from = NULL, operation_until = NULL, creates = 1, reason = ?1"
)


async def _issue_again(session: Session, now: datetime) -> None:
    """The jobs of what is wanted: a code that was called issued is to be confirmed again."""
    moment = to_text(now)
    await session.execute(
        "INSERT INTO jobs (id, kind, credential_id, run_at)"
        " SELECT 'gen-' || id, 'gen', id, max(valid_from, ?1) FROM credentials"
        " WHERE wanted = 1 AND revoked_at IS NULL AND taken_over_by IS NULL AND valid_until > ?1"
        " ON CONFLICT (id) DO NOTHING",
        (moment,),
    )
    await session.execute(
        "INSERT INTO jobs (id, kind, credential_id, run_at)"
        " SELECT 'rev-' || id, 'rev', id, max(iif(wanted = 1, valid_until, ?1), ?1) FROM credentials"
        " WHERE revoked_at IS NULL ON CONFLICT (id) DO NOTHING",
        (moment,),
    )
