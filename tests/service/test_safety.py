"""Whatever is submitted, reported, limited, measured or lost: what is let in fits, keeps its order, and stays.

Also where the daemon is killed between two beats and starts again.

Real-time load rises and falls between plans, so that running work that is pinned and the reserve collide. What holds:

- who is let in newly finds room beside all that runs, measured load, and the plan's reserve;
- where measured load has outgrown a pool, nothing preemptible is in it;
- work that may not be interrupted, once let in, stays where it is, at its width, to the end of its work: but for
  real-time load that needs it (it is preemptible, or it runs without a slot and nothing is free outside the reserve).

So what exceeds a pool is work that runs and may be neither preempted nor, by then, planned elsewhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from shifter.clock import ManualClock
from shifter.domain.fleet import Pool, PoolKey
from shifter.domain.grid_event import GridEvent, limits_in_force
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload, WorkloadClass
from shifter.service import Service, leases, pinned
from shifter.service.gate import Gate, gate_of
from shifter.store.workloads import WorkloadRecord
from shifter.views import Admission, AdmissionState, TelemetrySample, WorkloadState
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
EPS = 1e-6


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


def _by_pool(allocations: Iterable[Allocation]) -> Counter[PoolKey]:
    held: Counter[PoolKey] = Counter()
    for a in allocations:
        held[a.site, a.pool] += a.accelerators
    return held


@dataclass
class Watcher:
    """Asks for everybody, and compares with what they were told the last time."""

    made: Service
    clock: ManualClock
    before: dict[str, Counter[PoolKey]] = field(default_factory=dict)
    overloads: int = 0
    """How often running work and measured load were together more than a pool."""

    def look(self) -> None:
        gate = gate_of(self.made.core)
        answers = {r.id: self.made.admission(r.id) for r in gate.live}
        live = {r.id: r for r in gate.live if r.decided is WorkloadClass.DEFERRABLE}
        given = {i: _by_pool(a.allocations) for i, a in answers.items()}
        for key in FLEET.pools:
            self._fits(key, gate, live, given)
        self._keeps_the_limit(gate, live, given)
        for record in live.values():
            self._keeps_its_order(record, answers[record.id])
            self._stays(record, answers[record.id], gate, given[record.id])
        self.before = given

    def _fits(
        self,
        key: PoolKey,
        gate: Gate,
        live: dict[str, WorkloadRecord],
        given: dict[str, Counter[PoolKey]],
    ) -> None:
        published = self.made.core.state.published
        row = published.row_at(key, gate.now) if published else None
        mine = {i: held[key] for i, held in given.items() if held[key]}
        if row is None:
            assert not mine
            return
        total, measured = sum(mine.values()), gate.measured(key) or 0.0
        firm = sum(n for i, n in mine.items() if not live[i].workload.preemptible)
        new = {i for i, n in mine.items() if n > self.before.get(i, Counter())[key]}
        told = str((key, mine, new, measured, row, gate.now))
        if total + measured > row.count + EPS:
            self.overloads += 1
            assert not any(live[i].workload.preemptible for i in mine), told
        if new:
            assert total + max(row.realtime_q, measured) <= row.count + EPS, told
        if any(not live[i].workload.preemptible for i in new):
            assert firm + max(row.reserved, measured) <= row.count + EPS, told

    def _keeps_the_limit(
        self, gate: Gate, live: dict[str, WorkloadRecord], given: dict[str, Counter[PoolKey]]
    ) -> None:
        """A plan holds a limit in the mean of a slot (`verify_plan`); what is granted outside it, at every moment."""
        published, drawn, alone = self.made.core.state.published, 0.0, 0.0
        for key, (_, pool) in FLEET.pools.items():
            row = published.row_at(key, gate.now) if published else None
            if row is None:
                return
            idle = pool.idle_kw * pool.count + pool.dynamic_kw * row.realtime_q
            drawn += idle + pool.dynamic_kw * sum(held[key] for held in given.values())
            in_slots = (held[key] for i, held in given.items() if gate.stands_in(live[i]))
            alone += idle + pool.dynamic_kw * sum(in_slots)
        events = self.made.core.state.grid_events
        limit = limits_in_force(SITE, events, gate.now, gate.now + timedelta(seconds=1))
        assert drawn <= max(limit, alone) + EPS, (gate.now, limit, drawn)

    def _keeps_its_order(self, record: WorkloadRecord, answer: Admission) -> None:
        # What has begun and may not be interrupted goes on, though a report took back what it had waited for.
        if not answer.admit or pinned.pieces(self.made.core, [record], self.clock.now()):
            return
        for other in record.workload.depends_on:
            view = self.made.workload(other)
            done = view.state is WorkloadState.DONE or view.done >= view.amount * (1 - 1e-9)
            assert done, (record.id, other)

    def _stays(self, record: WorkloadRecord, answer: Admission, gate: Gate, now: Counter[PoolKey]) -> None:
        before = +self.before.get(record.id, Counter())
        if record.workload.interruptible or not before or now == before:
            return
        told = str((record.id, before, now, answer.reason, gate.now, record.lease))
        if answer.state is AdmissionState.REJECTED:
            assert "deadline has passed" in answer.reason or "could be placed" in answer.reason, told
            return
        if record.workload.preemptible and "may be preempted" in answer.reason:
            return
        if (
            record.id in gate.state.stopping
        ):  # the guard told it to with the measurement, before anybody asked
            assert record.workload.preemptible, told
            return
        held = leases.current(record.lease.allocations, gate.now)
        assert not held or _by_pool(held) != before, told  # in its slot it stays, whatever else happens
        assert "nothing is free outside" in answer.reason, told


def _measure(made: Service, load: dict[PoolKey, float], rng: random.Random) -> None:
    """Load moves in some pools, and all are told."""
    for (site, pool), (_, of) in FLEET.pools.items():
        if rng.random() < 0.3:
            moved = load[site, pool] + rng.choice((-3, -1, 0, 1, 3, 6))
            load[site, pool] = min(float(of.count), max(0.0, moved))
        made.telemetry([TelemetrySample(site, made.core.now(), pool, load[site, pool])], "meter")


@pytest.mark.parametrize("seed", range(6))
def test_what_is_let_in_fits_keeps_its_order_and_stays(
    seed: int, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, clock, ids, asked = random.Random(seed), ManualClock(T0), list[str](), list[str]()
    monkeypatch.setattr(world, "FLEET", FLEET)
    made = world.service(sqlite_url, clock, realtime=world.realtime(2, 3))
    made.core.replan = asked.append
    watcher, measures, out = Watcher(made, clock), seed % 3 != 0, 0
    load = dict.fromkeys(FLEET.pools, 2.0)
    for step in range(STEPS):
        # In one of the runs that measure, meters fall silent for a time.
        if measures and not (seed % 3 == 2 and 40 <= step < 70):
            _measure(made, load, rng)
        if step % 10 == 0 and len(ids) < 12:
            new = [_work(rng, len(ids) + k, clock, ids) for k in range(2)]
            made.submit(new, "ann")
            ids += [w.id for w in new]
        if out == 0 and rng.random() < 0.04:
            out = rng.randint(4, 30)
        out = max(0, out - 1)
        if out == 0:
            made.heartbeat()
        watcher.look()
        if seed > 3 and step % 7 == 3:  # killed, and there again at once
            made.core.db.close()
            made = world.service(sqlite_url, clock, realtime=world.realtime(2, 3), alive=out == 0)
            made.core.replan = asked.append
            watcher.made = made
            watcher.look()
        if out == 0:
            made.tick()
            if rng.random() < 0.03:
                start = clock.now() + rng.uniform(0, 2) * HOUR
                limit_kw = rng.uniform(6, 14)
                made.add_grid_event(GridEvent(f"g{step}", "fra", start, start + 2 * HOUR, limit_kw), "olga")
        running = [r for r in gate_of(made.core).live if made.admission(r.id).admit]
        if running and rng.random() < 0.2:
            record = rng.choice(running)
            made.progress(record.id, done=made.workload(record.id).done * rng.uniform(0.8, 1.0), actor="r")
        watcher.look()
        # Not every change is planned for before the next one comes.
        if out == 0 and (step % 6 == 0 or (asked and rng.random() < 0.6)):
            asked.clear()
            view = made.cycle()
            assert view.outcome == "published", view.error
            watcher.look()
        clock.moment += STEP
    if seed % 3 != 2:  # where meters are silent for long, chance may have it that nothing collides
        assert measures is (watcher.overloads > 0), (
            "the load has to collide with what runs, or nothing is shown"
        )
    made.core.db.close()
