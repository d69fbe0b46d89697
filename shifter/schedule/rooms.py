"""What each pool leaves to work, from what real-time load holds back: known before a problem is, and raised after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet, Pool, PoolKey, Site
from shifter.realtime.reserve import Envelope
from shifter.schedule.jobs import Ints
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.sites import PoolArrays, SiteArrays


def with_envelope(problem: ScheduleProblem, fleet: Fleet, envelope: Envelope) -> ScheduleProblem:
    """The same problem, in which real-time load holds back something else."""
    pools = pools_of(fleet, envelope)
    return replace(problem, pools=pools, sites=tuple(with_savings(site, pools) for site in problem.sites))


def pools_of(fleet: Fleet, envelope: Envelope) -> tuple[PoolArrays, ...]:
    """The pools, in the fleet's order."""
    index = {site.name: i for i, site in enumerate(fleet.sites)}

    def whole(capacity: Floats) -> Ints:
        return np.floor(capacity + 1e-6).astype(np.int64)

    def resting(key: PoolKey, site: Site, pool: Pool) -> dict[str, Any]:
        if pool.off_kw is None:
            return {}
        spare = np.array([envelope[key].any_capacity, envelope[key].firm_capacity])
        return {"saved_kw": site.pue * (pool.idle_kw - pool.off_kw), "spare": spare}

    return tuple(
        PoolArrays(
            key,
            index[site.name],
            pool.count,
            site.pue * pool.dynamic_kw,
            whole(envelope[key].any_capacity),
            whole(envelope[key].firm_capacity),
            **resting(key, site, pool),
        )
        for key, (site, pool) in fleet.pools.items()
    )


def with_savings(site: SiteArrays, pools: Sequence[PoolArrays]) -> SiteArrays:
    """A site with the most that powering down could save it."""
    saved = [pools[p].saved_kw * spare[1] for p in site.pools if (spare := pools[p].spare) is not None]
    return replace(site, most_saved_kw=np.sum(saved, axis=0)) if saved else site
