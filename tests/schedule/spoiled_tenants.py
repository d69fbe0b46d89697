"""Plans that are wrong in what they say of tenants: over a hard quota, or with figures and prices that are not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.tenant import Tenant
from tests.schedule.build import at, cycle_inputs, with_tenants, work
from tests.schedule.spoil import Spoiled, made_of, priced, row

PRICES = [30.0 + 20 * (i % 5) for i in range(24)]


def shared(*tenants: Tenant, fairness: float = 0.0) -> Spoiled:
    """Work of A, on 4 accelerators for two hours and 1 for half an hour, in time; half of B's is late."""
    inputs = cycle_inputs([work("w", 8.5, 20, tenant="A"), work("v", 8, 20, tenant="B")], prices=PRICES)
    pieces = [
        Allocation("w", "a", "p", at(1), at(3), 4),
        Allocation("w", "a", "p", at(3), at(3.5), 1),
        Allocation("v", "a", "p", at(1), at(3), 2),
    ]
    inputs = with_tenants(inputs, *tenants, fairness=fairness)
    return made_of(inputs, pieces), inputs


HARD, DEAR = Tenant("A", quota_accelerators=4.0), Tenant("A", 2.0, 3.0, None, 0.5)


def changed(change: Callable[[Plan], Plan], *tenants: Tenant) -> Callable[[], Spoiled]:
    def spoiled() -> Spoiled:
        plan, inputs = shared(*(tenants or (DEAR,)), fairness=2.0)
        return change(plan), inputs

    return spoiled


def tenant(i: int, **over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, tenants=row(p.tenants, i, **over)))


def cost(**over: float) -> Callable[[], Spoiled]:
    return changed(
        lambda p: priced(p, cost=replace(p.cost, **{k: getattr(p.cost, k) + v for k, v in over.items()}))
    )


def prices(quota: dict[str, tuple[float, ...]]) -> Callable[[], Spoiled]:
    return changed(lambda p: dealing(p, quota))


def dealing(plan: Plan, quota: dict[str, tuple[float, ...]]) -> Plan:
    """With other prices of quotas, of which the rows say nothing."""
    rows = tuple(replace(one, quota_price=None) for one in plan.tenants)
    return replace(plan, duals=replace(plan.duals, quota=quota), tenants=rows)


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "a tenant uses more than its quota": ({"quota"}, lambda: shared(replace(HARD, quota_accelerators=3.99))),
    "a tenant uses more than its quota for a part of a slot": (
        {"quota"},
        lambda: shared(replace(HARD, quota_accelerators=0.49, quota_accelerator_types=("X",))),
    ),
    "no row of a tenant": ({"tenant"}, changed(lambda p: replace(p, tenants=p.tenants[:1]))),
    "a row of a tenant that nobody looks at": (
        {"tenant"},
        lambda: (replace(shared()[0], tenants=shared(HARD)[0].tenants), shared()[1]),
    ),
    "it asked for more, it says": ({"tenant"}, tenant(0, asked_accelerator_hours=9.0)),
    "less of it is late, it says": ({"tenant"}, tenant(1, short_accelerator_hours=3.9)),
    "it used less beyond its quota, it says": ({"tenant"}, tenant(0, over_quota_accelerator_hours=1.0)),
    "it pays less for that, it says": ({"tenant"}, tenant(0, over_quota_cost=0.5)),
    "fairness charges less, it says": ({"tenant"}, tenant(1, fairness_cost=0.5)),
    "its next hour is free, it says": ({"tenant"}, tenant(1, next_short_hour_cost=0.0)),
    "its quota is larger, it says": ({"tenant"}, tenant(0, quota_accelerators=3.5)),
    "it holds less of its quota, it says": ({"tenant"}, tenant(0, used_accelerators=3.0)),
    "it has a quota, it says": ({"tenant"}, tenant(1, quota_accelerators=3.0)),
    "more of its quota is worth something, it says": ({"tenant"}, tenant(0, quota_price=1.0)),
    "another weight, it says": ({"tenant"}, tenant(0, weight=1.0)),
    "what is beyond quotas costs nothing, it says": ({"cost"}, cost(over_quota=-1.0)),
    "fairness costs nothing, it says": ({"cost"}, cost(fairness=-1.0)),
    "a price of a quota is negative": ({"duals"}, prices({"A": (-1.0,) * 24})),
    "no price of a quota": ({"duals"}, prices({})),
    "a price of a quota for half of the slots": ({"duals"}, prices({"A": (0.0,) * 12})),
    "a price of a quota that is not there": ({"duals"}, prices({"A": (0.0,) * 24, "B": (0.0,) * 24})),
    "a bound above what the quotas' prices prove": (
        {"bound"},
        # They would prove more than the cost, were what may be borrowed worth more than borrowing it costs.
        changed(lambda p: priced(dealing(p, {"A": (5.0,) * 24}), lower_bound=p.cost.total)),
    ),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "as much as the quota allows": lambda: shared(HARD),
    "a quota of accelerators that are not there": lambda: shared(
        replace(HARD, quota_accelerators=0.0, quota_accelerator_types=("Y",))
    ),
    "more than the quota, at its price": lambda: shared(DEAR),
    "a quota, and a price of fairness": lambda: shared(DEAR, fairness=2.0),
    "fairness without a quota": lambda: shared(fairness=2.0),
}
