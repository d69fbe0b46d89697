"""What must be kept so that real-time load survives the loss of failure domains, worked out anew."""

from __future__ import annotations

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Pool

HALVINGS = 60
"""Of the interval that a level lies in: to the last digit."""


def through_loss(quantile: Floats, pool: Pool, lost: int) -> Floats:
    """Accelerators of which `quantile` is left whichever domains are lost; infinite where none are, (n_slots,)."""
    sizes = pool.failure_domain_sizes
    if not sizes:
        kept = 1 - lost / pool.failure_domains
        return quantile / kept if kept > 0 else np.full_like(quantile, np.inf)
    return np.array([_least(q, sizes, lost) for q in quantile.tolist()])


def _least(quantile: float, sizes: tuple[int, ...], lost: int) -> float:
    """By halving: the lowest level to which the domains must be filled, that what is not lost holds the load."""
    low, high = 0.0, float(max(sizes))
    if _left(high, sizes, lost) < quantile - 1e-9:
        return np.inf
    for _ in range(HALVINGS):
        level = (low + high) / 2
        low, high = (low, level) if _left(level, sizes, lost) >= quantile else (level, high)
    return sum(min(size, high) for size in sizes)


def _left(level: float, sizes: tuple[int, ...], lost: int) -> float:
    filled = sorted(min(size, level) for size in sizes)
    return sum(filled[: max(0, len(sizes) - lost)])
