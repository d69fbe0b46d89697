"""Tenants: quotas that no path exceeds unless it pays, shortage spread by weight, and what the plan says of both."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shifter.cycle import CycleInputs, Submission, plan_cycle, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.tenant import PlanTenant, Tenant
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import START, at, cycle_inputs, site, with_tenants, work
from tests.schedule.solvers import without_solvers

CHEAP_EARLY = [20.0] * 12 + [60.0] * 12


def case(*jobs: Any, tenants: Any = (), fairness: float = 0.0, **over: Any) -> CycleInputs:
    """Ten accelerators of 1 kW; the first half of the day is cheap."""
    inputs = cycle_inputs(jobs, **{"prices": CHEAP_EARLY, **over})
    return with_tenants(inputs, *tenants, fairness=fairness)


def planned(inputs: CycleInputs) -> Plan:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    read = Plan.from_dict(json.loads(plan.to_json()))
    assert read == plan
    return read


def used(plan: Plan, inputs: CycleInputs, tenant: str, hour: int) -> float:
    """Mean accelerators that a tenant holds in an hour."""
    of_tenant = {s.workload.id for s in inputs.submissions if s.workload.tenant == tenant}
    hours = [
        a.accelerators * max(0.0, (min(a.end, at(hour + 1)) - max(a.start, at(hour))) / (at(1) - at(0)))
        for a in plan.allocations
        if a.workload_id in of_tenant
    ]
    return sum(hours)


def most(plan: Plan, inputs: CycleInputs, tenant: str) -> float:
    return max(used(plan, inputs, tenant, hour) for hour in range(24))


def of(plan: Plan, name: str) -> PlanTenant:
    return next(row for row in plan.tenants if row.tenant == name)


def ratio(plan: Plan, name: str) -> float:
    """The share of a tenant's work that is late."""
    return of(plan, name).short_accelerator_hours / of(plan, name).asked_accelerator_hours


def test_a_hard_quota_moves_work_to_dear_hours_and_has_a_price() -> None:
    jobs = [work("a", 40, 24, tenant="A"), work("b", 40, 24, tenant="B")]
    free = planned(case(*jobs))
    assert free.cost.total == pytest.approx(80 * 0.02)
    assert "tenants" not in free.to_dict()
    assert "quota" not in free.to_dict()["duals"]
    inputs = case(*jobs, tenants=[Tenant("A", quota_accelerators=2.0)])
    plan = planned(inputs)
    assert most(plan, inputs, "A") <= 2.0 + 1e-4
    # 16 of its 40 hours find no room before noon.
    assert plan.cost.total == pytest.approx(64 * 0.02 + 16 * 0.06)
    assert not plan.unplaced
    # One accelerator more before noon saves 0.04 in each of those hours, but for what breaks ties.
    assert plan.duals.quota["A"][:12] == pytest.approx((0.04,) * 12, abs=1e-4)
    assert plan.relative_gap < 1e-3


def test_work_that_would_break_it_is_unplaced_and_says_so() -> None:
    inputs = case(work("a", 40, 24, tenant="A"), tenants=[Tenant("A", quota_accelerators=1.0)])
    plan = planned(inputs)
    [late] = plan.unplaced
    assert late.accelerator_hours == pytest.approx(16, rel=1e-3)
    assert late.reason.startswith("The quota of tenant A leaves it")
    assert of(plan, "A").short_accelerator_hours == pytest.approx(16, rel=1e-3)


@pytest.mark.parametrize(("price", "borrowed"), [(0.01, 16.0), (0.5, 0.0)])
def test_beyond_a_soft_quota_is_paid_for_where_that_is_cheaper(price: float, borrowed: float) -> None:
    soft = Tenant("A", 1.0, 2.0, None, price)
    plan = planned(case(work("a", 40, 24, tenant="A"), tenants=[soft]))
    assert of(plan, "A").over_quota_accelerator_hours == pytest.approx(borrowed, abs=1e-2)
    assert plan.cost.over_quota == pytest.approx(borrowed * price, abs=1e-2)
    assert plan.cost.total == pytest.approx(plan.cost.energy + plan.cost.over_quota, abs=1e-9)
    assert not plan.unplaced
    assert plan.relative_gap < 1e-3
    assert all(value <= price + 1e-9 for value in plan.duals.quota["A"])
    assert plan.deferrable_total == pytest.approx(plan.cost.total)


