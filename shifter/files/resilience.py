"""What contradicts itself in what a fleet's real-time load must survive."""

from __future__ import annotations

from collections.abc import Iterator

from forecasts.slots import isoformat_z
from shifter.domain.fleet import Pool
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
