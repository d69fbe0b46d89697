"""The `typical` real-time load, which is synthetic, and what a measurement does to a forecast of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import NormalDist
from zoneinfo import ZoneInfo

import numpy as np

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Fleet, PoolKey, Site
from shifter.realtime.load import LoadBasis, RealtimeLoad

TYPICAL_LABEL = "typical (synthetic)"
"""How the typical load is named wherever it is shown: no one measured it."""

QUANTILES = (0.5, 0.9, 0.99)

_STEP_MINUTES = 5  # slots of every length are averages of these, so they agree with one another
_RIPPLE_HOURS = (3.7, 11.3, 53.0, 97.0)  # periods that fit no day: no two days are the same
_RIPPLE_RATIO = 0.03


@dataclass(frozen=True)
class _Shape:
    """A day: `night_ratio` of the peak at night, `peak_hour` local, narrower with `sharpness`."""

    night_ratio: float
    peak_hour: float
    sharpness: float
    weekend_ratio: float
    spread: float
    """Standard deviation of the logarithm of the load around its median."""


_SHAPES: Mapping[str, _Shape] = {
    "central": _Shape(0.55, 14.0, 1.0, 0.85, 0.14),
    "regional": _Shape(0.40, 14.5, 1.6, 0.78, 0.17),
    "edge": _Shape(0.22, 15.5, 2.8, 0.65, 0.22),
}

_TIME_ZONES: Mapping[str, str] = {
    "AT": "Europe/Vienna",
    "BE": "Europe/Brussels",
    "CH": "Europe/Zurich",
    "CAISO": "America/Los_Angeles",
    "CZ": "Europe/Prague",
    "DE": "Europe/Berlin",
    "DK1": "Europe/Copenhagen",
    "DK2": "Europe/Copenhagen",
    "ERCOT": "America/Chicago",
    "ES": "Europe/Madrid",
    "FI": "Europe/Helsinki",
    "FR": "Europe/Paris",
    "GB": "Europe/London",
    "IE": "Europe/Dublin",
    "IT": "Europe/Rome",
    "JP": "Asia/Tokyo",
    "NL": "Europe/Amsterdam",
    "NO": "Europe/Oslo",
    "NYISO": "America/New_York",
    "PJM": "America/New_York",
    "PL": "Europe/Warsaw",
    "PT": "Europe/Lisbon",
    "SE": "Europe/Stockholm",
    "SG": "Asia/Singapore",
}


def time_zone(site: Site) -> ZoneInfo:
    """The zone of the site's daytime: by its grid zone, else its jurisdiction; UTC where neither is known."""
    for name in (site.zone, site.jurisdiction or ""):
        key = name.upper().replace("_", "-").split("-")[0]
        if key in _TIME_ZONES:
            return ZoneInfo(_TIME_ZONES[key])
    return ZoneInfo("UTC")


def typical_load(fleet: Fleet, grid: SlotGrid, *, share: float = 0.45, seed: int = 0) -> RealtimeLoad:
    """A synthetic real-time load for every pool: p50, p90, p99 and the quantiles that the sites ask for.

    The median follows the site's local day (edge sites peak hardest), is lower at the weekend, and reaches
    about `share` of the pool's accelerators at the peak of a working day; around it the load is log-normal,
    and never above the pool's count. Each value depends on its slot, the site, the pool and `seed` alone: a
    slot has the same load in whatever window it is asked for, and a longer slot the mean of the shorter
    ones.
    """
    asked = sorted({*QUANTILES, *(site.resilience.quantile for site in fleet.sites)})
    quantiles: dict[PoolKey, dict[float, Floats]] = {}
    for key, (site, pool) in fleet.pools.items():
        fine = pool.count * share * _relative_load(site, grid, f"{seed}/{key[0]}/{key[1]}")
        spread = _SHAPES[site.tier].spread
        quantiles[key] = {
            p: _slot_means(np.minimum(pool.count, fine * np.exp(spread * NormalDist().inv_cdf(p))), grid)
            for p in asked
        }
    return RealtimeLoad(grid, quantiles, dict.fromkeys(quantiles, LoadBasis(TYPICAL_LABEL)))


def _slot_means(fine: Floats, grid: SlotGrid) -> Floats:
    means: Floats = fine.reshape(grid.n_slots, -1).mean(axis=1)
    return means


def _relative_load(site: Site, grid: SlotGrid, name: str) -> Floats:
    """The median load over its usual weekday peak, on steps of five minutes; (n_slots * steps a slot,)."""
    shape = _SHAPES[site.tier]
    hours, weekend = _local_time(site, grid)
    day = np.exp(shape.sharpness * (np.cos((hours - shape.peak_hour) * np.pi / 12) - 1))
    level = shape.night_ratio + (1 - shape.night_ratio) * day
    return level * np.where(weekend, shape.weekend_ratio, 1.0) * _ripple(grid, name)


