"""The reserve: what real-time load holds back in each pool, and what that leaves for deferrable work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet, Pool, PoolKey
from shifter.domain.resilience import Resilience
from shifter.realtime.load import RealtimeLoad


@dataclass(frozen=True, eq=False)
class PoolEnvelope:
    """What one pool holds, in accelerators; every array is (n_slots,).

    `median` and `quantile` are the real-time load; `reserved` still holds `quantile` after the failure domains that
    the site's resilience names are lost. `shortfall` is the load at the quantile that exceeds the pool itself.
    """

    count: int
    median: Floats
    quantile: Floats
    reserved: Floats

    @property
    def any_capacity(self) -> Floats:
        """What deferrable work may use in all."""
        return np.maximum(0.0, self.count - self.quantile)

    @property
    def firm_capacity(self) -> Floats:
        """What work that may not be preempted may use: nothing in the redundancy margin."""
        return np.maximum(0.0, self.count - self.reserved)

    @property
    def shortfall(self) -> Floats:
        """Real-time load that the pool cannot hold."""
        return np.maximum(0.0, self.quantile - self.count)


Envelope = Mapping[PoolKey, PoolEnvelope]


def reserved_accelerators(quantile: Floats, pool: Pool, resilience: Resilience) -> Floats:
    """`q / (1 - k/D)`, at most `count`: after losing k of D equal domains, q is still there. (n_slots,)"""
    if resilience.lose_domains >= pool.failure_domains:
        return np.full_like(quantile, float(pool.count))
    kept = 1 - resilience.lose_domains / pool.failure_domains
    return np.minimum(float(pool.count), quantile / kept)


def reserve(realtime: RealtimeLoad, fleet: Fleet) -> Envelope:
    """What each pool holds back, and so what is left. Raises InputError when a quantile is not given."""
    envelope: dict[PoolKey, PoolEnvelope] = {}
    for key, (site, pool) in fleet.pools.items():
        quantile = realtime.at(key, site.resilience.quantile)
        envelope[key] = PoolEnvelope(
            pool.count, realtime.median(key), quantile, reserved_accelerators(quantile, pool, site.resilience)
        )
    return envelope
