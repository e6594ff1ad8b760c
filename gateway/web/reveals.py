"""PINs that a person sees in full: each time is in the stay's story."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.messages import ReadyText
from gateway.store import audit, overview
from gateway.store.database import Database, ReadSession, Session
from gateway.store.overview import DoorPin
from gateway.store.secretbox import SecretBox


class Composer(Protocol):
    """Who writes messages."""

    async def ready_text(self, reservation_id: str) -> ReadyText | None:
        """A guest's message; None while there is no PIN, or after the stay."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """PINs as a person sees them. `pin`: None when the doors differ."""

    pin: str | None = field(repr=False)
    doors: tuple[DoorPin, ...]


class Reveals:
    """Reads PINs. Whoever calls it answers on safe channels only, or masks them."""

    def __init__(
        self, *, database: Database, box: SecretBox, composer: Composer, clock: Clock
    ) -> None:
        self._database = database
        self._box = box
        self._composer = composer
        self._clock = clock

    async def masked(self, id_or_code: str) -> Shown | None:
        """A stay's PIN by its last digits; None without one."""
        _, doors = await self._doors(id_or_code)
        return _shown(doors, DoorPin.masked)

    async def whole(self, id_or_code: str, *, actor: str) -> Shown | None:
        """A stay's PIN; None without one. It is audited first."""
        found, doors = await self._doors(id_or_code)
        if found is not None and doors:
            await self._note(found, actor, "shown in full")
        return _shown(doors, lambda door: door)

    async def message(self, id_or_code: str, *, actor: str) -> ReadyText | None:
        """A guest's message, PIN included; None while there is none. It is audited first."""
        found = await self._database.snapshot(lambda session: overview.find(session, id_or_code))
        ready = None if found is None else await self._composer.ready_text(found)
        if found is not None and ready is not None:
            await self._note(found, actor, "shown in a message to the guest")
        return ready

    async def _doors(self, id_or_code: str) -> tuple[str | None, list[DoorPin]]:
        async def body(session: ReadSession) -> tuple[str | None, list[DoorPin]]:
            found = await overview.find(session, id_or_code)
            doors = [] if found is None else await overview.pins(session, self._box, found)
            return found, doors

        return await self._database.snapshot(body)

    async def _note(self, reservation_id: str, actor: str, detail: str) -> None:
        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=self._clock.now(),
                actor=actor,
                event=events.PIN_REVEALED,
                detail=detail,
                reservation_id=reservation_id,
            )

        await self._database.transaction(body)


def _shown(doors: list[DoorPin], look: Callable[[DoorPin], DoorPin]) -> Shown | None:
    """`pin` is judged before anything is masked: two PINs may end alike."""
    seen = [look(door) for door in doors]
    if not seen:
        return None
    one = len({door.pin for door in doors}) == 1
    return Shown(pin=seen[0].pin if one else None, doors=tuple(seen))
