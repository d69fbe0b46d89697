"""In which ways each workload may be done, worked out anew from the fleet: what an allocation does, and in what shape.

What an accelerator-hour does is counted in shares of the workload's outcome (the tokens that a model makes, of those
that the whole outcome takes with it), and those in the workload's own unit: so what different models do adds up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from shifter.domain.fleet import Fleet, Model, Pool, PoolKey, Site
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload

WayKey = tuple[PoolKey, str | None, float | None]
"""Pool, and the model and the cap as an allocation names them."""


@dataclass(frozen=True)
class Way:
    """What one accelerator does and needs."""

    key: PoolKey
    rate: float
    """Work per accelerator-hour [the workload's unit/h]."""
    step_kw: float
    """What one busy accelerator adds to the site's import [kW]."""
    replica: int = 1
    load: timedelta = timedelta(0)


def key_of(a: Allocation) -> WayKey:
    """The way that an allocation says it uses."""
    return (a.site, a.pool), a.model, a.cap_kw


def ways_of(workload: Workload, fleet: Fleet) -> Mapping[WayKey, Way]:
    """Every way in which the fleet may do a workload."""
    found: dict[WayKey, Way] = {}
    for key, (site, pool) in fleet.pools.items():
        if not _inside(workload, site):
            continue
        for said, rate, model in _rates(workload, pool, fleet):
            size = 1 if model is None else model.accelerators_per_replica.get(pool.accelerator, 1)
            load = timedelta(minutes=0 if model is None else model.load_minutes)
            curve: list[tuple[float | None, float]] = [(None, 1.0), *caps_of(pool).items()]
            for cap_kw, ratio in curve:
                found[key, said, cap_kw] = Way(key, rate * ratio, step_kw(site, pool, cap_kw), size, load)
    return found


def _rates(workload: Workload, pool: Pool, fleet: Fleet) -> Iterator[tuple[str | None, float, Model | None]]:
    """What may run in a pool as an allocation names it, and how fast at full power."""
    if workload.tokens is None:
        if not workload.accelerators or pool.accelerator in workload.accelerators:
            yield None, 1.0, fleet.by_model.get(workload.model or "")
        return
    for name, tokens in outcomes(workload).items():
        model = fleet.by_model.get(name)
        speed = 0.0 if model is None else model.throughput_tokens_per_s.get(pool.accelerator, 0.0)
        if speed > 0:
            rate = 3600.0 * speed * (workload.tokens / tokens)
            yield (name if workload.alternatives else None), rate, model


def caps_of(pool: Pool) -> dict[float, float]:
    """The caps that work may run under, and the share of full throughput under each.

    Those of the measured curve that stand above every chord between two others of its points, idle and uncapped
    being two of them.
    """
    points = [
        (pool.idle_kw, 0.0),
        *((c.busy_kw, c.throughput_ratio) for c in pool.power_caps),
        (pool.busy_kw, 1.0),
    ]

    def above_all_chords(kw: float, ratio: float) -> bool:
        chords = (
            a[1] + (b[1] - a[1]) * (kw - a[0]) / (b[0] - a[0])
            for a in points
            for b in points
            if a[0] < kw < b[0]
        )
        return all(ratio > chord for chord in chords)

    return {kw: ratio for kw, ratio in points[1:-1] if above_all_chords(kw, ratio)}


def step_kw(site: Site, pool: Pool, cap_kw: float | None) -> float:
    """What one busy accelerator adds to the site's import [kW]."""
    return site.pue * ((pool.busy_kw if cap_kw is None else cap_kw) - pool.idle_kw)


def outcomes(workload: Workload) -> dict[str, float]:
    """The tokens that the whole outcome takes, by each model that may do it."""
    asked = {} if workload.tokens is None else {workload.model or "": workload.tokens}
    return asked | {other.model: other.tokens for other in workload.alternatives}


def _inside(workload: Workload, site: Site) -> bool:
    return (workload.sites is None or site.name in workload.sites) and (
        workload.data_boundary is None or site.jurisdiction in workload.data_boundary
    )
