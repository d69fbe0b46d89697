"""The conditions of each site's grid connection: what it draws, what it may draw, and no export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.loads import KW_TOLERANCE, SiteLoad, tolerance
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_power(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Rows say what the allocations and the battery draw; that is within the limit, and nothing is exported."""
    for load in loads:
        name, imports = load.site.name, load.import_kw
        for what, said, real in _inputs(load):
            if not np.allclose(said, real, rtol=1e-9, atol=1e-6, equal_nan=True):
                yield Violation(ViolationCode.POWER_ROW, name, f"{what} is not that of the inputs")
        if differs([r.import_kw for r in load.rows], imports, tolerance(imports)):
            yield Violation(ViolationCode.IMPORT, name, "import_kw is not what the allocations draw")
        over = _over_limit(case, load)
        slots = np.flatnonzero(over > tolerance(load.limit_kw))
        if len(slots):
            most = (
                f"up to {over.max():.3f} kW over it at the quantile, in {len(slots)} slots from {slots[0]} on"
            )
            yield Violation(ViolationCode.POWER_LIMIT, name, most)
        if (imports < -KW_TOLERANCE).any():
            yield Violation(ViolationCode.EXPORT, name, f"down to {imports.min():.3f} kW")


def _inputs(load: SiteLoad) -> Iterator[tuple[str, Floats, Floats]]:
    """What rows repeat of the inputs, beside it; what is unknown is None in a row, and so is no limit."""
    yield "limit_kw", _floats([r.limit_kw for r in load.rows], np.inf), load.limit_kw
    yield "price_per_mwh", _floats([r.price_per_mwh for r in load.rows], np.nan), load.price_per_mwh
    yield "carbon_g_per_kwh", _floats([r.carbon_g_per_kwh for r in load.rows], np.nan), load.carbon_g_per_kwh


def _floats(values: Sequence[float | None], none: float) -> Floats:
    return np.array([none if value is None else value for value in values])


def _over_limit(case: Case, load: SiteLoad) -> Floats:
    """Import over the limit with real-time load at the quantile [kW], (n_slots,).

    Where real-time load and pinned work alone are over it, that is a fault of the site, which the plan must not add to.
    """
    given = load.given_kw(case)
    planned = (load.busy_kw - load.pinned_kw) * case.rest_ratio
    battery = load.charge_kw - load.discharge_kw
    adds_nothing = (given > load.limit_kw) & (planned < 1e-6) & (battery < KW_TOLERANCE)
    return np.where(adds_nothing, 0.0, given + planned + battery - load.limit_kw)
