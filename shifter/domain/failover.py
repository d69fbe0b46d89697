"""What failover groups promise: whose loss is survived, who takes over, and what of it one accelerator carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.resilience import FailoverGroup


@dataclass(frozen=True)
class Loss:
    """One thing that a group survives: a site, or all that it has in a zone. Nothing else is lost at that time."""

    group: FailoverGroup
    name: str
    """Of the site, or of the zone."""
    sites: tuple[str, ...]
    """Those of the group that are lost."""

    def lost(self, fleet: Fleet) -> dict[str, list[PoolKey]]:
        """The pools that are lost, by accelerator."""
        found: dict[str, list[PoolKey]] = {}
        for key, (site, pool) in fleet.pools.items():
            if site.name in self.sites:
                found.setdefault(pool.accelerator, []).append(key)
        return found

    def left(self, fleet: Fleet) -> list[PoolKey]:
        """The pools that take over."""
        sites = set(self.group.sites) - set(self.sites)
        return [key for key, (site, _) in fleet.pools.items() if site.name in sites]


def losses(fleet: Fleet) -> Iterator[Loss]:
    """All that the fleet's groups survive, one at a time."""
    for group in fleet.failover_groups:
        if group.survive == "site":
            yield from (Loss(group, name, (name,)) for name in group.sites)
            continue
        zones: dict[str, list[str]] = {}
        for name in group.sites:
            zones.setdefault(fleet.by_site[name].zone, []).append(name)
        yield from (Loss(group, zone, tuple(names)) for zone, names in zones.items())


def carried(fleet: Fleet, group: FailoverGroup, accelerator: str, by: str) -> float:
    """How many accelerators of one kind one of another stands for; 0 where it cannot, or nothing says that it can.

    As the group says; else the least of the throughput ratios of all models that run on the first: whichever it is that
    was lost, it runs on as fast.
    """
    if group.equivalent is not None:
        return group.equivalent[by] / group.equivalent[accelerator]
    if by == accelerator:
        return 1.0
    speeds = (model.throughput_tokens_per_s for model in fleet.models)
    ratios = [speed.get(by, 0.0) / speed[accelerator] for speed in speeds if accelerator in speed]
    return min(ratios, default=0.0)
