"""The plan as it is published: rows by slot, allocations in UTC, what it costs, what it is compared with, its proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.slots import Floats
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation, Baseline, Duals, Horizon, PowerRow, SlotRow
from shifter.domain.spent import PlanBudget
from shifter.domain.survival import PlanResilience
from shifter.realtime.reserve import Envelope
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.baseline import NAME, RunNow
from shifter.schedule.beside import Beside
from shifter.schedule.bound import SlotPrices
from shifter.schedule.columns import Columns
from shifter.schedule.explain import Context, deferrable_cost, explain_workloads
from shifter.schedule.limits import LatePrices
from shifter.schedule.made import Schedule
from shifter.schedule.outages import outages
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.proof import prove
from shifter.schedule.risk import plan_risk
from shifter.schedule.settle import BatteryTrace, Settled, Sources, pinned_pieces, quota_use, settle
from shifter.schedule.tenants import served, with_quotas
from shifter.schedule.unplaced import unplaced_work

DIGITS = 9
"""Figures are rounded to this many decimals: far below what anything is measured to, and the same on every machine."""

TURNOVER_RATIO = 1e-3
"""A bound that is nearer to nothing than this share of all that changes hands is no measure of a gap: this share is."""

PROOF_SHARE = 0.3
"""Of the time limit: what proving a plan may take of it. Mostly it takes next to nothing."""


def assemble(
    problem: ScheduleProblem,
    made: Schedule,
    baseline: RunNow,
    *,
    now: datetime,
    fleet: Fleet,
    frame: ForecastFrame,
    envelope: Envelope,
    announced: AnnouncedWork | None = None,
    time_limit_s: float = 60.0,
    resilience: PlanResilience | None = None,
    warnings: Sequence[str] = (),
) -> Plan:
    """The plan of this schedule, with what is said of its `resilience` and further `warnings`.

    `plan_id` is a hash of all it says; whoever stores it sets `inputs_id`.
    """
    done = done_hours(problem, made.pieces)
    settled = settle(problem, made.pieces, made.batteries, made.sources)
    if announced is not None:
        settled = replace(settled, cost=replace(settled.cost, churn=announced.churn_cost(made.pieces)))
    tenants = served(problem, done, settled.over_quota_hours)
    fairness = sum(tenant.fairness_cost for tenant in tenants)
    settled = settled.with_fairness(fairness)
    # The same work at once leaves the same undone.
    baseline = replace(baseline, settled=baseline.settled.with_fairness(fairness))
    every = Pieces.of(problem, made.pieces).beside(pinned_pieces(problem)).in_order()
    weights = _weights(problem, made)
    weighed = None if weights is None else problem.at_prices(weights)
    proof_s, failed = PROOF_SHARE * time_limit_s, list[str]()
    prices, least = prove(weighed or problem, made, envelope, done, time_limit_s=proof_s, failed=failed)
    bound = least + fairness  # which charges for what is not done: the same in every plan that does this work
    paid = None if made.prices is None else LatePrices(weighed or problem, made.prices)
    risk = None if weights is None else plan_risk(problem, weights, settled, fleet)
    minimised = settled.cost.total if risk is None else risk.objective
    # Of no program, no price of a limit is known.
    worth = None if made.prices is None else prices
    context = Context(settled, made.sources, prices, weighed)
    if announced is not None:
        context = replace(context, kept=announced.kept(made.pieces), frozen=announced.frozen(problem))
    plan = Plan(
        plan_id="",
        inputs_id="",
        created_at=now,
        horizon=Horizon(frame.grid.start, frame.grid.end, frame.grid.slot_minutes),
        currency=fleet.currency,
        cost=settled.cost,
        carbon_kg=settled.carbon_kg,
        lower_bound=bound,
        relative_gap=(minimised - bound) / max(abs(least), TURNOVER_RATIO * settled.turnover, 1e-9),
        baseline=_baseline(problem, baseline),
        slots=tuple(_slot_rows(problem, made, settled, envelope)),
        power=tuple(_power_rows(problem, made, settled, frame, fleet)),
        allocations=tuple(_allocations(every)),
        duals=_duals(problem, prices),
        unplaced=unplaced_work(problem, made.pieces, done, Beside(made.batteries, made.sources), paid),
        workloads=explain_workloads(problem, made.pieces, done, baseline, fleet.currency, context),
        deferrable_total=deferrable_cost(problem, every, settled),
        status=made.status,
        warnings=(
            *frame.warnings,
            *_unknowns(problem, fleet),
            *problem.warnings,
            *_too_few(envelope),
            *_crowded(problem),
            *outages(problem, fleet),
            *warnings,
            *_broken(problem, settled),
            *_thawed(announced, made),
            *made.warnings,
            *(f"the bound may be looser than it need be: {why}" for why in dict.fromkeys(failed)),
        ),
        synthetic=any(signal.synthetic for signal in frame.signals),
        risk=risk,
        held=made.held,
        tenants=with_quotas(tenants, problem, fleet, quota_use(problem, Columns.of(problem, every)), worth),
        budgets=tuple(_budgets(problem, settled, worth)),
        resilience=resilience,
    )
    return plan.named()


def _thawed(announced: AnnouncedWork | None, made: Schedule) -> list[str]:
    """What was to run within the frozen window, and moves because it cannot stand."""
    ids = [] if announced is None else announced.thawed(made.pieces)
    if not ids:
        return []
    shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return [
        f"what was to run within the frozen window moves, since there is no room for it as announced: {shown}."
    ]


def _weights(problem: ScheduleProblem, made: Schedule) -> Floats | None:
    if problem.risk is None:
        return None
    return problem.weights({}) if made.weights is None else made.weights


def _baseline(problem: ScheduleProblem, baseline: RunNow) -> Baseline:
    pieces = Pieces.of(problem, baseline.pieces).beside(pinned_pieces(problem))
    return Baseline(
        name=NAME,
        total=baseline.settled.cost.total,
        carbon_kg=baseline.settled.carbon_kg,
        peak_kw=float(baseline.settled.import_kw.sum(axis=0).max()),
        late_accelerator_hours=baseline.late_hours,
        unfinished_accelerator_hours=baseline.unfinished_hours,
        deferrable_total=deferrable_cost(problem, pieces, baseline.settled),
    )


def _slot_rows(
    problem: ScheduleProblem, made: Schedule, settled: Settled, envelope: Envelope
) -> Iterator[SlotRow]:
    edges = problem.grid.edges
    off = (made.sources or Sources.none(problem)).off
    for p, pool in enumerate(problem.pools):
        held = envelope[pool.key]
        for t in range(problem.grid.n_slots):
            yield SlotRow(
                *pool.key,
                edges[t],
                edges[t + 1],
                realtime_p50=_round(held.median[t]),
                realtime_q=_round(held.quantile[t]),
                reserved=_round(held.reserved[t]),
                deferrable=_round(settled.deferrable[p, t]),
                preemptible=_round(settled.preemptible[p, t]),
                count=int(held.count[t]),
                off=None if pool.spare is None else _round(off[p, t]),
            )


def _power_rows(
    problem: ScheduleProblem, made: Schedule, settled: Settled, frame: ForecastFrame, fleet: Fleet
) -> Iterator[PowerRow]:
    edges = problem.grid.edges
    zeros = np.zeros(problem.grid.n_slots)
    none = BatteryTrace(zeros, zeros, zeros)
    generated_kw = (made.sources or Sources.none(problem)).generated_kw
    for i, site in enumerate(problem.sites):
        zone = fleet.sites[i].zone
        price, carbon = frame.price_per_mwh(zone), frame.carbon_g_per_kwh(zone)
        battery = made.batteries.get(i, none)
        for t in range(problem.grid.n_slots):
            yield PowerRow(
                site.name,
                edges[t],
                edges[t + 1],
                import_kw=_round(settled.import_kw[i, t]),
                limit_kw=_round(site.limit_kw[t]) if np.isfinite(site.limit_kw[t]) else None,
                charge_kw=_round(battery.charge_kw[t]),
                discharge_kw=_round(battery.discharge_kw[t]),
                stored_kwh=_round(battery.stored_kwh[t]),
                price_per_mwh=None if site.unknown_price[t] else _round(price[t]),
                carbon_g_per_kwh=None if site.unknown_carbon[t] else _round(carbon[t]),
                generated_kw=None if site.generation_kw is None else _round(generated_kw[i, t]),
                export_kw=_round(settled.export_kw[i, t]) if site.export_limit_kw > 0 else None,
            )


def _allocations(pieces: Pieces) -> Iterator[Allocation]:
    problem = pieces.problem
    begin, ids, keys = problem.grid.start, problem.ids, [pool.key for pool in problem.pools]
    ways = [*(job.ways for job in problem.jobs), *((held.way,) for held in problem.pinned)]
    for job, pool, number, start, end, count in zip(*(c.tolist() for c in pieces.columns), strict=True):
        way, (site, name) = ways[job][number], keys[pool]
        yield Allocation(
            ids[job],
            site,
            name,
            begin + timedelta(microseconds=start),
            begin + timedelta(microseconds=end),
            count,
            way.model,
            way.cap_kw,
        )


def _duals(problem: ScheduleProblem, prices: SlotPrices) -> Duals:
    def values(row: Floats) -> tuple[float, ...]:
        return tuple(float(v) + 0.0 for v in row)  # never -0.0

    return Duals(
        {pool.key: values(prices.capacity[p]) for p, pool in enumerate(problem.pools)},
        {pool.key: values(prices.reserve[p]) for p, pool in enumerate(problem.pools)},
        {site.name: values(prices.power[i]) for i, site in enumerate(problem.sites)},
        {site.name: values(prices.peak[i]) for i, site in enumerate(problem.sites)},
        {}
        if prices.work is None
        else {site.name: values(prices.work[i]) for i, site in enumerate(problem.sites)},
        tuple(
            _round(v) for v in (np.zeros(len(problem.budgets)) if prices.budget is None else prices.budget)
        ),
        {}
        if prices.quota is None
        else {t.name: values(row) for t, row in zip(problem.tenants, prices.quota, strict=False)},
    )


def _budgets(problem: ScheduleProblem, settled: Settled, worth: SlotPrices | None) -> Iterator[PlanBudget]:
    prices = None if worth is None else worth.budget
    for i, budget in enumerate(problem.budgets):
        used = budget.used(settled.import_kw - settled.export_kw)
        price = None if prices is None else _round(prices[i])
        yield PlanBudget(budget.name, budget.unit, budget.limit, _round(used), price)


def _unknowns(problem: ScheduleProblem, fleet: Fleet) -> Sequence[str]:
    said = []
    zones = {site.zone: problem.sites[i] for i, site in enumerate(fleet.sites)}
    for zone, site in sorted(zones.items()):
        signals = (
            ("price", site.unknown_price, site.price_per_kwh),
            ("carbon", site.unknown_carbon, site.carbon_kg_per_kwh),
        )
        for what, unknown, assumed in signals:
            if unknown.all():
                then = (
                    "the highest mean of other zones is assumed, in the totals too"
                    if assumed.any()
                    else "it is planned without, and does not count in the totals"
                )
                said.append(f"{zone}: no {what} is known; {then}.")
            elif unknown.any():
                said.append(
                    f"{zone}: {what} is unknown in {int(unknown.sum())} slots; their mean is assumed there."
                )
        for i, own in enumerate(fleet.sites):
            if own.zone == zone:
                said += _of_own_plant(problem, fleet, i)
    return said


def _of_own_plant(problem: ScheduleProblem, fleet: Fleet, i: int) -> Iterator[str]:
    """What to know of a site's generation and export before believing them."""
    site, given = problem.sites[i], fleet.sites[i]
    edges = problem.grid.edges
    if given.generation is not None:
        windows = [(w.start, w.end) for w in given.generation.windows]
        bare = sum(not any(a < end and b > start for a, b in windows) for start, end in pairwise(edges))
        if bare:
            yield f"{site.name}: nothing is said of its own generation in {bare} slots; none is counted on there."
    if site.export_price_per_kwh is not None and given.export_price_per_mwh is not None:
        dearer = int((given.export_price_per_mwh / 1000 > site.export_price_per_kwh + 1e-12).sum())
        if dearer:
            yield (
                f"{site.name}: export is priced above import in {dearer} slots; it is counted at the price of import "
                "there."
            )


