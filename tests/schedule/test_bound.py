"""The proof: a bound that no feasible plan beats, whatever prices it is computed from."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Model, Pool
from shifter.domain.plant import Battery
from shifter.schedule.bound import SlotPrices, lower_bound
from shifter.schedule.classes import merge
from shifter.schedule.program import Capacity
from shifter.schedule.solve import solve
from tests.schedule.build import cycle_inputs, site, work


def fleet_case() -> CycleInputs:
    pools = (Pool("p", "X", 8, busy_kw=1.0), Pool("q", "Y", 4, idle_kw=0.1, busy_kw=0.5))
    plant = site(
        pools=pools,
        power_limit_kw=8.5,
        demand_charge_per_kw=0.4,
        peak_so_far_kw=3.0,
        battery=Battery(6, 2, 0.9, 0.9, initial_kwh=2),
    )
    jobs = [
        work(f"w{i}", 4 + i, 10 + i, preemptible=bool(i % 3), max_accelerators=2 + i % 3) for i in range(9)
    ]
    prices = [40 + 30 * np.sin(i / 3) for i in range(24)]
    return cycle_inputs(jobs, sites=[plant], prices=prices, load={("a", "p"): {0.5: 1.2, 0.99: 2.4}})


def test_the_bound_from_the_program_s_own_duals_is_its_optimum() -> None:
    problem = problem_of(fleet_case())
    capacity = Capacity.of(problem)
    solution = solve(problem, merge(problem.jobs), capacity, time_limit_s=30)
    plan = plan_cycle(fleet_case())
    imports = solution.values["import"].reshape(1, -1)
    cost = float((imports * problem.sites[0].unit_cost_per_kwh).sum()) + 0.4 * float(
        solution.values["peak"][0]
    )
    assert plan.lower_bound <= cost + 1e-6
    # Capacity is floored to whole accelerators for the plan and not for the bound: that is all that lies between them.
    assert plan.lower_bound == pytest.approx(cost, rel=0.02)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_any_prices_give_a_valid_bound(seed: int, scale: float) -> None:
    inputs = fleet_case()
    problem = problem_of(inputs)
    rng = np.random.default_rng(seed)
    n = problem.grid.n_slots
    peak = rng.random((1, n))
    prices = SlotPrices(
        rng.random((2, n)) * scale,
        rng.random((2, n)) * scale,
        rng.random((1, n)) * scale,
        0.4 * peak / peak.sum(),
    )
    free = np.array(
        [[pool.any_capacity for pool in problem.pools], [pool.firm_capacity for pool in problem.pools]], float
    )
    done = {job.id: job.hours for job in problem.jobs}
    assert lower_bound(problem, prices, (free[0], free[1]), done) <= CHEAPEST.cost.total + 1e-6


CHEAPEST = plan_cycle(fleet_case())


def test_the_bound_covers_only_the_work_that_is_placed() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 60, 4)]))
    assert plan.unplaced
    assert plan.lower_bound == pytest.approx(plan.cost.total)


def test_the_bound_stays_tight_where_work_does_not_fit() -> None:
    pools = (Pool("p", "X", 8, busy_kw=1.0),)
    jobs = [work(f"w{i}", 30 + i, 6 + i, max_accelerators=8) for i in range(6)]
    plan = plan_cycle(
        cycle_inputs(
            jobs,
            sites=[site(pools=pools)],
            prices=[40 + i for i in range(24)],
            load={("a", "p"): {0.5: 1.0, 0.99: 2.4}},
        )
    )
    assert len(plan.unplaced) >= 2
    assert 0 <= plan.relative_gap < 0.25


def test_loading_at_negative_prices_is_a_gain_that_the_bound_knows() -> None:
    model = Model("m", {"X": 1000.0}, load_minutes=30)
    job = work("w", 1, 24, accelerator_hours=None, model="m", tokens=1000.0 * 3600 * 4, max_accelerators=4)
    plan = plan_cycle(cycle_inputs([job], models=[model], prices=[-50.0] * 4 + [40.0] * 20))
    assert plan.cost.total < -4 * 50 / 1000
    assert plan.lower_bound <= plan.cost.total


MANY = """
import os
import subprocess
import sys

import numpy as np
from dataclasses import replace
from shifter.schedule.bound import SlotPrices, lower_bound
from tests.schedule.test_bound import fleet_case
from shifter.cycle import problem_of
few = problem_of(fleet_case())
draw = np.random.default_rng(0)
jobs = tuple(
    replace(few.jobs[0], id=str(i), hours=float(h), max_accelerators=int(n))
    for i, (h, n) in enumerate(zip(draw.random(30_000), draw.integers(1, 90, 30_000)))
)
many = replace(few, jobs=jobs)
room, kw = np.zeros((2, 24)), np.zeros((1, 24))
done = {job.id: job.hours for job in jobs}
print(lower_bound(many, SlotPrices(room, room, kw, kw), (room, room), done).hex())
"""


def test_the_bound_of_many_is_the_same_to_the_bit_however_many_threads_there_are() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", MANY],
            env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2)
    }
    assert len(said) == 1
