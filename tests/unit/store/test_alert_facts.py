"""What was read of the store once tells of every later moment what reading it again then would."""

import random
from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.domain.conditions import conditions
from gateway.store import alerts
from gateway.store.database import Database
from gateway.store.moments import to_text
from tests.builders import utc

NOW = utc("2026-02-05 12:00")
HOUR = timedelta(hours=1)
STAYS = 120
HOURS = 6 * 24


async def add(session, draw, number):
    """A stay of any kind, near now, perhaps with a code that may be on its door."""
    name = f"S{number:03d}"
    check_in = NOW + draw.randrange(-72, 72) * HOUR
    check_out = check_in + draw.randrange(1, 72) * HOUR
    sent = to_text(check_in)
    await session.execute(
        "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
        " client_id, unit, check_in_at, check_out_at, first_seen_at, changed_at, deleted_at,"
        " held_since) VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8, ?8, ?10, ?11)",
        (
            name,
            draw.choice(("booked", "booked", "contract", "canceled", "reserved")),
            f"L{draw.randrange(6)}",
            check_in.date().isoformat(),
            check_out.date().isoformat(),
            f"client-{draw.randrange(4)}",
            draw.choice((None, "Flat 1", "Flat 2", "Flat 3")),
            sent,
            to_text(check_out),
            draw.choice((None, None, None, sent)),
            draw.choice((None, None, None, sent)),
        ),
    )
    if draw.random() < 0.2:
        return
    wanted = draw.random() < 0.7
    await session.execute(
        "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
        " withdrawn_because, pin_hash, revoked_at, reason, created_at, updated_at)"
        " VALUES (?1 || '-a', ?1, 'a', 'Flat 1', ?2, ?3, ?4, ?5, x'00', ?6, ?7, ?2, ?2)",
        (
            name,
            to_text(check_in - 2 * HOUR),
            to_text(check_out + 2 * HOUR),
            wanted,
            None if wanted else "cancelled",
            draw.choice((None, sent)),
            draw.choice((None, None, "full")),
        ),
    )
    if draw.random() < 0.6:
        await session.execute(
            "INSERT INTO placements (credential_id, lock, device_id, pin_hash, evidence, sent_at)"
            " VALUES (?1 || '-a', 'a', 'd', x'00', ?2, ?3)",
            (name, draw.choice(("sent", "confirmed", "observed", "unknown", "revoking")), sent),
        )
    if draw.random() < 0.3:
        await session.execute(
            "INSERT INTO audit_log (at, actor, event, detail, reservation_id, credential_id)"
            " VALUES (?2, 'lock:a', ?3, '', ?1, ?1 || '-a')",
            (name, sent, events.CODE_REFUSED),
        )


async def facts(database, since):
    return await database.snapshot(
        lambda session: alerts.facts(session, locks={}, mapped=frozenset({"L0"}), since=since)
    )


@pytest.mark.parametrize("seed", range(5))
async def test_time_alone_brings_what_reading_again_would(tmp_path, seed):
    draw = random.Random(seed)
    seen = set()
    async with Database.open(tmp_path / "gateway.db") as database:

        async def body(session):
            for number in range(STAYS):
                await add(session, draw, number)

        await database.transaction(body)
        before = await facts(database, NOW)
        for hours in range(0, HOURS, 3):
            then = NOW + hours * HOUR
            holding = conditions(before, (), then)
            assert set(holding) == set(conditions(await facts(database, then), (), then))
            seen |= {(one.event, one.subject) for one in holding}
        standing = {(one.event, one.subject) for one in holding}
    # each of them came or went by time alone
    changing = {event for event, _ in seen - standing}
    assert changing >= {
        events.PIN_AT_RISK,
        events.STAY_OVERLAP,
        events.LISTING_UNMAPPED,
        events.CODE_REFUSED,
    }
    assert events.CREDENTIAL_REVOCATION_LATE in {event for event, _ in standing}
    assert events.BRAKE_HELD in {event for event, _ in seen}
