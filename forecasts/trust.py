"""Forecasts believed as far as their skill reaches: shrunk towards the usual day where it is known to be small.

    value = skill * forecast + (1 - skill) * reference

`skill` in 0..1 is the slope of the regression of outcomes on forecasts, both less the reference (Mincer and Zarnowitz
1969): 1 where the forecast is as good as it sounds, 0 where it tells no more than the reference. The reference is
what the horizon itself says of the usual day: the mean of the values at the same time of day where the horizon holds
every time of day twice, else the mean of all. Quantiles move with the value, so a band keeps its width. What is
cleared is a fact and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import FACTS, Kind, Signal
from forecasts.slots import Floats, SlotGrid

EVERY_ZONE = "*"
DISCOUNTED = "(discounted)"
"""Added to the source of a value that is not as its source said it."""


@dataclass(frozen=True)
class Skill:
    """The skill [0..1] of forecasts of a signal at one lead time [h]; `source` None is whoever tells."""

    zone: str
    signal: Signal
    source: str | None
    lead_hours: float
    skill_ratio: float


def discounted(frame: ForecastFrame, skills: Sequence[Skill]) -> ForecastFrame:
    """The frame as far as it is believed; itself where nothing is discounted.

    Between two lead times the skill is linear, outside them held. A value's lead time runs from when it was known to
    its slot's start. A row for the zone goes before one for every zone, one for the source before one for whoever
    tells.
    """
    if not skills:
        return frame
    made = [_discounted(s, frame.grid, skills) for s in frame.signals]
    warnings = [said for _, said in made if said]
    return replace(frame, signals=tuple(signal for signal, _ in made), warnings=(*frame.warnings, *warnings))


def _discounted(s: SignalFrame, grid: SlotGrid, skills: Sequence[Skill]) -> tuple[SignalFrame, str]:
    skill = _skill_of(s, grid, skills)
    fixed = np.array([kind in FACTS or kind is Kind.MISSING for kind in s.kind])
    skill[fixed] = 1.0
    touched = skill < 1
    if not touched.any():
        return s, ""
    shift = np.where(touched, (1 - skill) * (reference(s.values, grid.slot) - s.values), 0.0)
    marked = replace(
        s,
        values=s.values + shift,
        quantiles={p: band + shift for p, band in s.quantiles.items()},
        kind=tuple(_ours(k) if t else k for k, t in zip(s.kind, touched, strict=True)),
        source=tuple(f"{who} {DISCOUNTED}" if t else who for who, t in zip(s.source, touched, strict=True)),
    )
    least, most = (f"{float(v):.2g}" for v in (skill[touched].min(), skill[touched].max()))
    skills_said = least if least == most else f"{least} to {most}"
    said = (
        f"zone {s.zone} {s.signal}: {int(touched.sum())} of {grid.n_slots} slots are discounted towards the usual day, "
        f"by a skill of {skills_said}."
    )
    return marked, said


def _ours(kind: Kind) -> Kind:
    return kind if kind is Kind.SYNTHETIC else Kind.MODEL


def reference(values: Floats, slot: timedelta) -> Floats:
    """What the usual day has at each slot, (n_slots,), from the known of these values; NaN where none is known.

    >>> reference(np.array([1.0, 5.0, 3.0, 7.0]), timedelta(hours=12)).tolist()
    [2.0, 6.0, 2.0, 6.0]
    """
    known = np.isfinite(values)
    if not known.any():
        return values.copy()
    time_of_day = np.arange(len(values)) % max(1, timedelta(days=1) // slot)
    counts = np.bincount(time_of_day, weights=known)
    if counts.min() < 2 or len(counts) < timedelta(days=1) // slot:
        return np.full(len(values), float(values[known].mean()))
    sums = np.bincount(time_of_day, weights=np.where(known, values, 0.0))
    mean: Floats = (sums / counts)[time_of_day]
    return mean


def _skill_of(s: SignalFrame, grid: SlotGrid, skills: Sequence[Skill]) -> Floats:
    """The skill of each value, (n_slots,); 1 where no row speaks of it."""
    found = np.ones(grid.n_slots)
    for mask, rows in _groups(s, skills):
        leads, ratios = np.array(sorted({(r.lead_hours, r.skill_ratio) for r in rows})).T
        found[mask] = np.interp(_lead_hours(s, grid)[mask], leads, ratios)
    return found


def _groups(s: SignalFrame, skills: Sequence[Skill]) -> Iterator[tuple[NDArray[np.bool_], list[Skill]]]:
    """Rows that speak of this signal with the slots of which they do, the most general first."""
    who = np.array([source.split(" (")[0] for source in s.source], dtype=object)
    of_signal = [r for r in skills if r.signal is s.signal and r.zone in {s.zone, EVERY_ZONE}]
    kinds = sorted({(r.source is not None, r.zone != EVERY_ZONE, r.source or "") for r in of_signal})
    for named, local, source in kinds:
        rows = [
            r
            for r in of_signal
            if (r.source is not None, r.zone != EVERY_ZONE, r.source or "") == (named, local, source)
        ]
        yield (who == source if named else np.ones(len(who), dtype=bool)), rows


def _lead_hours(s: SignalFrame, grid: SlotGrid) -> Floats:
    hours = [
        0.0 if known is None else max(0.0, (start - known) / timedelta(hours=1))
        for start, known in zip(grid.edges, s.known_at, strict=False)
    ]
    return np.array(hours)
