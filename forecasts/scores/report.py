"""The figures of one source: all of it, by lead time and by hour of the day, and what deciding by it was worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np

from forecasts.scores.cases import (
    DAY_US,
    HOUR_US,
    Cases,
    Ints,
    Known,
    Rule,
    Span,
    cases,
    first_known,
    forecasts_of,
    standing,
    thinned,
)
from forecasts.scores.decision import DecisionScores, Job, decision_scores, windows
from forecasts.scores.point import PointScores, day_ranks, point_scores
from forecasts.scores.probabilistic import BandScores, band_scores
from forecasts.scores.significance import DieboldMariano, diebold_mariano
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, isoformat_z
from forecasts.spans import from_us, time_us, to_us

BUCKETS = ((0, 1), (1, 6), (6, 12), (12, 24), (24, 48), (48, 72), (72, 168))
"""Lead times that are scored together, `[from, to)` hours from when it was known to the slot's start."""


@dataclass(frozen=True)
class Part:
    """The scores of cases that belong together.

    `crps` is the mean absolute error where the forecast has no quantiles: that is its CRPS. `rank_correlation` is the
    mean over vintages and UTC days (by lead: of the days whose mean lead lies in it). `availability` is the share of
    slots of which something had been said by the bucket's shorter end.
    """

    point: PointScores
    bands: BandScores
    crps: float | None
    rank_correlation: float | None
    availability: float | None = None


@dataclass(frozen=True)
class LeadPart(Part):
    """Of the leads `[from_h, to_h)`."""

    from_h: int = 0
    to_h: int = 0


@dataclass(frozen=True)
class HourPart:
    """Of the slots that begin in one hour of the day, UTC."""

    hour: int
    point: PointScores


@dataclass(frozen=True)
class SourceScores:
    """How good one source's forecasts of one signal of one zone were, of slots in `[start, end)`."""

    zone: str
    signal: Signal
    source: str
    unit: str
    basis: Basis | None
    outcomes_of: str
    start: datetime
    end: datetime
    slot_minutes: int
    vintages: int
    synthetic: bool
    overall: Part
    by_lead: tuple[LeadPart, ...]
    by_hour: tuple[HourPart, ...]
    decision: DecisionScores
    against_persistence: DieboldMariano | None
    """Of daily mean absolute errors, the forecast first; None with too few days."""


def score(
    vintages: Sequence[ForecastSeries],
    known: Known,
    *,
    job: Job | None = None,
    rule: Rule = "day",
    every_us: int | None = None,
    seed: int = 0,
) -> SourceScores | None:
    """The scores of the forecasts among the `vintages` of one series; None where nothing of them can be scored.

    `every_us` keeps one vintage in each period so long. Raises InputError for a job that does not fit the grid.
    """
    said = forecasts_of(vintages)
    job = job or Job()
    work, ahead = job.slots(known.grid)
    used = thinned(said, every_us) if every_us else said
    found = cases(used, known, rule=rule)
    if not len(found):
        return None
    starts = known.starts_us()
    first = int(starts[found.slot.min()])
    last = int(starts[found.slot.max()]) + known.slot_us
    return SourceScores(
        zone=said[0].zone,
        signal=said[0].signal,
        source=said[0].source,
        unit=said[0].unit,
        basis=said[0].basis,
        outcomes_of=known.source,
        start=from_us(first),
        end=from_us(last),
        slot_minutes=known.grid.slot_minutes,
        vintages=len({s.known_at for s in used}),
        synthetic=any(s.kind is Kind.SYNTHETIC for s in said),
        overall=_part(found),
        by_lead=_by_lead(found, said, known),
        by_hour=tuple(HourPart(h, point_scores(found.take(found.hour == h))) for h in range(24)),
        decision=_decision(used, known, job, work, ahead, rule=rule, seed=seed),
        against_persistence=_against_persistence(found),
    )


def _part(some: Cases) -> Part:
    point, bands = point_scores(some), band_scores(some)
    rho = day_ranks(some).rho
    crps = bands.crps if bands.crps is not None else point.mae
    return Part(point, bands, crps, float(rho.mean()) if len(rho) else None)


def _by_lead(found: Cases, said: Sequence[ForecastSeries], known: Known) -> tuple[LeadPart, ...]:
    ranks = day_ranks(found)
    reach = _said_first(said, known)
    parts = []
    for low, high in BUCKETS:
        some = found.take((found.lead_h >= low) & (found.lead_h < high))
        if not len(some):
            continue
        point, bands = point_scores(some), band_scores(some)
        rho = ranks.rho[(ranks.lead_h >= low) & (ranks.lead_h < high)]
        parts.append(
            LeadPart(
                point,
                bands,
                bands.crps if bands.crps is not None else point.mae,
                float(rho.mean()) if len(rho) else None,
                _availability(reach, known, low),
                low,
                high,
            )
        )
    return tuple(parts)


def _said_first(said: Sequence[ForecastSeries], known: Known) -> Ints:
    """When each slot was first spoken of, (n_slots,)."""
    spans = (Span(to_us(s.known_at), time_us(s.start[0]), time_us(s.end[-1])) for s in said)
    return first_known(known.grid, spans)


def _availability(first_us: Ints, known: Known, lead_h: int) -> float | None:
    """Of the slots with an outcome that could have been foretold so early: the share that was."""
    starts = known.starts_us()
    asked = starts - lead_h * HOUR_US
    began = first_us.min()
    could = np.isfinite(known.values) & (asked >= began) & (known.known_us > asked)
    return float((first_us[could] <= asked[could]).mean()) if could.any() else None


def origins_of(vintages: Sequence[ForecastSeries]) -> Ints:
    """The moments at which something new was known, sorted [µs since 1970]."""
    return np.unique(np.array([to_us(s.known_at) for s in vintages], dtype=np.int64))


def _decision(
    said: Sequence[ForecastSeries], known: Known, job: Job, work: int, ahead: int, *, rule: Rule, seed: int
) -> DecisionScores:
    stood = standing(said, known.grid, origins_of(said), ahead)
    return decision_scores(windows(stood, known, ahead, rule=rule), job, work, seed=seed)


def _against_persistence(found: Cases) -> DieboldMariano | None:
    both = np.isfinite(found.persistence)
    mine = daily_losses(found, np.abs(found.forecast - found.actual), both)
    theirs = daily_losses(found, np.abs(found.persistence - found.actual), both)
    return diebold_mariano(mine, theirs, overlap_days=overlap_days(found))


def daily_losses(
    some: Cases, loss: Floats, keep: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
) -> Floats:
    """Mean loss of the cases of each UTC day of issue, in order, (n_days,)."""
    mask = np.ones(len(some), dtype=bool) if keep is None else keep
    _, at = np.unique(some.origin_us[mask] // DAY_US, return_inverse=True)
    return np.bincount(at, weights=loss[mask]) / np.bincount(at)


def overlap_days(some: Cases) -> int:
    """How many days' forecasts speak of the same slots: the longest lead in days, at most a week."""
    return int(np.ceil(min(float(some.lead_h.max(initial=0.0)) + 1e-9, 168.0) / 24)) or 1


def to_dict(value: Any) -> Any:
    """Scores as plain JSON values: times end in Z, and what is not finite is null."""
    if hasattr(value, "__dataclass_fields__"):
        return to_dict(asdict(value))
    if isinstance(value, dict):
        return {str(k): to_dict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_dict(v) for v in value]
    if isinstance(value, datetime):
        return isoformat_z(value)
    if isinstance(value, Enum):
        return value.value
    return None if isinstance(value, float) and not np.isfinite(value) else value
