"""Of what comes in from outside."""

from __future__ import annotations

from typing import Any

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
                    "licence": "",
                    "restricted": False,
                    "n_slots": 2,
                }
            ],
        }
    ],
}

TELEMETRY_BODY: list[dict[str, Any]] = [
    {"site": "frankfurt", "pool": "h100", "at": "2026-01-10T00:29:30Z", "realtime_accelerators": 31},
    {"site": "frankfurt", "pool": "h100", "at": "2026-01-10T00:29:40Z", "available_accelerators": 56},
    {"site": "frankfurt", "at": "2026-01-10T00:29:30Z", "import_kw": 412.5},
    {
        "site": "frankfurt",
        "pool": "l40s",
        "at": "2026-01-10T00:29:50Z",
        "traffic": [
            {"model": "llama-3.3-70b", "requests_per_s": 42.5, "prompt_tokens": 800, "output_tokens": 150}
        ],
    },
]
