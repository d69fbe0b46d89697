"""In which ways each workload may be done, worked out anew from the fleet: what an allocation does, and in what shape.

What an accelerator-hour does is counted in shares of the workload's outcome (the tokens that a model makes, of those
that the whole outcome takes with it), and those in the workload's own unit: so what different models do adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shifter.domain.fleet import Fleet, Model, PoolKey, Site
from shifter.domain.plan import Allocation
from shifter.domain.workload import Workload

WayKey = tuple[PoolKey, str | None]
"""Pool, and the model as an allocation names it."""


@dataclass(frozen=True)
class Way:
    """What one accelerator does and needs."""

    key: PoolKey
    rate: float
    """Work per accelerator-hour [the workload's unit/h]."""
    replica: int = 1
    load: timedelta = timedelta(0)


def key_of(a: Allocation) -> WayKey:
    """The way that an allocation says it uses."""
    return (a.site, a.pool), a.model


def ways_of(workload: Workload, fleet: Fleet) -> Mapping[WayKey, Way]:
    """Every way in which the fleet may do a workload."""
    found: dict[WayKey, Way] = {}
    for key, (site, pool) in fleet.pools.items():
        if not _inside(workload, site):
            continue
        if workload.tokens is None:
            if not workload.accelerators or pool.accelerator in workload.accelerators:
                model = fleet.by_model.get(workload.model or "")
                found[key, None] = _way(key, 1.0, model, pool.accelerator)
            continue
        for name, tokens in outcomes(workload).items():
            model = fleet.by_model.get(name)
            speed = 0.0 if model is None else model.throughput_tokens_per_s.get(pool.accelerator, 0.0)
            if speed > 0:
                said = name if workload.alternatives else None
                found[key, said] = _way(
                    key, 3600.0 * speed * (workload.tokens / tokens), model, pool.accelerator
                )
    return found


def outcomes(workload: Workload) -> dict[str, float]:
    """The tokens that the whole outcome takes, by each model that may do it."""
    asked = {} if workload.tokens is None else {workload.model or "": workload.tokens}
    return asked | {other.model: other.tokens for other in workload.alternatives}


def _inside(workload: Workload, site: Site) -> bool:
    return (workload.sites is None or site.name in workload.sites) and (
        workload.data_boundary is None or site.jurisdiction in workload.data_boundary
    )


def _way(key: PoolKey, rate: float, model: Model | None, accelerator: str) -> Way:
    if model is None:
        return Way(key, rate)
    size = model.accelerators_per_replica.get(accelerator, 1)
    return Way(key, rate, size, timedelta(minutes=model.load_minutes))
