"""`shifter backtest` on one process, on two, and on a Ray cluster: the same bytes, the speed-up, and what Ray adds.

8 zones (three grids in two years, two of these with a site of another kind) x 12 months x 5 policies, of measured
prices and carbon. Policies decide daily, when new work comes. And a year of half-hours for one site that plans anew in
each. The environment may say otherwise: BACKTEST_REPLAN_MINUTES, BACKTEST_PLACES (how many of the 8), and
BACKTEST_MONTHS (how many of the year, the others taken to be as long).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.figure import AtLeast, AtMost, Figure, Options, Skipped, Tell, Within
from benchmarks.grid_data import ZONES, vintages
from benchmarks.ray_cluster import ADDRESS, Cluster, inside, why_not
from forecasts.slots import SlotGrid
from shifter.backtest.campaign import Campaign
from shifter.backtest.case import Case, Rules, Unit
from shifter.backtest.cases import Everything, cut
from shifter.backtest.executors import Executor, Processes, Ray, Serial, carry_out
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.realtime.profiles import typical_load

POLICIES = ("run_now", "cheapest_window", "threshold", "ours", "perfect")
WORKERS = 2
REPLAN_MINUTES = 1440
MONTHS = 1
LEAST_SPEED_UP = 1.7


@dataclass(frozen=True)
class Place:
    """A year of a zone, with one site there."""

    zone: str
    year: int
    tier: Literal["central", "edge"] = "central"

    @property
    def name(self) -> str:
        """As it stands in the results."""
        return f"{self.zone} {self.tier}"


PLACES = (
    *(Place(zone, year) for zone in ("DE-LU", "CAISO-NP15", "ERCOT") for year in (2020, 2021)),
    *(Place(zone, 2021, "edge") for zone in ("DE-LU", "CAISO-NP15")),
)


def cases_of(data: Path, place: Place, replan_minutes: int, slot_minutes: int = 60) -> list[Case]:
    """The months of a place, but for the year's last day, of which not all is measured."""
    start, end = datetime(place.year, 1, 1, tzinfo=UTC), datetime(place.year, 12, 31, tzinfo=UTC)
    zone = ZONES[place.zone]
    pool = Pool("h100", "H100", 64, failure_domains=8, idle_kw=0.12, busy_kw=0.75)
    site = Site(
        "here",
        place.zone,
        (pool,),
        place.tier,
        pue=1.25,
        demand_charge_per_kw=5.0,
        resilience=Resilience(0.99, 1),
    )
    fleet = Fleet(zone.currency, (site,), objective=Objective(carbon_price_per_tonne=80.0))
    grid = SlotGrid.covering(start, end - start + timedelta(days=8), slot_minutes)
    expected = typical_load(fleet, grid, seed=place.year)
    noise = np.random.default_rng(place.year).normal(0, 0.1, grid.n_slots)
    came = {key: np.minimum(64.0, expected.median(key) * np.exp(noise)) for key in expected.quantiles}
    rules = Rules(replan_minutes=replan_minutes)
    given = Everything(
        fleet, vintages(data, zone), (), tuple(_work(start, end)), expected, came, start, end, rules
    )
    return [replace(case, group=place.name) for case in cut(given).cases]


