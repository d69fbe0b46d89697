"""From a source into the store: ask, compare with the vintage before, keep it or remember why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, ShifterError
from forecasts.series import Signal
from forecasts.sources.asking import one_by_one
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.store import ForecastStore


@dataclass(frozen=True)
class Ingested:
    """What became of one signal of one zone. `error` is None when all went well.

    `status`: `new` a new vintage; `unchanged` the source says what it said; `nothing` it has nothing in the
    window; `rejected` what it says is unfit; `unavailable` it did not answer. In the last two the vintages
    before stay in use. `notes` are the series' own: what was left out.
    """

    source: str
    zone: str
    signal: Signal
    status: Literal["new", "unchanged", "nothing", "rejected", "unavailable"]
    vintages_count: int = 0
    error: ShifterError | None = None
    notes: tuple[str, ...] = ()


def ingest(
    store: ForecastStore, source: ForecastSource, request: FetchRequest, *, now: datetime
) -> list[Ingested]:
    """Fetch each signal of `request` that `source` has, and append what is fit. Raises no ShifterError.

    Signals are asked for one at a time, so that one which fails does not take the other with it.
    """
    alone = one_by_one(source, (request.zone,), request.signals, request.start, request.end)
    return [_one(store, source, one, now) for one in alone]


def _one(store: ForecastStore, source: ForecastSource, request: FetchRequest, now: datetime) -> Ingested:
    (signal,) = request.signals
    name, zone = source.info.name, request.zone
    try:
        said = source.fetch(request, now=now)
        for series in said:
            # The source has checked what it says; what only the vintage before can tell is checked here.
            check_series(series, store.latest(series.key, series.known_at), flat_carbon=None)
        new = sum(done.status == "new" for done in store.append_all(said))
    except ForecastRejected as e:
        store.record_rejection(source=name, zone=zone, signal=signal, known_at=now, reason=str(e))
        return Ingested(name, zone, signal, "rejected", error=e)
    except ShifterError as e:
        return Ingested(name, zone, signal, "unavailable", error=e)
    status: Literal["new", "unchanged", "nothing"] = "new" if new else "unchanged" if said else "nothing"
    return Ingested(name, zone, signal, status, len(said), notes=tuple(s.note for s in said if s.note))
