"""Running at once: nobody waits for what is free, and the first to come is the first to be served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import problem_of
from shifter.domain.tenant import Tenant
from shifter.schedule.early import run_early
from shifter.schedule.follow import Room
from shifter.schedule.ledger import Ledger
from tests.schedule.test_large import crowd


@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    scarcity=st.floats(0.02, 1.0),
    quota=st.none() | st.floats(0.0, 8.0),
)
@settings(deadline=None)
def test_a_job_that_does_not_run_finds_nothing_free(
    n: int, seed: int, scarcity: float, quota: float | None
) -> None:
    """Replayed job by job, with capacity counted anew: full width in the fastest way that has any room, in every cell
    from its start until it is done; and of no pool, site or quota more than there is."""
    inputs = crowd(n, seed)
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
    uses = run_early(problem, problem.jobs, np.array([job.hours for job in problem.jobs]), room)
    free, firm, kw = room.any.copy(), room.firm.copy(), room.import_kw.copy()
    of_quota = room.quota.copy()
    for j, job in enumerate(problem.jobs):
        held = {
            int(c): (int(w), s)
            for c, w, s in zip(
                *(getattr(uses, f)[uses.job == j] for f in ["cell", "way", "share"]), strict=True
            )
        }
        left = job.hours / job.max_accelerators
        for cell in range(int(np.searchsorted(problem.edges_us, job.true_start_us)), problem.n_cells):
            if left <= 2e-9 * job.hours:
                assert cell not in held
                continue
            slot, share_of_slot = problem.cell_slot[cell], problem.cell_share[cell]
            chosen, share = held.get(cell, (None, 0.0))
            fastest_first = sorted(range(len(job.ways)), key=lambda w: -job.ways[w].speed)
            for number in fastest_first:
                way = job.ways[number]
                site = problem.pools[way.pool].site
                most = min(
                    free[way.pool, cell],
                    firm[way.pool, cell] if job.firm else np.inf,
                    kw[site, slot] / (way.import_kw * share_of_slot),
                    of_quota[0, slot] / share_of_slot if job.tenant == 0 and quota is not None else np.inf,
                )
                if number != chosen:
                    assert most < 1e-6, "a faster way, or any at all, has room"
                    continue
                work = way.speed * problem.cell_hours[cell]
                assert share == pytest.approx(min(1.0, left / work, most / job.max_accelerators), abs=1e-6)
                left -= share * work
                taken = share * job.max_accelerators
                free[way.pool, cell] -= taken
                firm[way.pool, cell] -= taken * job.firm
                kw[site, slot] -= taken * way.import_kw * share_of_slot
                if job.tenant == 0 and quota is not None:
                    of_quota[0, slot] -= taken * share_of_slot
                break
    assert min(a.min(initial=0.0) for a in (free, firm, kw, of_quota)) > -1e-6
