"""A fleet, workloads and real-time load that are right, for tests to break."""

from __future__ import annotations

from pathlib import Path

import pytest

from shifter.errors import InputError
from shifter.files.places import all_of

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"

FLEET = """\
currency: EUR
sites:
  - name: frankfurt
    zone: DE-LU
    jurisdiction: DE
    pue: 1.25
    power_limit_kw: 110
    power_limits:
      - {start: 2026-01-10T17:00:00Z, end: 2026-01-10T19:00:00Z, limit_kw: 90}
    pools:
      - name: h100
        accelerator: H100-SXM
        count: 96
        failure_domains: 8
        idle_kw: 0.12
        busy_kw: 0.75
      - {name: l40s, accelerator: L40S, count: 48}
    battery: {energy_kwh: 200, power_kw: 150, initial_kwh: 100, min_kwh: 20}
    resilience: {quantile: 0.99, lose_domains: 1, ride_through_minutes: 10}
  - name: oslo
    tier: edge
    zone: NO1
    jurisdiction: NO
    pools:
      - {name: l40s, accelerator: L40S, count: 16}
models:
  - name: llama
    throughput_tokens_per_s: {H100-SXM: 950, L40S: 210}
    accelerators_per_replica: {H100-SXM: 4, L40S: 8}
  - name: embed
    throughput_tokens_per_s: {L40S: 9000}
  - name: only-h100
    throughput_tokens_per_s: {H100-SXM: 100}
"""


def mistakes(caught: pytest.ExceptionInfo[InputError]) -> list[str]:
    """Every mistake that was named, as a person reads it."""
    return [str(error) for error in all_of(caught.value)]
