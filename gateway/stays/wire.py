"""Stays' JSON as values: tolerant of what does not matter, strict about what decides a door."""

import datetime as dt
import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.domain.model import Accommodation, Guest, Reservation, ReservationType
from gateway.errors import MalformedReservationError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FIRST_YEAR, _LAST_YEAR = 2000, 2099  # within what clocks, windows and locks can hold
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def _date(value: object) -> dt.date:
    return _day(value[:10] if isinstance(value, str) else "")


@lru_cache(maxsize=4096)  # many stays begin and end on the same days, at the same times
def _day(text: str) -> dt.date:
    if not _DATE.fullmatch(text):
        raise ValueError("is no date YYYY-MM-DD")
    found = dt.date.fromisoformat(text)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError("is in a year that no stay can be in")
    return found


def _time(value: object) -> dt.time | None:
    if value is None or value == "":
        return None
    return _time_of_day(value if isinstance(value, str) else "")


@lru_cache(maxsize=256)
def _time_of_day(text: str) -> dt.time:
    if not _TIME.fullmatch(text):
        raise ValueError("is no time HH:mm")
    hour, minute = text.split(":")[:2]
    return dt.time(int(hour), int(minute))


def _text(value: object) -> str | None:
    """Optional text: numbers are taken as such, anything else as absent."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


OptionalText = Annotated[str | None, BeforeValidator(_text)]
Code = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_]+$")]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Partner(_Wire):
    name: OptionalText = None


class ReservationRow(_Wire):
    """A row of the list, or the part of a detail that decides a door."""

    id: Id = Field(alias="_id")
    code: Code = Field(alias="id")
    type: ReservationType
    listing_id: Id = Field(alias="_idlisting")
    check_in_date: Annotated[dt.date, BeforeValidator(_date)] = Field(alias="checkInDate")
    check_in_time: Annotated[dt.time | None, BeforeValidator(_time)] = Field(
        default=None, alias="checkInTime"
    )
    check_out_date: Annotated[dt.date, BeforeValidator(_date)] = Field(alias="checkOutDate")
    check_out_time: Annotated[dt.time | None, BeforeValidator(_time)] = Field(
        default=None, alias="checkOutTime"
    )
    client_id: OptionalText = Field(default=None, alias="_idclient")
    partner_code: OptionalText = Field(default=None, alias="partnerCode")
    partner: Annotated[
        _Partner | None, BeforeValidator(lambda value: value if isinstance(value, dict) else None)
    ] = None


Told = tuple[str | None, ...]
_TOLD = (
    *("_id", "id", "type", "_idlisting", "checkInDate", "checkInTime", "checkOutDate"),
    *("checkOutTime", "_idclient", "partnerCode"),
)
_PLAIN = {str, type(None)}


def told_by(row: Any) -> Told | None:
    """All that `reservation` reads of a row, to compare rows by; None for a row of another kind."""
    if not isinstance(row, dict):
        return None
    partner = row.get("partner")
    name = partner.get("name") if isinstance(partner, dict) else None
    told = (*map(row.get, _TOLD), name)
    return told if set(map(type, told)) <= _PLAIN else None


def reservation(row: Any) -> Reservation:
    """The reservation of one JSON object.

    Raises:
        MalformedReservationError: it cannot be understood; the reason names the field, no value.
    """
    try:
        wire = ReservationRow.model_validate(row)
    except ValidationError as error:
        raise MalformedReservationError(_id_of(row), _reason(error)) from None
    if wire.check_out_date < wire.check_in_date:
        raise MalformedReservationError(wire.id, "checkOutDate is before checkInDate")
    return Reservation(
        id=wire.id,
        code=wire.code,
        type=wire.type,
        listing_id=wire.listing_id,
        check_in_date=wire.check_in_date,
        check_in_time=wire.check_in_time,
        check_out_date=wire.check_out_date,
        check_out_time=wire.check_out_time,
        client_id=wire.client_id,
        partner_code=wire.partner_code,
        channel=None if wire.partner is None else wire.partner.name,
    )


def _id_of(row: Any) -> str:
    """What names the row: its long id, else its short one, else nothing that could be guest data."""
    for key in ("_id", "id"):
        value = row.get(key) if isinstance(row, dict) else None
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
            return value
    return "(a row without an id)"


def _reason(error: ValidationError) -> str:
    reasons = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        field = ".".join(str(part) for part in problem["loc"]) or "the row"
        text = problem["msg"].removeprefix("Value error, ")
        reasons.append(f"{field}: {text}")
    return "; ".join(reasons)


def guest_of_detail(detail: Any) -> Guest:
    """The guest in the detail of a reservation: the primary one, else the first adult."""
    details = detail.get("guestsDetails") if isinstance(detail, dict) else None
    people = details.get("list") if isinstance(details, dict) else None
    if not isinstance(people, list):
        return Guest()
    known = [one for one in people if isinstance(one, dict)]
    known.sort(key=lambda one: (not one.get("primary"), one.get("type") != "adult"))
    return _person(known[0]) if known else Guest()


def guest_of_client(client: Any) -> Guest:
    """The guest of a client's record."""
    if not isinstance(client, dict):
        return Guest()
    guest = _person(client)
    if guest.name is not None:
        return guest
    parts = [_text(client.get("fName")), _text(client.get("lName"))]
    return Guest(name=" ".join(part for part in parts if part) or None, phone=guest.phone)


def _person(one: dict[str, Any]) -> Guest:
    phones = one.get("phones")
    numbers = [
        number
        for phone in (phones if isinstance(phones, list) else [])
        if isinstance(phone, dict) and (number := _text(phone.get("iso"))) is not None
    ]
    return Guest(name=_text(one.get("name")), phone=numbers[0] if numbers else None)


def accommodation(listing: Any, asked_for: str) -> Accommodation:
    """The listing of one JSON object; what it does not tell is taken from what was asked for."""
    fields = listing if isinstance(listing, dict) else {}
    names = fields.get("_mstitle")
    title = next(iter(names.values()), None) if isinstance(names, dict) else None
    return Accommodation(
        id=_text(fields.get("_id")) or asked_for,
        code=_text(fields.get("id")),
        name=_text(fields.get("internalName")) or _text(title),
    )
