"""Of what a runner and a gate ask."""

from __future__ import annotations

from typing import Any

from shifter.api.examples.workloads import WORKLOAD, WORKLOAD_VIEW

ALLOCATION = {
    "workload_id": "w-17",
    "site": "frankfurt",
    "pool": "h100",
    "start": "2026-01-10T02:00:00Z",
    "end": "2026-01-10T09:30:00Z",
    "accelerators": 16,
}

LEASE: dict[str, Any] = {
    "workload_id": "w-17",
    "version": 3,
    "valid_until": "2026-01-10T00:45:00Z",
    "latest_start": "2026-01-10T22:30:00Z",
    "plan_id": "p-5f0c2d9a1b7e",
    "stale": False,
    "allocations": [ALLOCATION],
}

ADMISSION: dict[str, Any] = {
    "workload_id": "w-17",
    "admit": False,
    "state": "wait",
    "not_before": "2026-01-10T02:00:00Z",
    "not_after": None,
    "retry_after_s": 900.0,
    "version": 3,
    "valid_until": "2026-01-10T00:45:00Z",
    "accelerators": 0,
    "allocations": [],
    "reason": "Its first slot starts at 2026-01-10T02:00:00Z.",
    "stale": False,
}

SLACK: dict[str, Any] = {
    "workload_id": "w-17",
    "tenant": "search",
    "deadline": "2026-01-11T06:00:00Z",
    "planned_cost": 7.58,
    "least_cost": 7.55,
    "hour_later_saves": 0.31,
    "deadline_costs": 1.24,
    "text": "w-17's deadline costs at most 1.24 EUR: an hour more saves at most 0.31 EUR.",
}

EXPLANATION: dict[str, Any] = {
    "workload_id": "w-17",
    "state": "planned",
    "class": "deferrable",
    "reason": WORKLOAD_VIEW["reason"],
    "override": None,
    "sentences": [
        "Its deadline leaves it time to wait.",
        (
            "By price alone, without carbon: 61.0 EUR/MWh on average in its slots, 83.4 in its window, over all sites "
            "that may run it."
        ),
        (
            "At once it would also raise frankfurt's peak by 9.1 kW, all else as planned: 9.09 EUR of demand charge, "
            "which the figures above leave out."
        ),
        (
            "frankfurt/h100, where it runs, is full in 4 slots of its window: one accelerator more would save "
            "0.012 EUR a slot."
        ),
    ],
    "why_slots": [
        (
            "By price alone, without carbon: 61.0 EUR/MWh on average in its slots, 83.4 in its window, over all sites "
            "that may run it."
        ),
        (
            "At once it would also raise frankfurt's peak by 9.1 kW, all else as planned: 9.09 EUR of demand charge, "
            "which the figures above leave out."
        ),
    ],
    "in_slots": {"price_per_mwh": 61.0, "carbon_g_per_kwh": 262.0},
    "in_window": {"price_per_mwh": 83.4, "carbon_g_per_kwh": 331.0},
    "cost": 7.42,
    "run_now_cost": 10.15,
    "saved": 2.73,
    "carbon_kg": 31.8,
    "run_now_carbon_kg": 40.2,
    "saved_carbon_kg": 8.4,
    "currency": "EUR",
    "limits": [
        {
            "kind": "capacity",
            "site": "frankfurt",
            "pool": "h100",
            "slots": 4,
            "mean_price": 0.012,
            "text": "frankfurt/h100, where it runs, is full in 4 slots of its window: one accelerator more would save "
            "0.012 EUR a slot.",
        }
    ],
    "chain": [],
    "plan_id": "p-5f0c2d9a1b7e",
    "synthetic": False,
    "run_now_demand_charge": 9.09,
    "slack": SLACK,
}

QUOTE_BODY: dict[str, Any] = {
    "workload": WORKLOAD,
    "deadlines": ["2026-01-10T12:00:00Z", "2026-01-11T06:00:00Z"],
}

QUOTE: dict[str, Any] = {
    "options": [
        {
            "deadline": "2026-01-10T12:00:00Z",
            "finish": "2026-01-10T11:30:00Z",
            "cost": 8.31,
            "carbon_kg": 34.9,
            "feasible": True,
            "unplaced_accelerator_hours": 0.0,
            "run_now_cost": None,
            "run_now_carbon_kg": None,
            "marginal_cost": 8.52,
            "marginal_carbon_kg": 35.1,
        },
        {
            "deadline": "2026-01-11T06:00:00Z",
            "finish": "2026-01-11T04:30:00Z",
            "cost": 7.42,
            "carbon_kg": 31.8,
            "feasible": True,
            "unplaced_accelerator_hours": 0.0,
            "run_now_cost": 10.15,
            "run_now_carbon_kg": 40.2,
            "marginal_cost": 7.42,
            "marginal_carbon_kg": 31.8,
        },
    ],
    "earliest_feasible_deadline": "2026-01-10T07:30:00Z",
    "class": "deferrable",
    "reason": WORKLOAD_VIEW["reason"],
    "currency": "EUR",
    "as_of": "2026-01-10T00:00:00Z",
    "synthetic": False,
}
