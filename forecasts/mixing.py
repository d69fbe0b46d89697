"""What is planned by where an outcome is not known yet: what sources say, as far as they are to be believed, and ours.

Where a source with a record speaks, it and our models are combined by their weights at that lead time; where one
without speaks, it alone; where none does, our models. What is known, or made up, stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.models.days import HOURS, Scale
from forecasts.outlook import OURS, Outlook, aged, all_at_once
from forecasts.provenance import Said
from forecasts.series import FACTS, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid
from forecasts.surprise import STANDS_IN_DAYS
from forecasts.timeline import averaged

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEGLIGIBLE = 0.01
"""A share below which a part is not named."""
COMPARABLE = timedelta(hours=8)
"""What a source says later than this after an outlook was made may lie apart from it for good reason. It is more than
there is between two outlooks, with the time that one takes."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """By slot, each (n_slots,): the values; where they are `changed` from what one source says, of whom they are made
    and what they are worth then; and quantiles by probability, NaN where none are known.

    `doubted` are sources that count for less than half of an equal share somewhere they speak: the least share of
    each, and how many hours ahead that is. Those in `stood_in` are mad: what is taken for what they say was known by
    then; None where nothing is.
    """

    values: Floats
    changed: NDArray[np.bool_]
    sources: tuple[str, ...]
    kinds: tuple[Kind, ...]
    quantiles: Mapping[float, Floats]
    doubted: Mapping[str, tuple[float, int]]
    stood_in: Mapping[str, datetime | None]


def mix(
    outlook: Outlook,
    grid: SlotGrid,
    values: Floats,
    told: Sequence[Said],
    series: Sequence[ForecastSeries],
    *,
    rate: float = 1.0,
    yielding: Collection[str] = (),
    as_of: datetime | None = None,
    longest: timedelta | None = None,
) -> Mixed:
    """What becomes of `values` (n_slots,), of which `told` says where they came from, in the light of an outlook.

    `series` are what sources said, in the unit of the values; `rate` is what one of the outlook's currency is worth in
    theirs. Sources that are `yielding` to others, being old, count only where none of those speaks; and so does what
    stands in for a mad one and is older than `longest` at `as_of`, by default when the outlook was made.
    """
    scale = Scale(outlook.scale.median * rate, outlook.scale.spread * rate)
    hour = np.array([(start - outlook.start) // HOUR for start in grid.edges[:-1]])
    at = np.clip(hour, 0, outlook.n_hours - 1)
    facts = np.array([t.kind in FACTS for t in told])
    published = np.array([t.kind is Kind.FORECAST for t in told])
    missing = np.array([t.kind is Kind.MISSING for t in told])
    unknown = (hour >= 0) & (hour < outlook.n_hours) & (published | missing)
    names = [name for name in outlook.weights if name != OURS]
    now = as_of or outlook.start
    stood_in = _stood_in(outlook, scale, series, now)
    came = averaged([s for s in series if s.kind in FACTS], grid)
    speaker = np.array([t.source for t in told])
    # What only forecasts tell of: the shape that they have, believed or not, but for those of the mad.
    shape = (
        came
        if np.isfinite(came).any()
        else np.where(published & ~np.isin(speaker, list(stood_in)), values, np.nan)
    )
    within = _within_the_hour(shape, grid)
    ours = scale.from_z(outlook.ours[at]) + within
    said_now = {
        name: np.where((speaker == name) | (name not in yielding), _told(name, series, grid), np.nan)
        for name in names
        if name not in stood_in
    }
    others = np.any([np.isfinite(said) for said in said_now.values()], axis=0)
    for name, then in stood_in.items():
        is_old = then is not None and longest is not None and now - then > longest
        before = scale.from_z(outlook.voices[name].said[at]) + within
        said_now[name] = np.where((then is None) | (is_old & others), np.nan, before)
    ages_days = {name: outlook.voices[name].age_days for name, then in stood_in.items() if then is not None}
    shares = aged(outlook.weights, ages_days)
    said = scale.to_z(np.stack([*(said_now[name] for name in names), ours]))
    speaks = np.isfinite(said)
    weights = [shares[name][at] for name in (*names, OURS)]
    share = np.where(speaks, np.stack(weights), 0.0)
    # Where no source speaks our models do, however little they count where one does.
    share[-1] = np.where(speaks[-1] & (share[:-1].sum(axis=0) == 0), 1.0, share[-1])
    total = share.sum(axis=0)
    share = share / np.where(total > 0, total, 1.0)
    z = (np.nan_to_num(said) * share).sum(axis=0)
    # A source without a record yet speaks alone: nobody knows how far it is to be believed.
    without_record = published & ~np.isin(speaker, names)
    changed = unknown & ~without_record & (total > 0)
    floor = 0.0 if outlook.signal is Signal.CARBON else -np.inf
    mixed = np.where(changed, np.maximum(scale.from_z(z), floor), values)
    made_of = [
        [name for name, part in zip((*names, OURS), parts, strict=True) if part >= NEGLIGIBLE]
        for parts in share.T
    ]
    quantiles = {
        p: np.where(
            facts,
            values,
            np.where(unknown, np.maximum(scale.from_z(scale.to_z(mixed) + band[at]), floor), np.nan),
        )
        for p, band in outlook.bands.items()
    }
    return Mixed(
        mixed,
        changed,
        tuple("+".join(parts) for parts in made_of),
        tuple(Kind.MODEL if OURS in parts else Kind.FORECAST for parts in made_of),
        quantiles,
        _doubted(names, np.where(speaks & changed, share, np.nan), hour, stood_in),
        stood_in,
    )


def in_doubt(mixed: Mixed) -> list[str]:
    """In words, the sources that are out of their senses, and those that are `doubted`."""
    mad = [
        f"what {name} says now is unlike all it said before; "
        + (f"what it said by {then:%Y-%m-%d %H:%M} UTC stands in" if then else "it counts for nothing")
        for name, then in mixed.stood_in.items()
    ]
    return mad + [
        f"{name} counts for {share:.0%} of what is expected {lead_h} h ahead, by its record"
        for name, (share, lead_h) in mixed.doubted.items()
    ]


def _doubted(
    names: Sequence[str], share: Floats, hour: NDArray[np.int64], mad: Collection[str]
) -> dict[str, tuple[float, int]]:
    """See `Mixed`. `share` (n_names + 1, n_slots) with ours last, NaN where one does not speak of what is unknown. The
    mad are told of by themselves.
    """
    equal = 1 / np.maximum(np.isfinite(share).sum(axis=0), 1)
    found = {}
    for name, mine in zip(names, share, strict=False):
        if name not in mad and (mine < 0.5 * equal).any():
            least = int(np.nanargmin(mine / equal))
            found[name] = float(mine[least]), int(hour[least])
    return found


def _stood_in(
    outlook: Outlook, scale: Scale, series: Sequence[ForecastSeries], now: datetime
) -> dict[str, datetime | None]:
    """See `Mixed`: the sources that are out of their senses by what they say now. Since the outlook was made one may
    have gone mad, or come to itself.
    """
    grid = SlotGrid(outlook.start, 60, outlook.n_hours)
    mad: dict[str, bool] = {}
    for name, voice in outlook.voices.items():
        said = scale.to_z(_told(name, series, grid))
        if np.isfinite(said).any():
            newest = max(s.known_at for s in series if s.source == name)
            is_comparable = voice.age_days != 0 or newest <= outlook.start + COMPARABLE
            mad[name] = is_comparable and voice.is_mad(said, outlook.ours)
    if all_at_once(mad.values()):
        return {}
    return {name: _known_by(outlook, name, now) for name, is_mad in mad.items() if is_mad}


def _known_by(outlook: Outlook, name: str, now: datetime) -> datetime | None:
    """When at the latest that was known which stands in for a source; None where that is nothing, or too old by now."""
    voice = outlook.voices[name]
    if voice.age_days is None or not np.isfinite(voice.said).any():
        return None
    then = outlook.start - voice.age_days * DAY
    return then if now - then <= STANDS_IN_DAYS * DAY + COMPARABLE else None


def _told(name: str, series: Sequence[ForecastSeries], grid: SlotGrid) -> Floats:
    return averaged([s for s in series if s.source == name and s.kind not in FACTS], grid)


def _within_the_hour(known: Floats, grid: SlotGrid) -> Floats:
    """How slots usually differ from the mean of their hour, by the time of day, (n_slots,): our models know hours only.

    `known` (n_slots,), NaN where not.
    """
    per_hour = 60 // grid.slot_minutes
    usual = np.zeros(len(known))
    if per_hour == 1:
        return usual
    first = -grid.start.minute % 60 // grid.slot_minutes  # slots before the first whole hour
    n_hours = max(0, len(known) - first) // per_hour
    hours = known[first : first + n_hours * per_hour].reshape(-1, per_hour)
    apart = np.full(len(known), np.nan)
    apart[first : first + hours.size] = (hours - hours.mean(axis=1, keepdims=True)).ravel()
    per_day = HOURS * per_hour
    for t in range(min(per_day, len(apart))):
        days = apart[t::per_day]
        if np.isfinite(days).any():
            usual[t::per_day] = np.nanmean(days)
    return usual
