"""What we make of a zone's signal by ourselves: our models beyond what is published, how far each source is to be
believed at each lead time, and how far outcomes may lie from both.

An outlook is made at a moment from what was known then, and nothing else: it asks the store as of that moment, and of
earlier moments as of those. So it can be made again at any time, and comes out the same.

    outcomes of the past      -> models (`forecasts.models`), blended by day of lead       -> ours
    ours, and what each source said at the same time of the last 60 days, against outcomes -> weights by lead time
    errors of what was combined                                                           -> bands by lead time
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forecasts.blend import blend
from forecasts.calibrate import MIN_ROUNDS, PROBABILITIES, bands, stretches
from forecasts.known import Knowledge
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.models.base import Beside, Question
from forecasts.models.days import HOURS, MAX_HOLE_HOURS, Days, Scale, days_of
from forecasts.models.ensemble import Foreseen, foresee
from forecasts.series import PLANNED, Basis, Signal
from forecasts.slots import Floats
from forecasts.surprise import belief

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HORIZON_DAYS = 8
"""[d] How far past the moment it is made an outlook reaches."""
OURS = "our models"
BESIDE_FRESH = 2 * DAY
"""A zone's other signal that ended longer ago tells nothing of this one."""
MIN_DAYS = 7
"""[d] Less history than this tells nothing of a usual day."""

Answered = Callable[[Question], Foreseen]


@dataclass(frozen=True, eq=False)
class Outlook:
    """Hours `[start + h, start + h + 1)`, every array (n_hours,); values on `scale`, made at `start`.

    `ours` is NaN where the outcome was known already. `weights` by source, and of `OURS`, sum to 1 in each hour; a
    source that is not in it has no record yet. `bands` by probability are what to add to the value; NaN where too
    little is known of errors. `basis` is what its carbon means.
    """

    zone: str
    signal: Signal
    unit: str
    basis: Basis | None
    start: datetime
    scale: Scale
    ours: Floats
    weights: Mapping[str, Floats]
    bands: Mapping[float, Floats]
    models: Mapping[str, Floats]
    """By model, its share of ours in each hour."""
    errors: Floats
    """On the scale, of what was combined in each earlier round in the first two days, (n_rounds, 48), the oldest first;
    NaN where not known."""

    @property
    def n_hours(self) -> int:
        """How far it reaches [h]."""
        return len(self.ours)