def test_borrowing_is_dearer_than_energy_and_cheaper_than_lateness() -> None:
    """However high its price."""
    soft = Tenant("A", 1.0, 1.0, None, 1e4)
    plan = planned(case(work("a", 30, 24, tenant="A"), tenants=[soft]))
    assert not plan.unplaced
    assert plan.cost.over_quota == pytest.approx(6e4, rel=1e-3)


def test_a_quota_of_some_accelerators_leaves_the_others_free() -> None:
    pools = (Pool("p", "X", 10, busy_kw=1.0), Pool("q", "Y", 10, busy_kw=2.0))
    jobs = [work("a", 48, 24, tenant="A", max_accelerators=4)]
    inputs = case(*jobs, tenants=[Tenant("A", 1.0, 1.0, ("X",))], sites=[site(pools=pools)])
    plan = planned(inputs)
    assert not plan.unplaced
    on_x = [replace(a, workload_id="a") for a in plan.allocations if a.pool == "p"]
    assert most(replace(plan, allocations=tuple(on_x)), inputs, "A") <= 1.0 + 1e-4
    assert any(a.pool == "q" for a in plan.allocations)


def test_pinned_work_counts_and_may_exceed_it_alone() -> None:
    running = work("r", 24, 24, tenant="A", interruptible=False, max_accelerators=3)
    inputs = case(running, work("a", 20, 24, tenant="A"), tenants=[Tenant("A", quota_accelerators=2.0)])
    inputs = replace(
        inputs,
        now=at(0.5),
        pinned=(Allocation("r", "a", "p", at(0), at(8), 3),),
    )
    plan = planned(inputs)
    assert all(a.start >= at(8) for a in plan.allocations if a.workload_id == "a")
    assert any(
        "A: work that is running and may not be interrupted holds up to 1.0 accelerators more than its quota"
        in w
        for w in plan.warnings
    )


def test_in_the_running_slot_the_quota_is_the_mean_of_what_is_left() -> None:
    """Else each replan would give as much again."""
    inputs = replace(
        case(work("a", 3, 3, tenant="A"), tenants=[Tenant("A", quota_accelerators=2.0)]), now=at(0.75)
    )
    plan = planned(inputs)
    assert used(plan, inputs, "A", 0) <= 0.5 + 1e-4


def test_shortage_is_spread_by_weight() -> None:
    """Room for 30 of 48 hours: 18 are late, with one weight 9 of each, to within a step of a twentieth (1.2 h)."""
    jobs = [work("a", 24, 3, tenant="A"), work("b", 24, 3, tenant="B")]
    even = planned(case(*jobs, fairness=1.0))
    assert ratio(even, "A") == pytest.approx(9 / 24, abs=0.05)
    assert ratio(even, "B") == pytest.approx(9 / 24, abs=0.05)
    assert ratio(even, "A") + ratio(even, "B") == pytest.approx(18 / 24, rel=1e-4)
    # With three times the weight, a third as much of it: 4.5 and 13.5 hours.
    plan = planned(case(*jobs, tenants=[Tenant("A", 3.0)], fairness=1.0))
    assert ratio(plan, "A") == pytest.approx(4.5 / 24, abs=0.05)
    assert ratio(plan, "B") == pytest.approx(13.5 / 24, abs=0.05)
    # 1.0 * weight * 24 * r^2 / 2, but for the steps.
    assert plan.cost.fairness == pytest.approx(12 * (3 * 0.1875**2 + 0.5625**2), abs=0.1)
    assert plan.cost.total == pytest.approx(plan.cost.energy + plan.cost.fairness)
    # Bound and plan do the same work, so the same of it is late in both.
    assert plan.relative_gap == pytest.approx(0, abs=1e-6)
    assert plan.baseline.total >= plan.cost.total - 1e-6


def test_fairness_gives_no_work_up_where_all_of_it_can_be_done() -> None:
    jobs = [work("a", 24, 24, tenant="A"), work("b", 24, 12, tenant="B")]
    plan, fair = planned(case(*jobs)), planned(case(*jobs, fairness=100.0))
    assert fair.cost.fairness == 0
    assert fair.cost.total == pytest.approx(plan.cost.total, rel=1e-3)
    assert {row.tenant for row in fair.tenants} == {"A", "B"}


