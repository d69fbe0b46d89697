"""Whole plans by forecasts, settled at what came: a fleet of three sites, half a year, against perfect foresight.

Sites in DE-LU, CAISO and ERCOT, with a demand charge and real-time load; every midnight ten jobs that may run at any of
them, within 20 to 60 hours. Carbon is forecast by the vintages in the data (July to December 2021), prices are known a
day ahead, what lies beyond is learnt. Policies decide every six hours. FLEET_REPLAY_MONTHS is how many are replayed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, Options, Row, Tell
from benchmarks.grid_data import ZONES, vintages
from forecasts.assemble import in_currency
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import SlotGrid
from shifter.backtest.campaign import Campaign
from shifter.backtest.case import Rules
from shifter.backtest.cases import Everything, cut
from shifter.backtest.executors import Executor, Processes, Serial
from shifter.backtest.results import Row as Result
from shifter.backtest.summary import Total, captured_carbon_ratio, captured_ratio, totals
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.domain.risk import Risk
from shifter.domain.workload import Workload
from shifter.realtime.profiles import typical_load

PLACES = ("DE-LU", "CAISO-NP15", "ERCOT")
POLICIES = ("run_now", "cheapest_window", "threshold", "ours", "ours_uncertain", "perfect")
EUROS_PER_DOLLAR = 0.85
FIRST, MONTHS = datetime(2021, 7, 1, tzinfo=UTC), 6
DAY = timedelta(days=1)
RISK = Risk(cvar_weight=0.25, cvar_level=0.8, scenarios=30)


def given(data: Path, months: int, learn_hours: int) -> Everything:
    """The fleet, its work and all that was known, of some months."""
    end = min(FIRST + months * 31 * DAY, datetime(2021, 12, 25, tzinfo=UTC))
    sites = tuple(
        Site(
            zone.lower(),
            zone,
            (Pool("h100", "H100", 64, failure_domains=8, idle_kw=0.12, busy_kw=0.75),),
            "regional",
            pue=1.25,
            demand_charge_per_kw=2.0,
            resilience=Resilience(0.99, 1),
        )
        for zone in PLACES
    )
    fleet = Fleet("EUR", sites, objective=Objective(carbon_price_per_tonne=80.0, risk=RISK))
    grid = SlotGrid.covering(FIRST, end - FIRST + 12 * DAY, 60)
    expected = typical_load(fleet, grid, seed=7)
    noise = np.exp(np.random.default_rng(7).normal(0, 0.1, grid.n_slots))
    came = {key: np.minimum(64.0, expected.median(key) * noise) for key in expected.quantiles}
    told = [euros(s) for zone in PLACES for s in vintages(data, ZONES[zone])]
    rules = Rules(replan_minutes=360, horizon_hours=72, learn_hours=learn_hours)
    return Everything(fleet, told, (), tuple(work(FIRST, end)), expected, came, FIRST, end, rules)


def euros(s: ForecastSeries) -> ForecastSeries:
    """A price in euros."""
    return in_currency(s, "EUR", {"USD": EUROS_PER_DOLLAR}) if s.signal is Signal.PRICE else s


def work(start: datetime, end: datetime) -> Iterator[Workload]:
    """Ten jobs every midnight, a third of what is free at all sites together."""
    for i in range((end - start) // DAY):
        for j in range(10):
            at = start + i * DAY
            yield Workload(
                id=f"job-{i:04d}-{j}",
                accelerator_hours=60.0 + 20 * ((i + 3 * j) % 5),
                earliest_start=at,
                deadline=at + timedelta(hours=20 + 40 * j / 9),
                max_accelerators=16,
                preemptible=j % 2 == 0,
                mode="batch",
            )


def run(options: Options, tell: Tell) -> Iterator[Figure | Row]:
    """What each policy came to, by money, carbon, peak, deadlines and real-time load that found no room."""
    data = options.data_folder("grid_de_lu").parent
    months = int(os.environ.get("FLEET_REPLAY_MONTHS", str(MONTHS)))
    learn_hours = int(os.environ.get("FLEET_REPLAY_LEARN_HOURS", "24"))
    cases = cut(
        given(data, months, learn_hours),
        workers=options.processes,
        told=lambda what, share: tell(f"learning {what}", 0.3 * share),
    ).cases
    executor: Executor = Processes(options.processes) if options.processes > 1 else Serial()
    with tempfile.TemporaryDirectory() as kept:
        campaign = Campaign.of(cases, POLICIES, Path(kept))
        done = 0

        def told(name: str) -> None:
            nonlocal done
            done += 1
            tell(name, 0.3 + 0.7 * done / len(campaign.units))

        rows = campaign.run(executor, told)
    yield from _rows(rows)


def _rows(rows: Sequence[Result]) -> Iterator[Row]:
    found = totals(rows)
    for name, total in found.items():
        yield Row(name, tuple(_figures(total, found)))


def _figures(total: Total, found: dict[str, Total]) -> Iterator[Figure]:
    money, carbon = captured_ratio(total, found), captured_carbon_ratio(total, found)
    yield Figure("cost of an accelerator-hour", 1000 * (total.hour_cost or np.nan), "mEUR", digits=2)
    yield Figure("captured of money", np.nan if money is None else money, digits=3)
    yield Figure("carbon of an hour", total.hour_carbon_g or np.nan, "g", digits=1)
    yield Figure("captured of carbon", np.nan if carbon is None else carbon, digits=3)
    yield Figure("deadlines met", 100 * total.met_ratio, "%", digits=2)
    yield Figure("real-time load kept", 100 * total.kept_ratio, "%", digits=3)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("fleet_replay")
