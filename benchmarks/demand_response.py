"""A quarter less power for three hours on 15 minutes' notice, at each hour of a day: is it met in every slot, with
real-time load untouched and deadlines kept, and at what cost; beside stopping all that may be stopped, and running it
at once afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise, product

import numpy as np

from benchmarks.figure import AtLeast, AtMost, Figure, Line, Options, Row, Tell
from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.grid_event import Baseline, GridEvent
from shifter.domain.plan import Plan
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.profiles import typical_load
from shifter.service.baselines import of_plan
from shifter.service.grid_plans import EventPlans
from shifter.service.grid_quotes import Quoted
from shifter.views.grid import GridEventQuote

CUT_RATIO, CUT, NOTICE = 0.25, timedelta(hours=3), timedelta(minutes=15)
SLOT_MINUTES, DAYS = 15, 2
FIRST = datetime(2026, 1, 13, tzinfo=UTC)
"""A Tuesday."""
HOUR = timedelta(hours=1)
SITE = Site(
    "hall",
    "Z",
    (Pool("h100", "H100-SXM", 256, failure_domains=8, idle_kw=0.12, busy_kw=0.75),),
    pue=1.25,
    resilience=Resilience(0.99, 1),
)
FLEET = Fleet("EUR", (SITE,), objective=Objective(carbon_price_per_tonne=80))
LOADS = (0.6, 0.8)
"""Deferrable work that comes, of what real-time load leaves free."""
ASKED = (
    ("planned power", False, True),
    ("usual power", True, True),
    ("usual power, all jobs interruptible", True, False),
)
"""What a quarter is cut from, whether that is the usual power, and whether there are jobs that may not be interrupted.
In the field trial that is to be beaten every job could be slowed or stopped."""


@dataclass(frozen=True, eq=False)
class Day:
    """A site with two days of prices, real-time load and work that comes every hour; `seed` varies all of it."""

    seed: int
    load: float
    whole_jobs: bool = True
    """Whether one job in eight may not be interrupted."""

    @cached_property
    def grid(self) -> SlotGrid:
        """From the first midnight."""
        return SlotGrid(FIRST, SLOT_MINUTES, DAYS * 24 * 60 // SLOT_MINUTES)

    @cached_property
    def known(self) -> tuple[ForecastFrame, RealtimeLoad]:
        """Prices with a morning and an evening peak, carbon that follows them loosely, and real-time load."""
        rng, grid = np.random.default_rng(self.seed), self.grid
        h = np.arange(grid.n_slots) * SLOT_MINUTES / 60
        peaks = np.exp(-(((h % 24) - 8) ** 2) / 6) + 1.3 * np.exp(-(((h % 24) - 19) ** 2) / 8)
        noise = np.repeat(rng.normal(0, 1, (grid.n_slots + 3) // 4), 4)[: grid.n_slots]
        price, carbon = 70 + 60 * peaks + 12 * noise, 320 + 90 * peaks + 25 * noise
        frame = ForecastFrame.from_arrays(grid, "EUR", {"Z": price}, {"Z": carbon}, as_of=FIRST)
        return frame, typical_load(FLEET, grid, seed=self.seed)

    @cached_property
    def work(self) -> tuple[Workload, ...]:
        """Two jobs an hour from half a day before the first midnight on, each with four to sixteen hours of slack."""
        rng = np.random.default_rng([self.seed, 1])
        free = float((SITE.pools[0].count - self.known[1].median(("hall", "h100"))).mean())
        found = []
        for i in range(2 * 24 * (DAYS + 1)):
            at = FIRST + (i // 2 - 12) * HOUR
            hours = self.load * free / 2 * rng.uniform(0.5, 1.5)
            width = int(rng.integers(8, 33))
            slack = float(rng.uniform(4, 16))
            due = at + (hours / width + slack) * HOUR
            if at < FIRST:  # what came before is done in part
                hours *= 1 - (FIRST - at) / (due - at)
                due = max(due, FIRST + (hours / width + 2) * HOUR)
            if due > self.grid.end:
                continue  # beyond what is looked at
            found.append(
                Workload(
                    f"job-{i:03d}",
                    accelerator_hours=round(hours, 2),
                    earliest_start=max(at, FIRST),
                    deadline=due,
                    max_accelerators=width,
                    preemptible=i % 3 != 0,
                    interruptible=not self.whole_jobs or i % 8 != 0,
                    mode="batch",
                )
            )
        return tuple(found)

    @cached_property
    def before(self) -> Plan:
        """The plan that is in force before anything is asked."""
        return plan_cycle(self.inputs(FIRST, None))

    def inputs(self, now: datetime, before: Plan | None) -> CycleInputs:
        """What is known at `now`, with what the plan before has done by then, and with what runs."""
        skip = (now - FIRST) // timedelta(minutes=SLOT_MINUTES)
        grid = SlotGrid(
            FIRST + skip * timedelta(minutes=SLOT_MINUTES), SLOT_MINUTES, self.grid.n_slots - skip
        )
        frame, load = self.known
        price, carbon = frame.price_per_mwh("Z")[skip:], frame.carbon_g_per_kwh("Z")[skip:]
        held = () if before is None else before.allocations
        done = {w.id: _hours(w.id, held, FIRST, now) for w in self.work}
        running = tuple(
            a for a in held if a.start <= now < a.end and not self._by_id[a.workload_id].interruptible
        )
        left = [w for w in self.work if done[w.id] < w.amount - 1e-6]
        return CycleInputs(
            now,
            FLEET,
            ForecastFrame.from_arrays(grid, "EUR", {"Z": price}, {"Z": carbon}, as_of=now),
            RealtimeLoad(grid, {k: {q: v[skip:] for q, v in by.items()} for k, by in load.quantiles.items()}),
            tuple(Submission(w, FIRST, done[w.id]) for w in left),
            announced=None if before is None else Announced.of(before, now),
            pinned=running,
        )

    @cached_property
    def _by_id(self) -> dict[str, Workload]:
        return {w.id: w for w in self.work}

    def asked(self, hour: int, *, usual: bool) -> tuple[CycleInputs, GridEvent]:
        """The event at that hour of the first day, and what is known when it is told.

        The cut is from what the plan in force would draw then; or, of `usual` power, from what it draws on the mean of
        that day, at whatever real-time load there is.
        """
        start = FIRST + hour * HOUR
        baseline = of_plan(self.before, SITE, start, start + CUT)
        if usual:
            mean_kw = float(np.mean([r.import_kw for r in self.before.power if r.start < FIRST + 24 * HOUR]))
            windows = (
                replace(w, import_kw=mean_kw, at_quantile_kw=mean_kw + w.counted_kw - w.import_kw)
                for w in baseline.windows
            )
            baseline = Baseline("given", "mean of the day", tuple(windows))
        event = GridEvent(
            f"cut-{hour}",
            "hall",
            start,
            start + CUT,
            cut_ratio=CUT_RATIO,
            notice_minutes=15,
            frozen_baseline=baseline,
        )
        return self.inputs(start - NOTICE, self.before), event


def _hours(id: str, held: tuple[Allocation, ...], start: datetime, end: datetime) -> float:
    """Accelerator-hours of a workload in `[start, end)`."""
    spans = ((a, max(a.start, start), min(a.end, end)) for a in held if a.workload_id == id)
    return sum(a.accelerators * ((b - f) / HOUR) for a, f, b in spans if f < b)


@dataclass(frozen=True)
class Naive:
    """What stopping all that may be stopped came to, and running it at once afterwards."""

    met: bool
    extra_cost: float
    peak_kw: float
    late_hours: float


def naive(day: Day, inputs: CycleInputs, event: GridEvent, without: Plan) -> Naive:
    """All preemptible work at the site stops in the window; afterwards it runs at once, as wide as it may and as there
    is room beside the plan. What it pays is the energy and carbon that it draws at other times.
    """
    grid = inputs.frame.grid
    kw_each = SITE.pue * SITE.pools[0].dynamic_kw
    edges, n = grid.edges, grid.n_slots
    planned = {w.id: np.zeros(n) for w in day.work}
    for a in without.allocations:
        for i in range(n):
            overlap = min(a.end, edges[i + 1]) - max(a.start, edges[i])
            if overlap > timedelta(0):
                planned[a.workload_id][i] += a.accelerators * (overlap / grid.slot)
    inside = np.array([event.start <= t < event.end for t in edges[:-1]])
    after = np.array([t >= event.end for t in edges[:-1]])
    room = inputs.envelope["hall", "h100"].any_capacity - sum(planned.values())
    moved: dict[str, Floats] = {w.id: planned[w.id].copy() for w in day.work}
    late = 0.0
    for w in sorted((w for w in day.work if w.preemptible), key=lambda w: w.deadline or grid.end):
        moved[w.id][inside] = 0.0
        owed = planned[w.id][inside].sum() * grid.slot_hours
        width = w.max_accelerators or SITE.pools[0].count
        for i in np.flatnonzero(after).tolist():
            more = min(max(0.0, room[i]), width - moved[w.id][i], owed / grid.slot_hours)
            if more > 0:
                moved[w.id][i] += more
                room[i] -= more
                owed -= more * grid.slot_hours
                late += more * grid.slot_hours if edges[i + 1] > (w.deadline or grid.end) else 0.0
        late += owed
    change = sum(moved.values()) - sum(planned.values())
    base = np.array([r.import_kw for r in without.power])
    drawn = base + kw_each * change
    frame = inputs.frame
    per_kwh = frame.price_per_mwh("Z") / 1000 + 80 * frame.carbon_g_per_kwh("Z") / 1e6
    asked = np.array([event.requested_kw(a, b) or 0.0 for a, b in pairwise(edges)])
    baseline = event.frozen_baseline
    assert baseline is not None
    told = np.array([baseline.mean_kw(a, b) or 0.0 for a, b in _inside(edges, event)])
    gained = told - drawn[inside]
    return Naive(
        met=bool((gained >= asked[inside] - 1e-6).all()),
        extra_cost=float((kw_each * change * per_kwh).sum() * grid.slot_hours),
        peak_kw=float(drawn[after][:16].max()),
        late_hours=late,
    )


def _inside(edges: list[datetime], event: GridEvent) -> Iterator[tuple[datetime, datetime]]:
    return ((a, b) for a, b in pairwise(edges) if event.start <= a < event.end)


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each load with its seeds, every hour of the first day but those whose aftermath is not looked at."""
    hours = range(1, 25)
    todo = list(product(LOADS, ASKED, range(1, options.seeds + 1)))
    for load, (of, usual, whole_jobs) in product(LOADS, ASKED):
        quotes: list[GridEventQuote] = []
        others: list[Naive] = []
        for seed in range(1, options.seeds + 1):
            day = Day(seed, load, whole_jobs)
            for hour in hours:
                done = todo.index((load, (of, usual, whole_jobs), seed)) + (hour - 1) / len(hours)
                tell(f"load {load:g}, seed {seed}, {hour}:00", done / len(todo))
                inputs, event = day.asked(hour, usual=usual)
                quoted = Quoted(
                    event,
                    EventPlans(inputs, event.id, lambda given, _: plan_cycle(given)),
                    eased_in_time=False,
                )
                quotes.append(quoted.answer())
                others.append(naive(day, inputs, event, quoted.without))
        yield from _figures(f"load {load:g}, of {of}", quotes, others)


