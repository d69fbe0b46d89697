"""Tenants: what each holds against its quota, what of its work is late, and what the plan says of both.

Of a tenant whose work that is due takes A hours, and of which a share r is late, fairness charges price * weight * A *
(r^2 / 2, read off straight lines between twentieths).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.domain.tenant import PlanTenant, Tenant
from shifter.schedule.verify.case import LEVEL_TOLERANCE, Case, differs
from shifter.schedule.verify.columns import Columns
from shifter.schedule.verify.violation import Violation, ViolationCode

TWENTIETHS = np.linspace(0.0, 1.0, 21)
TOLERANCE = 1e-6
"""Of a figure, and of its unit where that is below 1."""
TINY = 1e-300
"""Work below which there is none."""

NO_USE = 1e-9
"""Mean accelerators beyond a quota that are rounding."""


@dataclass(frozen=True, eq=False)
class TenantUse:
    """One tenant; hours are accelerator-hours. `left` and `used` (n_slots,) are what its quota leaves beside what is
    pinned, and what else it holds; None where it has no quota."""

    tenant: Tenant
    asked_hours: float
    short_hours: float
    left: Floats | None
    used: Floats | None
    slot_hours: float

    @property
    def price(self) -> float | None:
        """What an accelerator-hour beyond the quota costs; None where there may be none, or there is no quota."""
        return self.tenant.over_quota_cost_per_accelerator_hour

    @property
    def over_hours(self) -> float:
        """What it holds beyond its quota, pinned work included."""
        if self.left is None or self.used is None:
            return 0.0
        over = self.used - self.left
        return float(over[over > NO_USE].sum()) * self.slot_hours

    @property
    def over_cost(self) -> float:
        """What it pays for that [currency]."""
        return 0.0 if self.price is None else self.over_hours * self.price

    @property
    def bounded(self) -> Floats:
        """What its quota leaves for a plan to use, or to pay for, (n_slots,)."""
        assert self.left is not None
        return np.maximum(0.0, self.left) if self.price is None else self.left

    def fairness_cost(self, price: float) -> float:
        """What fairness charges for it [currency]."""
        if self.asked_hours == 0:
            return 0.0
        ratio = np.interp(self.short_hours / self.asked_hours, TWENTIETHS, TWENTIETHS**2 / 2)
        return price * self.tenant.weight * self.asked_hours * float(ratio)


def tenants_of(case: Case) -> list[TenantUse]:
    """Those with a quota, in the fleet's order; where fairness has a price, then all others of the work, by name."""
    told = [t for t in case.fleet.tenants if t.quota_accelerators is not None]
    if case.fleet.objective.fairness_cost_per_accelerator_hour > 0:
        names = {item.workload.tenant for item in case.work.values()}
        told += [case.fleet.by_tenant.get(n) or Tenant(n) for n in sorted(names - {t.name for t in told})]
    if not told:
        return []
    asked, short = _hours(case)
    tenant_of = [item.workload.tenant for item in case.work.values()]
    planned = case.columns.where(~case.about.pinned[case.columns.work])
    found = []
    for tenant in told:
        own = np.array([name == tenant.name for name in tenant_of], dtype=bool)
        left = used = None
        if tenant.quota_accelerators is not None:
            used, pinned = (counted(case, tenant, c.where(own[c.work])) for c in (planned, case.held_columns))
            left = tenant.quota_accelerators / case.rest_ratio - pinned
        hours = float(asked[own].sum()), float(short[own].sum())
        found.append(TenantUse(tenant, *hours, left, used, case.grid.slot_hours))
    return found


def _hours(case: Case) -> tuple[Floats, Floats]:
    """What work that is due asks for, and falls short by, where something may run it, (n_work,) [accelerator-hours]."""
    asked, about = np.zeros(len(case.work)), case.about
    for row, id in enumerate(case.work):
        fastest = case.fastest(id)
        if fastest is not None and not about.pinned[row] and case.due(id) and case.usable(id):
            asked[row] = about.remaining[row] / fastest
    lacking = np.maximum(0.0, about.remaining - case.done_work) / np.maximum(about.remaining, TINY)
    return asked, asked * lacking


