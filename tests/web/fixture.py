"""A plausible plan without a solver: three sites, 96 slots, 40 workloads, for looking at the dashboard."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid, as_datetime64
from shifter.domain.fleet import Fleet, Pool, PoolKey, Site
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from shifter.domain.rows import (
    Allocation,
    Baseline,
    Cost,
    Duals,
    Horizon,
    PowerRow,
    SlotRow,
    Unplaced,
    WorkloadPlan,
)
from shifter.domain.workload import Workload
from shifter.views import LearntView, ShareView

START = datetime(2026, 1, 10, 6, 0, tzinfo=UTC)
GRID = SlotGrid(START, 30, 96)
TENANTS = ("search", "support", "legal", "research", "ads")
MODELS = ("llama-3.3-70b", "qwen2.5-32b", "embed-large")


def fleet() -> Fleet:
    """A central, a regional and an edge site."""
    return Fleet(
        currency="EUR",
        sites=(
            Site("lulea", "SE1", (Pool("h100", "H100-SXM", 96, 8, 0.12, 0.75),), "central", "SE", 1.1, 110.0),
            Site(
                "frankfurt",
                "DE-LU",
                (Pool("h100", "H100-SXM", 64, 8, 0.12, 0.75), Pool("l40s", "L40S", 48, 6, 0.05, 0.35)),
                "regional",
                "DE",
                1.25,
                86.0,
                battery=Battery(200, 50, initial_kwh=80, min_kwh=40),
                resilience=Resilience(0.99, 1, 10),
            ),
            Site("lyon-edge", "FR", (Pool("l40s", "L40S", 24, 3, 0.05, 0.35),), "edge", "FR", 1.35, 12.0),
        ),
    )


def _curves(rng: random.Random) -> dict[str, tuple[list[float], list[float]]]:
    """zone -> price, carbon by slot."""
    shape = {
        "SE1": (28.0, 14.0, 22.0, 6.0),
        "DE-LU": (78.0, 62.0, 380.0, 120.0),
        "FR": (58.0, 34.0, 52.0, 18.0),
    }
    curves = {}
    for zone, (price0, price_swing, carbon0, carbon_swing) in shape.items():
        noise, price, carbon = 0.0, [], []
        for i in range(GRID.n_slots):
            hour = (6 + i / 2) % 24
            noise = 0.85 * noise + rng.gauss(0, 0.12)
            solar = max(0.0, math.sin((hour - 7) / 11 * math.pi)) if 7 < hour < 18 else 0.0
            peak = math.exp(-(((hour - 18.5) / 2.2) ** 2)) + 0.7 * math.exp(-(((hour - 8) / 1.8) ** 2))
            level = 1.0 * peak - (1.9 if i > 48 else 0.9) * solar + noise
            price.append(round(price0 * 0.8 + price_swing * level, 2))
            carbon.append(round(max(4.0, carbon0 + carbon_swing * (0.6 * level + noise)), 1))
        curves[zone] = (price, carbon)
    return curves


def frame(kinds: tuple[Kind, ...] = (Kind.CLEARED, Kind.FORECAST, Kind.MODEL)) -> ForecastFrame:
    """Cleared to the end of the first day, then a forecast, then the extension."""
    rng = random.Random(7)
    n = GRID.n_slots
    said = tuple(
        kinds[0 if i < 34 else 1 if i < 70 else 2] if len(kinds) == 3 else kinds[0] for i in range(n)
    )
    signals = []
    for zone, (price, carbon) in _curves(rng).items():
        source = "typical" if Kind.SYNTHETIC in kinds else "energy_charts"
        note = "Made up from typical days" if Kind.SYNTHETIC in kinds else "Energy-Charts, CC BY 4.0"
        known = (START - timedelta(minutes=25),) * n
        low = {0.1: np.array(carbon) * 0.85, 0.9: np.array(carbon) * 1.2}
        carbon_kinds = tuple(Kind.FORECAST if k is Kind.CLEARED else k for k in said)
        signals.append(
            SignalFrame(
                zone,
                Signal.PRICE,
                "EUR/MWh",
                None,
                np.array(price),
                said,
                (source,) * n,
                known,
                {},
                (note,) * n,
            )
        )
        signals.append(
            SignalFrame(
                zone,
                Signal.CARBON,
                "gCO2e/kWh",
                Basis.AVERAGE,
                np.array(carbon),
                carbon_kinds,
                (source,) * n,
                known,
                low,
                (note,) * n,
            )
        )
    return ForecastFrame(GRID, START, "EUR", tuple(signals))


def learnt(zone: str, signal: str) -> LearntView:
    """Of carbon who counts for how much; of prices too little is known, but in France, where it is in shadow."""
    if signal == "price" and zone != "FR":
        return LearntView(
            zone,
            signal,
            planned_by=True,
            note="Too little to learn from: less than a week of outcomes, or all of it made up.",
        )
    return LearntView(
        zone,
        signal,
        planned_by=signal == "carbon",
        made_for=START,
        rounds=60,
        lead_hours=(6, 24, 48),
        sources=(ShareView("energy_charts", (None, 0.71, 0.44)), ShareView("our models", (None, 0.29, 0.56))),
        models=(ShareView("ridge", (None, 0.6, 0.55)), ShareView("climatology", (None, 0.4, 0.45))),
    )


def told(zone: str, signal: Signal, synthetic: bool) -> dict[str, list[ForecastSeries]]:
    """What was measured in four weeks, and forecast each midnight with bands that are too narrow."""
    rng = np.random.default_rng(5)
    first, n = START.replace(hour=0) - timedelta(days=28), 24 * 28
    hour = np.arange(n)
    actual = 200 + 80 * np.cos((hour % 24 - 19) / 12 * np.pi) + np.repeat(rng.normal(0, 30, 28), 24)
    kind = Kind.SYNTHETIC if synthetic else Kind.FORECAST

    def series(values: Any, at: datetime, known: datetime, kind: Kind, **more: Any) -> ForecastSeries:
        edges = as_datetime64(at) + np.arange(len(values) + 1) * np.timedelta64(1, "h")
        carbon = signal is Signal.CARBON
        return ForecastSeries(
            zone=zone,
            signal=signal,
            unit="gCO2e/kWh" if carbon else "EUR/MWh",
            source="energy_charts" if kind is not Kind.ACTUAL else "meter",
            known_at=known,
            start=edges[:-1],
            end=edges[1:],
            values=values,
            kind=kind,
            basis=Basis.AVERAGE if carbon else None,
            **more,
        )

    meter = [
        series(
            actual[24 * d : 24 * d + 24],
            first + timedelta(days=d),
            first + timedelta(days=d + 1),
            Kind.ACTUAL,
        )
        for d in range(28)
    ]
    said = []
    for d in range(2, 27):
        at = first + timedelta(days=d)
        values = actual[24 * d : 24 * d + 48]
        values = values + rng.normal(0, 3, len(values)) * np.sqrt(1 + np.arange(len(values)))
        bands = {0.1: values - 10, 0.5: values, 0.9: values + 10}
        said.append(series(values, at, at, kind, quantiles=bands))
    return {"meter": meter, "energy_charts": said}


def workloads(count: int = 40) -> tuple[Workload, ...]:
    """Windows of 4 to 40 hours; every seventh one piece, every third preemptible, two that are real-time."""
    rng = random.Random(3)
    made = []
    for i in range(count):
        opens = START + timedelta(minutes=30 * rng.choice([0, 0, 0, 4, 9, 14, 20, 31, 40]))
        due = opens + timedelta(hours=rng.choice([4, 6, 8, 12, 14, 18, 24, 30, 40]))
        size = rng.choice([2, 4, 4, 8, 8, 16, 24])
        realtime = i in (11, 29)
        made.append(
            Workload(
                id=f"{rng.choice(['eval', 'embed', 'summ', 'synth', 'ocr', 'rank'])}-{i:03d}",
                tenant=rng.choice(TENANTS),
                model=rng.choice(MODELS),
                tokens=size * rng.uniform(2, 5.5) * 3.4e6,
                earliest_start=opens,
                deadline=None if realtime else due,
                max_accelerators=size,
                interruptible=i % 7 != 0,
                preemptible=i % 3 == 0,
                data_boundary=("DE", "FR") if i % 5 == 0 else None,
                latency_slo_ms=400 if realtime else None,
                mode="interactive" if realtime else "batch",
            )
        )
    return tuple(made)


class _Floor:
    """What stands where while the plan is made, by pool (n_slots,)."""

    def __init__(self) -> None:
        self.fleet = fleet()
        self.curves = _curves(random.Random(7))
        self.zone = {s.name: s.zone for s in self.fleet.sites}
        hour = (6 + np.arange(GRID.n_slots) / 2) % 24
        self.m, self.q, self.reserved = {}, {}, {}
        self.firm = {key: np.zeros(GRID.n_slots) for key in self.fleet.pools}
        self.pre = {key: np.zeros(GRID.n_slots) for key in self.fleet.pools}
        for key, (_, pool) in self.fleet.pools.items():
            self.m[key] = pool.count * (0.16 + 0.2 * np.exp(-(((hour - 14) / 5) ** 2)))
            self.q[key] = self.m[key] * 1.35
            self.reserved[key] = self.q[key] / (1 - 1 / pool.failure_domains)

    def price(self, key: PoolKey, i: int) -> float:
        return self.curves[self.zone[key[0]]][0][i]

    def carbon(self, key: PoolKey, i: int) -> float:
        return self.curves[self.zone[key[0]]][1][i]

    def room(self, w: Workload, key: PoolKey, i: int) -> float:
        count, pre = self.fleet.pools[key][1].count, self.pre[key][i]
        low = self.q[key][i] if w.preemptible else self.reserved[key][i]
        return min(count - low - self.firm[key][i], count - self.q[key][i] - self.firm[key][i] - pre)

    def place(self, w: Workload, need: float) -> tuple[list[tuple[int, PoolKey, int]], float]:
        """Cheapest first; (slot, pool, accelerators) and what did not fit [accelerator-slots]."""
        assert w.earliest_start is not None
        assert w.deadline is not None
        first = max(0, round((w.earliest_start - START) / GRID.slot))
        last = min(GRID.n_slots, round((w.deadline - START) / GRID.slot))
        allowed = [
            key
            for key, (site, _) in self.fleet.pools.items()
            if w.data_boundary is None or site.jurisdiction in w.data_boundary
        ]
        options = sorted(
            ((i, key) for key in allowed for i in range(first, last)),
            key=lambda o: (self.price(o[1], o[0]) // 4, o[0]),
        )
        if not w.interruptible and options:
            at, pool = options[0]
            near = need / w.max_accelerators + 1
            options = [o for o in options if o[1] == pool and abs(o[0] - at) <= near]
        used: dict[int, int] = {}
        got = []
        for i, key in options:
            take = int(min(self.room(w, key, i), w.max_accelerators - used.get(i, 0), math.ceil(need)))
            if take >= 1:
                (self.pre if w.preemptible else self.firm)[key][i] += take
                used[i] = used.get(i, 0) + take
                need -= take
                got.append((i, key, take))
        return got, max(0.0, need)


def _pieces(w: Workload, got: list[tuple[int, PoolKey, int]]) -> list[Allocation]:
    runs: list[list[Any]] = []
    for i, key, take in sorted(got, key=lambda g: (g[1], g[0])):
        if runs and runs[-1][1:] == [key, take, i]:
            runs[-1][3] = i + 1
        else:
            runs.append([i, key, take, i + 1])
    return [
        Allocation(w.id, key[0], key[1], GRID.moment(a), GRID.moment(b), take)
        for a, key, take, b in sorted(runs, key=lambda r: r[0])
    ]


def plan(items: tuple[Workload, ...], *, synthetic: bool = False, worse: bool = False) -> Plan:
    """Each workload in its cheapest free slots, one after another: plausible, not optimal."""
    floor = _Floor()
    allocations: list[Allocation] = []
    rows: list[WorkloadPlan] = []
    unplaced: list[Unplaced] = []
    for w in items:
        if w.deadline is None:
            continue
        got, short = floor.place(w, (w.tokens or 0) / 3.4e6 * 2)
        pieces = _pieces(w, got)
        allocations += pieces
        rows.append(_share(w, floor, got, pieces, 0.9 if worse else 1.45))
        if short > 1:
            reason = "Every allowed pool is full in its window."
            unplaced.append(Unplaced(w.id, short / 2, reason, w.deadline + timedelta(hours=6)))
    power = [row for site in floor.fleet.sites for row in _power(site, floor)]
    carbon_kg = sum(p.import_kw * 0.5 * (p.carbon_g_per_kwh or 0) / 1000 for p in power)
    energy = sum(p.import_kw * 0.5 * (p.price_per_mwh or 0) / 1000 for p in power)
    cost = Cost(energy, carbon_kg * 0.08, 0.0, 0.4)
    mine, theirs = sum(r.cost for r in rows), sum(r.run_now_cost for r in rows)
    return Plan(
        plan_id="p-7c1f",
        inputs_id="in-7c1f",
        created_at=START + timedelta(seconds=4),
        horizon=Horizon(START, GRID.end, 30),
        currency="EUR",
        cost=cost,
        carbon_kg=carbon_kg,
        lower_bound=cost.total * 0.9972,
        relative_gap=0.0028,
        baseline=Baseline(
            "run_now",
            cost.total + theirs - mine,
            carbon_kg + sum(r.run_now_carbon_kg - r.carbon_kg for r in rows),
            188.0,
            0.0 if worse else 6.5,
            deferrable_total=theirs,
        ),
        slots=tuple(_slots(floor)),
        power=tuple(power),
        allocations=tuple(allocations),
        duals=_duals(floor, power),
        unplaced=tuple(unplaced),
        workloads=tuple(rows),
        deferrable_total=mine,
        synthetic=synthetic,
    )


def _duals(floor: _Floor, power: list[PowerRow]) -> Duals:
    """Prices where a pool is full, and where a site is close to its limit; a few of them, so that there is a plot."""
    capacity, reserve = {}, {}
    for key, (_, pool) in floor.fleet.pools.items():
        dear = np.array([max(0.0, 60.0 - floor.price(key, i)) for i in range(GRID.n_slots)]) / 4000
        full = pool.count - floor.q[key] - floor.firm[key] - floor.pre[key] < 1
        firm = pool.count - floor.reserved[key] - floor.firm[key] < 1
        capacity[key], reserve[key] = tuple(dear * full), tuple(0.5 * dear * firm)
    tight = {
        site.name: tuple(
            0.01 if row.limit_kw is not None and row.import_kw > 0.75 * row.limit_kw else 0.0
            for row in power
            if row.site == site.name
        )
        for site in floor.fleet.sites
    }
    return Duals(capacity, reserve, tight, dict.fromkeys(tight, (0.0,) * GRID.n_slots))


def _share(
    w: Workload,
    floor: _Floor,
    got: list[tuple[int, PoolKey, int]],
    pieces: list[Allocation],
    factor: float,
) -> WorkloadPlan:
    kwh = [(take * 0.5 * 0.63 * 1.2, i, key) for i, key, take in got]
    cost = sum(e * floor.price(key, i) / 1000 for e, i, key in kwh)
    carbon = sum(e * floor.carbon(key, i) / 1000 for e, i, key in kwh)
    return WorkloadPlan(
        w.id,
        min((p.start for p in pieces), default=None),
        max((p.end for p in pieces), default=None),
        sum(e for e, _, _ in kwh),
        cost,
        carbon,
        abs(cost) * factor + 0.02,
        carbon * factor,
        w.earliest_start,
        "cheapest_slots",
        "Runs where the window is cheapest: 41.20 EUR/MWh against 78.90 if it started at once.",
    )


def _slots(floor: _Floor) -> Iterator[SlotRow]:
    for key, (_, pool) in floor.fleet.pools.items():
        for i in range(GRID.n_slots):
            firm, pre = floor.firm[key][i], floor.pre[key][i]
            held = (floor.m[key][i], floor.q[key][i], floor.reserved[key][i])
            yield SlotRow(*key, GRID.moment(i), GRID.moment(i + 1), *held, firm + pre, pre, pool.count)


def _power(site: Site, floor: _Floor) -> Iterator[PowerRow]:
    stored = 80.0 if site.battery else 0.0
    for i in range(GRID.n_slots):
        kw = 0.0
        for pool in site.pools:
            key = (site.name, pool.name)
            busy = floor.m[key][i] + floor.firm[key][i] + floor.pre[key][i]
            kw += pool.idle_kw * pool.count + pool.dynamic_kw * busy
        charge = 20.0 if site.battery and 30 < i % 48 < 36 and stored < 180 else 0.0
        discharge = 15.0 if site.battery and 23 < i % 48 < 28 and stored > 60 else 0.0
        stored += charge / 2 - discharge / 2
        limit = 70.0 if site.name == "frankfurt" and 22 <= i < 28 else site.power_limit_kw
        price, carbon = floor.curves[site.zone]
        yield PowerRow(
            site.name,
            GRID.moment(i),
            GRID.moment(i + 1),
            kw * site.pue + charge - discharge,
            limit,
            charge,
            discharge,
            stored,
            price[i],
            carbon[i],
        )
