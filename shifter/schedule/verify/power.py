"""The conditions of each site's grid connection: what it draws, what it may draw and export, what it generates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.loads import KW_TOLERANCE, SiteLoad, tolerance
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_power(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Rows say what the allocations and the battery draw; that is within the limits of import and of export."""
    for load in loads:
        name, imports = load.site.name, load.import_kw
        yield from _check_generation(load)
        for what, said, real in _inputs(load):
            if not np.allclose(said, real, rtol=1e-9, atol=1e-6, equal_nan=True):
                yield Violation(ViolationCode.POWER_ROW, name, f"{what} is not that of the inputs")
        if differs([r.import_kw for r in load.rows], imports, tolerance(imports)):
            yield Violation(ViolationCode.IMPORT, name, "import_kw is not what the allocations draw")
        if differs([r.export_kw or 0.0 for r in load.rows], load.export_kw, tolerance(load.export_kw)):
            yield Violation(ViolationCode.IMPORT, name, "export_kw is not what the allocations leave")
        over = _over_limit(case, load)
        slots = np.flatnonzero(over > tolerance(load.limit_kw))
        if len(slots):
            most = (
                f"up to {over.max():.3f} kW over it at the quantile, in {len(slots)} slots from {slots[0]} on"
            )
            yield Violation(ViolationCode.POWER_LIMIT, name, most)
        yield from _check_ramp(load, case.grid.slot_minutes)
        lowest, limit = load.net_kw.min(), load.site.export_limit_kw
        if lowest < -limit - tolerance(limit):
            yield Violation(ViolationCode.EXPORT, name, f"down to {lowest:.3f} kW")
        elif load.site.battery is not None:
            # Beside what its own plant gives, nothing leaves the site: what the battery does stays in it.
            beyond = float((-load.net_kw - load.generated_kw).max())
            if beyond > tolerance(load.site.battery.power_kw):
                detail = f"the battery discharges {beyond:.3f} kW more than the site draws"
                yield Violation(ViolationCode.EXPORT, name, detail)


def _check_ramp(load: SiteLoad, minutes: int) -> Iterator[Violation]:
    """From slot to slot; where real-time load and what is pinned alone rise or fall by more, by no more than that.

    That they rise gives nothing else leave to fall.
    """
    if load.site.ramp_limit_kw_per_minute is None:
        return
    most = load.site.ramp_limit_kw_per_minute * minutes
    slack = tolerance(load.net_kw[1:]) + tolerance(load.net_kw[:-1])
    for sign, how in ((1, "rises"), (-1, "falls")):
        change, given = (sign * np.diff(kw) for kw in (load.net_kw, load.median_kw + load.pinned_kw))
        over = change - np.maximum(most, given)
        if (over > slack).any():
            detail = f"{how} up to {over.max():.3f} kW more than it may, after slot {int(over.argmax())}"
            yield Violation(ViolationCode.RAMP_LIMIT, load.site.name, detail)


def _check_generation(load: SiteLoad) -> Iterator[Violation]:
    """A plant gives at most what it could, and there is none where there is none."""
    generated, available = load.generated_kw, load.available_kw
    if load.site.generation is None and any(r.generated_kw is not None for r in load.rows):
        yield Violation(ViolationCode.GENERATION, load.site.name, "has none")
    elif not ((generated >= -KW_TOLERANCE) & (generated <= available + tolerance(available))).all():
        detail = f"from {generated.min():.3f} kW to {(generated - available).max():.3f} kW more than there is"
        yield Violation(ViolationCode.GENERATION, load.site.name, detail)


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
    beside = load.beside_kw
    adds_nothing = (given > load.limit_kw) & (planned < 1e-6) & (beside < KW_TOLERANCE)
    return np.where(adds_nothing, 0.0, given + planned + beside - load.limit_kw)
