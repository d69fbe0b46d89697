"""Two sources of one signal beside each other: asked at the same moments, about the same slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from forecasts.scores.cases import (
    HOUR_US,
    LONGEST_LEAD_H,
    Cases,
    Known,
    Rule,
    forecasts_of,
    moments,
    standing,
    standing_cases,
)
from forecasts.scores.decision import Job, Settled, by_day, captured, ratio, settle, windows
from forecasts.scores.probabilistic import crps
from forecasts.scores.report import BUCKETS, daily_losses, overlap_days
from forecasts.scores.significance import LEAST_DAYS, DieboldMariano, bootstrap, diebold_mariano
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import Floats
from forecasts.spans import from_us, to_us

SURE = 0.05
"""A difference that chance would make in fewer than one case in twenty is taken for one."""

Better = Literal["first", "second", "neither", "too few"]
"""Who, by more than noise; "too few" where days are too few to say."""


@dataclass(frozen=True)
class Beside:
    """Mean absolute errors of both in the same cases. `skill` of the first over the second is 1 - first / second."""

    from_h: int
    to_h: int
    n: int
    mae_first: float
    mae_second: float
    skill: float | None
    test: DieboldMariano | None
    better: Better
    """Who errs less, where that is more than noise (p < 0.05)."""


@dataclass(frozen=True)
class BandsBeside:
    """Mean CRPS of both over the probabilities that both give on both sides of the median, in the `n` cases of which
    both gave all of these.
    """

    n: int
    crps_first: float
    crps_second: float
    test: DieboldMariano | None
    better: Better
    """Whose is lower, where that is more than noise (p < 0.05)."""


@dataclass(frozen=True)
class Comparison:
    """`first` and `second` in the same `moments` and slots. Captured values are of the same origins; their difference
    (first - second) lies in `captured_low` to `captured_high` with 90 %.
    """

    zone: str
    signal: Signal
    unit: str
    first: str
    second: str
    outcomes_of: str
    start: datetime
    end: datetime
    moments: int
    overall: Beside
    by_lead: tuple[Beside, ...]
    bands: BandsBeside | None
    """None where not both give a band of the same probabilities and slots."""
    job_hours: float
    within_hours: float
    origins: int
    captured_first: float | None
    captured_second: float | None
    captured_low: float | None
    captured_high: float | None
    better_decisions: Better
    """Who captured more, where that is more than noise: the interval leaves out 0."""


def compare(
    first: Sequence[ForecastSeries],
    second: Sequence[ForecastSeries],
    known: Known,
    *,
    job: Job | None = None,
    every_us: int = 6 * HOUR_US,
    rule: Rule = "day",
    seed: int = 0,
) -> Comparison | None:
    """Both at whole multiples of `every_us` at which either has spoken: what stood then of each, of slots of which both
    had said something. None where they share none.
    """
    job = job or Job()
    work, ahead = job.slots(known.grid)
    told = [forecasts_of(s) for s in (first, second)]
    if not all(told):
        return None
    began = max(min(to_us(s.known_at) for s in said) for said in told)
    at = moments(began, to_us(known.grid.end), every_us)
    reach = max(LONGEST_LEAD_H * 60 // known.grid.slot_minutes, ahead)
    stood = [standing(said, known.grid, at, reach) for said in told]
    mine, theirs = _shared(*(standing_cases(s, known, rule=rule) for s in stood))
    if not len(mine):
        return None
    seen = [windows(s, known, ahead, rule=rule) for s in stood]
    usable = seen[0].usable & seen[1].usable
    both = [settle(w.expected, w.actual, w.origin_us, work) for w in (w.take(usable) for w in seen)]
    low, high = _difference(*both, seed=seed)
    starts = known.starts_us()
    return Comparison(
        zone=told[0][0].zone,
        signal=told[0][0].signal,
        unit=told[0][0].unit,
        first=told[0][0].source,
        second=told[1][0].source,
        outcomes_of=known.source,
        start=from_us(int(starts[mine.slot.min()])),
        end=from_us(int(starts[mine.slot.max()]) + known.slot_us),
        moments=len(np.unique(mine.origin_us)),
        overall=_beside(mine, theirs, (0, LONGEST_LEAD_H)),
        by_lead=tuple(
            _beside(mine.take(inside), theirs.take(inside), bucket)
            for bucket in BUCKETS
            if (inside := (mine.lead_h >= bucket[0]) & (mine.lead_h < bucket[1])).any()
        ),
        bands=_bands(mine, theirs),
        job_hours=job.hours,
        within_hours=job.within_hours,
        origins=len(both[0].now),
        captured_first=captured(both[0]),
        captured_second=captured(both[1]),
        captured_low=low,
        captured_high=high,
        better_decisions=_decides(both[0], low, high),
    )


def _shared(a: Cases, b: Cases) -> tuple[Cases, Cases]:
    """The cases of the same moment and slot in both, in the same order."""
    # One number a case; both come moment by moment and slot by slot, so that what is kept stays in the same order.
    keys = [
        np.searchsorted(np.union1d(a.origin_us, b.origin_us), c.origin_us) * a.grid.n_slots + c.slot
        for c in (a, b)
    ]
    return a.take(np.isin(keys[0], keys[1])), b.take(np.isin(keys[1], keys[0]))


def _beside(mine: Cases, theirs: Cases, bucket: tuple[int, int]) -> Beside:
    losses: list[Floats] = [np.abs(c.forecast - c.actual) for c in (mine, theirs)]
    a, b = (float(loss.mean()) for loss in losses)
    test, better = _told_apart(mine, losses)
    return Beside(*bucket, len(mine), a, b, 1 - a / b if b > 0 else None, test, better)


def _bands(mine: Cases, theirs: Cases) -> BandsBeside | None:
    # Over more of them the same distribution has another CRPS; over one, or more on one side, it would be best to lie.
    both_give = sorted(mine.quantiles.keys() & theirs.quantiles.keys())
    shared = [p for p in both_give if any(abs(p - (1 - other)) < 1e-9 for other in both_give)]
    if len(shared) < 2:
        return None
    whole = np.all([np.isfinite(c.quantiles[p]) for c in (mine, theirs) for p in shared], axis=0)
    if not whole.any():
        return None
    both = [c.take(whole) for c in (mine, theirs)]
    losses = [crps({p: c.quantiles[p] for p in shared}, c.actual) for c in both]
    a, b = (float(loss.mean()) for loss in losses)
    return BandsBeside(len(both[0]), a, b, *_told_apart(both[0], losses))


def _told_apart(some: Cases, losses: Sequence[Floats]) -> tuple[DieboldMariano | None, Better]:
    """Whether two losses of the same cases differ, and whose is the lower."""
    test = diebold_mariano(*(daily_losses(some, loss) for loss in losses), overlap_days=overlap_days(some))
    if test is None:
        return None, "too few"
    if test.p_value >= SURE:
        return test, "neither"
    return test, "first" if test.mean_difference < 0 else "second"


def _decides(some: Settled, low: float | None, high: float | None) -> Better:
    """Who captured more, by the interval of the difference."""
    if len(np.unique(some.day)) < LEAST_DAYS:
        return "too few"
    if low is None or high is None or low <= 0 <= high:
        return "neither"
    return "first" if low > 0 else "second"


def _difference(a: Settled, b: Settled, *, seed: int) -> tuple[float | None, float | None]:
    """The 90 % interval of what `a` captured more than `b`, both drawn on the same days."""
    if not len(a.now):
        return None, None
    days = by_day(a.day, b.chosen - a.chosen, a.now - a.best)
    band = bootstrap(days, lambda s: ratio(s[:, 0], s[:, 1]), seed=seed)
    return (None, None) if band is None else band
