"""What real-time load is promised, and what that costs, in words."""

from __future__ import annotations

from dataclasses import dataclass

from shifter.domain.failover import Loss
from shifter.domain.fleet import Fleet, Site
from shifter.domain.survival import RIDE_THROUGH, STRICT

SOLVED, AT_MOST = "solved", "at_most"
NOTHING, LEAST_SAID = 1e-4, 0.005
"""A cost below the first is none, as exactly as a program says it; one below the other is not told in figures [currency
a day]."""

FREE, NO_MONEY = "costs nothing", "costs no money"
NO_PRICE = "has a cost that no program says"


@dataclass(frozen=True)
class Own:
    """What a site promises by itself."""

    kind: str
    site: Site


def in_words(one: Own | Loss, fleet: Fleet) -> str:
    """What it is: surviving the loss of site london."""
    if isinstance(one, Loss):
        return f"surviving the loss of {one.group.survive} {one.name}"
    if one.kind == RIDE_THROUGH:
        minutes = fleet.ride_through_minutes(one.site)
        return f"carrying real-time load at {one.site.name} for {minutes:g} minutes without the grid"
    if one.kind == STRICT:
        return f"keeping what is reserved at {one.site.name} idle"
    n = one.site.resilience.lose_domains
    return f"surviving the loss of {n} failure domain{'s' if n > 1 else ''} of each pool at {one.site.name}"


def costs_in_words(cost: float | None, basis: str | None, currency: str) -> str:
    """What it costs a day; None: nobody knows."""
    if cost is None:
        return NO_PRICE
    if cost < NOTHING:
        return FREE
    if cost < LEAST_SAID:
        return f"costs less than 0.01 {currency} a day"
    return f"costs {'at most ' if basis == AT_MOST else ''}{cost:.2f} {currency} a day"