def make_outlook(
    knowledge: Knowledge,
    zone: str,
    signal: Signal,
    at: datetime,
    order: Sequence[str] = (),
    rules: Learning = BY_DEFAULT,
    answered: Answered = foresee,
) -> Outlook | None:
    """The outlook made at `at`, on a whole hour; None where there is less than a week of outcomes, or none for a week.

    `order` is of sources, the best first: their outcomes go before those of others. `answered` is what our models make
    of a question.
    """
    record = knowledge.hours(zone, signal, at, order)
    days = None if record is None else days_of(record.end, record.hourly, rules.history_days)
    if record is None or days is None or days.n_days < MIN_DAYS or at - record.end > MAX_HOLE_HOURS * HOUR:
        return None
    horizon_h = HORIZON_DAYS * HOURS
    n_ahead = -(-(horizon_h - _hours(record.end - at)) // HOURS)
    if n_ahead < 1:
        return None
    beside = _beside(knowledge, zone, signal, at, days, n_ahead, order)
    foreseen = answered(Question(days, n_ahead, rules.past_days, beside))
    shift = _hours(record.end - at)
    ours = _moved(foreseen.z, shift, horizon_h)
    past = _moved(foreseen.past, shift, horizon_h)
    came = _moved(foreseen.outcomes, shift, horizon_h)
    told = {
        source: np.where(
            np.isfinite(ours),  # what is over, or cleared, is no forecast
            days.scale.to_z(knowledge.said(zone, signal, source, at, len(past), horizon_h, record.meaning)),
            np.nan,
        )
        for source in record.forecasters
        if rules.weigh_sources
    }
    weights, combined = _weighted(ours, past, came, told)
    errors = came - combined
    offsets = bands(errors, rate=rules.adapt_rate)
    shares = np.repeat(foreseen.weights, HOURS, axis=0)
    return Outlook(
        zone,
        signal,
        record.unit,
        record.basis,
        at,
        days.scale,
        ours,
        weights,
        dict(zip(PROBABILITIES, offsets, strict=True)),
        {name: _moved(shares[:, k], shift, horizon_h) for k, name in enumerate(foreseen.names)},
        errors[:, : 2 * HOURS],
    )


def _weighted(
    ours: Floats, past: Floats, came: Floats, told: Mapping[str, Floats]
) -> tuple[dict[str, Floats], Floats]:
    """The weights of each source and of ours by hour ahead, and what they would have said together in each round.

    `told` by source (n_rounds + 1, n_hours), the last row what is said now. A source with fewer than `MIN_ROUNDS`
    rounds on record is left out.
    """
    n_hours = len(ours)
    with_record = {
        source: said
        for source, said in told.items()
        if (np.isfinite(said[:-1]) & np.isfinite(came)).any(axis=1).sum() >= MIN_ROUNDS
    }
    if not with_record:
        return {OURS: np.ones(n_hours)}, past
    names = [OURS, *with_record]
    members = np.stack([past, *(said[:-1] for said in with_record.values())])
    prior = np.array([1.0, *[1.0] * len(with_record)])
    parts = stretches(n_hours)
    width = max(last - first for first, last in parts)
    taught = blend(_folded(members, parts, width), _folded(came, parts, width), prior)
    combined = _unfolded(taught.combined, parts)
    weights = np.repeat(taught.weights, [last - first for first, last in parts], axis=0).T
    believed = np.array([1.0, *(belief(said, past, came, ours) for said in with_record.values())])
    weights = weights * believed[:, None]
    weights /= weights.sum(axis=0)
    return dict(zip(names, weights, strict=True)), combined


def _folded(values: Floats, parts: Sequence[tuple[int, int]], width: int) -> Floats:
    """Hours (..., n_hours) as stretches (..., n_stretches, width), NaN beyond the end of each."""
    folded = np.full((*values.shape[:-1], len(parts), width), np.nan)
    for k, (first, last) in enumerate(parts):
        folded[..., k, : last - first] = values[..., first:last]
    return folded


def _unfolded(values: Floats, parts: Sequence[tuple[int, int]]) -> Floats:
    """The inverse of `_folded`."""
    return np.concatenate([values[..., k, : last - first] for k, (first, last) in enumerate(parts)], axis=-1)


def _moved(values: Floats, shift: int, n: int) -> Floats:
    """Hours (..., m) that begin `shift` hours after the first of the `n` wanted; NaN where there is none."""
    moved = np.full((*values.shape[:-1], n), np.nan)
    first, last = max(shift, 0), min(shift + values.shape[-1], n)
    moved[..., first:last] = values[..., first - shift : last - shift]
    return moved


def _beside(
    knowledge: Knowledge,
    zone: str,
    signal: Signal,
    at: datetime,
    days: Days,
    n_ahead: int,
    order: Sequence[str],
) -> Beside | None:
    """The zone's other signal beside these days: its outcomes, and beyond them what the first source forecasts."""
    (other,) = (s for s in PLANNED if s is not signal)
    record = knowledge.hours(zone, other, at, order)
    if record is None:
        return None
    first = days.end - days.n_days * DAY
    n = (days.n_days + n_ahead) * HOURS
    hourly = np.full(n, np.nan)
    begin = record.end - len(record.hourly) * HOUR
    _lay(hourly, record.hourly, _hours(begin - first))
    known = record.end
    if record.forecasters:
        horizon_h = HORIZON_DAYS * HOURS
        (said,) = knowledge.said(zone, other, record.forecasters[0], at, 0, horizon_h, record.meaning)
        ahead = said[max(0, _hours(record.end - at)) :]
        holes = np.flatnonzero(~np.isfinite(ahead))
        length = int(holes[0]) if len(holes) else len(ahead)
        _lay(hourly, ahead[:length], _hours(max(record.end, at) - first))
        known = max(record.end, at) + length * HOUR if length else known
    if known < at - BESIDE_FRESH:
        return None
    inside = hourly[np.isfinite(hourly)]
    if len(inside) < MIN_DAYS * HOURS:
        return None
    return Beside(
        Scale.of(inside[-56 * HOURS :]).to_z(hourly), min(_hours(known - days.end), n_ahead * HOURS)
    )


def _lay(into: Floats, values: Floats, at: int) -> None:
    """Write `values` from index `at` on, as far as they fit."""
    first, last = max(at, 0), min(at + len(values), len(into))
    if last > first:
        into[first:last] = values[first - at : last - at]


def _hours(span: timedelta) -> int:
    return span // HOUR
