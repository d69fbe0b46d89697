"""A meter that measures nothing: it makes up load around the `typical` profile, for demonstrations, and says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from statistics import NormalDist

from forecasts.slots import SlotGrid
from shifter.domain.fleet import Fleet, PoolKey
from shifter.meters.base import Told
from shifter.realtime.profiles import typical_load
from shifter.views import TelemetrySample

TYPICAL_METER_LABEL = "measured by a typical meter (synthetic)"
"""How what it tells is named wherever it is shown: no one measured it."""

MOST_SIGMA = 2.0
"""So many standard deviations from the median, and no more, but in a surge."""
SURGE_EVERY = timedelta(hours=6)
"""One at some site in each such stretch of the day, UTC."""
SURGE_MINUTES = (25.0, 45.0)
SURGE_REACH = (0.4, 0.55)
"""How far a surge reaches from the site's quantile (0) to the whole pool (1)."""

_GRID_MINUTES = 5
_WAVE_HOURS = (0.37, 0.9, 2.3, 6.1)  # periods that fit neither one another nor a slot
_Q90 = 0.9
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class TypicalMeter:
    """Of every pool at once. The same moment has the same load in every process, for a seed."""

    def __init__(self, name: str, fleet: Fleet, *, seed: int = 0, every_s: float = 10.0) -> None:
        self.name, self.every_s = name, every_s
        self.pool: tuple[str, str] | None = None
        self._fleet, self._seed = fleet, seed

    def read(self, now: datetime) -> Sequence[Told]:
        """See `Meter.read`. It never fails."""
        loads = made_up_load(self._fleet, now, self._seed)
        return [Told(TelemetrySample(site, now, pool, load)) for (site, pool), load in loads.items()]


def made_up_load(fleet: Fleet, at: datetime, seed: int = 0) -> dict[PoolKey, float]:
    """The load of each pool at a moment [accelerators]: log-normal around the profile's median, as the profile says
    of itself, and at the site of a surge well above the quantile that the site holds; never above the pool's count.
    """
    load = typical_load(fleet, SlotGrid.covering(at, timedelta(minutes=_GRID_MINUTES), _GRID_MINUTES))
    surge = surge_at(fleet, at, seed)
    found: dict[PoolKey, float] = {}
    for key, (site, pool) in fleet.pools.items():
        median, high = float(load.median(key)[0]), float(load.at(key, _Q90)[0])
        sigmas = _waves(at, f"{seed}/{key[0]}/{key[1]}") / NormalDist().inv_cdf(_Q90)
        usual = median * (high / median) ** sigmas if median > 0 else 0.0
        if surge is not None and site.name == surge[0]:
            held = float(load.at(key, site.resilience.quantile)[0])
            usual = max(usual, held + surge[1] * (pool.count - held))
        found[key] = min(float(pool.count), usual)
    return found


def surge_at(fleet: Fleet, at: datetime, seed: int = 0) -> tuple[str, float] | None:
    """The site that has a surge at a moment, and how far it reaches; None where no site has one."""
    stretch = (at - _EPOCH) // SURGE_EVERY
    drawn = Random(f"{seed}/surge/{stretch}")
    site, reach = drawn.choice(fleet.sites).name, drawn.uniform(*SURGE_REACH)
    lasts = timedelta(minutes=drawn.uniform(*SURGE_MINUTES))
    starts = _EPOCH + stretch * SURGE_EVERY + drawn.random() * (SURGE_EVERY - lasts)
    return (site, reach) if starts <= at < starts + lasts else None


def _waves(at: datetime, name: str) -> float:
    """Of mean 0 and variance 1 over time, and within `MOST_SIGMA`; its phases come from `name`."""
    drawn, hours = Random(name), (at - _EPOCH) / timedelta(hours=1)
    waves = (math.sin(2 * math.pi * (hours / period + drawn.random())) for period in _WAVE_HOURS)
    return max(-MOST_SIGMA, min(MOST_SIGMA, sum(waves) * math.sqrt(2 / len(_WAVE_HOURS))))
