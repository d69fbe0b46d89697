"""The verifier finds each way in which a plan can be wrong, and nothing else: the conditions of workloads and pools.

A plan is spoiled so that one condition breaks, where that is possible, and the codes found are compared whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from forecasts.series import Kind
from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Model, Pool, PowerCap
from shifter.domain.plan import Plan
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation, Cost
from shifter.domain.workload import Alternative, Workload
from shifter.schedule.verify import ViolationCode
from tests.schedule import (
    spoiled_failover,
    spoiled_risk,
    spoiled_sites,
    spoiled_tenants,
    spoiled_terms,
    spoiled_unplaced,
)
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.spoil import Spoiled, asked, codes, made_of, priced, row, sealed

HOUR = timedelta(hours=1)
MODEL = Model("m", {"X": 1000.0}, {"X": 2})


def piece(
    id: str,
    start: float,
    end: float,
    accelerators: int,
    pool: str = "p",
    at_site: str = "a",
    model: str | None = None,
) -> Allocation:
    return Allocation(id, at_site, pool, at(start), at(end), accelerators, model)


def one(*pieces: Allocation, **over: object) -> Spoiled:
    """Eight hours of one workload, due at 20, in these pieces."""
    inputs = cycle_inputs([work("w", 8, 20, **{"max_accelerators": 4, **over})])
    return made_of(inputs, pieces or (piece("w", 2, 4, 4),)), inputs


def several(jobs: Sequence[Workload], *pieces: Allocation) -> Spoiled:
    inputs = cycle_inputs(jobs)
    return made_of(inputs, pieces), inputs


def other_inputs(id: str, **over: object) -> Spoiled:
    """A good plan, beside inputs in which a workload asks for something else."""
    plan, inputs = one()
    return priced(plan, lower_bound=0.0), asked(inputs, id, **over)


def other_plan(change: Callable[[Plan], Plan]) -> Callable[[], Spoiled]:
    def spoiled() -> Spoiled:
        plan, inputs = one()
        return change(plan), inputs

    return spoiled


def made_up() -> Spoiled:
    """A good plan, beside forecasts that are made up."""
    plan, inputs = one()
    signals = tuple(
        replace(signal, kind=(Kind.SYNTHETIC, *signal.kind[1:])) for signal in inputs.frame.signals
    )
    return plan, replace(inputs, frame=replace(inputs.frame, signals=signals))


def of_model(**over: object) -> Spoiled:
    """Work in replicas of two, beside a fleet whose model is another."""
    job = work("w", 0, 20, accelerator_hours=None, tokens=8 * 3600e3, model="m", max_accelerators=6)
    inputs = cycle_inputs([job], models=[MODEL])
    plan = made_of(inputs, [piece("w", 2, 3, 6), piece("w", 3, 4, 2)])
    assert codes(plan, inputs) == set()
    models = (replace(MODEL, **over),)  # type: ignore[arg-type]
    return priced(plan, lower_bound=0.0), replace(inputs, fleet=replace(inputs.fleet, models=models))


def of_two_models(*pieces: Allocation, tokens: float = 4 * 3600e3) -> Spoiled:
    """Half by the model that was asked for, half by one that takes half the tokens; and then as given."""
    asked_for = Model("m", {"X": 1000.0})
    job = work(
        "w",
        0,
        20,
        accelerator_hours=None,
        tokens=8 * 3600e3,
        model="m",
        alternatives=(Alternative("m-int8", 4 * 3600e3),),
    )
    inputs = cycle_inputs([job], models=[asked_for, replace(asked_for, name="m-int8")])
    good = [piece("w", 2, 3, 4, model="m"), piece("w", 3, 4, 2, model="m-int8")]
    plan = made_of(inputs, good)
    assert codes(plan, inputs) == set()
    if pieces:
        plan = replace(plan, allocations=pieces)
    return priced(plan, lower_bound=0.0), asked(inputs, "w", alternatives=(Alternative("m-int8", tokens),))


def under_a_cap(cap_kw: float = 0.5, **over: object) -> Spoiled:
    """Half of the work under a cap that halves power and takes a fifth off throughput; then under another."""
    caps = (PowerCap(0.5, 0.8), PowerCap(0.4, 0.3))
    inputs = cycle_inputs(
        [work("w", 8, 20)], sites=[site(pools=(Pool("p", "X", 10, busy_kw=1.0, power_caps=caps),))]
    )
    held = replace(piece("w", 3, 4, 5), cap_kw=0.5)
    plan = made_of(inputs, [piece("w", 2, 3, 4), held])
    assert codes(plan, inputs) == set()
    if cap_kw != 0.5:
        plan = replace(plan, allocations=row(plan.allocations, 1, cap_kw=cap_kw))
    pools = (replace(inputs.fleet.sites[0].pools[0], **over),)  # type: ignore[arg-type]
    changed = replace(inputs.fleet, sites=(replace(inputs.fleet.sites[0], pools=pools),))
    return priced(plan, lower_bound=0.0), replace(inputs, fleet=changed)


def beyond_the_horizon() -> Spoiled:
    """A piece goes on after what is planned, for work that is due later still; the slots know nothing of it."""
    inputs = cycle_inputs([work("w", 80, 40)])
    plan = made_of(inputs, [piece("w", 20, 24, 10)])
    assert codes(plan, inputs) == set()
    (longer,) = (replace(a, end=at(25)) for a in plan.allocations)
    return replace(plan, allocations=(longer,), workloads=row(plan.workloads, 0, finish=at(25))), inputs


def before_now() -> Spoiled:
    inputs = cycle_inputs([work("w", 8, 20)], now=at(0.5))
    return made_of(inputs, [piece("w", 0.25, 1.25, 8)]), inputs


def over_two_pools() -> Spoiled:
    pools = (Pool("p", "X", 10, busy_kw=1.0), Pool("q", "X", 10, busy_kw=1.0))
    inputs = cycle_inputs([work("w", 8, 20, max_accelerators=4)], sites=[site(pools=pools)])
    return made_of(inputs, [piece("w", 2, 3, 4), piece("w", 2.9, 3.9, 4, pool="q")]), inputs


def whole(*pieces: Allocation) -> Callable[[], Spoiled]:
    """Work that may not be interrupted, in these pieces."""

    def spoiled() -> Spoiled:
        pools = (Pool("p", "X", 10, busy_kw=1.0), Pool("q", "X", 10, busy_kw=1.0))
        jobs = [work("w", 8, 20, interruptible=False)]
        inputs = cycle_inputs(jobs, sites=[site(pools=pools)])
        return made_of(inputs, pieces), inputs

    return spoiled


def waits(*pieces: Allocation, due: float = 20) -> Callable[[], Spoiled]:
    jobs = [work("first", 20, due, max_accelerators=5), work("then", 4, 20, depends_on=("first",))]
    return lambda: several(jobs, *pieces)


def not_finished_by_the_horizon() -> Spoiled:
    """What it waits for is due beyond the horizon, so it is not listed; still nothing may start before it is done."""
    jobs = [work("first", 200, 60), work("then", 4, 60, depends_on=("first",))]
    return several(jobs, piece("first", 0, 22, 5), piece("then", 23, 23.4, 10))


def real_time_load(*pieces: Allocation, preemptible: bool = True) -> Callable[[], Spoiled]:
    """Ten accelerators. Real-time load needs 1.8 at the quantile, and keeps 2.25 so that a fifth may fail."""

    def spoiled() -> Spoiled:
        jobs = [work("v", 8, 20), work("w", 8, 20, preemptible=preemptible)]
        plant = site(pools=(Pool("p", "X", 10, failure_domains=5),), resilience=Resilience(0.99, 1))
        inputs = cycle_inputs(jobs, sites=[plant], load={("a", "p"): {0.5: 1.0, 0.99: 1.8}})
        return made_of(inputs, pieces), inputs

    return spoiled


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "its horizon is another": (
        {"grid"},
        other_plan(lambda p: replace(p, horizon=replace(p.horizon, end=p.horizon.end + HOUR))),
    ),
    "it was made at another moment": ({"created_at"}, other_plan(lambda p: replace(p, created_at=at(0.1)))),
    "it says that its forecasts are made up": (
        {"synthetic"},
        other_plan(lambda p: replace(p, synthetic=True)),
    ),
    "it says that nothing is made up": ({"synthetic"}, made_up),
    "it counts in dollars": ({"currency"}, other_plan(lambda p: replace(p, currency="USD"))),
    "its status is made up": ({"status"}, other_plan(lambda p: replace(p, status="nonsense"))),
    "it plans nobody's work": (
        {"unknown_workload"},
        other_plan(lambda p: replace(p, allocations=row(p.allocations, 0, workload_id="nobody"))),
    ),
    "it plans real-time work": ({"unknown_workload"}, lambda: other_inputs("w", latency_slo_ms=100.0)),
    "it plans nowhere": (
        {"unknown_pool"},
        other_plan(lambda p: replace(p, allocations=row(p.allocations, 0, pool="q"))),
    ),
    "a piece is empty": (
        {"interval"},
        other_plan(lambda p: replace(p, allocations=(*p.allocations, piece("w", 3, 3, 1)))),
    ),
    "a piece goes beyond the horizon": ({"interval"}, beyond_the_horizon),
    "a piece lies before now": ({"past"}, before_now),
    "it starts too early": ({"window"}, lambda: other_inputs("w", earliest_start=at(2.01))),
    "it ends too late": ({"window"}, lambda: other_inputs("w", deadline=at(3.99))),
    # What is done where it may not be done does not count.
    "it crosses the data boundary": (
        {"pool_not_allowed", "not_done"},
        lambda: other_inputs("w", data_boundary=("FR",)),
    ),
    "it runs at another site": ({"pool_not_allowed", "not_done"}, lambda: other_inputs("w", sites=("b",))),
    "it runs on another accelerator": (
        {"pool_not_allowed", "not_done"},
        lambda: other_inputs("w", accelerators=("Y",)),
    ),
    "its model does not run there": (
        {"pool_not_allowed", "not_done"},
        lambda: of_model(throughput_tokens_per_s={"Y": 1000.0}),
    ),
    "it runs a model that nobody asked for": (
        {"way", "not_done"},
        lambda: of_two_models(piece("w", 2, 3, 4, model="m"), piece("w", 3, 4, 2, model="n")),
    ),
    "it does not say which of its models it runs": (
        {"way", "not_done"},
        lambda: of_two_models(piece("w", 2, 3, 4), piece("w", 3, 4, 2, model="m-int8")),
    ),
    "it says which model it runs where there is only one": (
        {"way", "not_done"},
        other_plan(
            lambda p: priced(replace(p, allocations=row(p.allocations, 0, model="m")), lower_bound=0.0)
        ),
    ),
    "its alternative takes more tokens than was counted": (
        {"not_done"},
        lambda: of_two_models(tokens=5 * 3600e3),
    ),
    # What such a cap draws is not known either, so that power and money are off as well.
    "it runs under a cap that nobody measured": (
        {"way", "not_done", "import", "cost", "carbon_kg", "deferrable_total", "workload_row"},
        lambda: under_a_cap(0.6),
    ),
    "it runs under a cap that is below the hull": (
        {"way", "not_done", "import", "cost", "carbon_kg", "deferrable_total", "workload_row"},
        lambda: under_a_cap(0.4),
    ),
    "its cap does less than was counted": (
        {"not_done"},
        lambda: under_a_cap(power_caps=(PowerCap(0.5, 0.7),)),
    ),
    "it is not in whole replicas": ({"replica"}, lambda: of_model(accelerators_per_replica={"X": 4})),
    "a piece holds nothing": (
        {"replica"},
        other_plan(lambda p: replace(p, allocations=(*p.allocations, piece("w", 3, 4, 0)))),
    ),
    "half of it is neither planned nor listed": (
        {"not_done"},
        lambda: other_inputs("w", accelerator_hours=16.0),
    ),
    "loading takes the time that it needs": ({"not_done"}, lambda: of_model(load_minutes=10.0)),
    "it uses too many at once": ({"max_accelerators"}, lambda: other_inputs("w", max_accelerators=3)),
    "it uses too many at once over two pools": ({"max_accelerators"}, over_two_pools),
    "it is interrupted": ({"interrupted"}, whole(piece("w", 2, 3, 4), piece("w", 3.01, 4.01, 4))),
    "it is moved": ({"interrupted"}, whole(piece("w", 2, 3, 4), piece("w", 3, 4, 4, pool="q"))),
    "it is resized": ({"interrupted"}, whole(piece("w", 2, 3, 4), piece("w", 3, 4.3334, 3))),
    "it is doubled for a while": ({"interrupted"}, whole(piece("w", 2, 3, 4), piece("w", 2.5, 3.5, 4))),
    "it starts before what it waits for ends": (
        {"order"},
        waits(piece("first", 2, 5, 5), piece("first", 6, 7, 5), piece("then", 5, 6, 4)),
    ),
    "what it waits for is not done in full": (
        {"order"},
        waits(piece("first", 0, 3, 5), piece("then", 4, 5, 4)),
    ),
    "what it waits for is not done, and due later": ({"order"}, not_finished_by_the_horizon),
    "two hold the same for a minute": (
        {"capacity"},
        real_time_load(piece("v", 2, 3, 8), piece("w", 2.99, 3.99, 8)),
    ),
    "what may not be preempted stands in the reserve": (
        {"reserve"},
        real_time_load(piece("v", 2, 3, 8), piece("w", 3, 4, 8), preemptible=False),
    ),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "one workload": one,
    "in two pieces": lambda: one(piece("w", 2, 3, 4), piece("w", 5, 6, 4)),
    "pieces inside a slot": lambda: one(piece("w", 2.1, 2.6, 4), piece("w", 2.6, 4.1, 4)),
    "pieces of whole work that touch": whole(piece("w", 2, 3, 4), piece("w", 3, 4, 4)),
    "one after the other": waits(piece("first", 0, 4, 5), piece("then", 4, 4.4, 10)),
    "preemptible work in the reserve": real_time_load(piece("v", 2, 3, 8), piece("w", 3, 4, 8)),
    "firm work beside the reserve": real_time_load(
        piece("v", 2, 3, 8), piece("w", 3, 4, 7), piece("w", 4, 5, 1), preemptible=False
    ),
}

ALL = {
    **SPOILINGS,
    **spoiled_sites.SPOILINGS,
    **spoiled_unplaced.SPOILINGS,
    **spoiled_risk.SPOILINGS,
    **spoiled_tenants.SPOILINGS,
    **spoiled_terms.SPOILINGS,
    **spoiled_failover.SPOILINGS,
}
ALL_GOOD = {
    **GOOD,
    **spoiled_sites.GOOD,
    **spoiled_unplaced.GOOD,
    **spoiled_risk.GOOD,
    **spoiled_tenants.GOOD,
    **spoiled_terms.GOOD,
    **spoiled_failover.GOOD,
}


@pytest.mark.parametrize("name", ALL)
def test_each_spoiling_is_found_and_nothing_else(name: str) -> None:
    expected, spoiled = ALL[name]
    assert codes(*spoiled()) == expected


@pytest.mark.parametrize("name", ALL_GOOD)
def test_what_keeps_the_contract_is_accepted(name: str) -> None:
    good, inputs = ALL_GOOD[name]()
    plan = sealed(good)
    assert verify_plan(plan, inputs) == []
    read_back = Plan.from_dict(json.loads(plan.to_json()))
    assert verify_plan(read_back, inputs) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, plan_id="0" * 16),
        lambda p: replace(p, status="greedy"),
        lambda p: replace(p, warnings=("mind the gap",)),
    ],
)
def test_a_plan_that_was_changed_after_it_was_made_is_found(change: Callable[[Plan], Plan]) -> None:
    plan, inputs = one()
    assert verify_plan(replace(plan, inputs_id="stored"), inputs) == [], "that one is set later"
    [found] = verify_plan(change(plan), inputs)
    assert (found.code, found.subject) == ("plan_id", change(plan).plan_id)


@pytest.mark.parametrize("figure", ["start", "finish", "energy_kwh", "cost", "carbon_kg"])
def test_a_workload_row_names_the_figure_that_differs(figure: str) -> None:
    plan, inputs = one()
    other = at(1) if figure in {"start", "finish"} else 7.25
    changed = replace(plan, workloads=row(plan.workloads, 0, **{figure: other}))
    [found] = [v for v in verify_plan(changed, inputs) if v.code == "workload_row"]
    assert re.fullmatch(rf"{figure} says \S+, and it is \S+", found.detail)


def test_every_code_has_a_spoiling() -> None:
    elsewhere = {"pinned", "plan_id", "frozen"}  # in test_pinned, above, and in test_frozen
    assert {code for expected, _ in ALL.values() for code in expected} | elsewhere == set(ViolationCode)


def test_the_documentation_lists_the_codes_in_order() -> None:
    text = (Path(__file__).parents[2] / "docs/errors.md").read_text(encoding="utf-8")
    _, found, table = text.partition("| violation | means |")
    assert found
    assert re.findall(r"^\| `(\w+)` \|", table.split("\n\n")[0], re.MULTILINE) == list(ViolationCode)


def test_a_plan_of_the_planner_has_no_violation() -> None:
    plant = site(
        pools=(Pool("p", "X", 10, failure_domains=5, idle_kw=0.1),),
        resilience=Resilience(0.99, 1),
        power_limit_kw=9.0,
        demand_charge_per_kw=1.0,
    )
    jobs = [
        work("soft", 20, 20, max_accelerators=5, sites=("a",)),
        work("firm", 10, 24, preemptible=False, max_accelerators=4, sites=("a",)),
        work("whole", 4, 24, interruptible=False, max_accelerators=2),
        work("after", 4, 24, depends_on=("soft",), max_accelerators=2),
    ]
    inputs = cycle_inputs(
        jobs, sites=[plant, site("b", jurisdiction="FR")], load={("a", "p"): {0.5: 1.0, 0.99: 2.0}}
    )
    assert verify_plan(plan_cycle(inputs), inputs) == []


def test_an_empty_plan_of_nothing_is_fine() -> None:
    empty = cycle_inputs([])
    plan = plan_cycle(empty)
    assert plan.cost == Cost()
    assert plan.horizon.start == START
    assert verify_plan(plan, empty) == []


@pytest.mark.parametrize(
    ("prices", "gap"), [([0.0] * 12 + [50.0] * 12, 1000.0), ([10.0] * 12 + [50.0] * 12, 0.4)]
)
def test_a_gap_is_no_share_of_nothing(prices: list[float], gap: float) -> None:
    """One kWh of ten is bought dear. Of a bound of 0, that is measured by a thousandth of what changes hands."""
    inputs = cycle_inputs([work("w", 10, 20)], prices=prices)
    pieces = [Allocation("w", "a", "p", at(12), at(13), 1), Allocation("w", "a", "p", at(3), at(4), 9)]
    plan = made_of(inputs, pieces)
    assert plan.relative_gap == pytest.approx(gap)
    assert codes(plan, inputs) == set()
    assert codes(replace(plan, relative_gap=0.5 * gap), inputs) == {"gap"}
    if plan.lower_bound:
        assert plan.relative_gap == (plan.cost.total - plan.lower_bound) / plan.lower_bound
