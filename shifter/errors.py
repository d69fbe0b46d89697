"""Errors of `shifter`, each with a code of the closed list in `docs/errors.md`."""

from __future__ import annotations

from forecasts.errors import ForecastRejected, InputError, ShifterError, SourceUnavailable

__all__ = [
    "Conflict",
    "ForecastRejected",
    "InputError",
    "NotFound",
    "NotReady",
    "PlanRejected",
    "ShifterError",
    "SolverFailed",
    "SourceUnavailable",
]


class NotFound(ShifterError):
    """No workload, plan, site or pool of that name."""

    code = "not_found"


class Conflict(ShifterError):
    """The request contradicts what is already there (the same id with other content, a finished workload)."""

    code = "conflict"


class NotReady(ShifterError):
    """There is no plan yet, or the store cannot be reached: try again after `retry_after_s` in `facts`."""

    code = "not_ready"


class SolverFailed(ShifterError):
    """The solver gave no usable answer."""

    code = "solver_failed"


class PlanRejected(ShifterError):
    """A plan broke a condition of the contract; it is not published. `facts["violations"]` lists them."""

    code = "plan_rejected"
