"""The replays' peers: the least carbon with perfect foresight, by sorting or one bare linear program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasts.slots import Floats


@dataclass(frozen=True)
class HourlyJob:
    """1 kW a CPU for `length_hours` on `cpus`, in pieces, inside `[start, end)` hours of the series."""

    start: float
    end: float
    length_hours: float
    cpus: int

    def room(self) -> tuple[np.ndarray, Floats]:
        """The hours that the window touches, and the share of each that lies in it."""
        hours = np.arange(int(self.start), int(np.ceil(self.end)))
        return hours, np.minimum(hours + 1, self.end) - np.maximum(hours, self.start)


def least_carbon_g(jobs: Sequence[HourlyJob], carbon_g_per_kwh: Floats, cap: int | None) -> float:
    """The optimum [g] of the hourly program: at most `cap` CPUs in the mean of each hour.

    Raises ValueError where the jobs do not fit under the cap.
    """
    if cap is None:
        return sum(_alone_g(job, carbon_g_per_kwh) for job in jobs)
    import scipy.sparse as sp
    from scipy.optimize import linprog

    rooms = [job.room() for job in jobs]
    hour = np.concatenate([hours for hours, _ in rooms])
    most = np.concatenate([job.cpus * share for job, (_, share) in zip(jobs, rooms, strict=True)])
    owner = np.repeat(np.arange(len(jobs)), [len(hours) for hours, _ in rooms])
    column, ones = np.arange(len(hour)), np.ones(len(hour))
    in_hour: Any = sp.csr_array((ones, (hour, column)), shape=(len(carbon_g_per_kwh), len(hour)))
    of_job: Any = sp.csr_array((ones, (owner, column)), shape=(len(jobs), len(hour)))
    bounds: Any = np.column_stack([np.zeros(len(hour)), most])
    found = linprog(
        carbon_g_per_kwh[hour],
        A_ub=in_hour,
        b_ub=np.full(len(carbon_g_per_kwh), float(cap)),
        A_eq=of_job,
        b_eq=np.array([job.length_hours * job.cpus for job in jobs]),
        bounds=bounds,
        method="highs",
    )
    if found.status != 0 or found.fun is None:
        raise ValueError(f"the hourly program has no optimum at {cap} CPUs: {found.message}")
    return float(found.fun)


def _alone_g(job: HourlyJob, carbon_g_per_kwh: Floats) -> float:
    hours, share = job.room()
    order = np.argsort(carbon_g_per_kwh[hours], kind="stable")
    before = np.append(0.0, np.cumsum(share[order])[:-1])
    used = np.clip(job.length_hours - before, 0.0, share[order])
    return job.cpus * float(used @ carbon_g_per_kwh[hours][order])


@dataclass(frozen=True)
class DayJobs:
    """Carbon [g] of 1 kW jobs, one submitted at every hour: at once, moved whole, moved in pieces."""

    at_once_g: float
    whole_g: float
    pieces_g: float


def day_jobs(carbon_g_per_kwh: Floats, length_hours: int = 24, slack_hours: int = 24) -> DayJobs:
    """Every job that can end within the series; near its end, windows are cut off by it."""
    once = whole = pieces = 0.0
    for hour in range(len(carbon_g_per_kwh) - length_hours + 1):
        window = carbon_g_per_kwh[hour : hour + length_hours + slack_hours]
        once += float(window[:length_hours].sum())
        whole += float(np.convolve(window, np.ones(length_hours), "valid").min())
        pieces += float(np.sort(window)[:length_hours].sum())
    return DayJobs(once, whole, pieces)
