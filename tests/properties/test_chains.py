"""A chain alone is planned as well as any cut of its time allows, and no bound is above what a cut costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Pool
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.jobs import HOUR_US
from shifter.schedule.problem import ScheduleProblem
from tests.properties.test_optimum import FEWER, optimum
from tests.schedule.build import cycle_inputs, site, work

HOURS = 7


@st.composite
def chains(draw: st.DrawFn) -> CycleInputs:
    """Two or three steps, one after the other, over one or two pools beside real-time load.

    Accelerators of both pools cost the same: where a step takes some of each in one cell, costs alone are approximate.
    """
    pools = tuple(
        Pool(name, "X", draw(st.integers(2, 6)), idle_kw=0.0, busy_kw=1.0)
        for name in ("p", "q")[: draw(st.integers(1, 2))]
    )
    n = draw(st.integers(2, 3))
    steps = [
        work(
            f"s{i}",
            draw(st.floats(0.5, 6)),
            draw(st.sampled_from([HOURS, HOURS, 5, 3.5])),
            max_accelerators=draw(st.integers(2, 12)),
            preemptible=draw(st.booleans()),
            depends_on=(f"s{i - 1}",) if i else (),
        )
        for i in range(n)
    ]
    prices = draw(st.lists(st.floats(-20, 120), min_size=HOURS, max_size=HOURS))
    inputs = cycle_inputs(steps, sites=[site(pools=pools)], prices=prices, hours=HOURS)
    loads = {
        ("a", pool.name): np.array(draw(st.lists(st.integers(0, pool.count), min_size=HOURS, max_size=HOURS)))
        for pool in pools
    }
    realtime = {key: {0.5: load.astype(float), 0.99: load.astype(float)} for key, load in loads.items()}
    objective = replace(inputs.fleet.objective, cost_per_run=0.0)
    return replace(
        inputs,
        fleet=replace(inputs.fleet, objective=objective),
        realtime=RealtimeLoad(inputs.frame.grid, realtime),
    )


def cuts(problem: ScheduleProblem) -> Iterator[ScheduleProblem]:
    """The problem with its chain cut at edges of slots, in every way."""
    for inner in combinations_with_replacement(range(HOURS + 1), len(problem.jobs) - 1):
        parts = pairwise([0, *(HOUR_US * hour for hour in inner), HOUR_US * HOURS])
        jobs = [
            replace(job, start_us=max(start, job.true_start_us), end_us=min(end, job.true_end_us))
            for job, (start, end) in zip(problem.jobs, parts, strict=True)
        ]
        if all(job.start_us <= job.end_us for job in jobs):
            yield replace(problem, jobs=tuple(jobs))


@given(chains())
@FEWER
def test_no_cut_is_better_than_the_plan_nor_cheaper_than_its_bound(inputs: CycleInputs) -> None:
    problem = replace(problem_of(inputs), lateness_price_per_hour=1e6)
    best = min(optimum(one) for one in cuts(problem))
    assume(best < 100)  # else no cut has room for all of it, and what is late is another question
    plan = plan_cycle(inputs)
    assert plan.unplaced == ()
    # Ties are broken at some thousandths of what work costs.
    assert plan.cost.total <= best + 1e-3 * sum(job.hours for job in problem.jobs)
    assert plan.lower_bound <= best + 1e-6


def test_hand_made_chains_cost_no_less_than_the_bound() -> None:
    """Both steps over both pools in the hours that cost nothing: what a bound of one pool at a time forbids."""
    pools = tuple(Pool(name, "X", count=10, idle_kw=0.0, busy_kw=1.0) for name in "pr")
    steps = [
        work("s0", 20, 6, max_accelerators=20),
        work("s1", 20, 6, max_accelerators=20, depends_on=("s0",)),
    ]
    inputs = cycle_inputs(steps, sites=[site(pools=pools)], prices=[0, 0] + [100] * 5, hours=HOURS)
    best = min(optimum(one) for one in cuts(problem_of(inputs)))
    plan = plan_cycle(inputs)
    assert plan.lower_bound <= best + 1e-9
    assert plan.cost.total <= best + 1e-9
