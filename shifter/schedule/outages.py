"""What a site lacks to carry its real-time load while the grid is away, said in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet, Site
from shifter.domain.plant import most_carried_kwh
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.sites import SiteArrays

LEAST = 1e-3
"""kW and kWh: less than this is not missing."""


def missing_kwh(arrays: SiteArrays, site: Site) -> Floats:
    """What a site's battery and UPS cannot give for as long as it asks, however full they are, (n_slots,)."""
    hours, load_kw = arrays.ride_through_hours, arrays.ride_through_kw
    return np.maximum(0.0, hours * load_kw - most_carried_kwh(site.battery, site.ups, load_kw, hours))


def outages(problem: ScheduleProblem, fleet: Fleet) -> Iterator[str]:
    """What is missing however full the battery is. What a battery that could hold more does not hold yet is its own
    shortfall, and another matter."""
    for arrays, site in zip(problem.sites, fleet.sites, strict=True):
        hours, load_kw, battery = arrays.ride_through_hours, arrays.ride_through_kw, site.battery
        short = missing_kwh(arrays, site)
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
