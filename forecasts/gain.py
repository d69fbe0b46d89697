"""Whether another setting loses less than the present one by more than noise: their losses on the same days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasts.scores.significance import LEAST_DAYS, bootstrap, diebold_mariano
from forecasts.slots import Floats

SURE = 0.05
"""A difference that chance would make in fewer than one case in twenty is taken for one."""


@dataclass(frozen=True)
class Gain:
    """Of mean daily losses: `ratio` is the other's less the present's over the present's, below 0 where the other
    loses less; it lies in `low` to `high` with 90 % (block bootstrap over days). `p_value` is of the test of Diebold
    and Mariano. All but the ratio are None with fewer than two weeks.
    """

    ratio: float
    low: float | None
    high: float | None
    p_value: float | None
    n_days: int

    @property
    def is_sure(self) -> bool:
        """Whether the other loses less, by more than noise."""
        return self.ratio < 0 and self.p_value is not None and self.p_value < SURE

    @property
    def words(self) -> str:
        """Such as `3.1 % lower on 40 days it was not chosen by, more than noise (p = 0.01)`."""
        side = "lower" if self.ratio < 0 else "higher"
        found = f"{100 * abs(self.ratio):.1f} % {side} on {self.n_days} days it was not chosen by"
        if self.p_value is None:
            return f"{found}, too few to tell it from noise (it takes {LEAST_DAYS})"
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.2g}"
        return f"{found}, {'' if self.p_value < SURE else 'no '}more than noise ({p})"


def gain(other: Floats, present: Floats, *, overlap_days: int = 1, seed: int = 0) -> Gain:
    """Of losses of the same days in their order, (n_days,) each, one day at least.

    `overlap_days` is over how many days that which is decided on one of them reaches.
    """
    days = np.stack([other - present, present], axis=1)
    band = bootstrap(days, lambda sums: _ratio(sums[:, 0], sums[:, 1]), seed=seed)
    test = diebold_mariano(other, present, overlap_days=overlap_days)
    low, high = band or (None, None)
    ratio = float(_ratio(*days.sum(axis=0)[:, None])[0])
    return Gain(ratio, low, high, None if test is None else test.p_value, len(days))


def _ratio(difference: Floats, present: Floats) -> Floats:
    """Of what loses nothing there is nothing to gain: 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(present != 0, difference / np.abs(present), 0.0)
    return found
