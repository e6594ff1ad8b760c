"""What people read, in their language: one file a language."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from gateway.domain.alerts import Obstacle
from gateway.domain.messages import Composed, StayToTell, fill, phone_digits, whatsapp_link
from gateway.ports import Notice
from gateway.store.messages import Personal


class Texts:
    """The texts of one language, with the guest's own where they are configured."""

    def __init__(
        self,
        *,
        language: str,
        zone: ZoneInfo,
        pin: str | None = None,
        changed: str | None = None,
    ) -> None:
        """`zone`: whose wall clock notices name. `pin`, `changed`: templates in place of ours."""
        self._zone = zone
        self._words = words(language)
        self._pin = pin or self._words["guest"]["pin"].lstrip()
        self._changed = changed or self._words["guest"]["changed"].lstrip()

    def notice(self, notice: Notice) -> Composed:
        """Title and text of a notice."""
        texts = self._words["events"][notice.event]
        values = defaultdict(
            str,
            subject=notice.subject,
            detail=notice.detail,
            unit=notice.unit or "?",
            arrival="?" if notice.arrival is None else self._moment(notice.arrival, self._zone),
            doors="; ".join(self._door(one) for one in notice.obstacles),
        )
        title = fill(texts["title"], values)
        if notice.over:
            title = fill(self._words["over"], {"title": title})
        elif notice.again:
            title = fill(self._words["again"], {"title": title})
        return Composed(title=title, body=fill(texts["over" if notice.over else "text"], values))

    def _door(self, one: Obstacle) -> str:
        text = fill(self._words["doors"][one.kind], {"lock": one.lock})
        return f"{text} ({one.said})" if one.said else text

    def _moment(self, moment: datetime, zone: ZoneInfo) -> str:
        return moment.astimezone(zone).strftime(self._words["moment"])

    def for_guest(
        self, stay: StayToTell, personal: Personal, *, zone: ZoneInfo, address: str
    ) -> Composed:
        """What a guest is told. That a door has not confirmed stands in every text, one's own too."""
        guest = self._words["guest"]
        pins = set(personal.pins.values())
        each = ", ".join(f"{lock} {pin}" for lock, pin in personal.pins.items())
        values = {
            "guest": personal.guest or guest["somebody"],
            "unit": stay.unit,
            "address": address,
            "doors": ", ".join(personal.pins),
            "pin": pins.pop() if len(pins) == 1 else each,
            "from": self._moment(stay.check_in_at, zone),
            "until": self._moment(stay.check_out_at, zone),
        }
        body = fill(self._changed if stay.is_correction else self._pin, values).strip()
        if not stay.confirmed:
            body += f"\n\n{guest['unconfirmed']}"
        return Composed(title=fill(guest["title"], values), body=body)

    def for_host(self, stay: StayToTell, personal: Personal, text: Composed) -> Composed:
        """The same for the host, with a link that sends it."""
        texts = self._words["events"]["pin.message"]
        values = defaultdict(str, subject=stay.code, unit=stay.unit, detail=text.body)
        body = fill(texts["text"], values)
        phone = phone_digits(personal.phone)
        if phone is not None:
            link = whatsapp_link(phone, text.body)
            body += "\n\n" + fill(self._words["guest"]["host"], {"link": link})
        return Composed(title=fill(texts["title"], values), body=body)


@cache
def words(language: str) -> Mapping[str, Any]:
    """All texts of a language."""
    file = resources.files("gateway.notify") / "languages" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
