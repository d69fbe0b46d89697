"""The schedule as arrays: sites, pools and jobs on a grid of slots, cut into cells.

No solver appears here. `build` turns the domain's objects into a `ScheduleProblem`; `program.linear_program` turns
that into sparse rows, and each file of `terms` adds its own.

Nomenclature: n_slots slots of the planning grid; n_cells cells, which are slots cut further at `now` and at those
window edges that lie inside a slot; n_sites, n_pools, n_jobs. Time inside the schedule is whole microseconds since the
grid's start, so that sums and packings are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Battery, Fleet, GridEvent, PoolKey, Site, limits_in_force
from shifter.domain.workload import Classified, load_time, replica_size, work_rates
from shifter.realtime.reserve import Envelope

Ints = NDArray[np.int64]

HOUR_US = 3_600_000_000

COMFORT_RATIO = 0.5
"""A window whose job needs less than this share of it is trimmed to whole slots: see `_trim`."""


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
    """Energy price [currency/kWh]; 0 where nobody knows it (`unknown_price`)."""
    carbon_kg_per_kwh: Floats
    carbon_price_per_kg: float
    unknown_price: NDArray[np.bool_]
    unknown_carbon: NDArray[np.bool_]
    demand_charge_per_kw: float
    peak_so_far_kw: float
    battery: Battery | None
    ride_through_hours: float

    @cached_property
    def unit_cost_per_kwh(self) -> Floats:
        """What one kWh of import costs, carbon at its price included [currency/kWh]."""
        return self.price_per_kwh + self.carbon_price_per_kg * self.carbon_kg_per_kwh

    def battery_floor_kwh(self, slot_count: int) -> Floats:
        """Lowest energy that the battery must hold at each slot's start, (n_slots,) [kWh]."""
        assert self.battery is not None
        floor = np.full(slot_count, self.battery.min_kwh)
        held: Floats = np.maximum(floor, self.ride_through_hours * self.ride_through_kw)
        return held


@dataclass(frozen=True, eq=False)
class PoolArrays:
    """One pool; arrays are (n_slots,), in whole accelerators: what is printed can be run as it stands."""

    key: PoolKey
    site: int
    count: int
    import_kw: float
    """What one busy accelerator adds to the site's import [kW]."""
    any_capacity: Ints
    firm_capacity: Ints


