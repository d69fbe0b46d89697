"""What `curtail` asks of a site: limits that leave room, since real-time load is forecast anew while it is played."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shifter.connection import Json

CUT_RATIO = 0.25
"""What it asks where there is room for that."""
ROOM_RATIO = 0.1
"""So much above what real-time load takes by the quote, a limit leaves for what it may take by later plans."""
REBOUND_RATIO = 1.25
"""Of the baseline, what it allows after such a cut."""
TENTHS = 10


def has_room(quote: Json) -> bool:
    """Whether what was asked is met, and would be if real-time load took that much more."""
    return quote["met"] and all((1 + ROOM_RATIO) * s["realtime_kw"] <= s["limit_kw"] for s in quote["slots"])


def with_room(quote: Json) -> dict[str, float]:
    """Limits of the window and of the rebound that leave room above what has to be drawn [kW].

    That is real-time load at its quantile; in slots that are not met, all that the plan draws there still.
    """
    window, after = list(_parts(quote, "event")), list(_parts(quote, "rebound"))
    least_kw = max(s["at_quantile_kw"] if s["over_kw"] else s["realtime_kw"] for s in window)
    return {"limit_kw": roomy(least_kw), "rebound_limit_kw": roomy(max(map(_otherwise_kw, after or window)))}


def taken_kw(quote: Json, limit_kw: float) -> float:
    """What a limit of the window would take of what is drawn without it, over its slots [kW]."""
    return sum(max(0.0, _otherwise_kw(s) - limit_kw) for s in _parts(quote, "event"))


def roomy(kw: float) -> float:
    """With room above it, in whole tenths [kW].

    >>> roomy(5.0)
    5.5
    """
    return math.ceil(TENTHS * (1 + ROOM_RATIO) * kw - 1e-6) / TENTHS


def _otherwise_kw(slot: Json) -> float:
    """What the plan without the event draws in a slot, or the one with it where that is more, at the quantile."""
    drawn_kw: float = max(slot["without_kw"], slot["with_kw"]) + slot["at_quantile_kw"] - slot["with_kw"]
    return drawn_kw


def _parts(quote: Json, part: str) -> Iterator[Json]:
    return (s for s in quote["slots"] if s["part"] == part)
