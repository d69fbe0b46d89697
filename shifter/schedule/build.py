"""The problem of one cycle, built from the domain's objects: pools, sites, jobs, and the cells that windows cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.series import Signal
from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Budget, Fleet, Site
from shifter.domain.grid_event import GridEvent, limits_in_force
from shifter.domain.rows import Allocation
from shifter.domain.tenant import Tenant
from shifter.domain.workload import Classified
from shifter.realtime.reserve import Envelope
from shifter.schedule.jobs import Ints, Job, Pinned
from shifter.schedule.problem import BudgetArrays, ScheduleProblem
from shifter.schedule.risk import risk_of
from shifter.schedule.rooms import pools_of, with_savings
from shifter.schedule.sites import PoolArrays, SiteArrays
from shifter.schedule.tenants import NOBODY, told_apart, with_tenants
from shifter.schedule.ways import WorkWays
from shifter.schedule.windows import trimmed, with_margin

MICROSECOND = timedelta(microseconds=1)

EXACT_SIZE = 200_000
"""Up to this size (`_size`) every window is kept to the microsecond: some 10 s of one core at most."""

RUN_RATIO = 0.02
"""What a run less is worth where the fleet does not say: this share of what an average job's energy costs."""


def build(
    frame: ForecastFrame,
    work: Sequence[Classified],
    envelope: Envelope,
    fleet: Fleet,
    now: datetime,
    *,
    windows: dict[str, tuple[datetime, datetime]],
    parted: Collection[str] = (),
    grid_events: tuple[GridEvent, ...] = (),
    deadline_margin: timedelta = timedelta(0),
    pinned: Mapping[Allocation, bool] | None = None,
    tenant_of: Mapping[str, str] | None = None,
) -> ScheduleProblem:
    """The problem of one cycle.

    `work` are the deferrable workloads with work left; `windows` narrows those that are steps of a chain, so that the
    steps of one chain cannot overlap. Those that are `parted` may get other windows, as long as that holds. Nothing is
    planned before `now`, and work that has time to spare is planned to end `deadline_margin` early, so that running a
    little slow does not make it late. `pinned` allocations (-> whether they are firm, which is: may not be preempted)
    go on as they stand: they are load that is there already, of the tenants that `tenant_of` names by workload.
    """
    grid = frame.grid
    horizon_us = grid.n_slots * grid.slot_minutes * 60_000_000
    now_us = min(max(0, _us(grid, now)), horizon_us)
    pools = pools_of(fleet, envelope)
    sites = tuple(_site(site, i, frame, fleet, envelope, grid_events) for i, site in enumerate(fleet.sites))
    ways = WorkWays(fleet)
    held_by = tenant_of or {}
    told = told_apart(fleet, (*(item.workload.tenant for item in work), *held_by.values()))
    number = {tenant.name: i for i, tenant in enumerate(told)}
    jobs = [
        _job(item, ways, grid, now_us, horizon_us, windows, number.get(item.workload.tenant, NOBODY))
        for item in work
    ]
    jobs = [replace(j, span_us=(j.true_start_us, j.due_us)) if j.id in parted else j for j in jobs]
    if deadline_margin:
        jobs = [with_margin(job, round(deadline_margin / MICROSECOND)) for job in jobs]
    slot_us = grid.slot_minutes * 60_000_000
    held = tuple(
        _pinned(a, firm, grid, ways, now_us, horizon_us, number.get(held_by.get(a.workload_id, ""), NOBODY))
        for a, firm in (pinned or {}).items()
    )
    sites = _with_pinned([with_savings(site, pools) for site in sites], pools, held, now_us, slot_us)
    slot_edges = {*range(0, horizon_us + 1, slot_us), now_us, *(p.end_us for p in held)}
    edges = _edges(slot_edges, jobs)
    if _size(edges, jobs) > EXACT_SIZE:
        jobs = [trimmed(job, now_us, slot_us) for job in jobs]
        edges = _edges(slot_edges, jobs)
    risk, warnings = risk_of(frame, fleet)
    problem = ScheduleProblem(
        grid,
        sites,
        pools,
        tuple(jobs),
        edges,
        now_us,
        _lateness_price(sites, pools, jobs, grid, 0.0 if risk is None else risk.dearest_per_kwh, told),
        usual_run_price(sites, jobs)
        if fleet.objective.cost_per_run is None
        else fleet.objective.cost_per_run,
        held,
        risk,
        warnings,
        tuple(_budget(budget, i, fleet, sites, grid) for i, budget in enumerate(fleet.objective.budgets)),
    )
    return with_tenants(problem, fleet, told)


