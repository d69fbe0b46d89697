"""What contradicts itself in what a fleet's real-time load must survive."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecasts.slots import isoformat_z
from shifter.domain.failover import carried, losses
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.plant import most_carried_kwh
from shifter.domain.resilience import FailoverGroup, most_away
from shifter.files.places import Finding, Loc, suggestion

LEAST_KWH = 1e-3
"""Less than this is not missing."""


def domain_mistakes(pool: Pool, loc: Loc) -> Iterator[Finding]:
    """Sizes of failure domains that are not those of the pool."""
    sizes = pool.failure_domain_sizes
    if not sizes:
        return
    here = (*loc, "failure_domain_sizes")
    if sum(sizes) != pool.count:
        yield (
            here,
            f"the domains have {sum(sizes)} accelerators, and the pool has {pool.count}.",
            "Give the accelerators of every group that fails together: they sum to `count`.",
        )
    if pool.failure_domains not in {1, len(sizes)}:
        yield (
            (*loc, "failure_domains"),
            f"it says {pool.failure_domains} equal groups, and failure_domain_sizes names {len(sizes)}.",
            "Leave failure_domains out where sizes are given.",
        )


def maintenance_mistakes(pool: Pool, loc: Loc) -> Iterator[Finding]:
    """Windows that end before they start, or take more away than there is."""
    for i, window in enumerate(pool.maintenance):
        here = (*loc, "maintenance", i)
        if window.end <= window.start:
            yield (
                (*here, "end"),
                f"the window ends at {isoformat_z(window.end)}, which is not after its start.",
                "Intervals are [start, end): put the later time in `end`.",
            )
            continue
        away = most_away(pool.maintenance, window.start, window.end)
        if away > pool.count:
            yield (
                (*here, "accelerators"),
                f"{away} accelerators would be away at a time, and the pool has {pool.count}.",
                "Those of windows that overlap add up: let each window name accelerators of its own.",
            )


def outage_mistakes(fleet: Fleet, site: Site, loc: Loc) -> Iterator[Finding]:
    """A ride-through that nothing could give, or that has no end."""
    minutes, here = site.resilience.ride_through_minutes, (*loc, "resilience", "ride_through_minutes")
    grouped = any(site.name in group.sites for group in fleet.failover_groups)
    if minutes is None and site.generator is None and not grouped:
        yield (
            here,
            "null is until a generator or a failover group takes over, and the site has neither.",
            "Give the site a `generator`, or say how many minutes are to be carried.",
        )
    elif minutes != 0 and site.battery is None and site.ups is None:
        asked = "until something takes over" if minutes is None else f"{minutes:g} minutes"
        yield (
            here,
            f"the site has no battery to ride through {asked}.",
            "Give the site a `battery` or a `ups`, or set it to 0.",
        )


def outage_warnings(fleet: Fleet, site: Site, loc: Loc) -> Iterator[Finding]:
    """A ride-through that what is there could not give were the site full of real-time load."""
    minutes = fleet.ride_through_minutes(site)
    full_kw = site.pue * sum(pool.busy_kw * pool.count for pool in site.pools)
    needed_kwh = minutes / 60 * full_kw
    given_kwh = float(most_carried_kwh(site.battery, site.ups, np.array(full_kw), minutes / 60))
    if (site.battery or site.ups) and needed_kwh > given_kwh + LEAST_KWH:
        more = f"{needed_kwh:.1f} kWh: {needed_kwh - given_kwh:.1f} kWh more than battery and UPS give."
        yield (
            (*loc, "resilience", "ride_through_minutes"),
            f"were the site full of real-time load, {minutes:g} minutes without the grid would take {more}",
            "It is held as far as they give it; the plan says how many kWh are missing.",
        )


def group_mistakes(fleet: Fleet) -> Iterator[Finding]:
    """Groups of sites that are not there, that share one, or that could not take over."""
    found = False
    taken: dict[str, str] = {}
    names = [group.name for group in fleet.failover_groups]
    for i, group in enumerate(fleet.failover_groups):
        loc: Loc = ("failover_groups", i)
        mistakes = [*_members(fleet, group, loc, taken), *_boundary(fleet, group, loc)]
        if group.name in names[:i]:
            mistakes.append(
                ((*loc, "name"), f"the group `{group.name}` is there twice.", "Give each a name of its own.")
            )
        yield from mistakes
        found = found or bool(mistakes)
    if not found:
        for i, group in enumerate(fleet.failover_groups):
            yield from _equivalents(fleet, group, ("failover_groups", i))


def group_warnings(fleet: Fleet) -> Iterator[Finding]:
    """Groups that take load from one jurisdiction to another, and do not say that it may go there."""
    for i, group in enumerate(fleet.failover_groups):
        where = {fleet.by_site[name].jurisdiction for name in group.sites} - {None}
        if group.data_boundary is None and len(where) > 1:
            named = sorted(str(one) for one in where)
            yield (
                ("failover_groups", i, "sites"),
                f"load of the group `{group.name}` may come to {', '.join(named)}, and it has no data_boundary.",
                f"Where that is allowed, say so with `data_boundary: [{', '.join(named)}]`; else leave sites out.",
            )


def _members(fleet: Fleet, group: FailoverGroup, loc: Loc, taken: dict[str, str]) -> Iterator[Finding]:
    for k, name in enumerate(group.sites):
        here = (*loc, "sites", k)
        if name not in fleet.by_site:
            hint = suggestion(name, fleet.by_site, "sites of the fleet")
            yield here, f"the fleet has no site `{name}`.", hint
        elif name in taken:
            yield (
                here,
                f"the site `{name}` is in `{taken[name]}` already.",
                "A site is in one group, once: else what is held for one loss would be counted on for two.",
            )
        taken.setdefault(name, group.name)
    if len(group.sites) == 1:
        yield (*loc, "sites"), "one site alone has nobody to take over from it.", "Name the sites that would."
    zones = {fleet.by_site[name].zone for name in group.sites if name in fleet.by_site}
    if group.survive == "zone" and len(zones) == 1 < len(group.sites):
        yield (
            (*loc, "survive"),
            f"all sites of the group are in the zone {next(iter(zones))}: with it, all are lost.",
            "Survive the loss of a `site`, or add a site in another zone.",
        )


def _boundary(fleet: Fleet, group: FailoverGroup, loc: Loc) -> Iterator[Finding]:
    for k, name in enumerate(group.sites):
        where = fleet.by_site[name].jurisdiction if name in fleet.by_site else None
        if group.data_boundary is not None and name in fleet.by_site and where not in group.data_boundary:
            told = "has no jurisdiction" if where is None else f"is in {where}"
            yield (
                (*loc, "sites", k),
                f"the site `{name}` {told}, and the group's data_boundary is {', '.join(group.data_boundary)}.",
                "Load of one site of a group may come to any other: all of them are within its boundary.",
            )


def _equivalents(fleet: Fleet, group: FailoverGroup, loc: Loc) -> Iterator[Finding]:
    kinds = {pool.accelerator for site, pool in fleet.pools.values() if site.name in group.sites}
    here = (*loc, "equivalent")
    if group.equivalent is not None:
        for name in sorted(kinds - group.equivalent.keys()):
            yield (
                here,
                f"it says nothing of {name}, which the group has.",
                "Name every accelerator of the group.",
            )
        for name in sorted(group.equivalent.keys() - kinds):
            hint = suggestion(name, kinds, "accelerators of the group")
            yield (*here, name), f"the group has no accelerator `{name}`.", hint
        return
    for loss in losses(fleet):
        left = {fleet.pools[key][1].accelerator for key in loss.left(fleet)}
        for lost in loss.lost(fleet) if loss.group is group else ():
            if not any(carried(fleet, group, lost, by) for by in left):
                by = ", ".join(sorted(left))
                yield (
                    loc,
                    f"with {loss.name} its {lost} are lost, and nothing says how far {by} could stand for them.",
                    f"Give every model that runs on {lost} a throughput on them, or the group an `equivalent`.",
                )
                return
