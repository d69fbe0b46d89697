"""The same outcome by another model: what costs least per outcome is done, in parts where that costs less still."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Model, Pool
from shifter.domain.options import option_of, options_of, shortest_run
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Alternative, Workload
from shifter.schedule import anchors, build
from tests.schedule.build import at, cycle_inputs, site, work

TOKENS = 8 * 3600e3
"""Eight accelerator-hours of `m` on X."""
M = Model("m", {"X": 1000.0})
FLAT = [50.0] * 24


def job(*alternatives: Alternative, due: float = 20, **over: object) -> Workload:
    given: dict[str, object] = {"accelerator_hours": None, "tokens": TOKENS, "model": "m"}
    return work("w", 0, due, **{**given, "alternatives": alternatives, **over})


def hours_by(plan: Plan) -> dict[str | None, float]:
    """Accelerator-hours by model."""
    found: dict[str | None, float] = {}
    for a in plan.allocations:
        hours = a.accelerators * (a.end - a.start) / timedelta(hours=1)
        found[a.model] = found.get(a.model, 0.0) + hours
    return found


def test_the_model_that_costs_least_per_outcome_does_the_work() -> None:
    # Half as many tokens again, at twice the speed: three quarters of the accelerator-hours, and of the energy.
    fast = Model("m-int8", {"X": 2000.0})
    inputs = cycle_inputs([job(Alternative("m-int8", 1.5 * TOKENS))], models=[M, fast])
    plan = plan_cycle(inputs)
    assert hours_by(plan) == pytest.approx({"m-int8": 6.0})
    assert plan.cost.total == pytest.approx(0.75 * plan_cycle(cycle_inputs([job()], models=[M])).cost.total)
    assert plan.baseline.total == pytest.approx(8 * 0.05), "at once, it is done as it was asked for"
    [row] = plan.workloads
    assert "Done by m-int8." in row.reason
    assert (
        "All of it by m in these slots would take 8 accelerator-hours and 0.40 EUR, not 6 and 0.30 EUR"
        in row.reason
    )


def test_what_takes_more_than_it_gains_is_left_alone() -> None:
    slow = Model("m-int8", {"X": 2000.0})
    plan = plan_cycle(cycle_inputs([job(Alternative("m-int8", 3 * TOKENS))], models=[M, slow]))
    assert hours_by(plan) == pytest.approx({"m": 8.0})
    assert (
        "Done by m. All of it by m-int8 in these slots would take 12 accelerator-hours"
        in plan.workloads[0].reason
    )


def test_parts_of_the_outcome_add_up() -> None:
    """The frugal accelerator does what it can by the deadline, and the other the rest, each by a model of its own."""
    pools = (Pool("p", "X", 4, busy_kw=1.0), Pool("q", "Y", 2, busy_kw=0.1))
    other = Model("m-tiny", {"Y": 500.0})
    inputs = cycle_inputs(
        [job(Alternative("m-tiny", TOKENS), due=4)], sites=[site(pools=pools)], models=[M, other], hours=4
    )
    plan = plan_cycle(inputs)
    # Two of Y for four hours do half of the outcome; hours of X do the other half.
    assert hours_by(plan) == pytest.approx({"m-tiny": 8.0, "m": 4.0})
    assert not plan.unplaced
    assert "Done 50 % by m" in plan.workloads[0].reason or "50 % by m-tiny" in plan.workloads[0].reason


def test_work_that_may_not_be_interrupted_is_done_one_way() -> None:
    pools = (Pool("p", "X", 4, busy_kw=1.0), Pool("q", "Y", 2, busy_kw=0.1))
    other = Model("m-tiny", {"Y": 500.0}, load_minutes=30)
    inputs = cycle_inputs(
        [job(Alternative("m-tiny", TOKENS), due=10, interruptible=False)],
        sites=[site(pools=pools)],
        models=[M, other],
    )
    plan = plan_cycle(inputs)
    assert [(a.model, a.end - a.start) for a in plan.allocations] == [("m-tiny", timedelta(hours=8.5))]


def test_each_model_has_its_own_replicas_and_load_time() -> None:
    big = Model("m-big", {"X": 4000.0}, {"X": 4}, load_minutes=30)
    inputs = cycle_inputs(
        [job(Alternative("m-big", TOKENS), max_accelerators=6)], models=[replace(M, load_minutes=60), big]
    )
    plan = plan_cycle(inputs)
    assert [(a.model, a.accelerators, a.end - a.start) for a in plan.allocations] == [
        ("m-big", 4, timedelta(hours=1))
    ]


def test_a_plan_with_alternatives_reads_back_and_plain_work_says_nothing_of_models() -> None:
    fast = Model("m-int8", {"X": 2000.0})
    jobs = [job(Alternative("m-int8", TOKENS)), work("plain", 4, 20), replace(job(), id="one")]
    plan = plan_cycle(cycle_inputs(jobs, models=[M, fast]))
    said = {a["workload_id"]: a.get("model", "nothing") for a in plan.to_dict()["allocations"]}
    assert said == {"w": "m-int8", "plain": "nothing", "one": "nothing"}
    assert Plan.from_dict(plan.to_dict()) == plan


def test_options_count_in_the_unit_of_the_workload() -> None:
    fleet = cycle_inputs([], models=[M, Model("m-int8", {"X": 2000.0}, load_minutes=6)]).fleet
    asked = job(Alternative("m-int8", TOKENS / 2), max_accelerators=2)
    assert [(o.model, o.rate / 3600) for o in options_of(asked, fleet)] == [("m", 1000.0), ("m-int8", 4000.0)]
    assert shortest_run(asked, fleet) == timedelta(hours=1, minutes=6)
    held = Allocation("w", "a", "p", at(0), at(1), 1, "m")
    by_m = option_of(asked, fleet, held)
    assert by_m is not None
    assert by_m.rate == 1000.0 * 3600
    assert option_of(asked, fleet, replace(held, model="n")) is None
    assert option_of(asked, fleet, replace(held, pool="gone")) is None


def test_what_can_be_done_by_an_alternative_alone_is_planned() -> None:
    elsewhere = Model("m", {"Y": 1000.0})
    inputs = cycle_inputs(
        [job(Alternative("m-int8", TOKENS))], models=[elsewhere, Model("m-int8", {"X": 1000.0})]
    )
    plan = plan_cycle(inputs)
    assert hours_by(plan) == pytest.approx({"m-int8": 8.0})
    assert plan.workloads[0].reason.endswith("Done by m-int8.")


@st.composite
def with_alternatives(draw: st.DrawFn) -> tuple[CycleInputs, CycleInputs]:
    """A fleet and its work, with alternatives and without."""
    pools = (Pool("p", "X", 6, idle_kw=0.1, busy_kw=1.0), Pool("q", "Y", 4, busy_kw=0.5))
    prices = [float(draw(st.integers(-2, 12))) * 10 for _ in range(8)]
    speeds = st.sampled_from([250.0, 500.0, 1000.0, 3000.0])
    models = [
        Model("m", {"X": 1000.0, "Y": draw(speeds)}),
        Model("n", {"X": draw(speeds)}),
        Model("o", {"Y": draw(speeds), "X": draw(speeds)}),
    ]
    jobs = []
    for i in range(draw(st.integers(1, 4))):
        others = [Alternative(m, TOKENS * draw(st.sampled_from([0.5, 1.0, 1.7]))) for m in ("n", "o")]
        asked = job(*others[: draw(st.integers(1, 2))], due=draw(st.integers(3, 8)))
        tokens = TOKENS * draw(st.sampled_from([0.1, 0.25, 0.4]))
        jobs.append(
            replace(
                asked,
                id=f"w{i}",
                tokens=tokens,
                alternatives=tuple(replace(a, tokens=a.tokens * tokens / TOKENS) for a in asked.alternatives),
                preemptible=draw(st.booleans()),
                max_accelerators=draw(st.integers(2, 6)),
            )
        )
    inputs = cycle_inputs(jobs, sites=[site(pools=pools)], models=models, prices=prices, hours=8)
    plain = cycle_inputs(
        [replace(j, alternatives=()) for j in jobs],
        sites=[site(pools=pools)],
        models=models,
        prices=prices,
        hours=8,
    )
    return inputs, plain


@given(with_alternatives())
@settings(max_examples=25, deadline=None)
def test_more_ways_never_cost_more(case: tuple[CycleInputs, CycleInputs]) -> None:
    inputs, plain = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "RUN_RATIO", 0.0)  # fewer runs are worth something, and so may cost something
        patch.setattr(anchors, "LEAN", 0.0)
        plan, without = plan_cycle(inputs), plan_cycle(plain)
    assert verify_plan(plan, inputs) == []
    if not without.unplaced:  # else it may cost more, and do more
        assert not plan.unplaced
        assert plan.cost.total <= without.cost.total + 1e-6 * max(1.0, abs(without.cost.total))
    if not plan.unplaced:
        # Of a bill of a few cents, which negative prices make, a share says little.
        assert plan.cost.total - plan.lower_bound <= 1e-3 * max(1.0, abs(plan.lower_bound))
