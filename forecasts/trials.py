"""Rules on trial: the moments at which they are replayed, cut in two parts, and what they lose at each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from forecasts.errors import InputError
from forecasts.replay import HOUR, Replay, prepare
from forecasts.replayed import Belief, planned
from forecasts.scores.cases import DAY_US, standing_cases
from forecasts.scores.decision import Job, Windows, by_day, captured, ratio, settle, windows
from forecasts.scores.probabilistic import crps
from forecasts.scores.significance import LEAST_DAYS, bootstrap
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import Floats

CHOOSES = 2 / 3
"""Share of the moments that choose."""


@dataclass(frozen=True, eq=False)
class Parts:
    """One signal of one zone: moments that choose, at which nothing is known of the time that judges; and that."""

    choosing: Replay
    judging: Replay


def divide(
    vintages: Sequence[ForecastSeries],
    wanted: Iterable[tuple[str, Signal]],
    *,
    chooses: float = CHOOSES,
    **how: Any,
) -> list[Parts]:
    """The parts of each zone and signal that can be replayed, all cut at one midnight; `how` is that of `prepare`.

    Raises what `prepare` raises, and InputError where either part has fewer than two weeks.
    """
    found = (prepare(vintages, zone, signal, **_of_zone(vintages, zone, how)) for zone, signal in wanted)
    whole = [replay for replay in found if replay is not None]
    if not whole:
        return []
    moments = sorted(t for r in whole for t in r.origins)
    cut = moments[min(round(chooses * len(moments)), len(moments) - 1)].replace(hour=0)
    days = [{t.date() for r in whole for t in r.origins if (t >= cut) is later} for later in (False, True)]
    if min(len(of) for of in days) < LEAST_DAYS:
        raise InputError(
            f"{len(days[0])} days would choose and {len(days[1])} judge, and it takes {LEAST_DAYS} of each.",
            field="start",
            hint="Start earlier, or end later: luck is told from merit only over weeks.",
        )
    return [parts for r in whole if (parts := _parts(vintages, r, cut, how)) is not None]


def _parts(
    vintages: Sequence[ForecastSeries], whole: Replay, cut: datetime, how: Mapping[str, Any]
) -> Parts | None:
    """A replay in two; None where one of them would be empty."""
    before, after = ([t for t in whole.origins if (t >= cut) is later] for later in (False, True))
    if not before or not after:
        return None
    known = [s for s in vintages if s.known_at <= cut]
    choosing, judging = _between(known, whole, before, how), _between(vintages, whole, after, how)
    return None if choosing is None or judging is None else Parts(choosing, judging)


def _between(
    told: Sequence[ForecastSeries], whole: Replay, origins: Sequence[datetime], how: Mapping[str, Any]
) -> Replay | None:
    span = {"start": origins[0], "end": origins[-1] + HOUR}
    return prepare(told, whole.zone, whole.signal, **{**_of_zone(told, whole.zone, how), **span})


def _of_zone(told: Sequence[ForecastSeries], zone: str, how: Mapping[str, Any]) -> Mapping[str, Any]:
    """`how`, its sources being those that said something of the zone."""
    there = {s.source for s in told if s.zone == zone}
    return {**how, **{key: [n for n in how.get(key, ()) if n in there] for key in ("order", "shadow")}}


@dataclass(frozen=True, eq=False)
class Lost:
    """What was lost in a replay: the CRPS of each case [its unit], (n_origins, ahead), NaN where there is none; and
    what a job met there.
    """

    crps: Floats
    met: Windows


def lost(replay: Replay, believed: Sequence[Belief], job: Job) -> Lost:
    """From what was believed; what had no quantiles is scored by its absolute error, which is its CRPS."""
    stood = planned(replay, believed)
    cases = standing_cases(stood, replay.known)
    loss = np.abs(cases.forecast - cases.actual)
    if cases.quantiles:
        banded = np.all([np.isfinite(q) for q in cases.quantiles.values()], axis=0)
        loss[banded] = crps({p: q[banded] for p, q in cases.quantiles.items()}, cases.actual[banded])
    found = np.full(stood.values.shape, np.nan)
    row = np.searchsorted(stood.origin_us, cases.origin_us)
    found[row, cases.slot - stood.first[row]] = loss
    _, within = job.slots(replay.known.grid)
    wide = np.full((len(found), max(within, replay.ahead)), np.nan)
    wide[:, : replay.ahead] = stood.values
    return Lost(found, windows(replace(stood, values=wide, quantiles={}), replay.known, within))


@dataclass(frozen=True, eq=False)
class Pair:
    """Other rules beside those in force in one replay, in the cases of which both spoke."""

    replay: Replay
    other: Lost
    present: Lost

    def __post_init__(self) -> None:
        if not self._both.any():
            r = self.replay
            raise InputError(
                f"nothing came of the {r.signal} of {r.zone} that was forecast from {r.origins[0]:%Y-%m-%d} to "
                f"{r.origins[-1]:%Y-%m-%d}.",
                field="start",
                hint="Choose a time of which forecasts and outcomes are known throughout.",
            )

    @property
    def _both(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.isfinite(self.other.crps) & np.isfinite(self.present.crps)

    @property
    def days(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The days of which there are cases [days since 1970], (n_days,)."""
        return np.unique(self.replay.origin_us[self._both.any(axis=1)] // DAY_US)

    @property
    def daily(self) -> Floats:
        """Mean CRPS of each day of issue, of the other and of those in force, (n_days, 2)."""
        both = self._both
        used = both.any(axis=1)
        sums = [np.where(both, one.crps, 0.0).sum(axis=1)[used] for one in (self.other, self.present)]
        total = by_day(self.replay.origin_us[used] // DAY_US, *sums, both.sum(axis=1)[used].astype(float))
        return total[:, :2] / total[:, 2:]

    def captured(self, job: Job, *, seed: int = 0) -> Captured:
        """What a job that decides by each captured, at the moments at which both could decide."""
        work, _ = job.slots(self.replay.known.grid)
        usable = self.other.met.usable & self.present.met.usable
        other, present = (
            settle(w.expected, w.actual, w.origin_us, work)
            for w in (one.met.take(usable) for one in (self.other, self.present))
        )
        days = by_day(other.day, present.chosen - other.chosen, other.now - other.best)
        band = bootstrap(days, lambda sums: ratio(sums[:, 0], sums[:, 1]), seed=seed)
        return Captured(captured(other), captured(present), *(band or (None, None)))


@dataclass(frozen=True)
class Captured:
    """Shares of what perfect foresight saves a job; `other` lies `low` to `high` above `present` with 90 %."""

    other: float | None
    present: float | None
    low: float | None
    high: float | None

    @property
    def is_worse(self) -> bool:
        """Whether the other captures less, by more than noise."""
        return self.high is not None and self.high < 0


def daily_losses(pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """What other rules lose each day, and those in force, (n_days,) each: the mean over the replays that speak of it,
    of each as a share of what the rules in force lose in it a day.
    """
    days = np.unique(np.concatenate([p.days for p in pairs]))
    shares = np.full((len(pairs), len(days), 2), np.nan)
    for share, p in zip(shares, pairs, strict=True):
        daily = p.daily
        share[np.searchsorted(days, p.days)] = daily / (daily[:, 1].mean() or 1.0)
    mean = np.nanmean(shares, axis=0)
    return mean[:, 0], mean[:, 1]


def overlap_days(pairs: Sequence[Pair]) -> int:
    """Over how many days what is said on one of them reaches."""
    return max(-(-p.replay.ahead // 24) for p in pairs)
