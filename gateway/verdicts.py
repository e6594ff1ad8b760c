"""Records what a lock said of an operation, at once or late."""

from datetime import timedelta

from gateway.domain import events
from gateway.domain.jobs import JobKind
from gateway.domain.model import Addressing, CodeAddress, Evidence, Operation, Refusal
from gateway.errors import NoPinLeftError
from gateway.ledger import Command
from gateway.minting import Mint
from gateway.ports import (
    CodeReported,
    Confirmed,
    LockCapabilities,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
)
from gateway.store import credentials, placements
from gateway.store.database import Row
from gateway.store.moments import from_text
from gateway.turn import Turn


class Verdicts:
    """The outcomes of one lock. Every method runs inside the caller's transaction."""

    def __init__(self, *, capabilities: LockCapabilities, mint: Mint) -> None:
        self._capabilities = capabilities
        self._mint = mint

    async def record(self, turn: Turn, command: Command, outcome: Outcome) -> None:
        """Record what came of an operation."""
        match outcome:
            case Confirmed(address=address):
                await self._confirmed(turn, command, address, "report")
            case Rejected(reason=reason):
                await self._rejected(turn, command, reason)
            case Unknown(why=why):
                await placements.silent(
                    turn.session, command.placement_id, command.operation, why=why
                )
                await turn.fail(command.kind, command.credential_id, why)
                detail = f"{command.operation}: {why}"
                await turn.tell(events.CREDENTIAL_UNKNOWN, command.credential_id, detail)
            case NotSent(why=why):
                if command.before is None:
                    await placements.forget(turn.session, command.placement_id)
                else:
                    await placements.restore(turn.session, command.before)
                await turn.fail(command.kind, command.credential_id, why)

    async def reported(self, turn: Turn, report: CodeReported) -> bool:
        """Record a report that came late; False where no code of ours explains it."""
        row = self._explained(await placements.live(turn.session, report.lock), report, turn)
        if row is None:
            return False
        command = Command(
            operation=report.operation,
            kind=JobKind.REV if report.operation is Operation.DELETE else JobKind.GEN,
            placement_id=row["id"],
            credential_id=row["credential_id"],
            address=placements.address_of(row),
            code=None,
            repeated=row["creates"] > 1,
            before=row,
        )
        match report.outcome:
            case Confirmed(address=address):
                await self._confirmed(turn, command, address, "late report")
            case Rejected(reason=reason):
                await self._rejected(turn, command, reason)
        return True

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
        sequence = self._capabilities.addressing is Addressing.SEQUENCE
        for row in await placements.live(turn.session, turn.lock):
            named = row["sequence" if sequence else "slot"] == number
            if named and row["evidence"] == Evidence.CONFIRMED:
                await placements.observed(turn.session, row["id"])
                await turn.tell(
                    events.CREDENTIAL_OBSERVED, row["credential_id"], "the door was opened with it"
                )

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
        await credentials.confirm(turn.session, command.credential_id, turn.now)
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
        row = await turn.credential(command.credential_id)
        if row["wanted"] and from_text(row["valid_until"]) > turn.now:
            at = max(turn.now, from_text(row["valid_from"]))
            await turn.schedule(JobKind.GEN, command.credential_id, at)
            await turn.schedule(JobKind.REV, command.credential_id, from_text(row["valid_until"]))
        await turn.revive()  # a slot is free

    async def _same_slot(self, turn: Turn, command: Command, address: CodeAddress) -> None:
        """A slot allotted anew proves that the unknown delete of the code before was done."""
        if self._capabilities.addressing is not Addressing.SLOT or address.slot is None:
            return
        for row in await placements.live(turn.session, turn.lock):
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
        if command.operation is Operation.MODIFY and reason is Refusal.NOT_FOUND:
            await placements.removed(
                turn.session, command.placement_id, known_from="report", now=turn.now
            )
        else:
            await placements.refused(
                turn.session, command.placement_id, command.operation, reason=reason, now=turn.now
            )
        detail = f"the lock refused to {command.operation}: {reason}"
        await turn.tell(events.CREDENTIAL_REJECTED, command.credential_id, detail)
        if creates and reason.blames_pin:
            await self._another_pin(turn, command, reason)
        else:
            await turn.fail(command.kind, command.credential_id, reason)

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
