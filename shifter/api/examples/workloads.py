"""Of a workload that is submitted, looked at, reported on and overridden."""

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

PROGRESS_BODY: dict[str, Any] = {"done": 1.2e8, "at": "2026-01-10T04:00:00Z"}

OVERRIDE_BODY: dict[str, Any] = {"class": "real_time", "reason": "the launch needs it at once"}

OVERRIDE: dict[str, Any] = {
    "class": "real_time",
    "by": "ana@127.0.0.1",
    "at": "2026-01-10T00:10:00Z",
    "reason": "the launch needs it at once",
    "workload_id": "w-17",
    "rule": None,
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
