"""What the plan in force says, for the next one to keep: where work is to run, and the prices of its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from forecasts.slots import isoformat_z
from shifter.domain.plan import SOLVED, Plan, allocations_from_rows, allocations_to_rows
from shifter.domain.rows import Allocation, Duals, Held

Since = Mapping[str, Mapping[tuple[str, str, str], datetime]]
"""By workload, since when it runs at a site, in a pool, with a model (empty where it has no alternatives)."""


@dataclass(frozen=True)
class Announced:
    """A plan, as far as the next one looks at it.

    `start` and `slot_minutes` are of its grid, which the values of `duals` are on. `held` says which plan was the last
    to be solved, and how near it was to its bound; None where the plan in force was never solved.
    """

    start: datetime
    slot_minutes: int
    allocations: tuple[Allocation, ...]
    duals: Duals
    held: Held | None
    short: tuple[str, ...]
    """Workloads that it did not find room for in time."""

    @classmethod
    def of(cls, plan: Plan, now: datetime, since: Since | None = None) -> Announced:
        """What a plan announces from `now` on.

        A row that has begun says since when it runs, which a plan made in its midst does not know: it is as `since`
        says, and where that says nothing of it, it begins now. Where None is given, the plan's word is taken.
        """
        solved = plan.held
        if solved is None and plan.status in SOLVED:
            solved = Held(plan.plan_id, plan.relative_gap)
        ahead = tuple(_begun(a, now, since) for a in plan.allocations if a.end > now)
        return cls(
            plan.horizon.start,
            plan.horizon.slot_minutes,
            ahead,
            plan.duals,
            solved,
            tuple(u.workload_id for u in plan.unplaced),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "start": isoformat_z(self.start),
            "slot_minutes": self.slot_minutes,
            "allocations": allocations_to_rows(self.allocations),
            "duals": self.duals.to_dict(),
            "held": None if self.held is None else {f.name: getattr(self.held, f.name) for f in fields(Held)},
            "short": list(self.short),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Announced:
        """The inverse of `to_dict`."""
        return cls(
            datetime.fromisoformat(raw["start"]),
            raw["slot_minutes"],
            allocations_from_rows(raw["allocations"]),
            Duals.from_dict(raw["duals"]),
            None if raw["held"] is None else Held(**raw["held"]),
            tuple(raw["short"]),
        )


def _begun(a: Allocation, now: datetime, since: Since | None) -> Allocation:
    if since is None or a.start > now:
        return a
    runs = since.get(a.workload_id, {})
    return replace(a, start=runs.get((a.site, a.pool, a.model or ""), now))