def _figures(name: str, quotes: list[GridEventQuote], others: list[Naive]) -> Iterator[Line]:
    n = len(quotes)
    met = [q for q in quotes if q.met]
    weaker = [q.would_meet.cut_ratio or 0.0 for q in quotes if not q.met and q.would_meet]
    said = f"{len(met)} of {n} events"
    if weaker:
        blocked = sum(bool(q.in_the_way) for q in quotes)
        said += f"; the others could cut {100 * min(weaker):.1f} to {100 * max(weaker):.1f} %; "
        said += f"in {blocked} of them work "
        said += "that runs and may not be interrupted is in the way"
    yield Figure(f"{name}, met in every slot", 100 * len(met) / n, "%", AtLeast(100.0), said, 1)
    touched = sum(not q.realtime_untouched for q in quotes)
    yield Figure(f"{name}, events that touch real-time load", touched, "", AtMost(0.0), f"of {n}", 0)
    late = [p.late_accelerator_hours for q in met for p in q.workloads if not p.deadline_kept]
    said = f"of {sum(len(q.workloads) for q in met)} that move, in {len(met)} events that are met; "
    said += f"{sum(late):,.0f} accelerator-hours in all"
    yield Figure(f"{name}, workloads that miss a deadline by it", len(late), "", AtMost(0.0), said, 0)
    both = [(q, o) for q, o in zip(quotes, others, strict=True) if q.met]
    peaks = [q.with_event.peak_afterwards_kw - q.without.peak_afterwards_kw for q in met]
    then = [o.peak_kw - q.without.peak_afterwards_kw for q, o in both]
    yield _row(f"{name}, ours", [q.extra_cost for q in met], peaks)
    yield _row(f"{name}, stop and run at once", [o.extra_cost for _, o in both], then)
    each = [q.cost_per_kwh_not_drawn for q in met if q.cost_per_kwh_not_drawn is not None]
    yield Figure(
        f"{name}, ours, cost of a kWh not drawn, median", 1000 * float(np.median(each)), "mEUR", digits=1
    )
    said = f"{sum(o.late_hours for o in others):,.0f} accelerator-hours late in {n} events"
    kept = 100 * sum(o.met for o in others) / n
    yield Figure(f"{name}, stop and run at once, met in every slot", kept, "%", None, said, 1)


def _row(name: str, costs: list[float], peaks: list[float]) -> Row:
    return Row(
        name,
        (
            Figure("cost of an event that is met, mean", float(np.mean(costs)), "EUR"),
            Figure("highest", float(np.max(costs)), "EUR"),
            Figure("peak afterwards over that without it, mean", float(np.mean(peaks)), "kW", digits=1),
            Figure("highest peak", float(np.max(peaks)), "kW", digits=1),
        ),
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("demand_response")