def test_a_tenant_whose_work_nothing_can_do_does_not_blind_it_to_the_others() -> None:
    """As the greatest shortfall alone would: there is nothing that could lessen it."""
    hopeless = work("h", 24, 3, tenant="H", accelerators=("Z",))
    late = work("l", 30, 3, tenant="L", max_accelerators=1)
    jobs = [work("a", 24, 3, tenant="A"), work("b", 24, 3, tenant="B")]
    plan = planned(case(hopeless, late, *jobs, fairness=1.0))
    assert of(plan, "H").asked_accelerator_hours == 0
    assert ratio(plan, "L") == pytest.approx(27 / 30, abs=0.02)
    assert abs(ratio(plan, "A") - ratio(plan, "B")) <= 0.05 + 1e-3


def shaped(**over: Any) -> list[Any]:
    """Work of A in one piece, of which three quarters would fit beside that of B."""
    given = {"tenant": "A", "interruptible": False, "max_accelerators": 2, **over}
    return [work(f"s{i}", 6, 24, **given) for i in range(6)] + [work("b", 40, 24, tenant="B")]


def test_work_in_one_piece_keeps_a_quota() -> None:
    inputs = case(*shaped(), tenants=[Tenant("A", quota_accelerators=3.0)])
    plan = planned(inputs)
    assert most(plan, inputs, "A") <= 3.0
    assert not plan.unplaced


def test_what_work_in_one_piece_falls_short_by_counts_for_the_rest_of_its_tenant() -> None:
    rigid = work("r", 12, 2, tenant="A", interruptible=False, max_accelerators=2)
    jobs = [rigid, work("a", 20, 3, tenant="A"), work("b", 28, 3, tenant="B")]
    plan = planned(case(*jobs, fairness=1.0))
    done = of(plan, "A").asked_accelerator_hours - of(plan, "A").short_accelerator_hours
    assert of(plan, "A").asked_accelerator_hours == 32
    assert ratio(plan, "A") == pytest.approx(ratio(plan, "B"), abs=0.05 + 1e-3)
    assert done > 0


def test_the_greedy_and_running_at_once_keep_a_hard_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    without_solvers(monkeypatch, coarser=True)
    jobs = [work("a", 30, 24, tenant="A"), *shaped()]
    inputs = case(*jobs, tenants=[Tenant("A", quota_accelerators=2.5)], fairness=1.0)
    plan = planned(inputs)
    assert plan.status == "greedy"
    assert most(plan, inputs, "A") <= 2.5 + 1e-4


def test_running_at_once_keeps_a_hard_quota_and_pays_for_a_soft_one() -> None:
    # The plan waits for the cheap half of the day, in which the quota is enough.
    dear_early = [60.0] * 12 + [20.0] * 12
    job = work("a", 24, 24, tenant="A")
    hard = planned(case(job, tenants=[Tenant("A", quota_accelerators=2.0)], prices=dear_early))
    assert hard.cost.total == pytest.approx(24 * 0.02)
    assert hard.baseline.total == pytest.approx(24 * 0.06)
    assert hard.baseline.peak_kw == pytest.approx(2.0)
    soft = planned(case(job, tenants=[Tenant("A", 1.0, 2.0, None, 0.1)], prices=dear_early))
    assert soft.cost.over_quota == pytest.approx(0, abs=1e-6)
    # Ten at once for two hours and four for one: 8 + 8 + 2 hours beyond the quota.
    assert soft.baseline.total == pytest.approx(24 * 0.06 + 18 * 0.1)
    assert soft.baseline.deferrable_total == pytest.approx(soft.baseline.total)


