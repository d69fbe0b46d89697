"""What is replayed: the vintages of a zone, when they are asked, and what came. See `forecasts.replayed`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from forecasts.assemble import in_currency
from forecasts.errors import InputError
from forecasts.heeded import OWN
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.outcomes import outcomes, rank
from forecasts.scores.cases import Ints, Known, forecasts_of, grid_of, settled
from forecasts.scores.subject import PERSISTS
from forecasts.series import FACTS, PLANNED, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid, floor_to_slot
from forecasts.spans import to_us

REPEATED = {"day": "day before", "week": "week rule"}
"""The past repeated, by the rules of `forecasts.scores.cases`: forecasters that are no sources, as `OWN` are not."""
HOUR = timedelta(hours=1)
LONGEST = timedelta(days=7)
MAX_AGE = timedelta(hours=48)
"""The daemon's, where it is told nothing else."""


@dataclass(frozen=True, eq=False)
class Replay:
    """One signal of one zone, to be asked at `origins`, each on a whole hour, about the `ahead` hours from there on.

    `vintages` are of both signals that are planned by, prices in `currency`; `order` is the sources, the best first.
    `shadow` names those of `sources` that are scored, and otherwise as if they had never spoken. `known` is what came.
    `left_out` names sources of carbon of another basis; `synthetic` says that what was forecast is made up.
    """

    zone: str
    signal: Signal
    unit: str
    basis: Basis | None
    currency: str
    vintages: Sequence[ForecastSeries]
    order: Sequence[str]
    sources: Sequence[str]
    shadow: Sequence[str]
    origins: Sequence[datetime]
    ahead: int
    max_age: timedelta
    known: Known
    synthetic: bool
    left_out: tuple[str, ...] = ()
    rules: Learning = BY_DEFAULT
    """By which what was believed is made."""

    @property
    def origin_us(self) -> Ints:
        """The origins [µs since 1970]."""
        return np.array([to_us(t) for t in self.origins], dtype=np.int64)


def prepare(
    vintages: Iterable[ForecastSeries],
    zone: str,
    signal: Signal,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    back: timedelta = timedelta(days=30),
    every: timedelta = 6 * HOUR,
    ahead: timedelta = LONGEST,
    currency: str = "EUR",
    fx: Mapping[str, float] | None = None,
    order: Sequence[str] = (),
    shadow: Sequence[str] = (),
    outcomes_of: str | None = None,
    max_age: timedelta = MAX_AGE,
) -> Replay | None:
    """The replay of a signal, from all vintages there are; None where nothing of it came.

    `end` is by default when the last outcome was over, `start` so far `back` from it. Where `order` is not empty, of
    other sources only what they measured or cleared is heard. Raises InputError for moments that are no whole hours,
    and for a source that is not there.
    """
    mine = [s for s in vintages if s.zone == zone and s.signal in PLANNED and len(s)]
    mine = [in_currency(s, currency, fx or {}) if s.signal is Signal.PRICE else s for s in mine]
    _check_names(mine, zone, (*order, *shadow, *((outcomes_of,) if outcomes_of else ())))
    if order:
        heard = {*order, *shadow, *((outcomes_of,) if outcomes_of else ())}
        mine = [s for s in mine if s.source in heard or s.kind in FACTS]
    of_signal = {one: _told([s for s in mine if s.signal is one], order) for one in PLANNED}
    told = of_signal[signal]
    judges = [
        s for s in told.heard if (s.source not in shadow if outcomes_of is None else s.source == outcomes_of)
    ]
    judges = [s for s in judges if s.kind in FACTS] or judges
    if not judges:
        return None
    known = _known(judges, grid_of(judges, 60), order)
    came = np.flatnonzero(np.isfinite(known.values))
    if not len(came):
        return None
    end = end or known.grid.edges[int(came[-1]) + 1]
    start = start or max(end - back, _first(told.heard))
    origins, n_ahead = _moments(start, end, every), _whole_hours(ahead, "ahead")
    # Persistence looks back, outcomes reach past the last origin: that far, and no further.
    grid = SlotGrid.covering(
        origins[0] - PERSISTS, origins[-1] + n_ahead * HOUR - (origins[0] - PERSISTS), 60
    )
    names = {s.source for s in forecasts_of(told.heard) if not order or s.source in {*order, *shadow}}
    return Replay(
        zone,
        signal,
        told.heard[0].unit,
        told.heard[0].basis,
        currency,
        [*of_signal[PLANNED[0]].heard, *of_signal[PLANNED[1]].heard],
        tuple(order),
        sorted(names, key=lambda name: rank(name, order)),
        tuple(shadow),
        origins,
        n_ahead,
        max_age,
        _known(judges, grid, order),
        told.synthetic,
        told.left_out,
    )


