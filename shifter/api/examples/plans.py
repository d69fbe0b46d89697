"""Of the plan and its slots."""

from __future__ import annotations

from typing import Any

from shifter.api.examples.leases import ALLOCATION

_SLOT = {
    "site": "frankfurt",
    "pool": "h100",
    "start": "2026-01-10T02:00:00Z",
    "end": "2026-01-10T02:30:00Z",
    "realtime_p50": 18.0,
    "realtime_q": 32.0,
    "reserved": 36.6,
    "deferrable": 16.0,
    "preemptible": 16.0,
    "count": 64,
}

SLOT: dict[str, Any] = {**_SLOT, "free": 27.4}

CAPACITY: dict[str, Any] = {
    "site": "frankfurt",
    "pool": "h100",
    "deferrable_accelerators": 24,
    "reserved_accelerators": 36.6,
    "realtime_accelerators": 32.0,
    "dispatch_budget": 0.375,
    "count": 64,
    "version": 41,
    "valid_until": "2026-01-10T00:45:00Z",
    "stale": False,
    "available_accelerators": 64,
    "yielded_accelerators": 0,
    "last_sample_at": "2026-01-10T00:29:30Z",
    "measured_accelerators": 31.0,
}

LOAD: dict[str, Any] = {
    "site": "frankfurt",
    "pool": "h100",
    "basis": "forecast from 12.4 days measured; no less than 12 % of the whole pool",
    "history_days": 12.4,
    "last_sample_at": "2026-01-10T00:29:30Z",
    "last_sample_age_s": 30.0,
    "measured_accelerators": 31.0,
    "realtime_accelerators": 32.0,
    "silent": False,
    "quantile": 0.99,
    "coverage_days": 14,
    "coverage": [
        {"lead_hours_from": 0, "lead_hours_to": 6, "steps": 6840, "held_ratio": 0.9921},
        {"lead_hours_from": 6, "lead_hours_to": 24, "steps": 20088, "held_ratio": 0.9907},
        {"lead_hours_from": 24, "lead_hours_to": 48, "steps": 24192, "held_ratio": 0.9893},
    ],
    "slots": [
        {
            "start": "2026-01-10T00:30:00Z",
            "end": "2026-01-10T01:00:00Z",
            "accelerators": {"p50": 14.2, "p90": 17.1, "p99": 21.6},
        }
    ],
    "by_model": [
        {
            "model": "llama-3.3-70b",
            "requests_per_s": 42.5,
            "prompt_tokens": 812.4,
            "output_tokens": 148.9,
            "accelerators": 16.0,
        }
    ],
    "by_model_at": "2026-01-10T00:25:00Z",
}

_WORTH = {
    "horizon": 1.84,
    "per_day": 0.92,
    "bound_hours": 3.5,
    "binds": [{"start": "2026-01-10T02:00:00Z", "end": "2026-01-10T05:30:00Z"}],
    "values": [0.0, 0.0, 0.0, 0.0, 0.26],
    "late_accelerator_hours": 0.0,
}

VALUE: dict[str, Any] = {
    "plan_id": "p-5f0c2d9a1b7e",
    "currency": "EUR",
    "start": "2026-01-10T00:00:02Z",
    "end": "2026-01-12T00:00:00Z",
    "slot_start": "2026-01-10T00:00:00Z",
    "slot_minutes": 30,
    "above_bound": 0.6,
    "sites": [
        {
            "site": "frankfurt",
            "kw": _WORTH,
            "peak": None,
            "battery": _WORTH,
            "new_battery": True,
            "pools": [{"pool": "h100", "count": 64, "accelerator": _WORTH, "held_back": _WORTH}],
            "promises": [
                {
                    "kind": "strict",
                    "horizon": 6.4,
                    "per_day": 3.2,
                    "text": "keeping what is reserved at frankfurt idle costs at most 3.20 EUR a day",
                }
            ],
        }
    ],
    "energise_next": [
        {
            "site": "frankfurt",
            "kind": "power",
            "pool": None,
            "amount": 100.0,
            "per_day": 92.0,
            "horizon": 184.0,
            "bound_hours": 3.5,
            "late_accelerator_hours": 0.0,
        }
    ],
    "notes": [],
}

