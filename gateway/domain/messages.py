"""What a guest is told of a PIN, and when."""

import hashlib
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

PLACEHOLDERS = ("guest", "unit", "address", "doors", "pin", "from", "until")
PHONE = ("phone",)
_GUEST_AWAITED = timedelta(hours=2)  # before arrival: by then it goes without the guest's name


class When(StrEnum):
    """When a guest is told, where it is not a time before check-in."""

    MINTED = "minted"
    CONFIRMED = "confirmed"


Sending = When | timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPin:
    """One door of a stay. `fingerprint`: a keyed hash of its PIN. `confirmed`: its lock has said yes."""

    lock: str
    fingerprint: bytes | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StayToTell:
    """A stay with a right to its doors, and the keys of what was told of it before, in order.

    `phoneless`: a person gave this access and no phone with it, so nobody waits for a message.
    """

    reservation_id: str
    code: str
    unit: str
    check_in_at: datetime
    check_out_at: datetime
    guest_read: bool
    doors: tuple[DoorPin, ...]
    told: tuple[str, ...] = ()
    phoneless: bool = False

    @property
    def confirmed(self) -> bool:
        """Has every lock confirmed its PIN?"""
        return all(door.confirmed for door in self.doors)

    @property
    def is_minted(self) -> bool:
        """Has every door its PIN?"""
        return bool(self.doors) and all(door.fingerprint is not None for door in self.doors)

    @property
    def content(self) -> str:
        """What there is to tell: the same while PIN, doors and nights are."""
        nights = f"{self.check_in_at.isoformat()} {self.check_out_at.isoformat()}"
        doors = " ".join(sorted(door.lock for door in self.doors))
        return f"{self._of_pins}/{_digest(f'{self.unit} {nights} {doors}'.encode())}"

    @property
    def _of_pins(self) -> str:
        pins = sorted({door.fingerprint or b"" for door in self.doors})
        return f"pin/{self.reservation_id}/{_digest(b''.join(pins))}"

    @property
    def is_told(self) -> bool:
        """Was this the last thing told?"""
        return bool(self.told) and _content_of(self.told[-1]) == self.content

    @property
    def key(self) -> str:
        """Names this telling: what was told, then something else, then the first again are three."""
        return self.told[-1] if self.is_told else f"{self.content}/{len(self.told)}"

    @property
    def is_correction(self) -> bool:
        """Was something else told before?"""
        return any(_content_of(key) != self.content for key in self.told)

    @property
    def pin_changed(self) -> bool:
        """Was another PIN told last?"""
        return bool(self.told) and not self.told[-1].startswith(f"{self._of_pins}/")


def _content_of(key: str) -> str:
    return key.rpartition("/")[0]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def is_due(stay: StayToTell, sending: Sending, since: datetime, now: datetime) -> bool:
    """Is there something to tell by now? `since`: when messages were first sent at all."""
    over = now >= stay.check_out_at
    # Its guest was inside when the gateway came, and has a PIN from elsewhere.
    not_ours = not stay.told and stay.check_in_at <= min(since, now)
    nameless = not stay.guest_read and now < stay.check_in_at - _GUEST_AWAITED
    if stay.is_told or not stay.is_minted or over or not_ours or nameless:
        return False
    match sending:
        case When.MINTED:
            return True
        case When.CONFIRMED:
            return stay.confirmed
        case timedelta():
            return stay.confirmed and (bool(stay.told) or now >= stay.check_in_at - sending)


def unknown_placeholders(template: str, known: Collection[str]) -> list[str]:
    """The placeholders of a template that nothing fills.

    Raises:
        ValueError: a brace is not closed.
    """
    fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    return [name for name in fields if name not in known]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders filled, and nothing but them."""
    return template.format_map(values)


def phone_digits(phone: str | None) -> str | None:
    """A phone as wa.me and most services take it: digits alone; None where it is none."""
    digits = "".join(one for one in phone or "" if one.isascii() and one.isdigit())
    return digits if 8 <= len(digits) <= 15 else None  # noqa: PLR2004 - E.164


def whatsapp_link(phone: str, text: str) -> str:
    """A link that opens WhatsApp with the text ready to send."""
    return f"https://wa.me/{phone}?text={quote(text, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message ready to send; it holds a PIN."""

    title: str = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyText:
    """A guest's message for a person to send; it holds a PIN. `link`: None without a phone."""

    text: str = field(repr=False)
    link: str | None = field(repr=False)
    confirmed: bool