def _budget(
    budget: Budget, index: int, fleet: Fleet, sites: Sequence[SiteArrays], grid: SlotGrid
) -> BudgetArrays:
    share = np.array([budget.share(a, b) for a, b in pairwise(grid.edges)]) * grid.slot_hours
    bought, sold = (np.zeros((len(sites), grid.n_slots)) for _ in range(2))
    for i, site in enumerate(sites):
        if budget.counts(site.name):
            bought[i] = share * (site.carbon_kg_per_kwh if budget.kind == "carbon_kg" else site.price_per_kwh)
            if budget.kind == "money" and site.export_price_per_kwh is not None:
                sold[i] = share * site.export_price_per_kwh
    unit = "kg CO2e" if budget.kind == "carbon_kg" else fleet.currency
    return BudgetArrays(f"budgets[{index}]", unit, budget.limit, bought, sold)


def _pinned(
    a: Allocation, firm: bool, grid: SlotGrid, ways: WorkWays, now_us: int, horizon_us: int, tenant: int
) -> Pinned:
    start_us, end_us = max(now_us, _us(grid, a.start)), min(horizon_us, _us(grid, a.end))
    return Pinned(a.workload_id, ways.held(a), start_us, end_us, a.accelerators, firm, tenant)


def _with_pinned(
    sites: Sequence[SiteArrays],
    pools: Sequence[PoolArrays],
    held: Sequence[Pinned],
    now_us: int,
    slot_us: int,
) -> tuple[SiteArrays, ...]:
    """Sites with what pinned work draws: its mean over each slot, which is what it costs.

    Under the power limit the running slot counts by what is left of it, where that is more.
    """
    if not held:
        return tuple(sites)
    starts = np.arange(len(sites[0].median_kw)) * slot_us
    rest = np.maximum(starts, now_us)
    mean_kw, limited_kw = (np.zeros((len(sites), len(starts))) for _ in range(2))
    for piece in held:
        site = pools[piece.pool].site
        share, share_of_rest = (
            np.clip(np.minimum(piece.end_us, starts + slot_us) - np.maximum(piece.start_us, since), 0, None)
            / (starts + slot_us - since)
            for since in (starts, np.minimum(rest, starts + slot_us - 1))
        )
        drawn_kw = piece.accelerators * piece.way.import_kw
        mean_kw[site] += drawn_kw * share
        limited_kw[site] += drawn_kw * np.maximum(share, share_of_rest)
    return tuple(
        replace(site, median_kw=site.median_kw + mean, quantile_kw=site.quantile_kw + limited)
        for site, mean, limited in zip(sites, mean_kw, limited_kw, strict=True)
    )


def _edges(slot_edges: set[int], jobs: Sequence[Job]) -> Ints:
    """Boundaries of the cells: those of slots, and of windows; of steps whose part may be moved, of their spans."""
    windows = (edge for job in jobs for edge in (job.span_us or (job.start_us, job.end_us)))
    return np.unique(np.array([*slot_edges, *windows], dtype=np.int64))


def _size(edges: Ints, jobs: Sequence[Job]) -> int:
    """How large a linear program these cells make: its columns, and its rows over several ways, which weigh eight."""
    first = np.searchsorted(edges, [job.start_us for job in jobs])
    cells = np.searchsorted(edges, [job.end_us for job in jobs]) - first
    ways = np.array([len(job.ways) for job in jobs], dtype=np.int64)
    return int((cells * ways).sum() + 8 * cells[ways > 1].sum())


def _us(grid: SlotGrid, moment: datetime) -> int:
    delta = moment - grid.start
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _site(
    site: Site,
    index: int,
    frame: ForecastFrame,
    fleet: Fleet,
    envelope: Envelope,
    events: tuple[GridEvent, ...],
) -> SiteArrays:
    keys = [(site.name, pool.name) for pool in site.pools]
    idle = sum(
        (
            pool.idle_kw * np.array([pool.powered(a, b) for a, b in pairwise(frame.grid.edges)])
            for pool in site.pools
        ),
        np.zeros(frame.grid.n_slots),
    )

    def import_kw(loads: list[Floats]) -> Floats:
        busy = sum(
            (pool.dynamic_kw * load for pool, load in zip(site.pools, loads, strict=True)), np.zeros(n)
        )
        return site.pue * (idle + busy)

    grid = frame.grid
    n = grid.n_slots
    edges = grid.edges
    quantiles = [envelope[key].quantile for key in keys]
    price, carbon = frame.price_per_mwh(site.zone), frame.carbon_g_per_kwh(site.zone)
    first = sum(len(s.pools) for s in fleet.sites[:index])
    return SiteArrays(
        name=site.name,
        pools=tuple(range(first, first + len(keys))),
        median_kw=import_kw([envelope[key].median for key in keys]),
        quantile_kw=import_kw(quantiles),
        ride_through_kw=site.pue
        * sum((p.busy_kw * q for p, q in zip(site.pools, quantiles, strict=True)), np.zeros(n)),
        limit_kw=np.array([limits_in_force(site, events, a, b) for a, b in pairwise(edges)]),
        price_per_kwh=frame.assumed(site.zone, Signal.PRICE) / 1000,
        carbon_kg_per_kwh=frame.assumed(site.zone, Signal.CARBON) / 1000,
        carbon_price_per_kg=fleet.objective.carbon_price_per_tonne / 1000,
        unknown_price=~np.isfinite(price),
        unknown_carbon=~np.isfinite(carbon),
        demand_charge_per_kw=site.demand_charge_per_kw,
        peak_so_far_kw=site.peak_so_far_kw,
        battery=site.battery,
        ride_through_hours=fleet.ride_through_minutes(site) / 60,
        ups=site.ups,
        **_besides(site, frame),
    )