@dataclass(frozen=True, eq=False)
class Job:
    """What the schedule sees of a deferrable workload.

    `hours` is the work left in accelerator-hours of the fastest pool that may run it; `speeds` gives each allowed
    pool's rate against that one, in (0, 1]. `[start_us, end_us)` is the window to plan in; `true_start_us` and
    `true_end_us` are the one that was asked for, which the lower bound is computed with.
    """

    id: str
    hours: float
    speeds: tuple[tuple[int, float], ...]
    start_us: int
    end_us: int
    true_start_us: int
    true_end_us: int
    max_accelerators: int
    firm: bool
    contiguous: bool = False
    replicas: tuple[int, ...] = ()
    load_us: int = 0
    depends_on: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it may run on any number of accelerators, be stopped and resumed at no loss."""
        return not self.contiguous and self.load_us == 0 and all(size == 1 for size in self.replicas)

    def replica(self, pool: int) -> int:
        """It runs on multiples of this in that pool."""
        return next(size for (p, _), size in zip(self.speeds, self.replicas, strict=True) if p == pool)


@dataclass(frozen=True, eq=False)
class ScheduleProblem:
    """Everything the schedule is computed from. `edges_us` (n_cells + 1,) are the cells' boundaries."""

    grid: SlotGrid
    sites: tuple[SiteArrays, ...]
    pools: tuple[PoolArrays, ...]
    jobs: tuple[Job, ...]
    edges_us: Ints
    now_us: int
    lateness_price_per_hour: float
    """Price of an accelerator-hour not done in time: above anything that doing it could cost."""

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.edges_us) - 1

    @cached_property
    def cell_us(self) -> Ints:
        """Length of each cell [us], (n_cells,)."""
        return np.diff(self.edges_us)

    @cached_property
    def cell_hours(self) -> Floats:
        """Length of each cell [h], (n_cells,)."""
        return self.cell_us / HOUR_US

    @cached_property
    def slot_us(self) -> int:
        """Length of a slot [us]."""
        return self.grid.slot_minutes * 60_000_000

    @cached_property
    def cell_slot(self) -> Ints:
        """The slot that holds each cell, (n_cells,)."""
        return self.edges_us[:-1] // self.slot_us

    @cached_property
    def cell_share(self) -> Floats:
        """Each cell's share of its slot, (n_cells,)."""
        return self.cell_us / self.slot_us

    @property
    def has_batteries(self) -> bool:
        """Whether any site has one."""
        return any(site.battery is not None for site in self.sites)

    def cells_of(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The range of cells `[first, last)` that lie wholly inside a window."""
        first = int(np.searchsorted(self.edges_us, start_us, side="left"))
        last = int(np.searchsorted(self.edges_us, end_us, side="right")) - 1
        return first, max(first, last)


def build(
    frame: ForecastFrame,
    work: Sequence[Classified],
    envelope: Envelope,
    fleet: Fleet,
    now: datetime,
    *,
    windows: dict[str, tuple[datetime, datetime]],
    grid_events: tuple[GridEvent, ...] = (),
) -> ScheduleProblem:
    """The problem of one cycle.

    `work` are the deferrable workloads with work left; `windows` narrows those that are steps of a chain, so that the
    steps of one chain cannot overlap. Nothing is planned before `now`.
    """
    grid = frame.grid
    horizon_us = grid.n_slots * grid.slot_minutes * 60_000_000
    now_us = min(max(0, _us(grid, now)), horizon_us)
    pools = _pools(fleet, envelope)
    sites = tuple(_site(site, i, frame, fleet, envelope, grid_events) for i, site in enumerate(fleet.sites))
    order = {key: i for i, key in enumerate(fleet.pools)}
    jobs = [_job(item, fleet, grid, order, now_us, horizon_us, windows) for item in work]
    slot_us = grid.slot_minutes * 60_000_000
    jobs = [_trim(job, now_us, slot_us) for job in jobs]
    edges = {*range(0, horizon_us + 1, slot_us), now_us}
    edges |= {t for job in jobs for t in (job.start_us, job.end_us)}
    return ScheduleProblem(
        grid,
        sites,
        pools,
        tuple(jobs),
        np.array(sorted(edges), dtype=np.int64),
        now_us,
        _lateness_price(sites, pools, jobs, grid),
    )


def _us(grid: SlotGrid, moment: datetime) -> int:
    delta = moment - grid.start
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _pools(fleet: Fleet, envelope: Envelope) -> tuple[PoolArrays, ...]:
    index = {site.name: i for i, site in enumerate(fleet.sites)}

    def whole(capacity: Floats) -> Ints:
        return np.floor(capacity + 1e-6).astype(np.int64)

    return tuple(
        PoolArrays(
            key,
            index[site.name],
            pool.count,
            site.pue * pool.dynamic_kw,
            whole(envelope[key].any_capacity),
            whole(envelope[key].firm_capacity),
        )
        for key, (site, pool) in fleet.pools.items()
    )


def _site(
    site: Site,
    index: int,
    frame: ForecastFrame,
    fleet: Fleet,
    envelope: Envelope,
    events: tuple[GridEvent, ...],
) -> SiteArrays:
    keys = [(site.name, pool.name) for pool in site.pools]
    idle = sum(pool.idle_kw * pool.count for pool in site.pools)

    def import_kw(loads: list[Floats]) -> Floats:
        busy = sum(
            (pool.dynamic_kw * load for pool, load in zip(site.pools, loads, strict=True)), np.zeros(n)
        )
        return site.pue * (idle + busy)

    grid = frame.grid
    n = grid.n_slots
    edges = grid.edges
    quantiles = [envelope[key].quantile for key in keys]
    price, carbon = frame.price_per_mwh(site.zone), frame.carbon_g_per_kwh(site.zone)
    first = sum(len(s.pools) for s in fleet.sites[:index])
    return SiteArrays(
        name=site.name,
        pools=tuple(range(first, first + len(keys))),
        median_kw=import_kw([envelope[key].median for key in keys]),
        quantile_kw=import_kw(quantiles),
        ride_through_kw=site.pue
        * sum((p.busy_kw * q for p, q in zip(site.pools, quantiles, strict=True)), np.zeros(n)),
        limit_kw=np.array([limits_in_force(site, events, a, b) for a, b in pairwise(edges)]),
        price_per_kwh=_known(price) / 1000,
        carbon_kg_per_kwh=_known(carbon) / 1000,
        carbon_price_per_kg=fleet.objective.carbon_price_per_tonne / 1000,
        unknown_price=~np.isfinite(price),
        unknown_carbon=~np.isfinite(carbon),
        demand_charge_per_kw=site.demand_charge_per_kw,
        peak_so_far_kw=site.peak_so_far_kw,
        battery=site.battery,
        ride_through_hours=site.resilience.ride_through_minutes / 60,
    )


def _known(values: Floats) -> Floats:
    """Values with the unknown ones taken as the mean of the known, so that ignorance attracts no work; 0 if none is."""
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)


def _job(
    item: Classified,
    fleet: Fleet,
    grid: SlotGrid,
    order: dict[PoolKey, int],
    now_us: int,
    horizon_us: int,
    windows: dict[str, tuple[datetime, datetime]],
) -> Job:
    workload = item.workload
    assert item.deadline is not None, "a deferrable workload has a deadline"
    rates = work_rates(workload, fleet)
    fastest = max(rates.values(), default=1.0)
    sizes = {key: replica_size(workload, fleet, key) for key in rates}
    usable = [key for key in rates if sizes[key] <= workload.max_accelerators]

    def clip(moment: datetime) -> int:
        return min(max(_us(grid, moment), now_us), horizon_us)

    start, end = windows.get(workload.id, (item.earliest_start, item.deadline))
    start_us, true_start_us = clip(start), clip(item.earliest_start)
    return Job(
        id=workload.id,
        hours=item.remaining / fastest,
        speeds=tuple((order[key], rates[key] / fastest) for key in usable),
        start_us=start_us,
        end_us=max(start_us, clip(end)),
        true_start_us=true_start_us,
        true_end_us=max(true_start_us, clip(item.deadline)),
        max_accelerators=workload.max_accelerators,
        firm=not workload.preemptible,
        contiguous=not workload.interruptible,
        replicas=tuple(sizes[key] for key in usable),
        load_us=round(load_time(workload, fleet).total_seconds() * 1_000_000),
        depends_on=workload.depends_on,
    )


def _trim(job: Job, now_us: int, slot_us: int) -> Job:
    """A comfortable window, trimmed to whole slots.

    Window edges inside a slot cut it into cells; were every edge kept, a thousand workloads would make as many cells.
    Prices and limits are constant in a slot, so a job that needs less than half its window loses at most a part of two
    slots of choice; the bound is computed with the true window, so that what this costs shows in the gap.
    """
    start = job.start_us if job.start_us == now_us else -(-job.start_us // slot_us) * slot_us
    end = job.end_us // slot_us * slot_us
    needed_us = job.hours / job.max_accelerators * HOUR_US
    if end > start and needed_us <= COMFORT_RATIO * (end - start):
        return replace(job, start_us=start, end_us=end)
    return job


def _lateness_price(
    sites: Sequence[SiteArrays], pools: Sequence[PoolArrays], jobs: Sequence[Job], grid: SlotGrid
) -> float:
    """Ten times the most that an hour of work could cost anywhere, in its slowest pool and at the peak [currency/h]."""
    worst = 1.0
    slowest = min((speed for job in jobs for _, speed in job.speeds), default=1.0)
    for pool in pools:
        site = sites[pool.site]
        spread = float(np.abs(site.unit_cost_per_kwh).max(initial=0.0))
        worst = max(worst, pool.import_kw * (spread + site.demand_charge_per_kw / grid.slot_hours))
    return 10.0 * worst / slowest
