"""The settings: what each key may be, and what it means for the domain."""

import datetime as dt
import difflib
import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.domain import events
from gateway.domain.messages import PLACEHOLDERS, When, unknown_placeholders
from gateway.domain.model import LockSettings, Policy, Property, Unit, WindowMode
from gateway.domain.pins import DECIMAL
from gateway.tuya.profiles import PROFILES

_KEY_LENGTH = 16
_SECRET_LENGTH = 32
_LAST_MEMBER = 0xFFFE
_CRON_FIELDS = (  # name, lowest, highest, words for the values from the lowest on
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("weekday", 0, 7, "sun mon tue wed thu fri sat"),
)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> dt.timedelta:
    if isinstance(value, dt.timedelta):
        return value
    matched = re.fullmatch(r"(\d{1,5})\s*([smhd])", value) if isinstance(value, str) else None
    if matched is None:
        raise ValueError('write a duration such as "2h", "90m" or "1d"')
    return dt.timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def _clock(value: object) -> dt.time:
    if isinstance(value, dt.time):
        return value.replace(second=0, microsecond=0)
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError('write a time such as "15:00"')
    return dt.time.fromisoformat(value)


def _zone(value: object) -> str:
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        raise ValueError('write a time zone such as "America/Sao_Paulo"') from None
    return str(value)


def _local_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) != _KEY_LENGTH or not value.get_secret_value().isascii():
        raise ValueError(
            f"a local key has {_KEY_LENGTH} characters: copy it again from tinytuya's wizard"
        )
    return value


def _jwt_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _SECRET_LENGTH:
        raise ValueError(f"use {_SECRET_LENGTH} characters or more, or leave it out")
    return value


def _crontab(value: str) -> str:
    fields = value.lower().split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError('write five crontab fields such as "*/30 * * * *"')
    for text, (name, lowest, highest, words) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_is_cron(part, lowest, highest, words) for part in text.split(",")):
            raise ValueError(f"the {name} of a crontab is {lowest} to {highest}, as in */30 or 1-5")
    return value


def _is_cron(part: str, lowest: int, highest: int, words: str) -> bool:
    """One entry of a crontab field: *, a number or name, or a range, with a step or without."""
    value = r"[0-9]{1,2}|[a-z]{3}"
    matched = re.fullmatch(rf"(\*|{value})(?:-({value}))?(?:/([0-9]{{1,2}}))?", part)
    if matched is None or (matched[1] == "*" and matched[2]):
        return False
    named = {word: lowest + number for number, word in enumerate(words.split())}
    start, end = (
        None if one is None else named.get(one, int(one) if one.isdecimal() else -1)
        for one in (matched[1].replace("*", str(lowest)), matched[2])
    )
    last = highest if end is None else end
    if start is None or not (lowest <= start <= highest and lowest <= last <= highest):
        return False
    if "sun" in named:  # a weekday: Friday to Monday is a range
        return matched[3] is None or int(matched[3]) > 0
    return start <= last and (matched[3] is None or 0 < int(matched[3]) <= last - start)


def _keypad(value: str) -> str:
    if not re.fullmatch(r"[0-9]{4,10}", value) or len(set(value)) != len(value):
        raise ValueError('write the digits that the keypad has, such as "123456789"')
    return value


