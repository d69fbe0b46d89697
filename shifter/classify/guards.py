"""The guards: what keeps a workload real-time whatever the policy says.

Missing or contradictory evidence makes a workload real-time, never deferrable. That does not hang on the
default rules: each guard is asked after a rule has said `deferrable`, and overrules it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shifter.classify.facts import Facts, is_given

MS_PER_HOUR = 3_600_000.0


@dataclass(frozen=True)
class Guard:
    """`trips` on the facts that `looks_at` names. A `hard` one stands even against an operator's override."""

    name: str
    trips: Callable[[Facts], bool]
    looks_at: tuple[str, ...]
    text: str
    hard: bool = False


def _slo_ends_before_deadline(facts: Facts) -> bool:
    if not is_given(facts, "latency_slo_ms") or not is_given(facts, "window_hours"):
        return False
    return bool(facts["latency_slo_ms"] / MS_PER_HOUR < facts["window_hours"])


def _may_not_start_before_deadline(facts: Facts) -> bool:
    start, deadline = facts.get("own_earliest_start"), facts.get("own_deadline")
    return start is not None and deadline is not None and deadline <= start


GUARDS = (
    Guard(
        "guard.no-deadline",
        lambda facts: facts.get("deadline") is None,
        ("deadline",),
        "it has no deadline, nor does any step after it give it one, so nothing says how long it may wait",
        hard=True,
    ),
    Guard(
        "guard.no-amount",
        lambda facts: is_given(facts, "tokens") is is_given(facts, "accelerator_hours"),
        ("tokens", "accelerator_hours"),
        "how much work it is, in tokens or in accelerator-hours, is not given or given twice",
        hard=True,
    ),
    Guard(
        "guard.empty-window",
        _may_not_start_before_deadline,
        ("own_earliest_start", "own_deadline"),
        "its deadline is not after its earliest start",
        hard=True,
    ),
    Guard(
        "guard.interactive",
        lambda facts: facts.get("mode") == "interactive",
        ("mode", "deadline"),
        "someone waits for the answer (mode interactive), which contradicts a deadline to wait for",
    ),
    Guard(
        "guard.latency-slo",
        _slo_ends_before_deadline,
        ("latency_slo_ms", "window_hours", "deadline"),
        "its latency SLO ends before its deadline does, and the two contradict each other",
    ),
    Guard(
        "guard.awaited",
        lambda facts: facts.get("deadline_from") == "chain" and bool(facts.get("real_time_dependents")),
        ("deadline_from", "real_time_dependents"),
        "a real-time step waits for it, and it has no deadline of its own",
    ),
)


def tripped(facts: Facts, *, hard_only: bool = False) -> Guard | None:
    """The first guard that keeps the workload real-time; None when it may be deferrable."""
    return next((guard for guard in GUARDS if (guard.hard or not hard_only) and guard.trips(facts)), None)
