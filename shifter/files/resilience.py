"""What contradicts itself in what a fleet's real-time load must survive."""

from __future__ import annotations

from collections.abc import Iterator

from forecasts.slots import isoformat_z
from shifter.domain.fleet import Pool, Site
from shifter.domain.resilience import most_away
from shifter.files.places import Finding, Loc


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


def outage_mistakes(site: Site, loc: Loc) -> Iterator[Finding]:
    """A ride-through that nothing could give, or that has no end."""
    minutes, here = site.resilience.ride_through_minutes, (*loc, "resilience", "ride_through_minutes")
    if minutes is None and site.generator is None:
        yield (
            here,
            "null is until the generator takes over, and the site has none.",
            "Give the site a `generator`, or say how many minutes are to be carried.",
        )
    elif minutes != 0 and site.battery is None and site.ups is None:
        asked = "until the generator takes over" if minutes is None else f"{minutes:g} minutes"
        yield (
            here,
            f"the site has no battery to ride through {asked}.",
            "Give the site a `battery` or a `ups`, or set it to 0.",
        )


def outage_warnings(site: Site, loc: Loc) -> Iterator[Finding]:
    """A ride-through that what is there could not give were the site full of real-time load."""
    minutes = site.resilience.ride_through_minutes
    if minutes is None:
        minutes = 0.0 if site.generator is None else site.generator.start_minutes
    full_kw = site.pue * sum(pool.busy_kw * pool.count for pool in site.pools)
    held_kwh = 0.0 if site.battery is None else site.battery.energy_kwh
    if site.ups is not None:
        held_kwh += min(site.ups.energy_kwh, minutes / 60 * min(site.ups.power_kw, full_kw))
    needed_kwh = minutes / 60 * full_kw
    if 0 < held_kwh < needed_kwh:
        more = f"{needed_kwh:.1f} kWh: {needed_kwh - held_kwh:.1f} kWh more than battery and UPS hold."
        yield (
            (*loc, "resilience", "ride_through_minutes"),
            f"were the site full of real-time load, {minutes:g} minutes without the grid would take {more}",
            "It is held as far as they do; the plan says how many kWh are missing.",
        )
