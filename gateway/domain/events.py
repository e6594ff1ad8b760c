"""Names of what happens: in logs, in the audit trail and in notices."""

PIN_MINTED = "pin.minted"
PIN_ISSUED = "pin.issued"
PIN_AT_RISK = "pin.at_risk"
PIN_REVEALED = "pin.revealed"
PIN_REVOKED = "pin.revoked"
PIN_REISSUED = "pin.reissued"
STAY_REPROCESSED = "stay.reprocessed"
ACCESS_GIVEN = "access.given"
ACCESS_CHANGED = "access.changed"
ACCESS_TAKEN = "access.taken"
PIN_CHANGED = "pin.changed"
PIN_MESSAGE = "pin.message"

MESSAGE_SENT = "message.sent"
MESSAGE_FAILED = "message.failed"

CREDENTIAL_PLANNED = "credential.planned"
CREDENTIAL_SENT = "credential.sent"
CREDENTIAL_CONFIRMED = "credential.confirmed"
CREDENTIAL_MOVED = "credential.moved"
CREDENTIAL_OBSERVED = "credential.observed"
CREDENTIAL_REJECTED = "credential.rejected"
CREDENTIAL_UNKNOWN = "credential.unknown"
CREDENTIAL_WITHDRAWN = "credential.withdrawn"
CREDENTIAL_REVOKED = "credential.revoked"
CREDENTIAL_TAKEN_OVER = "credential.taken_over"
CREDENTIAL_HANDED_BACK = "credential.handed_back"
CREDENTIAL_REVOCATION_LATE = "revocation.late"
CODE_REFUSED = "code.refused"
CODE_REVOKED_USED = "code.revoked_used"
CODE_ELSEWHERE = "code.elsewhere"

RESERVATION_CREATED = "reservation.created"
RESERVATION_UPDATED = "reservation.updated"
RESERVATION_DELETED = "reservation.deleted"
RESERVATION_MALFORMED = "reservation.malformed"
STAY_MISSING = "stay.missing"
STAY_OVERLAP = "stay.overlap"
LISTING_UNMAPPED = "listing.unmapped"

ADMIN_SIGNED_IN = "admin.signed_in"

RECONCILE_ASKED = "reconcile.asked"
RECONCILE_STARTED = "reconcile.started"
RECONCILE_SUCCEEDED = "reconcile.succeeded"
RECONCILE_FAILED = "reconcile.failed"
BRAKE_HELD = "brake.held"
BRAKE_RELEASED = "brake.released"

LOCK_REACHED = "lock.reached"
LOCK_OFFLINE = "lock.offline"
LOCK_WRONG_KEY = "lock.wrong_key"
LOCK_REPLACED = "lock.replaced"
LOCK_RETIRED = "lock.retired"
LOCK_TRIED = "lock.tried"
LOCK_FOREIGN_WRITER = "lock.foreign_writer"
LOCK_ALARM = "lock.alarm"
LOCK_HIJACK = "lock.hijack"
LOCK_DOORBELL = "lock.doorbell"
LOCK_CLOCK_OFF = "lock.clock_off"
LOCK_CODE_MISSING = "lock.code_missing"
LOCK_MOVED = "lock.moved"
HUB_CONTENDED = "hub.contended"
BATTERY_LOW = "battery.low"

CONFIG_CHANGED = "config.changed"

CLOCK_UNTRUSTED = "clock.untrusted"
CLOCK_TRUSTED = "clock.trusted"

STORE_RESTORED = "store.restored"
STORE_LOST = "store.lost"
STORE_FAILING = "store.failing"
STORE_WORKS = "store.works"
PIN_UNREADABLE = "pin.unreadable"
BACKUP_MADE = "backup.made"
BACKUP_FAILED = "backup.failed"

CONDITIONS = frozenset(
    {
        PIN_AT_RISK,
        CREDENTIAL_REVOCATION_LATE,
        CODE_REFUSED,
        STAY_OVERLAP,
        LISTING_UNMAPPED,
        RECONCILE_FAILED,
        BRAKE_HELD,
        LOCK_OFFLINE,
        LOCK_FOREIGN_WRITER,
        LOCK_CLOCK_OFF,
        HUB_CONTENDED,
        BATTERY_LOW,
        CLOCK_UNTRUSTED,
    }
)
"""What holds for a time: told when it starts and when it is over. See gateway.domain.alerts."""

WARNINGS = CONDITIONS | {
    PIN_CHANGED,
    MESSAGE_FAILED,
    CODE_REVOKED_USED,
    CODE_ELSEWHERE,
    STAY_MISSING,
    LOCK_REPLACED,
    LOCK_ALARM,
    LOCK_HIJACK,
    LOCK_CODE_MISSING,
    STORE_RESTORED,
    STORE_LOST,
    STORE_FAILING,
    STORE_WORKS,
    PIN_UNREADABLE,
    BACKUP_FAILED,
}
"""What a `[[notify]]` that names no events is told."""

ON_REQUEST = frozenset({PIN_ISSUED, PIN_MESSAGE, CREDENTIAL_OBSERVED, LOCK_DOORBELL})
"""What only a `[[notify]]` that names it is told; `pin.message` holds the PIN itself."""

TOLD = WARNINGS | ON_REQUEST
"""All that people can be told."""
