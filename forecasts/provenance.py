"""Where the value of one slot comes from, and under which terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forecasts.series import ForecastSeries, Kind

_WORTH = {
    k: i
    for i, k in enumerate(
        (Kind.ACTUAL, Kind.CLEARED, Kind.FORECAST, Kind.MODEL, Kind.SYNTHETIC, Kind.MISSING)
    )
}


@dataclass(frozen=True)
class Said:
    """What a value is worth, who said it and when that was known, and its terms; by default, that nobody did."""

    kind: Kind = Kind.MISSING
    source: str = ""
    known_at: datetime | None = None
    attribution: str = ""
    licence: str = ""
    restricted: bool = False


NOBODY = Said()


def said_by(ranked: Sequence[ForecastSeries], owners: Sequence[int]) -> Said:
    """A slot may straddle two vintages: it is worth what the lesser is, and as old as most of it is."""
    parts = [
        Said(s.kind, s.source, s.known_at, s.attribution, s.licence, s.restricted)
        for s in (ranked[k] for k in owners)
    ]
    return parts[0] if len(parts) == 1 else together(parts, parts[0].known_at)


def together(parts: Sequence[Said], known_at: datetime | None) -> Said:
    """What was made of several: worth what the least is, under the terms of all."""
    return Said(
        max((s.kind for s in parts), key=_WORTH.__getitem__),
        "+".join(dict.fromkeys(s.source for s in parts)),
        known_at,
        _each_once(s.attribution for s in parts),
        _each_once(s.licence for s in parts),
        any(s.restricted for s in parts),
    )


def terms_of(told: Iterable[tuple[str, str, bool]]) -> Said:
    """The terms of all that is told, each as attribution, licence and whether it is restricted."""
    return together(
        [Said(attribution=a, licence=n, restricted=r) for a, n, r in dict.fromkeys(told)] or [NOBODY], None
    )


def _each_once(words: Iterable[str]) -> str:
    """What is joined already is taken apart first."""
    return "; ".join(dict.fromkeys(part for word in words for part in word.split("; ") if part))
