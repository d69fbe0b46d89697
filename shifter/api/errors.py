"""The closed list of error codes, and the errors that only an HTTP edge can make.

Nothing of a web framework is imported here: `shifter.client` turns answers back into the same classes, and
the command line starts quickly. `docs/errors.md` is tested against `ERRORS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from shifter.errors import (
    Conflict,
    ForecastRejected,
    InputError,
    NotFound,
    NotReady,
    PlanRejected,
    ShifterError,
    SolverFailed,
    SourceUnavailable,
)


class MalformedBody(ShifterError):
    """The body is not JSON in UTF-8, or is JSON that two readers could take differently."""

    code = "malformed_body"


class BodyTooLarge(ShifterError):
    """The body is larger than the daemon takes."""

    code = "body_too_large"


class UnsupportedMediaType(ShifterError):
    """The body does not say that it is JSON."""

    code = "unsupported_media_type"


class MethodNotAllowed(ShifterError):
    """The address exists, and does not answer to this method."""

    code = "method_not_allowed"


class CrossOrigin(ShifterError):
    """A page of another origin asked for a change: browsers may only change things from the daemon's own
    pages.
    """

    code = "cross_origin"


class UnknownHost(ShifterError):
    """The request came for a host name that is not the daemon's."""

    code = "unknown_host"


class TooBusy(ShifterError):
    """As many clients wait as the daemon lets wait at once; `facts["retry_after_s"]` says when to come
    again.
    """

    code = "too_busy"


class RequestRefused(ShifterError):
    """The request is not one that HTTP lets us answer, for a reason that has no code of its own."""

    code = "request_refused"


class Unreachable(ShifterError):
    """No daemon answers at the address. Raised by `shifter.client` only, never sent."""

    code = "unreachable"


@dataclass(frozen=True)
class ErrorEntry:
    """One line of the closed list."""

    error: type[ShifterError]
    status: int
    title: str
    """The same for every occurrence; `detail` is what differs."""
    remedy: str

    @property
    def code(self) -> str:
        """The stable name of the problem."""
        return self.error.code


ERRORS: tuple[ErrorEntry, ...] = (
    ErrorEntry(
        MalformedBody,
        400,
        "The body is not clean JSON",
        "Send one JSON value in UTF-8, with no key twice and with finite numbers only.",
    ),
    ErrorEntry(RequestRefused, 400, "The request was refused", "Read the detail."),
    ErrorEntry(
        CrossOrigin,
        403,
        "Another origin may not change anything",
        "Call from a program, or from a page that the daemon itself serves.",
    ),
    ErrorEntry(NotFound, 404, "There is no such thing", "Check the name; list what there is."),
    ErrorEntry(
        MethodNotAllowed, 405, "The address does not answer to this method", "Use a method listed in `Allow`."
    ),
    ErrorEntry(
        Conflict,
        409,
        "It contradicts what is already there",
        "Use another id, or send the same content; look at what is there first.",
    ),
    ErrorEntry(BodyTooLarge, 413, "The body is too large", "Send it in smaller parts."),
    ErrorEntry(UnsupportedMediaType, 415, "The body must be JSON", "Send `Content-Type: application/json`."),
    ErrorEntry(
        UnknownHost, 421, "This daemon does not answer to that host name", "Add the name to `allowed_hosts`."
    ),
    ErrorEntry(
        InputError, 422, "The input is wrong", "Correct the field that is named; nothing was changed."
    ),
    ErrorEntry(
        ForecastRejected,
        422,
        "The forecast is not fit for use",
        "Correct the series and push it again whole; nothing was stored.",
    ),
    ErrorEntry(
        ShifterError, 500, "The daemon made a mistake", "Look for the incident's id in the daemon's log."
    ),
    ErrorEntry(
        PlanRejected,
        500,
        "The plan failed its own check",
        "The last good plan stays in force; see the events.",
    ),
    ErrorEntry(
        SolverFailed,
        500,
        "The solver gave no usable answer",
        "The last good plan stays in force; see the events.",
    ),
    ErrorEntry(
        SourceUnavailable, 502, "A forecast source did not answer", "Wait; the source is asked again."
    ),
    ErrorEntry(NotReady, 503, "Not ready yet", "Try again after `Retry-After` seconds."),
    ErrorEntry(TooBusy, 503, "Too many are waiting", "Try again after `Retry-After` seconds."),
    ErrorEntry(
        Unreachable, 0, "No daemon answers", "Start one with `shifter run`, or set `--url` or `SHIFTER_URL`."
    ),
)

BY_CODE: dict[str, ErrorEntry] = {entry.code: entry for entry in ERRORS}


def entry_of(error: ShifterError) -> ErrorEntry:
    """The line of the closed list for an error; an unlisted code is a mistake of ours, and reads as
    `internal`.
    """
    return BY_CODE.get(error.code, BY_CODE[ShifterError.code])
