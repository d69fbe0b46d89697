"""Who asks for a solver when a schedule is made, and tests in which they get another answer, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shifter.errors import SolverFailed
from shifter.schedule import exact, mend, scaled


def answer_with(monkeypatch: pytest.MonkeyPatch, solve: Callable[..., Any], *, coarser: bool = False) -> None:
    """This in place of `solve`: for the program of the work as it is, and of the sites beside it; where `coarser`, for
    the coarser one, too."""
    for module in (exact, mend, *((scaled,) if coarser else ())):
        monkeypatch.setattr(module, "solve", solve)


def without_solvers(monkeypatch: pytest.MonkeyPatch, *, coarser: bool = False) -> None:
    """None of these programs is solved."""

    def fails(*_: Any, **__: Any) -> Any:
        raise SolverFailed("out of order")

    answer_with(monkeypatch, fails, coarser=coarser)
