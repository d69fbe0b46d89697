"""The fleet as it is now, which plans are made for: peaks that were paid for, what is lost, who stops too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from shifter.domain.fleet import Fleet, Site
from shifter.domain.lost import LostCapacity, without_lost
from shifter.service import peaks, preemption
from shifter.service.core import Core
from shifter.service.gate import gate_of

FAR = timedelta(days=365)
"""Beyond every plan: what is lost is lost until it is told otherwise."""


def fleet_now(core: Core) -> Fleet:
    """The fleet of the settings, with what is known now."""
    kw = peaks.so_far_kw(core)
    fleet = replace(core.fleet, sites=tuple(_site(core, s, kw[s.name]) for s in core.fleet.sites))
    return without_lost(fleet, _lost(core), core.now())


def _site(core: Core, site: Site, peak_so_far_kw: float) -> Site:
    resilience = site.resilience
    if preemption.is_slow(core, site):
        resilience = replace(resilience, mode="strict")
    return replace(site, peak_so_far_kw=peak_so_far_kw, resilience=resilience)


def _lost(core: Core) -> Iterator[LostCapacity]:
    gate = gate_of(core)
    for site, pool in core.state.available.keys() & core.fleet.pools.keys():
        count, there = core.fleet.pools[site, pool][1].count, gate.count((site, pool))
        yield LostCapacity(site, pool, count - there, gate.now + FAR)