def _local_time(site: Site, grid: SlotGrid) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Local hour of day and whether it is a weekend, in the middle of each five-minute step."""
    zone, steps = time_zone(site), grid.slot_minutes // _STEP_MINUTES
    starts = [edge.astimezone(zone) for edge in grid.edges[:-1]]  # no clock changes inside a slot
    first = np.array([start.hour + start.minute / 60 for start in starts])
    within = (np.arange(steps) + 0.5) * _STEP_MINUTES / 60
    weekend = np.array([start.weekday() >= 5 for start in starts])
    return (first[:, None] + within).ravel(), np.repeat(weekend, steps)


def _ripple(grid: SlotGrid, name: str) -> Floats:
    """Slow waves around 1 whose phases come from `name`: known at any time without a history."""
    digest = hashlib.sha256(name.encode()).digest()
    start_hours = grid.start.timestamp() / 3600
    steps = grid.n_slots * grid.slot_minutes // _STEP_MINUTES
    hours = start_hours + (np.arange(steps) + 0.5) * _STEP_MINUTES / 60
    total = np.ones(steps)
    for i, period in enumerate(_RIPPLE_HOURS):
        phase = int.from_bytes(digest[4 * i : 4 * i + 4]) / 2**32
        total += _RIPPLE_RATIO * np.sin(2 * np.pi * (hours / period + phase))
    return total


@dataclass(frozen=True)
class MeasuredLoad:
    """Accelerators that real-time load was seen to use in a pool, and when."""

    accelerators: float
    at: datetime


def apply_measured(
    load: RealtimeLoad,
    measured: Mapping[PoolKey, MeasuredLoad],
    now: datetime,
    *,
    max_age: timedelta = timedelta(minutes=15),
    half_life: timedelta = timedelta(hours=1),
    fleet: Fleet | None = None,
) -> RealtimeLoad:
    """The load after a measurement: near slots are raised where more was seen than expected, never lowered.

    With m and q_p the forecast's median and quantile p in a slot, e = max(0, measured - m when it was
    measured), and r = 2^(-t / half_life) with t from the measurement to the middle of the slot:

        q_p' = max(q_p, m + r e + (q_p - m) sqrt(1 - r^2))

    which is the conditional quantile of a Gaussian AR(1) error of correlation r (Box, Jenkins, Reinsel,
    Ljung, Time Series Analysis, chapter 5), kept from falling. Right after a measurement the load is what
    was seen; later the forecast returns, with its own spread. A measurement that is older than `max_age`,
    of the future (beyond a minute of clock skew), negative or not finite changes nothing: the forecast
    stands. With `fleet`, no pool is raised above its count. Of a pool that is `levelled`, whose forecast starts from
    what was measured, only the slot in which it was is raised, to that.
    """
    raised = {
        key: _raised(load, key, found, half_life, _count(fleet, key))
        for key, found in measured.items()
        if timedelta(minutes=-1) <= now - found.at <= max_age and 0 <= found.accelerators < float("inf")
    }
    if not raised:
        return load
    basis = {key: _basis(load, key, of) for key, of in raised.items()}
    return replace(load, quantiles={**load.quantiles, **raised}, basis={**load.basis, **basis})


def _basis(load: RealtimeLoad, key: PoolKey, raised: Mapping[float, Floats]) -> LoadBasis:
    """What it stands on, and that a measurement raised it where one did."""
    given = load.quantiles.get(key)
    known = load.basis.get(key) or LoadBasis(
        "as the settings say" if given else "no real-time load is configured"
    )
    same = given is not None and all((raised[p] <= q).all() for p, q in given.items())
    return known if same else replace(known, words=f"{known.words}, raised to what was measured")


def _count(fleet: Fleet | None, key: PoolKey) -> float:
    return float(fleet.pools[key][1].count) if fleet is not None and key in fleet.pools else float("inf")


def _raised(
    load: RealtimeLoad, key: PoolKey, found: MeasuredLoad, half_life: timedelta, count: float
) -> Mapping[float, Floats]:
    grid = load.grid
    given = load.quantiles.get(key) or {0.5: np.zeros(grid.n_slots), 1.0: np.zeros(grid.n_slots)}
    median = load.median(key)
    position = grid.position(found.at)
    if position >= grid.n_slots:
        return given
    excess = max(0.0, found.accelerators - float(median[max(0, int(position))]))
    slots = np.arange(grid.n_slots)
    age = np.maximum(0.0, slots + 0.5 - position) * (grid.slot / half_life)
    r = np.where(slots + 1 > position, 0.5**age, 0.0)
    if key in load.levelled:
        r = np.where((slots <= position) & (slots + 1 > position), 1.0, 0.0)
    return {
        p: np.maximum(q, np.minimum(count, median + r * excess + (q - median) * np.sqrt(1 - r**2)))
        for p, q in given.items()
    }
