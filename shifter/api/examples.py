"""Examples for the documentation, all of one story: the contract's workload on a fleet in Frankfurt.

`tests/api/test_openapi.py` holds each against its schema.
"""

from __future__ import annotations

from typing import Any

WORKLOAD: dict[str, Any] = {
    "id": "w-17",
    "tenant": "search",
    "model": "llama-3.3-70b",
    "tokens": 4.1e8,
    "earliest_start": "2026-01-10T00:00:00Z",
    "deadline": "2026-01-11T06:00:00Z",
    "max_accelerators": 16,
    "interruptible": True,
    "preemptible": True,
    "data_boundary": ["DE", "FR"],
}

WORKLOAD_HOURS: dict[str, Any] = {
    "id": "eval-42",
    "tenant": "research",
    "accelerator_hours": 12,
    "accelerators": ["H100-SXM"],
    "deadline": "2026-01-11T06:00:00Z",
    "max_accelerators": 4,
}

BODY_WORKLOADS: dict[str, Any] = {
    "one": {"summary": "Tokens of a model", "value": WORKLOAD},
    "hours": {"summary": "Accelerator-hours", "value": WORKLOAD_HOURS},
    "several": {"summary": "Several, all or nothing", "value": [WORKLOAD, WORKLOAD_HOURS]},
}

_ALLOCATION = {
    "workload_id": "w-17",
    "site": "frankfurt",
    "pool": "h100",
    "start": "2026-01-10T02:00:00Z",
    "end": "2026-01-10T09:30:00Z",
    "accelerators": 16,
}

WORKLOAD_VIEW: dict[str, Any] = {
    "id": "w-17",
    "tenant": "search",
    "state": "planned",
    "class": "deferrable",
    "reason": {
        "rule": "slack",
        "text": "Its deadline leaves it time to wait.",
        "evidence": {"slack_hours": 22.5},
    },
    "amount": 4.1e8,
    "unit": "tokens",
    "done": 0.0,
    "progress_ratio": 0.0,
    "progress_source": "planned",
    "submitted_at": "2026-01-10T00:00:00Z",
    "earliest_start": "2026-01-10T00:00:00Z",
    "deadline": "2026-01-11T06:00:00Z",
    "latest_start": "2026-01-10T22:30:00Z",
    "planned_start": "2026-01-10T02:00:00Z",
    "planned_finish": "2026-01-10T09:30:00Z",
    "cost": 7.42,
    "carbon_kg": 31.8,
    "run_now_cost": 10.15,
    "run_now_carbon_kg": 40.2,
    "feasible": True,
    "unplaced_accelerator_hours": 0.0,
    "earliest_feasible_deadline": None,
    "note": "Waits for the cheaper hours from 02:00 UTC.",
    "workload": WORKLOAD,
}

LEASE: dict[str, Any] = {
    "workload_id": "w-17",
    "version": 3,
    "valid_until": "2026-01-10T00:45:00Z",
    "latest_start": "2026-01-10T22:30:00Z",
    "plan_id": "p-5f0c2d9a1b7e",
    "stale": False,
    "allocations": [_ALLOCATION],
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
}

QUOTE_BODY: dict[str, Any] = {
    "workload": WORKLOAD,
    "deadlines": ["2026-01-10T12:00:00Z", "2026-01-11T06:00:00Z"],
}

PROGRESS_BODY: dict[str, Any] = {"done": 1.2e8, "at": "2026-01-10T04:00:00Z"}

OVERRIDE_BODY: dict[str, Any] = {"class": "real_time", "reason": "the launch needs it at once"}

FORECAST_BODY: dict[str, Any] = {
    "zone": "DE-LU",
    "signal": "price",
    "unit": "EUR/MWh",
    "source": "desk",
    "issued_at": "2026-01-09T12:40:00Z",
    "kind": "cleared",
    "points": [
        {"start": "2026-01-10T00:00:00Z", "end": "2026-01-10T01:00:00Z", "value": 71.3},
        {
            "start": "2026-01-10T01:00:00Z",
            "end": "2026-01-10T02:00:00Z",
            "value": 64.9,
            "quantiles": {"p10": 60.0, "p90": 71.0},
        },
    ],
}

TELEMETRY_BODY: list[dict[str, Any]] = [
    {"site": "frankfurt", "pool": "h100", "at": "2026-01-10T00:29:30Z", "realtime_accelerators": 31},
    {"site": "frankfurt", "at": "2026-01-10T00:29:30Z", "import_kw": 412.5},
]

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

RULE_OVERRIDE_BODY: dict[str, Any] = {
    "rule": "deadline",
    "class": "real_time",
    "reason": "freeze before the launch",
}

