"""What each site draws, may draw and pays, slot by slot: the figures that power, money and proof are checked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from forecasts.series import Signal
from forecasts.slots import Floats
from shifter.domain.fleet import Site
from shifter.domain.grid_event import limits_in_force
from shifter.domain.rows import PowerRow
from shifter.schedule.verify.case import Case

KW_TOLERANCE = 1e-3
"""kW (and kWh), and a millionth of what exceeds a thousand of them."""


@dataclass(frozen=True, eq=False)
class SiteLoad:
    """One site; arrays are (n_slots,), power is a mean over the slot [kW]."""

    site: Site
    rows: Sequence[PowerRow]
    median_kw: Floats
    """Import of what is idle and of real-time load at its median."""
    quantile_kw: Floats
    """The same with real-time load at the site's quantile."""
    busy_kw: Floats
    """What the allocations add."""
    pinned_kw: Floats
    """The part of it that no plan could change."""
    limit_kw: Floats
    """Power limit in force; infinite where there is none."""
    price_per_mwh: Floats
    """NaN where nobody knows it."""
    carbon_g_per_kwh: Floats
    """NaN where nobody knows it."""
    price_per_kwh: Floats
    """Price of the import, what is unknown as assumed: a budget of money counts this, whatever risk adds to it."""
    carbon_price_per_kg: float
    carbon_kg_per_kwh: Floats
    """Carbon of the import, what is unknown as assumed."""
    unit_cost_per_kwh: Floats
    """Cost of the import with carbon at its price [currency/kWh], what is unknown as assumed."""
    available_kw: Floats
    """What the site's own plant could give."""
    saved_kw: Floats
    """What the site draws less for the accelerators that the plan powers down."""
    export_price_per_kwh: Floats
    """What export earns; 0 where there is none."""
    unit_export_per_kwh: Floats
    """What it counts as: that, with what risk makes of it."""

    @property
    def charge_kw(self) -> Floats:
        """As the plan's rows have it."""
        return np.array([r.charge_kw for r in self.rows])

    @property
    def discharge_kw(self) -> Floats:
        """As the plan's rows have it."""
        return np.array([r.discharge_kw for r in self.rows])

    @property
    def generated_kw(self) -> Floats:
        """As the plan's rows have it."""
        return np.array([r.generated_kw or 0.0 for r in self.rows])

    @property
    def beside_kw(self) -> Floats:
        """What the site draws more or less for its battery, its plant and what is powered down."""
        return self.charge_kw - self.discharge_kw - self.generated_kw - self.saved_kw

    @property
    def net_kw(self) -> Floats:
        """From the grid less into it, with real-time load at its median."""
        return self.median_kw + self.busy_kw + self.beside_kw

    @property
    def import_kw(self) -> Floats:
        """From the grid: what is paid for."""
        return np.maximum(0.0, self.net_kw) if self.site.export_limit_kw > 0 else self.net_kw

    @property
    def export_kw(self) -> Floats:
        """Into the grid: what earns."""
        return self.import_kw - self.net_kw

    def given_kw(self, case: Case) -> Floats:
        """What counts under the power limit whatever is planned: real-time load at the quantile, and pinned work."""
        return self.quantile_kw + self.pinned_kw * case.rest_ratio


def site_loads(case: Case) -> list[SiteLoad]:
    """Every site, in the fleet's order."""
    rows: dict[str, list[PowerRow]] = {site.name: [] for site in case.fleet.sites}
    for row in case.plan.power:
        rows[row.site].append(row)
    return [_site_load(case, site, rows[site.name]) for site in case.fleet.sites]


def _site_load(case: Case, site: Site, rows: Sequence[PowerRow]) -> SiteLoad:
    median, quantile, busy, held = (np.zeros(case.grid.n_slots) for _ in range(4))
    for pool in site.pools:
        key = site.name, pool.name
        powered = [pool.powered(a, b) for a, b in pairwise(case.grid.edges)]
        idle_kw = site.pue * pool.idle_kw * np.array(powered, dtype=float)
        step_kw = site.pue * (pool.busy_kw - pool.idle_kw)
        median += idle_kw + step_kw * case.realtime.median(key)
        quantile += idle_kw + step_kw * case.quantile(key)
        busy += case.busy_kw[key]
        held += case.held_kw[key]
    saved = np.zeros(case.grid.n_slots)
    for pool in site.pools:
        if pool.off_kw is not None:
            saved += site.pue * (pool.idle_kw - pool.off_kw) * case.off[site.name, pool.name]
    limit = [limits_in_force(site, case.grid_events, a, b) for a, b in pairwise(case.grid.edges)]
    carbon_kg = case.frame.assumed(site.zone, Signal.CARBON) / 1000
    carbon_price = case.fleet.objective.carbon_price_per_tonne / 1000
    price = case.frame.assumed(site.zone, Signal.PRICE) / 1000
    available = np.zeros(case.grid.n_slots)
    if site.generation is not None:
        available += [site.generation.mean_kw(a, b) for a, b in pairwise(case.grid.edges)]
    earned = np.zeros(case.grid.n_slots)
    if site.export_limit_kw > 0:
        earned = np.minimum((site.export_price_per_mwh or 0.0) / 1000, price)
    return SiteLoad(
        site,
        rows,
        median,
        quantile,
        busy,
        held,
        np.array(limit),
        case.frame.price_per_mwh(site.zone),
        case.frame.carbon_g_per_kwh(site.zone),
        price,
        carbon_price,
        carbon_kg,
        price + carbon_price * carbon_kg,
        available,
        saved,
        earned,
        earned,
    )


def tolerance(size: ArrayLike) -> Floats:
    """For figures in kW or kWh of that size."""
    allowed: Floats = KW_TOLERANCE * np.maximum(1.0, np.abs(size) / 1000)
    return allowed
