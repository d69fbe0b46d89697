"""What arrives at a pool, by model, as accelerators: the one way from traffic that was measured to load that counts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache

from shifter.domain.fleet import Fleet, Pool
from shifter.domain.model import Model
from shifter.domain.serving import LatencySlo, Serving
from shifter.errors import InputError
from shifter.files.places import suggestion
from shifter.realtime.ladder import most_each_about
from shifter.realtime.sizing import replicas_for
from shifter.realtime.traffic import Traffic
from shifter.store.traffic import Arrived, SizedTraffic
from shifter.views import ModelTraffic, TelemetrySample

ABSURD = 1000
"""Who needs so many times the pool was measured in another unit."""
METHOD = 1
"""Counts up where the code comes to size the same traffic to another number: what was sized before is sized anew."""


def sized(fleet: Fleet, sample: TelemetrySample, where: str = "") -> TelemetrySample:
    """The sample with its `traffic` as `realtime_accelerators`, summed over models; any other as it is.

    Its pool is one of the fleet's. Raises InputError with the field, and what is missing in fleet.yaml.
    """
    if sample.traffic is None:
        return sample
    if sample.realtime_accelerators is not None:
        raise InputError(
            "traffic and realtime_accelerators are two ways to say the same.",
            field=f"{where}traffic",
            hint="Give one of them.",
        )
    assert sample.pool is not None
    pool = fleet.pools[sample.site, sample.pool][1]
    total, seen = 0, set()
    for i, arriving in enumerate(sample.traffic):
        here = f"{where}traffic[{i}]."
        if arriving.model in seen:
            raise InputError(
                f"{arriving.model} comes twice.",
                field=f"{here}model",
                hint="Give each model once: the sum of its rates, and the means of all its requests.",
            )
        seen.add(arriving.model)
        needed = _needed(fleet, pool, arriving, here)
        if needed > ABSURD * pool.count:
            raise InputError(
                f"{arriving.requests_per_s:g} requests per s would take {needed:,} accelerators, and {sample.pool} "
                f"has {pool.count:,}.",
                field=f"{here}requests_per_s",
                hint=f"Is it per s? More than {ABSURD:,} times the pool is taken for a mistake.",
            )
        total += needed
    return replace(sample, realtime_accelerators=float(total), traffic=None)


def arrived(fleet: Fleet, sample: TelemetrySample, at: datetime) -> Arrived | None:
    """The traffic of a sample that has been `sized`, as it is kept beside its accelerators; None where it has none, and
    of drills.
    """
    if sample.traffic is None or sample.pool is None or sample.drill:
        return None
    pool = fleet.pools[sample.site, sample.pool][1]
    models = tuple(
        SizedTraffic(
            a,
            float(_needed(fleet, pool, a, "")),
            sizing_of(sample.site, pool, fleet.by_model[a.model]),
        )
        for a in sample.traffic
    )
    return Arrived(sample.site, sample.pool, at, models)


def sizing_of(site: str, pool: Pool, model: Model) -> str:
    """A fingerprint of how requests to a model are sized at a pool: another one where that may give another number.

    Of a model that cannot be sized there, too.
    """
    accelerator = pool.accelerator
    serving = model.serving.get(accelerator)
    return _fingerprint((site, pool.name, model.name), serving, model.latency_slo, model.replica(accelerator))


@lru_cache(maxsize=4096)
def _fingerprint(
    of: tuple[str, str, str], serving: Serving | None, slo: LatencySlo | None, replica: int
) -> str:
    if serving is not None and serving.measured:  # stands over both
        serving, slo = replace(serving, profile=None), None
    said = [METHOD, of, serving and asdict(serving), slo and asdict(slo), replica]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def serving_mistake(fleet: Fleet, pool: Pool, name: str) -> InputError | None:
    """Why requests to a model cannot be sized on a pool's accelerators; None where they can."""
    model = fleet.by_model.get(name)
    if model is None:
        return InputError(
            f"there is no model {name}.", field="model", hint=suggestion(name, fleet.by_model, "models")
        )
    entry = f"models[{name}]"
    serving = model.serving.get(pool.accelerator)
    if serving is None or (serving.profile is None and not serving.measured):
        return InputError(
            f"nothing says how {name} serves requests on {pool.accelerator}, which {pool.name} is made of.",
            field="model",
            hint=f"In fleet.yaml, give {entry}.serving.{pool.accelerator} a profile or a measured table.",
        )
    slo = model.latency_slo
    if not serving.measured and (slo is None or (slo.ttft_ms is None and slo.latency_ms is None)):
        return InputError(
            f"nothing says how fast {name} must answer.",
            field="model",
            hint=f"In fleet.yaml, give {entry}.latency_slo a ttft_ms, a latency_ms or both.",
        )
    return None


def _needed(fleet: Fleet, pool: Pool, arriving: ModelTraffic, here: str) -> int:
    mistake = serving_mistake(fleet, pool, arriving.model)
    if mistake is not None:
        raise InputError(mistake.detail, field=f"{here}{mistake.field}", hint=mistake.hint)
    model = fleet.by_model[arriving.model]
    try:
        replicas = _replicas(model.serving[pool.accelerator], model.latency_slo, arriving)
    except InputError as error:
        known = error.field in ModelTraffic.__dataclass_fields__
        raise InputError(
            error.detail,
            field=f"{here}{error.field if known else 'model'}",
            hint=error.hint
            if known
            else f"{error.hint} That is {_entry(model)}.{error.field} in fleet.yaml.",
            **error.facts,
        ) from None
    return replicas * model.replica(pool.accelerator)


@lru_cache(maxsize=16_384)
def _replicas(serving: Serving, slo: LatencySlo | None, arriving: ModelTraffic) -> int:
    rate, name = arriving.requests_per_s, arriving.model
    return int(replicas_for(serving, traffic_of(arriving), slo, rate, name, most_each_about))


def _entry(model: Model) -> str:
    return f"models[{model.name}]"


def traffic_of(arriving: ModelTraffic) -> Traffic:
    """What its requests are like. Where nothing arrives, lengths say nothing and may be left out.

    Raises InputError where they are and something does.
    """
    for name in ("prompt_tokens", "output_tokens"):
        if arriving.requests_per_s > 0 and getattr(arriving, name) is None:
            raise InputError(
                f"requests arrive, and nothing says how long their {name.split('_')[0]}s are.",
                field=name,
                hint="Give the mean of each request, in tokens.",
            )
    return Traffic(
        arriving.prompt_tokens or 0.0,
        1.0 if arriving.output_tokens is None else arriving.output_tokens,
        arriving.prompt_scv,
        arriving.output_scv,
        arriving.arrival_scv,
    )
