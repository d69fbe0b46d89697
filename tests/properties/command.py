"""`shifter plan` as a person calls it, on small files: what it is given, and what it may answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "cli" / "data"
FILES = {
    "fleet": "fleet.yaml",
    "workloads": "workloads.jsonl",
    "forecasts": "forecasts.csv",
    "realtime": "realtime.csv",
}
WINDOW = ("--start", "2026-01-10T00:00:00Z", "--horizon", "24h", "--slot", "60min")
HOURS: dict[str, Any] = {
    "id": "w",
    "accelerator_hours": 6,
    "accelerators": ["H100-SXM"],
    "earliest_start": "2026-01-10T00:00:00Z",
    "deadline": "2026-01-11T00:00:00Z",
    "max_accelerators": 4,
    "preemptible": True,
}
Call = Callable[..., tuple[int, str, str]]


def honest(answer: tuple[int, str, str]) -> dict[str, Any]:
    """The plan that was printed: verified by the command itself, every number in it finite."""
    code, out, err = answer
    assert code == 0, err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in a plan")

    plan: dict[str, Any] = json.loads(out, parse_constant=refuse)
    assert plan["lower_bound"] <= plan["cost"]["total"] + 1e-6 * (1 + abs(plan["cost"]["total"]))
    return plan


def clear(answer: tuple[int, str, str], *told: str) -> None:
    """An error: exit code 2, nothing on stdout, and each of `told` in its words."""
    code, out, err = answer
    assert (code, out) == (2, ""), err
    for words in told:
        assert words in err
    assert "Traceback" not in err
