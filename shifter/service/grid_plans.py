"""Plans of one snapshot under one grid event, or a weaker one in its place: each is made once, and all in one time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic

from shifter.cycle import CycleInputs
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.errors import SolverFailed

MakePlan = Callable[[CycleInputs, float], Plan]
"""Plans a snapshot within so many real seconds, or raises SolverFailed."""


@dataclass(frozen=True, eq=False)
class EventPlans:
    """Plans of `inputs` with one event or another of that id, or with none; all are solved anew."""

    inputs: CycleInputs
    event_id: str
    make: MakePlan
    ends_s: float = inf
    """When, by `monotonic`, nothing more is tried."""
    _known: dict[GridEvent | None, Plan] = field(default_factory=dict)

    def of(self, event: GridEvent | None, within_s: float = inf) -> Plan:
        """The plan with it; None: with all but it. Raises SolverFailed, PlanRejected."""
        if event not in self._known:
            others = tuple(e for e in self.inputs.grid_events if e.id != self.event_id)
            events = others if event is None else (*others, event)
            given = replace(self.inputs, grid_events=events, hold_gap=-1.0)
            self._known[event] = self.make(given, within_s)
        return self._known[event]

    def tried(self, event: GridEvent) -> Plan:
        """The same, of what is only looked for: what is known, or can be made in time. Raises SolverFailed, too."""
        left_s = self.ends_s - monotonic()
        if event not in self._known and left_s <= 0:
            raise SolverFailed("there was no time left to look for more.", hint="Ask again.")
        return self.of(event, left_s)
