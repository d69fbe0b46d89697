"""What every term of the schedule must keep, as a test class that third parties can subclass.

    class TestMyTerm(TermContract):
        term = MyTerm()

        def inputs(self):
            return CycleInputs(...)  # a case that exercises the term

        def problem(self):
            return build(...)  # the same as a problem

It needs pytest and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity, LinearProgram, PricedTerm, Term
from shifter.schedule.solve import linear_program, solve
from shifter.schedule.terms import registry
from shifter.schedule.terms.registry import installed_terms

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class _Point:
    """What the registry reads of an entry point."""

    name: str
    term: Term

    def load(self) -> Callable[[], Term]:
        return lambda: self.term


@contextmanager
def installed(term: Term, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a package that is installed registered this term."""
    points = [_Point(t.name, t) for t in {t.name: t for t in (*installed_terms(), term)}.values()]
    with monkeypatch.context() as patched:
        patched.setattr(registry, "entry_points", lambda **_: points)
        installed_terms.cache_clear()
        try:
            yield
        finally:
            installed_terms.cache_clear()


class TermContract:
    """Set `term`, and give `inputs` and `problem`."""

    term: Term

    most_gap_ratio = 0.05
    """How far a plan may be above its bound: a bill above what the program charges widens it."""

    def inputs(self) -> CycleInputs:
        """A case in which the term has something to do."""
        raise AssertionError("a contract test gives the inputs of a cycle")

    def problem(self) -> ScheduleProblem:
        """The same as a problem."""
        raise AssertionError("a contract test gives a problem")

    def _program(self) -> LinearProgram:
        problem = self.problem()
        terms = {t.name: t for t in (*installed_terms(), self.term)}
        program, _ = linear_program(problem, merge(problem.jobs), Capacity.of(problem), tuple(terms.values()))
        return program

    def test_it_has_a_name_of_its_own(self) -> None:
        """Terms are told apart by name, in the plan's cost and in errors."""
        assert self.term.name
        assert self.term.name.isidentifier()

    def test_all_that_it_adds_is_finite_and_inside_the_program(self) -> None:
        """No NaN, no coefficient of a variable that does not exist, no bound that is upside down."""
        program = self._program()
        assert np.isfinite(program.cost).all()
        assert (program.lower <= program.upper).all()
        for rows in program.rows.values():
            matrix = rows.matrix(program.n_columns)
            assert np.isfinite(matrix.data).all()
            assert np.isfinite(rows.limit).all()

    def test_there_is_always_an_answer(self) -> None:
        """Lateness is priced, so no term may make the problem infeasible; nor unbounded."""
        problem = self.problem()
        solution = solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=30.0)
        assert all(np.isfinite(values).all() for values in solution.values.values())

    def test_prices_of_limits_are_never_negative(self) -> None:
        """The plan's proof rests on it."""
        problem = self.problem()
        solution = solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=30.0)
        assert all((values >= 0).all() for values in solution.duals.values())

    def test_the_same_problem_builds_the_same_program(self) -> None:
        """Order, hashes and time play no part."""
        first, second = self._program(), self._program()
        assert list(first.rows) == list(second.rows)
        assert np.array_equal(first.cost, second.cost)
        for name in first.rows:
            one, two = (p.rows[name].matrix(p.n_columns) for p in (first, second))
            assert (one - two).nnz == 0

    def test_a_plan_with_it_passes_every_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it costs is what its prices in the program come to: with less, the bound would exceed the cost."""
        inputs = self.inputs()
        with installed(self.term, monkeypatch):
            plan = plan_cycle(inputs)
            assert verify_plan(plan, inputs) == []
        assert plan.relative_gap <= self.most_gap_ratio
        if isinstance(self.term, PricedTerm):
            assert self.term.name in plan.cost.further
