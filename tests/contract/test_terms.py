"""Every installed term through the contract suite, and the registry itself."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from forecasts.series import Signal
from shifter.domain.fleet import Battery, Budget, Generation, GenerationWindow, Pool, PowerWindow
from shifter.domain.tenant import Tenant
from shifter.errors import ShifterError
from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.solve import solve
from shifter.schedule.terms import registry
from shifter.schedule.terms.registry import installed_terms
from shifter.schedule.testing import TermContract
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work
from tests.schedule.problems import problem_of
from tests.schedule.risky import risky


def busy_problem() -> ScheduleProblem:
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
    return problem_of(
        with_budgets(
            risky(inputs, {("Z", Signal.PRICE): [60.0 - 2 * i for i in range(24)]}, cvar_weight=0.5),
            Budget("carbon_kg", 1.0, at(4), at(15.5)),
            Budget("money", 0.5, at(12), at(24), sites=("a",)),
        )
    )


@pytest.mark.parametrize("name", [term.name for term in installed_terms()])
class TestInstalledTerms(TermContract):
    """Ours, and whatever else is installed."""

    @pytest.fixture(autouse=True)
    def _term(self, name: str) -> None:
        self.term = next(term for term in installed_terms() if term.name == name)

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
