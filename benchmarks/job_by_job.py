"""A scheduler that sees one job at a time, in the manner of carbon-aware kits, GAIA and Wait AWhile.

Each job alone takes its cheapest (or cleanest, or first) slots inside its window over the pools that it may use, at the
most accelerators it may have, and knows nothing of the others: no capacity, no reserve, no power limit, no demand
charge. What that comes to is added up as if machines and cables were there, and beside it stands what it breaks. The
arithmetic is its own and nothing of the schedule's, and slots are means, which favours it: two jobs that each use half
of a slot count as one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from benchmarks.naive_model import rates_of, window_share
from forecasts.slots import Floats
from shifter.cycle import CycleInputs
from shifter.domain.fleet import Fleet, PoolKey, Site, limits_in_force
from shifter.domain.workload import Workload

TINY = 1e-6
"""Accelerators or kW over a limit that are rounding and not a breach."""


class Policy(StrEnum):
    """By what a job chooses among its slots."""

    CHEAPEST = "cheapest"
    """Energy and carbon at the fleet's carbon price: the schedule's own objective, for one job."""
    CLEANEST = "cleanest"
    SOONEST = "soonest"


@dataclass(frozen=True)
class Outcome:
    """The bill of all jobs together, and what they break. Shares of slots are counted over all sites, or pools."""

    cost: float
    """Energy, carbon at its price and demand charge [currency], of all that the sites draw."""
    demand_charge: float
    carbon_kg: float
    peak_kw: dict[str, float]
    """Highest slot-mean import of each site, with real-time load at its median."""
    over_power: int
    """Slots of sites over their power limit, with real-time load at its quantile."""
    over_capacity: int
    """Slots of pools in which work stands where real-time load at its quantile does."""
    in_reserve: int
    """Slots of pools in which work that may not be preempted stands in the reserve."""
    worst_ratio: float
    """Most accelerators that one pool was to have at one time, real-time load's median with them, over its count."""
    short_hours: float
    """Work that does not fit its own window even alone [accelerator-hours of its fastest pool]."""


def job_by_job(inputs: CycleInputs, policy: Policy) -> Outcome:
    """Every job on its own, then all of them together."""
    fleet, n = inputs.fleet, inputs.frame.grid.n_slots
    used = {key: np.zeros(n) for key in fleet.pools}
    firm = {key: np.zeros(n) for key in fleet.pools}
    short_hours = 0.0
    for submission in inputs.submissions:
        job = submission.workload
        taken, left = alone(job, inputs, policy)
        short_hours += left
        for key, accelerators in taken.items():
            used[key] += accelerators
            if not job.preemptible:
                firm[key] += accelerators
    return _added_up(inputs, used, firm, short_hours)


def alone(job: Workload, inputs: CycleInputs, policy: Policy) -> tuple[dict[PoolKey, Floats], float]:
    """The accelerators of one job, slot means by pool, and the work that its window has no room for [h].

    In each slot it stands in one pool, the best for a unit of its work; slots are taken from the best on.
    """
    fleet, grid = inputs.fleet, inputs.frame.grid
    rates = rates_of(job, fleet)
    most = {key: _width(job, fleet, key) for key in rates}
    keys = [key for key in rates if most[key]]
    if not keys:
        return {}, 0.0
    share = window_share(job, grid.edges, inputs.now)
    prices = np.array([_price(inputs, key, policy) / rates[key] for key in keys])
    best, fastest = prices.argmin(axis=0), max(rates[key] for key in keys)
    if policy is Policy.SOONEST:  # time is all that counts: the pool that does most of it
        best = np.full(grid.n_slots, int(np.argmax([rates[key] * most[key] for key in keys])))
    order = np.argsort(prices[best, np.arange(grid.n_slots)], kind="stable")
    taken = {key: np.zeros(grid.n_slots) for key in keys}
    left = job.amount
    for t in order if policy is not Policy.SOONEST else range(grid.n_slots):
        key = keys[best[t]]
        could = rates[key] * most[key] * share[t] * grid.slot_hours
        if could <= 0:
            continue
        part = min(1.0, left / could)
        taken[key][t] = part * most[key] * share[t]
        left -= part * could
        if left <= 1e-9 * job.amount:
            return taken, 0.0
    return taken, left / fastest


