"""The peak that a site has paid for: the highest slot-mean import of the calendar month (UTC) so far.

A slot counts when it has ended. Its import is what was measured, for as long as a sample speaks (until the next one,
and no longer than telemetry may age), and else what the plan in force then said, for as long as its leases held. Of the
rest nothing is known, and it counts as nothing: a peak that is taken too low is priced once more than it has to be, one
that is taken too high is paid by surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from forecasts.slots import Floats, floor_to_slot
from shifter.domain.capping import import_kw
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Plan
from shifter.service import leases
from shifter.service.core import Change, Core
from shifter.store import meters
from shifter.store.meters import Meter
from shifter.views import TelemetrySample

HOUR = timedelta(hours=1)


@dataclass(frozen=True, eq=False)
class Course:
    """What a site imports by a plan: `kwh` since it begins, by the moments `at` [s since 1970]; linear between."""

    at: Floats
    kwh: Floats

    def drawn_kwh(self, start: datetime, end: datetime) -> float:
        """Between two moments; the plan says nothing of what lies outside it."""
        if end <= start:
            return 0.0
        first, last = np.interp([start.timestamp(), end.timestamp()], self.at, self.kwh)
        return float(last - first)


def courses(plan: Plan, fleet: Fleet) -> dict[str, Course]:
    """Of every site of the fleet that the plan knows.

    A row of the plan is a mean over its slot, and over what is left of the first one; allocations say when.
    """
    steps: dict[str, list[tuple[float, float]]] = {site.name: [] for site in fleet.sites}
    for a in plan.allocations:
        if (a.site, a.pool) in fleet.pools:
            kw = a.accelerators * import_kw(*fleet.pools[a.site, a.pool], a.cap_kw)
            steps[a.site] += [(a.start.timestamp(), kw), (a.end.timestamp(), -kw)]
    work = {site: _course(found) for site, found in steps.items() if found}
    for p in plan.power:
        if p.site in steps:
            of_work = (
                work[p.site].drawn_kwh(p.start, p.end) / ((p.end - p.start) / HOUR) if p.site in work else 0.0
            )
            kw = p.import_kw - of_work
            steps[p.site] += [(p.start.timestamp(), kw), (p.end.timestamp(), -kw)]
    return {site: _course(found) for site, found in steps.items() if found}


def _course(steps: list[tuple[float, float]]) -> Course:
    at, change_kw = np.array(sorted(steps)).T
    kwh = np.cumsum(np.cumsum(change_kw)[:-1] * np.diff(at)) / 3600
    return Course(at, np.concatenate([[0.0], kwh]))


def kept(core: Core, found: Mapping[str, Meter]) -> dict[str, Meter]:
    """The meters of the fleet's sites as a start finds them in the store, and new ones."""
    now, minutes = core.now(), core.config.slot_minutes
    made = {}
    for site in core.fleet.sites:
        figure = site.peak_so_far_kw
        m = found.get(site.name) or Meter(site.name, floor_to_slot(now, minutes), now, 0.0, 0.0, figure, now)
        begun = floor_to_slot(m.counted_to, minutes)
        if begun != m.slot_start:  # slots have another length now
            m = replace(m, slot_start=begun, drawn_kwh=0.0)
        made[site.name] = (
            m if m.configured_kw == figure else replace(m, configured_kw=figure, configured_at=now)
        )
    return made


def settle(core: Core, change: Change) -> Mapping[str, Meter]:
    """Count up to now, and keep it: before another plan is in force, and when a slot has ended."""
    counted = _counted(core, change.at)
    meters.save(change.db, counted.values())
    change.set(meters=counted)
    return counted


def settle_ended(core: Core) -> None:
    """Count what ended. A new plan is asked for where a peak that is charged for moved. Raises NotReady."""
    slot, now = timedelta(minutes=core.config.slot_minutes), core.now()
    if all(now < m.slot_start + slot for m in core.state.meters.values()):
        return
    charged = [s.name for s in core.fleet.sites if s.demand_charge_per_kw > 0]
    before = {m.site: _so_far_kw(m, m.counted_to) for m in core.state.meters.values() if m.site in charged}
    with core.change() as change:
        after = settle(core, change)
        if any(_so_far_kw(after[site], now) != kw for site, kw in before.items()):
            change.replan = "peak"


def hear(
    core: Core, counted: dict[str, Meter], heard: dict[str, TelemetrySample], s: TelemetrySample
) -> None:
    """Take a sample of a site's import into both: what came before it is counted without it."""
    last = heard.get(s.site)
    # A clock that was set back since must not make it deaf.
    if s.import_kw is None or (last is not None and s.at < min(last.at, core.now())):
        return
    if s.site in counted:
        counted[s.site] = _advanced(core, counted[s.site], min(s.at, core.now()), last)
    heard[s.site] = s


def so_far_kw(core: Core) -> dict[str, float]:
    """By site, what a demand charge has been paid for already this month [kW]."""
    now = core.now()
    return {site: _so_far_kw(m, now) for site, m in _counted(core, now).items()}


def _so_far_kw(m: Meter, now: datetime) -> float:
    """The configured figure has no date: it is taken for the month in which it was first seen."""
    month = _month(now)
    drawn = m.peak_kw if _month(m.slot_start) == month else 0.0
    return max(drawn, m.configured_kw if _month(m.configured_at) == month else 0.0)


def _month(moment: datetime) -> tuple[int, int]:
    utc = moment.astimezone(UTC)
    return utc.year, utc.month


def _counted(core: Core, to: datetime) -> dict[str, Meter]:
    heard = core.state.measured_import
    return {site: _advanced(core, m, to, heard.get(site)) for site, m in core.state.meters.items()}


def _advanced(core: Core, m: Meter, to: datetime, sample: TelemetrySample | None) -> Meter:
    slot = timedelta(minutes=core.config.slot_minutes)
    while m.counted_to < to:
        end = m.slot_start + slot
        until = min(to, end)
        drawn = m.drawn_kwh + _drawn_kwh(core, m.site, m.counted_to, until, sample)
        if until < end:
            return replace(m, counted_to=until, drawn_kwh=drawn)
        peak = max(m.peak_kw, drawn / (slot / HOUR)) if _month(end) == _month(m.slot_start) else 0.0
        m = replace(m, slot_start=end, counted_to=end, drawn_kwh=0.0, peak_kw=peak)
    return m


def _drawn_kwh(
    core: Core, site: str, start: datetime, end: datetime, sample: TelemetrySample | None
) -> float:
    """In `[start, end)`, with the last sample before it."""
    since = until = start
    kwh = 0.0
    if sample is not None and sample.import_kw is not None:
        since = min(max(start, sample.at), end)
        until = max(since, min(end, sample.at + timedelta(seconds=core.config.telemetry_max_age_s)))
        kwh = sample.import_kw * ((until - since) / HOUR)
    course = core.state.courses.get(site)
    if course is None:
        return kwh
    held = leases.valid_until(core.state, core.config.lease_ttl, core.now())
    return kwh + sum(course.drawn_kwh(a, min(b, held)) for a, b in ((start, since), (until, end)))
