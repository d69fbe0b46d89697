"""The conditions of each site's battery: its balance, its limits, and what it must hold for real-time load.

That it discharges no more than its site draws is checked with the site's exchange (`power`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.domain.plant import Battery
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.loads import SiteLoad, tolerance
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_batteries(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Every battery, and none where there is none."""
    for load in loads:
        if load.site.battery is not None:
            yield from _check(case, load, load.site.battery)
        elif any(r.charge_kw or r.discharge_kw or r.stored_kwh for r in load.rows):
            yield Violation(ViolationCode.BATTERY, load.site.name, "has none")


def _check(case: Case, load: SiteLoad, battery: Battery) -> Iterator[Violation]:
    name, slack = load.site.name, float(tolerance(battery.energy_kwh))
    charge, discharge = load.charge_kw, load.discharge_kw
    said = np.array([r.stored_kwh for r in load.rows])
    gain = charge * battery.charge_efficiency - discharge / battery.discharge_efficiency
    after = said + case.grid.slot_hours * gain
    if differs(said, np.append(battery.initial_kwh, after[:-1]), slack):
        yield Violation(
            ViolationCode.BATTERY_BALANCE, name, "stored energy is not what charge and discharge leave"
        )
    if after[-1] < battery.initial_kwh - slack:
        yield Violation(ViolationCode.BATTERY_END, name, f"ends at {after[-1]:.3f} kWh, below the start")
    short = required_kwh(case, load, battery) - said
    if (short > slack).any():
        yield Violation(
            ViolationCode.BATTERY_FLOOR, name, f"{short.max():.3f} kWh short of a floor that it could hold"
        )
    stored = np.append(said, after[-1])
    power_slack = float(tolerance(battery.power_kw))
    least = min(charge.min() + power_slack, discharge.min() + power_slack, stored.min() + slack)
    # Charge and discharge are means, and the battery does one at a time: both share the slot.
    most = max(
        (charge + discharge).max() - battery.power_kw - power_slack, stored.max() - battery.energy_kwh - slack
    )
    if least < 0 or most > 0:
        yield Violation(ViolationCode.BATTERY_LIMITS, name, "power or energy outside its limits")


def required_kwh(case: Case, load: SiteLoad, battery: Battery) -> Floats:
    """What the battery must hold at each slot's start, (n_slots,).

    Its minimum and the ride-through of real-time load at the quantile, all of that at full draw, less what a UPS gives
    of it; or the most that it can hold by then, charged from the start as fast as its power and the site's limit allow.
    """
    site = load.site
    draw_kw = sum(
        (site.pue * pool.busy_kw * case.quantile((site.name, pool.name)) for pool in site.pools),
        np.zeros(case.grid.n_slots),
    )
    hours = case.fleet.ride_through_minutes(site) / 60
    ups_kwh = np.zeros(case.grid.n_slots)
    if site.ups is not None:
        ups_kwh = np.minimum(site.ups.energy_kwh, hours * np.minimum(draw_kw, site.ups.power_kw))
    floor = np.maximum(battery.min_kwh, hours * draw_kw - ups_kwh)
    if site.ramp_limit_kw_per_minute is not None:  # no more than it holds by standing still
        return np.minimum(floor, min(battery.initial_kwh, battery.energy_kwh))
    free_kw = np.clip(load.limit_kw - load.given_kw(case), 0.0, battery.power_kw)
    gain = case.grid.slot_hours * battery.charge_efficiency * free_kw
    reached = battery.initial_kwh + np.append(0.0, np.cumsum(gain)[:-1])
    required: Floats = np.minimum(floor, np.minimum(reached, battery.energy_kwh))
    return required