def _too_few(envelope: Envelope) -> Iterator[str]:
    """Pools that have fewer accelerators than real-time load may need."""
    for (site, pool), one in envelope.items():
        over = one.shortfall
        if over.max(initial=0.0) > 1e-6:
            worst = int(over.argmax())
            yield (
                f"{site}/{pool}: real-time load needs up to {one.quantile[worst]:.1f} accelerators at its quantile, "
                f"and there are {one.count[worst]:.0f}: it is short of some in {int((over > 1e-6).sum())} slots, "
                "whatever is planned."
            )


def _broken(problem: ScheduleProblem, settled: Settled) -> Iterator[str]:
    """Budgets that real-time load alone exceeds."""
    for budget in problem.budgets:
        over = budget.used(settled.import_kw - settled.export_kw) - budget.limit
        if over > 1e-3 + 1e-6 * budget.limit:
            yield (
                f"{budget.name}: exceeded by {over:.3f} {budget.unit}, because real-time load and idle accelerators "
                f"alone cause more than {budget.limit:g}; deferrable work has nothing left in it."
            )


def _crowded(problem: ScheduleProblem) -> Iterator[str]:
    """Where real-time load needs what running work holds, and no plan can give it back."""
    for p, pool in enumerate(problem.pools):
        over = problem.pinned_levels[0][p] - pool.any_capacity[problem.cell_slot]
        over[: int(np.searchsorted(problem.edges_us, problem.now_us))] = 0
        if over.max() > 0:
            yield (
                f"{pool.key[0]}/{pool.key[1]}: work that is running and may not be interrupted holds up to "
                f"{over.max()} accelerators that real-time load may need; nothing else is planned there then."
            )


def _round(value: float) -> float:
    return round(float(value), DIGITS) + 0.0  # never -0.0
