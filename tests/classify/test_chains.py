"""Windows in chains: handed back, and shared out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shifter.classify.policy import default_policy
from shifter.classify.rules import classify
from shifter.domain.chains import (
    Step,
    Window,
    check_chains,
    order_of,
    propagate,
    propagate_steps,
    split_windows,
)
from shifter.domain.options import shortest_run
from shifter.domain.workload import Classified, Workload, WorkloadClass
from shifter.errors import InputError
from tests.classify.helpers import FLEET, HOUR, T0, Accepted, batches, hours, work

SECOND = timedelta(seconds=1)


def classified(
    *workloads: Workload, now_hours: float = 0, done: dict[str, float] | None = None
) -> tuple[Classified, ...]:
    items = [Accepted(w, T0, (done or {}).get(w.id, 0.0)) for w in workloads]
    return classify(items, default_policy(), FLEET, hours(now_hours))


def split(
    *workloads: Workload, now_hours: float = 0, done: dict[str, float] | None = None
) -> dict[str, Window]:
    return split_windows(classified(*workloads, now_hours=now_hours, done=done), FLEET, hours(now_hours))


def run_of(workload: Workload) -> timedelta:
    run = shortest_run(workload, FLEET)
    assert run is not None
    return run


def end_of(window: Window) -> datetime:
    assert window.deadline is not None
    return window.deadline


# Handing deadlines back ------------------------------------------------------------------------------------


def test_deadlines_go_back_and_starts_go_forward() -> None:
    windows = propagate(
        [work("a", 2, 20), work("b", 3, None, depends_on=("a",)), work("c", 1, 12, depends_on=("b",))],
        FLEET,
        released={"a": T0, "b": T0, "c": T0},
    )
    assert windows == {
        "a": Window(hours(0), hours(8)),
        "b": Window(hours(2), hours(11), inherited=True),
        "c": Window(hours(5), hours(12)),
    }


def test_the_tightest_of_those_that_wait_counts() -> None:
    windows = propagate(
        [work("a", 2, None), work("b", 3, 10, depends_on=("a",)), work("c", 1, 6, depends_on=("a",))],
        FLEET,
        released=dict.fromkeys("abc", T0),
    )
    assert windows["a"].deadline == hours(5)


def test_a_chain_that_does_not_fit_comes_short_at_its_end() -> None:
    a, b, c = (
        work("a", 3, None),
        work("b", 3, None, depends_on=("a",)),
        work("c", 3, 7, depends_on=("a", "b")),
    )
    windows = propagate([a, b, c], FLEET, released=dict.fromkeys("abc", T0))
    assert [windows[i].deadline for i in "abc"] == [hours(3), hours(6), hours(7)]
    shares = split(a, b, c)
    assert [(shares[i].earliest_start, shares[i].deadline) for i in "abc"] == [
        (hours(0), hours(3)),
        (hours(3), hours(6)),
        (hours(6), hours(7)),
    ]


def test_a_step_that_started_late_still_gets_the_time_that_it_needs() -> None:
    a, b = work("a", 3, None), work("b", 3, 7, depends_on=("a",))
    assert classified(a, b)[0].deadline == hours(4)
    assert classified(a, b, now_hours=3)[0].deadline == hours(6)
    assert split(a, b, now_hours=3, done={"a": 1.0}) == {
        "a": Window(hours(3), hours(5), inherited=True),
        "b": Window(hours(5), hours(7)),
    }


def test_what_is_done_holds_nobody_up() -> None:
    a, b = work("a", 3, 10), work("b", 3, 12, depends_on=("a",))
    assert split(a, b, done={"a": 3.0}) == {"b": Window(hours(0), hours(12))}
    assert split(b) == {"b": Window(hours(0), hours(12))}  # not among them any more


def test_a_step_after_a_real_time_one_starts_after_it() -> None:
    asked, report = work("asked", 1, None, latency_slo_ms=100), work("report", 2, 12, depends_on=("asked",))
    assert split(asked, report) == {"report": Window(hours(1), hours(12))}
    # it is not known to have finished, but it never waits for the plan, so time passes it by
    assert split(asked, report, now_hours=5) == {"report": Window(hours(5), hours(12))}


def test_order_is_kept_through_a_real_time_step() -> None:
    first = work("first", 2, 20)
    asked = work("asked", 1, None, latency_slo_ms=100, depends_on=("first",))
    last = work("last", 2, 20, depends_on=("asked",))
    windows = split(first, asked, last)
    assert set(windows) == {"first", "last"}
    assert windows["last"].earliest_start == end_of(windows["first"]) + HOUR


def test_slack_is_shared_as_the_work_is() -> None:
    windows = split(work("a", 1, None), work("b", 3, 12, depends_on=("a",)))
    assert windows == {"a": Window(hours(0), hours(3), inherited=True), "b": Window(hours(3), hours(12))}


def test_a_workload_without_chain_keeps_its_window_from_now_on() -> None:
    assert split(work("a", 1, 12)) == {"a": Window(hours(0), hours(12))}
    assert split(work("a", 1, 12), now_hours=3) == {"a": Window(hours(3), hours(12))}
    assert split(work("a", 1, 12), now_hours=13) == {
        "a": Window(hours(13), hours(13))
    }  # too late: no time is left


def test_a_step_that_no_pool_may_run_leaves_its_deadline_to_those_without_one() -> None:
    nowhere = work("c", 1, 3, depends_on=("a", "b", "gone"), sites=("nowhere",))
    a, b, _ = classified(work("a", 1, 12), work("b", 1, None), nowhere)
    assert a.deadline == hours(12)
    assert b.deadline == hours(3)


# Mistakes --------------------------------------------------------------------------------------------------


def test_a_cycle_is_named_in_the_order_of_depends_on() -> None:
    with pytest.raises(InputError) as caught:
        order_of({"x": ("b",), "b": ("c",), "c": ("a",), "a": ("b",)})
    assert caught.value.facts["cycle"] == ["a", "b", "c", "a"]
    with pytest.raises(InputError, match="a -> a"):
        order_of({"a": ("a",)})


def test_what_nobody_knows_cannot_be_waited_for() -> None:
    a = work("a", depends_on=("typo",))
    with pytest.raises(InputError, match="a depends on typo") as caught:
        check_chains([a])
    assert caught.value.field == "a.depends_on[0]"
    check_chains([a], known_ids={"typo"})
    with pytest.raises(InputError, match="a depends on typo"):
        propagate([a], FLEET, released={"a": T0}, done_ids=())
    assert propagate([a], FLEET, released={"a": T0}, done_ids={"typo"}) == {"a": Window(T0, hours(12))}


def test_a_start_must_be_known() -> None:
    with pytest.raises(InputError, match="nothing says when w may start"):
        propagate([work()], FLEET)


def test_a_long_chain_is_no_recursion() -> None:
    steps = [Step(str(i), T0, None, SECOND, SECOND, (str(i - 1),) if i else ()) for i in range(5000)]
    steps[-1] = replace(steps[-1], deadline=hours(5))
    windows = propagate_steps(steps)
    assert windows["0"].deadline == hours(5) - 4999 * SECOND


# Properties ------------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Workload, ...]:
    """Deferrable workloads in a graph, of which the last ones at least have deadlines; some real-time."""
    made: list[Workload] = []
    for i in range(draw(st.integers(1, 8))):
        before = [w.id for w in made]
        depends_on = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        made.append(
            work(
                f"w{i}",
                draw(st.floats(0.1, 10)),
                draw(st.one_of(st.none(), st.floats(1, 80))),
                depends_on=tuple(depends_on),
                earliest_start=draw(st.one_of(st.none(), st.floats(0, 10).map(hours))),
                latency_slo_ms=draw(st.sampled_from([None, None, None, None, 100.0])),
            )
        )
    awaited = {d for w in made for d in w.depends_on}
    return tuple(
        w if w.id in awaited or w.deadline else replace(w, deadline=hours(draw(st.floats(1, 80))))
        for w in made
    )


def reachable(workloads: tuple[Workload, ...]) -> set[tuple[str, str]]:
    """(before, after) for every pair of which the second waits for the first, at any distance."""
    before: dict[str, set[str]] = {}
    for w in workloads:  # each after what it depends on
        before[w.id] = {*w.depends_on, *(x for d in w.depends_on for x in before[d])}
    return {(b, key) for key, others in before.items() for b in others}


def finish_at_once(workloads: tuple[Workload, ...]) -> dict[str, datetime]:
    """When each is done if all run as soon as what they wait for is done."""
    finish: dict[str, datetime] = {}
    for w in workloads:
        start = max([w.earliest_start or T0, *(finish[d] for d in w.depends_on)])
        finish[w.id] = start + run_of(w)
    return finish


@given(graphs(), st.floats(0, 30))
def test_windows_of_a_chain_never_overlap_and_stay_inside(
    workloads: tuple[Workload, ...], now_hours: float
) -> None:
    items = classified(*workloads, now_hours=now_hours)
    windows = split_windows(items, FLEET, hours(now_hours))
    assert set(windows) == {i.workload.id for i in items if i.decided is WorkloadClass.DEFERRABLE}
    for item in items:
        if (window := windows.get(item.workload.id)) is None:
            continue
        assert window.deadline is not None
        assert item.deadline is not None
        assert max(item.earliest_start, hours(now_hours)) <= window.earliest_start <= window.deadline
        assert (
            window.deadline <= item.deadline or window.deadline == window.earliest_start
        )  # late: an empty one
        if item.workload.deadline is not None:
            assert item.deadline <= item.workload.deadline
    for first, second in reachable(workloads):
        if first in windows and second in windows:
            assert end_of(windows[first]) <= windows[second].earliest_start


@given(graphs())
def test_a_graph_that_fits_still_fits(workloads: tuple[Workload, ...]) -> None:
    finish = finish_at_once(workloads)
    fitting = [
        w if w.deadline is None else replace(w, deadline=max(w.deadline, finish[w.id])) for w in workloads
    ]
    for key, window in split(*fitting).items():
        assert end_of(window) - window.earliest_start >= run_of(next(w for w in workloads if w.id == key))


@given(graphs())
def test_windows_tell_whether_a_graph_fits(workloads: tuple[Workload, ...]) -> None:
    """Each is long enough exactly when running everything at once, in order, meets every deadline."""
    windows = propagate(workloads, FLEET, released={w.id: T0 for w in workloads})
    finish = finish_at_once(workloads)
    runs = {w.id: run_of(w) for w in workloads}
    assert {key: window.earliest_start + runs[key] for key, window in windows.items()} == finish
    meets = all(w.deadline is None or finish[w.id] <= w.deadline for w in workloads)
    fits = all(w.deadline is None or w.deadline - w.earliest_start >= runs[key] for key, w in windows.items())
    assert meets == fits


@given(batches())
def test_what_was_not_chained_keeps_its_own_window(workloads: tuple[Workload, ...]) -> None:
    free = [replace(w, depends_on=()) for w in workloads]
    for w, window in zip(
        free, propagate(free, FLEET, released={w.id: T0 for w in free}).values(), strict=True
    ):
        assert window == Window(max(T0, w.earliest_start or T0), w.deadline)
