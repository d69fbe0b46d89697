"""The schedule as arrays: sites, pools and jobs on a grid of slots, cut into cells.

No solver appears here. `build.build` makes a `ScheduleProblem` of the domain's objects; `solve.linear_program` turns
that into sparse rows, and each file of `terms` adds its own.

Nomenclature: n_slots slots of the planning grid; n_cells cells, which are slots cut further at `now` and at those
window edges that lie inside a slot; n_sites, n_pools, n_jobs. Time inside the schedule is whole microseconds since the
grid's start, so that sums and packings are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Battery, PoolKey
from shifter.schedule.risk import RiskArrays
from shifter.schedule.tenants import NOBODY, TenantArrays

Ints = NDArray[np.int64]

HOUR_US = 3_600_000_000


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
        held: Floats = np.maximum(floor, self.ride_through_hours * self.ride_through_kw)
        return held

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


@dataclass(frozen=True)
class Way:
    """One way to do a job's work: in which pool, how fast, at what power, in what shape.

    A job may have several in one pool; they share the pool's accelerators and the job's `max_accelerators`.
    """

    pool: int
    speed: float
    """Rate against the job's fastest way, in (0, 1]."""
    import_kw: float
    """What one busy accelerator adds to the site's import [kW]."""
    replica: int = 1
    """It runs on multiples of this many accelerators."""
    load_us: int = 0
    """From allocated to serving: the first part of each piece, which draws power and does no work."""
    model: str | None = None
    """What it runs, of work that may be done by several models."""
    cap_kw: float | None = None
    """What one accelerator is capped to [kW]; None where it is not."""


@dataclass(frozen=True)
class Running:
    """What a job runs in at the moment of planning, of work that must be loaded first: it has been, or partly."""

    way: int
    start_us: int
    """The moment of planning: a piece that begins there goes on with it."""
    accelerators: int
    load_us: int
    """What is left of loading it."""


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """What the schedule sees of a deferrable workload.

    `hours` is the work left in accelerator-hours of the fastest of the `ways` to do it. `[start_us, end_us)` is the
    window to plan in; `true_start_us` and `true_end_us` are the one that was asked for, to the horizon's end where it
    has no deadline of its own, which the lower bound is computed with. Jobs with equal ways share one tuple, so that
    many jobs are cheap to make and to tell apart.
    """

    id: str
    hours: float
    ways: tuple[Way, ...]
    start_us: int
    end_us: int
    true_start_us: int
    true_end_us: int
    max_accelerators: int
    firm: bool
    contiguous: bool = False
    depends_on: tuple[str, ...] = ()
    open_ended: bool = False
    """Its deadline lies beyond the horizon: what does not fit is planned later, and is not late."""
    due_us: int = 0
    """By when it must be done, so that what waits for it can be done too."""
    span_us: tuple[int, int] | None = None
    """Of a step of a chain: all the time that the others may leave it. Its window is its part of that, and may be cut
    anew with theirs (`parts`). None of other work, and of steps that keep their part."""
    tenant: int = NOBODY
    """Whose work it is, where that matters: an index of the problem's tenants."""
    running: tuple[Running, ...] = ()
    """At most one for each of the ways."""

    @property
    def plain(self) -> bool:
        """Whether it may run on any number of accelerators, be stopped and resumed at no loss."""
        return not (self.contiguous or self.has_shaped_ways)

    @property
    def has_shaped_ways(self) -> bool:
        """Whether there is a way in which it must be loaded first, or runs in replicas of several accelerators."""
        return any(way.load_us or way.replica > 1 for way in self.ways)

    @property
    def as_asked(self) -> tuple[Way, ...]:
        """The first of its ways: those by the model that was asked for, at full power."""
        named = [(way.model, way.cap_kw) for way in self.ways]
        same = sum(name == named[0] for name in named)
        return self.ways if same == len(named) else self.ways[:same]

    @property
    def loads(self) -> bool:
        """Whether there is a way in which it must be loaded first."""
        return any(way.load_us for way in self.ways)

    @property
    def least_us(self) -> float:
        """No plan does all of it in less time than this."""
        loads = [way.load_us for way in self.ways] + [one.load_us for one in self.running]
        return min(loads, default=0) + self.hours / self.max_accelerators * HOUR_US


@dataclass(frozen=True, eq=False)
class Pinned:
    """What a running workload that may not be interrupted holds, whatever is planned beside it.

    From `now` on, clipped to the horizon. Its power is part of the sites' `median_kw` and `quantile_kw`.
    """

    id: str
    way: Way
    start_us: int
    end_us: int
    accelerators: int
    firm: bool
    tenant: int = NOBODY

    @property
    def pool(self) -> int:
        """The pool that it runs in."""
        return self.way.pool


