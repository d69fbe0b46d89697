"""Failover groups: what a lost site runs in real time is held by others, where that costs least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.effort import Effort
from shifter.domain.failover import carried
from shifter.domain.fleet import Fleet, Model, Pool, Site
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import FailoverGroup, Maintenance, Resilience
from shifter.domain.rows import Allocation
from shifter.domain.survival import PlanResilience, Promise
from shifter.domain.workload import Workload
from shifter.errors import SolverFailed
from shifter.schedule import failover
from shifter.schedule.promises import held_for
from shifter.schedule.solve import linear_program
from shifter.schedule.value import fleet_worth
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import START, at, cycle_inputs, site, work

FIRM: dict[str, Any] = {"preemptible": False, "max_accelerators": 40}


def house(name: str, zone: str = "Z", accelerator: str = "X", count: int = 20, **over: Any) -> Site:
    own = {k: over.pop(k) for k in ("failure_domains", "maintenance") if k in over}
    return site(name, zone=zone, pools=(Pool("p", accelerator, count, busy_kw=1.0, **own),), **over)


def case(
    sites: Sequence[Site],
    jobs: Sequence[Workload],
    *groups: FailoverGroup,
    load: Mapping[str, float] | float = 4.0,
    prices: Mapping[str, Sequence[float]] | None = None,
    models: Sequence[Model] = (),
    **over: Any,
) -> CycleInputs:
    """Four hours. Real-time load at the quantile by site; half of it at the median."""
    by_site = load if isinstance(load, Mapping) else dict.fromkeys((s.name for s in sites), load)
    inputs = cycle_inputs(
        jobs,
        sites=sites,
        prices=prices or {},
        models=models,
        load={(name, "p"): {0.5: q / 2, 0.99: q} for name, q in by_site.items()},
        hours=4,
        **over,
    )
    return replace(inputs, fleet=replace(inputs.fleet, failover_groups=groups))


EU = FailoverGroup("eu", ("a", "b", "c"))
THREE = (house("a", "Z"), house("b", "Y"), house("c", "W"))
PRICES = {"Z": [20.0] * 4, "Y": [30.0] * 4, "W": [90.0] * 4}


def reserved(plan: Plan) -> dict[str, list[float]]:
    names = dict.fromkeys(r.site for r in plan.slots)
    return {name: [round(r.reserved, 6) for r in plan.slots if r.site == name] for name in names}


def said(plan: Plan) -> PlanResilience:
    assert plan.resilience is not None
    return plan.resilience


def promise(plan: Plan, name: str, kind: str = "site") -> Promise:
    return next(p for p in said(plan).promises if (p.kind, p.name) == (kind, name))


def test_what_a_site_may_lose_is_held_where_no_work_wants_to_be() -> None:
    """Firm work fills the cheap sites, so what a or b would lose is held at c, and what c would lose by both."""
    plan = plan_cycle(case(THREE, [work("w", 120, 4, **FIRM)], EU, prices=PRICES))
    held = reserved(plan)
    assert held["c"] == [8.0] * 4
    assert [a + b for a, b in zip(held["a"], held["b"], strict=True)] == [12.0] * 4
    assert said(plan).placed_by == "program"
    assert plan.warnings == ()
    assert plan.unplaced == ()


def test_its_cost_is_what_the_schedule_costs_less_without_it() -> None:
    jobs = [work("w", 128, 4, **FIRM)]
    plan = plan_cycle(case(THREE, jobs, EU, prices=PRICES))
    without = plan_cycle(case(THREE, jobs, prices=PRICES))
    assert without.resilience is None
    joint = said(plan).joint_optimum
    assert joint is not None
    assert joint - without.cost.total == pytest.approx(16 * 0.060)  # 4 accelerators from b to c, for 4 hours
    assert plan.cost.total == pytest.approx(joint)
    assert plan.lower_bound == pytest.approx(joint, rel=1e-3)
    lost = promise(plan, "c")
    assert lost.cost_per_day == pytest.approx(16 * 0.060 * 24 / 4)
    assert lost.basis == "solved"
    assert lost.text == "surviving the loss of site c costs 5.76 EUR a day"
    assert promise(plan, "a").text == "surviving the loss of site a costs nothing"


def test_the_loss_of_domains_has_its_cost_too_and_one_margin_serves_both() -> None:
    sites = [
        house(n, z, failure_domains=2, resilience=Resilience(lose_domains=1))
        for n, z in zip("abc", "ZYW", strict=True)
    ]
    plan = plan_cycle(case(sites, [work("w", 128, 4, **FIRM)], EU, prices=PRICES))
    assert reserved(plan) == dict.fromkeys("abc", [8.0] * 4)
    assert promise(plan, "c").cost_per_day == 0.0  # the domains' margins hold it
    by_domains = promise(plan, "a", "domains")
    assert by_domains.group is None
    assert by_domains.cost_per_day is not None
    assert by_domains.cost_per_day > 0
    assert by_domains.text.startswith("surviving the loss of 1 failure domain of each pool at a costs ")


def test_preemptible_work_stands_in_it_unless_the_site_is_strict() -> None:
    jobs = [work("w", 144, 4, max_accelerators=40)]
    two = FailoverGroup("eu", ("a", "b"))
    plan = plan_cycle(case([house("a"), house("b")], [work("w", 128, 4, max_accelerators=40)], two))
    assert reserved(plan) == {"a": [8.0] * 4, "b": [8.0] * 4}
    assert plan.unplaced == ()
    strict = [house(name, resilience=Resilience(mode="strict")) for name in "ab"]
    idle = plan_cycle(case(strict, jobs, two))
    assert max(r.deferrable for r in idle.slots) == 12.0
    assert promise(idle, "a").late_accelerator_hours == pytest.approx(16.0)
    assert "16.0 accelerator-hours of work are late for it" in promise(idle, "a").text
    assert "costs nothing" not in promise(idle, "a").text


def test_accelerators_stand_for_each_other_as_the_group_says() -> None:
    group = FailoverGroup("eu", ("a", "b"), equivalent={"X": 1.0, "L": 0.25})
    sites = [house("a", accelerator="X"), house("b", accelerator="L", count=40)]
    plan = plan_cycle(case(sites, [], group, load={"a": 4.0, "b": 8.0}))
    assert reserved(plan) == {"a": [6.0] * 4, "b": [24.0] * 4}  # 8 of b are 2 of a; 4 of a are 16 of b


def test_else_by_the_model_that_is_slowest_there() -> None:
    fast, slow = Model("fast", {"X": 1000, "L": 500}), Model("slow", {"X": 1000, "L": 200})
    fleet = Fleet("EUR", (house("a"), house("b", accelerator="L")), (fast, slow))
    group = FailoverGroup("eu", ("a", "b"))
    assert carried(fleet, group, "X", "X") == 1.0
    assert carried(fleet, group, "X", "L") == 0.2
    assert carried(fleet, group, "L", "X") == 2.0
    only = replace(fleet, models=(fast, Model("only", {"X": 900})))
    assert carried(only, group, "X", "L") == 0.0  # what runs there at all, nobody said of all that runs on X


def test_a_lost_zone_takes_all_of_its_sites() -> None:
    sites = [house("a", "Z"), house("b", "Y"), house("c", "Y")]
    by_site = plan_cycle(case(sites, [], EU))
    by_zone = plan_cycle(case(sites, [], replace(EU, survive="zone")))
    assert reserved(by_zone)["a"] == [12.0] * 4
    assert sum(r[0] for r in reserved(by_site).values()) == pytest.approx(18.0)
    assert [(p.kind, p.name) for p in said(by_zone).promises] == [("zone", "Z"), ("zone", "Y")]


def test_what_cannot_be_held_is_missing_and_told() -> None:
    small = (house("a", count=20), house("b", count=6))
    inputs = case(
        small, [work("w", 30, 4, **FIRM)], FailoverGroup("eu", ("a", "b")), load={"a": 10.0, "b": 2.0}
    )
    plan = plan_cycle(inputs)
    assert reserved(plan) == {"a": [12.0] * 4, "b": [6.0] * 4}
    lost = promise(plan, "a")
    assert lost.missing_accelerators == pytest.approx(6.0)
    assert lost.missing_slots == 4
    [warning] = plan.warnings
    assert warning == (
        "failover group eu: the loss of site a is not held whole in 4 slots from 2026-01-10 00:00Z on: up to 6.0 of "
        "its accelerators are missing elsewhere, whatever is planned."
    )


class TestPower:
    group = FailoverGroup("eu", ("a", "b"))

    def test_what_is_held_has_power_too_and_preemptible_work_is_shed(self) -> None:
        """b may draw 12 kW: 4 for its own load and 4 for that of a. 4 are left to work that stays, and 8 to what does
        not."""
        sites = [house("a", "Z"), house("b", "Y", power_limit_kw=12.0)]
        prices = {"Z": [90.0] * 4, "Y": [20.0] * 4}
        firm = plan_cycle(case(sites, [work("w", 32, 4, **FIRM)], self.group, prices=prices))
        assert {r.deferrable for r in firm.slots if r.site == "b"} == {4.0}
        assert reserved(firm)["b"] == [16.0] * 4
        soft = plan_cycle(case(sites, [work("w", 32, 4, max_accelerators=40)], self.group, prices=prices))
        assert {r.deferrable for r in soft.slots if r.site == "b"} == {8.0}

    def test_where_there_is_no_power_it_is_missing(self) -> None:
        sites = [house("a"), house("b", power_limit_kw=6.0)]
        plan = plan_cycle(case(sites, [], self.group))
        assert promise(plan, "a").missing_accelerators == pytest.approx(2.0)
        assert promise(plan, "b").missing_accelerators == 0.0

    def test_a_battery_is_not_counted_on(self) -> None:
        battery = Battery(40, 20, 1.0, 1.0, 40)
        sites = [house("a"), house("b", power_limit_kw=6.0, battery=battery)]
        plan = plan_cycle(case(sites, [work("w", 10, 4, **FIRM)], self.group))
        assert promise(plan, "a").missing_accelerators == pytest.approx(2.0)

    @pytest.mark.parametrize(
        "own",
        [
            {"generation": Generation((GenerationWindow(START, at(4), 20.0),))},
            {"battery": Battery(400, 20, 1.0, 1.0, 400)},
        ],
        ids=["generation", "battery"],
    )
    def test_but_work_has_what_the_site_gives_itself(self, own: dict[str, Any]) -> None:
        """a may draw 20 kW and give itself 20: 25 for work that stays, and 10 that it could take over from b."""
        sites = [house("a", count=40, power_limit_kw=20.0, **own), house("b", count=10)]
        jobs = [work("w", 60, 4, sites=("a",), **{**FIRM, "max_accelerators": 25})]
        plan = plan_cycle(case(sites, jobs, self.group, load={"a": 0.0, "b": 10.0}))
        assert plan.unplaced == ()
        assert promise(plan, "b").missing_accelerators == 0.0
        assert reserved(plan)["a"] == [10.0] * 4

    def test_no_more_work_beside_it_than_that(self) -> None:
        """20 kW of limit and 4 of the site's own: 10 are held, so work that stays draws 14."""
        generation = Generation((GenerationWindow(START, at(4), 4.0),))
        sites = [house("a", count=40, power_limit_kw=20.0, generation=generation), house("b", count=10)]
        jobs = [work("w", 100, 4, sites=("a",), **FIRM)]
        plan = plan_cycle(case(sites, jobs, self.group, load={"a": 0.0, "b": 10.0}))
        assert {r.deferrable for r in plan.slots if r.site == "a"} == {14.0}


