"""A case of a few workloads, as the files that benchmarks read."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import one_plan, peers, pieces
from forecasts.slots import isoformat_z
from tests.schedule.build import START, at

PRICES = (60, 20, 40, 30, 80, 50)

FLEET = """\
currency: EUR
sites:
  - name: a
    zone: Z
    jurisdiction: DE
    pue: 1.2
    power_limit_kw: 11
    demand_charge_per_kw: 0.3
    peak_so_far_kw: 6
    resilience: {quantile: 0.99, lose_domains: 1, ride_through_minutes: 5}
    battery: {energy_kwh: 6, power_kw: 2, initial_kwh: 3, min_kwh: 1, wear_cost_per_kwh: 0.01}
    pools:
      - {name: p, accelerator: X, count: 10, failure_domains: 5, idle_kw: 0.1, busy_kw: 1}
  - name: b
    zone: Y
    jurisdiction: FR
    pools:
      - {name: p, accelerator: Y, count: 6, idle_kw: 0.1, busy_kw: 0.5}
models:
  - name: m
    throughput_tokens_per_s: {X: 1000, Y: 300}
objective: {carbon_price_per_tonne: 80}
"""


@pytest.fixture
def tiny_case(tmp_path: Path) -> Path:
    """Two sites, six hours, six workloads; one window begins inside a slot."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "case.json").write_text(
        json.dumps({"kind": "tiny", "start": isoformat_z(START), "horizon_h": 6, "slot_minutes": 30})
    )
    (folder / "fleet.yaml").write_text(FLEET)
    hours = [(isoformat_z(at(h)), isoformat_z(at(h + 1))) for h in range(6)]
    rows = ["zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh"]
    for zone, shift in (("Z", 0), ("Y", 2)):
        rows += [
            f"{zone},{isoformat_z(at(-1))},{a},{b},{PRICES[(h + shift) % 6]},{100 + 50 * h}"
            for h, (a, b) in enumerate(hours)
        ]
    (folder / "forecasts.csv").write_text("\n".join(rows) + "\n")
    rows = ["site,pool,start,end,accelerators_p50,accelerators_p99"]
    rows += [f"a,p,{a},{b},1.5,2.5" for a, b in hours]
    (folder / "realtime.csv").write_text("\n".join(rows) + "\n")
    work = [
        {
            "id": f"w{i}",
            "model": "m",
            "tokens": 3.6e6 * (3 + i),
            "earliest_start": isoformat_z(at(0) + timedelta(minutes=10 * (i % 2))),
            "deadline": isoformat_z(at(4 + i % 3)),
            "max_accelerators": 4,
            "preemptible": i % 3 > 0,
            **({"data_boundary": ["DE"]} if i % 2 else {}),
        }
        for i in range(6)
    ]
    (folder / "workloads.jsonl").write_text("".join(json.dumps(w) + "\n" for w in work))
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What benchmarks do in processes of their own they do in this one: quicker, and memory is no matter of tests."""
    for module in (one_plan, peers, pieces):
        monkeypatch.setattr(module, "apart", lambda call, *arguments: call(*arguments))
