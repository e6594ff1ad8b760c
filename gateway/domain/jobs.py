"""Persisted due times: when a credential is to be issued or revoked."""

from datetime import datetime
from enum import StrEnum

from gateway.domain.value import value


class JobKind(StrEnum):
    """What a job wakes the lock's queue for."""

    GEN = "gen"  # issue
    REV = "rev"  # revoke


@value
class Job:
    """One due time. `attempts` counts failures since it was last on time."""

    id: str
    kind: JobKind
    credential_id: str
    run_at: datetime
    attempts: int = 0
    last_error: str | None = None


def gen_id(credential_id: str) -> str:
    """The id of the job that issues a credential."""
    return f"gen-{credential_id}"


def rev_id(credential_id: str) -> str:
    """The id of the job that revokes a credential."""
    return f"rev-{credential_id}"
