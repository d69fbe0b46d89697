"""Plans whose sums are long enough for a BLAS to share out among threads; run as a program, it prints their ids.

How many threads there are is set before numpy is loaded, so `test_threads` runs this in processes of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Budget, Pool, Site
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.schedule.bound import SlotPrices, lower_bound, proof_prices
from shifter.schedule.clusters import Clusters
from shifter.schedule.coarse import coarsen
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from tests.schedule.build import at, cycle_inputs, site, with_budgets, work
from tests.schedule.risky import risky


def _series(rng: np.random.Generator, n: int, mean: float) -> list[float]:
    wave = mean + 20 * np.sin(np.arange(n) / 7) + 9 * rng.normal(size=n)
    return wave.round(2).tolist()


def _sites(n_sites: int, n_pools: int, hours: int) -> list[Site]:
    pools = tuple(Pool(f"p{k}", "X", count=40, idle_kw=0.13, busy_kw=0.71) for k in range(n_pools))
    sun = Generation((GenerationWindow(at(8), at(hours - 2), 4.0),), cost_per_kwh=0.03)
    return [
        site(f"s{i}", zone=f"Z{i}", pools=pools, generation=sun, demand_charge_per_kw=3.0)
        for i in range(n_sites)
    ]


def all_terms() -> CycleInputs:
    """A fleet with every term in use, and risk over 100 paths."""
    rng = np.random.default_rng(1)
    first, *others = _sites(3, 2, 48)
    plant = site(
        "s0",
        zone="Z0",
        pools=(*first.pools, Pool("q", "Y", 8, idle_kw=0.1, busy_kw=0.5, off_kw=0.02)),
        generation=first.generation,
        demand_charge_per_kw=3.0,
        power_limit_kw=30.0,
        battery=Battery(20, 5, 0.9, 0.9, initial_kwh=5, wear_cost_per_kwh=0.01),
        export_limit_kw=3.0,
        export_price_per_mwh=70.0,
        ramp_limit_kw_per_minute=0.4,
    )
    jobs = [work(f"w{i}", float(rng.uniform(5, 30)), float(rng.uniform(20, 46))) for i in range(12)]
    prices = {f"Z{i}": _series(rng, 96, 60 + 5 * i) for i in range(3)}
    inputs = cycle_inputs(jobs, sites=[plant, *others], prices=prices, slot_minutes=30, hours=48)
    widths = {(zone, Signal.PRICE): 25.0 for zone in prices}
    return with_budgets(risky(inputs, widths, cvar_weight=0.5), Budget("money", 30.0, at(4), at(40)))


def long_grid() -> CycleInputs:
    """A plan of more than 10,000 slots of five minutes."""
    rng = np.random.default_rng(2)
    prices = _series(rng, 10_080, 60)
    return cycle_inputs([work("w", 40, 30)], prices=prices, slot_minutes=5, hours=840)


def wide_fleet() -> ScheduleProblem:
    """A fleet whose side of the bound is a program of more than 10,000 variables."""
    rng = np.random.default_rng(3)
    prices = {f"Z{i}": _series(rng, 336, 60 + 5 * i) for i in range(4)}
    inputs = cycle_inputs([], sites=_sites(4, 3, 168), prices=prices, slot_minutes=30, hours=168)
    return problem_of(inputs)


def bound_of(problem: ScheduleProblem) -> float:
    """At prices of work beside energy's, which no two pools share."""
    rng = np.random.default_rng(4)
    shape = len(problem.pools), problem.grid.n_slots
    plain, room = proof_prices(problem), rng.uniform(0, 0.01, shape).round(9)
    assert plain.work is not None
    per_kw = plain.work + 0.001 * rng.normal(size=plain.work.shape).round(9)
    prices = SlotPrices(room, np.zeros(shape), plain.power, plain.peak, work=per_kw)
    free = np.full(shape, 40.0)
    return lower_bound(problem, prices, (free, free), {})


def many_jobs() -> Sequence[object]:
    """The clusters of more jobs than a sum is taken of at once."""
    rng = np.random.default_rng(5)
    jobs = [work(f"w{i}", float(rng.uniform(1, 9)), float(rng.uniform(10, 24))) for i in range(12_000)]
    problem = problem_of(cycle_inputs(jobs))
    coarse = coarsen(problem, Capacity.of(problem), Clusters(problem.jobs).about(40), slot_minutes=60)
    return [(one.hours, one.max_accelerators, one.start_us, one.end_us) for one in coarse.work]


if __name__ == "__main__":
    for inputs in (all_terms(), long_grid()):
        print(plan_cycle(inputs).plan_id)
    print(repr(bound_of(wide_fleet())))
    print(hashlib.sha256(repr(many_jobs()).encode()).hexdigest())
