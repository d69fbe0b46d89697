"""Running at once: nobody waits for what is free, and the first to come is the first to be served."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import plan_cycle, problem_of
from shifter.domain.fleet import Model, Pool
from shifter.domain.tenant import Tenant
from shifter.schedule.early import run_early
from shifter.schedule.follow import Room
from shifter.schedule.ledger import Ledger
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.test_large import crowd

SPEEDS = (1.0, 0.55, 0.9)
"""By pool."""


@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    minute=st.sampled_from([0, 7, 29]),
    scarcity=st.floats(0.02, 1.0),
    quota=st.none() | st.floats(0.0, 8.0),
)
@settings(deadline=None)
def test_every_job_does_all_that_is_possible_in_every_cell_until_it_is_done(
    n: int, seed: int, minute: int, scarcity: float, quota: float | None
) -> None:
    """Replayed job by job, with what is left counted anew: of no pool, site or quota is more used than there is."""
    inputs = replace(crowd(n, seed), now=START + timedelta(minutes=minute))
    if quota is not None:
        tenants = (Tenant("A", quota_accelerators=quota),)
        mine = [
            replace(s, workload=replace(s.workload, tenant="A")) if i % 2 else s
            for i, s in enumerate(inputs.submissions)
        ]
        inputs = replace(inputs, fleet=replace(inputs.fleet, tenants=tenants), submissions=tuple(mine))
    problem = problem_of(inputs)
    ledger = Ledger(problem)
    room = Room.of(ledger.left(), ledger.room_kw() * scarcity, ledger.quota_left)
    jobs = [
        replace(job, ways=tuple(replace(way, speed=SPEEDS[way.pool]) for way in job.ways))
        for job in problem.jobs
    ]
    uses = run_early(problem, jobs, np.array([job.hours for job in jobs]), room)
    free, firm, kw, of_quota = (a.copy() for a in (room.any, room.firm, room.import_kw, room.quota))
    rest_us = dict.fromkeys(range(problem.grid.n_slots), problem.slot_us)
    rest_us[problem.now_us // problem.slot_us] -= problem.now_us % problem.slot_us
    for j, job in enumerate(jobs):
        mine_only = [getattr(uses, column)[uses.job == j].tolist() for column in ("cell", "way", "share")]
        held = {cell: (way, share) for cell, way, share in zip(*mine_only, strict=True)}
        counted = job.tenant == 0 and quota is not None
        left = job.hours / job.max_accelerators
        for cell in range(int(np.searchsorted(problem.edges_us, job.true_start_us)), problem.n_cells):
            if left <= 2e-9 * job.hours:
                assert cell not in held
                continue
            slot, hours, share_of_slot = (
                problem.cell_slot[cell],
                problem.cell_hours[cell],
                problem.cell_share[cell],
            )
            share_of_rest = (
                problem.cell_us[cell] / rest_us[slot]
            )  # power in the running slot is that of what is left
            most = [
                min(
                    free[way.pool, cell],
                    firm[way.pool, cell] if job.firm else np.inf,
                    kw[problem.pools[way.pool].site, slot] / (way.import_kw * share_of_rest),
                    of_quota[0, slot] / share_of_slot if counted else np.inf,
                    job.max_accelerators,
                )
                for way in job.ways
            ]
            could = [way.speed * count for way, count in zip(job.ways, most, strict=True)]
            if cell not in held:
                assert max(could) < 1e-6
                continue
            chosen, share = held[cell]
            way, taken = job.ways[chosen], share * job.max_accelerators
            assert could[chosen] == pytest.approx(max(could), abs=1e-6)
            assert taken == pytest.approx(
                min(most[chosen], left * job.max_accelerators / (way.speed * hours)), abs=1e-6
            )
            left -= share * way.speed * hours
            free[way.pool, cell] -= taken
            firm[way.pool, cell] -= taken * job.firm
            kw[problem.pools[way.pool].site, slot] -= taken * way.import_kw * share_of_rest
            if counted:
                of_quota[0, slot] -= taken * share_of_slot
    assert min(a.min(initial=0.0) for a in (free, firm, kw, of_quota)) > -1e-6


def test_one_accelerator_that_is_left_of_the_fastest_keeps_nobody_from_all_others() -> None:
    """Two that are 8 wide, 9 fast accelerators, 100 that are a little slower."""
    model = Model("m", {"F": 10.0, "S": 9.0})
    plant = site(pools=(Pool("fast", "F", 9, 1, 0.0, 1.0), Pool("slow", "S", 100, 1, 0.0, 1.0)))
    jobs = [
        work(id, 0, 8, accelerator_hours=None, model="m", tokens=10.0 * 3600 * 48, max_accelerators=8)
        for id in ("w0", "w1")
    ]
    plan = plan_cycle(cycle_inputs(jobs, sites=[plant], models=[model]))
    assert plan.baseline.late_accelerator_hours == pytest.approx(0, abs=1e-6)
    assert [row.run_now_finish <= at(7) for row in plan.workloads if row.run_now_finish] == [True, True]
