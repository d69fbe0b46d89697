"""Measured load of before as it is sized today: a history in the accelerators of another profile forecasts nothing.

Where a fleet says otherwise how a model serves, or how fast it must answer, what arrived is sized again by that. What
was sized as it would be today stands as it was counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from shifter.domain.fleet import Fleet, PoolKey
from shifter.errors import InputError
from shifter.realtime.ladder import most_each_about, rounded_up
from shifter.realtime.sizing import replicas_for
from shifter.realtime.traffic import Traffic
from shifter.service.sized import ABSURD, serving_mistake, sizing_of, traffic_of
from shifter.store import loads, traffic
from shifter.store.traffic import SizedTraffic, StepKey

ModelKey = tuple[str, str, str]
"""Site, pool and model."""


@dataclass(frozen=True)
class Anew:
    """How many steps were sized anew, and in how many some model could not be and stands as it was counted."""

    sized: int = 0
    stand: int = 0


def sizings(fleet: Fleet) -> frozenset[str]:
    """The fingerprints of today's sizing, of every model at every pool."""
    return frozenset(
        sizing_of(site.name, pool, model)
        for site, pool in fleet.pools.values()
        for model in fleet.models
        if pool.accelerator in model.serving
    )


def sized_anew(fleet: Fleet, found: loads.Steps, stale: traffic.Steps) -> tuple[loads.Steps, Anew]:
    """The steps, with those that are `stale` in today's accelerators; and how many that were.

    A model that cannot be sized today counts as before. A step whose highest sample told accelerators, and no traffic,
    falls no lower than that.
    """
    if not stale:
        return found, Anew()
    now, left_as_it_was = models_anew(fleet, stale)
    changed: dict[PoolKey, dict[int, float]] = defaultdict(dict)
    for key, before in stale.items():
        site, pool, step = key
        peak = found.get((site, pool), {}).get(step)
        if peak is None:
            continue
        total = traffic.accelerators(now[key])
        changed[site, pool][step] = max(peak, total) if peak > traffic.accelerators(before) else total
    stand = len({key for key, _ in left_as_it_was})
    anew = Anew(sum(map(len, changed.values())) - stand, stand)
    return {**found, **{place: {**found[place], **of} for place, of in changed.items()}}, anew


def models_anew(fleet: Fleet, of: traffic.Steps) -> tuple[traffic.Steps, set[tuple[StepKey, str]]]:
    """The same traffic as it is sized today; and of which steps' models that cannot be said, which are as they were.

    Rates of requests of one kind are sized at once: what they are sized by is worked out once for all.
    """
    kinds: dict[ModelKey, dict[Traffic, list[tuple[StepKey, SizedTraffic]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    today: dict[ModelKey, str] = {}
    sized: dict[tuple[StepKey, str], SizedTraffic] = {}
    left: set[tuple[StepKey, str]] = set()
    for key, models in of.items():
        for m in models:
            name, place = m.traffic.model, (*key[:2], m.traffic.model)
            if place not in today:
                today[place] = _sizing_today(fleet, place)
            if today[place] == m.sizing:
                sized[key, name] = m
            elif not today[place]:
                left.add((key, name))
            else:
                kinds[place][rounded_up(traffic_of(m.traffic))].append((key, m))
    for place, by_kind in kinds.items():
        for kind, items in by_kind.items():
            needed = _needed(fleet, place, kind, [m.traffic.requests_per_s for _, m in items])
            for (key, m), accelerators in zip(items, needed, strict=True):
                if accelerators is None:
                    left.add((key, m.traffic.model))
                else:
                    sized[key, m.traffic.model] = SizedTraffic(m.traffic, accelerators, today[place])
    return {
        key: tuple(sized.get((key, m.traffic.model), m) for m in models) for key, models in of.items()
    }, left


def _sizing_today(fleet: Fleet, place: ModelKey) -> str:
    """The fingerprint; empty where the model cannot be sized there."""
    site, name, model = place
    if (site, name) not in fleet.pools:
        return ""
    pool = fleet.pools[site, name][1]
    return "" if serving_mistake(fleet, pool, model) else sizing_of(site, pool, fleet.by_model[model])


def _needed(fleet: Fleet, place: ModelKey, kind: Traffic, rates: list[float]) -> Iterable[float | None]:
    """Accelerators for each rate; None where today's door would refuse it."""
    site, name, model_name = place
    pool, model = fleet.pools[site, name][1], fleet.by_model[model_name]
    serving = model.serving[pool.accelerator]
    try:
        replicas = replicas_for(serving, kind, model.latency_slo, rates, model_name, most_each_about)
    except InputError:
        return [None] * len(rates)
    each = model.replica(pool.accelerator)
    return [float(n * each) if n * each <= ABSURD * pool.count else None for n in replicas.tolist()]
