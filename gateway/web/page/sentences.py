"""How a stay's PIN and its doors stand, as a person would say it."""

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.model import Evidence, Refusal
from gateway.domain.status import PinStatus, StayStatus
from gateway.store.moments import from_text
from gateway.store.overview import CredentialView, StayView
from gateway.web.page.words import Words

_ON_LOCK = frozenset({Evidence.CONFIRMED, Evidence.OBSERVED})
_TONES = {
    PinStatus.AT_RISK: "bad",
    PinStatus.UNMAPPED: "warn",
    PinStatus.ACTIVE: "good",
    PinStatus.PLANNED: "wait",
    PinStatus.REVOKED: "off",
    PinStatus.NONE: "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLine:
    """One door. `tone`: good, wait, warn, bad or off."""

    lock: str
    tone: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StayCard:
    """A stay as the page shows it. `doors` is empty where one sentence says it all."""

    id: str
    code: str
    guest: str
    unit: str
    status: StayStatus
    tone: str
    pin: str
    doors: tuple[DoorLine, ...]
    check_in: datetime
    check_out: datetime
    phone: str | None
    channel: str | None


def card(stay: StayView, words: Words) -> StayCard:
    """The card of a stay."""
    wanted = [door for door in stay.credentials if door.state.wanted and not door.state.revoked]
    sentence = _together(stay, wanted, words)
    doors = tuple(door_line(door, words) for door in stay.credentials)
    return StayCard(
        id=stay.id,
        code=stay.code,
        guest=stay.guest_name or stay.code,
        unit=stay.listing_name or "",
        status=stay.status,
        tone=_TONES[stay.pin_status],
        pin=sentence or words(f"pin.{stay.pin_status}"),
        doors=() if sentence else doors,
        check_in=from_text(stay.check_in_at),
        check_out=from_text(stay.check_out_at),
        phone=stay.guest_phone,
        channel=stay.channel,
    )


def _together(stay: StayView, wanted: list[CredentialView], words: Words) -> str | None:
    """One sentence where all doors stand alike, None where they do not."""
    if not wanted or len(wanted) != len([d for d in stay.credentials if not d.state.revoked]):
        return None
    if stay.pin_status is PinStatus.ACTIVE and all(door.confirmed_at for door in wanted):
        last = max(str(door.confirmed_at) for door in wanted)
        return words("pin.confirmed", doors=_doors(wanted, words), when=words.confirmed_when(last))
    planned = all(door.state.evidence is Evidence.PLANNED for door in wanted)
    if stay.pin_status is PinStatus.PLANNED and planned:
        first = min(door.state.window.valid_from for door in wanted)
        return words("pin.goes_on", doors=_doors(wanted, words), when=words.when(first))
    return None


def _doors(doors: list[CredentialView], words: Words) -> str:
    if len(doors) == 1:
        return words("doors.one", lock=doors[0].lock)
    if len(doors) == 2:  # noqa: PLR2004 - both
        return words("doors.both")
    return words("doors.all", n=len(doors))


def door_line(door: CredentialView, words: Words) -> DoorLine:
    """One door in words."""
    over = door.state.window.valid_until <= words.now
    gone = door.state.revoked or door.state.taken_over or not door.state.wanted or over
    tone, text = _leaving(door, words) if gone else _coming(door, words)
    return DoorLine(lock=door.lock, tone=tone, text=text)


def _coming(door: CredentialView, words: Words) -> tuple[str, str]:
    """Of a door that the stay has, or is to have."""
    state = door.state
    text = _evidence(door, words)
    if not state.would_fail(words.now):
        return ("good" if state.evidence in _ON_LOCK else "wait"), text
    problem = words("door.unreachable") if state.unreachable else _said(state.reason, words)
    if not problem or (state.evidence is Evidence.REJECTED and not state.unreachable):
        return "bad", text
    return "bad", f"{text} · {problem}"


def _evidence(door: CredentialView, words: Words) -> str:
    state = door.state
    when = words.confirmed_when(door.confirmed_at) if door.confirmed_at else ""
    match state.evidence:
        case Evidence.OBSERVED:
            return words("door.opened", when=when)
        case Evidence.CONFIRMED:
            return words("door.confirmed", when=when)
        case Evidence.SENT | Evidence.UNKNOWN | Evidence.REVOKING | Evidence.REVOKED:
            return words(f"door.{state.evidence}")
        case Evidence.REJECTED:
            return words("door.rejected", why=_said(state.reason, words))
        case Evidence.PLANNED if words.now < state.window.valid_from:
            return words("door.goes_on", when=words.when(state.window.valid_from))
        case Evidence.PLANNED:
            return words("door.not_yet")


def _leaving(door: CredentialView, words: Words) -> tuple[str, str]:
    """Of a door that the stay had."""
    state = door.state
    if state.taken_over:
        return "off", words("door.taken_over")
    if state.revoked and door.revoked_at and state.evidence is not Evidence.PLANNED:
        return "off", words("door.deleted", when=words.confirmed_when(door.revoked_at))
    if state.revoked or not state.may_open():
        return "off", words("door.gone")
    if not state.is_late(words.now):
        return "warn", words("door.leaving")
    why = words("door.unreachable") if state.unreachable else _said(state.reason, words)
    return "bad", words("door.late") + (f" · {why}" if why else "")


def _said(reason: str | None, words: Words) -> str:
    """Why, in words; the gateway's own where they are not a lock's known answer."""
    if reason is None:
        return ""
    return words(f"refusal.{reason}") if reason in set(Refusal) else reason
