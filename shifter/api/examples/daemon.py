"""Of what happens, and of how the daemon does."""

from __future__ import annotations

from typing import Any

EVENT: dict[str, Any] = {
    "id": 118,
    "at": "2026-01-10T00:30:02Z",
    "kind": "plan.published",
    "data": {"plan_id": "p-5f0c2d9a1b7e"},
}

EVENT_STREAM = (
    "retry: 2000\n\n"
    "id: 118\nevent: plan.published\n"
    'data: {"id":118,"at":"2026-01-10T00:30:02Z","kind":"plan.published",'
    '"data":{"plan_id":"p-5f0c2d9a1b7e"}}\n\n'
    ": keep-alive\n\n"
)

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
            "next_due_at": "2026-01-10T01:15:00Z",
            "stale": "",
            "shadow": False,
        }
    ],
    "database": "ok",
    "faults": [],
    "version": "0.1.0",
    "synthetic": False,
    "started_at": "2026-01-09T08:00:00Z",
    "workloads": {"planned": 2},
    "next_replan_at": "2026-01-10T01:00:00Z",
    "peak_so_far_kw": {"frankfurt": 412.5},
}