def counted(case: Case, tenant: Tenant, columns: Columns) -> Floats:
    """Mean accelerators of these that the tenant's quota counts, (n_slots,)."""
    means = case.mean_use(columns)
    counted = [means[key] for key, (_, pool) in case.fleet.pools.items() if tenant.counts(pool.accelerator)]
    return np.sum(counted, axis=0) if counted else np.zeros(case.grid.n_slots)


def check_tenants(case: Case, tenants: Sequence[TenantUse]) -> Iterator[Violation]:
    """No hard quota is exceeded, and every figure of the plan's rows is that of its allocations."""
    for one in tenants:
        if one.left is not None and one.used is not None and one.price is None:
            over = one.used - one.bounded
            if over.max() > LEVEL_TOLERANCE * max(1.0, float(one.left.max())):
                detail = (
                    f"up to {over.max():.6f} accelerators more than its quota leaves, in slot {over.argmax()}"
                )
                yield Violation(ViolationCode.QUOTA, one.tenant.name, detail)
    said = case.plan.tenants
    if [row.tenant for row in said] != [one.tenant.name for one in tenants]:
        yield Violation(
            ViolationCode.TENANT, "tenants", "are not those with a quota, or that fairness looks at"
        )
        return
    price = case.fleet.objective.fairness_cost_per_accelerator_hour
    for row, one in zip(said, tenants, strict=True):
        next_hour = _next_hour(one, price)
        figures = {
            "weight": one.tenant.weight,
            "asked_accelerator_hours": one.asked_hours,
            "short_accelerator_hours": one.short_hours,
            "over_quota_accelerator_hours": one.over_hours,
            "over_quota_cost": one.over_cost,
            "fairness_cost": one.fairness_cost(price),
            "next_short_hour_cost": next_hour,
        }
        yield from _check_quota(case, row, one)
        allowed = TOLERANCE * max(1.0, one.asked_hours, one.asked_hours * next_hour, abs(one.over_cost))
        # At the edge of a step, either of the two prices beside it is right.
        allowed_of = {"next_short_hour_cost": allowed + price * one.tenant.weight / 20}
        for name, real in figures.items():
            if differs(getattr(row, name), real, allowed_of.get(name, allowed)):
                detail = f"{name} says {getattr(row, name):.6f}, and it is {real:.6f}"
                yield Violation(ViolationCode.TENANT, row.tenant, detail)


def _check_quota(case: Case, row: PlanTenant, one: TenantUse) -> Iterator[Violation]:
    """What the row says of its quota: how large it is, the most that is held of it, and its prices in all."""
    quota, prices = one.tenant.quota_accelerators, case.plan.duals.quota.get(row.tenant, ())
    most = None
    if quota is not None and one.left is not None and one.used is not None:
        most = float(((one.used - one.left) * case.rest_ratio).max()) + quota
    figures = [
        ("quota_accelerators", row.quota_accelerators, quota),
        ("used_accelerators", row.used_accelerators, most),
    ]
    if row.quota_price is not None:
        figures.append(("quota_price", row.quota_price, sum(prices) if prices else None))
    for name, said, real in figures:
        if (said is None) is not (real is None) or differs(
            said or 0.0, real or 0.0, TOLERANCE * max(1.0, real or 0.0)
        ):
            yield Violation(ViolationCode.TENANT, row.tenant, f"{name} says {said}, and it is {real}")


def _next_hour(one: TenantUse, price: float) -> float:
    """The slope of what fairness charges, where the tenant stands."""
    ratio = one.short_hours / one.asked_hours if one.asked_hours > 0 else 0.0
    step = min(19, int(20 * ratio))
    return price * one.tenant.weight * (step + 0.5) / 20
