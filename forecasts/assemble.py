"""From vintages to one frame: for every zone, signal and slot, what was known at `as_of`, and who said it.

Pure but for the store it may read. Look-ahead is impossible by construction: series known later than `as_of`
are dropped before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forecasts.ageing import MaxAge, budget, by_age, too_old
from forecasts.dependence import correlation, decay_hours
from forecasts.errors import InputError
from forecasts.extend import LOOKBACK, MEAN
from forecasts.extend import extend as extend_values
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.known import Known
from forecasts.mixing import Mixed, in_doubt, mix
from forecasts.outlook import Outlook
from forecasts.provenance import NOBODY, Said, said_by, together
from forecasts.series import CARBON_UNIT, PLANNED, Basis, ForecastSeries, Kind, Signal
from forecasts.shortcomings import shortcomings
from forecasts.slots import Floats, SlotGrid, as_datetime64
from forecasts.timeline import Timeline
from forecasts.units import currency_of, price_unit

Preference = Mapping[tuple[str, Signal], Sequence[str]]
"""Sources by zone and signal, the best first; zone "*" stands for every zone without its own entry."""


class Foresight(Protocol):
    """What is needed of `forecasts.outlooks.Outlooks`."""

    def at(self, zone: str, signal: Signal, moment: datetime) -> Outlook | None:
        """The outlook that holds at `moment`; None where there is none."""


def frame_from_store(
    store: Known,
    grid: SlotGrid,
    *,
    as_of: datetime,
    zones: Iterable[str],
    currency: str,
    fx: Mapping[str, float] | None = None,
    preference: Preference | None = None,
    extend: bool = True,
    max_age: MaxAge = None,
    outlooks: Foresight | None = None,
) -> ForecastFrame:
    """`frame_from_series` on what `store` knew at `as_of`."""
    zones = sorted(set(zones))
    start = grid.start - LOOKBACK
    known = [s for z in zones for signal in PLANNED for s in store.as_of(z, signal, as_of, start, grid.end)]
    return frame_from_series(
        known,
        grid,
        as_of=as_of,
        zones=zones,
        currency=currency,
        fx=fx,
        preference=preference,
        extend=extend,
        max_age=max_age,
        outlooks=outlooks,
    )


def frame_from_series(
    series: Iterable[ForecastSeries],
    grid: SlotGrid,
    *,
    as_of: datetime,
    zones: Iterable[str],
    currency: str,
    fx: Mapping[str, float] | None = None,
    preference: Preference | None = None,
    extend: bool = True,
    max_age: MaxAge = None,
    outlooks: Foresight | None = None,
) -> ForecastFrame:
    """The frame of `zones` on `grid`, from the series with `known_at <= as_of`.

    At each instant the first source in `preference` speaks that says anything about it, and of that source
    the newest vintage. Sources that are not listed come after those that are: real before synthetic, then the
    one heard of most recently. A vintage that is older than `max_age` yields to one that is not, of a source further
    down, with a warning; where nobody is younger it speaks, and a warning says how old it is. Cleared prices do not
    age, and to what is made up nothing real yields. Each slot is the time-weighted mean over it. Carbon of two bases
    is never mixed: the basis of the source that ranks first, however old, is used, and a warning names what was left
    out.

    `fx`: units of `currency` for one of another, e.g. {"USD": 0.92}. `extend`: fill in what is not published
    (`forecasts.extend`), marked `Kind.MODEL`; values known up to a week before the grid help. `outlooks`: what was
    learnt from months (`forecasts.outlook`): it then fills in, weighs sources by their record and gives quantiles, as
    far as it reaches.

    Raises InputError for a price in a currency that neither is `currency` nor is in `fx`.
    """
    rules = _Rules(grid, as_of, currency, fx or {}, preference or {}, extend, max_age, outlooks)
    wanted = sorted(set(zones))
    start, end = as_datetime64(grid.start - LOOKBACK), as_datetime64(grid.end)
    heard: dict[tuple[str, Signal], list[ForecastSeries]] = {(z, s): [] for z in wanted for s in PLANNED}
    for s in series:
        of_use = s.known_at <= as_of and len(s) and s.start[0] < end and s.end[-1] > start
        if of_use and (s.zone, s.signal) in heard:
            heard[s.zone, s.signal].append(s)
    warnings: list[str] = []
    signals = tuple(
        _signal_frame(zone, signal, candidates, rules, warnings)
        for (zone, signal), candidates in heard.items()
    )
    return ForecastFrame(grid, as_of, currency, signals, tuple(warnings))


@dataclass(frozen=True)
class _Rules:
    grid: SlotGrid
    as_of: datetime
    currency: str
    fx: Mapping[str, float]
    preference: Preference
    extend: bool
    max_age: MaxAge
    outlooks: Foresight | None


def _signal_frame(
    zone: str, signal: Signal, candidates: list[ForecastSeries], rules: _Rules, warnings: list[str]
) -> SignalFrame:
    ranked = _ranked(zone, signal, candidates, rules.preference)
    if signal is Signal.PRICE:
        ranked = [in_currency(s, rules.currency, rules.fx) for s in ranked]
        unit, basis = price_unit(rules.currency), None
    else:
        unit = CARBON_UNIT
        basis = _basis(ranked[0]) if ranked else None
        dropped = sorted({s.source for s in ranked if _basis(s) is not basis})
        ranked = [s for s in ranked if _basis(s) is basis]
        if dropped:
            warnings.append(
                f"zone {zone} carbon: {', '.join(dropped)} left out, of another basis than {basis}."
            )
    longest = budget(rules.max_age, zone, signal)
    ranked, yielding = by_age(ranked, rules.grid, rules.as_of, longest)
    warnings += [f"zone {zone} {signal}: {words}" for words in yielding]
    grid = rules.grid
    # Whole days back, so that the same time of day is a whole number of slots away.
    before = LOOKBACK // grid.slot
    wide = SlotGrid(grid.start - LOOKBACK, grid.slot_minutes, before + grid.n_slots)
    timeline = Timeline.of(ranked, as_datetime64(wide.start), as_datetime64(wide.end))
    values = wide.average(timeline.start, timeline.end, timeline.values())
    told: dict[tuple[int, ...], Said] = {}
    said = [NOBODY] * wide.n_slots
    for i, owners in enumerate(timeline.speakers(wide)):
        if owners and np.isfinite(values[i]):
            said[i] = told.get(owners) or told.setdefault(owners, said_by(ranked, owners))
    published = np.isfinite(values[before:])
    quantiles = _quantiles(timeline, grid)
    dependence: tuple[float | None, float | None] = (None, None)
    # Of what was not heard of within a week the terms are not known either: nothing is made of it.
    if rules.extend and ranked:
        outlook = None if rules.outlooks is None else rules.outlooks.at(zone, signal, rules.as_of)
        rate = None if outlook is None or outlook.basis is not basis else _rate(outlook, unit, rules)
        if outlook is not None and rate is not None:
            old = too_old(ranked, rules.as_of, longest)
            mixed = mix(
                outlook,
                wide,
                values,
                said,
                ranked,
                rate=rate,
                yielding=old,
                as_of=rules.as_of,
                longest=longest,
            )
            values, said = mixed.values, _remade(said, mixed, ranked, outlook)
            quantiles = _best_of(mixed.quantiles, quantiles, before, mixed.changed[before:])
            dependence = _dependence(outlook, zone, rules)
            warnings += [f"zone {zone} {signal}: {doubt}." for doubt in in_doubt(mixed)]
        values, said = _extended(values, said, grid.slot, before)
    values, said = values[before:], said[before:]
    frame = SignalFrame(
        zone,
        signal,
        unit,
        basis,
        values,
        tuple(s.kind for s in said),
        tuple(s.source for s in said),
        tuple(s.known_at for s in said),
        quantiles,
        tuple(s.attribution for s in said),
        tuple(s.licence for s in said),
        tuple(s.restricted for s in said),
        *dependence,
    )
    warnings += shortcomings(frame, published, grid, as_of=rules.as_of, longest=longest, filled=rules.extend)
    return frame


def _rate(outlook: Outlook, unit: str, rules: _Rules) -> float | None:
    """What one of the outlook's unit is worth in this one; None where nobody says."""
    return 1.0 if outlook.unit == unit else rules.fx.get(currency_of(outlook.unit))


