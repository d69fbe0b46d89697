"""What must be kept so that real-time load survives the loss of failure domains, worked out anew."""

from __future__ import annotations

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Pool

HALVINGS = 60
"""Of the interval that a level lies in: to the last digit."""


def through_loss(quantile: Floats, pool: Pool, lost: int, count: Floats) -> Floats:
    """Accelerators of which `quantile` is left whichever domains are lost; infinite where none are, (n_slots,).

    Of those that are not there in a slot, nobody says which they are: the smallest domains are taken to be without.
    """
    given, whole = pool.failure_domain_sizes, bool((count == pool.count).all())
    if not given and whole:
        kept = 1 - lost / pool.failure_domains
        return quantile / kept if kept > 0 else np.full_like(quantile, np.inf)
    sizes = sorted(given or [pool.count / pool.failure_domains] * pool.failure_domains)
    before = np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    pairs = zip(quantile.tolist(), (pool.count - count).tolist(), strict=True)
    return np.array(
        [_least(q, np.clip(sizes - np.maximum(0, away - before), 0, None), lost) for q, away in pairs]
    )


def _least(quantile: float, sizes: Floats, lost: int) -> float:
    """By halving: the lowest level to which the domains must be filled, that what is not lost holds the load."""
    low, high = 0.0, float(max(sizes))
    if _left(high, sizes, lost) < quantile - 1e-9:
        return np.inf
    for _ in range(HALVINGS):
        level = (low + high) / 2
        low, high = (low, level) if _left(level, sizes, lost) >= quantile else (level, high)
    return float(np.minimum(sizes, high).sum())


def _left(level: float, sizes: Floats, lost: int) -> float:
    return float(np.sort(np.minimum(sizes, level))[: max(0, len(sizes) - lost)].sum())
