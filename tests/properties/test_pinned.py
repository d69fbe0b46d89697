"""Whatever runs and may not be interrupted, and however it ends, the plan around it keeps the contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, Submission, plan_cycle, verify_plan
from shifter.domain.fleet import Site
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload
from tests.properties.test_plans import HOURS, cases
from tests.schedule.build import START, at


@st.composite
def ends(draw: st.DrawFn, now: datetime, slot: timedelta) -> datetime:
    """Inside the running slot, on an edge, anywhere, or beyond the horizon."""
    return draw(
        st.one_of(
            st.floats(1e-6, 1).map(lambda share: now + share * (START + slot - now)),
            st.integers(1, HOURS).map(at),
            st.floats(1, HOURS).map(at),
            st.floats(0, 6).map(lambda hours: at(HOURS + hours)),
        )
    ) + timedelta(microseconds=1)


@st.composite
def plants(draw: st.DrawFn, site: Site) -> Site:
    """The site with a battery that must hold something, where it has one."""
    if site.battery is None:
        return site
    held = draw(st.sampled_from([0.0, 0.1, 0.5])) * site.battery.energy_kwh
    battery: Battery = replace(
        site.battery, initial_kwh=held, min_kwh=draw(st.sampled_from([0.0, 0.5])) * held
    )
    minutes = draw(st.sampled_from([0.0, 10.0, 60.0]))
    resilience: Resilience = replace(site.resilience, ride_through_minutes=minutes)
    return replace(site, battery=battery, resilience=resilience)


@st.composite
def running(draw: st.DrawFn) -> CycleInputs:
    """A case with one to three pieces that run: in one pool or several, over any limit, and with work that waits."""
    inputs = draw(cases())
    fleet = replace(inputs.fleet, sites=tuple(draw(plants(site)) for site in inputs.fleet.sites))
    slot = inputs.frame.grid.slot
    pinned: list[Allocation] = []
    added: list[Submission] = []
    for i in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(list(fleet.pools)))
        count = draw(st.integers(1, fleet.pools[key][1].count))
        pinned.append(Allocation(f"c{i}", *key, at(-1), draw(ends(inputs.now, slot)), count))
        job = Workload(
            f"c{i}",
            accelerator_hours=draw(st.floats(0.1, 40)),
            earliest_start=at(-1),
            deadline=at(draw(st.floats(0.1, HOURS + 4))),
            max_accelerators=count,
            interruptible=False,
            preemptible=draw(st.booleans()),
        )
        added.append(Submission(job, at(-1), job.amount * draw(st.sampled_from([0.0, 0.5, 1.0]))))
    waits = draw(st.sampled_from(["c0", pinned[-1].workload_id]))
    others = [
        replace(s, workload=replace(s.workload, depends_on=(*s.workload.depends_on, waits)))
        if draw(st.booleans())
        else s
        for s in inputs.submissions
    ]
    return replace(inputs, fleet=fleet, submissions=(*others, *added), pinned=tuple(pinned))


@given(running())
@settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a plan takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_plan_around_running_work_keeps_the_contract(inputs: CycleInputs) -> None:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    end = inputs.frame.grid.end
    for held in inputs.pinned:
        kept = replace(held, start=inputs.now, end=min(held.end, end))
        assert [a for a in plan.allocations if a.workload_id == held.workload_id] == [kept]
        waiting = {s.workload.id for s in inputs.submissions if held.workload_id in s.workload.depends_on}
        assert all(a.start >= min(held.end, end) for a in plan.allocations if a.workload_id in waiting)
    assert plan_cycle(inputs).to_json() == plan.to_json()
