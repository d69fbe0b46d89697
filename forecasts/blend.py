"""Several forecasts of one thing, weighted by how well each has done: Bernstein online aggregation.

Forecasts are combined with weights that change after every outcome (BOA; Wintenberger 2017, "Optimal learning with
Bernstein online aggregation", Machine Learning 106). With the absolute loss, made linear at the combination itself,

    r_k = sum_j w_j l_j - l_k,   l_k = sign(combined - outcome) * forecast_k
    w_k  proportional to  prior_k * eta_k * exp(eta_k * sum (r_k - eta_k r_k^2))
    eta_k = min(1 / (2 max |r_k|), sqrt(log K / sum r_k^2))

whatever the forecasts and outcomes are, the mean loss after T rounds exceeds that of the best fixed convex combination,
and so of the best single one, by O(sqrt(log K / T)) of the size of r, and by O(log K / T) where one is clearly the
best. No setting is to be tuned. Each lead time learns on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats


@dataclass(frozen=True, eq=False)
class Blended:
    """`weights` (n_leads, n_members) as they are after the last outcome, each row summing to 1; `combined` (n_rounds,
    n_leads, n_hours), what was said in each round with the weights of before it.
    """

    weights: Floats
    combined: Floats


def blend(members: Floats, outcomes: Floats, prior: Floats, delays: Sequence[int] | None = None) -> Blended:
    """The weights that outcomes teach.

    `members` (n_members, n_rounds, n_leads, n_hours), the rounds in the order of time; `outcomes` (n_rounds, n_leads,
    n_hours); `prior` (n_members,) of positive weights. All on a scale on which an error of one is an ordinary one. NaN
    is what a member did not say: it then takes no part, and its share goes to the others; and what is not known yet.
    `delays` (n_leads,) is after how many rounds an outcome is known, at least 1, which it is by default: what was said
    in a round was weighted by those that were known then.
    """
    n_members, n_rounds, n_leads, _ = members.shape
    start = np.broadcast_to(prior / prior.sum(), (n_leads, n_members))
    gain, square, largest = (np.zeros((n_leads, n_members)) for _ in range(3))
    combined = np.full(outcomes.shape, np.nan)
    taught = [start.copy()]  # after each round
    delay = np.ones(n_leads, dtype=np.int64) if delays is None else np.asarray(delays)
    for t in range(n_rounds):
        said, came = members[:, t], outcomes[t]
        speaks = np.isfinite(said)
        known = np.stack([taught[max(0, t + 1 - late)][lead] for lead, late in enumerate(delay.tolist())])
        combined[t] = combine(said, known)
        away = np.sign(combined[t] - came)
        scored = speaks & np.isfinite(away)
        # A member that is silent has the loss of the combination: it neither gains nor loses.
        loss = np.where(scored, away * (said - combined[t]), 0.0)
        hours = np.maximum(np.isfinite(away).sum(axis=-1), 1)
        regret = -(loss.sum(axis=-1) / hours).T
        largest = np.maximum(largest, np.abs(regret))
        square += regret**2
        with np.errstate(divide="ignore", over="ignore"):
            eta = np.minimum(1 / (2 * largest), np.sqrt(np.log(max(n_members, 2)) / square))
        eta = np.where(np.isfinite(eta), eta, 0.0)
        gain += regret - eta * regret**2
        taught.append(_normalised(start, eta, eta * gain))
    return Blended(taught[-1], combined)


def _normalised(prior: Floats, eta: Floats, exponent: Floats) -> Floats:
    # Until a member has met an outcome its rate is not known: that of the others then is.
    rate = np.where(eta > 0, eta, np.where(eta > 0, eta, 0).max(axis=1, keepdims=True))
    rate = np.where(rate > 0, rate, 1.0)
    raw = prior * rate * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    normalised: Floats = raw / raw.sum(axis=1, keepdims=True)
    return normalised


def combine(members: Floats, weights: Floats) -> Floats:
    """The weighted mean of those that speak: `members` (n_members, n_leads, n_hours), `weights` (n_leads, n_members).

    NaN where none does.
    """
    speaks = np.isfinite(members)
    share = np.where(speaks, weights.T[:, :, None], 0.0)
    total = share.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = (np.where(speaks, members, 0.0) * share).sum(axis=0) / total
    return mean