class TestAnnounced:
    """Between two plans."""

    def again(self, inputs: CycleInputs, before: Plan, *tenants: Tenant, more: Any = ()) -> CycleInputs:
        """The next cycle, with these tenants and more work."""
        submissions = (*inputs.submissions, *(Submission(job, START) for job in more))
        announced = Announced.of(before, inputs.now)
        inputs = replace(inputs, submissions=submissions, announced=announced, hold_gap=0.01)
        return with_tenants(inputs, *tenants, fairness=1.0)

    @pytest.fixture(params=[200_000, 0], ids=["exact", "large"])
    def first(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[CycleInputs, Plan]:
        monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", request.param)
        jobs = [
            work(f"{t}{i}", 4, 20 + i, tenant=t, max_accelerators=2) for t in ("A", "B") for i in range(4)
        ]
        inputs = case(*jobs, tenants=[Tenant("A", quota_accelerators=3.0)], fairness=1.0)
        return inputs, planned(inputs)

    def test_what_was_announced_stays_within_the_quota(self, first: tuple[CycleInputs, Plan]) -> None:
        inputs, before = first
        inputs = self.again(
            inputs, before, Tenant("A", quota_accelerators=3.0), more=[work("n", 2, 20, tenant="A")]
        )
        plan = planned(inputs)
        assert not plan.unplaced
        assert set(before.allocations) <= set(plan.allocations)

    def test_it_yields_to_a_quota_that_is_lowered(self, first: tuple[CycleInputs, Plan]) -> None:
        inputs, before = first
        lowered = self.again(inputs, before, Tenant("A", quota_accelerators=1.0))
        plan = planned(lowered)
        assert most(before, inputs, "A") > 1.5
        assert most(plan, lowered, "A") <= 1.0 + 1e-4
        assert not plan.unplaced


def test_inputs_that_are_stored_make_the_same_plan() -> None:
    jobs = [work("a", 24, 3, tenant="A"), work("b", 24, 3, tenant="B")]
    inputs = case(*jobs, tenants=[Tenant("A", 3.0, 6.0, ("X",), 0.2)], fairness=1.0)
    assert plan_cycle(inputs_from_json(inputs_to_json(inputs))).plan_id == plan_cycle(inputs).plan_id


class TestLarge:
    """What is too large to be solved whole."""

    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", 0)

    def jobs(self, deadline: float = 24) -> list[Any]:
        return [
            work(f"{tenant}{i}", 2, deadline, tenant=tenant, max_accelerators=1 + i % 3)
            for tenant in ("A", "B")
            for i in range(20)
        ]

    def test_a_hard_quota_is_kept_and_proved(self) -> None:
        inputs = case(*self.jobs(), tenants=[Tenant("A", quota_accelerators=2.5)])
        plan = planned(inputs)
        assert most(plan, inputs, "A") <= 2.5 + 1e-4
        assert not plan.unplaced
        assert plan.relative_gap < 0.02

    def test_a_soft_quota_is_borrowed_at_its_price(self) -> None:
        plan = planned(case(*self.jobs(), tenants=[Tenant("A", 1.0, 2.5, None, 0.01)]))
        assert not plan.unplaced
        assert plan.cost.over_quota == pytest.approx(10 * 0.01, abs=0.03)
        assert plan.relative_gap < 0.02

    def test_the_quotas_of_many_tenants_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of tenants beyond those that the coarse problem tells apart, too."""
        monkeypatch.setattr("shifter.schedule.scaled.QUOTA_CLUSTERS", 2)
        tenants = [Tenant("A", quota_accelerators=4.0), Tenant("B", quota_accelerators=1.5)]
        inputs = case(*self.jobs(), tenants=tenants)
        plan = planned(inputs)
        assert most(plan, inputs, "A") <= 4.0 + 1e-4
        assert most(plan, inputs, "B") <= 1.5 + 1e-4

    def test_shortage_is_spread_by_weight(self) -> None:
        # Room for 40 of 80 hours; with equal weights 20 late hours each.
        even = planned(case(*self.jobs(4), fairness=1.0))
        assert abs(ratio(even, "A") - ratio(even, "B")) <= 0.1
        plan = planned(case(*self.jobs(4), tenants=[Tenant("A", 3.0)], fairness=1.0))
        assert ratio(plan, "A") == pytest.approx(0.25, abs=0.1)
        assert ratio(plan, "B") == pytest.approx(0.75, abs=0.1)


def test_a_row_says_what_is_held_of_its_quota_and_what_more_of_it_saves() -> None:
    """Work that just fits, and work that does not: its quota is worth what energy costs, and no lateness."""
    jobs = [work("a", 40, 24, tenant="A"), work("late", 30, 4, tenant="A"), work("b", 10, 24, tenant="B")]
    plan = planned(case(*jobs, tenants=[Tenant("A", quota_accelerators=2.0)], fairness=1.0))
    row = of(plan, "A")
    assert row.quota_accelerators == 2.0
    assert row.used_accelerators == pytest.approx(2.0)
    assert row.quota_price == pytest.approx(sum(plan.duals.quota["A"]))
    assert row.quota_price is not None
    assert row.quota_price < 2.0
    assert (of(plan, "B").quota_accelerators, of(plan, "B").used_accelerators, of(plan, "B").quota_price) == (
        None, None, None,
    )  # fmt: skip