def _members(value: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= value[0] <= value[1] <= _LAST_MEMBER:
        raise ValueError("write the first and the last member number, such as [60, 100]")
    return value


def _ids(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _told(value: str) -> str:
    if value not in events.TOLD:
        near = difflib.get_close_matches(value, events.TOLD, n=1)
        asked = f": did you mean {near[0]}?" if near else f": use {', '.join(sorted(events.TOLD))}"
        raise ValueError(f"there is no event of this name{asked}")
    return value


def _apprise_url(value: SecretStr) -> SecretStr:
    if not re.match(r"^[A-Za-z0-9]+://", value.get_secret_value()):
        raise ValueError('write an Apprise URL such as "tgram://BOT_TOKEN/CHAT_ID"')
    return value


def _guest_url(value: SecretStr) -> SecretStr:
    url = _apprise_url(value).get_secret_value()
    if "{phone}" not in url or re.search(r"\{(?!phone\})", url):
        raise ValueError("write {phone} where the guest's phone belongs, and no other placeholder")
    return value


def _sending(value: object) -> object:
    if isinstance(value, str) and value in set(When):
        return When(value)
    try:
        return _duration(value)
    except ValueError:
        raise ValueError('write "minted", "confirmed" or a time before check-in, "6h"') from None


def _template(value: str) -> str:
    try:
        unknown = unknown_placeholders(value, PLACEHOLDERS)
    except ValueError:
        raise ValueError("write {{ and }} for braces that are no placeholders") from None
    if unknown:
        known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
        raise ValueError(f"there is no placeholder {{{unknown[0]}}}: use {known}")
    if "{pin}" not in value:
        raise ValueError("write {pin} where the PIN belongs")
    return value


def is_loopback(host: str) -> bool:
    """Is it an address or name of this machine alone?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]
ClockTime = Annotated[dt.time, BeforeValidator(_clock)]
Zone = Annotated[str, BeforeValidator(_zone)]
LocalKey = Annotated[SecretStr, AfterValidator(_local_key)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Told = Annotated[str, AfterValidator(_told)]
Template = Annotated[str, AfterValidator(_template)]
Version = Literal["3.3", "3.4", "3.5"]
Dp = Annotated[int, Field(ge=1, le=255)]
PinLength = Annotated[int, Field(ge=4, le=10)]


class Section(BaseModel):
    """Settings that do not change once read, and refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Site(Section):
    """[site]."""

    name: str = "Gateway"
    timezone: Zone = "America/Sao_Paulo"
    language: Literal["pt-BR", "en"] = "pt-BR"
    check_in_time: ClockTime = dt.time(15)
    check_out_time: ClockTime = dt.time(11)


class Stays(Section):
    """[stays]."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/\S*)?$")]
    client_id: SecretStr
    client_secret: SecretStr
    schedule: Annotated[str, AfterValidator(_crontab)] = "*/30 * * * *"
    lookback_days: Annotated[int, Field(ge=1, le=60)] = 2
    horizon_days: Annotated[int, Field(ge=1, le=730)] = 60
    scope: Literal["account", "mapped"] = "account"


class PolicySettings(Section):
    """[policy]."""

    activate_before: Duration = dt.timedelta(hours=2)
    revoke_after: Duration = dt.timedelta(hours=24)
    yield_to_next_guest: bool = True
    program_ahead: Duration = dt.timedelta(hours=24)
    pin_length: PinLength = 6
    mint_ahead: Duration = dt.timedelta(0)


class Http(Section):
    """[http]."""

    host: str = "0.0.0.0"  # noqa: S104 - the LAN is the point; what it may do there is limited
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    tls: Literal["auto", "off"] = "auto"
    tls_cert: str | None = None
    tls_key: str | None = None
    jwt_secret: Annotated[SecretStr, AfterValidator(_jwt_secret)] | None = None
    insecure_lan: bool = False
    names: tuple[HostName, ...] = ()


class Store(Section):
    """[store]."""

    path: str = "gateway.db"
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30


class Log(Section):
    """[log]."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Notify(Section):
    """[[notify]]."""

    url: Annotated[SecretStr, AfterValidator(_apprise_url)]
    events: tuple[Told, ...] = tuple(sorted(events.WARNINGS))


class Messages(Section):
    """[messages]."""

    send: Annotated[When | dt.timedelta, BeforeValidator(_sending)] = When.CONFIRMED
    guest_url: Annotated[SecretStr, AfterValidator(_guest_url)] | None = None
    address: str = ""
    pin: Template | None = None
    changed: Template | None = None


class Hub(Section):
    """[[hubs]]."""

    name: Name
    device_id: str
    local_key: LocalKey
    address: str
    port: Port = 6668
    version: Version


class DpOverrides(Section):
    """[locks.overrides] dp."""

    create: Dp | None = None
    delete: Dp | None = None
    modify: Dp | None = None
    list: Dp | None = None
    opening: tuple[Dp, ...] | None = None


class OverrideSettings(Section):
    """[locks.overrides]."""

    dp: DpOverrides = DpOverrides()
    digits: Literal["numeric", "ascii"] | None = None
    message_id: bool | None = None
    can_modify: bool | None = None
    pin_lengths: Annotated[tuple[PinLength, ...], Field(min_length=1)] | None = None
    keypad: Annotated[str, AfterValidator(_keypad)] = DECIMAL
    member_range: Annotated[tuple[int, int], AfterValidator(_members)] | None = None
    deadline: Annotated[float, Field(gt=0, le=600)] | None = None
    late_report: Annotated[float, Field(gt=0, le=3600)] | None = None


class Lock(Section):
    """[[locks]]."""

    name: Name
    profile: str
    device_id: str
    hub: str | None = None
    node_id: str | None = None
    local_key: LocalKey | None = None
    address: str | None = None
    port: Port = 6668
    version: Version | None = None
    pin_length: PinLength | None = None
    shared: bool = False
    window: Literal["full", "end", "none"] = "full"
    trust_window: bool = False
    overrides: OverrideSettings = OverrideSettings()

    def pin_lengths(self, preferred: int) -> tuple[int, ...]:
        """The PIN lengths that it takes, the preferred one first."""
        if self.pin_length is not None:
            return (self.pin_length,)
        allowed = self.overrides.pin_lengths or PROFILES[self.profile].pin_lengths
        first = preferred if preferred in allowed else allowed[0]
        return (first, *(length for length in allowed if length != first))


class Listing(Section):
    """[[listings]]."""

    stays_id: Annotated[tuple[str, ...], BeforeValidator(_ids), Field(min_length=1)]
    name: str | None = None
    locks: Annotated[tuple[str, ...], Field(min_length=1)]
    timezone: Zone | None = None
    check_in_time: ClockTime | None = None
    check_out_time: ClockTime | None = None
    address: str | None = None


class Config(BaseSettings):
    """All settings. Made by `gateway.config.load`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    site: Site = Site()
    stays: Stays
    policy: PolicySettings = PolicySettings()
    http: Http = Http()
    store: Store = Store()
    log: Log = Log()
    notify: tuple[Notify, ...] = ()
    messages: Messages = Messages()
    hubs: tuple[Hub, ...] = ()
    locks: tuple[Lock, ...] = ()
    listings: tuple[Listing, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` has put together: a file with lists cannot be merged by key."""
        return (init_settings,)

    def property(self) -> Property:
        """The units, locks and rules for the domain."""
        site = self.site
        return Property(
            units=tuple(
                Unit(
                    name=listing.name or listing.stays_id[0],
                    stays_ids=listing.stays_id,
                    locks=listing.locks,
                    zone=ZoneInfo(listing.timezone or site.timezone),
                    check_in_time=listing.check_in_time or site.check_in_time,
                    check_out_time=listing.check_out_time or site.check_out_time,
                )
                for listing in self.listings
            ),
            locks=tuple(
                LockSettings(
                    name=lock.name,
                    device_id=lock.device_id,
                    node_id=lock.node_id,
                    hub=lock.hub,
                    pin_lengths=lock.pin_lengths(self.policy.pin_length),
                    keypad=lock.overrides.keypad,
                    shared=lock.shared,
                    window_mode=WindowMode(lock.window),
                    trust_window=lock.trust_window,
                )
                for lock in self.locks
            ),
            policy=Policy(**self.policy.model_dump()),
            zone=ZoneInfo(site.timezone),
            check_in_time=site.check_in_time,
            check_out_time=site.check_out_time,
        )

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for the log to leave out."""
        return tuple(_secrets(self))


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _secrets(one)
