"""Paths that price and carbon may take, from the bands of a frame: even, and the same whenever they are drawn.

Each signal of a zone is at every slot distributed as its band says. In time a deviation decays by `rho = exp(-slot /
autocorrelation)` a slot, an AR(1) process of normal scores; a zone's price and carbon, and one zone and another, are
correlated (a Gaussian copula). The scores are then replaced by their rank among the paths, at the middle of its share
of probability: every slot's values are spread evenly over its distribution, however few the paths are, and who
follows whom stays as drawn (Latin hypercube sampling with dependence; Packham and Schmidt 2010). Last, the paths are
moved so that their mean is the forecast itself: expected cost stays the plain cost.

What is drawn for a slot depends on the seed, the zone and the time of that slot, and not on where the grid begins: from
one plan to the next the same paths go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, exp, sqrt
from zlib import crc32

import numpy as np

from forecasts.bands import Key, bands_of
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import PLANNED, Signal
from forecasts.slots import Floats, SlotGrid

DAY = timedelta(days=1)
COMMON = "*"
"""The name under which what all zones share is drawn: no zone's."""
MEMORY = 5
"""Autocorrelation times after which what was before is forgotten: the draws begin that long before the grid."""
AUTOCORRELATION_HOURS = 12.0
PRICE_CARBON_CORRELATION = 0.5
"""Where nobody says, and nothing was learnt."""


@dataclass(frozen=True)
class PathRules:
    """How paths are drawn. `autocorrelation_hours` > 0 [h]; correlations of normal scores, that of zones 0..1.

    What is None is as the frame has learnt it of each zone and signal, and where it has not, 12 h and 0.5.
    """

    count: int
    seed: int
    autocorrelation_hours: float | None
    price_carbon_correlation: float | None
    zone_correlation: float


@dataclass(frozen=True, eq=False)
class Paths:
    """Deviations from the forecast by zone and signal, (n_paths, n_slots) each, all paths equally likely.

    Prices in the frame's currency per MWh, carbon in gCO2e/kWh. A signal that is taken as certain is not in it.
    `warnings` say what had to be assumed.
    """

    count: int
    offsets: Mapping[Key, Floats]
    warnings: tuple[str, ...] = ()

    def of(self, zone: str, signal: Signal, n_slots: int) -> Floats:
        """Deviations of a zone's signal (n_paths, n_slots); zero where it is taken as certain."""
        found = self.offsets.get((zone, signal))
        return np.zeros((self.count, n_slots)) if found is None else found


def scenario_paths(frame: ForecastFrame, rules: PathRules) -> Paths:
    """`rules.count` paths whose mean is the forecast. Carbon never falls below zero."""
    from scipy.special import ndtri

    bands, warnings = bands_of(frame)
    steps = np.asarray(ndtri((np.arange(rules.count) + 0.5) / rules.count))
    drawn: dict[str, Floats] = {zone: _scores(zone, frame, rules) for zone in {z for z, _ in bands}}
    offsets = {}
    for (zone, signal), band in bands.items():
        scores = drawn[zone][PLANNED.index(signal)]
        deviations = band.at(steps[scores.argsort(axis=0).argsort(axis=0)])
        deviations = deviations - deviations.mean(axis=0)
        if signal is Signal.CARBON:
            deviations = _above_zero(deviations, frame.assumed(zone, signal))
        offsets[zone, signal] = deviations
    return Paths(rules.count, offsets, warnings)


def at_quantile(frame: ForecastFrame, p: float) -> Paths:
    """The one path on which every value comes out at its quantile `p`."""
    from scipy.special import ndtri

    bands, warnings = bands_of(frame)
    scores = np.full((1, frame.grid.n_slots), float(ndtri(p)))
    return Paths(1, {key: band.at(scores) for key, band in bands.items()}, warnings)


def _above_zero(deviations: Floats, values: Floats) -> Floats:
    """Deviations shrunk, slot by slot, until no path of a carbon intensity is negative; their mean stays zero."""
    least = -deviations.min(axis=0)
    ratio = np.divide(values, least, out=np.ones_like(values), where=least > values)
    kept: Floats = deviations * np.maximum(0.0, ratio)
    return kept


def _scores(zone: str, frame: ForecastFrame, rules: PathRules) -> Floats:
    """Normal scores of a zone's signals, (n_signals, n_paths, n_slots): what all zones share, and its own."""
    grid = frame.grid
    fades = [_autocorrelation_hours(frame.get(zone, signal), rules) for signal in PLANNED]
    slots_hours = grid.slot / timedelta(hours=1)
    rho = np.array([exp(-slots_hours / fade) for fade in fades])[:, None]
    shared = rules.zone_correlation
    memory_h = MEMORY * max(fades)
    noise = sqrt(shared) * _noise(COMMON, grid, rules, memory_h)
    noise = noise + sqrt(1 - shared) * _noise(zone, grid, rules, memory_h)
    first, second = noise
    r = _correlation(frame.get(zone, Signal.CARBON), rules)
    scores = np.array([first, r * first + sqrt(1 - r * r) * second])
    for t in range(1, scores.shape[-1]):
        scores[..., t] = rho * scores[..., t - 1] + np.sqrt(1 - rho * rho) * scores[..., t]
    return scores[..., -grid.n_slots :]


def _autocorrelation_hours(signal: SignalFrame | None, rules: PathRules) -> float:
    if rules.autocorrelation_hours is not None:
        return rules.autocorrelation_hours
    learnt = None if signal is None else signal.autocorrelation_hours
    return AUTOCORRELATION_HOURS if learnt is None else learnt


def _correlation(carbon: SignalFrame | None, rules: PathRules) -> float:
    if rules.price_carbon_correlation is not None:
        return rules.price_carbon_correlation
    learnt = None if carbon is None else carbon.price_correlation
    return PRICE_CARBON_CORRELATION if learnt is None else learnt


def _noise(name: str, grid: SlotGrid, rules: PathRules, memory_h: float) -> Floats:
    """Independent normals (n_signals, n_paths, slots from a midnight before the grid to its end), drawn day by day."""
    per_day = DAY // grid.slot
    midnight = datetime(grid.start.year, grid.start.month, grid.start.day, tzinfo=UTC)
    first = midnight - ceil(memory_h / 24) * DAY
    slots = (grid.end - first) // grid.slot
    days = []
    for day in range(-(-slots // per_day)):
        key = [rules.seed, (first + day * DAY).toordinal(), crc32(name.encode())]
        days.append(np.random.default_rng(key).standard_normal((len(PLANNED), rules.count, per_day)))
    return np.concatenate(days, axis=2)[..., :slots]
