"""The schedule as one would write it from the manual of cvxpy: `python -m benchmarks.naive_model CASE_DIR [N]`.

One variable per workload, site, pool and slot: the accelerators x[j, p, t] that workload j holds in pool p in the mean
of slot t. With a_jt the share of slot t that lies in j's window, h the hours of a slot, q and m the real-time load at
the site's quantile and at its median, and r what is reserved:

    0 <= x[j, p, t] <= max_accelerators_j * a_jt      in pools that j may use, 0 elsewhere
    sum_p x[j, p, t] <= max_accelerators_j * a_jt
    sum_p,t speed_jp * h * x[j, p, t] = work_j
    sum_j x[j, p, t] <= count_p - q_pt,   sum over firm j <= count_p - r_pt
    import_st = pue * sum_p (idle_p * count_p + dynamic_p * (m_pt + sum_j x[j, p, t])) + charge - discharge >= 0
    import_st + pue * sum_p dynamic_p * (q_pt - m_pt) <= limit_st
    stored_t+1 = stored_t + h * (efficiency * charge - discharge / efficiency),  stored >= minimum, stored_T >= stored_0

It is the relaxation of the contract's problem: fractions of accelerators, no replicas, no load minutes, nothing
contiguous, no dependencies, no alternatives. It shares no arithmetic with the schedule: both begin at the same files.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np

from benchmarks.cases import rates_of, read_case, window_share
from benchmarks.machine import peak_mib
from shifter.cycle import CycleInputs
from shifter.domain.fleet import Site
from shifter.domain.grid_event import limits_in_force
from shifter.domain.plant import Battery


class NaiveModel:
    """The whole problem as cvxpy objects. `work` has one matrix of variables (n_workloads, n_slots) for each pool."""

    def __init__(self, inputs: CycleInputs) -> None:
        self.inputs = inputs
        self.grid = inputs.frame.grid
        self.jobs = [s.workload for s in inputs.submissions]
        self.firm = np.array([not job.preemptible for job in self.jobs], dtype=float)
        self.constraints: list[Any] = []
        self.cost: Any = 0.0
        self.work = self._work()
        for site in inputs.fleet.sites:
            self._site(site)
        self.problem = cp.Problem(cp.Minimize(self.cost), self.constraints)

    def _work(self) -> dict[tuple[str, str], Any]:
        """Windows and boundaries as bounds, all of the work done, at most so many accelerators at once."""
        hours, shape = self.grid.slot_hours, (len(self.jobs), self.grid.n_slots)
        share = np.array([window_share(job, self.grid.edges, self.inputs.now) for job in self.jobs]).reshape(
            shape
        )
        most = share * np.array([[job.max_accelerators] for job in self.jobs])
        rates = [rates_of(job, self.inputs.fleet) for job in self.jobs]
        work, done, at_once = {}, 0.0, 0.0
        for key in self.inputs.fleet.pools:
            allowed = np.array([[float(key in rate)] for rate in rates])
            work[key] = cp.Variable(shape, bounds=[np.zeros(shape), most * allowed])
            speed = np.array(
                [rate.get(key, 0.0) / job.amount for rate, job in zip(rates, self.jobs, strict=True)]
            )
            done = done + cp.multiply(speed, cp.sum(work[key], axis=1)) * hours
            at_once = at_once + work[key]
        self.constraints += [done == 1.0, at_once <= most]
        return work

    def _site(self, site: Site) -> None:
        """Capacity and reserve of its pools; its import, limit, battery and bill."""
        hours, n = self.grid.slot_hours, self.grid.n_slots
        load, margin = 0.0, np.zeros(n)
        for pool in site.pools:
            key = site.name, pool.name
            median = self.inputs.realtime.median(key)
            quantile = self.inputs.realtime.at(key, site.resilience.quantile)
            used = cp.sum(self.work[key], axis=0)
            self.constraints.append(used <= pool.count - quantile)
            if site.resilience.lose_domains:
                kept = 1 - site.resilience.lose_domains / pool.failure_domains
                reserved = np.minimum(pool.count, quantile / kept) if kept > 0 else np.full(n, pool.count)
                self.constraints.append(self.firm @ self.work[key] <= pool.count - reserved)
            load = load + pool.idle_kw * pool.count + pool.dynamic_kw * (median + used)
            margin = margin + site.pue * pool.dynamic_kw * (quantile - median)
        bought = cp.Variable(n, nonneg=True)
        charge, discharge = self._battery(site) if site.battery else (np.zeros(n), np.zeros(n))
        self.constraints.append(bought == site.pue * load + charge - discharge)
        limit = np.array(
            [limits_in_force(site, self.inputs.grid_events, a, b) for a, b in pairwise(self.grid.edges)]
        )
        held = np.isfinite(limit)
        if held.any():
            self.constraints.append(bought[held] + margin[held] <= limit[held])
        unit = self.inputs.frame.price_per_mwh(site.zone) / 1e3
        unit = (
            unit
            + self.inputs.fleet.objective.carbon_price_per_tonne
            * self.inputs.frame.carbon_g_per_kwh(site.zone)
            / 1e6
        )
        self.cost = self.cost + hours * unit @ bought
        if site.demand_charge_per_kw:
            self.cost = self.cost + site.demand_charge_per_kw * cp.pos(cp.max(bought) - site.peak_so_far_kw)

    def _battery(self, site: Site) -> tuple[Any, Any]:
        battery, hours, n = site.battery, self.grid.slot_hours, self.grid.n_slots
        assert isinstance(battery, Battery)
        charge, discharge = (cp.Variable(n, bounds=[0, battery.power_kw]) for _ in range(2))
        stored = cp.Variable(n + 1, bounds=[battery.min_kwh, battery.energy_kwh])
        quantiles = [
            pool.busy_kw * self.inputs.realtime.at((site.name, pool.name), site.resilience.quantile)
            for pool in site.pools
        ]
        ride_through = (
            (site.resilience.ride_through_minutes or 0.0) / 60 * site.pue * np.sum(quantiles, axis=0)
        )
        gained = battery.charge_efficiency * charge - discharge / battery.discharge_efficiency
        self.constraints += [
            stored[0] == battery.initial_kwh,
            stored[n] >= battery.initial_kwh,
            stored[:n] >= ride_through,
            stored[1:] == stored[:n] + hours * gained,
        ]
        self.cost = self.cost + battery.wear_cost_per_kwh * hours * cp.sum(discharge)
        return charge, discharge


def measure_naive(folder: Path, first: int | None = None) -> dict[str, Any]:
    """Wall and CPU time [s] from the inputs to the optimum, the most memory that was held [MiB], the optimum."""
    inputs = read_case(folder, first=first)
    wall, cpu = time.perf_counter(), time.process_time()
    model = NaiveModel(inputs)
    built_s = time.perf_counter() - wall
    model.problem.solve(solver=cp.HIGHS, warm_start=False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "built_s": built_s,
        "peak_mib": peak_mib(),
        "variables": model.problem.size_metrics.num_scalar_variables,
        "status": model.problem.status,
        "total": None if model.problem.value is None else float(model.problem.value),
    }


if __name__ == "__main__":
    given = [int(n) for n in sys.argv[2:3]]
    sys.stdout.write(json.dumps(measure_naive(Path(sys.argv[1]), *given)) + "\n")