def _dependence(outlook: Outlook, zone: str, rules: _Rules) -> tuple[float | None, float | None]:
    """How fast the signal's errors fade [h], and of carbon how they go with those of the price."""
    price = None
    if outlook.signal is Signal.CARBON and rules.outlooks is not None:
        price = rules.outlooks.at(zone, Signal.PRICE, rules.as_of)
    if price is None or price.start != outlook.start:  # made at another moment, it tells of other hours
        return decay_hours(outlook.errors), None
    return decay_hours(outlook.errors), correlation(price.errors, outlook.errors)


def _remade(said: list[Said], mixed: Mixed, ranked: Sequence[ForecastSeries], outlook: Outlook) -> list[Said]:
    """Where each value comes from, once it was mixed: under the terms of all that was learnt from, too.

    It is as old as what its first speaker said; where that is mad, as what stands in, or else as the outlook.
    """
    if not mixed.changed.any():
        return said
    heard = [said_by(ranked, (k,)) for k in range(len(ranked))]
    newest = max(s.known_at for s in ranked)
    everyone = together([*sorted(heard, key=lambda s: s.source), outlook.terms], newest)
    told = list(said)
    for i in np.flatnonzero(mixed.changed):
        source, known_at = told[i].source, told[i].known_at
        if told[i].kind is Kind.MISSING:
            known_at = newest
        elif source in mixed.stood_in:
            stands_in = mixed.stood_in[source] if source in mixed.sources[i].split("+") else None
            known_at = stands_in or outlook.start
        told[i] = replace(everyone, kind=mixed.kinds[i], source=mixed.sources[i], known_at=known_at)
    return told


