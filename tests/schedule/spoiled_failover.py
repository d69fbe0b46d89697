"""Plans that are wrong in what failover groups hold, and in what they say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from shifter.cycle import plan_cycle
from shifter.domain.plan import Plan
from shifter.domain.resilience import FailoverGroup
from shifter.domain.survival import PlanResilience
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.spoil import Spoiled, priced


@cache
def good() -> Spoiled:
    """Two sites that take over from each other, with a little work that stays."""
    inputs = cycle_inputs(
        [work("w", 8, 20, preemptible=False)],
        sites=[site("a"), site("b")],
        load={(name, "p"): {0.5: 1.0, 0.99: 3.0} for name in "ab"},
    )
    groups = (FailoverGroup("g", ("a", "b")),)
    inputs = replace(inputs, fleet=replace(inputs.fleet, failover_groups=groups))
    return plan_cycle(inputs), inputs


def changed(change: Callable[[Plan], Plan]) -> Callable[[], Spoiled]:
    def spoiled() -> Spoiled:
        plan, inputs = good()
        return change(plan), inputs

    return spoiled


def reserved(accelerators: float) -> Callable[[], Spoiled]:
    """As if b reserved so much in one slot."""

    def change(plan: Plan) -> Plan:
        rows = [
            replace(r, reserved=accelerators) if (r.site, r.start.hour) == ("b", 5) else r for r in plan.slots
        ]
        return priced(plan, slots=tuple(rows))

    return changed(change)


def said(change: Callable[[PlanResilience], PlanResilience | None]) -> Callable[[], Spoiled]:
    def of_plan(plan: Plan) -> Plan:
        assert plan.resilience is not None
        return replace(plan, resilience=change(plan.resilience))

    return changed(of_plan)


def ungrouped() -> Spoiled:
    plan, inputs = good()
    return plan, replace(inputs, fleet=replace(inputs.fleet, failover_groups=()))


GOOD: dict[str, Callable[[], Spoiled]] = {
    "a group that holds what it must": good,
    "a group that holds more than it must": reserved(7.5),
}

SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "less is held than what a lost site needs": ({"failover"}, reserved(5.5)),
    "less is reserved than real-time load needs itself": ({"slot_row", "failover"}, reserved(2.0)),
    "more is reserved than there is": ({"slot_row"}, reserved(11.0)),
    "nothing is said of what is survived": ({"failover"}, said(lambda r: None)),
    "a promise is left out": ({"failover"}, said(lambda r: replace(r, promises=r.promises[:1]))),
    "accelerators are said to be missing that are not": (
        {"failover"},
        said(
            lambda r: replace(r, promises=(replace(r.promises[0], missing_accelerators=2.0), *r.promises[1:]))
        ),
    ),
    "it speaks of groups that the fleet does not have": ({"failover", "slot_row"}, ungrouped),
}
