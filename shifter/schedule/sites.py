"""Sites and their pools as arrays: what each draws, may draw and pays, slot by slot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.domain.plant import Battery, Ups, held_for_outage_kwh
from shifter.schedule.jobs import Ints


@dataclass(frozen=True, eq=False)
class SiteArrays:
    """One site; arrays are (n_slots,). Import is facility power from the grid, slot mean [kW]."""

    name: str
    pools: tuple[int, ...]
    median_kw: Floats
    """Import of what is idle and of real-time load at its median."""
    quantile_kw: Floats
    """The same with real-time load at the site's resilience quantile."""
    ride_through_kw: Floats
    """What real-time load at the quantile draws at full load: what a battery must carry."""
    limit_kw: Floats
    """Power limit in force; infinite where there is none."""
    price_per_kwh: Floats
    """Energy price [currency/kWh]; as assumed where nobody knows it (`unknown_price`)."""
    carbon_kg_per_kwh: Floats
    carbon_price_per_kg: float
    unknown_price: NDArray[np.bool_]
    unknown_carbon: NDArray[np.bool_]
    demand_charge_per_kw: float
    peak_so_far_kw: float
    battery: Battery | None
    ride_through_hours: float
    ups: Ups | None = None
    """What carries a part of the ride-through, and is no part of the schedule."""
    generation_kw: Floats | None = None
    """What the site's own plant could give; None where it has none."""
    generation_cost_per_kwh: float = 0.0
    ramp_kw: float | None = None
    """Most by which import less export may change from one slot to the next; None where it may at will."""
    most_saved_kw: Floats | float = 0.0
    """What powering down all that is idle would save."""
    export_limit_kw: float = 0.0
    export_price_per_kwh: Floats | None = None
    """What export earns, at most the price of import: else the site would gain by doing both at once."""

    @cached_property
    def unit_cost_per_kwh(self) -> Floats:
        """What one kWh of import costs, carbon at its price included [currency/kWh]."""
        return self.price_per_kwh + self.carbon_price_per_kg * self.carbon_kg_per_kwh

    @property
    def own_kw(self) -> Floats | float:
        """The most by which the site itself may relieve its connection, beside the battery [kW]."""
        return self.most_saved_kw + (0.0 if self.generation_kw is None else self.generation_kw)

    @property
    def keeps_limit(self) -> NDArray[np.bool_]:
        """Where the power limit can be kept with real-time load at the quantile, (n_slots,); else no work runs.

        The site's own may help, as far down as it may export at the median; under a ramp limit it is not counted on.
        """
        if self.ramp_kw is not None:
            return self.quantile_kw <= self.limit_kw
        lowest_kw = self.quantile_kw - np.minimum(self.own_kw, self.median_kw + self.export_limit_kw)
        kept: NDArray[np.bool_] = lowest_kw <= self.limit_kw
        return kept

    @property
    def ramps_kw(self) -> tuple[Floats, Floats]:
        """How much import less export may rise, and fall, after each slot but the last, (n_slots - 1,) each.

        The ramp limit, or what real-time load alone does in that direction where that is more.
        """
        most = np.inf if self.ramp_kw is None else self.ramp_kw
        change = np.diff(self.median_kw)
        return np.maximum(most, change), np.maximum(most, -change)

    def battery_floor_kwh(self, slot_count: int) -> Floats:
        """Lowest energy that the battery must hold at each slot's start, (n_slots,) [kWh]."""
        assert self.battery is not None
        floor = np.full(slot_count, float(self.battery.min_kwh))
        held: Floats = np.maximum(floor, self.ride_through_kwh)
        return held

    @property
    def ride_through_kwh(self) -> Floats:
        """What the ride-through takes that no UPS gives, (n_slots,) [kWh]."""
        return held_for_outage_kwh(self.ups, self.ride_through_kw, self.ride_through_hours)

    def reachable_kwh(self, slot_hours: float) -> Floats:
        """Most energy that it can hold at each slot's start, charged as fast as limits allow, (n_slots,) [kWh].

        Under a ramp limit that hangs on all else that the site does: what it holds by standing still is taken.
        """
        assert self.battery is not None
        if self.ramp_kw is not None:
            return np.full(len(self.limit_kw), min(self.battery.energy_kwh, self.battery.initial_kwh))
        free_kw = np.clip(self.limit_kw - self.quantile_kw, 0.0, self.battery.power_kw)
        gained = np.append(0.0, np.cumsum(slot_hours * self.battery.charge_efficiency * free_kw)[:-1])
        most: Floats = np.minimum(self.battery.energy_kwh, self.battery.initial_kwh + gained)
        return most


@dataclass(frozen=True, eq=False)
class PoolArrays:
    """One pool; arrays are (n_slots,), in whole accelerators: what is printed can be run as it stands."""

    key: PoolKey
    site: int
    count: int
    import_kw: float
    """What one accelerator at full load adds to the site's import [kW]. Work counts by its way's instead."""
    any_capacity: Ints
    firm_capacity: Ints
    saved_kw: float = 0.0
    """What one accelerator that is powered down takes off the site's import [kW]; 0 where none may be."""
    spare: Floats | None = None
    """Where some may be: accelerators that real-time load at the quantile leaves, and those that the reserve leaves, in
    fractions, (2, n_slots)."""


def supplies(
    load_kw: Floats,
    *,
    unit_cost_per_kwh: Floats,
    available_kw: Floats,
    own_cost_per_kwh: Floats | float,
    earned_per_kwh: Floats,
    export_limit_kw: Floats | float,
) -> tuple[Floats, Floats, Floats]:
    """What a load costs an hour [currency/h], and its import and export [kW], each (3, n).

    Where the site's own plant gives nothing, what the load takes, or as much more as may be sold. What is best is one
    of these, since all of it is linear between them.
    """
    needed_kw = np.maximum(0.0, load_kw)
    wanted_kw = np.array([0.0 * needed_kw, needed_kw, needed_kw + export_limit_kw])
    given_kw = np.minimum(available_kw, wanted_kw)
    import_kw, export_kw = np.maximum(0.0, load_kw - given_kw), np.maximum(0.0, given_kw - load_kw)
    cost = unit_cost_per_kwh * import_kw - earned_per_kwh * export_kw + own_cost_per_kwh * given_kw
    return cost, import_kw, export_kw
