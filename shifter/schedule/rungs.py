"""Solvers, one after the other: where one gives no optimum, the next is asked, and what happened is said.

HiGHS' dual simplex and its interior point (with crossover) come first, in the order that suits the size: what one of
them cannot finish, for its numbers or its time, the other often can. Clarabel (Goulart and Chen 2024), another interior
point by other people, comes last: it shares no code with HiGHS, and needs no vertex. What counts is an optimum to the
solver's own tolerances; whatever calls itself inaccurate is none.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shifter.errors import SolverFailed

SIMPLEX_COLUMNS = 15_000
"""Beyond this many variables the interior point, with crossover to a vertex, is faster (69,000: 5 s, not over 60)."""

LONG_COLUMNS = 500
"""But with more variables than this a class, simplex is, at any size: few long windows over many slots tie little
together (60 classes, 101,000 variables: 7 s, and 36 s of the interior point; `fleet` has 230 a class, GAIA 165)."""

FIRST_SHARE = 0.8
"""Of the time, the first solver may use this much, so that the next has some."""

HINT = "The next way to plan is used instead; the plan says which."


@dataclass(frozen=True)
class Rung:
    """One solver to ask: what a plan calls it, its name in cvxpy, and its options but for the time limit."""

    name: str
    solver: str
    options: Mapping[str, object]

    def arguments(self, time_limit_s: float) -> dict[str, Any]:
        """What cvxpy is given. One thread, so that the same problem has the same answer; nothing on stdout."""
        time_limit_s = max(0.0, time_limit_s)
        if self.solver == "HIGHS":
            quiet = {"threads": 1, "output_flag": False, "log_to_console": False}
            # A fresh problem each cycle: re-solving warm switches HiGHS' presolve off, which is 20 times slower.
            return {
                "solver": "HIGHS",
                "warm_start": False,
                "highs_options": {**self.options, **quiet, "time_limit": time_limit_s},
            }
        return {"solver": self.solver, "verbose": False, **self.options, "time_limit": time_limit_s}


SIMPLEX = Rung("HiGHS' simplex", "HIGHS", {"solver": "simplex"})
INTERIOR = Rung("HiGHS' interior point", "HIGHS", {"solver": "ipm"})
CLARABEL = Rung("Clarabel", "CLARABEL", {"max_threads": 1})


PRIMAL = Rung("HiGHS' primal simplex", "HIGHS", {"solver": "simplex", "simplex_strategy": 4})
"""The better one where paths of prices count, whose rows are dense: 21 s where the dual simplex took 47."""


SIMPLEX_FIRST = (SIMPLEX, INTERIOR, CLARABEL)
INTERIOR_FIRST = (INTERIOR, SIMPLEX, CLARABEL)
PRIMAL_FIRST = (PRIMAL, INTERIOR, CLARABEL)


def by_size(n_columns: int, n_classes: int, *, dense: bool = False) -> tuple[Rung, ...]:
    """The solvers to ask for a program of this many variables, over so many classes of work, in order.

    `dense`, it has rows over all sites and slots.
    """
    few_classes = 0 < LONG_COLUMNS * n_classes < n_columns
    if n_columns > SIMPLEX_COLUMNS and not few_classes:
        return INTERIOR_FIRST
    return PRIMAL_FIRST if dense else SIMPLEX_FIRST


def climb(whole: Any, rungs: Sequence[Rung], time_limit_s: float) -> tuple[str, ...]:
    """Solve a cvxpy problem by the first of these that can; says why the ones before could not, which is often nothing.

    Raises SolverFailed where none gives an optimum in time.
    """
    ends = time.monotonic() + time_limit_s
    failed: list[str] = []
    for rung in rungs:
        left_s = ends - time.monotonic()
        if failed and left_s <= 0:
            break
        if failed or len(rungs) == 1:
            why = _attempt(whole, rung, left_s, "the time that was left")
        else:
            why = _attempt(
                whole, rung, FIRST_SHARE * time_limit_s, f"its {100 * FIRST_SHARE:g} % of the time"
            )
        if why is None:
            return (f"{'; '.join(failed)}; {rung.name} was used instead.",) if failed else ()
        failed.append(f"{rung.name} {why}")
    raise SolverFailed(f"{'; '.join(failed)}.", hint=HINT)


def _attempt(whole: Any, rung: Rung, time_limit_s: float, allowed: str) -> str | None:
    """Why this one gave no optimum; None where it did. What it was `allowed` is said in words: what a clock measured
    would differ from run to run, and plans of the same inputs with it."""
    import cvxpy as cp

    try:
        with warnings.catch_warnings():  # that an answer is inaccurate is seen from its status
            warnings.simplefilter("ignore", UserWarning)
            whole.solve(**rung.arguments(time_limit_s))
    except MemoryError:
        return "ran out of memory"
    except (cp.SolverError, ValueError, ArithmeticError) as error:
        said, *_ = str(error).split(": Solution(")  # what is shown of it has times and addresses
        return f"gave no answer ({' '.join(said.split())})"
    if whole.status == cp.OPTIMAL:
        return None
    return f"ran out of {allowed}" if whole.status == cp.USER_LIMIT else f"ended as {whole.status}"
