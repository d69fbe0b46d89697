r"""Tenants as arrays: what each one's quota leaves of every slot, what of its work must be done, what is fair.

Tenants are told apart only where it counts: those with a quota, in the fleet's order, come first, and where fairness
has a price all others follow. With neither there is none, and all work is that of nobody (-1).

Fairness charges, of a tenant whose work that is due takes A hours, for a share r of it that is not done,

    price * weight * A * phi(r),      phi(r) = r^2 / 2 at r = 0, 1/STEPS, ... 1, and straight in between

so the next hour that falls short costs price * weight * r, at the middle of its step: convex, and linear for a program.
What no pool may run is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet
from shifter.domain.tenant import PlanTenant, Tenant

if TYPE_CHECKING:
    from shifter.schedule.bound import SlotPrices
    from shifter.schedule.jobs import Ints, Job
    from shifter.schedule.problem import ScheduleProblem

NOBODY = -1
"""The tenant of work whose tenant does not matter."""

FREE = 1e9
"""Accelerators beyond a quota that may be exceeded: more than there are."""

STEPS = 20
"""Of the shortfall ratio. Shortfalls of like weight are levelled to within one of them."""


@dataclass(frozen=True, eq=False)
class TenantArrays:
    """One tenant. `left` (n_slots,) is what its quota leaves beside what is pinned, from now on [accelerators, mean of
    the slot]; it may be negative, and is infinite where there is no quota."""

    name: str
    weight: float
    asked_hours: float
    """Its work that is due in the horizon [accelerator-hours of each job's fastest way]."""
    left: Floats
    over_price: float = np.inf
    """What an accelerator-hour beyond the quota costs [currency]; infinite where the quota is a hard limit."""
    counts: NDArray[np.bool_] | None = None
    """Pools that the quota counts, (n_pools,); None where there is no quota."""

    @property
    def hard(self) -> bool:
        """Whether it has a quota that must not be exceeded."""
        return self.counts is not None and bool(np.isinf(self.over_price))

    @property
    def most(self) -> Floats:
        """Mean accelerators that its work may use of each slot, (n_slots,): `FREE` more where it may at a price."""
        return np.maximum(0.0, self.left) + (0.0 if self.hard else FREE)

    def averaged(self, first: Ints, factor: int) -> TenantArrays:
        """The same on coarser slots, which begin at `first` and hold `factor` of these."""
        return replace(self, left=np.add.reduceat(self.left, first) / factor)


@dataclass(frozen=True, eq=False)
class QuotaPrices:
    """What an accelerator of each quota costs for all of each cell (n_quotas, n_cells), in the pools that it counts."""

    per_cell: Floats
    counts: NDArray[np.bool_]

    def of(self, tenant: int, pool: int) -> Floats | float:
        """For an accelerator of this pool, (n_cells,)."""
        row = self.per_cell[tenant] if 0 <= tenant < len(self.counts) and self.counts[tenant, pool] else None
        return 0.0 if row is None else row


def quota_prices(problem: ScheduleProblem, per_slot: Floats | None) -> QuotaPrices | None:
    """Prices by slot (n_quotas, n_slots), by cell."""
    if per_slot is None:
        return None
    return QuotaPrices(per_slot[:, problem.cell_slot] * problem.cell_share, problem.quota_counts)


def told_apart(fleet: Fleet, asking: Iterable[str]) -> tuple[Tenant, ...]:
    """The tenants that are told apart, of those who ask for work or hold some."""
    told = [t for t in fleet.tenants if t.quota_accelerators is not None]
    if fleet.objective.fairness_cost_per_accelerator_hour > 0:
        others = sorted(set(asking) - {t.name for t in told})
        told += [fleet.by_tenant.get(name) or Tenant(name) for name in others]
    return tuple(told)


def with_tenants(problem: ScheduleProblem, fleet: Fleet, told: Sequence[Tenant]) -> ScheduleProblem:
    """The problem with what these tenants, whose numbers its jobs and what is pinned bear, may use and ask for."""
    if not told:
        return problem
    asked = np.zeros(len(told))
    for job in problem.jobs:
        if _counts_as_asked(job):
            asked[job.tenant] += job.hours
    accelerators = [pool.accelerator for _, pool in fleet.pools.values()]
    arrays = [
        _arrays(problem, i, tenant, hours, accelerators)
        for i, (tenant, hours) in enumerate(zip(told, asked.tolist(), strict=True))
    ]
    fairness = fleet.objective.fairness_cost_per_accelerator_hour
    return replace(problem, tenants=tuple(arrays), fairness_price_per_hour=fairness)


def _arrays(
    problem: ScheduleProblem, number: int, tenant: Tenant, hours: float, accelerators: Sequence[str]
) -> TenantArrays:
    free = np.full(problem.grid.n_slots, np.inf)
    if tenant.quota_accelerators is None:
        return TenantArrays(tenant.name, tenant.weight, hours, free)
    counts = np.array([tenant.counts(accelerator) for accelerator in accelerators], dtype=bool)
    left = tenant.quota_accelerators * problem.rest_share
    starts = np.arange(problem.grid.n_slots) * problem.slot_us
    for piece in problem.pinned:
        if piece.tenant == number and counts[piece.pool]:
            end, begin = (
                np.minimum(piece.end_us, starts + problem.slot_us),
                np.maximum(piece.start_us, starts),
            )
            left -= piece.accelerators * np.clip(end - begin, 0, None) / problem.slot_us
    price = tenant.over_quota_cost_per_accelerator_hour
    return TenantArrays(tenant.name, tenant.weight, hours, left, np.inf if price is None else price, counts)


def _counts_as_asked(job: Job) -> bool:
    """Fairness is about work that is due in the horizon, and that something may run."""
    return job.tenant >= 0 and bool(job.ways) and not job.open_ended


def short_hours(problem: ScheduleProblem, done: Mapping[str, float]) -> Floats:
    """What each tenant's work falls short by, of what it asked for, (n_tenants,) [accelerator-hours]."""
    short = np.zeros(len(problem.tenants))
    for job in problem.jobs if problem.tenants else ():
        if _counts_as_asked(job):
            short[job.tenant] += max(0.0, job.hours - done[job.id])
    return short


def fairness_prices(problem: ScheduleProblem) -> Floats:
    """What the next short hour costs in each step of each tenant's shortfall, (n_tenants, STEPS) [currency]."""
    weight = np.array([tenant.weight for tenant in problem.tenants])
    steps: Floats = (np.arange(STEPS) + 0.5) / STEPS
    return problem.fairness_price_per_hour * weight[:, None] * steps


def served(problem: ScheduleProblem, done: Mapping[str, float], over_hours: Floats) -> tuple[PlanTenant, ...]:
    """How a plan that does this much of each job serves every tenant; `over_hours` (n_quotas,) are beyond its quota."""
    rows = []
    over = np.append(over_hours, np.zeros(len(problem.tenants) - len(over_hours)))
    prices, short = fairness_prices(problem), short_hours(problem, done)
    for tenant, price, late, more in zip(problem.tenants, prices, short.tolist(), over.tolist(), strict=True):
        step_hours = tenant.asked_hours / STEPS
        in_step = np.clip(late - step_hours * np.arange(STEPS), 0.0, step_hours)
        at = min(STEPS - 1, int(late / step_hours + 1e-9)) if step_hours > 0 else 0
        rows.append(
            PlanTenant(
                tenant.name,
                tenant.weight,
                tenant.asked_hours,
                late,
                more,
                0.0 if tenant.hard or not more else more * tenant.over_price,
                float(price @ in_step),
                float(price[at]),
            )
        )
    return tuple(rows)


def with_quotas(
    rows: Sequence[PlanTenant],
    problem: ScheduleProblem,
    fleet: Fleet,
    used: Floats,
    prices: SlotPrices | None,
) -> tuple[PlanTenant, ...]:
    """The same rows with what is used of each quota, `used` (n_quotas, n_slots), and what more of it is worth."""
    ahead = problem.rest_share > 0
    worth = None if prices is None else prices.quota
    told = [
        replace(
            row,
            quota_accelerators=fleet.by_tenant[row.tenant].quota_accelerators,
            used_accelerators=float((own[ahead] / problem.rest_share[ahead]).max()),
            quota_price=None if worth is None else float(worth[i].sum()),
        )
        for i, (row, own) in enumerate(zip(rows, used, strict=False))
    ]
    return (*told, *rows[len(told) :])


def quota_full(
    problem: ScheduleProblem, job: Job, hours: float, left: Floats, most_hours: float = np.inf
) -> str | None:
    """That its tenant's hard quota, of which `left` (n_quotas, n_slots) are, has too little for `hours` of the job, of
    which no more than `most_hours` could be done anyhow.

    None where it has enough, or the job may run in pools that the quota does not count.
    """
    if not 0 <= job.tenant < problem.n_quotas or not problem.tenants[job.tenant].hard:
        return None
    if not all(problem.quota_counts[job.tenant, way.pool] for way in job.ways):
        return None
    first, last = job.start_us // problem.slot_us, -(-job.end_us // problem.slot_us)
    edges = np.clip(np.arange(first, last + 1) * problem.slot_us, job.start_us, job.end_us)
    most = np.diff(edges) / problem.slot_us * job.max_accelerators
    room = np.clip(left[job.tenant, first:last], 0.0, most).sum() * problem.grid.slot_hours
    if room >= min(hours, most_hours):
        return None
    return (
        f"The quota of tenant {problem.tenants[job.tenant].name} leaves it {room:.3g} accelerator-hours in its window, "
        f"and the rest of it takes {hours:.3g}."
    )
