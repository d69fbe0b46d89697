"""The seven-zone replay: a 1 kW job of 24 hours submitted at every hour of 2022, with 24 hours of slack.

Each week's jobs are one cycle of `plan_cycle`, on a pool with room for all at once, and on a grid that holds
the whole window of each. Carbon has a price, energy none. Jobs that could not end within the year are not
submitted, and windows end with it. Compared with running each job when it is submitted, which is the plan's
own baseline.
"""

from __future__ import annotations

import csv
import gzip
import multiprocessing
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, Options, Tell, Within
from benchmarks.hourly import day_jobs
from benchmarks.machine import peak_mib
from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad

START = datetime(2022, 1, 1, tzinfo=UTC)
LENGTH_HOURS, SLACK_HOURS, BATCH_HOURS = 24, 24, 168
CARBON_PRICE_PER_TONNE = 100.0

PUBLISHED = {
    "DE": (6.89, 13.47),
    "GB": (9.70, 14.49),
    "FR": (6.52, 10.42),
    "US-CAL-CISO": (3.57, 18.71),
    "AU-SA": (21.27, 36.09),
    "CA-ON": (14.49, 29.85),
    "ID": (0.0, 0.0),
}
"""Carbon saved [%] by zone: moved whole, moved in pieces."""
TOLERANCE = 0.05


@dataclass(frozen=True)
class Batch:
    """The jobs of one week in one zone; `carbon_g_per_kwh` reaches to the end of the last window."""

    zone: str
    first_hour: int
    n_jobs: int
    in_pieces: bool
    carbon_g_per_kwh: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """Carbon of one batch [g]: at once, as planned, and the least that any plan could come to."""

    batch: Batch
    at_once_g: float
    planned_g: float
    bound_g: float
    peak_mib: float
    """The most memory that its process had held by then."""


def read_zones(folder: Path) -> dict[str, tuple[float, ...]]:
    """Hourly carbon [g/kWh] by zone."""
    with gzip.open(folder / "carbon_g_per_kwh_ODbL.csv.gz", "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {zone: tuple(float(row[zone]) for row in rows) for zone in rows[0] if zone != "ts_utc"}


def batches(zone: str, carbon: Sequence[float], *, in_pieces: bool) -> Iterator[Batch]:
    """The year, week by week."""
    jobs = len(carbon) - LENGTH_HOURS + 1
    for first in range(0, jobs, BATCH_HOURS):
        n = min(BATCH_HOURS, jobs - first)
        reach = min(len(carbon), first + n - 1 + LENGTH_HOURS + SLACK_HOURS)
        yield Batch(zone, first, n, in_pieces, tuple(carbon[first:reach]))


def inputs_of(batch: Batch) -> CycleInputs:
    """A batch as one cycle at the hour of its first job."""
    now = START + timedelta(hours=batch.first_hour)
    grid = SlotGrid(now, 60, len(batch.carbon_g_per_kwh))
    fleet = Fleet(
        currency="EUR",
        sites=(Site("here", batch.zone, (Pool("machines", "machine", batch.n_jobs, busy_kw=1.0),)),),
        objective=Objective(CARBON_PRICE_PER_TONNE, cost_per_run=0.0),  # carbon is all that counts here
    )
    work = (
        Workload(
            id=f"job-{batch.first_hour + i:04d}",
            accelerator_hours=LENGTH_HOURS,
            earliest_start=now + timedelta(hours=i),
            deadline=min(grid.end, now + timedelta(hours=i + LENGTH_HOURS + SLACK_HOURS)),
            interruptible=batch.in_pieces,
            mode="batch",
        )
        for i in range(batch.n_jobs)
    )
    prices, carbon = {batch.zone: np.zeros(grid.n_slots)}, {batch.zone: batch.carbon_g_per_kwh}
    frame = ForecastFrame.from_arrays(grid, "EUR", prices, carbon)
    submissions = tuple(Submission(w, now) for w in work)
    return CycleInputs(now, fleet, frame, RealtimeLoad(grid), submissions)


def replay(batch: Batch) -> Outcome:
    """Plan one batch. Nothing but the jobs draws power, so the plan's carbon is theirs."""
    plan = plan_cycle(inputs_of(batch))
    if plan.unplaced:
        raise RuntimeError(f"{batch.zone}, hour {batch.first_hour}: {len(plan.unplaced)} jobs not placed")
    bound_g = plan.lower_bound / CARBON_PRICE_PER_TONNE * 1e6
    return Outcome(batch, 1000 * plan.baseline.carbon_kg, 1000 * plan.carbon_kg, bound_g, peak_mib())


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Carbon saved by zone, beside the closed form (a sort of each window) and the certified bounds."""
    zones = read_zones(options.data_folder("replay_zones_2022"))
    todo = [
        b for zone, c in zones.items() for kind in (True, False) for b in batches(zone, c, in_pieces=kind)
    ]
    outcomes: defaultdict[tuple[str, bool], list[Outcome]] = defaultdict(list)
    # Spawned, not forked: solvers and threads do not survive a fork.
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for i, outcome in enumerate(_in_order(pool, todo)):
            outcomes[outcome.batch.zone, outcome.batch.in_pieces].append(outcome)
            tell(f"{outcome.batch.zone}, {len(todo)} cycles", (i + 1) / len(todo))
    for zone, (whole, pieces) in PUBLISHED.items():
        if zone not in zones:
            continue
        peer = day_jobs(np.array(zones[zone]), LENGTH_HOURS, SLACK_HOURS)
        found = outcomes[zone, True]
        once = sum(o.at_once_g for o in found)
        if not np.isclose(once, peer.at_once_g, rtol=1e-9):
            raise RuntimeError(f"{zone}: the baseline is {once} g, and running at once {peer.at_once_g} g")
        bound = 100 * (1 - sum(o.bound_g for o in found) / once)
        least = 100 * (1 - peer.pieces_g / peer.at_once_g)
        said = f"closed form {least:.2f}, certified bound {bound:.2f}, published {pieces:.2f} %"
        yield Figure(f"{zone}, in pieces", saved(found), "%", Within(pieces, TOLERANCE), said)
        least = 100 * (1 - peer.whole_g / peer.at_once_g)
        said = f"closed form {least:.2f}, published {whole:.2f} %"
        yield Figure(f"{zone}, moved whole", saved(outcomes[zone, False]), "%", beside=said)
    most_mib = max(o.peak_mib for some in outcomes.values() for o in some)
    said = f"of one process, {len(todo)} cycles in {options.processes} of them"
    yield Figure("peak memory", most_mib, "MiB", beside=said, digits=0)


def saved(outcomes: Sequence[Outcome]) -> float:
    """Carbon saved against running at once, over all batches [%]."""
    return 100 * (1 - sum(o.planned_g for o in outcomes) / sum(o.at_once_g for o in outcomes))


def _in_order(pool: Executor, todo: Sequence[Batch]) -> Iterator[Outcome]:
    return pool.map(replay, todo, chunksize=2)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("zones")