RULE_OVERRIDE: dict[str, Any] = {
    "class": "real_time",
    "by": "ana@127.0.0.1",
    "at": "2026-01-10T00:10:00Z",
    "reason": "freeze before the launch",
    "workload_id": None,
    "rule": "deadline",
}

OVERRIDE: dict[str, Any] = {
    "class": "real_time",
    "by": "ana@127.0.0.1",
    "at": "2026-01-10T00:10:00Z",
    "reason": "the launch needs it at once",
    "workload_id": "w-17",
    "rule": None,
}

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
    "allocations": [_ALLOCATION],
    "duals": {
        "capacity": [{"site": "frankfurt", "pool": "h100", "values": [0.0]}],
        "reserve": [{"site": "frankfurt", "pool": "h100", "values": [0.0]}],
        "power": [{"site": "frankfurt", "values": [0.0]}],
        "peak": [{"site": "frankfurt", "values": [0.0]}],
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
            "reason_code": "cheaper",
            "reason": "It waits for cheaper hours.",
        }
    ],
    "deferrable_total": 117.8,
    "status": "optimal",
    "warnings": [],
    "synthetic": False,
}

PLAN_INPUTS: dict[str, Any] = {"version": 1, "now": "2026-01-10T00:00:02Z", "fleet": {"currency": "EUR"}}

FORECASTS: dict[str, Any] = {
    "grid": {"start": "2026-01-10T00:00:00Z", "slot_minutes": 30, "n_slots": 2},
    "as_of": "2026-01-10T00:00:00Z",
    "currency": "EUR",
    "warnings": [],
    "signals": [
        {
            "zone": "DE-LU",
            "signal": "price",
            "unit": "EUR/MWh",
            "basis": None,
            "values": [71.3, 71.3],
            "quantiles": {},
            "provenance": [
                {
                    "kind": "cleared",
                    "source": "desk",
                    "known_at": "2026-01-09T12:45:00Z",
                    "attribution": "",
                    "n_slots": 2,
                }
            ],
        }
    ],
}

EVENT: dict[str, Any] = {
    "id": 118,
    "at": "2026-01-10T00:30:02Z",
    "kind": "plan.published",
    "data": {"plan_id": "p-5f0c2d9a1b7e"},
}

AUDIT_ENTRY: dict[str, Any] = {
    "id": 52,
    "at": "2026-01-10T00:00:01Z",
    "actor": "ana@127.0.0.1",
    "action": "workload.submit",
    "subject": "w-17",
    "inputs_id": None,
    "detail": {"class": "deferrable", "rule": "slack"},
}

HEALTH: dict[str, Any] = {
    "status": "ok",
    "now": "2026-01-10T00:30:10Z",
    "simulated_clock": False,
    "speed": 1.0,
    "plan_id": "p-5f0c2d9a1b7e",
    "plan_age_s": 8.0,
    "last_cycle": {
        "at": "2026-01-10T00:30:02Z",
        "duration_s": 1.4,
        "outcome": "published",
        "trigger": "timer",
        "plan_id": "p-5f0c2d9a1b7e",
        "error": "",
    },
    "sources": [
        {
            "name": "energy_charts",
            "up": True,
            "zones": ["DE-LU"],
            "last_success_at": "2026-01-10T00:15:00Z",
            "last_attempt_at": "2026-01-10T00:15:00Z",
            "failures": 0,
            "error": "",
        }
    ],
    "database": "ok",
    "faults": [],
    "version": "0.1.0",
    "synthetic": False,
    "started_at": "2026-01-09T08:00:00Z",
    "workloads": {"planned": 2},
    "next_replan_at": "2026-01-10T01:00:00Z",
}

GRID_EVENT: dict[str, Any] = {
    "id": "dso-2026-01-10-1",
    "site": "frankfurt",
    "start": "2026-01-10T17:00:00Z",
    "end": "2026-01-10T19:00:00Z",
    "limit_kw": 600,
    "source": "dso",
}

EVENT_STREAM = (
    "retry: 2000\n\n"
    "id: 118\nevent: plan.published\n"
    'data: {"id":118,"at":"2026-01-10T00:30:02Z","kind":"plan.published",'
    '"data":{"plan_id":"p-5f0c2d9a1b7e"}}\n\n'
    ": keep-alive\n\n"
)


def body(example: Any) -> dict[str, Any]:
    """`openapi_examples` of one example."""
    return {"example": {"summary": "An example", "value": example}}


def shown(example: Any, description: str = "Done.") -> dict[str, Any]:
    """An answer's documentation with one example."""
    return {"description": description, "content": {"application/json": {"example": example}}}
