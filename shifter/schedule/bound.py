r"""The proof: a lower bound on the cost of every feasible plan, from the prices that this plan carries.

For any prices >= 0 of the shared limits, the Lagrangian

    L = sum_s base cost_s - sum of price * (what the limit leaves)  +  sum_j min cost of job j at those prices
        + sum_s min cost of battery s at those prices

is at most the cost of any plan that keeps the limits (weak duality; Boyd and Vandenberghe 2004, 5.1.3), whoever found
the prices and however roughly. Jobs are relaxed to what is true of all of them: fractional accelerators, interruptible,
inside the true window, at most `max_accelerators` at a time. Each then answers alone: it takes its cheapest
accelerator-hours, which is a sort. Nothing here looks at how the plan was made.

Where a term is in use that this formula does not know, all but the third part is `fleet_bound`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.schedule.answer import ROWS, least_cost, offered_hours, segments, slices
from shifter.schedule.classes import option_sets
from shifter.schedule.fleet_bound import fleet_cost, further_terms, load_prices
from shifter.schedule.jobs import Job, Way
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.rungs import SIMPLEX_FIRST, climb
from shifter.schedule.sites import SiteArrays
from shifter.schedule.solve import Solution

LEAST_REST = 1e-3
"""The share of a slot that counts as left of it at the least, so that its prices stay finite."""

PRICE_DIGITS = 9
"""Prices have this many decimals in a plan."""


@dataclass(frozen=True, eq=False)
class SlotPrices:
    """Prices of the shared limits [currency per accelerator, or per kW, and slot], >= 0.

    `capacity`, `reserve` (n_pools, n_slots); `power`, `peak` (n_sites, n_slots), `peak` summing to at most the demand
    charge over each site. All are for a whole slot: of the one that is running, work can only pay for the rest.
    """

    capacity: Floats
    reserve: Floats
    power: Floats
    peak: Floats
    work: Floats | None = None
    """Where a term is in use that has no closed form in the bound: what a kW that work draws costs in all, of either
    sign, (n_sites, n_slots). None where it is energy, carbon, `power` and `peak`."""

    budget: Floats | None = None
    """What one more unit of each budget would save, (n_budgets,): as a program has it, or `proven`."""

    quota: Floats | None = None
    """What one more accelerator of each quota would save, (n_quotas, n_slots), at most what exceeding it costs; None
    where there are no quotas."""

    ramp: Floats | None = None
    """What one more kW from any slot to the next would save at each site, (n_sites,): no part of the bound."""

    late: Floats | None = None
    """What one more hour that is not done costs beyond lateness, by tenant (n_tenants,): no part of the bound. None
    where the program does not tell them apart."""

    def map(self, change: Callable[[Floats], Floats]) -> SlotPrices:
        """The same change to all prices by slot."""
        capacity, reserve, power, peak = (
            change(p) for p in (self.capacity, self.reserve, self.power, self.peak)
        )
        work = None if self.work is None else change(self.work)
        quota = None if self.quota is None else change(self.quota)
        return replace(
            self, capacity=capacity, reserve=reserve, power=power, peak=peak, work=work, quota=quota
        )


def slot_prices(problem: ScheduleProblem, duals: Mapping[str, Floats]) -> SlotPrices:
    """The program's duals, summed over the cells of each slot and scaled to be valid prices."""
    shape = (len(problem.pools), problem.grid.n_slots)
    sites = (len(problem.sites), problem.grid.n_slots)
    first_cell = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))

    def per_slot(name: str) -> Floats:
        if name not in duals:
            return np.zeros(shape)
        return np.add.reduceat(duals[name].reshape(len(problem.pools), problem.n_cells), first_cell, axis=1)

    def per_site(name: str, members: list[int]) -> Floats:
        values = np.zeros(sites)
        if name in duals and members:
            values[members] = duals[name].reshape(len(members), problem.grid.n_slots)
        return values

    power, peak = per_site("power", problem.limited_sites), per_site("peak", problem.charged_sites)
    rest = np.maximum(problem.rest_share, LEAST_REST)
    power /= rest
    for i, site in enumerate(problem.sites):
        power[i] = np.where(np.isfinite(site.limit_kw), power[i], 0.0)
        total = float(peak[i].sum())
        if total > 0:
            peak[i] *= min(1.0, site.demand_charge_per_kw / total)
    return SlotPrices(
        per_slot("capacity") / rest,
        per_slot("reserve") / rest,
        power,
        peak,
        quota=_of_quotas(problem, duals.get("quota")),
        ramp=_of_ramps(problem, duals),
        late=duals.get("fairness"),
    )


def _of_ramps(problem: ScheduleProblem, duals: Mapping[str, Floats]) -> Floats | None:
    """Prices of ramp limits (n_sites,), up and down together; None where there are none."""
    if not problem.ramped_sites:
        return None
    rows = {i: (f"ramp_up.{i}", f"ramp_down.{i}") for i in problem.ramped_sites}
    return np.array(
        [
            sum(float(duals[name].sum()) for name in rows.get(i, ()) if name in duals)
            for i in range(len(problem.sites))
        ]
    )


