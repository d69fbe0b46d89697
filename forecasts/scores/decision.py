"""What deciding by a forecast was worth: a job in the slots that it called cheapest, settled at what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.errors import InputError
from forecasts.scores.cases import DAY_US, Ints, Known, Rule, Standing, persistence
from forecasts.scores.significance import bootstrap
from forecasts.slots import Floats, SlotGrid

LEAST_KNOWN = 0.9
"""Slots whose outcome is not known are left out of the choice; a window that lacks more of them is not settled."""
MOST_FILLED = 0.5
"""A forecast that leaves more of a window unsaid did not decide what was done in it."""


@dataclass(frozen=True)
class Job:
    """`hours` of interruptible work within the next `within_hours`."""

    hours: float = 4.0
    within_hours: float = 24.0

    def slots(self, grid: SlotGrid) -> tuple[int, int]:
        """Slots of work, and of the window. Raises InputError where they are not whole, or the work does not fit."""
        k, w = self.hours / grid.slot_hours, self.within_hours / grid.slot_hours
        if k != round(k) or w != round(w) or not 1 <= k < w:
            raise InputError(
                f"{self.hours:g} h of work within {self.within_hours:g} h is no choice among slots of "
                f"{grid.slot_minutes} minutes.",
                field="job",
                hint="Give whole slots, and a window that is longer than the work.",
            )
        return round(k), round(w)


@dataclass(frozen=True, eq=False)
class Windows:
    """The next slots at each origin (m,), each array (m, ahead): what was `expected`, what persistence `repeated`, and
    what came, `actual`. `filled` (m,) is the share of slots of which the forecast said nothing.
    """

    origin_us: Ints
    expected: Floats
    repeated: Floats
    actual: Floats
    filled: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        """The origins at which nearly all that came is known, and the forecast spoke of most of it, (m,)."""
        came = np.isfinite(self.actual)
        whole = [(np.isfinite(w) | ~came).all(axis=1) for w in (self.expected, self.repeated)]
        known = came.mean(axis=1) >= LEAST_KNOWN
        return np.asarray(np.all(whole, axis=0) & known & (self.filled <= MOST_FILLED))

    def take(self, mask: NDArray[np.bool_]) -> Windows:
        """Those origins."""
        return Windows(
            self.origin_us[mask],
            self.expected[mask],
            self.repeated[mask],
            self.actual[mask],
            self.filled[mask],
        )


def windows(stood: Standing, known: Known, ahead: int, *, rule: Rule = "day") -> Windows:
    """The next `ahead` slots at each moment.

    As in a plan, what was decided by then (a cleared price) is expected as it is, and where the forecast says nothing
    the past is repeated.
    """
    slot = stood.slot[:, :ahead]
    inside = (slot >= 0) & (slot < known.grid.n_slots)
    at = np.where(inside, slot, 0)
    origin = np.broadcast_to(stood.origin_us[:, None], slot.shape)
    actual = np.where(inside, known.values[at], np.nan)
    decided = inside & (known.known_us[at] <= origin)
    past = persistence(known, origin.ravel(), at.ravel(), rule=rule).reshape(slot.shape)
    repeated = np.where(decided, actual, np.where(inside, past, np.nan))
    said = np.where(decided, actual, stood.values[:, :ahead])
    silent = np.isnan(said)
    return Windows(stood.origin_us, np.where(silent, repeated, said), repeated, actual, silent.mean(axis=1))


@dataclass(frozen=True, eq=False)
class Settled:
    """What a job cost at each origin, (m,) each, per MWh or kWh of it: begun at once, by a forecast, and by perfect
    foresight; `overlap` the share of the chosen slots that were among the truly cheapest; `day` the UTC day.
    """

    now: Floats
    chosen: Floats
    best: Floats
    overlap: Floats
    day: Ints


def settle(expected: Floats, actual: Floats, origin_us: Ints, work: int) -> Settled:
    """Settle a job of `work` slots at each origin: `expected` and `actual` are its windows (m, ahead).

    It is done in the slots that are expected to be cheapest, the earlier of two that are equal, among those whose
    outcome is known.
    """
    unknown = np.isnan(actual)
    cost = np.where(unknown, np.inf, actual)
    first = np.argsort(unknown, axis=1, kind="stable")[:, :work]
    order = np.argsort(np.where(unknown, np.inf, expected), axis=1, kind="stable")[:, :work]
    now, chosen = (np.take_along_axis(cost, at, axis=1) for at in (first, order))
    best = np.sort(cost, axis=1)[:, :work]
    # Of slots that cost the same either is as good: one is among the best if it is no dearer than the last of them.
    overlap = (chosen <= best[:, -1:]).mean(axis=1)
    return Settled(now.mean(axis=1), chosen.mean(axis=1), best.mean(axis=1), overlap, origin_us // DAY_US)


@dataclass(frozen=True)
class DecisionScores:
    """Over all origins that could be settled; per MWh (money) or per kWh (carbon) of the work.

    `origins` were settled; `left_out` were not: something of their windows is not known, or the forecast spoke of less
    than half. `filled` is the share of slots in which the past was repeated for want of a forecast.

    `captured` = sum(now - chosen) / sum(now - best): 1 is perfect foresight, 0 running at once, below 0 worse;
    None where there was nothing to gain. `captured_low` and `captured_high` hold it with 90 % (block bootstrap over
    days), None with too few days. `regret` = mean(chosen - best), what the forecast's errors cost. `top_overlap` is the
    share of the chosen slots that were among the truly cheapest. `persistence_captured` is what repeating the past
    would have captured at the same origins.
    """

    job_hours: float
    within_hours: float
    origins: int
    left_out: int
    filled: float | None = None
    captured: float | None = None
    captured_low: float | None = None
    captured_high: float | None = None
    regret: float | None = None
    run_now: float | None = None
    chosen: float | None = None
    perfect: float | None = None
    top_overlap: float | None = None
    persistence_captured: float | None = None


def decision_scores(given: Windows, job: Job, work: int, *, seed: int = 0) -> DecisionScores:
    """The scores of a job of `work` slots at every origin that is usable."""
    used = given.take(given.usable)
    m, left = len(used.origin_us), len(given.origin_us) - len(used.origin_us)
    if not m:
        return DecisionScores(job.hours, job.within_hours, 0, left)
    settled, naive = (settle(w, used.actual, used.origin_us, work) for w in (used.expected, used.repeated))
    gain, possible = settled.now - settled.chosen, settled.now - settled.best
    band = bootstrap(by_day(settled.day, gain, possible), lambda s: ratio(s[:, 0], s[:, 1]), seed=seed)
    return DecisionScores(
        job.hours,
        job.within_hours,
        m,
        left,
        float(used.filled.mean()),
        captured(settled),
        None if band is None else band[0],
        None if band is None else band[1],
        float((settled.chosen - settled.best).mean()),
        float(settled.now.mean()),
        float(settled.chosen.mean()),
        float(settled.best.mean()),
        float(settled.overlap.mean()),
        captured(naive),
    )


def captured(settled: Settled) -> float | None:
    """Share of the gap from running at once to perfect foresight; None where there is no gap."""
    possible = float((settled.now - settled.best).sum())
    return float((settled.now - settled.chosen).sum()) / possible if possible > 1e-9 else None


def by_day(day: Ints, *columns: Floats) -> Floats:
    """Sums of each day, in order, (n_days, columns)."""
    _, at = np.unique(day, return_inverse=True)
    return np.stack([np.bincount(at, weights=c) for c in columns], axis=1)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """`top / bottom`, NaN where that is not above zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 1e-9, top / bottom, np.nan)