def test_what_is_away_holds_nothing() -> None:
    sites = [house("a"), house("b", maintenance=(Maintenance(at(1), at(2), 14),))]
    plan = plan_cycle(case(sites, [], FailoverGroup("eu", ("a", "b"))))
    assert reserved(plan)["b"] == [8.0, 6.0, 8.0, 8.0]
    assert promise(plan, "a").missing_slots == 1


def test_running_work_that_may_not_stop_keeps_its_place() -> None:
    sites = [house("a"), house("b", count=10)]
    jobs = [work("w", 24, 4, interruptible=False, **{**FIRM, "max_accelerators": 6})]
    inputs = case(sites, jobs, FailoverGroup("eu", ("a", "b")))
    pinned = Allocation("w", "b", "p", at(0), at(2), 4)
    plan = plan_cycle(replace(inputs, pinned=(pinned,)))
    assert promise(plan, "a").missing_slots == 2  # 10 - 4 - 4 of b are left
    assert promise(plan, "a").missing_accelerators == pytest.approx(2.0)


@pytest.mark.parametrize("effort", [Effort.COARSE, Effort.GREEDY])
def test_with_less_effort_it_is_held_as_well(effort: Effort) -> None:
    twice = {zone: 2 * values for zone, values in PRICES.items()}
    inputs = case(THREE, [work("w", 60, 4, **FIRM)], EU, prices=twice, slot_minutes=30)
    plan = plan_cycle(inputs, effort)
    assert said(plan).placed_by == {"coarse": "coarse", "greedy": "without_work"}[effort.value]
    assert verify_plan(plan, inputs) == []
    if effort is Effort.GREEDY:
        assert reserved(plan) == dict.fromkeys("abc", [6.0] * 8)
        assert plan.unplaced == ()
        assert promise(plan, "a").missing_accelerators == 0.0
        assert "has a cost that no program says" in promise(plan, "a").text
    else:
        assert promise(plan, "c").basis == "at_most"