def _best_of(
    learnt: Mapping[float, Floats], told: Mapping[float, Floats], before: int, changed: NDArray[np.bool_]
) -> dict[float, Floats]:
    """Quantiles by what came of it before; a source's own in slots of which too little came yet, and where it speaks
    alone: our errors are not its.
    """
    own = (
        ~changed & np.isfinite(list(told.values())).any(axis=0)
        if told
        else np.zeros(len(changed), dtype=bool)
    )
    found = {p: np.where(own, np.nan, band[before:]) for p, band in learnt.items()}
    found = {p: band for p, band in found.items() if np.isfinite(band).any()}
    # Never of both in one slot: they might cross.
    known = np.isfinite(list(found.values())).any(axis=0) if found else np.False_
    for p, band in told.items():
        found[p] = np.where(known, found.get(p, np.nan), band)
    return {p: band for p, band in sorted(found.items()) if np.isfinite(band).any()}


def _ranked(
    zone: str, signal: Signal, candidates: list[ForecastSeries], preference: Preference
) -> list[ForecastSeries]:
    listed = list(preference.get((zone, signal), preference.get(("*", signal), ())))
    by_source = sorted(candidates, key=lambda s: s.source)
    ranks: list[tuple[tuple[float, ...], str, list[ForecastSeries]]] = []
    for source, of_source in groupby(by_source, key=lambda s: s.source):
        # The newest vintage first; of two known at once, the one issued later, then the one given later.
        newest = sorted(
            of_source, key=lambda s: (s.known_at, s.issued_at is not None, s.issued_at or s.known_at)
        )[::-1]
        place = listed.index(source) if source in listed else len(listed)
        made_up = all(s.kind is Kind.SYNTHETIC for s in newest)
        ranks.append(((place, made_up, -newest[0].known_at.timestamp()), source, newest))
    return [s for _, _, newest in sorted(ranks, key=lambda r: r[:2]) for s in newest]


def _basis(s: ForecastSeries) -> Basis:
    return s.basis or Basis.AVERAGE


def in_currency(s: ForecastSeries, currency: str, fx: Mapping[str, float]) -> ForecastSeries:
    """A price in `currency`. Raises InputError where `fx` says nothing of what one of its own is worth in it."""
    own = currency_of(s.unit, field=s.key)
    if own == currency:
        return s
    rate = fx.get(own)
    if rate is None:
        # The forecast is fine: it is a setting that is missing.
        raise InputError(
            f"{s.key} is priced in {own}, the fleet in {currency}, and no rate is given.",
            field="forecasts.fx",
            hint=f"Set what one {own} is worth in {currency}, as in fx: {{{own}: 1.23}} under forecasts.",
            series=s.key,
        )
    bands = {p: band * rate for p, band in s.quantiles.items()}
    return replace(s, unit=price_unit(currency), values=s.values * rate, quantiles=bands)


def _extended(values: Floats, said: list[Said], slot: timedelta, before: int) -> tuple[Floats, list[Said]]:
    """The slots from `before` on filled in; those before them are only looked back at."""
    done = extend_values(values, slot)
    if not done.filled[before:].any():
        return values, said
    known = [said[i] for i in np.flatnonzero(~done.filled)]
    newest = max((s.known_at for s in known if s.known_at is not None), default=None)
    blend = together(sorted(known, key=lambda s: s.source), newest)
    told = list(said)
    for i in before + np.flatnonzero(done.filled[before:]):
        repeats = done.origin[i] != MEAN
        base, how = (said[done.origin[i]], "day before") if repeats else (blend, "mean")
        # Made up stays made up, however it is repeated.
        kind = Kind.SYNTHETIC if base.kind is Kind.SYNTHETIC else Kind.MODEL
        told[i] = replace(base, kind=kind, source=f"{base.source} ({how})")
    return done.values, told


def _quantiles(timeline: Timeline, grid: SlotGrid) -> dict[float, Floats]:
    """Means of quantiles: a little wider than quantiles of means, where slots are longer than intervals."""
    found = {}
    for p in sorted({p for s in timeline.series for p in s.quantiles}):
        band = grid.average(timeline.start, timeline.end, timeline.values(p))
        if np.isfinite(band).any():
            found[p] = band
    return found
