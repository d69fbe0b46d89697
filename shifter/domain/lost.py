"""Capacity that is lost now, as telemetry has it: to the plan it is a maintenance window like any other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.resilience import Maintenance


@dataclass(frozen=True)
class LostCapacity:
    """Accelerators of a pool that are not there now, and until when that is to be believed."""

    site: str
    pool: str
    accelerators: int
    """All that are missing: those that are away for maintenance at the moment among them."""
    until: datetime


def without_lost(fleet: Fleet, lost: Iterable[LostCapacity], now: datetime) -> Fleet:
    """The fleet as it is: what is lost is away from `now` on, and draws what idle accelerators draw.

    What is away for maintenance at the moment is counted once. The same fleet where nothing more is lost.
    """
    windows: dict[tuple[str, str], Maintenance] = {}
    for one in lost:
        key = one.site, one.pool
        if key not in fleet.pools or one.until <= now:
            continue
        pool = fleet.pools[key][1]
        more = min(pool.count, one.accelerators) - (pool.count - pool.present(now))
        if more > 0:
            windows[key] = Maintenance(now, one.until, more)

    def left(site: Site, pool: Pool) -> Pool:
        window = windows.get((site.name, pool.name))
        return pool if window is None else replace(pool, maintenance=(*pool.maintenance, window))

    if not windows:
        return fleet
    sites = (replace(site, pools=tuple(left(site, pool) for pool in site.pools)) for site in fleet.sites)
    return replace(fleet, sites=tuple(sites))
