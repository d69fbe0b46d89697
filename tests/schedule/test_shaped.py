"""Work with a shape: not interruptible, loaded first, in replicas; one after the other at the program's prices."""

from __future__ import annotations

import pytest

from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from tests.schedule.build import at, cycle_inputs, site, work


def runs(plan: Plan, id: str = "w") -> list[tuple[float, float, int]]:
    """Start and end [h], and accelerators, of a workload's pieces."""
    own = [a for a in plan.allocations if a.workload_id == id]
    return [(hours(a.start), hours(a.end), a.accelerators) for a in own]


def hours(moment: object) -> float:
    return (moment - at(0)).total_seconds() / 3600  # type: ignore[operator]


def test_work_in_one_piece_pays_the_demand_charge_for_no_more_than_it_needs() -> None:
    """With the charge spread over the slots, all widths cost the same by the slot; the peak is of the widest."""
    inputs = cycle_inputs([work("w", 10, 2, interruptible=False)], sites=[site(demand_charge_per_kw=5.0)])
    plan = plan_cycle(inputs)
    assert runs(plan) == [(0, 2, 5)]
    assert plan.cost.demand_charge == pytest.approx(25.0)
    assert plan.relative_gap == pytest.approx(0.0, abs=1e-9)


def test_a_peak_that_is_there_anyway_may_be_filled() -> None:
    """Up to the peak so far a wide run in the cheap hour costs nothing more; beyond it, the charge is the dearer."""
    charged = site(demand_charge_per_kw=5.0, peak_so_far_kw=8.0)
    inputs = cycle_inputs(
        [work("w", 8, 4, interruptible=False)], sites=[charged], prices=[50, 10, 50, 50] * 6
    )
    assert runs(plan_cycle(inputs)) == [(1, 2, 8)]
    inputs = cycle_inputs(
        [work("w", 10, 4, interruptible=False)], sites=[charged], prices=[50, 10, 50, 50] * 6
    )
    (run,) = runs(plan_cycle(inputs))
    assert run[2] <= 8


def test_of_equal_runs_the_narrowest_is_taken_and_the_width_that_just_fits_is_tried() -> None:
    """Of 150 widths not all are tried, but the one that its window needs is: 134 hours in two are 67."""
    wide = site(pools=(Pool("p", "X", count=200, idle_kw=0.0, busy_kw=1.0),), demand_charge_per_kw=5.0)
    job = work("w", 134, 7, interruptible=False, max_accelerators=150, earliest_start=at(5))
    plan = plan_cycle(cycle_inputs([job], sites=[wide]))
    assert runs(plan) == [(5, 7, 67)]
    assert plan.relative_gap == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_shape_pays_double_for_the_peak(seed: int) -> None:
    """Whatever is beside it, work with a shape is near the bound of work without one."""
    jobs = [
        work(f"c{i}", 5 + (7 * i + 3 * seed) % 11, 24, interruptible=False, max_accelerators=6)
        for i in range(4)
    ]
    jobs += [work(f"w{i}", 6, 24, max_accelerators=4) for i in range(4)]
    inputs = cycle_inputs(jobs, sites=[site(demand_charge_per_kw=2.0)])
    plan = plan_cycle(inputs)
    assert plan.relative_gap < 0.1
    assert verify_plan(plan, inputs) == []
