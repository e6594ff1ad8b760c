"""Sends what people should know: committed before it leaves, sent again where it failed, each once.

A notice that was leaving when the process died is sent again: twice is better than never. A guest's
PIN is not: nobody knows whether it arrived, so the admin is told instead.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.messages import (
    Composed,
    ReadyText,
    StayToTell,
    is_due,
    phone_digits,
    whatsapp_link,
)
from gateway.errors import StoreError
from gateway.notify.apprise import AppriseSender, Sent
from gateway.notify.channels import Channel, Setup
from gateway.notify.kept import of_json, to_json
from gateway.ports import Notice, Notifier
from gateway.store import audit, messages
from gateway.store.database import Database
from gateway.store.messages import GUEST, Message
from gateway.store.secretbox import SecretBox
from gateway.store.session import Session

_MOST_WAITING = 200  # notices of one channel; the oldest go first
_MOST_UNKEPT = 20
_KEPT = timedelta(days=30)
_TELL_AFTER = 3  # failures of a guest's PIN
_LAST_WAIT = 10.0  # seconds that a stop waits for what is leaving
_STORE_PAUSE = 5.0

_log = structlog.get_logger()


class Outbox:
    """Tells people through their channels. It implements gateway.ports.Notifier."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        setup: Setup,
        clock: Clock,
        sweep: float,
        journal: Notifier,
    ) -> None:
        """`sweep`: seconds between two looks for PINs that guests should be told. `journal`: is told everything, at once."""
        self._database = database
        self._box = box
        self._setup = setup
        self._clock = clock
        self._sweep_seconds = sweep
        self._journal = journal
        self._awake = asyncio.Event()
        self._busy: set[str] = set()
        self._failing: set[str] = set()  # channels whose failure was logged
        self._changed = True
        self._unkept: deque[Notice] = deque(maxlen=_MOST_UNKEPT)

    def adopt(self, setup: Setup) -> None:
        """Go on with these channels and texts."""
        self._setup = setup
        self._changed = True
        self._awake.set()

    def wake(self) -> None:
        """Let it look soon; twice is once."""
        self._awake.set()

    async def tell(self, notice: Notice) -> None:
        """See `Notifier.tell`. It is committed when this returns."""
        await self._journal.tell(notice)
        channels = [one.id for one in self._setup.told_of(notice.event)]
        if not channels:
            return
        now = self._clock.now()
        key = notice.id or f"{notice.event}/{notice.subject}/{notice.at.isoformat()}"

        async def body(session: Session) -> int:
            return await messages.put_notice(
                session, channels, key=key, notice=to_json(notice), now=now, most=_MOST_WAITING
            )

        try:
            dropped = await self._database.brief_transaction(body)
        except StoreError as error:
            _log.error("notice.unkept", about=notice.event, subject=notice.subject, why=str(error))
            self._unkept.append(notice)
            self._awake.set()
            return
        if dropped:
            _log.warning("notices.dropped", count=dropped, why="too many wait for one channel")
        self._awake.set()

    async def run(self) -> None:
        """Send what waits, until cancelled; what is leaving then is waited for."""
        sender = AppriseSender()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._awake.clear()
                    pause = self._sweep_seconds
                    try:
                        await self._send_unkept(sender)
                        if self._changed:
                            await self._recover()
                            self._changed = False
                        await self._plan()
                        pause = min(pause, await self._dispatch(tasks, sender))
                    except StoreError as error:
                        _log.error("store.refused", during="messages", reason=str(error))
                        pause = _STORE_PAUSE
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._awake.wait()
        finally:
            sender.close()

    async def _send_unkept(self, sender: AppriseSender) -> None:
        """What the store refused to keep is sent at once and once: that it refuses is the news."""
        while self._unkept:
            notice = self._unkept.popleft()
            for channel in self._setup.told_of(notice.event):
                url = channel.url.get_secret_value()
                outcome = await sender.send(url, self._setup.texts.notice(notice))
                self._tell_health(channel, outcome)

    async def _recover(self) -> None:
        """At start, and with other channels: what was leaving, and what can no longer go."""
        setup, now = self._setup, self._clock.now()
        busy = bool(self._busy)

        async def body(session: Session) -> list[Message]:
            await messages.sending_since(session, on=bool(setup.for_pins), now=now)
            await messages.prune(session, now - _KEPT)
            if busy:  # with other channels while something leaves
                return []
            left = await messages.recover(session, [one.id for one in setup.everything], now)
            for one in left:
                await _note(session, one, events.MESSAGE_FAILED, "interrupted", now)
            return left

        for one in await self._database.transaction(body):
            await self._failed(one, "the gateway stopped while it was leaving: it may have arrived")

    # --- guests --------------------------------------------------------------------------------

    async def _plan(self) -> None:
        """Have the PINs sent that guests should know by now."""
        setup, now = self._setup, self._clock.now()
        if not setup.for_pins:
            return

        async def due(session: Session) -> list[StayToTell]:
            since = await messages.sending_since(session, on=True, now=now)
            stays = await messages.stays_to_tell(session, now)
            return [one for one in stays if is_due(one, setup.sending, since, now)]

        for stay in await self._database.read(due):
            channels = [one.id for one in setup.for_pins if one.id != GUEST or not stay.phoneless]
            missing = await self._database.read(
                lambda session, key=stay.key, to=channels: messages.missing(session, key, to)  # type: ignore[misc] # mypy cannot type a lambda's default
            )
            if not missing:
                continue
            if stay.pin_changed:
                await self.tell(
                    Notice(
                        event=events.PIN_CHANGED,
                        at=now,
                        subject=stay.code,
                        detail=f"the guest is told the new one, in {stay.unit}",
                        id=f"{events.PIN_CHANGED}/{stay.key}",
                        unit=stay.unit,
                    )
                )
            await self._database.transaction(
                lambda session, stay=stay, to=missing: messages.put_pin(session, to, stay, now)  # type: ignore[misc] # mypy cannot type a lambda's default
            )

    async def _compose(self, channel: Channel, message: Message) -> tuple[str, Composed] | str:
        """URL and text of a message; a word where it is not to be sent."""
        if message.notice is not None:
            return channel.url.get_secret_value(), self._setup.texts.notice(of_json(message.notice))
        found = await self._for_guest(message.reservation_id or "")
        if found is None or found[0].key != message.key:
            return "dropped"
        stay, personal, text = found
        if channel.id != GUEST:
            return channel.url.get_secret_value(), self._setup.texts.for_host(stay, personal, text)
        phone = phone_digits(personal.phone)
        if phone is None:
            return "failed"
        return channel.url.get_secret_value().replace("{phone}", phone), text

    async def _for_guest(
        self, reservation_id: str
    ) -> tuple[StayToTell, messages.Personal, Composed] | None:
        """What a guest is to be told as it is now; None while there is no PIN, or after the stay."""

        async def body(
            session: Session,
        ) -> tuple[StayToTell | None, messages.Personal]:
            stay = await messages.stay_to_tell(session, reservation_id)
            return stay, await messages.personal(session, self._box, reservation_id)

        setup = self._setup
        stay, personal = await self._database.read(body)
        if stay is None or not stay.is_minted or self._clock.now() >= stay.check_out_at:
            return None
        unit = setup.site.unit(stay.unit)
        text = setup.texts.for_guest(
            stay,
            personal,
            zone=setup.site.zone if unit is None else unit.zone,
            address=setup.addresses.get(stay.unit, ""),
        )
        return stay, personal, text

    async def ready_text(self, reservation_id: str) -> ReadyText | None:
        """A guest's message for a person to send; None while there is no PIN, or after the stay."""
        found = await self._for_guest(reservation_id)
        if found is None:
            return None
        stay, personal, text = found
        phone = phone_digits(personal.phone)
        link = None if phone is None else whatsapp_link(phone, text.body)
        return ReadyText(text=text.body, link=link, confirmed=stay.confirmed)

    # --- sending -------------------------------------------------------------------------------

    async def _dispatch(self, tasks: asyncio.TaskGroup, sender: AppriseSender) -> float:
        """Let the next message of every channel go; seconds until another may."""
        pause = self._sweep_seconds
        for channel in self._setup.everything:
            if channel.id in self._busy:
                continue
            found = await self._database.read(
                lambda session, one=channel.id: messages.next_due(session, one)  # type: ignore[misc] # mypy cannot type a lambda's default
            )
            if found is None:
                continue
            message, at = found
            wait = (at - self._clock.now()).total_seconds()
            if 0 < wait <= messages.LONGEST_PAUSE:  # more: the clock was set back
                pause = min(pause, wait)
                continue
            self._busy.add(channel.id)
            tasks.create_task(self._deliver(channel, message, sender), name="message")
        return pause

    async def _deliver(self, channel: Channel, message: Message, sender: AppriseSender) -> None:
        """Send it and record what came of it, a stop of the gateway included."""
        work = asyncio.ensure_future(self._send(channel, message, sender))  # noqa: TID251 - awaited to its end right here
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work], timeout=_LAST_WAIT)
            work.cancel()
            raise
        except StoreError as error:
            _log.error("store.refused", during="message", reason=str(error))
            await self._clock.sleep(_STORE_PAUSE)
        finally:
            self._busy.discard(channel.id)
            self._awake.set()

    async def _send(self, channel: Channel, message: Message, sender: AppriseSender) -> None:
        composed = await self._compose(channel, message)
        if isinstance(composed, str):
            await self._not_sent(message, composed)
            return
        if not await self._database.transaction(
            lambda session: messages.begin(session, message.id)
        ):
            return
        message = replace(message, attempts=message.attempts + 1)
        outcome = await sender.send(*composed)
        await self._record(channel, message, outcome)

    async def _not_sent(self, message: Message, state: str) -> None:
        now = self._clock.now()

        async def body(session: Session) -> None:
            await messages.end(session, message.id, state, now)
            if state == "failed":
                await _note(session, message, events.MESSAGE_FAILED, "no phone", now)

        await self._database.transaction(body)
        if state == "failed":
            await self._failed(message, "no phone of the guest is known")

    async def _record(self, channel: Channel, message: Message, outcome: Sent) -> None:
        now = self._clock.now()
        retry_at = messages.retry_at(message, now)
        is_pin = message.reservation_id is not None

        async def body(session: Session) -> None:
            match outcome:
                case Sent.YES:
                    await messages.end(session, message.id, "sent", now)
                    whom = "the guest" if channel.id == GUEST else channel.name
                    await _note(session, message, events.MESSAGE_SENT, f"its PIN, to {whom}", now)
                case Sent.UNKNOWN if is_pin:
                    await messages.end(session, message.id, "interrupted", now)
                    await _note(session, message, events.MESSAGE_FAILED, str(outcome), now)
                case _ if retry_at is None:
                    await messages.end(session, message.id, "failed", now)
                    await _note(session, message, events.MESSAGE_FAILED, str(outcome), now)
                case _:
                    await messages.again(session, message.id, retry_at)

        await self._keep(body)
        self._tell_health(channel, outcome)
        if outcome is Sent.YES:
            _log.info(events.MESSAGE_SENT, channel=channel.name, key=message.key)
        if is_pin and outcome is Sent.UNKNOWN:
            await self._failed(message, f"{outcome}: it may have arrived")
        elif is_pin and outcome is not Sent.YES and message.attempts == _TELL_AFTER:
            await self._failed(message, f"{outcome}; it is tried for a day")

    async def _keep(self, body: Callable[[Session], Awaitable[None]]) -> None:
        """Record what came of a message; a store that refuses is asked again."""
        while True:
            try:
                await self._database.transaction(body)
            except StoreError as error:
                _log.error("store.refused", during="message", reason=str(error))
                await self._clock.sleep(_STORE_PAUSE)
            else:
                return

    def _tell_health(self, channel: Channel, outcome: Sent) -> None:
        """One line when a channel begins to fail, one when it works again; never its URL."""
        if outcome is Sent.YES:
            if channel.id in self._failing:
                self._failing.discard(channel.id)
                _log.info("channel.works", channel=channel.name)
        elif channel.id not in self._failing:
            self._failing.add(channel.id)
            _log.warning("channel.fails", channel=channel.name, why=str(outcome))

    async def _failed(self, message: Message, why: str) -> None:
        """A person has to see to it that the guest knows the PIN."""
        if message.reservation_id is None:
            return
        code = await self._database.read(
            lambda session: messages.code_of(session, message.reservation_id or "")
        )
        await self.tell(
            Notice(
                event=events.MESSAGE_FAILED,
                at=self._clock.now(),
                subject=code,
                detail=why,
                id=f"{events.MESSAGE_FAILED}/{message.key}/{message.channel}",
            )
        )


async def _note(session: Session, message: Message, event: str, detail: str, now: datetime) -> None:
    """Keep in the story of a stay what became of its message."""
    if message.reservation_id is not None:
        await audit.append(
            session,
            at=now,
            actor="gateway",
            event=event,
            detail=detail,
            reservation_id=message.reservation_id,
        )
