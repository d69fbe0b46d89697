"""What a store holds of one series, as much of it as scoring needs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from forecasts.outcomes import outcomes
from forecasts.scores.cases import Known, Span
from forecasts.series import FACTS, ForecastSeries, Signal
from forecasts.slots import SlotGrid
from forecasts.spans import to_us

if TYPE_CHECKING:
    from forecasts.store import ForecastStore
    from forecasts.vintage import VintageInfo

MOST_VINTAGES = 20_000


def heard(
    store: ForecastStore, zone: str, signal: Signal, since: datetime, now: datetime
) -> dict[str, list[VintageInfo]]:
    """The accepted vintages known in `[since, now]`, by source, the oldest first; without their values."""
    found: dict[str, list[VintageInfo]] = {}
    for info in reversed(store.vintages(zone=zone, signal=signal, moment=now, limit=MOST_VINTAGES)):
        if info.status == "accepted" and info.n_values and info.known_at >= since:
            found.setdefault(info.source, []).append(info)
    return found


def forecast_vintages(store: ForecastStore, infos: list[VintageInfo], every_us: int) -> list[ForecastSeries]:
    """The forecasts among `infos`, the first in each period of `every_us`, with their values."""
    first: dict[int, VintageInfo] = {}
    for info in infos:
        if info.kind not in FACTS:
            first.setdefault(to_us(info.known_at) // every_us, info)
    found = (store.read(info.id) for info in first.values())
    return [s for s in found if s is not None]


def known(
    store: ForecastStore, source: str, infos: list[VintageInfo], grid: SlotGrid, now: datetime
) -> Known:
    """What came of each slot by `source`, whose vintages are `infos`; nothing learnt after `now` counts."""
    zone, signal = infos[0].zone, infos[0].signal
    facts = [s for info in infos if info.kind in FACTS and (s := store.read(info.id)) is not None]
    told = store.as_of(zone, signal, now, grid.start, grid.end, sources=[source])
    return Known.told(outcomes([*facts, *told], grid), grid, [_span(i) for i in infos], source)


def _span(info: VintageInfo) -> Span:
    """Of which delivery a vintage was no forecast."""
    at = to_us(info.known_at)
    start, end = (0 if t is None else to_us(t) for t in (info.first_start, info.last_end))
    return Span(at, start, end if info.kind in FACTS else min(end, at))
