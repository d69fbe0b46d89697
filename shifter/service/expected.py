"""What real-time load is expected, for people: by slot, on what basis, and how often it was right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from forecasts.slots import SlotGrid
from shifter.domain.fleet import PoolKey
from shifter.errors import InputError, NotReady
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.measured import STEP_MINUTES, start_of, step_of
from shifter.service.anew import models_anew
from shifter.service.capacity import capacity, check_asked
from shifter.service.core import Core
from shifter.service.gate import gate_of
from shifter.service.snapshot import with_measured
from shifter.store import loads, traffic
from shifter.views import LoadCoverage, LoadSlot, LoadView, ModelLoad

LEADS_H = (0, 6, 24, 48)
"""[h] Between these, coverage is told."""
LATELY = timedelta(hours=1)
MOST_DAYS = loads.SAID_DAYS


def realtime(core: Core, site: str | None, pool: str | None, days: int) -> list[LoadView]:
    """See `Service.realtime`."""
    check_asked(core.fleet, site, pool, None, None)
    now, config = core.now(), core.config
    horizon = timedelta(hours=config.horizon_hours)
    try:
        load = with_measured(core, core.realtime(SlotGrid.covering(now, horizon, config.slot_minutes)), now)
    except NotReady as error:
        core.lost_database(error)
        raise
    except InputError as error:  # nothing that the caller said is wrong
        raise NotReady(error.detail, hint=error.hint, retry_after_s=60) from error
    since = now - timedelta(days=days)
    with core.reading() as db:
        said = loads.said_since(db, since - timedelta(hours=LEADS_H[-1]), site, pool)
        came = loads.steps(db, step_of(since), site, pool)
        arrived = traffic.steps(db, step_of(now - LATELY), step_of(now) + 1, site, pool)
    last = _last(core, arrived)
    return [
        replace(
            _view(
                core, key, load, now, days, [s for s in said if (s.site, s.pool) == key], came.get(key, {})
            ),
            **last.get(key, {}),
        )
        for key in core.fleet.pools
        if site in {None, key[0]} and pool in {None, key[1]}
    ]


def _last(core: Core, arrived: traffic.Steps) -> dict[PoolKey, dict[str, Any]]:
    """What each pool's view says of its models: the last traffic that was told; of before the start, the highest of the
    last step in which any was.
    """
    newest = {(site, pool): step for site, pool, step in sorted(arrived)}
    of, _ = models_anew(core.fleet, {key: arrived[key] for key in ((*p, step) for p, step in newest.items())})
    kept = {
        (site, pool): {"by_model_at": start_of(step), "by_model": tuple(map(_model, models))}
        for (site, pool, step), models in of.items()
    }
    heard = {
        key: {"by_model_at": one.at, "by_model": tuple(map(_model, one.models))}
        for key, one in core.state.arrived.items()
        if one.at >= core.now() - LATELY
    }
    return {**kept, **heard}


def _model(m: traffic.SizedTraffic) -> ModelLoad:
    a = m.traffic
    return ModelLoad(a.model, a.requests_per_s, a.prompt_tokens, a.output_tokens, m.accelerators)


def _view(
    core: Core,
    key: PoolKey,
    load: RealtimeLoad,
    now: datetime,
    days: int,
    said: Iterable[loads.Said],
    came: Mapping[int, float],
) -> LoadView:
    basis, gate = load.basis.get(key), gate_of(core, now)
    last = core.state.measured.get(key)
    if basis is not None:
        words = basis.words
    else:
        words = "as the settings say" if key in load.quantiles else "no real-time load is configured"
    quantile = core.fleet.by_site[key[0]].resilience.quantile
    return LoadView(
        site=key[0],
        pool=key[1],
        basis=words,
        history_days=round(basis.days, 2) if basis is not None else 0.0,
        last_sample_at=None if last is None else last.at,
        last_sample_age_s=None if last is None else max(0.0, (now - last.at).total_seconds()),
        silent=gate.silent(key),
        quantile=quantile,
        coverage_days=days,
        coverage=coverage([s for s in said if s.quantile == quantile], came),
        slots=_slots(load, key),
        measured_accelerators=None if last is None else last.realtime_accelerators,
        realtime_accelerators=capacity(key, gate).realtime_accelerators,
    )


def _slots(load: RealtimeLoad, key: PoolKey) -> tuple[LoadSlot, ...]:
    of = load.quantiles.get(key, {0.5: np.zeros(load.grid.n_slots)})
    edges = load.grid.edges
    return tuple(
        LoadSlot(
            edges[i], edges[i + 1], {f"p{100 * p:g}": round(float(values[i]), 4) for p, values in of.items()}
        )
        for i in range(load.grid.n_slots)
    )


def coverage(said: Iterable[loads.Said], came: Mapping[int, float]) -> tuple[LoadCoverage, ...]:
    """How often what came at each step was no higher than what was said of it, by how far ahead that was."""
    steps, held = np.zeros(len(LEADS_H) - 1, dtype=int), np.zeros(len(LEADS_H) - 1, dtype=int)
    if not came:
        return ()
    first = min(came)
    known = np.full(max(came) - first + 1, np.nan)
    known[np.fromiter(came, int) - first] = np.fromiter(came.values(), float)
    for one in said:
        accelerators = np.repeat(one.accelerators, one.slot_steps)
        step = one.first_step + np.arange(len(accelerators))
        lead_h = (step - step_of(one.made_at)) * STEP_MINUTES / 60
        seen = (step >= first) & (step < first + len(known))
        seen[seen] = np.isfinite(known[step[seen] - first])
        for i, (low, high) in enumerate(pairwise(LEADS_H)):
            use = seen & (lead_h >= low) & (lead_h < high)
            steps[i] += use.sum()
            held[i] += (known[step[use] - first] <= accelerators[use]).sum()
    return tuple(
        LoadCoverage(low, high, int(n), float(h / n) if n else None)
        for (low, high), n, h in zip(pairwise(LEADS_H), steps, held, strict=True)
    )