def _check_names(mine: Sequence[ForecastSeries], zone: str, names: Iterable[str]) -> None:
    there = sorted({s.source for s in mine})
    if taken := OWN.union(REPEATED.values()).intersection(there):
        raise InputError(
            f"a source may not be named {min(taken)!r} here: that is one of what it is compared with.",
            field="source",
            hint="Name it otherwise, as in --forecasts NAME=FILE.",
        )
    for name in names:
        if there and name not in there:
            raise InputError(
                f"{name} says nothing of {zone}.", field="source", hint=f"There are {', '.join(there)}."
            )


@dataclass(frozen=True)
class _Heard:
    """Vintages of one signal and one basis, and who was left out for another."""

    heard: list[ForecastSeries]
    synthetic: bool
    left_out: tuple[str, ...]


def _told(some: list[ForecastSeries], order: Sequence[str]) -> _Heard:
    """What counts of the vintages of one signal. Where all forecasts are made up, they are learnt from like others: it
    is a rehearsal; beside real ones the daemon learns nothing from them, and neither does this.
    """
    if not some:
        return _Heard([], synthetic=False, left_out=())
    basis = min(some, key=lambda s: rank(s.source, order)).basis
    heard = [s for s in some if s.basis is basis]
    left_out = tuple(sorted({s.source for s in some if s.basis is not basis}))
    synthetic = all(s.kind is Kind.SYNTHETIC for s in forecasts_of(heard))
    if synthetic:
        heard = [replace(s, kind=Kind.FORECAST) if s.kind is Kind.SYNTHETIC else s for s in heard]
    return _Heard(heard, synthetic and bool(forecasts_of(heard)), left_out)


def _known(judges: Sequence[ForecastSeries], grid: SlotGrid, order: Sequence[str]) -> Known:
    names = sorted({s.source for s in judges}, key=lambda name: rank(name, order))
    return Known.told(outcomes(judges, grid, order), grid, settled(judges), ", ".join(names))


def _first(heard: Sequence[ForecastSeries]) -> datetime:
    """The first whole hour at which anything was known."""
    first = min(s.known_at for s in heard)
    return floor_to_slot(first + HOUR - timedelta(microseconds=1), 60)


def _moments(start: datetime, end: datetime, every: timedelta) -> list[datetime]:
    if floor_to_slot(start, 60) != start:
        raise InputError(
            f"a replay asks on whole hours, and {start:%H:%M:%S} is none.",
            field="start",
            hint="Start on a whole hour, UTC.",
        )
    hours = _whole_hours(every, "every")
    n = -((start - end) // (hours * HOUR))
    if n < 1:
        raise InputError("it ends before it starts.", field="end", hint="Give a later end.")
    return [start + i * hours * HOUR for i in range(n)]


def _whole_hours(span: timedelta, field: str) -> int:
    hours = span / HOUR
    if hours != round(hours) or hours < 1 or (field == "ahead" and span > LONGEST):
        most = ", at most 7d" if field == "ahead" else ""
        raise InputError(f"{hours:g} h will not do.", field=field, hint=f"Give whole hours{most}.")
    return round(hours)
