"""Of how good forecasts were."""

from __future__ import annotations

from typing import Any

FORECAST_SCORES: dict[str, Any] = {
    "zone": "DE-LU",
    "signal": "carbon",
    "since": "2026-01-20T00:00:00Z",
    "until": "2026-02-07T00:00:00Z",
    "sources": [
        {
            "zone": "DE-LU",
            "signal": "carbon",
            "source": "neso",
            "unit": "gCO2e/kWh",
            "basis": "average",
            "outcomes_of": "neso",
            "start": "2026-01-20T00:00:00Z",
            "end": "2026-02-08T00:00:00Z",
            "slot_minutes": 60,
            "vintages": 18,
            "synthetic": False,
            "shadow": False,
            "overall": {
                "point": {
                    "n": 864,
                    "mae": 15.6,
                    "bias": -0.0477,
                    "rmse": 19.5,
                    "persistence_mae": 16.9,
                    "rmae": 0.922,
                    "skill": 0.0784,
                },
                "bands": {
                    "n": 864,
                    "crps": 11.3,
                    "levels": [
                        {"p": 0.1, "below": 0.149, "pinball": 3.54},
                        {"p": 0.5, "below": 0.493, "pinball": 7.79},
                        {"p": 0.9, "below": 0.84, "pinball": 3.54},
                    ],
                    "bands": [{"nominal": 0.8, "coverage": 0.691, "width": 40.0}],
                    "crossings": 0,
                },
                "crps": 11.3,
                "rank_correlation": 0.946,
                "availability": None,
            },
            "by_lead": [
                {
                    "point": {
                        "n": 216,
                        "mae": 15.5,
                        "bias": -2.09,
                        "rmse": 19.4,
                        "persistence_mae": 17.8,
                        "rmae": 0.869,
                        "skill": 0.131,
                    },
                    "bands": {
                        "n": 216,
                        "crps": 11.3,
                        "levels": [
                            {"p": 0.1, "below": 0.125, "pinball": 3.32},
                            {"p": 0.5, "below": 0.458, "pinball": 7.75},
                            {"p": 0.9, "below": 0.796, "pinball": 3.69},
                        ],
                        "bands": [{"nominal": 0.8, "coverage": 0.671, "width": 40.0}],
                        "crossings": 0,
                    },
                    "crps": 11.3,
                    "rank_correlation": None,
                    "availability": 0.949,
                    "from_h": 12,
                    "to_h": 24,
                }
            ],
            "by_hour": [
                {
                    "hour": 0,
                    "point": {
                        "n": 36,
                        "mae": 14.3,
                        "bias": -1.92,
                        "rmse": 17.5,
                        "persistence_mae": 15.7,
                        "rmae": 0.91,
                        "skill": 0.0904,
                    },
                }
            ],
            "decision": {
                "job_hours": 4.0,
                "within_hours": 24.0,
                "origins": 18,
                "left_out": 0,
                "filled": 0.0,
                "captured": 0.976,
                "captured_low": 0.967,
                "captured_high": 0.986,
                "regret": 3.57,
                "run_now": 371.0,
                "chosen": 225.0,
                "perfect": 222.0,
                "top_overlap": 0.75,
                "persistence_captured": 0.941,
            },
            "against_persistence": {
                "mean_difference": -1.32,
                "statistic": -1.85,
                "p_value": 0.0821,
                "n_days": 18,
            },
        }
    ],
    "unjudged": [],
}

LEARNT: dict[str, Any] = {
    "zone": "DE-LU",
    "signal": "carbon",
    "planned_by": True,
    "made_for": "2026-02-07T06:00:00Z",
    "rounds": 60,
    "lead_hours": [6, 24, 48],
    "sources": [
        {"name": "energy_charts", "ratio": [0.83, 0.71, 0.44]},
        {"name": "our models", "ratio": [0.17, 0.29, 0.56]},
    ],
    "models": [
        {"name": "ridge", "ratio": [0.61, 0.58, 0.55]},
        {"name": "climatology", "ratio": [0.31, 0.36, 0.4]},
        {"name": "day before", "ratio": [0.06, 0.04, 0.03]},
        {"name": "week before", "ratio": [0.02, 0.02, 0.02]},
    ],
    "note": "",
    "name": "shifter",
}
