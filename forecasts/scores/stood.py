"""The figures of what stood at given moments, whoever said it: for replays, where all are asked at the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecasts.scores.cases import (
    Cases,
    Known,
    Rule,
    Standing,
    standing_cases,
)
from forecasts.scores.decision import Job, decision_scores, windows
from forecasts.scores.point import day_ranks, point_scores
from forecasts.scores.probabilistic import band_scores
from forecasts.scores.report import (
    BUCKETS,
    HourPart,
    LeadPart,
    Part,
    SourceScores,
    daily_losses,
    overlap_days,
)
from forecasts.scores.significance import DieboldMariano, diebold_mariano
from forecasts.series import Basis, Signal
from forecasts.slots import Floats
from forecasts.spans import from_us


@dataclass(frozen=True)
class Told:
    """Who is scored, and what of."""

    zone: str
    signal: Signal
    source: str
    unit: str
    basis: Basis | None
    synthetic: bool


def possible_leads_h(stood: Standing, known: Known) -> Floats:
    """The leads [h] of every case there could be at the moments of `stood`, (m,): what availability is a share of."""
    whole = Standing(stood.origin_us, stood.first, np.zeros_like(stood.values), {})
    return standing_cases(whole, known).lead_h


def score_standing(
    stood: Standing,
    known: Known,
    about: Told,
    leads_h: Floats,
    *,
    job: Job | None = None,
    rule: Rule = "day",
    seed: int = 0,
) -> SourceScores | None:
    """The scores of what stood; None where nothing of it can be scored. `leads_h` are those of `possible_leads_h`.

    `vintages` is the number of moments, and `availability` the share of the cases of which something stood. Raises
    InputError for a job that does not fit the grid.
    """
    job = job or Job()
    work, ahead = job.slots(known.grid)
    found = standing_cases(stood, known, rule=rule)
    if not len(found):
        return None
    # A window may be longer than what stood: nothing was said of the rest.
    wide = np.full((len(stood.origin_us), max(ahead, stood.values.shape[1])), np.nan)
    wide[:, : stood.values.shape[1]] = stood.values
    decided = windows(replace(stood, values=wide, quantiles={}), known, ahead, rule=rule)
    starts = known.starts_us()
    return SourceScores(
        zone=about.zone,
        signal=about.signal,
        source=about.source,
        unit=about.unit,
        basis=about.basis,
        outcomes_of=known.source,
        start=from_us(int(starts[found.slot.min()])),
        end=from_us(int(starts[found.slot.max()]) + known.slot_us),
        slot_minutes=known.grid.slot_minutes,
        vintages=len(np.unique(found.origin_us)),
        synthetic=about.synthetic,
        overall=_part(found, len(leads_h)),
        by_lead=_by_lead(found, leads_h),
        by_hour=tuple(HourPart(h, point_scores(found.take(found.hour == h))) for h in range(24)),
        decision=decision_scores(decided, job, work, seed=seed),
        against_persistence=_against_persistence(found),
    )


@dataclass(frozen=True)
class Versus:
    """Mean absolute errors in the `n` cases of which both had said something; `test` None with too few days."""

    n: int
    mae_first: float
    mae_second: float
    test: DieboldMariano | None


def versus(first: Standing, second: Standing, known: Known) -> Versus | None:
    """Two at the same moments, in the cases of which both said something; None where there are none."""
    both = np.isfinite(first.values) & np.isfinite(second.values)
    mine, theirs = (
        standing_cases(replace(s, values=np.where(both, s.values, np.nan), quantiles={}), known)
        for s in (first, second)
    )
    if not len(mine):
        return None
    losses = [np.abs(c.forecast - c.actual) for c in (mine, theirs)]
    days = (daily_losses(mine, loss) for loss in losses)
    return Versus(
        len(mine),
        float(losses[0].mean()),
        float(losses[1].mean()),
        diebold_mariano(*days, overlap_days=overlap_days(mine)),
    )


def _part(some: Cases, possible: int) -> Part:
    point, bands, rho = point_scores(some), band_scores(some), day_ranks(some).rho
    return Part(
        point,
        bands,
        bands.crps if bands.crps is not None else point.mae,
        float(rho.mean()) if len(rho) else None,
        len(some) / possible,
    )


def _by_lead(found: Cases, leads_h: Floats) -> tuple[LeadPart, ...]:
    ranks = day_ranks(found)
    parts = []
    for low, high in BUCKETS:
        some = found.take((found.lead_h >= low) & (found.lead_h < high))
        if len(some):
            whole = _part(some, int(((leads_h >= low) & (leads_h < high)).sum()))
            rho = ranks.rho[(ranks.lead_h >= low) & (ranks.lead_h < high)]
            parts.append(
                LeadPart(
                    whole.point,
                    whole.bands,
                    whole.crps,
                    float(rho.mean()) if len(rho) else None,
                    whole.availability,
                    low,
                    high,
                )
            )
    return tuple(parts)


def _against_persistence(found: Cases) -> DieboldMariano | None:
    both = np.isfinite(found.persistence)
    if not both.any():
        return None
    mine, theirs = (
        daily_losses(found, np.abs(values - found.actual), both)
        for values in (found.forecast, found.persistence)
    )
    return diebold_mariano(mine, theirs, overlap_days=overlap_days(found))
