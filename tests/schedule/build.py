"""Small planning cases for tests: one call makes the inputs of a cycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from shifter.cycle import CycleInputs, Submission
from shifter.domain.fleet import Budget, Fleet, Model, Objective, Pool, Site
from shifter.domain.grid_event import GridEvent
from shifter.domain.resilience import Resilience
from shifter.domain.tenant import Tenant
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad

START = datetime(2026, 1, 10, tzinfo=UTC)


def at(hours: float) -> datetime:
    """A moment, in hours from the start of the horizon."""
    return START + timedelta(hours=hours)


def site(name: str = "a", **over: Any) -> Site:
    """A site of ten 1 kW accelerators that draw nothing when idle."""
    given: dict[str, Any] = {
        "zone": "Z",
        "jurisdiction": "DE",
        "pools": (Pool("p", "X", count=10, idle_kw=0.0, busy_kw=1.0),),
        "resilience": Resilience(quantile=0.99),
    }
    return Site(name, **{**given, **over})


def work(id: str, hours: float, deadline: float, **over: Any) -> Workload:
    """`hours` accelerator-hours to be done by `deadline` [h from the start]."""
    given: dict[str, Any] = {
        "accelerator_hours": hours,
        "earliest_start": START,
        "deadline": at(deadline),
        "max_accelerators": 10,
        "preemptible": True,
    }
    return Workload(id, **{**given, **over})


def cycle_inputs(
    workloads: Iterable[Workload],
    *,
    sites: Sequence[Site] = (),
    prices: Sequence[float] | Mapping[str, Sequence[float]] = (),
    carbon: Sequence[float] | Mapping[str, Sequence[float]] = (),
    carbon_price: float = 0.0,
    models: Sequence[Model] = (),
    load: Mapping[tuple[str, str], Mapping[float, float]] | None = None,
    slot_minutes: int = 60,
    hours: int = 24,
    now: datetime = START,
    events: Sequence[GridEvent] = (),
    done: Mapping[str, float] | None = None,
) -> CycleInputs:
    """Inputs on a grid of `hours` from START; prices and carbon by zone, or of zone Z; a constant real-time load."""
    grid = SlotGrid(START, slot_minutes, hours * 60 // slot_minutes)
    fleet = Fleet("EUR", tuple(sites) or (site(),), tuple(models), Objective(carbon_price))

    def by_zone(values: Sequence[float] | Mapping[str, Sequence[float]], default: float) -> dict[str, Any]:
        given = dict(values) if isinstance(values, Mapping) else {"Z": values}
        return {z: given.get(z) or [default] * grid.n_slots for z in fleet.zones}

    frame = ForecastFrame.from_arrays(grid, "EUR", by_zone(prices, 50.0), by_zone(carbon, 300.0), as_of=now)
    constant = {
        key: {q: np.full(grid.n_slots, v) for q, v in quantiles.items()}
        for key, quantiles in (load or {}).items()
    }
    submissions = tuple(Submission(w, START, (done or {}).get(w.id, 0.0)) for w in workloads)
    inputs = CycleInputs(
        now, fleet, frame, RealtimeLoad(grid, constant), submissions, grid_events=tuple(events)
    )
    return replace(inputs, time_limit_s=30.0)


def with_budgets(inputs: CycleInputs, *budgets: Budget) -> CycleInputs:
    """The same inputs under these budgets."""
    objective = replace(inputs.fleet.objective, budgets=budgets)
    return replace(inputs, fleet=replace(inputs.fleet, objective=objective))


def with_tenants(inputs: CycleInputs, *tenants: Tenant, fairness: float = 0.0) -> CycleInputs:
    """The same inputs, shared by these tenants, with this price of fairness."""
    objective = replace(inputs.fleet.objective, fairness_cost_per_accelerator_hour=fairness)
    return replace(inputs, fleet=replace(inputs.fleet, objective=objective, tenants=tenants))
