"""Every installed term through the contract suite, and the registry itself."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Budget, Pool, PowerWindow
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import FailoverGroup, Resilience
from shifter.domain.tenant import Tenant
from shifter.errors import PlanRejected, ShifterError
from shifter.realtime.failover import demands
from shifter.schedule.classes import merge
from shifter.schedule.failover import asked_of
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity, LinearProgram, TermInputs
from shifter.schedule.settle import Settled
from shifter.schedule.solve import solve
from shifter.schedule.terms import registry
from shifter.schedule.terms.registry import installed_terms
from shifter.schedule.testing import TermContract, installed
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work
from tests.schedule.risky import risky
from tests.schedule.spoil import codes


def busy_inputs() -> CycleInputs:
    """Every term has something to do: a limit, a peak, a battery, late work, two pools, negative prices, sun, risk,
    and tenants of whom one has little."""
    plant = site(
        pools=(Pool("p", "X", 8, busy_kw=1.0), Pool("q", "Y", 4, idle_kw=0.1, busy_kw=0.5, off_kw=0.02)),
        power_limit_kw=9.0,
        power_limits=(PowerWindow(at(3), at(5), 1.0),),
        demand_charge_per_kw=0.4,
        peak_so_far_kw=3.0,
        battery=Battery(6, 2, 0.9, 0.9, initial_kwh=2),
        generation=Generation((GenerationWindow(at(8), at(16), 12.0),), cost_per_kwh=0.004),
        export_limit_kw=2.5,
        ramp_limit_kw_per_minute=0.06,
        export_price_per_mwh=15.0,
    )
    jobs = [work(f"w{i}", 6 + i, 12 + i, preemptible=bool(i % 3), max_accelerators=2 + i) for i in range(7)]
    jobs += [work("late", 30, 4, max_accelerators=4), work("rival", 9, 4, max_accelerators=4)]
    jobs = [
        replace(job, tenant="B" if job.id == "late" else "A" if job.id in {"w1", "w4"} else "C")
        for job in jobs
    ]
    prices = [-20.0 + 7 * (i % 9) for i in range(24)]
    carbon = [300.0 + 250 * (i % 5) for i in range(24)]
    load = {("a", "p"): {0.5: 1.2, 0.99: 2.4}}
    inputs = cycle_inputs(jobs, sites=[plant], prices=prices, carbon=carbon, carbon_price=50, load=load)
    inputs = with_tenants(inputs, Tenant("A", 1.0, 1.5), Tenant("B", 4.0), fairness=2.0)
    return with_budgets(
        risky(inputs, {("Z", Signal.PRICE): [60.0 - 2 * i for i in range(24)]}, cvar_weight=0.5),
        Budget("carbon_kg", 1.0, at(4), at(15.5)),
        Budget("money", 0.5, at(12), at(24), sites=("a",)),
    )


def busy_problem() -> ScheduleProblem:
    return problem_of(busy_inputs())


@pytest.mark.parametrize("name", [term.name for term in installed_terms()])
class TestInstalledTerms(TermContract):
    """Ours, and whatever else is installed."""

    most_gap_ratio = np.inf  # the case is overfull on purpose, and its bill near nothing

    @pytest.fixture(autouse=True)
    def _term(self, name: str) -> None:
        self.term = next(term for term in installed_terms() if term.name == name)

    def inputs(self) -> CycleInputs:
        return busy_inputs()

    def problem(self) -> ScheduleProblem:
        return busy_problem()

    def test_taking_it_away_changes_the_answer(self, name: str) -> None:
        """Else this suite would say nothing about it."""
        problem = busy_problem()
        classes, capacity = merge(problem.jobs), Capacity.of(problem)
        with_it = solve(problem, classes, capacity, time_limit_s=30)
        rest = [term for term in installed_terms() if term.name != name]
        if name == "lateness":
            # With a price of fairness, work may still be late: there is an answer, and it does nothing.
            problem = replace(problem, fairness_price_per_hour=0.0)
            with pytest.raises(ShifterError):
                solve(problem, classes, capacity, time_limit_s=30, terms=rest)
            return
        without = solve(problem, classes, capacity, time_limit_s=30, terms=rest)
        changes = [abs(with_it.values[x] - without.values[x]).max() for x in ("import", "export", "short")]
        assert max(changes) > 1e-3


def test_terms_come_in_order_of_name() -> None:
    names = [term.name for term in installed_terms()]
    assert names == sorted(names)
    assert {"battery", "capacity", "carbon", "demand_charge", "energy", "lateness", "power_limit"} <= set(
        names
    )


def test_an_installation_without_terms_refuses_to_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> list[EntryPoint]:
        return []

    monkeypatch.setattr(registry, "entry_points", none)
    with pytest.raises(ShifterError, match="no term"):
        registry.installed_terms.__wrapped__()


class GridFee:
    """What the grid's operator asks of each kWh drawn: a term of somebody else's, in one file.

    fee * slot_hours * import[s, t]
    """

    name = "grid_fee"
    fee_per_kwh = 0.1

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        program.add_cost(program.index("import"), self.fee_per_kwh * given.problem.grid.slot_hours)

    def bill(self, problem: ScheduleProblem, settled: Settled) -> float:
        return self.fee_per_kwh * problem.grid.slot_hours * float(settled.import_kw.sum())


class NightCrew:
    """Somebody must be there from eight in the evening on while more than four accelerators run.

    rate * most[t],   most[t] >= accelerators in use - 4,   most[t] >= 0
    """

    name = "night_crew"
    rate, quiet, first = 0.02, 4.0, 20

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        problem, work = given.problem, given.work
        cells = np.flatnonzero(problem.cell_slot >= self.first)
        rate = self.rate * problem.cell_hours[cells]
        most = program.variables("night_crew", len(cells), cost=rate)
        rows = program.at_most("night_crew", np.full(len(cells), self.quiet))
        late = np.flatnonzero(work.cell >= cells[0])
        rows.add(work.cell[late] - cells[0], work.column[late], 1.0)
        rows.add(range(len(cells)), most, -1.0)

    def bill(self, problem: ScheduleProblem, settled: Settled) -> float:
        over = np.maximum(0.0, settled.deferrable.sum(axis=0)[self.first :] - self.quiet)
        return self.rate * problem.grid.slot_hours * float(over.sum())


@pytest.mark.parametrize("theirs", [GridFee, NightCrew])
class TestTermsOfOthers(TermContract):
    """What a third party's test of its own term looks like."""

    @pytest.fixture(autouse=True)
    def _term(self, theirs: type[GridFee] | type[NightCrew]) -> None:
        self.term = theirs()

    def inputs(self) -> CycleInputs:
        jobs = [work("w", 10, 6), work("late", 60, 24, earliest_start=at(17))]
        return cycle_inputs(jobs, prices=[50, 10] + [50] * 18 + [20] * 4)

    def problem(self) -> ScheduleProblem:
        return problem_of(self.inputs())


