"""Which status and code an error of the gateway is answered with."""

from collections.abc import Mapping

from gateway.errors import (
    CannotListenError,
    NoPinLeftError,
    NoRightToPinError,
    NoSuchStayError,
    RunInProgressError,
    StaysRefusedError,
    StaysUnavailableError,
)

PROBLEMS: Mapping[type[Exception], tuple[int, str]] = {
    RunInProgressError: (409, "run_in_progress"),
    NoSuchStayError: (404, "not_found"),
    NoRightToPinError: (409, "no_right_to_pin"),
    NoPinLeftError: (409, "no_pin_left"),
    StaysUnavailableError: (503, "stays_unavailable"),
    StaysRefusedError: (503, "stays_refused"),
    CannotListenError: (503, "cannot_listen"),
}
