"""Records what is to be sent to a lock before it is sent."""

import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.domain import events
from gateway.domain.jobs import JobKind
from gateway.domain.model import Addressing, CodeAddress, LockSettings, Operation, Window
from gateway.domain.plan import (
    Credential,
    ExpiredOnLock,
    Finished,
    HandBack,
    Issued,
    LockState,
    Send,
    Settlement,
    Stuck,
    TakeOver,
)
from gateway.domain.policy import window_to_move
from gateway.errors import NoPinLeftError, StoreError
from gateway.minting import Mint
from gateway.ports import Code, LockCapabilities
from gateway.store import credentials, placements
from gateway.store.database import Row, Session
from gateway.store.moments import from_text
from gateway.store.secretbox import SecretBox
from gateway.turn import Turn

_NUMBERS_REST = timedelta(days=2)  # how long a member or sequence is left alone after use
_AN_HOUR = timedelta(hours=1)
_LONG_PAST = timedelta(days=2), timedelta(days=1)  # before now: a window that opens no door


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An operation that is recorded and, once committed, may be sent.

    Attributes:
        repeated: the same create was sent before and its outcome is not known.
        before: the row as it was, None for a new code.
    """

    operation: Operation
    kind: JobKind
    placement_id: int
    credential_id: str
    address: CodeAddress
    code: Code | None
    repeated: bool = False
    before: Row | None = None

    @property
    def asks(self) -> bool:
        """See `Send.asks`."""
        return self.operation is Operation.CREATE and self.kind is JobKind.REV


class Ledger:
    """The intents of one lock. Every method runs inside the caller's transaction.

    `ahead`: how long before its window a code may be written.
    """

    def __init__(
        self,
        *,
        settings: LockSettings,
        capabilities: LockCapabilities,
        program_ahead: timedelta,
        mint_ahead: timedelta,
        box: SecretBox,
        mint: Mint,
        draw: random.Random,
    ) -> None:
        self._settings = settings
        self._capabilities = capabilities
        self.ahead = program_ahead if settings.trust_window else timedelta(0)
        self._mint_ahead = max(self.ahead, mint_ahead)
        self._box = box
        self._mint = mint
        self._draw = draw

    async def state(self, session: Session, now: datetime) -> LockState:
        """What the plan of the lock starts from, if it is made within the hour."""
        return await placements.lock_state(
            session,
            self._settings,
            until=now + self._mint_ahead + _AN_HOUR,
            addressing=self._capabilities.addressing,
            can_modify=self._capabilities.can_modify,
            program_ahead=self.ahead,
            late_report_time=timedelta(seconds=self._capabilities.late_report_time),
        )

    def to_mint(self, state: LockState, now: datetime) -> list[Credential]:
        """The credentials that should have a PIN by now and have none, a guest's first stay first."""
        due = (
            one
            for one in state.credentials
            if one.wanted
            and one.pin_hash is None
            and one.window.valid_from - self._mint_ahead <= now < one.window.valid_until
            and (one.gen is None or one.gen.attempts == 0 or one.gen.run_at <= now)
        )
        return sorted(due, key=lambda one: (one.check_in_at, one.reservation_id))

    async def minted(self, turn: Turn) -> LockState:
        """Mint the PINs of what is due and has none; the state that it leaves."""
        state = await self.state(turn.session, turn.now)
        due = self.to_mint(state, turn.now)
        for one in due:
            try:
                await self._mint.ensure(turn.session, one.reservation_id, turn.now)
            except NoPinLeftError as error:
                await turn.fail(JobKind.GEN, one.id, str(error))
        return await self.state(turn.session, turn.now) if due else state

    async def settle(self, turn: Turn, settlement: Settlement) -> None:
        """Record what follows without asking the lock."""
        match settlement:
            case TakeOver(placement_ids=placement_ids, of=of, credential_id=heir):
                await self._reassign(turn, placement_ids, heir)
                await credentials.hand_over(turn.session, of, heir)
                await turn.drop(JobKind.GEN, of)
                detail = f"one code for two stays of the same guest: {of} has that of {heir}"
                await turn.tell(events.CREDENTIAL_TAKEN_OVER, heir, detail)
            case HandBack(placement_ids=placement_ids, credential_id=credential_id):
                await self._reassign(turn, placement_ids, credential_id)
                await credentials.hand_over(turn.session, credential_id, None)
                opens = from_text((await turn.credential(credential_id))["valid_from"])
                await turn.schedule(JobKind.GEN, credential_id, max(opens, turn.now))
                detail = (
                    "the same guest's other stay no longer needs the code: it is this one's again"
                )
                await turn.tell(events.CREDENTIAL_HANDED_BACK, credential_id, detail)
            case Issued(credential_id=credential_id):
                await turn.drop(JobKind.GEN, credential_id)
                await turn.tell(events.PIN_ISSUED, credential_id, "the PIN opens the door")
            case Finished(credential_id=credential_id):
                await turn.drop(JobKind.GEN, credential_id)
                await turn.drop(JobKind.REV, credential_id)
                await credentials.finish(turn.session, credential_id, turn.now)
                await turn.tell(
                    events.CREDENTIAL_REVOKED, credential_id, "nothing of it is on the lock"
                )
            case Stuck(credential_id=credential_id, kind=kind, why=why):
                await turn.fail(kind, credential_id, why)
                removes = kind is JobKind.REV
                event = events.CREDENTIAL_REVOCATION_LATE if removes else events.PIN_AT_RISK
                await turn.tell(event, credential_id, why)
            case ExpiredOnLock(placement_id=placement_id):
                await placements.removed(
                    turn.session, placement_id, known_from="expired on lock", now=turn.now
                )

    async def _reassign(self, turn: Turn, placement_ids: Iterable[int], heir: str) -> None:
        for placement_id in placement_ids:
            row = await self._row(turn, placement_id)
            await placements.reassign(turn.session, self._box, row, heir)

    async def begin(self, turn: Turn, send: Send, state: LockState) -> Command | None:
        """Record the operation as sent. The caller commits before the first byte leaves.

        None: the PIN that it needs is lost, so another one is to be minted first.
        """
        credential = next(one for one in state.credentials if one.id == send.credential_id)
        if send.placement_id is None:
            return await self._begin_new(turn, send, credential)
        before = await self._row(turn, send.placement_id)
        if send.asks:
            return await self._ask_number(turn, send, before)
        if before["pin"] is None and send.operation is not Operation.DELETE:
            await self._without_pin(turn, send)
            return None
        held = placements.written_window(before)
        moved = window_to_move(held, credential.written, turn.now)
        await placements.start_operation(
            turn.session,
            send.placement_id,
            send.operation,
            window=moved if send.operation is Operation.MODIFY else None,
            hours=credential.weekly if send.operation is Operation.MODIFY else None,
            message_id=None if send.operation is Operation.DELETE else self._message_id(),
            now=turn.now,
        )
        row = await self._row(turn, send.placement_id)
        code = None
        if send.operation is not Operation.DELETE:
            pin = self._box.open(row["pin"], row=f"placement:{row['credential_id']}")
            moves = send.operation is Operation.MODIFY
            window = moved if moves else held
            hours = credential.weekly if moves else placements.written_hours(row)
            code = Code(pin=pin, window=window, weekly=hours)
        return Command(
            operation=send.operation,
            kind=send.kind,
            placement_id=send.placement_id,
            credential_id=send.credential_id,
            address=placements.address_of(row),
            code=code,
            repeated=send.operation is Operation.CREATE,
            before=before,
        )

    async def _ask_number(self, turn: Turn, send: Send, before: Row) -> Command:
        """A create under the number of a code that is to go; it could open nothing, and nobody knows it."""
        await placements.ask_number(turn.session, before["id"], turn.now)
        pin = await self._mint.for_nobody(turn.session, self._settings)
        begin, end = (turn.now - ago for ago in _LONG_PAST)
        return Command(
            operation=send.operation,
            kind=send.kind,
            placement_id=before["id"],
            credential_id=send.credential_id,
            address=placements.address_of(before),
            code=Code(pin=pin, window=Window(valid_from=begin, valid_until=end)),
            before=before,
        )

    async def unrecorded_delete(self, session: Session, send: Send) -> Command | None:
        """The removal of a code that goes without its intent on disk, since it may be repeated."""
        row = (
            None if send.placement_id is None else await placements.get(session, send.placement_id)
        )
        if row is None:
            return None
        return Command(
            operation=Operation.DELETE,
            kind=send.kind,
            placement_id=row["id"],
            credential_id=send.credential_id,
            address=placements.address_of(row),
            code=None,
            before=row,
        )

    async def record_late(self, turn: Turn, command: Command) -> None:
        """Record the intent of a removal that was sent without."""
        await placements.start_operation(
            turn.session,
            command.placement_id,
            command.operation,
            window=None,
            hours=None,
            message_id=None,
            now=turn.now,
        )

    async def _without_pin(self, turn: Turn, send: Send) -> None:
        await credentials.forget_pin(turn.session, send.credential_id)
        await turn.schedule(JobKind.GEN, send.credential_id, turn.now)
        detail = "its stored PIN was lost, so another one is written: tell the guest"
        await turn.tell(events.PIN_CHANGED, send.credential_id, detail)

    async def _begin_new(self, turn: Turn, send: Send, credential: Credential) -> Command | None:
        pin = await credentials.pin(turn.session, self._box, send.credential_id)
        if pin is None:
            await self._without_pin(turn, send)
            return None
        address = await self._allot(turn)
        code = placements.NewCode(
            credential_id=send.credential_id,
            settings=self._settings,
            address=address,
            written=credential.written,
            weekly=credential.weekly,
            pin=pin,
        )
        return Command(
            operation=Operation.CREATE,
            kind=send.kind,
            placement_id=await placements.insert(turn.session, self._box, code, turn.now),
            credential_id=send.credential_id,
            address=address,
            code=Code(pin=pin, window=credential.written, weekly=credential.weekly),
        )

    async def _row(self, turn: Turn, placement_id: int) -> Row:
        row = await placements.get(turn.session, placement_id)
        if row is None:
            raise StoreError(f"placement {placement_id} has gone")
        return row

    async def _allot(self, turn: Turn) -> CodeAddress:
        """Numbers of our own range at random, none used on the lock lately."""
        members, sequences = await placements.numbers_seen(
            turn.session, self._settings.name, turn.now - _NUMBERS_REST
        )
        match self._capabilities.addressing:
            case Addressing.MEMBER:
                member = self._free(self._capabilities.member_range, members)
                return CodeAddress(member=member, message_id=self._message_id())
            case Addressing.SEQUENCE:
                sequence = self._free(self._capabilities.sequence_range, sequences)
                return CodeAddress(sequence=sequence, message_id=self._message_id())
            case Addressing.SLOT:
                return CodeAddress(message_id=self._message_id())

    def _free(self, numbers: range, used: set[int]) -> int:
        number = self._draw.choice(numbers)
        if number not in used:  # almost always: there are thousands
            return number
        free = [number for number in numbers if number not in used]
        return self._draw.choice(free or numbers)

    def _message_id(self) -> int | None:
        return self._draw.randrange(1, 0xFFFF) if self._capabilities.uses_message_id else None
