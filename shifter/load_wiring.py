"""What real-time load comes from, by the settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from forecasts.slots import SlotGrid
from shifter.clock import Clock
from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files import read_known_realtime
from shifter.files.places import raise_all
from shifter.measuring import WHOLE_POOL, MeasuredLoads
from shifter.meters.typical import TYPICAL_METER_LABEL
from shifter.realtime.announced import AnnouncedLoad
from shifter.realtime.calendar import Calendar
from shifter.realtime.load import LoadBasis, RealtimeLoad
from shifter.realtime.profiles import TYPICAL_LABEL, time_zone, typical_load
from shifter.service.core import RealtimeMaker
from shifter.store.db import Database

if TYPE_CHECKING:
    from shifter.settings import Settings


def realtime_maker(settings: Settings, fleet: Fleet, clock: Clock, database: Database) -> RealtimeMaker:
    """Real-time load from the file, as far as it reaches, read anew each time so that it may be replaced; from a
    profile; from what is measured; or none. Raises InputError where what is announced names a site or a pool that
    there is not.
    """
    path, profile = settings.realtime.path, settings.realtime.profile
    if path is not None:
        return partial(_from_file, path, fleet, clock)
    if profile == "typical" and any(m.kind == "typical" for m in settings.realtime.meters):
        return partial(_made_up, fleet)
    if profile == "typical":
        return lambda grid: typical_load(fleet, grid)
    if profile == "measured":
        return measured_loads(settings, fleet, clock, database)
    return RealtimeLoad


def _made_up(fleet: Fleet, grid: SlotGrid) -> RealtimeLoad:
    """The typical load where what is measured is made up too: whoever is told the one is told the other."""
    load = typical_load(fleet, grid)
    basis = LoadBasis(f"{TYPICAL_LABEL}, {TYPICAL_METER_LABEL}")
    return replace(load, basis=dict.fromkeys(load.quantiles, basis))


def _from_file(path: str, fleet: Fleet, clock: Clock, grid: SlotGrid) -> RealtimeLoad:
    load = read_known_realtime(path, grid, fleet, clock.now())
    return replace(load, basis=dict.fromkeys(load.quantiles, LoadBasis(f"as {Path(path).name} says")))


def measured_loads(settings: Settings, fleet: Fleet, clock: Clock, database: Database) -> MeasuredLoads:
    """The forecast of what telemetry measures, by the settings. Raises InputError as `realtime_maker`."""
    given = settings.realtime
    prior: RealtimeMaker | None = None
    name = WHOLE_POOL
    if given.prior == "typical":
        prior, name = (lambda grid: typical_load(fleet, grid)), TYPICAL_LABEL
    elif given.prior != "whole_pool":
        prior, name = partial(_from_file, given.prior, fleet, clock), Path(given.prior).name
    return MeasuredLoads(
        fleet,
        clock,
        database,
        {site.name: Calendar.of(time_zone(site), given.holidays) for site in fleet.sites},
        prior=prior,
        prior_name=name,
        announced=announced_loads(settings, fleet),
        telemetry_days=settings.retention.telemetry_days,
    )


def announced_loads(settings: Settings, fleet: Fleet) -> tuple[AnnouncedLoad, ...]:
    """What is announced. Raises InputError for all that names a site or a pool that there is not."""
    mistakes: list[InputError] = []
    found = []
    for i, a in enumerate(settings.realtime.announced):
        sites = fleet.sites if a.site is None else [s for s in fleet.sites if s.name == a.site]
        place = f"realtime.announced[{i}]"
        if not sites:
            known = ", ".join(fleet.by_site)
            mistakes.append(
                InputError(f"there is no site {a.site}.", field=f"{place}.site", hint=f"Sites are {known}.")
            )
        elif a.pool is not None and all(p.name != a.pool for s in sites for p in s.pools):
            known = ", ".join(sorted({p.name for s in sites for p in s.pools}))
            mistakes.append(
                InputError(f"there is no pool {a.pool}.", field=f"{place}.pool", hint=f"Pools are {known}.")
            )
        found.append(AnnouncedLoad(a.name, a.start, a.end, a.factor, a.added_accelerators, a.site, a.pool))
    raise_all(mistakes)
    return tuple(found)
