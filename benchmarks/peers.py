"""A job-by-job scheduler in the manner of the peers, on `fleet` and `tight`: cost, carbon, peak and limits broken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import read_case
from benchmarks.figure import Figure, Options, Skipped, Tell, Within
from benchmarks.job_by_job import Outcome, Policy, job_by_job
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.plan import Plan

NAMES = ("fleet", "tight")
KEPT = Within(0, 0)
"""Limits broken: none."""


def ours(plan: Plan, inputs: CycleInputs) -> Iterator[Figure]:
    """The plan, and the same work at once under the same limits."""
    currency, base = plan.currency, plan.baseline
    broken = len(verify_plan(plan, inputs))
    said = f"{plan.carbon_kg:,.0f} kg, demand charge {plan.cost.demand_charge:.2f}, gap {100 * plan.relative_gap:.2f} %"
    yield Figure("ours, cost", plan.cost.total, currency, beside=said)
    yield Figure(
        "ours, limits broken", broken, "", KEPT, f"{len(plan.unplaced)} workloads not placed in time", 0
    )
    late = (
        f"; {base.late_accelerator_hours:.0f} accelerator-hours late" if base.late_accelerator_hours else ""
    )
    said = f"{base.carbon_kg:,.0f} kg; the same work at once, in turn, under the same limits{late}"
    yield Figure("run now, cost", base.total, currency, beside=said)


def theirs(policy: Policy, found: Outcome, plan: Plan, inputs: CycleInputs) -> Iterator[Figure]:
    """One policy of the job-by-job scheduler, beside ours."""
    peaks = our_peaks(plan)
    grid = inputs.frame.grid
    said = (
        f"{found.carbon_kg:,.0f} kg ({100 * (found.carbon_kg / plan.carbon_kg - 1):+.1f} %), demand charge "
        f"{found.demand_charge:.2f}, {100 * (found.cost / plan.cost.total - 1):+.1f} % of our cost"
    )
    if found.short_hours > 0.01:
        said += f"; {found.short_hours:.1f} accelerator-hours do not fit their window"
    yield Figure(f"{policy}, cost", found.cost, plan.currency, beside=said)
    ratio = sum(found.peak_kw.values()) / sum(peaks.values())
    said = ", ".join(f"{site} {found.peak_kw[site]:.0f} kW (ours {peaks[site]:.0f})" for site in peaks)
    yield Figure(f"{policy}, sum of peak imports over ours", ratio, "times", beside=said)
    said = (
        f"slots of sites over power: {found.over_power} of {len(peaks) * grid.n_slots}; slots of pools where work "
        f"stands in real-time load's place: {found.over_capacity}, in the reserve: {found.in_reserve}, of "
        f"{len(inputs.fleet.pools) * grid.n_slots}; up to {found.worst_ratio:.1f} times a pool's accelerators"
    )
    broken = found.over_power + found.over_capacity + found.in_reserve
    yield Figure(f"{policy}, limits broken", broken, "", KEPT, said, 0)


def our_peaks(plan: Plan) -> dict[str, float]:
    """Highest slot-mean import of each site in a plan [kW]."""
    peaks: dict[str, float] = {}
    for row in plan.power:
        peaks[row.site] = max(peaks.get(row.site, 0.0), row.import_kw)
    return peaks


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Each case that there is, or that a generator makes."""
    missing = []
    with tempfile.TemporaryDirectory() as kept:
        for i, name in enumerate(NAMES):
            folder = options.case_or_made(name, Path(kept))
            if folder is None:
                missing.append(name)
                continue
            tell(name, i / len(NAMES))
            inputs = read_case(folder)
            plan = plan_cycle(inputs)
            for one in ours(plan, inputs):
                yield named(name, one)
            for policy in Policy:
                for one in theirs(policy, job_by_job(inputs, policy), plan, inputs):
                    yield named(name, one)
    if len(missing) == len(NAMES):
        raise Skipped("needs cases: give --cases PATH, or --generator PROGRAM that makes them.")
    for name in missing:
        yield Figure(f"{name}: skipped", None, beside=f"there is no {name}: give --cases or --generator")


def named(case: str, figure: Figure) -> Figure:
    """The figure with its case before its name."""
    return Figure(
        f"{case}, {figure.name}", figure.measured, figure.unit, figure.target, figure.beside, figure.digits
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("peers")