def _besides(site: Site, frame: ForecastFrame) -> dict[str, Any]:
    """What of a site's arrays is its ramp's, its own plant's, and its export's."""
    found: dict[str, Any] = {}
    if site.ramp_limit_kw_per_minute is not None:
        found["ramp_kw"] = site.ramp_limit_kw_per_minute * frame.grid.slot_minutes
    plant = site.generation
    if plant is not None:
        available_kw = [plant.mean_kw(a, b) for a, b in pairwise(frame.grid.edges)]
        found |= {"generation_kw": np.array(available_kw), "generation_cost_per_kwh": plant.cost_per_kwh}
    if site.export_limit_kw > 0 and site.export_price_per_mwh is not None:
        earned = np.minimum(site.export_price_per_mwh, frame.assumed(site.zone, Signal.PRICE)) / 1000
        found |= {"export_limit_kw": site.export_limit_kw, "export_price_per_kwh": earned}
    return found


def _job(
    item: Classified,
    ways: WorkWays,
    grid: SlotGrid,
    now_us: int,
    horizon_us: int,
    windows: dict[str, tuple[datetime, datetime]],
    tenant: int,
) -> Job:
    workload = item.workload
    assert item.deadline is not None, "a deferrable workload has a deadline"
    fastest, own = ways.of(workload)

    def clip(moment: datetime) -> int:
        return min(max(_us(grid, moment), now_us), horizon_us)

    true_start_us, due_us = clip(item.earliest_start), clip(item.deadline)
    start_us, end_us = true_start_us, due_us
    if workload.id in windows:
        start_us, end_us = (clip(moment) for moment in windows[workload.id])
    # Its own deadline, not what its chain leaves it: a plan that drops a later step is not bound by that.
    own_us = horizon_us if workload.deadline is None else clip(workload.deadline)
    return Job(
        id=workload.id,
        hours=item.remaining / fastest,
        ways=own,
        start_us=start_us,
        end_us=max(start_us, end_us),
        true_start_us=true_start_us,
        true_end_us=max(true_start_us, own_us),
        max_accelerators=workload.max_accelerators,
        firm=not workload.preemptible,
        contiguous=not workload.interruptible,
        depends_on=workload.depends_on,
        open_ended=item.deadline > grid.end,
        due_us=due_us,
        tenant=tenant,
    )


def usual_run_price(sites: Sequence[SiteArrays], jobs: Sequence[Job]) -> float:
    """A small share of what the energy of an average job costs, in its fastest way [currency]."""
    if not jobs:
        return 0.0
    per_kwh = float(np.mean([np.abs(site.unit_cost_per_kwh).mean() for site in sites]))
    kwh = [job.hours * max((w.import_kw for w in job.ways if w.speed == 1.0), default=0.0) for job in jobs]
    return RUN_RATIO * per_kwh * float(np.mean(kwh))


def _lateness_price(
    sites: Sequence[SiteArrays],
    pools: Sequence[PoolArrays],
    jobs: Sequence[Job],
    grid: SlotGrid,
    risk_per_kwh: float,
    told: Sequence[Tenant],
) -> float:
    """Ten times the most that an hour of work could cost anywhere, in its slowest way and at the peak [currency/h].

    A fifth of it, which is the price of leaving undone what is due beyond the horizon, is still twice that.
    """
    worst = 1.0
    every = {id(job.ways): job.ways for job in jobs}.values()
    slowest = min((way.speed for ways in every for way in ways), default=1.0)
    for pool in pools:
        dearest = _dearest_per_kwh(sites[pool.site], grid.slot_hours, risk_per_kwh)
        worst = max(worst, (pool.import_kw + pool.saved_kw) * dearest)
    worst += max((tenant.over_quota_cost_per_accelerator_hour or 0.0 for tenant in told), default=0.0)
    return 10.0 * worst / slowest


def _dearest_per_kwh(site: SiteArrays, slot_hours: float, risk_per_kwh: float) -> float:
    """The most that one more kWh could cost a site: from the grid, raising its peak, from its own plant, or from either
    by way of its battery, which wears and loses some [currency/kWh]."""
    grid = float(np.abs(site.unit_cost_per_kwh).max(initial=0.0)) + risk_per_kwh
    dearest = max(grid + site.demand_charge_per_kw / slot_hours, site.generation_cost_per_kwh)
    if (battery := site.battery) is None:
        return dearest
    return battery.wear_cost_per_kwh + dearest / (battery.charge_efficiency * battery.discharge_efficiency)
