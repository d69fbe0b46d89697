"""One signal of one zone to be scored: who forecast it, and who says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.errors import InputError
from forecasts.heeded import OWN
from forecasts.scores import stored
from forecasts.scores.cases import HOUR_US, Known, forecasts_of, grid_of
from forecasts.series import FACTS, Basis, ForecastSeries, Signal
from forecasts.slots import SLOT_MINUTES, SlotGrid, floor_to_slot

if TYPE_CHECKING:
    from forecasts.store import ForecastStore
    from forecasts.vintage import VintageInfo

PERSISTS = timedelta(days=14)
"""Outcomes so long before the first forecast are read, too: persistence repeats them."""


@dataclass(frozen=True, eq=False)
class Subject:
    """`forecasts` by source, the oldest vintage first; `known` by source is what it is judged by. `unjudged` names the
    sources of whose slots nobody said what came.
    """

    zone: str
    signal: Signal
    forecasts: Mapping[str, Sequence[ForecastSeries]] = field(default_factory=dict)
    known: Mapping[str, Known] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()


def from_series(
    zone: str,
    signal: Signal,
    told: Mapping[str, Sequence[ForecastSeries]],
    *,
    slot_minutes: int | None = None,
    sources: Collection[str] = (),
    outcomes_of: str | None = None,
) -> Subject:
    """The subject in vintages by source, those of other zones and signals left aside; `sources` narrows who is scored.

    A slot is as long as the intervals of the forecasts, if not given. Raises InputError for a source that says nothing.
    """
    mine = {
        name: [s for s in said if (s.zone, s.signal) == (zone, signal) and len(s)]
        for name, said in told.items()
    }
    mine = {name: said for name, said in mine.items() if said}
    _check_named(mine, zone, signal, (*sources, *((outcomes_of,) if outcomes_of else ())))
    forecasts = {
        n: f for n, said in mine.items() if (not sources or n in sources) and (f := forecasts_of(said))
    }
    if not forecasts:
        return Subject(zone, signal)
    minutes = slot_minutes or min(step_minutes(said) for said in forecasts.values())
    grid = grid_of((s for said in mine.values() for s in said), minutes)
    made: dict[str, Known] = {}

    def outcome(source: str) -> Known:
        return made.setdefault(source, Known.of(mine[source], grid))

    heard = {
        n: _Meaning(said[0].unit, said[0].basis, any(s.kind in FACTS for s in said))
        for n, said in mine.items()
    }
    return _judged(zone, signal, forecasts, heard, outcome, outcomes_of)


def from_store(
    store: ForecastStore,
    zone: str,
    signal: Signal,
    *,
    since: datetime,
    now: datetime,
    slot_minutes: int,
    every_us: int = HOUR_US,
    sources: Collection[str] = (),
    outcomes_of: str | None = None,
) -> Subject:
    """The subject in a store: forecasts known in `[since, now]`, one vintage of each source in each period of
    `every_us`, and the outcomes by `now` from two weeks before. Raises InputError for a source that says nothing.
    """
    infos = stored.heard(store, zone, signal, since - PERSISTS, now)
    _check_named(infos, zone, signal, (*sources, *((outcomes_of,) if outcomes_of else ())))
    forecasts = {}
    for name, known in infos.items():
        recent = [i for i in known if i.known_at >= since]
        if (not sources or name in sources) and (said := stored.forecast_vintages(store, recent, every_us)):
            forecasts[name] = said
    if not forecasts:
        return Subject(zone, signal)
    start = floor_to_slot(since - PERSISTS, slot_minutes)
    grid = SlotGrid.covering(start, now - start, slot_minutes)
    made: dict[str, Known] = {}

    def outcome(source: str) -> Known:
        return made.setdefault(source, stored.known(store, source, infos[source], grid, now))

    heard = {n: _meaning(known) for n, known in infos.items()}
    return _judged(zone, signal, forecasts, heard, outcome, outcomes_of)


def step_minutes(said: Sequence[ForecastSeries]) -> int:
    """The slot length that suits a source: that of its intervals, or the nearest shorter one there is."""
    steps = np.concatenate([(s.end - s.start).astype("timedelta64[m]").astype(int) for s in said])
    step = int(np.median(steps))
    return max((m for m in SLOT_MINUTES if m <= step), default=SLOT_MINUTES[0])


@dataclass(frozen=True)
class _Meaning:
    """What a source's values mean, and whether any of them is a fact."""

    unit: str | None
    basis: Basis | None
    facts: bool


def _meaning(infos: Sequence[VintageInfo]) -> _Meaning:
    return _Meaning(infos[0].unit, infos[0].basis, any(i.kind in FACTS for i in infos))


def _judged(
    zone: str,
    signal: Signal,
    forecasts: Mapping[str, Sequence[ForecastSeries]],
    heard: Mapping[str, _Meaning],
    outcome: Callable[[str], Known],
    outcomes_of: str | None,
) -> Subject:
    """Each source beside the outcomes that it is judged by: those named; else its own facts, else the facts of
    another in the same unit and basis, else its own last word of what was over. What is our own is judged by the last
    word of another, where nobody tells facts.
    """
    known, unjudged = {}, []
    for name in forecasts:
        mine = heard[name]
        others = [n for n, its in heard.items() if n != name and its.facts and _same(its, mine)]
        if outcomes_of is not None:
            _check_same(outcomes_of, heard[outcomes_of], name, mine)
            candidates = [outcomes_of]
        else:
            candidates = [name, *others] if mine.facts else [*others, name]
            if name in OWN:
                # What we made of others' forecasts is not said again once it is over: the others' last word is.
                candidates += [n for n, its in heard.items() if n not in OWN and _same(its, mine)]
        judge = next((k for c in candidates if np.isfinite((k := outcome(c)).values).any()), None)
        if judge is None:
            unjudged.append(name)
        else:
            known[name] = judge
    return Subject(zone, signal, {n: forecasts[n] for n in known}, known, tuple(unjudged))


def _same(a: _Meaning, b: _Meaning) -> bool:
    return (a.unit, a.basis) == (b.unit, b.basis)


def _check_same(judge: str, its: _Meaning, name: str, mine: _Meaning) -> None:
    if not _same(its, mine):
        raise InputError(
            f"{judge} tells it in {its.unit} ({its.basis or 'no basis'}), {name} in {mine.unit} "
            f"({mine.basis or 'no basis'}): one says nothing of the other.",
            field="outcomes",
            hint="Judge by a source of the same unit and basis.",
        )


def _check_named(mine: Mapping[str, object], zone: str, signal: Signal, names: Collection[str]) -> None:
    for name in names:
        if name not in mine:
            raise InputError(
                f"{name} says nothing of the {signal} of {zone}.",
                field="source",
                hint=f"There are {', '.join(sorted(mine))}." if mine else "Nobody does.",
            )
