"""Which losses one plan of a fleet survives less than another of the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shifter.domain.fleet import Fleet, Site
from shifter.domain.plan import Plan
from shifter.domain.survival import RIDE_THROUGH, TOLERANCE_ACCELERATORS, Promise, ride_through_kwh

TOLERANCE_KWH = 1e-3
"""A figure of a plan is rounded to so much."""


def survives_less(made: Plan, without: Plan, fleet: Fleet) -> tuple[Promise, ...]:
    """Losses of which one plan holds less than another does, as the former says of them.

    Of a ride-through: sites whose battery has less of what that takes in some slot, with the most that it is short of,
    and in how many slots.
    """
    return (*_less_held(made, without), *_less_stored(made, without, fleet))


def _less_held(made: Plan, without: Plan) -> Iterator[Promise]:
    if made.resilience is None or without.resilience is None:
        return
    for promise, other in zip(made.resilience.promises, without.resilience.promises, strict=True):
        if promise.kind != RIDE_THROUGH and _lacks_more(promise, other):
            yield promise


def _lacks_more(promise: Promise, other: Promise) -> bool:
    most, before = promise.missing_accelerators, other.missing_accelerators
    if most is None or before is None:
        return before is not None  # what nobody knows any more counts as less
    more_slots = promise.missing_slots > other.missing_slots and most > TOLERANCE_ACCELERATORS
    return more_slots or most > before + TOLERANCE_ACCELERATORS


def _less_stored(made: Plan, without: Plan, fleet: Fleet) -> Iterator[Promise]:
    said = {
        p.name: p for p in (made.resilience.promises if made.resilience else ()) if p.kind == RIDE_THROUGH
    }
    for site in fleet.sites:
        if site.battery is None or fleet.ride_through_minutes(site) == 0:
            continue
        short, before = (_short_kwh(plan, fleet, site) for plan in (made, without))
        if any(a > b + TOLERANCE_KWH for a, b in zip(short, before, strict=True)):
            most, slots = max(short), sum(kwh > TOLERANCE_KWH for kwh in short)
            minutes = fleet.ride_through_minutes(site)
            text = (
                f"for {minutes:g} minutes without the grid, {site.name} has up to {most:.1f} kWh too little, "
                f"in {slots} slot{'s' if slots > 1 else ''}"
            )
            plain = Promise(RIDE_THROUGH, site.name, None, None, None, 0.0, 0.0, 0, "")
            yield replace(said.get(site.name, plain), missing_kwh=most, missing_slots=slots, text=text)


def _short_kwh(plan: Plan, fleet: Fleet, site: Site) -> list[float]:
    """What its battery has less than the ride-through takes, slot by slot."""
    realtime: dict[object, dict[str, float]] = {}
    for slot in plan.slots:
        if slot.site == site.name:
            realtime.setdefault(slot.start, {})[slot.pool] = slot.realtime_q
    rows = (row for row in plan.power if row.site == site.name)
    return [
        max(0.0, ride_through_kwh(fleet, site, realtime.get(row.start, {})) - row.stored_kwh) for row in rows
    ]
