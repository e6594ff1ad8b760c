"""What to do next on one lock: what should be, compared with what is known to be on it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from gateway.domain.jobs import Job, JobKind
from gateway.domain.model import (
    Addressing,
    Asked,
    CodeAddress,
    Evidence,
    Operation,
    WeeklyHours,
    Window,
)
from gateway.domain.policy import window_to_move
from gateway.domain.status import NO_SLOT

SLOT_WAIT = timedelta(minutes=2)  # how long an unknown delete may hold up a guest's create
_MODIFY_TRIES = 2  # refusals after which a window is moved by delete and create


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What should be: one stay's PIN on one lock.

    Attributes:
        window: where the PIN may open; `written`: that window in the lock's window mode, with the
            hours of the week in it.
        lingers: the stay moved to other doors; this one stays as it is until those are confirmed.
        settled_everywhere: every door of the stay that is due holds the stay's present PIN.
        follows: the credential of the same guest's stay just before, on this lock.
        taken_over_by: the credential of the same guest's other stay that has this one's code.
        issued_before: a lock has confirmed a code of it at least once.
        canary: a technician's trial of the lock: written at once and to the letter.
        gen, rev: its jobs, None where done (or lost: nothing here depends on them but the pauses).
    """

    id: str
    reservation_id: str
    window: Window
    written: Window | None
    weekly: WeeklyHours | None = None
    wanted: bool
    lingers: bool = False
    settled_everywhere: bool = True
    pin_hash: bytes | None = field(default=None, repr=False)
    follows: str | None = None
    taken_over_by: str | None = None
    issued_before: bool = False
    canary: bool = False
    check_in_at: datetime
    check_out_at: datetime
    gen: Job | None = None
    rev: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What was sent: one code that is or may be on the lock."""

    id: int
    credential_id: str
    address: CodeAddress
    pin_hash: bytes = field(repr=False)
    written: Window | None
    weekly: WeeklyHours | None = None
    evidence: Evidence
    asked: Asked | None = None
    operation: Operation | None = None
    operation_at: datetime | None = None
    creates: int = 1
    modify_refusals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """One lock as the store knows it. `placements` are those that may be on this very device."""

    lock: str
    addressing: Addressing
    can_modify: bool
    program_ahead: timedelta  # zero unless the lock was seen to keep to windows
    late_report_time: timedelta
    trusts_window: bool
    credentials: tuple[Credential, ...]
    placements: tuple[Placement, ...]


class Rank(IntEnum):
    """The order of operations on one lock."""

    MOVE_INSIDE = 0
    ISSUE_ARRIVING = 1
    REVOKE = 2
    REST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """An operation to send to the lock. `placement_id` None: a new code. `kind`: whose job it is."""

    operation: Operation
    kind: JobKind
    credential_id: str
    placement_id: int | None
    rank: Rank
    at: datetime
    job: Job | None

    @property
    def asks(self) -> bool:
        """Does it only ask whether the number of a code that is to go is still taken?"""
        return self.operation is Operation.CREATE and self.kind is JobKind.REV


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """The code of `of`, if it has one, and its right to one are another stay's of the same guest."""

    placement_ids: tuple[int, ...]
    of: str
    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBack:
    """The same guest's other stay gives the codes back: it went, or ends before this one."""

    placement_ids: tuple[int, ...]
    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The window is open and the lock has confirmed: the issuing job is done."""

    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Nothing of the credential can be on the lock any more, and nothing is to come."""

    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredOnLock:
    """A code of unknown slot whose window has ended on a lock that keeps to windows."""

    placement_id: int


