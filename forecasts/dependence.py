"""How errors go together: from one hour to the next, and of price and carbon in the same hour.

Scenario paths need both: a price that stays high all evening is another risk than one that leaps, and where price and
carbon err together a plan cannot hedge one with the other.
"""

from __future__ import annotations

import math

import numpy as np

from forecasts.slots import Floats

LEAST_PAIRS = 200
"""Fewer pairs of hours tell nothing."""
DECAY_HOURS = (1.0, 168.0)
"""[h] Between these a decay is believed."""


def decay_hours(errors: Floats) -> float | None:
    """The time in which an error falls to 1/e [h], from those of rounds (n_rounds, n_hours); None where few are known.

    That of an AR(1) process with their autocorrelation from one hour to the next.
    """
    now, then = errors[:, :-1], errors[:, 1:]
    rho = _about_zero(now, then)
    if rho is None:
        return None
    low, high = DECAY_HOURS
    return low if rho <= math.exp(-1 / low) else min(high, -1 / math.log(min(rho, math.exp(-1 / high))))


def correlation(first: Floats, second: Floats) -> float | None:
    """The correlation of two signals' errors in the same hours of the same rounds, -1..1; None where few are known.

    Both are (n_rounds, n_hours), their last rounds the same; the one that has more of them is cut to the other.
    """
    rounds = min(len(first), len(second))
    return _about_zero(first[len(first) - rounds :], second[len(second) - rounds :])


def _about_zero(a: Floats, b: Floats) -> float | None:
    """About zero, not about the mean: an error that persists is what is asked about."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < LEAST_PAIRS:
        return None
    a, b = a[known], b[known]
    size = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / size)) if size > 0 else None
