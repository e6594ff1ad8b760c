"""A stay as the API shows it."""

from typing import Any

from gateway.domain.model import Evidence
from gateway.store.moments import to_text
from gateway.store.overview import StayView


def stay_document(view: StayView) -> dict[str, Any]:
    """A stay with its doors, without its story."""
    return {
        "id": view.id,
        "code": view.code,
        "listing": {"id": view.listing_id, "code": view.listing_code, "name": view.listing_name},
        "type": view.type,
        "status": view.status,
        "checkIn": view.check_in_at,
        "checkOut": view.check_out_at,
        "guest": {"name": view.guest_name, "phone": view.guest_phone},
        "channel": view.channel,
        "pinStatus": view.pin_status,
        "credentials": credential_documents(view),
    }


def credential_documents(view: StayView) -> list[dict[str, Any]]:
    """The doors of a stay."""
    return [
        {
            "id": door.id,
            "lock": door.lock,
            "evidence": door.state.evidence,
            "isActive": door.active,
            "validFrom": to_text(door.state.window.valid_from),
            "validUntil": to_text(door.state.window.valid_until),
            "confirmedAt": door.confirmed_at,
            "revokedAt": door.revoked_at if door.state.evidence is not Evidence.PLANNED else None,
            "reason": door.state.reason,
            "nextAttemptAt": door.next_attempt_at,
        }
        for door in view.credentials
    ]