def _width(job: Workload, fleet: Fleet, key: PoolKey) -> int:
    """As many accelerators as it may use at once in a pool: whole replicas."""
    pool = fleet.pools[key][1]
    sizes = fleet.by_model[job.model].accelerators_per_replica if job.model in fleet.by_model else {}
    size = sizes.get(pool.accelerator, 1)
    return min(job.max_accelerators, pool.count) // size * size


def _price(inputs: CycleInputs, key: PoolKey, policy: Policy) -> Floats:
    """What one accelerator costs, or emits, for an hour of each slot, (n_slots,)."""
    site, pool = inputs.fleet.pools[key]
    unit = _unit_cost(inputs, site) if policy is Policy.CHEAPEST else inputs.frame.carbon_g_per_kwh(site.zone)
    price: Floats = site.pue * pool.dynamic_kw * unit
    return price


def _unit_cost(inputs: CycleInputs, site: Site) -> Floats:
    """Energy and carbon of one kWh [currency], (n_slots,)."""
    carbon_price = inputs.fleet.objective.carbon_price_per_tonne
    carbon = inputs.frame.carbon_g_per_kwh(site.zone)
    unit: Floats = inputs.frame.price_per_mwh(site.zone) / 1e3 + carbon_price * carbon / 1e6
    return unit


def _added_up(
    inputs: CycleInputs, used: dict[PoolKey, Floats], firm: dict[PoolKey, Floats], short_hours: float
) -> Outcome:
    grid = inputs.frame.grid
    energy = charge = carbon_kg = 0.0
    over_power = over_capacity = in_reserve = 0
    worst_ratio, peak_kw = 0.0, {}
    for site in inputs.fleet.sites:
        median_kw, quantile_kw = np.zeros(grid.n_slots), np.zeros(grid.n_slots)
        for pool in site.pools:
            key = site.name, pool.name
            median = inputs.realtime.median(key)
            quantile = inputs.realtime.at(key, site.resilience.quantile)
            idle_kw = site.pue * pool.idle_kw * pool.count
            median_kw += idle_kw + site.pue * pool.dynamic_kw * (median + used[key])
            quantile_kw += idle_kw + site.pue * pool.dynamic_kw * (quantile + used[key])
            lost = site.resilience.lose_domains / pool.failure_domains
            reserved = np.full(grid.n_slots, float(pool.count))
            if lost < 1:
                reserved = np.minimum(reserved, quantile / (1 - lost))
            over_capacity += int((used[key] > np.maximum(0.0, pool.count - quantile) + TINY).sum())
            in_reserve += int((firm[key] > pool.count - reserved + TINY).sum())
            worst_ratio = max(worst_ratio, float((median + used[key]).max()) / pool.count)
        limits = [limits_in_force(site, inputs.grid_events, a, b) for a, b in pairwise(grid.edges)]
        over_power += int((quantile_kw > np.array(limits) + TINY).sum())
        peak_kw[site.name] = float(median_kw.max())
        energy += float(_unit_cost(inputs, site) @ median_kw) * grid.slot_hours
        carbon_kg += float(inputs.frame.carbon_g_per_kwh(site.zone) @ median_kw) * grid.slot_hours / 1e3
        charge += site.demand_charge_per_kw * max(0.0, peak_kw[site.name] - site.peak_so_far_kw)
    return Outcome(
        energy + charge,
        charge,
        carbon_kg,
        peak_kw,
        over_power,
        over_capacity,
        in_reserve,
        worst_ratio,
        short_hours,
    )
