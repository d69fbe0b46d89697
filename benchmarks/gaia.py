"""The GAIA replay: 1,000 jobs against 720 hours of South Australia, all planned together by `plan_cycle`.

A job arrives, draws 1 kW a CPU, runs on at most its CPUs and may be interrupted; one of less than 2 h must be
done 6 h after it could have been, a longer one 24 h after. Energy is free and carbon has a price, so the plan
minimises carbon. It is compared with running each job at its arrival, whatever the number of CPUs, exactly.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, Options, Tell, Within
from benchmarks.hourly import HourlyJob, least_carbon_g
from benchmarks.machine import apart
from benchmarks.one_plan import OnePlan, timed
from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.cycle import CycleInputs, Submission
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.plan import Plan
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad

ZONE = "AU-SA"
CARBON_PRICE_PER_TONNE = 100.0
SHORT_S, SHORT_WAIT_S, LONG_WAIT_S = 2 * 3600, 6 * 3600, 24 * 3600

CAPS = {None: 45.38, 48: 43.38, 32: 38.78, 24: 33.10}
"""Carbon saved [%] with perfect foresight, by the number of CPUs; None: as many as there is work for."""
TOLERANCE = 0.1

PUBLISHED = {
    "run at once": (0.0, 48),
    "GAIA Carbon-Time (average length)": (27.51, 88),
    "GAIA Lowest-Window (average length)": (31.63, 93),
    "Ecovisor threshold": (36.09, 120),
    "Wait AWhile (true length)": (45.38, 129),
}
"""What others get on the same replay: carbon saved [%], peak [CPUs]."""

SLOT_MINUTES = (60,)


@dataclass(frozen=True)
class Job:
    """A line of the trace."""

    arrival_s: float
    length_s: float
    cpus: int

    @property
    def deadline_s(self) -> float:
        """When it must be done."""
        wait_s = SHORT_WAIT_S if self.length_s < SHORT_S else LONG_WAIT_S
        return self.arrival_s + self.length_s + wait_s


@dataclass(frozen=True, eq=False)
class Replay:
    """The trace, and hourly carbon [g/kWh] from `start`."""

    jobs: tuple[Job, ...]
    start: datetime
    carbon_g_per_kwh: Floats


def read_replay(folder: Path) -> Replay:
    """The two files of the replay."""
    with (folder / "au_sa_720h_ODbL.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    with (folder / "pai_1k.csv").open(newline="") as lines:
        jobs = tuple(
            Job(float(r["arrival_time"]), float(r["length"]), int(r["cpus"])) for r in csv.DictReader(lines)
        )
    carbon = np.array([float(r["carbon_g_per_kwh"]) for r in rows])
    return Replay(jobs, datetime.fromisoformat(rows[0]["ts_utc"]), carbon)


def at_once(replay: Replay) -> tuple[float, int]:
    """Every job at its arrival: carbon [g], and the most CPUs at any instant."""
    total = np.append(0.0, np.cumsum(replay.carbon_g_per_kwh))
    hours = np.arange(len(total))
    carbon_g = 0.0
    changes = []
    for job in replay.jobs:
        end_s = job.arrival_s + job.length_s
        a, b = np.interp([job.arrival_s / 3600, end_s / 3600], hours, total)
        carbon_g += job.cpus * float(b - a)
        changes += [(job.arrival_s, job.cpus), (end_s, -job.cpus)]
    return carbon_g, _highest(changes)


def hourly_jobs(replay: Replay) -> list[HourlyJob]:
    """The jobs in hours of the series."""
    return [
        HourlyJob(j.arrival_s / 3600, j.deadline_s / 3600, j.length_s / 3600, j.cpus) for j in replay.jobs
    ]


def inputs_of(replay: Replay, cap: int | None, slot_minutes: int) -> CycleInputs:
    """The replay as one cycle at its first hour; with no cap, a CPU for every CPU of every job."""
    start = replay.start
    per_hour = 60 // slot_minutes
    carbon = np.repeat(replay.carbon_g_per_kwh, per_hour)
    grid = SlotGrid(start, slot_minutes, len(carbon))
    count = cap or sum(job.cpus for job in replay.jobs)
    fleet = Fleet(
        currency="USD",
        sites=(Site("adelaide", ZONE, (Pool("cpus", "cpu", count, busy_kw=1.0),)),),
        objective=Objective(CARBON_PRICE_PER_TONNE, cost_per_run=0.0),  # carbon is all that counts here
    )
    work = (
        Workload(
            id=f"job-{i:04d}",
            accelerator_hours=job.length_s * job.cpus / 3600,
            max_accelerators=job.cpus,
            earliest_start=start + timedelta(seconds=job.arrival_s),
            deadline=start + timedelta(seconds=job.deadline_s),
            mode="batch",
        )
        for i, job in enumerate(replay.jobs)
    )
    return CycleInputs(
        now=start,
        fleet=fleet,
        frame=ForecastFrame.from_arrays(grid, "USD", {ZONE: np.zeros(len(carbon))}, {ZONE: carbon}),
        realtime=RealtimeLoad(grid),
        submissions=tuple(Submission(w, start) for w in work),
        time_limit_s=600.0,
    )


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Carbon saved at each cap, beside the bare hourly linear program and the plan's own certified bound."""
    folder = options.data_folder("replay_gaia")
    replay = read_replay(folder)
    base_g, base_peak = at_once(replay)
    for name, (saved, peak) in PUBLISHED.items():
        ours = f"; here {base_g / 1000:.1f} kg, peak {base_peak}" if name == "run at once" else ""
        yield Figure(name, None, beside=f"published: {saved:.2f} %, peak {peak} CPUs{ours}")
    hourly = hourly_jobs(replay)
    done, steps = 0, len(CAPS) * len(SLOT_MINUTES)
    for cap, published in CAPS.items():
        best = 100 * (1 - least_carbon_g(hourly, replay.carbon_g_per_kwh, cap) / base_g)
        for minutes in SLOT_MINUTES:
            name = f"{'no cap' if cap is None else f'cap {cap}'}, {minutes}-minute slots"
            tell(name, done / steps)
            made = apart(planned, folder, cap, minutes)
            saved = 100 * (1 - 1000 * made.plan.carbon_kg / base_g)
            said = _beside(made.plan, base_g, best)
            yield Figure(f"saved, {name}", saved, "%", Within(published, TOLERANCE), said)
            said = f"cycle: {made.wall_s:.1f} s wall, {made.cpu_s:.1f} s CPU"
            yield Figure(f"peak memory, {name}", made.peak_mib, "MiB", beside=said, digits=0)
            done += 1


def planned(folder: Path, cap: int | None, slot_minutes: int) -> OnePlan:
    """One cycle on the replay; to be called in a fresh process."""
    return timed(inputs_of(read_replay(folder), cap, slot_minutes))


def _beside(plan: Plan, base_g: float, best: float) -> str:
    bound_g = plan.lower_bound / CARBON_PRICE_PER_TONNE * 1e6
    bound = 100 * (1 - bound_g / base_g)
    changes = [(a.start.timestamp(), a.accelerators) for a in plan.allocations]
    changes += [(a.end.timestamp(), -a.accelerators) for a in plan.allocations]
    late = f", {len(plan.unplaced)} not placed" if plan.unplaced else ""
    return f"hourly LP {best:.2f}, certified bound {bound:.2f} %; peak {_highest(changes)} CPUs{late}"


def _highest(changes: Sequence[tuple[float, int]]) -> int:
    """The highest level; what ends at an instant is gone before what starts."""
    return int(max(np.cumsum([change for _, change in sorted(changes)]), default=0))


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("gaia")
