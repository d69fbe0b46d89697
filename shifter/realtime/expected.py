"""What real-time load a pool expects: what its meter teaches, at first no less than a prior, and what is announced.

A quantile holds at every moment of a slot, so it is the highest of the slot's steps; the median is their mean, since it
is what energy is counted by. The prior is a matter of what is held: once anything was measured, the median is the
forecast's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats, SlotGrid, isoformat_z
from shifter.realtime.announced import AnnouncedLoad, changes
from shifter.realtime.forecast import SILENCE_DOUBLES_H, Learnt
from shifter.realtime.measured import STEP_MINUTES, History, start_of, step_of

SURE_AFTER_DAYS = 7.0
"""[d] Every kind of day once. How little is known of each by then is in the errors, which are taken to be larger."""
UNSURE_DAYS = 1.0
"""[d] A history shorter than this counts for nothing against the prior."""
SILENT_STEPS = 3
"""A meter is called silent when the last whole steps in a row, this many, are empty."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What is held as long as little was measured: quantiles (n_slots,) by probability, and its `name` in words."""

    name: str
    quantiles: Mapping[float, Floats]


@dataclass(frozen=True, eq=False)
class Expected:
    """Accelerators at each probability, (n_slots,) each, and the `basis` in words."""

    quantiles: Mapping[float, Floats]
    basis: str


def prior_ratio(days: float) -> float:
    """How much of the prior is still held after so many days of measurements: 1 down to 0."""
    return float(np.clip((SURE_AFTER_DAYS - days) / (SURE_AFTER_DAYS - UNSURE_DAYS), 0, 1))


def expect(
    learnt: Learnt | None,
    recent: History,
    now: int,
    grid: SlotGrid,
    asked: Sequence[float],
    prior: Prior,
    count: float,
    announced: Sequence[AnnouncedLoad] = (),
) -> Expected:
    """The load of one pool of `count` on a grid at the probabilities `asked`; `now` is the number of the step of the
    moment.

    `recent` is its last days as if nothing had been announced. Quantiles are never below zero, and ascend. Above the
    pool they are only where more than it was measured, or announced.
    """
    per_slot = grid.slot_minutes // STEP_MINUTES
    first, n_steps = step_of(grid.start), grid.n_slots * per_slot
    factor, added = changes(announced, first, n_steps, STEP_MINUTES)
    ratio = 1.0 if learnt is None else prior_ratio(learnt.days)
    fine = {} if learnt is None else learnt.quantiles(recent, now, first, n_steps, asked)
    found: dict[float, Floats] = {}
    for p in sorted(asked):
        held = ratio if p > 0.5 or learnt is None else 0.0
        load = np.minimum(count, np.repeat(held * prior.quantiles[p], per_slot) * factor + added)
        if learnt is not None:
            most = max(count, learnt.highest_with(recent))
            load = np.maximum(load, np.minimum(most, fine[p]) * factor + added)
        slots = np.maximum(0.0, load).reshape(grid.n_slots, per_slot)
        found[p] = slots.max(axis=1) if p > 0.5 else slots.mean(axis=1)
    return Expected(found, _basis(learnt, recent, now, ratio, prior, grid, announced))


def _basis(
    learnt: Learnt | None,
    recent: History,
    now: int,
    ratio: float,
    prior: Prior,
    grid: SlotGrid,
    announced: Sequence[AnnouncedLoad],
) -> str:
    parts = []
    if learnt is None:
        parts.append(f"nothing measured yet: {prior.name} is held")
    else:
        parts.append(f"forecast from {learnt.days:.1f} days measured")
        if ratio > 0:
            parts.append(f"no less than {100 * ratio:.0f} % of {prior.name}")
        last = recent.last
        last = learnt.known_to - 1 if last is None else last
        if now - 1 - last >= SILENT_STEPS:
            hours = (now - 1 - last) * STEP_MINUTES / 60
            parts.append(
                f"silent since {isoformat_z(start_of(last + 1))}: the last forecast is held, "
                f"{100 * hours / SILENCE_DOUBLES_H:.0f} % wider"
            )
    for one in announced:
        if one.start < grid.end and one.end > grid.start:
            more = f" + {one.added:g}" if one.added else ""
            parts.append(f"announced: {one.name}, x {one.factor:g}{more}")
    return "; ".join(parts)
