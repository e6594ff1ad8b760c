"""Records what a lock said of an operation, at once or late."""

from datetime import timedelta
from enum import StrEnum

from gateway.domain import events
from gateway.domain.jobs import JobKind
from gateway.domain.listing import compare
from gateway.domain.model import (
    Addressing,
    Asked,
    CodeAddress,
    Evidence,
    LockSettings,
    Operation,
    Refusal,
)
from gateway.domain.plan import LockState, Placement
from gateway.errors import NoPinLeftError
from gateway.ledger import Command
from gateway.minting import Mint
from gateway.ports import (
    CodeReported,
    Confirmed,
    ListedCode,
    LockCapabilities,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
)
from gateway.store import audit, credentials, locks, placements
from gateway.store.database import Row
from gateway.store.moments import from_text
from gateway.turn import Turn

_REVOKED_MATTERS = timedelta(days=30)  # after which a slot has most likely another owner


class Heard(StrEnum):
    """What a report is that nobody waited for."""

    ANSWER = "answer"  # to an operation of ours, late
    ECHO = "echo"  # to one that was sent again meanwhile, or that is answered
    FOREIGN = "foreign"  # to somebody else


class Verdicts:
    """The outcomes of one lock. Every method runs inside the caller's transaction."""

    def __init__(
        self, *, settings: LockSettings, capabilities: LockCapabilities, mint: Mint
    ) -> None:
        self._settings = settings
        self._capabilities = capabilities
        self._mint = mint

    async def record(self, turn: Turn, command: Command, outcome: Outcome) -> None:
        """Record what came of an operation."""
        match outcome:
            case Confirmed() | Rejected() if command.asks:
                await self._number_told(turn, command, outcome)
            case Unknown(why=why) if command.asks:
                await turn.fail(command.kind, command.credential_id, why)
            case Confirmed(address=address):
                await self._confirmed(turn, command, address, "report")
            case Rejected(reason=reason):
                await self._rejected(turn, command, reason)
            case Unknown(why=why):
                await placements.silent(
                    turn.session, command.placement_id, command.operation, why=why
                )
                if await turn.fail(command.kind, command.credential_id, why):
                    detail = f"{command.operation}: {why}"
                    await turn.tell(events.CREDENTIAL_UNKNOWN, command.credential_id, detail)
            case NotSent(why=why):
                if command.before is None:
                    await placements.forget(turn.session, command.placement_id)
                else:
                    await placements.restore(turn.session, command.before)
                await turn.fail(command.kind, command.credential_id, why)

    async def recognised(self, turn: Turn) -> int:
        """At the first look: how many codes are on other hardware than the lock is by now."""
        doubted = await placements.doubt_replaced(turn.session, self._settings)
        for credential_id in doubted:
            detail = "the lock was replaced: its code on the old one is unknown from now on"
            await turn.tell(events.LOCK_REPLACED, credential_id, detail)
        await placements.forget_refused_elsewhere(turn.session, self._settings)
        back = await placements.take_back(turn.session, self._settings)
        back += await placements.doubt_returned(turn.session, self._settings)
        for credential_id in back:
            await credentials.reopen(turn.session, credential_id)
            row = await turn.credential(credential_id)
            over = not row["wanted"] or from_text(row["valid_until"]) <= turn.now
            await turn.schedule(JobKind.REV if over else JobKind.GEN, credential_id, turn.now)
            detail = "the lock of before is back: its code may still be on it"
            await turn.tell(events.CREDENTIAL_UNKNOWN, credential_id, detail)
        return len(doubted)

    async def reported(self, turn: Turn, report: CodeReported) -> Heard:
        """Record a report that came late."""
        row = self._explained(await placements.live(turn.session, self._settings), report, turn)
        if row is None and await self._is_echo(turn, report):
            return Heard.ECHO
        if row is None:
            await self._foreign(turn, report)
            return Heard.FOREIGN
        asked = row["evidence"] == Evidence.REVOKING and row["asked"] == Asked.REMOVE
        removes = report.operation is Operation.DELETE or asked
        command = Command(
            operation=report.operation,
            kind=JobKind.REV if removes else JobKind.GEN,
            placement_id=row["id"],
            credential_id=row["credential_id"],
            address=placements.address_of(row),
            code=None,
            repeated=row["creates"] > 1,
            before=row,
        )
        match report.outcome:
            case outcome if command.asks:
                await self._number_told(turn, command, outcome)
            case Confirmed(address=address):
                await self._confirmed(turn, command, address, "late report")
            case Rejected(reason=reason):
                await self._rejected(turn, command, reason)
        return Heard.ANSWER

    async def _is_echo(self, turn: Turn, report: CodeReported) -> bool:
        """Does it name a number of ours, and tell nothing new of it? Somebody else draws others."""
        member = self._capabilities.addressing is Addressing.MEMBER
        column = "member" if member else "sequence"
        number = report.address.member if member else report.address.sequence
        if number is None:  # only the slot names it
            return False
        row = await placements.last_with(turn.session, self._settings, column, number)
        if row is None:
            return False
        on_lock = row["evidence"] in {Evidence.CONFIRMED, Evidence.OBSERVED}
        removes = report.operation is Operation.DELETE and isinstance(report.outcome, Confirmed)
        return not (removes and on_lock and row["operation"] is None)

    async def _foreign(self, turn: Turn, report: CodeReported) -> None:
        added = report.operation is Operation.CREATE and isinstance(report.outcome, Confirmed)
        if added and report.address.slot is not None:
            await locks.note_foreign(turn.session, self._settings, report.address.slot)

    def _explained(self, rows: list[Row], report: CodeReported, turn: Turn) -> Row | None:
        """The code whose operation the report answers."""
        waiting = [row for row in rows if row["operation"] == report.operation]
        seen = report.address
        if self._capabilities.addressing is Addressing.MEMBER:
            found = [row for row in waiting if row["member"] == seen.member]
        elif self._capabilities.addressing is Addressing.SEQUENCE:
            found = [row for row in waiting if row["sequence"] == seen.sequence]
        elif report.operation is not Operation.CREATE:
            found = [row for row in waiting if row["slot"] == seen.slot]
        else:  # the report names a slot that nobody knew before: only its time speaks for it
            late = timedelta(seconds=self._capabilities.late_report_time)
            taken = any(row["slot"] == seen.slot and row["operation"] is None for row in rows)
            found = [
                row
                for row in waiting
                if not taken and turn.now <= from_text(row["operation_at"]) + late
            ]
        return found[0] if len(found) == 1 else None

    async def opened(self, turn: Turn, number: int) -> None:
        """Record an opening: the code it was done with is on the lock for sure."""
        await locks.record_opening(turn.session, turn.lock, turn.now)
        sequence = self._capabilities.addressing is Addressing.SEQUENCE
        column = "sequence" if sequence else "slot"
        row = await placements.last_with(turn.session, self._settings, column, number)
        if row is None:
            return
        evidence = Evidence(row["evidence"])
        unanswered = row["operation"] == Operation.CREATE and evidence is not Evidence.REVOKING
        if evidence is Evidence.CONFIRMED or unanswered:
            await placements.observed(turn.session, row["id"])
            await turn.confirm(row["credential_id"])
            stay = (await turn.credential(row["credential_id"]))["reservation_id"]
            await turn.wake_stay(stay)
            detail = "the guest is there: the door was opened with it for the first time"
            await turn.tell(events.CREDENTIAL_OBSERVED, row["credential_id"], detail)
        elif (
            evidence is Evidence.REVOKED
            and turn.now < from_text(row["revoked_at"]) + _REVOKED_MATTERS
        ):
            await self._revoked_used(turn, row, number)

    async def _revoked_used(self, turn: Turn, row: Row, number: int) -> None:
        """A code that the lock called deleted opens the door: it is deleted again where that is safe."""
        last = await locks.last_list(turn.session, self._settings)
        if last.foreign is not None and number in last.foreign:
            return
        if self._capabilities.addressing is Addressing.SLOT:
            if await placements.any_lost(turn.session, self._settings):
                return  # that one may have the slot by now: its guest is no intruder
            what = "its slot may be another's by now: look at the codes in the lock's app"
        else:
            what = "it is deleted once more"
            await placements.doubted(turn.session, row["id"])
            await credentials.reopen(turn.session, row["credential_id"])
            await turn.schedule(JobKind.REV, row["credential_id"], turn.now)
        detail = f"the door was opened with a code that the lock had called deleted: {what}"
        await turn.tell(events.CODE_REVOKED_USED, row["credential_id"], detail)

    async def refused_at_keypad(self, turn: Turn) -> None:
        """A wrong code was typed: was it a guest whose PIN should open by now?"""
        for row in await placements.live(turn.session, self._settings):
            stay = await turn.credential(row["credential_id"])
            inside = from_text(stay["valid_from"]) <= turn.now < from_text(stay["valid_until"])
            if row["evidence"] != Evidence.CONFIRMED or not inside or not stay["wanted"]:
                continue
            if not await audit.has(
                turn.session, credential_id=stay["id"], event=events.CODE_REFUSED
            ):
                detail = (
                    "a wrong code was typed while this PIN is confirmed and was never used: if it was"
                    ' the guest, the lock\'s clock may be wrong; window = "end" helps if it is behind'
                )
                await turn.tell(events.CODE_REFUSED, stay["id"], detail)

    async def listed(self, turn: Turn, state: LockState, codes: tuple[ListedCode, ...]) -> None:
        """Record what the lock's own list shows. Codes that are not ours are left alone."""
        last = await locks.last_list(turn.session, self._settings)
        found = compare(
            state,
            frozenset(code.slot for code in codes),
            known_foreign=last.foreign,
            proven=last.proven,
            now=turn.now,
        )
        ours = self._capabilities.member_range
        await locks.record_list(
            turn.session,
            self._settings,
            proven=found.proven,
            foreign=found.foreign,
            strays=sum(
                code.slot in (found.foreign or ()) and code.member in ours for code in codes
            ),
            now=turn.now,
        )
        for placement in state.placements:
            if found.adopted is not None and placement.id == found.adopted[0]:
                await self._adopt(turn, placement, found.adopted[1])
            elif placement.id in found.missing or placement.id in found.absent:
                await self._not_listed(turn, placement)

    async def _adopt(self, turn: Turn, placement: Placement, slot: int) -> None:
        """The one code of ours without a slot is the one code on the lock without an owner."""
        await placements.created(
            turn.session,
            placement.id,
            address=CodeAddress(slot=slot),
            known_from="list",
            now=turn.now,
        )
        row = await turn.credential(placement.credential_id)
        await turn.confirm(row["id"])
        kind = JobKind.GEN if row["wanted"] else JobKind.REV
        at = from_text(row["valid_from" if row["wanted"] else "valid_until"])
        await turn.schedule(kind, row["id"], max(turn.now, at) if row["wanted"] else turn.now)
        await turn.tell(events.CREDENTIAL_CONFIRMED, row["id"], "the lock lists it")
        await turn.wake_stay(row["reservation_id"])

    async def _not_listed(self, turn: Turn, placement: Placement) -> None:
        await placements.removed(turn.session, placement.id, known_from="list", now=turn.now)
        row = await turn.credential(placement.credential_id)
        missing = placement.operation is not Operation.DELETE and row["wanted"]
        if missing and from_text(row["valid_until"]) > turn.now:
            at = max(turn.now, from_text(row["valid_from"]))
            await turn.schedule(JobKind.GEN, row["id"], at)
            detail = "the lock no longer lists it: it is written again when its time is"
            await turn.tell(events.LOCK_CODE_MISSING, row["id"], detail)
        await turn.revive()

    async def _confirmed(
        self, turn: Turn, command: Command, address: CodeAddress, known_from: str
    ) -> None:
        match command.operation:
            case Operation.CREATE:
                await placements.created(
                    turn.session,
                    command.placement_id,
                    address=address,
                    known_from=known_from,
                    now=turn.now,
                )
                await self._same_slot(turn, command, address)
                await self._is_placed(turn, command, events.CREDENTIAL_CONFIRMED)
            case Operation.MODIFY:
                await placements.modified(
                    turn.session, command.placement_id, known_from=known_from, now=turn.now
                )
                await self._is_placed(turn, command, events.CREDENTIAL_MOVED)
            case Operation.DELETE:
                await self._removed(turn, command, known_from)

    async def _is_placed(self, turn: Turn, command: Command, event: str) -> None:
        await turn.confirm(command.credential_id)
        row = await turn.credential(command.credential_id)
        if row["wanted"]:
            # At valid_from the job confirms; until then the code only lies ready on the lock.
            at = max(turn.now, from_text(row["valid_from"]))
            await turn.schedule(JobKind.GEN, command.credential_id, at)
        await turn.tell(event, command.credential_id, "the lock reports it")
        await turn.wake_stay(row["reservation_id"])

    async def _removed(self, turn: Turn, command: Command, known_from: str) -> None:
        await placements.removed(
            turn.session, command.placement_id, known_from=known_from, now=turn.now
        )
        # Why the removal failed before is over; what else stands in the way fails again.
        await credentials.note_reason(turn.session, command.credential_id, None)
        row = await turn.credential(command.credential_id)
        if row["wanted"] and from_text(row["valid_until"]) > turn.now:
            at = max(turn.now, from_text(row["valid_from"]))
            # A create that is heard of too late is not cleared away sooner and sooner: pauses grow.
            await turn.go_on(JobKind.GEN, command.credential_id, at)
            await turn.schedule(JobKind.REV, command.credential_id, from_text(row["valid_until"]))
            await credentials.note_reason(turn.session, command.credential_id, None)
        await turn.revive()  # a slot is free

    async def _number_told(
        self, turn: Turn, command: Command, outcome: Confirmed | Rejected
    ) -> None:
        """What is under a code's number by now is known: it is taken off, and that will be heard."""
        row = command.before
        await placements.delete_again(turn.session, command.placement_id)
        match outcome:
            case Confirmed() if row is not None and row["known_from"] == "duplicate":
                detail = (
                    "the code had never been on the lock under its own number: if its PIN still opens"
                    " the door, a code of somebody else has the same digits"
                )
                await turn.tell(events.CODE_ELSEWHERE, command.credential_id, detail)
            case Rejected(reason=reason) if reason is not Refusal.DUPLICATE:
                await turn.fail(command.kind, command.credential_id, reason)
                return
        await turn.go_on(command.kind, command.credential_id, turn.now)

    async def _same_slot(self, turn: Turn, command: Command, address: CodeAddress) -> None:
        """A slot allotted anew proves that the unknown delete of the code before was done."""
        if self._capabilities.addressing is not Addressing.SLOT or address.slot is None:
            return
        for row in await placements.live(turn.session, self._settings):
            other = row["id"] != command.placement_id
            if other and row["slot"] == address.slot and row["operation"] == Operation.DELETE:
                await placements.removed(
                    turn.session, row["id"], known_from="same slot", now=turn.now
                )

    async def _rejected(self, turn: Turn, command: Command, reason: Refusal) -> None:
        creates = command.operation is Operation.CREATE
        if creates and command.repeated and reason is Refusal.DUPLICATE:
            await self._confirmed(turn, command, command.address, "duplicate")
            return
        if creates and command.repeated and command.before is not None and not reason.blames_pin:
            # The repetition failed; that says nothing of the create before it.
            await placements.restore(turn.session, command.before)
            await turn.fail(command.kind, command.credential_id, reason)
            return
        if command.operation is Operation.MODIFY and reason is Refusal.NOT_FOUND:
            await placements.removed(
                turn.session, command.placement_id, known_from="report", now=turn.now
            )
        else:
            await placements.refused(
                turn.session, command.placement_id, command.operation, reason=reason, now=turn.now
            )
        detail = f"the lock refused to {command.operation}: {reason}"
        if creates and reason.blames_pin:
            await turn.tell(events.CREDENTIAL_REJECTED, command.credential_id, detail)
            await self._another_pin(turn, command, reason)
        elif await turn.fail(command.kind, command.credential_id, reason):
            await turn.tell(events.CREDENTIAL_REJECTED, command.credential_id, detail)

    async def _another_pin(self, turn: Turn, command: Command, reason: Refusal) -> None:
        try:
            replaced = await self._mint.replace_refused(
                turn.session, command.credential_id, turn.now
            )
        except NoPinLeftError:
            replaced = False
        if replaced:
            row = await turn.credential(command.credential_id)
            await turn.schedule(JobKind.GEN, command.credential_id, turn.now)
            await turn.wake_stay(row["reservation_id"])
            return
        why = f"the lock refused every PIN ({reason}): look at its other codes"
        await turn.fail(JobKind.GEN, command.credential_id, why)
        await turn.tell(events.PIN_AT_RISK, command.credential_id, why)