def test_an_hour_that_has_too_little_room_is_asked_by_the_slot() -> None:
    """The coarse program takes the tightest half of an hour; what is missing in the other half is not."""
    sites = [house("a"), house("b", maintenance=(Maintenance(at(1), at(1.5), 14),))]
    inputs = case(sites, [], FailoverGroup("eu", ("a", "b")), slot_minutes=30)
    plan = plan_cycle(inputs, Effort.COARSE)
    assert said(plan).placed_by == "coarse"
    assert reserved(plan)["b"] == [8.0, 8.0, 6.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert promise(plan, "a").missing_slots == 1


def never(*_: Any, **__: Any) -> Any:
    raise SolverFailed("out of order")


def test_without_a_solver_it_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of sixteen runs is held by fifteen, and all firm work has its place beside it."""
    monkeypatch.setattr(failover, "solve", never)
    names = [f"s{i}" for i in range(16)]
    sites = [
        site(n, pools=(Pool("p", "X", 20, busy_kw=1.0), Pool("q", "L", 20, busy_kw=1.0)), power_limit_kw=60.0)
        for n in names
    ]
    load = {(n, p): {0.5: 2.0, 0.99: 6.0} for n in names for p in "pq"}
    inputs = cycle_inputs(
        [work(f"w{k}", 90, 4, **FIRM) for k in range(10)], sites=sites, load=load, hours=4, prices={}
    )
    group = FailoverGroup("g", tuple(names), equivalent={"X": 1.0, "L": 0.5})
    inputs = replace(inputs, fleet=replace(inputs.fleet, failover_groups=(group,)))
    kept = held_for(problem_of(inputs), inputs.fleet, inputs.envelope, time_limit_s=9.0, effort=Effort.WHOLE)
    assert any("was not placed by the program `program`" in w for w in kept.warnings)
    plan = plan_cycle(inputs, Effort.GREEDY)
    assert plan.resilience == kept.resilience
    assert said(plan).placed_by == "without_work"
    assert plan.unplaced == ()
    assert {round(r.reserved, 6) for r in plan.slots if r.pool == "p"} == {6.6}  # 9 of X, by fifteen
    assert {r.reserved for r in plan.slots if r.pool == "q"} == {6.0}
    assert promise(plan, "s3").missing_accelerators == 0.0


def test_all_is_held_where_the_fill_cannot_say_that_it_is_enough() -> None:
    """Two kinds are lost, and b has too little for both."""
    pools = (Pool("p", "X", 20, busy_kw=1.0), Pool("q", "L", 20, busy_kw=1.0))
    sites = [site("a", pools=pools), site("b", pools=pools), house("c", "W")]
    load = {("a", "p"): 12.0, ("a", "q"): 12.0, ("b", "p"): 12.0, ("b", "q"): 8.0, ("c", "p"): 0.0}
    inputs = cycle_inputs(
        [work("w", 8, 4, accelerators=("X",), **FIRM)],
        sites=sites,
        load={key: {0.5: 1.0, 0.99: q} for key, q in load.items()},
        hours=4,
    )
    group = FailoverGroup("g", ("a", "b"), equivalent={"X": 1.0, "L": 0.5})
    inputs = replace(inputs, fleet=replace(inputs.fleet, failover_groups=(group,)))
    plan = plan_cycle(inputs, Effort.GREEDY)
    assert said(plan).placed_by == "all"
    assert {r.reserved for r in plan.slots if r.site != "c"} == {20.0}
    assert promise(plan, "a").missing_accelerators is None
    assert "has a cost that no program says" in promise(plan, "a").text
    assert any("whether that is enough nobody says" in w for w in plan.warnings)


def test_the_price_of_a_promise_is_never_less_than_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    from shifter.schedule import promises

    inputs = case(THREE, [work("w", 128, 4, **FIRM)], EU, prices=PRICES)
    solved = {p.name: p.cost_per_day for p in said(plan_cycle(inputs)).promises}
    monkeypatch.setattr(promises, "SOLVED_COLUMNS", 0)
    for found in said(plan_cycle(inputs)).promises:
        assert found.basis == "at_most"
        least = solved[found.name]
        assert found.cost_per_day is not None
        assert least is not None
        assert found.cost_per_day >= least - 1e-6
        if found.cost_per_day > 0.01:
            assert "costs at most" in found.text


def test_prices_of_losses_build_no_program_and_those_of_domains_one_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shifter.schedule import promises

    built = []

    def counted(*given: Any) -> Any:
        built.append(given)
        return linear_program(*given)

    monkeypatch.setattr(promises, "linear_program", counted)
    monkeypatch.setattr(promises, "SOLVED_COLUMNS", 0)
    twice = [
        house(n, z, failure_domains=2, resilience=Resilience(lose_domains=1))
        for n, z in zip("abc", "ZYW", strict=True)
    ]
    for sites, programs in ((THREE, 0), (twice, 4)):
        inputs = case(sites, [work("w", 100, 4, **FIRM)], EU, prices=PRICES)
        kept = held_for(
            problem_of(inputs), inputs.fleet, inputs.envelope, time_limit_s=60.0, effort=Effort.WHOLE
        )
        assert kept.resilience is not None
        assert {p.basis for p in kept.resilience.promises} == {"at_most"}
        assert len(built) == programs
        built.clear()


def test_no_promise_of_domains_is_priced_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from shifter.schedule import promises

    monkeypatch.setattr(promises, "SOLVED_COLUMNS", 0)
    monkeypatch.setattr(promises, "PRICING_SHARE", -1.0)
    own = Resilience(lose_domains=1)
    sites = [house(n, z, failure_domains=2, resilience=own) for n, z in zip("abc", "ZYW", strict=True)]
    plan = plan_cycle(case(sites, [work("w", 100, 4, **FIRM)], EU, prices=PRICES))
    assert promise(plan, "a", "domains").cost_per_day is None
    assert promise(plan, "a").basis == "at_most"


def test_time_that_placing_does_not_use_is_left_to_the_schedule() -> None:
    inputs = case(THREE, [work("w", 100, 4, **FIRM)], EU, prices=PRICES)
    kept = held_for(
        problem_of(inputs), inputs.fleet, inputs.envelope, time_limit_s=3600.0, effort=Effort.WHOLE
    )
    assert 3500.0 < kept.left_s < 3600.0


def test_no_promise_costs_nothing_where_whole_accelerators_leave_more_late_than_its_program() -> None:
    """Each of three sites leaves 20 - 4.5 - 2.25 to firm work: the program fills it, and whole accelerators cannot."""
    inputs = case(THREE, [work("w", 4 * 39.75, 4, **FIRM)], EU, load=4.5)
    plan = plan_cycle(inputs)
    late = sum(one.accelerator_hours for one in plan.unplaced)
    assert late > 1
    assert not any(p.late_accelerator_hours for p in said(plan).promises)
    for one in said(plan).promises:
        assert (
            f"costs nothing in the program that placed it, and the plan leaves {late:.1f} accel" in one.text
        )
    assert plan.plan_id == plan.content_id()


def test_a_fleet_without_groups_is_planned_as_ever() -> None:
    inputs = case(THREE, [work("w", 128, 4, **FIRM)], prices=PRICES)
    kept = held_for(problem_of(inputs), inputs.fleet, inputs.envelope, time_limit_s=9.0, effort=Effort.WHOLE)
    assert kept.envelope is inputs.envelope
    assert kept.left_s == 9.0
    assert "resilience" not in plan_cycle(inputs).to_dict()


def test_a_replay_makes_the_same_plan() -> None:
    inputs = case(THREE, [work("w", 128, 4, **FIRM)], EU, prices=PRICES)
    again = inputs_from_json(inputs_to_json(inputs))
    assert again.fleet == inputs.fleet
    plan = plan_cycle(inputs)
    assert plan_cycle(again).to_json() == plan.to_json()
    assert Plan.from_dict(plan.to_dict()) == plan


def test_what_was_announced_is_held_to_where_it_still_fits() -> None:
    inputs = case(THREE, [work("w", 100, 4, **FIRM)], EU, prices=PRICES)
    first = plan_cycle(inputs)
    again = replace(inputs, announced=Announced.of(first, inputs.now), hold_gap=1.0)
    second = plan_cycle(again)
    assert second.status == "held"
    assert second.allocations == first.allocations
    assert second.resilience == first.resilience


def test_ride_through_may_be_until_the_group_takes_over() -> None:
    battery = Battery(100, 100, 1.0, 1.0, 50)
    own = house("a", battery=battery, resilience=Resilience(ride_through_minutes=None))
    group = FailoverGroup("eu", ("a", "b"), within_minutes=15)
    inputs = case([own, house("b")], [], group)
    assert problem_of(inputs).sites[0].battery_floor_kwh(4).tolist() == [1.0] * 4


def test_figures_of_value_are_for_what_is_held_where_it_is_held_and_say_so() -> None:
    """With one more at b, what c would lose moves there from a, and saves more than the figure of b."""
    prices = {"Z": [20.0] * 4, "Y": [200.0] * 4, "W": [300.0] * 4, "V": [90.0] * 4}
    load = {"a": 0.0, "b": 0.0, "c": 10.0, "d": 0.0}

    def planned(count: int) -> tuple[Plan, CycleInputs]:
        sites = [house("a"), house("b", "Y", count=count), house("c", "W", count=10), house("d", "V")]
        inputs = case(sites, [work("w", 80, 4, **FIRM)], EU, load=load, prices=prices)
        return plan_cycle(inputs), inputs

    plan, inputs = planned(5)
    told = fleet_worth(plan, inputs.fleet)
    [figure] = [pool.accelerator.horizon for one in told.sites if one.site == "b" for pool in one.pools]
    assert plan.minimised - planned(6)[0].minimised > figure + told.above_bound + 0.1
    assert "What failover groups hold stays where it is held in all figures" in told.notes[0]
    alone = replace(inputs.fleet, failover_groups=())
    assert fleet_worth(plan_cycle(replace(inputs, fleet=alone)), alone).notes == ()


@st.composite
def cases(draw: st.DrawFn) -> CycleInputs:
    def one(name: str, zone: str) -> Site:
        count = draw(st.integers(4, 16))
        return house(
            name,
            zone,
            accelerator=draw(st.sampled_from("XL")),
            count=count,
            failure_domains=draw(st.sampled_from([1, 2])),
            power_limit_kw=draw(st.none() | st.integers(count // 2, count)),
            generation=draw(st.none() | st.just(Generation((GenerationWindow(START, at(4), count / 2),)))),
            battery=draw(st.none() | st.just(Battery(8, 4, 1.0, 1.0, 4))),
            resilience=Resilience(
                lose_domains=draw(st.integers(0, 1)), mode=draw(st.sampled_from(["shared", "strict"]))
            ),
        )

    sites = [one(name, zone) for name, zone in zip("abcd", "ZYYW", strict=True)]
    jobs = [
        work(
            f"w{i}",
            draw(st.integers(1, 30)),
            draw(st.integers(1, 4)),
            accelerators=("X", "L"),
            preemptible=draw(st.booleans()),
        )
        for i in range(draw(st.integers(0, 4)))
    ]
    group = FailoverGroup("g", ("a", "b", "c"), draw(st.sampled_from(["site", "zone"])), {"X": 1.0, "L": 0.4})
    load = {name: float(draw(st.integers(0, 8))) for name in "abcd"}
    prices = {zone: [float(draw(st.integers(-20, 90))) for _ in range(4)] for zone in "ZYW"}
    return case(sites, jobs, group, load=load, prices=prices)


@given(cases())
@settings(max_examples=8, deadline=None)
def test_whatever_the_fleet_what_is_held_is_verified_and_never_above_the_room(inputs: CycleInputs) -> None:
    plan = plan_cycle(inputs)  # which verifies it
    assert plan.lower_bound <= plan.minimised + 1e-6
    joint = said(plan).joint_optimum
    assert joint is not None
    for row in plan.slots:
        assert row.reserved <= row.count + 1e-9
    if not plan.unplaced and all(not p.missing_slots for p in said(plan).promises):
        assert joint <= plan.minimised + 1e-6 + 1e-6 * abs(joint)
    assert np.isfinite([p.cost_per_day or 0.0 for p in said(plan).promises]).all()


@given(cases())
@settings(max_examples=12, deadline=None)
def test_what_is_filled_in_is_enough_as_well(inputs: CycleInputs) -> None:
    """Verified by a linear program for each loss: it is never less than could be held, nor is what it says missing."""
    plan = plan_cycle(inputs, Effort.GREEDY)
    assert said(plan).placed_by in ("without_work", "all")
    unknown = [p for p in said(plan).promises if p.missing_accelerators is None]
    assert (said(plan).placed_by == "all") == bool(unknown)
