"""Small histories to replay: a site, prices of several vintages, work, and real-time load."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid, as_datetime64, isoformat_z
from shifter.backtest.case import Case, Rules
from shifter.backtest.cases import Cut, Everything, cut
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
POOL = ("here", "h100")
RULES = Rules(replan_minutes=240)


def fleet(*sites: Site, **objective: Any) -> Fleet:
    """One site, `here` in DE-LU, unless others are given."""
    return Fleet(
        "EUR", sites or (site(),), objective=Objective(**{"carbon_price_per_tonne": 50.0, **objective})
    )


def site(name: str = "here", zone: str = "DE-LU", count: int = 16, **more: Any) -> Site:
    """A pool of 16, half a kW idle and busy apart."""
    pool = Pool("h100", "H100", count, failure_domains=4, idle_kw=0.1, busy_kw=0.6)
    given = {"pools": (pool,), "pue": 1.2, "resilience": Resilience(0.9, 1), **more}
    return Site(name, zone, **given)


def job(id: str, hours: float, start_h: float, window_h: float, **more: Any) -> Workload:
    """Work of so many accelerator-hours on up to four, submitted `start_h` hours after the start."""
    begin = START + start_h * HOUR
    given = {"max_accelerators": 4, "mode": "batch", **more}
    return Workload(
        id=id, accelerator_hours=hours, earliest_start=begin, deadline=begin + window_h * HOUR, **given
    )


def hourly_prices(days: int, seed: int = 0) -> Floats:
    """A day's course, and noise around it [EUR/MWh]."""
    hours = np.arange(24 * days)
    noise = np.random.default_rng(seed).normal(0, 8, len(hours))
    return 60 + 40 * np.sin((hours - 8) * math.pi / 12) + noise


def series(
    known: datetime, start: datetime, values: Iterable[float], signal: Signal = Signal.PRICE, **more: Any
) -> ForecastSeries:
    """One vintage in hours."""
    array = np.array(list(values), dtype=float)
    first = as_datetime64(start) + np.arange(len(array)) * np.timedelta64(1, "h")
    carbon = signal is Signal.CARBON
    given = {
        "zone": "DE-LU",
        "signal": signal,
        "unit": CARBON_UNIT if carbon else "EUR/MWh",
        "source": "told",
        "known_at": known,
        "start": first.astype("datetime64[us]"),
        "end": (first + np.timedelta64(1, "h")).astype("datetime64[us]"),
        "values": array,
        "basis": Basis.AVERAGE if carbon else None,
        **more,
    }
    return ForecastSeries(**given)


def day_ahead(
    days: int, prices: Floats | None = None, zone: str = "DE-LU", begin: datetime = START
) -> list[ForecastSeries]:
    """Cleared prices known at noon of the day before, and carbon as measured, an hour after."""
    told = hourly_prices(days) if prices is None else prices
    carbon = 200 + 2 * told
    found = []
    for d in range(days):
        at, part = begin + d * DAY, slice(24 * d, 24 * d + 24)
        found.append(series(at - 12 * HOUR, at, told[part], kind=Kind.CLEARED, zone=zone))
        found.append(series(at - 12 * HOUR, at, carbon[part] + 30, Signal.CARBON, zone=zone))
        for h in range(24):
            moment = at + h * HOUR
            measured = [carbon[24 * d + h]]
            found.append(
                series(
                    moment + 2 * HOUR,
                    moment,
                    measured,
                    Signal.CARBON,
                    kind=Kind.ACTUAL,
                    source="meter",
                    zone=zone,
                )
            )
    return found


def everything(
    work: Sequence[Workload],
    *,
    of: Fleet | None = None,
    vintages: Sequence[ForecastSeries] | None = None,
    days: int = 2,
    tail_days: int = 3,
    expected: Mapping[float, float] | None = None,
    measured: Floats | float | None = None,
    rules: Rules = RULES,
    slot_minutes: int = 30,
) -> Everything:
    """What is replayed: `days` days, with data for `tail_days` more."""
    of = of or fleet()
    grid = SlotGrid.covering(START, (days + tail_days) * DAY, slot_minutes)
    quantiles = {p: np.full(grid.n_slots, value) for p, value in (expected or {0.5: 3.0, 0.9: 4.5}).items()}
    pools = list(of.pools)
    came = (
        quantiles[0.5] if measured is None else np.broadcast_to(np.asarray(measured, float), (grid.n_slots,))
    )
    return Everything(
        fleet=of,
        vintages=tuple(day_ahead(days + tail_days) if vintages is None else vintages),
        actuals=(),
        workloads=tuple(work),
        expected=RealtimeLoad(grid, dict.fromkeys(pools, quantiles)),
        measured=dict.fromkeys(pools, came),
        start=START,
        end=START + days * DAY,
        rules=rules,
    )


