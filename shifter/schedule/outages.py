"""What a site lacks to carry its real-time load while the grid is away, said in words."""

from __future__ import annotations

from collections.abc import Iterator

from shifter.domain.fleet import Fleet
from shifter.domain.plant import most_carried_kwh
from shifter.schedule.problem import ScheduleProblem

LEAST = 1e-3
"""kW and kWh: less than this is not missing."""


def outages(problem: ScheduleProblem, fleet: Fleet) -> Iterator[str]:
    """What is missing however full the battery is. What a battery that could hold more does not hold yet is its own
    shortfall, and another matter."""
    for arrays, site in zip(problem.sites, fleet.sites, strict=True):
        hours, load_kw, battery = arrays.ride_through_hours, arrays.ride_through_kw, site.battery
        short = hours * load_kw - most_carried_kwh(battery, site.ups, load_kw, hours)
        if short.max() > LEAST:
            yield (
                f"{site.name}: real-time load cannot be carried without the grid for {60 * hours:g} minutes: up to "
                f"{short.max():.1f} kWh are missing, in {int((short > LEAST).sum())} slots, however full the battery."
            )
        gives_kw = 0.0 if battery is None else battery.power_kw
        gives_kw += 0.0 if site.ups is None else site.ups.power_kw
        if hours > 0 and load_kw.max() > gives_kw + LEAST:
            yield (
                f"{site.name}: without the grid real-time load draws up to {load_kw.max():.1f} kW, and battery and UPS "
                f"give {gives_kw:g} kW."
            )
        if site.generator is not None and load_kw.max() > site.generator.power_kw + LEAST:
            yield (
                f"{site.name}: real-time load draws up to {load_kw.max():.1f} kW, and the generator gives "
                f"{site.generator.power_kw:g} kW: {load_kw.max() - site.generator.power_kw:.1f} kW are missing once "
                "it has taken over."
            )
