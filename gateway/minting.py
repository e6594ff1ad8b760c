"""Gives a stay its PIN: one for all its doors where they take a common length."""

import secrets
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

import structlog

from gateway.domain import events
from gateway.domain.model import LockSettings, Property
from gateway.domain.pins import DECIMAL, PinRules, may_keep, mint, shared_length
from gateway.store import audit, credentials
from gateway.store.credentials import Door
from gateway.store.database import Session
from gateway.store.secretbox import SecretBox

REUSE_AFTER = timedelta(days=90)
MOST_REFUSALS = 3  # how often another PIN is tried on a door

_log = structlog.get_logger()


class Mint:
    """Mints the PINs of one property. Every method runs inside the caller's transaction."""

    def __init__(
        self,
        *,
        site: Property,
        box: SecretBox,
        randbelow: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._site = site
        self._box = box
        self._randbelow = randbelow

    async def ensure(self, session: Session, reservation_id: str, now: datetime) -> None:
        """Every wanted door of the stay has a PIN; minted once and kept for the whole stay.

        A PIN kept from before a cancellation stays where it is still free on the doors.

        Raises:
            NoPinLeftError: the rules leave none.
        """
        doors = await self._doors(session, reservation_id)
        open_doors = [door for door in doors if door.pin is None]
        if not open_doors:
            return
        inherited = await self._inherited(session, open_doors)
        shared = next((door.pin for door in doors if door.pin is not None), None)
        if shared is None:  # it has left every door that it had
            shared = await credentials.last_pin(session, self._box, reservation_id)
        for pin in (inherited, shared):
            if pin is not None:
                fitting = [
                    door
                    for door in open_doors
                    if self._takes(door, pin)
                    and may_keep(pin, await self._live(session, [door], reservation_id))
                ]
                await self._give(session, fitting, pin)
                open_doors = [door for door in open_doors if door not in fitting]
        await self._mint(session, reservation_id, open_doors, now)

    async def renew_if_taken(self, session: Session, reservation_id: str, now: datetime) -> None:
        """A stay that came back keeps its PIN only if nobody else has it by now."""
        doors = await self._doors(session, reservation_id)
        if all(door.pin is None for door in doors):
            return
        live = await self._live(session, doors, reservation_id)
        taken = [door for door in doors if door.pin is not None and not may_keep(door.pin, live)]
        if taken:
            await self._mint(session, reservation_id, doors, now)

    async def renew(self, session: Session, reservation_id: str, now: datetime) -> bool:
        """Mint another PIN for all doors of the stay that are not over; False if none is.

        The same guest's stays after it do not inherit the old one; those before it whose code it has
        taken over go on with the new one.

        Raises:
            NoPinLeftError: the rules leave none.
        """
        every = await self._doors(session, reservation_id)
        doors = [door for door in every if door.valid_until > now and not door.settled]
        old = {door.pin for door in every if door.pin is not None}
        await credentials.forget_refusals(session, reservation_id)
        await credentials.forget_inherited(session, reservation_id)
        await self._mint(session, reservation_id, doors, now, avoid=old)
        await credentials.share_pins(session, self._box, reservation_id)
        return bool(doors)

    async def replace_refused(self, session: Session, credential_id: str, now: datetime) -> bool:
        """Mint another PIN for one that a lock refused; False once three others were refused too.

        It changes on all doors of the stay while none has confirmed, else on that door alone.

        Raises:
            NoPinLeftError: the rules leave none.
        """
        row = await session.one(
            "SELECT reservation_id, pin_refusals FROM credentials WHERE id = ?", (credential_id,)
        )
        if row is None or row["pin_refusals"] >= MOST_REFUSALS:
            return False
        await credentials.count_refusal(session, credential_id)
        doors = await self._doors(session, row["reservation_id"])
        refusing = [door for door in doors if door.credential_id == credential_id]
        changing = refusing if any(door.confirmed for door in doors) else doors
        await self._mint(session, row["reservation_id"], changing, now)
        return True

    async def for_nobody(self, session: Session, lock: LockSettings) -> str:
        """Digits that no other code of ours on the lock has and that nobody is ever told.

        Raises:
            NoPinLeftError: the rules leave none.
        """
        live = await credentials.live_pins(session, self._box, [lock.name], except_stays=())
        rules = PinRules(dates=(), live=live, used_recently=lambda _pin: False, keypad=lock.keypad)
        return mint(lock.pin_lengths[0], rules, randbelow=self._randbelow)

    async def _mint(
        self,
        session: Session,
        reservation_id: str,
        doors: list[Door],
        now: datetime,
        *,
        avoid: Collection[str] = (),
    ) -> None:
        if not doors:
            return
        preferred = self._site.policy.pin_length
        common = shared_length([self._lengths(door) for door in doors], preferred)
        if common is not None:
            groups = [(common, doors)]
        else:
            groups = [(self._lengths(door)[0], [door]) for door in doors]
        for length, group in groups:
            locks = [door.lock for door in group]
            live = await self._live(session, group, reservation_id) | set(avoid)
            recent = await credentials.recent_hashes(session, locks, now - REUSE_AFTER)
            rules = PinRules(
                dates=await credentials.stay_dates(session, reservation_id),
                live=live,
                used_recently=lambda pin, recent=recent: self._box.hash(pin) in recent,  # type: ignore[misc] # mypy cannot type a lambda's default
                keypad=self._keypad(group),
            )
            pin = mint(length, rules, randbelow=self._randbelow)
            await self._give(session, group, pin)
        await audit.append(
            session,
            at=now,
            actor="gateway",
            event=events.PIN_MINTED,
            detail=f"for {', '.join(door.lock for door in doors)}",
            reservation_id=reservation_id,
        )
        _log.info(events.PIN_MINTED, reservation_id=reservation_id, doors=len(doors))

    async def _give(self, session: Session, doors: Iterable[Door], pin: str) -> None:
        for door in doors:
            await credentials.set_pin(session, self._box, door.credential_id, pin)

    async def _doors(self, session: Session, reservation_id: str) -> list[Door]:
        return await credentials.doors(session, self._box, reservation_id)

    async def _inherited(self, session: Session, doors: Iterable[Door]) -> str | None:
        """The PIN of the same guest's stay just before."""
        for door in doors:
            if door.follows is not None:
                pin = await credentials.heritage(session, self._box, door.follows)
                if pin is not None:
                    return pin
        return None

    async def _live(
        self, session: Session, doors: Collection[Door], reservation_id: str
    ) -> set[str]:
        """The PINs that others have, or are promised, on these doors."""
        stays = await credentials.stays_of_guest(session, reservation_id)
        locks = [door.lock for door in doors]
        return await credentials.live_pins(session, self._box, locks, except_stays=stays)

    def _takes(self, door: Door, pin: str) -> bool:
        return len(pin) in self._lengths(door) and set(pin) <= set(self._keypad([door]))

    def _keypad(self, doors: Iterable[Door]) -> str:
        """The digits that all these doors have."""
        settings = [self._site.lock(door.lock) for door in doors]
        keypads = [set(one.keypad) for one in settings if one is not None]
        return "".join(sorted(set(DECIMAL).intersection(*keypads)))

    def _lengths(self, door: Door) -> tuple[int, ...]:
        settings: LockSettings | None = self._site.lock(door.lock)
        return (self._site.policy.pin_length,) if settings is None else settings.pin_lengths
