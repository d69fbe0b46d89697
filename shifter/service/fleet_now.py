"""The fleet as it is now, which plans are made for: peaks that were paid for, what is lost, who stops too late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shifter.domain.fleet import Fleet, Pool, PoolKey, Site
from shifter.domain.resilience import Maintenance
from shifter.service import peaks, preemption
from shifter.service.core import Core
from shifter.service.gate import FORGOTTEN

FOR = timedelta(days=30)
"""For so long what is lost is taken to be lost, unless it is told otherwise."""


def fleet_now(core: Core) -> Fleet:
    """The fleet of the settings, with what is known now."""
    kw = peaks.so_far_kw(core)
    return replace(core.fleet, sites=tuple(_site(core, s, kw[s.name]) for s in core.fleet.sites))


def _site(core: Core, site: Site, peak_so_far_kw: float) -> Site:
    pools = tuple(_pool(core, (site.name, pool.name), pool) for pool in site.pools)
    resilience = site.resilience
    if preemption.is_slow(core, site):
        resilience = replace(resilience, mode="strict")
    return replace(site, pools=pools, peak_so_far_kw=peak_so_far_kw, resilience=resilience)


def _pool(core: Core, key: PoolKey, pool: Pool) -> Pool:
    """With a window of maintenance for what was told to be lost: it draws what idle ones draw, as far as is known."""
    told, now = core.state.available.get(key), core.now()
    if told is None or told.available_accelerators is None or now - told.at > FORGOTTEN:
        return pool
    lost = pool.present(now) - told.available_accelerators
    if lost <= 0:
        return pool
    return replace(pool, maintenance=(*pool.maintenance, Maintenance(told.at, told.at + FOR, lost)))