def _of_quotas(problem: ScheduleProblem, dual: Floats | None) -> Floats | None:
    """Prices of quotas (n_quotas, n_slots): what may be exceeded at a price is worth no more."""
    quotas, n = problem.tenants[: problem.n_quotas], problem.grid.n_slots
    if not quotas:
        return None
    most = problem.grid.slot_hours * np.array([tenant.over_price for tenant in quotas])
    found = np.zeros((len(quotas), n)) if dual is None else dual.reshape(len(quotas), n)
    return np.minimum(found, most[:, None])


def proof_prices(problem: ScheduleProblem, solution: Solution | None = None) -> SlotPrices:
    """The prices that prove a plan: the program's own, or, of no solution, those of energy and carbon alone."""
    prices = slot_prices(problem, {} if solution is None else solution.duals)
    return with_work_prices(problem, prices, solution) if further_terms(problem) else prices


def with_work_prices(problem: ScheduleProblem, prices: SlotPrices, solution: Solution | None) -> SlotPrices:
    """The same with what work pays for whatever stands in its way, which is all that `fleet_bound` looks at."""
    if solution is None:
        plain = problem.at_prices(problem.weights({}))
        energy = [site.unit_cost_per_kwh * problem.grid.slot_hours for site in plain.sites]
        return replace(prices, work=np.array(energy))
    first_cell = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    capacity, reserve, work = (
        np.add.reduceat(price, first_cell, axis=1) for price in load_prices(problem, solution)
    )
    rest = np.maximum(
        problem.rest_share, LEAST_REST
    )  # the part that is gone has no price; a kW's is of all cells
    return replace(
        prices,
        capacity=capacity / rest,
        reserve=reserve / rest,
        work=work,
        budget=solution.duals.get("budget"),
    )


def lower_bound(
    problem: ScheduleProblem,
    prices: SlotPrices,
    capacity: tuple[Floats, Floats],
    done_hours: Mapping[str, float],
    *,
    time_limit_s: float = 60.0,
    failed: list[str] | None = None,
) -> float:
    """The bound [currency] on any plan that does `done_hours` of each job [accelerator-hours of the fastest pool].

    `capacity` holds what the reserve and pinned work leave to all work and to firm work, in what is left of each slot,
    (n_pools, n_slots) each, in fractions. What sites could do at the least is for a solver to say: where it does not,
    the bound is looser, and `failed` is told why.
    """
    failed = [] if failed is None else failed
    return proven(problem, prices, capacity, done_hours, time_limit_s=time_limit_s, failed=failed)[1]


def proven(
    problem: ScheduleProblem,
    prices: SlotPrices,
    capacity: tuple[Floats, Floats],
    done_hours: Mapping[str, float],
    *,
    time_limit_s: float,
    failed: list[str],
) -> tuple[SlotPrices, float]:
    """`lower_bound`, and the prices that prove it: the same, with those of budgets that are the best beside them.

    With d less of a budget, no plan that does the same work costs less than the bound and d times its price.
    """
    total = -_quotas_leave(problem, prices)
    if prices.work is None:
        total += _by_formula(problem, prices, capacity, time_limit_s, failed)
        return prices, total + _work_cost(problem, per_kw(problem, prices), prices, done_hours)
    whole = capacity[0] * problem.rest_share, capacity[1] * problem.rest_share
    room = prices.capacity, prices.reserve
    own, budget = fleet_cost(problem, prices.work, *room, whole, time_limit_s=time_limit_s, failed=failed)
    total += own + _work_cost(problem, prices.work, prices, done_hours)
    return replace(prices, budget=np.round(budget, PRICE_DIGITS)), total


def _by_formula(
    problem: ScheduleProblem,
    prices: SlotPrices,
    capacity: tuple[Floats, Floats],
    time_limit_s: float,
    failed: list[str],
) -> float:
    """All of the bound but quotas and work, where sites only import, beside batteries."""
    total = 0.0
    hours, rest, kw = problem.grid.slot_hours, problem.rest_share, per_kw(problem, prices)
    battery_s = time_limit_s / max(1, sum(site.battery is not None for site in problem.sites))
    for i, site in enumerate(problem.sites):
        nu, rho = prices.power[i], prices.peak[i]
        limited = np.isfinite(site.limit_kw)
        total += float((hours * site.unit_cost_per_kwh * site.median_kw).sum())
        # Where real-time load alone is over the limit, nothing is left for deferrable work.
        headroom = np.maximum(0.0, site.limit_kw - site.quantile_kw) * rest
        total -= float((nu[limited] * headroom[limited]).sum())
        total += float((rho * (site.median_kw - site.peak_so_far_kw)).sum())
        if site.battery is not None:
            # Its mean over the running slot counts once, that of work by what is left of the slot.
            total += _battery_cost(site, kw[i] - nu * (1.0 - rest), hours, battery_s, failed)
    total -= float((prices.capacity * capacity[0] * rest).sum() + (prices.reserve * capacity[1] * rest).sum())
    return total


