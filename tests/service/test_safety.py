"""Whatever is submitted, reported, limited or lost: what is let in at one moment fits, and keeps its order."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shifter.clock import ManualClock
from shifter.domain.fleet import GridEvent, Pool, limits_in_force
from shifter.domain.workload import Workload
from shifter.service import Service, leases, pinned
from shifter.service.gate import Gate
from shifter.service.life import gate_of
from shifter.store.workloads import WorkloadRecord
from shifter.views import WorkloadState
from tests.service import world
from tests.service.world import HOUR, T0, job

STEP = timedelta(minutes=5)
STEPS = 110
SITE = replace(
    world.FLEET.sites[0],
    pools=(Pool("h100", "H100", 16, 4, 0.1, 0.7), Pool("h200", "H200", 8, 1, 0.1, 0.9)),
    resilience=replace(world.FLEET.sites[0].resilience, lose_domains=0),
)
MODEL = replace(
    world.FLEET.models[0], throughput_tokens_per_s={"H100": 1000.0, "H200": 1500.0}, load_minutes=6
)
FLEET = replace(world.FLEET, sites=(SITE,), models=(MODEL,))


def _work(rng: random.Random, n: int, clock: ManualClock, ids: list[str]) -> Workload:
    due = clock.now() + rng.uniform(1, 12) * HOUR
    width = rng.randint(1, 10)
    flags: dict[str, Any] = {"interruptible": rng.random() < 0.6, "preemptible": rng.random() < 0.3}
    before = tuple(rng.sample(ids, 1)) if ids and rng.random() < 0.3 else ()
    hours = width * rng.uniform(0.3, 3)
    if rng.random() < 0.5:
        return job(f"w{n}", hours, width, deadline=due, depends_on=before, **flags)
    tokens = hours * 3.6e6
    return Workload(
        f"w{n}", model="m", tokens=tokens, max_accelerators=width, deadline=due, depends_on=before, **flags
    )


def _leased(gate: Gate, record: WorkloadRecord) -> bool:
    return bool(leases.current(record.lease.allocations, gate.now)) and (
        not gate.stale or gate.goes_on(record)
    )


def _check(made: Service, clock: ManualClock) -> None:
    gate = gate_of(made.core)
    answers = {r.id: made.admission(r.id) for r in gate.live}
    published, now = made.core.state.published, clock.now()
    if published is None:
        return
    drawn = alone = 0.0
    for key, (_, pool) in FLEET.pools.items():
        row = published.row_at(key, now)
        given = {
            i: sum(x.accelerators for x in a.allocations if (x.site, x.pool) == key)
            for i, a in answers.items()
            if a.admit
        }
        if row is None:
            assert not any(given.values())
            return
        live = {r.id: r for r in gate.live}
        told = [(i, a.reason, _leased(gate, live[i])) for i, a in answers.items() if a.admit]
        firm = sum(n for i, n in given.items() if not live[i].workload.preemptible)
        assert sum(given.values()) + row.realtime_q <= pool.count + 1e-6, str((key, given, now, told))
        assert firm + row.reserved <= pool.count + 1e-6, str((key, given, now, told))
        leased = sum(n for i, n in given.items() if _leased(gate, live[i]))
        idle = pool.idle_kw * pool.count + pool.dynamic_kw * row.realtime_q
        drawn += idle + pool.dynamic_kw * sum(given.values())
        alone += idle + pool.dynamic_kw * leased
    limit = limits_in_force(SITE, made.core.state.grid_events, now, now + timedelta(seconds=1))
    # A plan holds a limit in the mean of a slot (`verify_plan`); what is granted outside it, at every moment.
    assert drawn <= max(limit, alone) + 1e-6, (now, limit, drawn)
    for record in gate.live:
        # What has begun and may not be interrupted goes on, though a report took back what it had waited for.
        if not answers[record.id].admit or pinned.pieces([record], FLEET, now):
            continue
        for other in record.workload.depends_on:
            view = made.workload(other)
            assert view.state is WorkloadState.DONE or view.done >= view.amount * (1 - 1e-9), (
                record.id,
                other,
            )


@pytest.mark.parametrize("seed", range(8))
def test_what_is_let_in_fits_and_keeps_its_order(
    seed: int, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, clock, ids = random.Random(seed), ManualClock(T0), list[str]()
    monkeypatch.setattr(world, "FLEET", FLEET)
    made = world.service(sqlite_url, clock, realtime=world.realtime(2, 3))
    out = 0
    for step in range(STEPS):
        if step % 10 == 0 and len(ids) < 12:
            new = [_work(rng, len(ids) + k, clock, ids) for k in range(2)]
            made.submit(new, "ann")
            ids += [w.id for w in new]
        if out == 0 and rng.random() < 0.04:
            out = rng.randint(4, 30)
        if out > 0:
            out -= 1
        else:
            made.heartbeat()
            made.tick()
            if rng.random() < 0.03:
                start = clock.now() + rng.uniform(0, 2) * HOUR
                event = GridEvent(f"g{step}", "fra", start, start + 2 * HOUR, rng.uniform(6, 14))
                made.add_grid_event(event, "olga")
                made.cycle()
        live = [r for r in gate_of(made.core).live if made.admission(r.id).admit]
        if live and rng.random() < 0.2:
            record = rng.choice(live)
            made.progress(record.id, done=made.workload(record.id).done * rng.uniform(0.8, 1.0), actor="r")
        if out == 0 and step % 6 == 0:
            made.cycle()
        _check(made, clock)
        clock.moment += STEP
    made.core.db.close()
