"""Notices as they are kept until they are sent: JSON."""

import json
from dataclasses import asdict
from typing import Any

from gateway.domain.alerts import Obstacle
from gateway.ports import Notice
from gateway.store.moments import from_text, from_text_or_none, to_text, to_text_or_none


def to_json(notice: Notice) -> str:
    """The notice as text."""
    kept = asdict(notice) | {
        "at": to_text(notice.at),
        "arrival": to_text_or_none(notice.arrival),
    }
    return json.dumps(kept)


def of_json(text: str) -> Notice:
    """The notice that `to_json` wrote."""
    kept: dict[str, Any] = json.loads(text)
    kept["obstacles"] = tuple(Obstacle(**one) for one in kept["obstacles"])
    kept["at"] = from_text(kept["at"])
    kept["arrival"] = from_text_or_none(kept["arrival"])
    return Notice(**kept)