def _work(start: datetime, end: datetime) -> Iterator[Workload]:
    """Every midnight two jobs, of a third of what is free."""
    for i in range((end - start) // timedelta(days=1)):
        at = start + i * timedelta(days=1)
        for j, (hours, slack_h) in enumerate(((120.0, 22), (180.0, 34))):
            deadline = at + timedelta(hours=slack_h)
            yield Workload(
                id=f"job-{i:04d}-{j}",
                accelerator_hours=hours + 5 * (i % 5),
                earliest_start=at,
                deadline=deadline,
                max_accelerators=16,
                preemptible=j == 0,
                interruptible=i % 7 != 0,
                mode="batch",
            )


@dataclass(frozen=True)
class Ran:
    """One executor's run over all units: how long, and a hash of all that it wrote."""

    wall_s: float
    digest: str
    units: int
    started_s: float = 0.0


def ran(executor: Executor, cases: Sequence[Case]) -> Ran:
    """All units into a fresh folder."""
    with tempfile.TemporaryDirectory() as kept:
        begun = time.perf_counter()
        campaign = Campaign.of(cases, POLICIES, Path(kept))
        campaign.run(executor)
        wall_s = time.perf_counter() - begun
        written = hashlib.sha256()
        for path in sorted(Path(kept).rglob("*.parquet")):
            written.update(str(path.relative_to(kept)).encode() + path.read_bytes())
        return Ran(wall_s, written.hexdigest(), len(campaign.units))


def ran_on_ray(data: Path, replan_minutes: int) -> Ran:
    """The same on a cluster, in a namespace of its own. Raises Skipped where that is not possible."""
    if reason := why_not():
        raise Skipped(reason)
    program = inside("benchmarks.backtest", "--inside", str(data), str(replan_minutes))
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the cluster failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return Ran(**json.loads(done.stdout.splitlines()[-1]))


def all_cases(data: Path, replan_minutes: int) -> list[Case]:
    """Of every month of the places, or of the first so many."""
    some = PLACES[: int(os.environ.get("BACKTEST_PLACES", len(PLACES)))]
    return [case for place in some for case in cases_of(data, place, replan_minutes)]


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """One process, two, a cluster; and the year of half-hours."""
    data = options.data_folder("grid_de_lu").parent
    replan = int(os.environ.get("BACKTEST_REPLAN_MINUTES", REPLAN_MINUTES))
    cases = all_cases(data, replan)
    tell("one process", 0.0)
    one = ran(Serial(), cases)
    said = (
        f"{one.units} units: {len(cases)} months x {len(POLICIES)} policies, decided every {replan} minutes"
    )
    yield Figure("one process", one.wall_s, "s", None, said, 0)
    tell("two processes", 0.5)
    two = ran(Processes(WORKERS), cases)
    yield Figure("two processes", two.wall_s, "s", None, "spawned, with the imports of each", 0)
    target = AtLeast(LEAST_SPEED_UP)
    yield Figure("speed-up on two processes", one.wall_s / two.wall_s, "times", target, _load())
    yield Figure("two processes, other bytes", float(two.digest != one.digest), "", Within(0, 0), "", 0)
    tell("a cluster", 0.75)
    try:
        yield from _cluster(data, replan, one, two)
    except Skipped as reason:
        yield Figure("a Ray cluster: skipped", None, beside=str(reason))
    tell("a year of half-hours", 0.9)
    yield _year(data)


def _cluster(data: Path, replan: int, one: Ran, two: Ran) -> Iterator[Figure]:
    on_ray = ran_on_ray(data, replan)
    said = f"the cluster took {on_ray.started_s:.1f} s more to start"
    yield Figure(f"Ray, {WORKERS} workers", on_ray.wall_s, "s", None, said, 0)
    yield Figure("speed-up on Ray", one.wall_s / on_ray.wall_s, "times", AtLeast(LEAST_SPEED_UP))
    yield Figure("Ray, other bytes", float(on_ray.digest != one.digest), "", Within(0, 0), "", 0)
    said = f"beside two processes; {1000 * (on_ray.wall_s - two.wall_s) / one.units:.0f} ms a unit"
    yield Figure("overhead of Ray", 100 * (on_ray.wall_s / two.wall_s - 1), "%", None, said, 1)


def _year(data: Path) -> Figure:
    """Some months of one site that plans anew every half-hour, in this process."""
    cases = cases_of(data, Place("DE-LU", 2021), 30, 30)
    months = cases[:: max(1, 12 // int(os.environ.get("BACKTEST_MONTHS", MONTHS)))]
    begun, cpu = time.perf_counter(), time.process_time()
    rows = [carry_out(Unit(case, "ours")).row for case in months]
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    decisions = sum(row.decisions for row in rows)
    minutes = wall_s / len(months) * 12 / 60
    said = (
        f"of {len(months)} months: {1000 * wall_s / decisions:.0f} ms a decision, {1000 * cpu_s / decisions:.0f} ms of "
        f"CPU; {_load()}"
    )
    return Figure("a year of half-hours, one site", minutes, "min", AtMost(30), said, 1)


def _load() -> str:
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _inside(data: Path, replan_minutes: int) -> None:
    with Cluster(WORKERS) as cluster:
        found = ran(Ray(ADDRESS), all_cases(data, replan_minutes))
    print(json.dumps(vars(replace(found, started_s=cluster.started_s))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        _inside(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        from benchmarks.runner import alone

        alone("backtest")