def _quotas_leave(problem: ScheduleProblem, prices: SlotPrices) -> float:
    """What the quotas leave beside what is pinned, at their prices [currency]."""
    if prices.quota is None:
        return 0.0
    left = [t.most if t.hard else t.left for t in problem.tenants[: problem.n_quotas]]
    return float((prices.quota * np.array(left)).sum())


def _work_cost(
    problem: ScheduleProblem, per_kw: Floats, prices: SlotPrices, done_hours: Mapping[str, float]
) -> float:
    """Each job's cheapest way to do its work at these prices, summed."""
    answers = _answers(problem, per_kw, prices, done_hours)
    return sum((float(most @ least) for _, most, least in answers), 0.0)


def least_costs(
    problem: ScheduleProblem, prices: SlotPrices, done_hours: Mapping[str, float]
) -> dict[str, float]:
    """What `done_hours` of each job cost at the least at these prices [currency]; no entry where nothing is done."""
    answers = _answers(problem, per_kw(problem, prices), prices, done_hours)
    return {
        job.id: cost for jobs, most, least in answers for job, cost in zip(jobs, most * least, strict=True)
    }


def per_kw(problem: ScheduleProblem, prices: SlotPrices) -> Floats:
    """What a kW that work draws costs in all, (n_sites, n_slots) [currency]."""
    if prices.work is not None:
        return prices.work
    energy = np.array([problem.grid.slot_hours * site.unit_cost_per_kwh for site in problem.sites])
    return energy + prices.power + prices.peak


def way_price(
    problem: ScheduleProblem, per_kw: Floats, prices: SlotPrices, way: Way, *, firm: bool, quota: int
) -> Floats:
    """What one accelerator costs for all of each slot (n_slots,), in a way, for work that is `firm` or not, and that
    counts against a `quota`, or against none (-1)."""
    price: Floats = way.import_kw * per_kw[problem.pools[way.pool].site] + prices.capacity[way.pool]
    if prices.quota is not None and quota >= 0 and problem.quota_counts[quota, way.pool]:
        price = price + prices.quota[quota]
    return price + prices.reserve[way.pool] if firm else price


def _answers(
    problem: ScheduleProblem, per_kw: Floats, prices: SlotPrices, done_hours: Mapping[str, float]
) -> Iterator[tuple[list[Job], Floats, Floats]]:
    """Jobs with the same ways, which see the same segments; how many accelerators each may use at the most, and what
    its work costs at the least on each of them (n_jobs,)."""
    groups: defaultdict[tuple[int, bool, int], list[Job]] = defaultdict(list)
    quota_of = problem.quota_of.tolist()
    for job, options, quota in zip(problem.jobs, option_sets(problem.jobs), quota_of, strict=False):
        if job.ways and done_hours.get(job.id, 0.0) > 0:
            groups[options, job.firm, quota].append(job)
    hours = np.full(problem.grid.n_slots, problem.grid.slot_hours)
    for (_, _, quota), jobs in groups.items():
        one = jobs[0]
        price = [way_price(problem, per_kw, prices, way, firm=one.firm, quota=quota) for way in one.ways]
        seen = segments(one.ways, price, hours)
        most = np.array([job.max_accelerators for job in jobs], dtype=float)
        need = np.array([done_hours[job.id] for job in jobs]) / most
        start = np.array([job.true_start_us for job in jobs]) / problem.slot_us
        end = np.array([job.true_end_us for job in jobs]) / problem.slot_us
        if one.loads:  # loading draws power and does no work: at negative prices, that is a gain
            need = np.maximum(need, offered_hours(seen.where(seen.cost < 0), start, end))
        for rows in slices(
            len(jobs), ROWS
        ):  # sums so short come out the same however many threads add them up
            few = jobs[rows], most[rows]
            yield *few, least_cost(seen, need[rows], start[rows], end[rows])


def _battery_cost(
    site: SiteArrays, per_kw: Floats, hours: float, time_limit_s: float, failed: list[str]
) -> float:
    """The least that a battery could cost at these prices of import, alone: a small linear program."""
    import cvxpy as cp

    battery = site.battery
    assert battery is not None
    n = len(per_kw)
    # A floor that cannot be reached in time binds no plan: what is held then is short of it.
    floor = np.minimum(site.battery_floor_kwh(n), site.reachable_kwh(hours))
    lower, upper = np.append(floor, battery.initial_kwh), np.full(n + 1, float(battery.energy_kwh))
    lower[0] = upper[0] = battery.initial_kwh
    charge, discharge = (cp.Variable(n, bounds=[0, battery.power_kw]) for _ in range(2))
    stored = cp.Variable(n + 1, bounds=[np.minimum(lower, upper), upper])
    gain = battery.charge_efficiency * charge - discharge / battery.discharge_efficiency
    cost = per_kw @ (charge - discharge) + battery.wear_cost_per_kwh * hours * cp.sum(discharge)
    problem = cp.Problem(cp.Minimize(cost), [cp.diff(stored) == hours * gain])
    try:
        climb(problem, SIMPLEX_FIRST, time_limit_s)
    except SolverFailed as failure:
        failed.append(f"what the battery of {site.name} could do: {failure.detail}")
        return -2 * battery.power_kw * float(np.abs(per_kw).sum())  # the most that it could ever earn
    return float(problem.value)
