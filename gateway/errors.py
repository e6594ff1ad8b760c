"""Every error the gateway raises on purpose, named by what to do next."""


class GatewayError(Exception):
    """Anything the gateway raises on purpose."""


class TransientError(GatewayError):
    """It may work later: try again after a while."""


class PermanentError(GatewayError):
    """It will not work until a person acts: stop and tell them."""


class ConfigError(PermanentError):
    """The configuration is invalid.

    Attributes:
        problems: one line each: path, line number where known, what is wrong, how to mend it.
            No value of a secret is ever part of it.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StaysUnavailableError(TransientError):
    """Stays did not answer as it should, after every attempt: network, 5xx, 429, timeout."""


class StaysRefusedError(PermanentError):
    """Stays answered, and a person must act: wrong credentials, add-on off, HTML instead of JSON."""


class MalformedReservationError(PermanentError):
    """One reservation cannot be understood; the others are not concerned.

    Attributes:
        reservation_id: the long `_id`, or what could be read of it.
        reason: what is wrong with it, without guest data.
    """

    def __init__(self, reservation_id: str, reason: str) -> None:
        super().__init__(f"reservation {reservation_id}: {reason}")
        self.reservation_id = reservation_id
        self.reason = reason


class LockUnreachableError(TransientError):
    """No connection to the lock or its hub, or the hub says that the lock is offline.

    Nothing was written to the lock when this is raised.
    """

    def __init__(self, lock: str, reason: str) -> None:
        super().__init__(f"{lock}: {reason}")
        self.lock = lock
        self.reason = reason


class WrongKeyError(LockUnreachableError):
    """The peer takes the connection and stays silent at sign-in: most likely a wrong local key."""


class BadFrameError(TransientError):
    """Bytes from a lock or hub that are no frame, fail their check or hold no JSON."""


class UndecipherableError(BadFrameError):
    """A whole frame that does not decrypt: another key."""


class BadReportError(TransientError):
    """A DP report of a lock that its profile's layout does not explain."""


class CannotListenError(TransientError):
    """Broadcasts cannot be heard: a port is taken by a program that does not share it."""


class BadDevicesFileError(PermanentError):
    """A file that should be tinytuya's devices.json is none."""


class StoreError(TransientError):
    """The database refused a read or a write: disk full, I/O error, busy."""


class UnreadablePinError(StoreError):
    """A stored PIN does not open: damaged, of another row, or sealed with another key."""


class StoreNewerError(PermanentError):
    """The database was written by a newer gateway than this one."""


class StoreBusyError(PermanentError):
    """Another process holds the database."""


class NoSuchStayError(PermanentError):
    """No reservation or access has this id or code."""


class NoRightToPinError(PermanentError):
    """Nothing entitles this stay to a PIN on any door, now or later."""


class NoPinLeftError(PermanentError):
    """No PIN could be found that the rules allow on all doors of a stay."""


class RunInProgressError(TransientError):
    """A reconciliation is already running."""
