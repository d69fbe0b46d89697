"""A fleet with every key that a fleet may have, and a cycle of eight hours that all of it takes part in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from forecasts.series import Signal
from shifter.cycle import CycleInputs
from shifter.domain.workload import Workload
from shifter.files import parse_fleet
from shifter.files.document import parse_document
from shifter.files.validation import Tree
from tests.schedule.build import cycle_inputs, work
from tests.schedule.risky import banded

Loc = tuple[int | str, ...]

FLEET: dict[str, Any] = parse_document(
    """
currency: EUR
sites:
  - name: full
    tier: central
    zone: Z
    jurisdiction: DE
    pue: 1.2
    power_limit_kw: 30
    power_limits: [{start: 2026-01-10T05:00:00Z, end: 2026-01-10T06:30:00Z, limit_kw: 20}]
    demand_charge_per_kw: 0.5
    peak_so_far_kw: 9
    pools:
      - {name: x, accelerator: X, count: 24, failure_domains: 2, idle_kw: 0.1, busy_kw: 1.0, off_kw: 0.01,
         power_caps: [{busy_kw: 0.6, throughput_ratio: 0.8}], failure_domain_sizes: [10, 14],
         maintenance: [{start: 2026-01-10T06:00:00Z, end: 2026-01-10T07:00:00Z, accelerators: 2, powered: false}]}
    battery: {energy_kwh: 20, power_kw: 8, charge_efficiency: 0.9, discharge_efficiency: 0.95, initial_kwh: 9,
              min_kwh: 1, wear_cost_per_kwh: 0.01}
    generation:
      cost_per_kwh: 0.01
      windows: [{start: 2026-01-10T02:00:00Z, end: 2026-01-10T04:30:00Z, available_kw: 12}]
    ramp_limit_kw_per_minute: 0.4
    export_limit_kw: 8
    export_price_per_mwh: 35
    resilience: {quantile: 0.99, lose_domains: 1, ride_through_minutes: 10, mode: shared, preemption_seconds: 20}
    ups: {energy_kwh: 0.2, power_kw: 3}
    generator: {power_kw: 9, start_minutes: 2}
  # Nothing here stands in the way of any one quantity: there it is the quantity itself that is planned with
  - name: free
    zone: Y
    power_limit_kw: 6
    battery: {energy_kwh: 3, power_kw: 2}
    generation: {windows: [{start: 2026-01-10T02:00:00Z, end: 2026-01-10T04:00:00Z, available_kw: 2}]}
    pools: [{name: y, accelerator: Y, count: 12, busy_kw: 0.5}]
  - name: unlimited
    zone: Y
    jurisdiction: DE
    pools: [{name: z, accelerator: Y, count: 4, busy_kw: 0.5}]
models:
  - name: m
    throughput_tokens_per_s: {X: 1000, Y: 300}
    accelerators_per_replica: {X: 2}
    load_minutes: 3
    serving:
      X: {profile: {prefill_tokens_per_s: 9000, base_ms: 20, ms_per_sequence: 0.3, max_sequences: 64,
                    kv_cache_tokens: 2e5}, min_replicas: 1,
          measured: [{replicas: 1, requests_per_s: 2}, {replicas: 4, requests_per_s: 9}]}
    latency_slo: {ttft_ms: 1000, latency_ms: 20000, quantile: 0.99}
  - {name: small, throughput_tokens_per_s: {Y: 900}}
objective:
  carbon_price_per_tonne: 80
  cost_per_run: 0.01
  churn_cost_per_accelerator_hour: 0.02
  frozen_minutes: 30
  fairness_cost_per_accelerator_hour: 0.5
  risk:
    cvar_weight: 0.3
    cvar_level: 0.8
    scenarios: 10
    seed: 1
    autocorrelation_hours: 6
    price_carbon_correlation: 0.2
    zone_correlation: 0.3
    trust: [{signal: price, lead_hours: 2, skill_ratio: 0.9, zone: Z, source: given}]
  budgets:
    - {kind: money, limit: 9, start: 2026-01-10T00:00:00Z, end: 2026-01-10T09:00:00Z, sites: [full]}
    - {kind: carbon_kg, limit: 80, start: 2026-01-10T00:00:00Z, end: 2026-01-10T09:00:00Z}
failover_groups:
  - {name: near, sites: [full, unlimited], survive: site, equivalent: {X: 1, Y: 0.5}, within_minutes: 5,
     data_boundary: [DE]}
tenants:
  - {name: search, weight: 3, quota_accelerators: 12, quota_accelerator_types: [X],
     over_quota_cost_per_accelerator_hour: 0.4}
""",
    "every_term",
).data

PRICES = (60, 50, -10, 20, 40, 80, 90, 55)


def workloads() -> list[Workload]:
    """Of every shape, more than can be done in time."""
    tokens = {"accelerator_hours": None, "model": "m", "tokens": 4e7}
    return [
        work("search", 30, 6, max_accelerators=8, tenant="search"),
        work("firm", 20, 8, preemptible=False),
        work("loaded", 0, 8, **tokens),
        work("whole", 3, 8, interruptible=False, max_accelerators=2),
        work("more", 200, 7, max_accelerators=20),
    ]


def planned_by(fleet: Mapping[str, Any], jobs: Sequence[Workload] = ()) -> CycleInputs:
    """The cycle of a fleet as plain values. Raises InputError where they are wrong."""
    read = parse_fleet(deepcopy(dict(fleet)))
    inputs = cycle_inputs(
        jobs or workloads(),
        sites=read.sites,
        models=read.models,
        prices=dict.fromkeys(read.zones, PRICES),
        load={("full", "x"): {0.5: 2.0, 0.99: 4.0}},
        hours=len(PRICES),
    )
    return replace(inputs, fleet=read, frame=banded(inputs.frame, {("Z", Signal.PRICE): 20.0}))


def places(tree: Tree, value: Any, loc: Loc = ()) -> Iterator[Loc]:
    """The way to everything in a document, and to every key that it could have besides."""
    if loc:
        yield loc
    if isinstance(value, Mapping):
        for key in tree.keys(loc) or value:
            yield from places(tree, value.get(key), (*loc, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(tree, item, (*loc, i))


def put(document: Mapping[str, Any], loc: Loc, value: Any) -> dict[str, Any]:
    """The document with another value there."""
    changed = deepcopy(dict(document))
    inner: Any = changed
    for part in loc[:-1]:
        inner = inner[part]
    inner[loc[-1]] = value
    return changed
