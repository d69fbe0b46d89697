"""A scheduler that sees one job at a time, in the manner of carbon-aware kits, GAIA and Wait AWhile.

Each job alone takes its cheapest (or cleanest, or first) slots inside its window over the pools that it may use, at the
most accelerators it may have, and knows nothing of the others: no capacity, no reserve, no power limit, no demand
charge. What that comes to is added up as if machines and cables were there, and beside it stands what it breaks; and
what would be left of it if each limit cut off what stands beyond it, so that bills of different work compare. The
arithmetic is its own and nothing of the schedule's, and slots are means, which favours it: two jobs that each use half
of a slot count as one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from benchmarks.cases import rates_of, window_share
from forecasts.slots import Floats
from shifter.cycle import CycleInputs
from shifter.domain.fleet import Fleet, Pool, PoolKey, Site
from shifter.domain.grid_event import limits_in_force
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
    done_hours: float
    """Work [accelerator-hours of each job's fastest pool]."""

    @property
    def broken(self) -> int:
        """Limits broken: slots of sites, and of pools twice."""
        return self.over_power + self.over_capacity + self.in_reserve


@dataclass(frozen=True, eq=False)
class Taken:
    """Accelerators of all jobs together in one pool, slot means (n_slots,): all of them, and those of `firm` jobs, that
    may not be preempted. `work` is what all, and what firm ones do in the slot [accelerator-hours of the fastest pool].
    """

    used: Floats
    firm: Floats
    work: Floats
    firm_work: Floats

    @classmethod
    def nothing(cls, n_slots: int) -> Taken:
        """None of any job."""
        return cls(*np.zeros((4, n_slots)))

    def kept(self, soft_ratio: Floats, firm_ratio: Floats) -> Taken:
        """The same share of every job in each slot, of those that may be preempted and of firm ones."""
        firm, firm_work = firm_ratio * self.firm, firm_ratio * self.firm_work
        soft, soft_work = soft_ratio * (self.used - self.firm), soft_ratio * (self.work - self.firm_work)
        return Taken(soft + firm, firm, soft_work + firm_work, firm_work)


AllTaken = dict[PoolKey, Taken]


def job_by_job(inputs: CycleInputs, policy: Policy) -> AllTaken:
    """Every job on its own."""
    taken = no_job(inputs)
    hours = inputs.frame.grid.slot_hours
    for submission in inputs.submissions:
        job = submission.workload
        fastest = max(rates_of(job, inputs.fleet).values(), default=1.0)
        for key, accelerators in alone(job, inputs, policy)[0].items():
            work = accelerators * (hours * rates_of(job, inputs.fleet)[key] / fastest)
            taken[key].used[:] += accelerators
            taken[key].work[:] += work
            if not job.preemptible:
                taken[key].firm[:] += accelerators
                taken[key].firm_work[:] += work
    return taken


def no_job(inputs: CycleInputs) -> AllTaken:
    """Real-time load alone."""
    return {key: Taken.nothing(inputs.frame.grid.n_slots) for key in inputs.fleet.pools}


def within_limits(inputs: CycleInputs, taken: AllTaken) -> AllTaken:
    """What is left where each limit cuts all that stands beyond it, the same share of every job in a slot.

    The reserve cuts firm work, then the pool all of it, then the site's power limit.
    """
    left = {}
    for site in inputs.fleet.sites:
        spare_kw = _limits(inputs, site) - sum(
            _load_kw(inputs, site, pool, median=False) for pool in site.pools
        )
        drawn_kw = np.zeros(inputs.frame.grid.n_slots)
        for pool in site.pools:
            key = site.name, pool.name
            room, firm_room = _rooms(inputs, site, pool)
            cut = taken[key].kept(np.ones(len(room)), _share(firm_room, taken[key].firm))
            share = _share(room, cut.used)
            left[key] = cut.kept(share, share)
            drawn_kw += site.pue * pool.dynamic_kw * left[key].used
        share = _share(spare_kw, drawn_kw)
        for pool in site.pools:
            left[site.name, pool.name] = left[site.name, pool.name].kept(share, share)
    return left


def only_what_is_left(inputs: CycleInputs, policy: Policy, taken: AllTaken, left: AllTaken) -> CycleInputs:
    """The same question, of each job only as much as limits leave: so another can be asked about the same work."""
    soft = {key: _share(left[key].used - left[key].firm, taken[key].used - taken[key].firm) for key in taken}
    firm = {key: _share(left[key].firm, taken[key].firm) for key in taken}
    hours, submissions = inputs.frame.grid.slot_hours, []
    for submission in inputs.submissions:
        job = submission.workload
        ratios, rates = soft if job.preemptible else firm, rates_of(job, inputs.fleet)
        places = alone(job, inputs, policy)[0].items()
        does = sum(rates[key] * hours * float(ratios[key] @ accelerators) for key, accelerators in places)
        submissions.append(replace(submission, done=max(0.0, job.amount - does)))
    return replace(inputs, submissions=tuple(submissions))


def _share(room: Floats, wanted: Floats) -> Floats:
    """How much of what is wanted there is room for (0..1), (n_slots,)."""
    share: Floats = np.clip(room / np.maximum(wanted, TINY), 0.0, 1.0)
    return share


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


def _limits(inputs: CycleInputs, site: Site) -> Floats:
    """What the site may import [kW], (n_slots,)."""
    edges = inputs.frame.grid.edges
    return np.array([limits_in_force(site, inputs.grid_events, a, b) for a, b in pairwise(edges)])


def _load_kw(inputs: CycleInputs, site: Site, pool: Pool, *, median: bool) -> Floats:
    """What a pool imports with no job in it, real-time load at its median or at the site's quantile, (n_slots,)."""
    key = site.name, pool.name
    load = inputs.realtime.median(key) if median else inputs.realtime.at(key, site.resilience.quantile)
    load_kw: Floats = site.pue * (pool.idle_kw * pool.count + pool.dynamic_kw * load)
    return load_kw


def _rooms(inputs: CycleInputs, site: Site, pool: Pool) -> tuple[Floats, Floats]:
    """The accelerators of a pool that all work may have, and those that firm work may, (n_slots,)."""
    quantile = inputs.realtime.at((site.name, pool.name), site.resilience.quantile)
    lost = site.resilience.lose_domains / pool.failure_domains
    reserved = np.full(len(quantile), float(pool.count))
    if lost < 1:
        reserved = np.minimum(reserved, quantile / (1 - lost))
    return np.maximum(0.0, pool.count - quantile), pool.count - reserved


def added_up(inputs: CycleInputs, taken: AllTaken) -> Outcome:
    """All jobs together, and real-time load with them."""
    grid = inputs.frame.grid
    energy = charge = carbon_kg = 0.0
    over_power = over_capacity = in_reserve = 0
    worst_ratio, peak_kw = 0.0, {}
    for site in inputs.fleet.sites:
        median_kw, quantile_kw = np.zeros(grid.n_slots), np.zeros(grid.n_slots)
        for pool in site.pools:
            key = site.name, pool.name
            used, firm = taken[key].used, taken[key].firm
            drawn_kw = site.pue * pool.dynamic_kw * used
            median_kw += _load_kw(inputs, site, pool, median=True) + drawn_kw
            quantile_kw += _load_kw(inputs, site, pool, median=False) + drawn_kw
            room, firm_room = _rooms(inputs, site, pool)
            over_capacity += int((used > room + TINY).sum())
            in_reserve += int((firm > firm_room + TINY).sum())
            most = float((inputs.realtime.median(key) + used).max())
            worst_ratio = max(worst_ratio, most / pool.count)
        over_power += int((quantile_kw > _limits(inputs, site) + TINY).sum())
        peak_kw[site.name] = float(median_kw.max())
        energy += float(_unit_cost(inputs, site) @ median_kw) * grid.slot_hours
        carbon_kg += float(inputs.frame.carbon_g_per_kwh(site.zone) @ median_kw) * grid.slot_hours / 1e3
        charge += site.demand_charge_per_kw * max(0.0, peak_kw[site.name] - site.peak_so_far_kw)
    done_hours = sum(float(one.work.sum()) for one in taken.values())
    return Outcome(
        energy + charge,
        charge,
        carbon_kg,
        peak_kw,
        over_power,
        over_capacity,
        in_reserve,
        worst_ratio,
        done_hours,
    )