class TestFailover(TermContract):
    """The term that places what failover groups hold: it joins the first program only, and could join any."""

    @pytest.fixture(autouse=True)
    def _term(self) -> None:
        inputs = self.inputs()
        lost = demands(inputs.fleet, inputs.envelope)
        self.term = asked_of(problem_of(inputs), inputs.fleet, inputs.envelope, lost)

    def inputs(self) -> CycleInputs:
        jobs = [work("w", 160, 10, preemptible=False, max_accelerators=20), work("soft", 20, 8)]
        load = {(name, "p"): {0.5: 1.0, 0.99: 3.0} for name in "abc"}
        sites = [site("a", power_limit_kw=9.0), site("b"), site("c", resilience=Resilience(mode="strict"))]
        inputs = cycle_inputs(jobs, sites=sites, load=load, prices=[20.0, 60.0] * 12)
        groups = (FailoverGroup("g", ("a", "b", "c")),)
        return replace(inputs, fleet=replace(inputs.fleet, failover_groups=groups))

    def problem(self) -> ScheduleProblem:
        return problem_of(self.inputs())

    def test_a_plan_with_it_passes_every_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is in every plan of a fleet with groups; as a term of all programs, what it holds would be held twice."""
        inputs = self.inputs()
        plan = plan_cycle(inputs)
        assert verify_plan(plan, inputs) == []
        assert plan.relative_gap <= self.most_gap_ratio

    def test_taking_it_away_changes_the_answer(self) -> None:
        problem = self.problem()
        classes, capacity = merge(problem.jobs), Capacity.of(problem)
        terms = [*installed_terms(), self.term]
        with_it = solve(problem, classes, capacity, time_limit_s=30, terms=terms)
        without = solve(problem, classes, capacity, time_limit_s=30)
        assert with_it.cost > without.cost + 1e-3


def test_a_plan_shows_what_the_terms_of_others_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = cycle_inputs([work("w", 10, 6)], prices=[50, 10] + [50] * 22)
    plain = plan_cycle(inputs)
    with installed(GridFee(), monkeypatch):
        plan = plan_cycle(inputs)
        assert "grid_fee" in {term.name for term in installed_terms()}
    assert "grid_fee" not in {term.name for term in installed_terms()}
    said = plan.to_dict()["cost"]
    assert said["further"] == {"grid_fee": pytest.approx(1.0)}
    assert said["total"] == pytest.approx(0.1 + 1.0)
    assert plan.deferrable_total == pytest.approx(plan.cost.total)
    assert plan.lower_bound == pytest.approx(plan.cost.total)
    assert plan.baseline.total == pytest.approx(0.5 + 1.0)
    assert Plan.from_dict(json.loads(plan.to_json())) == plan
    # Where nobody else has a term, a plan says nothing of it.
    assert "further" not in plain.to_dict()["cost"]


def test_a_term_that_keeps_silent_of_what_it_charges_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its price is in the bound, and not in the cost."""

    class Silent:
        name, build = GridFee.name, GridFee.build
        fee_per_kwh = 0.1

    with installed(Silent(), monkeypatch), pytest.raises(PlanRejected) as caught:
        plan_cycle(cycle_inputs([work("w", 10, 6)]))
    assert any("bound" in violation for violation in caught.value.facts["violations"])


def test_a_bill_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = cycle_inputs([work("w", 10, 6)])
    with installed(GridFee(), monkeypatch):
        plan = plan_cycle(inputs)
    changed = replace(plan, cost=replace(plan.cost, further={"grid_fee": float("inf")}))
    assert "cost" in codes(changed, inputs)
