"""What is known of a workload when it is classified: the values that rules may test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from forecasts.slots import isoformat_z
from shifter.domain.chains import Window
from shifter.domain.workload import Workload

Facts = Mapping[str, Any]
"""Value by the name of a field of `When`; None, or absent, where it is not known."""

_FIELDS = (
    "tenant",
    "tier",
    "model",
    "endpoint",
    "mode",
    "cost_of_failure",
    "latency_slo_ms",
    "deadline",
    "tokens",
    "accelerator_hours",
    "max_accelerators",
    "interruptible",
    "preemptible",
    "data_boundary",
    "sites",
    "accelerators",
    "chain",
)


def facts_of(workload: Workload, window: Window, run: timedelta | None, *, has_dependents: bool) -> Facts:
    """The facts. `window` is the one after its chain.

    `run` is the shortest time that all of it takes, None where nothing in the fleet can run it.
    """
    facts: dict[str, Any] = {name: getattr(workload, name) for name in _FIELDS}
    facts |= {f"labels.{key}": value for key, value in workload.labels.items()}
    facts["has_dependencies"] = bool(workload.depends_on)
    facts["has_dependents"] = has_dependents
    facts["own_earliest_start"] = workload.earliest_start
    facts["own_deadline"] = workload.deadline
    if run is not None:
        facts["shortest_run_hours"] = run / timedelta(hours=1)
    if window.deadline is not None:
        facts["deadline"] = window.deadline
        facts["deadline_from"] = "chain" if window.inherited else "own"
        facts["window_hours"] = (window.deadline - window.earliest_start) / timedelta(hours=1)
        if run:
            facts["slack_hours"] = facts["window_hours"] - facts["shortest_run_hours"]
            facts["slack_ratio"] = facts["window_hours"] / facts["shortest_run_hours"]
    return facts


def is_given(facts: Facts, name: str) -> bool:
    """Whether it is known, whatever its value."""
    return name in facts and facts[name] is not None


def plain(value: Any) -> Any:
    """A fact as JSON has it: times in UTC with Z, hours and ratios to three decimals, tuples as lists."""
    if isinstance(value, datetime):
        return isoformat_z(value)
    if isinstance(value, float):
        return round(value, 3)
    return list(value) if isinstance(value, tuple) else value


def evidence(facts: Facts, names: tuple[str, ...]) -> dict[str, Any]:
    """The named facts, those that are not known as None: that they were looked for is evidence too."""
    return {name: plain(facts.get(name)) for name in names}
