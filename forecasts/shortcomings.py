"""What a signal of a frame falls short of, in words for whoever plans by it: silence, age, and what is made up."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.ageing import age_words
from forecasts.frame import SignalFrame
from forecasts.series import FACTS, Kind
from forecasts.slots import SlotGrid, isoformat_z


def shortcomings(
    frame: SignalFrame,
    published: NDArray[np.bool_],
    grid: SlotGrid,
    *,
    as_of: datetime,
    longest: timedelta | None,
    filled: bool,
) -> list[str]:
    """A sentence each. `published` says of which slots of `grid` somebody spoke, (n_slots,); the others are `filled`
    in or missing. What is older than `longest` is told, None: however old.
    """
    what = f"zone {frame.zone} {frame.signal}"
    n = len(published)
    if frame.missing_slots == n:
        return [f"{what}: no source says anything; all {n} slots are missing."]
    found = [
        f"{what}: {words}." for words in (*_silence(published, grid, filled), *_age(frame, as_of, longest))
    ]
    if frame.synthetic:
        found.append(f"{what}: the values are synthetic, made up for a demonstration.")
    return found


def _silence(published: NDArray[np.bool_], grid: SlotGrid, filled: bool) -> list[str]:
    if published.all():
        return []
    horizon = "nothing in this window is published"
    if published.any():
        last = grid.start + (int(np.flatnonzero(published)[-1]) + 1) * grid.slot
        horizon = f"published until {isoformat_z(last)}"
    n, how = len(published), "filled in by our own model" if filled else "missing"
    return [f"{horizon}; {n - int(published.sum())} of {n} slots are {how}"]


def _age(frame: SignalFrame, as_of: datetime, longest: timedelta | None) -> list[str]:
    known = [(k, kind) for k, kind in zip(frame.known_at, frame.kind, strict=True) if k]
    ageing = [k for k, kind in known if kind not in FACTS]
    if longest is None or not ageing:
        return []
    age = as_of - max(ageing)
    if age > longest:
        return [f"newest vintage is {age_words(age)} old"]
    old = [k for k, kind in known if kind is Kind.FORECAST and as_of - k > longest]
    if not old:
        return []
    oldest = age_words(as_of - min(old))
    return [f"{len(old)} of {len(frame.kind)} slots stand on a vintage that is up to {oldest} old"]
