"""The schedule as arrays: sites, pools and jobs on a grid of slots, cut into cells.

No solver appears here. `build.build` makes a `ScheduleProblem` of the domain's objects; `solve.linear_program` turns
that into sparse rows, and each file of `terms` adds its own.

Nomenclature: n_slots slots of the planning grid; n_cells cells, which are slots cut further at `now` and at those
window edges that lie inside a slot; n_sites, n_pools, n_jobs. Time inside the schedule is whole microseconds since the
grid's start, so that sums and packings are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats, SlotGrid
from shifter.schedule.jobs import HOUR_US, Ints, Job, Pinned, Way, WayColumns
from shifter.schedule.risk import RiskArrays
from shifter.schedule.sites import PoolArrays, SiteArrays
from shifter.schedule.tenants import NOBODY, TenantArrays


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
            first, last = self.cells_touched(piece.start_us, piece.end_us)
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

    def cells_touched(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The range of cells `[first, last)` that what runs between two moments is in, be it for a part of them."""
        first = int(np.searchsorted(self.edges_us, start_us, side="right")) - 1
        return first, int(np.searchsorted(self.edges_us, end_us, side="left"))

    def cells_of(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The range of cells `[first, last)` that lie wholly inside a window."""
        first = int(np.searchsorted(self.edges_us, start_us, side="left"))
        last = int(np.searchsorted(self.edges_us, end_us, side="right")) - 1
        return first, max(first, last)
