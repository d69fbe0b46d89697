"""A folder of fleet.yaml, workloads.jsonl, forecasts.csv, realtime.csv and case.json as a cycle's inputs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from forecasts.assemble import frame_from_series
from forecasts.series import Signal
from forecasts.slots import SlotGrid
from forecasts.sources.base import FetchRequest
from forecasts.sources.registry import make_source
from shifter.cycle import CycleInputs, Submission
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
    requests = (FetchRequest(zone, tuple(Signal), grid.start, grid.end) for zone in fleet.zones)
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
