"""From vintages to one frame: for every zone, signal and slot, what was known at `as_of`, and who said it.

Pure but for the store it may read. Look-ahead is impossible by construction: series known later than `as_of`
are dropped before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forecasts.errors import InputError
from forecasts.extend import LOOKBACK, MEAN
from forecasts.extend import extend as extend_values
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import CARBON_UNIT, FACTS, PLANNED, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid, as_datetime64, isoformat_z
from forecasts.timeline import Timeline
from forecasts.units import currency_of, price_unit

Preference = Mapping[tuple[str, Signal], Sequence[str]]
"""Sources by zone and signal, the best first; zone "*" stands for every zone without its own entry."""

_WORTH = {
    k: i
    for i, k in enumerate(
        (Kind.ACTUAL, Kind.CLEARED, Kind.FORECAST, Kind.MODEL, Kind.SYNTHETIC, Kind.MISSING)
    )
}


class SeriesStore(Protocol):
    """What is needed of `forecasts.store.ForecastStore`."""

    def as_of(
        self,
        zone: str,
        signal: Signal,
        moment: datetime,
        start: datetime,
        end: datetime,
        *,
        sources: Collection[str] | None = None,
    ) -> tuple[ForecastSeries, ...]:
        """What was known at `moment` about `[start, end)`."""


def frame_from_store(
    store: SeriesStore,
    grid: SlotGrid,
    *,
    as_of: datetime,
    zones: Iterable[str],
    currency: str,
    fx: Mapping[str, float] | None = None,
    preference: Preference | None = None,
    extend: bool = True,
    max_age: timedelta | None = None,
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
    max_age: timedelta | None = None,
) -> ForecastFrame:
    """The frame of `zones` on `grid`, from the series with `known_at <= as_of`.

    At each instant the first source in `preference` speaks that says anything about it, and of that source
    the newest vintage. Sources that are not listed come after those that are: real before synthetic, then the
    one heard of most recently. Each slot is the time-weighted mean over it. Carbon of two bases is never
    mixed: the basis of the source that ranks first is used, and a warning names what was left out.

    `fx`: units of `currency` for one of another, e.g. {"USD": 0.92}. `extend`: fill in what is not published
    (`forecasts.extend`), marked `Kind.MODEL`; values known up to a week before the grid help. `max_age`: warn
    where the newest vintage in use is older; cleared prices do not age.

    Raises InputError for a price in a currency that neither is `currency` nor is in `fx`.
    """
    rules = _Rules(grid, as_of, currency, fx or {}, preference or {}, extend, max_age)
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
    max_age: timedelta | None


@dataclass(frozen=True)
class _Said:
    """Where the value of one slot comes from."""

    kind: Kind = Kind.MISSING
    source: str = ""
    known_at: datetime | None = None
    attribution: str = ""
    licence: str = ""
    restricted: bool = False


_NOBODY = _Said()


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
    grid = rules.grid
    # Whole days back, so that the same time of day is a whole number of slots away.
    before = LOOKBACK // grid.slot
    wide = SlotGrid(grid.start - LOOKBACK, grid.slot_minutes, before + grid.n_slots)
    timeline = Timeline.of(ranked, as_datetime64(wide.start), as_datetime64(wide.end))
    values = wide.average(timeline.start, timeline.end, timeline.values())
    told: dict[tuple[int, ...], _Said] = {}
    said = [_NOBODY] * wide.n_slots
    for i, owners in enumerate(timeline.speakers(wide)):
        if owners and np.isfinite(values[i]):
            said[i] = told.get(owners) or told.setdefault(owners, _who(ranked, owners))
    published = np.isfinite(values[before:])
    if rules.extend:
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
        _quantiles(timeline, grid),
        tuple(s.attribution for s in said),
        tuple(s.licence for s in said),
        tuple(s.restricted for s in said),
    )
    warnings += _warnings(frame, published, rules)
    return frame


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


def _who(ranked: Sequence[ForecastSeries], owners: Sequence[int]) -> _Said:
    """A slot may straddle two vintages: it is worth what the lesser is, and as old as most of it is."""
    parts = [
        _Said(s.kind, s.source, s.known_at, s.attribution, s.licence, s.restricted)
        for s in (ranked[k] for k in owners)
    ]
    return parts[0] if len(parts) == 1 else _together(parts, parts[0].known_at)


def _together(parts: Sequence[_Said], known_at: datetime | None) -> _Said:
    """What was made of several: worth what the least is, under the terms of all."""
    return _Said(
        max((s.kind for s in parts), key=_WORTH.__getitem__),
        "+".join(dict.fromkeys(s.source for s in parts)),
        known_at,
        "; ".join(dict.fromkeys(s.attribution for s in parts if s.attribution)),
        "; ".join(dict.fromkeys(s.licence for s in parts if s.licence)),
        any(s.restricted for s in parts),
    )


def _extended(values: Floats, said: list[_Said], slot: timedelta, before: int) -> tuple[Floats, list[_Said]]:
    """The slots from `before` on filled in; those before them are only looked back at."""
    done = extend_values(values, slot)
    if not done.filled[before:].any():
        return values, said
    known = [said[i] for i in np.flatnonzero(~done.filled)]
    newest = max((s.known_at for s in known if s.known_at is not None), default=None)
    blend = _together(sorted(known, key=lambda s: s.source), newest)
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


def _warnings(frame: SignalFrame, published: NDArray[np.bool_], rules: _Rules) -> list[str]:
    what = f"zone {frame.zone} {frame.signal}"
    n = len(published)
    if frame.missing_slots == n:
        return [f"{what}: no source says anything; all {n} slots are missing."]
    found = []
    silent = int(n - published.sum())
    if silent:
        horizon = "nothing in this window is published"
        if published.any():
            last = rules.grid.start + (int(np.flatnonzero(published)[-1]) + 1) * rules.grid.slot
            horizon = f"published until {isoformat_z(last)}"
        filled = "filled in by our own model" if rules.extend else "missing"
        found.append(f"{what}: {horizon}; {silent} of {n} slots are {filled}.")
    ageing = [k for k, kind in zip(frame.known_at, frame.kind, strict=True) if k and kind not in FACTS]
    if rules.max_age is not None and ageing:
        age = rules.as_of - max(ageing)
        if age > rules.max_age:
            found.append(f"{what}: newest vintage is {_span(age)} old.")
    if frame.synthetic:
        found.append(f"{what}: the values are synthetic, made up for a demonstration.")
    return found


def _span(age: timedelta) -> str:
    """In words a person reads at once: `7 h`, `45 min`, `3 d`.

    >>> _span(timedelta(hours=7, minutes=20))
    '7 h'
    """
    minutes = int(age / timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // (24 * 60)} d"
