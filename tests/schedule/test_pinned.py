"""Work that is running and may not be interrupted: it stays where it is, and everything else is planned around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.fleet import Model, Pool, PowerWindow
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.rows import Allocation
from shifter.errors import InputError
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.solvers import without_solvers
from tests.schedule.spoil import codes, made_of, priced

TWO_POOLS = site(pools=(Pool("p1", "X", 10, 1, 0.0, 1.0), Pool("p2", "X", 10, 1, 0.0, 0.9)))


def pinned_case(
    *others: Any, end: float = 2.0, now: float = 0.5, pool: str = "p1", **over: Any
) -> CycleInputs:
    """`c` holds eight accelerators of the dearer pool from before the grid to `end`."""
    running = work("c", 8 * (end + 1), 10, max_accelerators=8, interruptible=False)
    inputs = cycle_inputs([running, *others], **{"sites": [TWO_POOLS], "now": at(now), **over})
    return replace(inputs, pinned=(Allocation("c", "a", pool, at(-1), at(end), 8),))


def rows(plan: Plan, id: str) -> list[Allocation]:
    return [a for a in plan.allocations if a.workload_id == id]


def test_it_stays_in_its_pool_and_the_rest_goes_beside_it() -> None:
    inputs = pinned_case(work("n", 1.5 * 12, 2, max_accelerators=20))
    plan = plan_cycle(inputs)
    assert rows(plan, "c") == [Allocation("c", "a", "p1", at(0.5), at(2), 8)]
    beside = [a for a in rows(plan, "n") if a.pool == "p1" and a.start < at(2)]
    assert all(a.accelerators <= 2 for a in beside)
    assert not plan.unplaced
    why = {w.workload_id: w for w in plan.workloads}["c"]
    assert (why.reason_code, why.start, why.finish) == ("running", at(0.5), at(2))
    assert why.cost == why.run_now_cost == pytest.approx(12 * 50 / 1000)
    assert -1e-9 <= plan.relative_gap < 0.02
    assert sum(r.deferrable for r in plan.slots if r.pool == "p1") >= 12


def test_it_is_in_the_plan_whatever_is_done_of_it_to_its_last_microsecond() -> None:
    model = Model("m", {"X": 1000.0}, load_minutes=20)
    job = work("c", 0, 10, accelerator_hours=None, tokens=1000.0 * 3600 * 8, model="m", interruptible=False)
    for done, now in ((0.0, 0.9), (1.0, 0.99), (1.0, 0.9999999)):
        inputs = cycle_inputs(
            [job, work("n", 2, 1)], models=[model], now=at(now), done={"c": job.amount * done}
        )
        held = Allocation("c", "a", "p", at(-1), at(1), 8)
        plan = plan_cycle(replace(inputs, pinned=(held,)))
        assert rows(plan, "c") == [replace(held, start=at(now))]
        assert all(a.accelerators <= 2 for a in rows(plan, "n") if a.start < at(1))


def test_what_waits_for_it_starts_at_its_end() -> None:
    for now in (0.25, 0.5, 0.99):
        inputs = pinned_case(work("d", 10, 3, depends_on=("c",)), now=now)
        plan = plan_cycle(inputs)
        assert not plan.unplaced
        assert {(a.start, a.end) for a in rows(plan, "d")} == {(at(2), at(3))}
        early = made_of(inputs, [Allocation("d", "a", "p2", at(1.5), at(2.5), 10)])
        assert codes(early, inputs) == {"order", "window"}


def test_a_plan_that_moves_it_is_refused() -> None:
    inputs = pinned_case()
    plan = priced(plan_cycle(inputs), lower_bound=0.0)  # what is proven depends on what is pinned
    (held,) = inputs.pinned
    changes: list[dict[str, Any]] = [{"pool": "p2"}, {"accelerators": 4}, {"end": at(1)}]
    for change in changes:
        assert codes(plan, replace(inputs, pinned=(replace(held, **change),))) == {"pinned"}
    (own,) = plan.allocations
    later = replace(plan, allocations=(replace(own, start=at(0.7)),))
    assert "pinned" in codes(later, inputs)
    twice = replace(plan, allocations=(own, replace(own, accelerators=0)))
    assert codes(twice, inputs) == {"pinned"}
    assert "pinned" in codes(replace(plan, allocations=()), inputs)


def test_where_real_time_load_wants_its_room_nothing_is_added_and_the_plan_says_so() -> None:
    load = {("a", "p1"): {0.5: 4.0, 0.99: 6.0}}
    plan = plan_cycle(pinned_case(work("n", 60, 20, max_accelerators=20), load=load))
    assert len(rows(plan, "c")) == 1
    assert not [a for a in rows(plan, "n") if a.pool == "p1" and a.start < at(2)]
    assert any("may not be interrupted holds" in said for said in plan.warnings)


def test_power_counts_it_and_one_limit_that_it_breaks_alone_does_not_stop_planning() -> None:
    limited = replace(TWO_POOLS, power_limit_kw=10.0, power_limits=(PowerWindow(at(1), at(2), 5.0),))
    plan = plan_cycle(pinned_case(work("n", 40, 20, max_accelerators=20), sites=[limited]))
    beside = [a for a in rows(plan, "n") if a.start < at(2)]
    assert all(a.end <= at(1) and a.accelerators <= 2 for a in beside)
    assert not plan.unplaced


@pytest.mark.parametrize("now", [0.0, 0.4])
@pytest.mark.parametrize("solver", [True, False])
def test_beside_a_battery_and_a_demand_charge(monkeypatch: Any, now: float, solver: bool) -> None:
    stored = replace(
        TWO_POOLS, battery=Battery(40, 6, initial_kwh=10), demand_charge_per_kw=1.0, power_limit_kw=16.0
    )
    stored = replace(stored, resilience=replace(stored.resilience, ride_through_minutes=60))
    load = {("a", "p2"): {0.5: 1.0, 0.99: 2.0}}
    prices = [50.0 + 40 * np.sin(h) for h in range(24)]
    inputs = pinned_case(
        work("n", 60, 20, max_accelerators=20), end=1.3, sites=[stored], prices=prices, now=now, load=load
    )
    if not solver:
        without_solvers(monkeypatch)
    plan = plan_cycle(inputs)
    assert plan.status == ("optimal" if solver else "greedy")
    assert len(rows(plan, "c")) == 1
    assert plan.lower_bound <= plan.cost.total + 1e-9


def test_no_work_is_put_beside_it_that_would_take_a_battery_below_its_minimum() -> None:
    battery = Battery(5.0, 1.5, 0.9, 0.95, initial_kwh=0.5, min_kwh=0.25)
    limited = site(pools=(Pool("p1", "X", 5, 1, 0.0, 1.0),), power_limit_kw=4.0, battery=battery)
    running = (
        work("c", 20, 10, max_accelerators=2, interruptible=False),
        work("short", 20, 10, max_accelerators=3, interruptible=False),
    )
    # More than there is time for, and in one piece: all that the site might do for it is tried.
    large = work("w", 26, 13 / 6, max_accelerators=6, interruptible=False)
    inputs = cycle_inputs([large, *running], sites=[limited], hours=8)
    pinned = Allocation("c", "a", "p1", at(-1), at(8), 2), Allocation("short", "a", "p1", at(-1), at(0.3), 3)
    plan = plan_cycle(replace(inputs, pinned=pinned))
    assert rows(plan, "w")
    assert min(r.stored_kwh for r in plan.power) >= 0.25 - 1e-6


@pytest.mark.parametrize("plant", [False, True])
def test_the_bound_counts_what_it_leaves_of_the_rest_of_the_running_slot(plant: bool) -> None:
    """In the part that is gone it is not held, and nothing else could run there either: so no room is proven there."""
    over: Any = {"generation": Generation((GenerationWindow(at(0), at(24), 1e-3),))} if plant else {}
    jobs = [work("c", 50, 20, interruptible=False), work("n", 2, 1), work("m", 6, 2)]
    prices = [10, 100] + [50] * 22
    inputs = cycle_inputs(jobs, sites=[site(**over)], prices=prices, now=at(0.5))
    plan = plan_cycle(replace(inputs, pinned=(Allocation("c", "a", "p", at(0.25), at(8), 5),)))
    assert bool(plan.duals.work) == plant
    assert plan.relative_gap == pytest.approx(0, abs=1e-6)


def test_inputs_keep_it_and_a_replay_is_the_same_byte_for_byte() -> None:
    inputs = pinned_case(work("n", 30, 20))
    text = inputs_to_json(inputs)
    again = inputs_from_json(text)
    assert again.pinned == inputs.pinned
    assert inputs_to_json(again) == text
    assert plan_cycle(again).to_json() == plan_cycle(inputs).to_json()


def test_inputs_that_pin_what_cannot_be_are_refused() -> None:
    inputs = pinned_case()
    (held,) = inputs.pinned
    wrong: list[tuple[Allocation, ...]] = [
        (held, held),
        (replace(held, workload_id="x"),),
        (replace(held, pool="x"),),
        (replace(held, end=at(0.5)),),
        (replace(held, start=at(1)),),
    ]
    for pinned in wrong:
        with pytest.raises(InputError):
            plan_cycle(replace(inputs, pinned=pinned))
