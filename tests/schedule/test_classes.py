"""Work is merged into classes only where that loses nothing: equal ratios of work to width, however small they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shifter.cycle import plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool
from shifter.schedule.classes import merge, n_columns, work_ratios
from shifter.schedule.jobs import Job
from tests.schedule.build import cycle_inputs, site, work

SECOND = 1 / 3600


def jobs(*hours: float, width: int = 10_000) -> list[Job]:
    inputs = cycle_inputs([work("w", 1, 20)])
    [one] = problem_of(inputs).jobs
    return [replace(one, id=f"w{i}", hours=h, max_accelerators=width) for i, h in enumerate(hours)]


def test_an_accelerator_second_on_many_accelerators_is_told_from_a_little_more() -> None:
    """Its ratio is 2.8e-8 hours: split by width, each would get a hundredth too much or too little."""
    assert len(merge(jobs(SECOND, 1.02 * SECOND))) == 2


def test_what_differs_by_how_it_was_computed_is_one_class() -> None:
    assert len(merge(jobs(0.3, 0.1 * 3, 3 / 10))) == 1


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e9])
def test_splitting_a_class_is_exact_to_a_part_in_ten_to_the_twelve(scale: float) -> None:
    rng = np.random.default_rng(1)
    ratio = work_ratios(some := jobs(*(scale * (1 + 1e-12 * rng.random(500))), width=7))
    hours = np.array([job.hours for job in some])
    assert np.abs(ratio * 7 / hours - 1).max() <= 1e-12
    for one in merge(some):
        split = np.array([one.hours * one.share(job) for job in one.jobs])
        assert np.abs(split / [job.hours for job in one.jobs] - 1).max() <= 1e-12


def test_the_size_of_the_program_counts_the_same_classes() -> None:
    inputs = cycle_inputs(
        [work(f"w{i}", (1 + 0.01 * i) * SECOND, 20, max_accelerators=10_000) for i in range(5)]
    )
    problem = problem_of(inputs)
    assert len(merge(problem.jobs)) == 5
    assert n_columns(problem) == 5 * 20


def test_a_plan_does_all_of_short_wide_work() -> None:
    pool = Pool("p", "X", 10_000, idle_kw=0.0, busy_kw=1.0)
    wide = [work(f"w{i}", (1 + 0.02 * i) * SECOND, 20, max_accelerators=10_000) for i in range(3)]
    inputs = cycle_inputs(wide, sites=[site(pools=(pool,))])
    plan = plan_cycle(inputs)
    assert not plan.unplaced
    assert verify_plan(plan, inputs) == []
