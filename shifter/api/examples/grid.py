"""What grids ask, what it would cost, and what was delivered."""

from __future__ import annotations

from typing import Any

GRID_EVENT_BODY: dict[str, Any] = {
    "id": "dso-2026-01-10-1",
    "site": "frankfurt",
    "start": "2026-01-10T17:00:00Z",
    "end": "2026-01-10T18:00:00Z",
    "limit_kw": None,
    "source": "dso",
    "cut_ratio": 0.25,
    "notice_minutes": 15,
    "ramp_kw_per_minute": 20,
    "rebound_minutes": 60,
    "rebound_limit_kw": 700,
}

GRID_EVENT: dict[str, Any] = {
    **GRID_EVENT_BODY,
    "frozen_baseline": {
        "method": "plan",
        "source": "plan 5f0c2d9a1b7e4c61 of 2026-01-10T16:30:00Z",
        "windows": [
            {
                "start": "2026-01-10T17:00:00Z",
                "end": "2026-01-10T18:00:00Z",
                "import_kw": 600.0,
                "at_quantile_kw": 620.0,
            },
        ],
    },
}

_SIDE: dict[str, Any] = {
    "cost": 412.6,
    "carbon_kg": 1510.0,
    "drawn_kwh": 600.0,
    "battery_kwh": 0.0,
    "peak_afterwards_kw": 640.0,
    "late_workloads": 0,
}

GRID_EVENT_QUOTE: dict[str, Any] = {
    "event": GRID_EVENT,
    "quoted_at": "2026-01-10T16:45:00Z",
    "currency": "EUR",
    "synthetic": False,
    "met": True,
    "missing_kw": 0.0,
    "on_time": True,
    "realtime_untouched": True,
    "reserve_moves": False,
    "survives_less": [],
    "realtime_limit_ratio": 0.84,
    "notice_minutes": 15.0,
    "notice_kept": True,
    "asked_kwh": 150.0,
    "not_drawn_kwh": 171.0,
    "extra_cost": 2.9,
    "extra_carbon_kg": 11.0,
    "cost_per_kwh_not_drawn": 0.017,
    "without": _SIDE,
    "with_event": {
        **_SIDE,
        "cost": 415.5,
        "carbon_kg": 1521.0,
        "drawn_kwh": 429.0,
        "peak_afterwards_kw": 655.0,
    },
    "afterwards_until": "2026-01-10T22:00:00Z",
    "slots": [
        {
            "start": "2026-01-10T17:00:00Z",
            "end": "2026-01-10T18:00:00Z",
            "part": "event",
            "limit_kw": 470.0,
            "baseline_kw": 600.0,
            "requested_kw": 150.0,
            "realtime_kw": 378.0,
            "without_kw": 600.0,
            "with_kw": 429.0,
            "at_quantile_kw": 449.0,
            "over_kw": 0.0,
        }
    ],
    "workloads": [
        {
            "workload_id": "w-17",
            "tenant": "search",
            "out_of_window_accelerator_hours": 217.0,
            "cost": 2.9,
            "carbon_kg": 11.0,
            "finish": "2026-01-11T03:30:00Z",
            "later_minutes": 60.0,
            "deadline": "2026-01-11T06:00:00Z",
            "deadline_kept": True,
            "late_accelerator_hours": 0.0,
        }
    ],
    "in_the_way": [],
    "would_meet": None,
    "all_tried": True,
    "verdict": ["The plan keeps it in every slot, with real-time load at its quantile."],
    "sentences": [
        "25.0 % less at frankfurt from Sat 10 Jan 2026 17:00 UTC to Sat 10 Jan 2026 18:00 UTC.",
        "The plan keeps it in every slot, with real-time load at its quantile.",
    ],
}

GRID_EVENT_REPORT: dict[str, Any] = {
    "event": GRID_EVENT,
    "reported_at": "2026-01-10T19:05:00Z",
    "state": "over",
    "accepted_at": "2026-01-10T16:45:00Z",
    "notice_minutes": 15.0,
    "notice_kept": True,
    "baseline_method": "plan",
    "baseline_source": "plan 5f0c2d9a1b7e4c61 of 2026-01-10T16:30:00Z",
    "requested_kwh": 150.0,
    "delivered_kwh": 168.2,
    "delivered_ratio": 1.121,
    "metered_ratio": 1.0,
    "slots_kept": 2,
    "slots_exceeded": 0,
    "slots_unmetered": 0,
    "slots_ahead": 0,
    "highest_over_kw": 0.0,
    "rebound_peak_kw": 651.0,
    "slots": [
        {
            "start": "2026-01-10T17:00:00Z",
            "end": "2026-01-10T18:00:00Z",
            "part": "event",
            "limit_kw": 450.0,
            "baseline_kw": 600.0,
            "requested_kw": 150.0,
            "metered_kw": 431.8,
            "metered_ratio": 1.0,
            "delivered_kw": 168.2,
            "delivered_kwh": 168.2,
            "verdict": "kept",
        }
    ],
}
