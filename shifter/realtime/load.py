"""Real-time load on the planning grid: how many accelerators it needs, at which quantile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import PoolKey
from shifter.errors import InputError


@dataclass(frozen=True)
class LoadBasis:
    """What a pool's load stands on, in `words`, and how much was measured of it: `days` [d]."""

    words: str
    days: float = 0.0


@dataclass(frozen=True, eq=False)
class RealtimeLoad:
    """Accelerators that real-time load needs, by pool and probability, each (n_slots,).

    A pool that is absent has no real-time load: say so by leaving it out, never by a gap. Where the load is known
    for a part of the horizon only, `grid` ends there. `basis` by pool is for people: no plan hangs on it. `levelled`
    are the pools whose quantiles start from what was measured last: it must not count twice.
    """

    grid: SlotGrid
    quantiles: Mapping[PoolKey, Mapping[float, Floats]] = field(default_factory=dict)
    basis: Mapping[PoolKey, LoadBasis] = field(default_factory=dict)
    levelled: frozenset[PoolKey] = frozenset()

    def median(self, key: PoolKey) -> Floats:
        """The median load [accelerators], (n_slots,)."""
        return self.at(key, 0.5)

    def at(self, key: PoolKey, quantile: float) -> Floats:
        """The load at `quantile` [accelerators], (n_slots,); never below the median.

        Where the very quantile is not given, the next higher one is taken: too much held back is safe. Raises
        InputError when there is none as high.
        """
        given = self.quantiles.get(key)
        if given is None:
            return np.zeros(self.grid.n_slots)
        higher = [p for p in given if p >= quantile - 1e-9]
        if not higher:
            raise InputError(
                f"the real-time load of {key[0]}/{key[1]} is given up to p{max(given) * 100:g} only, and the site's "
                f"resilience asks for p{quantile * 100:g}.",
                field=f"realtime[{key[0]}/{key[1]}]",
                hint=f"Give a column accelerators_p{quantile * 100:g}, or lower the site's resilience.quantile.",
            )
        load = given[min(higher)]
        return load if quantile <= 0.5 else np.maximum(load, self.median(key))
