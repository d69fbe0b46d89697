"""The verifier finds every way in which a plan can be wrong: a good plan is spoiled, and each spoiling is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Battery, Pool, Resilience
from shifter.domain.plan import Cost, Plan
from tests.schedule.build import START, at, cycle_inputs, site, work

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def inputs() -> CycleInputs:
    battery = Battery(20, 5, 0.9, 0.9, initial_kwh=5, min_kwh=2, wear_cost_per_kwh=0.001)
    pools = (Pool("p", "X", 10, failure_domains=5, idle_kw=0.1, busy_kw=1.0),)
    resilience = Resilience(0.99, 1, ride_through_minutes=30)
    plant = site(
        pools=pools, battery=battery, resilience=resilience, power_limit_kw=9.0, demand_charge_per_kw=1.0
    )
    jobs = [
        work("soft", 20, 20, max_accelerators=5, sites=("a",)),
        work("firm", 10, 24, preemptible=False, max_accelerators=4, sites=("a",)),
        work("whole", 4, 24, interruptible=False, max_accelerators=2),
        work("after", 4, 24, depends_on=("soft",), max_accelerators=2),
        work("french", 2, 24, data_boundary=("DE",)),
    ]
    prices = [30.0 + 20 * (i % 5) for i in range(24)]
    return cycle_inputs(
        jobs,
        sites=[plant, site("b", jurisdiction="FR")],
        prices=prices,
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
    )


@pytest.fixture(scope="module")
def plan(inputs: CycleInputs) -> Plan:
    return plan_cycle(inputs)


def codes(plan: Plan, inputs: CycleInputs) -> set[str]:
    return {violation.code for violation in verify_plan(plan, inputs)}


def with_piece(plan: Plan, id: str, **over: object) -> Plan:
    """The plan with one piece of a workload changed."""
    i = next(i for i, a in enumerate(plan.allocations) if a.workload_id == id)
    pieces = list(plan.allocations)
    pieces[i] = replace(pieces[i], **over)  # type: ignore[arg-type]
    return replace(plan, allocations=tuple(pieces))


def without(plan: Plan, id: str) -> Plan:
    return replace(plan, allocations=tuple(a for a in plan.allocations if a.workload_id != id))


def with_power(plan: Plan, **over: float) -> Plan:
    return replace(plan, power=(replace(plan.power[0], **over), *plan.power[1:]))  # type: ignore[arg-type]


def test_a_good_plan_has_no_violation(plan: Plan, inputs: CycleInputs) -> None:
    assert verify_plan(plan, inputs) == []


SPOILINGS: dict[str, Callable[[Plan], Plan]] = {
    "unknown_workload": lambda p: with_piece(p, "soft", workload_id="nobody"),
    "unknown_pool": lambda p: with_piece(p, "soft", pool="nowhere"),
    "grid": lambda p: replace(p, horizon=replace(p.horizon, end=p.horizon.end + HOUR)),
    "currency": lambda p: replace(p, currency="USD"),
    "interval": lambda p: with_piece(p, "soft", end=START - HOUR),
    "past": lambda p: replace(p, created_at=at(23.9)),
    "window": lambda p: with_piece(p, "soft", start=at(20.5), end=at(21.5)),
    "pool_not_allowed": lambda p: with_piece(p, "french", site="b"),
    "replica": lambda p: with_piece(p, "soft", accelerators=0),
    "not_done": lambda p: without(p, "firm"),
    "max_accelerators": lambda p: with_piece(p, "soft", accelerators=6),
    "interrupted": lambda p: replace(
        p,
        allocations=(
            *p.allocations,
            replace(next(a for a in p.allocations if a.workload_id == "whole"), accelerators=1),
        ),
    ),
    "order": lambda p: with_piece(p, "after", start=START, end=START + HOUR),
    "capacity": lambda p: with_piece(p, "soft", accelerators=9),
    "reserve": lambda p: with_piece(p, "firm", accelerators=8),
    "slot_row": lambda p: replace(
        p, slots=(replace(p.slots[0], deferrable=p.slots[0].deferrable + 1), *p.slots[1:])
    ),
    "power_row": lambda p: replace(p, power=p.power[1:]),
    "import": lambda p: with_power(p, import_kw=p.power[0].import_kw + 1),
    "power_limit": lambda p: with_piece(p, "soft", accelerators=30),
    "export": lambda p: with_power(p, discharge_kw=30.0),
    "battery_balance": lambda p: with_power(p, stored_kwh=6.0),
    "battery_limits": lambda p: with_power(p, charge_kw=7.0),
    "battery_end": lambda p: replace(
        p, power=(*p.power[:23], replace(p.power[23], discharge_kw=5.0), *p.power[24:])
    ),
    "battery_floor": lambda p: replace(
        p, power=(p.power[0], replace(p.power[1], stored_kwh=0.0), *p.power[2:])
    ),
    "cost": lambda p: replace(p, cost=replace(p.cost, energy=p.cost.energy * 0.99)),
    "carbon_kg": lambda p: replace(p, carbon_kg=p.carbon_kg * 0.99),
    "duals": lambda p: replace(p, duals=replace(p.duals, peak={"a": (5.0,) * 24})),
    "bound": lambda p: replace(p, lower_bound=p.cost.total * 1.1),
}


@pytest.mark.parametrize("code", SPOILINGS)
def test_each_spoiling_is_named(code: str, plan: Plan, inputs: CycleInputs) -> None:
    assert code in codes(SPOILINGS[code](plan), inputs)


def test_a_battery_that_is_not_there_is_named(plan: Plan, inputs: CycleInputs) -> None:
    other = next(i for i, row in enumerate(plan.power) if row.site == "b")
    rows = list(plan.power)
    rows[other] = replace(rows[other], charge_kw=1.0)
    assert "battery" in codes(replace(plan, power=tuple(rows)), inputs)


def test_a_negative_price_of_a_limit_is_named(plan: Plan, inputs: CycleInputs) -> None:
    duals = replace(plan.duals, power={"a": (-1.0,) * 24})
    assert "duals" in codes(replace(plan, duals=duals), inputs)


def test_an_empty_plan_of_nothing_is_fine() -> None:
    empty = cycle_inputs([])
    plan = plan_cycle(empty)
    assert plan.cost == Cost()
    assert verify_plan(plan, empty) == []