@dataclass(frozen=True, eq=False)
class WayColumns:
    """Ways of many jobs; those of job j begin at `first[j]`. `firm` is by job."""

    first: Ints
    pool: Ints
    speed: Floats
    import_kw: Floats
    load_us: Ints
    firm: NDArray[np.bool_]

    @classmethod
    def of(cls, groups: Sequence[tuple[Way, ...]], firm: NDArray[np.bool_]) -> WayColumns:
        """Equal groups are kept once."""
        known: dict[int, int] = {}
        ways: list[Way] = []
        first = np.empty(len(groups), dtype=np.int64)
        for j, group in enumerate(groups):
            at = known.get(id(group))
            if at is None:
                at = known[id(group)] = len(ways)
                ways += group
            first[j] = at
        pool, load_us = (np.array([getattr(w, f) for w in ways], dtype=np.int64) for f in ("pool", "load_us"))
        speed, import_kw = (
            np.array([getattr(w, f) for w in ways], dtype=float) for f in ("speed", "import_kw")
        )
        return cls(first, pool, speed, import_kw, load_us, firm)


@dataclass(frozen=True, eq=False)
class BudgetArrays:
    """A hard limit on what imports cause: `bought` and `sold` are per kW and slot, (n_sites, n_slots)."""

    name: str
    unit: str
    limit: float
    bought: Floats
    sold: Floats

    def used(self, net_kw: Floats) -> float:
        """What import less export (n_sites, n_slots) [kW] causes."""
        return float((self.bought * np.maximum(0.0, net_kw) - self.sold * np.maximum(0.0, -net_kw)).sum())


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
    run_price: float
    """What one run of a job less is worth [currency]."""
    pinned: tuple[Pinned, ...] = ()
    risk: RiskArrays | None = None
    """What uncertain prices add to the cost that is minimised; None where they are taken as they are."""
    warnings: tuple[str, ...] = ()
    """What had to be assumed."""
    budgets: tuple[BudgetArrays, ...] = ()
    tenants: tuple[TenantArrays, ...] = ()
    """Those that are told apart; the first `n_quotas` of them have a quota."""
    fairness_price_per_hour: float = 0.0

    def weights(self, duals: Mapping[str, Floats]) -> Floats | None:
        """The weights of the paths that a program's duals are, (n_paths,); None where no risk counts."""
        return None if self.risk is None else self.risk.weights_of(duals)

    def at_prices(self, weights: Floats | None) -> ScheduleProblem:
        """The plain problem at the risk-adjusted prices of these weights of the paths, (n_paths,).

        Where the weights are those of the optimum, both have the same optimum: see `terms.risk`.
        """
        if self.risk is None or weights is None:
            return self
        premium, earned = self.risk.premium_per_kwh(weights), self.risk.export_premium_per_kwh(weights)
        sites = [
            replace(site, price_per_kwh=site.price_per_kwh + more)
            for site, more in zip(self.sites, premium, strict=True)
        ]
        if earned is not None:
            sites = [
                site
                if site.export_price_per_kwh is None
                else replace(site, export_price_per_kwh=site.export_price_per_kwh + more)
                for site, more in zip(sites, earned, strict=True)
            ]
        return replace(self, sites=tuple(sites), risk=None)

    @cached_property
    def median_kw(self) -> Floats:
        """What the sites import of what is idle, of real-time load and of what is pinned, (n_sites, n_slots)."""
        return np.array([site.median_kw for site in self.sites])

    @cached_property
    def ids(self) -> list[str]:
        """Of the jobs, and after them of what is pinned."""
        return [*(job.id for job in self.jobs), *(piece.id for piece in self.pinned)]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each of `ids` stands."""
        return {id: i for i, id in enumerate(self.ids)}

    @cached_property
    def running(self) -> dict[int, Job]:
        """Jobs of which something runs that has been loaded, or partly, by position."""
        return {i: job for i, job in enumerate(self.jobs) if job.running}

    @cached_property
    def way_columns(self) -> WayColumns:
        """The ways of all jobs, one after the other, and after them those of what is pinned."""
        groups = [*(job.ways for job in self.jobs), *((piece.way,) for piece in self.pinned)]
        firm = [*(job.firm for job in self.jobs), *(piece.firm for piece in self.pinned)]
        return WayColumns.of(groups, np.array(firm, dtype=bool))

    @cached_property
    def n_quotas(self) -> int:
        """How many tenants have a quota."""
        return sum(tenant.counts is not None for tenant in self.tenants)

    @cached_property
    def quota_counts(self) -> NDArray[np.bool_]:
        """Pools that each quota counts, (n_quotas, n_pools)."""
        rows = [tenant.counts for tenant in self.tenants if tenant.counts is not None]
        return np.array(rows, dtype=bool).reshape(len(rows), len(self.pools))

    @cached_property
    def quota_of(self) -> Ints:
        """Whose quota each job counts against, and after the jobs what is pinned: an index, or -1."""
        tenants = [*(job.tenant for job in self.jobs), *(piece.tenant for piece in self.pinned)]
        tenant = np.array(tenants, dtype=np.int64)
        return np.where(tenant < self.n_quotas, tenant, NOBODY)

    @cached_property
    def ways(self) -> dict[str, tuple[Way, ...]]:
        """The ways of every job, by its id; what is pinned has the one that it runs in."""
        held = {piece.id: (piece.way,) for piece in self.pinned}
        return {**held, **{job.id: job.ways for job in self.jobs}}

    @cached_property
    def pinned_levels(self) -> tuple[Ints, Ints]:
        """Accelerators that pinned work holds in each cell: all of it, and what is firm; (n_pools, n_cells) each."""
        every = np.zeros((len(self.pools), self.n_cells), dtype=np.int64)
        firm = np.zeros_like(every)
        for piece in self.pinned:
            first = int(np.searchsorted(self.edges_us, piece.start_us, side="right")) - 1
            last = int(np.searchsorted(self.edges_us, piece.end_us, side="left"))
            every[piece.pool, first:last] += piece.accelerators
            if piece.firm:
                firm[piece.pool, first:last] += piece.accelerators
        return every, firm

    @property
    def physical_price(self) -> float:
        """What reliefs of physical limits are multiples of: above lateness, and above what a budget could gain."""
        return self.dearest_hour * (1000.0 if self.budgets else 1.0)

    @property
    def dearest_hour(self) -> float:
        """The most that an hour of work could gain by being done: lateness, and what fairness adds to it."""
        weights = [tenant.weight for tenant in self.tenants]
        return self.lateness_price_per_hour + self.fairness_price_per_hour * max(weights, default=0.0)

    def price_of_leaving_undone(self, open_ended: bool) -> float:
        """Work whose deadline lies beyond the horizon is still done where it can, and yields to work that is due."""
        return self.lateness_price_per_hour / (5.0 if open_ended else 1.0)

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

    @cached_property
    def rest_share(self) -> Floats:
        """What is still ahead of each slot, as a share of it, (n_slots,): below 1 in the slot that is running."""
        gone = self.now_us - np.arange(self.grid.n_slots) * self.slot_us
        return 1.0 - np.clip(gone / self.slot_us, 0.0, 1.0)

    @cached_property
    def limited_sites(self) -> list[int]:
        """Sites with a power limit anywhere: the rows `power` and their duals are theirs, in this order."""
        return [i for i, site in enumerate(self.sites) if np.isfinite(site.limit_kw).any()]

    @cached_property
    def charged_sites(self) -> list[int]:
        """Sites with a demand charge: the rows `peak` and their duals are theirs, in this order."""
        return [i for i, site in enumerate(self.sites) if site.demand_charge_per_kw > 0]

    @cached_property
    def exporting_sites(self) -> list[int]:
        """Sites that may export: the variables `export` are theirs, in this order."""
        return [i for i, site in enumerate(self.sites) if site.export_limit_kw > 0]

    @cached_property
    def ramped_sites(self) -> list[int]:
        """Sites with a ramp limit."""
        return [i for i, site in enumerate(self.sites) if site.ramp_kw is not None]

    @property
    def has_sources(self) -> bool:
        """Whether any site has a plant of its own, or may power down what is idle."""
        return bool(self.pools_that_rest) or any(site.generation_kw is not None for site in self.sites)

    @cached_property
    def pools_that_rest(self) -> list[int]:
        """Pools of which accelerators may be powered down."""
        return [p for p, pool in enumerate(self.pools) if pool.spare is not None]

    @property
    def has_batteries(self) -> bool:
        """Whether any site has one."""
        return any(site.battery is not None for site in self.sites)

    def moment(self, us: int) -> datetime:
        """A time inside the schedule, in UTC."""
        return self.grid.start + timedelta(microseconds=us)

    def cells_of(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The range of cells `[first, last)` that lie wholly inside a window."""
        first = int(np.searchsorted(self.edges_us, start_us, side="left"))
        last = int(np.searchsorted(self.edges_us, end_us, side="right")) - 1
        return first, max(first, last)
