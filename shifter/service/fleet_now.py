"""The fleet as it is now, which plans are made for: peaks that were paid for, what is lost, who stops too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from shifter.domain.fleet import Fleet, Site
from shifter.domain.lost import LostCapacity, without_lost
from shifter.service import peaks, preemption
from shifter.service.core import Core
from shifter.service.gate import is_forgotten

FOR = timedelta(days=30)
"""For so long what is lost is taken to be lost, unless it is told otherwise."""


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
    for (site, pool), told in core.state.available.items():
        there = told.available_accelerators
        if there is not None and not is_forgotten(told, core.now()):
            count = core.fleet.pools[site, pool][1].count
            yield LostCapacity(site, pool, max(0, count - there), told.at + FOR)
