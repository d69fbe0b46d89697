"""Real-time load first: a week of production traffic against the daemon's own service, plan, reserve and guard.

ServeGen's m-large, week 1: its interactive clients (those whose day is like the day before) are real-time load at two
sites, its batch clients deferrable and preemptible work, an hour's requests at a time, due a day later at either site.
Within ten minutes requests are drawn from the inter-arrival times that were fitted to each client, with a seed. Prices
and carbon are those of DE-LU and CAISO. Accelerator-seconds of a request are what Splitwise measured of Llama 2 70B on
eight H100. The load is measured every 30 s, posted as telemetry, forecast and planned by the service; what was told to
stop goes on for 30 s more. Three days teach, four are judged: a step of 30 s counts where real-time load is more than
the accelerators that are left to it.

Beside it: the same work planned without any reserve or guard (by the median), and run at once on whatever there is.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy.event import listen

from benchmarks.figure import AtLeast, AtMost, Figure, Line, Options, Row, Tell
from benchmarks.fleet_replay import euros
from benchmarks.grid_data import ZONES, vintages
from benchmarks.llm_traces import ACCELERATORS, lognormal, measured_profile, parquet, renewals
from forecasts.slots import Floats, SlotGrid
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Objective, Pool, PoolKey, Site
from shifter.domain.resilience import FailoverGroup, Resilience
from shifter.domain.workload import Workload
from shifter.measuring import MeasuredLoads, learn_load
from shifter.realtime.calendar import Calendar
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service, ServiceConfig
from shifter.store import loads as loads_kept
from shifter.store.db import Database
from shifter.views import TelemetrySample, WorkloadState

START = datetime(2021, 9, 6, tzinfo=UTC)
"""A Monday; the data do not say which week it was."""
DAYS, TAUGHT_DAYS = 7, 3
STEP_S = 30
STEPS_A_DAY = 86_400 // STEP_S
STEP, HOUR, DAY = timedelta(seconds=STEP_S), timedelta(hours=1), timedelta(days=1)
SITES, PLACES = ("main", "bay"), ("DE-LU", "CAISO-NP15")
COUNT, DOMAINS = 160, 8
INTERACTIVE, BATCH = 0.5, 0.2
"""Correlation with the day before: above is real-time load, below is batch."""
TENANTS = 4
DECLARED = (24.0, 64.0)
"""Accelerators at a site that real-time load is declared to need, and may reach: the prior."""
BATCH_SIZE = 32
"""Sequences that a replica decodes at once where its share of an accelerator-second is counted."""
SEED = 1
SURGE = timedelta(minutes=20)
LOSS = HOUR
Loads = Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Trace:
    """Accelerators that real-time load uses by site, (DAYS * STEPS_A_DAY,) each; and the work of each hour."""

    realtime: Loads
    work: tuple[Workload, ...]


@dataclass(frozen=True)
class Scenario:
    """What is done to it. `lost` and `surge` hold at the hour of each day in which real-time load is highest."""

    name: str
    quantile: float = 0.99
    lose_domains: int = 1
    guard: bool = True
    failover: bool = False
    lost: str = ""
    """`domain` or `site`."""
    surge: bool = False
    target: float = 0.1
    """[%] of time, at most."""


PLANNED, SURGED = "as planned", "twice the load for 20 min"
SCENARIOS = (
    Scenario(PLANNED),
    Scenario("a failure domain lost", lost="domain", target=0.2),
    Scenario("a site lost", lost="site", failover=True, target=0.5),
    Scenario(SURGED, surge=True),
    Scenario("no reserve, no guard", quantile=0.5, lose_domains=0, guard=False),
)


@dataclass
class Came:
    """What came of a scenario, over the days that are judged."""

    name: str
    over_ratio: float = 0.0
    """Of steps and sites."""
    over_longest_s: float = 0.0
    work_hours: float = 0.0
    """Accelerator-hours of deferrable work."""
    late: int = 0
    stops: int = 0
    held_ratio: float = 0.0
    """Accelerators held for real-time load over its mean."""
    cycles: int = 0
    failed: int = 0
    hours_offered: float = 0.0
    over_by_site: dict[str, float] = field(default_factory=dict)


def trace_of(data: Path) -> Trace:
    """The week, drawn once."""
    folder = data / "llm_servegen_m_large_week1"
    profile = measured_profile(data / "gpu_power")
    iteration_ms = profile.base_ms + profile.ms_per_sequence * BATCH_SIZE
    prompt_s, token_s = (
        ACCELERATORS / profile.prefill_tokens_per_s,
        ACCELERATORS * iteration_ms / 1000 / BATCH_SIZE,
    )
    clients: Any = pd.read_csv(folder / "client_summary.csv.gz").set_index("client")
    tokens = parquet(folder / "client_tokens_6h.parquet").set_index(["client", "t_s"])
    rows = parquet(folder / "clients_10min.parquet")
    usual = tokens.groupby(level=0).median()
    middle = usual.median()  # of clients whose lengths the data do not tell
    rng = np.random.default_rng(SEED)
    interactive = clients.index[clients["autocorr_24h"] > INTERACTIVE]
    interactive = clients.loc[interactive].sort_values("mean_rps", ascending=False).index
    site_of = {client: SITES[i % len(SITES)] for i, client in enumerate(interactive)}
    batch = {client: i % TENANTS for i, client in enumerate(clients.index[clients["autocorr_24h"] < BATCH])}
    load = {site: np.zeros(DAYS * STEPS_A_DAY + 64) for site in SITES}
    hours = np.zeros((TENANTS, DAYS * 24))
    for row in rows.itertuples():
        if row.client not in site_of and row.client not in batch:
            continue
        known = usual.loc[row.client].fillna(middle) if row.client in usual.index else middle
        if (at := (row.client, row.t_s // 21600 * 21600)) in tokens.index:
            known = tokens.loc[at].fillna(known)
        if row.client in batch:
            each_s = prompt_s * known["input_tokens_mean"] + token_s * known["output_tokens_mean"]
            hours[batch[row.client], row.t_s // 3600] += row.rate_rps * 600 * each_s / 3600
            continue
        times = row.t_s + renewals(rng, row.rate_rps, row.dist, row.p1)
        prompts, outputs = (
            lognormal(
                rng, known[f"{k}_tokens_mean"], known[f"{k}_tokens_p95"], known[f"{k}_tokens_p50"], len(times)
            )
            for k in ("input", "output")
        )
        # A request is decoded for as long as its answer takes; its accelerator-seconds are spread over that.
        lasts = np.maximum(1, np.ceil(outputs * iteration_ms / 1000 / STEP_S)).astype(int).clip(1, 60)
        share = (prompt_s * prompts + token_s * outputs) / STEP_S / lasts
        first = (times // STEP_S).astype(int)
        for k in range(int(lasts.max(initial=0))):
            np.add.at(load[site_of[row.client]], first[lasts > k] + k, share[lasts > k])
    realtime = {site: np.minimum(values[: DAYS * STEPS_A_DAY], COUNT) for site, values in load.items()}
    work = tuple(
        Workload(
            f"{tenant}-{hour:03d}",
            tenant=f"tenant-{tenant}",
            accelerator_hours=float(round(hours[tenant, hour], 3)),
            earliest_start=START + (hour + 1) * HOUR,
            deadline=START + (hour + 25) * HOUR,
            max_accelerators=64,
            preemptible=True,
            mode="batch",
        )
        for hour in range(DAYS * 24)
        for tenant in range(TENANTS)
        if hours[tenant, hour] > 0.01
    )
    return Trace(realtime, work)


def fleet_of(scenario: Scenario) -> Fleet:
    """Two sites of one pool."""
    resilience = Resilience(scenario.quantile, scenario.lose_domains)
    sites = tuple(
        Site(
            name,
            zone,
            (Pool("h100", "H100", COUNT, failure_domains=DOMAINS, idle_kw=0.12, busy_kw=0.75),),
            "regional",
            pue=1.25,
            demand_charge_per_kw=2.0,
            resilience=resilience,
        )
        for name, zone in zip(SITES, PLACES, strict=True)
    )
    groups = (FailoverGroup("both", SITES),) if scenario.failover else ()
    objective = Objective(carbon_price_per_tonne=80.0)
    return Fleet("EUR", sites, objective=objective, failover_groups=groups)


@dataclass(eq=False)
class World:
    """What real-time load comes and what accelerators there are, step by step."""

    scenario: Scenario
    trace: Trace
    worst: dict[int, int]
    """By day, the first step of the hour in which load is highest."""

    @classmethod
    def of(cls, scenario: Scenario, trace: Trace) -> World:
        """From the trace."""
        total = np.sum(list(trace.realtime.values()), axis=0).reshape(DAYS, 24, -1).mean(axis=2)
        worst = {d: (d * 24 + int(total[d].argmax())) * (3600 // STEP_S) for d in range(TAUGHT_DAYS, DAYS)}
        return cls(scenario, trace, worst)

    def _happens(self, step: int, span: timedelta) -> bool:
        first = self.worst.get(step // STEPS_A_DAY)
        return first is not None and first <= step < first + span // STEP

    def available(self, site: str, step: int) -> int:
        """Accelerators that there are."""
        if not self.scenario.lost or not self._happens(step, LOSS):
            return COUNT
        if self.scenario.lost == "domain":
            return COUNT - COUNT // DOMAINS
        return 0 if site == SITES[0] else COUNT

    def load(self, site: str, step: int, expected: Callable[[str], float]) -> float:
        """Accelerators that real-time load needs there."""
        own = float(self.trace.realtime[site][step])
        if self.scenario.surge and self._happens(step, SURGE):
            return min(float(COUNT), max(own, 2 * expected(site)))
        if self.scenario.lost == "site" and self._happens(step, LOSS):
            return 0.0 if site == SITES[0] else own + float(self.trace.realtime[SITES[0]][step])
        return own


def replayed(scenario: Scenario, data: Path, trace: Trace) -> Came:
    """The week through a service of its own."""
    with tempfile.TemporaryDirectory(prefix="shifter-replay-") as folder:
        return _Replay(scenario, data, trace, Path(folder)).run()


class _Replay:
    def __init__(self, scenario: Scenario, data: Path, trace: Trace, folder: Path) -> None:
        self.scenario, self.trace, self.world = scenario, trace, World.of(scenario, trace)
        self.clock = ManualClock(START)
        self.fleet = fleet_of(scenario)
        database = Database(f"sqlite:///{folder / 'shifter.db'}")
        database.upgrade()
        # Nothing that is replayed has to survive the power: a week would else be an hour of waiting for the disk.
        listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        calendars = {site.name: Calendar.of(ZoneInfo("UTC")) for site in self.fleet.sites}
        self.measured = MeasuredLoads(
            self.fleet, self.clock, database, calendars, prior=self._declared, prior_name="what was declared"
        )
        config = ServiceConfig(
            slot_minutes=60, horizon_hours=26, max_horizon_hours=30, admission_wait_s=0, telemetry_days=1
        )
        self.made = Service(config, self.fleet, database, self.clock, realtime=self._realtime)
        self.asked = False
        self.made.core.replan = self._ask
        _tell_forecasts(self.made, data)
        self.came = Came(scenario.name)
        self.before: dict[PoolKey, int] = dict.fromkeys(self.fleet.pools, 0)
        self.run_over = dict.fromkeys(self.fleet.pools, 0)

    def _ask(self, why: str) -> None:
        self.asked = True

    def _declared(self, grid: SlotGrid) -> RealtimeLoad:
        """What an operator would say of the load before anything was measured: a median, and what it may reach."""
        levels = {p: np.full(grid.n_slots, DECLARED[p >= 0.9]) for p in (0.5, 0.9, 0.99)}
        return RealtimeLoad(grid, dict.fromkeys(self.fleet.pools, levels))

    def _realtime(self, grid: SlotGrid) -> RealtimeLoad:
        load = self.measured(grid)
        if self.scenario.guard:
            return load
        median = {key: {0.5: load.median(key)} for key in load.quantiles}  # nothing is held above it
        return replace(load, quantiles=median)

    def _expected(self, site: str) -> float:
        published = self.made.core.state.published
        row = published.row_at((site, "h100"), self.clock.now()) if published else None
        return 0.0 if row is None else row.realtime_p50

    def run(self) -> Came:
        gc.disable()
        for step in range(DAYS * STEPS_A_DAY):
            self.clock.moment = START + step * STEP
            begun = step >= (TAUGHT_DAYS - 1) * STEPS_A_DAY
            if step % (3600 // STEP_S) == 0:
                if begun:
                    learn_load(self.made.core, self.measured)
                    self._submit()
                else:  # only the meters are there
                    self._remember(range(step, step + 3600 // STEP_S))
                gc.collect()
            if not begun:
                continue
            if step % (60 // STEP_S) == 0:
                self.made.heartbeat()
                self.made.tick()
            loads = self._measure(step)
            if self.asked or step % (1800 // STEP_S) == 0:
                self.asked = False
                outcome = self.made.cycle("replay").outcome
                self.came.cycles += 1
                self.came.failed += outcome != "published"
                self.asked = False  # what publishing asks for is this plan
            self._judge(step, loads)
        judged = (DAYS - TAUGHT_DAYS) * STEPS_A_DAY
        self.came.over_ratio /= judged * len(self.fleet.pools)
        self.came.held_ratio /= judged
        views = self.made.workloads(WorkloadState.LATE, limit=10_000)
        self.came.late = sum(v.deadline is not None and v.deadline > START + TAUGHT_DAYS * DAY for v in views)
        return self.came

    def _submit(self) -> None:
        now = self.clock.now()
        come = [w for w in self.trace.work if w.earliest_start == now]
        if now >= START + TAUGHT_DAYS * DAY:
            self.came.hours_offered += sum(w.amount for w in come)
        if come:
            self.made.submit(come, "replay")

    def _remember(self, steps: range) -> None:
        self.clock.moment = START + steps.stop * STEP
        self.made.telemetry(
            [
                TelemetrySample(site, START + step * STEP, pool, self.world.load(site, step, self._expected))
                for step in steps
                for site, pool in self.fleet.pools
            ],
            "meter",
        )

    def _measure(self, step: int) -> dict[PoolKey, float]:
        loads = {}
        samples = []
        for key in self.fleet.pools:
            loads[key] = self.world.load(key[0], step, self._expected)
            there = self.world.available(key[0], step)
            samples.append(TelemetrySample(key[0], self.clock.now(), key[1], loads[key], None, there))
        if self.scenario.guard:
            self.made.telemetry(samples, "meter")
        else:  # the forecast learns, and nobody looks between plans
            learning = [replace(s, available_accelerators=None) for s in samples]
            with self.made.core.change() as change:
                loads_kept.count(change.db, learning)
        return loads

    def _judge(self, step: int, loads: Mapping[PoolKey, float]) -> None:
        judged = step >= TAUGHT_DAYS * STEPS_A_DAY
        for key, load in loads.items():
            let_in = self.made.capacity(*key).deferrable_accelerators
            there = self.world.available(key[0], step)
            # What was stopped goes on for a step more, but for what is lost with its accelerators.
            occupied = min(there, max(let_in, self.before[key]))
            over = load > there - occupied + 1e-6 and load > 0
            if judged:
                self.came.over_ratio += over
                self.came.work_hours += min(let_in, there) * STEP_S / 3600
                self.came.stops += let_in < self.before[key]
                self.run_over[key] = self.run_over[key] + STEP_S if over else 0
                self.came.over_longest_s = max(self.came.over_longest_s, self.run_over[key])
            self.before[key] = let_in
        published = self.made.core.state.published
        if judged and published is not None:
            rows = [published.row_at(key, self.clock.now()) for key in loads]
            mean = sum(float(self.trace.realtime[key[0]].mean()) for key in loads)
            self.came.held_ratio += sum(r.reserved for r in rows if r is not None) / mean


def _tell_forecasts(made: Service, data: Path) -> None:
    for place in PLACES:
        found = [
            euros(s)
            for s in vintages(data, ZONES[place])
            if START - 9 * DAY <= s.known_at <= START + (DAYS + 1) * DAY
        ]
        made.core.forecasts.append_all(sorted(found, key=lambda s: s.known_at))


def at_once(trace: Trace) -> Came:
    """Deferrable work on whatever there is, first come first served, whoever else needs it."""
    came, queue = Came("run at once, unprotected"), 0.0
    arrives = np.zeros(DAYS * STEPS_A_DAY)
    for w in trace.work:
        assert w.earliest_start is not None
        step = (w.earliest_start - START) // STEP
        if step < len(arrives):
            arrives[step] += w.amount
    for step in range((TAUGHT_DAYS - 1) * STEPS_A_DAY, len(arrives)):
        queue += arrives[step]
        used = min(queue * 3600 / STEP_S, float(COUNT * len(SITES)))
        queue -= used * STEP_S / 3600
        if step >= TAUGHT_DAYS * STEPS_A_DAY:
            came.work_hours += used * STEP_S / 3600
            came.hours_offered += arrives[step]
            each = used / len(SITES)
            came.over_ratio += sum(trace.realtime[site][step] > COUNT - each + 1e-6 for site in SITES)
    came.over_ratio /= (DAYS - TAUGHT_DAYS) * STEPS_A_DAY * len(SITES)
    return came


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each scenario a row."""
    data = options.data_folder("llm_servegen_m_large_week1").parent
    tell("drawing the week", 0.01)
    trace = trace_of(data)
    unprotected = at_once(trace)
    found: dict[str, Came] = {}
    with ProcessPoolExecutor(max(1, options.processes), get_context("spawn")) as pool:
        jobs = {s.name: pool.submit(partial(replayed, s, data, trace)) for s in SCENARIOS}
        for i, (name, job) in enumerate(jobs.items()):
            tell(name, 0.05 + 0.95 * i / len(jobs))
            found[name] = job.result()
    bare = found[SCENARIOS[-1].name].work_hours
    for scenario in SCENARIOS:
        target = AtMost(scenario.target) if scenario.guard else None
        work = AtLeast(90.0) if scenario.name == PLANNED else None
        yield _row(found[scenario.name], bare, target, work, found[PLANNED].late)
    yield _row(unprotected, bare, None, None)


def _row(came: Came, bare: float, target: AtMost | None, work: AtLeast | None, late: int = 0) -> Row:
    # Back within one look of the guard and what it takes to stop.
    longest = AtMost(2.0 * STEP_S) if came.name == SURGED else None
    return Row(
        came.name,
        (
            Figure("over", 100 * came.over_ratio, "% of time", target, digits=3),
            Figure("longest", came.over_longest_s, "s", longest, digits=0),
            Figure("work done", 100 * came.work_hours / bare, "% of no reserve", work, digits=1),
            Figure("offered", 100 * came.hours_offered / bare, "%", digits=1),
            Figure("late", came.late, "", None if target is None else AtMost(float(late)), digits=0),
            Figure("held", came.held_ratio, "x mean", digits=2),
            Figure("cycles", came.cycles, beside=f"{came.failed} failed", digits=0),
        ),
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("realtime_first")
