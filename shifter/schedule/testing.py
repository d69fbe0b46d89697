"""What every term of the schedule must keep, as a test class that third parties can subclass.

    class TestMyTerm(TermContract):
        term = MyTerm()

It needs pytest and nothing else; `problem` may be overridden with a case that exercises the term.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity, LinearProgram, Term
from shifter.schedule.solve import linear_program, solve
from shifter.schedule.terms.registry import installed_terms


class TermContract:
    """Set `term`, and give `problem`."""

    term: Term

    def problem(self) -> ScheduleProblem:
        """A problem in which the term has something to do."""
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
