"""What a plan says of the losses that it survives: what each promise costs, and where it cannot be kept whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from shifter.domain.fleet import Fleet, Site
from shifter.domain.plant import held_for_outage_kwh

DOMAINS, RIDE_THROUGH, STRICT = "domains", "ride_through", "strict"
"""Kinds of promises that a site keeps by itself."""
TOLERANCE_ACCELERATORS = 1e-2
"""What may be missing of all that a loss takes, and it is survived: power is a mean to a thousandth of a kW."""


def own_promises(fleet: Fleet) -> Iterator[tuple[str, Site]]:
    """What sites promise by themselves, in the order in which a plan tells it: before the losses of groups."""
    yield from ((DOMAINS, site) for site in fleet.sites if site.resilience.lose_domains > 0)
    yield from ((RIDE_THROUGH, site) for site in fleet.sites if fleet.ride_through_minutes(site) > 0)
    yield from ((STRICT, site) for site in fleet.sites if site.resilience.mode == "strict")


def ride_through_kwh(fleet: Fleet, site: Site, realtime: Mapping[str, float]) -> float:
    """What a site's battery must hold for its ride-through of so much real-time load in each pool [accelerators]."""
    load_kw = site.pue * sum(pool.busy_kw * realtime.get(pool.name, 0.0) for pool in site.pools)
    [held] = held_for_outage_kwh(site.ups, np.array([load_kw]), fleet.ride_through_minutes(site) / 60)
    return float(held)


@dataclass(frozen=True)
class Promise:
    """One thing that the fleet asks for real-time load: to survive the loss of failure domains at a site, of a site, of
    a zone, or of the grid for a while; or that what is reserved is idle.

    `cost_per_day` is what the schedule's program costs more with it than without it, all else as it is, scaled to a day
    [the fleet's currency]. `basis` says how that is known: `solved`, both programs were; `at_most`, by the prices of
    the one with it, which is never less; None where nobody knows it.
    """

    kind: str
    """`domains`, `ride_through`, `strict`, `site` or `zone`."""
    name: str
    """Of the site, or of the zone, that is lost, or that keeps it by itself."""
    group: str | None
    """That takes over; None for what a site keeps by itself."""
    cost_per_day: float | None
    basis: str | None
    late_accelerator_hours: float
    """Work that is late with it and would not be without it; what that would cost to do is not in `cost_per_day`."""
    missing_accelerators: float | None
    """The most of the lost accelerators that nobody can take over in any slot, whatever is planned; None: not known."""
    missing_slots: int
    """Slots in which it is not kept whole, whatever is planned."""
    text: str
    missing_kwh: float = 0.0
    """Of a ride-through, the most that battery and UPS cannot give in any slot, however full they are."""


@dataclass(frozen=True)
class PlanResilience:
    """Where the fleet has failover groups: how what they hold was placed, and what each promise costs."""

    placed_by: str
    """`program`: together with all work, in one program; `coarse`: in a coarser one; `without_work`: filled in as
    if there were no work; `all`: so too, and in some slots all that real-time load leaves is held."""
    joint_optimum: float | None
    """What that program costs, late work and limits that are broken apart, before any whole accelerators; None where
    there was no such program."""
    promises: tuple[Promise, ...]
