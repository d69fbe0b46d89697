"""A job-by-job scheduler in the manner of the peers, on `fleet` and `tight`: cost, carbon, peak and limits broken, and
what an accelerator-hour of work done in time costs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import hours_of, read_case
from benchmarks.figure import Figure, Line, Options, Row, Tell, Within, left_out
from benchmarks.job_by_job import (
    Outcome,
    Policy,
    added_up,
    job_by_job,
    no_job,
    only_what_is_left,
    within_limits,
)
from benchmarks.machine import apart, peak_mib
from benchmarks.one_plan import OnePlan, planned_apart
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.plan import Plan

NAMES = ("fleet", "tight")
KEPT = Within(0, 0)
"""Limits broken: none."""


@dataclass(frozen=True)
class Bill:
    """One way of doing a case's work. What is None is not known of it."""

    cost: float
    """Of all that the sites draw [currency]."""
    work_cost: float
    """The part of it that `in_time_hours` cause [currency]."""
    carbon_kg: float
    in_time_hours: float
    """Work that is done in time and under all limits [accelerator-hours of each job's fastest pool]."""
    our_work_cost: float | None = None
    """What `plan_cycle` pays for that work and no other [currency]."""
    demand_charge: float | None = None
    peak_kw: float | None = None
    """Highest imports of the sites, summed."""
    broken: int | None = None
    peak_mib: float | None = None
    """The most memory that the process held which did it."""
    beside: str = ""


def row(name: str, bill: Bill, ours: Bill, hours: float, currency: str) -> Row:
    """A bill as a line of the table; `hours` are those of all work, as `Bill.in_time_hours`."""
    peaks = None if bill.peak_kw is None or not ours.peak_kw else bill.peak_kw / ours.peak_kw

    def each(cost: float | None) -> float | None:
        return None if cost is None or bill.in_time_hours <= 0 else cost / bill.in_time_hours

    return Row(
        name,
        (
            Figure("cost", bill.cost, currency),
            Figure("demand charge", bill.demand_charge, currency),
            Figure("carbon", bill.carbon_kg, "kg", digits=0),
            Figure("peaks over ours", peaks, "times"),
            Figure("limits broken", bill.broken, "", KEPT, digits=0),
            Figure("late, or without room", max(0.0, hours - bill.in_time_hours), "h", digits=0),
            Figure("done in time", bill.in_time_hours, "h", digits=0),
            Figure("cost of an hour in time", each(bill.work_cost), f"{currency}/h", digits=4),
            Figure("ours, for the same work", each(bill.our_work_cost), f"{currency}/h", digits=4),
            Figure("memory", bill.peak_mib, "MiB", digits=0),
        ),
        bill.beside,
    )


def ours(made: OnePlan, inputs: CycleInputs, idle_cost: float, hours: float) -> Bill:
    """The plan's own."""
    plan = made.plan
    return Bill(
        plan.cost.total,
        plan.cost.total - idle_cost,
        plan.carbon_kg,
        hours - sum(late.accelerator_hours for late in plan.unplaced),
        plan.cost.total - idle_cost,
        plan.cost.demand_charge,
        sum(our_peaks(plan).values()),
        len(verify_plan(plan, inputs)),
        made.peak_mib,
        f"gap {100 * plan.relative_gap:.2f} %; {len(plan.unplaced)} workloads are not done in time, or not whole",
    )


def at_once(plan: Plan, idle_cost: float, hours: float) -> Bill:
    """The work that the plan does at once, in turn, under the same limits."""
    base = plan.baseline
    planned = hours - sum(late.accelerator_hours for late in plan.unplaced)
    late = planned - base.late_accelerator_hours
    said = "what the plan does, in turn, under the same limits; its bill has late work in it"
    return Bill(base.total, base.total - idle_cost, base.carbon_kg, late, beside=said)


def theirs(folder: Path, policy: Policy) -> Bill:
    """One policy of the job-by-job scheduler; to be called in a fresh process."""
    inputs = read_case(folder)
    taken = job_by_job(inputs, policy)
    cut = within_limits(inputs, taken)
    found, left = added_up(inputs, taken), added_up(inputs, cut)
    held_mib, idle_cost = peak_mib(), added_up(inputs, no_job(inputs)).cost
    same = plan_cycle(only_what_is_left(inputs, policy, taken, cut))
    said = _said(found, inputs)
    if same.unplaced:
        said += (
            f"; of the same work ours leaves {sum(u.accelerator_hours for u in same.unplaced):.1f} h undone"
        )
    return Bill(
        found.cost,
        left.cost - idle_cost,
        found.carbon_kg,
        left.done_hours,
        same.cost.total - idle_cost,
        found.demand_charge,
        sum(found.peak_kw.values()),
        found.broken,
        held_mib,
        said,
    )


def _said(found: Outcome, inputs: CycleInputs) -> str:
    """Which limits are broken, and how often."""
    n_slots = inputs.frame.grid.n_slots
    return (
        f"power in {found.over_power} of {len(inputs.fleet.sites) * n_slots} slots of sites; work in real-time load's "
        f"place in {found.over_capacity}, in the reserve in {found.in_reserve}, of "
        f"{len(inputs.fleet.pools) * n_slots} slots of pools; up to {found.worst_ratio:.1f} times a pool's accelerators"
    )


def our_peaks(plan: Plan) -> dict[str, float]:
    """Highest slot-mean import of each site in a plan [kW]."""
    peaks: dict[str, float] = {}
    for one in plan.power:
        peaks[one.site] = max(peaks.get(one.site, 0.0), one.import_kw)
    return peaks


def compared(name: str, folder: Path) -> Iterator[Row]:
    """One case: our plan, running at once, and each policy, every one in a process of its own."""
    inputs = read_case(folder)
    hours = sum(hours_of(s.workload, inputs.fleet) for s in inputs.submissions)
    idle_cost = added_up(inputs, no_job(inputs)).cost
    made = planned_apart(folder)
    bills = {
        "ours": (us := ours(made, inputs, idle_cost, hours)),
        "at once": at_once(made.plan, idle_cost, hours),
        **{str(policy): apart(theirs, folder, policy) for policy in Policy},
    }
    for who, bill in bills.items():
        yield row(f"{name}, {who}", bill, us, hours, made.plan.currency)


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each case that there is, or that a generator makes."""
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made(NAMES, Path(kept))
        for i, (name, folder) in enumerate(folders.items()):
            tell(name, i / len(folders))
            yield from compared(name, folder)
    yield from left_out(NAMES, folders)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("peers")
