"""The forecast of real-time load against what came: how often its quantiles hold, and what they hold back.

A walk through time: every forecast knows what came before it and nothing later, and is judged at every step of the next
48 h by what its slot of 30 min holds. A week of the 18 interactive clients of ServeGen's m-large (those whose day is
like the day before), in three pools and in one: requests a second by 10 minutes, 3 days to begin with. And half a year
of three synthetic pools by 5 minutes: the `typical` day with weekends, holidays, noise that lasts, bursts, growth, a
client that comes for good, and launches that are announced. Peers hold yesterday's load, the last value or the highest
so far, times the factor with which, as is known afterwards, they would have held 99 % of the time. Last, the first two
weeks after a meter came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from benchmarks.figure import AtLeast, Figure, Options, Row, Tell, Within
from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.realtime.announced import AnnouncedLoad, as_if_none, changes
from shifter.realtime.calendar import Calendar
from shifter.realtime.expected import SURE_AFTER_DAYS
from shifter.realtime.forecast import learn
from shifter.realtime.measured import History, step_of
from shifter.realtime.profiles import time_zone, typical_load

ASKED = (0.5, 0.9, 0.99)
STRETCHES_H = (0, 6, 24, 48)
SLOT_MINUTES = 30
INTERACTIVE = 0.5
"""Clients whose load correlates with that of the day before by more than this are real-time load."""
WEEK_START = datetime(2024, 1, 1, tzinfo=UTC)
"""The data do not say which week it was."""
POOLS = 3
FIRST_DAYS = 3
MONTHS_START, MONTHS_DAYS, MONTHS_FIRST_DAYS = datetime(2026, 1, 5, tzinfo=UTC), 180, 30
PLACES = ("DE-LU", "GB", "CAISO-NP15")
TARGET = Within(99.0, 0.5)
YOUNG_DAYS, YOUNG_SINCE, YOUNG_SEEDS = (3, 5, 7, 10, 14), (0, 16, 30), 4
"""Days since a meter came, between which it is judged; and on which days of a course it came."""
PEERS = ("yesterday", "last value", "highest so far")


@dataclass(frozen=True, eq=False)
class Course:
    """A load that is walked through: `values` by step, the step where judging begins, and every how many steps."""

    name: str
    history: History
    calendar: Calendar
    first: int
    every: int
    relearn: int
    announced: tuple[AnnouncedLoad, ...] = ()


@dataclass(frozen=True, eq=False)
class Walk:
    """What came of it: `came` (n_origins, n_steps), NaN beyond the end; and what was said, by probability or peer."""

    came: Floats
    said: Mapping[float, Floats]
    peers: Mapping[str, Floats]
    step_minutes: int


def run(options: Options, tell: Tell) -> Iterator[Figure | Row]:
    """The rows of the week and of the months, each with its peers."""
    week = list(of_week(options.data_folder("llm_servegen_m_large_week1")))
    months = list(of_months(MONTHS_DAYS))
    for part, courses in (("week", week), ("months", months)):
        walks: list[Walk] = []
        for course in courses:
            tell(
                course.name, (len(walks) + (len(week) if part == "months" else 0)) / (len(week) + len(months))
            )
            walks.append(walk(course))
            yield ours(course.name, walks[-1:])
        pools = walks[:POOLS]
        yield ours(f"{part}, mean of the pools", pools, judged=True)
        for peer in PEERS:
            yield beside(f"{part}, {peer}", pools, peer)
        if part == "months":
            yield from by_month(pools)
    tell("first weeks", 0.9)
    yield from first_weeks()


def of_week(folder: Path) -> Iterator[Course]:
    """The clients in three pools, each third by size to one, and all of them in one."""
    clients = pd.read_csv(folder / "client_summary.csv.gz")
    clients = clients[clients["autocorr_24h"] > INTERACTIVE].sort_values("mean_rps", ascending=False)
    rates = pd.read_parquet(folder / "clients_10min.parquet")
    n_steps = 7 * 144
    loads = []
    for client in clients["client"]:
        rows = rates[rates["client"] == client]
        load = np.zeros(n_steps)
        load[rows["t_s"].to_numpy() // 600] = rows["rate_rps"]  # absent is no request
        loads.append(load)
    pools = {f"week, pool {k + 1}": loads[k::POOLS] for k in range(POOLS)} | {"week, as one pool": loads}
    calendar = Calendar.of(ZoneInfo("UTC"))
    for name, of in pools.items():
        history = History(step_of(WEEK_START, 10), np.sum(of, axis=0), 10)
        yield Course(name, history, calendar, FIRST_DAYS * 144, every=6, relearn=6)


def of_months(days: int, seed: int = 1) -> Iterator[Course]:
    """Synthetic pools of 64, one a place."""
    for k, zone in enumerate(PLACES):
        site = Site(zone.lower(), zone, (Pool("h100", "H100", 64),), ("central", "regional", "edge")[k])
        grid = SlotGrid(MONTHS_START, 5, days * 288)
        shape = typical_load(Fleet("EUR", (site,)), grid, seed=seed).median((site.name, "h100"))
        holidays = [(MONTHS_START + timedelta(days=d)).date() for d in range(10, days, 23)]
        calendar = Calendar.of(time_zone(site), holidays)
        launches = tuple(
            AnnouncedLoad("launch", at, at + timedelta(hours=9), factor=1.8)
            for at in (MONTHS_START + timedelta(days=d, hours=7) for d in range(44, days, 33))
        )
        values = _lived(shape, calendar, holidays, launches, np.random.default_rng((seed, k)))
        history = History(step_of(MONTHS_START), values)
        yield Course(
            f"months, {zone}",
            history,
            calendar,
            MONTHS_FIRST_DAYS * 288,
            every=61,  # no factor of a day: all its times come
            relearn=288,
            announced=launches,
        )


def _lived(
    shape: Floats,
    calendar: Calendar,
    holidays: Sequence[date],
    launches: Sequence[AnnouncedLoad],
    chance: np.random.Generator,
) -> Floats:
    n = len(shape)
    first = step_of(MONTHS_START)
    free = np.isin(calendar.places(first, n, 5).day, [(d - date(1970, 1, 1)).days for d in holidays])
    shape = shape * np.where(free, 0.65, 1.0) * np.exp(0.3 * np.arange(n) / n)
    shape = shape + np.where(np.arange(n) > 0.6 * n, 0.25 * shape.mean(), 0.0)
    noise = 0.10 * _waves(n, 24, chance) + 0.06 * _waves(n, 720, chance) + 0.06 * chance.normal(size=n)
    bursts = np.zeros(n)
    for at in np.flatnonzero(chance.random(n) < 1 / 400):
        last = int(chance.integers(2, 12))
        bursts[at : at + last] += chance.exponential(0.25)
    factor, _ = changes(launches, first, n, 5)
    lived: Floats = shape * np.exp(noise) * (1 + bursts) * factor
    return lived


def _waves(n: int, steps: int, chance: np.random.Generator) -> Floats:
    """Noise of size 1 whose correlation is gone after about so many steps."""
    knots = chance.normal(size=n // steps + 3)
    at = np.arange(n) / steps
    low = at.astype(int)
    part = at - low
    waves: Floats = (knots[low] * (1 - part) + knots[low + 1] * part) / np.sqrt((1 - part) ** 2 + part**2)
    return waves


def walk(course: Course) -> Walk:
    """Forecasts all along a course, what came, and what peers would have held without their factor."""
    usual = as_if_none(course.history, course.announced)
    values, minutes = course.history.values, course.history.step_minutes
    n_steps, day = 2 * course.history.steps_a_day, course.history.steps_a_day
    slot = SLOT_MINUTES // minutes
    said: dict[float, list[Floats]] = {p: [] for p in ASKED}
    peers: dict[str, list[Floats]] = {name: [] for name in PEERS}
    came, learnt, learnt_at = [], None, -course.relearn
    for step in range(course.first, len(values) - 1, course.every):
        t = step - step % slot
        if t - learnt_at >= course.relearn:
            learnt, learnt_at = learn(usual.until(usual.first + t), course.calendar), t
        assert learnt is not None
        now = usual.first + t
        recent = History(now - 2 * day, usual.values[t - 2 * day : t], minutes)
        factor, _ = changes(course.announced, now, n_steps, minutes)
        for p, load in learnt.quantiles(recent, now, now, n_steps, ASKED).items():
            said[p].append(_by_slot(load * factor, slot, highest=p > 0.5))
        before = np.resize(values[t - day : t], n_steps)
        peers["yesterday"].append(_by_slot(before, slot))
        peers["last value"].append(np.full(n_steps, values[t - 1]))
        peers["highest so far"].append(np.full(n_steps, values[:t].max()))
        came.append(np.concatenate([values, np.full(n_steps, np.nan)])[t : t + n_steps])
    return Walk(
        np.stack(came),
        {p: np.stack(of) for p, of in said.items()},
        {name: np.stack(of) for name, of in peers.items()},
        minutes,
    )


def _by_slot(load: Floats, slot: int, *, highest: bool = True) -> Floats:
    steps = load.reshape(-1, slot)
    return np.repeat(steps.max(axis=1) if highest else steps.mean(axis=1), slot)


def ours(name: str, walks: Sequence[Walk], *, judged: bool = False) -> Row:
    """How often our quantiles hold, p99 by lead, what that holds back, and the pinball loss at p99."""
    inner = [100 * _mean(_share(w, w.said[p]) for w in walks) for p in (0.9, 0.5)]
    return _row(name, walks, [w.said[0.99] for w in walks], inner, judged=judged)


def beside(name: str, walks: Sequence[Walk], peer: str) -> Row:
    """The same of a peer, with the one factor with which it would have held 99 % of the time over all pools."""
    ratios = [(w.came / np.maximum(w.peers[peer], 1e-9))[np.isfinite(w.came)] for w in walks]
    factor = float(np.quantile(np.concatenate(ratios), 0.99))
    return _row(f"{name} x {factor:.2f}", walks, [factor * w.peers[peer] for w in walks], [None, None])


def _row(
    name: str,
    walks: Sequence[Walk],
    held: Sequence[Floats],
    inner: Sequence[float | None],
    *,
    judged: bool = False,
) -> Row:
    target = TARGET if judged else None
    by_lead = [_shares(w, q) for w, q in zip(walks, held, strict=True)]
    overall = [100 * _share(w, q) for w, q in zip(walks, held, strict=True)]
    pinball = _mean(_pinball(w, q, 0.99) for w, q in zip(walks, held, strict=True))
    worst = f"the worst pool {min(overall):.1f}" if len(walks) > 1 else ""
    ratio = _mean(_held_ratio(w, q) for w, q in zip(walks, held, strict=True))
    return Row(
        name,
        (
            *(
                Figure(f"p99 holds, {low}-{high} h", 100 * _mean(s[i] for s in by_lead), "%", target)
                for i, (low, high) in enumerate(pairwise(STRETCHES_H))
            ),
            Figure("at all leads", _mean(overall), "%", target, worst),
            Figure("p90", inner[0], "%", digits=1),
            Figure("p50", inner[1], "%", digits=1),
            Figure("pinball at p99", 100 * pinball, "% of load"),
            Figure("held", ratio, "of load"),
        ),
    )


def by_month(walks: Sequence[Walk]) -> Iterator[Figure]:
    """Whether calibration lasts."""
    edges = np.linspace(0, min(len(w.came) for w in walks), 6).astype(int)
    for i, (low, high) in enumerate(pairwise(edges)):
        parts = [Walk(w.came[low:high], {}, {}, w.step_minutes) for w in walks]
        held = [_share(part, w.said[0.99][low:high]) for part, w in zip(parts, walks, strict=True)]
        yield Figure(f"months, p99 holds in month {i + 2}", 100 * _mean(held), "%", TARGET)


def first_weeks() -> Iterator[Figure]:
    """How often p99 holds for 48 h ahead after a meter came, without the prior that is held then."""
    held: dict[tuple[int, int], list[float]] = {days: [] for days in pairwise(YOUNG_DAYS)}
    for seed in range(1, YOUNG_SEEDS + 1):
        for course, came in product(of_months(60, seed), YOUNG_SINCE):
            for days, of in held.items():
                of.append(_young(course, came, *days))
    for (first, end), of in held.items():
        target = AtLeast(TARGET.value - TARGET.tolerance) if first >= SURE_AFTER_DAYS else None
        worst = f"the worst of {len(of)} times {100 * min(of):.1f} %"
        yield Figure(
            f"a young meter, p99 holds, days {first + 1} to {end}", 100 * _mean(of), "%", target, worst
        )


def _young(course: Course, came: int, first: int, end: int) -> float:
    """What holds of what is said in days `[first, end)` after day `came` of a course, learnt from these alone."""
    day, known = course.history.steps_a_day, course.history
    part = known.values[came * day : (came + end + 2) * day]
    begun = History(known.first + came * day, part, known.step_minutes)
    w = walk(replace(course, history=begun, first=first * day, every=101, relearn=day // 2))
    n = (end - first) * day // 101
    return _share(replace(w, came=w.came[:n]), w.said[0.99][:n])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _share(w: Walk, held: Floats) -> float:
    return float((w.came <= held)[np.isfinite(w.came)].mean())


def _shares(w: Walk, held: Floats) -> list[float]:
    found = []
    for low, high in pairwise(STRETCHES_H):
        part = slice(low * 60 // w.step_minutes, high * 60 // w.step_minutes)
        found.append(_share(Walk(w.came[:, part], {}, {}, w.step_minutes), held[:, part]))
    return found


def _pinball(w: Walk, held: Floats, p: float) -> float:
    over = w.came - held
    return float(np.nanmean(np.maximum(p * over, (p - 1) * over)) / np.nanmean(w.came))


def _held_ratio(w: Walk, held: Floats) -> float:
    known = np.isfinite(w.came)
    return float(held[known].mean() / w.came[known].mean())


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("load_forecast")
