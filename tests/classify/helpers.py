"""What the classification and chain tests share: a small fleet, and workloads that hypothesis draws."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from shifter.domain.fleet import Fleet, Model, Pool, Site
from shifter.domain.workload import Workload

T0 = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)

FLEET = Fleet(
    currency="EUR",
    sites=(
        Site("frankfurt", "DE-LU", (Pool("h100", "H100", 64),), jurisdiction="DE"),
        Site("london", "GB", (Pool("l40s", "L40S", 16),), jurisdiction="GB"),
    ),
    models=(Model("llm", {"H100": 1000, "L40S": 200}),),
)


@dataclass(frozen=True)
class Accepted:
    """Stands in for `shifter.cycle.Submission`, which lies above what is tested here."""

    workload: Workload
    submitted_at: datetime = T0
    done: float = 0.0


def hours(n: float) -> datetime:
    """`n` hours after T0."""
    return T0 + n * HOUR


def work(id: str = "w", run_hours: float = 2.0, deadline: float | None = 12.0, **fields: Any) -> Workload:
    """A workload that takes `run_hours` at best, and is due `deadline` hours after T0."""
    return Workload(
        id=id, accelerator_hours=run_hours, deadline=None if deadline is None else hours(deadline), **fields
    )


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "tenant": st.sampled_from(["search", "ads"]),
    "tier": st.sampled_from([None, "priority", "standard"]),
    "mode": st.sampled_from([None, "interactive", "batch"]),
    "endpoint": st.sampled_from([None, "/v1/chat/completions", "/v1/embeddings"]),
    "cost_of_failure": st.sampled_from([None, "low", "high"]),
    "latency_slo_ms": st.sampled_from([None, 200.0, 3_600_000.0, 86_400_000.0]),
    "interruptible": st.booleans(),
    "preemptible": st.booleans(),
    "data_boundary": st.sampled_from([None, ("DE",), ("FR",)]),
    "chain": st.sampled_from([None, "agent-1"]),
    "labels": st.dictionaries(st.sampled_from(["team", "kind"]), st.sampled_from(["a", "b"])),
    "max_accelerators": st.integers(1, 8),
    "earliest_start": st.sampled_from([None, hours(-3), hours(2), hours(20)]),
    "deadline": st.sampled_from([None, hours(-1), hours(2), hours(5), hours(24)]),
}


@st.composite
def amounts(draw: st.DrawFn) -> dict[str, Any]:
    """Tokens, or accelerator-hours, or (evidence that is missing or contradicts itself) neither or both."""
    given = draw(
        st.sampled_from(["tokens", "accelerator_hours", "tokens", "accelerator_hours", "none", "both"])
    )
    amount: dict[str, Any] = {}
    if given in ("tokens", "both"):
        amount |= {"tokens": draw(st.floats(1e3, 1e9)), "model": "llm"}
    if given in ("accelerator_hours", "both"):
        amount |= {"accelerator_hours": draw(st.floats(0.1, 50.0))}
    return amount


@st.composite
def batches(draw: st.DrawFn, max_size: int = 6) -> tuple[Workload, ...]:
    """Workloads of every kind, some waiting for earlier ones."""
    made: list[Workload] = []
    for i in range(draw(st.integers(1, max_size))):
        fields = {name: draw(values) for name, values in FIELDS.items()}
        before = [w.id for w in made]
        depends_on = (
            draw(st.lists(st.sampled_from([*before, "gone"]), unique=True, max_size=3)) if before else []
        )
        made.append(Workload(id=f"w{i}", depends_on=tuple(depends_on), **draw(amounts()), **fields))
    return tuple(made)
