"""What the fleet's own side costs at least, whatever load the work puts on it: one linear program, built here anew.

Beside the load, every variable is a site's: import, battery, peak. The load pays for what it holds and draws at the
plan's prices, and so does what a budget counts, less what the budget allows; what is left is the part of the bound that
is not work. So the prices of budgets are part of the proof: too high a one proves little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet, Pool, PoolKey
from shifter.domain.plant import Battery
from shifter.schedule.verify.battery import required_kwh
from shifter.schedule.verify.budgets import allowed, budget_rates
from shifter.schedule.verify.case import Case
from shifter.schedule.verify.loads import SiteLoad

Variables = slice
Part = tuple[Variables, Any]
"""Variables, one a row, and their coefficients (a number, or one a row)."""


@dataclass(eq=False)
class Program:
    """`minimise cost @ v`, with rows of equally long runs of variables, entry by entry; one alone counts in each."""

    bounds: list[tuple[float, float]] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    rows: list[tuple[Any, Any, bool]] = field(default_factory=list)
    constant: float = 0.0

    def add(self, n: int, low: Any = 0.0, high: Any = np.inf, cost: Any = 0.0) -> Variables:
        """`n` new variables."""
        first = len(self.cost)
        low, high, cost = (
            np.broadcast_to(np.asarray(x, dtype=float), (n,)).tolist() for x in (low, high, cost)
        )
        self.bounds += zip(low, high, strict=True)
        self.cost += cost
        return slice(first, first + n)

    def each(self, parts: Sequence[Part], limit: Any, *, equal: bool = False) -> None:
        """For each entry, the sum of the parts is at most the limit, or equal to it."""
        n = parts[0][0].stop - parts[0][0].start
        row, column, value = [], [], []
        for where, coefficient in parts:
            row.append(np.arange(n))
            column.append(np.broadcast_to(np.arange(where.start, where.stop), (n,)))
            value.append(np.broadcast_to(np.asarray(coefficient, dtype=float), (n,)))
        entries = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
        self.rows.append((entries, np.broadcast_to(np.asarray(limit, dtype=float), (n,)), equal))

    def charge(self, where: Variables, price: Any) -> None:
        """Make variables dearer."""
        self.cost[where] = (np.array(self.cost[where]) + price).tolist()

    def least(self) -> float:
        """The optimum; minus infinity where none is found, which proves nothing."""
        found = self.values()
        return -np.inf if found is None else float(np.dot(self.cost, found)) + self.constant

    def values(self) -> Floats | None:
        """The variables at the optimum; None where none is found."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_matrix, vstack

        blocks: dict[bool, Any] = {False: (None, None), True: (None, None)}
        for equal in blocks:
            chosen = [(entries, limit) for entries, limit, kind in self.rows if kind == equal]
            size = len(self.cost)
            matrices = [csr_matrix(entries, shape=(len(limit), size)) for entries, limit in chosen]
            if chosen:
                blocks[equal] = (vstack(matrices).tocsr(), np.concatenate([limit for _, limit in chosen]))
        found: Any = linprog(
            self.cost,
            A_ub=blocks[False][0],
            b_ub=blocks[False][1],
            A_eq=blocks[True][0],
            b_eq=blocks[True][1],
            bounds=self.bounds,
            method="highs",
        )
        return np.asarray(found.x, dtype=float) if found.status == 0 else None


def is_plain(fleet: Fleet) -> bool:
    """Whether sites only import, within their limits and beside batteries: the closed form knows nothing else."""
    return not fleet.objective.budgets and not any(
        site.generation is not None
        or site.export_limit_kw > 0
        or site.ramp_limit_kw_per_minute is not None
        or any(pool.off_kw is not None for pool in site.pools)
        for site in fleet.sites
    )


@dataclass(frozen=True, eq=False)
class LoadPrices:
    """What load pays, (n_slots,) each: per kW by site; per accelerator of a pool, and more where it may not stop."""

    per_kw: Mapping[str, Floats]
    room: Mapping[PoolKey, Floats]
    reserve: Mapping[PoolKey, Floats]


def load_prices(case: Case) -> LoadPrices:
    """As the plan has them; 0 where it has none."""
    duals, none = case.plan.duals, np.zeros(case.grid.n_slots)
    per_kw = {name: np.array(duals.work.get(name, none)) for name in case.fleet.by_site}
    room, reserve = (
        {key: np.array(prices.get(key, none)) for key in case.fleet.pools}
        for prices in (duals.capacity, duals.reserve)
    )
    return LoadPrices(per_kw, room, reserve)


def fleet_cost(case: Case, loads: Sequence[SiteLoad], prices: LoadPrices) -> float:
    """The least of what the sites cost less what their load pays [currency], over all loads that have room."""
    program = Program()
    exchanges = [(load, _site(program, case, load, prices)) for load in loads]
    for budget, price in zip(case.fleet.objective.budgets, case.plan.duals.budget, strict=True):
        for load, net in exchanges:
            for (where, sign), rate in zip(net, budget_rates(case, budget, load), strict=False):
                program.charge(where, price * sign * rate)
        program.constant -= price * allowed(case, budget, loads)
    return program.least()