PLAN: dict[str, Any] = {
    "plan_id": "p-5f0c2d9a1b7e",
    "inputs_id": "0c9d…",
    "created_at": "2026-01-10T00:00:02Z",
    "horizon": {"start": "2026-01-10T00:00:00Z", "end": "2026-01-12T00:00:00Z", "slot_minutes": 30},
    "currency": "EUR",
    "cost": {"energy": 912.4, "carbon": 88.1, "demand_charge": 0.0, "battery_wear": 0.0, "total": 1000.5},
    "carbon_kg": 1101.2,
    "lower_bound": 999.9,
    "relative_gap": 0.0006,
    "baseline": {
        "name": "run_now",
        "total": 1093.0,
        "carbon_kg": 1240.8,
        "peak_kw": 611.0,
        "late_accelerator_hours": 0.0,
        "unfinished_accelerator_hours": 0.0,
        "deferrable_total": 210.3,
    },
    "slots": [_SLOT],
    "power": [
        {
            "site": "frankfurt",
            "start": "2026-01-10T02:00:00Z",
            "end": "2026-01-10T02:30:00Z",
            "import_kw": 43.1,
            "limit_kw": 900.0,
            "charge_kw": 0.0,
            "discharge_kw": 0.0,
            "stored_kwh": 0.0,
            "price_per_mwh": 61.0,
            "carbon_g_per_kwh": 262.0,
        }
    ],
    "allocations": [ALLOCATION],
    "duals": {
        "capacity": [{"site": "frankfurt", "pool": "h100", "values": [0.0]}],
        "reserve": [{"site": "frankfurt", "pool": "h100", "values": [0.0]}],
        "power": [{"site": "frankfurt", "values": [0.0]}],
        "peak": [{"site": "frankfurt", "values": [0.0]}],
        "work": [{"site": "frankfurt", "values": [2.9]}],
        "quota": [{"tenant": "search", "values": [0.004]}],
        "budget": [0.11],
    },
    "unplaced": [],
    "workloads": [
        {
            "workload_id": "w-17",
            "start": "2026-01-10T02:00:00Z",
            "finish": "2026-01-10T09:30:00Z",
            "energy_kwh": 94.5,
            "cost": 7.42,
            "carbon_kg": 31.8,
            "run_now_cost": 10.15,
            "run_now_carbon_kg": 40.2,
            "run_now_finish": "2026-01-10T07:30:00Z",
            "reason_code": "cheaper_later",
            "reason": "Moved to cheaper or cleaner slots: its slots cost 78.52 EUR/MWh with carbon, its window 107.40 "
            "EUR/MWh on average; saves 2.73 EUR (27 %).",
        }
    ],
    "deferrable_total": 117.8,
    "status": "optimal",
    "warnings": [],
    "synthetic": False,
    "tenants": [
        {
            "tenant": "search",
            "weight": 3.0,
            "asked_accelerator_hours": 410.0,
            "short_accelerator_hours": 0.0,
            "over_quota_accelerator_hours": 6.5,
            "over_quota_cost": 2.6,
            "fairness_cost": 0.0,
            "next_short_hour_cost": 0.0375,
            "quota_accelerators": 48.0,
            "used_accelerators": 52.0,
            "quota_price": 1.24,
        }
    ],
    "budgets": [{"name": "budgets[0]", "unit": "kg CO2e", "limit": 1101.2, "used": 1101.2, "price": 0.11}],
}

PLAN_INPUTS: dict[str, Any] = {"version": 1, "now": "2026-01-10T00:00:02Z", "fleet": {"currency": "EUR"}}

ANNOUNCEMENT_BODY: dict[str, Any] = {
    "id": "launch-1",
    "name": "launch",
    "start": "2026-01-10T08:00:00Z",
    "end": "2026-01-10T18:00:00Z",
    "factor": 1.8,
    "site": "frankfurt",
}

ANNOUNCEMENT: dict[str, Any] = {
    **ANNOUNCEMENT_BODY,
    "added_accelerators": 0.0,
    "pool": None,
    "fixed": False,
    "heeded": True,
    "created_at": "2026-01-10T00:30:00Z",
    "created_by": "ann@127.0.0.1",
}
