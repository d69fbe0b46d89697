"""Plans that say something untrue of work that they do not do in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation, Unplaced
from tests.schedule.build import at, cycle_inputs, work
from tests.schedule.spoil import Spoiled, made_of, row


def late() -> Spoiled:
    """`w` needs ten accelerators for four hours until 2, and gets them from 0 to 2: it could be done by 4."""
    inputs = cycle_inputs([work("w", 40, 2), work("v", 10, 20)])
    pieces = (Allocation("w", "a", "p", at(0), at(2), 10), Allocation("v", "a", "p", at(6), at(7), 10))
    plan = made_of(inputs, pieces)
    (one,) = plan.unplaced
    assert one == Unplaced("w", 20.0, one.reason, at(4), one.limits)
    assert {limit.kind for limit in one.limits} == {"deadline"}
    return plan, inputs


def said(**over: Any) -> Callable[[], Spoiled]:
    """Something else in the one entry."""
    return listed(lambda p: row(p.unplaced, 0, **over))


def limited(**over: Any) -> Callable[[], Spoiled]:
    """Something else in the first of its limits."""

    def change(plan: Plan) -> tuple[Unplaced, ...]:
        first, *others = plan.unplaced[0].limits
        return row(plan.unplaced, 0, limits=(replace(first, **over), *others))

    return listed(change)


def listed(change: Callable[[Plan], tuple[Unplaced, ...]]) -> Callable[[], Spoiled]:
    def spoiled() -> Spoiled:
        plan, inputs = late()
        return replace(plan, unplaced=change(plan)), inputs

    return spoiled


def chain(**over: Any) -> Spoiled:
    """`first` is not done in time, so `then` could be done after it only: by 4 and by 5."""
    jobs = [work("first", 40, 2), work("then", 10, 3, depends_on=("first",))]
    inputs = cycle_inputs(jobs)
    plan = made_of(inputs, [Allocation("first", "a", "p", at(0), at(2), 10)])
    assert [u.earliest_feasible_deadline for u in plan.unplaced] == [at(4), at(5)]
    return replace(plan, unplaced=row(plan.unplaced, 1, **over)), inputs


def nowhere() -> Spoiled:
    """No pool may run it, so nothing of it is planned and no deadline would do."""
    inputs = cycle_inputs([work("w", 8, 20, accelerators=("Y",))])
    return made_of(inputs, []), inputs


def due_later() -> Spoiled:
    """Due beyond the horizon: what does not fit is planned later, and is not late."""
    inputs = cycle_inputs([work("w", 400, 60)])
    return made_of(inputs, [Allocation("w", "a", "p", at(0), at(24), 10)]), inputs


def due_later_and_listed() -> Spoiled:
    plan, inputs = due_later()
    return replace(plan, unplaced=(Unplaced("w", 160.0, "no room", None),)), inputs


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "it lists work twice": ({"unplaced"}, listed(lambda p: (*p.unplaced, *p.unplaced))),
    "it lists nobody's work": (
        {"unplaced"},
        listed(lambda p: (*p.unplaced, replace(p.unplaced[0], workload_id="x"))),
    ),
    "it lists work that is planned in full": (
        {"unplaced"},
        listed(lambda p: (*p.unplaced, replace(p.unplaced[0], workload_id="v"))),
    ),
    "it lists work that is due beyond the horizon": ({"unplaced"}, due_later_and_listed),
    "it gives no reason": ({"unplaced"}, said(reason="")),
    "it lists too few hours": ({"unplaced"}, said(accelerator_hours=19.999)),
    "it lists no hours": ({"unplaced"}, said(accelerator_hours=float("nan"))),
    "it names a quota that its tenant does not have": (
        {"unplaced"},
        limited(kind="quota", name="default"),
    ),
    "it names a ramp limit that the site does not have": ({"unplaced"}, limited(kind="ramp", site="a")),
    "it names a limit of a pool that may not run it": (
        {"unplaced"},
        limited(kind="capacity", site="b", pool="p"),
    ),
    "it names a limit that nobody knows": ({"unplaced"}, limited(kind="luck")),
    "more of a limit would do more than is left": ({"unplaced"}, limited(saves_accelerator_hours=21.0)),
    "more of a limit would do no number": ({"unplaced"}, limited(saves_accelerator_hours=float("nan"))),
    "it could be done in time, it says": ({"unplaced"}, said(earliest_feasible_deadline=at(2))),
    "it could be done earlier than it could": ({"unplaced"}, said(earliest_feasible_deadline=at(3.9))),
    "it could be done beyond what was planned": ({"unplaced"}, said(earliest_feasible_deadline=at(25))),
    "it could be done before what it waits for": (
        {"unplaced"},
        lambda: chain(earliest_feasible_deadline=at(4.5)),
    ),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "late work, listed": late,
    "late work, listed with a deadline to spare": said(earliest_feasible_deadline=at(12)),
    "late work, with no deadline that would do": said(earliest_feasible_deadline=None),
    "a late chain": chain,
    "work that nothing may run": nowhere,
    "work due beyond the horizon": due_later,
}