def _site(program: Program, case: Case, load: SiteLoad, prices: LoadPrices) -> list[Part]:
    """One site; its import, and its export where it may."""
    site, n, hours = load.site, case.grid.n_slots, case.grid.slot_hours
    drawn = program.add(n, cost=-prices.per_kw[site.name])
    held: list[Part] = [(drawn, 1.0)]
    more: list[Part] = []
    for pool in site.pools:
        held += _pool(program, case, load, pool, prices, more)
    program.each(held, 0.0)  # work draws no more than its accelerators at full load

    imports = program.add(n, cost=hours * load.unit_cost_per_kwh)
    own: list[Part] = []
    if site.generation is not None:
        cost = hours * site.generation.cost_per_kwh
        own.append((program.add(n, high=load.available_kw, cost=cost), -1.0))
    more += own
    if site.battery is not None:
        more += _battery(program, case, load, site.battery)
    net: list[Part] = [(imports, 1.0)]
    if site.export_limit_kw > 0:
        earned = hours * load.unit_export_per_kwh
        net.append((program.add(n, high=site.export_limit_kw, cost=-earned), -1.0))
        if site.battery is not None:  # it exports nothing: what leaves the site is its own plant's
            program.each([*[(where, -sign) for where, sign in net], *own], 0.0)
    less: list[Part] = [(where, -sign) for where, sign in more]
    program.each([*net, (drawn, -1.0), *less], load.median_kw + load.pinned_kw, equal=True)
    if site.ramp_limit_kw_per_minute is not None:
        most, given = site.ramp_limit_kw_per_minute * case.grid.slot_minutes, load.median_kw + load.pinned_kw
        after = [(slice(where.start + 1, where.stop), sign) for where, sign in net]
        before = [(slice(where.start, where.stop - 1), -sign) for where, sign in net]
        for up in (1.0, -1.0):
            change: list[Part] = [(where, up * sign) for where, sign in (*after, *before)]
            program.each(change, np.maximum(most, up * np.diff(given)))
    limited = np.flatnonzero(np.isfinite(load.limit_kw))
    if len(limited):
        # Where real-time load alone is over the limit, nothing is left of it.
        left_kw = np.where(np.isfinite(load.limit_kw), load.limit_kw - load.given_kw(case), 1e9)
        program.each([(drawn, case.rest_ratio), *more], np.maximum(0.0, left_kw))
    if site.demand_charge_per_kw > 0:
        peak = program.add(1, cost=site.demand_charge_per_kw)
        program.each([(imports, 1.0), (peak, -1.0)], site.peak_so_far_kw)
    return net


def _pool(
    program: Program, case: Case, load: SiteLoad, pool: Pool, prices: LoadPrices, more: list[Part]
) -> list[Part]:
    """What work may hold of a pool, and draw at the most; what is powered down goes to `more` of the site's draw."""
    key, n, pue = (load.site.name, pool.name), case.grid.n_slots, load.site.pue
    # Means over whole slots: of the one that is running, only the rest can be used.
    room, reserve = case.any_room[key] / case.rest_ratio, case.firm_room[key] / case.rest_ratio
    soft = program.add(n, cost=-prices.room[key])
    firm = program.add(n, cost=-prices.room[key] - prices.reserve[key])
    program.each([(soft, 1.0), (firm, 1.0)], room)
    program.each([(firm, 1.0)], reserve)
    if pool.off_kw is not None:
        off = program.add(n)
        more.append((off, -pue * (pool.idle_kw - pool.off_kw)))
        program.each([(off, 1.0), (soft, 1.0), (firm, 1.0)], room)
        program.each([(off, 1.0), (firm, 1.0)], reserve)
    step_kw = pue * (pool.busy_kw - pool.idle_kw)
    return [(soft, -step_kw), (firm, -step_kw)]


def _battery(program: Program, case: Case, load: SiteLoad, battery: Battery) -> list[Part]:
    """What the battery adds to the site's draw."""
    n, hours = case.grid.n_slots, case.grid.slot_hours
    charge = program.add(n, high=battery.power_kw)
    discharge = program.add(n, high=battery.power_kw, cost=battery.wear_cost_per_kwh * hours)
    least = np.append(required_kwh(case, load, battery), battery.initial_kwh)
    most = np.full(n + 1, float(battery.energy_kwh))
    least[0] = most[0] = battery.initial_kwh
    stored = program.add(n + 1, low=np.minimum(least, most), high=most)
    before, after = slice(stored.start, stored.stop - 1), slice(stored.start + 1, stored.stop)
    gain, loss = hours * battery.charge_efficiency, hours / battery.discharge_efficiency
    program.each([(after, 1.0), (before, -1.0), (charge, -gain), (discharge, loss)], 0.0, equal=True)
    program.each([(charge, 1.0), (discharge, 1.0)], battery.power_kw)
    return [(charge, 1.0), (discharge, -1.0)]