def one_case(work: Sequence[Workload], **given: Any) -> Case:
    """The only case of it."""
    found: Cut = cut(everything(work, **given))
    assert len(found.cases) == 1
    return found.cases[0]


def some_work(n: int = 14, **more: Any) -> list[Workload]:
    """Jobs of several sizes over the first two days, some of which may be stopped."""
    return [
        job(
            f"j{i:02d}",
            6.0 + 3 * (i % 4),
            3.0 * i,
            14.0 + 4 * (i % 3),
            **{"preemptible": i % 2 == 0, "interruptible": i % 5 != 4, **more},
        )
        for i in range(n)
    ]


def with_rules(case: Case, **rules: Any) -> Case:
    """The same case by other rules."""
    return replace(case, rules=replace(case.rules, **rules))


def write_files(folder: Path, *, days: int = 2, work: Sequence[Workload] | None = None) -> list[str]:
    """The same as files, and the options that name them."""
    told = everything(some_work() if work is None else work, days=days)
    (folder / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    lines = []
    for w in told.workloads:
        assert w.earliest_start is not None
        assert w.deadline is not None
        lines.append(
            json.dumps(
                {
                    "id": w.id,
                    "accelerator_hours": w.accelerator_hours,
                    "earliest_start": isoformat_z(w.earliest_start),
                    "deadline": isoformat_z(w.deadline),
                    "max_accelerators": w.max_accelerators,
                    "preemptible": w.preemptible,
                    "interruptible": w.interruptible,
                    "mode": "batch",
                }
            )
        )
    (folder / "workloads.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    prices = hourly_prices(days + 3)
    rows = ["zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh,kind"]
    for h, price in enumerate(prices):
        at = START + h * HOUR
        issued = START + (h // 24) * DAY - 12 * HOUR
        rows.append(
            ",".join(
                (
                    "DE-LU",
                    isoformat_z(issued),
                    isoformat_z(at),
                    isoformat_z(at + HOUR),
                    f"{price:.2f}",
                    f"{230 + 2 * price:.1f}",
                    "",
                )
            )
        )
    (folder / "forecasts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = ["zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh,kind"]
    for h, price in enumerate(prices):
        at = START + h * HOUR
        over = isoformat_z(START + (days + 4) * DAY)
        rows.append(
            ",".join(
                (
                    "DE-LU",
                    over,
                    isoformat_z(at),
                    isoformat_z(at + HOUR),
                    f"{price + 1:.2f}",
                    f"{200 + 2 * price:.1f}",
                    "actual",
                )
            )
        )
    (folder / "actuals.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    span = f"here,h100,{isoformat_z(START)},{isoformat_z(START + (days + 3) * DAY)}"
    (folder / "realtime.csv").write_text(
        f"site,pool,start,end,accelerators_p50,accelerators_p90\n{span},3,4.5\n", encoding="utf-8"
    )
    return [
        *("--fleet", str(folder / "fleet.yaml")),
        *("--workloads", str(folder / "workloads.jsonl")),
        *("--forecasts", str(folder / "forecasts.csv")),
        *("--actuals", str(folder / "actuals.csv")),
        *("--realtime", str(folder / "realtime.csv")),
        *("--start", isoformat_z(START), "--end", isoformat_z(START + days * DAY)),
        *("--replan", "4h", "--out", str(folder / "out")),
    ]


FLEET = """\
currency: EUR
sites:
  - name: here
    zone: DE-LU
    pue: 1.2
    demand_charge_per_kw: 0.1
    pools: [{name: h100, accelerator: H100, count: 16, failure_domains: 4, idle_kw: 0.1, busy_kw: 0.6}]
    resilience: {quantile: 0.9, lose_domains: 1}
objective: {carbon_price_per_tonne: 50}
"""
