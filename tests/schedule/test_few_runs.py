"""Fewer runs: what they may cost, that no limit moves for them, and that a plan says what was given for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Generation, GenerationWindow
from shifter.schedule.beside import Beside
from shifter.schedule.bill import Bill
from shifter.schedule.exchange import exchange
from shifter.schedule.jobs import HOUR_US, Job, Way
from shifter.schedule.pack import Piece
from shifter.schedule.settle import Sources, settle
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.risky import risky


def priced(inputs: CycleInputs, cost_per_run: float | None) -> CycleInputs:
    """The same, with a price on every run."""
    objective = replace(inputs.fleet.objective, cost_per_run=cost_per_run)
    return replace(inputs, fleet=replace(inputs.fleet, objective=objective))


def hedged(cost_per_run: float | None) -> Plan:
    """Two jobs whose hours all cost the same as forecast, and not on any path."""
    plant = site(pools=(Pool("p", "X", 100, idle_kw=0.0, busy_kw=1.0),))
    jobs = [work("A", 100, 48, earliest_start=at(24)), work("B", 60, 40, earliest_start=at(10))]
    inputs = cycle_inputs(jobs, sites=[plant], prices=[50.0] * 48, hours=48)
    inputs = risky(inputs, {("Z", Signal.PRICE): 30.0}, cvar_weight=1.0, autocorrelation_hours=2.0)
    return plan_cycle(priced(inputs, cost_per_run))


def test_a_hedge_is_not_undone_for_fewer_runs() -> None:
    plan = hedged(0.0)
    assert plan.relative_gap < 1e-3


def test_under_risk_a_run_less_costs_no_more_than_it_is_worth() -> None:
    kept, fewer = hedged(0.0), hedged(0.1)
    assert kept.risk is not None
    assert fewer.risk is not None
    saved = len(kept.allocations) - len(fewer.allocations)
    assert saved > 0
    assert fewer.risk.objective <= kept.risk.objective + 0.1 * saved + 1e-6


def test_a_plan_says_what_was_given_for_fewer_runs() -> None:
    inputs = cycle_inputs([work("A", 30, 6)], prices=[10.0, 90.0] * 12)
    usual, dear = plan_cycle(inputs), plan_cycle(priced(inputs, 100.0))
    assert usual.warnings == ()
    (said,) = dear.warnings
    more = dear.cost.total - usual.cost.total
    assert more > 0.1
    assert said.startswith(f"{len(usual.allocations) - len(dear.allocations)} runs less cost {more:.4g} more")


@pytest.mark.parametrize("own", [{}, {"generation": Generation((GenerationWindow(at(0), at(48), 1e-3),))}])
def test_a_watt_of_generation_tears_no_job_into_crumbs(own: dict[str, Any]) -> None:
    draw = np.random.default_rng(3)
    jobs = [
        work(
            f"w{i}",
            float(draw.uniform(3, 25)),
            float(draw.uniform(16, 48)),
            max_accelerators=int(draw.integers(2, 6)),
            earliest_start=at(float(draw.integers(0, 10))),
        )
        for i in range(40)
    ]
    prices = {
        z: (60 + 20 * np.sin(np.arange(96) / 7 + k) + draw.normal(size=96) * 9).tolist()
        for k, z in enumerate("XYZ")
    }
    pools = (Pool("p", "X", 14, idle_kw=0.1, busy_kw=0.7),)
    sites = [site(z, zone=z, demand_charge_per_kw=1.0, pools=pools, **own) for z in "XYZ"]
    inputs = cycle_inputs(jobs, sites=sites, prices=prices, slot_minutes=30, hours=48)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert len(plan.allocations) / len(jobs) < 7
    assert plan.relative_gap < 0.02


def test_a_bill_is_what_settling_comes_to() -> None:
    window = GenerationWindow(at(0), at(24), 6.0)
    plant = site(
        "a",
        pools=(Pool("p", "X", 10, idle_kw=0.1, busy_kw=1.0),),
        demand_charge_per_kw=2.0,
        export_limit_kw=3.0,
        export_price_per_mwh=20.0,
        generation=Generation((window,), 0.03),
    )
    problem = problem_of(cycle_inputs([work("A", 30, 12)], sites=[plant], prices=[20.0, 50.0] * 12))
    pieces = [Piece("A", 0, 0, 0, 3 * HOUR_US, 10)]
    load_kw = problem.median_kw[0] + np.where(np.arange(24) < 3, 10.0, 0.0)
    given = Sources.none(problem)
    price = problem.sites[0].unit_cost_per_kwh
    given.generated_kw[0] = np.where(price > 0.03, np.minimum(6.0, load_kw), 0.0)
    bill = Bill.of(problem, pieces, Beside({}, given))
    assert bill.total == pytest.approx(settle(problem, pieces, {}, given).cost.total)
    later = [Piece("A", 0, 0, HOUR_US, 4 * HOUR_US, 10)]
    after = Bill.of(problem, later, Beside({}, given))
    assert bill.change(pieces, later) == pytest.approx(after.cost.sum() - bill.cost.sum())


WAYS = (Way(0, 1.0, 1.0),)


def job(id: str, start: int, end: int, most: int) -> Job:
    """A plain job in one pool."""
    window = (start * HOUR_US, end * HOUR_US)
    return Job(id, 1.0, WAYS, *window, *window, most, firm=False)


def at_once(pieces: list[Piece]) -> Counter[int]:
    """Accelerators in use, by the second at which that changes."""
    level: Counter[int] = Counter()
    for piece in pieces:
        level[piece.start_us] += piece.accelerators
        level[piece.end_us] -= piece.accelerators
    return Counter({moment: change for moment, change in level.items() if change})


def test_two_that_take_turns_go_one_after_the_other() -> None:
    jobs = [job("a", 0, 8, 1), job("b", 0, 8, 1)]
    turns = [Piece("ab"[h % 2], 0, 0, h * HOUR_US, (h + 1) * HOUR_US, 1) for h in range(8)]
    assert sorted(exchange(jobs, turns)) == [
        Piece("a", 0, 0, 0, 4 * HOUR_US, 1),
        Piece("b", 0, 0, 4 * HOUR_US, 8 * HOUR_US, 1),
    ]


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_an_exchange_changes_no_load_and_no_work(data: st.DataObject) -> None:
    jobs, pieces = [], []
    for id in "abcd":
        start, length, most = (data.draw(st.integers(*r)) for r in ((0, 6), (1, 8), (1, 5)))
        jobs.append(job(id, start, start + length, most))
        levels = [data.draw(st.integers(0, most)) for _ in range(length)]
        hours = [(start + h, count) for h, count in enumerate(levels) if count]
        pieces += [Piece(id, 0, 0, h * HOUR_US, (h + 1) * HOUR_US, count) for h, count in hours]
    after = exchange(jobs, pieces)
    assert len(after) <= len(pieces)
    assert at_once(after) == at_once(pieces)
    done: defaultdict[str, int] = defaultdict(int)
    for sign, some in ((1, after), (-1, pieces)):
        for p in some:
            done[p.job] += sign * p.accelerators * (p.end_us - p.start_us)
    for one in jobs:
        own = [p for p in after if p.job == one.id]
        assert abs(done[one.id]) <= 100
        assert all(one.start_us <= p.start_us and p.end_us <= one.end_us for p in own)
        for moment in {p.start_us for p in own}:
            together = sum(p.accelerators for p in own if p.start_us <= moment < p.end_us)
            assert together <= one.max_accelerators
