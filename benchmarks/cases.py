"""A folder of fleet.yaml, workloads.jsonl, forecasts.csv, realtime.csv and case.json as a cycle's inputs, and what
several benchmarks ask of those.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from forecasts.assemble import frame_from_series
from forecasts.series import PLANNED
from forecasts.slots import Floats, SlotGrid
from forecasts.sources.base import FetchRequest
from forecasts.sources.registry import make_source
from shifter.cycle import CycleInputs, Submission
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.workload import Workload
from shifter.files import read_fleet, read_realtime, read_workloads


def read_case(folder: Path, *, time_limit_s: float = 300.0, first: int | None = None) -> CycleInputs:
    """The inputs, all work submitted at the case's start; of the workloads only the `first` ones, where that is given.

    Raises InputError for a file out of order.
    """
    about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    start = datetime.fromisoformat(about["start"])
    fleet = read_fleet(folder / "fleet.yaml")
    grid = SlotGrid.covering(start, timedelta(hours=about["horizon_h"]), about["slot_minutes"])
    source = make_source("csv", {"path": str(folder / "forecasts.csv"), "currency": fleet.currency})
    requests = (FetchRequest(zone, PLANNED, grid.start, grid.end) for zone in fleet.zones)
    series = [one for request in requests for one in source.fetch(request, now=start)]
    return CycleInputs(
        now=start,
        fleet=fleet,
        frame=frame_from_series(series, grid, as_of=start, zones=fleet.zones, currency=fleet.currency),
        realtime=read_realtime(folder / "realtime.csv", grid, fleet),
        submissions=tuple(
            Submission(w, start) for w in read_workloads(folder / "workloads.jsonl", fleet)[:first]
        ),
        time_limit_s=time_limit_s,
    )


def rates_of(job: Workload, fleet: Fleet) -> dict[PoolKey, float]:
    """Pools that may run it, and the work that one accelerator does there in an hour [its unit/h]."""
    models = {model.name: model for model in fleet.models}
    rates = {}
    for key, (site, pool) in fleet.pools.items():
        at_home = job.data_boundary is None or site.jurisdiction in job.data_boundary
        if not at_home or (job.sites is not None and site.name not in job.sites):
            continue
        if job.tokens is None:
            if job.accelerators is None or pool.accelerator in job.accelerators:
                rates[key] = 1.0
        elif (speed := models[job.model or ""].throughput_tokens_per_s.get(pool.accelerator)) is not None:
            rates[key] = 3600.0 * speed
    return rates


def hours_of(job: Workload, fleet: Fleet) -> float:
    """How much work it is [accelerator-hours of its fastest pool]; 0 where no pool may run it."""
    fastest = max(rates_of(job, fleet).values(), default=0.0)
    return job.amount / fastest if fastest else 0.0


def window_share(job: Workload, edges: list[datetime], now: datetime) -> Floats:
    """The share of each slot that lies inside the workload's window and is not over by `now`, (n_slots,)."""
    start, end = max(job.earliest_start or now, now), job.deadline or edges[-1]
    inside = [(min(end, b) - max(start, a)) / (b - a) for a, b in pairwise(edges)]
    share: Floats = np.clip(np.array(inside), 0.0, 1.0)
    return share