class Standstill(StrEnum):
    """Why nothing of ours can go on with a code, in words for a person."""

    WINDOW = f"{NO_SLOT}, so its window cannot be changed"
    UNSURE = (
        "the lock never said whether it took this PIN, and was asked twice: try it at the door,"
        " look at the codes in the lock's app"
    )
    REMOVAL = f"{NO_SLOT}: delete it at the lock or in its app"
    SLOT = (
        "the lock never said whether it deleted this code, and its slot may be another's by now:"
        " look at the codes in the lock's app"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A code with which nothing of ours can go on: a person must be told. `kind`: whose job waits."""

    credential_id: str
    kind: JobKind
    why: Standstill


Settlement = TakeOver | HandBack | Issued | Finished | ExpiredOnLock | Stuck


def settlements(state: LockState, now: datetime) -> tuple[Settlement, ...]:
    """What can be recorded now without asking the lock. To be applied one by one, planning anew."""
    return tuple(_settlements(state, now))


def _settlements(state: LockState, now: datetime) -> Iterator[Settlement]:
    by_credential = _placements_by_credential(state)
    kinship = _Kinship(state, by_credential, now)
    for credential in state.credentials:
        placements = by_credential.get(credential.id, ())
        yield from kinship.taken_over(credential)
        yield from kinship.handed_back(credential)
        if (
            credential.gen is not None
            and credential.wanted
            and credential.window.holds(now)
            and any(_is_as_wanted(placement, credential, now) for placement in placements)
        ):
            yield Issued(credential_id=credential.id)
        if not placements and _is_over(credential, now):
            yield Finished(credential_id=credential.id)
        yield from _stuck(credential, placements, state, now)
    for placement in state.placements:
        if _has_expired(placement, state, now):
            yield ExpiredOnLock(placement_id=placement.id)


class _Kinship:
    """The stays of one guest that have one code on the lock: that of the stay that ends last."""

    def __init__(
        self, state: LockState, codes: Mapping[str, tuple[Placement, ...]], now: datetime
    ) -> None:
        """`codes`: the placements by credential."""
        self._state = state
        self._now = now
        self._by_id = {credential.id: credential for credential in state.credentials}
        self._codes = codes
        self._by_pin: dict[bytes, list[Placement]] = {}
        for code in state.placements:
            self._by_pin.setdefault(code.pin_hash, []).append(code)

    def taken_over(self, credential: Credential) -> Iterator[TakeOver]:
        """What a stay and another one with its PIN have in common becomes that of the longer one."""
        holder = self._holder(credential) if self._has_open(credential) else None
        if holder is None or holder.pin_hash != credential.pin_hash:
            return
        if self._has_open(holder) and not self._carries(credential, holder):
            owner, other = holder, credential
        else:
            owner, other = credential, holder
        owned, codes = (self._codes_of(one, credential.pin_hash) for one in (owner, other))
        if (owned and codes) or not all(
            code.operation is None and code.asked is not Asked.REMOVE for code in (*owned, *codes)
        ):
            return
        ids = tuple(code.id for code in codes)
        yield TakeOver(placement_ids=ids, of=other.id, credential_id=owner.id)

    def handed_back(self, credential: Credential) -> Iterator[HandBack]:
        """A stay has its code for itself again once the one that took it over does not outlast it."""
        if credential.taken_over_by is None or _is_over(credential, self._now):
            return
        heirs = list(self._heirs(credential))
        if heirs and self._carries(heirs[-1], credential):
            return
        opens = credential.window.holds(self._now)
        yield HandBack(
            placement_ids=tuple(
                code.id
                for heir in heirs
                for code in self._codes.get(heir.id, ())
                if opens
                and code.pin_hash == credential.pin_hash
                and code.operation is not Operation.DELETE
                and code.asked is not Asked.REMOVE
            ),
            credential_id=credential.id,
        )

    def have_pin_of(self, credential: Credential) -> bool:
        """Has another stay its PIN on the lock? It is handed over then, or goes first if it can."""
        holder = self._holder(credential)
        return holder is not None and not (
            _is_over(holder, self._now)
            and any(
                _removal(code, self._state) is None
                for code in self._codes_of(holder, credential.pin_hash)
            )
        )

    def _holder(self, credential: Credential) -> Credential | None:
        """Another stay that has a code with its PIN: of the same guest, since no two guests share one."""
        if credential.pin_hash is None:
            return None
        holders = (
            self._by_id.get(code.credential_id)
            for code in self._by_pin.get(credential.pin_hash, ())
            if code.credential_id != credential.id
        )
        return next((holder for holder in holders if holder is not None), None)

    def _heirs(self, credential: Credential) -> Iterator[Credential]:
        """Those that have taken its code over, one from the other."""
        seen = {credential.id}
        heir = self._by_id.get(credential.taken_over_by or "")
        while heir is not None and heir.id not in seen:
            yield heir
            seen.add(heir.id)
            heir = self._by_id.get(heir.taken_over_by or "")

    def _carries(self, one: Credential, other: Credential) -> bool:
        """Does the code of one stay open for as long as the other's would?"""
        return self._has_open(one) and one.window.valid_until >= other.window.valid_until

    def _has_open(self, credential: Credential) -> bool:
        return _is_due(credential, self._state, self._now) and credential.window.holds(self._now)

    def _codes_of(self, credential: Credential, pin_hash: bytes | None) -> list[Placement]:
        """Its codes with that PIN."""
        mine = self._codes.get(credential.id, ())
        return [code for code in mine if code.pin_hash == pin_hash]


def next_sends(state: LockState, now: datetime) -> tuple[Send, ...]:
    """The operations to send to the lock now, the most urgent first.

    Pauses after failures are kept: a step whose job waits for a later attempt is left out.
    """
    by_credential = _placements_by_credential(state)
    kinship = _Kinship(state, by_credential, now)
    steps = [
        step
        for credential in state.credentials
        for step in _sends(credential, by_credential.get(credential.id, ()), kinship, state, now)
        if step.job is None or step.job.attempts == 0 or step.job.run_at <= now
    ]
    # An operation that was refused or lost steps behind those not yet tried.
    return tuple(
        sorted(steps, key=lambda step: (_tried(step), step.rank, step.at, step.credential_id))
    )


def _tried(step: Send) -> bool:
    return step.job is not None and step.job.attempts > 0


def _sends(
    credential: Credential,
    placements: tuple[Placement, ...],
    kinship: _Kinship,
    state: LockState,
    now: datetime,
) -> Iterator[Send]:
    due = _is_due(credential, state, now)
    stays_put = _stays_put(credential, now)
    current = [
        placement
        for placement in placements
        if placement.pin_hash == credential.pin_hash and placement.asked is not Asked.REMOVE
    ]
    for placement in placements:
        over = not stays_put and (not due or _is_superseded(placement, credential, current))
        if over or placement.asked is Asked.REMOVE:
            operation = _removal(placement, state)
            if operation is not None:
                yield _send(operation, credential, placement, now, removes=True)
        elif due and placement in current:
            operation = _correction(placement, credential, state, now)
            if operation is not None:
                yield _send(operation, credential, placement, now, removes=False)
    if (
        due
        and not current
        and _may_create(credential, state, now)
        and not kinship.have_pin_of(credential)
    ):
        yield _send(Operation.CREATE, credential, None, now, removes=False)


def _send(
    operation: Operation,
    credential: Credential,
    placement: Placement | None,
    now: datetime,
    *,
    removes: bool,
) -> Send:
    inside = credential.window.holds(now)
    if removes:
        rank, at, job = Rank.REVOKE, credential.window.valid_until, credential.rev
    elif not inside:
        rank, at, job = Rank.REST, credential.window.valid_from, credential.gen
    elif credential.issued_before and credential.check_in_at <= now < credential.check_out_at:
        rank, at, job = Rank.MOVE_INSIDE, credential.check_in_at, credential.gen
    else:
        rank, at, job = Rank.ISSUE_ARRIVING, credential.check_in_at, credential.gen
    return Send(
        operation=operation,
        kind=JobKind.REV if removes else JobKind.GEN,
        credential_id=credential.id,
        placement_id=None if placement is None else placement.id,
        rank=rank,
        at=at,
        job=job,
    )


def _is_due(credential: Credential, state: LockState, now: datetime) -> bool:
    """Should the code be on the lock now?"""
    if not credential.wanted or credential.taken_over_by is not None:
        return False
    if credential.canary:
        return now < credential.window.valid_until
    # A guest already inside by the stay before keeps that window until this one opens.
    ahead = timedelta(0) if credential.follows else state.program_ahead
    return credential.window.valid_from - ahead <= now < credential.window.valid_until


def _stays_put(credential: Credential, now: datetime) -> bool:
    """Does the code wait for those of the doors that the stay has moved to?"""
    return credential.lingers and now < credential.window.valid_until


def _is_over(credential: Credential, now: datetime) -> bool:
    return not credential.wanted or credential.window.valid_until <= now


def _is_superseded(placement: Placement, credential: Credential, current: list[Placement]) -> bool:
    """Is it an old PIN of the stay, and does the new one work on every door?"""
    return (
        placement not in current
        and credential.settled_everywhere
        and any(_is_on_lock(other) for other in current)
    )


def _is_on_lock(placement: Placement) -> bool:
    return placement.evidence in {Evidence.CONFIRMED, Evidence.OBSERVED}


def _is_as_wanted(placement: Placement, credential: Credential, now: datetime) -> bool:
    return (
        _is_on_lock(placement)
        and placement.operation is None
        and placement.pin_hash == credential.pin_hash
        and placement.written == window_to_move(placement.written, credential.written, now)
        and placement.weekly == credential.weekly
    )


def is_lost(placement: Placement, state: LockState) -> bool:
    """May it be on the lock without anything of ours that names it?"""
    return state.addressing is Addressing.SLOT and placement.address.slot is None


def _stuck(
    credential: Credential, placements: tuple[Placement, ...], state: LockState, now: datetime
) -> Iterator[Stuck]:
    """Told once for each reason: the job that waits keeps it as its last error."""
    due = _is_due(credential, state, now)
    job = credential.gen if due else credential.rev
    if job is None or (job.run_at > now and (due or job.attempts > 0)):
        return
    if not due and _stays_put(credential, now):
        return
    reasons = (_standstill(placement, credential, state, now, due=due) for placement in placements)
    why = next((reason for reason in reasons if reason is not None), None)
    if why is not None and job.last_error != why:
        yield Stuck(credential_id=credential.id, kind=JobKind.GEN if due else JobKind.REV, why=why)


def _standstill(
    placement: Placement, credential: Credential, state: LockState, now: datetime, *, due: bool
) -> Standstill | None:
    """What keeps us from going on with a code, None where nothing does."""
    if _has_expired(placement, state, now) or late_report_may_come(placement, state, now):
        return None
    if not is_lost(placement, state):
        blocked = placement.operation is Operation.DELETE and _removal(placement, state) is None
        return Standstill.SLOT if blocked else None
    if not due:
        return Standstill.REMOVAL
    if _is_on_lock(placement):
        return None if _is_as_wanted(placement, credential, now) else Standstill.WINDOW
    return Standstill.UNSURE if placement.creates > 1 else None


def _has_expired(placement: Placement, state: LockState, now: datetime) -> bool:
    """Has the lock itself ended a code that nothing of ours names?"""
    return (
        state.trusts_window
        and is_lost(placement, state)
        and placement.written is not None
        and placement.written.valid_until <= now
    )


def late_report_may_come(placement: Placement, state: LockState, now: datetime) -> bool:
    """Is it too early to take the lock's silence for an answer?"""
    return (
        placement.operation_at is not None and now < placement.operation_at + state.late_report_time
    )


def _removal(placement: Placement, state: LockState) -> Operation | None:
    """How to get rid of a code: None while nothing names it, or its slot may be another's by now.

    Where the sender numbers the codes, a lock refuses to delete one that has gone just as it refuses
    anything else. Only a create under that number tells the two apart: see `Send.asks`.
    """
    if is_lost(placement, state):
        return None
    refused = placement.evidence is Evidence.REVOKING and placement.operation is None
    if refused and state.addressing is Addressing.SEQUENCE:
        return Operation.CREATE
    if (
        state.addressing is Addressing.SLOT
        and placement.operation is Operation.DELETE
        and any(is_lost(other, state) for other in state.placements)
    ):
        return None
    return Operation.DELETE


def _correction(
    placement: Placement, credential: Credential, state: LockState, now: datetime
) -> Operation | None:
    """What a code that should be on the lock needs."""
    if placement.operation is Operation.DELETE:
        return _removal(placement, state)
    if placement.operation is Operation.CREATE or not _is_on_lock(placement):
        return _resolution(placement, state, now)
    fits = _is_as_wanted(placement, credential, now)
    if (fits and placement.asked is not Asked.REWRITE) or is_lost(placement, state):
        return None
    names_slot = state.addressing is not Addressing.MEMBER or placement.address.slot is not None
    modifiable = state.can_modify and names_slot
    if modifiable and placement.modify_refusals < _MODIFY_TRIES:
        return Operation.MODIFY
    # A code that is as it should be is taken off only once the lock itself has denied it.
    return None if fits and not modifiable else Operation.DELETE


def _resolution(placement: Placement, state: LockState, now: datetime) -> Operation | None:
    """The lock's own means to settle a create of unknown outcome; never a second PIN."""
    match state.addressing:
        case Addressing.MEMBER:
            return Operation.DELETE  # everything of that member; created again afterwards
        case Addressing.SEQUENCE:
            return Operation.CREATE  # the same number: `duplicate` means that it is there
        case Addressing.SLOT:
            if placement.creates > 1 or late_report_may_come(placement, state, now):
                return None
            return Operation.CREATE  # once, same PIN and window: `duplicate` means that it is there


def _may_create(credential: Credential, state: LockState, now: datetime) -> bool:
    """May a new slot be allotted? Not while a delete by slot might still take it away."""
    if state.addressing is not Addressing.SLOT:
        return True
    unsettled = any(placement.operation is Operation.DELETE for placement in state.placements)
    return not unsettled or now >= credential.window.valid_from + SLOT_WAIT


def _placements_by_credential(state: LockState) -> dict[str, tuple[Placement, ...]]:
    grouped: dict[str, tuple[Placement, ...]] = {}
    for placement in state.placements:
        grouped[placement.credential_id] = (*grouped.get(placement.credential_id, ()), placement)
    return grouped
