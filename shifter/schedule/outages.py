"""What a site lacks to carry its real-time load while the grid is away, said in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shifter.domain.fleet import Fleet
from shifter.schedule.problem import ScheduleProblem

LEAST = 1e-3
"""kW and kWh: less than this is not missing."""


def outages(problem: ScheduleProblem, fleet: Fleet) -> Iterator[str]:
    """Of sites with a UPS or a generator: what is missing however full the battery is. Of others the battery's own
    shortfall says it."""
    for arrays, site in zip(problem.sites, fleet.sites, strict=True):
        if site.ups is None and site.generator is None:
            continue
        minutes, load_kw, battery = 60 * arrays.ride_through_hours, arrays.ride_through_kw, site.battery
        held_kwh, gives_kw = (0.0, 0.0) if battery is None else (battery.energy_kwh, battery.power_kw)
        short = np.maximum(0.0, arrays.ride_through_kwh - held_kwh)
        if short.max() > LEAST:
            yield (
                f"{site.name}: real-time load cannot be carried without the grid for {minutes:g} minutes: up to "
                f"{short.max():.1f} kWh are missing, in {int((short > LEAST).sum())} slots, however full the battery."
            )
        gives_kw += 0.0 if site.ups is None else site.ups.power_kw
        if minutes > 0 and load_kw.max() > gives_kw + LEAST:
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
