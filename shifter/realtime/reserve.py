"""The reserve: what real-time load holds back in each pool, and what that leaves for deferrable work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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

    count: Floats
    """How many there are: less where some are away for maintenance."""
    median: Floats
    quantile: Floats
    reserved: Floats
    kept: Floats
    """What no deferrable work may stand in: `quantile`, or all that is reserved where the site's mode is strict."""

    @property
    def any_capacity(self) -> Floats:
        """What deferrable work may use in all."""
        return np.maximum(0.0, self.count - self.kept)

    @property
    def firm_capacity(self) -> Floats:
        """What work that may not be preempted may use: nothing in the redundancy margin."""
        return np.maximum(0.0, self.count - self.reserved)

    @property
    def shortfall(self) -> Floats:
        """Real-time load that the pool cannot hold."""
        return np.maximum(0.0, self.quantile - self.count)


Envelope = Mapping[PoolKey, PoolEnvelope]


def reserved_accelerators(
    quantile: Floats, pool: Pool, resilience: Resilience, count: Floats | None = None
) -> Floats:
    """The least that holds `quantile` after the loss of any k failure domains, at most `count`. (n_slots,)

    Of D equal domains that is `q / (1 - k/D)`; of unequal ones see `held_through`. Where `count` is less than the pool
    has, since some are away for maintenance, nobody says of which domains they are: it holds wherever they may be.
    """
    whole = float(pool.count)
    there = np.full_like(quantile, whole) if count is None else count
    reserved = there.copy()
    for n in np.unique(there):
        at = there == n
        reserved[at] = np.minimum(
            n, held_back(quantile[at], sizes_without(pool.domain_sizes, whole - n), resilience)
        )
    return reserved


def held_back(quantile: Floats, sizes: Sequence[float], resilience: Resilience) -> Floats:
    """The least that holds `quantile` after the loss of any k of these domains, were there as many as that takes;
    infinite where no number does. (n_slots,)
    """
    k = resilience.lose_domains
    if k >= len(sizes):
        return np.full_like(quantile, np.inf)
    if len(set(sizes)) > 1:
        return held_through(quantile, sizes, k)
    return quantile / (1 - k / len(sizes))


def sizes_without(sizes: Sequence[float], away: float) -> tuple[float, ...]:
    """What domains of these sizes have left where that is least for real-time load: the smallest ones are emptied.

    Where domains are filled to a level L, of what is away from one of size s up to `s - L` were none that it fills, and
    that much is no harm. It is the least in all where the smallest are emptied first.
    """
    left = sorted(sizes)
    for i, size in enumerate(left):
        gone = min(size, away)
        left[i], away = size - gone, away - gone
    return tuple(left)


def held_through(quantile: Floats, sizes: Sequence[float], lost: int) -> Floats:
    """The least R such that R accelerators, spread over domains of these sizes, leave `quantile` after any `lost` of
    them are gone; infinite where no spread does. (n_slots,)

    Spread them as water stands in vessels: `min(size, L)` in each. Of all spreads of as many, none has less in its
    `lost` fullest domains, for this one is majorised by every other, and such a sum is Schur-convex (Marshall, Olkin
    and Arnold 2011, 3.A). So R is enough where the smaller domains hold q, and the `lost` largest hold L each:

        sum over all but the largest of min(size, L) = q,      R = q + lost * L
    """
    smaller = np.sort(np.asarray(sizes, dtype=float))[: len(sizes) - lost]
    levels = np.append(0.0, smaller)
    left = np.minimum(smaller, levels[:, None]).sum(axis=1)  # what the smaller ones hold at each level
    held = quantile + lost * np.interp(quantile, left, levels)
    return np.where(quantile <= left[-1] * (1 + 1e-12), held, np.inf)


def reserve(realtime: RealtimeLoad, fleet: Fleet) -> Envelope:
    """What each pool holds back, and so what is left. Raises InputError when a quantile is not given."""
    envelope: dict[PoolKey, PoolEnvelope] = {}
    for key, (site, pool) in fleet.pools.items():
        quantile = realtime.at(key, site.resilience.quantile)
        count = np.array([pool.present(a, b) for a, b in pairwise(realtime.grid.edges)], dtype=float)
        reserved = reserved_accelerators(quantile, pool, site.resilience, count)
        kept = site.resilience.kept(quantile, reserved)
        envelope[key] = PoolEnvelope(count, realtime.median(key), quantile, reserved, kept)
    return envelope
